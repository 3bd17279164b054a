/**
 * The actions that run a configured command: linters, type check, build, formatter. Declarations only. A check leaves the tree as it was committed;
 * the formatter keeps what it changed within its declared patterns (OPENEXEC §"built-in actions", PROTOCOL §9).
 */
import type { ActionContract, ArgumentSchema } from '@openexec/protocol';
import { object } from './shapes.ts';

const CHECK = {
  effect: 'write',
  risk: 'medium',
  idempotence: 'workspace',
  compensable: true,
  arguments: object({}, []),
  paths: [],
  writes: 'scratch',
  offered: false,
} as const;

/** `run_linters`: the command `lint`. */
export const runLinters: ActionContract = {
  ...CHECK,
  paths: [],
  name: 'run_linters',
  title: 'Run the linters',
  description:
    'Runs the configured lint command in the sandbox and reports its verdict. Afterwards the files are put back as they were committed.',
  timeout: 'medium',
  command: 'lint',
  outputs: ['lint_report'],
};
/** `run_typecheck`: the command `typecheck`. */
export const runTypecheck: ActionContract = {
  ...CHECK,
  paths: [],
  name: 'run_typecheck',
  title: 'Check the types',
  description:
    'Runs the configured type checker in the sandbox and reports its verdict. Afterwards the files are put back as they were committed.',
  timeout: 'medium',
  command: 'typecheck',
  outputs: ['typecheck_report'],
};
/** `run_build`: the command `build`. */
export const runBuild: ActionContract = {
  ...CHECK,
  paths: [],
  name: 'run_build',
  title: 'Build',
  description:
    'Runs the configured build command in the sandbox and reports its verdict. What it builds is thrown away: the files are put back as they were committed.',
  timeout: 'long',
  command: 'build',
  outputs: ['build_report'],
};
/** `run_formatter`: the command `format`; its changes stay. */
export const runFormatter: ActionContract = {
  name: 'run_formatter',
  title: 'Format the files',
  description:
    'Runs the configured formatter in the sandbox. What it changed within the folder and the write paths of the writ stays; anything else is put back. A formatter that fails changes nothing.',
  effect: 'write',
  risk: 'medium',
  idempotence: 'workspace',
  compensable: true,
  timeout: 'medium',
  arguments: object(
    {
      directory: {
        type: 'string',
        description: 'Folder whose changes may stay; left out, wherever the writ lets this run write.',
        minLength: 1,
        maxLength: 4096,
      },
    },
    [],
  ),
  paths: [{ argument: 'directory', as: 'files', access: 'write' }],
  writes: 'declared',
  command: 'format',
  outputs: ['format_report'],
  offered: false,
};

/** What the host of `run_formatter` gets: the patterns that the kernel found it may change. */
export const RESOLVED_FORMAT: ArgumentSchema = object(
  {
    directory: { type: 'string', minLength: 1, maxLength: 4096 },
    writePaths: { type: 'array', items: { type: 'string', minLength: 1, maxLength: 4096 }, maxItems: 256 },
  },
  ['writePaths'],
);
