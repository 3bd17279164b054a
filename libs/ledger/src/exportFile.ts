/**
 * A whole ledger as one file of lines: head, entries, checkpoints, blobs, end. Deterministic: the same ledger gives the same bytes from every store.
 * Written and read as a stream with flat memory. Must never accept what it would not have written. schemas/export.md; PROTOCOL §3 "Moving".
 */
import {
  type Bytes,
  canonicalText,
  concatBytes,
  type Digest,
  digestFromBytes,
  fromBase64,
  fromHex,
  isDigest,
  type Json,
  parseJson,
  sha256,
  toBase64,
  toHex,
  utf8Decode,
  utf8Encode,
} from '@openexec/canon';
import { CopyFault, type CopyPart, type KeptLedger, type LedgerCopy } from './keeper.ts';
import { type LineFault, linesOf } from './lines.ts';
import { MAX_BLOB_BYTES } from './prepare.ts';
import type { Row } from './types.ts';

/** The type that the first line names. */
const EXPORT_TYPE = 'openexec.ledger';
const EXPORT_VERSION = 1;
/** Bytes of a blob per line. */
const PART_BYTES = 96 * 1024;
/** An entry, a payload whose every byte is escaped, a salt. */
const MAX_LINE_BYTES = 1024 * 1024;
const PAGE_ROWS = 256;

/** What the first line says. */
export interface ExportHead {
  readonly fingerprint: Digest;
  readonly origin: string;
  readonly size: bigint;
  readonly root: Bytes;
}
/** What a reader allows; for tests. */
export interface ExportLimits {
  readonly maxLineBytes?: number;
}

/** The lines of a ledger, each with its newline. The ledger must be founded; entries appended meanwhile are left out. */
export async function* exportLines(ledger: KeptLedger, head: ExportHead): AsyncGenerator<Bytes> {
  const counts = { entries: 0, checkpoints: 0, blobs: 0 };
  let sum: Bytes = new Uint8Array(32);
  const line = (value: Json): Bytes => {
    const bytes = utf8Encode(`${canonicalText(value)}\n`);
    sum = sha256(concatBytes(sum, bytes));
    return bytes;
  };
  const { fingerprint, origin, size, root } = head;
  yield line({ v: EXPORT_VERSION, type: EXPORT_TYPE, fingerprint, origin, size: `${size}`, root: toHex(root) });
  for await (const page of ledger.rows(0n, size))
    for (const { entryBytes, payload, salt } of page) {
      counts.entries += 1;
      yield line({
        entry: textOf(entryBytes),
        payload: payload === null ? null : textOf(payload),
        salt: salt === null ? null : toHex(salt),
      });
    }
  for await (const checkpoint of ledger.checkpoints()) {
    if (checkpoint.size > size) break;
    counts.checkpoints += 1;
    yield line({ checkpoint: checkpoint.note, size: `${checkpoint.size}` });
  }
  for await (const { digest, bytes: length } of ledger.keeper.blobs()) {
    counts.blobs += 1;
    yield line({ blob: digest, bytes: length });
    if (length === null) continue;
    const blob = await ledger.blob(digest);
    if (!blob.ok) throw new CopyFault('copy.unreadable', blob.error.message);
    for (let at = 0; at < blob.value.length; at += PART_BYTES) yield line({ part: toBase64(blob.value.subarray(at, at + PART_BYTES)) });
  }
  const end = { end: { ...counts }, sum: digestFromBytes(sum) };
  yield utf8Encode(`${canonicalText(end)}\n`);
}

/** A ledger as a copy that a store can take in, with nothing between. */
export function ledgerExport(ledger: KeptLedger, head: ExportHead): LedgerCopy {
  return {
    size: head.size,
    root: head.root,
    async *parts() {
      for await (const rows of ledger.rows(0n, head.size)) yield { is: 'rows', rows };
      for await (const checkpoint of ledger.checkpoints()) if (checkpoint.size <= head.size) yield { is: 'checkpoint', checkpoint };
      for await (const { digest, bytes } of ledger.keeper.blobs()) {
        const blob = bytes === null ? null : await ledger.blob(digest);
        if (blob?.ok === false) throw new CopyFault('copy.unreadable', blob.error.message);
        yield { is: 'blob', digest, bytes: blob === null ? null : blob.value };
      }
    },
  };
}

