/**
 * The licences of the packages whose code is in the bundle, by what esbuild says it took. Must never pass over a package without a licence text.
 */
import fs from 'node:fs';
import path from 'node:path';

const README = /^readme(\.md)?$/i;
const HEADING = /^#+ licen[cs]e\s*$/im;
const TEXT = /^(licen[cs]e|copying)([.-].*)?$/i;

/** Folders of the packages that files of the bundle come from, sorted; only what really went into an output counts. */
function packagesOf(metafile) {
  const taken = Object.values(metafile.outputs).flatMap(({ inputs }) =>
    Object.entries(inputs).flatMap(([file, { bytesInOutput }]) => (bytesInOutput > 0 ? [file] : [])),
  );
  const folders = taken.flatMap((file) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []);
  return [...new Set(folders)].sort();
}

/** The licence file of a package, else the section of that name in its README where it holds a copyright and the terms; null where there is neither. */
function textIn(folder) {
  const names = fs.readdirSync(folder);
  const read = (name) => fs.readFileSync(path.join(folder, name), 'utf8').replace(/\r\n/g, '\n').trim();
  const file = names.find((one) => TEXT.test(one));
  if (file !== undefined) return read(file);
  const readme = names.find((one) => README.test(one));
  const [, section = ''] = readme === undefined ? [] : read(readme).split(HEADING);
  return /copyright/i.test(section) && /permission is hereby granted/i.test(section) ? section.trim() : null;
}

/** The Apache License reads the same for everybody, unlike others that name their owner in the text: who ships none is handed on with the house's copy. */
function standardText(license, author, root) {
  const own = path.join(root, 'LICENSE');
  if (license !== 'Apache-2.0' || author === '' || !fs.existsSync(own)) return null;
  const text = fs.readFileSync(own, 'utf8');
  return /Apache License\s+Version 2\.0, January 2004/.test(text) ? `Copyright ${author}\n\n${text.trim()}` : null;
}

/** The text of THIRD-PARTY-NOTICES for a metafile whose paths are relative to `root`. Throws for a package that says nothing of its licence. */
export function noticesOf(metafile, root) {
  const parts = packagesOf(metafile).map((folder) => {
    const at = path.join(root, folder);
    const { name, version, license, author } = JSON.parse(fs.readFileSync(path.join(at, 'package.json'), 'utf8'));
    const text = textIn(at) ?? standardText(license, typeof author === 'string' ? author : (author?.name ?? ''), root);
    if (typeof license !== 'string' || text === null) throw new Error(`${folder} is bundled, but has no licence text to hand on`);
    return `${name} ${version} (${license})\n\n${text}\n`;
  });
  if (parts.length === 0) throw new Error('the bundle holds no package at all, which cannot be');
  const rule = `\n${'-'.repeat(80)}\n\n`;
  return `openexec contains code of these packages.\n${rule}${parts.join(rule)}`;
}
