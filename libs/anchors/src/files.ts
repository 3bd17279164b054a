/** Files that must be whole or not there: written beside, synced, renamed, and the folder synced. */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

const MAX_BYTES = 1024 * 1024;

/** Puts `text` in the place of the file. Throws the system's error. */
export function replaceFile(path: string, text: string): void {
  const unfinished = `${path}.unfinished`;
  const file = openSync(unfinished, 'w', 0o644);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(unfinished, path);
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** The text of a file; null where there is none. Throws the system's error, and for a file that is too large to be one of ours. */
export function readText(path: string): string | null {
  try {
    if (statSync(path).size > MAX_BYTES) throw new RangeError(`${path} is larger than anything kept here`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (faultCode(error) === 'ENOENT') return null;
    throw error;
  }
}

/** The system's word for an error, else its message. */
export function faultCode(error: unknown): string {
  const { code, message } = (error ?? {}) as { readonly code?: unknown; readonly message?: unknown };
  return typeof code === 'string' ? code : String(message);
}
