/**
 * The bytes of an entry: written member by member in canonical order, read by one grammar that has exactly one spelling per entry. Must
 * never accept bytes that writing would not have made: they are hashed and signed. PROTOCOL §2; RFC 8785.
 */
import {
  type Bytes,
  concatBytes,
  type Digest,
  type EventId,
  err,
  type Instant,
  type KeyId,
  type LeafHash,
  ok,
  parseCanonical,
  parseInstant,
  type Result,
  sha256Hex,
  type TrajectoryId,
  utf8Decode,
  utf8Encode,
} from '@openexec/canon';
import { pae } from '@openexec/proof';
import type { EntryError } from './errors.ts';
import { familyOfTrajectory, isKnownKind } from './kinds.ts';
import type { Actor, Entry } from './types.ts';

/** PROTOCOL §2. */
export const MAX_ENTRY_BYTES = 4096;
/** PROTOCOL §2. */
export const MAX_PAYLOAD_BYTES = 65_536;
/** PROTOCOL §2. */
export const SALT_BYTES = 32;
/** DSSE payload type of an entry's own signature (PROTOCOL §2 `sig`). */
export const ENTRY_TYPE = 'application/vnd.openexec.entry.v1+json';

const ACTOR = 'key:[0-9a-f]{32}|model|runtime|tool|peer:[a-z0-9][a-z0-9._-]{0,63}';
const COUNT = '0|[1-9][0-9]{0,15}';
const DIGEST = 'sha256:[0-9a-f]{64}';
/** 64 bytes in base64: 85 free characters, one with four zero bits, two of padding. */
const SIGNATURE = '[A-Za-z0-9+/]{85}[AQgw]==';
/** Keys stand in the order of their UTF-16 units, so this is RFC 8785 text; every value's alphabet needs no escape. */
const ENTRY = new RegExp(
  `^\\{"actor":"(${ACTOR})","at":"([0-9T:.Z-]{24})","bytes":(${COUNT}),"cause":(null|${COUNT}),"commitment":"(${DIGEST})",` +
    '(?:"id":"([0-9A-Za-z][0-9A-Za-z._-]{0,63})",)?"kind":"([A-Za-z]{1,32}\\.[A-Za-z]{1,32})",' +
    `"law":(null|${COUNT}),"prev":(?:null|"(${DIGEST})"),"seq":(${COUNT}),` +
    `(?:"sig":\\{"key":"([0-9a-f]{32})","value":"(${SIGNATURE})"\\},)?` +
    '"trajectory":"([a-z]+(?:/[a-z0-9][a-z0-9._-]*)?)","v":1\\}$',
);
const ACTOR_ALONE = new RegExp(`^(?:${ACTOR})$`);
/** As canon's trajectory grammar. */
const MAX_TRAJECTORY_CHARACTERS = 128;

/** Whether the text is an actor of PROTOCOL §2. */
export function isActor(text: string): text is Actor {
  return ACTOR_ALONE.test(text);
}

/** The canonical text of an entry. All members' alphabets are ASCII without quote and backslash. */
export function entryText(entry: Entry): string {
  const id = entry.id === undefined ? '' : `"id":"${entry.id}",`;
  const prev = entry.prev === null ? 'null' : `"${entry.prev}"`;
  const sig = entry.sig === undefined ? '' : `"sig":{"key":"${entry.sig.key}","value":"${entry.sig.value}"},`;
  return (
    `{"actor":"${entry.actor}","at":"${entry.at}","bytes":${entry.bytes},"cause":${entry.cause},"commitment":"${entry.commitment}",${id}` +
    `"kind":"${entry.kind}","law":${entry.law},"prev":${prev},"seq":${entry.seq},${sig}"trajectory":"${entry.trajectory}","v":1}`
  );
}

/** The canonical bytes of an entry: the Merkle leaf's content. */
export function encodeEntry(entry: Entry): Bytes {
  return utf8Encode(entryText(entry));
}

