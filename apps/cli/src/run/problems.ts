/**
 * Problems of configuration files as one refusal: every place, one per line. Must never hide a second problem behind the first (GOALS E02).
 */
import { isAbsolute, relative } from 'node:path';
import { type ConfigProblem, problemText } from '@openexec/config';
import { type Refusal, type RefusalCode, refuse } from '../exit.ts';

const CODES: { readonly [code: string]: RefusalCode } = {
  'config.unknownBlueprint': 'blueprint.unknown',
  'config.blueprint': 'blueprint.invalid',
  'config.skill': 'skill.invalid',
};

/** Each command has a row of its own, because what to write differs. */
const COMMANDS: { readonly [command: string]: RefusalCode } = {
  test: 'config.testMissing',
  lint: 'config.lintMissing',
  format: 'config.formatMissing',
  typecheck: 'config.typecheckMissing',
  build: 'config.buildMissing',
};

/** The refusal for these problems; paths below `root` are shown relative to it. */
export function configRefusal(problems: readonly ConfigProblem[], root: string): { readonly ok: false; readonly error: Refusal } {
  const lines = problems.map((problem) => problemText({ ...problem, file: shown(problem.file, root) }));
  const first = problems[0];
  const missing = first?.code === 'config.commandMissing' ? COMMANDS[first.command ?? ''] : undefined;
  const policy = first?.code.startsWith('policy.') === true ? 'policy.invalid' : undefined;
  return refuse(missing ?? policy ?? CODES[first?.code ?? ''] ?? 'config.invalid', lines.join('\n'));
}

function shown(file: string, root: string): string {
  const inside = relative(root, file);
  return inside.startsWith('..') || isAbsolute(inside) ? file : inside;
}
