/**
 * The parts of a bundle one by one, without any ledger: names, lists, lines, descriptions, archives and statements, each at its edges, and each refusal
 * word for word. schemas/bundle.md; PROTOCOL §11.
 */
import { describe, expect, test } from '@jest/globals';
import { type Bytes, canonicalBytes, canonicalText, digestOf, type Json, toBase64, utf8Encode } from '@openexec/canon';
import { decodeEntry } from '@openexec/ledger';
import { fixtures } from '@openexec/ledger/contract';
import { publicKeyOf, sign } from '@openexec/proof';
import {
  blobPath,
  type BundleDescription,
  type BundleFault,
  type BundlePart,
  type BundleStatement,
  formatDescription,
  formatEnvelope,
  formatEvent,
  formatStatement,
  manifestLine,
  mayWithhold,
  openStatement,
  parseEvent,
  partsOf,
  proofPath,
  readTar,
  statementSigningBytes,
  TAR_END,
  tarHeader,
  tarPadding,
} from '@openexec/verify';
import { parseDescription } from '../src/bundle/format.ts';
import { checkManifest, readManifest } from '../src/bundle/manifest.ts';
import { isPartPath, readSmall, readText, showPath } from '../src/bundle/source.ts';

const { SEEDS, START } = fixtures;
const A = digestOf('a');
const B = digestOf('b');
type Members = { readonly [name: string]: Json };

function partOf(path: string, content: Bytes | string, bytes?: number): BundlePart {
  const held = typeof content === 'string' ? utf8Encode(content) : content;
  return {
    path,
    bytes: bytes ?? held.length,
    async *read() {
      await Promise.resolve();
      yield held.subarray(0, 3);
      yield held.subarray(3);
    },
  };
}
const saidOf = (read: { readonly ok: boolean; readonly error?: BundleFault }): string =>
  read.error === undefined ? 'read' : `${read.error.code} ${read.error.part}: ${read.error.message}`;

describe('the path of a part', () => {
  test('is plain, relative and in one spelling, of at most 240 bytes', () => {
    for (const path of ['a', 'a/b', 'A-b_c.d', 'tile/0/x001/067.p/3', '-a', '_', 'a..b', 'x'.repeat(240)])
      expect([path, isPartPath(path)]).toEqual([path, true]);
    for (const path of ['', '/a', 'a/', 'a//b', '.a', 'a/.b', '..', 'a/..', 'a b', 'a\\b', 'a\nb', 'ä', 'x'.repeat(241), 'a:b', 'a\n'])
      expect([path, isPartPath(path)]).toEqual([path, false]);
    expect([showPath('a"\n'), showPath('x'.repeat(300)).length]).toEqual(['"a\\"\\n"', 242]);
  });
  test('stands once in a bundle', () => {
    expect(saidOf(partsOf([partOf('a', ''), partOf('../b', '')]))).toBe('bundle.path "../b": no part of a bundle has such a path');
    expect(saidOf(partsOf([partOf('a', ''), partOf('b', ''), partOf('a', '')]))).toBe(
      'bundle.duplicate a: the part stands in the bundle twice',
    );
    const both = partsOf([partOf('a', 'x'), partOf('b', '')]);
    expect(both.ok ? [...both.value.keys()] : []).toEqual(['a', 'b']);
  });
  test('of blobs and proofs follows from what they are of', () => {
    expect(blobPath(A)).toBe(`blobs/${A.slice(7)}`);
    expect([proofPath('law'), proofPath('run/1/2')]).toEqual(['proofs/law.tlog-proof', 'proofs/run.1.2.tlog-proof']);
  });
});

