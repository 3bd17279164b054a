/**
 * A gate: every refusal that PROTOCOL §§1-3 has a code for, as the packages that keep and prove publish it, is expected by name in a test. Must fail as
 * soon as a code is published that no test makes (STYLE §10.21).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';

const HOUSE = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
/** Where codes are published. */
const PUBLISHED = [
  'libs/canon/src/errors.ts',
  'libs/proof/src/errors.ts',
  'libs/proof/src/ports.ts',
  'libs/ledger/src/errors.ts',
  'libs/ledger/src/keeper.ts',
  'libs/ledger/src/store.ts',
  'libs/verify/src/report.ts',
  'libs/stores/src/errors.ts',
  'libs/anchors/src/tileFolder.ts',
  'libs/anchors/src/rfc3161/token.ts',
  'libs/anchors/src/rfc3161/der.ts',
  'libs/anchors/src/witness/keyFile.ts',
];
/** What looks like a code there and is none: kinds of events that a comment or a list names. */
const CODE = /'([a-z][A-Za-z0-9]*\.[a-z][A-Za-z0-9]*)'/g;

const codesIn = (file: string): readonly string[] =>
  [...readFileSync(join(HOUSE, file), 'utf8').matchAll(CODE)].map(([, code = '']) => code);

function testFiles(): readonly string[] {
  return ['libs', 'apps'].flatMap((group) =>
    readdirSync(join(HOUSE, group)).flatMap((name) =>
      ['test', 'src/contract'].flatMap((folder) => {
        try {
          return readdirSync(join(HOUSE, group, name, folder), { recursive: true })
            .map(String)
            .filter((file) => file.endsWith('.ts') && !file.endsWith('codes.test.ts'))
            .map((file) => join(group, name, folder, file));
        } catch {
          // Not every package has both.
          return [];
        }
      }),
    ),
  );
}

describe('the codes of what keeps and proves', () => {
  const expected = new Set([...testFiles(), 'libs/ledger/test/codes.test.ts'].flatMap(codesIn));

  test.each(PUBLISHED)('every code of %s is expected by name in some test', (file) => {
    const codes = codesIn(file);
    expect(codes.length).toBeGreaterThan(0);
    expect(codes.filter((code) => !expected.has(code))).toEqual([]);
  });

  test('the control: a code that nothing makes is found missing', () => {
    expect(expected.has(['nobody', 'makesThis'].join('.'))).toBe(false);
    expect(PUBLISHED.flatMap(codesIn).length).toBeGreaterThan(120);
  });
});
