/**
 * Long text on a terminal goes through the person's pager, elsewhere straight to stdout. The pager is the person's own choice (PAGER) and runs
 * outside of every run; must never be started without a terminal.
 */
import { spawn } from 'node:child_process';
import type { CommandContext } from '../context.ts';

const DEFAULT_PAGER = 'less -FRX';

/** Shows `text`, which is safe for a terminal already. A pager that does not start is no failure: the text is printed. */
export async function page(context: CommandContext, text: string): Promise<void> {
  const { env, output } = context;
  const pager = env['PAGER'] ?? DEFAULT_PAGER;
  if (!output.paged || pager === '' || pager === 'cat') return output.result(text.replace(/\n$/, ''));
  // A person writes options and quotes into PAGER, as for git and man: the shell is what they mean.
  const child = spawn('/bin/sh', ['-c', pager], { stdio: ['pipe', 'inherit', 'inherit'] });
  child.stdin.on('error', () => undefined);
  child.stdin.end(text);
  const exit = await new Promise<number | null>((resolve) => {
    child.on('error', () => resolve(127));
    child.on('close', (code) => resolve(code));
  });
  if (exit === 126 || exit === 127) output.result(text.replace(/\n$/, ''));
}
