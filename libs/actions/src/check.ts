/**
 * run_tests, run_linters, run_typecheck, run_build: the configured command in the sandbox, its exit code as the verdict, the tree put back afterwards.
 * Must never believe what the command says about itself, and never keep what it wrote (PROTOCOL §9).
 */
import { type Json, ok, type Result, utf8Encode } from '@openexec/canon';
import type { CommandOutcome, ExecutionOrder, StopSignal, StreamCapture } from '@openexec/catalogue';
import { type ActionFailure, fail, failWorkspace } from './errors.ts';
import { type Hands, jsonArtifact, lossyText, type Outcome, type Perform, textOutcome } from './execution.ts';
import { type Leftovers, leftoversOf, NO_LEFTOVERS } from './leftovers.ts';
import { readReport, reportMembers, reportText } from './reports/report.ts';
import type { CheckKind } from './reports/types.ts';

/** What of each stream is shown; the end of a test run says what failed. */
const TAIL_BYTES = 48 * 1024;
/** What of both streams goes into the report that a model reads in the next stage. */
const REPORT_TAIL = 16_000;

/** How one check is called in its answers. */
export interface CheckWords {
  /** Key below `commands` of the configuration. */
  readonly command: CheckKind;
  readonly subject: string;
  readonly passed: string;
  readonly failed: string;
  readonly artifact: string;
}
const TESTS: CheckWords = {
  command: 'test',
  subject: 'the tests',
  passed: 'the tests passed',
  failed: 'the tests failed',
  artifact: 'test_report',
};
const LINTERS: CheckWords = {
  command: 'lint',
  subject: 'the linters',
  passed: 'the linters passed',
  failed: 'the linters failed',
  artifact: 'lint_report',
};
const TYPECHECK: CheckWords = {
  command: 'typecheck',
  subject: 'the type check',
  passed: 'the type check passed',
  failed: 'the type check failed',
  artifact: 'typecheck_report',
};
const BUILD: CheckWords = {
  command: 'build',
  subject: 'the build',
  passed: 'the build succeeded',
  failed: 'the build failed',
  artifact: 'build_report',
};

export const runTests: Perform = (order, hands, stop) => runCheck(TESTS, { order, hands, stop });
export const runLinters: Perform = (order, hands, stop) => runCheck(LINTERS, { order, hands, stop });
export const runTypecheck: Perform = (order, hands, stop) => runCheck(TYPECHECK, { order, hands, stop });
export const runBuild: Perform = (order, hands, stop) => runCheck(BUILD, { order, hands, stop });

/** One execution of a configured command. */
export interface Job {
  readonly order: ExecutionOrder;
  readonly hands: Hands;
  readonly stop: StopSignal;
}

/** Runs the configured command; a red verdict is the status `failed`, a deadline, a limit or a stop is an error. The tree is restored in each case. */
async function runCheck(words: CheckWords, job: Job): Promise<Result<Outcome, ActionFailure>> {
  const { order, hands } = job;
  const ran = await runConfigured(words, job);
  const left = ran.ok ? await leftoversOf(hands.workspace, order.profile) : NO_LEFTOVERS;
  const restored = await hands.workspace.restore();
  if (!restored.ok) return failWorkspace(restored.error);
  if (!ran.ok) return ran;
  const outcome = ran.value;
  // A protected path that was touched is told whatever ended the command; only a stop of the run itself goes before it.
  const asked = job.stop.stopped || outcome.stopped === 'signal';
  if (outcome.stopped !== 'no' && (asked || left.undeclared.length === 0)) return stopped(outcome, words, job);
  return ok(verdict(outcome, words, left));
}

