/**
 * Performing one durable `execution.started`, and keeping the tree in step with what was committed. Must never touch the tree on behalf of an
 * execution that this process did not start (PROTOCOL §§4.4, 9).
 */
import { type Bytes, canonicalBytes, type Digest, ok, type Result } from '@openexec/canon';
import type { Execution, ExecutionFailure, StopSignal, WorkspaceFailure } from '@openexec/catalogue';
import { changedFiles, type PendingEffect, type RunState } from '@openexec/kernel';
import type { Blob } from '@openexec/ledger';
import type { FileChange } from '@openexec/protocol';
import { sentenceOf } from './ask.ts';
import { ledgerRefusal, type Refused, refuse, type RuntimeFailure } from './failure.ts';
import { blobOf } from './open.ts';
import { isUndeclared, networkOf, undeclaredReason } from './undeclared.ts';
import type { Hands } from './hands.ts';
import type { FactOf, Session } from './session.ts';

/** The order that the kernel gives. */
export type ExecuteEffect = Extract<PendingEffect, { do: 'execute' }>;
/** What performing needs of a session: a driver's own, or that of a replay, which records nothing. */
export interface Performer {
  readonly hands: Pick<Hands, 'ledger' | 'host' | 'redact'>;
  readonly state: RunState;
  readonly driven: Session['driven'];
}
/** How an execution went, as the driver tells it. */
export type ExecutionFact = FactOf<'execution.observed'> | FactOf<'execution.failed'> | FactOf<'effect.undeclared'>;
/** How it went, and what the tree holds now that the committed state does not. */
export interface Performed {
  readonly fact: ExecutionFact;
  readonly changes: readonly FileChange[];
}

/** PROTOCOL §2: JSON over this many bytes travels as a blob. */
const INLINE_BYTES = 8 * 1024;
const FILE_TYPE = 'application/octet-stream';
const OUTPUT_TYPE = 'text/plain; charset=utf-8';
const MAX_PATHS = 200;
const CODE = /^[a-z][A-Za-z0-9]*(\.[a-z][A-Za-z0-9]*)*$/;
const MAX_CODE = 64;

/** Performs the execution; null when the driver was stopped meanwhile and nobody knows how it went. */
export async function execute(
  session: Performer,
  effect: ExecuteEffect,
  stop: StopSignal,
): Promise<Result<Performed | null, RuntimeFailure>> {
  const law = session.state.law;
  if (law === null) return refuse('run.stuck', 'an execution was started in a run without law');
  const artifacts = new Map<string, Bytes>();
  for (const { name, blob } of effect.artifacts) {
    const bytes = await session.hands.ledger.blob(blob.digest);
    if (!bytes.ok) return ledgerRefusal(bytes.error);
    artifacts.set(name, bytes.value);
  }
  const { execution, idempotencyKey, action, command, deadlineMs } = effect;
  const order = {
    execution,
    idempotencyKey,
    action,
    arguments: effect.arguments,
    command,
    profile: effect.profile,
    deadlineMs,
    artifacts,
    task: law.task,
  };
  const done = await session.hands.host.execute(order, stop);
  if (!done.ok && stop.stopped) return ok(null);
  if (!done.ok) return ok({ fact: failedFact(session, effect, done.error), changes: [] });
  return ok({
    fact: isUndeclared(done.value) ? undeclaredFact(session, effect, done.value) : observedFact(session, effect, done.value),
    changes: done.value.changes,
  });
}

function failedFact(session: Performer, effect: ExecuteEffect, failure: ExecutionFailure): ExecutionFact {
  const { hands } = session;
  const output = failure.output === null ? null : blobOf(hands.redact(failure.output), OUTPUT_TYPE);
  const code = failure.code.length <= MAX_CODE && CODE.test(failure.code) ? failure.code : 'action.failed';
  const body = {
    ...session.driven,
    execution: effect.execution,
    error: { code, message: sentenceOf(failure.message, hands) },
    effectUnknown: failure.effectUnknown,
    output: output?.ref ?? null,
    durationMs: 0,
  };
  return { kind: 'execution.failed', actor: 'tool', body, blobs: output === null ? [] : [output.blob] };
}

function undeclaredFact(session: Performer, effect: ExecuteEffect, done: Execution): ExecutionFact {
  const { hands } = session;
  const { code, message } = undeclaredReason(effect.action, done);
  const body = {
    ...session.driven,
    execution: effect.execution,
    paths: done.undeclared.slice(0, MAX_PATHS),
    ...networkOf(done),
    because: { code, message: sentenceOf(message, hands) },
  };
  return { kind: 'effect.undeclared', actor: 'tool', body, blobs: [] };
}