describe('a small part', () => {
  test('is read whole, and refused where it is too large, grew or ends early', async () => {
    expect(await readSmall(partOf('a', 'abcdef'))).toEqual({ ok: true, value: utf8Encode('abcdef') });
    expect(await readText(partOf('a', 'abcdef'), 6)).toEqual({ ok: true, value: 'abcdef' });
    expect(saidOf(await readSmall(partOf('a', 'abcdef'), 5))).toBe('bundle.tooLarge a: it has 6 bytes; a part of its kind has at most 5');
    expect(saidOf(await readSmall(partOf('a', 'abcdef', 5)))).toBe('bundle.unreadable a: it grew while it was read');
    expect(saidOf(await readSmall(partOf('a', 'abcdef', 7)))).toBe('bundle.truncated a: it ends after 6 of 7 bytes');
    expect(saidOf(await readText(partOf('a', Uint8Array.of(0xff))))).toMatch(/^bundle\.malformed a: \S/);
    expect(saidOf(await readText(partOf('a', 'abcdef'), 5))).toMatch(/^bundle\.tooLarge a/);
    expect(saidOf(await readSmall(partOf('a', '', 16 * 1024 * 1024)))).toMatch(/^bundle\.truncated/);
    expect(saidOf(await readSmall(partOf('a', '', 16 * 1024 * 1024 + 1)))).toMatch(/^bundle\.tooLarge/);
  });
});

describe('the MANIFEST', () => {
  const hex = 'ab'.repeat(32);
  const read = async (text: string | Bytes, ...others: string[]) => {
    const parts = partsOf([partOf('MANIFEST', text), ...others.map((path) => partOf(path, path))]);
    if (!parts.ok) throw new Error(parts.error.message);
    const faults: string[] = [];
    const part = parts.value.get('MANIFEST');
    if (part === undefined) throw new Error('the test made no MANIFEST');
    const manifest = await readManifest(part, parts.value, (fault) => void faults.push(saidOf({ ok: false, error: fault })));
    if (manifest.ok) await checkManifest(parts.value, manifest.value, (fault) => void faults.push(saidOf({ ok: false, error: fault })));
    return manifest.ok ? [...manifest.value.keys(), ...faults] : [saidOf(manifest), ...faults];
  };
  const own = (path: string): string => `${digestOf(path).slice(7)}  ${path}\n`;
  const expected = 'expected 64 hex digits, two spaces and the path of a part';

  test('lists each part by its digest, in order', async () => {
    expect(await read(`${own('a')}${own('b')}`, 'a', 'b', 'export.sigstore.json')).toEqual(['a', 'b']);
    expect(manifestLine(new Uint8Array(32).fill(0xab), 'x/y')).toBe(`${hex}  x/y\n`);
    expect(await read('')).toEqual([]);
  });
  test('has lines that are none', async () => {
    for (const line of [
      'x',
      `${hex} a`,
      `${hex}   a`,
      `${hex.toUpperCase()}  a`,
      ` ${hex}  a`,
      `${hex.slice(1)}  a`,
      `${hex}  ../a`,
      `${hex}  `,
    ])
      expect(await read(`${own('A')}${line}\n`, 'A')).toEqual([`bundle.malformed MANIFEST: line 2: ${expected}: ${JSON.stringify(line)}`]);
    expect(await read(Uint8Array.of(0xff, 0x0a))).toEqual([
      expect.stringMatching(/^bundle\.malformed MANIFEST: line 1: expected 64 .+: \S/),
    ]);
    for (const path of ['MANIFEST', 'export.sigstore.json'])
      expect(await read(`${hex}  ${path}\n`)).toEqual([`bundle.malformed MANIFEST: line 1: ${path} is not listed`]);
    expect(await read(`${own('a')}${hex}  b`, 'a')).toEqual(['bundle.truncated MANIFEST: line 1: the last line is not complete']);
    expect(await read(`${hex}  ${'x'.repeat(241)}\n`)).toEqual(['bundle.tooLarge MANIFEST: line 0: a line has more than 306 bytes']);
  });
  test('names no part twice or out of order', async () => {
    expect(await read(`${own('a')}${own('a')}`, 'a')).toEqual(['bundle.duplicate MANIFEST: line 2: a is out of order']);
    expect(await read(`${own('b')}${own('a')}`, 'a', 'b')).toEqual(['bundle.malformed MANIFEST: line 2: a is out of order']);
  });
  test('lists what is not there, not what is there, or other bytes of it', async () => {
    expect(await read(`${own('a')}${hex}  b\n`, 'a')).toEqual(['a', 'bundle.missing b: the MANIFEST lists it, and it is not there']);
    expect(await read(own('a'), 'a', 'c')).toEqual(['a', 'bundle.extra c: the MANIFEST does not list it']);
    expect(await read(`${hex}  a\n`, 'a')).toEqual(['a', 'bundle.digest a: its bytes are not those that the MANIFEST lists']);
  });
});

