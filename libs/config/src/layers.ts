/**
 * One configuration out of several: for preferences the nearer layer wins, for safety the narrowest of all does, so that no layer can widen
 * what another says (CLI.md "Files", GOALS E20). Must never read a file.
 */
import { err, ok, type Result } from '@openexec/canon';
import type { Amount, ConfiguredCommand, Prices } from '@openexec/protocol';
import { type AnchorSettings, anchorsOf } from './anchors.ts';
import type { ConfigProblem } from './problems.ts';
import type { CommandSetting, ConfigFile, SHIPPED_POLICIES } from './schema.ts';
import type { Source } from './source.ts';

/** From the least to the most specific. */
export const LAYERS = ['system', 'user', 'project', 'local'] as const;
/** One of {@link LAYERS}. */
export type LayerName = (typeof LAYERS)[number];
/** One file of one layer, checked. */
export interface Layer {
  readonly name: LayerName;
  readonly source: Source;
  readonly config: ConfigFile;
}
/** Who may say something, from the least to the most specific; environment and flags are the user's own present word. */
export const SPEAKERS = [...LAYERS, 'environment', 'flag'] as const;
/** One of {@link SPEAKERS}. */
export type Speaker = (typeof SPEAKERS)[number];
/** What one of them says. */
export interface Word {
  readonly from: Speaker;
  readonly config: ConfigFile;
}
/** What the environment and the flags of one call say; they are the user's own present word. For safety they too can only narrow. */
export interface Overrides {
  readonly model?: string | undefined;
  readonly blueprint?: string | undefined;
  readonly approvals?: 'ask' | 'never' | undefined;
  /** Dollars. */
  readonly budgetUsd?: number | undefined;
  /** Write patterns that narrow further what the files say. */
  readonly writePaths?: readonly string[] | undefined;
  readonly budgetTokens?: number | undefined;
  readonly budgetCalls?: number | undefined;
  /** Base address of provider openai, from the environment. */
  readonly openaiBaseUrl?: string | undefined;
  /** What variables of our own say (environment.ts). */
  readonly environment?: ConfigFile | undefined;
}

/** Name of a shipped policy. */
export type ShippedPolicy = (typeof SHIPPED_POLICIES)[number];
/** The bounds of a command that a file may state. */
export type Limits = NonNullable<NonNullable<ConfigFile['sandbox']>['limits']>;
const LIMITS = ['memoryBytes', 'processes', 'cpuMs', 'fileBytes', 'diskBytes', 'inodes'] as const satisfies readonly (keyof Limits)[];

/** The configuration in force. */
export interface Config {
  /** `PROVIDER:NAME`, `scripted:FILE`, `none`, or null where nobody says. */
  readonly model: string | null;
  /** Whose word `model` is: a script's path is relative to the checkout, or for the environment and flags to the working folder. */
  readonly modelFrom: Speaker | null;
  readonly openaiBaseUrl: string | null;
  readonly maxOutputTokens: number;
  /** How long the provider may take for one answer, or null: then the timeout class of the question alone counts. */
  readonly modelTimeoutMs: number | null;
  readonly commands: Readonly<Record<string, ConfiguredCommand>>;
  readonly blueprint: string;
  /** Where the ledger is, or null: `.openexec/ledger.db` of the checkout. Never with a password. */
  readonly ledger: NonNullable<ConfigFile['ledger']> | null;
  readonly budget: Amount;
  /** Whether anybody states a limit in dollars: then the model needs a price. */
  readonly budgetInUsd: boolean;
  readonly wallMs: number;
  readonly approvals: 'ask' | 'never';
  /** The shipped policy: `regulated` as soon as one layer says so. */
  readonly policy: ShippedPolicy;
  readonly provide: readonly string[];
  /** Bounds of one command that any layer states, the narrowest of each. */
  readonly limits: Limits;
  readonly readPaths: readonly string[];
  readonly writePaths: readonly string[];
  readonly prices: Prices;
  readonly anchors: AnchorSettings;
}

