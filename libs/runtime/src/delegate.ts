/**
 * Performing one durable `delegation.opened`: opens the child run unless it is there, drives it to its end with hands of its own, and gives the fact of how
 * it ended, read from the child's own ledger entries. Opening is safe to repeat: the child's trajectory is named by its writ (PROTOCOL §§4.3, 5).
 */
import { runTrajectory } from '@openexec/authority';
import { type KeyId, ok, type Result, type TrajectoryId, utf8Decode, utf8Encode } from '@openexec/canon';
import { compileProfile, type StopSignal } from '@openexec/catalogue';
import { committedListing, committedTree, type PendingEffect, type RunState } from '@openexec/kernel';
import type { Amount, SignedWrit, TreeEntry, Writ } from '@openexec/protocol';
import { rebuildTree, workspaceRefusal } from './execute.ts';
import { ledgerRefusal, reading, refuse, type RuntimeFailure } from './failure.ts';
import type { Hands, Opening, RunReport } from './hands.ts';
import { requestCancel } from './notes.ts';
import { blobOf, openRun } from './open.ts';
import { foldTail, loadLaw, unopened } from './read.ts';
import { type FactOf, Session } from './session.ts';

/** The order that the kernel gives. */
export type DelegateEffect = Extract<PendingEffect, { do: 'delegate' }>;
/** A child that has ended, or one that rests and why. */
export type Delegated =
  | { readonly fact: FactOf<'delegation.closed'> }
  | { readonly rests: 'parked' | 'stopped'; readonly run: TrajectoryId };
/** How a child is driven: by whoever drives its parent, the same way. */
export interface ChildDrive {
  readonly run: TrajectoryId;
  readonly hands: Hands;
  readonly stop: StopSignal;
  /** The driver that opened it just now; left out, it is taken over. */
  readonly driver?: string;
}
const NOTHING: Amount = { tokens: 0, usdMicros: 0, calls: 0 };
const PATCH_TYPE = 'text/x-diff; charset=utf-8';
/** Most of a child's diff that is recorded; a model is shown no more. */
const MAX_PATCH_BYTES = 256 * 1024;

/** The run that a delegation opens. */
export function childOf(writ: Writ): TrajectoryId {
  return runTrajectory({ issuer: writ.issuer, nonce: writ.nonce });
}

/** Brings the child to its end, or as far as it goes. */
export async function delegate(
  session: Session,
  effect: DelegateEffect,
  options: { readonly stop: StopSignal; drive(child: ChildDrive): Promise<Result<RunReport, RuntimeFailure>> },
): Promise<Result<Delegated, RuntimeFailure>> {
  const { hands, state } = session;
  const { delegating } = hands;
  if (delegating === undefined)
    return refuse(
      'delegation.missing',
      `${state.run} delegates to a child run, but nothing here can open one; resume it where it was opened`,
    );
  const tree = await hands.workspace.tree();
  if (!tree.ok) return workspaceRefusal(tree.error);
  if (tree.value !== effect.base.tree)
    return refuse(
      'workspace.conflict',
      `the workspace holds tree ${tree.value}, the child was handed ${effect.base.tree}: run openexec verify`,
    );
  const run = childOf(effect.writ);
  const made = await delegating.hands({ run, parent: state.run, base: effect.base });
  if (!made.ok) return made;
  const childHands = made.value;
  const opened = await openChild(session, effect, { run, hands: childHands, sign: (writ) => delegating.sign(writ) });
  if (!opened.ok) return opened;
  if ('denied' in opened.value) return ok({ fact: closing(session, effect, { child: null, ...opened.value.denied }) });
  hands.crashPoint?.('W11.childOpened');
  const { driver } = opened.value;
  if (effect.cancel !== null) {
    const asked = await cancelChild(session, run, effect.cancel);
    if (!asked.ok) return asked;
  }
  const driven = await driveUnlessClosed(
    session,
    { run, hands: childHands, stop: options.stop, ...(driver === undefined ? {} : { driver }) },
    options.drive,
  );
  if (!driven.ok) return driven;
  if (driven.value !== 'closed') return ok({ rests: driven.value, run });
  hands.crashPoint?.('W12.childClosed');
  return closed(session, effect, childHands);
}

