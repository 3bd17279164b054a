/**
 * Bundles as strangers hand them in: 3 000 hostile variations, half of them listed and signed anew by the log key, and what is large, deep, doubled,
 * linked or newer on purpose. Each ends in codes; nothing is thrown, nothing is written, and no more is read or asked for than there is. PROTOCOL §11.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type Bytes, canonicalText, concatBytes, type Json, utf8Encode } from '@openexec/canon';
import { entriesOf, House, ONE_AGENT, RunDriver } from '@openexec/kernel/fixture';
import { allocatedBy, Chance, insist, mutateBytes, mutateText } from '@openexec/proof/hostile';
import {
  BUNDLE_VERSION,
  type BundlePart,
  type BundleReport,
  CHECKPOINT,
  DESCRIPTION,
  EVENTS,
  LOG_VKEY,
  MANIFEST,
  partsOf,
  readTar,
  STATEMENT,
  TAR_END,
  tarHeader,
  tarPadding,
  verifyBundle,
} from '@openexec/verify';
import { openBundle } from '@openexec/verify/files';
import { byLog, described, listed, textOf, withLines, withParts } from './bundleForger.ts';
import { bundleOf, check, type Files, foundIn, RUNS } from './bundles.ts';

// Against hanging, not a measure: machines are busy.
jest.setTimeout(600_000);

const ROUNDS = 3_000;
const NONE = { trust: null, policy: null, since: null };
const MIB = 1024 * 1024;
const ODD: readonly Json[] = [
  null,
  true,
  -1,
  0,
  9007199254740991,
  1.5,
  '',
  'law',
  'run/x',
  `sha256:${'0'.repeat(64)}`,
  [],
  {},
  [[]],
  { is: 'ledger' },
];

let house: House;
let good: Files;
let whole: Files;
let folder: string;

beforeAll(async () => {
  house = await House.found();
  const run = await RunDriver.open(house, { blueprint: ONE_AGENT });
  good = (await bundleOf(house, RUNS(run.run))).files;
  whole = (await bundleOf(house, { is: 'ledger' })).files;
  folder = mkdtempSync(join(tmpdir(), 'openexec-hostile-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const verified = (parts: Iterable<BundlePart>): Promise<BundleReport> => {
  const made = partsOf(parts);
  if (!made.ok) throw new Error(made.error.message);
  return verifyBundle(made.value, NONE);
};
/** Parts that count what is read of them. */
function counted(files: Files, big: readonly BundlePart[] = []): { readonly parts: readonly BundlePart[]; readonly read: () => number } {
  let bytes = 0;
  const own = [...files].map(([path, held]): BundlePart => ({ path, bytes: held.length, read: () => once(held) }));
  const count = (part: BundlePart): BundlePart => ({
    ...part,
    async *read() {
      for await (const piece of part.read()) {
        bytes += piece.length;
        yield piece;
      }
    },
  });
  const paths = new Set(big.map(({ path }) => path));
  return { parts: [...own.filter(({ path }) => !paths.has(path)), ...big].map(count), read: () => bytes };
}
async function* once(bytes: Bytes): AsyncGenerator<Bytes> {
  yield await Promise.resolve(bytes);
}
/** A part that is this long by repeating some text; nobody holds it. */
function endless(path: string, bytes: number, text: string): BundlePart {
  const piece = utf8Encode(text.repeat(Math.ceil(65_536 / text.length)));
  return {
    path,
    bytes,
    async *read() {
      for (let at = 0; at < bytes; at += piece.length) yield await Promise.resolve(piece.subarray(0, Math.min(piece.length, bytes - at)));
    },
  };
}

