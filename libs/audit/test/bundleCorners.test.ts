/**
 * Corners of the bundle reader that no other suite turns: each is a bundle, or a source of one, that differs from a good one in exactly that. PROTOCOL §11.
 */
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { writeTar } from '@openexec/audit';
import { type Bytes, concatBytes, digestOf, type Json, type TrajectoryId, utf8Encode } from '@openexec/canon';
import { House, ONE_AGENT, ONE_CHECK, PEOPLE, RunDriver } from '@openexec/kernel/fixture';
import { decodeEntry, type KeptLedger } from '@openexec/ledger';
import { formatCosignerVkey, seedSigner } from '@openexec/proof';
import {
  blobPath,
  bundleLines,
  type BundlePart,
  type BundleReport,
  CHECKPOINT,
  coverageLines,
  DESCRIPTION,
  EVENTS,
  formatEvent,
  MANIFEST,
  partsOf,
  readTar,
  STATEMENT,
  TAR_END,
  tarHeader,
  verifyBundle,
} from '@openexec/verify';
import { openBundle } from '@openexec/verify/files';
import { byLog, described, descriptionOf, found, listed, textOf, withLines, withParts } from './bundleForger.ts';
import { bundleOf, check, type Files, foundIn, headOf, RUNS } from './bundles.ts';

const NONE = { trust: null, policy: null, since: null };
let folder: string;
let house: House;
let run: TrajectoryId;
let good: Files;
let whole: Files;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'openexec-corners-'));
  house = await House.found();
  const driver = await RunDriver.open(house, { blueprint: ONE_CHECK });
  await driver.play({ tests: [true] });
  run = driver.run;
  good = (await bundleOf(house, RUNS(run))).files;
  whole = (await bundleOf(house, { is: 'ledger' })).files;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function* once(bytes: Bytes): AsyncGenerator<Bytes> {
  yield await Promise.resolve(bytes);
}
function partsFrom(files: Files, lies: Readonly<Record<string, Partial<BundlePart>>> = {}): readonly BundlePart[] {
  return [...files].map(([path, bytes]) => ({ path, bytes: bytes.length, read: () => once(bytes), ...lies[path] }));
}
async function reportOn(parts: readonly BundlePart[], more: object = {}): Promise<BundleReport> {
  const made = partsOf(parts);
  if (!made.ok) throw new Error(made.error.message);
  return verifyBundle(made.value, { ...NONE, ...more });
}

describe('progress', () => {
  test('is told as entries are read, and at the end', async () => {
    const place = await House.found();
    const drafts = Array.from({ length: 300 }, (_, at) => ({
      kind: 'anchor.recorded' as const,
      at: place.now(),
      actor: 'runtime' as const,
      cause: null,
      law: null,
      payload: {
        size: at,
        root: digestOf('x'),
        type: 'file',
        evidence: { digest: digestOf('x'), bytes: 1, mediaType: 'text/plain' },
      } as Json,
    }));
    for (const half of [drafts.slice(0, 200), drafts.slice(200)])
      expect(
        (await place.store.append({ to: [{ trajectory: 'ledger' as TrajectoryId, expect: 'any', drafts: half }], blobs: [] })).ok,
      ).toBe(true);
    const { files, built } = await bundleOf(place, { is: 'ledger' });
    const told: number[] = [];
    await reportOn(partsFrom(files), { onProgress: (entries: number) => void told.push(entries) });
    expect(told).toEqual([256, built.entries]);
  });
});