describe('the description', () => {
  const good: BundleDescription = {
    ledger: A,
    origin: 'o',
    size: 9,
    root: B,
    scope: { is: 'runs', runs: ['run/1'] },
    entries: 4,
    withheldPayloads: [{ trajectory: 'run/1', seq: 3 }],
    withheldBlobs: [A],
    goneBlobs: [B],
    coverage: 'gatewayOnly',
  };
  const read = (bytes: Bytes | string): string => saidOf(parseDescription(typeof bytes === 'string' ? utf8Encode(bytes) : bytes));
  const spelled = (members: Members): string =>
    read(`${canonicalText({ v: 1, type: 'openexec.bundle', ...(good as unknown as Members), ...members })}\n`);
  const MISSING = 'bundle.malformed bundle.json: a member is missing or of another type';

  test('comes back as it was written, whatever it holds', () => {
    for (const scope of [{ is: 'ledger' }, { is: 'runs', runs: [] }, { is: 'range', from: 0, to: 7 }] as const)
      for (const coverage of ['full', 'gatewayOnly'] as const) {
        const of = { ...good, scope, coverage };
        expect(parseDescription(formatDescription(of))).toEqual({ ok: true, value: of });
      }
  });
  test('is refused where a member is missing or of another type', () => {
    for (const members of [
      { ledger: 'sha256:' },
      { ledger: 1 },
      { ledger: `sha256:${'A'.repeat(64)}` },
      { root: `x${B}` },
      { root: `${B}0` },
      { origin: null },
      { size: -1 },
      { size: '9' },
      { entries: null },
      { entries: -1 },
      { coverage: 'half' },
      { scope: null },
      { scope: 'ledger' },
      { scope: { is: 'runs' } },
      { scope: { is: 'runs', runs: [1] } },
      { scope: { is: 'range', from: 0 } },
      { scope: { is: 'range', from: -1, to: 1 } },
      { scope: { is: 'range', to: 1 } },
      { scope: { is: 'other', from: 0, to: 1 } },
      { withheldPayloads: {} },
      { withheldPayloads: [1] },
      { withheldPayloads: [{ trajectory: 1, seq: 1 }] },
      { withheldPayloads: [{ trajectory: 'run/1', seq: -1 }] },
      { withheldBlobs: [1] },
      { withheldBlobs: A },
      { goneBlobs: [A, 'x'] },
      { goneBlobs: null },
      { v: 0 },
      { v: '1' },
    ] as Members[])
      expect([members, spelled(members)]).toEqual([members, MISSING]);
  });
  test('is refused where it is no description, newer, or in another spelling', () => {
    const no = 'bundle.malformed bundle.json: this is no description of a bundle: type is not openexec.bundle';
    expect([read('1\n'), read('[]'), spelled({ type: 'x' })]).toEqual([no, no, no]);
    expect(read('{')).toMatch(/^bundle\.malformed bundle\.json: \S/);
    expect(spelled({ v: 2 })).toBe('bundle.newer bundle.json: the bundle is of version 2; this reader knows 1: take a newer one');
    const spelling = 'bundle.malformed bundle.json: it is not in the one spelling that a bundle has, or has members that nobody knows';
    expect([spelled({ more: 1 }), spelled({ scope: { is: 'ledger', from: 0 } })]).toEqual([spelling, spelling]);
    const text = new TextDecoder().decode(formatDescription(good));
    expect([read(text.trimEnd()), read(`${text}\n`), read(` ${text}`), read(text.replace(',', ' ,'))]).toEqual(Array(4).fill(spelling));
    expect(read(text)).toBe('read');
  });
});

