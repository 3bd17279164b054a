/**
 * Counterfactual policy over runs that the kernel made: what would change is found at the very decision, approvals are carried, what is erased is
 * named, and a long past is read entry by entry. PROTOCOL §4.1; GOALS first 7.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { type Candidate, type SimulatedDecision, simulate, type TrajectorySource } from '@openexec/audit';
import type { TrajectoryId } from '@openexec/canon';
import { House, ONE_AGENT, RunDriver, writeFile } from '@openexec/kernel/fixture';
import { REGULATED, SOLO } from '@openexec/policy';
import type { PolicyBundle, PolicyRule } from '@openexec/protocol';

const READ = { name: 'read_file', arguments: { path: 'README.md' } };

function ruleOf(id: string, decide: PolicyRule['decide'], when: PolicyRule['when']): PolicyRule {
  return { id, when, decide, because: `because of ${id}`, examples: { match: [{}], noMatch: [{}] } };
}
const NO_PATCH = ruleOf('no-patch', 'deny', { field: 'action.name', op: 'eq', value: 'apply_patch' });
const PERMIT_ALL = ruleOf('permit-all', 'permit', { field: 'action.name', op: 'exists', value: true });
const bundleOf = (...rules: PolicyRule[]): PolicyBundle => ({ version: 1, name: 'candidate', rules });
const as = (layer: Candidate['layer'], bundle: PolicyBundle): Candidate => ({
  layer,
  bundle,
  source: 'candidate.yaml',
  signers: [],
  replaces: SOLO.name,
});

async function simulated(source: TrajectorySource, runs: readonly TrajectoryId[], candidate: Candidate) {
  const made: SimulatedDecision[] = [];
  const sum = await simulate(source, runs, candidate, (each) => void made.push(each));
  expect(made).toHaveLength(sum.decisions);
  const changes = made
    .filter(({ change }) => change !== 'same')
    .map(({ subject, change, direction }) => `${subject} ${change} ${direction}`);
  return { sum, made, changes };
}

describe('a past with an approval', () => {
  let house: House;
  let runs: readonly TrajectoryId[];
  beforeAll(async () => {
    house = await House.found();
    const run = await RunDriver.open(house, { blueprint: ONE_AGENT, opener: 'issuer' });
    await run.answer([READ, writeFile('package.json', '{}\n'), writeFile('src/a.ts', 'export {};\n')]);
    await run.play();
    await run.vote('anna');
    await run.play();
    expect(run.state.closed?.outcome).toBe('done');
    runs = [run.run];
  });

  test('is the same under the policy it was made under, what was approved included', async () => {
    const { sum, changes } = await simulated(house.store, runs, as('shipped', SOLO));
    expect([changes, sum.counts.same, sum.widened, sum.narrowed, sum.missed]).toEqual([[], sum.decisions, 0, 0, 0]);
    expect(sum.decisions).toBe(5);
  });

  test('is narrowed by a deny of the project, exactly where the rule speaks', async () => {
    const { sum, made, changes } = await simulated(house.store, runs, as('project', bundleOf(NO_PATCH)));
    // Asked, approved and compiled again; then the other patch.
    expect(changes).toEqual(Array.from({ length: 3 }, () => 'apply_patch newlyDenies narrowed'));
    expect([sum.narrowed, sum.widened]).toEqual([3, 0]);
    const denied = made.find(({ change }) => change === 'newlyDenies');
    expect(denied?.candidate).toMatchObject({ verdict: 'deny', by: 'policy', rule: { layer: 'project', rule: 'no-patch' } });
    expect(denied?.recorded).toMatchObject({ verdict: 'approve', rule: { layer: 'shipped', rule: 'ask-auto-run' } });
  });

  test('is widened by a policy that permits all in the place of the shipped one, and a permit of the project widens nothing', async () => {
    const all = await simulated(house.store, runs, as('shipped', bundleOf(PERMIT_ALL)));
    expect([...new Set(all.changes)]).toEqual(['apply_patch newlyPermits widened']);
    const lawful = await simulated(house.store, runs, as('operator', bundleOf(PERMIT_ALL)));
    expect(lawful.changes).toEqual(all.changes);
    const project = await simulated(house.store, runs, as('project', bundleOf(PERMIT_ALL)));
    expect(project.changes).toEqual([]);
  });

  test('asks others where the terms differ, and says in which direction', async () => {
    const { changes } = await simulated(house.store, runs, as('operator', REGULATED));
    expect(changes).toEqual(['apply_patch asksOtherwise narrowed']);
  });

  test('that was erased in part is named with what was not looked at', async () => {
    const erased: TrajectorySource = {
      blob: (digest) => house.store.blob(digest),
      read: async function* (...args) {
        for await (const stored of house.store.read(...args))
          yield stored.entry.kind === 'model.answered' ? { ...stored, payload: null, salt: null } : stored;
      },
    };
    const { sum } = await simulated(erased, runs, as('project', bundleOf(NO_PATCH)));
    const [run] = sum.runs;
    expect(run?.notDerivable).toMatchObject({ code: 'payload.erased' });
    expect(run?.notDerivable?.missed).toBe(sum.missed);
    const whole = await simulated(house.store, runs, as('project', bundleOf(NO_PATCH)));
    expect([sum.decisions > 0, sum.missed > 0, sum.decisions + sum.missed]).toEqual([true, true, whole.sum.decisions]);
  });
});

test('a past of ten thousand events is read entry by entry: nothing is read ahead of the decision in hand, and a run is let go when it ends', async () => {
  const house = await House.found();
  const runs: TrajectoryId[] = [];
  let events = 0;
  while (events < 10_000) {
    const run = await RunDriver.open(house, { blueprint: ONE_AGENT, grant: { budget: { tokens: 1e9, usdMicros: 1e9, calls: 1e6 } } });
    const answers = Array.from({ length: 23 }, () => Array.from({ length: 20 }, () => READ));
    await run.play({ answers });
    runs.push(run.run);
    events += run.state.nextSeq;
  }
  let handed = { run: '', seq: -1 };
  let openReads = 0;
  let mostOpen = 0;
  const counted: TrajectorySource = {
    blob: (digest) => house.store.blob(digest),
    read: async function* (trajectory, ...more) {
      openReads += 1;
      mostOpen = Math.max(mostOpen, openReads);
      try {
        for await (const stored of house.store.read(trajectory, ...more)) {
          handed = { run: trajectory, seq: stored.entry.seq };
          yield stored;
        }
      } finally {
        openReads -= 1;
      }
    },
  };
  let ahead = 0;
  const sum = await simulate(counted, runs, as('project', bundleOf(NO_PATCH)), ({ run, seq }) => {
    if (handed.run !== run || handed.seq !== seq) ahead += 1;
  });
  expect([sum.counts.same, sum.missed, ahead, mostOpen]).toEqual([sum.decisions, 0, 0, 1]);
  expect(sum.decisions).toBeGreaterThan(1000);
}, 120_000);