describe('variations', () => {
  test(`${ROUNDS} of a bundle end in findings with codes, and what is taken says nothing else than the ledger`, async () => {
    const counts = new Map<string, number>();
    let [taken, signed] = [0, 0];
    for (let round = 0; round < ROUNDS; round++) {
      const chance = new Chance(round);
      const base = chance.below(8) === 0 ? whole : good;
      const anew = chance.below(2) === 0;
      const changed = mutated(base, chance);
      const files = anew
        ? byLog(withParts(changed, { [STATEMENT]: base.get(STATEMENT) ?? null }))
        : chance.below(2) === 0
          ? listed(changed)
          : changed;
      signed += anew ? 1 : 0;
      const parts = partsOf([...files].map(([path, bytes]) => ({ path, bytes: bytes.length, read: () => once(bytes) })));
      if (!parts.ok) {
        counts.set(parts.error.code, (counts.get(parts.error.code) ?? 0) + 1);
        continue;
      }
      const report = await verifyBundle(parts.value, NONE);
      const name = `round ${round}`;
      insist(report.sound === (report.findings.length === 0), name);
      for (const code of new Set(report.findings.map((finding) => finding.code))) {
        insist(/^[a-z]+\.[a-zA-Z]+$/.test(code), name);
        counts.set(code, (counts.get(code) ?? 0) + 1);
      }
      for (const { message, part } of report.findings) insist(message.length < 2_000 && part.length < 300, name);
      if (!report.sound) continue;
      taken += 1;
      for (const part of [EVENTS, LOG_VKEY]) insist(textOf(files, part) === textOf(base, part), name);
      insist(textOf(files, CHECKPOINT).split('\n\n')[0] === textOf(base, CHECKPOINT).split('\n\n')[0], name);
    }
    // No idle play: nearly all were refused, in many ways, and half could not be refused for a digest.
    expect(taken).toBeLessThan(ROUNDS / 4);
    expect(signed).toBeGreaterThan(ROUNDS / 3);
    expect(counts.size).toBeGreaterThan(20);
    expect((await check(good)).findings).toEqual([]);
    process.stderr.write(`${ROUNDS} variations: ${taken} taken, ${counts.size} codes: ${[...counts.keys()].sort().join(' ')}\n`);
  });
});

/** One structure-aware variation: a part, a line, a member of canonical JSON; dropped, doubled, swapped or moved. */
function mutated(files: Files, chance: Chance): Files {
  const paths = [...files.keys()];
  const path = chance.pick([EVENTS, EVENTS, DESCRIPTION, STATEMENT, MANIFEST, CHECKPOINT, ...paths]);
  const bytes = files.get(path) ?? new Uint8Array();
  const binary = path.startsWith('tile/');
  switch (chance.below(9)) {
    case 0:
      return path === STATEMENT ? withParts(files, { [path]: '{}' }) : withParts(files, { [path]: null });
    case 1:
      return withParts(files, { [path]: files.get(chance.pick(paths)) ?? null });
    case 2:
      return withParts(files, {
        [chance.pick([...paths, 'tile/0/001', 'proofs/law', 'blobs/x', 'consistency/1-2', 'a'.repeat(240)])]: bytes,
      });
    case 3:
      return withParts(files, {
        [path]: binary ? mutateBytes(bytes, chance) : mutateText(textOf(files, path), chance, [textOf(files, EVENTS)]),
      });
    case 4:
      return withParts(files, { [path]: mutateBytes(bytes, chance) });
    case 5:
      return withParts(files, { [DESCRIPTION]: `${memberChanged(textOf(files, DESCRIPTION), chance)}\n` });
    case 6:
      return withLines(files, (lines) => lineChanged(lines, chance, (line) => memberChanged(line, chance)));
    case 7:
      return withLines(files, (lines) =>
        lineChanged(lines, chance, (line) => {
          const event = JSON.parse(line) as { data: { entry: string; payload: string | null } };
          const member = chance.pick(['entry', 'payload'] as const);
          const text = event.data[member];
          return text === null ? line : canonicalText({ ...event, data: { ...event.data, [member]: memberChanged(text, chance) } });
        }),
      );
    default:
      return withLines(files, (lines) => {
        const [one, two] = [chance.below(lines.length), chance.below(lines.length)];
        return lines.map((line, at) => (at === one ? lines[two] : at === two ? lines[one] : line) ?? '');
      });
  }
}
function lineChanged(lines: readonly string[], chance: Chance, change: (line: string) => string): readonly string[] {
  const at = chance.below(lines.length);
  return lines.map((line, each) => (each === at ? change(line) : line));
}
/** Canonical JSON with one member, somewhere, replaced or gone. */
function memberChanged(text: string, chance: Chance): string {
  const json = JSON.parse(text) as Json;
  let at = json as { [name: string]: Json };
  for (;;) {
    const names = Object.keys(at);
    if (names.length === 0) return canonicalText(json);
    const name = chance.pick(names);
    const value = at[name];
    if (typeof value === 'object' && value !== null && chance.below(3) > 0) {
      at = value as { [name: string]: Json };
      continue;
    }
    at[name] = chance.pick(ODD);
    return canonicalTextOrNot(json);
  }
}
function canonicalTextOrNot(json: Json): string {
  try {
    return canonicalText(json);
  } catch {
    return JSON.stringify(json);
  }
}

