/**
 * Signed notes, verifier keys, checkpoints and tlog-proofs: published texts, every refusal by its code.
 */

import { createPrivateKey, createPublicKey } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  EMPTY_ROOT,
  formatCheckpointBody,
  formatTlogProof,
  formatVkey,
  inclusionProof,
  leafHash,
  nodeHash,
  openCheckpoint,
  openNote,
  parseCheckpointBody,
  parseTlogProof,
  parseVkey,
  publicKeyOf,
  seedSigner,
  sign,
  signCheckpoint,
  signNote,
  treeRoot,
  verifyTlogProof,
} from '../../src/index.ts';
import { describeVectors, vectorJson } from '../vectors.ts';
import { damaged, octets32, thrownCode, toText, utf8 } from './common.ts';

interface OpenCase {
  readonly desc: string;
  readonly note?: string;
  readonly note_base64?: string;
  readonly vkeys: readonly string[];
  readonly ok: boolean;
  readonly verified?: readonly string[];
  readonly unverified?: readonly string[];
  readonly error?: string;
}

interface NoteVectors {
  readonly sign: readonly { skey: string; vkey: string; text: string; want: string }[];
  readonly open: readonly OpenCase[];
  readonly bad_vkeys: readonly { vkey: string; why: string }[];
  readonly key_ids: readonly { origin: string; type: string; key_id_uint32: number }[];
}

interface ProofVectors {
  readonly marshal: readonly {
    index: number;
    hashes_sha256_of: readonly string[];
    extra_utf8?: string;
    checkpoint: string;
    want_template: string;
  }[];
  readonly must_fail: readonly { proof: string; why: string }[];
}

/** Each refusal in the published words. */
const WORDS: Readonly<Record<string, string>> = {
  'note.malformed': 'malformed',
  'note.tooManySignatures': 'malformed',
  'note.unverified': 'no verifiable signature',
  'note.badSignature': 'invalid signature',
  'note.ambiguousKey': 'ambiguous key',
};

const ORIGIN = 'openexec.test/0123456789abcdef';
const SEED = new Uint8Array(32).fill(3);
const SIGNER = seedSigner({ keyName: ORIGIN, seed: SEED });
const VKEY = formatVkey(SIGNER);
const BODY = { origin: ORIGIN, size: 3n, root: treeRoot([1, 2, 3].map((i) => leafHash(Uint8Array.of(i)))) };

/** The value of a result; a refusal fails the test with its code. */
function valueOf<T>(result: { ok: true; value: T } | { ok: false; error: { code: string } }): T {
  if (!result.ok) throw new Error(result.error.code);
  return result.value;
}

/** A note over any text, signed by the test's own key. */
async function noteOf(text: string): Promise<string> {
  return valueOf(await signNote(text, [SIGNER]));
}

function publishedNotes(): void {
  describeVectors('signed-note', () => {
    const vectors = vectorJson<NoteVectors>('signed-note/vectors.json');

    test('notes are signed as published', async () => {
      expect(vectors.sign.length).toBeGreaterThan(0);
      for (const { skey, vkey, text, want } of vectors.sign) {
        const [keyName = '', , encoded = ''] = skey.replace('PRIVATE+KEY+', '').split('+');
        const secret = new Uint8Array(Buffer.from(skey.slice(skey.indexOf(encoded)), 'base64'));
        const signer = seedSigner({ keyName, seed: secret.slice(1) });
        expect(formatVkey(signer)).toBe(vkey);
        expect(await signNote(text, [signer])).toEqual({ ok: true, value: want });
      }
    });

    test.each(vectors.open)('$desc', ({ note, note_base64 = '', vkeys, ok, verified = [], unverified = [], error = '' }) => {
      const input = note ?? new Uint8Array(Buffer.from(note_base64, 'base64'));
      const opened = openNote(input, vkeys);
      const names = (lines: readonly { readonly keyName: string }[]) => lines.map((line) => line.keyName);
      const outcome = opened.ok ? [names(opened.value.verified), names(opened.value.unverified)] : WORDS[opened.error.code];
      expect(outcome).toEqual(ok ? [verified, unverified] : error);
      expect(openNote(typeof input === 'string' ? utf8(input) : input, vkeys)).toEqual(opened);
    });

    test('verifier keys that must be refused are refused', () => {
      const codes = vectors.bad_vkeys.map(({ vkey }) => {
        const parsed = parseVkey(vkey);
        return parsed.ok ? 'accepted' : parsed.error.code;
      });
      expect(codes).toEqual(['vkey.malformed', 'vkey.unknownAlgorithm', 'vkey.malformed']);
    });

    test('every proper substring of a good verifier key, and every change of one octet, is refused', () => {
      const good = vectors.sign[0]?.vkey ?? '';
      expect(parseVkey(good).ok).toBe(true);
      for (let start = 0; start < good.length; start++) {
        const accepted = [];
        for (let end = start; end <= good.length; end++) if (parseVkey(good.slice(start, end)).ok) accepted.push(good.slice(start, end));
        expect(accepted).toEqual(start === 0 ? [good] : []);
        const changed = good.slice(0, start) + String.fromCharCode(good.charCodeAt(start) + 1) + good.slice(start + 1);
        expect([changed, parseVkey(changed).ok]).toEqual([changed, false]);
      }
    });

    test('the published key id of an Ed25519 key', () => {
      const published = vectors.key_ids.find(({ type }) => type === 'ed25519');
      const pkcs8 = Buffer.from('MC4CAQAwBQYDK2VwBCIEIGuZ8UWTFmXi/26ZgF4VYL8HfLSuW12TN5XMFQRt1Loc', 'base64');
      const spki = createPublicKey(createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })).export({ format: 'der', type: 'spki' });
      const vkey = formatVkey({ keyName: published?.origin ?? '', publicKey: new Uint8Array(spki.subarray(-32)) });
      expect(Number.parseInt(valueOf(parseVkey(vkey)).keyHash, 16)).toBe(published?.key_id_uint32);
    });
  });
}

