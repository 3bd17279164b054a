/**
 * C2SP signed notes with Ed25519 (algorithm 0x01), and verifier keys. Must never hand out a text that no known key has signed, and refuses
 * the whole note when a known key's signature is wrong. c2sp.org/signed-note; limits as golang.org/x/mod/sumdb/note.
 */

import {
  type Bytes,
  concatBytes,
  err,
  equalBytes,
  fromBase64,
  ok,
  type Result,
  sha256,
  toBase64,
  toHex,
  utf8Decode,
  utf8Encode,
} from '@openexec/canon';
import { keyIdOf, publicKeyOf, sign, verifySignature } from './ed25519.ts';
import { type NoteError, type NoteErrorCode, ProofFault } from './errors.ts';
import type { Signer } from './ports.ts';

/** signed-note: the algorithm byte of Ed25519. */
const ED25519 = 0x01;
/** x/mod note.go: larger notes and longer signature lists are refused unread. */
const MAX_NOTE_UNITS = 1_000_000;
const MAX_SIGNATURES = 100;
const VKEY = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/;
/** What may be a key's name: no space, no plus sign, no control character, and nothing without a UTF-8 form. */
export const KEY_NAME = /^[^\s\u0085+\p{Cc}\p{Cs}]+$/u;
// signed-note forbids control characters other than newline.
const FORBIDDEN = /[\u0000-\u0009\u000b-\u001f]/;
const SIGNATURE_LINE = /^— (\S+) (\S+)$/;

/** A known key: its name, raw Ed25519 public key, and the 4-byte key hash of signed-note as 8 hex digits. */
export interface Vkey {
  readonly keyName: string;
  readonly publicKey: Bytes;
  readonly keyHash: string;
}

/** One signature line. */
export interface NoteSignature {
  readonly keyName: string;
  readonly keyHash: string;
  readonly signature: Bytes;
}

/** A note that at least one known key has signed. */
export interface OpenedNote {
  readonly text: string;
  readonly verified: readonly NoteSignature[];
  readonly unverified: readonly NoteSignature[];
}

/** `<name>+<hash>+<base64 of algorithm and key>`. Throws `fault.badArgument` for a name that a note cannot carry. */
export function formatVkey(key: { readonly keyName: string; readonly publicKey: Bytes }): string {
  requireKeyName(key.keyName);
  return `${key.keyName}+${keyHash(key.keyName, key.publicKey)}+${toBase64(concatBytes(Uint8Array.of(ED25519), key.publicKey))}`;
}

/** Reads a verifier key; refuses one whose hash does not belong to its name and key. */
export function parseVkey(text: string): Result<Vkey, NoteError> {
  const match = VKEY.exec(text);
  const [, keyName = '', hash = '', encoded = ''] = match ?? [];
  const key = fromBase64(encoded);
  if (match === null || !KEY_NAME.test(keyName) || !key.ok) return refuse('vkey.malformed', 'expected <name>+<8 hex digits>+<base64>');
  if (key.value[0] !== ED25519) return refuse('vkey.unknownAlgorithm', 'only Ed25519 (algorithm byte 1) is supported');
  const publicKey = key.value.slice(1);
  if (publicKey.length !== 32) return refuse('vkey.malformed', 'an Ed25519 verifier key holds 32 bytes');
  if (keyHash(keyName, publicKey) !== hash) return refuse('vkey.wrongKeyId', 'the key hash does not belong to this name and key');
  return ok({ keyName, publicKey, keyHash: hash });
}

/**
 * Signs a text by every signer, in order. Refuses a text that is not a note's (it must end in a newline and hold no control character).
 * Throws `fault.badArgument` when a signer's signature does not verify under its own key: such a note must never be published.
 */
export async function signNote(text: string, signers: readonly Signer[]): Promise<Result<string, NoteError>> {
  if (!isNoteText(text)) return refuse('note.malformed', 'the text must end in a newline and hold no control character but newline');
  const message = utf8Encode(text);
  let note = `${text}\n`;
  for (const signer of signers) {
    requireKeyName(signer.keyName);
    const signature = await signer.sign(message);
    if (!verifySignature(signer.publicKey, message, signature))
      throw new ProofFault('fault.badArgument', `the signer ${signer.keyName} made a wrong signature`);
    const line = concatBytes(keyHashBytes(signer.keyName, signer.publicKey), signature);
    note += `— ${signer.keyName} ${toBase64(line)}\n`;
  }
  return ok(note);
}

/** A signer that holds its seed in memory. */
export function seedSigner(options: { readonly keyName: string; readonly seed: Bytes }): Signer {
  const seed = options.seed.slice();
  const publicKey = publicKeyOf(seed);
  requireKeyName(options.keyName);
  return { keyName: options.keyName, keyId: keyIdOf(publicKey), publicKey, sign: (message) => sign(seed, message) };
}

