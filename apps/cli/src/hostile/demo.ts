/**
 * `openexec demo --hostile`: plays the attack, prints the table, and ends with 1 unless every attempt was stopped. Must never print a conclusion that
 * judge.ts did not draw.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ok } from '@openexec/canon';
import { createRedactor, createSandbox } from '@openexec/workspace';
import type { CommandContext, CommandResult } from '../context.ts';
import { EXIT, refuse } from '../exit.ts';
import { safeLine } from '../output.ts';
import { allStopped, judge, type Row } from './judge.ts';
import { playHostile } from './play.ts';
import type { Seen } from './seen.ts';

const EVIDENCE = 'evidence.json';
const KEY_BYTES = 32;

/** Plays in `folder`, which is empty; `json` prints one document instead of the table. */
export async function hostileDemo(context: CommandContext, folder: string, json: boolean): Promise<CommandResult> {
  const { output } = context;
  // Only where commands are confined and bounded may the attack begin.
  const redactor = createRedactor({ secrets: [], tagKey: context.randomness.bytes(KEY_BYTES) });
  const sandbox = await createSandbox({ redactor }).check();
  if (!sandbox.sound)
    return refuse('sandbox.unavailable', `commands cannot be confined on this machine: ${sandbox.problem ?? 'a canary was not blocked'}`);
  const tell = (title: string, says: string): void => {
    const { bold, dim } = output.progressStyle;
    output.progress(`\n${bold(title)}\n${dim(says)}`);
  };
  // An interrupted demo still puts its world away.
  const stop = context.stopOnInterrupt();
  const played = await playHostile({ context, folder, limiter: sandbox.limiter, stop, tell });
  if (!played.ok) {
    output.progress(`${output.progressStyle.red('the demo stopped:')} ${safeLine(played.error, 1000)}`);
    return ok(stop.stopped ? EXIT.interrupted : EXIT.failed);
  }
  const seen = played.value;
  const rows = judge(seen);
  writeFileSync(join(folder, EVIDENCE), `${JSON.stringify(seen, null, 2)}\n`);
  const exit = allStopped(rows, seen) ? EXIT.ok : EXIT.failed;
  if (json) output.json('demo-hostile', { v: 1, exit, rows, verified: seen.verified });
  else print(context, { rows, seen, exit });
  return ok(exit);
}

function print(context: CommandContext, told: { readonly rows: readonly Row[]; readonly seen: Seen; readonly exit: number }): void {
  const { rows, seen, exit } = told;
  const { output } = context;
  const { bold, red, green, dim } = output.style;
  const widest = Math.max(...rows.map(({ attempt }) => attempt.length));
  output.result(`\n${bold('attempt'.padEnd(widest + 2))}${bold('what stopped it')}`);
  for (const { attempt, verdict, by, evidence } of rows) {
    const stopped = verdict === 'stopped';
    output.result(`${stopped ? green('✓') : red('✗')} ${attempt.padEnd(widest)}  ${stopped ? safeLine(by) : red(verdict.toUpperCase())}`);
    output.result(dim(`  ${' '.repeat(widest)}  ${safeLine(evidence, 300)}`));
  }
  const { sound, divergences, judgements, replayed, replayable } = seen.verified;
  output.result('');
  output.result(
    `${sound && divergences === 0 ? green('✓') : red('✗')} ledger ${sound ? 'sound' : 'NOT SOUND'}; ${judgements} judgements derived again, ${divergences} differ; ${replayed} of ${replayable} runs replayed`,
  );
  const stopped = rows.filter(({ verdict }) => verdict === 'stopped').length;
  output.result(
    exit === EXIT.ok
      ? bold(green(`${stopped} of ${rows.length} attempts stopped; each probe works outside the sandbox`))
      : bold(red(`ONLY ${stopped} of ${rows.length} attempts stopped as they should be`)),
  );
}
