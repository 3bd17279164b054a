/**
 * `openexec verify [RUN]`: the integrity of the whole ledger, and with `--deep` every judgement derived again. Says what was checked and
 * what was not; exit 20 when integrity fails, 21 when a judgement differs, and 0 with a statement when a run can no longer be derived
 * (CLI.md, PROTOCOL §10).
 */
import { type DeepReport, deepVerify, type RunReport } from '@openexec/audit';
import { type Digest, ok, parseDigest, type Result, type TrajectoryId } from '@openexec/canon';
import type { CommandContext, CommandResult, Register } from '../context.ts';
import { EXIT, type Refusal, refuse } from '../exit.ts';
import { safeLine, type Style } from '../output.ts';
import { divergenceLines } from '../read/divergence.ts';
import { type Evidence, type Integrity, openEvidence } from '../read/evidence.ts';

const PROGRESS_ENTRIES = 50_000;
/** What the check of blobs adds to what the verifier checks. */
const BLOBS_CHECKED = 'every blob that a payload names: there, and of that digest, or erased lawfully';
const DEEP_CHECKED = 'every judgement of every run named: derived again and compared by kind, payload, cause, law position and time';
const NO_HEAD = 'a head kept elsewhere: this ledger is not pinned here, so nobody remembers how far it had come';
/** Lines of the verifier that `--deep` answers. */
const DEEP_MARK = '(verify --deep)';
/** Why a run may lawfully be underivable (PROTOCOL §10). */
const LAWFULLY_GONE = ['payload.erased', 'blob.erased'];

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
    .option('--ledger <url>', 'another ledger, sqlite:PATH')
    .addHelpText(
      'after',
      '\nExamples:\n  openexec verify\n  openexec verify --deep\n  openexec verify --ledger sqlite:copy.db --trust sha256:…',
    )
    .action(context.act((run: string | undefined, options: VerifyOptions) => verify(context, run, options)));
};

async function verify(context: CommandContext, run: string | undefined, options: VerifyOptions): Promise<CommandResult> {
  const trust = readTrust(options.trust);
  if (!trust.ok) return trust;
  const evidence = await openEvidence(context, { ledger: options.ledger, trust: trust.value });
  if (!evidence.ok) return evidence;
  try {
    return await report(context, evidence.value, run, options);
  } finally {
    await evidence.value.close();
  }
}

function readTrust(text: string | undefined): Result<Digest | undefined, Refusal> {
  if (text === undefined) return ok(undefined);
  const digest = parseDigest(text);
  return digest.ok ? digest : refuse('usage.invalid', '--trust takes a fingerprint: sha256: and 64 lower-case hex digits');
}

