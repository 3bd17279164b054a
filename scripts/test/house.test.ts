/**
 * The house check against planted violations: each rule has one, each must be refused by that rule's name, and the lawful workspace must pass.
 * All workspaces are checked by one process, since starting the tools costs more than the checking.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { build, edited, type Files, houseWith, packages } from './toy-house.ts';

interface Report {
  readonly modules: number;
  readonly edges: number;
  readonly findings: readonly { readonly rule: string; readonly where: string; readonly message: string }[];
}

const root = path.resolve(path.dirname(new URL(import.meta.url).pathname), '../..');

const index = (text: string): string => `import { one } from '@toy/ground';\n\n${text}\nexport const two = one;\n`;

/** Title, the rule that must refuse, the place it must name, and the change that plants the violation. */
const planted: readonly (readonly [string, string, string, Files])[] = [
  [
    'an upward import',
    'floor',
    'libs/ground/src/one.ts',
    { 'libs/ground/src/one.ts': "import { Hands } from '@toy/hands';\n\nexport const one = Hands;\n" },
  ],
  [
    'an upward import of a type only',
    'floor',
    'libs/ground/src/one.ts',
    { 'libs/ground/src/one.ts': "import type { Store } from '@toy/record';\n\nexport const one: Store | 1 = 1;\n" },
  ],
  [
    'an upward re-export of a type',
    'floor',
    'libs/ground/src/one.ts',
    { 'libs/ground/src/one.ts': "export type { Store } from '@toy/record';\nexport const one = 1;\n" },
  ],
  [
    'an upward import inside a type',
    'floor',
    'libs/ground/src/one.ts',
    { 'libs/ground/src/one.ts': "export const one: import('@toy/record').Store | 1 = 1;\n" },
  ],
  [
    'a same-floor import that is not listed',
    'floor',
    'libs/record/src/more.ts',
    { 'libs/record/src/more.ts': "export { check as more } from '@toy/check';\n" },
  ],
  [
    'an import of an aside package',
    'floor',
    'apps/app/src/more.ts',
    { 'apps/app/src/more.ts': "export { helper as more } from '@toy/helper';\n" },
  ],
  [
    'an import cycle',
    'cycle',
    'libs/ground/src/',
    {
      'libs/ground/src/one.ts': "import { two } from './two.ts';\n\nexport const one = two;\n",
      'libs/ground/src/two.ts': "import { one } from './one.ts';\n\nexport const two = one;\n",
    },
  ],
  [
    'a deep import by a path',
    'deep-import',
    'libs/check/src/more.ts',
    { 'libs/check/src/more.ts': "export { storeContract as more } from '../../record/src/store.ts';\n" },
  ],
  [
    'a deep import by a name',
    'deep-import',
    'libs/check/src/more.ts',
    { 'libs/check/src/more.ts': "export { storeContract as more } from '@toy/record/src/store.ts';\n" },
  ],
  [
    'a relative path out of the package',
    'relative',
    'libs/check/src/more.ts',
    { 'libs/check/src/more.ts': "export { storeContract as more } from '../../record/src/index.ts';\n" },
  ],
  [
    'a Node module on a pure floor',
    'pure',
    'libs/ground/src/one.ts',
    { 'libs/ground/src/one.ts': "import { sep } from 'node:path';\n\nexport const one = sep;\n" },
  ],
  [
    'a Node module without its prefix on a pure floor',
    'pure',
    'libs/ground/src/one.ts',
    { 'libs/ground/src/one.ts': "import { sep } from 'path';\n\nexport const one = sep;\n" },
  ],
  [
    'another Node module in the exempt file',
    'pure',
    'libs/ground/src/crypto/node.ts',
    { 'libs/ground/src/crypto/node.ts': "export { readFileSync } from 'node:fs';\n" },
  ],
  [
    'an outside package used by a non-owner',
    'owner',
    'libs/check/src/more.ts',
    { 'libs/check/src/more.ts': "export { shape as more } from 'shapes';\n" },
  ],
  [
    'an outside package that nobody owns',
    'owner',
    'libs/check/src/more.ts',
    { 'libs/check/src/more.ts': "export { shape as more } from 'stranger';\n" },
  ],
  [
    'an outside package in a test that is no test tool',
    'owner',
    'libs/hands/test/more.test.ts',
    { 'libs/hands/test/more.test.ts': "import { shape } from 'stranger';\n\nexport const more = shape;\n" },
  ],
  [
    'a source that imports a test',
    'test-in-source',
    'libs/check/src/more.ts',
    {
      'libs/check/src/more.ts': "export { help as more } from '../test/help.ts';\n",
      'libs/check/test/help.ts': 'export const help = 1;\n',
    },
  ],
  [
    'an import that leads nowhere',
    'unresolved',
    'libs/check/src/more.ts',
    { 'libs/check/src/more.ts': "export { x as more } from './absent.ts';\n" },
  ],
  ['a wildcard export', 'wildcard', 'libs/ground/src/index.ts', { 'libs/ground/src/index.ts': "export * from './one.ts';\n" }],
  [
    'a package that imports its own front door',
    'own-index',
    'libs/ground/src/two.ts',
    { 'libs/ground/src/two.ts': "import { one } from './index.ts';\n\nexport const two = one;\n" },
  ],
  [
    'a door for tests that ships',
    'test-door',
    'libs/ground/src/two.ts',
    {
      'libs/ground/src/testServer.ts': 'export const served = 1;\n',
      'libs/ground/src/two.ts': "import { served } from './testServer.ts';\n\nexport const two = served;\n",
    },
  ],
  ['a sibling that package.json does not name', 'manifest', 'libs/check/package.json', { 'libs/check/src/more.ts': index('') }],
  [
    'a dependency that nothing imports',
    'manifest',
    'libs/ground/package.json',
    edited('libs/ground/package.json', '"dependencies": {}', '"dependencies": { "shapes": "1.0.0" }'),
  ],
  [
    'a sibling named with a range',
    'manifest',
    'libs/check/package.json',
    edited('libs/check/package.json', '"@toy/record": "1.0.0"', '"@toy/record": "^1.0.0"'),
  ],
  [
    'an app that ships what is bundled',
    'manifest',
    'apps/app/package.json',
    edited('apps/app/package.json', '"native": "^1.0.0"', '"native": "^1.0.0", "@toy/hands": "1.0.0"'),
  ],
  [
    'a second door',
    'door',
    'libs/ground/package.json',
    edited('libs/ground/package.json', '"./dist/index.js"\n    }', '"./dist/index.js"\n    },\n    "./one": "./src/one.ts"'),
  ],
  [
    'a reference that no import needs',
    'references',
    'libs/check/tsconfig.json',
    edited('libs/check/tsconfig.json', '"path": "../../libs/record"', '"path": "../../libs/record" }, { "path": "../../libs/ground"'),
  ],
  ['a sibling without a reference', 'references', 'libs/check/tsconfig.json', { 'libs/check/tsconfig.json': '{ "references": [] }\n' }],
  [
    'a package that the root does not reference',
    'references',
    'tsconfig.json',
    edited('tsconfig.json', '"path": "libs/check"', '"path": "libs/ground"'),
  ],
  [
    'a pure package outside the pure pass',
    'pure-pass',
    'scripts/tsconfig.pure.json',
    edited('scripts/tsconfig.pure.json', '"../libs/check/src"', '"../libs/hands/src"'),
  ],
  [
    'a package on disk that the list does not name',
    'rooms',
    'scripts/house.json',
    { 'libs/stray/package.json': '{ "name": "@toy/stray" }\n' },
  ],
  [
    'a listed package that is not on disk',
    'rooms',
    'scripts/house.json',
    { 'scripts/house.json': houseWith({ packages: { ...packages, ghost: { folder: 'libs/ghost', floor: 3 } } }) },
  ],
  ['a package with an empty front door only', 'empty', 'libs/helper', { 'libs/helper/src/index.ts': 'export {};\n' }],
  ['an adapter without its contract suite', 'port', 'hands/test', { 'libs/hands/test/hands.test.ts': null }],
  [
    'an adapter that imports the suite and never calls it',
    'port',
    'hands/test',
    edited('libs/hands/test/hands.test.ts', 'storeContract(() => new Hands())', 'storeContract'),
  ],
  ['a suite that its home does not export', 'port', 'libs/record/src/index.ts', edited('libs/record/src/index.ts', ', storeContract', '')],
  [
    'an adapter that the table does not name',
    'port',
    'helper',
    {
      'libs/helper/src/index.ts':
        "import type { Store } from '@toy/record';\nimport { Hands } from '@toy/hands';\n\nexport class Helper implements Store {\n  size(): number {\n    return new Hands().size();\n  }\n}\n",
    },
  ],
];

