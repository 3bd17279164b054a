/** Crashes in each numbered window, and a ledger that cannot be written. */
import { describe, expect, test } from '@jest/globals';
import { err, type TrajectoryId } from '@openexec/canon';
import { committedTree } from '@openexec/kernel';
import { CRASH_POINTS, type CrashPoint, driveRun, loadRun, NEVER, openRun } from '../src/index.ts';
import {
  act,
  agent,
  count,
  drive,
  entriesOf,
  handsOf,
  kinds,
  newWorld,
  opened,
  openingOf,
  type Place,
  place,
  randomness,
  utf8Text,
  watched,
  WHOLE,
} from './support.ts';

/** Everything of the whole run that may be repeated; what may not stands in a test of its own. */
const REPEATABLE = WHOLE.filter(({ id }) => id !== 'tell').map((stage) => (stage.id === 'work' ? { ...stage, onSuccess: 'test' } : stage));

function dieAt(point: CrashPoint, times: number): (at: CrashPoint) => void {
  let left = times;
  return (at) => {
    if (at === point && --left === 0) throw new Error(`died at ${point}`);
  };
}
/** How often an undisturbed drive passes each window. */
async function passages(): Promise<Map<CrashPoint, number>> {
  const at = await place();
  const passed = new Map<CrashPoint, number>();
  const crashPoint = (point: CrashPoint): void => void passed.set(point, (passed.get(point) ?? 0) + 1);
  const done = await openRun(openingOf(at, { stages: REPEATABLE }), {
    ledger: at.ledger,
    clock: at.clock,
    randomness: randomness('o'),
    crashPoint,
  });
  if (!done.ok) throw new Error(done.error.message);
  await drive(done.value.run, handsOf(at, newWorld(), { crashPoint }), { resume: false, driver: done.value.driver });
  return passed;
}

async function onlyRun(at: Place): Promise<TrajectoryId> {
  for await (const { trajectory } of at.ledger.trajectories('run/')) return trajectory;
  throw new Error('no run was opened');
}

describe('a driver that dies', () => {
  test('every window is passed by an ordinary run', async () => {
    expect([...(await passages()).keys()].sort()).toEqual([...CRASH_POINTS].sort());
  });

  test.each(CRASH_POINTS)('in window %s, at any of its passages, leaves a run that ends the same', async (point) => {
    const times = (await passages()).get(point) ?? 0;
    expect(times).toBeGreaterThan(0);
    const calm = await place();
    const calmRun = await opened(calm, openingOf(calm, { stages: REPEATABLE }));
    const wanted = await drive(calmRun.run, handsOf(calm, newWorld()));
    for (let passage = 1; passage <= times; passage++) {
      const at = await place();
      const world = newWorld();
      const opening = openingOf(at, { stages: REPEATABLE });
      const crashPoint = dieAt(point, passage);
      const whole = async (): Promise<void> => {
        const done = await openRun(opening, { ledger: at.ledger, clock: at.clock, randomness: randomness('o'), crashPoint });
        if (!done.ok) throw new Error(done.error.message);
        await drive(done.value.run, handsOf(at, world, { crashPoint }), { resume: false, driver: done.value.driver });
      };
      await expect(whole()).rejects.toThrow(`died at ${point}`);
      const report = await drive(await onlyRun(at), handsOf(at, world));
      expect(report.state.closed?.outcome).toBe('done');
      expect(committedTree(report.state)).toBe(committedTree(wanted.state));
      expect(report.state.landed?.tree).toBe(wanted.state.landed?.tree);
      expect(world.branches.size).toBe(1);
      expect(report.checkpoint?.ok).toBe(true);
    }
  });

  test.each(['W4.started', 'W5.performed'] as const)(
    'in window %s of what cannot be repeated, the effect is never done twice and the loss is recorded',
    async (point) => {
      const at = await place();
      const world = newWorld();
      const { run, driver } = await opened(at, openingOf(at, { stages: [act('tell', 'notify', 'done')] }));
      await expect(drive(run, handsOf(at, world, { crashPoint: dieAt(point, 1) }), { resume: false, driver })).rejects.toThrow(point);
      const report = await drive(run, handsOf(at, world));
      expect(count(world, 'notify')).toBe(point === 'W4.started' ? 0 : 1);
      expect(await kinds(at.ledger, run)).toContain('execution.lost');
      expect(report.state.closed?.outcome).toBe('failed');
    },
  );

  test('again and again while it asks, is asked for at most three times and then the stage fails', async () => {
    const at = await place();
    const world = newWorld();
    const { run } = await opened(at, openingOf(at, { stages: [agent('work', 'done')] }));
    for (let life = 0; life < 3; life++)
      await expect(drive(run, handsOf(at, world, { crashPoint: dieAt('W5.performed', 1) }))).rejects.toThrow('died');
    const report = await drive(run, handsOf(at, world));
    expect(report.state.closed?.because.code).toBe('model.interrupted');
    expect(world.asked).toHaveLength(3);
  });
});