async function driveUnlessClosed(
  session: Session,
  child: ChildDrive,
  drive: (child: ChildDrive) => Promise<Result<RunReport, RuntimeFailure>>,
): Promise<Result<RunReport['status'], RuntimeFailure>> {
  const now = await foldTail(session.hands.ledger, unopened(child.run));
  if (!now.ok) return now;
  if (now.value.state.status === 'closed') return ok('closed');
  const report = await drive(child);
  return report.ok ? ok(report.value.status) : report;
}

type Opened = { readonly driver: string | undefined } | { readonly denied: Pick<Ending, 'outcome' | 'because'> };

/** Opens the child with what steers its parent, under the narrower writ; one that is there already is left as it is. */
async function openChild(
  session: Session,
  effect: DelegateEffect,
  child: { readonly run: TrajectoryId; readonly hands: Hands; sign(writ: Writ): SignedWrit },
): Promise<Result<Opened, RuntimeFailure>> {
  const { ledger } = session.hands;
  const there = await reading(async () => ok(await ledger.trajectory(child.run)));
  if (!there.ok) return there;
  if (there.value !== null) return ok({ driver: undefined });
  const task = await ledger.blob(effect.task.digest);
  if (!task.ok) return ledgerRefusal(task.error);
  const text = utf8Decode(task.value);
  if (!text.ok) return refuse('run.unreadable', `the task of the child run ${effect.key} is not UTF-8`);
  const opening = openingOf(session.state, effect, { writ: child.sign(effect.writ), task: text.value });
  if (opening === null) return refuse('run.stuck', 'a delegation was opened in a run without law');
  session.hands.crashPoint?.('W10.delegated');
  const opened = await openRun(opening, child.hands);
  if (opened.ok) return ok({ driver: opened.value.driver });
  // Another driver was faster; whoever holds its lease drives it.
  if (opened.error.code === 'run.exists') return ok({ driver: undefined });
  // Nothing can be taken from a chain that counts no more, so there will be no child.
  if (opened.error.code === 'writ.notCarved')
    return ok({ denied: { outcome: 'denied', because: { code: 'writ.notCarved', message: opened.error.message.slice(0, 2000) } } });
  return opened;
}

function openingOf(state: RunState, effect: DelegateEffect, own: { readonly writ: SignedWrit; readonly task: string }): Opening | null {
  const { law } = state;
  if (law === null) return null;
  const { opened, profile, policySet, catalogue, toolsets, prices, model } = law;
  const { mode, provide, toolchain, environment, limits, seccomp: seccompDigest } = profile;
  return {
    task: own.task,
    session: opened.session,
    opener: opened.opener,
    writs: [...opened.writs, own.writ],
    blueprint: effect.blueprint,
    policySet,
    catalogue,
    toolsets,
    prices,
    profile: compileProfile({ writ: effect.writ, mode, provide, toolchain, environment, limits, seccompDigest }),
    model,
    base: {
      commit: effect.base.commit,
      tree: effect.base.tree,
      objectFormat: opened.base.objectFormat,
      listing: byPath(committedListing(state)),
    },
    approvals: opened.approvals,
    selfTest: opened.selfTest,
    delegates: [...law.delegates].map(([name, blueprint]) => ({ name, blueprint })),
    parent: { trajectory: state.run, seq: effect.seq },
  };
}

/** By the bytes of the path, as git lists a tree. */
function byPath(listing: readonly TreeEntry[]): readonly TreeEntry[] {
  const keyed = listing.map((entry) => ({ entry, bytes: utf8Encode(entry.path) }));
  keyed.sort((a, b) => {
    const at = a.bytes.findIndex((byte, place) => byte !== b.bytes[place]);
    return at < 0 ? a.bytes.length - b.bytes.length : (a.bytes[at] ?? 0) - (b.bytes[at] ?? -1);
  });
  return keyed.map(({ entry }) => entry);
}

