/**
 * Following stored rows from the first one on, deriving everything that a store keeps beside them: heads of trajectories, root, fingerprint, seal.
 * What a copy is checked with, and what an examination is held against. Must never take anything but the rows' word. PROTOCOL §§2-3.
 */
import {
  type Bytes,
  type Digest,
  digestFromBytes,
  err,
  type LeafHash,
  maxInstant,
  ok,
  type Result,
  type TrajectoryId,
} from '@openexec/canon';
import { CompactRange, leafHash } from '@openexec/proof';
import { commitmentOf, decodeEntry } from './entry.ts';
import { successorIn } from './founding.ts';
import { factsOf } from './kinds.ts';
import type { TrajectoryState } from './sequence.ts';
import type { Entry, Row } from './types.ts';

/** Why a row does not continue those before it. */
export interface RowFault {
  readonly code: 'entry.broken' | 'payload.broken';
  readonly index: number;
  readonly message: string;
}
/** A row in its place. */
export interface Retraced {
  readonly entry: Entry;
  readonly index: number;
  readonly leaf: LeafHash;
  readonly hash: Bytes;
}

/** One pass. Memory: one record per trajectory. */
export class Retrace {
  readonly states = new Map<TrajectoryId, TrajectoryState>();
  readonly #tree = CompactRange.empty();
  fingerprint: Digest | null = null;
  successor: string | null = null;

  get size(): number {
    return Number(this.#tree.size);
  }

  root(): Bytes {
    return this.#tree.root();
  }

  /** Takes the next row. After a fault the row counts as read, so that one fault does not hide the next. */
  take(row: Row): Result<Retraced, RowFault> {
    const index = this.size;
    const hash = leafHash(row.entryBytes);
    this.#tree.append(hash);
    const broken = (code: RowFault['code'], message: string): Result<never, RowFault> =>
      err({ code, index, message: `entry ${index}: ${message}` });
    const decoded = decodeEntry(row.entryBytes);
    if (!decoded.ok) return broken('entry.broken', decoded.error.message);
    const entry = decoded.value;
    const leaf = digestFromBytes(hash);
    const state = this.states.get(entry.trajectory);
    this.#follow(entry, leaf, row.payload, state);
    if (entry.seq !== (state?.seq ?? -1) + 1)
      return broken('entry.broken', `${entry.trajectory} goes from ${state?.seq ?? 'nothing'} to ${entry.seq}`);
    if (entry.prev !== (state?.leaf ?? null))
      return broken('entry.broken', `it does not continue the entry of ${entry.trajectory} before it`);
    const wrong = payloadFault(entry, row);
    return wrong === null ? ok({ entry, index, leaf, hash }) : broken('payload.broken', wrong);
  }

  #follow(entry: Entry, leaf: LeafHash, payload: Bytes | null, state: TrajectoryState | undefined): void {
    if (entry.kind === 'ledger.founded' && this.size === 1) this.fingerprint = leaf;
    if (entry.kind === 'ledger.sealed' && payload !== null) this.successor = successorIn(payload);
    const facts = factsOf(entry.kind);
    const before = state?.factAt ?? null;
    const factAt = facts?.judged === true ? before : before === null ? entry.at : maxInstant(before, entry.at);
    this.states.set(entry.trajectory, { seq: entry.seq, leaf, factAt, closed: facts?.closes === true });
  }
}

function payloadFault(entry: Entry, { payload, salt }: Row): string | null {
  if (payload === null && salt === null) return null;
  if (payload === null || salt === null) return 'payload and salt are there together or not at all';
  return payload.length === entry.bytes && commitmentOf(salt, payload) === entry.commitment
    ? null
    : 'the payload is not the one that was committed to';
}
