/**
 * Policies in files that are refused, each with its pinned code, through the bundle: no ledger, no model. GOALS E02.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Bundle, buildBundle } from './cli.ts';
import { makePlace, type Place } from './place.ts';

const TIME_MS = 120_000;
let bundle: Bundle;
let place: Place;
beforeAll(async () => {
  bundle = await buildBundle();
  place = makePlace();
}, TIME_MS);
afterAll(() => {
  place.remove();
  bundle.remove();
});

const SOUND = `version: 1
name: sound
rules:
  - id: one
    when: {field: arguments.n, op: eq, value: 1}
    decide: deny
    because: a test
    examples: {match: [{arguments: {n: 1}}], noMatch: [{arguments: {n: 2}}]}
`;
const BOMB = [
  'a: &a [x, x, x, x, x, x, x, x, x, x]',
  ...[...'bcdefghij'].map((name, at) => `${name}: &${name} [${`*${'abcdefghi'[at] ?? 'a'}, `.repeat(10)}x]`),
];

test(
  'a policy file is refused with the code of what is wrong with it, and the sound one beside it is taken',
  async () => {
    const wrong: Readonly<Record<string, readonly [text: string, code: string]>> = {
      'operator.yaml': [SOUND.replace('op: eq', 'op: matches'), 'policy.unknownOperator'],
      'type.yaml': [SOUND.replace('op: eq, value: 1', 'op: lt, value: [1]'), 'policy.value'],
      'float.yaml': [SOUND.replace('value: 1}', 'value: 1.5}'), 'policy.number'],
      'unsafe.yaml': [SOUND.replace('value: 1}', 'value: 9007199254740993}'), 'config.number'],
      'deep.yaml': [
        SOUND.replace(
          '{field: arguments.n, op: eq, value: 1}',
          `${'{not: '.repeat(55)}{field: arguments.n, op: eq, value: 1}${'}'.repeat(55)}`,
        ),
        'policy.tooDeep',
      ],
      'deeper.yaml': [SOUND.replace('value: 1}', `value: ${'['.repeat(200)}${']'.repeat(200)}}`), 'config.syntax'],
      'large.yaml': [`${SOUND}# ${'x'.repeat(10 * 1024 * 1024)}\n`, 'config.tooLarge'],
      'long.yaml': [`${SOUND}# ${'x'.repeat(2 * 1024 * 1024)}\n`, 'config.tooLarge'],
      'twice.yaml': [SOUND.replace('name: sound', 'name: sound\nname: other'), 'config.duplicateKey'],
      'anchor.yaml': [SOUND.replace('because: a test', 'because: &b a test'), 'config.alias'],
      'bomb.yaml': [`${BOMB.join('\n')}\n`, 'config.alias'],
      'tag.yaml': [SOUND.replace('because: a test', 'because: !!str a test'), 'config.tag'],
      'member.yaml': [SOUND.replace('decide: deny', 'decide: deny\n    priority: 1'), 'policy.unknownKey'],
      'claim.yaml': [SOUND.replace('field: arguments.n', 'field: intent.claims.claimedRisk'), 'policy.claim'],
      'example.yaml': [SOUND.replace('match: [{arguments: {n: 1}}]', 'match: [{arguments: {n: 3}}]'), 'policy.example'],
    };
    place.write('sound.yaml', SOUND);
    for (const [name, [text]] of Object.entries(wrong)) place.write(name, text);
    const ended = await bundle.run(['policy', 'check', 'sound.yaml', ...Object.keys(wrong), '--json'], { cwd: place.root, env: place.env });
    expect(ended.exit).toBe(2);
    const { files } = JSON.parse(ended.stdout) as {
      files: readonly { file: string; problems: readonly { code: string; line: number }[] }[];
    };
    const found = files.map(({ file, problems }) => [file, [...new Set(problems.map(({ code }) => code))]]);
    expect(found).toEqual([['sound.yaml', []], ...Object.entries(wrong).map(([name, [, code]]) => [name, expect.arrayContaining([code])])]);
    // What is printed stays small, whatever was given.
    expect(ended.stdout.length).toBeLessThan(64 * 1024);
    const unsigned = await bundle.run(['policy', 'check', 'none.yaml', '--json'], { cwd: place.root, env: place.env });
    expect(JSON.parse(unsigned.stdout)).toMatchObject({ files: [{ problems: [{ code: 'config.unreadable' }] }] });
  },
  TIME_MS,
);
