/**
 * Cosignatures, the policy of witnesses, the request of the witness protocol; trees as tiles. Specified examples, refusals by code, and properties.
 */
import { describe, expect, test } from '@jest/globals';
import { type Bytes, concatBytes, equalBytes, err, ok, toBase64, utf8Encode } from '@openexec/canon';
import fc from 'fast-check';
import {
  addSignatureLines,
  CompactRange,
  consistencyFromTiles,
  consistencyProof,
  cosign,
  EMPTY_ROOT,
  entryFromTiles,
  formatAddCheckpoint,
  formatCosignerVkey,
  formatVkey,
  inclusionFromTiles,
  inclusionProof,
  judgeAddCheckpoint,
  judgeByPolicy,
  leafHash,
  openCosignatures,
  parseAddCheckpoint,
  parseCosignerVkey,
  parseEntryBundle,
  parseTlogPolicy,
  rootFromTiles,
  seedSigner,
  signCheckpoint,
  TileBuilder,
  type TileReader,
  type TileRef,
  tilePath,
  treeRoot,
  verifyConsistency,
  verifyInclusion,
} from '../../src/index.ts';

const ORIGIN = 'log.example/w';
const log = seedSigner({ keyName: ORIGIN, seed: new Uint8Array(32).fill(1) });
const witnesses = [2, 3, 4].map((seed) => seedSigner({ keyName: `w.example/${seed}`, seed: new Uint8Array(32).fill(seed) }));
const vkeys = witnesses.map((signer) => formatCosignerVkey(signer));
const cosigners = vkeys.map((vkey) => {
  const parsed = parseCosignerVkey(vkey);
  if (!parsed.ok) throw new Error(parsed.error.message);
  return parsed.value;
});
const entryOf = (at: number): Bytes => utf8Encode(`entry ${at}`);

async function noteOf(size: number): Promise<string> {
  const range = CompactRange.empty();
  for (let at = 0; at < size; at++) range.append(leafHash(entryOf(at)));
  const note = await signCheckpoint({ origin: ORIGIN, size: BigInt(size), root: range.root() }, log);
  if (!note.ok) throw new Error(note.error.message);
  return note.value;
}
const textOf = (note: string): string => note.slice(0, note.indexOf('\n\n') + 1);
const codeOf = (result: { readonly ok: boolean; readonly error?: { readonly code: string } }): string | undefined => result.error?.code;

function cosignatures(): void {
  describe('cosignatures', () => {
    test('are read back with their time, by known cosigners only, and never as signatures of the log', async () => {
      const note = await noteOf(3);
      const lines = await Promise.all(witnesses.map((signer, at) => cosign(textOf(note), signer, 1_679_315_147n + BigInt(at))));
      const joined = addSignatureLines(note, lines.join(''));
      if (!joined.ok) throw new Error(joined.error.message);
      expect(openCosignatures(joined.value, cosigners.slice(0, 2))).toEqual({
        ok: true,
        value: [
          { keyName: 'w.example/2', keyHash: cosigners[0]?.keyHash, time: 1_679_315_147n },
          { keyName: 'w.example/3', keyHash: cosigners[1]?.keyHash, time: 1_679_315_148n },
        ],
      });
      expect(openCosignatures(note, cosigners)).toEqual({ ok: true, value: [] });
      // The same line again adds nothing.
      expect(addSignatureLines(joined.value, lines[0] ?? '')).toEqual(joined);
    });

    test('of another checkpoint, of another time or cut short refuse the whole note', async () => {
      const note = await noteOf(3);
      const other = await cosign(textOf(await noteOf(4)), witnesses[0] ?? log, 5n);
      expect(codeOf(openCosignatures(note + other, cosigners))).toBe('note.badSignature');
      const line = await cosign(textOf(note), witnesses[0] ?? log, 5n);
      const bytes = Uint8Array.from(Buffer.from(line.trim().split(' ')[2] ?? '', 'base64'));
      const written = (changed: Bytes): string => `${note}— w.example/2 ${toBase64(changed)}\n`;
      const later = Uint8Array.from(bytes);
      later[11] = 6;
      expect(codeOf(openCosignatures(written(later), cosigners))).toBe('note.badSignature');
      expect(codeOf(openCosignatures(written(bytes.slice(0, -1)), cosigners))).toBe('cosignature.malformed');
      const beyond = Uint8Array.from(bytes);
      beyond[4] = 0x80;
      expect(codeOf(openCosignatures(written(beyond), cosigners))).toBe('cosignature.malformed');
    });

    test('a verifier key of another algorithm, hash or untrusted point is refused', () => {
      const [vkey = ''] = vkeys;
      expect(codeOf(parseCosignerVkey(formatVkey(log)))).toBe('vkey.unknownAlgorithm');
      expect(codeOf(parseCosignerVkey(vkey.replace(/\+[0-9a-f]{8}\+/, '+00000000+')))).toBe('vkey.wrongKeyId');
      const small = concatBytes(Uint8Array.of(4, 1), new Uint8Array(31));
      expect(codeOf(parseCosignerVkey(`x+00000000+${toBase64(small)}`))).toBe('vkey.malformed');
      expect(codeOf(parseCosignerVkey('x+00000000+AA'))).toBe('vkey.malformed');
    });
  });
}

