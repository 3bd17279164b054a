/**
 * The gate of the acceptance groups and weaknesses: every row once and in order, each with tests that are there and run, or a plain word of what is missing;
 * and what is missing is exactly what is known to be.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { GROUPS } from './acceptanceGroups.ts';
import { WEAKNESSES } from './weaknesses.ts';

const HOUSE = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const numbered = (letter: string, last: number): readonly string[] => Array.from({ length: last }, (_, at) => `${letter}${at + 1}`);

const texts = new Map<string, string>();
function textOf(file: string): string {
  const known = texts.get(file) ?? (existsSync(resolve(HOUSE, file)) ? readFileSync(resolve(HOUSE, file), 'utf8') : '');
  texts.set(file, known);
  return known;
}
/** Whether the title stands in the file as the beginning of a text that is given to a test, and that test is not skipped. */
function stands({ file, title }: { readonly file: string; readonly title: string }): boolean {
  const text = textOf(file);
  const at = ["'", '`', '"'].map((quote) => text.indexOf(quote + title)).find((place) => place >= 0);
  if (at === undefined) return false;
  const before = text.slice(Math.max(0, at - 4000), at).trimEnd();
  return (
    /(?:\b(?:test|verifies)(?:\.each)?\((?:\s*'E\d+',)?|\)\(|\]\)\()\s*$/.test(before.replace(/\s+/g, (gap) => gap.slice(0, 1))) &&
    !before.endsWith('.skip(')
  );
}

describe.each([
  ['acceptance groups', GROUPS, numbered('A', 27)],
  ['weaknesses', WEAKNESSES, numbered('W', 17)],
] as const)('the %s', (_, rows, ids) => {
  test('stand there once each, in order, with tests or a reason why there are none', () => {
    expect(rows.map(({ id }) => id)).toEqual(ids);
    for (const { id, what, tests, missing } of rows)
      expect([id, what !== '', tests.length > 0 || missing !== null, missing !== '']).toEqual([id, true, true, true]);
  });

  test('cite only tests that are there', () => {
    const cited = rows.flatMap(({ id, tests }) => tests.map((each) => ({ id, ...each })));
    expect(cited.length).toBeGreaterThan(rows.length);
    expect(cited.filter((each) => !stands(each))).toEqual([]);
  });
});

test('what is missing is exactly this, and nothing is without any test but what is not built at all', () => {
  expect(GROUPS.filter(({ missing }) => missing !== null).map(({ id }) => id)).toEqual(['A20', 'A26', 'A27']);
  expect(WEAKNESSES.filter(({ missing }) => missing !== null).map(({ id }) => id)).toEqual(['W4', 'W11']);
  expect([...GROUPS, ...WEAKNESSES].filter(({ tests }) => tests.length === 0).map(({ id }) => id)).toEqual(['A26']);
});

test('the gate sees a title that is not there, one in another file, and one that is only a word of a text', () => {
  const file = 'apps/cli/test/acceptanceGroups.test.ts';
  expect(stands({ file, title: 'the gate sees a title that is not there' })).toBe(true);
  expect(stands({ file, title: 'no such title' })).toBe(false);
  expect(stands({ file: 'apps/cli/test/none.test.ts', title: 'the gate sees' })).toBe(false);
  expect(stands({ file, title: 'acceptance groups' })).toBe(false);
});
