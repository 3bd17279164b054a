/**
 * Makes each test file one script: the test, the house's sources that it reaches (those with mutants in place of the written ones), and, instead of
 * Jest, the harness of the worker. Outside packages stay outside. A script is evaluated anew for every mutant, so nothing leaks from one to the next.
 */
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';

const SCOPE = '@openexec/';
const JEST = '@jest/globals';
const GLOBALS = ['describe', 'test', 'it', 'expect', 'jest', 'beforeAll', 'beforeEach', 'afterAll', 'afterEach'];
const TARGET = 'node20.19';

/** Siblings and `#imports` are bundled; anything else that is not a path is left to Node. */
const outsideStaysOutside: Plugin = {
  name: 'outside-stays-outside',
  setup(builder) {
    builder.onResolve({ filter: /^[^./#]/ }, ({ kind, path: named }) =>
      kind === 'entry-point' || named.startsWith(SCOPE) || path.isAbsolute(named) ? undefined : { path: named, external: true },
    );
  },
};

const harnessForJest: Plugin = {
  name: 'harness-for-jest',
  setup(builder) {
    builder.onResolve({ filter: new RegExp(`^${JEST}$`) }, () => ({ path: JEST, namespace: 'harness' }));
    builder.onLoad({ filter: /.*/, namespace: 'harness' }, () => ({
      contents: GLOBALS.map((name) => `export const ${name} = globalThis.__mutationHarness.${name};`).join('\n'),
    }));
  },
};

/** Sources with mutants in place of those on disk; every source keeps its own address. */
function sourcesFrom(replaced: ReadonlyMap<string, string>): Plugin {
  return {
    name: 'sources',
    setup(builder) {
      builder.onLoad({ filter: /\.ts$/ }, ({ path: file }) => {
        const text = replaced.get(file) ?? fs.readFileSync(file, 'utf8');
        return { contents: text.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(file).href)), loader: 'ts' };
      });
    },
  };
}

/** Bundles the tests, named relative to the root; gives the script of each. Throws where one does not build. */
export async function bundleTests(
  root: string,
  tests: readonly string[],
  sources: ReadonlyMap<string, string>,
  into: string,
): Promise<ReadonlyMap<string, string>> {
  const scripts = new Map<string, string>();
  for (const test of tests) {
    const outfile = path.join(into, `${test.replaceAll('/', '_')}.cjs`);
    await build({
      entryPoints: [path.join(root, test)],
      outfile,
      bundle: true,
      platform: 'node',
      format: 'cjs',
      target: TARGET,
      conditions: ['@openexec/source', 'node'],
      logLevel: 'error',
      absWorkingDir: root,
      plugins: [harnessForJest, outsideStaysOutside, sourcesFrom(sources)],
    });
    scripts.set(test, outfile);
  }
  return scripts;
}

/** Bundles the worker; gives where it stands. It must lie below the root, so that outside packages are found from it. */
export async function bundleWorker(root: string, entry: string, into: string): Promise<string> {
  const outfile = path.join(into, 'worker.mjs');
  const plugins = [outsideStaysOutside];
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: TARGET,
    logLevel: 'error',
    absWorkingDir: root,
    plugins,
  });
  return outfile;
}
