/**
 * Changing the law from the command line: each body is held against the law as it stands before it is written, under the position it was held
 * against, so that no entry that the fold refuses ever stands in `law` (PROTOCOL §§3, 5).
 */
import { bodyType, foldLaw, type LawProblem, type LawView, signBody } from '@openexec/authority';
import {
  type Digest,
  digestOf,
  err,
  type Instant,
  type Json,
  type LeafHash,
  ok,
  type Result,
  type TrajectoryId,
  utf8Encode,
} from '@openexec/canon';
import type { FileKey } from '@openexec/config';
import type { Blob } from '@openexec/ledger';
import { loadLaw } from '@openexec/runtime';
import type { CommandContext, OpenLedger } from './context.ts';
import { type Refusal, refuse } from './exit.ts';
import { storeRefusal } from './openLedger.ts';
import { nonceOf } from './setup/found.ts';

/** Kinds of law that a person makes here after the founding. */
export type LawKind = 'key.trusted' | 'key.retired' | 'policy.adopted' | 'writ.issued' | 'writ.revoked' | 'writ.restored';
/** One change, signed. */
export interface LawChange {
  readonly kind: LawKind;
  /** Id of the key that signed. */
  readonly by: string;
  readonly payload: Json;
  readonly blobs?: readonly Blob[];
}
/** Where it stands. */
export interface Enacted {
  readonly position: number;
  readonly at: Instant;
}

const LAW = 'law' as TrajectoryId; // The one name of its grammar.
const TRIES = 5;
/** Only the founding's leaf is law (it is the fingerprint); of a later entry the fold reads none. */
const NO_LEAF: LeafHash = digestOf(utf8Encode(''));

/** Why an entry with this change would be no law here and now; null where it would. Nothing is written. */
export function lawProblemOf(law: LawView, at: Instant, change: LawChange): LawProblem | null {
  const folded = foldChange(law, at, change);
  return folded.ok ? null : folded.error;
}

/** The law after this change. */
function foldChange(law: LawView, at: Instant, { kind, payload, blobs = [] }: LawChange): Result<LawView, LawProblem> {
  const bytes = new Map<Digest, Blob['bytes']>(blobs.map((blob) => [blob.digest, blob.bytes]));
  return foldLaw(law, { seq: law.position + 1, kind, body: payload, at, leaf: NO_LEAF, blobs: bytes });
}

/** The body of a law change with the ledger and a fresh nonce, signed by one key. */
export function signedChange(
  context: CommandContext,
  ledger: OpenLedger,
  change: { readonly kind: LawKind; readonly key: FileKey; readonly body: { readonly [name: string]: Json } },
): LawChange {
  const { kind, key } = change;
  const body = { ledger: ledger.fingerprint, nonce: nonceOf(context.randomness), ...change.body };
  const signed = signBody({ type: bodyType(kind), body, seeds: [key.seed] });
  return { kind, by: key.keyId, payload: { body: signed.body, signatures: [...signed.signatures] } };
}

/** The law as it stands. */
export async function lawOf(ledger: OpenLedger): Promise<Result<LawView, Refusal>> {
  const law = await loadLaw(ledger.store);
  return law.ok ? law : err(storeRefusal(law.error));
}

/** Writes the change, or says with `law.refused` why it would be no law. */
export function enact(context: CommandContext, ledger: OpenLedger, change: LawChange): Promise<Result<Enacted, Refusal>> {
  return enactAll(context, ledger, [change]);
}

/** Several changes as one: all of them are law, each under the ones before it, or none is. Says where the last one stands. */
export async function enactAll(
  context: CommandContext,
  ledger: OpenLedger,
  changes: readonly LawChange[],
): Promise<Result<Enacted, Refusal>> {
  const blobs = changes.flatMap(({ blobs: own = [] }) => own);
  for (let tries = 1; ; tries++) {
    const law = await lawOf(ledger);
    if (!law.ok) return law;
    const at = context.clock.now();
    let view = law.value;
    for (const change of changes) {
      const folded = foldChange(view, at, change);
      if (!folded.ok) return refuse('law.refused', folded.error.message, { code: folded.error.code });
      view = folded.value;
    }
    const drafts = changes.map(({ kind, payload, by }) => ({ kind, at, actor: `key:${by}` as const, cause: null, law: null, payload }));
    const appended = await ledger.store.append({ to: [{ trajectory: LAW, expect: law.value.position, drafts }], blobs });
    const entry = appended.ok ? appended.value.stored.at(-1)?.entry : undefined;
    if (entry !== undefined) return ok({ position: entry.seq, at: entry.at });
    if (appended.ok) return refuse('ledger.failed', 'the law change was taken without an entry');
    if (appended.error.code !== 'conflict' || tries >= TRIES) return err(storeRefusal(appended.error));
  }
}
