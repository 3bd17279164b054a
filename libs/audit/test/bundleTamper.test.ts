/**
 * Bundles attacked: by somebody without the keys, by somebody with the log key, and by a server that shows another history. Each forgery has a MANIFEST
 * and a statement of its own; each is found, with the part and the index named, or the reader is told what would have found it. PROTOCOL §11.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { buildBundle } from '@openexec/audit';
import { type Bytes, digestOf, type Json, type TrajectoryId, utf8Encode } from '@openexec/canon';
import {
  type Change,
  entriesOf,
  FIX_LOOP,
  House,
  ONE_AGENT,
  ONE_CHECK,
  PEOPLE,
  rechained,
  RunDriver,
  writeFile,
} from '@openexec/kernel/fixture';
import type { Stored, StoredCheckpoint } from '@openexec/ledger';
import { CompactRange, formatVkey, keyIdOf, leafHash, publicKeyOf, seedSigner, signCheckpoint } from '@openexec/proof';
import { type BundleScope, DESCRIPTION, EVENTS, LOG_VKEY, proofPath, STATEMENT } from '@openexec/verify';
import {
  byLog,
  described,
  descriptionOf,
  entryAt,
  found,
  indexOf,
  ledgerOf,
  lineOf,
  linesIn,
  listed,
  placed,
  sealed,
  statementOf,
  textOf,
  withLines,
  withParts,
} from './bundleForger.ts';
import { bundleOf, check, type Files, headOf, LOG, memorySink, ORIGIN, orderOf, RUNS, VKEY } from './bundles.ts';

const STRANGER = PEOPLE.stranger.seed;
let house: House;
let run: TrajectoryId;
let other: TrajectoryId;
let early: StoredCheckpoint;
/** A bundle of one run in a tree with full tiles, with a proof from an earlier checkpoint. */
let good: Files;
/** The same of the run after it. */
let next: Files;
let whole: Files;

beforeAll(async () => {
  house = await House.found();
  const first = await RunDriver.open(house, { blueprint: FIX_LOOP });
  await first.play({ answers: [[writeFile('src/a.ts', 'export const a = 2;\n')], 'written'], tests: [true] });
  run = first.run;
  const second = await RunDriver.open(house, { blueprint: FIX_LOOP });
  await second.play({ answers: [[writeFile('src/b.ts', 'b\n')], 'written'], tests: [true] });
  other = second.run;
  early = await headOf(house);
  while ((await house.store.head()).size < 300n) await (await RunDriver.open(house, { blueprint: ONE_CHECK })).play({ tests: [true] });
  const third = await RunDriver.open(house, { blueprint: ONE_AGENT });
  await third.answer([writeFile('src/c.ts', 'c\n')]);
  good = await exported(await entriesOf(house.store), RUNS(run), { since: [early] });
  next = await exported(await entriesOf(house.store), RUNS(other), { since: [early] });
  whole = await exported(await entriesOf(house.store), { is: 'ledger' });
});

/** Signs a head over these entries with the log key, and exports: what whoever holds that key can do. */
async function exported(
  entries: readonly Stored[],
  scope: BundleScope,
  more: { readonly since?: readonly StoredCheckpoint[]; readonly signer?: typeof LOG; readonly vkey?: string } = {},
): Promise<Files> {
  const { since = [], signer = LOG, vkey = VKEY } = more;
  const checkpoint = await signedHead(entries, signer);
  const order = { ...(await orderOf(house, scope)), checkpoint, signer, vkeys: [vkey], since: since.map(({ size }) => size) };
  const files: Files = new Map();
  const built = await buildBundle(
    ledgerOf(entries, (digest) => house.store.blob(digest), since),
    order,
    memorySink(files),
  );
  if (!built.ok) throw new Error(built.error.message);
  return files;
}
async function signedHead(entries: readonly Stored[], signer: typeof LOG = LOG): Promise<StoredCheckpoint> {
  const range = CompactRange.empty();
  for (const { entryBytes } of entries) range.append(leafHash(entryBytes));
  const note = await signCheckpoint({ origin: ORIGIN, size: range.size, root: range.root() }, signer);
  if (!note.ok) throw new Error(note.error.message);
  return { size: range.size, note: note.value };
}
const flipped = (bytes: Bytes | undefined, at: number): Bytes => {
  const made = Uint8Array.from(bytes ?? []);
  made[at] = (made[at] ?? 0) ^ 1;
  return made;
};

