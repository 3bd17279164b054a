/**
 * Layers only narrow (GOALS E20): for every key about safety and every pair of speakers, the narrower word holds whoever says it, and the wider
 * one changes nothing. Preferences go the other way: the more specific speaker wins.
 */
import { describe, expect, test } from '@jest/globals';
import {
  type Config,
  type ConfigFile,
  environmentConfig,
  type Layer,
  LAYERS,
  mergeLayers,
  originsOf,
  type Overrides,
  parseYaml,
  wordsOf,
} from '../src/index.ts';

type Speaker = (typeof LAYERS)[number] | 'environment' | 'flag';
interface Key {
  readonly key: string;
  /** Says the narrow or the wide value, or null where this speaker has no word for the key. */
  say(value: 'narrow' | 'wide', from: Speaker): ConfigFile | Overrides | null;
  readonly read: (config: Config) => unknown;
  readonly narrow: unknown;
}
const file = (more: Partial<ConfigFile>): ConfigFile => ({ version: 1, ...more });
const inFiles =
  (say: (value: 'narrow' | 'wide') => Partial<ConfigFile>): Key['say'] =>
  (value, from) =>
    from === 'flag' ? null : file(say(value));
const onlyFiles =
  (say: (value: 'narrow' | 'wide') => Partial<ConfigFile>): Key['say'] =>
  (value, from) =>
    from === 'flag' || from === 'environment' ? null : file(say(value));

const KEYS: readonly Key[] = [
  {
    key: 'budget.tokens',
    say: inFiles((v) => ({ budget: { tokens: v === 'narrow' ? 10 : 99 } })),
    read: (c) => c.budget.tokens,
    narrow: 10,
  },
  { key: 'budget.calls', say: inFiles((v) => ({ budget: { calls: v === 'narrow' ? 10 : 99 } })), read: (c) => c.budget.calls, narrow: 10 },
  {
    key: 'budget.usd',
    say: (v, from) => {
      const usd = v === 'narrow' ? 0.5 : 9;
      return from === 'flag' ? { budgetUsd: usd } : file({ budget: { usd } });
    },
    read: (c) => c.budget.usdMicros,
    narrow: 500_000,
  },
  { key: 'wall', say: inFiles((v) => ({ wall: v === 'narrow' ? 5 : 50 })), read: (c) => c.wallMs, narrow: 300_000 },
  {
    key: 'approvals',
    say: (v, from) => {
      const approvals = v === 'narrow' ? ('never' as const) : ('ask' as const);
      return from === 'flag' ? { approvals } : file({ approvals });
    },
    read: (c) => c.approvals,
    narrow: 'never',
  },
  {
    key: 'sandbox.provide',
    say: onlyFiles((v) => ({ sandbox: { provide: v === 'narrow' ? ['vendor'] : ['node_modules', 'vendor'] } })),
    read: (c) => c.provide,
    narrow: ['vendor'],
  },
  {
    key: 'paths.read',
    say: onlyFiles((v) => ({ paths: { read: v === 'narrow' ? ['src/**'] : ['**'] } })),
    read: (c) => c.readPaths,
    narrow: ['src/**'],
  },
  {
    key: 'paths.write',
    say: onlyFiles((v) => ({ paths: { write: v === 'narrow' ? ['src/a.ts'] : ['src/**'] } })),
    read: (c) => c.writePaths,
    narrow: ['src/a.ts'],
  },
  {
    key: 'models.openai.maxOutputTokens',
    say: onlyFiles((v) => ({ models: { openai: { maxOutputTokens: v === 'narrow' ? 100 : 9000 } } })),
    read: (c) => c.maxOutputTokens,
    narrow: 100,
  },
  {
    // The dearer price is the narrower word: a budget in dollars lasts shorter.
    key: 'models.openai.pricing.m',
    say: onlyFiles((v) => ({ models: { openai: { pricing: { m: v === 'narrow' ? { input: 9, output: 9 } : { input: 1, output: 1 } } } } })),
    read: (c) => c.prices.models['openai:m'],
    narrow: { inputUsdMicrosPerMillion: 9_000_000, outputUsdMicrosPerMillion: 9_000_000 },
  },
];
const SPEAKERS: readonly Speaker[] = [...LAYERS, 'environment', 'flag'];

