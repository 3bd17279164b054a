/**
 * `kv_set` and `kv_get`: notes of a run as world resources of kind `kv`, under the world root and with compare-and-swap on their version. Declarations
 * and what follows from arguments and resource; the world itself is the kernel's (PROTOCOL §8, OPENTHYMOS "kv_set").
 */
import { canonicalText, type Json } from '@openexec/canon';
import type { ActionContract, ArgumentSchema, DeltaStep, Reason } from '@openexec/protocol';
import { member } from './arguments.ts';
import { object } from './shapes.ts';

/** Largest value, in bytes of its canonical JSON: several fit into the payload of one commit. */
export const KV_VALUE_BYTES = 16 * 1024;
const KEY: ArgumentSchema = { type: 'string', description: 'Name of the note.', minLength: 1, maxLength: 128 };
const PURE = {
  effect: 'pure',
  risk: 'low',
  idempotence: 'workspace',
  compensable: true,
  timeout: 'fast',
  paths: [],
  writes: 'none',
  command: null,
  offered: true,
} as const;

/** `kv_set`: creates, replaces or retracts one note. */
export const kvSet: ActionContract = {
  ...PURE,
  paths: [],
  name: 'kv_set',
  title: 'Keep a note',
  description:
    'Keeps a JSON value under a key for the later stages of this run, or takes it away ("retract": true). With expectedVersion it is done only if the key is at that version (0: never set). The answer tells the new version.',
  arguments: object(
    {
      key: KEY,
      value: { type: 'json', description: 'The value: text or any JSON.', maxBytes: KV_VALUE_BYTES },
      retract: { type: 'boolean', description: 'true takes the key away; then there is no value.' },
      expectedVersion: { type: 'integer', description: 'Version the key must be at.', minimum: 0 },
    },
    ['key'],
  ),
  outputs: [],
};
/** `kv_get`: the note as the world holds it. */
export const kvGet: ActionContract = {
  ...PURE,
  paths: [],
  name: 'kv_get',
  title: 'Look a note up',
  description: 'Tells the value and version of a key that kv_set kept in this run; found is false where there is none.',
  arguments: object({ key: KEY }, ['key']),
  outputs: ['kv_value'],
};

/** What the host of `kv_set` gets: the key and the version that its commit will make. */
export const RESOLVED_KV_SET: ArgumentSchema = object(
  { key: KEY, op: { type: 'string', enum: ['create', 'replace', 'retract'] }, version: { type: 'integer', minimum: 1 } },
  ['key', 'op', 'version'],
);
/** What the host of `kv_get` gets: the resource as the kernel found it. `version` 0: never set. */
export const RESOLVED_KV_GET: ArgumentSchema = object(
  {
    key: KEY,
    found: { type: 'boolean' },
    version: { type: 'integer', minimum: 0 },
    value: { type: 'json', maxBytes: KV_VALUE_BYTES },
  },
  ['key', 'found', 'version', 'value'],
);

/** A note as the world holds it. `version` 0: never set; `value` undefined: nothing stands there now. */
export interface KvNote {
  readonly version: number;
  readonly value: Json | undefined;
}

/** The key that arguments name; '' where they name none, which the schema refuses. */
export function keyOf(args: Json): string {
  const key = member(args, 'key');
  return typeof key === 'string' ? key : '';
}

/** Why `kv_set` cannot be done on this note; null where it can. */
export function kvProblem(note: KvNote, args: Json): Reason | null {
  const shown = canonicalText(keyOf(args));
  const expected = member(args, 'expectedVersion');
  if (expected !== undefined && expected !== note.version)
    return {
      code: 'precondition.version',
      message: `the key ${shown} is at version ${note.version}, not ${canonicalText(expected)}; look at it with kv_get and decide again`,
    };
  if (member(args, 'retract') === true && note.value === undefined)
    return { code: 'precondition.absent', message: `there is nothing under the key ${shown} to take away` };
  return null;
}

/** What `kv_set` does to the world; a key that was taken away is created again with a continued version. */
export function kvDelta(note: KvNote, args: Json): DeltaStep {
  const named = { kind: 'kv', id: keyOf(args), version: note.version };
  if (member(args, 'retract') === true) return { op: 'retract', ...named };
  return { op: note.value === undefined ? 'create' : 'replace', ...named, value: member(args, 'value') ?? null };
}

/** What the host of `kv_set` or `kv_get` is given. */
export function kvInput(action: 'kv_set' | 'kv_get', note: KvNote, args: Json): Json {
  const key = keyOf(args);
  if (action === 'kv_get') return { key, found: note.value !== undefined, version: note.version, value: note.value ?? null };
  const { op, version } = kvDelta(note, args);
  return { key, op, version: version + 1 };
}
