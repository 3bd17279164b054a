/**
 * Bundles of ledgers from which something was lawfully erased or pruned: sound, with what is gone named, not derivable from there on, nothing of it in any
 * part, the same bytes twice. And what may not be: a payload that nobody names, a list that is kept back. PROTOCOL §§3, 11.
 */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { bundleSource, deepVerify } from '@openexec/audit';
import { type Bytes, digestOf, type TrajectoryId, utf8Decode } from '@openexec/canon';
import { FIX_LOOP, House, keyOf, ONE_CHECK, PEOPLE, RunDriver, writeFile } from '@openexec/kernel/fixture';
import { ERASURE_TYPE, erasureBody, type KeptLedger, type Place } from '@openexec/ledger';
import { signTyped } from '@openexec/proof';
import { type AuditReport, auditReport } from '@openexec/protocol';
import { type BundleScope, EVENTS, partsOf } from '@openexec/verify';
import { runCiting, selfTest } from './bundleForger.ts';
import { bundleOf, check, type Files, foundIn, headOf, RUNS } from './bundles.ts';

const CANARY = 'canary-of-the-forgotten-31';
const REPORTS = { reports: { baseFile: (): Promise<null> => Promise.resolve(null) } };
const WHOLE: BundleScope = { is: 'ledger' };
const DAY_MS = 86_400_000;
let house: House;
let run: TrajectoryId;
let other: TrajectoryId;

beforeEach(async () => {
  house = await House.found();
  const one = await RunDriver.open(house, { blueprint: FIX_LOOP, task: `Write ${CANARY}` });
  await one.play({ answers: [[writeFile('src/a.ts', `// ${CANARY}\n`)], `written: ${CANARY}`], tests: [true] });
  run = one.run;
  const two = await RunDriver.open(house, { blueprint: ONE_CHECK });
  await two.play({ tests: [true] });
  other = two.run;
});

/** The house's ledger is one in memory, which keeps; its type says less. */
const keeper = (): KeptLedger['keeper'] => (house.store as KeptLedger).keeper;

async function places(trajectory: TrajectoryId, pick: (kind: string) => boolean = () => true): Promise<Place[]> {
  const found: Place[] = [];
  for await (const { entry } of house.store.read(trajectory))
    if (entry.kind !== 'run.opened' && pick(entry.kind)) found.push({ trajectory, seq: entry.seq });
  return found;
}
async function erase(entries: readonly Place[]): Promise<void> {
  const part = { entries, by: keyOf('issuer'), because: 'asked by the customer', rule: 'request' };
  const signature = signTyped({ type: ERASURE_TYPE, body: erasureBody({ ledger: house.fingerprint, ...part }), seed: PEOPLE.issuer.seed });
  const done = await keeper().forget({ kind: 'erase', at: house.now(), bodies: [{ ...part, signatures: [signature] }] });
  if (!done.ok) throw new Error(done.error.message);
}
async function prune(of: readonly Place[]): Promise<void> {
  house.pass(200 * DAY_MS);
  const before = house.later(-180 * DAY_MS);
  const done = await keeper().forget({
    kind: 'prune',
    at: house.now(),
    by: keyOf('issuer'),
    before,
    rule: 'yearly',
    because: 'retention',
    places: of,
  });
  if (!done.ok) throw new Error(done.error.message);
}
function everything(files: Files): string {
  return [...files.values()].map((bytes) => Buffer.from(bytes).toString('latin1')).join('\n');
}
function reportIn(files: Files): AuditReport {
  const text = utf8Decode(files.get('report.json') ?? new Uint8Array());
  return auditReport.parse(JSON.parse(text.ok ? text.value : ''));
}
/** The bundle, made twice and the same, sound under the pinned fingerprint. */
async function soundTwice(scope: BundleScope): Promise<Files> {
  const { files } = await bundleOf(house, scope, REPORTS);
  const again = (await bundleOf(house, scope, REPORTS)).files;
  const digests = (of: Files): readonly string[] => [...of].map(([path, bytes]) => `${path} ${digestOf(bytes)}`);
  expect(digests(again)).toEqual(digests(files));
  const report = await check(files, { trust: house.fingerprint });
  expect([report.sound, report.findings]).toEqual([true, []]);
  return files;
}
function sourceOf(files: Files) {
  const parts = partsOf(
    [...files].map(([path, bytes]) => ({
      path,
      bytes: bytes.length,
      async *read(): AsyncGenerator<Bytes> {
        yield await Promise.resolve(bytes);
      },
    })),
  );
  if (!parts.ok) throw new Error(parts.error.message);
  return bundleSource(parts.value);
}