describe('a source', () => {
  test('that fails while events are read is no finding', async () => {
    let reads = 0;
    const broken = { read: () => (reads++ === 0 ? once(whole.get(EVENTS) ?? new Uint8Array()) : failing()) };
    await expect(reportOn(partsFrom(whole, { [EVENTS]: broken }))).rejects.toThrow('the disk is gone');
    async function* failing(): AsyncGenerator<Bytes> {
      yield await Promise.reject(new Error('the disk is gone'));
    }
  });

  test('with a blob that says it is large: what it mentions is not looked for', async () => {
    const inner = utf8Encode('inner');
    const place = await House.found();
    const driver = await RunDriver.open(place, { blueprint: ONE_CHECK, task: `see ${digestOf(inner)}` });
    const task = blobPath(driver.opened.body.task.digest);
    const named = byLog(withParts((await bundleOf(place, RUNS(driver.run))).files, { [blobPath(digestOf(inner))]: inner }));
    // A blob that another one mentions is named by it.
    expect((await reportOn(partsFrom(named))).findings).toEqual([]);
    const { findings } = await reportOn(partsFrom(named, { [task]: { bytes: 17 * 1024 * 1024 } }));
    expect(findings.map(({ code, part }) => `${code} ${part}`)).toEqual([`blob.unnamed ${blobPath(digestOf(inner))}`]);
  });

  test.each([[MANIFEST], [DESCRIPTION], [EVENTS], [STATEMENT]])('without %s is told what is missing', async (path) => {
    const missing = (await check(withParts(good, { [path]: null }))).findings.filter(({ code }) => code === 'bundle.missing');
    expect(new Set(missing.map(({ part }) => part))).toEqual(new Set([path]));
  });
});

describe('the MANIFEST', () => {
  const lines = (): string[] => textOf(good, MANIFEST).trimEnd().split('\n');
  test.each<readonly [string, () => string | Bytes, string]>([
    ['with a line twice', () => [lines()[0], ...lines()].join('\n'), 'bundle.duplicate'],
    ['in another order', () => [...lines()].reverse().join('\n'), 'bundle.malformed'],
    ['with a line that is none', () => 'no line', 'bundle.malformed'],
    ['that lists itself', () => `${'0'.repeat(64)}  ${MANIFEST}`, 'bundle.malformed'],
    ['that lists the statement', () => `${'0'.repeat(64)}  ${STATEMENT}`, 'bundle.malformed'],
    ['with a path that none has', () => `${'0'.repeat(64)}  ../x`, 'bundle.malformed'],
  ])('%s is refused', async (_, text, code) => {
    expect(await found(withParts(good, { [MANIFEST]: `${text() as string}\n` }))).toEqual([`${code} ${MANIFEST}`]);
  });

  test('that is no text, and an empty one under a statement that the log key signed, are refused', async () => {
    expect(await found(withParts(good, { [MANIFEST]: Uint8Array.of(0xff, 0x0a) }))).toEqual([`bundle.malformed ${MANIFEST}`]);
    const bare = withParts(good, { [MANIFEST]: '' });
    expect(await found(bare)).toContain(`bundle.extra ${EVENTS}`);
    expect(await found(bare)).toContain(`statement.wrong ${STATEMENT}`);
  });

  test('of more missing parts than are listed one by one says how many more there are', async () => {
    const paths = Array.from({ length: 1200 }, (_, at) => `a/${`${at}`.padStart(5, '0')}`);
    const report = await check(withParts(good, { [MANIFEST]: paths.map((path) => `${'0'.repeat(64)}  ${path}\n`).join('') }));
    expect(report.findings).toHaveLength(1000);
    expect(report.omitted).toBeGreaterThan(199);
    expect(bundleLines(report, PLAIN).at(-1)).toBe(`  and ${report.omitted} more`);
  });
});

describe('bundle.json', () => {
  const changed = (change: (body: { [name: string]: Json }) => Json): Files => {
    const body = JSON.parse(textOf(good, DESCRIPTION)) as { [name: string]: Json };
    return byLog(withParts(good, { [DESCRIPTION]: `${JSON.stringify(change(body))}\n` }));
  };
  test.each<readonly [string, (body: { [name: string]: Json }) => Json]>([
    ['is a list', () => []],
    ['is of another type', (body) => ({ ...body, type: 'x' })],
    ['has a scope that is no object', (body) => ({ ...body, scope: 'ledger' })],
    ['has a scope that nobody knows', (body) => ({ ...body, scope: { is: 'everything' } })],
    ['has withheld payloads that are no list', (body) => ({ ...body, withheldPayloads: 1 })],
    ['has a withheld payload that is no object', (body) => ({ ...body, withheldPayloads: [1] })],
    ['has a withheld payload without a trajectory', (body) => ({ ...body, withheldPayloads: [{ seq: 1 }] })],
    ['has a withheld payload without a place', (body) => ({ ...body, withheldPayloads: [{ trajectory: run }] })],
  ])('that %s is refused', async (_, change) => {
    expect(await found(changed(change))).toEqual([`bundle.malformed ${DESCRIPTION}`]);
  });
});

