/**
 * The proof of one resource, made by hand link by link: what a good one shows, and that each link, changed alone, is refused by its own name. PROTOCOL §8.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import {
  type Bytes,
  canonicalText,
  type Digest,
  digestFromBytes,
  digestJson,
  digestOf,
  type Json,
  toHex,
  utf8Encode,
} from '@openexec/canon';
import { commitmentOf, type Entry, encodeEntry } from '@openexec/ledger';
import { fixtures } from '@openexec/ledger/contract';
import {
  CompactRange,
  emptyMap,
  formatTlogProof,
  formatVkey,
  leafHash,
  mapProofJson,
  mapProve,
  mapRoot,
  mapSet,
  publicKeyOf,
  recordHash,
  type ResourceRecord,
  resourceKey,
  signCheckpoint,
} from '@openexec/proof';
import { verifyWorldProof, WORLD_KINDS } from '@openexec/verify';

const { logSigner, ORIGIN, runNamed, SEEDS, START } = fixtures;
const VKEY = formatVkey({ keyName: ORIGIN, publicKey: publicKeyOf(SEEDS.log) });
const SALT = new Uint8Array(16).fill(7);
const VALUE: Json = { oid: 'a'.repeat(40), mode: '100644' };
const RECORD: ResourceRecord = { version: 3, value: digestJson(VALUE), retracted: false, lastCommit: 9 };
const OTHER = digestOf('other');
type Document = { [name: string]: Json };

const world = (() => {
  const one = mapSet(emptyMap<null>(), resourceKey('file', 'a.ts'), recordHash(RECORD), null);
  return mapSet(one, resourceKey('kv', 'note'), recordHash({ ...RECORD, value: null, retracted: true }), null);
})();
const ROOT: Digest = digestFromBytes(mapRoot(world));

interface Made {
  readonly payload?: string;
  readonly salt?: Bytes;
  readonly entry?: Partial<Entry>;
  readonly document?: Document;
}
/** A proof with some of it otherwise; whatever hangs on what was changed is made to fit it. */
async function made(changes: Made = {}): Promise<Document> {
  const payload = changes.payload ?? canonicalText({ intent: OTHER, worldRoot: ROOT });
  const salt = changes.salt ?? SALT;
  const entry: Entry = {
    v: 1,
    trajectory: runNamed('a'),
    seq: 9,
    prev: OTHER,
    kind: 'commit.recorded',
    at: START,
    actor: 'runtime',
    cause: 8,
    law: 1,
    commitment: commitmentOf(salt, utf8Encode(payload)),
    bytes: utf8Encode(payload).length,
    ...changes.entry,
  };
  const entryBytes = encodeEntry(entry);
  const before = leafHash(utf8Encode('an entry before it'));
  const range = CompactRange.empty();
  for (const leaf of [before, leafHash(entryBytes)]) range.append(leaf);
  const note = await signCheckpoint({ origin: ORIGIN, size: 2n, root: range.root() }, logSigner());
  if (!note.ok) throw new Error(note.error.message);
  return {
    v: 1,
    run: entry.trajectory,
    seq: entry.seq,
    kind: 'file',
    id: 'a.ts',
    record: RECORD,
    value: { inline: VALUE },
    proof: mapProofJson(mapProve(world, resourceKey('file', 'a.ts'))) as unknown as Json,
    worldRoot: ROOT,
    entry: new TextDecoder().decode(entryBytes),
    payload,
    salt: toHex(salt),
    tlogProof: formatTlogProof({ index: 1n, hashes: [before], checkpoint: note.value }),
    ...changes.document,
  };
}
function said(document: Json, vkeys: readonly string[] = [VKEY]): string {
  const shown = verifyWorldProof(document, vkeys);
  return shown.ok ? 'shown' : `${shown.error.code}: ${shown.error.message}`;
}
let good: Document;
const but = (members: Document): string => said({ ...good, ...members });
const without = (name: string): string => said(Object.fromEntries(Object.entries(good).filter(([each]) => each !== name)));

beforeAll(async () => {
  good = await made();
});

describe('a good proof', () => {
  test('shows the record, where it stands, and the tree that was signed', () => {
    expect(verifyWorldProof(good, [VKEY])).toEqual({
      ok: true,
      value: { run: runNamed('a'), seq: 9, at: START, kind: 'file', id: 'a.ts', record: RECORD, worldRoot: ROOT, size: 2n, origin: ORIGIN },
    });
    expect(but({ value: null })).toBe('shown');
  });
  test('shows an absence, and a retracted resource', () => {
    const proof = (kind: string, id: string) => mapProofJson(mapProve(world, resourceKey(kind, id))) as unknown as Json;
    expect(but({ id: 'b.ts', record: null, value: null, proof: proof('file', 'b.ts') })).toBe('shown');
    const retracted = { ...RECORD, value: null, retracted: true };
    expect(but({ kind: 'kv', id: 'note', record: retracted, value: null, proof: proof('kv', 'note') })).toBe('shown');
  });
  test('may stand in each kind of entry that states a world, and in no other', async () => {
    expect(WORLD_KINDS).toEqual(['commit.recorded', 'commit.compensated', 'run.closed']);
    for (const kind of ['commit.recorded', 'commit.compensated', 'run.closed'] as const)
      expect(said(await made({ entry: { kind } }))).toBe('shown');
    expect(said(await made({ entry: { kind: 'stage.left' } }))).toBe('worldProof.entry: stage.left states no world');
  });
});