/** Bounds of a run where nobody says anything. */
export const DEFAULTS = {
  blueprint: 'quick_fix',
  tokens: 2_000_000,
  calls: 200,
  wallMinutes: 60,
  maxOutputTokens: 16_384,
  /** Without a limit in dollars: none, as large as an amount can be without losing a unit. */
  usdMicros: 1_000_000_000_000,
} as const;
const LOOPBACK = /^https?:\/\/(localhost|127(?:\.\d{1,3}){3})(?::\d+)?(?:\/|$)/;
const EVERYTHING: readonly string[] = ['**'];

/** Merges the layers (in any order) under the overrides. */
export function mergeLayers(given: readonly Layer[], overrides: Overrides): Result<Config, readonly ConfigProblem[]> {
  const layers = LAYERS.flatMap((name) => given.filter((layer) => layer.name === name));
  const untrusted = overrides.openaiBaseUrl === undefined ? untrustedAddress(layers) : null;
  if (untrusted !== null) return err([untrusted]);
  const anchors = anchorsOf(layers);
  if (!anchors.ok) return anchors;
  const words = wordsOf(layers, overrides);
  const last = <T>(read: (config: ConfigFile) => T | undefined): T | null =>
    words.reduce<T | null>((found, word) => read(word.config) ?? found, null);
  const least = (read: (config: ConfigFile) => number | undefined): number | null =>
    words.reduce<number | null>((low, { config }) => {
      const value = read(config);
      return value === undefined ? low : Math.min(value, low ?? value);
    }, null);
  const usd = least((config) => config.budget?.usd);
  return ok({
    model: last((config) => config.model),
    modelFrom: words.findLast(({ config }) => config.model !== undefined)?.from ?? null,
    openaiBaseUrl: last((config) => config.models?.openai?.baseUrl),
    maxOutputTokens: least((config) => config.models?.openai?.maxOutputTokens) ?? DEFAULTS.maxOutputTokens,
    modelTimeoutMs: milliseconds(least((config) => config.models?.openai?.timeoutSeconds)),
    commands: commandsOf(words),
    blueprint: last((config) => config.blueprint) ?? DEFAULTS.blueprint,
    ledger: last((config) => config.ledger),
    budget: {
      tokens: least((config) => config.budget?.tokens) ?? DEFAULTS.tokens,
      usdMicros: usd === null ? DEFAULTS.usdMicros : Math.round(usd * 1e6),
      calls: least((config) => config.budget?.calls) ?? DEFAULTS.calls,
    },
    budgetInUsd: usd !== null,
    wallMs: (least((config) => config.wall) ?? DEFAULTS.wallMinutes) * 60_000,
    approvals: words.some(({ config }) => config.approvals === 'never') ? 'never' : 'ask',
    policy: words.some(({ config }) => config.policy === 'regulated') ? 'regulated' : 'solo',
    provide: common(words.map(({ config }) => config.sandbox?.provide)) ?? [],
    limits: Object.fromEntries(
      LIMITS.flatMap((name) => {
        const most = least((config) => config.sandbox?.limits?.[name]);
        return most === null ? [] : [[name, most]];
      }),
    ),
    readPaths: common(words.map(({ config }) => config.paths?.read)) ?? EVERYTHING,
    writePaths: common(words.map(({ config }) => config.paths?.write)) ?? EVERYTHING,
    prices: pricesOf(words),
    anchors: anchors.value,
  });
}

function milliseconds(seconds: number | null): number | null {
  return seconds === null ? null : seconds * 1000;
}

/** Every word in order: the layers, then the environment, then the flags of this call. */
export function wordsOf(given: readonly Layer[], overrides: Overrides): readonly Word[] {
  const layers = LAYERS.flatMap((name) => given.filter((layer) => layer.name === name));
  const { openaiBaseUrl, environment } = overrides;
  const variables: ConfigFile = {
    version: 1,
    ...environment,
    ...(openaiBaseUrl === undefined ? {} : { models: { openai: { baseUrl: openaiBaseUrl } } }),
  };
  return [
    ...layers.map(({ name, config }) => ({ from: name, config })),
    { from: 'environment', config: variables },
    { from: 'flag', config: flagsOf(overrides) },
  ];
}

