/**
 * Step replay and golden runs: the part of a run that is judged, and only that part; the tree that the recorded commits make by themselves; and the
 * golden runs of this repository under this kernel and under candidates that judge otherwise. PROTOCOL §10; GOALS E14.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { type JudgingKernel, replayGolden, replayRun, replayStage, type StageReplay } from '@openexec/audit';
import { type Json, parseJson, type TrajectoryId } from '@openexec/canon';
import { committedTree, evolve, judge } from '@openexec/kernel';
import { entriesOf, House, rechained, RunDriver, writeFile } from '@openexec/kernel/fixture';
import type { Stored } from '@openexec/ledger';
import { type GoldenRun, goldenRun } from '@openexec/protocol';
import { openBundle } from '@openexec/verify/files';

const GOLDEN = resolve(dirname(fileURLToPath(import.meta.url)), '../../../test-fixtures/golden');
const TWO = writeFile('src/a.ts', 'export const a = 2;\n');
const THREE = writeFile('src/a.ts', 'export const a = 3;\n');
const NEW = writeFile('src/new/b.ts', 'b\n');

function reportOf(replayed: StageReplay | null) {
  if (replayed === null || !('report' in replayed)) throw new Error('no such visit');
  return replayed.report;
}
function asObject(body: Json): { readonly [name: string]: Json } {
  return body as { readonly [name: string]: Json };
}

describe('step replay', () => {
  let house: House;
  let run: RunDriver;
  let all: readonly Stored[];
  beforeAll(async () => {
    house = await House.found();
    run = await RunDriver.open(house);
    await run.play({ answers: [[TWO, NEW], 'written', [THREE], 'repaired'], tests: [false, true] });
    all = await entriesOf(house.store);
  });

  /** The ledger with the first entry of this kind, from this position of the run on, forged. */
  const forged = (kind: string, from: number, change: { readonly [name: string]: Json }) => {
    const at = all.find(({ entry }) => entry.trajectory === run.run && entry.kind === kind && entry.seq >= from);
    if (at === undefined) throw new Error(`there is no ${kind} from ${from} on`);
    const source = rechained(all, house.store, (stored, body) => [
      { entry: {}, body: stored.index === at.index ? { ...asObject(body), ...change } : body },
    ]);
    return { source, seq: at.entry.seq };
  };

  test('judges every visit with its whole lists; together they leave nothing out, and the last ends at the tree of the run', async () => {
    const seen = new Set<number>();
    const visits: readonly (readonly [string, number, string])[] = [
      ['implement', 1, 'succeeded'],
      ['run_tests', 1, 'failed'],
      ['fix', 1, 'succeeded'],
      ['run_tests', 2, 'succeeded'],
      ['land', 1, 'succeeded'],
    ];
    for (const [stage, visit, outcome] of visits) {
      const report = reportOf(await replayStage(house.store, run.run, { stage, visit }));
      expect(report).toMatchObject({ verdict: 'agrees', stage, visit, outcome, divergences: [] });
      expect(report.tree).not.toBeNull();
      expect(report.tree).toBe(report.recordedTree);
      expect(report.facts + report.judgements).toBe(report.toSeq - report.fromSeq + 1);
      for (let seq = report.fromSeq; seq <= report.toSeq; seq += 1) seen.add(seq);
    }
    // Only the opening is no part of any visit: a fact, whose judgements enter the first stage.
    expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: run.state.nextSeq - 1 }, (_, at) => at + 1));
    expect(reportOf(await replayStage(house.store, run.run, { stage: 'land', visit: null })).tree).toBe(committedTree(run.state));
  });

  test('takes the newest visit where none is named, and lists the visits where there is no such one', async () => {
    expect(reportOf(await replayStage(house.store, run.run, { stage: 'run_tests', visit: null })).visit).toBe(2);
    const none = await replayStage(house.store, run.run, { stage: 'run_tests', visit: 3 });
    expect(none).toEqual({
      visits: ['implement', 'run_tests', 'fix', 'run_tests', 'land'].map((stage, at) => ({ stage, visit: at === 3 ? 2 : 1 })),
    });
    expect(await replayStage(house.store, 'run/00000000000000000000000000000000' as TrajectoryId, { stage: 'fix', visit: 1 })).toBeNull();
  });

  test('finds a forged judgement in its visit and in no other, and exact replay finds it too', async () => {
    const fix = reportOf(await replayStage(house.store, run.run, { stage: 'fix', visit: 1 }));
    const { source, seq } = forged('policy.decided', fix.fromSeq + 1, { verdict: 'deny' });
    expect(seq).toBeLessThanOrEqual(fix.toSeq);
    const found = reportOf(await replayStage(source, run.run, { stage: 'fix', visit: 1 }));
    expect(found.verdict).toBe('diverges');
    expect(found.divergences[0]).toMatchObject({
      seq,
      what: 'payload',
      drift: [{ path: '/verdict', expected: '"permit"', recorded: '"deny"' }],
    });
    expect(reportOf(await replayStage(source, run.run, { stage: 'implement', visit: 1 }))).toMatchObject({ verdict: 'agrees' });
    expect((await replayRun(source, run.run))?.divergences[0]).toMatchObject({ seq });
  });

  test('of a visit that a rewind ended says so, and its tree is the one before it', async () => {
    const again = await House.found();
    const parked = await RunDriver.open(again);
    await parked.answer([TWO]);
    await parked.perform();
    const before = committedTree(parked.state);
    await parked.rewind('implement', 1);
    const report = reportOf(await replayStage(again.store, parked.run, { stage: 'implement', visit: 1 }));
    expect(report).toMatchObject({ verdict: 'agrees', outcome: 'rewound', tree: committedTree(parked.state), recordedTree: report.tree });
    expect(before).not.toBe(report.tree);
    expect(await replayRun(again.store, parked.run)).toMatchObject({ verdict: 'agrees', tree: report.tree, recordedTree: report.tree });
  });
});

