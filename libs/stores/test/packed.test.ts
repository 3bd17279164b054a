/**
 * How rows are kept small: what is packed or deflated comes back byte for byte, a hostile column is never unpacked to more than a column may hold, and a
 * ledger of the format before is read, goes on and is examined as it stands. PROTOCOL §2; GOALS E09.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deflateRawSync, gunzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from '@jest/globals';
import { type Bytes, canonicalBytes, type Json } from '@openexec/canon';
import { fixtures, keeping } from '@openexec/ledger/contract';
import { FORMAT_VERSION, inflated, packed, unpacked } from '@openexec/stores';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { deflated } from '../src/packed.ts';
import { PACKED_WORDS } from '../src/packedWords.ts';
import { check, folder, opened, refusalOf, removeFolders } from './support.ts';

const { batchTo, CANCEL, fact, openedBody, textBlob } = fixtures;
const RUNS = 2000;
const COLUMN_BYTES = 64 * 1024;
const BEFORE = fileURLToPath(new URL('fixtures/format-1.db.gz', import.meta.url));
const hex = (digits: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: digits / 2, maxLength: digits / 2 }).map((bytes) => Buffer.from(bytes).toString('hex'));

afterAll(removeFolders);

/** Texts as payloads hold them: words, digests, their near misses, whatever characters there are. */
const part = fc.oneof(
  fc.constantFrom(...PACKED_WORDS),
  hex(64).map((digits) => `sha256:${digits}`),
  hex(64).map((digits) => `"${digits}"`),
  fc.tuple(hex(32), hex(40)).map(([run, oid]) => `"run/${run}":"${oid}"`),
  // As many digits as no code stands for, and a name that no digest follows.
  fc
    .tuple(fc.constantFrom('"', ':', 'sha256:', '/', 'x'), hex(66), fc.nat(66))
    .map(([mark, digits, length]) => mark + digits.slice(0, length)),
  fc.tuple(hex(64), hex(64)).map(([one, other]) => `:${one}:${other}`),
  fc.string({ unit: 'binary' }),
);
const textual = fc.array(part, { maxLength: 60 }).map((parts) => new Uint8Array(Buffer.from(parts.join(''))));

function back(bytes: Bytes): Bytes {
  return unpacked(packed(bytes));
}

describe('packing', () => {
  test('gives back what was packed byte for byte: texts of words and digests, any JSON, any bytes', () => {
    let shorter = 0;
    const same = (bytes: Bytes): void => {
      const column = packed(bytes);
      if (column.length < bytes.length) shorter += 1;
      // Never longer than the mark that says it is plain.
      expect(column.length <= bytes.length + 1).toBe(true);
      expect(Buffer.from(unpacked(column)).equals(bytes)).toBe(true);
    };
    fc.assert(fc.property(textual, same), { numRuns: RUNS });
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        same(canonicalBytes(value as Json));
      }),
      { numRuns: RUNS },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), same), { numRuns: RUNS });
    expect(shorter).toBeGreaterThan(RUNS / 2);
  });

  test('has words that are all told apart, fit their codes, and hold no part of a digest with its name', () => {
    expect(PACKED_WORDS.length).toBeLessThanOrEqual(38 + 256);
    expect(new Set(PACKED_WORDS).size).toBe(PACKED_WORDS.length);
    const name = 'sha256:';
    const parts = Array.from({ length: name.length }, (_, length) => name.slice(0, length + 1));
    expect(PACKED_WORDS.filter((word) => word.includes(name) || parts.some((each) => word.endsWith(each)) || word.startsWith(':'))).toEqual(
      [],
    );
    expect(PACKED_WORDS.filter((word) => !/^[\x20-\x7e]+$/.test(word) || /^[0-9a-f]/.test(word))).toEqual([]);
    for (const word of PACKED_WORDS) expect(packed(new Uint8Array(Buffer.from(word))).length).toBeLessThanOrEqual(3);
  });

  test('leaves what is too long for a column, or holds a code, as it is', () => {
    const long = new Uint8Array(Buffer.from(`"${PACKED_WORDS[0] ?? ''}`.repeat(20_000)));
    expect(packed(long)).toBe(long);
    for (const first of [0, 1]) expect(back(Uint8Array.of(first, 2, 3))).toEqual(Uint8Array.of(first, 2, 3));
    expect(packed(new Uint8Array(0))).toEqual(new Uint8Array(0));
  });

  test('a hostile column is unpacked to no more than a column may hold, and what is no packing comes back as it stands', () => {
    const longest = PACKED_WORDS.reduce((most, word, at) => (at >= 38 && word.length > (PACKED_WORDS[most] ?? '').length ? at : most), 38);
    const words = (count: number): Bytes => Uint8Array.from([1, ...Array.from({ length: count }, () => [6, longest - 38]).flat()]);
    const length = PACKED_WORDS[longest]?.length ?? 0;
    expect(unpacked(words(100))).toHaveLength(100 * length);
    const bomb = words(4_000_000);
    expect(unpacked(bomb)).toBe(bomb);
    for (const column of [
      [1, 2, 3],
      [1, 6],
      [1, 0],
      [1, 1],
      [1, 4, ...Array.from({ length: 19 }, () => 7)],
    ].map((each) => Uint8Array.from(each)))
      expect(unpacked(column)).toBe(column);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => unpacked(Uint8Array.of(1, ...bytes)).length <= COLUMN_BYTES),
      { numRuns: RUNS },
    );
  });

  test('a blob is deflated where that is shorter; one that would inflate to more than its row says is handed out as it stands', () => {
    const text = new Uint8Array(Buffer.from('a blob that says it again. '.repeat(100)));
    const column = deflated(text);
    expect(column.length).toBeLessThan(text.length / 4);
    expect(Buffer.from(inflated(column, text.length)).equals(text)).toBe(true);
    const short = text.subarray(0, 100);
    expect(deflated(short)).toBe(short);
    const bomb = new Uint8Array(deflateRawSync(new Uint8Array(64 * 1024 * 1024)));
    expect(inflated(bomb, 100_000)).toBe(bomb);
    // A row that claims more than a row may hold is not inflated at all.
    expect(inflated(bomb, 64 * 1024 * 1024)).toBe(bomb);
    expect(inflated(short, 200)).toBe(short);
  });
});

