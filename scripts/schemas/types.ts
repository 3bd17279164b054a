/**
 * Types in short notation, from JSON Schema: `{task: blobRef, at: instant | null}`. A shape that the protocol names is written by its
 * name.
 */
import { delta, fileChange, sandboxProfile, signedWrit, treeListing, words } from '@openexec/protocol';
import * as z from 'zod';

type Schema = Readonly<Record<string, unknown>>;

/** The named shapes, the larger ones first, so that a list of them is one line each. */
const NAMED: Readonly<Record<string, z.ZodType>> = {
  digest: words.digest,
  instant: words.instant,
  trajectory: words.trajectory,
  hex32: words.nonce,
  publicKey: words.publicKey,
  base64: words.base64,
  count: words.count,
  name: words.name,
  code: words.code,
  sentence: words.sentence,
  oid: words.oid,
  path: words.path,
  json: words.json,
  blobRef: words.blobRef,
  reference: words.reference,
  amount: words.amount,
  inlineOrBlob: words.inlineOrBlob,
  signature: words.signature,
  effect: words.effect,
  signedWrit,
  delta,
  fileChange,
  treeListing,
  sandboxProfile,
};
/** What a named shape is, where its pattern does not say it well. */
const SAID: Readonly<Record<string, string>> = {
  digest: '`sha256:` and 64 lower-case hex digits',
  instant: 'RFC 3339 UTC with milliseconds',
  trajectory: 'name of a stream',
  hex32: '16 bytes as hex: a key id (the start of SHA-256 of the raw public key), a nonce, or the id of a driving process',
  publicKey: 'raw Ed25519 public key, 64 hex digits',
  base64: 'standard base64 with padding',
  count: 'integer from 0 to 2^53 − 1',
  name: 'lower-case name, at most 64 characters',
  code: 'stable reason such as `budget.exhausted`',
  sentence: 'text for people, at most 2000 characters',
  oid: 'git object id, 40 or 64 hex digits',
  path: 'repository-relative path without empty, `.` or `..` segments',
  json: 'any JSON value',
  signedWrit: 'a writ with its signatures (writ.md)',
  delta: 'steps on the world (world.md)',
  treeListing: 'list of {path, mode, oid}',
  sandboxProfile: 'sandbox-profile.schema.json',
};

const bare = (schema: z.ZodType): string => key(z.toJSONSchema(schema) as Schema);
function key(schema: Schema): string {
  const { $schema: _, $defs: __, ...rest } = schema;
  return JSON.stringify(rest).replace(/"#\/\$defs\/[^"]*"/g, '"#"');
}
const NAME_OF: ReadonlyMap<string, string> = new Map(Object.entries(NAMED).map(([name, schema]) => [bare(schema), name]));

/** The members of an object schema as `name: type`, or its whole type when it is no object. */
export function membersOf(schema: z.ZodType): string[] {
  const json = z.toJSONSchema(schema) as Schema;
  return json['type'] === 'object' && json['properties'] !== undefined ? members(json) : [typeOf(json)];
}

/** One line per named shape: its name and what it is. */
export function namedShapes(): { readonly name: string; readonly is: string }[] {
  return Object.entries(NAMED).map(([name, schema]) => ({ name, is: SAID[name] ?? `\`${unnamed(z.toJSONSchema(schema) as Schema)}\`` }));
}

function typeOf(schema: Schema): string {
  return NAME_OF.get(key(schema)) ?? unnamed(schema);
}

function unnamed(schema: Schema): string {
  if (typeof schema['$ref'] === 'string') return 'json';
  if ('const' in schema) return JSON.stringify(schema['const']);
  if (Array.isArray(schema['enum'])) return schema['enum'].map((each) => JSON.stringify(each)).join(' | ');
  const choices = schema['anyOf'] ?? schema['oneOf'];
  if (Array.isArray(choices)) return choices.map((each) => typeOf(each as Schema)).join(' | ');
  if (schema['type'] === 'array') return `list of ${typeOf((schema['items'] ?? {}) as Schema)}`;
  if (schema['type'] === 'object') {
    const inner =
      schema['properties'] === undefined
        ? `name → ${typeOf((schema['additionalProperties'] ?? {}) as Schema)}`
        : members(schema).join(', ');
    return `{${inner}}`;
  }
  if (schema['type'] === 'integer') return 'integer';
  return typeof schema['type'] === 'string' ? (schema['type'] === 'string' ? 'text' : schema['type']) : 'json';
}

function members(schema: Schema): string[] {
  const required = new Set(Array.isArray(schema['required']) ? (schema['required'] as string[]) : []);
  return Object.entries(schema['properties'] as Readonly<Record<string, Schema>>).map(
    ([name, inner]) => `${name}${required.has(name) ? '' : '?'}: ${typeOf(inner)}`,
  );
}
