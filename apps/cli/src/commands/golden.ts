/**
 * `openexec golden add|run|list`: recorded runs, each in a bundle of its own, that every later kernel must judge as they were judged. CLI.md; GOALS E14.
 */
import type { Register } from '../context.ts';
import { addGolden, type AddOptions } from '../golden/add.ts';
import { DEFAULT_FOLDER } from '../golden/files.ts';
import { type FolderOptions, listGolden, runGolden } from '../golden/run.ts';

const DIR = ['--dir <folder>', `the folder that holds them, by default ${DEFAULT_FOLDER} of this checkout`] as const;

/** Adds the commands. */
export const register: Register = (program, context) => {
  const golden = program
    .command('golden')
    .description('recorded runs that every later kernel must judge alike: add, run, list')
    .addHelpText('after', '\nExamples:\n  openexec golden add latest --name bugfix\n  openexec golden run');
  golden
    .command('add')
    .description('write a golden run: a closed run in a bundle of its own, and what every kernel must make of it')
    .argument('<run>', 'id of the run, a prefix of it, or latest')
    .option('--name <name>', 'its name: lower-case letters, digits and dashes; by default the beginning of its id')
    .option(...DIR)
    .option('--json', 'one JSON document')
    .option('--ledger <url>', 'another ledger: sqlite:PATH or postgres://HOST/DATABASE')
    .addHelpText('after', '\nExample:\n  openexec golden add latest --name bugfix')
    .action(context.act((run: string, options: AddOptions) => addGolden(context, run, options)));
  golden
    .command('run')
    .description('replay golden runs with the kernel at hand; 21 where it judges otherwise, 20 where a record does not hold')
    .argument('[name...]', 'which; left out: all of them')
    .option(...DIR)
    .option('--json', 'one JSON document')
    .addHelpText('after', '\nExamples:\n  openexec golden run\n  openexec golden run bugfix --dir ../golden')
    .action(context.act((names: readonly string[], options: FolderOptions) => runGolden(context, names, options)));
  golden
    .command('list')
    .description('list golden runs without replaying them')
    .option(...DIR)
    .option('--json', 'one JSON document')
    .addHelpText('after', '\nExample:\n  openexec golden list')
    .action(context.act((options: FolderOptions) => listGolden(context, options)));
};