function policies(): void {
  const three = vkeys.map((vkey, at) => `witness X${at} ${vkey}\n`).join('');

  describe('a tlog-policy', () => {
    test('counts groups of groups, each witness once', async () => {
      const note = await noteOf(3);
      const lineOf = (at: number): Promise<string> => cosign(textOf(note), witnesses[at] ?? log, 9n);
      const met = async (policy: string, by: readonly number[]): Promise<boolean | string> => {
        const parsed = parseTlogPolicy(`log ${formatVkey(log)}\n${three}${policy}`);
        if (!parsed.ok) return parsed.error.message;
        const judged = judgeByPolicy(note + (await Promise.all(by.map(lineOf))).join(''), parsed.value);
        return judged.ok ? judged.value.met : judged.error.code;
      };
      expect(await met('quorum none\n', [])).toBe(true);
      expect(await met('quorum X0\n', [1, 2])).toBe(false);
      expect(await met('quorum X0\n', [0])).toBe(true);
      const two = 'group two 2 X0 X1 X2\nquorum two\n';
      expect([await met(two, [0]), await met(two, [0, 0]), await met(two, [0, 2])]).toEqual([false, false, true]);
      const nested = 'group any any X0 X1\ngroup both all any X2\nquorum both\n';
      expect([await met(nested, [0, 1]), await met(nested, [1, 2]), await met(nested, [2])]).toEqual([false, true, false]);
    });

    test('a checkpoint that none of its logs signed is refused', async () => {
      const stranger = seedSigner({ keyName: 'other.example', seed: new Uint8Array(32).fill(8) });
      const parsed = parseTlogPolicy(`log ${formatVkey(stranger)}\nquorum none\n`);
      if (!parsed.ok) throw new Error(parsed.error.message);
      expect(codeOf(judgeByPolicy(await noteOf(2), parsed.value))).toBe('note.unverified');
    });
  });
}

function badPolicies(): void {
  const three = vkeys.map((vkey, at) => `witness X${at} ${vkey}\n`).join('');

  describe('a tlog-policy', () => {
    test.each([
      ['no quorum', three],
      ['two quorums', `${three}quorum X0\nquorum X1\n`],
      ['a quorum before its definition', `quorum X0\n${three}`],
      ['an unknown word', `${three}quorum X0\nmirror X0\n`],
      ['a name twice', `${three}group X0 any X1\nquorum X0\n`],
      ['the name none', `group none any X0\n${three}quorum none\n`],
      ['none as a member', `${three}group g any none\nquorum g\n`],
      ['a member of two groups', `${three}group a any X0\ngroup b any X0\nquorum a\n`],
      ['a threshold above the members', `${three}group a 4 X0 X1 X2\nquorum a\n`],
      ['a threshold of zero', `${three}group a 0 X0\nquorum a\n`],
      ['a threshold with a leading zero', `${three}group a 01 X0\nquorum a\n`],
      ['a group of nobody', `${three}group a any\nquorum a\n`],
      ['the same key twice', `${three}witness Y ${vkeys[0]}\nquorum Y\n`],
      ['a log key as a witness', `witness Y ${formatVkey(log)}\nquorum Y\n`],
      ['a carriage return', `${three}quorum X0\r\n`],
      ['no last newline', `${three}quorum X0`],
    ])('with %s is refused', (_what, text) => {
      expect(codeOf(parseTlogPolicy(text))).toBe('tlogPolicy.malformed');
    });

    test('comments, tabs and empty lines are nothing', () => {
      expect(parseTlogPolicy(`\n  # words\n\twitness\tX ${vkeys[0]}  https://w.example/ \n\nquorum X\n`)).toMatchObject({
        ok: true,
        value: { quorum: 'X', witnesses: [{ name: 'X', url: 'https://w.example/' }] },
      });
    });
  });
}

