/** The loop: order of what becomes durable, conflicts, second drivers, stopping. */
import { describe, expect, test } from '@jest/globals';
import { err, type TrajectoryId, utf8Encode } from '@openexec/canon';
import type { AppendBatch, Stored } from '@openexec/ledger';
import { driveRun, type Hands, loadLaw, loadRun, NEVER, openRun, requestCancel, requestPause, stopSwitch } from '../src/index.ts';
import {
  act,
  count,
  drive,
  entriesOf,
  handsOf,
  keyOf,
  kinds,
  kindsOf,
  newWorld,
  opened,
  openingOf,
  place,
  randomness,
  SEEDS,
  trusted,
  utf8Text,
  watched,
} from './support.ts';

describe('an undisturbed run', () => {
  test('goes from its opening to a closed run with a checkpoint, and every effect has a durable start before it', async () => {
    const at = await place();
    const world = newWorld();
    const { run, driver } = await opened(at);
    const hands = handsOf(at, world);
    const starts: boolean[] = [];
    const host: Hands['host'] = {
      execute: async (order, stop) => {
        const there = (await entriesOf(at.ledger, run)).some(
          ({ entry, payload }) => entry.kind === 'execution.started' && utf8Text(payload ?? utf8Encode('')).includes(order.execution),
        );
        starts.push(there);
        return hands.host.execute(order, stop);
      },
    };
    const report = await drive(run, { ...hands, host }, { resume: false, driver });
    expect(report.status).toBe('closed');
    expect(report.state.closed?.outcome).toBe('done');
    expect(report.checkpoint?.ok).toBe(true);
    expect(starts).toEqual([true, true, true, true]);
    expect(world.effects.map(({ action }) => action)).toEqual(['apply_patch', 'notify', 'run_tests', 'commit_changes']);
    expect(world.tree).toEqual(['rebuild ', 'accept src/b.txt']);
    expect(world.branches.get(report.state.landed?.ref ?? '')).toBe(report.state.landed?.tree);
    expect(await kinds(at.ledger, run)).not.toContain('run.resumed');
  });

  test('costs two durable appends for each governed action and each turn', async () => {
    const at = await place();
    const { run, driver } = await opened(at);
    const batches: string[][] = [];
    const ledger = watched(at.ledger, (batch: AppendBatch) => {
      batches.push(kindsOf(batch));
      return at.ledger.append(batch);
    });
    await drive(run, { ...handsOf(at, newWorld()), ledger }, { resume: false, driver });
    // The opening's judgements; then one batch for each of two answers and four observations.
    expect(batches).toHaveLength(7);
    expect(batches[1]?.[0]).toBe('model.answered');
    expect(batches[1]?.at(-1)).toBe('execution.started');
    expect(batches[2]?.slice(0, 2)).toEqual(['execution.observed', 'commit.recorded']);
    expect(batches[2]?.at(-1)).toBe('model.asked');
    expect(batches.at(-1)?.at(-1)).toBe('run.closed');
  });

  test('tells an observer each entry once, in order, after it is durable', async () => {
    const at = await place();
    const { run, driver } = await opened(at);
    const seen: number[] = [];
    const observe = (stored: Stored): void => void seen.push(stored.entry.seq);
    await drive(run, { ...handsOf(at, newWorld()), observe }, { resume: false, driver });
    const entries = await entriesOf(at.ledger, run);
    expect(seen).toEqual(entries.slice(1).map(({ entry }) => entry.seq));
  });

  test('does not mind a clock that goes back: its facts never do', async () => {
    const at = await place();
    const { run, driver } = await opened(at);
    const back: Hands['clock'] = {
      now: () => {
        at.clock.ms -= 5;
        return at.clock.now();
      },
    };
    const report = await drive(run, { ...handsOf(at, newWorld()), clock: back }, { resume: false, driver });
    expect(report.state.closed?.outcome).toBe('done');
    const times = (await entriesOf(at.ledger, run)).map(({ entry }) => entry.at);
    expect(new Set(times).size).toBe(1);
  });

  test('stays closed: driving it again appends nothing, and nothing can be added', async () => {
    const at = await place();
    const { run } = await opened(at);
    const hands = handsOf(at, newWorld());
    await drive(run, hands);
    const before = await kinds(at.ledger, run);
    expect((await drive(run, hands)).status).toBe('closed');
    expect(await kinds(at.ledger, run)).toEqual(before);
    const cancel = await requestCancel({
      ledger: at.ledger,
      clock: at.clock,
      randomness: randomness('x'),
      run,
      actor: keyOf(SEEDS.issuer),
      because: 'late',
    });
    expect(cancel).toMatchObject({ ok: false, error: { code: 'run.closed' } });
  });
});

