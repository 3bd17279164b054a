/**
 * Problems of configuration files as one refusal: every place, one per line. Must never hide a second problem behind the first (GOALS E02).
 */
import { isAbsolute, relative } from 'node:path';
import { type ConfigProblem, problemText } from '@openexec/config';
import { type Refusal, type RefusalCode, refuse } from '../exit.ts';

const CODES: { readonly [code: string]: RefusalCode } = {
  'config.commandMissing': 'config.testMissing',
  'config.unknownBlueprint': 'blueprint.unknown',
  'config.blueprint': 'blueprint.invalid',
  'config.policy': 'policy.invalid',
};

/** The refusal for these problems; paths below `root` are shown relative to it. */
export function configRefusal(problems: readonly ConfigProblem[], root: string): { readonly ok: false; readonly error: Refusal } {
  const lines = problems.map((problem) => problemText({ ...problem, file: shown(problem.file, root) }));
  return refuse(CODES[problems[0]?.code ?? ''] ?? 'config.invalid', lines.join('\n'));
}

function shown(file: string, root: string): string {
  const inside = relative(root, file);
  return inside.startsWith('..') || isAbsolute(inside) ? file : inside;
}