/** Reads entry bytes; anything but the one canonical spelling of an entry of this registry is refused. */
export function decodeEntry(bytes: Bytes): Result<Entry, EntryError> {
  if (bytes.length > MAX_ENTRY_BYTES)
    return err({ code: 'entry.tooLarge', message: `an entry has at most ${MAX_ENTRY_BYTES} bytes, not ${bytes.length}` });
  const text = utf8Decode(bytes);
  const match = text.ok ? ENTRY.exec(text.value) : null;
  if (match === null) return malformed(whyMalformed(bytes));
  const [
    ,
    actor = '',
    at = '',
    length = '',
    cause = '',
    commitment = '',
    id,
    kind = '',
    law = '',
    prev,
    seq = '',
    key,
    value,
    trajectory = '',
  ] = match;
  if (!isKnownKind(kind))
    return err({ code: 'entry.kindUnknown', message: `the kind ${kind} is not in this registry; a newer release may know it` });
  if (!isMoment(at)) return malformed(`"at" is no moment of UTC: ${at}`);
  const count = readCount(length);
  const position = readCount(seq);
  const causeSeq = readPosition(cause);
  const lawSeq = readPosition(law);
  if (count === undefined || position === undefined || causeSeq === undefined || lawSeq === undefined)
    return malformed('a number lies beyond 2^53 - 1');
  if (trajectory.length > MAX_TRAJECTORY_CHARACTERS || familyOfTrajectory(trajectory as TrajectoryId) === null) {
    return err({ code: 'entry.trajectoryUnknown', message: `the trajectory ${trajectory} belongs to no family of this registry` });
  }
  // The grammar above is that of each brand; `as` only names what was just checked.
  const entry: Entry = {
    v: 1,
    trajectory: trajectory as TrajectoryId,
    seq: position,
    prev: prev === undefined ? null : (prev as LeafHash),
    kind,
    at,
    actor: actor as Actor,
    cause: causeSeq,
    law: lawSeq,
    ...(id === undefined ? {} : { id: id as EventId }),
    commitment: commitment as Digest,
    bytes: count,
    ...(key === undefined || value === undefined ? {} : { sig: { key: key as KeyId, value } }),
  };
  return ok(entry);
}

/** What an entry's `sig` is made over: PAE of {entry without `sig`, fingerprint of the ledger} (PROTOCOL §2). */
export function entrySigningBytes(entry: Entry, fingerprint: Digest): Bytes {
  const { sig: _, ...unsigned } = entry;
  return pae(ENTRY_TYPE, utf8Encode(`{"entry":${entryText(unsigned)},"ledger":"${fingerprint}"}`));
}

/** SHA-256(salt ‖ payload) (PROTOCOL §2). */
export function commitmentOf(salt: Bytes, payload: Bytes): Digest {
  if (salt.length !== SALT_BYTES || payload.length > MAX_PAYLOAD_BYTES) return hashed(concatBytes(salt, payload));
  scratch.set(salt);
  scratch.set(payload, SALT_BYTES);
  return hashed(scratch.subarray(0, SALT_BYTES + payload.length));
}

/** Owned by {@link commitmentOf} alone, which never yields between filling and hashing it: saves one allocation per entry. */
const scratch = new Uint8Array(SALT_BYTES + MAX_PAYLOAD_BYTES);

function hashed(bytes: Bytes): Digest {
  return `sha256:${sha256Hex(bytes)}` as Digest; // Built from hash output.
}

const MOMENT = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/;

/** As canon's `parseInstant`, which is asked only for the last days of months: this stands on the path of every entry, written and verified. */
export function isMoment(at: string): at is Instant {
  if (!MOMENT.test(at)) return false;
  const isEarly = at.charCodeAt(8) < 50 || (at.charCodeAt(8) === 50 && at.charCodeAt(9) < 57);
  return isEarly || parseInstant(at).ok;
}

function readPosition(text: string): number | null | undefined {
  return text === 'null' ? null : readCount(text);
}

function readCount(text: string): number | undefined {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

function whyMalformed(bytes: Bytes): string {
  const json = parseCanonical(bytes);
  return json.ok ? 'the members are not those of an entry of version 1' : json.error.message;
}

function malformed(why: string): { readonly ok: false; readonly error: EntryError } {
  return err({ code: 'entry.malformed', message: `not an entry: ${why}` });
}
