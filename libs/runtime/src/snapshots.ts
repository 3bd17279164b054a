/**
 * Snapshots of a run: where a fold may begin instead of at the opening. A snapshot is a cache that is looked at before it is believed: made by this
 * installation, by this program, of these very entries. What is not is passed over with a note, and the fold from the start says the same.
 * PROTOCOL §3 "Snapshots"; verified against the fold by {@link checkSnapshots}.
 */
import {
  type Bytes,
  canonicalText,
  concatBytes,
  type Digest,
  digestOf,
  equalBytes,
  ok,
  parseCanonical,
  type Result,
  type TrajectoryId,
  utf8Encode,
} from '@openexec/canon';
import { foldOfImage, IMAGE_FORMAT, imageOf, KERNEL_FLAGS, KERNEL_VERSION, readRunLaw, type RunLaw, type RunState } from '@openexec/kernel';
import { type KeptSnapshot, type LedgerStore, snapshotFault, type SnapshotPlace, type SnapshotShelf, type Stored } from '@openexec/ledger';
import { reading, refuse, type RuntimeFailure } from './failure.ts';
import { type Folded, foldStored, foldTail, hydrated, unopened } from './read.ts';

/** Entries between two snapshots of a run, at least. */
const EVERY = 1000;
/** A run that rests is kept once so many entries were added: fewer fold in no time. */
const EVERY_AT_REST = 256;
/** Bytes of a snapshot that one more entry of distance pays for: large states are kept more seldom. */
const BYTES_AN_ENTRY = 4096;
const LINE_END = 0x0a;

/** Snapshots of one ledger, as one installation makes and believes them. */
export interface Snapshots {
  readonly shelf: SnapshotShelf;
  /** The program that folds, by its content; what another one folded is not read. */
  readonly program: string;
  /** What only this installation can make of these bytes. */
  tag(bytes: Bytes): Bytes;
  /** Told why a snapshot was passed over or not kept. No reason to stop anything. */
  note(message: string): void;
  /** Entries between two snapshots; left out: 1000. */
  readonly every?: number;
}

/** Folds the run from the newest snapshot that can be believed, else from its opening, to its end. */
export async function foldRun(
  ledger: LedgerStore,
  run: TrajectoryId,
  snapshots: Snapshots | null,
): Promise<Result<Folded, RuntimeFailure>> {
  const start = snapshots === null ? ok(unopened(run)) : await startOf(ledger, run, snapshots);
  return start.ok ? foldTail(ledger, start.value) : start;
}

/** Where folding begins: a snapshot that can be believed, or the empty run. */
function startOf(ledger: LedgerStore, run: TrajectoryId, snapshots: Snapshots): Promise<Result<Folded, RuntimeFailure>> {
  return reading(async () => {
    const places = await snapshots.shelf.places(run);
    if (!places.ok) snapshots.note(`snapshots of ${run} cannot be read (${places.error.message})`);
    for (const place of places.ok ? places.value : []) {
      const read = await believed(ledger, place, snapshots);
      if (typeof read !== 'string') return ok(read);
      snapshots.note(`the snapshot of ${run} at ${place.seq} is passed over: ${read}`);
    }
    return ok(unopened(run));
  });
}

/** The fold that is kept there, or why it is not believed. */
async function believed(ledger: LedgerStore, place: SnapshotPlace, snapshots: Snapshots): Promise<Folded | string> {
  const read = await snapshots.shelf.read(place);
  if (!read.ok) return read.error.message;
  const kept = read.value;
  if (kept === null) return 'it is gone';
  if (!equalBytes(snapshots.tag(kept.bytes), kept.tag)) return 'it was not made by this installation, or was changed since';
  const at = await storedAt(ledger, place);
  const fault = snapshotFault(kept, at?.leaf ?? null);
  if (fault !== null) return fault;
  const parts = partsOf(kept.bytes);
  if (parts === null || parts.header !== headerOf(kept, snapshots.program)) return 'it was made by another program, or of another place';
  const base = await baseOf(ledger, place.run);
  if (typeof base === 'string') return base;
  const fold = foldOfImage(parts.image, base.law);
  if (!fold.ok) return fold.error.message;
  // Its maker wrote it, of this run and this position: the header under the tag says so.
  const folded = fold.value as Omit<Folded, 'base' | 'keptAt'>;
  return { ...folded, base: folded.state.law === null ? null : base.law, keptAt: folded.state.nextSeq };
}

async function storedAt(ledger: LedgerStore, { run, seq }: SnapshotPlace): Promise<Stored | null> {
  for await (const stored of ledger.read(run, seq, seq + 1)) return stored;
  return null;
}

/** The law as the opening alone makes it, which images name. */
async function baseOf(ledger: LedgerStore, run: TrajectoryId): Promise<{ readonly law: RunLaw | null } | string> {
  const opening = await storedAt(ledger, { run, seq: 0 });
  if (opening === null) return 'the run has no opening';
  const event = await hydrated(ledger, opening);
  if (!event.ok) return event.error.message;
  if (event.value.kind !== 'run.opened') return 'the run does not begin with its opening';
  const law = readRunLaw(event.value.body, event.value.blobs);
  return { law: law.ok ? law.value : null };
}

/** The state of a run as the ledger has it; `run.unknown` when it was never opened. With `snapshots` it may begin at one. */
export async function loadRun(
  ledger: LedgerStore,
  run: TrajectoryId,
  snapshots: Snapshots | null = null,
): Promise<Result<RunState, RuntimeFailure>> {
  const folded = await foldRun(ledger, run, snapshots);
  if (!folded.ok) return folded;
  return folded.value.state.nextSeq === 0
    ? refuse('run.unknown', `the ledger has no ${run}; list the runs it has`)
    : ok(folded.value.state);
}