/** The wish of the parent is a fact of the child's own; said once. */
async function cancelChild(session: Session, run: TrajectoryId, because: string): Promise<Result<void, RuntimeFailure>> {
  const { ledger, clock, randomness } = session.hands;
  const now = await foldTail(ledger, unopened(run));
  if (!now.ok) return now;
  const { state } = now.value;
  if (state.status === 'closed' || state.cancel !== null || state.queue.some(({ event }) => event.kind === 'run.cancelRequested'))
    return ok(undefined);
  const actor: KeyId | undefined = session.state.law?.opened.opener;
  if (actor === undefined) return ok(undefined);
  const noted = await requestCancel({ ledger, clock, randomness, run, actor, because });
  return noted.ok || noted.error.code === 'run.closed' ? ok(undefined) : noted;
}

interface Ending {
  readonly child: FactOf<'delegation.closed'>['body']['child'];
  readonly outcome: FactOf<'delegation.closed'>['body']['outcome'];
  readonly because: FactOf<'delegation.closed'>['body']['because'];
  readonly spend?: Amount;
  readonly tree?: string;
  readonly patch?: ReturnType<typeof blobOf>;
}

function closing(session: Session, effect: DelegateEffect, ending: Ending): FactOf<'delegation.closed'> {
  const { child, outcome, because, spend = NOTHING, tree = null, patch } = ending;
  const body = { ...session.driven, delegation: effect.delegation, child, outcome, because, spend, tree, patch: patch?.ref ?? null };
  return { kind: 'delegation.closed', actor: 'runtime', body, blobs: patch === undefined ? [] : [patch.blob] };
}

/** How the child ended: its own last entry, the tree of its commits, and its diff from a tree that is made again from them. */
async function closed(session: Session, effect: DelegateEffect, childHands: Hands): Promise<Result<Delegated, RuntimeFailure>> {
  const { ledger } = session.hands;
  const run = childOf(effect.writ);
  const law = await loadLaw(ledger);
  if (!law.ok) return law;
  const folded = await foldTail(ledger, unopened(run));
  if (!folded.ok) return folded;
  const { state } = folded.value;
  if (state.closed === null) return refuse('run.stuck', `${run} was driven to its end and is not closed`);
  const child = { trajectory: run, seq: state.nextSeq - 1 };
  const { outcome, because, spend } = state.closed;
  if (state.law === null) return ok({ fact: closing(session, effect, { child, outcome, because, spend }) });
  const tree = committedTree(state);
  const patch = await patchOf(new Session({ hands: childHands, driver: session.driver, folded: folded.value, law: law.value }));
  if (!patch.ok) return patch;
  return ok({
    fact: closing(session, effect, { child, outcome, because, spend, tree, ...(patch.value === null ? {} : { patch: patch.value }) }),
  });
}

/** Null where nothing was changed, or nothing of it can be shown as text. */
async function patchOf(child: Session): Promise<Result<ReturnType<typeof blobOf> | null, RuntimeFailure>> {
  const rebuilt = await rebuildTree(child);
  if (!rebuilt.ok) return rebuilt;
  const files = await child.hands.workspace.diff({ maxBytes: MAX_PATCH_BYTES });
  if (!files.ok) return workspaceRefusal(files.error);
  const texts = files.value.flatMap(({ text }) => (text === null ? [] : [text]));
  if (texts.length === 0) return ok(null);
  const whole = new Uint8Array(texts.reduce((sum, text) => sum + text.length, 0));
  let at = 0;
  for (const text of texts) {
    whole.set(text, at);
    at += text.length;
  }
  const clean = child.hands.redact(whole);
  return ok(blobOf(utf8Decode(clean).ok ? clean : utf8Encode(''), PATCH_TYPE));
}
