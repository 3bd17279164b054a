/**
 * The rules that bind the entries of one trajectory to each other: gapless seq, prev, time, cause, the end. Keeps one small record per open
 * trajectory and the times of facts that may still be named as a cause. PROTOCOL §§2-4.
 */
import { type Digest, instantFromMs, instantToMs } from '@openexec/canon';
import { type Entry, factsOf, familyOfTrajectory, hasOpening } from '@openexec/ledger/codec';
import type { FindingCode } from './report.ts';

interface Track {
  next: number;
  prev: Digest | null;
  lastFactAt: string;
  closed: boolean;
  /** Leaf index of the last entry. */
  index: number;
  /** The last entry does not continue the one before it; which of the two was changed shows at the next entry. */
  torn: { readonly before: number; readonly message: string } | null;
  /** In a part of a ledger: what stands before this seq is not there. */
  unseenBefore: number;
  /** Milliseconds of facts by seq, from the last cause on: a later judgement names no earlier fact. Numbers, since a text would hold its whole entry. */
  readonly facts: Map<number, number>;
}
/** A rule of trajectories that an entry breaks (PROTOCOL §4). */
export interface TrackFault {
  /** Where it lies, when that is not the entry at hand. */
  readonly index?: number;
  readonly code: FindingCode;
  readonly message: string;
}

/** One verification's view of all trajectories. */
export class Trajectories {
  readonly #tracks = new Map<string, Track>();
  readonly #isPartial: (trajectory: string) => boolean;

  /** `isPartial`: trajectories of which entries may be left out, in a part of a ledger. */
  constructor(isPartial: (trajectory: string) => boolean = () => false) {
    this.#isPartial = isPartial;
  }

  /** Holds one entry against what stands before it; reports every rule it breaks, then follows the entry as recorded. */
  take(entry: Entry, leaf: Digest, index: number, lawPosition: number): readonly TrackFault[] {
    const faults: TrackFault[] = [];
    const known = this.#tracks.get(entry.trajectory);
    const track: Track = known ?? {
      next: 0,
      prev: null,
      lastFactAt: '',
      closed: false,
      index: -1,
      torn: null,
      unseenBefore: 0,
      facts: new Map(),
    };
    if (known === undefined) this.#tracks.set(entry.trajectory, track);
    const say = (code: FindingCode, message: string): void =>
      void faults.push({ code, message: `${entry.trajectory} seq ${entry.seq}: ${message}` });
    if (this.#isPartial(entry.trajectory) && entry.seq > track.next) leap(track, entry);
    if (track.closed) say('entry.afterClose', 'its trajectory was closed before');
    if (entry.seq !== track.next) say('entry.position', `the next seq is ${track.next}`);
    this.#chain(entry, track, index, faults);
    this.#kind(entry, say);
    const facts = factsOf(entry.kind);
    if (facts?.judged === true) judged(entry, track, lawPosition, say);
    else fact(entry, track, say);
    track.next = entry.seq + 1;
    track.prev = leaf;
    track.index = index;
    track.closed ||= facts?.closes === true;
    if (track.closed) track.facts.clear();
    return faults;
  }

  /**
   * Whether the trajectory has not had its last entry before this leaf index; then no payload of a run may be gone. In a part of a ledger the end of a
   * trajectory may be left out, or all of it: of that nothing can be said.
   */
  isOpenAt(trajectory: string, index: number): boolean {
    const track = this.#tracks.get(trajectory);
    if (track?.closed === true) return track.index >= index;
    return !(this.#isPartial(trajectory) || (track === undefined && this.#isPartial('ledger')));
  }

  /** Breaks at the very end of trajectories, where no later entry says which side was changed: the one that does not continue is named. */
  unsettled(): readonly (TrackFault & { readonly index: number })[] {
    return [...this.#tracks.values()].flatMap(({ torn, index }) =>
      torn === null ? [] : [{ code: 'entry.prev', index, message: torn.message }],
    );
  }

  /** A wrong `prev` means that either entry was changed; the next entry's `prev` vouches for the later one, or does not. */
  #chain(entry: Entry, track: Track, index: number, faults: TrackFault[]): void {
    const { torn } = track;
    const continues = entry.prev === track.prev;
    if (torn !== null) {
      faults.push({ code: 'entry.prev', index: continues ? torn.before : track.index, message: torn.message });
      track.torn = null;
    } else if (!continues) {
      // After a gap nothing can be said of the entry before it: what is missing stood between them.
      const isGap = entry.seq !== track.next;
      const message = `${entry.trajectory} seq ${entry.seq}: prev is ${entry.prev ?? 'null'}; the entry before it is ${track.prev ?? 'none'}`;
      if (isGap || track.index < 0) faults.push({ code: 'entry.prev', message });
      else track.torn = { before: track.index, message };
    }
  }

  #kind(entry: Entry, say: (code: FindingCode, message: string) => void): void {
    const facts = factsOf(entry.kind);
    const family = familyOfTrajectory(entry.trajectory);
    if (facts === undefined || family === null || !facts.families.includes(family))
      return say('entry.kind', `${entry.kind} does not belong here`);
    if (facts.opens !== (entry.seq === 0) && (facts.opens || hasOpening(family)))
      say('entry.kind', `${entry.kind} ${facts.opens ? 'stands at seq 0 only' : 'cannot open its trajectory'}`);
    if (entry.sig !== undefined && !facts.signed)
      say('entry.kind', `${entry.kind} carries a signature of its own, which its kind does not have`);
  }
}

/** Entries are left out before this one: nothing can be said of how it continues them. */
function leap(track: Track, entry: Entry): void {
  track.next = entry.seq;
  track.prev = entry.prev;
  track.torn = null;
  track.unseenBefore = entry.seq;
  track.facts.clear();
}

function fact(entry: Entry, track: Track, say: (code: FindingCode, message: string) => void): void {
  if (entry.cause !== null || entry.law !== null) say('entry.cause', 'a fact has neither cause nor law position');
  if (entry.at < track.lastFactAt) say('entry.time', `its time ${entry.at} lies before that of the fact before it, ${track.lastFactAt}`);
  track.lastFactAt = entry.at > track.lastFactAt ? entry.at : track.lastFactAt;
  // Only runs and self-tests are judged, so elsewhere no cause will ever be looked up.
  const family = familyOfTrajectory(entry.trajectory);
  if (family === 'run' || family === 'selftest') track.facts.set(entry.seq, instantToMs(entry.at));
}

function judged(entry: Entry, track: Track, lawPosition: number, say: (code: FindingCode, message: string) => void): void {
  if (entry.law !== lawPosition) say('entry.law', `it names law position ${String(entry.law)}; the law stood at ${lawPosition}`);
  // Its cause may be among what was left out; that it is one is then for the whole ledger to show.
  if (entry.cause !== null && entry.cause < track.unseenBefore) return;
  const at = entry.cause === null ? undefined : track.facts.get(entry.cause);
  if (entry.cause === null || at === undefined)
    return say('entry.cause', `its cause ${String(entry.cause)} is no fact that it may follow from`);
  if (at !== instantToMs(entry.at)) say('entry.time', `its time ${entry.at} is not that of its cause, ${instantFromMs(at)}`);
  for (const seq of track.facts.keys()) {
    if (seq >= entry.cause) break;
    track.facts.delete(seq);
  }
}