describe('rows of a ledger', () => {
  test('entries, payloads and blobs take less than half of their bytes, and are read as they were given', async () => {
    const path = join(folder(), 'ledger.db');
    const store = await opened(path);
    const founded = await store.append(fixtures.foundingBatch());
    const fingerprint = founded.ok ? (founded.value.stored[0]?.leaf ?? '') : '';
    await store.append(batchTo(fixtures.LAW, 0, [fixtures.trustDraft(fingerprint)]));
    const run = keeping.runOfKeeping('a');
    const blob = textBlob('what a model was told, in words. '.repeat(200));
    const appended = await store.append({
      ...batchTo(run, 'none', [fact('run.opened', openedBody(fingerprint, 'a')), fact('run.cancelRequested', CANCEL)]),
      blobs: [blob],
    });
    expect(appended.ok).toBe(true);
    expect(await store.blob(blob.digest)).toEqual({ ok: true, value: blob.bytes });
    const rows = [];
    for await (const page of store.rows()) rows.push(...page);
    await check(store);
    await store.close();
    const db = new Database(path, { readonly: true });
    const [entry, payload] = db.prepare('SELECT sum(length(entry)), sum(length(payload)) FROM entries').raw().get() as [number, number];
    const kept = db.prepare('SELECT length(bytes) FROM blobs WHERE digest = ?').pluck().get(blob.digest) as number;
    db.close();
    expect(entry).toBeLessThan(rows.reduce((sum, row) => sum + row.entryBytes.length, 0) / 2);
    expect(payload).toBeLessThan((rows.reduce((sum, row) => sum + (row.payload?.length ?? 0), 0) * 2) / 3);
    expect(kept).toBeLessThan(blob.bytes.length / 2);
  });

  test('a ledger of format 1 is read as it stands, goes on in format 2 with the same head, forgets and is examined; and then is refused by what only knows format 1', async () => {
    const path = join(folder(), 'ledger.db');
    writeFileSync(path, gunzipSync(readFileSync(BEFORE)));
    const version = (): unknown => {
      const db = new Database(path, { readonly: true });
      const found = db.pragma('user_version', { simple: true });
      db.close();
      return found;
    };
    expect(version()).toBe(1);
    const reader = await opened(path, { access: 'readOnly' });
    await check(reader);
    const before = await reader.head();
    expect(before.size).toBe(11n);
    await reader.close();
    // Reading changed nothing.
    expect(version()).toBe(1);
    const store = await opened(path);
    expect(version()).toBe(FORMAT_VERSION);
    expect(await store.head()).toEqual(before);
    expect(await store.checkpoint()).toMatchObject({ ok: true, value: { size: 11n } });
    const run = keeping.runOfKeeping('b');
    const fingerprint = before.fingerprint ?? '';
    for (let at = 0; at < 20; at++)
      expect(
        await store.append(
          at === 0
            ? batchTo(run, 'none', [fact('run.opened', openedBody(fingerprint, 'b'))])
            : batchTo(run, at - 1, [fact('run.cancelRequested', CANCEL)]),
        ),
      ).toMatchObject({ ok: true });
    const stays = keeping.runOfKeeping('stays');
    expect(await store.keeper.forget(keeping.erasure(before.fingerprint ?? ('' as never), keeping.placesIn(stays, 3)))).toMatchObject({
      ok: true,
      value: { payloads: 3, blobs: 1 },
    });
    expect(await store.keeper.examine({ repair: false })).toMatchObject({ ok: true, value: { findings: [] } });
    await check(store);
    let erased = 0;
    for await (const { payload } of store.read(stays)) erased += payload === null ? 1 : 0;
    expect(erased).toBe(3);
    await store.close();
    const later = new Database(path);
    later.pragma(`user_version = ${FORMAT_VERSION + 1}`);
    later.close();
    expect(await refusalOf(path)).toBe('store.newerFormat');
  });
});
