/**
 * The gate of the attack list: every row has a test or says why not, every test that names a row is in the table, every probe has its row, and nothing
 * is skipped. A row without a test fails here.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { ATTACK_ROWS } from './attackTable.ts';
import { ATTACKS } from './attacks.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));
/** The rows of the security design whose tests belong to the project. */
const GIVEN = [...span(1, 24), ...span(31, 40), ...span(49, 60), ...span(69, 74), ...span(83, 85), 'A88', 'A110', 'A120'];
function span(from: number, to: number): readonly string[] {
  return Array.from({ length: to - from + 1 }, (_, index) => `A${String(from + index).padStart(2, '0')}`);
}
const sources = new Map(
  readdirSync(HERE, { encoding: 'utf8', recursive: true })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => [file, readFileSync(`${HERE}${file}`, 'utf8')]),
);
/** Titles of tests and groups in a file: the first text given to test, to describe, or to what their each answers. */
const titles = (source: string): readonly string[] => [
  ...new Set(
    [...source.matchAll(/(?:\b(?:test|describe)|\)\)|\]\))\(\s*(['`])((?:\\.|(?!\1)[^\\])*)\1/g)].map(([, , title = '']) => title),
  ),
];

/** What the probes run, and the Debian package that brings it. Without one of them a probe proves nothing, so it is missed here by name. */
const NEEDED: Readonly<Record<string, string>> = {
  bwrap: 'bubblewrap',
  perl: 'perl',
  script: 'bsdutils',
  unshare: 'util-linux',
  setsid: 'util-linux',
  git: 'git',
  mkfifo: 'coreutils',
};

describe('the attack list', () => {
  test('every program that its probes use is on this machine', () => {
    const missing = Object.entries(NEEDED).filter(([program]) => !existsSync(`/usr/bin/${program}`) && !existsSync(`/bin/${program}`));
    expect(missing.map(([program, name]) => `${program} is missing: apt-get install ${name}`)).toEqual([]);
  });
  test('has every given row once, in order, and each says exactly one of: probe, tests, absent', () => {
    expect(ATTACK_ROWS.map((row) => row.id)).toEqual(GIVEN);
    for (const { id, probe, tests, absent } of ATTACK_ROWS)
      expect([id, [probe, tests, absent].filter((member) => member !== undefined).length, tests?.length !== 0, absent !== '']).toEqual([
        id,
        1,
        true,
        true,
      ]);
  });
  test('what has no test yet is exactly this', () => {
    expect(ATTACK_ROWS.filter((row) => row.absent !== undefined).map((row) => row.id)).toEqual(['A39', 'A40']);
  });
  test('every probe of the table is run, and every probe that is run is in the table', () => {
    expect(ATTACKS.map((attack) => attack.id)).toEqual(ATTACK_ROWS.filter((row) => row.probe === true).map((row) => row.id));
  });
  test.each(ATTACK_ROWS.flatMap(({ id, tests = [] }) => tests.map(({ file, title }) => [id, file, title] as const)))(
    '%s is proven in %s: %s',
    (_, file, title) => {
      expect(titles(sources.get(file) ?? readFileSync(`${HERE}${file}`, 'utf8')).filter((each) => each.includes(title))).toHaveLength(1);
    },
  );
  test('no test names a row that the table does not have, and none of these files skips', () => {
    const named = [...sources]
      .filter(([file]) => !file.startsWith('attackTable'))
      .flatMap(([, source]) => titles(source).flatMap((title) => title.match(/\bA\d{2,3}\b/g) ?? []));
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter((id) => !GIVEN.includes(id))).toEqual([]);
    for (const [file, source] of sources)
      expect([file, /\b(?:test|describe|it)\.(?:skip|todo|only)\b|\bx(?:test|it|describe)\(/.test(source)]).toEqual([file, false]);
  });
});