async function report(
  context: CommandContext,
  evidence: Evidence,
  wanted: string | undefined,
  options: VerifyOptions,
): Promise<CommandResult> {
  const integrity = await evidence.check(progress(context));
  let only: readonly TrajectoryId[] | undefined;
  let deep: DeepReport | null = null;
  // What is not sound cannot be judged again: its entries may be anybody's.
  if (integrity.sound && wanted !== undefined) {
    const run = await context.findRun(evidence.store, wanted);
    if (!run.ok) return run;
    only = [run.value];
  }
  if (integrity.sound && options.deep === true) deep = await deepVerify(evidence.store, only === undefined ? {} : { runs: only });
  const verdict = { integrity, deep, asked: options.deep === true };
  if (options.json === true) context.output.json(documentOf(verdict));
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

/** A verification's outcome; `asked` says that judgements were to be derived, which damage forbids. */
interface Verdict {
  readonly integrity: Integrity;
  readonly deep: DeepReport | null;
  readonly asked: boolean;
}

/** Runs that cannot be derived for another reason than a lawful erasure: bytes are missing or are not what they should be. */
function unlawful(deep: DeepReport): readonly RunReport[] {
  return deep.runs.filter(({ from, verdict }) => verdict === 'notDerivable' && from !== undefined && !LAWFULLY_GONE.includes(from.code));
}

/** The exit code of a verdict. */
function exitOf({ integrity, deep }: Verdict): typeof EXIT.ok | typeof EXIT.integrity | typeof EXIT.diverged {
  if (!integrity.sound || (deep !== null && unlawful(deep).length > 0)) return EXIT.integrity;
  return deep !== null && (deep.totals.divergences > 0 || deep.lawProblems.length > 0) ? EXIT.diverged : EXIT.ok;
}

function checkedLists({ integrity, deep }: Verdict): { readonly checked: readonly string[]; readonly notChecked: readonly string[] } {
  const { checked } = integrity.report;
  const notChecked = integrity.headKept ? integrity.report.notChecked : [...integrity.report.notChecked, NO_HEAD];
  if (deep === null) return { checked: [...checked, BLOBS_CHECKED], notChecked };
  const selfTests = deep.totals.selfTestJudgements === 0 ? [] : [`${deep.totals.selfTestJudgements} judgements of self-tests`];
  return {
    checked: [...checked, BLOBS_CHECKED, DEEP_CHECKED],
    notChecked: [...notChecked.filter((line) => !line.endsWith(DEEP_MARK)), ...selfTests],
  };
}

/** The JSON document of a verdict, version 1. */
function documentOf(verdict: Verdict): object {
  const { integrity, deep } = verdict;
  const { report, faults, faultsOmitted } = integrity;
  const { checked, notChecked } = checkedLists(verdict);
  return {
    v: 1,
    exit: exitOf(verdict),
    sound: integrity.sound,
    level: integrity.sound ? report.level : null,
    trust: report.trust,
    anchor: report.anchor,
    entries: report.entries,
    origin: report.origin,
    fingerprint: report.fingerprint,
    root: report.root,
    signatures: report.signatures,
    checkpoints: report.checkpoints,
    erased: report.erased,
    blobs: integrity.blobs,
    firstBad: integrity.firstBad,
    findings: [...report.findings, ...faults],
    omitted: report.omitted + faultsOmitted,
    checked,
    notChecked,
    deep,
  };
}

/** The verdict as lines for a terminal. */
function verdictLines(verdict: Verdict, style: Style): string[] {
  const { integrity } = verdict;
  const { report, blobs } = integrity;
  const { checked, notChecked } = checkedLists(verdict);
  const words = { selfAsserted: 'self-asserted: nothing was pinned', pinned: 'pinned', notConfigured: 'not configured' };
  const counts = `${report.entries} entries, ${report.signatures} signatures, ${report.checkpoints} checkpoints, ${blobs.sound} blobs`;
  return [
    integrity.sound
      ? `${style.green('✓ sound')}: ${counts}`
      : `${style.red('✗ not sound')}: ${firstBadText(integrity)} of ${report.entries}`,
    `level        ${integrity.sound ? (report.level ?? 'none') : 'none'}; trust ${words[report.trust]}; anchor ${words[report.anchor]}`,
    `ledger       ${safeLine(report.origin ?? 'unknown origin')}  ${report.fingerprint ?? 'no fingerprint'}`,
    `root         ${report.root}`,
    ...findingLines(integrity, style),
    ...deepLines(verdict, style),
    ...checked.map((line, at) => `${at === 0 ? 'checked      ' : '             '}${line}`),
    ...notChecked.map((line, at) => `${at === 0 ? 'not checked  ' : '             '}${line}`),
  ];
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
  const bad = totals.divergences > 0 || deep.lawProblems.length > 0 || unlawful(deep).length > 0;
  const head = `${totals.judgements} judgements of ${totals.runs} runs derived again from ${totals.facts} facts`;
  return [
    bad ? `${style.red('✗ diverged')}: ${head}; ${totals.divergences} differ` : `${style.green('✓ every judgement agrees')}: ${head}`,
    ...(totals.pending > 0 ? [`             ${totals.pending} facts are not judged yet`] : []),
    ...deep.lawProblems.map(({ index, code, message }) => `${style.red('✗')} index ${index}: ${code}: ${safeLine(message)}`),
    ...deep.runs.flatMap((run) => runLines(run, style)),
  ];
}

function runLines(run: RunReport, style: Style): string[] {
  const gone =
    run.from === undefined
      ? []
      : [
          `${LAWFULLY_GONE.includes(run.from.code) ? style.yellow('?') : style.red('✗')} ${run.run}: not derivable from seq ${run.from.seq}: ${run.from.code}: ${safeLine(run.from.message)}`,
        ];
  const violations = run.violations.map(
    ({ seq, why, message }) => `${style.yellow('!')} ${run.run}: violation at seq ${seq}: ${why}: ${safeLine(message)}`,
  );
  return [
    ...gone,
    ...violations,
    ...(run.divergences.length === 0
      ? []
      : [`${run.run}:`, ...run.divergences.flatMap((divergence) => divergenceLines(divergence, style))]),
  ];
}