describe('events', () => {
  test('of a whole ledger that leave one out are told which comes next', async () => {
    const { findings } = await check(byLog(withLines(whole, (all) => all.filter((_, at) => at !== 2))));
    expect(findings.find(({ code }) => code === 'event.order')).toMatchObject({ index: 3, message: 'the next entry is 2' });
  });

  test('are never written of bytes that are no text', async () => {
    for await (const stored of house.store.all(0n)) {
      const entry = decodeEntry(stored.entryBytes);
      if (!entry.ok) throw new Error(entry.error.message);
      const row = { ...stored, payload: Uint8Array.of(0xff) };
      expect(() => formatEvent({ ledger: house.fingerprint, index: 0, entry: entry.value, row })).toThrow('no UTF-8 text');
      break;
    }
  });

  test('of a run that did what it had not declared make it ungoverned, and it is told so', async () => {
    const place = await House.found();
    const driver = await RunDriver.open(place, { blueprint: ONE_CHECK });
    const { execution } = driver.due('execute');
    await driver.fact('effect.undeclared', {
      ...driver.driving,
      execution,
      paths: ['x'],
      because: { code: 'effect.undeclared', message: 'it wrote elsewhere' },
    });
    const { files, built } = await bundleOf(place, RUNS(driver.run));
    expect([built.statement.runs[0]?.governed, (await check(files)).findings]).toEqual([false, []]);
  });
});

describe('an archive', () => {
  const archive = (...blocks: readonly Bytes[]) => {
    const bytes = concatBytes(...blocks);
    return { bytes: bytes.length, read: (at: number, length: number) => Promise.resolve(bytes.subarray(at, at + length)) };
  };
  const header = (change: (bytes: Bytes) => void = () => undefined): Bytes => {
    const bytes = tarHeader('changes/a', 0) ?? new Uint8Array();
    change(bytes);
    return bytes;
  };
  test.each<readonly [string, () => readonly Bytes[], string]>([
    ['whose last block is not empty', () => [TAR_END.subarray(0, 512), new Uint8Array(512).fill(1)], 'bundle.malformed'],
    ['with a length that is no number', () => [header((bytes) => bytes.set(utf8Encode('x'), 124)), TAR_END], 'bundle.malformed'],
    ['with something behind the end of a name', () => [header((bytes) => bytes.set(utf8Encode('x'), 60)), TAR_END], 'bundle.malformed'],
    ['with a name that is no text', () => [header((bytes) => bytes.set([0xff], 0)), TAR_END], 'bundle.malformed'],
  ])('%s is refused', async (_, blocks, code) => {
    expect(await readTar(archive(...blocks()))).toMatchObject({ ok: false, error: { code } });
  });

  test('of as many parts as there may be is read, and of one more is not', async () => {
    const two = [tarHeader('changes/a', 0), tarHeader('changes/b', 0)].map((bytes) => bytes ?? new Uint8Array());
    expect(await readTar(archive(...two, TAR_END), 2)).toMatchObject({ ok: true });
    expect(await readTar(archive(...two, TAR_END), 1)).toMatchObject({ ok: false, error: { code: 'bundle.tooLarge' } });
    expect(partsOf(partsFrom(good), good.size)).toMatchObject({ ok: true });
    expect(partsOf(partsFrom(good), good.size - 1)).toMatchObject({ ok: false, error: { code: 'bundle.tooLarge' } });
  });
});

