/**
 * How a drive ends for the caller: the exit code, and the exact commands that go on from here. Must never call a run done that is not (GOALS E12).
 */
import { changedFiles, type RunState } from '@openexec/kernel';
import type { Amount, CliDocument, Reason } from '@openexec/protocol';
import type { RunReport } from '@openexec/runtime';
import type { AnchorsTold } from '../anchors/along.ts';
import type { Shown } from '../anchors/submit.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { shortRun } from '../findRun.ts';
import { type Output, safeLine } from '../output.ts';
import type { CheckTally, Tally } from '../read/tally.ts';
import { elapsed } from './display.ts';

/** A file of the committed tree that differs from the base. */
export interface FileChange {
  readonly path: string;
  readonly change: 'added' | 'modified' | 'deleted';
}

/** What a program is told at the end of `run` and `resume`. */
export interface RunSummary {
  readonly v: 1;
  readonly run: string;
  readonly status: CliDocument<'run'>['status'];
  readonly exit: ExitCode;
  readonly because: Reason | null;
  /** The open request that the run waits for, or null. */
  readonly request: string | null;
  /** As settled in the ledger; calls are those of the budget: questions to the model and actions. */
  readonly spend: Amount;
  /** Whether the model has a price; without one `spend.usdMicros` says nothing. */
  readonly priced: boolean;
  /** Questions to the model that were answered. */
  readonly asks: number;
  /** How often a person was asked for an approval. */
  readonly prompts: number;
  /** From the first event to the last, in milliseconds, waiting included. */
  readonly elapsedMs: number;
  /** By path; only what was committed counts. */
  readonly files: readonly FileChange[];
  /** The last outcome of each configured command that ran. */
  readonly checks: readonly CheckTally[];
  readonly result: { readonly ref: string; readonly commit: string; readonly tree: string } | null;
  /** Size of the signed tree head made at the end, or null. */
  readonly checkpoint: string | null;
  /** Why there is no tree head of a closed run, or null. */
  readonly checkpointProblem: string | null;
  /** What became of each anchor that was asked when the run closed. */
  readonly anchors: readonly Shown[];
  /** Why a tree head on the way or a receipt could not be written, or null. */
  readonly anchorProblem: string | null;
  readonly commands: { readonly [what: string]: string };
}

/** Codes of reasons by their first word, where the outcome alone says too little. */
const BY_REASON: { readonly [code: string]: ExitCode } = {
  'approval.denied': EXIT.approvalDenied,
  'approval.expired': EXIT.approvalDenied,
  'wall.exhausted': EXIT.timeout,
  'budget.exhausted': EXIT.exhausted,
  'budget.exceeded': EXIT.exhausted,
};

/** The exit code of a closed run (CLI.md "Exit codes"). */
export function exitOfClosed(outcome: string, because: Reason): ExitCode {
  if (outcome === 'done') return EXIT.ok;
  const known = BY_REASON[because.code];
  if (known !== undefined) return known;
  if (outcome === 'denied') return EXIT.denied;
  if (outcome === 'exhausted') return EXIT.exhausted;
  if (outcome === 'cancelled') return EXIT.interrupted;
  if (because.code.startsWith('sandbox.')) return EXIT.sandbox;
  if (/^model\.(?!refused|truncated|notConfigured)/.test(because.code)) return EXIT.provider;
  return /(^|\.)(timeout|deadline)$/i.test(because.code) ? EXIT.timeout : EXIT.failed;
}

/** The summary of a report. */
export function summaryOf(report: RunReport, tally: Tally, told: AnchorsTold): RunSummary {
  const { state, status, checkpoint } = report;
  const closed = state.closed;
  const request = status === 'parked' ? (state.request?.id ?? null) : null;
  const exit = closed !== null ? exitOfClosed(closed.outcome, closed.because) : status === 'stopped' ? EXIT.interrupted : EXIT.waiting;
  return {
    v: 1,
    run: state.run,
    status: closed?.outcome ?? (status === 'stopped' ? 'stopped' : 'parked'),
    exit,
    because: closed?.because ?? state.pause,
    request,
    spend: closed?.spend ?? state.settled,
    priced: tally.priced,
    asks: tally.spent.calls,
    prompts: tally.prompts,
    elapsedMs: tally.elapsedMs,
    files: filesOf(state),
    checks: tally.checks,
    result: closed?.result ?? null,
    checkpoint: checkpoint?.ok === true ? checkpoint.value.size.toString() : null,
    checkpointProblem: checkpoint?.ok === false ? checkpoint.error.message : null,
    anchors: told.shown,
    anchorProblem: told.problem,
    commands: commandsFor(state, request),
  };
}

