/**
 * Where the keys of a ledger lie and how they become signers. Must never hand a seed to anything but a signer, nor print one (SECURITY §7).
 */
import { join } from 'node:path';
import { type Digest, err, ok, type Result } from '@openexec/canon';
import { type FileKey, type KeyFile, type KeyFileError, listKeys, type Places, readKey, readKeyFile } from '@openexec/config';
import type { EntrySigner } from '@openexec/ledger';
import { seedSigner, sign, type Signer } from '@openexec/proof';
import { type Refusal, refuse } from './exit.ts';

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

/** The key files of a folder that can be read, by label. */
export function keyFiles(folder: string): readonly KeyFile[] {
  return listKeys(folder).flatMap((label) => {
    const file = readKeyFile(folder, label);
    return file.ok ? [file.value] : [];
  });
}

/** One key file by its label, or by the id of its key. */
export function findKeyFile(folder: string, wanted: string): Result<KeyFile, Refusal> {
  if (/^[0-9a-f]{32}$/.test(wanted)) {
    const file = keyFiles(folder).find(({ keyId }) => keyId === wanted);
    return file === undefined ? refuse('key.missing', `the key ${wanted} is not on this machine`) : ok(file);
  }
  const file = readKeyFile(folder, wanted);
  return file.ok ? file : err(keyRefusal(file.error));
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
  return { code: error.code === 'key.io' ? 'key.unsafe' : error.code, message: error.message };
}