describe('the line of an event', () => {
  const line = (members: Members, data: Members = {}): string => {
    const entry = { entry: '{}', payload: null, salt: null, ...data };
    const read = parseEvent(utf8Encode(canonicalText({ sequence: '1'.padStart(19, '0'), data: entry, ...members })));
    return read.ok ? `index ${read.value.index}` : read.error;
  };
  test('gives the index and the bytes', () => {
    expect(line({})).toBe('index 1');
    const read = parseEvent(
      utf8Encode(canonicalText({ sequence: '7'.padStart(19, '0'), data: { entry: 'e', payload: 'p', salt: toBase64(Uint8Array.of(1)) } })),
    );
    expect(read).toEqual({
      ok: true,
      value: { index: 7, row: { entryBytes: utf8Encode('e'), payload: utf8Encode('p'), salt: Uint8Array.of(1) } },
    });
  });
  test('is refused in these words', () => {
    const no = 'it has no data or no sequence of 19 digits';
    expect([
      line({ sequence: 1 }),
      line({ sequence: '1' }),
      line({ sequence: '0'.repeat(20) }),
      line({ sequence: `x${'0'.repeat(19)}` }),
      line({ data: 1 }),
    ]).toEqual(Array(5).fill(no));
    const data = 'its data is not entry, payload and salt';
    expect([line({}, { entry: 1 }), line({}, { payload: 1 }), line({}, { salt: 1 })]).toEqual([data, data, data]);
    expect(line({}, { salt: '!' })).toBe('its salt is not base64');
    expect(line({ sequence: '9'.repeat(19) })).toBe(`its sequence ${'9'.repeat(19)} is beyond any ledger`);
    expect(parseEvent(utf8Encode('{'))).toMatchObject({ ok: false });
    expect(parseEvent(utf8Encode('[]'))).toEqual({ ok: false, error: no });
  });
  test('is a CloudEvent in one spelling, that reads back to the same', async () => {
    const { memoryLedger } = await import('@openexec/ledger');
    const store = memoryLedger({ randomness: fixtures.seededRandomness(1), signer: fixtures.runtimeSigner() });
    await store.append(fixtures.foundingBatch());
    for await (const [row] of store.rows()) {
      if (row === undefined) throw new Error('there is a founding');
      const entry = decodeEntry(row.entryBytes);
      if (!entry.ok) throw new Error(entry.error.message);
      const text = formatEvent({ ledger: A, index: 12, entry: entry.value, row });
      expect(JSON.parse(text)).toEqual({
        specversion: '1.0',
        id: '12',
        source: `urn:openexec:ledger:${A}`,
        type: 'dev.openexec.ledger.founded',
        subject: 'law',
        time: START,
        datacontenttype: 'application/json',
        sequence: '0000000000000000012',
        data: {
          entry: new TextDecoder().decode(row.entryBytes),
          payload: new TextDecoder().decode(row.payload ?? undefined),
          salt: toBase64(row.salt ?? new Uint8Array()),
        },
      });
      expect(parseEvent(utf8Encode(text))).toEqual({ ok: true, value: { index: 12, row } });
      const bare = formatEvent({ ledger: A, index: 0, entry: entry.value, row: { ...row, payload: null, salt: null } });
      expect(JSON.parse(bare)).toMatchObject({ id: '0', data: { payload: null, salt: null } });
    }
  });
  test('may be without its payload in a run and in memory, never where the rest hangs on it', () => {
    expect([mayWithhold('run/1', 'stage.left'), mayWithhold('memory', 'memory.set')]).toEqual([true, true]);
    expect(
      [
        ['run/1', 'run.opened'],
        ['run/1', 'run.closed'],
        ['law', 'key.trusted'],
        ['ledger', 'x'],
        ['selftest/1', 'x'],
        ['runs', 'x'],
      ].map(([trajectory = '', kind = '']) => mayWithhold(trajectory, kind)),
    ).toEqual(Array(6).fill(false));
  });
});