// ---- making

/** Everything that has to be the same for an image to be read here, as the first line of a snapshot. */
function headerOf({ run, seq, leaf }: Pick<KeptSnapshot, 'run' | 'seq' | 'leaf'>, program: string): string {
  return canonicalText({
    v: 1,
    kernel: { version: KERNEL_VERSION, flags: [...KERNEL_FLAGS] },
    image: IMAGE_FORMAT,
    program,
    run,
    seq,
    leaf,
  });
}

/** What a snapshot of this fold holds; null before the first entry. */
function snapshotOf({ base, keptAt: _keptAt, ...folded }: Folded, program: string): Omit<KeptSnapshot, 'tag'> | null {
  const { leaf, state } = folded;
  if (leaf === null) return null;
  const place = { run: state.run, seq: state.nextSeq - 1, leaf };
  const bytes = concatBytes(utf8Encode(`${headerOf(place, program)}\n`), imageOf(folded, base));
  return { ...place, digest: digestOf(bytes), bytes };
}

function partsOf(bytes: Bytes): { readonly header: string; readonly image: Bytes } | null {
  const end = bytes.indexOf(LINE_END);
  const header = end < 0 ? null : parseCanonical(bytes.subarray(0, end));
  return header?.ok === true ? { header: canonicalText(header.value), image: bytes.subarray(end + 1) } : null;
}

/** One driver's habit of keeping snapshots. Mutable: it remembers how large the last one was. */
export class SnapshotHabit {
  readonly #snapshots: Snapshots;
  /** Position after the last snapshot. */
  #at: number;
  #bytes = 0;

  constructor(snapshots: Snapshots, start: Pick<Folded, 'keptAt'>) {
    this.#snapshots = snapshots;
    this.#at = start.keptAt;
  }

  /** After every durable append. True where one was kept. What fails is noted: the entries are there. */
  async after(folded: Folded): Promise<boolean> {
    const { program, shelf, note, every = EVERY } = this.#snapshots;
    const { status, nextSeq } = folded.state;
    const rests = status === 'closed' || status === 'parked';
    const spacing = Math.max(every, Math.ceil(this.#bytes / BYTES_AN_ENTRY));
    if (nextSeq - this.#at < (rests ? Math.min(every, EVERY_AT_REST) : spacing)) return false;
    const snapshot = snapshotOf(folded, program);
    if (snapshot === null) return false;
    this.#at = nextSeq;
    this.#bytes = snapshot.bytes.length;
    const kept = await shelf.keep({ ...snapshot, tag: this.#snapshots.tag(snapshot.bytes) });
    if (!kept.ok) note(`no snapshot of ${snapshot.run} was kept at ${snapshot.seq}: ${kept.error.message}`);
    return kept.ok;
  }
}

// ---- checking

/** What holding snapshots against the fold came to. */
export interface SnapshotCheck {
  /** Those that were folded again. */
  readonly checked: number;
  /** Those of another program, which this one never reads: their content was not looked at. */
  readonly foreign: number;
  readonly wrong: readonly (SnapshotPlace & { readonly message: string })[];
}

/** Folds every run that has snapshots from its opening and compares, byte by byte. A snapshot of other entries, torn or changed, is named. */
export function checkSnapshots(
  ledger: LedgerStore,
  snapshots: Pick<Snapshots, 'shelf' | 'program'>,
  only?: TrajectoryId,
): Promise<Result<SnapshotCheck, RuntimeFailure>> {
  return reading(async () => {
    const places = await snapshots.shelf.places(only);
    if (!places.ok) return ok({ checked: 0, foreign: 0, wrong: [] });
    const byRun = new Map<TrajectoryId, SnapshotPlace[]>();
    for (const place of places.value) byRun.set(place.run, [place, ...(byRun.get(place.run) ?? [])]);
    const counts = { checked: 0, foreign: 0 };
    const wrong: (SnapshotPlace & { readonly message: string })[] = [];
    for (const [run, due] of byRun) {
      let folded: Folded | string = unopened(run);
      // Oldest first: the run is folded once, on from one to the next.
      for (const place of due) {
        const read = await snapshots.shelf.read(place);
        if (read.ok && read.value === null) continue;
        const kept = read.ok ? read.value : null;
        const parts = kept === null ? null : partsOf(kept.bytes);
        const at = await storedAt(ledger, place);
        const fault = kept === null ? (read.ok ? null : read.error.message) : snapshotFault(kept, at?.leaf ?? null);
        if (fault === null && kept !== null && parts !== null && parts.header !== headerOf(kept, snapshots.program)) {
          counts.foreign += 1;
          continue;
        }
        counts.checked += 1;
        if (fault === null) folded = await foldTo(ledger, folded, place.seq);
        const problem = fault ?? differs(folded, kept, snapshots.program);
        if (problem !== null) wrong.push({ ...place, message: problem });
      }
    }
    return ok({ ...counts, wrong });
  });
}

function differs(folded: Folded | string, kept: KeptSnapshot | null, program: string): string | null {
  if (typeof folded === 'string') return folded;
  const made: { readonly digest: Digest } | null = snapshotOf(folded, program);
  return made !== null && made.digest === kept?.digest
    ? null
    : `the snapshot of ${folded.state.run} at ${folded.state.nextSeq - 1} holds another state than the entries fold to`;
}

async function foldTo(ledger: LedgerStore, from: Folded | string, seq: number): Promise<Folded | string> {
  if (typeof from === 'string') return from;
  let folded = from;
  for await (const stored of ledger.read(from.state.run, from.state.nextSeq, seq + 1)) {
    const next = await foldStored(ledger, folded, stored);
    if (!next.ok) return next.error.message;
    folded = next.value.folded;
  }
  return folded;
}
