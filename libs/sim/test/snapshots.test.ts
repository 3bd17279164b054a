/**
 * Snapshots under the simulation: runs whose every drive begins at one end well and lie nowhere; and from the image of every position of a random run its
 * rest folds to the same state, byte for byte. PROTOCOL §3 "Snapshots".
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { type Bytes, type Digest, parseCanonical, toHex } from '@openexec/canon';
import {
  evolve,
  foldOfImage,
  imageOf,
  initialState,
  neededBlobs,
  type RunEvent,
  type RunLaw,
  type RunState,
  readRunLaw,
} from '@openexec/kernel';
import { play, type Played } from '../src/play.ts';
import { settingOf } from '../src/simulate.ts';

const SEEDS = 16;

/** The events of the run as a reader of the ledger has them. */
async function recorded({ ledger, run }: Played): Promise<readonly RunEvent[]> {
  const events: RunEvent[] = [];
  for await (const { entry, payload } of ledger.read(run)) {
    const body = parseCanonical(payload ?? new Uint8Array());
    if (!body.ok) throw new Error(body.error.message);
    const bare = { kind: entry.kind, at: entry.at, cause: entry.cause, law: entry.law, body: body.value };
    const blobs = new Map<Digest, Bytes>();
    for (const { digest } of neededBlobs(bare as unknown as RunEvent)) {
      const read = await ledger.blob(digest);
      if (read.ok) blobs.set(digest, read.value);
    }
    events.push({ ...bare, blobs } as unknown as RunEvent);
  }
  return events;
}

/** A fold, with the law as its opening made it. */
interface Fold {
  readonly state: RunState;
  readonly base: RunLaw | null;
}
function on({ state, base }: Fold, seq: number, event: RunEvent): Fold {
  const next = evolve(state, seq, event);
  return { state: next, base: base ?? next.law };
}
const imaged = ({ state, base }: Fold): Bytes => imageOf(state, base);

function lawOf([opened]: readonly RunEvent[]): RunLaw | null {
  if (opened?.kind !== 'run.opened') throw new Error('the run does not begin with its opening');
  const law = readRunLaw(opened.body, opened.blobs);
  return law.ok ? law.value : null;
}

/** Positions from which the rest does not fold to the same end. */
function wrongPositions(played: Played, events: readonly RunEvent[]): readonly string[] {
  let whole: Fold = { state: initialState(played.run), base: null };
  const images: Bytes[] = [];
  for (const [seq, event] of events.entries()) {
    whole = on(whole, seq, event);
    images.push(imaged(whole));
  }
  const last = toHex(imaged(whole));
  const again = lawOf(events);
  const wrong: string[] = [];
  for (const [seq, image] of images.entries()) {
    const read = foldOfImage(image, again);
    if (!read.ok) throw new Error(read.error.message);
    const state = read.value as RunState; // What was imaged.
    let fold: Fold = { state, base: state.law === null ? null : again };
    if (toHex(imaged(fold)) !== toHex(image)) wrong.push(`${seq}: written again otherwise`);
    for (const [later, event] of events.entries()) if (later > seq) fold = on(fold, later, event);
    if (toHex(imaged(fold)) !== last) wrong.push(`${seq}: another end`);
  }
  return wrong;
}

describe(`${SEEDS} seeds whose drives keep snapshots and begin at them`, () => {
  const plays: Played[] = [];
  beforeAll(async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { trouble, options } = settingOf(`snapshots/${seed}`);
      plays.push(await play(`snapshots/${seed}`, { ...trouble, crash: Math.max(trouble.crash, 12) }, { ...options, snapshots: true }));
    }
  }, 300_000);

  test('leave ledgers that check out, and no snapshot that differs from the fold', () => {
    expect(plays.flatMap(({ checked }) => checked.problems)).toEqual([]);
    expect(plays.flatMap(({ snapshots }) => snapshots?.notes ?? [])).toEqual([]);
  });

  test('really kept snapshots and began at them', () => {
    const sum = (of: 'kept' | 'read'): number => plays.reduce((total, { snapshots }) => total + (snapshots?.[of] ?? 0), 0);
    expect(sum('kept')).toBeGreaterThan(100);
    expect(sum('read')).toBeGreaterThan(20);
    expect(plays.reduce((total, { drives }) => total + drives, 0)).toBeGreaterThan(2 * SEEDS);
  });

  test('fold from the image of every position to the state of a fold from the start', async () => {
    let positions = 0;
    for (const played of plays.slice(0, 6)) {
      const events = await recorded(played);
      positions += events.length;
      expect(wrongPositions(played, events)).toEqual([]);
    }
    expect(positions).toBeGreaterThan(100);
  }, 300_000);
});
