/**
 * The head elsewhere: a small file outside the ledger that remembers how far history had gone, so that a rolled-back or rewritten ledger is
 * noticed at start. Only ever moves forward. PROTOCOL §3.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import {
  type Bytes,
  canonicalText,
  type Digest,
  equalBytes,
  err,
  fromHex,
  isDigest,
  type Json,
  ok,
  parseJson,
  type Result,
  toHex,
} from '@openexec/canon';
import { codeOf, type OpenFailure } from './errors.ts';

/** What the file remembers. */
export interface RememberedHead {
  readonly fingerprint: Digest;
  readonly size: bigint;
  readonly root: Bytes;
}

/** Reads the file; null when there is none yet. */
export function readHeadFile(path: string): Result<RememberedHead | null, OpenFailure> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return ok(null);
    return err({ code: 'headFile.malformed', message: `${path} cannot be read (${codeOf(error)})` });
  }
  const json = parseJson(text);
  const head = json.ok ? headIn(json.value) : undefined;
  return head === undefined
    ? err({ code: 'headFile.malformed', message: `${path} is not a remembered head; if you know why, remove it` })
    : ok(head);
}

/** Writes the file whole, or not at all. Throws the system's error. */
export function writeHeadFile(path: string, head: RememberedHead): void {
  mkdirSync(dirname(path), { recursive: true });
  const unfinished = `${path}.unfinished`;
  const file = openSync(unfinished, 'w', 0o600);
  try {
    writeSync(file, `${canonicalText({ fingerprint: head.fingerprint, root: toHex(head.root), size: Number(head.size) })}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(unfinished, path);
}

/**
 * Holds a remembered head against the ledger: undefined when the ledger continues it. `rootAt` recomputes a root from the entries.
 */
export async function rollBackOf(
  head: RememberedHead,
  ledger: { readonly fingerprint: Digest | null; readonly size: bigint; rootAt(size: bigint): Promise<Bytes> },
): Promise<OpenFailure | undefined> {
  const where = `the head remembered has ${head.size} entries`;
  if (ledger.fingerprint !== head.fingerprint)
    return { code: 'ledger.rolledBack', message: `${where} of ledger ${head.fingerprint}; this is ${ledger.fingerprint ?? 'not founded'}` };
  if (ledger.size < head.size)
    return { code: 'ledger.rolledBack', message: `${where}, the ledger only ${ledger.size}: an older copy was put in its place` };
  if (equalBytes(await ledger.rootAt(head.size), head.root)) return undefined;
  return { code: 'ledger.rolledBack', message: `${where} with another root: history was rewritten` };
}

function headIn(value: Json): RememberedHead | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const { fingerprint, size, root } = value as { readonly [member: string]: Json }; // Neither null nor a list: checked.
  const bytes = typeof root === 'string' ? fromHex(root) : undefined;
  if (!isDigest(fingerprint) || typeof size !== 'number' || size < 0 || bytes === undefined || !bytes.ok || bytes.value.length !== 32)
    return undefined;
  return { fingerprint, size: BigInt(size), root: bytes.value };
}
