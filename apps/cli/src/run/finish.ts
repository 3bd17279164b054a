/**
 * How a drive ends for the caller: the exit code, and the exact commands that go on from here. Must never call a run done that is not (GOALS E12).
 */
import type { RunState } from '@openexec/kernel';
import type { Amount, Reason } from '@openexec/protocol';
import type { RunReport } from '@openexec/runtime';
import { EXIT, type ExitCode } from '../exit.ts';
import { shortRun } from '../findRun.ts';
import { type Output, safeLine } from '../output.ts';
import { amountText } from '../read/narrator.ts';

/** What a program is told at the end of `run` and `resume`. */
export interface RunSummary {
  readonly v: 1;
  readonly run: string;
  readonly status: string;
  readonly exit: ExitCode;
  readonly because: Reason | null;
  /** The open request that the run waits for, or null. */
  readonly request: string | null;
  readonly spend: Amount;
  readonly result: { readonly ref: string; readonly commit: string; readonly tree: string } | null;
  /** Size of the signed tree head made at the end, or null. */
  readonly checkpoint: string | null;
  /** Why there is no tree head of a closed run, or null. */
  readonly checkpointProblem: string | null;
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
export function summaryOf(report: RunReport): RunSummary {
  const { state, status, checkpoint } = report;
  const closed = state.closed;
  const request = status === 'parked' ? (state.request?.id ?? null) : null;
  const exit = closed !== null ? exitOfClosed(closed.outcome, closed.because) : status === 'stopped' ? EXIT.interrupted : EXIT.waiting;
  return {
    v: 1,
    run: state.run,
    status: closed?.outcome ?? status,
    exit,
    because: closed?.because ?? state.pause,
    request,
    spend: closed?.spend ?? state.settled,
    result: closed?.result ?? null,
    checkpoint: checkpoint?.ok === true ? checkpoint.value.size.toString() : null,
    checkpointProblem: checkpoint?.ok === false ? checkpoint.error.message : null,
    commands: commandsFor(state, request),
  };
}

function commandsFor(state: RunState, request: string | null): { readonly [what: string]: string } {
  const run = shortRun(state.run);
  const closed = state.closed;
  const look = { inspect: `openexec timeline ${run}`, verify: 'openexec verify --deep' };
  if (closed === null) {
    const id = request === null ? null : shortRequest(request);
    const decide = id === null ? {} : { approve: `openexec approve ${id}`, deny: `openexec deny ${id} --because "…"` };
    return { ...decide, resume: `openexec resume ${run}`, cancel: `openexec cancel ${run}`, ...look };
  }
  const branch = closed.result?.ref.replace(/^refs\/heads\//, '');
  const landed =
    branch === undefined
      ? {}
      : {
          apply: `openexec apply ${run}`,
          diff: `git diff ${state.law?.opened.base.commit.slice(0, 12) ?? 'HEAD'}..${branch}`,
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
  output.result(`spent     ${amountText(summary.spend)}`);
  if (summary.result !== null)
    output.result(`result    ${safeLine(summary.result.ref)} at ${summary.result.commit} (tree ${summary.result.tree})`);
  if (summary.checkpoint !== null) output.result(`signed    tree head of ${summary.checkpoint} entries`);
  if (summary.checkpointProblem !== null) output.warn(`no signed tree head was made: ${safeLine(summary.checkpointProblem)}`);
  for (const [what, command] of Object.entries(summary.commands)) output.result(`${what.padEnd(9)} ${command}`);
}
