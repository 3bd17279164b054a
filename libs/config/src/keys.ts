/**
 * Key files: Ed25519 seeds of one ledger, each readable by its owner only, in a folder only the owner can enter, outside every repository.
 * Must never print, overwrite or follow anything, and refuses what others could read (SECURITY §7 "Keys").
 */
import { randomUUID } from 'node:crypto';
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type Bytes, err, fromHex, ok, parseJson, type Result, toHex } from '@openexec/canon';
import { keyIdOf, publicKeyOf } from '@openexec/proof';
import { type Assurance, ROLES, type Role } from '@openexec/protocol';
import * as z from 'zod';
import { openSeed, passphraseProblem, sealedPart, type SealedPart, sealSeed } from './sealed.ts';

/** Why a key is not there for use. */
export interface KeyFileError {
  readonly code:
    | 'key.missing'
    | 'key.unsafe'
    | 'key.exists'
    | 'key.malformed'
    | 'key.io'
    | 'key.locked'
    | 'passphrase.wrong'
    | 'passphrase.weak';
  readonly message: string;
}
/** A key with its secret; never leaves the process. */
export interface FileKey {
  readonly label: string;
  readonly roles: readonly Role[];
  readonly keyId: string;
  /** 32 bytes. */
  readonly publicKey: Bytes;
  /** 32 bytes. Secret. */
  readonly seed: Bytes;
  /** How the file holds it; what a vote says about it (PROTOCOL §6). */
  readonly assurance: Assurance;
}
/** A key file that was read and not unlocked: everything but the secret of one that is under a passphrase. */
export interface KeyFile {
  readonly label: string;
  readonly roles: readonly Role[];
  readonly keyId: string;
  readonly publicKey: Bytes;
  readonly assurance: 'file' | 'passphrase';
  /** The key itself. Without a passphrase only where the file has none (`key.locked`); a wrong one is `passphrase.wrong`. */
  unlock(passphrase: string | null): Result<FileKey, KeyFileError>;
}
/** A key to be written; with `passphrase: null` anybody who can read the file has the key. */
export interface NewKey {
  readonly label: string;
  readonly roles: readonly Role[];
  readonly seed: Bytes;
  readonly passphrase?: string | null;
}

const MAX_BYTES = 4096;
const LABEL = /^[a-z][a-z0-9-]{0,63}$/;
const SUFFIX = '.key';
const OPEN_TO_OTHERS = 0o077;

/** Makes the folder with mode 0700, or refuses one that is another's or open to others. */
export function secureFolder(folder: string): Result<void, KeyFileError> {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return checkFolder(folder);
  } catch (error) {
    return io(folder, error);
  }
}

/** Writes a new key file; a name that is taken is refused. Durable when it returns. */
export function writeKey(folder: string, key: NewKey): Result<FileKey, KeyFileError> {
  const checked = checkNew(folder, key);
  if (!checked.ok) return checked;
  const file = join(folder, `${key.label}${SUFFIX}`);
  try {
    writeFresh(file, textOf(key));
    syncFolder(folder);
  } catch (error) {
    if ((error as { code?: string }).code === 'EEXIST')
      return err({ code: 'key.exists', message: `there is a key "${key.label}" already (${file})` });
    return io(file, error);
  }
  return ok(keyOf(key, assuranceOf(key)));
}

/** Writes a key that is there again, under another passphrase or none. The old file stays until the new one is durable. */
export function rewriteKey(folder: string, key: NewKey): Result<FileKey, KeyFileError> {
  const checked = checkNew(folder, key);
  if (!checked.ok) return checked;
  const there = readKeyFile(folder, key.label);
  if (!there.ok) return there;
  if (there.value.keyId !== keyIdOf(publicKeyOf(key.seed)))
    return err({ code: 'key.exists', message: `"${key.label}" is another key, which is never replaced` });
  const file = join(folder, `${key.label}${SUFFIX}`);
  try {
    // A name that is no key's: what a crash leaves here is never taken for one.
    const fresh = `${file}.${randomUUID()}`;
    writeFresh(fresh, textOf(key));
    renameSync(fresh, file);
    syncFolder(folder);
  } catch (error) {
    return io(file, error);
  }
  return ok(keyOf(key, assuranceOf(key)));
}

