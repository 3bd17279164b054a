/**
 * `openexec replay RUN`: the recorded facts through the kernel again, without a model and without an effect, to the git tree and commit
 * that follow. Exit 21 when anything differs; every difference is listed. Exit 20 when something it needs is missing or damaged, unless it was erased
 * under a rule (PROTOCOL §10).
 */
import { isLawfullyGone, type ReplayReport, replayRun } from '@openexec/audit';
import { ok } from '@openexec/canon';
import type { CommandContext, CommandResult, Register } from '../context.ts';
import { EXIT, refuse } from '../exit.ts';
import { type Style, safeLine } from '../output.ts';
import { divergenceLines } from '../read/divergence.ts';
import { withLedger } from '../read/guard.ts';
import { amountText } from '../read/narrator.ts';

/** The modes of PROTOCOL §10; only the first is built. */
const MODES = ['exact', 'model', 'step', 'effects'];

interface ReplayOptions {
  readonly mode: string;
  readonly json?: boolean;
  readonly ledger?: string;
}

/** Adds the command. */
export const register: Register = (program, context) => {
  program
    .command('replay')
    .description('derive a run again from its recorded facts and compare')
    .argument('<run>', 'id of the run, a prefix of it, or latest')
    .option('--mode <mode>', 'exact: recorded answers, no model, no effect', 'exact')
    .option('--json', 'one JSON document')
    .option('--ledger <url>', 'another ledger: sqlite:PATH or postgres://HOST/DATABASE')
    .addHelpText('after', '\nExample:\n  openexec replay latest')
    .action(context.act((run: string, options: ReplayOptions) => replay(context, run, options)));
};

async function replay(context: CommandContext, wanted: string, options: ReplayOptions): Promise<CommandResult> {
  if (options.mode !== 'exact') {
    const known = MODES.includes(options.mode)
      ? `replay --mode ${options.mode} is not built yet`
      : `there is no replay mode ${JSON.stringify(options.mode)}`;
    return refuse('usage.invalid', `${known}; this release has --mode exact`);
  }
  return withLedger(context, { ledger: options.ledger }, async ({ store }) => {
    const run = await context.findRun(store, wanted);
    if (!run.ok) return run;
    const report = await replayRun(store, run.value);
    if (report === null) return refuse('run.unknown', `the ledger has no ${run.value}`);
    if (options.json === true) context.output.json('replay', { v: 1, mode: 'exact', ...report });
    else for (const line of replayLines(report, context.output.style)) context.output.result(line);
    if (report.from !== undefined && !isLawfullyGone(report.from)) return ok(EXIT.integrity);
    return ok(report.verdict === 'diverges' ? EXIT.diverged : EXIT.ok);
  });
}

/** The report as lines for a terminal. */
function replayLines(report: ReplayReport, style: Style): string[] {
  const verdict = {
    agrees: style.green('agrees: every recorded judgement is the one that the kernel makes again'),
    diverges: style.red(`diverges in ${report.divergences.length + report.omitted} places`),
    notDerivable: style.yellow(`not derivable from seq ${report.from?.seq ?? 0}: ${safeLine(report.from?.message ?? '')}`),
  }[report.verdict];
  return [
    `${style.bold(report.run)}  ${verdict}`,
    `${report.facts} facts, ${report.judgements} judgements${report.pending > 0 ? `, ${report.pending} facts not judged yet` : ''}; outcome ${report.outcome}`,
    ...(report.tree === null ? [] : [`tree       ${report.tree}`]),
    ...(report.commit === null ? [] : [`commit     ${report.commit}${report.ref === null ? '' : `  ${safeLine(report.ref)}`}`]),
    ...(report.worldRoot === null ? [] : [`world root ${report.worldRoot}`]),
    `spend      ${amountText(report.spend)}`,
    ...report.violations.map(({ seq, why, message }) => `violation  seq ${seq}: ${why}: ${safeLine(message)}`),
    ...report.divergences.flatMap((divergence) => divergenceLines(divergence, style)),
    ...(report.omitted === 0 ? [] : [`  and ${report.omitted} more`]),
  ];
}
