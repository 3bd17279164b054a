/**
 * What variables of our own say of the configuration: the same keys as in the files, held against the same schema. Must never take a value that a
 * file could not have, nor pass over a variable with our prefix that is not known (CLI.md "Environment", GOALS E02).
 */
import { err, ok, type Result } from '@openexec/canon';
import { nearest } from '@openexec/protocol';
import { withoutPassword } from './password.ts';
import type { ConfigProblem } from './problems.ts';
import { type ConfigFile, configFile } from './schema.ts';

/** Variable to the place of its value; numbers are written as decimals. */
const VARIABLES: { readonly [name: string]: { readonly path: readonly string[]; readonly number: boolean } } = {
  OPENEXEC_MODEL: { path: ['model'], number: false },
  OPENEXEC_BLUEPRINT: { path: ['blueprint'], number: false },
  OPENEXEC_LEDGER: { path: ['ledger'], number: false },
  OPENEXEC_APPROVALS: { path: ['approvals'], number: false },
  OPENEXEC_BUDGET_TOKENS: { path: ['budget', 'tokens'], number: true },
  OPENEXEC_BUDGET_USD: { path: ['budget', 'usd'], number: true },
  OPENEXEC_BUDGET_CALLS: { path: ['budget', 'calls'], number: true },
  OPENEXEC_WALL: { path: ['wall'], number: true },
};
const PREFIX = /^OPENEXEC_(MODEL|BLUEPRINT|LEDGER|APPROVAL|BUDGET|WALL)/;
const NUMBER = /^(0|[1-9]\d{0,15})(\.\d{1,6})?$/;

/** The configuration that the environment states; an empty variable states nothing. */
export function environmentConfig(env: { readonly [name: string]: string | undefined }): Result<ConfigFile, readonly ConfigProblem[]> {
  const said: Record<string, unknown> = { version: 1 };
  const problems: ConfigProblem[] = [];
  for (const [name, text] of Object.entries(env)) {
    if (text === undefined || text === '' || !PREFIX.test(name)) continue;
    const variable = VARIABLES[name];
    if (variable === undefined) {
      const close = nearest(name, Object.keys(VARIABLES));
      problems.push(problem('config.unknownKey', `unknown variable ${name}${close === null ? '' : ` (did you mean ${close}?)`}`));
      continue;
    }
    if (variable.number && !NUMBER.test(text))
      problems.push(problem('config.value', `${name}: a number is needed, not ${JSON.stringify(text)}`));
    // The environment may hold a password; the configuration in force is shown, and so has it not.
    else put(said, variable.path, variable.number ? Number(text) : withoutPassword(text));
  }
  const checked = configFile.safeParse(said);
  if (!checked.success)
    for (const { path, message } of checked.error.issues) problems.push(problem('config.value', `${nameOf(path.map(String))}: ${message}`));
  return problems.length > 0 || !checked.success ? err(problems) : ok(checked.data);
}

function put(into: Record<string, unknown>, [first = '', ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) into[first] = value;
  else put((into[first] ??= {}) as Record<string, unknown>, rest, value);
}

function nameOf(path: readonly string[]): string {
  return Object.entries(VARIABLES).find(([, variable]) => variable.path.join('.') === path.join('.'))?.[0] ?? path.join('.');
}

function problem(code: 'config.unknownKey' | 'config.value', message: string): ConfigProblem {
  return { code, message, file: 'environment', line: 0, column: 0 };
}