describe('a bundle after an erasure', () => {
  test('of a whole subject is sound, says what is gone, cannot be judged from there on, and has nothing of it in any part', async () => {
    // The control: before it, the words are in many parts.
    expect(everything(await soundTwice(RUNS(run)))).toContain(CANARY);
    await erase(await places(run));
    for (const scope of [RUNS(run), RUNS(run, other), WHOLE]) {
      const files = await soundTwice(scope);
      expect(everything(files)).not.toContain(CANARY);
      const { counts } = await check(files);
      expect(counts.erased).toBe((await places(run)).length);
      const report = reportIn(files);
      expect(report.gone.payloads).toEqual(await places(run));
      expect(report.gone.blobs.length).toBeGreaterThan(0);
      const told = report.runs.find((each) => each.run === run);
      expect(told).toMatchObject({
        outcome: 'unknown',
        task: { text: null },
        files: null,
        patch: null,
        judgedAgain: { verdict: 'notDerivable' },
      });
      expect(told?.figures.total.spent).toBeNull();
      expect(new Set(told?.unreadable.map(({ because }) => because))).toEqual(new Set(['erased']));
      const { runs } = await deepVerify(sourceOf(files));
      expect(runs.find((each) => each.run === run)).toMatchObject({ verdict: 'notDerivable', divergences: [] });
      expect(runs.filter((each) => each.run === other).every(({ verdict }) => verdict === 'agrees')).toBe(true);
    }
  });

  test('of one payload is sound, and names that one', async () => {
    const [answer] = await places(run, (kind) => kind === 'model.answered');
    if (answer === undefined) throw new Error('no answer');
    await erase([answer]);
    for (const scope of [RUNS(run), WHOLE]) {
      const files = await soundTwice(scope);
      expect(reportIn(files).gone.payloads).toEqual([answer]);
      expect((await check(files)).counts.erased).toBe(1);
      expect((await deepVerify(sourceOf(files))).runs[0]).toMatchObject({ verdict: 'notDerivable', from: { seq: answer.seq } });
    }
  });

  test('that took payloads of two runs at once is sound for either of them alone', async () => {
    await erase([...(await places(run)), ...(await places(other))]);
    for (const each of [run, other]) expect(everything(await soundTwice(RUNS(each)))).not.toContain(CANARY);
  });

  test('of the self-test that a run cites is sound, and the run is governed no more', async () => {
    const first = await RunDriver.open(house, { blueprint: ONE_CHECK });
    await first.play({ tests: [true] });
    const cited = await selfTest(house, first.opened.body);
    const driver = await runCiting(house, cited, { blueprint: ONE_CHECK });
    expect((await bundleOf(house, RUNS(driver.run))).built.statement.runs).toMatchObject([{ governed: true }]);
    const of: Place[] = [];
    for await (const { entry } of house.store.read(cited.trajectory)) of.push({ trajectory: entry.trajectory, seq: entry.seq });
    await erase(of);
    await soundTwice(RUNS(driver.run));
    expect((await bundleOf(house, RUNS(driver.run))).built.statement.runs).toMatchObject([{ governed: false }]);
  });

  test('of a range holds what erased its payloads, wherever that stands', async () => {
    const [first] = await places(run);
    const { size } = await house.store.head();
    await erase(await places(run));
    let from = 0;
    for await (const { entry, index } of house.store.all(0n))
      if (entry.trajectory === run && entry.seq === first?.seq) from = Number(index);
    const files = await soundTwice({ is: 'range', from, to: from + 3 });
    expect(Buffer.from(files.get(EVENTS) ?? []).toString()).toContain('dev.openexec.payload.erased');
    // Only what erased them: of their run there is no other entry.
    await soundTwice({ is: 'range', from: Number(size), to: Number(size) + 1 });
  });

  test('is refused under a checkpoint from before it', async () => {
    const checkpoint = await headOf(house);
    await erase(await places(run));
    await expect(bundleOf(house, RUNS(run), { checkpoint })).rejects.toThrow(/^bundle\.scope: payload\.erased at index \d+ may have taken/);
  });
});

describe('a bundle after a pruning', () => {
  test('is sound, counts what went by the list, and has nothing of it', async () => {
    await prune(await places(run));
    for (const scope of [RUNS(run), RUNS(run, other), WHOLE]) {
      const files = await soundTwice(scope);
      expect(everything(files)).not.toContain(CANARY);
      expect((await check(files)).counts.erased).toBe((await places(run)).length);
    }
    // A run that lost nothing needs no list, and gets none.
    expect(everything(await soundTwice(RUNS(other)))).not.toContain('ledger.pruned');
  });

  test('holds the list of it even where every blob is kept back', async () => {
    await prune(await places(run));
    const { files } = await bundleOf(house, RUNS(run), { ...REPORTS, withhold: { payload: () => false, blob: () => true } });
    expect((await check(files)).findings).toEqual([]);
    expect([...files.keys()].filter((path) => path.startsWith('blobs/'))).toHaveLength(1);
  });
});

test('a payload that is gone and that nothing names is no erasure', async () => {
  await erase(await places(run));
  const { files } = await bundleOf(house, WHOLE);
  const lines = Buffer.from(files.get(EVENTS) ?? [])
    .toString()
    .trimEnd()
    .split('\n');
  const at = lines.findIndex((line) => line.includes(`"subject":"${other}"`) && line.includes('stage.entered'));
  const line = JSON.parse(lines[at] ?? '{}') as { data: { payload: null; salt: null } };
  Object.assign(line.data, { payload: null, salt: null });
  lines[at] = JSON.stringify(line);
  const changed = new Map(files).set(EVENTS, Buffer.from(`${lines.join('\n')}\n`));
  expect(foundIn(await check(changed))).toContain(`payload.missing ${EVENTS}`);
});