test('the controls: what is attacked here is sound', async () => {
  for (const files of [good, next, whole]) expect(await found(files, { trust: house.fingerprint })).toEqual([]);
  expect(await found(good, { since: early.note })).toEqual([]);
  // The forger's own tools change nothing where nothing is changed.
  expect(await found(byLog(good))).toEqual([]);
  expect([...good.keys()].filter((path) => /^tile\/0\/\d{3}$/.test(path))).toEqual(['tile/0/000']);
});

describe('somebody without a key of the ledger', () => {
  test('cannot re-make the MANIFEST over other bytes of any part', async () => {
    for (const [path, bytes] of good) {
      if (path === STATEMENT) continue;
      const made = withParts(good, { [path]: flipped(bytes, bytes.length >> 1) });
      const all = await found(path === 'MANIFEST' ? made : listed(made));
      // Where the tree or the description cannot be read, nothing behind it is: it is named itself then.
      const named = all.filter((each) => each.includes('statement.wrong') || each.endsWith(` ${path}`) || / tile(?:$|\/)/.test(each));
      expect({ path, found: named.length > 0 }).toEqual({ path, found: true });
    }
  });

  test.each([
    ['said to be his own', undefined],
    ['said to be of the log key', keyIdOf(publicKeyOf(PEOPLE.log.seed))],
    ['said to be of a runtime key', keyIdOf(publicKeyOf(PEOPLE.runtime.seed))],
  ])('cannot sign the statement anew: a signature %s is refused', async (_, as) => {
    const made = sealed(withParts(good, { 'report.html': 'another report' }), { seed: STRANGER, ...(as === undefined ? {} : { as }) });
    expect(await found(made)).toEqual([`bundle.malformed ${STATEMENT}`]);
  });

  test.each([
    ['the hint of the key', (text: string) => text.replace('"hint":"', '"hint":"x')],
    ['a member beside', (text: string) => text.replace('{"dsse', '{"a":1,"dsse')],
    ['white space', (text: string) => text.replace('{', '{ ')],
    ['no newline at the end', (text: string) => text.trimEnd()],
    [
      'a timestamp that is none',
      (text: string) =>
        text.replace('"verificationMaterial":{', '"verificationMaterial":{"timestampVerificationData":{"rfc3161Timestamps":[{}]},'),
    ],
    ['a second signature', (text: string) => text.replace('"signatures":[', '"signatures":[{"keyid":"","sig":""},')],
    ['another media type', (text: string) => text.replace('v0.3', 'v0.4')],
  ])('cannot change %s of the statement, though nothing signs it', async (_, change) => {
    expect(await found(withParts(good, { [STATEMENT]: change(textOf(good, STATEMENT)) }))).toEqual([`bundle.malformed ${STATEMENT}`]);
  });

  test('cannot sign another head with a key of his own, nor name it as the key of the log', async () => {
    const signer = seedSigner({ keyName: ORIGIN, seed: STRANGER });
    const vkey = formatVkey({ keyName: ORIGIN, publicKey: publicKeyOf(STRANGER) });
    const made = await exported(await entriesOf(house.store), RUNS(run), { signer, vkey });
    expect(await found(made)).toEqual(expect.arrayContaining(['checkpoint.signature checkpoint', `bundle.malformed ${STATEMENT}`]));
    const named = byLog(withParts(good, { [LOG_VKEY]: `${vkey}\n` }));
    expect(await found(named)).toEqual([`checkpoint.signature ${LOG_VKEY}`]);
    expect(await found(byLog(withParts(good, { [LOG_VKEY]: `${VKEY}\v` })))).toEqual([`checkpoint.signature ${LOG_VKEY}`]);
  });
});

