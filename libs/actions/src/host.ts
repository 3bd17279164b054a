/**
 * The action host: checks an order once more, performs it, and lets nothing out that was not redacted. Must never judge or retry; one execution at a
 * time per run is the caller's promise (ports: ActionHost).
 */
import { performance } from 'node:perf_hooks';
import { err, ok, type Result } from '@openexec/canon';
import {
  type ActionHost,
  builtinActions,
  checkActionArguments,
  checkArguments,
  type Execution,
  type ExecutionOrder,
  RESOLVED_ACCOUNT,
  RESOLVED_COMMIT,
  RESOLVED_DIFF,
  RESOLVED_FORMAT,
  RESOLVED_KV_GET,
  RESOLVED_KV_SET,
  type StopSignal,
} from '@openexec/catalogue';
import type { ArgumentSchema } from '@openexec/protocol';
import { runBuild, runLinters, runTests, runTypecheck } from './check.ts';
import { diffReport } from './diffReport.ts';
import { type ActionFailure, fail } from './errors.ts';
import { type Hands, lossyText, type Outcome, type Perform } from './execution.ts';
import { runFormatter } from './format.ts';
import { kvGet, kvSet } from './kv.ts';
import { commitChanges } from './land.ts';
import { buildContextPack } from './pack.ts';
import { applyPatch } from './patch.ts';
import { watchNetwork, withNetwork } from './network.ts';
import { listFiles, readFile } from './read.ts';
import { reviewBundle } from './review.ts';
import { search } from './search.ts';
import { runSummary } from './summary.ts';

const PERFORM: ReadonlyMap<string, Perform> = new Map<string, Perform>([
  ['read_file', readFile],
  ['list_files', listFiles],
  ['search', search],
  ['apply_patch', applyPatch],
  ['run_tests', runTests],
  ['run_linters', runLinters],
  ['run_typecheck', runTypecheck],
  ['run_formatter', runFormatter],
  ['run_build', runBuild],
  ['build_context_pack', buildContextPack],
  ['generate_diff_report', diffReport],
  ['prepare_review_bundle', reviewBundle],
  ['summarize_run', runSummary],
  ['kv_set', kvSet],
  ['kv_get', kvGet],
  ['commit_changes', commitChanges],
]);
/** What the kernel resolves before a host is asked has a schema of its own. */
const RESOLVED: ReadonlyMap<string, ArgumentSchema> = new Map([
  ['run_formatter', RESOLVED_FORMAT],
  ['generate_diff_report', RESOLVED_DIFF],
  ['prepare_review_bundle', RESOLVED_ACCOUNT],
  ['summarize_run', RESOLVED_ACCOUNT],
  ['kv_set', RESOLVED_KV_SET],
  ['kv_get', RESOLVED_KV_GET],
  ['commit_changes', RESOLVED_COMMIT],
]);
const SUMMARY_MAX = 2000;

/** The host of one run: its workspace, a sandbox, and the redactor of the installation. */
export function createActionHost(hands: Hands): ActionHost {
  return { execute: async (order, stop) => execute(order, hands, stop) };
}

async function execute(order: ExecutionOrder, hands: Hands, stop: StopSignal): Promise<Result<Execution, ActionFailure>> {
  const started = performance.now();
  if (stop.stopped) return fail('run.stopped', 'the run was stopped before the action began');
  const perform = PERFORM.get(order.action);
  if (perform === undefined)
    return fail('action.unknown', `this runtime has no action "${order.action.slice(0, 64)}"; it was recorded by a version that has`);
  const admitted = admit(order);
  if (!admitted.ok) return admitted;
  const watched = watchNetwork(hands.sandbox);
  const outcome = withNetwork(await perform(order, { ...hands, sandbox: watched.sandbox }, stop), watched.seen());
  if (!outcome.ok) return err(redactFailure(outcome.error, hands));
  return ok({ ...redactOutcome(outcome.value, hands), durationMs: Math.round(performance.now() - started) });
}

/** The kernel has judged the arguments; the hands check them again, so that no caller can reach them with others. */
function admit(order: ExecutionOrder): Result<void, ActionFailure> {
  const contract = builtinActions.find((action) => action.name === order.action);
  if (contract === undefined) return ok(undefined);
  const resolved = RESOLVED.get(order.action);
  if (resolved !== undefined) {
    const shaped = checkArguments(resolved, order.arguments);
    return shaped.ok ? ok(undefined) : fail('arguments.invalid', `${order.action}: ${shaped.error.path}: ${shaped.error.message}`);
  }
  const checked = checkActionArguments(contract, order.arguments);
  return checked.ok ? ok(undefined) : fail(checked.error.code, checked.error.message);
}

function redactText(text: string, hands: Hands): string {
  return lossyText(hands.redactor.redactBytes(new TextEncoder().encode(text)));
}

function redactOutcome(outcome: Outcome, hands: Hands): Outcome {
  return {
    ...outcome,
    summary: redactText(outcome.summary, hands).slice(0, SUMMARY_MAX),
    output: hands.redactor.redactBytes(outcome.output),
    scratch: outcome.scratch.map((path) => redactText(path, hands)),
    undeclared: outcome.undeclared.map((path) => redactText(path, hands)),
    artifacts: outcome.artifacts.map((artifact) => ({ ...artifact, bytes: hands.redactor.redactBytes(artifact.bytes) })),
  };
}

function redactFailure(failure: ActionFailure, hands: Hands): ActionFailure {
  return {
    ...failure,
    message: redactText(failure.message, hands).slice(0, SUMMARY_MAX),
    output: failure.output === null ? null : hands.redactor.redactBytes(failure.output),
  };
}