/** Runs the command of the order in the sandbox; whatever it leaves in the tree is the caller's to look at. */
export async function runConfigured(words: CheckWords, { order, hands, stop }: Job): Promise<Result<CommandOutcome, ActionFailure>> {
  if (order.command === null)
    return fail('command.notConfigured', `there is no ${words.command} command; set commands.${words.command} in the configuration`);
  const { masked } = order.profile;
  const view = masked === undefined ? ok(hands.workspace.gitView) : await hands.workspace.maskedGitView(masked);
  if (!view.ok) return failWorkspace(view.error);
  const ran = await hands.sandbox.run(
    {
      profile: order.profile,
      argv: order.command,
      directory: '',
      workspace: hands.workspace.root,
      gitView: view.value,
      deadlineMs: order.deadlineMs,
      stdin: null,
    },
    stop,
  );
  return ran.ok ? ran : fail(ran.error.code, ran.error.message);
}

/** A command that did not come to an end of its own. */
export function stopped(outcome: CommandOutcome, words: CheckWords, { order, stop }: Job): Result<never, ActionFailure> {
  const output = utf8Encode(streams(outcome));
  const { subject } = words;
  if (stop.stopped || outcome.stopped === 'signal') return fail('run.stopped', `the run was stopped during ${subject}`, { output });
  if (outcome.stopped === 'deadline')
    return fail('command.timeout', `${subject} took longer than ${order.deadlineMs} ms and was ended`, { output });
  return fail('command.limit', `${subject} was ended by the ${outcome.stopped} limit; make it smaller or raise the limit`, { output });
}

function verdict(outcome: CommandOutcome, words: CheckWords, left: Leftovers): Outcome {
  const unlisted = left.problem === null ? '' : `; what was left behind could not all be listed: ${left.problem}`;
  const told = tell(outcome, words, unlisted);
  return textOutcome(told.summary, told.output, {
    status: told.passed ? 'ok' : 'failed',
    exitCode: outcome.exitCode,
    scratch: left.scratch,
    undeclared: left.undeclared,
    artifacts: [jsonArtifact(words.artifact, told.report)],
  });
}

/** What a command came to, told by its exit code: a line, what it said, and the report of it. */
export function tell(
  outcome: CommandOutcome,
  words: CheckWords,
  more = '',
): { readonly passed: boolean; readonly summary: string; readonly output: Uint8Array; readonly report: { readonly [name: string]: Json } } {
  const shown = streams(outcome);
  const passed = outcome.exitCode === 0;
  const said = `${captured(outcome.stdout, Number.MAX_SAFE_INTEGER)}\n${captured(outcome.stderr, Number.MAX_SAFE_INTEGER)}`;
  const parsed = readReport(said, outcome.exitCode, words.command);
  const how = outcome.exitCode === null ? `signal ${outcome.signal ?? 'unknown'}` : `exit code ${outcome.exitCode}`;
  const summary = `${passed ? words.passed : `${words.failed} (${how})`}${reportText(parsed)}${more}`.slice(0, 2000);
  const report = {
    version: 1,
    status: passed ? 'passed' : 'failed',
    exitCode: outcome.exitCode,
    summary,
    ...reportMembers(parsed),
    tail: shown.slice(-REPORT_TAIL).replace(/^[\udc00-\udfff]/, ''),
  };
  return { passed, summary, output: utf8Encode(`${summary}\n${shown}`), report };
}

/** The end of a stream; says how much stands before it. */
function captured(stream: StreamCapture, maxBytes: number): string {
  const kept = Buffer.concat([stream.head, stream.tail]);
  const missing = stream.bytes - kept.length;
  const bytes = missing > 0 ? stream.tail : kept;
  const end = bytes.subarray(Math.max(0, bytes.length - maxBytes));
  const text = lossyText(end);
  return end.length < stream.bytes ? `[${stream.bytes - end.length} bytes before this are left out]\n${text}` : text;
}

function streams(outcome: CommandOutcome): string {
  const out = captured(outcome.stdout, TAIL_BYTES);
  const errors = captured(outcome.stderr, TAIL_BYTES);
  const closed = out === '' || out.endsWith('\n') ? out : `${out}\n`;
  return errors === '' ? out : `${closed}--- standard error ---\n${errors}`;
}
