/**
 * A forgery for the demo: a copy of the ledger in which one byte makes one recorded verdict another. Works on the file as an attacker with
 * a disk editor would who knows how columns are packed; the original is not touched.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { packed } from '@openexec/stores';

/** One line of `ledger read --jsonl`, as far as the forger reads it. */
interface ReadEntry {
  readonly index: number;
  readonly kind: string;
  readonly payload: string;
}
interface Forgery {
  readonly path: string;
  readonly index: number;
  readonly before: string;
  readonly after: string;
}

const VERDICT = '"verdict":"deny"';
/** What may be written instead: the first of which the packed column differs in one byte. */
const FORGED = ['"verdict":"permit"', '"verdict":"approve"', '"verdict":"eeny"'];

/** The lines of `ledger read --jsonl`. */
export function parseEntries(jsonl: string): ReadEntry[] {
  return jsonl
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const { index, entry, payload } = JSON.parse(line) as {
        readonly index: string;
        readonly entry: string;
        readonly payload: string | null;
      };
      return { index: Number(index), kind: (JSON.parse(entry) as { readonly kind: string }).kind, payload: payload ?? '' };
    });
}

/** Copies the ledger with its blobs and changes one byte of the first refusal that the file holds in one piece; null when it holds none so. */
export function forge(ledger: string, folder: string, entries: readonly ReadEntry[]): Forgery | null {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'ledger.db');
  const parts = ['', '-wal'].filter((suffix) => existsSync(`${ledger}${suffix}`));
  for (const suffix of parts) cpSync(`${ledger}${suffix}`, `${path}${suffix}`);
  const blobs = join(dirname(ledger), 'blobs');
  if (existsSync(blobs)) cpSync(blobs, join(folder, 'blobs'), { recursive: true });
  for (const { index, kind, payload } of entries) {
    const forgery = kind === 'policy.decided' ? forgeryOf(payload) : null;
    if (forgery === null) continue;
    const changed = parts.map((suffix) => replaceInFile(`${path}${suffix}`, forgery));
    if (changed.some(Boolean)) return { path, index, before: VERDICT, after: forgery.after };
  }
  return null;
}

interface ColumnForgery {
  readonly column: Buffer;
  readonly forged: Buffer;
  readonly after: string;
}

/** The column of a refusal and that of the same body with another verdict, one byte apart; null where there is none such. */
function forgeryOf(payload: string): ColumnForgery | null {
  const at = payload.lastIndexOf(VERDICT);
  if (at < 0) return null;
  const column = columnOf(payload);
  for (const after of FORGED) {
    const forged = columnOf(payload.slice(0, at) + after + payload.slice(at + VERDICT.length));
    const differs = forged.length === column.length ? column.filter((byte, place) => byte !== forged[place]).length : 0;
    if (differs === 1) return { column, forged, after };
  }
  return null;
}

function columnOf(payload: string): Buffer {
  return Buffer.from(packed(Buffer.from(payload)));
}

/** Changes the column wherever the file holds it: pages that SQLite has moved may be there twice. */
function replaceInFile(file: string, { column, forged }: ColumnForgery): boolean {
  const bytes = readFileSync(file);
  let found = false;
  for (let at = bytes.indexOf(column); at >= 0; at = bytes.indexOf(column, at + column.length)) {
    forged.copy(bytes, at);
    found = true;
  }
  if (found) writeFileSync(file, bytes);
  return found;
}
