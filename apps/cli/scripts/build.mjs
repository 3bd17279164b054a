/**
 * Builds the one thing that is ever executed: dist/openexec.mjs and dist/sdk.mjs with their common chunks, the types of the SDK, and the licences of
 * what was bundled. Must never leave a workspace sibling outside the bundle. MECHANICS part 1 "One tarball".
 */
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { noticesOf } from './notices.mjs';
import { publicTypes } from './types.mjs';

const here = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const house = path.resolve(here, '../..');
const { version } = JSON.parse(fs.readFileSync(path.join(here, 'package.json'), 'utf8'));
const outdir = path.resolve(process.argv[2] ?? path.join(here, 'dist'));

/** Our own modules do nothing when they are loaded, so a command pays only for what it uses. */
const ownModulesArePure = {
  name: 'own-modules-are-pure',
  setup(build) {
    build.onResolve({ filter: /^(\.|@openexec\/)/ }, async (args) => {
      if (args.pluginData === 'resolving' || args.kind === 'entry-point') return undefined;
      const { importer, resolveDir, kind } = args;
      const found = await build.resolve(args.path, { importer, resolveDir, kind, pluginData: 'resolving' });
      if (found.errors.length > 0 || !found.path.startsWith(path.join(house, 'libs') + path.sep)) return undefined;
      return { path: found.path, sideEffects: false };
    });
  },
};

fs.rmSync(outdir, { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: { openexec: path.join(here, 'src/main.ts'), sdk: path.join(here, 'src/sdk.ts') },
  metafile: true,
  outdir,
  outExtension: { '.js': '.mjs' },
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  conditions: ['@openexec/source', 'node'],
  external: ['better-sqlite3'],
  plugins: [ownModulesArePure],
  define: { OPENEXEC_VERSION: JSON.stringify(version) },
  // commander and openai are CommonJS in parts and call require for Node's own modules.
  banner: {
    js: "#!/usr/bin/env node\nimport { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
  logLevel: 'warning',
  legalComments: 'none',
  absWorkingDir: house,
});
fs.chmodSync(path.join(outdir, 'openexec.mjs'), 0o755);
fs.writeFileSync(path.join(outdir, 'sdk.d.ts'), publicTypes(path.join(here, 'src/sdk/public.ts')));
fs.writeFileSync(path.join(outdir, 'THIRD-PARTY-NOTICES.txt'), noticesOf(metafile, house));

// What ships beside the code: our own assets, the blueprints of the house, and what the demo works with.
const assets = path.join(outdir, 'assets');
fs.mkdirSync(assets, { recursive: true });
if (fs.existsSync(path.join(here, 'assets'))) fs.cpSync(path.join(here, 'assets'), assets, { recursive: true });
fs.cpSync(path.join(house, 'blueprints'), path.join(assets, 'blueprints'), { recursive: true });
for (const kind of ['repos', 'models']) fs.cpSync(path.join(house, 'test-fixtures', kind), path.join(assets, kind), { recursive: true });