describe('an archive', () => {
  const bytesOf = (...pieces: Bytes[]): Bytes => Uint8Array.from(pieces.flatMap((piece) => [...piece]));
  const member = (path: string, text: string): Bytes => {
    const header = tarHeader(path, text.length);
    if (header === null) throw new Error('it has a header');
    return bytesOf(header, utf8Encode(text), tarPadding(text.length));
  };
  const read = async (bytes: Bytes) => {
    const parts = await readTar({ bytes: bytes.length, read: async (at, length) => bytes.slice(at, at + length) });
    if (!parts.ok) return saidOf(parts);
    const texts: string[] = [];
    for (const part of parts.value.values())
      for await (const piece of part.read()) texts.push(`${part.path}=${new TextDecoder().decode(piece)}`);
    return texts.join(' ');
  };
  const good = member('a', 'text');
  test('of plain files is read back, at every length beside a block', async () => {
    expect(await read(bytesOf(good, member('b/c', 'more'), TAR_END))).toBe('a=text b/c=more');
    for (const length of [511, 512, 513])
      expect(await read(bytesOf(member('a', 'x'.repeat(length)), TAR_END))).toBe(`a=${'x'.repeat(length)}`);
    expect(await read(TAR_END)).toBe('');
    expect([0, 1, 511, 512, 513].map((length) => tarPadding(length).length)).toEqual([0, 511, 1, 0, 511]);
  });
  test('has headers for names up to 100 letters, and longer ones that split', async () => {
    const names = [
      'x'.repeat(100),
      `${'d'.repeat(155)}/${'x'.repeat(84)}`,
      `${'d'.repeat(30)}/${'x'.repeat(100)}`,
      `${'d'.repeat(60)}/${'e'.repeat(60)}/y`,
    ];
    for (const name of names) expect(await read(bytesOf(member(name, 'z'), TAR_END))).toBe(`${name}=z`);
    for (const name of ['x'.repeat(101), `${'d'.repeat(156)}/${'x'.repeat(50)}`, `/${'x'.repeat(100)}`])
      expect(tarHeader(name, 1)).toBeNull();
    expect([tarHeader('a', 8 ** 11 - 1) === null, tarHeader('a', 8 ** 11) === null]).toEqual([false, true]);
    const header = new TextDecoder().decode(tarHeader('a', 9) ?? undefined);
    expect([header.slice(100, 124), header.slice(124, 136), header.slice(136, 148), header[156], header.slice(257, 265)]).toEqual([
      '0000644\u00000000000\u00000000000\u0000',
      '00000000011\u0000',
      '00000000000\u0000',
      '0',
      'ustar\u000000',
    ]);
  });
  test('has the checksum that every reader of archives adds up', () => {
    const header = tarHeader('a', 4) ?? new Uint8Array();
    const summed = header.reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 0x20 : byte), 0);
    expect(new TextDecoder().decode(header.subarray(148, 156))).toBe(`${summed.toString(8).padStart(6, '0')}\0 `);
  });
  test('is refused where it is cut, goes on, or holds anything but plain files', async () => {
    expect(await read(new Uint8Array(0))).toBe('bundle.truncated archive: it ends at 0 without its last two blocks');
    expect(await read(good)).toBe('bundle.truncated archive: it ends at 1024 without its last two blocks');
    expect(await read(bytesOf(good, new Uint8Array(512)))).toBe('bundle.truncated archive: one of its last two blocks is missing');
    expect(await read(bytesOf(good, TAR_END, new Uint8Array(7)))).toBe('bundle.malformed archive: 7 bytes stand behind its end');
    expect(await read(bytesOf(good, new Uint8Array(512), good.slice(0, 512)))).toBe(
      'bundle.malformed archive: a part stands behind an empty block',
    );
    expect(await read(good.slice(0, 1000))).toBe('bundle.truncated a: it should have 4 bytes; the archive ends before');
    const dirty = bytesOf(good, TAR_END);
    dirty[600] = 1;
    expect(await read(dirty)).toBe('bundle.malformed a: something stands behind the part, where nothing may');
    const changed = (at: number, byte: number): Bytes => {
      const bytes = bytesOf(good, TAR_END);
      bytes[at] = byte;
      return bytes;
    };
    const plain = 'bundle.malformed a: its header is not that of a plain file in a bundle';
    for (const [at, byte] of [
      [100, 0x31],
      [110, 0x31],
      [118, 0x31],
      [140, 0x31],
      [150, 0x37],
      [156, 0x32],
      [260, 0x20],
      [300, 0x61],
    ] as const)
      expect([at, await read(changed(at, byte))]).toEqual([at, plain]);
    const header = 'bundle.malformed archive at 0: this is no header of a plain file';
    for (const [at, byte] of [
      [5, 0x61],
      [124, 0x39],
      [350, 0x61],
      [0, 0xff],
    ] as const)
      expect([at, await read(changed(at, byte))]).toEqual([at, header]);
    expect(await read(changed(0, 0x2e))).toBe('bundle.path ".": no part of a bundle has such a path');
    expect(await read(bytesOf(good, good, TAR_END))).toBe('bundle.duplicate a: the part stands in the bundle twice');
  });
});