describe('what is large', () => {
  test('a line of 10 MB is refused, and no more of it is held than a line may have', async () => {
    const line = endless(EVENTS, 10 * MIB, '{"data":');
    const { parts } = counted(good, [line]);
    let report: BundleReport | undefined;
    const asked = await allocatedBy(globalThis, async () => {
      report = await verified(parts);
    });
    expect(report?.findings).toContainEqual(expect.objectContaining({ part: EVENTS, code: 'bundle.tooLarge' }));
    expect(asked).toBeLessThan(2 * MIB);
  });

  test.each([
    ['of nothing but text', 'x'.repeat(80), 'bundle.tooLarge'],
    ['of lines that are none', `${'x'.repeat(80)}\n`, 'bundle.malformed'],
    ['of one line again and again', `${'0'.repeat(64)}  checkpoint\n`, 'bundle.duplicate'],
  ])('a MANIFEST of 100 MB %s is refused at its beginning', async (_, text, code) => {
    const { parts, read } = counted(good, [endless(MANIFEST, 100 * MIB, text)]);
    const report = await verified(parts);
    expect(report.findings).toMatchObject([{ part: MANIFEST, code }]);
    expect(read()).toBeLessThan(MIB);
  });

  test('a MANIFEST of 400 000 parts that are not there fills no memory with them', async () => {
    const piece = (from: number): Bytes =>
      utf8Encode(Array.from({ length: 1000 }, (_, at) => `${'0'.repeat(64)}  blobs/${`${from + at}`.padStart(64, '0')}\n`).join(''));
    const part: BundlePart = {
      path: MANIFEST,
      bytes: 400_000 * 137,
      async *read() {
        for (let from = 0; from < 400_000; from += 1000) yield await Promise.resolve(piece(from));
      },
    };
    const report = await verified(counted(good, [part]).parts);
    expect([report.sound, report.findings.length]).toEqual([false, 1000]);
    expect(report.omitted).toBeGreaterThan(398_000);
  });

  test('a million tiny parts are counted, not listed one by one', async () => {
    const tiny = utf8Encode('x');
    const many = function* (count: number): Generator<BundlePart> {
      for (const [path, bytes] of good) yield { path, bytes: bytes.length, read: () => once(bytes) };
      const read = (): AsyncGenerator<Bytes> => once(tiny);
      for (let at = 0; at < count; at++) yield { path: `changes/${at}`, bytes: 1, read };
    };
    const report = await verified(many(1_000_000));
    expect([report.sound, report.findings.length, report.omitted]).toEqual([false, 1000, 999_000]);
  });

  test.each([DESCRIPTION, CHECKPOINT, LOG_VKEY, STATEMENT, 'tile/0/000.p/99', 'proofs/law.tlog-proof'])(
    'a %s that says it has 8 GB is refused for that, unread where it has to be small',
    async (path) => {
      const claimed: BundlePart = { path, bytes: 8 ** 11, read: () => once(new Uint8Array(10)) };
      const named = path.startsWith('tile/') ? ([...good.keys()].find((each) => each.startsWith('tile/0/')) ?? '') : path;
      const report = await verified(counted(good, [{ ...claimed, path: named }]).parts);
      expect(report.findings).toContainEqual(expect.objectContaining({ part: named, code: 'bundle.tooLarge' }));
    },
  );

  test('an archive that says so is refused by its length, from one header', async () => {
    const header = tarHeader('checkpoint', 8 ** 11 - 1) ?? new Uint8Array();
    let read = 0;
    const access = (bytes: number) => ({
      bytes,
      read: (at: number, length: number) => {
        read += length;
        return Promise.resolve(at === 0 ? header.slice(0, length) : new Uint8Array(length));
      },
    });
    expect(await readTar(access(4096))).toMatchObject({ ok: false, error: { code: 'bundle.truncated', part: 'checkpoint' } });
    expect(read).toBe(512);
    // It has the length it says: its parts are opened without reading them, and refused when they are.
    const parts = await readTar(access(512 + 8 ** 11 + 1024));
    if (!parts.ok) throw new Error(parts.error.message);
    expect(foundIn(await verifyBundle(parts.value, NONE))).toEqual(['bundle.missing MANIFEST']);
    expect(read).toBeLessThan(5000);
  });

  test('an entry or a payload beyond what a ledger takes is refused before anything is made of it', async () => {
    for (const member of ['entry', 'payload'] as const) {
      const made = withLines(whole, ([first = '', ...lines]) => {
        const event = JSON.parse(first) as { data: { [name: string]: Json } };
        return [canonicalText({ ...event, data: { ...event.data, [member]: 'x'.repeat(70_000) } }), ...lines];
      });
      expect((await check(byLog(made))).findings).toContainEqual(expect.objectContaining({ part: EVENTS, code: 'bundle.malformed' }));
    }
  });
});