function openedAsSigned(): void {
  const text = fc.array(
    fc.string({ unit: 'grapheme', minLength: 1 }).filter((line) => !/[\u0000-\u001f]/.test(line)),
    { minLength: 1, maxLength: 4 },
  );

  test('what is signed is opened as it was', async () => {
    await fc.assert(
      fc.asyncProperty(text, async (lines) => {
        const body = `${lines.join('\n')}\n`;
        expect(valueOf(openNote(await noteOf(body), [VKEY])).text).toBe(body);
      }),
      { numRuns: 20 },
    );
  });

  test('a text with a blank line of its own is split at the last one', async () => {
    expect(valueOf(openNote(await noteOf('a\n\nb\n'), [VKEY])).text).toBe('a\n\nb\n');
  });

  test('two signers are both verified, in order', async () => {
    const second = seedSigner({ keyName: 'second', seed: new Uint8Array(32).fill(4) });
    const note = valueOf(await signNote('a\n', [SIGNER, second]));
    expect(valueOf(openNote(note, [formatVkey(second), VKEY])).verified.map((one) => one.keyName)).toEqual([ORIGIN, 'second']);
    expect(valueOf(openNote(note, [VKEY])).unverified.map((one) => one.keyName)).toEqual(['second']);
  });

  test.each(['', 'no newline', 'a\tb\n', 'a\r\n', 'a\u0000\n', '\ud800\n'])('the text %j cannot be signed', async (body) => {
    expect(await signNote(body, [SIGNER])).toMatchObject({ ok: false, error: { code: 'note.malformed' } });
  });

  test('a signature under the same key name but another key is not verified', async () => {
    const impostor = seedSigner({ keyName: ORIGIN, seed: new Uint8Array(32).fill(8) });
    const note = valueOf(await signNote('a\n', [impostor]));
    expect(openNote(note, [VKEY])).toMatchObject({ ok: false, error: { code: 'note.unverified' } });
  });

  test('a changed text is refused, whatever else has signed it', async () => {
    const note = await noteOf('pay 10\n');
    expect(openNote(note.replace('pay 10', 'pay 99'), [VKEY])).toMatchObject({ ok: false, error: { code: 'note.badSignature' } });
  });
}

