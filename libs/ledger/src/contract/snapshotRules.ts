/**
 * Contract of {@link SnapshotShelf}: exactly what was kept is read, few are kept, and nothing that was forgotten comes back through one. PROTOCOL §3.
 */
import { digestOf, type LeafHash, type TrajectoryId, utf8Encode } from '@openexec/canon';
import type { KeptLedger } from '../keeper.ts';
import { type KeptSnapshot, MAX_SNAPSHOT_BYTES, snapshotFault } from '../snapshots.ts';
import { Bench, onLedger, type TestGlobals } from './harness.ts';
import { closedRun, erasure, type KeeperSubject, placesIn, pruning } from './keeperRules.ts';

/** A snapshot of this text. The leaf is the ledger's at that position. */
async function snapshotOf(bench: Bench, run: TrajectoryId, seq: number, text: string): Promise<KeptSnapshot> {
  const bytes = utf8Encode(text);
  const leaf = await leafAt(bench, run, seq);
  return {
    run,
    seq,
    leaf: leaf ?? digestOf('none'),
    digest: digestOf(bytes),
    tag: utf8Encode(`by ${text}`),
    bytes,
  };
}

async function leafAt({ store }: Bench, run: TrajectoryId, seq: number): Promise<LeafHash | null> {
  for await (const { leaf } of store.read(run, seq, seq + 1)) return leaf;
  return null;
}

function shelfOf(bench: Bench) {
  return (bench.store as KeptLedger).snapshots;
}

async function placesOf(bench: Bench, run?: TrajectoryId): Promise<readonly string[]> {
  const places = await shelfOf(bench).places(run);
  if (!places.ok) throw new Error(places.error.message);
  return places.value.map((place) => `${place.run === run || run === undefined ? place.run.slice(0, 8) : 'another'} ${place.seq}`);
}

async function kept(bench: Bench, snapshot: KeptSnapshot): Promise<void> {
  const done = await shelfOf(bench).keep(snapshot);
  if (!done.ok) throw new Error(`${done.error.code}: ${done.error.message}`);
}

/** Declares the suite. */
export function snapshotShelfContract(globals: TestGlobals, subject: KeeperSubject): void {
  globals.describe(`snapshots on ${subject.name}`, () => {
    keepsWhatItIsGiven(globals, subject);
    forgets(globals, subject);
    refuses(globals, subject);
  });
}

function keepsWhatItIsGiven({ test, expect }: TestGlobals, subject: KeeperSubject): void {
  test(
    'reads exactly what was kept, the newest first, and keeps two of a run',
    onLedger(subject, async (bench) => {
      await bench.found();
      const run = await closedRun(bench, 'a', ['one', 'two']);
      const other = await closedRun(bench, 'b', ['three']);
      expect(await placesOf(bench)).toEqual([]);
      for (const seq of [1, 2, 3]) await kept(bench, await snapshotOf(bench, run, seq, `image ${seq} ÿ`));
      await kept(bench, await snapshotOf(bench, other, 1, 'of another run'));
      expect((await placesOf(bench, run)).map((place) => place.split(' ')[1])).toEqual(['3', '2']);
      expect((await placesOf(bench)).length).toBe(3);
      const wanted = await snapshotOf(bench, run, 3, 'image 3 ÿ');
      expect(await shelfOf(bench).read({ run, seq: 3 })).toEqual({ ok: true, value: wanted });
      expect(snapshotFault(wanted, await leafAt(bench, run, 3))).toBe(null);
      expect(await shelfOf(bench).read({ run, seq: 1 })).toEqual({ ok: true, value: null });
      // The same place again: the later one stands.
      await kept(bench, await snapshotOf(bench, run, 3, 'again'));
      expect(await shelfOf(bench).read({ run, seq: 3 })).toMatchObject({ value: { digest: digestOf('again') } });
      // What claims to be newer than what is kept now cannot be.
      await kept(bench, await snapshotOf(bench, run, 9, 'beyond the end'));
      await kept(bench, await snapshotOf(bench, run, 4, 'the end'));
      expect((await placesOf(bench, run)).map((place) => place.split(' ')[1])).toEqual(['4', '3']);
      expect(await shelfOf(bench).drop([{ run, seq: 4 }])).toMatchObject({ ok: true });
      expect((await placesOf(bench, run)).map((place) => place.split(' ')[1])).toEqual(['3']);
    }),
  );

  test(
    'does not keep what is larger than reading it is worth',
    onLedger(subject, async (bench) => {
      await bench.found();
      const run = await closedRun(bench, 'a', ['one']);
      const snapshot = await snapshotOf(bench, run, 1, 'x');
      await kept(bench, { ...snapshot, bytes: new Uint8Array(MAX_SNAPSHOT_BYTES + 1) });
      expect(await placesOf(bench)).toEqual([]);
    }),
  );
}

function forgets({ test, expect }: TestGlobals, subject: KeeperSubject): void {
  for (const how of ['erased', 'pruned'] as const)
    test(
      `of a run that had payloads ${how} are gone with them, and none is kept of it again`,
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await closedRun(bench, 'a', ['canary']);
        const other = await closedRun(bench, 'b', ['stays']);
        await kept(bench, await snapshotOf(bench, run, 2, 'holds the canary'));
        await kept(bench, await snapshotOf(bench, other, 2, 'holds what stays'));
        const { keeper } = bench.store as KeptLedger;
        const place = placesIn(run, 1);
        const done = await keeper.forget(how === 'erased' ? erasure(bench.fingerprint, place) : pruning(place));
        expect(done.ok ? 'forgotten' : done.error).toBe('forgotten');
        expect(await shelfOf(bench).read({ run, seq: 2 })).toEqual({ ok: true, value: null });
        expect((await placesOf(bench, other)).length).toBe(1);
        // A driver that had folded the run before is slower than the forgetting.
        await kept(bench, await snapshotOf(bench, run, 3, 'holds the canary too'));
        expect(await placesOf(bench, run)).toEqual([]);
      }),
    );
}

function refuses({ test, expect }: TestGlobals, subject: KeeperSubject): void {
  test(
    'are refused as a value by a closed handle',
    onLedger(subject, async (bench) => {
      await bench.found();
      const run = await closedRun(bench, 'a', ['one']);
      const snapshot = await snapshotOf(bench, run, 1, 'x');
      const shelf = shelfOf(bench);
      await bench.store.close();
      const closed = { ok: false, error: { code: 'store.closed' } };
      expect(await shelf.keep(snapshot)).toMatchObject(closed);
      expect(await shelf.places()).toMatchObject(closed);
      expect(await shelf.read({ run, seq: 1 })).toMatchObject(closed);
      expect(await shelf.drop([{ run, seq: 1 }])).toMatchObject(closed);
    }),
  );
}
