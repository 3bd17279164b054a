/**
 * Builds the verifier: dist/openexec-verify.mjs for Node and dist/verify.html for a browser, each one file that needs no other. Refuses when either
 * grows beyond its limit, or reaches for anything above the floors it may use.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const MAX_BYTES = 300 * 1024;
const ALLOWED = /^(?:libs\/(?:canon|proof|ledger|verify)\/src\/|apps\/verifier\/src\/|node_modules\/@noble\/)/;
const here = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const house = path.resolve(here, '../..');
const outdir = path.resolve(process.argv[2] ?? path.join(here, 'dist'));
const { version } = JSON.parse(fs.readFileSync(path.join(here, 'package.json'), 'utf8'));
const source = (name) => path.join(here, 'src', name);
const common = {
  bundle: true,
  write: false,
  metafile: true,
  minify: true,
  format: 'esm',
  treeShaking: true,
  legalComments: 'none',
  logLevel: 'warning',
  absWorkingDir: house,
};

/** The text of one bundle; throws when it holds what it may not. */
async function textOf(options) {
  const { outputFiles, metafile } = await build({ ...common, ...options });
  const foreign = Object.keys(metafile.inputs).filter((input) => !ALLOWED.test(input));
  if (foreign.length > 0) throw new Error(`the verifier must not hold ${foreign.join(', ')}`);
  return outputFiles[0].text;
}

/** What a content security policy calls exactly this text. */
const hashOf = (text) => `sha256-${createHash('sha256').update(text).digest('base64')}`;

function put(name, text) {
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_BYTES) throw new Error(`${name} has ${bytes} bytes; the limit is ${MAX_BYTES}`);
  fs.writeFileSync(path.join(outdir, name), text);
}

fs.rmSync(outdir, { recursive: true, force: true });
fs.mkdirSync(outdir, { recursive: true });
const program = await textOf({
  entryPoints: [source('main.ts')],
  platform: 'node',
  target: 'node20.19',
  conditions: ['@openexec/source', 'node'],
  define: { OPENEXEC_VERSION: JSON.stringify(version) },
  banner: { js: '#!/usr/bin/env node' },
});
put('openexec-verify.mjs', program);
fs.chmodSync(path.join(outdir, 'openexec-verify.mjs'), 0o755);

// Without the condition `node`, hashes and signatures come from the portable side.
const script = await textOf({ entryPoints: [source('page.ts')], platform: 'browser', target: 'es2022', conditions: ['@openexec/source'] });
if (/<\/script|<!--/i.test(script)) throw new Error('the script would end its own element');
const style = fs.readFileSync(source('page.css'), 'utf8');
const parts = { SCRIPT: hashOf(script), STYLE: hashOf(style), CSS: style, JS: script };
put(
  'verify.html',
  fs.readFileSync(source('page.html'), 'utf8').replace(/@@([A-Z]+)@@/g, (_, name) => parts[name]),
);
