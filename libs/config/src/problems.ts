/**
 * What is wrong with a configuration: always with file, line and column. Must never be thrown; a broken configuration is a value that stops
 * the work before anything is done (GOALS E02).
 */

import type { PolicyProblemCode } from '@openexec/policy';

/** Why a file is refused. A code, once published, never changes its meaning. */
export type ConfigProblemCode =
  | 'config.unreadable'
  | 'config.tooLarge'
  | 'config.syntax'
  | 'config.duplicateKey'
  | 'config.alias'
  | 'config.tag'
  | 'config.number'
  | 'config.unknownKey'
  | 'config.value'
  | 'config.untrusted'
  | 'config.blueprint'
  | 'config.commandMissing'
  | 'config.skill'
  | 'config.unknownBlueprint'
  | 'config.priceMissing';

/** One problem. Line and column count from 1; 0 where the problem has no place in the file. */
export interface ConfigProblem {
  readonly code: ConfigProblemCode | PolicyProblemCode;
  readonly message: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** With `config.commandMissing`: its key below `commands`. */
  readonly command?: string;
}

/** `file:line:column: message`, as editors and terminals understand it. */
export function problemText(problem: ConfigProblem): string {
  const place = problem.line === 0 ? problem.file : `${problem.file}:${problem.line}:${problem.column}`;
  return `${place}: ${problem.message}`;
}