describe('the statement', () => {
  const run = { run: 'run/1', outcome: 'done', commit: 'c'.repeat(40), tree: 'd'.repeat(40), ref: 'refs/heads/x', governed: true };
  const open = { run: 'run/2', outcome: 'open', commit: null, tree: null, ref: null, governed: false };
  const stated: BundleStatement = { manifest: A, ledger: B, origin: 'o', size: 5, root: A, coverage: 'full', runs: [run, open] };
  const KEY = publicKeyOf(SEEDS.log);
  const keyOf = (key: string) => (key === 'log' ? KEY : null);
  const sealed = (payload: Bytes, timestamps: Bytes[] = [], by = SEEDS.log): Bytes =>
    formatEnvelope({ payload, key: 'log', signature: sign(by, statementSigningBytes(payload)), timestamps });
  const said = (bytes: Bytes): string => saidOf(openStatement(bytes, keyOf));
  const changed = (change: (envelope: { [name: string]: Json }) => void): string => {
    const envelope = JSON.parse(new TextDecoder().decode(sealed(formatStatement(stated)))) as { [name: string]: Json };
    change(envelope);
    return said(utf8Encode(`${canonicalText(envelope)}\n`));
  };
  const at = 'bundle.malformed export.sigstore.json: ';

  test('opens to what was stated, with its signature and the times over it', () => {
    const signature = sign(SEEDS.log, statementSigningBytes(formatStatement(stated)));
    expect(openStatement(sealed(formatStatement(stated)), keyOf)).toEqual({
      ok: true,
      value: { statement: stated, signature, timestamps: [] },
    });
    const two = openStatement(sealed(formatStatement({ ...stated, coverage: 'gatewayOnly' }), [Uint8Array.of(1), Uint8Array.of(2)]), keyOf);
    expect(two).toMatchObject({
      ok: true,
      value: { statement: { ...stated, coverage: 'gatewayOnly' }, timestamps: [Uint8Array.of(1), Uint8Array.of(2)] },
    });
    expect(JSON.parse(new TextDecoder().decode(formatStatement(stated)))).toEqual({
      _type: 'https://in-toto.io/Statement/v1',
      subject: [
        { name: 'git commit of run/1', digest: { gitCommit: run.commit } },
        { name: 'git tree of run/1', digest: { gitTree: run.tree } },
        { name: 'MANIFEST', digest: { sha256: A.slice(7) } },
      ],
      predicateType: 'https://openexec.dev/attestation/audit-bundle/v1',
      predicate: stated,
    });
    expect(JSON.parse(new TextDecoder().decode(sealed(formatStatement(stated), [Uint8Array.of(1)])))).toMatchObject({
      mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
      verificationMaterial: { publicKey: { hint: 'log' }, timestampVerificationData: { rfc3161Timestamps: [{ signedTimestamp: 'AQ==' }] } },
      dsseEnvelope: { payloadType: 'application/vnd.in-toto+json', signatures: [{ keyid: 'log' }] },
    });
  });
  test('is refused in these words', () => {
    const expected = `${at}expected a Sigstore bundle v0.3 with one signature over an in-toto statement`;
    expect(said(utf8Encode('{'))).toMatch(/^bundle\.malformed export\.sigstore\.json: \S/);
    expect(said(utf8Encode('[]'))).toBe(expected);
    const dsse = (envelope: { [name: string]: Json }) => envelope['dsseEnvelope'] as { [name: string]: Json };
    expect(changed((envelope) => void (envelope['mediaType'] = 'x'))).toBe(expected);
    expect(changed((envelope) => void (dsse(envelope)['payloadType'] = 'x'))).toBe(expected);
    expect(changed((envelope) => void (dsse(envelope)['signatures'] = []))).toBe(expected);
    expect(changed((envelope) => void (dsse(envelope)['signatures'] = [1]))).toBe(expected);
    expect(changed((envelope) => void (dsse(envelope)['signatures'] = [{}, {}]))).toBe(expected);
    expect(changed((envelope) => void (envelope['dsseEnvelope'] = 1))).toBe(expected);
    const base64 = `${at}its payload or signature is not base64`;
    expect(changed((envelope) => void (dsse(envelope)['payload'] = '!'))).toBe(base64);
    expect(changed((envelope) => void (dsse(envelope)['payload'] = 1))).toBe(base64);
    expect(changed((envelope) => void (dsse(envelope)['signatures'] = [{ sig: '!', keyid: 'log' }]))).toBe(base64);
    expect(changed((envelope) => void (dsse(envelope)['signatures'] = [{ sig: 1, keyid: 'log' }]))).toBe(base64);
    expect(changed((envelope) => void (dsse(envelope)['signatures'] = [{ sig: 'AQ==' }]))).toBe(base64);
    expect(changed((envelope) => void (dsse(envelope)['signatures'] = [{ sig: 'AQ==', keyid: 'k'.repeat(90) }]))).toBe(
      `${at}the key "${'k'.repeat(80)}" is no log key of this ledger`,
    );
    expect(said(sealed(formatStatement(stated), [], SEEDS.stranger))).toBe(`${at}its signature is not over this statement`);
    const spelling = `${at}it is not in the one spelling that a bundle has: something beside what is signed was changed`;
    expect(changed((envelope) => void (envelope['more'] = 1))).toBe(spelling);
    expect(changed((envelope) => void (envelope['verificationMaterial'] = { publicKey: { hint: 'other' } }))).toBe(spelling);
    expect(
      changed(
        (envelope) =>
          void (envelope['verificationMaterial'] = {
            publicKey: { hint: 'log' },
            timestampVerificationData: { rfc3161Timestamps: [{ signedTimestamp: '!' }] },
          }),
      ),
    ).toBe(spelling);
    const text = new TextDecoder().decode(sealed(formatStatement(stated)));
    expect(said(utf8Encode(text.trimEnd()))).toBe(spelling);
  });
  test('that is signed and says something else, more or less, is none', () => {
    const none = `${at}it is signed, but is no statement about a bundle`;
    const good = JSON.parse(new TextDecoder().decode(formatStatement(stated))) as { predicate: Members; [name: string]: Json };
    const predicate = (members: Members) => said(sealed(canonicalBytes({ ...good, predicate: { ...good.predicate, ...members } })));
    expect(said(sealed(canonicalBytes(good)))).toBe('read');
    for (const members of [
      { size: '5' },
      { manifest: 1 },
      { ledger: null },
      { origin: 1 },
      { root: 1 },
      { coverage: 'half' },
      { runs: 1 },
      { runs: [1] },
      { runs: [{ ...run, governed: 'yes' }] },
      { runs: [{ ...run, commit: 1 }] },
      { runs: [{ ...run, outcome: 1 }] },
      { runs: [{ ...run, more: 1 }] },
      { more: 1 },
    ] as Members[])
      expect([members, predicate(members)]).toEqual([members, none]);
    expect(said(sealed(canonicalBytes({ ...good, subject: [] })))).toBe(none);
    expect(said(sealed(canonicalBytes({ ...good, _type: 'x' })))).toBe(none);
    expect(said(sealed(canonicalBytes({ ...good, predicateType: 'x' })))).toBe(none);
    expect(said(sealed(canonicalBytes([])))).toBe(none);
    expect(said(sealed(utf8Encode('{ }')))).toBe(none);
  });
});
