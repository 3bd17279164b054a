/**
 * What the build adds to the bundle: licences of what was taken, and types that stand by themselves; each refuses what it must not pass over.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { noticesOf } from '../../apps/cli/scripts/notices.mjs';
import { publicTypes } from '../../apps/cli/scripts/types.mjs';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'openexec-bundle-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function put(name: string, manifest: object, licence: string | null): void {
  mkdirSync(join(folder, 'node_modules', name), { recursive: true });
  writeFileSync(join(folder, 'node_modules', name, 'package.json'), JSON.stringify(manifest));
  if (licence !== null) writeFileSync(join(folder, 'node_modules', name, 'LICENSE.md'), licence);
}
const metafile = (...files: readonly (readonly [string, number])[]) => ({
  outputs: { 'a.mjs': { inputs: Object.fromEntries(files.map(([file, bytesInOutput]) => [file, { bytesInOutput }])) } },
});

describe('the notices', () => {
  test('hold each package that went in, once, and none that was dropped', () => {
    put('@a/b', { name: '@a/b', version: '1.2.3', license: 'MIT' }, 'Do as you like.');
    put('c', { name: 'c', version: '2.0.0', license: 'ISC' }, 'Do that too.');
    const files = [
      ['node_modules/@a/b/x.js', 5],
      ['node_modules/@a/b/y.js', 5],
      ['node_modules/c/z.js', 0],
      ['libs/own.ts', 9],
    ] as const;
    const text = noticesOf(metafile(...files), folder);
    expect(text.match(/^@a\/b 1\.2\.3 \(MIT\)\n\nDo as you like\.$/gm)).toHaveLength(1);
    expect(text).not.toContain('2.0.0');
  });

  test('are refused where a package says nothing of its licence, and where nothing was bundled', () => {
    put('c', { name: 'c', version: '2.0.0', license: 'ISC' }, null);
    expect(() => noticesOf(metafile(['node_modules/c/z.js', 1]), folder)).toThrow('node_modules/c is bundled, but has no licence text');
    expect(() => noticesOf(metafile(['libs/own.ts', 9]), folder)).toThrow('no package at all');
  });
});

describe('the types of the package', () => {
  const types = (text: string): string => {
    writeFileSync(join(folder, 'public.ts'), text);
    return publicTypes(join(folder, 'public.ts'));
  };

  test('are the text of declarations', () => {
    const text = '/** What it is. */\nexport interface A {\n  readonly a: string;\n}\n\nexport declare function f(a: A): void;\n';
    expect(types(text)).toBe(text);
  });

  test.each([
    ["import type { A } from './a.ts';\n", 1],
    ["export type { A } from './a.ts';\n", 1],
    ['export interface A {\n  b: import("b").B;\n}\n', 2],
    ['export const a = 1;\n', 1],
    ['\nconsole.log(1);\n', 2],
  ])('that need another file or hold a value are refused by line: %j', (text, line) => {
    expect(() => types(text)).toThrow(`public.ts:${line} `);
  });
});
