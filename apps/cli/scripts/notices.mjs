/**
 * The licences of the packages whose code is in the bundle, by what esbuild says it took. Must never pass over a package without a licence text.
 */
import fs from 'node:fs';
import path from 'node:path';

const TEXT = /^(licen[cs]e|copying)([.-].*)?$/i;

/** Folders of the packages that files of the bundle come from, sorted; only what really went into an output counts. */
function packagesOf(metafile) {
  const taken = Object.values(metafile.outputs).flatMap(({ inputs }) =>
    Object.entries(inputs).flatMap(([file, { bytesInOutput }]) => (bytesInOutput > 0 ? [file] : [])),
  );
  const folders = taken.flatMap((file) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []);
  return [...new Set(folders)].sort();
}

/** The text of THIRD-PARTY-NOTICES for a metafile whose paths are relative to `root`. Throws for a package that says nothing of its licence. */
export function noticesOf(metafile, root) {
  const parts = packagesOf(metafile).map((folder) => {
    const at = path.join(root, folder);
    const { name, version, license } = JSON.parse(fs.readFileSync(path.join(at, 'package.json'), 'utf8'));
    const file = fs.readdirSync(at).find((one) => TEXT.test(one));
    if (typeof license !== 'string' || file === undefined) throw new Error(`${folder} is bundled, but has no licence text to hand on`);
    const text = fs.readFileSync(path.join(at, file), 'utf8').replace(/\r\n/g, '\n').trim();
    return `${name} ${version} (${license})\n\n${text}\n`;
  });
  if (parts.length === 0) throw new Error('the bundle holds no package at all, which cannot be');
  const rule = `\n${'-'.repeat(80)}\n\n`;
  return `openexec contains code of these packages.\n${rule}${parts.join(rule)}`;
}