describe('a proof is refused', () => {
  test('that is no object, has another member, lacks one, or is of another version', () => {
    for (const document of [null, 'text', [good]]) expect(said(document as Json)).toBe('worldProof.malformed: it is no object');
    const malformed = (strange: string, missing: string) =>
      `worldProof.malformed: it has the member "${strange}", lacks "${missing}", or is of another version than 1`;
    expect(but({ more: 1 })).toBe(malformed('more', ''));
    for (const name of Object.keys(good)) expect(without(name)).toBe(malformed('', name));
    for (const v of [2, '1', null]) expect(but({ v })).toBe(malformed('', ''));
  });
  test('whose texts are none', () => {
    expect(but({ entry: 1 })).toBe('worldProof.malformed: entry and tlogProof are texts');
    expect(but({ tlogProof: null })).toBe('worldProof.malformed: entry and tlogProof are texts');
    expect(but({ payload: 1 })).toBe('worldProof.malformed: payload is a text, salt is hex');
    expect(but({ salt: 'no hex' })).toBe('worldProof.malformed: payload is a text, salt is hex');
    expect(but({ salt: 7 })).toBe('worldProof.malformed: payload is a text, salt is hex');
    expect(but({ kind: 1 })).toBe('worldProof.malformed: kind and id are texts');
    expect(but({ id: null })).toBe('worldProof.malformed: kind and id are texts');
  });
  test('whose entry is none, or is not the one that the proof is said to be of', () => {
    expect(but({ entry: '{}' })).toMatch(/^worldProof\.entry: \S/);
    expect(but({ seq: 8 })).toBe(`worldProof.entry: the entry is ${runNamed('a')} 9, not what the proof is said to be of`);
    expect(but({ run: runNamed('b') })).toBe(`worldProof.entry: the entry is ${runNamed('a')} 9, not what the proof is said to be of`);
  });
  test('whose entry stands in no tree that the log signed', async () => {
    expect(said(good, [])).toMatch(/^worldProof\.log: \S+: \S/);
    const foreign = formatVkey({ keyName: ORIGIN, publicKey: publicKeyOf(SEEDS.stranger) });
    expect(said(good, [foreign])).toMatch(/^worldProof\.log: /);
    const elsewhere = await made({ entry: { seq: 10 } });
    expect(but({ tlogProof: elsewhere['tlogProof'] ?? null })).toMatch(/^worldProof\.log: /);
  });
  test('whose payload is not what the entry committed to, or states no root, or another', async () => {
    const payload = 'worldProof.payload: the payload is not the one that the entry committed to';
    const text = canonicalText({ intent: OTHER, worldRoot: ROOT });
    expect(but({ payload: text.replace(ROOT, OTHER) })).toBe(payload);
    expect(but({ payload: `${text} ` })).toBe(payload);
    expect(but({ salt: '08'.repeat(16) })).toBe(payload);
    expect(said(await made({ entry: { bytes: text.length + 1 } }))).toBe(payload);
    for (const none of ['{"worldRoot":1}', '{"worldRoot":"sha256:"}', '{}', '[]', 'null', '{"a": 1}', `"${ROOT}"`])
      expect(said(await made({ payload: none }))).toBe('worldProof.payload: the payload states no world root');
    expect(but({ worldRoot: OTHER })).toBe(`worldProof.payload: the payload states the root ${ROOT}, the proof another`);
    expect(said(await made({ payload: canonicalText({ worldRoot: OTHER }), document: { worldRoot: OTHER } }))).toMatch(
      /^worldProof\.map: \S+: \S/,
    );
  });
  test('whose record is none', () => {
    const bad = 'worldProof.malformed: the record is not {version, value, retracted, lastCommit}';
    const record = (members: Document) => but({ record: { ...RECORD, ...members } });
    for (const members of [
      { version: -1 },
      { version: 0.5 },
      { version: '3' },
      { lastCommit: -1 },
      { lastCommit: null },
      { retracted: 'no' },
      { value: 'sha256:' },
      { value: 1 },
      { more: 1 },
    ] as Document[])
      expect([members, record(members)]).toEqual([members, bad]);
    expect(but({ record: [1, 2, 3, 4] })).toBe(bad);
    expect(but({ record: 'text' })).toBe(bad);
    const { lastCommit: _, ...fewer } = RECORD;
    expect(but({ record: fewer })).toBe(bad);
    expect(record({ version: 0 })).toMatch(/^worldProof\.map/);
  });
  test('whose value is not that of the record', () => {
    const shape = 'worldProof.value: the value is neither null nor {inline}';
    for (const value of [VALUE, {}, { blob: 1 }, [], 'x', { inline: VALUE, blob: 1 }] as Json[]) expect(but({ value })).toBe(shape);
    const digest = digestJson({ a: 1 });
    expect(but({ value: { inline: { a: 1 } } })).toBe(`worldProof.value: the value has the digest ${digest}, the record ${RECORD.value}`);
    const beside = 'worldProof.value: a value stands beside a record that has none';
    expect(but({ record: null })).toBe(beside);
    expect(but({ record: { ...RECORD, value: null } })).toBe(beside);
  });
  test('whose path leads to another root, key or record, or is none', () => {
    expect(but({ proof: 1 })).toBe('worldProof.malformed: the proof is no object');
    for (const members of [
      { id: 'b.ts' },
      { kind: 'kv' },
      { record: { ...RECORD, version: 4 } },
      { record: null, value: null },
    ] as Document[])
      expect([members, but(members)]).toEqual([members, expect.stringMatching(/^worldProof\.map: \S+: \S/)]);
  });
});
