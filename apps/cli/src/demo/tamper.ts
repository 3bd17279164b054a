/**
 * A forgery for the demo: a copy of the ledger in which one byte of one recorded verdict is another. Works on the file as an attacker with
 * a disk editor would; the original is not touched.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

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
/** What is written instead: one byte differs. */
const FORGED = '"verdict":"eeny"';

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
    if (kind !== 'policy.decided' || !payload.includes(VERDICT)) continue;
    const changed = parts.map((suffix) => replaceInFile(`${path}${suffix}`, payload));
    if (changed.some(Boolean)) return { path, index, before: VERDICT, after: FORGED };
  }
  return null;
}

/** Changes the payload wherever the file holds it: pages that SQLite has moved may be there twice. */
function replaceInFile(file: string, payload: string): boolean {
  const bytes = readFileSync(file);
  const wanted = Buffer.from(payload);
  const offset = wanted.indexOf(VERDICT);
  let found = false;
  for (let at = bytes.indexOf(wanted); at >= 0; at = bytes.indexOf(wanted, at + wanted.length)) {
    bytes.write(FORGED, at + offset, 'utf8');
    found = true;
  }
  if (found) writeFileSync(file, bytes);
  return found;
}