const roots: string[] = [];
let reports: readonly Report[] = [];

/** Checks the given workspaces in one process. */
function checkAll(folders: readonly string[]): readonly Report[] {
  const args = ['scripts/run-ts.mjs', 'scripts/house.ts', '--json', ...folders.flatMap((folder) => ['--root', folder])];
  const run = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  if (!run.stdout.startsWith('[')) throw new Error(`the house check did not answer: ${run.stderr}`);
  // The JSON is written by the script under test; every field used is compared below.
  return JSON.parse(run.stdout) as readonly Report[];
}

beforeAll(() => {
  roots.push(build(), ...planted.map(([, , , files]) => build(files)));
  reports = checkAll(roots);
});

afterAll(() => {
  for (const folder of roots) fs.rmSync(folder, { recursive: true, force: true });
});

describe('the house check', () => {
  test('passes a lawful workspace and counts what it saw', () => {
    expect(reports[0]?.findings).toEqual([]);
    expect(reports[0]?.modules).toBe(10);
    expect(reports[0]?.edges).toBe(14);
  });

  test.each(planted.map(([title, rule, where], at) => ({ title, rule, where, at })))(
    'refuses $title by the rule $rule',
    ({ rule, where, at }) => {
      const findings = reports[at + 1]?.findings ?? [];
      expect(findings.filter((one) => one.rule === rule && one.where.startsWith(where))).not.toEqual([]);
    },
  );

  // The house reads imports itself as well; these must be caught by the generated rules alone, whose messages begin with an arrow.
  test.each([
    'an upward import',
    'an upward import of a type only',
    'an import cycle',
    'a deep import by a path',
    'a Node module on a pure floor',
    'an outside package that nobody owns',
  ])('has %s refused by dependency-cruiser itself', (title) => {
    const at = planted.findIndex(([one]) => one === title);
    const findings = reports[at + 1]?.findings ?? [];
    expect(findings.filter((one) => one.rule === planted[at]?.[1] && one.message.startsWith('→ '))).not.toEqual([]);
  });

  test('accepts a second door that the list names, and imports through it', () => {
    const listed = { ...packages, ground: { ...packages.ground, doors: { './one': 'src/one.ts' } } };
    const exported =
      '"./dist/index.js"\n    },\n    "./one": { "@toy/source": "./src/one.ts", "types": "./dist/one.d.ts", "default": "./dist/one.js" }';
    const folder = build({
      'scripts/house.json': houseWith({ packages: listed }),
      ...edited('libs/ground/package.json', '"./dist/index.js"\n    }', exported),
      ...edited('libs/record/src/store.ts', "from '@toy/ground'", "from '@toy/ground/one'"),
    });
    const [report] = checkAll([folder]);
    fs.rmSync(folder, { recursive: true, force: true });
    expect(report?.findings).toEqual([]);
  });

  test('refuses a workspace in which nothing can be looked at', () => {
    const folder = build(Object.fromEntries(Object.keys(packages).flatMap((key) => [[`libs/${key}/src/index.ts`, null]])));
    for (const group of ['libs', 'apps']) fs.rmSync(path.join(folder, group), { recursive: true });
    fs.mkdirSync(path.join(folder, 'libs'));
    fs.mkdirSync(path.join(folder, 'apps'));
    const [report] = checkAll([folder]);
    fs.rmSync(folder, { recursive: true, force: true });
    expect(report?.modules).toBe(0);
    expect(report?.findings.map((one) => one.rule)).toEqual(expect.arrayContaining(['listing', 'edges', 'rooms', 'empty']));
  });

  test('refuses a list that names an unknown package', () => {
    const folder = build({ 'scripts/house.json': houseWith({ sameFloor: [['check', 'nowhere']] }) });
    expect(() => checkAll([folder])).toThrow("'nowhere' is named but is not among the packages");
    fs.rmSync(folder, { recursive: true, force: true });
  });
});