function requests(): void {
  const leaves = Array.from({ length: 40 }, (_, at) => leafHash(entryOf(at)));
  const node = (level: number, index: bigint): Bytes => treeRoot(leaves.slice(Number(index) << level, (Number(index) + 1) << level));
  const rootAt = (size: number): Bytes => treeRoot(leaves.slice(0, size));
  const asked = async (oldSize: number, size: number, proof = consistencyProof(node, BigInt(oldSize), BigInt(size))) => {
    const parsed = parseAddCheckpoint(formatAddCheckpoint({ oldSize: BigInt(oldSize), proof, checkpoint: await noteOf(size) }));
    if (!parsed.ok) throw new Error(parsed.error.message);
    return parsed.value;
  };
  const known = { vkeys: [formatVkey(log)] };

  describe('an add-checkpoint request', () => {
    test('is answered 200 exactly when the tree continues what was cosigned last', async () => {
      for (const [oldSize, size] of [
        [0, 1],
        [0, 40],
        [1, 40],
        [7, 8],
        [16, 33],
        [33, 33],
      ] as const) {
        const last = oldSize === 0 ? null : { size: BigInt(oldSize), root: rootAt(oldSize) };
        expect(judgeAddCheckpoint(await asked(oldSize, size), { ...known, last })).toMatchObject({
          status: 200,
          body: { size: BigInt(size) },
        });
      }
    });

    test('is answered 409 with the size when the old size is another, or the root of the same size', async () => {
      const last = { size: 9n, root: rootAt(9) };
      expect(judgeAddCheckpoint(await asked(8, 20), { ...known, last })).toMatchObject({ status: 409, size: 9n });
      expect(judgeAddCheckpoint(await asked(0, 20), { ...known, last })).toMatchObject({ status: 409, size: 9n });
      expect(judgeAddCheckpoint(await asked(9, 9), { ...known, last: { size: 9n, root: rootAt(8) } })).toMatchObject({ status: 409 });
      expect(judgeAddCheckpoint(await asked(5, 20), { ...known, last: null })).toMatchObject({ status: 409, size: 0n });
    });

    test('is answered 400, 403 and 422 for a shrinking tree, a stranger’s signature and a proof that does not hold', async () => {
      const last = { size: 9n, root: rootAt(9) };
      const proof = consistencyProof(node, 9n, 20n);
      expect(judgeAddCheckpoint({ ...(await asked(9, 20)), oldSize: 21n }, { ...known, last })).toMatchObject({ status: 400 });
      expect(judgeAddCheckpoint(await asked(9, 20), { vkeys: [], last })).toMatchObject({ status: 403 });
      expect(judgeAddCheckpoint(await asked(9, 20, proof.slice(1)), { ...known, last })).toMatchObject({ status: 422 });
      expect(judgeAddCheckpoint(await asked(9, 20, [...proof, EMPTY_ROOT]), { ...known, last })).toMatchObject({ status: 422 });
      expect(judgeAddCheckpoint(await asked(0, 20, [EMPTY_ROOT]), { ...known, last: null })).toMatchObject({ status: 422 });
    });
  });
}

