/**
 * The outside tools against planted violations under the house's own configuration files: if a setting is lost, a test here fails.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

const root = path.resolve(path.dirname(new URL(import.meta.url).pathname), '../..');
let folder = '';

// Outside the repository, whose ignore files would hide the samples; the link lets the tools find their packages.
beforeEach(() => {
  folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'planted-')));
  fs.symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
});
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

function plant(name: string, text: string): void {
  fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
  fs.writeFileSync(path.join(folder, name), text);
}

function run(bin: string, args: readonly string[], cwd = folder): { status: number | null; text: string } {
  const child = spawnSync(process.execPath, [path.join(root, 'node_modules', bin), ...args], { cwd, encoding: 'utf8' });
  return { status: child.status, text: `${child.stdout}${child.stderr}` };
}

describe('oxlint with types', () => {
  const lint = (text: string): { status: number | null; text: string } => {
    plant('.oxlintrc.json', fs.readFileSync(path.join(root, '.oxlintrc.json'), 'utf8'));
    plant('tsconfig.json', JSON.stringify({ extends: path.join(root, 'tsconfig.base.json'), include: ['*.ts'] }));
    plant('other.ts', 'export const save = async (): Promise<void> => {};\n');
    plant('sample.test.ts', text);
    return run('oxlint/bin/oxlint', ['--type-aware', '-c', '.oxlintrc.json', '-f', 'unix', 'sample.test.ts', 'other.ts']);
  };

  test('accepts a lawful sample', () => {
    expect(lint("import { save } from './other.ts';\n\nawait save();\n")).toMatchObject({ status: 0 });
  });

  test.each([
    ['a promise that nobody awaits', 'no-floating-promises', 'save();\n'],
    ['a promise thrown away with void', 'no-floating-promises', 'void save();\n'],
    ['a promise where a condition is meant', 'no-misused-promises', 'if (save()) throw new Error();\n'],
    [
      'a switch that forgets a case',
      'switch-exhaustiveness-check',
      "export const f = (x: 'a' | 'b'): void => {\n  switch (x) {\n    case 'a':\n      break;\n  }\n};\nawait save();\n",
    ],
    ['any', 'no-explicit-any', 'export const f = (x: any): unknown => x;\nawait save();\n'],
    ['a test that runs alone', 'no-focused-tests', "test.only('x', save);\n"],
  ])('refuses %s', (_title, rule, text) => {
    const outcome = lint(`import { save } from './other.ts';\n\n${text}`);
    expect(outcome.status).not.toBe(0);
    expect(outcome.text).toContain(rule);
  });
});

describe('the pure pass', () => {
  const check = (text: string): { status: number | null; text: string } => {
    plant('sample.ts', text);
    plant(
      'tsconfig.json',
      JSON.stringify({
        extends: path.join(root, 'scripts/tsconfig.pure.json'),
        compilerOptions: { rootDir: '.' },
        include: ['sample.ts'],
        exclude: [],
      }),
    );
    return run('typescript/bin/tsc', ['-p', 'tsconfig.json', '--pretty', 'false']);
  };

  test('accepts plain computation', () => {
    expect(check('export const sum = (a: readonly number[]): number => a.reduce((x, y) => x + y, 0);\n')).toEqual({ status: 0, text: '' });
  });

  test.each([
    ['process', 'export const x = process.env;\n'],
    ['fetch', "export const x = fetch('https://example.org');\n"],
    ['timers', 'setTimeout(() => {}, 1);\nexport {};\n'],
    ['console', "console.log('x');\nexport {};\n"],
    ['Buffer', "export const x = Buffer.from('x');\n"],
    ['crypto', 'export const x = crypto.randomUUID();\n'],
    ['URL', "export const x = new URL('x:');\n"],
    ['TextEncoder', 'export const x = new TextEncoder();\n'],
    ['require', "export const x = require('x');\n"],
    ['a Node module', "import { sep } from 'node:path';\n\nexport const x = sep;\n"],
  ])('refuses %s', (_title, text) => {
    const outcome = check(text);
    expect(outcome.status).not.toBe(0);
    expect(outcome.text).toMatch(/sample\.ts\(\d+,\d+\): error TS2/);
  });

  test('takes the portable side of a condition', () => {
    plant(
      'package.json',
      JSON.stringify({ type: 'module', imports: { '#side': { '@openexec/source': { node: './node.ts', default: './noble.ts' } } } }),
    );
    plant('node.ts', "export { sep as side } from 'node:path';\n");
    plant('noble.ts', 'export const side = 1;\n');
    expect(check("import { side } from '#side';\n\nexport const x: 1 = side;\n")).toEqual({ status: 0, text: '' });
  });
});

describe('knip', () => {
  test('reports an unused file, an unused export and an unused dependency under the configuration of the house', () => {
    plant('package.json', JSON.stringify({ name: 'planted', type: 'module', workspaces: ['libs/*'] }));
    plant('knip.json', fs.readFileSync(path.join(root, 'knip.json'), 'utf8'));
    plant('tsconfig.json', '{}');
    plant(
      'libs/a/package.json',
      JSON.stringify({
        name: '@openexec/a',
        type: 'module',
        exports: { '.': { '@openexec/source': './src/index.ts' } },
        dependencies: { yaml: '2.9.1' },
      }),
    );
    plant('libs/a/src/index.ts', "export { used } from './used.ts';\n");
    plant('libs/a/src/used.ts', 'export const used = 1;\nexport const spare = 2;\n');
    plant('libs/a/src/dead.ts', 'export const dead = 1;\n');
    const outcome = run('knip/bin/knip.js', ['--reporter', 'compact']);
    expect(outcome.status).not.toBe(0);
    for (const name of ['dead.ts', 'spare', 'yaml']) expect(outcome.text).toContain(name);
  });
});
