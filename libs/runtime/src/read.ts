/**
 * From stored entries to folds: the law and a run. Every state that a driver acts on came through here, from bytes as stored, so that it is the
 * verifier's state too. Must never skip what it cannot read (SEAM, PROTOCOL §4.1).
 */
import {
  type Bytes,
  type Digest,
  type Instant,
  type Json,
  type LeafHash,
  ok,
  parseCanonical,
  type Result,
  type TrajectoryId,
} from '@openexec/canon';
import { emptyLaw, foldLaw, type LawView } from '@openexec/authority';
import { evolve, initialState, isFact, neededBlobs, type RunEvent, type RunLaw, type RunState } from '@openexec/kernel';
import type { LedgerStore, Stored } from '@openexec/ledger';
import type { ApprovalRequested, SignedWrit } from '@openexec/protocol';
import { ledgerRefusal, reading, refuse, type RuntimeFailure } from './failure.ts';

const LAW = 'law' as TrajectoryId; // The one name of its grammar.

/** A run folded, with what the driver needs beside the kernel's state. */
export interface Folded {
  readonly state: RunState;
  /** `at` of the last fact, queued ones included; facts never go back in time. */
  readonly factAt: Instant | null;
  /** The highest epoch in the ledger, whether judged or not, and who drives under it. */
  readonly epoch: number;
  readonly driver: string;
  /** The chain that the run was opened under, root first. */
  readonly writs: readonly SignedWrit[];
  /** Whether it is a child run. */
  readonly delegated: boolean;
  /** The approval that was asked for last. */
  readonly requested: ApprovalRequested | null;
  /** The execution that was committed last. */
  readonly committed: Digest | null;
  /** Leaf hash of the last entry folded; null before the first. */
  readonly leaf: LeafHash | null;
  /** The law as the opening made it; images of the fold name what is in it. Null until the opening is judged. */
  readonly base: RunLaw | null;
  /** Position after the snapshot that the fold began from; 0 where it began at the opening. */
  readonly keptAt: number;
}

type Blobs = ReadonlyMap<Digest, Bytes>;
const NO_BLOBS: Blobs = new Map();

/** The fold of an empty run. */
export function unopened(run: TrajectoryId): Folded {
  return {
    state: initialState(run),
    factAt: null,
    epoch: 0,
    driver: '',
    writs: [],
    delegated: false,
    requested: null,
    committed: null,
    leaf: null,
    base: null,
    keptAt: 0,
  };
}

function bodyOf(stored: Stored): Result<Json, RuntimeFailure> {
  const { trajectory, seq, kind } = stored.entry;
  if (stored.payload === null)
    return refuse('run.erased', `the payload of ${trajectory} ${seq} (${kind}) was erased; the run cannot be folded past it`);
  const body = parseCanonical(stored.payload);
  return body.ok
    ? body
    : refuse('run.unreadable', `the payload of ${trajectory} ${seq} (${kind}) is not canonical JSON: ${body.error.message}`);
}

async function hydrate(
  ledger: Pick<LedgerStore, 'blob'>,
  stored: Stored,
  body: Json,
  known: Blobs,
): Promise<Result<Blobs, RuntimeFailure>> {
  // The store admits an entry only with a body of its kind.
  const refs = neededBlobs({ kind: stored.entry.kind, body } as unknown as RunEvent);
  const blobs = new Map<Digest, Bytes>();
  for (const { digest } of refs) {
    const near = known.get(digest);
    const read = near === undefined ? await ledger.blob(digest) : ok(near);
    if (!read.ok && read.error.code === 'blob.erased')
      return refuse(
        'run.erased',
        `the blob ${digest} of ${stored.entry.trajectory} ${stored.entry.seq} was erased; the run cannot be folded past it`,
      );
    if (!read.ok) return ledgerRefusal(read.error);
    blobs.set(digest, read.value);
  }
  return ok(blobs);
}

/** An entry as the kernel sees it. */
export async function hydrated(
  ledger: Pick<LedgerStore, 'blob'>,
  stored: Stored,
  known: Blobs = NO_BLOBS,
): Promise<Result<RunEvent, RuntimeFailure>> {
  const body = bodyOf(stored);
  if (!body.ok) return body;
  const blobs = await hydrate(ledger, stored, body.value, known);
  if (!blobs.ok) return blobs;
  const { kind, at, cause, law } = stored.entry;
  // The store admits an entry only with a body of its kind.
  return ok({ kind, at, cause, law, body: body.value, blobs: blobs.value } as unknown as RunEvent);
}

/** The fold after one more entry, and that entry's body. `known` spares reading blobs that are at hand. */
export async function foldStored(
  ledger: Pick<LedgerStore, 'blob'>,
  folded: Folded,
  stored: Stored,
  known: Blobs = NO_BLOBS,
): Promise<Result<{ readonly folded: Folded; readonly body: Json }, RuntimeFailure>> {
  const read = await hydrated(ledger, stored, known);
  if (!read.ok) return read;
  const event = read.value;
  const { at, seq } = stored.entry;
  const takes = event.kind === 'run.resumed' || event.kind === 'run.rewound';
  const drives = event.kind === 'run.opened' || (takes && event.body.epoch > folded.epoch) ? event.body : folded;
  const state = evolve(folded.state, seq, event);
  return ok({
    body: event.body as unknown as Json,
    folded: {
      state,
      factAt: isFact(event) ? at : folded.factAt,
      epoch: drives.epoch,
      driver: drives.driver,
      writs: event.kind === 'run.opened' ? event.body.writs : folded.writs,
      delegated: event.kind === 'run.opened' ? event.body.parent !== undefined : folded.delegated,
      requested: event.kind === 'approval.requested' ? event.body : folded.requested,
      committed: event.kind === 'commit.recorded' ? event.body.execution : folded.committed,
      leaf: stored.leaf,
      base: folded.base ?? state.law,
      keptAt: folded.keptAt,
    },
  });
}

/** Folds everything of the run that stands after `folded`; `seen` is told of each entry. */
export function foldTail(
  ledger: LedgerStore,
  folded: Folded,
  seen?: (stored: Stored, body: Json) => void,
): Promise<Result<Folded, RuntimeFailure>> {
  return reading(async () => {
    let now = folded;
    for await (const stored of ledger.read(folded.state.run, folded.state.nextSeq)) {
      const next = await foldStored(ledger, now, stored);
      if (!next.ok) return next;
      now = next.value.folded;
      seen?.(stored, next.value.body);
    }
    return ok(now);
  });
}

/** The law as it stands, from `view` on (from the founding by default). */
export function loadLaw(ledger: LedgerStore, view: LawView = emptyLaw()): Promise<Result<LawView, RuntimeFailure>> {
  return reading(async () => {
    let law = view;
    for await (const stored of ledger.read(LAW, view.position + 1)) {
      const body = bodyOf(stored);
      if (!body.ok) return body;
      const blobs = await hydrate(ledger, stored, body.value, NO_BLOBS);
      if (!blobs.ok) return blobs;
      const { seq, kind, at } = stored.entry;
      const next = foldLaw(law, { seq, kind, body: body.value, at, leaf: stored.leaf, blobs: blobs.value });
      if (!next.ok) return refuse('law.invalid', next.error.message);
      law = next.value;
    }
    return ok(law);
  });
}
