/** Child runs: who may open, what they cost, what becomes of them when a process dies anywhere, and what a forger cannot hide. PROTOCOL §§4.3, 5. */
import { describe, expect, test } from '@jest/globals';
import { deepVerify } from '@openexec/audit';
import { issueWrit, runTrajectory, writId } from '@openexec/authority';
import type { Json, TrajectoryId } from '@openexec/canon';
import { committedTree } from '@openexec/kernel';
import type { LedgerStore } from '@openexec/ledger';
import {
  CRASH_POINTS,
  type CrashPoint,
  DELEGATION_POINTS,
  loadRun,
  openChildren,
  type Opening,
  openRun,
  requestCancel,
  stopSwitch,
} from '../src/index.ts';
import { blueprintOf, BUDGET, call, familyHands, file, handOut, HANDED, leading, PLAIN, type Script } from './children.ts';
import { act, agent, drive, entriesOf, kinds, newWorld, opened, type Place, place, randomness, SEEDS } from './support.ts';
import { bodyOf, taken } from './writs.ts';

function bodyOfWrit({ writs }: Opening) {
  const [writ] = writs;
  if (writ === undefined) throw new Error('no writ');
  return writ.body;
}
async function runsOf(at: Place): Promise<readonly TrajectoryId[]> {
  const found: { readonly run: TrajectoryId; readonly index: bigint }[] = [];
  for await (const { trajectory } of at.ledger.trajectories('run/')) {
    const [first] = await entriesOf(at.ledger, trajectory);
    found.push({ run: trajectory, index: first?.index ?? 0n });
  }
  return found.sort((a, b) => (a.index < b.index ? -1 : 1)).map(({ run }) => run);
}
async function stateOf(ledger: LedgerStore, run: TrajectoryId | undefined) {
  if (run === undefined) throw new Error('no such run');
  const state = await loadRun(ledger, run);
  if (!state.ok) throw new Error(state.error.message);
  return state.value;
}
/** Nothing is found by judging all again. */
async function sound(at: Place): Promise<void> {
  const { totals, carvingFaults, lawProblems, runs } = await deepVerify(at.ledger);
  expect(runs.flatMap(({ divergences, violations }) => [...divergences, ...violations])).toEqual([]);
  expect([totals.divergences, carvingFaults, lawProblems]).toEqual([0, [], []]);
}
/** What the production verifier finds between parents and children. */
async function found(at: Place): Promise<readonly (readonly [string | null, string | null])[]> {
  const { runs } = await deepVerify(at.ledger);
  return runs.flatMap(({ divergences }) =>
    divergences.filter(({ what }) => what === 'delegation').map(({ expected, recorded }) => [expected, recorded] as const),
  );
}
async function whole(script?: Script) {
  const at = await place();
  const opening = leading(at);
  const { run, driver } = await opened(at, opening);
  const world = newWorld();
  const report = await drive(run, familyHands(at, world, script === undefined ? {} : { script }), { resume: false, driver });
  return { at, opening, run, world, report };
}