describe('what is deep', () => {
  const deep = '['.repeat(200_000);
  test.each([DESCRIPTION, STATEMENT])('a %s of 200 000 brackets is refused', async (path) => {
    for (const text of [deep, `{"a":${deep}`, deep + ']'.repeat(200_000)])
      expect((await check(listed(withParts(good, { [path]: text })))).findings).toContainEqual(
        expect.objectContaining({ part: path, code: 'bundle.malformed' }),
      );
  });

  test('a line, an entry and a payload of as many are refused', async () => {
    const line = withLines(good, ([, ...lines]) => [deep, ...lines]);
    expect((await check(byLog(line))).findings).toContainEqual(expect.objectContaining({ part: EVENTS, code: 'bundle.malformed' }));
    for (const member of ['entry', 'payload'] as const) {
      const made = withLines(good, ([first = '', ...lines]) => {
        const event = JSON.parse(first) as { data: { [name: string]: Json } };
        return [canonicalText({ ...event, data: { ...event.data, [member]: '['.repeat(4000) } }), ...lines];
      });
      expect((await check(byLog(made))).sound).toBe(false);
    }
  });
});

test('a half of a character, escaped, is refused wherever it stands', async () => {
  for (const member of ['entry', 'payload', 'salt']) {
    const made = withLines(good, (lines) => lines.map((line) => line.replace(new RegExp(`"${member}":"`), `"${member}":"\\ud800`)));
    expect((await check(byLog(made))).findings).toContainEqual(expect.objectContaining({ part: EVENTS, code: 'bundle.malformed' }));
  }
  const origin = textOf(good, DESCRIPTION).replace('"origin":"', '"origin":"\\ud800');
  expect((await check(listed(withParts(good, { [DESCRIPTION]: origin })))).findings).toContainEqual(
    expect.objectContaining({ part: DESCRIPTION, code: 'bundle.malformed' }),
  );
});