function refusedNotes(): void {
  test('signature lines that are not exactly so are refused', async () => {
    const note = await noteOf('a\n');
    const changes = [
      note.replace('— ', '- '),
      note.replace('— ', '—  '),
      note.replace('=\n', '\n'),
      note.replace('=\n', '= \n'),
      note.replace('=\n', '=\r\n'),
      `${note}\n`,
      note.replace(/ \S+\n$/, ' AAAA\n'),
    ];
    for (const changed of changes) {
      expect(changed).not.toBe(note);
      expect(openNote(changed, [VKEY])).toMatchObject({ ok: false, error: { code: 'note.malformed' } });
    }
  });

  test('a note over a million octets is refused unread', () => {
    expect(openNote('a'.repeat(1_000_001), [VKEY])).toMatchObject({ ok: false, error: { code: 'note.tooLarge' } });
  });

  test('a malformed verifier key in the list is refused, not skipped', async () => {
    expect(openNote(await noteOf('a\n'), [VKEY, 'nonsense'])).toMatchObject({ ok: false, error: { code: 'vkey.malformed' } });
  });

  test('a verifier key with another hash is refused', () => {
    const changed = VKEY.replace(/\+[0-9a-f]{8}\+/, '+00000000+');
    expect(parseVkey(changed)).toMatchObject({ ok: false, error: { code: 'vkey.wrongKeyId' } });
  });

  test('a signer that signs wrongly, and a name that no note can carry, are caller mistakes', async () => {
    const wrong = { ...SIGNER, sign: (message: Uint8Array) => damaged(sign(SEED, message)) };
    await expect(signNote('a\n', [wrong])).rejects.toMatchObject({ code: 'fault.badArgument' });
    for (const keyName of ['', 'a b', 'a+b', 'a\u00a0b', 'a\nb', 'a\u0085'])
      expect(thrownCode(() => seedSigner({ keyName, seed: SEED }))).toBe('fault.badArgument');
  });

  test('a signer keeps its own copy of the seed', () => {
    const seed = Uint8Array.from(SEED);
    const signer = seedSigner({ keyName: 'a', seed });
    seed.fill(0);
    expect(toText(signer.publicKey)).toBe(toText(publicKeyOf(SEED)));
    expect(toText(signer.sign(utf8('a')) as Uint8Array)).toBe(toText(sign(SEED, utf8('a'))));
  });
}

function checkpoints(): void {
  describe('checkpoints', () => {
    test('come back as they were', async () => {
      await fc.assert(
        fc.asyncProperty(fc.bigInt({ min: 0n, max: 2n ** 63n }), octets32, async (size, root) => {
          const body = { origin: ORIGIN, size, root };
          expect(parseCheckpointBody(formatCheckpointBody(body))).toEqual({ ok: true, value: body });
          const opened = openCheckpoint(valueOf(await signCheckpoint(body, SIGNER)), [VKEY]);
          expect(opened).toMatchObject({ ok: true, value: { ...body, keyName: ORIGIN, verifiedNames: [ORIGIN] } });
        }),
        { numRuns: 20 },
      );
    });

    const root = Buffer.from(EMPTY_ROOT).toString('base64');
    test.each([
      ['an extension line', `a\n1\n${root}\nmore\n`],
      ['an empty extension line', `a\n1\n${root}\n\n`],
      ['an extension line after an empty one', `a\n1\n${root}\n\nmore\n`],
      ['two lines', 'a\n1\n'],
      ['an empty origin', `\n1\n${root}\n`],
      ['an origin with a space', `a b\n1\n${root}\n`],
      ['a leading zero', `a\n01\n${root}\n`],
      ['a negative size', `a\n-1\n${root}\n`],
      ['a short root', 'a\n1\nAAAA\n'],
      ['another spelling of base64', `a\n1\n${root.replace(/=$/, '')}\n`],
    ])('a body with %s is refused, signed or not', async (_name, body) => {
      const refusal = { ok: false, error: { code: 'checkpoint.malformed' } };
      expect(parseCheckpointBody(body)).toMatchObject(refusal);
      expect(openCheckpoint(await noteOf(body), [VKEY])).toMatchObject(refusal);
    });

    test('a body without its final newline is refused', () => {
      expect(parseCheckpointBody(`a\n1\n${root}`)).toMatchObject({ ok: false, error: { code: 'checkpoint.malformed' } });
    });

    test('a checkpoint counts only when a key of its own origin signed it', async () => {
      const other = seedSigner({ keyName: 'witness', seed: SEED });
      expect(await signCheckpoint(BODY, other)).toMatchObject({ ok: false, error: { code: 'checkpoint.notByOrigin' } });
      const note = valueOf(await signNote(formatCheckpointBody(BODY), [other]));
      expect(openCheckpoint(note, [formatVkey(other), VKEY])).toMatchObject({ ok: false, error: { code: 'checkpoint.notByOrigin' } });
    });

    test('bodies that cannot be are a caller mistake', () => {
      for (const change of [{ origin: 'a b' }, { origin: '' }, { size: -1n }, { root: new Uint8Array(31) }]) {
        expect(thrownCode(() => formatCheckpointBody({ ...BODY, ...change }))).toBe('fault.badArgument');
      }
    });
  });
}

