/**
 * search: `git grep` inside the sandbox, under its deadline, on a tree that it cannot write. Must never run a pattern in this process: a hostile one
 * takes exponential time (MECHANICS part 2 "search with a hostile pattern").
 */
import { ok, type Result, utf8Encode } from '@openexec/canon';
import { ACTION_LIMITS, type CommandOutcome, type ExecutionOrder, type StopSignal } from '@openexec/catalogue';
import { type ActionFailure, fail } from './errors.ts';
import {
  cutText,
  type Hands,
  lossyText,
  numberArgument,
  type Outcome,
  OUTPUT_BYTES,
  shownPath,
  textArgument,
  textOutcome,
} from './execution.ts';

/** A match's line is shown up to this many bytes. */
const LINE_BYTES = 500;
/** Filters, drivers and helpers of the tree must not choose what is seen. */
const GIT = [
  'git',
  '-c',
  'core.attributesFile=/dev/null',
  '-c',
  'core.excludesFile=/dev/null',
  '-c',
  'core.fsmonitor=false',
  '-c',
  'grep.fallbackToNoIndex=false',
];

/** Shows lines that an extended regular expression fits, at most `limit`; `search.badPattern` where git cannot read it. */
export async function search(order: ExecutionOrder, hands: Hands, stop: StopSignal): Promise<Result<Outcome, ActionFailure>> {
  const directory = textArgument(order, 'directory');
  const argv = [
    ...GIT,
    'grep',
    '--no-index',
    '--no-textconv',
    '--no-recurse-submodules',
    '--no-color',
    '-z',
    '-n',
    '-I',
    '-E',
    '-e',
    textArgument(order, 'pattern') ?? '',
    '--',
    ...(directory === undefined ? [] : [`:(literal)${directory}`]),
    ...order.profile.provide.map(({ path }) => `:(exclude,literal)${path}`),
    // The sandbox hides their content; without this git would complain about each.
    ...(order.profile.masked ?? []).map((pattern) => `:(exclude,literal)${pattern.replace(/\/\*\*$/, '')}`),
  ];
  const profile = { ...order.profile, mode: 'read_only' as const, workspace: 'ro' as const };
  const ran = await hands.sandbox.run(
    { profile, argv, directory: '', workspace: hands.workspace.root, gitView: null, deadlineMs: order.deadlineMs, stdin: null },
    stop,
  );
  if (!ran.ok) return fail(ran.error.code, ran.error.message);
  const outcome = ran.value;
  if (stop.stopped) return fail('run.stopped', 'the run was stopped during the search');
  if (outcome.stopped === 'deadline')
    return fail('command.timeout', `the search took longer than ${order.deadlineMs} ms; use a simpler pattern or name a folder`);
  // A flood of matches is cut off by the output limit; what came until then is an answer.
  if (outcome.stopped !== 'no' && outcome.stopped !== 'output')
    return fail('command.limit', `the search was stopped by its ${outcome.stopped} limit; use a simpler pattern`);
  if (outcome.stopped === 'no' && outcome.exitCode !== 0 && outcome.exitCode !== 1) return badPattern(outcome);
  return ok(report(outcome, numberArgument(order, 'limit', ACTION_LIMITS.searchMatchesDefault), directory));
}

function badPattern(outcome: CommandOutcome): Result<never, ActionFailure> {
  const said = lossyText(outcome.stderr.head.subarray(0, 2000)).trim();
  return fail(
    'search.badPattern',
    `the search did not run: ${said === '' ? `exit code ${outcome.exitCode ?? 'none'}` : said.slice(0, 500)}; give an extended regular expression (escape special characters with a backslash)`,
  );
}

interface Match {
  readonly path: string;
  readonly line: string;
  readonly text: string;
}

/** `path NUL line : text NEWLINE`, as `git grep -z -n` writes it; a last line that the capture cut is left out. */
function matchesOf(output: string): readonly Match[] {
  const found: Match[] = [];
  for (const record of output.split('\n').slice(0, -1)) {
    const parsed = /^([^\0]+)\0(\d+)(?:\0|:)(.*)$/s.exec(record);
    if (parsed !== null) found.push({ path: parsed[1] ?? '', line: parsed[2] ?? '', text: parsed[3] ?? '' });
  }
  return found;
}

function report(outcome: CommandOutcome, limit: number, directory: string | undefined): Outcome {
  const matches = matchesOf(lossyText(outcome.stdout.head));
  const complete = outcome.stopped === 'no' && outcome.stdout.bytes <= outcome.stdout.head.length;
  const lines: string[] = [];
  let bytes = 0;
  for (const match of matches.slice(0, limit)) {
    const line = `${shownPath(match.path)}:${match.line}:${cutText(match.text, LINE_BYTES)}`;
    bytes += utf8Encode(line).length + 1;
    if (bytes > OUTPUT_BYTES - 1024) break;
    lines.push(line);
  }
  const where = directory === undefined ? 'the repository' : shownPath(directory);
  const all = complete && lines.length === matches.length;
  const header = all
    ? `${lines.length} matches in ${where}`
    : `${lines.length} matches in ${where} are shown, there are more: use a narrower pattern or name a folder`;
  return textOutcome(header, utf8Encode([header, ...lines, ''].join('\n')));
}