describe('a delegation', () => {
  test('gives the child a narrower writ and what the parent had committed, and the parent its answer, not its files', async () => {
    const { at, opening, run, report, world } = await whole();
    expect(report.state.closed?.outcome).toBe('done');
    const [, childRun] = await runsOf(at);
    const child = await stateOf(at.ledger, childRun);
    expect(child.law?.writ).toMatchObject({
      budget: HANDED,
      delegation: { depth: 1, maySubdivide: true },
      parent: writId(bodyOfWrit(opening)),
    });
    expect([...(child.law?.base.keys() ?? [])]).toEqual(['src/a.txt', 'src/lead.txt']);
    expect(child.law?.opened.parent?.trajectory).toBe(run);
    const told = world.asked.find(({ stage, turn }) => stage === 'lead' && turn === 3)?.messages.at(-1);
    expect(told?.role === 'tool' ? told.text : '').toContain('src/b.txt');
    await sound(at);
  });

  test('costs its parent the call and what the child spent, no more; what was handed out and not spent comes back', async () => {
    const { at, opening, report } = await whole();
    const [, childRun] = await runsOf(at);
    const spent = (await stateOf(at.ledger, childRun)).closed?.spend;
    // Two answers of ten tokens and one action.
    expect(spent).toEqual({ tokens: 20, usdMicros: 0, calls: 3 });
    // Four answers, two patches, the delegating call.
    expect(report.state.closed?.spend).toEqual({ tokens: 40 + 20, usdMicros: 0, calls: 7 + 3 });
    expect(await taken(at.ledger, opening.writs[0])).toEqual(report.state.closed?.spend);
  });

  test('of a child that delegates in its turn is settled through every generation', async () => {
    const script: Script = {
      lead: [handOut('mid', { calls: 100, tokens: 400_000 })],
      mid: [handOut('part', { calls: 20 }), handOut('part', { calls: 20 })],
      part: [file('src/b.txt', 'part')],
    };
    const { at, report } = await whole(script);
    const states = await Promise.all((await runsOf(at)).map((run) => stateOf(at.ledger, run)));
    expect(states.map(({ law, closed }) => [law?.blueprint.name, closed?.outcome, closed?.spend.calls])).toEqual([
      ['lead', 'done', 2 + 1 + 11],
      ['mid', 'done', 3 + 2 + 6],
      ['part', 'done', 3],
      ['part', 'done', 3],
    ]);
    expect(report.state.closed?.spend.calls).toBe(14);
    await sound(at);
  });

  test.each([
    ['a blueprint that the run does not name', { blueprint: 'other' }, 'delegation.blueprint'],
    ['an action beyond the writ', { actions: ['*'] }, 'writ.widens'],
    ['a path beyond the writ', { writePaths: ['**'] }, 'writ.widens'],
    ['a pattern that is none', { writePaths: ['../x'] }, 'delegation.writ'],
    ['more than the whole grant', { calls: BUDGET.calls + 1 }, 'writ.widens'],
    ['more than is left of it', { calls: BUDGET.calls }, 'budget.exhausted'],
    ['no task', { task: '' }, 'arguments.invalid'],
    ['a member that nobody knows', { depth: 3 }, 'arguments.invalid'],
  ])('that wishes %s opens nothing', async (_, more, code) => {
    const at = await place();
    const opening = leading(at, {}, { actions: ['read_file', 'apply_patch', 'delegate_run', 'model.ask'] });
    const { run, driver } = await opened(at, opening);
    const script: Script = { lead: [handOut('part', more)] };
    const report = await drive(run, familyHands(at, newWorld(), { script }), { resume: false, driver });
    expect(report.state.closed?.outcome).toBe('done');
    expect(await runsOf(at)).toEqual([run]);
    const rejected = (await entriesOf(at.ledger, run)).find(({ entry }) => entry.kind === 'proposal.rejected');
    expect(bodyOf(rejected?.payload ?? null)).toMatchObject({ because: { code } });
    await sound(at);
  });

  test.each([
    ['does not let it subdivide', { depth: 2, maySubdivide: false }],
    ['has no depth left', { depth: 0, maySubdivide: true }],
  ])('under a writ that %s opens nothing', async (_, delegation) => {
    const at = await place();
    const { run, driver } = await opened(at, leading(at, {}, { delegation }));
    await drive(run, familyHands(at, newWorld()), { resume: false, driver });
    expect(await runsOf(at)).toEqual([run]);
    expect(await kinds(at.ledger, run)).not.toContain('delegation.opened');
  });

  test('at the end of the depth is refused to the grandchild, however the child asks', async () => {
    const script: Script = { lead: [handOut('mid', { calls: 100 })], mid: [handOut('part')], part: [] };
    const at = await place();
    const { run, driver } = await opened(at, leading(at, {}, { delegation: { depth: 1, maySubdivide: true } }));
    await drive(run, familyHands(at, newWorld(), { script }), { resume: false, driver });
    expect(await runsOf(at)).toHaveLength(2);
    await sound(at);
  });

  test('never lands: a child whose blueprint would is denied', async () => {
    const at = await place();
    const lands = { ...blueprintOf('part'), stages: [agent('part', 'land'), act('land', 'commit_changes', 'done')] };
    const { run, driver } = await opened(at, leading(at, { delegates: [{ name: 'part', blueprint: lands }] }));
    const world = newWorld();
    const report = await drive(run, familyHands(at, world), { resume: false, driver });
    const [, child] = await runsOf(at);
    expect((await stateOf(at.ledger, child)).closed).toMatchObject({ outcome: 'failed', because: { code: 'delegation.lands' } });
    expect(report.state.closed?.outcome).toBe('done');
    expect(world.branches.size).toBe(0);
    await sound(at);
  });
});