/**
 * Puts the key `next` in the place of `label`; the file that was there stays as `aside`. Each step is a rename, and what a crash left is finished by
 * another call.
 */
export function swapKey(
  folder: string,
  names: { readonly label: string; readonly next: string; readonly aside: string },
): Result<void, KeyFileError> {
  const place = (name: string): string => join(folder, `${name}${SUFFIX}`);
  const { label, next, aside } = names;
  const secured = checkFolder(folder);
  if (!secured.ok) return secured;
  try {
    if (!listKeys(folder).includes(aside)) renameSync(place(label), place(aside));
    renameSync(place(next), place(label));
    syncFolder(folder);
    return ok(undefined);
  } catch (error) {
    return io(place(label), error);
  }
}

function checkNew(folder: string, key: NewKey): Result<void, KeyFileError> {
  if (!LABEL.test(key.label))
    return err({
      code: 'key.malformed',
      message: `"${key.label.slice(0, 64)}" is no label for a key: lower-case letters, digits and dashes`,
    });
  const weak = typeof key.passphrase === 'string' ? passphraseProblem(key.passphrase) : null;
  return weak === null ? secureFolder(folder) : err({ code: 'passphrase.weak', message: weak });
}

function assuranceOf({ passphrase }: NewKey): 'file' | 'passphrase' {
  return typeof passphrase === 'string' ? 'passphrase' : 'file';
}

function textOf(key: NewKey): string {
  const { roles, seed, passphrase } = key;
  if (typeof passphrase !== 'string') return `${JSON.stringify({ v: 1, roles, seed: toHex(seed) })}\n`;
  const header = { v: 2 as const, roles: [...roles], publicKey: toHex(publicKeyOf(seed)) };
  return `${JSON.stringify({ ...header, ...sealSeed({ seed, passphrase, header }) })}\n`;
}

function writeFresh(file: string, text: string): void {
  const handle = openSync(file, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  try {
    // The mode of open is cut by the umask, never widened; a looser default of the file system is set right here.
    fchmodSync(handle, 0o600);
    writeSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** One key that needs no passphrase; see {@link readKeyFile}. */
export function readKey(folder: string, label: string): Result<FileKey, KeyFileError> {
  const file = readKeyFile(folder, label);
  return file.ok ? file.value.unlock(null) : file;
}

/** Reads one key file; refuses one that is another's, open to others, or no ordinary file. */
export function readKeyFile(folder: string, label: string): Result<KeyFile, KeyFileError> {
  const secured = checkFolder(folder);
  if (!secured.ok) return secured;
  const file = join(folder, `${label}${SUFFIX}`);
  let handle: number | null = null;
  try {
    handle = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stat = fstatSync(handle);
    if (!stat.isFile() || stat.size > MAX_BYTES) return err({ code: 'key.unsafe', message: `${file} is not an ordinary key file` });
    const unsafe = unsafeOwner(file, stat);
    if (unsafe !== null) return err(unsafe);
    return parseKey(label, readFileSync(handle), file);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === 'ENOENT') return err({ code: 'key.missing', message: `there is no key "${label}" in ${folder}` });
    return code === 'ELOOP'
      ? err({ code: 'key.unsafe', message: `${file} is a link; a key file has to be the file itself` })
      : io(file, error);
  } finally {
    if (handle !== null) closeSync(handle);
  }
}

/** Labels of the keys in a folder, sorted; none where there is no folder. */
export function listKeys(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith(SUFFIX))
      .map((name) => name.slice(0, -SUFFIX.length))
      .sort();
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return [];
    throw error;
  }
}

