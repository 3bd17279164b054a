/**
 * Writes the published schemas, or with `--check` says which are not what the sources say: `npm run schemas`, `npm run schemas:check`.
 * Files that nothing generates any more are stale too. Exit 0 only when every file was compared and none differs.
 */
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { generateSchemas } from './schemas/generate.ts';

/** The generated files below `folder` that differ from `files`, are missing, or are generated no more. */
export function staleFiles(folder: string, files: ReadonlyMap<string, string>): string[] {
  const changed = [...files].filter(([file, text]) => readOrNull(path.join(folder, file)) !== text).map(([file]) => file);
  const orphans = ['', 'events', 'cli'].flatMap((part) => {
    const absolute = path.join(folder, part);
    if (!fs.existsSync(absolute)) return [];
    return fs
      .readdirSync(absolute)
      .filter((name) => name.endsWith('.schema.json'))
      .map((name) => path.posix.join(part, name))
      .filter((file) => !files.has(file));
  });
  return [...changed, ...orphans].sort();
}

/** Makes the files below `folder` equal to `files`. */
export function writeFiles(folder: string, files: ReadonlyMap<string, string>): void {
  for (const stale of staleFiles(folder, files)) {
    const text = files.get(stale);
    const absolute = path.join(folder, stale);
    fs.mkdirSync(path.dirname(absolute), { recursive: true });
    if (text === undefined) fs.rmSync(absolute);
    else fs.writeFileSync(absolute, text);
  }
}

function readOrNull(file: string): string | null {
  return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : null;
}

function main(args: readonly string[]): number {
  const unknown = args.find((arg) => arg !== '--check');
  if (unknown !== undefined) {
    process.stderr.write(`usage: schemas [--check]; ${unknown} is not known\n`);
    return 2;
  }
  const folder = path.join(path.dirname(path.dirname(new URL(import.meta.url).pathname)), 'schemas');
  const files = generateSchemas();
  const stale = staleFiles(folder, files);
  if (args.includes('--check')) {
    for (const file of stale) process.stdout.write(`schemas/${file} is stale\n`);
    if (stale.length > 0) process.stdout.write('run `npm run schemas` and commit the result\n');
    else process.stdout.write(`${files.size} generated files are what the sources say\n`);
    return stale.length === 0 ? 0 : 1;
  }
  writeFiles(folder, files);
  process.stdout.write(`${files.size} files, ${stale.length} written\n`);
  return 0;
}

if (process.env['JEST_WORKER_ID'] === undefined) process.exitCode = main(process.argv.slice(2));
