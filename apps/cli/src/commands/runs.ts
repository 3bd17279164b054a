/**
 * `openexec runs`: the runs of this ledger, the latest first.
 */
import { ok } from '@openexec/canon';
import type { CommandContext, CommandResult, Register } from '../context.ts';
import { EXIT, refuse } from '../exit.ts';
import { safeLine, type Style } from '../output.ts';
import { withLedger } from '../read/guard.ts';
import { listRuns, type RunRow } from '../read/runs.ts';

const ID_DIGITS = 12;
const TASK_MAX = 72;

interface RunsOptions {
  readonly json?: boolean;
  readonly limit: string;
  readonly ledger?: string;
}

/** Adds the command. */
export const register: Register = (program, context) => {
  program
    .command('runs')
    .description('list the runs, the latest first')
    .option('--limit <count>', 'how many at most', '20')
    .option('--json', 'one JSON document')
    .option('--ledger <url>', 'another ledger: sqlite:PATH or postgres://HOST/DATABASE')
    .addHelpText('after', '\nExample:\n  openexec runs --limit 5')
    .action(context.act((options: RunsOptions) => runs(context, options)));
};

async function runs(context: CommandContext, options: RunsOptions): Promise<CommandResult> {
  if (!/^[1-9][0-9]{0,5}$/.test(options.limit))
    return refuse('usage.invalid', `--limit takes a whole number from 1 on, not ${JSON.stringify(options.limit)}`);
  return withLedger(context, { ledger: options.ledger }, async ({ store }) => {
    const all = await listRuns(store);
    const shown = all.slice(0, Number(options.limit));
    const { output } = context;
    if (options.json === true) {
      output.json('runs', { v: 1, total: all.length, runs: shown });
      return ok(EXIT.ok);
    }
    for (const { row, depth } of asTree(shown)) output.result(line(row, depth, output.style));
    if (all.length === 0) output.progress('no runs yet; openexec run "TASK" makes one');
    else if (shown.length < all.length) output.progress(`${all.length - shown.length} older runs are not shown; --limit shows more`);
    return ok(EXIT.ok);
  });
}

/** Child runs stand below the run that delegated to them, where it is shown too. */
function asTree(rows: readonly RunRow[]): readonly { readonly row: RunRow; readonly depth: number }[] {
  const shown = new Set(rows.map(({ run }) => run));
  const below = (parent: RunRow['parent'], depth: number): { readonly row: RunRow; readonly depth: number }[] =>
    rows
      .filter((row) => (row.parent !== null && shown.has(row.parent) ? row.parent : null) === parent)
      .flatMap((row) => [{ row, depth }, ...below(row.run, depth + 1)]);
  return below(null, 0);
}

function line(row: RunRow, depth: number, style: Style): string {
  const paint = row.status === 'done' ? style.green : row.status === 'open' || row.status === 'parked' ? style.yellow : style.red;
  const id = row.run.slice('run/'.length, 'run/'.length + ID_DIGITS);
  const task = safeLine(row.task ?? '(the task was erased)', TASK_MAX);
  const branch = depth === 0 ? '' : `${'  '.repeat(depth - 1)}└ `;
  return `${branch}${style.bold(id)}  ${row.openedAt.slice(0, 19).replace('T', ' ')}  ${paint(row.status.padEnd(9))}  ${task}`;
}
