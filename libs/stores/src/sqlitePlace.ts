/**
 * Whether the file of a ledger can be used by this user as it has to be, asked of the system before SQLite is: it says who is kept out of what, where
 * SQLite only says that it cannot. Must never change anything. PROTOCOL §3; STYLE §11.1.
 */
import { accessSync, constants, type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path';
import process from 'node:process';
import { codeOf, type OpenFailure } from './errors.ts';

/** What stands in the way of opening the file at `path`; null for nothing that the system knows of. */
export function hindranceAt(path: string, options: { readonly write: boolean; readonly create: boolean }): OpenFailure | null {
  const folder = dirname(path);
  const inside = lookAt(folder);
  if (inside === 'absent') return { code: 'store.missingDirectory', message: `the folder ${folder} does not exist; make it first` };
  if (typeof inside === 'string') return denied(folder, inside);
  const file = lookAt(path);
  if (file === 'absent' && !options.create) return { code: 'store.missing', message: `there is no ledger at ${path}` };
  if (typeof file === 'string' && file !== 'absent') return denied(path, file);
  const unread = typeof file === 'string' ? null : refusedBy(path, constants.R_OK);
  if (unread !== null) return denied(path, unread);
  if (!options.write) return null;
  // The log and its index are files beside it, which come and go.
  for (const at of file === 'absent' ? [folder] : [path, folder]) {
    const code = refusedBy(at, constants.W_OK);
    if (code !== null)
      return {
        code: 'store.readOnly',
        message: `${at} cannot be written (${code}${whoOwns(at)}) and nothing was stored; make the file and its folder writable, then try again`,
      };
  }
  return null;
}

function denied(path: string, code: string): OpenFailure {
  return {
    code: 'store.denied',
    message: `${path} cannot be read (${code}${whoOwns(path)}); work as the user that it belongs to, or let this one read it`,
  };
}

/** What the system tells of a path: its state, that it is not there, or the code with which it tells nothing. */
function lookAt(path: string): Stats | string {
  try {
    return statSync(path);
  } catch (error) {
    const code = codeOf(error);
    if (code === '') throw error;
    return code === 'ENOENT' || code === 'ENOTDIR' ? 'absent' : code;
  }
}

/** The code with which the system refuses that, null where it does not. */
function refusedBy(path: string, wanted: number): string | null {
  try {
    accessSync(path, wanted);
    return null;
  } catch (error) {
    const code = codeOf(error);
    if (code === '') throw error;
    return code;
  }
}

function whoOwns(path: string): string {
  const found = lookAt(path);
  const user = process.getuid?.();
  if (typeof found === 'string' || user === undefined) return '';
  return `: it belongs to user ${found.uid} with mode ${(found.mode & 0o7777).toString(8)}, this is user ${user}`;
}
