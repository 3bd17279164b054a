/**
 * `openexec verify [RUN]`: the integrity of the whole ledger, and with `--deep` every judgement derived again. Says what was checked and
 * what was not; exit 20 when integrity fails, 21 when a judgement differs, 22 when a required anchor is not fresh, 0 with a statement when a run can no longer be derived
 * (CLI.md, PROTOCOL §10).
 */
import { type DeepReport, diverged, isLawfullyGone, type RunReport, unlawful } from '@openexec/audit';
import { ok } from '@openexec/canon';
import type { CommandContext, CommandResult, Register } from '../context.ts';
import { type Style, safeLine } from '../output.ts';
import { divergenceLines } from '../read/divergence.ts';
import type { Integrity } from '../read/evidence.ts';
import { checkedLists, documentOf, exitOf, levelOf, type Verdict, verdictOf } from '../read/verdict.ts';

const PROGRESS_ENTRIES = 50_000;

interface VerifyOptions {
  readonly deep?: boolean;
  readonly trust?: string;
  readonly json?: boolean;
  readonly ledger?: string;
}

/** Adds the command. */
export const register: Register = (program, context) => {
  program
    .command('verify')
    .description('check the integrity of the ledger, and with --deep every judgement')
    .argument('[run]', 'with --deep: only this run (id, prefix or latest)')
    .option('--deep', 'derive every judgement again and compare')
    .option('--trust <fingerprint>', 'the fingerprint that you know from elsewhere: sha256:…')
    .option('--json', 'one JSON document')
    .option('--ledger <url>', 'another ledger: sqlite:PATH or postgres://HOST/DATABASE')
    .addHelpText(
      'after',
      '\nExamples:\n  openexec verify\n  openexec verify --deep\n  openexec verify --ledger sqlite:copy.db --trust sha256:…',
    )
    .action(context.act((run: string | undefined, options: VerifyOptions) => verify(context, run, options)));
};

async function verify(context: CommandContext, run: string | undefined, options: VerifyOptions): Promise<CommandResult> {
  const { deep, trust, ledger } = options;
  const reached = await verdictOf(context, { run, deep: deep === true, trust, ledger, onProgress: progress(context) });
  if (!reached.ok) return reached;
  const verdict = reached.value;
  if (options.json === true) context.output.json('verify', documentOf(verdict));
  else for (const line of verdictLines(verdict, context.output.style)) context.output.result(line);
  return ok(exitOf(verdict));
}

function progress(context: CommandContext): (entries: number) => void {
  let said = 0;
  return (entries) => {
    if (entries - said < PROGRESS_ENTRIES) return;
    said = entries;
    context.output.progress(`${entries} entries checked`);
  };
}

/** The verdict as lines for a terminal. */
function verdictLines(verdict: Verdict, style: Style): string[] {
  const { integrity } = verdict;
  const { report, blobs } = integrity;
  const { checked, notChecked } = checkedLists(verdict);
  const words = { selfAsserted: 'self-asserted: nothing was pinned', pinned: 'pinned' };
  const counts = `${report.entries} entries, ${report.signatures} signatures, ${report.checkpoints} checkpoints, ${blobs.sound} blobs`;
  return [
    integrity.sound
      ? `${style.green('✓ sound')}: ${counts}`
      : `${style.red('✗ not sound')}: ${firstBadText(integrity)} of ${report.entries}`,
    `level        ${levelOf(verdict) ?? 'none'}; trust ${words[report.trust]}; anchor ${verdict.anchors?.flag ?? 'not configured'}`,
    `ledger       ${safeLine(report.origin ?? 'unknown origin')}  ${report.fingerprint ?? 'no fingerprint'}`,
    `root         ${report.root}`,
    ...(report.erased + blobs.erased === 0
      ? []
      : [
          `gone         ${report.erased - report.pruned} payloads erased, ${report.pruned} pruned, ${blobs.erased} blobs erased, all lawfully`,
        ]),
    ...anchorLines(verdict, style),
    ...findingLines(integrity, style),
    ...deepLines(verdict, style),
    ...snapshotLines(verdict, style),
    ...checked.map((line, at) => `${at === 0 ? 'checked      ' : '             '}${line}`),
    ...notChecked.map((line, at) => `${at === 0 ? 'not checked  ' : '             '}${line}`),
  ];
}

