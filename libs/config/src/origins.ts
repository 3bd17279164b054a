/**
 * Who said what is in force: each key of the configuration with its value and the layers whose word it is. For people; must never merge by another
 * rule than layers.ts.
 */
import type { Json } from '@openexec/canon';
import type { Config, Speaker, Word } from './layers.ts';
import type { ConfigFile } from './schema.ts';

/** One key in force. */
export interface ConfigValue {
  readonly key: string;
  readonly value: Json;
  /** Whose word it is; several where they agree or where each narrows; `default` where nobody says anything. */
  readonly origin: readonly (Speaker | 'default')[];
  /** True for what is about safety: every speaker can only narrow it. Else the most specific one wins. */
  readonly narrows: boolean;
}

type Read<T> = (config: ConfigFile) => T | undefined;

/** Every key of `config` with its origin; `words` are those that it was merged from. */
export function originsOf(config: Config, words: readonly Word[]): readonly ConfigValue[] {
  const said = <T>(read: Read<T>): readonly { readonly from: Speaker; readonly value: T }[] =>
    words.flatMap(({ from, config: each }) => {
      const value = read(each);
      return value === undefined ? [] : [{ from, value }];
    });
  const orDefault = (origin: readonly Speaker[]): readonly (Speaker | 'default')[] => (origin.length === 0 ? ['default'] : origin);
  const preferred = <T>(key: string, value: Json, read: Read<T>): ConfigValue => {
    const { from } = said(read).at(-1) ?? {};
    return { key, value, origin: orDefault(from === undefined ? [] : [from]), narrows: false };
  };
  const least = (key: string, value: number | null, read: Read<number>): ConfigValue => {
    const all = said(read);
    const low = Math.min(...all.map((each) => each.value));
    return { key, value, origin: orDefault(all.filter((each) => each.value === low).map(({ from }) => from)), narrows: true };
  };
  const narrowed = (key: string, value: readonly string[], read: Read<readonly string[]>): ConfigValue => {
    return { key, value: [...value], origin: orDefault(said(read).map(({ from }) => from)), narrows: true };
  };
  const approvals = said((each) => each.approvals).filter(({ value }) => value === config.approvals);
  return [
    preferred('model', config.model, (each) => each.model),
    preferred('models.openai.baseUrl', config.openaiBaseUrl, (each) => each.models?.openai?.baseUrl),
    least('models.openai.maxOutputTokens', config.maxOutputTokens, (each) => each.models?.openai?.maxOutputTokens),
    ...pricesOf(config, words),
    preferred('blueprint', config.blueprint, (each) => each.blueprint),
    preferred('ledger', config.ledger, (each) => each.ledger),
    ...Object.entries(config.commands).map(([name, command]) =>
      preferred(
        `commands.${name}`,
        command === 'none' ? command : { argv: [...command.argv], timeout: command.timeout },
        (each) => (each.commands as { readonly [name: string]: unknown } | undefined)?.[name],
      ),
    ),
    least('budget.tokens', config.budget.tokens, (each) => each.budget?.tokens),
    least('budget.usd', config.budgetInUsd ? config.budget.usdMicros / 1e6 : null, (each) => each.budget?.usd),
    least('budget.calls', config.budget.calls, (each) => each.budget?.calls),
    least('wall', config.wallMs / 60_000, (each) => each.wall),
    { key: 'approvals', value: config.approvals, origin: orDefault(approvals.map(({ from }) => from)), narrows: true },
    narrowed('sandbox.provide', config.provide, (each) => each.sandbox?.provide),
    narrowed('paths.read', config.readPaths, (each) => each.paths?.read),
    narrowed('paths.write', config.writePaths, (each) => each.paths?.write),
    ...anchorValues(config.anchors, words),
  ];
}

/** Places add up; required, the age and the policy only narrow. */
function anchorValues({ to, required, maxAgeMs, policy }: Config['anchors'], words: readonly Word[]): ConfigValue[] {
  const by = (key: string, value: Json, read: Read<unknown>, narrows: boolean): ConfigValue => {
    const origin = words.filter(({ config }) => read(config) !== undefined).map(({ from }) => from);
    return { key, value, origin: origin.length === 0 ? ['default'] : origin, narrows };
  };
  return [
    by(
      'anchors.to',
      to.map(({ name, type }) => `${name} (${type})`),
      (each) => each.anchors?.to,
      false,
    ),
    by('anchors.required', required, (each) => each.anchors?.required, true),
    by('anchors.maxAgeMinutes', maxAgeMs / 60_000, (each) => each.anchors?.maxAgeMinutes, true),
    by('anchors.policy', policy, (each) => each.anchors?.policy, true),
  ];
}

/** The dearest price of each model counts, whoever states it. */
function pricesOf(config: Config, words: readonly Word[]): ConfigValue[] {
  return Object.entries(config.prices.models).map(([model, price]) => {
    const name = model.slice('openai:'.length);
    const origin = words.filter(({ config: each }) => each.models?.openai?.pricing?.[name] !== undefined).map(({ from }) => from);
    const value = { input: price.inputUsdMicrosPerMillion / 1e6, output: price.outputUsdMicrosPerMillion / 1e6 };
    return { key: `models.openai.pricing.${name}`, value, origin, narrows: true };
  });
}
