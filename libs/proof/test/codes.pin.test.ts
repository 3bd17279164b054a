/**
 * Every refusal of this package, each with one input that makes it: a code, once published, keeps its meaning. The table is held against the source, so
 * that no code is without its input and no input without its code. PROTOCOL §§1-3; STYLE §10.21.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { type Bytes, ok, toBase64, utf8Encode } from '@openexec/canon';
import {
  admitKey,
  cosign,
  emptyMap,
  entryFromTiles,
  formatCosignerVkey,
  formatTlogProof,
  formatVkey,
  gitCommitBytes,
  gitTreeId,
  leafHash,
  mapProve,
  mapRoot,
  mapSet,
  nodeHash,
  openCheckpoint,
  openCosignatures,
  openNote,
  parseAddCheckpoint,
  parseCosignerVkey,
  parseEntryBundle,
  parseTilePath,
  parseTlogPolicy,
  parseTlogProof,
  parseVkey,
  rootFromTiles,
  seedSigner,
  signCheckpoint,
  signNote,
  TileBuilder,
  type TileReader,
  verifyConsistency,
  verifyInclusion,
  verifyMapProof,
} from '../src/index.ts';

const hash = (fill: number): Bytes => new Uint8Array(32).fill(fill);
const hex = (text: string): Bytes => new Uint8Array(Buffer.from(text, 'hex'));
const log = seedSigner({ keyName: 'log.example/pin', seed: hash(1) });
const witness = seedSigner({ keyName: 'witness.example/pin', seed: hash(2) });
const VKEY = formatVkey(log);
const known = parseCosignerVkey(formatCosignerVkey(witness));
const cosigners = known.ok ? [known.value] : [];
const signed = async (text: string): Promise<string> => {
  const note = await signNote(text, [log]);
  if (!note.ok) throw new Error(note.error.message);
  return note.value;
};
const checkpoint = async (): Promise<string> => signed(`log.example/pin\n3\n${toBase64(hash(9))}\n`);
const single = mapSet(emptyMap<null>(), hash(3), hash(4), null);
const claim = { root: mapRoot(single), key: hash(3), valueHash: hash(4), proof: mapProve(single, hash(3)) };
const tiles =
  (bytes: Bytes): TileReader =>
  () =>
    Promise.resolve(ok(bytes));
const none: TileReader = () => Promise.resolve({ ok: false, error: { code: 'tile.missing', message: 'nothing is kept' } });
const edge: TileReader = (tile) => Promise.resolve(ok(tile.level === 'entries' ? Uint8Array.of(0, 1, 66) : leafHash(Uint8Array.of(65))));
const PERSON = { name: 'A', email: 'a@example.org', seconds: 0, offset: '+0000' };

/** A value with a code, or the code of a throw. */
const CODES: { readonly [code: string]: () => unknown } = {
  'proof.badIndex': () => verifyInclusion({ leaf: hash(1), index: 1n, size: 1n, root: hash(1), proof: [] }),
  'proof.badSize': () => verifyConsistency({ oldSize: 2n, oldRoot: hash(1), newSize: 1n, newRoot: hash(1), proof: [] }),
  'proof.badHash': () => verifyInclusion({ leaf: new Uint8Array(31), index: 0n, size: 1n, root: hash(1), proof: [] }),
  'proof.wrongLength': () => verifyInclusion({ leaf: hash(1), index: 0n, size: 1n, root: hash(1), proof: [hash(2)] }),
  'proof.rootMismatch': () => verifyInclusion({ leaf: hash(1), index: 0n, size: 1n, root: hash(2), proof: [] }),
  'key.malformed': () => admitKey(new Uint8Array(31)),
  'key.notCanonical': () => admitKey(hex(`ed${'ff'.repeat(30)}7f`)),
  'key.notOnCurve': () => admitKey(hash(2)),
  'key.smallOrder': () => admitKey(hex(`01${'00'.repeat(31)}`)),
  // Case 2 of the ed25519-speccheck vectors: a key of mixed order.
  'key.notTorsionFree': () => admitKey(hex('f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43')),
  'vkey.malformed': () => parseVkey('nothing'),
  'vkey.unknownAlgorithm': () => parseVkey(formatCosignerVkey(witness)),
  'vkey.wrongKeyId': () => parseVkey(VKEY.replace(/\+[0-9a-f]{8}\+/, '+00000000+')),
  'note.malformed': () => openNote('no signature\n', [VKEY]),
  'note.tooLarge': () => openNote('x'.repeat(1_000_001), [VKEY]),
  'note.tooManySignatures': async () => {
    const note = await checkpoint();
    return openNote(note + (note.split('\n\n')[1] ?? '').repeat(100), [VKEY]);
  },
  'note.ambiguousKey': async () => openNote(await checkpoint(), [VKEY, VKEY]),
  'note.badSignature': async () => openNote((await checkpoint()).replace('\n3\n', '\n4\n'), [VKEY]),
  'note.unverified': async () => openNote(await checkpoint(), []),
  'checkpoint.malformed': async () => openCheckpoint(await signed('log.example/pin\n03\nAA==\n'), [VKEY]),
  'checkpoint.notByOrigin': async () => openCheckpoint(await signed(`other.example\n3\n${toBase64(hash(9))}\n`), [VKEY]),
  'tlogProof.malformed': () => parseTlogProof('index 0\n'),
  'cosignature.malformed': async () => {
    const note = await checkpoint();
    const line = await cosign(note.slice(0, note.indexOf('\n\n') + 1), witness, 5n);
    const [, name = '', text = ''] = /^— (\S+) (\S+)\n$/.exec(line) ?? [];
    return openCosignatures(`${note}— ${name} ${toBase64(new Uint8Array(Buffer.from(text, 'base64')).slice(0, 30))}\n`, cosigners);
  },
  'addCheckpoint.malformed': () => parseAddCheckpoint('new 3\n\n'),
  'tlogPolicy.malformed': () => parseTlogPolicy('quorum nobody\n'),
  'tile.malformed': () => parseTilePath('tile/0/0'),
  'tile.outOfRange': () => parseTilePath('tile/64/000'),
  'tile.missing': () => entryFromTiles(none, 0n, 1n),
  'tile.wrongLength': () => rootFromTiles(tiles(new Uint8Array(31)), 1n, 1n),
  'tile.otherEntries': () => TileBuilder.from(edge, 1n),
  'map.malformed': () => verifyMapProof({ ...claim, key: new Uint8Array(31) }),
  'map.present': () => verifyMapProof({ ...claim, valueHash: null }),
  'map.absent': () => verifyMapProof({ ...claim, root: mapRoot(emptyMap()), proof: mapProve(emptyMap(), hash(3)) }),
  'map.otherValue': () => verifyMapProof({ ...claim, valueHash: hash(5) }),
  'map.rootMismatch': () => verifyMapProof({ ...claim, root: hash(6) }),
  'fault.badArgument': () => nodeHash(hash(1), new Uint8Array(1)),
  'fault.badPath': () => gitTreeId([{ path: '../x', mode: '100644', oid: 'a'.repeat(40) }], 'sha1'),
  'fault.badIdentity': () =>
    gitCommitBytes({ tree: 'a'.repeat(40), parents: [], author: { ...PERSON, seconds: -1 }, committer: PERSON, message: 'x' }),
};

