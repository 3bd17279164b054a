/**
 * run_tests: the configured command in the sandbox, its exit code as the verdict, the tree put back afterwards. Must never believe what the command
 * says about itself, and never keep what it wrote (PROTOCOL §9).
 */
import { type Json, ok, type Result, utf8Encode } from '@openexec/canon';
import type { CommandOutcome, ExecutionOrder, StopSignal, StreamCapture } from '@openexec/catalogue';
import { countsOf, type TestCounts } from './counts.ts';
import { type ActionFailure, fail, failWorkspace } from './errors.ts';
import { type Hands, jsonArtifact, lossyText, type Outcome, textOutcome } from './execution.ts';

/** What of each stream is shown; the end of a test run says what failed. */
const TAIL_BYTES = 48 * 1024;
/** What of both streams goes into the report that a model reads in the next stage. */
const REPORT_TAIL = 16_000;
const SCRATCH_MAX = 200;

/** Runs the configured command; red tests are the status `failed`, a deadline, a limit or a stop is an error. The tree is restored in each case. */
export async function runTests(order: ExecutionOrder, hands: Hands, stop: StopSignal): Promise<Result<Outcome, ActionFailure>> {
  if (order.command === null) return fail('command.notConfigured', 'there is no test command; set commands.test in the configuration');
  const ran = await hands.sandbox.run(
    {
      profile: order.profile,
      argv: order.command,
      directory: '',
      workspace: hands.workspace.root,
      gitView: hands.workspace.gitView,
      deadlineMs: order.deadlineMs,
      stdin: null,
    },
    stop,
  );
  const left = ran.ok ? await leftovers(hands) : { paths: [], problem: null };
  const restored = await hands.workspace.restore();
  if (!restored.ok) return failWorkspace(restored.error);
  if (!ran.ok) return fail(ran.error.code, ran.error.message);
  const outcome = ran.value;
  const shown = streams(outcome);
  if (outcome.stopped !== 'no') return stopped(outcome, order, { output: utf8Encode(shown), stop });
  return ok(verdict(outcome, order, { shown, left }));
}

function stopped(
  outcome: CommandOutcome,
  order: ExecutionOrder,
  context: { readonly output: Uint8Array; readonly stop: StopSignal },
): Result<never, ActionFailure> {
  const { output, stop } = context;
  if (stop.stopped || outcome.stopped === 'signal') return fail('run.stopped', 'the run was stopped during the tests', { output });
  if (outcome.stopped === 'deadline')
    return fail('command.timeout', `the tests took longer than ${order.deadlineMs} ms and were ended`, { output });
  return fail('command.limit', `the tests were ended by their ${outcome.stopped} limit; make them smaller or raise the limit`, { output });
}

interface Leftovers {
  readonly paths: readonly string[];
  /** Why the list is not complete. */
  readonly problem: string | null;
}

/** What the command left in the tree. Too much of it, or a secret in it, does not change the verdict: all of it is put back anyway. */
async function leftovers(hands: Hands): Promise<Leftovers> {
  const changed = await hands.workspace.changes();
  if (changed.ok) return { paths: changed.value.changes.map((change) => change.path), problem: null };
  return { paths: changed.error.path === undefined ? [] : [changed.error.path], problem: changed.error.message };
}

function isUnder(path: string, folder: string): boolean {
  const plain = folder.replace(/\/\*\*$/, '');
  return path === plain || path.startsWith(`${plain}/`);
}

function verdict(outcome: CommandOutcome, order: ExecutionOrder, context: { readonly shown: string; readonly left: Leftovers }): Outcome {
  const { shown, left } = context;
  const passed = outcome.exitCode === 0;
  const counts = countsOf(`${captured(outcome.stdout, Number.MAX_SAFE_INTEGER)}\n${captured(outcome.stderr, Number.MAX_SAFE_INTEGER)}`);
  const summary =
    `${passed ? 'the tests passed' : `the tests failed (${outcome.exitCode === null ? `signal ${outcome.signal ?? 'unknown'}` : `exit code ${outcome.exitCode}`})`}${counted(counts)}${left.problem === null ? '' : `; what they left behind could not all be listed: ${left.problem}`}`.slice(
      0,
      2000,
    );
  const report: Json = {
    version: 1,
    status: passed ? 'passed' : 'failed',
    exitCode: outcome.exitCode,
    summary,
    counts: counts === null ? null : { ...counts },
    tail: shown.slice(-REPORT_TAIL).replace(/^[\udc00-\udfff]/, ''),
  };
  const undeclared = left.paths.filter((path) => order.profile.protectedPaths.some((folder) => isUnder(path, folder)));
  return textOutcome(summary, utf8Encode(`${summary}\n${shown}`), {
    status: passed ? 'ok' : 'failed',
    exitCode: outcome.exitCode,
    scratch: left.paths.filter((path) => !undeclared.includes(path)).slice(0, SCRATCH_MAX),
    undeclared: undeclared.slice(0, SCRATCH_MAX),
    artifacts: [jsonArtifact('test_report', report)],
  });
}

function counted(counts: TestCounts | null): string {
  return counts === null ? '' : `: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`;
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