describe('a driver of a family that dies', () => {
  const points: readonly CrashPoint[] = [...CRASH_POINTS, ...DELEGATION_POINTS];
  async function passages(): Promise<Map<CrashPoint, number>> {
    const at = await place();
    const passed = new Map<CrashPoint, number>();
    const crashPoint = (point: CrashPoint): void => void passed.set(point, (passed.get(point) ?? 0) + 1);
    const done = await openRun(leading(at), { ledger: at.ledger, clock: at.clock, randomness: randomness('o'), crashPoint });
    if (!done.ok) throw new Error(done.error.message);
    await drive(done.value.run, familyHands(at, newWorld(), { crashPoint }), { resume: false, driver: done.value.driver });
    return passed;
  }

  test.each(points)(
    'in window %s, at any of its passages, leaves a parent whose resume ends both the same',
    async (point) => {
      const times = (await passages()).get(point) ?? 0;
      expect(times).toBeGreaterThan(0);
      const calm = await whole();
      const wanted = committedTree(calm.report.state);
      for (let passage = 1; passage <= times; passage++) {
        const at = await place();
        const world = newWorld();
        let left = passage;
        const crashPoint = (passed: CrashPoint): void => {
          if (passed === point && --left === 0) throw new Error(`died at ${point}`);
        };
        const opening = leading(at);
        const first = async (): Promise<void> => {
          const done = await openRun(opening, { ledger: at.ledger, clock: at.clock, randomness: randomness('o'), crashPoint });
          if (!done.ok) throw new Error(done.error.message);
          await drive(done.value.run, familyHands(at, world, { crashPoint }), { resume: false, driver: done.value.driver });
        };
        await expect(first()).rejects.toThrow(`died at ${point}`);
        const [run] = await runsOf(at);
        if (run === undefined) throw new Error('no run');
        const report = await drive(run, familyHands(at, world));
        expect([report.state.closed?.outcome, committedTree(report.state)]).toEqual(['done', wanted]);
        const all = await runsOf(at);
        expect(all).toHaveLength(2);
        expect((await stateOf(at.ledger, all[1])).closed?.outcome).toBe('done');
        expect((await kinds(at.ledger, run)).filter((kind) => kind.startsWith('delegation.'))).toEqual([
          'delegation.opened',
          'delegation.closed',
        ]);
        // Whatever a death made anew was paid for, and never more than was granted; the writ gave exactly what was spent.
        expect(await taken(at.ledger, opening.writs[0])).toEqual(report.state.closed?.spend);
        await sound(at);
      }
    },
    120_000,
  );
});

describe('between parent and child', () => {
  test('a stop rests both; a resume of the parent goes on with the same child', async () => {
    const at = await place();
    const { run, driver } = await opened(at, leading(at));
    const stop = stopSwitch();
    const hands = familyHands(at, newWorld(), { before: async ({ stage }) => (stage === 'part' ? stop.stop() : undefined) });
    const stopped = await drive(run, hands, { resume: false, driver, stop: stop.signal });
    expect(stopped.status).not.toBe('closed');
    expect((await openChildren(at.ledger, run)).ok).toBe(true);
    const report = await drive(run, familyHands(at, newWorld()));
    expect(report.state.closed?.outcome).toBe('done');
    expect(await runsOf(at)).toHaveLength(2);
    await sound(at);
  });

  test('a parent that is cancelled cancels its child and ends after it', async () => {
    const at = await place();
    const { run, driver } = await opened(at, leading(at));
    const stop = stopSwitch();
    const hands = familyHands(at, newWorld(), { before: async ({ stage }) => (stage === 'part' ? stop.stop() : undefined) });
    await drive(run, hands, { resume: false, driver, stop: stop.signal });
    const { ledger, clock } = at;
    const actor = leading(at).opener;
    await requestCancel({ ledger, clock, randomness: randomness('c'), run, actor, because: 'enough' });
    const report = await drive(run, familyHands(at, newWorld()));
    const [, child] = await runsOf(at);
    expect([report.state.closed?.outcome, (await stateOf(at.ledger, child)).closed?.outcome]).toEqual(['cancelled', 'cancelled']);
    await sound(at);
  });

  test('a revoked writ of the parent stops the child at its next use, and then the parent', async () => {
    const at = await place();
    const opening = leading(at);
    const { run, driver } = await opened(at, opening);
    const writ = writId(bodyOfWrit(opening));
    const before = async ({ stage }: { stage: string }): Promise<void> => {
      if (stage === 'part') await at.legislate('writ.revoked', { writ, because: 'stop' });
    };
    const world = newWorld();
    const report = await drive(run, familyHands(at, world, { before }), { resume: false, driver });
    const [, child] = await runsOf(at);
    expect([report.state.closed?.outcome, (await stateOf(at.ledger, child)).closed?.outcome]).toEqual(['denied', 'denied']);
    expect(world.effects.map(({ action }) => action)).toEqual(['apply_patch']);
    await sound(at);
  });

  test.each([1, 2])('a writ of the parent that is revoked before a child of depth %i opens gives no child that acts', async (depth) => {
    const at = await place();
    const opening = leading(at, {}, { delegation: { depth, maySubdivide: true } });
    const { run, driver } = await opened(at, opening);
    const writ = writId(bodyOfWrit(opening));
    const script: Script = { lead: [handOut('mid')], mid: [file('src/b.txt', 'mid')] };
    const revoked: Promise<void>[] = [];
    const crashPoint = (point: CrashPoint): void => {
      if (point === 'W10.delegated') revoked.push(at.legislate('writ.revoked', { writ, because: 'stop' }));
    };
    const world = newWorld();
    const report = await drive(run, familyHands(at, world, { script, crashPoint }), { resume: false, driver });
    await Promise.all(revoked);
    expect(report.state.closed?.outcome).toBe('denied');
    expect(world.effects).toEqual([]);
    await sound(at);
  });
});