describe('what is refused before anything is done', () => {
  test('a writ opens one run', async () => {
    const at = await place();
    const opening = openingOf(at);
    await opened(at, opening);
    const again = await openRun(opening, { ledger: at.ledger, clock: at.clock, randomness: randomness('again') });
    expect(again).toMatchObject({ ok: false, error: { code: 'run.exists' } });
  });

  test('a run that is not there is unknown to every call', async () => {
    const at = await place();
    const run = 'run/00000000000000000000000000000000' as TrajectoryId;
    expect(await driveRun({ run, hands: handsOf(at, newWorld()), stop: NEVER, onAwait: 'park', resume: true })).toMatchObject({
      ok: false,
      error: { code: 'run.unknown' },
    });
    expect(await loadRun(at.ledger, run)).toMatchObject({ ok: false, error: { code: 'run.unknown' } });
    const pause = await requestPause({
      ledger: at.ledger,
      clock: at.clock,
      randomness: randomness('x'),
      run,
      actor: keyOf(SEEDS.issuer),
      because: { code: 'a.b', message: '' },
    });
    expect(pause).toMatchObject({ ok: false, error: { code: 'run.unknown' } });
  });

  test('a run that asks a model where none is configured keeps its place', async () => {
    const at = await place();
    const { run } = await opened(at);
    const bare = await driveRun({ run, hands: handsOf(at, newWorld(), { model: null }), stop: NEVER, onAwait: 'park', resume: true });
    expect(bare).toMatchObject({ ok: false, error: { code: 'model.missing' } });
    expect((await drive(run, handsOf(at, newWorld()))).state.closed?.outcome).toBe('done');
  });

  test('a closed ledger is a typed failure, not an exception', async () => {
    const at = await place();
    const { run } = await opened(at);
    await at.ledger.close();
    expect(await loadRun(at.ledger, run)).toMatchObject({ ok: false, error: { code: 'ledger.store.closed' } });
    expect(await driveRun({ run, hands: handsOf(at, newWorld()), stop: NEVER, onAwait: 'park', resume: true })).toMatchObject({
      ok: false,
      error: { code: 'ledger.store.closed' },
    });
  });
});

describe('others at the same ledger', () => {
  test('who appends between two of its batches is read, judged and passed over', async () => {
    const at = await place();
    const { run, driver } = await opened(at);
    const world = newWorld();
    let appends = 0;
    const ledger = watched(at.ledger, async (batch) => {
      appends++;
      if (appends === 3)
        await requestPause({
          ledger: at.ledger,
          clock: at.clock,
          randomness: randomness('p'),
          run,
          actor: keyOf(SEEDS.issuer),
          because: { code: 'person.asked', message: 'wait' },
        });
      return at.ledger.append(batch);
    });
    const parked = await drive(run, handsOf(at, world, { ledger }), { resume: false, driver });
    expect(parked.status).toBe('parked');
    expect(parked.state.parked?.because.code).toBe('person.asked');
    // The observation that met the conflict was not lost: it was committed before the run rested.
    expect(await kinds(at.ledger, run)).toContain('commit.recorded');
    expect((await drive(run, handsOf(at, world))).state.closed?.outcome).toBe('done');
    expect(count(world, 'apply_patch')).toBe(1);
  });

  test('a law that moves makes it judge again under the new one', async () => {
    const at = await place();
    const { run, driver } = await opened(at);
    const before = (await at.ledger.trajectory('law' as TrajectoryId))?.seq ?? -1;
    let appends = 0;
    const ledger = watched(at.ledger, async (batch) => {
      appends++;
      if (appends === 2) await at.legislate('key.trusted', trusted(new Uint8Array(32).fill(9), 'issuer'));
      return at.ledger.append(batch);
    });
    expect((await drive(run, handsOf(at, newWorld(), { ledger }), { resume: false, driver })).state.closed?.outcome).toBe('done');
    const laws = new Set((await entriesOf(at.ledger, run)).map(({ entry }) => entry.law));
    expect([...laws]).toEqual([null, before, before + 1]);
    expect((await loadLaw(at.ledger)).ok).toBe(true);
  });

  test('a second driver is refused while one holds the lease, and a second appender is not', async () => {
    const at = await place();
    const { run, driver } = await opened(at);
    let held = false;
    const lease: Hands['lease'] = {
      acquire: async () => {
        if (held) return null;
        held = true;
        return { held: async () => held, release: async () => void (held = false) };
      },
    };
    const world = newWorld();
    const hands = handsOf(at, world, { lease });
    let second: unknown;
    let noted: unknown;
    const host: Hands['host'] = {
      execute: async (order, stop) => {
        second ??= await driveRun({ run, hands: handsOf(at, world, { lease }), stop: NEVER, onAwait: 'park', resume: true });
        noted ??= await requestCancel({
          ledger: at.ledger,
          clock: at.clock,
          randomness: randomness('c'),
          run,
          actor: keyOf(SEEDS.issuer),
          because: 'enough',
        });
        return hands.host.execute(order, stop);
      },
    };
    const first = await drive(run, { ...hands, host }, { resume: false, driver });
    expect(second).toMatchObject({ ok: false, error: { code: 'run.busy' } });
    expect(noted).toMatchObject({ ok: true });
    expect(first.state.closed?.outcome).toBe('cancelled');
    expect(held).toBe(false);
  });

  test('a driver whose lease is lost performs nothing more, and a resume goes on', async () => {
    const at = await place();
    const { run, driver } = await opened(at);
    const world = newWorld();
    let asked = 0;
    const lease: NonNullable<Hands['lease']> = {
      acquire: async () => ({ held: async () => ++asked < 2, release: async () => undefined }),
    };
    const hands = handsOf(at, world, { lease });
    let performed = 0;
    const host: Hands['host'] = {
      execute: async (order, stop) => {
        performed += 1;
        return hands.host.execute(order, stop);
      },
    };
    const lost = await driveRun({ run, hands: { ...hands, host }, stop: NEVER, onAwait: 'park', resume: false, driver });
    expect(lost).toMatchObject({ ok: false, error: { code: 'run.busy' } });
    expect(asked).toBe(2);
    expect(performed).toBeLessThanOrEqual(1);
    const resumed = await drive(run, handsOf(at, world), { resume: true });
    expect(resumed.status).toBe('closed');
  });

  test('without a lease the later driver wins, the earlier stops, and what cannot be repeated is not', async () => {
    const at = await place();
    const { run, driver } = await opened(at);
    const world = newWorld();
    const hands = handsOf(at, world);
    let taken = false;
    let later: unknown;
    const host: Hands['host'] = {
      execute: async (order, stop) => {
        if (order.action === 'notify' && !taken) {
          taken = true;
          later = await driveRun({ run, hands: handsOf(at, world), stop: NEVER, onAwait: 'park', resume: true });
        }
        return hands.host.execute(order, stop);
      },
    };
    const earlier = await driveRun({ run, hands: { ...hands, host }, stop: NEVER, onAwait: 'park', resume: false, driver });
    expect(later).toMatchObject({ ok: true, value: { status: 'closed' } });
    expect(earlier).toMatchObject({ ok: false });
    expect(count(world, 'notify')).toBe(1);
    expect(await kinds(at.ledger, run)).toContain('execution.lost');
  });

  test('a start that comes back as a duplicate licenses nothing: the driver resumes under a higher epoch', async () => {
    const at = await place();
    const { run, driver } = await opened(at, openingOf(at, { stages: [act('tell', 'notify', 'done')] }));
    const world = newWorld();
    const ledger = watched(at.ledger, async (batch) => {
      if (kindsOf(batch).includes('execution.started')) await at.ledger.append(batch);
      return at.ledger.append(batch);
    });
    const report = await drive(run, handsOf(at, world, { ledger }), { resume: false, driver });
    expect(count(world, 'notify')).toBe(0);
    expect(await kinds(at.ledger, run)).toEqual(expect.arrayContaining(['run.resumed', 'execution.lost']));
    expect(report.state.epoch).toBe(2);
  });
});