/** Opens a note. Signatures by unknown keys are listed, not judged; a wrong one by a known key refuses the note. */
export function openNote(note: Bytes | string, verifiers: readonly (Vkey | string)[]): Result<OpenedNote, NoteError> {
  const known = readVkeys(verifiers);
  if (!known.ok) return known;
  const parsed = splitNote(note);
  if (!parsed.ok) return parsed;
  const { text, signatures } = parsed.value;
  const message = utf8Encode(text);
  const verified = new Map<string, NoteSignature>();
  const unverified: NoteSignature[] = [];
  for (const signature of signatures) {
    const name = `${signature.keyName}+${signature.keyHash}`;
    const keys = known.value.filter((key) => `${key.keyName}+${key.keyHash}` === name);
    const [key] = keys;
    if (keys.length > 1) return refuse('note.ambiguousKey', `more than one known key is called ${name}`);
    if (key === undefined) {
      if (!unverified.some((other) => isSameLine(other, signature))) unverified.push(signature);
    } else if (!verified.has(name)) {
      if (!verifySignature(key.publicKey, message, signature.signature))
        return refuse('note.badSignature', `the signature by ${name} is wrong`);
      verified.set(name, signature);
    }
  }
  if (verified.size === 0) return refuse('note.unverified', 'no signature is by a known key');
  return ok({ text, verified: [...verified.values()], unverified });
}

function readVkeys(verifiers: readonly (Vkey | string)[]): Result<readonly Vkey[], NoteError> {
  const keys: Vkey[] = [];
  for (const verifier of verifiers) {
    const key = typeof verifier === 'string' ? parseVkey(verifier) : ok(verifier);
    if (!key.ok) return key;
    keys.push(key.value);
  }
  return ok(keys);
}

/** Text and signature lines, nothing verified; the blank line between them is the last one of the note. */
export function splitNote(note: Bytes | string): Result<{ text: string; signatures: readonly NoteSignature[] }, NoteError> {
  if (note.length > MAX_NOTE_UNITS) return refuse('note.tooLarge', `a note has at most ${MAX_NOTE_UNITS} bytes`);
  const decoded = typeof note === 'string' ? ok(note) : utf8Decode(note);
  if (!decoded.ok) return refuse('note.malformed', decoded.error.message);
  const whole = decoded.value;
  const blank = whole.lastIndexOf('\n\n');
  const text = whole.slice(0, blank + 1);
  if (blank < 0 || !isNoteText(text) || !isNoteText(whole))
    return refuse('note.malformed', 'expected a text, a blank line and signature lines');
  const lines = whole
    .slice(blank + 2)
    .split('\n')
    .slice(0, -1);
  if (lines.length > MAX_SIGNATURES) return refuse('note.tooManySignatures', `a note has at most ${MAX_SIGNATURES} signatures`);
  const signatures = lines.map(readSignature).filter((line) => line !== undefined);
  if (signatures.length === 0 || signatures.length < lines.length)
    return refuse('note.malformed', 'expected lines of the form — <key name> <base64>');
  return ok({ text, signatures });
}

function readSignature(line: string): NoteSignature | undefined {
  const [, keyName = '', encoded = ''] = SIGNATURE_LINE.exec(line) ?? [];
  const bytes = fromBase64(encoded);
  if (!KEY_NAME.test(keyName) || !bytes.ok || bytes.value.length < 5) return undefined;
  return { keyName, keyHash: toHex(bytes.value.subarray(0, 4)), signature: bytes.value.slice(4) };
}

function isSameLine(a: NoteSignature, b: NoteSignature): boolean {
  return a.keyName === b.keyName && a.keyHash === b.keyHash && equalBytes(a.signature, b.signature);
}

function isNoteText(text: string): boolean {
  return text.endsWith('\n') && !FORBIDDEN.test(text) && !/\p{Surrogate}/u.test(text);
}

/** signed-note: the first 4 bytes of SHA-256(name ‖ newline ‖ algorithm ‖ key). */
export function keyHashBytes(keyName: string, publicKey: Bytes, algorithm = ED25519): Bytes {
  return sha256(concatBytes(utf8Encode(`${keyName}\n`), Uint8Array.of(algorithm), publicKey)).slice(0, 4);
}

function keyHash(keyName: string, publicKey: Bytes): string {
  return toHex(keyHashBytes(keyName, publicKey));
}

function requireKeyName(keyName: string): void {
  if (!KEY_NAME.test(keyName)) throw new ProofFault('fault.badArgument', 'a key name is not empty and holds no space and no plus sign');
}

function refuse(code: NoteErrorCode, message: string): { readonly ok: false; readonly error: NoteError } {
  return err({ code, message });
}