describe('somebody with the log key, who signs whatever he likes', () => {
  test('cannot change an entry, a payload, a salt or a member of a line: the index is named', async () => {
    const at = lineOf(linesIn(good), 'model.answered');
    const index = indexOf(linesIn(good), at);
    const changes: readonly (readonly [string, (line: string) => string, string])[] = [
      ['entry', (line) => line.replace(/(\\"actor\\":\\")(.)/, '$1X'), 'event.notInTree'],
      ['payload', (line) => line.replace(/("payload":"{\\")(.)/, '$1X'), 'payload.commitment'],
      ['salt', (line) => line.replace(/"salt":"(.)/, (_, first: string) => `"salt":"${first === 'A' ? 'B' : 'A'}`), 'payload.commitment'],
      ['no payload', (line) => line.replace(/"payload":".*?[^\\]"/, '"payload":null'), 'payload.commitment'],
      [
        'gone',
        (line) => line.replace(/"payload":".*?[^\\]"/, '"payload":null').replace(/"salt":"[^"]*"/, '"salt":null'),
        'payload.missing',
      ],
      ['subject', (line) => line.replace(/"subject":"[^"]*"/, '"subject":"law"'), 'event.misstated'],
      ['time', (line) => line.replace(/"time":"2026/, '"time":"2025'), 'event.misstated'],
      ['type', (line) => line.replace('"type":"dev.openexec.model.answered"', '"type":"dev.openexec.run.closed"'), 'event.misstated'],
      ['spelling', (line) => line.replace('{', '{ '), 'event.misstated'],
    ];
    for (const [what, change, code] of changes) {
      const made = byLog(withLines(good, (lines) => lines.map((line, each) => (each === at ? change(line) : line))));
      expect({ what, all: await placed(made) }).toEqual({ what, all: expect.arrayContaining([`${code} ${EVENTS} ${index}`]) });
    }
  });

  test.each([
    ['dropped', (lines: string[], at: number) => lines.filter((_, each) => each !== at), 1, 'entry.position'],
    ['said twice', (lines: string[], at: number) => lines.flatMap((line, each) => (each === at ? [line, line] : [line])), 0, 'event.order'],
    ['swapped with the next', (lines: string[], at: number) => swapped(lines, at), 0, 'event.order'],
  ])('cannot have an entry %s', async (_, change, after, code) => {
    const at = lineOf(linesIn(good), 'model.answered');
    const made = withLines(good, (lines) => change(lines, at));
    const all = await placed(byLog(described(made, { entries: linesIn(made).length })));
    expect(all).toContain(`${code} ${EVENTS} ${indexOf(linesIn(good), at + after)}`);
  });

  test('cannot say another number of entries than there are', async () => {
    expect(await found(byLog(described(good, { entries: 3 })))).toEqual([`bundle.malformed ${DESCRIPTION}`]);
  });

  test('cannot put tiles, proofs or consistency of another tree in their place', async () => {
    const { tree, files } = await otherTree();
    const tile = 'tile/1/000.p/1';
    for (const path of ['tile/0/000', tile]) expect(files.has(path)).toBe(true);
    expect(await found(byLog(withParts(good, { 'tile/0/000': files.get('tile/0/000') ?? null })))).toEqual(['bundle.digest tile/0/000']);
    expect(await found(byLog(withParts(good, { [tile]: files.get(tile) ?? null })))).toEqual(['bundle.digest tile']);
    const law = proofPath('law');
    expect(await placed(byLog(withParts(good, { [law]: files.get(law) ?? null })))).toEqual([`proof.refused ${law} ${lastOf('law')}`]);
    const own = proofPath(run);
    expect(await placed(byLog(withParts(good, { [law]: good.get(own) ?? null })))).toEqual([`proof.refused ${law} ${lastOf('law')}`]);
    const path = [...good.keys()].find((each) => /^consistency\/\d+-\d+$/.test(each)) ?? '';
    expect(await found(byLog(withParts(good, { [path]: files.get(path) ?? null })))).toEqual([`proof.refused ${path}`]);
    expect(await found(byLog(withParts(good, { checkpoint: tree.note })))).toContain('checkpoint.root checkpoint');
  });

  test('cannot leave out tiles, proofs, a blob or the older head of a consistency proof, nor add any', async () => {
    const path = [...good.keys()].find((each) => /^consistency\/\d+-\d+$/.test(each)) ?? '';
    const blob = [...good.keys()].find((each) => each.startsWith('blobs/')) ?? '';
    const law = proofPath('law');
    const without = (part: string): Promise<readonly string[]> => found(byLog(withParts(good, { [part]: null })));
    expect(await without('tile/0/000')).toContain('event.notInTree events.jsonl');
    expect(await without([...good.keys()].find((each) => each.startsWith('tile/1/')) ?? '')).toEqual(['bundle.missing tile']);
    expect(await without(law)).toEqual([`proof.missing ${law}`]);
    expect(await without(blob)).toEqual([`blob.missing ${blob}`]);
    expect(await without(`${path}.checkpoint`)).toEqual([`bundle.missing ${path}.checkpoint`]);
    const extra = (part: string, bytes: Bytes | string): Promise<readonly string[]> => found(byLog(withParts(good, { [part]: bytes })));
    const stray = utf8Encode('nobody names this');
    expect(await extra(`blobs/${digestOf(stray).slice(7)}`, stray)).toEqual([`blob.unnamed blobs/${digestOf(stray).slice(7)}`]);
    expect(await extra(blob, 'other bytes')).toContain(`bundle.digest ${blob}`);
    expect(await extra(proofPath(other), next.get(proofPath(other)) ?? '')).toEqual([`bundle.extra ${proofPath(other)}`]);
    expect(await extra('tile/0/002', new Uint8Array(8192))).toEqual(['bundle.extra tile/0/002']);
    expect(await extra('tile/0/000.p/3', new Uint8Array(96))).toEqual(['bundle.extra tile/0/000.p/3']);
    expect(await extra('tile/0/000.p/4', new Uint8Array(96))).toEqual(['bundle.malformed tile/0/000.p/4']);
    expect(await extra('tile/entries/000', new Uint8Array(96))).toEqual(['bundle.extra tile/entries/000']);
    expect(await extra('run.sh', 'echo')).toEqual(['bundle.extra run.sh']);
  });

  test('cannot rename a consistency proof, break it, or have it end elsewhere', async () => {
    const path = [...good.keys()].find((each) => /^consistency\/\d+-\d+$/.test(each)) ?? '';
    const renamed = path.replace(/\d+/, '7');
    const parts = { [path]: null, [`${path}.checkpoint`]: null, [renamed]: textOf(good, path), [`${renamed}.checkpoint`]: early.note };
    expect(await found(byLog(withParts(good, parts)))).toEqual([`proof.refused ${renamed}`]);
    const put = (text: string): Promise<readonly string[]> => found(byLog(withParts(good, { [path]: text })));
    expect(await put('no request')).toEqual([`proof.refused ${path}`]);
    expect(await put(textOf(good, path).replace(/\n[A-Za-z0-9+/]{43}=\n/, `\n${Buffer.alloc(32, 1).toString('base64')}\n`))).toEqual([
      `proof.refused ${path}`,
    ]);
    expect(await put(unsigned(textOf(good, path)))).toEqual([`checkpoint.signature ${path}`]);
    expect(await found(byLog(withParts(good, { [`${path}.checkpoint`]: unsigned(early.note) })))).toEqual([
      `checkpoint.signature ${path}.checkpoint`,
    ]);
  });

  test('cannot say more of the runs than their entries do', async () => {
    const { runs } = statementOf(good);
    const said = (change: object): Promise<readonly string[]> => found(byLog(good, { runs: runs.map((each) => ({ ...each, ...change })) }));
    const git = 'f'.repeat(40);
    for (const change of [
      { commit: git },
      { tree: git },
      { commit: null },
      { ref: 'refs/heads/main' },
      { outcome: 'failed' },
      { run: other },
      { governed: true },
    ])
      expect({ change, all: await said(change) }).toEqual({ change, all: [`statement.wrong ${STATEMENT}`] });
    expect(await found(byLog(good, { runs: [] }))).toEqual([`statement.wrong ${STATEMENT}`]);
    expect(await found(byLog(good, { runs: [...runs, ...statementOf(next).runs] }))).toEqual([`statement.wrong ${STATEMENT}`]);
    const of: readonly Partial<ReturnType<typeof statementOf>>[] = [
      { size: 5 },
      { root: digestOf('x') },
      { ledger: digestOf('x') },
      { origin: 'x' },
      { coverage: 'gatewayOnly' },
    ];
    for (const state of of)
      expect({ state, all: await found(byLog(good, state)) }).toEqual({ state, all: [`statement.wrong ${STATEMENT}`] });
  });

  test('cannot leave out a run that is said to be there, nor slip in one that is not', async () => {
    expect(await found(byLog(described(good, { scope: RUNS(run, other) })))).toEqual([`run.incomplete ${EVENTS}`]);
    const both = (await bundleOf(house, RUNS(run, other))).files;
    const report = await check(byLog(described(both, { scope: RUNS(run) })));
    expect(report.findings).toMatchObject([
      { code: 'bundle.extra', part: EVENTS, index: expect.any(Number), message: expect.stringContaining(other) },
    ]);
  });

  test('cannot cut the tail of a run unseen: a closed run is open then, and the reader is told that more may follow', async () => {
    const made = withLines(good, (lines) => lines.slice(0, -3));
    const cut = described(made, { entries: linesIn(made).length });
    // The proof of what is now the last entry is not in the bundle.
    expect(await found(byLog(cut))).toEqual(expect.arrayContaining([`proof.refused ${proofPath(run)}`, `statement.wrong ${STATEMENT}`]));
    // With a proof of its own, and a statement that says no more than is left, it holds together: as an open run, and so it is shown.
    const all = await entriesOf(house.store);
    const last = indexOf(linesIn(cut), linesIn(cut).length - 1);
    const half = await exported(
      all.filter((stored) => stored.entry.trajectory !== run || stored.index <= BigInt(last)),
      RUNS(run),
    );
    const report = await check(half);
    expect(report).toMatchObject({ sound: true, runs: [{ run, outcome: 'open', commit: null, governed: false }] });
    expect(report.notChecked.join('\n')).toContain('whether 1 open runs have later entries');
    expect(report.notChecked.join('\n')).toContain('another history');
  });

  test('cannot leave an entry out of a range, nor put one in from outside of it', async () => {
    const size = Number((await house.store.head()).size);
    const range = (await bundleOf(house, { is: 'range', from: 40, to: size })).files;
    expect(await found(range)).toEqual([]);
    const at = linesIn(range).findIndex((line) => entryAt([line], 0).id === '44');
    const less = withLines(range, (lines) => lines.filter((_, each) => each !== at));
    expect(await placed(byLog(described(less, { entries: linesIn(less).length })))).toContain(`event.order ${EVENTS} 44`);
    const short = withLines(range, (lines) => lines.slice(0, -1));
    expect(await placed(byLog(described(short, { entries: linesIn(short).length })))).toContain(`event.order ${EVENTS} ${size - 1}`);
    expect(await placed(byLog(described(range, { scope: { is: 'range', from: 41, to: size } })))).toContain(`event.order ${EVENTS} 40`);
  });

  test('cannot mark as withheld what must be there, what is there, or what never was', async () => {
    const lines = linesIn(good);
    const close = lineOf(lines, 'run.closed');
    const { seq } = JSON.parse(entryAt(lines, close).data.entry) as { seq: number };
    const bare = withLines(good, (all) => all.map((line, at) => (at === close ? emptied(line) : line)));
    const runs = statementOf(good).runs.map((each) => ({ ...each, outcome: 'unknown', commit: null, tree: null, ref: null }));
    const marked = described(bare, { withheldPayloads: [{ trajectory: run, seq }] });
    expect(await placed(byLog(marked, { runs }))).toEqual([`bundle.malformed ${DESCRIPTION} ${indexOf(lines, close)}`]);
    const there = described(good, { withheldPayloads: [{ trajectory: run, seq: 2 }] });
    expect(await placed(byLog(there))).toEqual([`bundle.malformed ${DESCRIPTION} ${indexOf(lines, lineOf(lines, 'run.opened') + 2)}`]);
    for (const place of [
      { trajectory: run, seq: 9999 },
      { trajectory: other, seq: 1 },
    ])
      expect(await placed(byLog(described(good, { withheldPayloads: [place] })))).toEqual([`bundle.malformed ${DESCRIPTION} null`]);
    const blob = [...good.keys()].find((each) => each.startsWith('blobs/')) ?? '';
    const withheldBlobs = [`sha256:${blob.slice(6)}` as ReturnType<typeof digestOf>];
    expect(await found(byLog(described(good, { withheldBlobs })))).toEqual([`blob.unnamed ${blob}`, `blob.missing ${blob}`].slice(0, 1));
    for (const kind of ['ledger.founded', 'run.opened']) {
      const at = lineOf(lines, kind);
      const made = withLines(good, (all) => all.map((line, each) => (each === at ? emptied(line) : line)));
      const own = JSON.parse(entryAt(lines, at).data.entry) as { seq: number; trajectory: string };
      const all = await placed(byLog(described(made, { withheldPayloads: [{ trajectory: own.trajectory, seq: own.seq }] })));
      expect(all).toContain(`payload.missing ${EVENTS} ${indexOf(lines, at)}`);
    }
  });

  test('cannot describe another ledger, tree or kind of scope than the bundle has', async () => {
    expect(await found(byLog(described(good, { ledger: digestOf('x') })))).toContain(`bundle.malformed ${DESCRIPTION}`);
    expect(await found(byLog(described(good, { origin: 'elsewhere' })))).toContain(`bundle.malformed ${DESCRIPTION}`);
    expect(await found(byLog(described(good, { root: digestOf('x') })))).toEqual(['bundle.digest tile']);
    expect(await found(byLog(described(good, { size: descriptionOf(good).size + 1 })))).toEqual(['bundle.missing tile']);
    expect(await found(byLog(described(good, { scope: { is: 'ledger' } })))).toContain('checkpoint.root checkpoint');
    expect(await found(byLog(described(whole, { root: digestOf('x') })))).toContain('checkpoint.root checkpoint');
  });

  test('cannot give a whole ledger other tiles, fewer, or more', async () => {
    const tile = [...whole.keys()].find((path) => path.startsWith('tile/entries/')) ?? '';
    expect(await found(byLog(withParts(whole, { [tile]: flipped(whole.get(tile), 9) })))).toEqual([`bundle.digest ${tile}`]);
    expect(await found(byLog(withParts(whole, { [tile]: null })))).toEqual([`bundle.missing ${tile}`]);
    expect(await found(byLog(withParts(whole, { 'tile/5/000': 'x' })))).toEqual(['bundle.extra tile/5/000']);
  });
});

describe('another history, signed by the real log key', () => {
  test('of the same size is a split view for whoever kept a checkpoint of it', async () => {
    const { files, tree } = await otherTree();
    expect(await found(files, { since: (await headOf(house)).note })).toEqual(['ledger.rolledBack checkpoint']);
    expect(await found(good, { since: tree.note })).toEqual(['ledger.rolledBack checkpoint']);
    // Without a kept checkpoint and without witnesses nothing can tell the two apart, and the report says so.
    const report = await check(files, { trust: house.fingerprint });
    expect(report).toMatchObject({ sound: true, level: 'signed', trust: 'pinned' });
    expect(report.notChecked.join('\n')).toMatch(/another history: no checkpoint that you kept was given \(--since\)/);
    expect((await check(good, { since: early.note })).notChecked.join('\n')).not.toContain('another history');
  });

  test('that grew from another beginning is found by a smaller checkpoint, whatever proof it brings', async () => {
    expect(await found(await exported(await rewritten(), RUNS(run)), { since: early.note })).toEqual(['proof.missing checkpoint']);
    // It shows a consistency proof, but from an older head of its own telling.
    const forged = await rewritten();
    const told = await signedHead(forged.slice(0, Number(early.size)));
    const lying = await exported(forged, RUNS(run), { since: [told] });
    const path = `consistency/${early.size}-${forged.length}`;
    expect(await found(lying, { since: early.note })).toEqual([`ledger.rolledBack ${path}`]);
    expect(await found(lying)).toEqual([]);
    // The true older head beside the proof of the other tree does not help.
    expect(await found(byLog(withParts(lying, { [`${path}.checkpoint`]: early.note })), { since: early.note })).toEqual(
      expect.arrayContaining([`proof.refused ${path}`]),
    );
  });

  test('of a ledger that was founded by somebody else is found by its fingerprint, and only by it', async () => {
    const false_ = await House.found();
    await false_.trust('policy');
    const play = await RunDriver.open(false_, { blueprint: ONE_CHECK });
    await play.play({ tests: [true] });
    const { files } = await bundleOf(false_, RUNS(play.run));
    const strange = digestOf('the fingerprint that the reader was given');
    expect(await found(files, { trust: strange })).toEqual([`ledger.untrusted ${EVENTS}`]);
    expect((await check(files, { trust: strange })).firstBad).toBe(0);
    const report = await check(files);
    expect(report).toMatchObject({ sound: true, trust: 'selfAsserted' });
    expect(report.notChecked.join('\n')).toContain('whose ledger this is: no fingerprint that you know from elsewhere was given (--trust)');
  });

  test('that changed what a runtime key signed is found without any checkpoint', async () => {
    const forged = rechained(
      await entriesOf(house.store),
      house.store,
      asked((body) => ({ ...body, text: 'what was never said' }), run),
    );
    const made = await exported(forged.entries, RUNS(run));
    const close = linesIn(made)
      .map((line) => entryAt([line], 0))
      .find(({ type }) => type === 'dev.openexec.run.closed');
    expect(await placed(made)).toContain(`entry.signature ${EVENTS} ${close?.id}`);
  });

  test('that dropped a whole run is one that only a kept checkpoint or a witness can find; nothing claims otherwise', async () => {
    const files = await exported(await rewritten(), { is: 'ledger' });
    const report = await check(files, { trust: house.fingerprint });
    expect(report.sound).toBe(true);
    expect(report.notChecked.join('\n')).toContain('another history');
    expect(await found(files, { since: (await headOf(house)).note })).toEqual(['ledger.rolledBack checkpoint']);
  });
});

function swapped(lines: readonly string[], at: number): readonly string[] {
  return lines.map((line, each) => (each === at ? lines[at + 1] : each === at + 1 ? lines[at] : line) ?? '');
}
function emptied(line: string): string {
  const event = JSON.parse(line) as { data: { entry: string } };
  // Member order stays: JSON.parse keeps it, and the line was canonical.
  return JSON.stringify({ ...event, data: { ...event.data, payload: null, salt: null } });
}
/** Where the last entry of a trajectory stands. */
function lastOf(trajectory: string): number {
  return Number(
    linesIn(good)
      .map((line) => entryAt([line], 0))
      .findLast(({ subject }) => subject === trajectory)?.id,
  );
}
/** Every `model.answered` of a run with another body. */
function asked(change: (body: { readonly [name: string]: Json }) => Json, of: TrajectoryId): Change {
  return ({ entry }, body) =>
    entry.trajectory === of && entry.kind === 'model.answered'
      ? [{ entry, body: change(body as { readonly [name: string]: Json }) }]
      : [{ entry, body }];
}
/** The ledger without the second run, which stands below the earlier checkpoint: every hash, link and signature holds, only the tree is another. */
async function rewritten(): Promise<readonly Stored[]> {
  const all = await entriesOf(house.store);
  return rechained(all, house.store, ({ entry }, body) => (entry.trajectory === other ? [] : [{ entry, body }])).entries;
}
/** A tree of the same size in which the second run was answered something else. */
async function otherTree(): Promise<{ readonly files: Files; readonly tree: StoredCheckpoint }> {
  const all = await entriesOf(house.store);
  const forged = rechained(
    all,
    house.store,
    asked((body) => ({ ...body, text: 'what was never said' }), other),
  ).entries;
  return {
    files: await exported(forged, RUNS(run), { since: [await signedHead(forged.slice(0, Number(early.size)))] }),
    tree: await signedHead(forged),
  };
}
/** A note with a signature that is none. */
function unsigned(note: string): string {
  return note.replace(/(\u2014 \S+ \S{20})(.)/, (_, before: string, each: string) => `${before}${each === 'A' ? 'B' : 'A'}`);
}
