/**
 * A backup of a ledger in SQLite while others write to it: one moment of the database, and the files that it names. Must never leave half a backup under
 * the name that was asked for. PROTOCOL §3.
 */
import { closeSync, copyFileSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Digest, err, ok, type Result } from '@openexec/canon';
import Database from 'better-sqlite3';
import { digestIn, integerIn } from './columns.ts';
import { isOutcome, type OpenFailure, openRefusal } from './errors.ts';

/** What a backup holds. */
export interface BackedUp {
  readonly entries: number;
  readonly blobFiles: number;
}

/** All pages in one step: a backup that goes page by page begins anew whenever another process commits. */
const ALL_PAGES = 0x7fffffff;

/** Copies the database at `path` to `to`, and its large blobs into a folder `blobs` beside `to`. The copy has the same instance. */
export async function backUpSqliteLedger(options: { readonly path: string; readonly to: string }): Promise<Result<BackedUp, OpenFailure>> {
  const { path, to } = options;
  if (!existsSync(dirname(to)))
    return err({ code: 'store.missingDirectory', message: `the folder ${dirname(to)} does not exist; make it first` });
  if (existsSync(to)) return err({ code: 'store.notALedger', message: `${to} is there already` });
  const unfinished = `${to}.unfinished`;
  try {
    rmSync(unfinished, { force: true });
    const source = new Database(path, { readonly: true });
    try {
      await source.backup(unfinished, { progress: () => ALL_PAGES });
    } finally {
      source.close();
    }
    const copy = new Database(unfinished);
    const { names, entries } = namedIn(copy);
    for (const digest of names) copyBlob(dirname(path), dirname(to), digest.slice('sha256:'.length));
    sync(unfinished);
    renameSync(unfinished, to);
    sync(dirname(to));
    return ok({ entries, blobFiles: names.length });
  } catch (error) {
    for (const end of ['', '-wal', '-shm']) rmSync(`${unfinished}${end}`, { force: true });
    if (!isOutcome(error)) throw error;
    return err(openRefusal(error, path, true));
  }
}

/** The blobs that lie in files, and the size. Each name becomes a path: what is no digest is damage. */
function namedIn(copy: Database.Database): { readonly names: readonly Digest[]; readonly entries: number } {
  try {
    const names = copy.prepare('SELECT digest FROM blobs WHERE length >= 0 AND bytes IS NULL').pluck().all();
    const entries = integerIn(copy.prepare('SELECT size FROM head').pluck().get(), 'the size in the head');
    return { names: names.map((name) => digestIn(name, 'the name of a blob')), entries };
  } finally {
    copy.close();
  }
}

function copyBlob(from: string, to: string, name: string): void {
  const place = join('blobs', name.slice(0, 2));
  const target = join(to, place, name);
  if (existsSync(target)) return;
  mkdirSync(join(to, place), { recursive: true, mode: 0o700 });
  copyFileSync(join(from, place, name), `${target}.unfinished`);
  sync(`${target}.unfinished`);
  renameSync(`${target}.unfinished`, target);
  sync(join(to, place));
}

function sync(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