describe('stopping', () => {
  test('an effect that ends although it was asked to stop is recorded, committed, and the run rests', async () => {
    const at = await place();
    const { run, driver } = await opened(at);
    const world = newWorld();
    const hands = handsOf(at, world);
    const stop = stopSwitch();
    const host: Hands['host'] = {
      execute: (order, signal) => {
        stop.stop();
        return hands.host.execute(order, signal);
      },
    };
    const report = await drive(run, { ...hands, host }, { resume: false, driver, stop: stop.signal });
    expect(report.status).toBe('stopped');
    const list = await kinds(at.ledger, run);
    expect(list).toContain('commit.recorded');
    expect(list.at(-1)).toBe('run.parked');
    expect((await drive(run, handsOf(at, world))).state.closed?.outcome).toBe('done');
    expect(count(world, 'apply_patch')).toBe(1);
  });

  test('an effect that was cut short is left open, and the resumed run retries it', async () => {
    const at = await place();
    const { run, driver } = await opened(at);
    const world = newWorld();
    const stop = stopSwitch();
    const host: Hands['host'] = {
      execute: async () => {
        stop.stop();
        return err({ code: 'run.stopped', message: 'cut short', effectUnknown: true, output: null });
      },
    };
    const report = await drive(run, handsOf(at, world, { host }), { resume: false, driver, stop: stop.signal });
    expect(report.status).toBe('stopped');
    expect((await kinds(at.ledger, run)).at(-1)).toBe('execution.started');
    expect((await drive(run, handsOf(at, world))).state.closed?.outcome).toBe('done');
    expect(await kinds(at.ledger, run)).not.toContain('execution.failed');
  });

  test('a driver that was stopped before it began starts nothing', async () => {
    const at = await place();
    const { run } = await opened(at);
    const world = newWorld();
    const stop = stopSwitch();
    stop.stop();
    expect((await drive(run, handsOf(at, world), { stop: stop.signal })).status).toBe('stopped');
    expect(world.asked).toHaveLength(0);
    expect(world.effects).toHaveLength(0);
  });

  test('a linked switch stops with its parent, calls each listener once, and is let go', () => {
    const parent = stopSwitch();
    const child = stopSwitch(parent.signal);
    const free = stopSwitch(parent.signal);
    let called = 0;
    child.signal.onStop(() => void called++);
    child.signal.onStop(() => void called++)();
    free.release();
    parent.stop();
    parent.stop();
    expect([child.signal.stopped, free.signal.stopped, called]).toEqual([true, false, 1]);
    expect(stopSwitch(parent.signal).signal.stopped).toBe(true);
  });
});
