/**
 * Key files: Ed25519 seeds of one ledger, each readable by its owner only, in a folder only the owner can enter, outside every repository.
 * Must never print, overwrite or follow anything, and refuses what others could read (SECURITY §7 "Keys").
 */
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
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type Bytes, err, fromHex, ok, parseJson, type Result, toHex } from '@openexec/canon';
import { keyIdOf, publicKeyOf } from '@openexec/proof';
import { ROLES, type Role } from '@openexec/protocol';

/** Why a key is not there for use. */
export interface KeyFileError {
  readonly code: 'key.missing' | 'key.unsafe' | 'key.exists' | 'key.malformed' | 'key.io';
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
}

const SEED_BYTES = 32;
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
export function writeKey(
  folder: string,
  key: { readonly label: string; readonly roles: readonly Role[]; readonly seed: Bytes },
): Result<FileKey, KeyFileError> {
  if (!LABEL.test(key.label))
    return err({
      code: 'key.malformed',
      message: `"${key.label.slice(0, 64)}" is no label for a key: lower-case letters, digits and dashes`,
    });
  const secured = secureFolder(folder);
  if (!secured.ok) return secured;
  const file = join(folder, `${key.label}${SUFFIX}`);
  try {
    const handle = openSync(file, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
    try {
      // The mode of open is cut by the umask, never widened; a looser default of the file system is set right here.
      fchmodSync(handle, 0o600);
      writeSync(handle, `${JSON.stringify({ v: 1, roles: key.roles, seed: toHex(key.seed) })}\n`);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    syncFolder(folder);
  } catch (error) {
    if ((error as { code?: string }).code === 'EEXIST')
      return err({ code: 'key.exists', message: `there is a key "${key.label}" already (${file})` });
    return io(file, error);
  }
  return ok(keyOf(key.label, key.roles, key.seed));
}

/** Reads one key; refuses a file that is another's, open to others, or no ordinary file. */
export function readKey(folder: string, label: string): Result<FileKey, KeyFileError> {
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

function parseKey(label: string, bytes: Bytes, file: string): Result<FileKey, KeyFileError> {
  const parsed = parseJson(new Uint8Array(bytes));
  const malformed = err({ code: 'key.malformed', message: `${file} is not a key file of version 1` } as const);
  if (!parsed.ok || typeof parsed.value !== 'object' || parsed.value === null || Array.isArray(parsed.value)) return malformed;
  const { v, roles, seed, ...rest } = parsed.value as { readonly [name: string]: unknown };
  if (v !== 1 || !Array.isArray(roles) || typeof seed !== 'string' || Object.keys(rest).length > 0) return malformed;
  const raw = fromHex(seed);
  if (!raw.ok || raw.value.length !== SEED_BYTES) return malformed;
  const known = ROLES.filter((role) => roles.includes(role));
  return known.length === roles.length ? ok(keyOf(label, known, raw.value)) : malformed;
}

function keyOf(label: string, roles: readonly Role[], seed: Bytes): FileKey {
  const publicKey = publicKeyOf(seed);
  return { label, roles, keyId: keyIdOf(publicKey), publicKey, seed };
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
