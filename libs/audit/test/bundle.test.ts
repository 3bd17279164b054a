/**
 * Audit bundles over real runs: whole ledgers, single runs, ranges; what is in them and what is not; the same bytes each time; what is withheld stays
 * proved. PROTOCOL §11.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { buildBundle, bundleSource, deepVerify } from '@openexec/audit';
import { digestOf, type TrajectoryId, utf8Decode, utf8Encode } from '@openexec/canon';
import { FIX_LOOP, House, ONE_AGENT, RunDriver, writeFile } from '@openexec/kernel/fixture';
import { parseEvent, partsOf, readTar, TAR_END, tarHeader, tarPadding } from '@openexec/verify';
import { bundleOf, check, type Files, foundIn, headOf, memorySink, orderOf, RUNS } from './bundles.ts';

const SECRET = 'only the second run ever saw this\n';

let house: House;
let first: TrajectoryId;
let second: TrajectoryId;
let open: TrajectoryId;
let early: bigint;

beforeAll(async () => {
  house = await House.found();
  const one = await RunDriver.open(house, { blueprint: FIX_LOOP });
  await one.play({ answers: [[writeFile('src/a.ts', 'export const a = 2;\n')], 'written'], tests: [true] });
  first = one.run;
  early = (await house.store.head()).size;
  const two = await RunDriver.open(house, { blueprint: FIX_LOOP });
  await two.play({ answers: [[writeFile('src/b.ts', SECRET)], 'written'], tests: [true] });
  second = two.run;
  const three = await RunDriver.open(house, { blueprint: ONE_AGENT });
  // A model that knows a digest of another run's file writes it where a reference could stand.
  const stolen = { digest: digestOf(utf8Encode(SECRET)), bytes: SECRET.length, mediaType: 'text/plain' };
  await three.answer([{ name: 'write_file', arguments: { path: 'src/c.ts', content: 'c\n', stolen } }]);
  open = three.run;
});

const text = (files: Files, path: string): string => {
  const read = utf8Decode(files.get(path) ?? new Uint8Array());
  if (!read.ok) throw new Error(path);
  return read.value;
};
const partsFrom = (files: Files) => {
  const parts = partsOf(
    [...files].map(([path, bytes]) => ({
      path,
      bytes: bytes.length,
      read: async function* () {
        yield await Promise.resolve(bytes);
      },
    })),
  );
  if (!parts.ok) throw new Error(parts.error.message);
  return parts.value;
};

describe('a bundle of the whole ledger', () => {
  test('holds every entry, tile and blob, is sound, pinned by its fingerprint, and judged again from itself alone', async () => {
    const { files, built } = await bundleOf(house, { is: 'ledger' });
    const report = await check(files, { trust: house.fingerprint });
    expect(report.findings).toEqual([]);
    expect(report).toMatchObject({ sound: true, level: 'signed', trust: 'pinned', fingerprint: house.fingerprint, omitted: 0 });
    expect(report.counts.entries).toBe(Number((await house.store.head()).size));
    expect(report.counts.tiles).toBeGreaterThanOrEqual(2);
    expect(built.statement.runs.map(({ run }) => run)).toEqual([first, second, open]);
    const deep = await deepVerify(bundleSource(partsFrom(files)));
    const own = await deepVerify(house.store);
    expect(deep).toEqual(own);
    expect(deep.totals.judgements).toBeGreaterThan(50);
  });

  test('is the same bytes twice', async () => {
    const [one, two] = [await bundleOf(house, { is: 'ledger' }), await bundleOf(house, { is: 'ledger' })];
    expect([...one.files.keys()]).toEqual([...two.files.keys()]);
    for (const [path, bytes] of one.files)
      expect({ path, same: digestOf(bytes) === digestOf(two.files.get(path) ?? new Uint8Array()) }).toEqual({ path, same: true });
  });

  test('names the git commit and tree of each run as subjects, and each line is a CloudEvent whose leaf anybody can hash', async () => {
    const { files } = await bundleOf(house, { is: 'ledger' });
    const envelope = JSON.parse(text(files, 'export.sigstore.json')) as { dsseEnvelope: { payload: string } };
    const statement = JSON.parse(Buffer.from(envelope.dsseEnvelope.payload, 'base64').toString()) as { subject: { digest: object }[] };
    expect(statement.subject.map(({ digest }) => Object.keys(digest)[0])).toEqual([
      'gitCommit',
      'gitTree',
      'gitCommit',
      'gitTree',
      'sha256',
    ]);
    const lines = text(files, 'events.jsonl').trimEnd().split('\n');
    for (const [index, line] of lines.entries()) {
      const event = JSON.parse(line) as { [name: string]: string };
      expect(event).toMatchObject({ specversion: '1.0', id: `${index}`, sequence: `${index}`.padStart(19, '0') });
    }
    expect(lines).toHaveLength(Number((await house.store.head()).size));
  });
});

describe('a bundle of one run', () => {
  test('holds that run, the law, and nothing of other runs: no entry, no blob, no name', async () => {
    const { files } = await bundleOf(house, RUNS(first));
    const report = await check(files, { trust: house.fingerprint });
    expect(report.findings).toEqual([]);
    expect(report.sound).toBe(true);
    expect(report.runs).toMatchObject([{ run: first, outcome: 'done', governed: false }]);
    const subjects = new Set(
      text(files, 'events.jsonl')
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as { subject: string }).subject),
    );
    expect([...subjects].sort()).toEqual(['law', first]);
    const everything = [...files.values()].map((bytes) => Buffer.from(bytes).toString('latin1')).join('\n');
    expect(everything).not.toContain(second.slice(4));
    expect(everything).not.toContain(SECRET.trim());
  });

  test('a digest that a model wrote brings in no blob of another run, and makes no bundle unsound', async () => {
    const { files } = await bundleOf(house, RUNS(open));
    const report = await check(files);
    expect(report.findings).toEqual([]);
    expect([...files.values()].some((bytes) => Buffer.from(bytes).equals(Buffer.from(SECRET)))).toBe(false);
    // The control: in the run that wrote the file it is there.
    const other = await bundleOf(house, RUNS(second));
    expect([...other.files.values()].some((bytes) => Buffer.from(bytes).equals(Buffer.from(SECRET)))).toBe(true);
  });

  test('is judged again from itself alone, to the same verdict as in its ledger', async () => {
    const { files } = await bundleOf(house, RUNS(second));
    const deep = await deepVerify(bundleSource(partsFrom(files)));
    const own = await deepVerify(house.store, { runs: [second] });
    expect(deep.runs).toEqual(own.runs);
    expect(deep.runs).toMatchObject([{ run: second, verdict: 'agrees' }]);
  });

  test('says of an open run that later entries may exist, and of what is withheld that it is proved and not shown', async () => {
    const { files, built } = await bundleOf(house, RUNS(open, first), {
      withhold: { payload: ({ kind }) => kind === 'model.answered', blob: (type) => type === 'text/plain' },
    });
    const report = await check(files);
    expect(report.findings).toEqual([]);
    expect(built.withheldPayloads).toBeGreaterThan(1);
    expect(report.counts.withheld).toBe(built.withheldPayloads + built.withheldBlobs);
    expect(report.notChecked.join('\n')).toMatch(/open runs have later entries[\s\S]*withheld: proved, not shown/);
    const deep = await deepVerify(bundleSource(partsFrom(files)));
    expect(deep.runs.map(({ verdict }) => verdict)).toEqual(['notDerivable', 'notDerivable']);
  });

  test('is refused as governed without a self-test', async () => {
    await expect(bundleOf(house, RUNS(first), { governed: true })).rejects.toThrow(
      /^bundle\.ungoverned: run\/[0-9a-f]{32}: no passed self-test/,
    );
  });
});

describe('a bundle of a range', () => {
  test('holds the law and the entries of the range, each proved in the tree', async () => {
    const size = Number((await house.store.head()).size);
    const { files } = await bundleOf(house, { is: 'range', from: Number(early), to: size - 3 });
    const report = await check(files);
    expect(report.findings).toEqual([]);
    const indexes = text(files, 'events.jsonl')
      .trimEnd()
      .split('\n')
      .map((line) => {
        const event = parseEvent(utf8Encode(line));
        return event.ok ? event.value.index : -1;
      });
    expect(indexes.filter((index) => index >= Number(early))).toEqual(
      Array.from({ length: size - 3 - Number(early) }, (_, at) => Number(early) + at),
    );
  });

  test.each([
    ['turned round', 9, 3],
    ['empty', 4, 4],
    ['beyond the signed tree', 0, 100_000],
  ])('one that is %s is refused', async (_, from, to) => {
    await expect(bundleOf(house, { is: 'range', from, to })).rejects.toThrow(/^bundle\.scope/);
  });
});

describe('what the reader holds it against', () => {
  test('a fingerprint of another ledger is found', async () => {
    const { files } = await bundleOf(house, RUNS(first));
    const report = await check(files, { trust: digestOf(utf8Encode('another')) });
    expect(foundIn(report)).toEqual(['ledger.untrusted events.jsonl']);
  });

  test('a checkpoint kept from before is continued, by the proof in the bundle', async () => {
    const kept = await headOf(house, early);
    const store = { ...withCheckpoints(house, [kept]) };
    const order = await orderOf(house, RUNS(second), { since: [early] });
    const files: Files = new Map();
    const built = await buildBundle(store, order, memorySink(files));
    expect(built.ok).toBe(true);
    expect(files.has(`consistency/${early}-${(await house.store.head()).size}`)).toBe(true);
    const report = await check(files, { since: kept.note });
    expect(report.findings).toEqual([]);
    // Without the proof the same checkpoint is an open question, and that is a finding.
    const bare = await bundleOf(house, RUNS(second));
    expect(foundIn(await check(bare.files, { since: kept.note }))).toEqual(['proof.missing checkpoint']);
  });

  test('a larger checkpoint than that of the bundle is a roll-back', async () => {
    const order = await orderOf(house, RUNS(first), { checkpoint: await headOf(house, early) });
    const { files } = await bundleOf(house, RUNS(first), order);
    expect(foundIn(await check(files, { since: (await headOf(house)).note }))).toEqual(['ledger.rolledBack checkpoint']);
  });
});

function withCheckpoints(of: House, kept: readonly { readonly size: bigint; readonly note: string }[]) {
  const { store } = of;
  return {
    all: store.all.bind(store),
    rows: store.rows.bind(store),
    blob: store.blob.bind(store),
    inclusion: store.inclusion.bind(store),
    consistency: store.consistency.bind(store),
    async *checkpoints() {
      await Promise.resolve();
      yield* kept;
    },
  };
}

describe('one file', () => {
  test('holds the same parts, byte for byte', async () => {
    const { files } = await bundleOf(house, RUNS(first));
    const bytes = tarOf(files);
    const parts = await readTar({
      bytes: bytes.length,
      read: (at, length) => Promise.resolve(new Uint8Array(bytes.subarray(at, at + length))),
    });
    if (!parts.ok) throw new Error(parts.error.message);
    for (const [path, part] of parts.value) {
      const pieces: Buffer[] = [];
      for await (const piece of part.read()) pieces.push(Buffer.from(piece));
      expect({ path, same: Buffer.concat(pieces).equals(Buffer.from(files.get(path) ?? [])) }).toEqual({ path, same: true });
    }
    expect(parts.value.size).toBe(files.size);
  });

  test.each([
    ['a path that climbs out', (tar: Buffer) => named(tar, '../evil'), 'bundle.path'],
    ['an absolute path', (tar: Buffer) => named(tar, '/etc/passwd'), 'bundle.path'],
    ['a hidden path', (tar: Buffer) => named(tar, '.git/config'), 'bundle.path'],
    ['a path with a newline', (tar: Buffer) => named(tar, 'a\nb'), 'bundle.path'],
    ['a link', (tar: Buffer) => typed(tar, '2'), 'bundle.malformed'],
    ['a folder', (tar: Buffer) => typed(tar, '5'), 'bundle.malformed'],
    ['a part twice', (tar: Buffer) => Buffer.concat([tar.subarray(0, 1024), tar]), 'bundle.duplicate'],
    ['a cut end', (tar: Buffer) => tar.subarray(0, tar.length - 512), 'bundle.truncated'],
    ['no end', (tar: Buffer) => tar.subarray(0, tar.length - 1024), 'bundle.truncated'],
    ['a cut part', (tar: Buffer) => tar.subarray(0, 700), 'bundle.truncated'],
    ['something behind the end', (tar: Buffer) => Buffer.concat([tar, Buffer.alloc(512)]), 'bundle.malformed'],
    ['a part behind the end', (tar: Buffer) => Buffer.concat([tar, tar]), 'bundle.malformed'],
    ['something in the padding', (tar: Buffer) => patched(tar, 1023, 1), 'bundle.malformed'],
    ['a wrong sum', (tar: Buffer) => patched(tar, 150, 0x31), 'bundle.malformed'],
    ['nothing at all', () => Buffer.alloc(0), 'bundle.truncated'],
  ])('%s is refused', async (_, change, code) => {
    const files: Files = new Map([['part', utf8Encode('some text')]]);
    const bytes = change(tarOf(files));
    const parts = await readTar({
      bytes: bytes.length,
      read: (at, length) => Promise.resolve(new Uint8Array(bytes.subarray(at, at + length))),
    });
    expect(parts).toMatchObject({ ok: false, error: { code } });
  });
});

function tarOf(files: Files): Buffer {
  const blocks = [...files].flatMap(([path, bytes]) => {
    const header = tarHeader(path, bytes.length);
    if (header === null) throw new Error(path);
    return [header, bytes, tarPadding(bytes.length)];
  });
  return Buffer.concat([...blocks, TAR_END]);
}
/** The first header under another name, with its sum made right. */
function named(tar: Buffer, name: string): Buffer {
  const own = Buffer.from(tar);
  own.fill(0, 0, 100);
  own.write(name, 0);
  return summed(own);
}
function typed(tar: Buffer, type: string): Buffer {
  const own = Buffer.from(tar);
  own.write(type, 156);
  return summed(own);
}
function patched(tar: Buffer, at: number, byte: number): Buffer {
  const own = Buffer.from(tar);
  own[at] = byte;
  return own;
}
function summed(tar: Buffer): Buffer {
  tar.write('        ', 148);
  const sum = tar.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return tar;
}
