/**
 * The published schemas and the worked examples that need nothing but canonical bytes. Signatures and trees of the examples are checked by
 * scripts/test/schemas.test.ts, where proof and ledger are within reach.
 */
import { describe, expect, test } from '@jest/globals';
import { canonicalText, concatBytes, digestJson, fromHex, type Json, parseCanonical, sha256, toHex, utf8Encode } from '@openexec/canon';
import { entry, KINDS, writ } from '../src/index.ts';
import { block, schemaFile } from './page.ts';

function hex(text: string): Uint8Array {
  const bytes = fromHex(text);
  if (!bytes.ok) throw new Error(bytes.error.message);
  return bytes.value;
}
function canonical(text: string): Json {
  const json = parseCanonical(utf8Encode(text));
  if (!json.ok) throw new Error(json.error.message);
  return json.value;
}
const sha = (...parts: Uint8Array[]): string => `sha256:${toHex(sha256(concatBytes(...parts)))}`;

describe('the published schemas', () => {
  test.each(Object.keys(KINDS))('%s has a schema that refuses unknown members, and a row in the table', (kind) => {
    const schema = JSON.parse(schemaFile(`events/${kind}.schema.json`)) as Record<string, unknown>;
    expect(schema['$id']).toBe(`events/${kind}.schema.json`);
    expect(schema['type']).toBe('object');
    expect(schema['additionalProperties']).toBe(false);
    expect(schemaFile('events.md')).toContain(`\n| \`${kind}\` | ${KINDS[kind as keyof typeof KINDS].class}`);
  });

  test.each(['entry', 'writ', 'policy-bundle', 'policy-set', 'blueprint', 'checked-blueprint', 'catalogue', 'sandbox-profile'])(
    '%s has a schema of draft 2020-12',
    (name) => {
      const schema = JSON.parse(schemaFile(`${name}.schema.json`)) as Record<string, unknown>;
      expect(schema).toMatchObject({ $schema: 'https://json-schema.org/draft/2020-12/schema', $id: `${name}.schema.json`, type: 'object' });
    },
  );
});

describe('the worked example', () => {
  test('of the entry: commitment, length, canonical bytes, leaf hash, schema', () => {
    const payload = utf8Encode(block('entry.md', 'payload'));
    const text = block('entry.md', 'entry');
    const value = canonical(text);
    expect(entry.safeParse(value).success).toBe(true);
    expect(value).toMatchObject({ commitment: sha(hex(block('entry.md', 'salt')), payload), bytes: payload.length });
    expect(canonical(block('entry.md', 'payload'))).toEqual({ because: 'the task was withdrawn' });
    expect(KINDS['run.cancelRequested'].body.safeParse(canonical(block('entry.md', 'payload'))).success).toBe(true);
    expect(sha(Uint8Array.of(0), utf8Encode(text))).toBe(block('entry.md', 'leaf'));
  });

  test('of the writ: canonical bytes, schema, id and the name of its run', () => {
    const body = canonical(block('writ.md', 'body'));
    const parsed = writ.parse(body);
    const run = digestJson([parsed.issuer, parsed.nonce]).slice('sha256:'.length, 'sha256:'.length + 32);
    expect(block('writ.md', 'names')).toBe(`${digestJson(body)}\nrun/${run}`);
  });

  test('of the world: value digest, leaves, and the root of one and of two records by the rule of the page', () => {
    const records = canonical(block('world.md', 'records')) as readonly (readonly [string, string, Json])[];
    const leaves = records.map(([kind, id, record]) => {
      const key = sha256(utf8Encode(canonicalText([kind, id])));
      return { key, leaf: sha256(concatBytes(Uint8Array.of(0), key, sha256(utf8Encode(canonicalText(record))))) };
    });
    const root = (set: readonly { readonly key: Uint8Array; readonly leaf: Uint8Array }[], depth: number): Uint8Array => {
      const [only] = set;
      if (only === undefined) return new Uint8Array(32);
      if (set.length === 1) return only.leaf;
      const bit = (key: Uint8Array): number => ((key[depth >> 3] ?? 0) >> (7 - (depth & 7))) & 1;
      const side = (want: number): Uint8Array =>
        root(
          set.filter(({ key }) => bit(key) === want),
          depth + 1,
        );
      return sha256(concatBytes(Uint8Array.of(1), side(0), side(1)));
    };
    expect(records[0]?.[2]).toMatchObject({ value: digestJson(canonical(block('world.md', 'value'))) });
    expect(block('world.md', 'roots')).toBe(`${toHex(root(leaves.slice(0, 1), 0))}\n${toHex(root(leaves, 0))}`);
  });
});
