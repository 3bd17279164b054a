/**
 * Snapshots of runs: a drive and a reading begin there, what cannot be believed is passed over with a note and changes nothing, and a death between the
 * append and the snapshot loses nothing. PROTOCOL §3 "Snapshots".
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { type Bytes, concatBytes, digestOf, err, sha256, type TrajectoryId, utf8Encode } from '@openexec/canon';
import { committedTree, imageOf, type RunState } from '@openexec/kernel';
import type { KeptLedger, KeptSnapshot, LedgerStore, SnapshotShelf } from '@openexec/ledger';
import { type CrashPoint, checkSnapshots, loadRun, openRun, type Snapshots } from '../src/index.ts';
import { act, agent, drive, entriesOf, handsOf, newWorld, opened, openingOf, type Place, place, randomness, WHOLE } from './support.ts';

const SECRET_KEY = utf8Encode('of this installation');
/** Keyed as a real one is, though not HMAC: nobody here can make one without the key. */
const tagOf = (bytes: Bytes): Bytes => sha256(concatBytes(SECRET_KEY, sha256(concatBytes(SECRET_KEY, bytes))));
const REPEATABLE = WHOLE.filter(({ id }) => id !== 'tell').map((stage) => (stage.id === 'work' ? { ...stage, onSuccess: 'test' } : stage));

const shelfOf = (at: Place): SnapshotShelf => (at.ledger as KeptLedger).snapshots;
function snapshotsOf(at: Place, more: Partial<Snapshots> = {}): Snapshots & { readonly notes: string[] } {
  const notes: string[] = [];
  return { shelf: shelfOf(at), program: 'this one', tag: tagOf, note: (message) => void notes.push(message), every: 1, notes, ...more };
}

