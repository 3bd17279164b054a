/**
 * A lease that a dead holder gives back by dying: an exclusive lock on a small database, held by the operating system. For one host; must
 * never be used on a network file system. PROTOCOL §4.4; MECHANICS part 1.
 */
import { err, ok, type Result } from '@openexec/canon';
import Database from 'better-sqlite3';
import { codeOf } from './errors.ts';

/** The right to drive something, while it is held. */
export interface Lease {
  /** Whether it is still ours: asked before anything is started under it, because a lease across hosts can be lost while its holder lives. */
  held(): Promise<boolean>;
  /** Gives it back; later calls do nothing. */
  release(): Promise<void>;
}

/** Why no lease was given. `lease.held`: somebody alive has it. */
export interface LeaseFailure {
  readonly code: 'lease.held' | 'lease.unavailable';
  readonly message: string;
}

/** Takes the lease at once or not at all; it is free the moment its holder is gone, however it went. */
export function acquireLease(options: { readonly path: string }): Result<Lease, LeaseFailure> {
  let db: Database.Database | undefined;
  try {
    db = new Database(options.path, { timeout: 0 });
    db.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    db?.close();
    if (codeOf(error).startsWith('SQLITE_BUSY')) return err({ code: 'lease.held', message: `${options.path} is held by a living process` });
    return err({ code: 'lease.unavailable', message: `${options.path} cannot be locked (${codeOf(error)})` });
  }
  const held = db;
  return ok({ held: async () => held.open, release: async () => void held.close() });
}