/** The flags of this call as the file that would say the same. */
function flagsOf({ model, blueprint, approvals, budgetUsd, budgetTokens, budgetCalls, writePaths }: Overrides): ConfigFile {
  const budget = {
    ...(budgetUsd === undefined ? {} : { usd: budgetUsd }),
    ...(budgetTokens === undefined ? {} : { tokens: budgetTokens }),
    ...(budgetCalls === undefined ? {} : { calls: budgetCalls }),
  };
  return {
    version: 1,
    ...(model === undefined ? {} : { model }),
    ...(blueprint === undefined ? {} : { blueprint }),
    ...(approvals === undefined ? {} : { approvals }),
    ...(Object.keys(budget).length === 0 ? {} : { budget }),
    ...(writePaths === undefined ? {} : { paths: { write: [...writePaths] } }),
  };
}

/** What every list that is given contains (by exact word; `**` contains all); null where none is given. */
function common(lists: readonly (readonly string[] | undefined)[]): readonly string[] | null {
  const given = lists.filter((list) => list !== undefined);
  const [first, ...others] = given;
  if (first === undefined) return null;
  return others.reduce<readonly string[]>(
    (left, right) => [...new Set([...left.filter((one) => contains(right, one)), ...right.filter((one) => contains(left, one))])],
    first,
  );
}

function contains(list: readonly string[], wanted: string): boolean {
  return list.some((one) => one === '**' || one === wanted || (one.endsWith('/**') && wanted.startsWith(one.slice(0, -2))));
}

function commandsOf(words: readonly Word[]): Readonly<Record<string, ConfiguredCommand>> {
  const commands: Record<string, ConfiguredCommand> = {};
  for (const { config } of words) {
    for (const [name, setting] of Object.entries<CommandSetting | undefined>(config.commands ?? {})) {
      if (setting !== undefined)
        commands[name] = setting === 'none' ? 'none' : { argv: setting.argv, timeout: setting.timeout ?? 'medium' };
    }
  }
  return commands;
}

/** The dearest price that any layer states: none can make a budget in dollars last longer. */
function pricesOf(words: readonly Word[]): Prices {
  const models: Prices['models'] = {};
  for (const { config } of words) {
    for (const [name, price] of Object.entries(config.models?.openai?.pricing ?? {})) {
      const key = `openai:${name}`;
      const before = models[key];
      models[key] = {
        inputUsdMicrosPerMillion: Math.max(before?.inputUsdMicrosPerMillion ?? 0, Math.round(price.input * 1e6)),
        outputUsdMicrosPerMillion: Math.max(before?.outputUsdMicrosPerMillion ?? 0, Math.round(price.output * 1e6)),
      };
    }
  }
  return { version: 'config', models };
}

/** A repository must not send the user's key and code to an address of its own choice: only user, system or environment name one elsewhere. */
function untrustedAddress(layers: readonly Layer[]): ConfigProblem | null {
  const trusted = layers
    .filter((layer) => layer.name === 'system' || layer.name === 'user')
    .map((layer) => layer.config.models?.openai?.baseUrl);
  const guest = layers.findLast(
    (layer) => (layer.name === 'project' || layer.name === 'local') && layer.config.models?.openai?.baseUrl !== undefined,
  );
  const address = guest?.config.models?.openai?.baseUrl;
  if (guest === undefined || address === undefined || trusted.includes(address) || LOOPBACK.test(address)) return null;
  const { line, column } = guest.source.at(['models', 'openai', 'baseUrl']);
  const message = `models.openai.baseUrl: a repository may not choose where prompts and your API key are sent; put this address into your own configuration or OPENAI_BASE_URL`;
  return { code: 'config.untrusted', message, file: guest.source.file, line, column };
}