function badRequests(): void {
  describe('an add-checkpoint request', () => {
    test.each([
      ['nothing', ''],
      ['no empty line', 'old 0\n'],
      ['a leading zero', 'old 00\n\n'],
      ['a sign', 'old +1\n\n'],
      ['a hash of 31 bytes', `old 1\n${toBase64(new Uint8Array(31))}\n\n`],
      ['base64 in another spelling', `old 1\n${toBase64(new Uint8Array(32)).replace(/.=$/, 'B=')}\n\n`],
      ['64 hashes', `old 1\n${`${toBase64(new Uint8Array(32))}\n`.repeat(64)}\n`],
    ])('with %s is refused', async (_what, head) => {
      expect(codeOf(parseAddCheckpoint(head === '' ? '' : head + (head.endsWith('\n\n') ? await noteOf(2) : '')))).toBe(
        'addCheckpoint.malformed',
      );
    });

    test('is refused or read, never thrown at, whatever the bytes', () => {
      fc.assert(
        fc.property(fc.string({ maxLength: 300 }), (noise) => {
          for (const text of [noise, `old 1\n${noise}\n\n${noise}`]) expect(typeof parseAddCheckpoint(text).ok).toBe('boolean');
        }),
        { numRuns: 500 },
      );
    });
  });
}

const knownTrees = new Map<number, ReturnType<typeof build>>();
/** Each size is built once. */
function built(size: number): ReturnType<typeof build> {
  const known = knownTrees.get(size) ?? build(size);
  knownTrees.set(size, known);
  known.count();
  return known;
}

/** Tiles of a tree, and a reader that counts. */
function build(size: number): { readonly read: TileReader; readonly paths: readonly string[]; readonly root: Bytes; count(): number } {
  const files = new Map<string, Bytes>();
  const builder = new TileBuilder();
  for (let at = 0; at < size; at++) for (const { path, bytes } of builder.append(entryOf(at))) files.set(path, bytes);
  for (const { path, bytes } of builder.finish()) files.set(path, bytes);
  let reads = 0;
  const read: TileReader = async (tile) => {
    reads += 1;
    const bytes = files.get(tilePath(tile));
    return bytes === undefined ? err({ code: 'tile.missing', message: tilePath(tile) }) : ok(bytes);
  };
  const count = (): number => {
    const counted = reads;
    reads = 0;
    return counted;
  };
  return { read, paths: [...files.keys()], root: builder.root(), count };
}

function trees(): void {
  describe('a tree as tiles', () => {
    test('has the tiles that the specification lists, full ones once', () => {
      const { paths } = built(66_000);
      const above = paths.filter((path) => !path.startsWith('tile/0/') && !path.startsWith('tile/entries/'));
      expect(above).toEqual(['tile/1/000', 'tile/1/001.p/1', 'tile/2/000.p/1']);
      expect(paths.filter((path) => path.startsWith('tile/0/'))).toHaveLength(258);
      expect(built(256).paths).toEqual(['tile/entries/000', 'tile/0/000', 'tile/1/000.p/1']);
      expect(built(0).paths).toEqual([]);
    });

    test('proves every index and every earlier size, of its own size and of smaller ones', async () => {
      const size = 66_000;
      const { read, root, count } = built(size);
      const treeSize = BigInt(size);
      let most = 0;
      for (const at of [0, 1, 255, 256, 257, 65_535, 65_536, 65_791, 65_999].map(BigInt)) {
        const proof = await inclusionFromTiles(read, { index: at, size: treeSize, treeSize });
        most = Math.max(most, count());
        const entry = await entryFromTiles(read, at, treeSize);
        count();
        if (!proof.ok || !entry.ok) throw new Error('no proof');
        expect(verifyInclusion({ leaf: leafHash(entry.value), index: at, size: treeSize, root, proof: proof.value })).toEqual({ ok: true });
        const oldSize = at + 1n;
        const consistency = await consistencyFromTiles(read, { oldSize, newSize: treeSize, treeSize });
        most = Math.max(most, count());
        const oldRoot = await rootFromTiles(read, oldSize, treeSize);
        most = Math.max(most, count());
        if (!consistency.ok || !oldRoot.ok) throw new Error('no proof');
        const claim = { oldSize, oldRoot: oldRoot.value, newSize: treeSize, newRoot: root, proof: consistency.value };
        expect(verifyConsistency(claim)).toEqual({ ok: true });
        const smaller = await inclusionFromTiles(read, { index: at / 2n, size: oldSize, treeSize });
        count();
        const half = await entryFromTiles(read, at / 2n, treeSize);
        count();
        if (!smaller.ok || !half.ok) throw new Error('no proof');
        const inSmaller = { leaf: leafHash(half.value), index: at / 2n, size: oldSize, root: oldRoot.value, proof: smaller.value };
        expect(verifyInclusion(inSmaller)).toEqual({ ok: true });
      }
      expect(most).toBeGreaterThan(1);
      expect(most).toBeLessThanOrEqual(64);
    });
  });
}