describe('on disk', () => {
  test('an archive and a folder are read to the end, one part more than there may be is refused, a file that is cut while it is read is no bundle', async () => {
    const place = join(folder, 'bundle');
    for (const [path, bytes] of good) {
      mkdirSync(dirname(join(place, path)), { recursive: true });
      writeFileSync(join(place, path), bytes);
    }
    const file = join(folder, 'bundle.tar');
    await writeTar(file, partsFrom(good));
    for (const path of [place, file]) {
      const opened = await openBundle(path);
      if (!opened.ok) throw new Error(opened.error.message);
      expect((await verifyBundle(opened.value.parts, NONE)).findings).toEqual([]);
      await opened.value.close();
      expect(await openBundle(path, good.size - 1)).toMatchObject({ ok: false, error: { code: 'bundle.tooLarge' } });
    }
    const opened = await openBundle(file);
    if (!opened.ok) throw new Error(opened.error.message);
    truncateSync(file, 4096);
    await expect(verifyBundle(opened.value.parts, NONE)).rejects.toThrow('became shorter');
    await opened.value.close();
  });

  test('what is no failure of the file system is no refusal', async () => {
    // Node looks for `href` to tell a URL from a path.
    const defect = {
      get href(): string {
        throw new Error('a defect');
      },
    };
    await expect(openBundle(defect as never)).rejects.toThrow('a defect');
    expect(await openBundle(join(folder, 'nothing'))).toMatchObject({ ok: false, error: { code: 'bundle.unreadable' } });
  });
});

describe('the list of a pruning', () => {
  test('that is not there, or cannot be read, leaves what it names missing', async () => {
    const place = await House.found();
    const driver = await RunDriver.open(place, { blueprint: ONE_CHECK });
    await driver.play({ tests: [true] });
    const places = [];
    for await (const { entry } of place.store.read(driver.run))
      if (entry.kind !== 'run.opened') places.push({ trajectory: entry.trajectory, seq: entry.seq });
    place.pass(86_400_000);
    const wish = {
      at: place.now(),
      before: place.later(-1),
      by: seedSigner({ keyName: 'x', seed: PEOPLE.issuer.seed }).keyId,
      rule: 'r',
      because: 'x',
    };
    const done = await (place.store as KeptLedger).keeper.forget({ kind: 'prune', ...wish, by: wish.by, places });
    if (!done.ok) throw new Error(done.error.message);
    const { files } = await bundleOf(place, RUNS(driver.run), { withhold: { payload: () => false, blob: () => true } });
    const [list = ''] = [...files.keys()].filter((path) => path.startsWith('blobs/'));
    expect((await check(files)).findings).toEqual([]);
    expect(foundIn(await check(byLog(withParts(files, { [list]: null }))))).toContain(`payload.missing ${EVENTS}`);
    const lying = await reportOn(partsFrom(files, { [list]: { bytes: 1 } }));
    expect(lying.findings.map(({ code }) => code)).toContain('payload.missing');
  });
});

test('a policy whose witness the checkpoint names with a broken line is no policy met', async () => {
  const witness = seedSigner({ keyName: 'witness.test/w1', seed: PEOPLE.ben.seed });
  const { size, note } = await headOf(house);
  const key = formatCosignerVkey(witness).split('+')[1] ?? '';
  const broken = `${note}\u2014 witness.test/w1 ${Buffer.concat([Buffer.from(key, 'hex'), Buffer.alloc(72)]).toString('base64')}\n`;
  const { files } = await bundleOf(house, RUNS(run), { checkpoint: { size, note: broken } });
  const policy = `witness w1 ${formatCosignerVkey(witness)}\nquorum w1\n`;
  expect(await found(files, { policy })).toEqual([`witness.missing ${CHECKPOINT}`]);
});

const PLAIN = { safe: (text: string) => text, good: (text: string) => text, bad: (text: string) => text };