/** The ledger, and from where the run was read. */
function counted(at: Place, run: TrajectoryId): { readonly ledger: LedgerStore; readonly from: number[] } {
  const from: number[] = [];
  const read: LedgerStore['read'] = (trajectory, start = 0, to) => {
    if (trajectory === run && to === undefined) from.push(start);
    return at.ledger.read(trajectory, start, to);
  };
  const ledger = new Proxy(at.ledger, {
    get: (target, name) => {
      if (name === 'read') return read;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
  return { ledger, from };
}
const imaged = (state: RunState): Bytes => imageOf(state, null);

async function placesOf(at: Place, run: TrajectoryId): Promise<readonly number[]> {
  const places = await shelfOf(at).places(run);
  return places.ok ? places.value.map(({ seq }) => seq) : [];
}

describe('a run that was driven with snapshots', () => {
  let at: Place;
  let run: TrajectoryId;
  let whole: RunState;
  let newest: KeptSnapshot;
  let last: number;

  beforeAll(async () => {
    at = await place();
    const made = await opened(at, openingOf(at, { stages: REPEATABLE }));
    run = made.run;
    const snapshots = snapshotsOf(at);
    const report = await drive(run, handsOf(at, newWorld(), { snapshots }), { resume: false, driver: made.driver });
    expect(report.state.closed?.outcome).toBe('done');
    expect(snapshots.notes).toEqual([]);
    const loaded = await loadRun(at.ledger, run);
    if (!loaded.ok) throw new Error(loaded.error.message);
    whole = loaded.value;
    last = (await entriesOf(at.ledger, run)).length - 1;
    const read = await shelfOf(at).read({ run, seq: last });
    if (!read.ok || read.value === null) throw new Error('no snapshot was kept at the close');
    newest = read.value;
  });

  test('keeps the last two, the newest at its end, and all agree with the fold', async () => {
    const [first, second, ...more] = await placesOf(at, run);
    expect(first).toBe(last);
    expect(second).toBeLessThan(last);
    expect(more).toEqual([]);
    expect(await checkSnapshots(at.ledger, snapshotsOf(at))).toEqual({ ok: true, value: { checked: 2, foreign: 0, wrong: [] } });
  });

  test('is read from there, and is the very state of a fold from the start', async () => {
    const { ledger, from } = counted(at, run);
    const loaded = await loadRun(ledger, run, snapshotsOf(at));
    expect(from).toEqual([last + 1]);
    expect(loaded.ok && imaged(loaded.value)).toEqual(imaged(whole));
  });

  /** Puts one in the place of the newest, reads the run, and puts the right one back. */
  async function readWith(put: Partial<KeptSnapshot>, using: Partial<Snapshots> = {}) {
    const kept = await placesOf(at, run);
    const older = kept[1] === undefined ? null : await shelfOf(at).read({ run, seq: kept[1] });
    await shelfOf(at).drop(kept.map((seq) => ({ run, seq })));
    await shelfOf(at).keep({ ...newest, ...put });
    const snapshots = snapshotsOf(at, using);
    const { ledger, from } = counted(at, run);
    const loaded = await loadRun(ledger, run, snapshots);
    const checked = await checkSnapshots(at.ledger, snapshotsOf(at));
    await shelfOf(at).drop((await placesOf(at, run)).map((seq) => ({ run, seq })));
    if (older?.ok === true && older.value !== null) await shelfOf(at).keep(older.value);
    await shelfOf(at).keep(newest);
    return { same: loaded.ok && imaged(loaded.value).join() === imaged(whole).join(), from, notes: snapshots.notes, checked };
  }
  const changed = (bytes: Bytes): Bytes => {
    const text = new TextDecoder().decode(bytes);
    const other = text.replace('"status":"closed"', '"status":"parked"');
    expect(other).not.toBe(text);
    return utf8Encode(other);
  };

  test('passes over a torn snapshot, one that was changed, and one of a stranger, with a note', async () => {
    const torn = newest.bytes.slice(0, 100);
    const forged = changed(newest.bytes);
    for (const put of [
      { bytes: torn },
      { bytes: torn, digest: digestOf(torn) },
      { bytes: forged, digest: digestOf(forged) },
      { bytes: forged, digest: digestOf(forged), tag: sha256(forged) },
      { tag: new Uint8Array(0) },
    ]) {
      const { same, from, notes } = await readWith(put);
      expect({ same, from, notes }).toEqual({
        same: true,
        from: [0],
        notes: [expect.stringMatching(/passed over: it was not made by this installation/)],
      });
    }
  });

  test('passes over one of another program, of other entries, and one beyond the end', async () => {
    const foreign = await readWith({}, { program: 'another one' });
    expect(foreign).toMatchObject({ same: true, from: [0], notes: [expect.stringMatching(/another program/)] });
    const other = await readWith({ leaf: newest.leaf.replace(/.$/, (end) => (end === '0' ? '1' : '0')) as KeptSnapshot['leaf'] });
    expect(other).toMatchObject({ same: true, from: [0], notes: [expect.stringMatching(/other entries/)] });
    const beyond = await readWith({ seq: last + 7 });
    expect(beyond).toMatchObject({ same: true, from: [0], notes: [expect.stringMatching(/beyond the end/)] });
  });

  test('is held against the fold: one that lies under a good tag is named, one of another program is counted', async () => {
    const bytes = changed(newest.bytes);
    const lying = await readWith({ bytes, digest: digestOf(bytes), tag: tagOf(bytes) });
    // The reader believes its own tag: that is why verification looks.
    expect(lying).toMatchObject({ same: false, from: [last + 1], notes: [] });
    expect(lying.checked).toMatchObject({
      value: { checked: 1, wrong: [{ run, seq: last, message: expect.stringMatching(/another state/) }] },
    });
    const strange = utf8Encode(new TextDecoder().decode(newest.bytes).replace('"this one"', '"another"'));
    expect((await readWith({ bytes: strange, digest: digestOf(strange) })).checked).toMatchObject({
      value: { checked: 0, foreign: 1, wrong: [] },
    });
    expect((await readWith({ digest: digestOf('another') })).checked).toMatchObject({ value: { checked: 1, wrong: [{ seq: last }] } });
  });

  test('is read without a shelf that answers', async () => {
    const silent = err({ code: 'store.corrupt', message: 'the table is damaged' } as const);
    const shelf: SnapshotShelf = {
      keep: async () => silent,
      places: async () => silent,
      read: async () => silent,
      drop: async () => silent,
    };
    const snapshots = snapshotsOf(at, { shelf });
    const loaded = await loadRun(at.ledger, run, snapshots);
    expect(loaded.ok && imaged(loaded.value)).toEqual(imaged(whole));
    expect(snapshots.notes).toEqual([expect.stringMatching(/cannot be read \(the table is damaged\)/)]);
    // A drive that cannot keep any goes on as well.
    const fresh = await place();
    const made = await opened(fresh, openingOf(fresh, { stages: [act('test', 'run_tests', 'done')] }));
    const kept = snapshotsOf(fresh, { shelf });
    const report = await drive(made.run, handsOf(fresh, newWorld(), { snapshots: kept }), { resume: false, driver: made.driver });
    expect(report.state.closed?.outcome).toBe('done');
    expect(kept.notes.length).toBeGreaterThan(1);
  });
});

describe('a driver with snapshots that dies', () => {
  const dieAt = (point: CrashPoint, times: number): ((at: CrashPoint) => void) => {
    let left = times;
    return (at) => {
      if (at === point && --left === 0) throw new Error(`died at ${point}`);
    };
  };

  test.each(['W3.appended', 'W14.kept'] as const)(
    'in window %s, at any of its passages, leaves a run that ends the same',
    async (point) => {
      const passed = new Map<CrashPoint, number>();
      const calm = await place();
      const calmRun = await opened(calm, openingOf(calm, { stages: REPEATABLE }));
      const crashPoint = (each: CrashPoint): void => void passed.set(each, (passed.get(each) ?? 0) + 1);
      const wanted = await drive(calmRun.run, handsOf(calm, newWorld(), { snapshots: snapshotsOf(calm), crashPoint }), {
        resume: false,
        driver: calmRun.driver,
      });
      const times = passed.get(point) ?? 0;
      expect(times).toBeGreaterThan(1);
      for (let passage = 1; passage <= times; passage++) {
        const at = await place();
        const world = newWorld();
        const dies = { snapshots: snapshotsOf(at), crashPoint: dieAt(point, passage) };
        const made = await openRun(openingOf(at, { stages: REPEATABLE }), {
          ledger: at.ledger,
          clock: at.clock,
          randomness: randomness('o'),
        });
        if (!made.ok) throw new Error(made.error.message);
        const { run, driver } = made.value;
        await expect(drive(run, handsOf(at, world, dies), { resume: false, driver })).rejects.toThrow(`died at ${point}`);
        const snapshots = snapshotsOf(at);
        const kept = await placesOf(at, run);
        const { ledger, from } = counted(at, run);
        const report = await drive(run, handsOf(at, world, { ledger, snapshots }));
        // It began where the last snapshot stands, or at the opening where there is none.
        expect(from[0]).toBe((kept[0] ?? -1) + 1);
        expect(snapshots.notes).toEqual([]);
        expect(report.state.closed?.outcome).toBe('done');
        expect(committedTree(report.state)).toBe(committedTree(wanted.state));
        expect(await checkSnapshots(at.ledger, snapshots)).toMatchObject({ value: { wrong: [], foreign: 0 } });
      }
    },
  );
});

describe('the habit of keeping', () => {
  test('spares short runs: no snapshot below 256 entries', async () => {
    const at = await place();
    const { run, driver } = await opened(at, openingOf(at, { stages: [agent('work', 'done')] }));
    const { every: _every, ...unhurried } = snapshotsOf(at);
    const report = await drive(run, handsOf(at, newWorld(), { snapshots: unhurried }), { resume: false, driver });
    expect(report.status).toBe('closed');
    expect(await placesOf(at, run)).toEqual([]);
  });
});