describe('what is newer, doubled or unknown', () => {
  test('a newer version is refused by name', async () => {
    const text = textOf(good, DESCRIPTION).replace(`"v":${BUNDLE_VERSION},`, `"v":${BUNDLE_VERSION + 1},`);
    const { findings } = await check(byLog(withParts(good, { [DESCRIPTION]: text })));
    expect(findings).toMatchObject([{ part: DESCRIPTION, code: 'bundle.newer', message: expect.stringContaining('take a newer one') }]);
  });

  test('an entry of a kind that nobody knows is named', async () => {
    const [, second] = await entriesOf(house.store);
    const made = withLines(good, (lines) => lines.map((line) => line.replaceAll('key.trusted', 'key.treasured')));
    expect((await check(byLog(made))).findings).toContainEqual(
      expect.objectContaining({ part: EVENTS, index: Number(second?.index), code: 'entry.undecodable' }),
    );
  });

  test.each([
    ['bundle.duplicate', ['checkpoint', 'checkpoint']],
    ['bundle.path', ['../checkpoint']],
    ['bundle.path', ['/etc/passwd']],
    ['bundle.path', ['blobs/../../x']],
    ['bundle.path', ['C:\\x']],
    ['bundle.path', ['a//b']],
    ['bundle.path', ['blobs/']],
    ['bundle.path', ['']],
    ['bundle.path', [`${'a/'.repeat(130)}b`]],
    ['bundle.path', ['blobs/\u202eexe']],
  ])('%s: parts named %j', (code, paths) => {
    expect(partsOf(paths.map((path) => ({ path, bytes: 0, read: () => once(new Uint8Array()) })))).toMatchObject({
      ok: false,
      error: { code },
    });
  });

  test.each([
    ['an unknown scope', { scope: { is: 'most' } }],
    ['a range of no numbers', { scope: { is: 'range', from: '0', to: 4 } }],
    ['runs that are none', { scope: { is: 'runs', runs: [1] } }],
    ['a member that nobody knows', { more: 1 }],
    ['withheld payloads that are no places', { withheldPayloads: [{ trajectory: 1, seq: 1 }] }],
    ['withheld payloads that are no list', { withheldPayloads: [1] }],
    ['blobs that are no digests', { goneBlobs: ['x'] }],
    ['no size', { size: -1 }],
    ['another coverage', { coverage: 'most' }],
  ])('a description with %s is refused', async (_, change) => {
    const { findings } = await check(byLog(described(good, change as object)));
    expect(findings).toMatchObject([{ part: DESCRIPTION, code: 'bundle.malformed' }]);
  });
});

describe('on disk', () => {
  const put = (name: string, files: Files): string => {
    const root = join(folder, name);
    for (const [path, bytes] of files) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), bytes);
    }
    return root;
  };
  const all = (): readonly string[] => readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();

  test('links, pipes, hidden and deep folders, and things that are no bundle are refused, and nothing is written anywhere', async () => {
    const changes: readonly (readonly [string, (root: string) => void, string])[] = [
      ['a link to a file', (root) => symlinkSync('/etc/passwd', join(root, 'blobs/x')), 'bundle.path'],
      ['a link to a folder', (root) => symlinkSync('/etc', join(root, 'changes')), 'bundle.path'],
      ['a pipe', (root) => execFileSync('mkfifo', [join(root, 'policy')]), 'bundle.path'],
      ['a hidden file', (root) => writeFileSync(join(root, '.x'), ''), 'bundle.path'],
      [
        'a deep folder',
        (root) => mkdirSync(join(root, 'changes', ...Array.from({ length: 30 }, () => 'a')), { recursive: true }),
        'bundle.path',
      ],
    ];
    for (const [name, change, code] of changes) {
      const root = put(name.replaceAll(' ', '-'), good);
      change(root);
      const before = all();
      expect({ name, opened: await openBundle(root) }).toMatchObject({ name, opened: { ok: false, error: { code } } });
      expect(all()).toEqual(before);
    }
    const root = put('whole', good);
    symlinkSync(root, join(folder, 'linked'));
    for (const path of [join(folder, 'linked'), join(folder, 'nothing'), '/dev/null'])
      expect(await openBundle(path)).toMatchObject({ ok: false, error: { code: 'bundle.unreadable' } });
    // The control.
    const opened = await openBundle(root);
    expect(opened.ok && (await verifyBundle(opened.value.parts, NONE)).findings).toEqual([]);
  });

  test('every prefix of an archive that ends at a block or beside one is refused as cut', async () => {
    const blocks = [...good].flatMap(([path, bytes]) => [
      tarHeader(path, bytes.length) ?? new Uint8Array(),
      bytes,
      tarPadding(bytes.length),
    ]);
    const tar = concatBytes(...blocks, TAR_END);
    const open = (bytes: Bytes) => readTar({ bytes: bytes.length, read: (at, length) => Promise.resolve(bytes.slice(at, at + length)) });
    expect((await open(tar)).ok).toBe(true);
    for (let end = 0; end < tar.length; end += 512)
      for (const cut of [end, end + 1, end + 511])
        expect({ cut, opened: await open(tar.slice(0, cut)) }).toMatchObject({
          cut,
          opened: { ok: false, error: { code: 'bundle.truncated' } },
        });
  });
});
