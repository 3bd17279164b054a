/**
 * The folder of one run: the same bytes twice, every file in its list, of its published schemas; figures that add up and are the kernel's own; the safety
 * report names what was refused, tried and undeclared; what is erased or withheld is listed, and not there. schemas/timeline.md.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { figuresOfRun, writeTimeline } from '@openexec/audit';
import { digestOf, type TrajectoryId, utf8Decode } from '@openexec/canon';
import { FIX_LOOP, House, keyOf, ONE_AGENT, ONE_CHECK, PEOPLE, RunDriver, writeFile } from '@openexec/kernel/fixture';
import { ERASURE_TYPE, erasureBody, eventLine, type KeptLedger, type Stored } from '@openexec/ledger';
import { signTyped } from '@openexec/proof';
import { runMetrics, runSafety, timelineIndex } from '@openexec/protocol';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { safetyPage } from '../src/timeline/page.ts';
import { type Files, memorySink } from './bundles.ts';

const ROOT = join(import.meta.dirname, '../../..');
let house: House;
let driver: RunDriver;
let run: TrajectoryId;

beforeAll(async () => {
  house = await House.found();
  driver = await RunDriver.open(house, { blueprint: FIX_LOOP });
  await driver.play({
    answers: [[writeFile('src/a.ts', 'one\n')], 'written', [writeFile('../outside', 'x')], [writeFile('src/b.ts', 'b\n')], 'again'],
    tests: [false, true],
  });
  run = driver.run;
});

async function folderOf(of: TrajectoryId = run, from: House = house): Promise<Files> {
  const files: Files = new Map();
  expect(await writeTimeline(from.store, of, memorySink(files))).not.toBeNull();
  return files;
}
const text = (files: Files, path: string): string => {
  const read = utf8Decode(files.get(path) ?? new Uint8Array());
  if (!read.ok || read.value === '') throw new Error(`there is no ${path}`);
  return read.value;
};
const json = (files: Files, path: string): unknown => JSON.parse(text(files, path));
const indexOf = (files: Files) => timelineIndex.parse(json(files, 'index.json'));
async function storedOf(of: TrajectoryId): Promise<readonly Stored[]> {
  const all: Stored[] = [];
  for await (const stored of house.store.read(of)) all.push(stored);
  return all;
}

describe('the folder of a run', () => {
  test('is the same bytes twice, and its list names every other file with its digest', async () => {
    const [files, again] = [await folderOf(), await folderOf()];
    expect([...again].map(([path, bytes]) => `${path} ${digestOf(bytes)}`)).toEqual(
      [...files].map(([path, bytes]) => `${path} ${digestOf(bytes)}`),
    );
    const index = indexOf(files);
    expect(index.files.map(({ path, digest, bytes }) => `${path} ${digest} ${bytes}`).sort()).toEqual(
      [...files]
        .filter(([path]) => path !== 'index.json')
        .map(([path, bytes]) => `${path} ${digestOf(bytes)} ${bytes.length}`)
        .sort(),
    );
    const last = (await storedOf(run)).at(-1);
    expect([index.head, index.entries, index.unreadable, index.blobs]).toEqual([
      { seq: last?.entry.seq, leaf: last?.leaf },
      (last?.entry.seq ?? 0) + 1,
      [],
      [],
    ]);
  });

  test('has the timeline as every stream of events has it, artifacts by name and version, and the policy under its digest', async () => {
    const files = await folderOf();
    const stored = await storedOf(run);
    const bodies = stored.map(({ payload }) => JSON.parse(Buffer.from(payload ?? []).toString()) as never);
    expect(text(files, 'timeline.jsonl')).toBe(
      stored.map((each, at) => `${JSON.stringify(eventLine(each, bodies[at] ?? null))}\n`).join(''),
    );
    const artifacts = indexOf(files).files.filter(({ is }) => is === 'artifact');
    expect(artifacts.map(({ path }) => path)).toEqual(
      expect.arrayContaining(['artifacts/patch/1.json', 'artifacts/test_report/1.json', 'artifacts/test_report/2.json']),
    );
    expect(json(files, 'artifacts/test_report/1.json')).toEqual({ passed: false, failures: 1 });
    expect(digestOf(files.get('policy_snapshot.json') ?? new Uint8Array())).toBe(driver.opened.body.policySet.digest);
    // What the model was asked and what it answered is there to be read.
    const answers = indexOf(files)
      .files.filter(({ is }) => is === 'blob')
      .map(({ path }) => text(files, path));
    expect(answers.join('\n')).toContain('written');
  });

  test('is of the published schemas, and one more member is not', async () => {
    const files = await folderOf();
    for (const [part, schema] of [
      ['index.json', 'timeline-index'],
      ['metrics.json', 'metrics'],
      ['safety.json', 'safety'],
    ] as const) {
      const published = JSON.parse(readFileSync(join(ROOT, `schemas/${schema}.schema.json`), 'utf8')) as object;
      const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(published);
      expect([part, validate(json(files, part)), validate.errors]).toEqual([part, true, null]);
      expect(validate({ ...(json(files, part) as object), more: 1 })).toBe(false);
    }
  });

  test('of a run that goes on can be written at any time, and of none that is not there', async () => {
    const open = await RunDriver.open(house, { blueprint: ONE_AGENT });
    const files = await folderOf(open.run);
    expect(runMetrics.parse(json(files, 'metrics.json'))).toMatchObject({
      outcome: 'open',
      total: { visits: { entered: 1, succeeded: 0 } },
    });
    expect(await writeTimeline(house.store, 'run/none' as TrajectoryId, memorySink(new Map()))).toBeNull();
  });
});

describe('the figures of a run', () => {
  test('add up from stages to the whole, and cost what the kernel settled', async () => {
    const { metrics } = await figuresOfRun(house.store, run);
    const { total, stages, actions } = metrics;
    const sum = (of: (stage: (typeof stages)[number]) => number): number => stages.reduce((all, stage) => all + of(stage), 0);
    expect(total.spent).toEqual(driver.state.closed?.spend ?? driver.state.settled);
    expect([
      sum(({ spent }) => spent?.tokens ?? 0),
      sum(({ spent }) => spent?.usdMicros ?? 0),
      sum(({ spent }) => spent?.calls ?? 0),
    ]).toEqual([total.spent?.tokens, total.spent?.usdMicros, total.spent?.calls]);
    expect(sum(({ model }) => model.inputTokens)).toBe(total.model.inputTokens);
    expect(total.model).toMatchObject({ asked: 5, answered: 5, failed: 0, unmetered: 0, inputTokens: 500, outputTokens: 100 });
    expect(total.model.latency).toEqual({ count: 5, totalMs: 50, minMs: 10, medianMs: 10, p95Ms: 10, maxMs: 10 });
    expect(stages.map(({ stage, visits }) => `${stage} ${visits.entered} ${visits.succeeded} ${visits.failed}`)).toEqual([
      'implement 1 1 0',
      'run_tests 2 1 1',
      'fix 1 1 0',
      'land 1 1 0',
    ]);
    expect(actions.find(({ action }) => action === 'run_tests')).toMatchObject({ started: 2, ok: 1, failed: 1, errors: 0, lost: 0 });
    expect(total.actions).toMatchObject({ denied: 1, committed: total.actions.started, lost: 0 });
    const all = await storedOf(run);
    const [first, last] = [all[0], all.at(-1)];
    expect(metrics.elapsedMs).toBe(Date.parse(last?.entry.at ?? '') - Date.parse(first?.entry.at ?? ''));
  });

  test('of answers and executions that fail, that nobody metered, and that are tried again are counted as such', async () => {
    const one = await RunDriver.open(house, { blueprint: ONE_AGENT });
    await one.askFails();
    await one.answer([writeFile('src/a.ts', 'x\n')], { usage: null });
    await one.fails();
    const { metrics } = await figuresOfRun(house.store, one.run);
    expect(metrics.total).toMatchObject({
      model: { asked: expect.any(Number), answered: 1, failed: 1, unmetered: 1, inputTokens: 0 },
      actions: { started: expect.any(Number), errors: 1, ok: 0 },
    });
    const two = await RunDriver.open(house, { blueprint: ONE_CHECK });
    await two.resume();
    expect((await figuresOfRun(house.store, two.run)).metrics.total.actions).toMatchObject({ started: 2, lost: 0, ok: 0, errors: 0 });
  });

  test('quantiles are by nearest rank, of durations in any order', async () => {
    const one = await RunDriver.open(house, { blueprint: FIX_LOOP });
    for (const durationMs of [900, 5, 40]) {
      await one.answer('nothing to do');
      await one.observe({ status: 'failed', durationMs, exitCode: 1 });
    }
    const { actions } = (await figuresOfRun(house.store, one.run)).metrics;
    expect(actions).toMatchObject([
      { action: 'run_tests', failed: 3, latency: { count: 3, totalMs: 945, minMs: 5, medianMs: 40, p95Ms: 900, maxMs: 900 } },
    ]);
  });
});

describe('the safety report', () => {
  test('names what was written, what was refused and by whom, and the provider that was asked', async () => {
    const { safety } = await figuresOfRun(house.store, run);
    expect(safety.writes).toMatchObject({
      lost: null,
      files: [
        { path: 'src/a.ts', change: 'modified', bytes: 4 },
        { path: 'src/b.ts', change: 'added' },
      ],
    });
    expect(safety.refusals).toMatchObject([{ author: 'model', action: 'apply_patch', verdict: 'deny', stage: 'fix' }]);
    expect(safety.providers).toEqual([{ provider: 'test', asked: 5 }]);
    expect(safety.external).toMatchObject([{ action: 'commit_changes', effect: 'external', end: 'committed' }]);
    expect(safety.landed?.ref ?? 'nowhere').toMatch(driver.state.closed === null ? /^nowhere$/ : /openexec\//);
    expect([safety.undeclared, safety.violations, safety.approvals, safety.unreadable]).toEqual([[], [], [], []]);
  });

  test('counts packets that were refused, and says of how many commands nobody could count them', async () => {
    const one = await RunDriver.open(house, { blueprint: FIX_LOOP });
    await one.answer('nothing to do');
    await one.observe({ status: 'failed', exitCode: 1, network: { attempts: 3, ipv4: 2, ipv6: 1 } });
    const { safety } = await figuresOfRun(house.store, one.run);
    expect(safety.network).toEqual({ commands: 1, uncounted: 0, attempts: 3, ipv4: 2, ipv6: 1 });
    const two = await RunDriver.open(house, { blueprint: ONE_CHECK });
    expect((await figuresOfRun(house.store, two.run)).safety.network).toEqual({ commands: 1, uncounted: 1, attempts: 0, ipv4: 0, ipv6: 0 });
    const { execution } = two.due('execute');
    await two.fact('effect.undeclared', {
      ...two.driving,
      execution,
      paths: ['.git/hooks/x'],
      network: { attempts: 2, ipv4: 2, ipv6: 0 },
      because: { code: 'effect.undeclared', message: 'it touched a hook' },
    });
    const strange = (await figuresOfRun(house.store, two.run)).safety;
    expect(strange.undeclared).toMatchObject([{ paths: ['.git/hooks/x'], networkAttempts: 2 }]);
    expect(strange.network).toMatchObject({ commands: 1, uncounted: 0, attempts: 2 });
  });

  test('as a page lets no word out of a ledger be markup or an unseen character', async () => {
    const { safety, metrics } = await figuresOfRun(house.store, run);
    const hostile = '</td><script>x</script> [a](javascript:b) `c` **d** | e\n# f \u202eg\u0007 <!-- h';
    const page = safetyPage(
      runSafety.parse({
        ...safety,
        refusals: safety.refusals.map((each) => ({ ...each, because: { code: 'a.b', message: hostile } })),
        undeclared: [{ seq: 1, action: hostile, paths: [hostile], networkAttempts: 1, because: { code: 'a.b', message: hostile } }],
        violations: [{ seq: 1, why: hostile, message: hostile }],
      }),
      metrics,
    );
    expect(page.replace(/`openexec [a-z -]+`/g, '').match(/(?<!\\)[<>`[\]*]|[\u202e\u0007]|\n# f/g)).toBeNull();
    expect(page).toContain('\\<script\\>');
    expect(page).toContain('| implement | 1 of 1 |');
    expect(safetyPage(safety, metrics)).toContain('## Refused');
  });
});

test('what was erased is listed and not there; what was withheld is listed as withheld; the figures say what they lack', async () => {
  const place = await House.found();
  const one = await RunDriver.open(place, { blueprint: FIX_LOOP });
  const canary = 'canary-of-an-answer';
  await one.play({ answers: [[writeFile('src/a.ts', 'kept\n')], canary], tests: [true] });
  const before = await folderOf(one.run, place);
  expect([...before.values()].map((bytes) => Buffer.from(bytes).toString()).join('\n')).toContain(canary);
  const entries = [];
  for await (const { entry } of place.store.read(one.run))
    if (entry.kind === 'model.answered' || entry.kind === 'model.asked') entries.push({ trajectory: entry.trajectory, seq: entry.seq });
  const part = { entries, by: keyOf('issuer'), because: 'asked', rule: 'request' };
  const signature = signTyped({ type: ERASURE_TYPE, body: erasureBody({ ledger: place.fingerprint, ...part }), seed: PEOPLE.issuer.seed });
  const forgotten = await (place.store as KeptLedger).keeper.forget({
    kind: 'erase',
    at: place.now(),
    bodies: [{ ...part, signatures: [signature] }],
  });
  expect(forgotten.ok).toBe(true);
  const files = await folderOf(one.run, place);
  expect([...files.values()].map((bytes) => Buffer.from(bytes).toString()).join('\n')).not.toContain(canary);
  const { unreadable } = indexOf(files);
  expect(unreadable.map(({ seq, because }) => `${seq} ${because}`)).toEqual(entries.map(({ seq }) => `${seq} erased`));
  expect(runMetrics.parse(json(files, 'metrics.json'))).toMatchObject({
    unreadable: entries.length,
    total: { spent: null, model: { asked: 0 } },
  });
  const kept = place.store;
  const source: Parameters<typeof writeTimeline>[0] = {
    read: (...args) => kept.read(...args),
    blob: async (digest) => {
      const code =
        digest === one.opened.body.task.digest ? 'blob.unknown' : digest === one.opened.body.prices.digest ? 'blob.erased' : null;
      return code === null ? kept.blob(digest) : { ok: false, error: { code, message: 'gone' } };
    },
  };
  const partial: Files = new Map();
  await writeTimeline(source, one.run, memorySink(partial));
  expect(indexOf(partial).blobs).toEqual(
    expect.arrayContaining([
      { digest: one.opened.body.task.digest, because: 'withheld' },
      { digest: one.opened.body.prices.digest, because: 'erased' },
    ]),
  );
});