describe('a ledger that cannot be written', () => {
  test.each(['store.full', 'store.unknownOutcome', 'store.readOnly'] as const)(
    '%s stops the work at once, whichever append it meets, and a later drive goes on',
    async (code) => {
      for (let failing = 1; failing <= 7; failing++) {
        const at = await place();
        const { run, driver } = await opened(at);
        const world = newWorld();
        let appends = 0;
        const ledger = watched(at.ledger, async (batch) =>
          ++appends === failing ? err({ code, message: 'the disk says no' }) : at.ledger.append(batch),
        );
        const effectsBefore = (): number => world.effects.length + world.asked.length;
        const hands = handsOf(at, world, { ledger });
        const stopped = await driveRun({ run, hands, stop: NEVER, onAwait: 'park', resume: false, driver });
        expect(stopped).toMatchObject({ ok: false, error: { code: `ledger.${code}` } });
        expect(appends).toBe(failing);
        // One effect for each start that is durable, and none for one that is not.
        const started = (await kinds(at.ledger, run)).filter((kind) => kind === 'execution.started' || kind === 'model.asked').length;
        expect(effectsBefore()).toBe(started);
        const resumed = await drive(run, handsOf(at, world));
        expect(resumed.status).toBe('closed');
        expect(count(world, 'notify')).toBeLessThanOrEqual(1);
      }
    },
  );

  test('a store that is busy is asked again, and one that stays busy is a failure', async () => {
    const at = await place();
    const { run, driver } = await opened(at);
    let busy = 3;
    const ledger = watched(at.ledger, async (batch) =>
      busy-- > 0 ? err({ code: 'store.busy', message: 'later' }) : at.ledger.append(batch),
    );
    expect((await drive(run, handsOf(at, newWorld(), { ledger }), { resume: false, driver })).state.closed?.outcome).toBe('done');
    const other = await opened(at);
    const never = watched(at.ledger, async () => err({ code: 'store.busy', message: 'later' }));
    const failed = await driveRun({
      run: other.run,
      hands: handsOf(at, newWorld(), { ledger: never }),
      stop: NEVER,
      onAwait: 'park',
      resume: true,
    });
    expect(failed).toMatchObject({ ok: false, error: { code: 'ledger.store.busy' } });
  });

  test('a commit of unknown outcome that was made is found by the next driver, which repeats nothing', async () => {
    const at = await place();
    const { run, driver } = await opened(at, openingOf(at, { stages: [act('tell', 'notify', 'done')] }));
    const world = newWorld();
    const ledger = watched(at.ledger, async (batch) => {
      await at.ledger.append(batch);
      return err({ code: 'store.unknownOutcome', message: 'no answer' });
    });
    expect(
      await driveRun({ run, hands: handsOf(at, world, { ledger }), stop: NEVER, onAwait: 'park', resume: false, driver }),
    ).toMatchObject({ ok: false });
    expect((await loadRun(at.ledger, run)).ok).toBe(true);
    await drive(run, handsOf(at, world));
    expect(count(world, 'notify')).toBe(0);
    expect(utf8Text((await entriesOf(at.ledger, run)).at(-1)?.payload ?? new Uint8Array())).toContain('execution.lost');
  });
});