function textOf(bytes: Bytes): string {
  const text = utf8Decode(bytes);
  if (!text.ok) throw new CopyFault('copy.unreadable', 'stored bytes are no text; run verify');
  return text.value;
}

function lineFault(fault: LineFault, message: string): CopyFault {
  return new CopyFault(fault === 'tooLarge' ? 'copy.tooLarge' : 'copy.truncated', message);
}

const NEWLINE = 0x0a;

type Members = { readonly [name: string]: Json };

/** Reads a file's head and gives its parts; throws {@link CopyFault}. `again` starts the reading anew for the parts. */
export async function readExport(
  open: () => AsyncIterable<Bytes>,
  limits: ExportLimits = {},
): Promise<LedgerCopy & { readonly head: ExportHead; readonly sum: () => Digest | null }> {
  const maxLineBytes = limits.maxLineBytes ?? MAX_LINE_BYTES;
  let head: ExportHead | undefined;
  for await (const first of linesOf(open(), maxLineBytes, lineFault)) {
    head = headOf(membersOf(first));
    break;
  }
  if (head === undefined) throw new CopyFault('copy.truncated', 'the file is empty');
  let sum: Digest | null = null;
  const known = head;
  return {
    head,
    size: head.size,
    root: head.root,
    sum: () => sum,
    async *parts() {
      const reader = new PartReader(known);
      for await (const line of linesOf(open(), maxLineBytes, lineFault)) yield* reader.take(line);
      sum = reader.finish();
    },
  };
}

function headOf(members: Members): ExportHead {
  const { v, type, fingerprint, origin, size, root, ...more } = members;
  if (type !== EXPORT_TYPE) throw new CopyFault('copy.malformed', 'the first line is not that of an exported ledger');
  if (typeof v === 'number' && v > EXPORT_VERSION)
    throw new CopyFault('copy.newer', `the file is of version ${v}, this release reads ${EXPORT_VERSION}; use a newer release`);
  const hash = typeof root === 'string' ? fromHex(root) : undefined;
  if (
    v !== EXPORT_VERSION ||
    !isDigest(fingerprint) ||
    typeof origin !== 'string' ||
    hash?.ok !== true ||
    hash.value.length !== 32 ||
    Object.keys(more).length > 0
  )
    throw new CopyFault('copy.malformed', 'the first line does not say which ledger this is');
  return { fingerprint, origin, size: sizeOf(size), root: hash.value };
}

function sizeOf(value: Json | undefined): bigint {
  if (typeof value !== 'string' || !/^(0|[1-9][0-9]{0,15})$/.test(value))
    throw new CopyFault('copy.malformed', 'a size is a decimal number as text');
  return BigInt(value);
}

/** Only canonical lines are read: otherwise two files would be the same ledger. */
function membersOf(line: Bytes): Members {
  const text = utf8Decode(line);
  const json = text.ok ? parseJson(text.value) : undefined;
  const value = json?.ok === true ? json.value : null;
  if (!text.ok || typeof value !== 'object' || value === null || Array.isArray(value) || canonicalText(value) !== text.value)
    throw new CopyFault('copy.malformed', 'a line is not canonical JSON');
  return value as Members;
}

/** Lines to parts, in the one order that they may have. */
class PartReader {
  readonly #head: ExportHead;
  readonly #counts = { entries: 0, checkpoints: 0, blobs: 0 };
  #sum: Bytes = new Uint8Array(32);
  #lines = 0;
  #rows: Row[] = [];
  /** Only what came is held: a length that is only said asks for no memory. */
  #blob: { readonly digest: Digest; readonly length: number; readonly parts: Bytes[]; filled: number } | null = null;
  #lastBlob = '';
  #ended: Digest | null = null;

  constructor(head: ExportHead) {
    this.#head = head;
  }