async function codeOf(make: () => unknown): Promise<string | undefined> {
  try {
    const made = (await make()) as { readonly ok: boolean; readonly error?: { readonly code: string } };
    return made.ok ? 'no refusal' : made.error?.code;
  } catch (thrown) {
    return (thrown as { readonly code?: string }).code;
  }
}

describe('the codes of this package', () => {
  test.each(Object.keys(CODES))('%s is what its input makes', async (code) => {
    expect(await codeOf(CODES[code] ?? (() => undefined))).toBe(code);
  });

  test('are those of the source, none more and none less', () => {
    const source = readFileSync(new URL('../src/errors.ts', import.meta.url), 'utf8');
    const published = new Set([...source.matchAll(/'([a-zA-Z]+\.[a-zA-Z]+)'/g)].map(([, code]) => code));
    expect([...published].sort()).toEqual(Object.keys(CODES).sort());
  });

  test('the controls: what the same functions take', async () => {
    expect(openCheckpoint(await checkpoint(), [VKEY])).toMatchObject({ ok: true, value: { size: 3n } });
    expect(await signCheckpoint({ origin: 'log.example/pin', size: 3n, root: hash(9) }, log)).toMatchObject({ ok: true });
    expect(verifyMapProof(claim)).toMatchObject({ ok: true });
    expect(admitKey(log.publicKey)).toMatchObject({ ok: true });
    expect(parseEntryBundle(utf8Encode('\0\u0001a'))).toMatchObject({ ok: true });
    expect(parseTlogProof(formatTlogProof({ index: 0n, hashes: [], checkpoint: await checkpoint() }))).toMatchObject({ ok: true });
  });
});
