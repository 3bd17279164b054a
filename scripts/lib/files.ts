/**
 * The file listing that every house tool starts from. It walks the disk itself and asks no tool, so that a tool which looked at nothing, or at
 * less than there is, can be caught by comparing with it. Must never follow links or enter generated folders.
 */
import fs from 'node:fs';
import path from 'node:path';

/** Folders of a package that hold code of ours; `assets` and fixtures are data and are not listed. */
const CODE_FOLDERS = ['src', 'test', 'bench', 'bin', 'scripts'];
const CODE_FILE = /\.(ts|mts|tsx|js|mjs|cjs)$/;
const NEVER_ENTER = new Set(['node_modules', 'dist', '.cache', 'coverage', 'fixtures', 'test-fixtures']);

/** A path relative to the root, always with `/`. */
export type RelativePath = string;

/** Every code file below `folder`, relative to `root`, sorted. An absent folder gives none. */
export function walk(root: string, folder: RelativePath): RelativePath[] {
  const found: RelativePath[] = [];
  const absolute = path.join(root, folder);
  if (!fs.existsSync(absolute)) return found;
  for (const item of fs.readdirSync(absolute, { withFileTypes: true })) {
    const at = `${folder}/${item.name}`;
    if (item.isDirectory() && !NEVER_ENTER.has(item.name)) found.push(...walk(root, at));
    else if (item.isFile() && CODE_FILE.test(item.name)) found.push(at);
  }
  return found.sort();
}

/** Every code file of one package: its code folders and loose files such as a build script beside package.json. */
export function packageFiles(root: string, folder: RelativePath): RelativePath[] {
  const found = CODE_FOLDERS.flatMap((name) => walk(root, `${folder}/${name}`));
  const absolute = path.join(root, folder);
  if (!fs.existsSync(absolute)) return found;
  for (const item of fs.readdirSync(absolute, { withFileTypes: true })) {
    if (item.isFile() && CODE_FILE.test(item.name)) found.push(`${folder}/${item.name}`);
  }
  return found.sort();
}

/** Folders directly below `libs/` and `apps/` that carry a package.json. */
export function packageFolders(root: string): RelativePath[] {
  return ['libs', 'apps'].flatMap((group) => {
    const absolute = path.join(root, group);
    if (!fs.existsSync(absolute)) return [];
    return fs
      .readdirSync(absolute, { withFileTypes: true })
      .filter((item) => item.isDirectory() && fs.existsSync(path.join(absolute, item.name, 'package.json')))
      .map((item) => `${group}/${item.name}`)
      .sort();
  });
}

/** UTF-8 text of a file named relative to the root. */
export function readText(root: string, file: RelativePath): string {
  return fs.readFileSync(path.join(root, file), 'utf8');
}
