/**
 * `openexec completion SHELL`: the completion script of a shell, made from the commands of this very program. CLI.md.
 */
import { ok } from '@openexec/canon';
import { Argument } from 'commander';
import { fishScript } from '../completion/fish.ts';
import { bashScript, zshScript } from '../completion/posix.ts';
import { commandTree } from '../completion/tree.ts';
import type { Register } from '../context.ts';
import { EXIT } from '../exit.ts';

const SHELLS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

/** Adds the command; the program has all its commands by the time its action runs. */
export const register: Register = (program, context) => {
  program
    .command('completion')
    .description('print the completion script of a shell')
    .addArgument(new Argument('<shell>', 'which shell').choices(Object.keys(SHELLS)))
    .addHelpText(
      'after',
      '\nExamples:\n  openexec completion bash > ~/.local/share/bash-completion/completions/openexec\n  openexec completion zsh > "${fpath[1]}/_openexec"\n  openexec completion fish > ~/.config/fish/completions/openexec.fish',
    )
    .action(
      context.act(async (shell: keyof typeof SHELLS) => {
        context.output.result(SHELLS[shell](commandTree(program)));
        return ok(EXIT.ok);
      }),
    );
};
