/** Entry bytes: one spelling per entry, everything else refused; commitments; the size of an entry. PROTOCOL §2. */
import { describe, expect, test } from '@jest/globals';
import { canonicalText, digestOf, instantFromMs, type Json, parseCanonical, sha256Hex, utf8Encode } from '@openexec/canon';
import { commitmentOf, decodeEntry, encodeEntry, type Entry, knownKinds, MAX_ENTRY_BYTES } from '@openexec/ledger';
import fc from 'fast-check';

const hex = (length: number) => fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length });
const digest = hex(64).map((text) => `sha256:${text}`);
const count = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null });
const signature = fc.record({
  key: hex(32),
  value: fc.uint8Array({ minLength: 64, maxLength: 64 }).map((bytes) => Buffer.from(bytes).toString('base64')),
});
const entries = fc
  .record(
    {
      v: fc.constant(1 as const),
      trajectory: fc.oneof(
        fc.constantFrom('law', 'ledger', 'memory'),
        hex(32).map((id) => `run/${id}`),
        hex(8).map((id) => `writ/a.${id}`),
      ),
      seq: count,
      prev: maybe(digest),
      kind: fc.constantFrom(...knownKinds()),
      at: fc.integer({ min: 0, max: 4_000_000_000_000 }).map(instantFromMs),
      actor: fc.oneof(
        fc.constantFrom('model', 'runtime', 'tool'),
        hex(32).map((id) => `key:${id}`),
        fc.constant('peer:a-1'),
      ),
      cause: maybe(count),
      law: maybe(count),
      commitment: digest,
      bytes: count,
      id: hex(20),
      sig: signature,
    },
    { requiredKeys: ['v', 'trajectory', 'seq', 'prev', 'kind', 'at', 'actor', 'cause', 'law', 'commitment', 'bytes'] },
  )
  // Every member is drawn from its own grammar above.
  .map((entry) => entry as unknown as Entry);

const SAMPLE =
  '{"actor":"runtime","at":"2026-11-20T09:00:00.000Z","bytes":2,"cause":null,"commitment":"sha256:' +
  `${'0'.repeat(64)}","kind":"key.trusted","law":null,"prev":"sha256:${'1'.repeat(64)}","seq":1,"trajectory":"law","v":1}`;

describe('entry bytes', () => {
  test('are the RFC 8785 text of the entry, and reading gives the entry back', () => {
    fc.assert(
      fc.property(entries, (entry) => {
        const bytes = encodeEntry(entry);
        expect(Buffer.from(bytes).toString('utf8')).toBe(canonicalText(entry as unknown as Json));
        expect(decodeEntry(bytes)).toEqual({ ok: true, value: entry });
        expect(bytes.length).toBeLessThanOrEqual(MAX_ENTRY_BYTES);
      }),
      { numRuns: 500 },
    );
  });

  test('what is read is what writing would have made: no other bytes are an entry', () => {
    fc.assert(
      fc.property(entries, fc.nat(), fc.integer({ min: 0, max: 255 }), (entry, place, byte) => {
        const bytes = Uint8Array.from(encodeEntry(entry));
        bytes[place % bytes.length] = byte;
        const read = decodeEntry(bytes);
        const isOneSpelling = !read.ok || (Buffer.compare(encodeEntry(read.value), bytes) === 0 && parseCanonical(bytes).ok);
        expect(isOneSpelling).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ['a space', SAMPLE.replace(',"at"', ', "at"')],
    ['another order of members', SAMPLE.replace('{"actor":"runtime",', '{').replace('"v":1}', '"v":1,"actor":"runtime"}')],
    ['an unknown member', SAMPLE.replace('"v":1}', '"v":1,"w":1}')],
    ['a missing member', SAMPLE.replace('"cause":null,', '')],
    ['a member twice', SAMPLE.replace('"v":1}', '"v":1,"v":1}')],
    ['another version', SAMPLE.replace('"v":1}', '"v":2}')],
    ['an escaped letter', SAMPLE.replace('"law"', '"l\\u0061w"')],
    ['a leading zero', SAMPLE.replace('"seq":1', '"seq":01')],
    ['a fraction', SAMPLE.replace('"seq":1', '"seq":1.0')],
    ['an exponent', SAMPLE.replace('"seq":1', '"seq":1e0')],
    ['a negative number', SAMPLE.replace('"seq":1', '"seq":-1')],
    ['an unsafe integer', SAMPLE.replace('"seq":1', '"seq":9007199254740993')],
    ['a day that does not exist', SAMPLE.replace('11-20', '11-31')],
    ['the 29th of February of a common year', SAMPLE.replace('2026-11-20', '2027-02-29')],
    ['hour 24', SAMPLE.replace('T09', 'T24')],
    ['a second precision', SAMPLE.replace('00.000Z', '00Z')],
    ['an upper-case digest', SAMPLE.replace('0'.repeat(64), 'A'.repeat(64))],
    ['a short digest', SAMPLE.replace('0'.repeat(64), '0'.repeat(63))],
    ['an unknown actor', SAMPLE.replace('"runtime"', '"root"')],
    ['an unknown kind', SAMPLE.replace('key.trusted', 'key.borrowed')],
    ['an unknown trajectory', SAMPLE.replace('"law","v"', '"lore","v"')],
    ['a reserved trajectory', SAMPLE.replace('"law","v"', '"peer/a","v"')],
    ['a byte order mark', `\ufeff${SAMPLE}`],
    ['a newline at the end', `${SAMPLE}\n`],
  ])('%s is refused', (_, text) => {
    expect(decodeEntry(utf8Encode(SAMPLE)).ok).toBe(true);
    expect(text).not.toBe(SAMPLE);
    expect(decodeEntry(utf8Encode(text)).ok).toBe(false);
  });

  test('bytes that are no UTF-8 and bytes over the limit are refused', () => {
    expect(decodeEntry(Uint8Array.of(0xff, 0xfe))).toMatchObject({ ok: false, error: { code: 'entry.malformed' } });
    expect(decodeEntry(new Uint8Array(MAX_ENTRY_BYTES + 1))).toMatchObject({ ok: false, error: { code: 'entry.tooLarge' } });
  });
});

describe('a commitment', () => {
  test('is the digest of salt and payload, whatever their lengths', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ maxLength: 300 }), (salt, payload) => {
        expect(commitmentOf(salt, payload)).toBe(`sha256:${sha256Hex(Buffer.concat([salt, payload]))}`);
      }),
    );
    const [salt, large] = [new Uint8Array(32).fill(7), new Uint8Array(70_000).fill(9)];
    expect(commitmentOf(salt, large)).toBe(digestOf(new Uint8Array(Buffer.concat([salt, large]))));
  });
});