describe('the golden runs of this repository', () => {
  const names = readdirSync(GOLDEN).sort();
  const open = async (name: string) => {
    const json = parseJson(new Uint8Array(readFileSync(join(GOLDEN, name, 'golden.json'))));
    const parts = await openBundle(join(GOLDEN, name, 'bundle.tar'));
    if (!json.ok || !parts.ok) throw new Error(`${name} cannot be opened`);
    return { golden: goldenRun.parse(json.value), parts: parts.value };
  };
  const replayed = async (name: string, kernel?: JudgingKernel, alter: (golden: GoldenRun) => GoldenRun = (golden) => golden) => {
    const { golden, parts } = await open(name);
    try {
      return await replayGolden(parts.parts, alter(golden), kernel);
    } finally {
      await parts.close();
    }
  };

  test('are at least four, of every sort: done, failed, with people, with a rewind, with refusals', async () => {
    expect(names.length).toBeGreaterThanOrEqual(4);
    const outcomes = new Set<string>();
    for (const name of names) {
      const { golden, parts } = await open(name);
      outcomes.add(golden.expected.outcome);
      await parts.close();
    }
    expect([...outcomes].sort()).toEqual(['done', 'failed']);
  });

  test.each(names)('%s is judged as it was', async (name) => {
    const verdict = await replayed(name);
    expect(verdict).toMatchObject({ name, verdict: 'agrees', first: null, differs: [], problem: null });
    expect(verdict.judgements).toBeGreaterThan(30);
  });

  const deniesPatches: JudgingKernel = {
    evolve,
    judge: (state, law) =>
      judge(state, law).map((made) =>
        made.kind === 'policy.decided' && made.body.verdict === 'permit'
          ? { ...made, body: { ...made.body, because: { code: 'policy.permitted', message: 'a candidate says it in other words' } } }
          : made,
      ),
  };
  test.each(names)('%s names the first judgement that a candidate makes otherwise, with both values', async (name) => {
    const verdict = await replayed(name, deniesPatches);
    expect(verdict).toMatchObject({
      verdict: 'diverges',
      first: { what: 'payload', kind: { expected: 'policy.decided', recorded: 'policy.decided' } },
    });
    const [place] = verdict.first?.drift.filter(({ path }) => path === '/because/message') ?? [];
    expect(place?.expected).toContain('a candidate says it in other words');
    expect(place?.recorded).not.toBe(place?.expected);
    expect(verdict.differs).toContainEqual({ what: 'verdict', expected: 'agrees', actual: 'diverges' });
  });

  test('a candidate that throws is named as well, and takes nobody down with it', async () => {
    const broken: JudgingKernel = {
      evolve,
      judge: () => {
        throw new Error('the candidate is broken');
      },
    };
    expect(await replayed(names[0] ?? '', broken)).toMatchObject({
      verdict: 'diverges',
      first: { what: 'kernel', recorded: 'the candidate is broken' },
    });
  });

  test('an expectation that is not met is named with both values, and a record of another head is broken', async () => {
    const tree = '0'.repeat(40);
    const other = await replayed(names[0] ?? '', undefined, (golden) => ({ ...golden, expected: { ...golden.expected, tree } }));
    expect(other).toMatchObject({
      verdict: 'diverges',
      first: null,
      divergences: 0,
      differs: [{ what: 'tree', expected: tree, actual: expect.stringMatching(/^[0-9a-f]{40}$/) }],
    });
    const moved = await replayed(names[0] ?? '', undefined, (golden) => ({ ...golden, bundle: { ...golden.bundle, size: '1' } }));
    expect(moved).toMatchObject({ verdict: 'broken', problem: { code: 'golden.otherHead' } });
    const elsewhere = await replayed(names[0] ?? '', undefined, (golden) => ({ ...golden, run: `run/${'0'.repeat(32)}` as TrajectoryId }));
    expect(elsewhere).toMatchObject({ verdict: 'broken', problem: { code: 'golden.noRun' } });
  });
});
