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
  type Execution,
  type ExecutionOrder,
  type StopSignal,
} from '@openexec/catalogue';
import { type ActionFailure, fail } from './errors.ts';
import { type Hands, lossyText, type Outcome, type Perform } from './execution.ts';
import { commitChanges } from './land.ts';
import { buildContextPack } from './pack.ts';
import { applyPatch } from './patch.ts';
import { listFiles, readFile } from './read.ts';
import { search } from './search.ts';
import { runTests } from './runTests.ts';

const PERFORM: ReadonlyMap<string, Perform> = new Map<string, Perform>([
  ['read_file', readFile],
  ['list_files', listFiles],
  ['search', search],
  ['apply_patch', applyPatch],
  ['run_tests', runTests],
  ['build_context_pack', buildContextPack],
  ['commit_changes', commitChanges],
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
  const outcome = await perform(order, hands, stop);
  if (!outcome.ok) return err(redactFailure(outcome.error, hands));
  return ok({ ...redactOutcome(outcome.value, hands), durationMs: Math.round(performance.now() - started) });
}

/** The kernel has judged the arguments; the hands check them again, so that no caller can reach them with others. */
function admit(order: ExecutionOrder): Result<void, ActionFailure> {
  const contract = builtinActions.find((action) => action.name === order.action);
  // What lands was resolved by the kernel and has a schema of its own.
  if (contract === undefined || order.action === 'commit_changes') return ok(undefined);
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