/** What is in force when these speak, and who is named for a key. */
function inForce(words: readonly (readonly [Speaker, ConfigFile | Overrides])[]): {
  readonly config: Config;
  readonly origin: (key: string) => readonly string[];
} {
  const source = parseYaml('version: 1\n', 'config.yaml');
  if (!source.ok || source.value === null) throw new Error('no source');
  const layers: Layer[] = words.flatMap(([from, said]) =>
    from === 'flag' || from === 'environment' ? [] : [{ name: from, source: source.value, config: said as ConfigFile }],
  );
  const flags: Overrides | undefined = words.find(([from]) => from === 'flag')?.[1];
  const environment = words.find(([from]) => from === 'environment')?.[1] as ConfigFile | undefined;
  const overrides: Overrides = { ...flags, ...(environment === undefined ? {} : { environment }) };
  const config = mergeLayers(layers, overrides);
  if (!config.ok) throw new Error(config.error[0]?.message);
  const origins = originsOf(config.value, wordsOf(layers, overrides));
  return { config: config.value, origin: (key) => origins.find((each) => each.key === key)?.origin ?? [] };
}

describe.each(KEYS)('E20: $key', ({ key, say, read, narrow }) => {
  const pairs = SPEAKERS.flatMap((one) => SPEAKERS.filter((other) => other !== one).map((other) => [one, other] as const)).filter(
    ([one, other]) => say('narrow', one) !== null && say('wide', other) !== null,
  );
  test('is what the narrower says, whoever says it and whoever is wider, and its origin names the narrower', () => {
    expect(pairs.length).toBeGreaterThanOrEqual(12);
    for (const [one, other] of pairs) {
      const { config, origin } = inForce([
        [one, say('narrow', one) ?? file({})],
        [other, say('wide', other) ?? file({})],
      ]);
      expect([one, other, read(config)]).toEqual([one, other, narrow]);
      expect(origin(key)).toContain(one);
    }
  });
  test('is the wide value where only that is said: the narrow one comes from its speaker and not from nowhere', () => {
    const said = SPEAKERS.flatMap((from) => {
      const wide = say('wide', from);
      return wide === null ? [] : [read(inForce([[from, wide]]).config)];
    });
    expect(said.length).toBeGreaterThanOrEqual(4);
    expect(said).not.toContainEqual(narrow);
  });
});

test('a preference is the word of the most specific speaker', () => {
  const words = SPEAKERS.map((from) => [from, from === 'flag' ? { model: `openai:${from}` } : file({ model: `openai:${from}` })] as const);
  for (let count = words.length; count > 0; count -= 1) {
    const { config, origin } = inForce(words.slice(0, count));
    expect([config.model, config.modelFrom, origin('model')]).toEqual([
      `openai:${SPEAKERS[count - 1]}`,
      SPEAKERS[count - 1],
      [SPEAKERS[count - 1]],
    ]);
  }
  expect(inForce([]).origin('model')).toEqual(['default']);
});

test('a variable says what a file could say; a wrong value and a mistyped name are refused by name', () => {
  expect(
    environmentConfig({ OPENEXEC_WALL: '5', OPENEXEC_BUDGET_USD: '0.25', OPENEXEC_MODEL: '', HOME: '/x', OPENEXEC_STATE_DIR: '/y' }),
  ).toEqual({
    ok: true,
    value: { version: 1, wall: 5, budget: { usd: 0.25 } },
  });
  const refused = (env: Readonly<Record<string, string>>): readonly string[] => {
    const said = environmentConfig(env);
    return said.ok ? [] : said.error.map(({ message }) => message);
  };
  expect(refused({ OPENEXEC_WALL: 'long' })).toEqual(['OPENEXEC_WALL: a number is needed, not "long"']);
  expect(refused({ OPENEXEC_WALL: '0' })[0]).toContain('OPENEXEC_WALL: ');
  expect(refused({ OPENEXEC_APPROVALS: 'always' })[0]).toContain('OPENEXEC_APPROVALS: ');
  expect(refused({ OPENEXEC_BUDGET_TOKEN: '5' })).toEqual([
    'unknown variable OPENEXEC_BUDGET_TOKEN (did you mean OPENEXEC_BUDGET_TOKENS?)',
  ]);
});