describe('a forger who holds every key', () => {
  test('cannot open a child that its parent did not hand out', async () => {
    const { at, run, opening } = await whole();
    const above = bodyOfWrit(opening);
    const writ = {
      ...above,
      parent: writId(above),
      issuer: above.subject,
      nonce: at.nonce(),
      budget: HANDED,
      delegation: { depth: 0, maySubdivide: false },
    };
    const orphan = leading(at, {
      writs: [...opening.writs, issueWrit({ writ, seed: SEEDS.runtime })],
      parent: { trajectory: run, seq: 3 },
    });
    const done = await openRun(orphan, { ledger: at.ledger, clock: at.clock, randomness: randomness('x') });
    expect(done.ok).toBe(true);
    expect(await found(at)).toEqual([['a delegation.opened that hands this run out, before it', `${run} 3`]]);
  });

  test('cannot name another run as the parent than the one whose writ stands above', async () => {
    const { at, opening } = await whole();
    const above = bodyOfWrit(opening);
    const writ = {
      ...above,
      parent: writId(above),
      issuer: above.subject,
      nonce: at.nonce(),
      budget: HANDED,
      delegation: { depth: 0, maySubdivide: false },
    };
    const other = runTrajectory({ issuer: above.issuer, nonce: at.nonce() });
    const orphan = leading(at, {
      writs: [...opening.writs, issueWrit({ writ, seed: SEEDS.runtime })],
      parent: { trajectory: other, seq: 3 },
    });
    const { run, driver } = await opened(at, orphan);
    const report = await drive(run, familyHands(at, newWorld()), { resume: false, driver });
    expect(report.state.closed?.because.code).toBe('delegation.otherParent');
  });

  test('cannot give the child more than was handed out, nor another task', async () => {
    const at = await place();
    const { run, driver } = await opened(at, leading(at));
    const sign = (writ: Parameters<typeof issueWrit>[0]['writ']) => ({ ...writ, budget: { ...writ.budget, calls: 999 } });
    await drive(run, familyHands(at, newWorld(), { sign }), { resume: false, driver });
    expect(await found(at)).toEqual([[expect.stringContaining('"calls":50'), expect.stringContaining('"calls":999')]]);
  });

  test.each<[string, (body: { readonly [name: string]: Json }) => { readonly [name: string]: Json }, RegExp]>([
    ['outcome', (body) => ({ ...body, outcome: 'failed' }), /^outcome "failed"$/],
    ['cost', (body) => ({ ...body, spend: { tokens: 0, usdMicros: 0, calls: 0 } }), /^spend /],
    ['tree', (body) => ({ ...body, tree: '0'.repeat(40) }), /^tree /],
    ['reason', (body) => ({ ...body, because: { code: 'a.b', message: 'c' } }), /^because /],
    ['last entry', (body) => ({ ...body, child: { trajectory: 'run/0', seq: 1 } }), /^child /],
    ['very end', (body) => ({ ...body, child: null }), /^outcome |^spend |^child null$/],
  ])('cannot record another %s of a child than its own', async (_, change, shows) => {
    const at = await place();
    const { run, driver } = await opened(at, leading(at));
    const append: LedgerStore['append'] = (batch) =>
      at.ledger.append({
        ...batch,
        to: batch.to.map((part) => ({
          ...part,
          drafts: part.drafts.map((draft) =>
            draft.kind === 'delegation.closed' ? { ...draft, payload: change(draft.payload as { readonly [name: string]: Json }) } : draft,
          ),
        })),
      });
    const ledger = new Proxy(at.ledger, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name, target);
        return name === 'append' ? append : typeof member === 'function' ? member.bind(target) : member;
      },
    });
    await drive(run, familyHands({ ...at, ledger }, newWorld(), { script: { ...PLAIN, lead: [handOut('part')] } }), {
      resume: false,
      driver,
    });
    const faults = await found(at);
    expect(faults.length).toBeGreaterThan(0);
    for (const [, recorded] of faults) expect(recorded).toMatch(shows);
  });
});

test('a call that names no blueprint of the law is answered like any other refusal', async () => {
  const { at, run } = await whole({ lead: [call('delegate_run', {})] });
  expect(await kinds(at.ledger, run)).toContain('proposal.rejected');
  await sound(at);
});
