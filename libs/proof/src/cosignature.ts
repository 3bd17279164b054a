/**
 * C2SP cosignatures of version 1 (algorithm 0x04): made by a witness, verified by everybody. Must never count a cosignature of a key that is
 * not known, and refuses the whole note when a known cosigner's signature is wrong. c2sp.org/tlog-cosignature; PROTOCOL §3 (anchors).
 */

import { type Bytes, concatBytes, err, fromBase64, ok, type Result, toBase64, toHex, utf8Encode } from '@openexec/canon';
import { admitKey, verifySignature } from './ed25519.ts';
import { type NoteError, type NoteErrorCode, ProofFault } from './errors.ts';
import { KEY_NAME, keyHashBytes, type NoteSignature, splitNote } from './notes.ts';
import type { Signer } from './ports.ts';

/** tlog-cosignature: the algorithm byte of a timestamped Ed25519 signature. */
const COSIGNATURE = 0x04;
const TIME_BYTES = 8;
const SIGNATURE_BYTES = 64;
/** tlog-cosignature: a timestamp does not exceed 2^63 − 1. */
const MAX_TIME = 2n ** 63n - 1n;
const VKEY = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/;

/** A known witness: its name, its key, and the 4-byte key hash as 8 hex digits. */
export interface Cosigner {
  readonly keyName: string;
  readonly publicKey: Bytes;
  readonly keyHash: string;
}

/** That a cosigner saw this checkpoint and nothing larger at `time` (POSIX seconds, by its own clock). */
export interface Cosignature {
  readonly keyName: string;
  readonly keyHash: string;
  readonly time: bigint;
}

/** `<name>+<hash>+<base64 of 0x04 and key>`. Throws `fault.badArgument` for a name that a note cannot carry. */
export function formatCosignerVkey(key: { readonly keyName: string; readonly publicKey: Bytes }): string {
  requireName(key.keyName);
  const hash = toHex(keyHashBytes(key.keyName, key.publicKey, COSIGNATURE));
  return `${key.keyName}+${hash}+${toBase64(concatBytes(Uint8Array.of(COSIGNATURE), key.publicKey))}`;
}

/** Reads a cosigner's verifier key; refuses another algorithm, a wrong hash, and a key that may not be trusted (PROTOCOL §1). */
export function parseCosignerVkey(text: string): Result<Cosigner, NoteError> {
  const match = VKEY.exec(text);
  const [, keyName = '', hash = '', encoded = ''] = match ?? [];
  const key = fromBase64(encoded);
  if (match === null || !KEY_NAME.test(keyName) || !key.ok) return refuse('vkey.malformed', 'expected <name>+<8 hex digits>+<base64>');
  if (key.value[0] !== COSIGNATURE)
    return refuse('vkey.unknownAlgorithm', 'a cosigner has algorithm byte 4 (Ed25519 with a time); other ones are not supported');
  const publicKey = key.value.slice(1);
  const admitted = admitKey(publicKey);
  if (!admitted.ok) return refuse('vkey.malformed', admitted.error.message);
  if (toHex(keyHashBytes(keyName, publicKey, COSIGNATURE)) !== hash)
    return refuse('vkey.wrongKeyId', 'the key hash does not belong to this name and key');
  return ok({ keyName, publicKey, keyHash: hash });
}

/**
 * The signature line (with its newline) of a witness for the text of a checkpoint. `time` is POSIX seconds. Throws `fault.badArgument` when
 * the signer's signature does not verify under its own key, or for a time that cannot be written.
 */
export async function cosign(text: string, signer: Signer, time: bigint): Promise<string> {
  requireName(signer.keyName);
  if (time < 0n || time > MAX_TIME) throw new ProofFault('fault.badArgument', 'a cosignature has a time from 0 to 2^63 - 1');
  const message = messageOf(text, time);
  const signature = await signer.sign(message);
  if (!verifySignature(signer.publicKey, message, signature))
    throw new ProofFault('fault.badArgument', `the signer ${signer.keyName} made a wrong signature`);
  const stamp = new Uint8Array(TIME_BYTES);
  new DataView(stamp.buffer).setBigUint64(0, time);
  const line = concatBytes(keyHashBytes(signer.keyName, signer.publicKey, COSIGNATURE), stamp, signature);
  return `— ${signer.keyName} ${toBase64(line)}\n`;
}

/**
 * The cosignatures in a note by known cosigners, one each; none is an empty list. Signatures by others are ignored; a wrong or misshapen one
 * under a known name and hash refuses the note.
 */
export function openCosignatures(note: Bytes | string, cosigners: readonly Cosigner[]): Result<readonly Cosignature[], NoteError> {
  const parsed = splitNote(note);
  if (!parsed.ok) return parsed;
  const found = new Map<string, Cosignature>();
  for (const signature of parsed.value.signatures) {
    const key = cosigners.find(({ keyName, keyHash }) => keyName === signature.keyName && keyHash === signature.keyHash);
    if (key === undefined) continue;
    const time = timeOf(parsed.value.text, signature, key);
    if (!time.ok) return time;
    const name = `${key.keyName}+${key.keyHash}`;
    const known = found.get(name);
    // Of several by one witness the latest says most; each was verified.
    if (known === undefined || known.time < time.value) found.set(name, { keyName: key.keyName, keyHash: key.keyHash, time: time.value });
  }
  return ok([...found.values()]);
}

/** The note with more signature lines behind its own; a line that is there already is not repeated. Nothing is verified. */
export function addSignatureLines(note: string, lines: string): Result<string, NoteError> {
  const own = new Set(note.split('\n'));
  const more = lines.split('\n').filter((line) => line !== '' && !own.has(line));
  const joined = note + more.map((line) => `${line}\n`).join('');
  const parsed = splitNote(joined);
  return parsed.ok ? ok(joined) : parsed;
}

function timeOf(text: string, line: NoteSignature, key: Cosigner): Result<bigint, NoteError> {
  const name = `${key.keyName}+${key.keyHash}`;
  if (line.signature.length !== TIME_BYTES + SIGNATURE_BYTES)
    return refuse('cosignature.malformed', `the cosignature by ${name} is not a time and a signature`);
  const time = new DataView(line.signature.buffer, line.signature.byteOffset).getBigUint64(0);
  if (time > MAX_TIME) return refuse('cosignature.malformed', `the cosignature by ${name} has a time beyond 2^63 - 1`);
  return verifySignature(key.publicKey, messageOf(text, time), line.signature.subarray(TIME_BYTES))
    ? ok(time)
    : refuse('note.badSignature', `the cosignature by ${name} is wrong`);
}

function messageOf(text: string, time: bigint): Bytes {
  return utf8Encode(`cosignature/v1\ntime ${time}\n${text}`);
}

function requireName(keyName: string): void {
  if (!KEY_NAME.test(keyName)) throw new ProofFault('fault.badArgument', 'a key name is not empty and holds no space and no plus sign');
}

function refuse(code: NoteErrorCode, message: string): { readonly ok: false; readonly error: NoteError } {
  return err({ code, message });
}