/** The committed files that differ from the base; none before the law was read. */
function filesOf(state: RunState): FileChange[] {
  const base = state.law?.base;
  if (base === undefined) return [];
  return [...changedFiles(state.world)]
    .flatMap(([path, value]): FileChange[] => {
      const before = base.get(path);
      if (value === null) return before === undefined ? [] : [{ path, change: 'deleted' }];
      if (before === undefined) return [{ path, change: 'added' }];
      return before.oid === value.oid && before.mode === value.mode ? [] : [{ path, change: 'modified' }];
    })
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

function commandsFor(state: RunState, request: string | null): { readonly [what: string]: string } {
  const run = shortRun(state.run);
  const closed = state.closed;
  const look = { inspect: `openexec show ${run}`, timeline: `openexec timeline ${run}`, verify: `openexec verify ${run} --deep` };
  if (closed === null) {
    const id = request === null ? null : shortRequest(request);
    const decide = id === null ? {} : { approve: `openexec approve ${id}`, deny: `openexec deny ${id} --because "…"` };
    const stage = state.stage?.id ?? state.lastStage;
    const undo = stage !== null ? { undo: `openexec rewind ${run} --to ${stage}` } : {};
    return { ...decide, resume: `openexec resume ${run}`, ...undo, cancel: `openexec cancel ${run}`, ...look };
  }
  const branch = closed.result?.ref.replace(/^refs\/heads\//, '');
  const landed =
    branch === undefined
      ? {}
      : {
          apply: `openexec apply ${run}`,
          diff: `openexec diff ${run}`,
          undo: `git branch -D ${branch}`,
        };
  return { ...landed, ...look };
}

/** The part of a request's id that people use. */
export function shortRequest(id: string): string {
  return id.replace(/^sha256:/, '').slice(0, 12);
}

/** The final block: on stdout, since it is the result. */
export function printSummary(output: Output, summary: RunSummary): void {
  const { bold, green, red, yellow, dim } = output.style;
  const colour = summary.exit === EXIT.ok ? green : summary.exit === EXIT.waiting || summary.exit === EXIT.interrupted ? yellow : red;
  output.result(
    `${colour(bold(summary.status))}  ${summary.run}${summary.exit === EXIT.ok || summary.status === 'cancelled' ? '' : dim(`  exit ${summary.exit}`)}`,
  );
  if (summary.because !== null && summary.exit !== EXIT.ok)
    output.result(`because   ${summary.because.code}: ${safeLine(summary.because.message, 1000)}`);
  if (summary.request !== null) output.result(`waits for ${summary.request}`);
  for (const line of workLines(summary)) output.result(line);
  if (summary.result !== null)
    output.result(`result    ${safeLine(summary.result.ref)} at ${summary.result.commit} (tree ${summary.result.tree})`);
  if (summary.checkpoint !== null) output.result(`signed    tree head of ${summary.checkpoint} entries`);
  if (summary.checkpointProblem !== null) output.warn(`no signed tree head was made: ${safeLine(summary.checkpointProblem)}`);
  const taken = summary.anchors.filter((each) => each.taken);
  if (taken.length > 0)
    output.result(`anchored  ${taken.map(({ name, position }) => `${safeLine(name)} (recorded at ${position})`).join(', ')}`);
  for (const problem of anchorProblems(summary)) output.warn(safeLine(problem, 400));
  for (const [what, command] of Object.entries(summary.commands)) output.result(`${what.padEnd(9)} ${command}`);
}

/** What did not go as configured with the anchors, a line each. Never a reason for the run to fail. */
export function anchorProblems({ anchors, anchorProblem }: Pick<RunSummary, 'anchors' | 'anchorProblem'>): string[] {
  return [
    ...anchors
      .filter(({ taken }) => !taken)
      .map(
        ({ name, code, message }) =>
          `anchor ${name} did not take the tree head: ${code}: ${message}; it is asked again at the next close, or by openexec ledger anchor`,
      ),
    ...(anchorProblem === null ? [] : [`anchors: ${anchorProblem}`]),
  ];
}

const FILES_SHOWN = 20;
const SIGN = { added: '+', modified: '~', deleted: '-' } as const;

/** Files, checks and cost, a line each. */
function workLines(summary: RunSummary): string[] {
  const { files, checks, spend } = summary;
  const shown = files.slice(0, FILES_SHOWN).map(({ path, change }) => `          ${SIGN[change]} ${safeLine(path)}`);
  const dollars = summary.priced ? `, ${(spend.usdMicros / 1e6).toFixed(4)} USD` : ', no price configured';
  return [
    `files     ${files.length} changed`,
    ...shown,
    ...(files.length > FILES_SHOWN ? [`            and ${files.length - FILES_SHOWN} more`] : []),
    ...checks.map(
      ({ action, status, summary: said, times }) =>
        `${status === 'ok' ? 'check ✓  ' : 'check ✗  '} ${action}${times > 1 ? ` (last of ${times})` : ''}: ${safeLine(said, 200)}`,
    ),
    ...(checks.length === 0 ? ['checks    none ran'] : []),
    `cost      ${spend.tokens} tokens in ${summary.asks} model calls${dollars}; ${spend.calls} calls of the budget`,
    `prompts   ${summary.prompts} to a person; ${elapsed(summary.elapsedMs).trim()} from the first event to the last`,
  ];
}
