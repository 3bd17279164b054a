/**
 * The proof of one resource, offline: from the file and the log's key alone. The record hangs under a world root, the root stands in a payload, the
 * payload is what an entry committed to, the entry stands in a signed tree. Must never take anything else from the file for true. PROTOCOL §8.
 */
import {
  type Digest,
  digestBytes,
  digestJson,
  equalBytes,
  err,
  fromHex,
  isDigest,
  type Json,
  ok,
  parseCanonical,
  type Result,
  utf8Encode,
} from '@openexec/canon';
import { commitmentOf, decodeEntry, type Entry } from '@openexec/ledger/codec';
import { leafHash, type ResourceRecord, readMapProof, recordHash, resourceKey, verifyMapProof, verifyTlogProof } from '@openexec/proof';

/** Which link of the proof does not hold; a code never changes its meaning. */
export interface WorldProofError {
  readonly code:
    | 'worldProof.malformed'
    | 'worldProof.entry'
    | 'worldProof.payload'
    | 'worldProof.value'
    | 'worldProof.map'
    | 'worldProof.log';
  readonly message: string;
}
/** What a good proof shows. */
export interface WorldClaim {
  readonly run: string;
  /** Position of the entry whose world is shown, in the run. */
  readonly seq: number;
  /** Time of that entry. */
  readonly at: string;
  readonly kind: string;
  readonly id: string;
  /** Null: the world holds no such resource, and never did in that run up to there. */
  readonly record: ResourceRecord | null;
  readonly worldRoot: Digest;
  /** Of the signed tree. */
  readonly size: bigint;
  readonly origin: string;
}
type Members = { readonly [name: string]: Json };

/** Kinds of entries that state a world root. */
export const WORLD_KINDS: readonly string[] = ['commit.recorded', 'commit.compensated', 'run.closed'];
const MEMBERS = ['v', 'run', 'seq', 'kind', 'id', 'record', 'value', 'proof', 'worldRoot', 'entry', 'payload', 'salt', 'tlogProof'];
const RECORD_MEMBERS = ['version', 'value', 'retracted', 'lastCommit'];

/** Checks a proof as it was read from a file, held against keys of the log that the reader knows from elsewhere. */
export function verifyWorldProof(document: Json, vkeys: readonly string[]): Result<WorldClaim, WorldProofError> {
  if (!isMembers(document)) return refuse('worldProof.malformed', 'it is no object');
  const strange = Object.keys(document).find((name) => !MEMBERS.includes(name));
  const missing = MEMBERS.find((name) => document[name] === undefined);
  if (strange !== undefined || missing !== undefined || document['v'] !== 1)
    return refuse(
      'worldProof.malformed',
      `it has the member "${strange ?? ''}", lacks "${missing ?? ''}", or is of another version than 1`,
    );
  const entryText = document['entry'];
  const tlogProof = document['tlogProof'];
  if (typeof entryText !== 'string' || typeof tlogProof !== 'string')
    return refuse('worldProof.malformed', 'entry and tlogProof are texts');
  const entryBytes = utf8Encode(entryText);
  const entry = decodeEntry(entryBytes);
  if (!entry.ok) return refuse('worldProof.entry', entry.error.message);
  const logged = verifyTlogProof({ proof: tlogProof, leaf: leafHash(entryBytes), vkeys });
  if (!logged.ok) return refuse('worldProof.log', `${logged.error.code}: ${logged.error.message}`);
  const root = rootOf(document, entry.value);
  if (!root.ok) return root;
  const shown = shownBy(document, root.value);
  if (!shown.ok) return shown;
  const { trajectory, seq, at } = entry.value;
  const { size, origin } = logged.value;
  return ok({ run: trajectory, seq, at, ...shown.value, worldRoot: root.value, size, origin });
}

/** The root that the entry states, whatever the document says beside it. */
function rootOf(document: Members, entry: Entry): Result<Digest, WorldProofError> {
  if (!WORLD_KINDS.includes(entry.kind)) return refuse('worldProof.entry', `${entry.kind} states no world`);
  if (entry.trajectory !== document['run'] || entry.seq !== document['seq'])
    return refuse('worldProof.entry', `the entry is ${entry.trajectory} ${entry.seq}, not what the proof is said to be of`);
  const [text, saltHex] = [document['payload'], document['salt']];
  const salt = typeof saltHex === 'string' ? fromHex(saltHex) : null;
  if (typeof text !== 'string' || salt?.ok !== true) return refuse('worldProof.malformed', 'payload is a text, salt is hex');
  const payload = utf8Encode(text);
  if (payload.length !== entry.bytes || commitmentOf(salt.value, payload) !== entry.commitment)
    return refuse('worldProof.payload', 'the payload is not the one that the entry committed to');
  const body = parseCanonical(payload);
  const root = body.ok && isMembers(body.value) ? body.value['worldRoot'] : undefined;
  if (!isDigest(root)) return refuse('worldProof.payload', 'the payload states no world root');
  return root === document['worldRoot'] ? ok(root) : refuse('worldProof.payload', `the payload states the root ${root}, the proof another`);
}

/** The record, or the absence, that the path under the root shows. */
function shownBy(document: Members, root: Digest): Result<Pick<WorldClaim, 'kind' | 'id' | 'record'>, WorldProofError> {
  const [kind, id] = [document['kind'], document['id']];
  if (typeof kind !== 'string' || typeof id !== 'string') return refuse('worldProof.malformed', 'kind and id are texts');
  const record = readRecord(document['record']);
  if (!record.ok) return record;
  const held = valueFits(document['value'], record.value);
  if (held !== null) return refuse('worldProof.value', held);
  const proof = readMapProof(document['proof']);
  if (!proof.ok) return refuse('worldProof.malformed', proof.error);
  const valueHash = record.value === null ? null : recordHash(record.value);
  const verified = verifyMapProof({ root: digestBytes(root), key: resourceKey(kind, id), valueHash, proof: proof.value });
  return verified.ok
    ? ok({ kind, id, record: record.value })
    : refuse('worldProof.map', `${verified.error.code}: ${verified.error.message}`);
}

function readRecord(value: Json | undefined): Result<ResourceRecord | null, WorldProofError> {
  if (value === null) return ok(null);
  const bad = refuse('worldProof.malformed', 'the record is not {version, value, retracted, lastCommit}');
  if (!isMembers(value) || Object.keys(value).length !== RECORD_MEMBERS.length) return bad;
  const { version, value: digest, retracted, lastCommit } = value;
  if (!isCount(version) || !isCount(lastCommit) || typeof retracted !== 'boolean') return bad;
  if (digest !== null && !isDigest(digest)) return bad;
  return ok({ version, value: digest, retracted, lastCommit });
}

/** `{inline}` is the value itself; null where the file does not bring it. */
function valueFits(value: Json | undefined, record: ResourceRecord | null): string | null {
  if (value === null) return null;
  if (!isMembers(value) || value['inline'] === undefined || Object.keys(value).length !== 1)
    return 'the value is neither null nor {inline}';
  const digest = digestJson(value['inline']);
  if (record === null || record.value === null) return 'a value stands beside a record that has none';
  return equalBytes(digestBytes(digest), digestBytes(record.value))
    ? null
    : `the value has the digest ${digest}, the record ${record.value}`;
}

function isCount(value: Json | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isMembers(value: Json | undefined): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refuse(code: WorldProofError['code'], message: string): { readonly ok: false; readonly error: WorldProofError } {
  return err({ code, message });
}
