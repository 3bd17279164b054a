/**
 * The program that runs, by the content of its files: what one build folded or proved of itself another one, of the same version even, does not take
 * over. Must never be asked for what does not need it: every file of the bundle is read once a process.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Digest } from '@openexec/canon';

/** As many digits say which build it was; the whole name stays within the member that records it. */
const SHOWN_DIGITS = 32;
/** Declarations and maps run nothing. */
const RUNS_NOTHING = /(?:\.map|\.d\.ts)$/;
const DECLARATIONS = 'types';
const known = new Map<string, Digest>();

/** Digest over the names and contents of the files of the bundle, the shipped `assets` among them; the same for the whole life of a process. */
export function programDigest(assets: string): Digest {
  const folder = dirname(join(assets, '.'));
  const made = known.get(folder) ?? digestOfFiles(folder);
  known.set(folder, made);
  return made;
}

/** `VERSION+DIGITS`, as semantic versions name a build: what a self-test is recorded for and stands for (PROTOCOL §4.2). */
export function runtimeName(version: string, assets: string): string {
  const digits = programDigest(assets).slice('sha256:'.length, 'sha256:'.length + SHOWN_DIGITS);
  return `${version}+${digits}`;
}

function digestOfFiles(folder: string): Digest {
  const hash = createHash('sha256');
  for (const name of filesOf(folder, '')) {
    const file = createHash('sha256')
      .update(readFileSync(join(folder, name)))
      .digest('hex');
    hash.update(`${file}  ${name}\n`);
  }
  return `sha256:${hash.digest('hex')}` as Digest; // 32 bytes of SHA-256 by construction.
}

/** Names of files below the folder with `/` between their parts, in the same order in every locale. */
function filesOf(folder: string, below: string): readonly string[] {
  const items = readdirSync(join(folder, below), { withFileTypes: true });
  const names = items.flatMap((item) => {
    const name = below === '' ? item.name : `${below}/${item.name}`;
    if (item.isDirectory()) return name === DECLARATIONS ? [] : filesOf(folder, name);
    return item.isFile() && !RUNS_NOTHING.test(name) ? [name] : [];
  });
  return names.sort();
}
