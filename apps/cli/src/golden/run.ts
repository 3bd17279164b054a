/**
 * `openexec golden run` and `golden list`: every golden run of a folder, checked as a record and replayed by this kernel. Must never pass over one, and
 * never pass because there was none (GOALS E14).
 */
import { join } from 'node:path';
import { brokenGolden, type GoldenVerdict, replayGolden } from '@openexec/audit';
import { ok } from '@openexec/canon';
import { KERNEL_FLAGS, KERNEL_VERSION } from '@openexec/kernel';
import { openBundle } from '@openexec/verify/files';
import type { CommandContext, CommandResult } from '../context.ts';
import { EXIT, type ExitCode, refuse } from '../exit.ts';
import { type Style, safeLine } from '../output.ts';
import { divergenceLines } from '../read/divergence.ts';
import { BUNDLE, type GoldenFolder, goldenFolder, readGolden } from './files.ts';

/** Options of both commands. */
export interface FolderOptions {
  readonly dir?: string;
  readonly json?: boolean;
}

/** Replays those named, or all. */
export async function runGolden(context: CommandContext, wanted: readonly string[], options: FolderOptions): Promise<CommandResult> {
  const folder = await goldenFolder(context, options.dir);
  if (!folder.ok) return folder;
  const found = readGolden(folder.value, wanted);
  if (!found.ok) return found;
  const runs: GoldenVerdict[] = [];
  for (const each of found.value) runs.push(await replayOne(each));
  const exit = exitOf(runs);
  const kernel = { version: KERNEL_VERSION, flags: [...KERNEL_FLAGS] };
  if (options.json === true) context.output.json('golden-run', { v: 1, exit, folder: folder.value, kernel, runs });
  else {
    for (const line of runs.flatMap((one) => verdictLines(one, context.output.style))) context.output.result(line);
    const agree = runs.filter(({ verdict }) => verdict === 'agrees').length;
    context.output.result(`${agree} of ${runs.length} golden runs agree with kernel ${KERNEL_VERSION}`);
  }
  return ok(exit);
}

async function replayOne({ name, folder, record }: GoldenFolder): Promise<GoldenVerdict> {
  if (!record.ok) return brokenGolden(name, null, record.error);
  const opened = await openBundle(join(folder, BUNDLE));
  if (!opened.ok) return brokenGolden(name, record.value.run, { code: opened.error.code, message: `${BUNDLE}: ${opened.error.message}` });
  try {
    return await replayGolden(opened.value.parts, record.value);
  } finally {
    await opened.value.close();
  }
}

/** A record that does not hold comes first: of it nobody knows what any kernel would say. */
function exitOf(runs: readonly GoldenVerdict[]): ExitCode {
  if (runs.some(({ verdict }) => verdict === 'broken')) return EXIT.integrity;
  return runs.some(({ verdict }) => verdict === 'diverges') ? EXIT.diverged : EXIT.ok;
}

function verdictLines({ name, run, verdict, judgements, problem, first, divergences, differs }: GoldenVerdict, style: Style): string[] {
  if (verdict === 'broken')
    return [
      `${style.red('✗')} ${safeLine(name, 80)}: the record does not hold: ${problem?.code ?? ''}: ${safeLine(problem?.message ?? '')}`,
    ];
  if (verdict === 'agrees')
    return [`${style.green('✓')} ${safeLine(name, 80)}  ${run}: ${judgements} judgements made again, each as recorded`];
  return [
    `${style.red('✗')} ${safeLine(name, 80)}  ${run}: ${divergences} of ${judgements} judgements differ${divergences > 1 ? ', the first:' : ''}`,
    ...(first === null ? [] : divergenceLines(first, style)),
    ...differs.flatMap(({ what, expected, actual }) => [
      `    ${what}`,
      `      expected ${expected === null ? 'nothing' : safeLine(expected, 200)}`,
      `      actual   ${actual === null ? 'nothing' : safeLine(actual, 200)}`,
    ]),
  ];
}

/** Lists them without looking into their bundles. */
export async function listGolden(context: CommandContext, options: FolderOptions): Promise<CommandResult> {
  const folder = await goldenFolder(context, options.dir);
  if (!folder.ok) return folder;
  const found = readGolden(folder.value, []);
  if (!found.ok) return found;
  const golden = [];
  for (const { name, record } of found.value) {
    if (!record.ok) return refuse('golden.invalid', `${safeLine(name, 80)}: ${safeLine(record.error.message)}`);
    golden.push(record.value);
  }
  if (options.json === true) context.output.json('golden-list', { v: 1, folder: folder.value, golden });
  else
    for (const { name, run, madeBy, kernel, expected } of golden)
      context.output.result(
        `${name.padEnd(24)} ${run}  ${expected.outcome}, ${expected.judgements} judgements, kernel ${safeLine(kernel.version, 40)}, written by ${safeLine(madeBy, 40)}`,
      );
  return ok(EXIT.ok);
}
