/**
 * Looks for secrets in everything that a run leaves behind: every file and its name, git objects loose and packed of every repository found, every
 * cell of every SQLite file. Must find a secret in any form it can take there; its own test plants one in each kind of place.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join, relative } from 'node:path';
import { inflateRawSync, inflateSync } from 'node:zlib';
import { unpacked } from '@openexec/stores';
import Database from 'better-sqlite3';

/** A secret, or a part of one, where it should not be. */
export interface Leak {
  readonly where: string;
  readonly secret: string;
  readonly form: string;
  readonly around: string;
}
/** Parts of a secret of this length count as a leak. */
const WINDOW = 12;

/** Every form in which a value is looked for. */
export function formsOf(value: string): ReadonlyMap<string, Buffer> {
  const bytes = Buffer.from(value, 'utf8');
  const forms = new Map<string, Buffer>();
  const add = (name: string, text: string): void => void forms.set(name, Buffer.from(text, 'utf8'));
  for (let at = 0; at + WINDOW <= value.length; at += 1) add(`part ${at}`, value.slice(at, at + WINDOW));
  for (let offset = 0; offset < 3; offset += 1) {
    const whole = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64');
    const stable = whole.slice(offset === 0 ? 0 : 4, whole.length - 4);
    add(`base64 ${offset}`, stable);
    add(`base64url ${offset}`, stable.replaceAll('+', '-').replaceAll('/', '_'));
  }
  add('hex', bytes.toString('hex'));
  add('HEX', bytes.toString('hex').toUpperCase());
  add('URL', encodeURIComponent(value));
  add('every byte in percent', [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''));
  const json = JSON.stringify(value).slice(1, -1);
  add('JSON', json);
  add('JSON in JSON', JSON.stringify(json).slice(1, -1));
  add('\\u', unicodeEscaped(value));
  add('\\\\u', JSON.stringify(unicodeEscaped(value)).slice(1, -1));
  add('XML', value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;'));
  return forms;
}

export function unicodeEscaped(value: string): string {
  return Array.from({ length: value.length }, (_, at) => `\\u${value.charCodeAt(at).toString(16).padStart(4, '0')}`).join('');
}

/** Looks through bytes of one place. */
export function leaksIn(where: string, bytes: Buffer, secrets: readonly string[]): readonly Leak[] {
  // Wrapped lines, colours and characters without width are no hiding place.
  const bare = Buffer.from(
    bytes
      .toString('utf8')
      .replace(/\u001b\[[0-9;]*m/g, '')
      .replace(/[\r\n\u200b\u2060\ufeff]/g, ''),
  );
  return secrets.flatMap((secret) => {
    const found = [...formsOf(secret)].find(([, needle]) => bytes.includes(needle) || bare.includes(needle));
    if (found === undefined) return [];
    const [form, needle] = found;
    const [text, at] = bytes.includes(needle) ? [bytes, bytes.indexOf(needle)] : [bare, bare.indexOf(needle)];
    return [{ where, secret, form, around: text.subarray(Math.max(0, at - 60), at + needle.length + 30).toString('utf8') }];
  });
}

export interface Search {
  readonly leaks: readonly Leak[];
  /** How much was looked at, so that a search that saw nothing cannot pass. */
  readonly seen: { files: number; objects: number; cells: number };
}

/** Looks through everything below a folder, except the files where the user keeps the secrets. */
export function searchFolder(root: string, secrets: readonly string[], except: readonly string[] = []): Search {
  const leaks: Leak[] = [];
  const seen = { files: 0, objects: 0, cells: 0 };
  const look = (where: string, bytes: Buffer): void => void leaks.push(...leaksIn(where, bytes, secrets));
  const walk = (folder: string): void => {
    if (existsSync(join(folder, 'HEAD')) && existsSync(join(folder, 'objects'))) seen.objects += searchGit(folder, look);
    for (const name of readdirSync(folder, { encoding: 'buffer' })) {
      const path = join(folder, name.toString('utf8'));
      const where = relative(root, path);
      look(`name of ${where}`, name);
      const stat = lstatSync(path);
      if (stat.isSymbolicLink()) look(`link ${where}`, Buffer.from(readlinkSync(path)));
      else if (stat.isDirectory()) walk(path);
      else if (stat.isFile() && !except.includes(where)) {
        seen.files += 1;
        const bytes = readFileSync(path);
        look(where, bytes);
        if (bytes[0] === 0x78) look(`${where} inflated`, inflated(inflateSync, bytes));
        if (bytes.subarray(0, 15).toString('latin1') === 'SQLite format 3') seen.cells += searchDatabase(path, where, look);
      }
    }
  };
  walk(root);
  return { leaks, seen };
}

function inflated(inflate: typeof inflateSync, bytes: Buffer): Buffer {
  try {
    return inflate(bytes);
  } catch {
    return Buffer.alloc(0);
  }
}

/** Every object of a repository, packed ones too, whatever names it. */
function searchGit(gitDir: string, look: (where: string, bytes: Buffer) => void): number {
  const git = (args: readonly string[], input?: Buffer): Buffer =>
    execFileSync('git', ['-c', 'safe.directory=*', `--git-dir=${gitDir}`, ...args], {
      maxBuffer: 1 << 28,
      stdio: ['pipe', 'pipe', 'ignore'],
      ...(input === undefined ? {} : { input }),
    });
  const count = git(['cat-file', '--batch-all-objects', '--batch-check']).toString('latin1').split('\n').length - 1;
  look(`objects of ${gitDir}`, git(['cat-file', '--batch-all-objects', '--batch']));
  return count;
}

/** Bytes of a cell as they stand, and as a ledger may mean them: packed, or deflated. */
function lookInto(where: string, cell: Buffer, look: (where: string, bytes: Buffer) => void): void {
  look(where, cell);
  const plain = Buffer.from(unpacked(cell));
  if (!plain.equals(cell)) look(`${where} unpacked`, plain);
  look(`${where} inflated`, inflated(inflateRawSync, cell));
}

function searchDatabase(path: string, where: string, look: (where: string, bytes: Buffer) => void): number {
  let cells = 0;
  const database = new Database(path, { readonly: true });
  try {
    const rows = (sql: string): readonly unknown[][] => database.prepare(sql).raw().all() as unknown[][];
    const tables = rows("SELECT name FROM sqlite_schema WHERE type = 'table'");
    for (const [table] of tables)
      for (const row of rows(`SELECT * FROM "${String(table)}"`))
        for (const cell of row) {
          cells += 1;
          if (typeof cell === 'string') look(`${where} table ${String(table)}`, Buffer.from(cell));
          else if (Buffer.isBuffer(cell)) lookInto(`${where} table ${String(table)}`, cell, look);
        }
  } finally {
    database.close();
  }
  return cells;
}
