/**
 * What a bundle looks like: names of its parts, the line of an event, its description. Shared by whoever builds one and whoever checks one; must
 * never read or write a file. schemas/bundle.md; PROTOCOL §11.
 */
import {
  type Bytes,
  canonicalText,
  type Digest,
  err,
  fromBase64,
  type Json,
  ok,
  parseJson,
  type Result,
  toBase64,
  toHex,
  utf8Decode,
  utf8Encode,
} from '@openexec/canon';
import { type Entry, MAX_ENTRY_BYTES, MAX_PAYLOAD_BYTES, type Row } from '@openexec/ledger/codec';

/** The version of the parts and their meaning; a reader refuses a higher one by name. */
export const BUNDLE_VERSION = 1;
/** What `bundle.json` calls itself. */
export const BUNDLE_TYPE = 'openexec.bundle';
/** Lists every other part but {@link STATEMENT}, which signs it. */
export const MANIFEST = 'MANIFEST';
/** What the bundle holds. */
export const DESCRIPTION = 'bundle.json';
/** The signed tree head under which everything is proved. */
export const CHECKPOINT = 'checkpoint';
/** A time over the bytes of that head: an RFC 3161 TimeStampResp, for `openssl ts`. */
export const CHECKPOINT_TIME = 'checkpoint.tsr';
/** The verifier key of that head, for other people's tools. */
export const LOG_VKEY = 'log.vkey';
/** The entries. */
export const EVENTS = 'events.jsonl';
/** The signed statement over the manifest and the results. */
export const STATEMENT = 'export.sigstore.json';
/** in-toto's payload type in a DSSE envelope (github.com/in-toto/attestation, spec v1 envelope). */
export const STATEMENT_TYPE = 'application/vnd.in-toto+json';
/** Every character of an entry and a payload escaped, the salt, and what stands around them. */
export const MAX_EVENT_LINE_BYTES = 6 * (MAX_ENTRY_BYTES + MAX_PAYLOAD_BYTES) + 4096;
/** Digits of `sequence`: every leaf index below 2^63. */
const SEQUENCE_DIGITS = 19;

/** Why a bundle, or one of its parts, is not one. A code never changes its meaning. */
export type BundleFaultCode =
  | 'bundle.path'
  | 'bundle.missing'
  | 'bundle.extra'
  | 'bundle.duplicate'
  | 'bundle.digest'
  | 'bundle.malformed'
  | 'bundle.tooLarge'
  | 'bundle.truncated'
  | 'bundle.newer'
  | 'bundle.unreadable';

/** A part that is not what the format says. */
export interface BundleFault {
  readonly code: BundleFaultCode;
  readonly part: string;
  readonly message: string;
}

/** A fault of one part. */
export function bundleFault(code: BundleFaultCode, part: string, message: string): { readonly ok: false; readonly error: BundleFault } {
  return err({ code, part, message });
}

/** What of the ledger a bundle holds: all of it, whole runs, or a range of leaf indexes (`from` up to, not including, `to`). */
export type BundleScope =
  | { readonly is: 'ledger' }
  | { readonly is: 'runs'; readonly runs: readonly string[] }
  | { readonly is: 'range'; readonly from: number; readonly to: number };

/** The part `bundle.json`. */
export interface BundleDescription {
  readonly ledger: Digest;
  readonly origin: string;
  /** Size and root of the part `checkpoint`. */
  readonly size: number;
  readonly root: Digest;
  readonly scope: BundleScope;
  readonly entries: number;
  /** Payloads that the ledger has and the bundle has not. */
  readonly withheldPayloads: readonly { readonly trajectory: string; readonly seq: number }[];
  /** Blobs that a payload names and the bundle has not: kept back, or gone from the ledger. */
  readonly withheldBlobs: readonly Digest[];
  readonly goneBlobs: readonly Digest[];
  /** What the runs went through: `full` when every effect was the runtime's own. */
  readonly coverage: 'full' | 'gatewayOnly';
}

/** The bytes of `bundle.json`: canonical JSON and a newline. */
export function formatDescription(of: BundleDescription): Bytes {
  const body = { v: BUNDLE_VERSION, type: BUNDLE_TYPE, ...of } as unknown as Json;
  return utf8Encode(`${canonicalText(body)}\n`);
}

type Members = { readonly [name: string]: Json };
const isMembers = (value: Json | undefined): value is Members => typeof value === 'object' && value !== null && !Array.isArray(value);
const isCount = (value: Json | undefined): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
const DIGEST = /^sha256:[0-9a-f]{64}$/;
const isDigestText = (value: Json | undefined): value is Digest => typeof value === 'string' && DIGEST.test(value);

/** Reads `bundle.json`, strictly: it must be exactly what {@link formatDescription} writes. */
export function parseDescription(bytes: Bytes): Result<BundleDescription, BundleFault> {
  const json = parseJson(bytes, { maxBytes: bytes.length });
  const malformed = (message: string) => bundleFault('bundle.malformed', DESCRIPTION, message);
  if (!json.ok) return malformed(json.error.message);
  const body = json.value;
  if (!isMembers(body) || body['type'] !== BUNDLE_TYPE) return malformed(`this is no description of a bundle: type is not ${BUNDLE_TYPE}`);
  if (isCount(body['v']) && body['v'] > BUNDLE_VERSION)
    return bundleFault(
      'bundle.newer',
      DESCRIPTION,
      `the bundle is of version ${body['v']}; this reader knows ${BUNDLE_VERSION}: take a newer one`,
    );
  const of = describe(body);
  if (of === null) return malformed('a member is missing or of another type');
  const again = formatDescription(of);
  const same = again.length === bytes.length && again.every((byte, at) => byte === bytes[at]);
  return same ? ok(of) : malformed('it is not in the one spelling that a bundle has, or has members that nobody knows');
}

