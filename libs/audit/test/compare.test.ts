/**
 * Two runs side by side: the same story in two runs is the same, whatever its ids and times; the first difference and every other is named on both
 * sides; what is gone is never called the same.
 */
import { describe, expect, test } from '@jest/globals';
import { type AuditSource, compareRuns, outlineRun } from '@openexec/audit';
import { House, ONE_AGENT, RunDriver, writeFile } from '@openexec/kernel/fixture';
import type { TrajectoryId } from '@openexec/canon';

const TWO = writeFile('src/a.ts', 'export const a = 2;\n');
const THREE = writeFile('src/a.ts', 'export const a = 3;\n');
type Story = Parameters<RunDriver['play']>[0];

async function played(house: House, story: Story, options: Parameters<typeof RunDriver.open>[1] = {}): Promise<TrajectoryId> {
  const run = await RunDriver.open(house, options);
  await run.play(story);
  return run.state.run;
}
const compared = async (source: AuditSource, left: TrajectoryId, right: TrajectoryId) => {
  const comparison = await compareRuns({ source, run: left }, { source, run: right });
  if (comparison === null) throw new Error('no such run');
  return comparison;
};
const REPAIR: Story = { answers: [[TWO], 'written', [THREE], 'repaired'], tests: [false, true] };

describe('comparing two runs', () => {
  test('says that nothing differs of the same story told twice, and of a run with itself', async () => {
    const house = await House.found();
    const [left, right] = [await played(house, REPAIR), await played(house, REPAIR)];
    for (const comparison of [await compared(house.store, left, right), await compared(house.store, left, left)])
      expect(comparison).toMatchObject({
        same: true,
        first: null,
        facets: [],
        stages: [],
        intents: [],
        verdicts: [],
        effects: [],
        files: [],
        cost: [],
      });
    expect((await outlineRun(house.store, left))?.steps.length).toBeGreaterThan(15);
  });

  test('names the first step in which they part with its position on both sides, and all that follows from it; swapped, it is mirrored', async () => {
    const house = await House.found();
    const left = await played(house, REPAIR);
    const right = await played(house, { answers: [[THREE], 'written'], tests: [true] });
    const comparison = await compared(house.store, left, right);
    const { first } = comparison;
    expect([first?.left?.text, first?.right?.text]).toEqual([
      expect.stringMatching(/^model wants apply_patch with sha256:/),
      expect.stringMatching(/^model wants apply_patch with sha256:/),
    ]);
    expect(first?.left?.seq).toBe(first?.right?.seq);
    expect(comparison).toMatchObject({ same: false, facets: [], files: [] });
    expect(comparison.stages.every(({ right: one }) => one === null || one.text.includes('visit 1'))).toBe(true);
    expect(comparison.intents.filter(({ left: one }) => one !== null).length).toBeGreaterThan(0);
    expect(comparison.cost.map(({ what }) => what)).toContain('asks');
    const mirrored = await compared(house.store, right, left);
    expect(mirrored.first).toEqual({ left: first?.right, right: first?.left });
    expect(mirrored.cost).toEqual(comparison.cost.map(({ what, left: a, right: b }) => ({ what, left: b, right: a })));
  });

  test('names another opening first, and another file content by path', async () => {
    const house = await House.found();
    const left = await played(house, { answers: [[TWO], 'written'], tests: [true] });
    const other = await played(house, { answers: [[THREE], 'written'], tests: [true] });
    expect((await compared(house.store, left, other)).files).toEqual([
      { path: 'src/a.ts', left: expect.stringMatching(/^sha256:.* 100644$/), right: expect.stringMatching(/^sha256:.* 100644$/) },
    ]);
    const agent = await played(house, { answers: ['nothing'] }, { blueprint: ONE_AGENT });
    const comparison = await compared(house.store, left, agent);
    expect(comparison.facets.map(({ what }) => what)).toContain('blueprint');
    expect(comparison.first?.left).toMatchObject({ seq: 0, text: expect.stringContaining('blueprint') });
  });

  test('calls nothing the same whose payload is gone, and knows no run that is not there', async () => {
    const house = await House.found();
    const run = await played(house, REPAIR);
    const gone: AuditSource = {
      all: async function* all(from) {
        for await (const stored of house.store.all(from))
          yield stored.entry.trajectory === run && stored.entry.seq === 5 ? { ...stored, payload: null } : stored;
      },
      blob: (digest) => house.store.blob(digest),
    };
    expect(await compared(gone, run, run)).toMatchObject({ same: false, unreadable: { left: [5], right: [5] } });
    const other = `run/${'f'.repeat(32)}` as TrajectoryId;
    expect(await compareRuns({ source: house.store, run }, { source: house.store, run: other })).toBeNull();
  });
});