function checkFolder(folder: string): Result<void, KeyFileError> {
  const stat = lstatSync(folder, { throwIfNoEntry: false });
  if (stat === undefined) return err({ code: 'key.missing', message: `there is no key folder ${folder}` });
  if (!stat.isDirectory()) return err({ code: 'key.unsafe', message: `${folder} is not a folder` });
  const unsafe = unsafeOwner(folder, stat);
  return unsafe === null ? ok(undefined) : err(unsafe);
}

function unsafeOwner(place: string, stat: { readonly uid: number; readonly mode: number }): KeyFileError | null {
  if (stat.uid !== process.getuid?.()) return { code: 'key.unsafe', message: `${place} belongs to another user` };
  if ((stat.mode & OPEN_TO_OTHERS) === 0) return null;
  return { code: 'key.unsafe', message: `${place} is open to others (mode ${(stat.mode & 0o777).toString(8)})` };
}

const role = z.enum(ROLES);
const openFile = z.strictObject({ v: z.literal(1), roles: z.array(role), seed: z.string().regex(/^[0-9a-f]{64}$/) });
const sealedFile = z.strictObject({
  v: z.literal(2),
  roles: z.array(role),
  publicKey: z.string().regex(/^[0-9a-f]{64}$/),
  ...sealedPart.shape,
});

function parseKey(label: string, bytes: Bytes, file: string): Result<KeyFile, KeyFileError> {
  const parsed = parseJson(new Uint8Array(bytes));
  const data: unknown = parsed.ok ? parsed.value : null;
  const plain = openFile.safeParse(data);
  if (plain.success) return plainKey(label, plain.data);
  const sealed = sealedFile.safeParse(data);
  if (sealed.success) return sealedKey(label, sealed.data);
  const what = sealed.error.issues[0]?.path[0] === 'kdf' ? ': its scrypt parameters are out of bounds' : '';
  return err({ code: 'key.malformed', message: `${file} is not a key file of version 1 or 2${what}` });
}

function plainKey(label: string, file: z.infer<typeof openFile>): Result<KeyFile, KeyFileError> {
  const seed = fromHex(file.seed);
  if (!seed.ok) return err({ code: 'key.malformed', message: `the seed of "${label}" is not hex` });
  const key = keyOf({ label, roles: file.roles, seed: seed.value }, 'file');
  const { roles, keyId, publicKey } = key;
  return ok({ label, roles, keyId, publicKey, assurance: 'file', unlock: () => ok(key) });
}

function sealedKey(label: string, file: z.infer<typeof sealedFile>): Result<KeyFile, KeyFileError> {
  const publicKey = fromHex(file.publicKey);
  if (!publicKey.ok) return err({ code: 'key.malformed', message: `the public key of "${label}" is not hex` });
  const { v, roles, kdf, cipher, sealed } = file;
  const header = { v, roles, publicKey: file.publicKey };
  const part: SealedPart = { kdf, cipher, sealed };
  return ok({
    label,
    roles,
    keyId: keyIdOf(publicKey.value),
    publicKey: publicKey.value,
    assurance: 'passphrase',
    unlock(passphrase) {
      if (passphrase === null) return err({ code: 'key.locked', message: `the key "${label}" is under a passphrase` });
      const seed = openSeed({ part, passphrase, header });
      const key = seed.ok ? keyOf({ label, roles, seed: seed.value }, 'passphrase') : null;
      if (key !== null && toHex(key.publicKey) === file.publicKey) return ok(key);
      return err({ code: 'passphrase.wrong', message: `this passphrase does not open the key "${label}", or its file was changed` });
    },
  });
}

function keyOf({ label, roles, seed }: NewKey, assurance: 'file' | 'passphrase'): FileKey {
  const publicKey = publicKeyOf(seed);
  return { label, roles, keyId: keyIdOf(publicKey), publicKey, seed, assurance };
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, constants.O_RDONLY);
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function io(place: string, error: unknown): { readonly ok: false; readonly error: KeyFileError } {
  const { code } = error as { code?: string };
  return err({ code: 'key.io', message: `${place}: ${code ?? 'it cannot be used'}` });
}