function anchorLines({ anchors }: Verdict, style: Style): string[] {
  if (anchors === null) return [];
  const { configured, recorded, covered, ageMs, maxAgeMs, cosigners, problems, flag, required } = anchors;
  const names = configured.length === 0 ? 'none is configured for this ledger' : configured.map((name) => safeLine(name)).join(', ');
  const reach = covered === null ? 'none that holds' : `${covered} entries covered`;
  const age = ageMs === null ? 'age unknown' : `${minutes(ageMs)} old, ${minutes(maxAgeMs)} allowed`;
  const by = cosigners.length === 0 ? '' : `; cosigned by ${cosigners.map((name) => safeLine(name)).join(', ')}`;
  const line = `anchors      ${names}; ${recorded} recorded, ${reach}, ${age}${by}`;
  const missing =
    required && flag !== 'fresh'
      ? [`${style.red('✗')} anchor: a fresh anchor is required; openexec ledger anchor shows the present tree`]
      : [];
  return [
    line,
    ...missing,
    ...problems.map(({ anchor, code, message }) => `${style.yellow('!')} anchor ${safeLine(anchor)}: ${code}: ${safeLine(message)}`),
  ];
}

function minutes(ms: number): string {
  const whole = Math.floor(ms / 60_000);
  return whole === 1 ? '1 minute' : `${whole} minutes`;
}

function firstBadText({ firstBad }: Integrity): string {
  return firstBad === null ? 'the whole does not hold, no single entry' : `first bad index ${firstBad}`;
}

function findingLines({ report, faults, faultsOmitted }: Integrity, style: Style): string[] {
  const lines = [...report.findings, ...faults].map(
    ({ index, code, message }) => `${style.red('✗')} ${index === null ? 'ledger' : `index ${index}`}: ${code}: ${safeLine(message)}`,
  );
  const omitted = report.omitted + faultsOmitted;
  return omitted === 0 ? lines : [...lines, `  and ${omitted} more`];
}

function deepLines({ deep, asked }: Verdict, style: Style): string[] {
  if (deep === null) return asked ? [`${style.yellow('not judged')}   what is not sound is not judged again`] : [];
  const { totals } = deep;
  const bad = diverged(deep) || unlawful(deep).length > 0;
  const tests = totals.selfTests === 0 ? '' : `, ${totals.selfTestJudgements} of ${totals.selfTests} self-tests`;
  const head = `${totals.judgements} judgements of ${totals.runs} runs derived again from ${totals.facts} facts${tests}`;
  return [
    bad ? `${style.red('✗ diverged')}: ${head}; ${driftText(totals)}` : `${style.green('✓ every judgement agrees')}: ${head}`,
    ...(totals.ungoverned > 0 ? [`             ${totals.ungoverned} runs cite no self-test`] : []),
    ...(totals.pending > 0 ? [`             ${totals.pending} facts are not judged yet`] : []),
    ...(totals.unsigned > 0 ? [`${style.yellow('!')} ${totals.unsigned} commits and closes carry no signature of a runtime key`] : []),
    ...deep.lawProblems.map(({ index, code, message }) => `${style.red('✗')} index ${index}: ${code}: ${safeLine(message)}`),
    ...deep.carvingFaults.map(
      ({ index, code, message, expected, recorded }) =>
        `${style.red('✗')} index ${index}: ${code}: ${safeLine(message)}; expected ${safeLine(expected ?? 'none')}, recorded ${safeLine(recorded ?? 'none')}`,
    ),
    ...[...deep.runs, ...deep.selfTests].flatMap((run) => runLines(run, style)),
  ];
}

function snapshotLines({ snapshots }: Verdict, style: Style): string[] {
  return (snapshots?.wrong ?? []).map(
    ({ message }) => `${style.red('✗')} derived data: ${safeLine(message)}; openexec ledger fsck --repair drops it, no entry needs it`,
  );
}

function more({ omitted }: RunReport): string[] {
  return omitted === 0 ? [] : [`  and ${omitted} more`];
}

/** `2 differ: 1 policy, 1 world`. */
function driftText({ divergences, drift }: DeepReport['totals']): string {
  const kinds = Object.entries(drift).filter(([, count]) => count > 0);
  return `${divergences} differ${kinds.length === 0 ? '' : `: ${kinds.map(([kind, count]) => `${count} ${kind}`).join(', ')}`}`;
}

function runLines(run: RunReport, style: Style): string[] {
  const gone =
    run.from === undefined
      ? []
      : [
          `${isLawfullyGone(run.from) ? style.yellow('?') : style.red('✗')} ${run.run}: not derivable from seq ${run.from.seq}: ${run.from.code}: ${safeLine(run.from.message)}`,
        ];
  const violations = run.violations.map(
    ({ seq, why, message }) => `${style.yellow('!')} ${run.run}: violation at seq ${seq}: ${why}: ${safeLine(message)}`,
  );
  return [
    ...gone,
    ...violations,
    ...(run.divergences.length === 0
      ? []
      : [`${run.run}:`, ...run.divergences.flatMap((divergence) => divergenceLines(divergence, style)), ...more(run)]),
  ];
}