describe('the words of a report', () => {
  const plain = async (): Promise<BundleReport> => check(good);
  test('say of an unsound bundle from where it is bad, and what is not known', async () => {
    const report = await plain();
    const nothing = { level: null, fingerprint: null, origin: null, size: null, root: null, scope: null, firstBad: 7 } as const;
    const text = bundleLines({ ...report, ...nothing, sound: false, trust: 'pinned' }, PLAIN).join('\n');
    expect(text).toContain('✗ not sound: first bad index 7\nlevel        none; trust pinned\nledger       unknown origin  no fingerprint');
    expect(text).toContain('tree         unknown entries, root none\nholds        unknown');
    expect(bundleLines({ ...report, sound: false }, PLAIN)[0]).toBe('✗ not sound');
  });

  test('say who cosigned, what it holds, what is gone, what each run came to and when', async () => {
    const report = await plain();
    const [one] = report.runs;
    if (one === undefined) throw new Error('no run');
    const text = (more: Partial<BundleReport>): string => bundleLines({ ...report, ...more }, PLAIN).join('\n');
    expect(text({ cosigners: ['a', 'b'] })).toContain('; cosigned by a, b');
    expect(text({ scope: { is: 'ledger' } })).toContain('holds        the whole ledger');
    expect(text({ scope: RUNS('run/a', 'run/b') })).toContain('holds        2 runs');
    expect(text({ scope: { is: 'range', from: 3, to: 9 } })).toContain('holds        entries 3 to 8');
    expect(text({ counts: { ...report.counts, erased: 2, withheld: 3 } })).toContain(
      '2 payloads erased lawfully, 3 payloads and blobs withheld',
    );
    expect(text({ runs: [{ ...one, commit: 'c1', tree: null, governed: true }] })).toContain('git commit c1, tree , governed');
    expect(text({ runs: [{ ...one, commit: null, governed: false }] })).toMatch(/done, not stated as governed/);
    expect(text({ times: [{ part: 'p', checked: null }] })).not.toContain('time ');
    const findings = [
      { part: 'p', index: 4, code: 'bundle.digest', message: 'm' },
      { part: 'q', index: null, code: 'bundle.extra', message: 'n' },
    ] as const;
    expect(text({ findings })).toContain('✗ p index 4: bundle.digest: m\n✗ q: bundle.extra: n');
    expect(coverageLines(report).length).toBeGreaterThan(coverageLines(report, true).length);
  });
});

test('a statement whose payload, signature or key is of another form is refused', async () => {
  const outer = JSON.parse(textOf(good, STATEMENT)) as {
    dsseEnvelope: { payload: string; signatures: readonly [{ sig: string; keyid: string }] };
  };
  const [only] = outer.dsseEnvelope.signatures;
  for (const change of [
    { payload: 1 },
    { payload: '!' },
    { signatures: [{ ...only, sig: 1 }] },
    { signatures: [{ ...only, sig: '!' }] },
    { signatures: [{ ...only, keyid: 1 }] },
    { signatures: [{ ...only, keyid: 'x' }] },
    { signatures: [] },
    { signatures: [1] },
  ]) {
    const text = `${JSON.stringify({ ...outer, dsseEnvelope: { ...outer.dsseEnvelope, ...change } })}\n`;
    expect({ change, all: await found(withParts(good, { [STATEMENT]: text })) }).toEqual({
      change,
      all: [`bundle.malformed ${STATEMENT}`],
    });
  }
});

test('a description of another root than the signed one is found, in a whole ledger too', async () => {
  expect(await found(byLog(described(whole, { root: digestOf('x') }), { root: digestOf('x') }))).toEqual([`checkpoint.root ${CHECKPOINT}`]);
  expect(descriptionOf(listed(whole)).root).toBe((await check(whole)).root);
  const open = await RunDriver.open(house, { blueprint: ONE_AGENT });
  expect((await check((await bundleOf(house, RUNS(open.run))).files)).notChecked.join('\n')).toContain('whether 1 open runs');
});