function observedFact(session: Performer, effect: ExecuteEffect, done: Execution): ExecutionFact {
  const { hands } = session;
  const output = blobOf(hands.redact(done.output), done.outputMediaType);
  const artifacts = done.artifacts.map(({ name, bytes, mediaType }) => ({ name, made: blobOf(hands.redact(bytes), mediaType) }));
  const listed = canonicalBytes(done.changes);
  const list = listed.length <= INLINE_BYTES ? null : blobOf(listed, 'application/json');
  const body = {
    ...session.driven,
    execution: effect.execution,
    status: done.status,
    summary: sentenceOf(done.summary, hands),
    output: output.ref,
    exitCode: done.exitCode,
    durationMs: Math.max(0, Math.round(done.durationMs)),
    changes: list === null ? { inline: [...done.changes] } : { blob: list.ref },
    scratch: done.scratch.slice(0, MAX_PATHS),
    ...networkOf(done),
    artifacts: artifacts.map(({ name, made }) => ({ name, blob: made.ref })),
    landed: done.landed,
  };
  const contents: Blob[] = contentsOf(done);
  return {
    kind: 'execution.observed',
    actor: 'tool',
    body,
    blobs: [output.blob, ...artifacts.map(({ made }) => made.blob), ...(list === null ? [] : [list.blob]), ...contents],
  };
}

/** The new bytes of what changed. A file that the host keeps out (withheld) has none. */
function contentsOf(done: Execution): Blob[] {
  return done.changes.flatMap(({ after }) => {
    const bytes = after === null ? undefined : done.contents.get(after.blob);
    return after === null || bytes === undefined ? [] : [{ digest: after.blob, bytes, mediaType: FILE_TYPE }];
  });
}

/** After the judgements of an execution's end: committed changes are taken over, anything else is put back. */
export async function settleTree(session: Session, performed: Performed, committed: boolean): Promise<Result<void, RuntimeFailure>> {
  const { workspace } = session.hands;
  if (!committed) return workspaceResult(await workspace.restore());
  return performed.changes.length === 0 ? ok(undefined) : workspaceResult(await workspace.accept(performed.changes));
}

/** Whose tree is made again. */
export interface TreeOwner {
  readonly hands: Pick<Hands, 'ledger' | 'workspace'>;
  readonly state: RunState;
}

/** Makes the tree what the ledger says is committed, from whatever an earlier process left. */
export async function rebuildTree(session: TreeOwner): Promise<Result<void, RuntimeFailure>> {
  const files: { readonly change: FileChange; readonly content: Bytes | null }[] = [];
  for (const change of committedChanges(session.state)) {
    const content = await contentOf(session, change.path, change.after?.blob ?? null);
    if (!content.ok) return content;
    files.push({ change, content: content.value });
  }
  const rebuilt = await session.hands.workspace.rebuild(files);
  const withheld = files.find(({ change, content }) => change.after !== null && content === null);
  if (!rebuilt.ok && rebuilt.error.code === 'workspace.objectMissing' && withheld !== undefined)
    return refuse(
      'run.erased',
      `the content of ${withheld.change.path} was kept out of the ledger because it looks like a secret, and the run's own git directory does not hold it here; resume where it does`,
    );
  return workspaceResult(rebuilt);
}

function committedChanges(state: RunState): FileChange[] {
  return [...changedFiles(state.world)].map(([path, after]) => ({ path, before: state.law?.base.get(path)?.oid ?? null, after }));
}

async function contentOf(session: TreeOwner, path: string, digest: Digest | null): Promise<Result<Bytes | null, RuntimeFailure>> {
  if (digest === null) return ok(null);
  const read = await session.hands.ledger.blob(digest);
  if (read.ok) return read;
  // Never recorded: withheld, and at most the workspace has it (PROTOCOL §4.4). What was recorded and is gone is not brought back behind the ledger.
  if (read.error.code === 'blob.unknown') return ok(null);
  return refuse('run.erased', `the content of ${path} (${digest}) is gone, so the tree cannot be made again here: ${read.error.message}`);
}

function workspaceResult(done: Result<void, WorkspaceFailure>): Result<void, RuntimeFailure> {
  return done.ok ? ok(undefined) : workspaceRefusal(done.error);
}

/** A workspace failure in the words of this package. */
export function workspaceRefusal(error: WorkspaceFailure): Refused {
  return refuse(error.code, error.path === undefined ? error.message : `${error.path}: ${error.message}`);
}
