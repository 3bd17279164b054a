/**
 * Where the keys of a ledger lie and how they become signers. Must never hand a seed to anything but a signer, nor print one (SECURITY §7).
 */
import { join } from 'node:path';
import { type Digest, err, ok, type Result } from '@openexec/canon';
import { type FileKey, type KeyFileError, type Places, readKey } from '@openexec/config';
import type { EntrySigner } from '@openexec/ledger';
import { seedSigner, sign, type Signer } from '@openexec/proof';
import type { Refusal } from './exit.ts';

/** Labels of the keys that `init` makes; one key, one purpose. */
export const KEY_LABELS = { root: 'root', log: 'log', operator: 'operator', runtime: 'runtime' } as const;
const FOLDER_DIGITS = 32;
const ORIGIN_DIGITS = 16;

/** `<state>/<32 hex of the fingerprint>`: everything of one ledger that lies outside the repository. */
export function stateFolderOf(places: Places, fingerprint: Digest): string {
  return join(places.state, fingerprint.slice('sha256:'.length, 'sha256:'.length + FOLDER_DIGITS));
}

/** Folder of the keys, below the state folder. */
export function keysFolder(stateFolder: string): string {
  return join(stateFolder, 'keys');
}

/** The head file of the ledger, below the state folder (PROTOCOL §3 "Head elsewhere"). */
export function headFileOf(stateFolder: string): string {
  return join(stateFolder, 'head.json');
}

/** The origin of a ledger founded here: a name that its own log key makes unique. */
export function originOf(logKey: FileKey): string {
  return `openexec.local/${logKey.keyId.slice(0, ORIGIN_DIGITS)}`;
}

/** One key by its label. */
export function loadKey(folder: string, label: string): Result<FileKey, Refusal> {
  const key = readKey(folder, label);
  return key.ok ? key : err(keyRefusal(key.error));
}

/** What a ledger opened for writing signs with. */
export function loadSigners(folder: string): Result<{ readonly signer: EntrySigner; readonly logSigner: Signer }, Refusal> {
  const runtime = loadKey(folder, KEY_LABELS.runtime);
  if (!runtime.ok) return runtime;
  const log = loadKey(folder, KEY_LABELS.log);
  if (!log.ok) return log;
  return ok({ signer: entrySigner(runtime.value), logSigner: seedSigner({ keyName: originOf(log.value), seed: log.value.seed }) });
}

/** Signs entries with a key from a file. */
export function entrySigner(key: FileKey): EntrySigner {
  return { keyId: seedSigner({ keyName: key.label, seed: key.seed }).keyId, sign: (message) => sign(key.seed, message) };
}

/** A key file's error as a refusal of the command. */
export function keyRefusal(error: KeyFileError): Refusal {
  const code = error.code === 'key.missing' || error.code === 'key.exists' ? error.code : 'key.unsafe';
  return { code, message: error.message };
}