function describe(body: Members): BundleDescription | null {
  const { ledger, origin, size, root, entries, withheldPayloads, withheldBlobs, goneBlobs, coverage } = body;
  const scope = scopeOf(body['scope']);
  if (body['v'] !== BUNDLE_VERSION || scope === null || !isDigestText(ledger) || !isDigestText(root) || typeof origin !== 'string')
    return null;
  if (!isCount(size) || !isCount(entries) || (coverage !== 'full' && coverage !== 'gatewayOnly')) return null;
  const payloads = placesOf(withheldPayloads);
  const [withheld, gone] = [digestsOf(withheldBlobs), digestsOf(goneBlobs)];
  if (payloads === null || withheld === null || gone === null) return null;
  return { ledger, origin, size, root, scope, entries, withheldPayloads: payloads, withheldBlobs: withheld, goneBlobs: gone, coverage };
}

function scopeOf(value: Json | undefined): BundleScope | null {
  if (!isMembers(value)) return null;
  const { is, runs, from, to } = value;
  if (is === 'ledger') return { is };
  if (is === 'runs' && Array.isArray(runs) && runs.every((run) => typeof run === 'string')) return { is, runs };
  return is === 'range' && isCount(from) && isCount(to) ? { is, from, to } : null;
}

function placesOf(value: Json | undefined): BundleDescription['withheldPayloads'] | null {
  if (!Array.isArray(value)) return null;
  const places: { trajectory: string; seq: number }[] = [];
  for (const each of value as readonly Json[]) {
    if (!isMembers(each)) return null;
    const { trajectory, seq } = each;
    if (typeof trajectory !== 'string' || !isCount(seq)) return null;
    places.push({ trajectory, seq });
  }
  return places;
}

function digestsOf(value: Json | undefined): readonly Digest[] | null {
  return Array.isArray(value) && value.every(isDigestText) ? value : null;
}

/** One line of `events.jsonl`, a CloudEvents 1.0 event in canonical JSON, without the newline. `row.entryBytes` and payload must be UTF-8. */
export function formatEvent(of: { readonly ledger: Digest; readonly index: number; readonly entry: Entry; readonly row: Row }): string {
  const { ledger, index, entry, row } = of;
  return canonicalText({
    specversion: '1.0',
    id: `${index}`,
    source: `urn:openexec:ledger:${ledger}`,
    type: `dev.openexec.${entry.kind}`,
    subject: entry.trajectory,
    time: entry.at,
    datacontenttype: 'application/json',
    sequence: `${index}`.padStart(SEQUENCE_DIGITS, '0'),
    data: {
      entry: textOf(row.entryBytes),
      payload: row.payload === null ? null : textOf(row.payload),
      salt: row.salt === null ? null : toBase64(row.salt),
    },
  });
}

function textOf(bytes: Bytes): string {
  const text = utf8Decode(bytes);
  if (!text.ok) throw new TypeError('stored bytes are no UTF-8 text'); // Canonical JSON always is; whoever writes a bundle has decoded it.
  return text.value;
}

/** The leaf index and the row of a line; whether its other members say the same is for {@link formatEvent} to show. */
export function parseEvent(line: Bytes): Result<{ readonly index: number; readonly row: Row }, string> {
  const json = parseJson(line, { maxBytes: MAX_EVENT_LINE_BYTES });
  if (!json.ok) return err(json.error.message);
  const data = isMembers(json.value) ? json.value['data'] : undefined;
  const sequence = isMembers(json.value) ? json.value['sequence'] : undefined;
  if (!isMembers(data) || typeof sequence !== 'string' || !/^[0-9]{19}$/.test(sequence))
    return err('it has no data or no sequence of 19 digits');
  const { entry, payload, salt } = data;
  if (typeof entry !== 'string' || !(payload === null || typeof payload === 'string') || !(salt === null || typeof salt === 'string'))
    return err('its data is not entry, payload and salt');
  const raw = salt === null ? null : fromBase64(salt);
  if (raw?.ok === false) return err('its salt is not base64');
  const index = Number(sequence);
  if (!Number.isSafeInteger(index)) return err(`its sequence ${sequence} is beyond any ledger`);
  const row = {
    entryBytes: utf8Encode(entry),
    payload: payload === null ? null : utf8Encode(payload),
    salt: raw === null ? null : raw.value,
  };
  if (row.entryBytes.length > MAX_ENTRY_BYTES || (row.payload?.length ?? 0) > MAX_PAYLOAD_BYTES)
    return err(`an entry has at most ${MAX_ENTRY_BYTES} bytes, a payload at most ${MAX_PAYLOAD_BYTES}`);
  return ok({ index, row });
}

/** Law, the ledger's own lines, self-tests, the opening and the end of a run are never kept back: without them nothing else can be checked. */
export function mayWithhold(trajectory: string, kind: string): boolean {
  return (trajectory.startsWith('run/') && kind !== 'run.opened' && kind !== 'run.closed') || trajectory === 'memory';
}

/** Where a blob lies. */
export function blobPath(digest: Digest): string {
  return `blobs/${digest.slice('sha256:'.length)}`;
}

/** The file of a trajectory's proof: its name with every slash as a dot. */
export function proofPath(trajectory: string): string {
  return `proofs/${trajectory.replaceAll('/', '.')}.tlog-proof`;
}

/** `sha256sum`'s line of one part, in text mode. */
export function manifestLine(sha256: Bytes, path: string): string {
  return `${toHex(sha256)}  ${path}\n`;
}
