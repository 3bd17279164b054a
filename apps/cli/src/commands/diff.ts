/**
 * `openexec diff RUN [RUN]`: the change that one run made, or how two runs differ. Exit 0 when nothing differs and everything could be read, 1 when
 * something does; with one run always 0. CLI.md.
 */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import {
  compareRuns,
  comparisonPage,
  type FacetDifference,
  type PlacedDifference,
  type RunComparison,
  type RunFigures,
} from '@openexec/audit';
import { err, ok, type Result } from '@openexec/canon';
import { diffCommits, inspectRepository } from '@openexec/workspace';
import type { CommandContext, CommandResult, OpenLedger, Register } from '../context.ts';
import { EXIT, type Refusal, refusalFor, refuse } from '../exit.ts';
import { safe, safeLine, type Style } from '../output.ts';
import { accountOf } from '../read/account.ts';
import { withLedger } from '../read/guard.ts';
import { amountText } from '../read/narrator.ts';
import { page } from '../read/pager.ts';

interface DiffOptions {
  readonly html?: string;
  readonly json?: boolean;
  readonly ledger?: string;
}

/** Adds the command. */
export const register: Register = (program, context) => {
  program
    .command('diff')
    .description('the change that a run made, or how two runs differ (exit 1 when they do)')
    .argument('<run>', 'id of the run, a prefix of it, or latest')
    .argument('[other]', 'the run to compare it with')
    .option('--html <file>', 'with two runs: also write them side by side as a page, without script, into a file that is not there yet')
    .option('--json', 'one JSON document')
    .option('--ledger <url>', 'another ledger: sqlite:PATH or postgres://HOST/DATABASE')
    .addHelpText(
      'after',
      '\nExamples:\n  openexec diff latest\n  openexec diff 3f2a91 latest\n  openexec diff 3f2a91 latest --html runs.html',
    )
    .action(context.act((run: string, other: string | undefined, options: DiffOptions) => diff(context, [run, other], options)));
};

async function diff(
  context: CommandContext,
  [wanted, other]: readonly [string, string | undefined],
  options: DiffOptions,
): Promise<CommandResult> {
  if (options.html !== undefined && other === undefined)
    return refuse(
      'usage.invalid',
      '--html shows two runs side by side: name both; the report of one run is in its bundle (openexec export)',
    );
  return withLedger(context, { ledger: options.ledger }, (ledger) =>
    other === undefined ? diffOne(context, ledger, wanted, options) : diffTwo(context, ledger, [wanted, other], options),
  );
}

/** The files of the result against the base, from the repository around. */
async function diffOne(context: CommandContext, { store }: OpenLedger, wanted: string, options: DiffOptions): Promise<CommandResult> {
  const run = await context.findRun(store, wanted);
  if (!run.ok) return run;
  const account = await accountOf(store, run.value);
  if (account.result === null || account.law === null)
    return refuse('run.notLanded', `${run.value} has no result to show: it is ${account.status}; openexec show ${wanted} says more`);
  const project = await context.project();
  if (!project.ok) return project;
  const repository = await inspectRepository(project.value.root);
  if (!repository.ok) return err(refusalFor(repository.error, 'workspace.failed'));
  const { base } = account.law;
  const text = await diffCommits(repository.value, { from: base.commit, to: account.result.commit });
  if (!text.ok) return err(refusalFor(text.error, 'workspace.failed'));
  if (options.json === true)
    context.output.json('diff-run', { v: 1, run: run.value, base: base.commit, commit: account.result.commit, ...text.value });
  else await page(context, paint(safe(text.value.patch), context.output.style));
  return ok(EXIT.ok);
}

function paint(patch: string, style: Style): string {
  return patch
    .split('\n')
    .map((line) => {
      if (/^(diff --git|index |--- |\+\+\+ |old mode|new mode|new file|deleted file)/.test(line)) return style.bold(line);
      if (line.startsWith('@@')) return style.cyan(line);
      return line.startsWith('+') ? style.green(line) : line.startsWith('-') ? style.red(line) : line;
    })
    .join('\n');
}

