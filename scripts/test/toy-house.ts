/**
 * A small lawful workspace in a temporary folder, into which tests plant one violation each. It has every kind of room that the real house has:
 * pure floors, a same-floor edge, a port with its adapter, an aside package and an app.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** Files by path below the workspace; null removes the file. */
export type Files = Readonly<Record<string, string | null>>;

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

const house = {
  scope: '@toy',
  sourceCondition: '@toy/source',
  pureUpTo: 4,
  maxPackageLines: 4000,
  packages: {
    ground: { folder: 'libs/ground', floor: 0, builtins: { 'src/crypto/node.ts': ['crypto'] } },
    record: { folder: 'libs/record', floor: 2 },
    check: { folder: 'libs/check', floor: 2 },
    hands: { folder: 'libs/hands', floor: 5 },
    helper: { folder: 'libs/helper', floor: 7, aside: true },
    app: { folder: 'apps/app', name: 'toy', floor: 8, app: true, shipped: ['native'] },
  },
  sameFloor: [['check', 'record']],
  outside: { shapes: ['record'], native: ['hands'] },
  testTools: ['@jest/globals'],
  ports: { Store: { home: 'record', suite: 'storeContract', from: '@toy/record', adapters: ['hands'] } },
};

/** package.json and tsconfig.json of one toy package. */
function room(
  folder: string,
  name: string,
  needs: Readonly<Record<string, string>>,
  needsDev: Readonly<Record<string, string>> = {},
): Files {
  const siblings = Object.entries({ ...needs, ...needsDev }).filter(([need]) => need.startsWith('@toy/'));
  return {
    [`${folder}/package.json`]: json({
      name,
      version: '1.0.0',
      type: 'module',
      exports: { '.': { '@toy/source': './src/index.ts', types: './dist/index.d.ts', default: './dist/index.js' } },
      dependencies: needs,
      devDependencies: needsDev,
    }),
    [`${folder}/tsconfig.json`]: json({ references: siblings.map(([need]) => ({ path: `../../libs/${need.slice('@toy/'.length)}` })) }),
  };
}

const outsidePackage = (name: string): Files => ({
  [`node_modules/${name}/package.json`]: json({ name, version: '1.0.0', type: 'module', exports: './index.js' }),
  [`node_modules/${name}/index.js`]: 'export const shape = 1;\n',
});

/** The lawful toy. */
const toy: Files = {
  'scripts/house.json': json(house),
  'scripts/tsconfig.pure.json': json({
    include: ['../libs/ground/src', '../libs/record/src', '../libs/check/src'],
    exclude: ['../libs/ground/src/crypto/node.ts'],
  }),
  'package.json': json({
    name: 'toy-house',
    type: 'module',
    workspaces: ['libs/*', 'apps/*'],
    devDependencies: { '@jest/globals': '1.0.0' },
  }),
  'tsconfig.json': json({ references: Object.values(house.packages).map((one) => ({ path: one.folder })) }),
  ...outsidePackage('shapes'),
  ...outsidePackage('native'),
  ...outsidePackage('stranger'),
  ...outsidePackage('@jest/globals'),
  ...room('libs/ground', '@toy/ground', {}),
  'libs/ground/src/index.ts': "export { one } from './one.ts';\n",
  'libs/ground/src/one.ts': 'export const one = 1;\n',
  'libs/ground/src/crypto/node.ts': "import { hash } from 'node:crypto';\n\nexport const digest = hash;\n",
  ...room('libs/record', '@toy/record', { '@toy/ground': '1.0.0', shapes: '1.0.0' }),
  'libs/record/src/index.ts': "export { type Store, storeContract } from './store.ts';\n",
  'libs/record/src/store.ts':
    "import { one } from '@toy/ground';\nimport { shape } from 'shapes';\n\nexport interface Store {\n  size(): number;\n}\nexport function storeContract(make: () => Store): boolean {\n  return make().size() === one + shape;\n}\n",
  ...room('libs/check', '@toy/check', { '@toy/record': '1.0.0' }),
  'libs/check/src/index.ts': "import type { Store } from '@toy/record';\n\nexport const check = (store: Store): number => store.size();\n",
  ...room('libs/hands', '@toy/hands', { '@toy/record': '1.0.0', native: '1.0.0' }),
  'libs/hands/src/index.ts':
    "import { readFileSync } from 'node:fs';\nimport type { Store } from '@toy/record';\nimport { shape } from 'native';\n\nexport class Hands implements Store {\n  size(): number {\n    return readFileSync('x').length + shape;\n  }\n}\n",
  'libs/hands/test/hands.test.ts':
    "import { test } from '@jest/globals';\nimport { Hands } from '@toy/hands';\nimport { storeContract } from '@toy/record';\n\ntest('keeps the contract', () => void storeContract(() => new Hands()));\n",
  ...room('libs/helper', '@toy/helper', { '@toy/hands': '1.0.0' }),
  'libs/helper/src/index.ts': "import { Hands } from '@toy/hands';\n\nexport const helper = new Hands();\n",
  ...room('apps/app', 'toy', { native: '^1.0.0' }, { '@toy/hands': '1.0.0' }),
  'apps/app/src/main.ts': "import { Hands } from '@toy/hands';\n\nconst hands = new Hands();\nhands.size();\n",
};

/** Writes the toy with `changes` over it into a fresh folder and returns the folder. */
export function build(changes: Files = {}): string {
  const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'toy-house-')));
  for (const [file, text] of Object.entries({ ...toy, ...changes })) {
    if (text === null) continue;
    fs.mkdirSync(path.join(root, path.dirname(file)), { recursive: true });
    fs.writeFileSync(path.join(root, file), text);
  }
  fs.mkdirSync(path.join(root, 'node_modules/@toy'), { recursive: true });
  for (const key of ['ground', 'record', 'check', 'hands', 'helper']) {
    if (fs.existsSync(path.join(root, 'libs', key))) fs.symlinkSync(`../../libs/${key}`, path.join(root, 'node_modules/@toy', key));
  }
  return root;
}

/** house.json of the toy with some top-level keys replaced. */
export function houseWith(changes: Readonly<Record<string, unknown>>): string {
  return json({ ...house, ...changes });
}

/** The toy's text of one file with a piece replaced; the piece must be there. */
export function edited(file: string, from: string, to: string): Files {
  const before = toy[file];
  if (typeof before !== 'string' || !before.includes(from)) throw new Error(`the toy has no '${from}' in ${file}`);
  return { [file]: before.replace(from, to) };
}

/** The toy's packages, for tests that change the list. */
export const packages = house.packages;