function publishedProofs(): void {
  describeVectors('tlog-proof', () => {
    const vectors = vectorJson<ProofVectors>('tlog-proof/vectors.json');

    test('proofs are written and read as published', async () => {
      expect(vectors.marshal.length).toBe(3);
      for (const { index, hashes_sha256_of, extra_utf8, checkpoint, want_template } of vectors.marshal) {
        const digests = await Promise.all(
          hashes_sha256_of.map(async (input) => new Uint8Array(await crypto.subtle.digest('SHA-256', utf8(input)))),
        );
        const base = { index: BigInt(index), hashes: digests, checkpoint };
        const proof = extra_utf8 === undefined ? base : { ...base, extra: utf8(extra_utf8) };
        const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
        let want = want_template.replace('{b64 extra}', base64(utf8(extra_utf8 ?? '')));
        digests.forEach((digest, i) => {
          want = want.replace(`{h${i + 1}}`, base64(digest));
        });
        expect(formatTlogProof(proof)).toBe(want);
        expect(parseTlogProof(want)).toEqual({ ok: true, value: proof });
      }
    });

    test.each(vectors.must_fail)('a wrong $why is refused', ({ proof }) => {
      expect(parseTlogProof(proof)).toMatchObject({ ok: false, error: { code: 'tlogProof.malformed' } });
    });
  });
}

function tlogProofs(): void {
  describe('tlog-proofs', () => {
    const leaves = [1, 2, 3].map((i) => leafHash(Uint8Array.of(i)));
    const node = (level: number, index: bigint) => {
      const [a = EMPTY_ROOT, b = EMPTY_ROOT] = leaves.slice(Number(index) * 2 ** level);
      return level === 0 ? a : nodeHash(a, b);
    };
    const proofFor = async (index: bigint) =>
      formatTlogProof({ index, hashes: inclusionProof(node, index, 3n), checkpoint: valueOf(await signCheckpoint(BODY, SIGNER)) });

    test('verify for every leaf, and for no other', async () => {
      for (const [i, leaf] of leaves.entries()) {
        const proof = await proofFor(BigInt(i));
        expect(verifyTlogProof({ proof, leaf, vkeys: [VKEY] })).toMatchObject({ ok: true, value: { size: 3n, origin: ORIGIN } });
        expect(verifyTlogProof({ proof, leaf: damaged(leaf), vkeys: [VKEY] })).toMatchObject({
          ok: false,
          error: { code: 'proof.rootMismatch', claimedRoot: BODY.root },
        });
        expect(verifyTlogProof({ proof, leaf, vkeys: [] })).toMatchObject({ ok: false, error: { code: 'note.unverified' } });
      }
    });

    test('an index beyond the checkpoint, a spare hash and a malformed text are refused', async () => {
      const leaf = leaves[0] ?? EMPTY_ROOT;
      const proof = valueOf(parseTlogProof(await proofFor(0n)));
      expect(verifyTlogProof({ proof: { ...proof, index: 3n }, leaf, vkeys: [VKEY] })).toMatchObject({ error: { code: 'proof.badIndex' } });
      expect(verifyTlogProof({ proof: { ...proof, hashes: [...proof.hashes, leaf] }, leaf, vkeys: [VKEY] })).toMatchObject({
        error: { code: 'proof.wrongLength' },
      });
      expect(verifyTlogProof({ proof: 'x', leaf, vkeys: [VKEY] })).toMatchObject({ error: { code: 'tlogProof.malformed' } });
    });

    test('more than 63 hashes, and other spellings, are refused', async () => {
      const proof = await proofFor(0n);
      const changes = [
        proof.replace('index 0', 'index 00'),
        proof.replace('index 0', 'index  0'),
        proof.replace('index 0\n', 'index 0\nextra AAAA\n'),
        proof.replace('index 0\n', 'extra AAAA\nextra AAAA\nindex 0\n'),
        proof.replace('\n', '\r\n'),
        proof.replace('index 0\n', `index 0\n${`${Buffer.from(EMPTY_ROOT).toString('base64')}\n`.repeat(62)}`),
      ];
      for (const changed of changes) expect(parseTlogProof(changed)).toMatchObject({ ok: false, error: { code: 'tlogProof.malformed' } });
    });

    test('proofs that cannot be are a caller mistake', () => {
      const proof = { index: 0n, hashes: [], checkpoint: '' };
      for (const change of [{ index: -1n }, { hashes: [new Uint8Array(31)] }, { hashes: Array.from({ length: 64 }, () => EMPTY_ROOT) }]) {
        expect(thrownCode(() => formatTlogProof({ ...proof, ...change }))).toBe('fault.badArgument');
      }
    });
  });
}

export function describeNotes(): void {
  publishedNotes();
  describe('notes', () => {
    openedAsSigned();
    refusedNotes();
  });
  checkpoints();
  publishedProofs();
  tlogProofs();
}