async function diffTwo(
  context: CommandContext,
  { store }: OpenLedger,
  wanted: readonly [string, string],
  options: DiffOptions,
): Promise<CommandResult> {
  const left = await context.findRun(store, wanted[0]);
  if (!left.ok) return left;
  const right = await context.findRun(store, wanted[1]);
  if (!right.ok) return right;
  const compared = await compareRuns({ source: store, run: left.value }, { source: store, run: right.value });
  if (compared === null) return refuse('run.unknown', 'one of the two runs has no entry');
  const written = options.html === undefined ? ok(undefined) : writePage(resolve(context.cwd, options.html), comparisonPage(compared));
  if (!written.ok) return written;
  if (options.html !== undefined) context.output.progress(`page       ${safeLine(resolve(context.cwd, options.html))}`);
  if (options.json === true) context.output.json('diff-runs', { v: 1, ...compared });
  else await page(context, pageOf(compared, context.output.style).join('\n'));
  return ok(compared.same ? EXIT.ok : EXIT.failed);
}

function writePage(file: string, page: string): Result<void, Refusal> {
  try {
    writeFileSync(file, page, { flag: 'wx' });
    return ok(undefined);
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    if (code === 'EEXIST') return refuse('file.exists', `"${safeLine(file)}" is there already`);
    if (typeof code === 'string') return refuse('file.unwritable', `"${safeLine(file)}" cannot be written (${code})`);
    throw error;
  }
}

/** The comparison as a page for a terminal. */
function pageOf(compared: RunComparison, style: Style): string[] {
  const { figures } = compared;
  const head = [
    `${style.red('left ')}  ${compared.left}`,
    `       ${figuresText(figures.left)}`,
    `${style.green('right')}  ${compared.right}`,
    `       ${figuresText(figures.right)}`,
  ];
  if (compared.same)
    return [...head, style.green('nothing differs: opening, stages, intents, verdicts, effects, files and cost are the same')];
  const { first, unreadable } = compared;
  const unread = [...unreadable.left.map((seq) => `left ${seq}`), ...unreadable.right.map((seq) => `right ${seq}`)];
  return [
    ...head,
    ...(first === null ? [] : ['', style.bold('First difference'), ...placedLines(first, style)]),
    ...section('Opened with, ended as', compared.facets, (facet) => facetLines(facet, style), style),
    ...section('Stages', compared.stages, (one) => placedLines(one, style), style),
    ...section('Intents of one run only', compared.intents, (one) => placedLines(one, style), style),
    ...section('Other verdict on the same intent', compared.verdicts, (one) => placedLines(one, style), style),
    ...section('Other end of the same intent', compared.effects, (one) => placedLines(one, style), style),
    ...section('Files', compared.files, ({ path, left, right }) => facetLines({ what: safeLine(path), left, right }, style), style),
    ...section('Cost', compared.cost, (facet) => facetLines(facet, style), style),
    ...section('Not compared, because it was erased or cannot be read', unread, (seq) => [`  ${seq}`], style),
  ];
}

/** Verdicts and cost of one side, also where they are those of the other. */
function figuresText({ permitted, denied, undecided, committed, prompts, asks, tokens, usdMicros, calls }: RunFigures): string {
  const cost = tokens === null || usdMicros === null || calls === null ? 'not settled yet' : amountText({ tokens, usdMicros, calls });
  return `${permitted} permitted, ${denied} denied, ${undecided} undecided, ${committed} committed; ${prompts} prompts, ${asks} questions; ${cost}`;
}

function section<T>(title: string, all: readonly T[], lines: (one: T) => readonly string[], style: Style): string[] {
  return all.length === 0 ? [] : ['', style.bold(title), ...all.flatMap(lines)];
}

function placedLines({ left, right }: PlacedDifference, style: Style): string[] {
  const line = (sign: string, side: PlacedDifference['left']): string =>
    side === null ? `  ${sign}       (nothing)` : `  ${sign} ${String(side.seq).padStart(5)}  ${safeLine(side.text, 240)}`;
  if (left !== null && right === null) return [style.red(line('-', left))];
  if (left === null && right !== null) return [style.green(line('+', right))];
  return [style.red(line('-', left)), style.green(line('+', right))];
}

function facetLines({ what, left, right }: FacetDifference, style: Style): string[] {
  const text = (value: string | null): string => (value === null ? '(none)' : safeLine(value, 200));
  return [`  ${what}`, style.red(`    - ${text(left)}`), style.green(`    + ${text(right)}`)];
}