  *take(line: Bytes): Generator<CopyPart> {
    if (this.#ended !== null) throw new CopyFault('copy.malformed', 'something stands behind the end');
    const members = membersOf(line);
    this.#lines += 1;
    if (this.#lines === 1) {
      const { fingerprint, size, root } = headOf(members);
      if (fingerprint !== this.#head.fingerprint || size !== this.#head.size || toHex(root) !== toHex(this.#head.root))
        throw new CopyFault('copy.unreadable', 'the file changed while it was read');
    } else if ('end' in members) {
      yield* this.#flush();
      this.#end(members);
      return;
    } else yield* this.#part(members);
    this.#sum = sha256(concatBytes(this.#sum, line, Uint8Array.of(NEWLINE)));
  }

  *#part(members: Members): Generator<CopyPart> {
    if (this.#blob !== null && !('part' in members)) throw new CopyFault('copy.blob', `the blob ${this.#blob.digest} is not complete`);
    if ('entry' in members) {
      this.#rows.push(rowOf(members));
      this.#counts.entries += 1;
      if (this.#rows.length >= PAGE_ROWS) yield* this.#flush();
      return;
    }
    yield* this.#flush();
    if ('checkpoint' in members) {
      const { checkpoint: note, size, ...more } = members;
      if (typeof note !== 'string' || Object.keys(more).length > 0)
        throw new CopyFault('copy.malformed', 'a checkpoint is a note and its size');
      this.#counts.checkpoints += 1;
      yield { is: 'checkpoint', checkpoint: { size: sizeOf(size), note } };
    } else if ('blob' in members) yield* this.#begin(members);
    else if ('part' in members) yield* this.#more(members);
    else throw new CopyFault('copy.malformed', 'a line is neither entry, checkpoint, blob nor end');
  }

  *#flush(): Generator<CopyPart> {
    if (this.#rows.length === 0) return;
    yield { is: 'rows', rows: this.#rows };
    this.#rows = [];
  }

  *#begin(members: Members): Generator<CopyPart> {
    const { blob: digest, bytes, ...more } = members;
    if (!isDigest(digest) || Object.keys(more).length > 0) throw new CopyFault('copy.malformed', 'a blob is named by its digest');
    if (digest <= this.#lastBlob) throw new CopyFault('copy.malformed', 'blobs stand in the order of their digests');
    this.#lastBlob = digest;
    this.#counts.blobs += 1;
    if (bytes === null) return yield { is: 'blob', digest, bytes: null };
    if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0)
      throw new CopyFault('copy.malformed', `the blob ${digest} has no length`);
    if (bytes > MAX_BLOB_BYTES) throw new CopyFault('copy.tooLarge', `the blob ${digest} is said to have ${bytes} bytes`);
    if (bytes === 0) return yield { is: 'blob', digest, bytes: new Uint8Array(0) };
    this.#blob = { digest, length: bytes, parts: [], filled: 0 };
  }

  *#more(members: Members): Generator<CopyPart> {
    const blob = this.#blob;
    const part = typeof members['part'] === 'string' ? fromBase64(members['part']) : undefined;
    if (blob === null || part?.ok !== true || Object.keys(members).length > 1)
      throw new CopyFault('copy.malformed', 'a part belongs to no blob, or is no base64');
    const wanted = Math.min(PART_BYTES, blob.length - blob.filled);
    if (part.value.length !== wanted)
      throw new CopyFault('copy.blob', `a part of ${blob.digest} has ${part.value.length} bytes instead of ${wanted}`);
    blob.parts.push(part.value);
    blob.filled += wanted;
    if (blob.filled < blob.length) return;
    this.#blob = null;
    yield { is: 'blob', digest: blob.digest, bytes: concatBytes(...blob.parts) };
  }

  #end(members: Members): void {
    if (this.#blob !== null) throw new CopyFault('copy.blob', `the blob ${this.#blob.digest} is not complete`);
    const said = canonicalText(members);
    const sum = digestFromBytes(this.#sum);
    if (said !== canonicalText({ end: { ...this.#counts }, sum }))
      throw new CopyFault(
        'copy.incomplete',
        'the last line counts or sums up something else: a line was changed, left out or put elsewhere',
      );
    this.#ended = sum;
  }

  finish(): Digest {
    if (this.#ended === null) throw new CopyFault('copy.truncated', 'the end is missing');
    return this.#ended;
  }
}

function rowOf(members: Members): Row {
  const { entry, payload, salt, ...more } = members;
  const bytes = typeof salt === 'string' ? fromHex(salt) : undefined;
  if (
    typeof entry !== 'string' ||
    !(payload === null || typeof payload === 'string') ||
    !(salt === null || bytes?.ok === true) ||
    Object.keys(more).length > 0
  )
    throw new CopyFault('copy.malformed', 'an entry is a text, a payload and a salt');
  return {
    entryBytes: utf8Encode(entry),
    payload: payload === null ? null : utf8Encode(payload),
    salt: bytes?.ok === true ? bytes.value : null,
  };
}