function treeReads(): void {
  describe('a tree as tiles', () => {
    test('takes at most 64 reads for a proof of any size up to 2^62, none of them twice', async () => {
      // Whatever the hashes are: which tiles are read follows from index and size alone.
      const seen = new Set<string>();
      const read: TileReader = async (tile: TileRef) => {
        expect(seen.has(tilePath(tile))).toBe(false);
        seen.add(tilePath(tile));
        return ok(new Uint8Array(tile.width * 32));
      };
      const size = fc.bigInt({ min: 1n, max: 2n ** 62n });
      let most = 0;
      await fc.assert(
        fc.asyncProperty(size, size, async (one, other) => {
          const [small, large] = one < other ? [one, other] : [other, one];
          seen.clear();
          await inclusionFromTiles(read, { index: small - 1n, size: large, treeSize: large });
          most = Math.max(most, seen.size);
          seen.clear();
          await consistencyFromTiles(read, { oldSize: small, newSize: large, treeSize: large });
          most = Math.max(most, seen.size);
        }),
        { numRuns: 300 },
      );
      expect(most).toBeGreaterThan(7);
      expect(most).toBeLessThanOrEqual(64);
    });
  });
}

function badTrees(): void {
  describe('a tree as tiles', () => {
    test('a missing tile and one of another length are refused by name; a wrong hash leads to another root', async () => {
      const { read, root } = built(300);
      const at = { index: 5n, size: 300n, treeSize: 300n };
      const gone: TileReader = async () => err({ code: 'tile.missing', message: 'gone' });
      expect(codeOf(await inclusionFromTiles(gone, at))).toBe('tile.missing');
      const short: TileReader = async (tile) => {
        const bytes = await read(tile);
        return bytes.ok ? ok(bytes.value.slice(1)) : bytes;
      };
      expect(codeOf(await inclusionFromTiles(short, at))).toBe('tile.wrongLength');
      expect(codeOf(await entryFromTiles(short, 5n, 300n))).toBe('tile.wrongLength');
      const flipped: TileReader = async (tile) => {
        const bytes = await read(tile);
        if (!bytes.ok) return bytes;
        const changed = Uint8Array.from(bytes.value);
        changed[0] = (changed[0] ?? 0) ^ 1;
        return ok(changed);
      };
      const proof = await inclusionFromTiles(flipped, at);
      if (!proof.ok) throw new Error(proof.error.message);
      expect(codeOf(verifyInclusion({ leaf: leafHash(entryOf(5)), index: 5n, size: 300n, root, proof: proof.value }))).toBe(
        'proof.rootMismatch',
      );
      expect(codeOf(parseEntryBundle(Uint8Array.of(0, 2, 1)))).toBe('tile.wrongLength');
      expect(codeOf(parseEntryBundle(Uint8Array.of(0)))).toBe('tile.wrongLength');
    });

    test('proofs from tiles are those from the leaves', async () => {
      const leaves = Array.from({ length: 600 }, (_, at) => leafHash(entryOf(at)));
      const node = (level: number, index: bigint): Bytes => treeRoot(leaves.slice(Number(index) << level, (Number(index) + 1) << level));
      const { read } = built(600);
      for (const size of [1n, 255n, 256n, 257n, 512n, 600n]) {
        const tiled = await inclusionFromTiles(read, { index: size - 1n, size, treeSize: 600n });
        const plain = inclusionProof(node, size - 1n, size);
        expect(
          tiled.ok && tiled.value.length === plain.length && tiled.value.every((hash, at) => equalBytes(hash, plain[at] ?? EMPTY_ROOT)),
        ).toBe(true);
      }
    });
  });
}

/** Everything of witnesses and tiles. */
export function describeWitnessing(): void {
  cosignatures();
  policies();
  badPolicies();
  requests();
  badRequests();
  trees();
  treeReads();
  badTrees();
}
