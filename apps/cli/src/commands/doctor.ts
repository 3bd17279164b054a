/**
 * `openexec doctor`: what is there, what is missing, why it matters, how to get it. Exit 0 when a run would work, 14 when commands cannot be
 * confined, 2 when anything else is missing. Must never say that something works without having tried it. CLI.md.
 */
import { ok } from '@openexec/canon';
import type { Command } from 'commander';
import type { CommandContext, CommandResult } from '../context.ts';
import type { Finding } from '../doctor/finding.ts';
import { machineFindings } from '../doctor/machine.ts';
import { projectFindings } from '../doctor/project.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { safe } from '../output.ts';

/** What the sandbox is made of: without one of these no command is run. */
const CONFINING = ['bubblewrap', 'namespaces', 'seccomp', 'sandbox'];
const INDENT = ' '.repeat(14);

/** Adds the command. */
export function register(program: Command, context: CommandContext): void {
  program
    .command('doctor')
    .description('what is missing on this machine and in this repository, why it matters, and how to get it')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  openexec doctor')
    .action(context.act((options: { readonly json?: boolean }) => doctor(options, context)));
}

async function doctor(options: { readonly json?: boolean }, context: CommandContext): Promise<CommandResult> {
  const findings = [...(await machineFindings(context)), ...(await projectFindings(context))];
  const exit = exitOf(findings);
  const { output } = context;
  if (options.json === true) output.json('doctor', { v: 1, sound: exit === EXIT.ok, exit, findings });
  else {
    const { green, red, yellow, dim } = output.style;
    const marks = { good: green('✓'), note: yellow('!'), bad: red('✗') };
    for (const { name, state, said, why, remedy, command } of findings) {
      output.result(`${marks[state]} ${name.padEnd(11)} ${safe(said)}`);
      if (state === 'good') continue;
      output.result(dim(`${INDENT}why: ${why}`));
      if (remedy !== null) output.result(`${INDENT}${safe(remedy)}`);
      if (command !== null) output.result(`${INDENT}$ ${safe(command)}`);
    }
  }
  return ok(exit);
}

function exitOf(findings: readonly Finding[]): ExitCode {
  const bad = findings.filter(({ state }) => state === 'bad').map(({ name }) => name);
  if (bad.length === 0) return EXIT.ok;
  return bad.some((name) => CONFINING.includes(name)) ? EXIT.sandbox : EXIT.usage;
}
