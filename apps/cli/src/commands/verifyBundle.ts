/**
 * `openexec verify-bundle PATH`: an audit bundle, checked without its ledger and without trusting whoever made it; with `--deep` every judgement in it
 * is derived again. Exit 20 when it does not hold, 21 when a judgement differs (CLI.md, PROTOCOL §11).
 */
import { readFileSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { readTrusted, verifyTimestamp } from '@openexec/anchors';
import { bundleSource, type DeepReport, deepVerify, diverged, type Extent, unlawful } from '@openexec/audit';
import { type Digest, instantFromMs, ok, parseDigest, type Result } from '@openexec/canon';
import type { CliDocument } from '@openexec/protocol';
import { bundleLines, type BundleReport, coverageLines, type ReadTime, verifyBundle } from '@openexec/verify';
import { openBundle } from '@openexec/verify/files';
import type { CommandContext, CommandResult, Register } from '../context.ts';
import { EXIT, type ExitCode, type Refusal, refuse } from '../exit.ts';
import { safeLine, type Style } from '../output.ts';
import { divergenceLines } from '../read/divergence.ts';

interface CheckOptions {
  readonly trust?: string;
  readonly policy?: string;
  readonly since?: string;
  readonly tsa?: string;
  readonly deep?: boolean;
  readonly json?: boolean;
}
interface Outcome {
  readonly report: BundleReport;
  readonly deep: DeepReport | null;
}

const MAX_NOTE_BYTES = 1024 * 1024;

/** Adds the command. */
export const register: Register = (program, context) => {
  program
    .command('verify-bundle')
    .description('check an audit bundle, offline')
    .argument('<path>', 'its folder or its tar file')
    .option('--trust <fingerprint>', 'the fingerprint of the ledger, as you know it from elsewhere: sha256:…')
    .option('--policy <file>', 'a C2SP tlog-policy of your own: the witnesses that must have cosigned')
    .option('--since <file>', 'a checkpoint of this ledger that you kept from before')
    .option('--tsa <file>', 'certificates (PEM) of time stamping authorities that you trust: RFC 3161 times must be there and hold')
    .option('--deep', 'derive every judgement again and compare')
    .option('--json', 'one JSON document')
    .addHelpText(
      'after',
      '\nExamples:\n  openexec verify-bundle change.tar --trust sha256:…\n  openexec verify-bundle audit/ --since last-year.checkpoint --deep',
    )
    .action(context.act((path: string, options: CheckOptions) => check(context, path, options)));
};

async function check(context: CommandContext, wanted: string, options: CheckOptions): Promise<CommandResult> {
  const trust = trustOf(options.trust);
  if (!trust.ok) return trust;
  const policy = noteOf(context, options.policy);
  if (!policy.ok) return policy;
  const since = noteOf(context, options.since);
  if (!since.ok) return since;
  const time = timeOf(context, options.tsa);
  if (!time.ok) return time;
  const path = isAbsolute(wanted) ? wanted : resolve(context.cwd, wanted);
  const opened = await openBundle(path);
  if (!opened.ok) {
    const { code, part, message } = opened.error;
    return refuse(
      code === 'bundle.unreadable' ? 'bundle.unreadable' : 'bundle.refused',
      `${safeLine(part)}: ${code}: ${safeLine(message)}`,
    );
  }
  try {
    const { parts } = opened.value;
    const report = await verifyBundle(parts, {
      trust: trust.value,
      policy: policy.value,
      since: since.value,
      ...(time.value === null ? {} : { time: time.value }),
      onProgress: progress(context),
    });
    // What is not sound cannot be judged again: its entries may be anybody's.
    const deep =
      report.sound && options.deep === true ? await deepVerify(bundleSource(parts), { partial: report.scope?.is !== 'ledger' }) : null;
    const outcome = { report, deep };
    if (options.json === true) context.output.json('verify-bundle', documentOf(outcome));
    else for (const line of lines(outcome, options.deep === true, context.output.style)) context.output.result(line);
    return ok(exitOf(outcome));
  } finally {
    await opened.value.close();
  }
}

function progress(context: CommandContext): (entries: number) => void {
  let said = 0;
  return (entries) => {
    if (entries - said < 50_000) return;
    said = entries;
    context.output.progress(`${entries} entries checked`);
  };
}

function trustOf(text: string | undefined): Result<Digest | null, Refusal> {
  if (text === undefined) return ok(null);
  const digest = parseDigest(text);
  return digest.ok ? digest : refuse('usage.invalid', '--trust takes a fingerprint: sha256: and 64 lower-case hex digits');
}

function noteOf(context: CommandContext, file: string | undefined): Result<string | null, Refusal> {
  if (file === undefined) return ok(null);
  const path = isAbsolute(file) ? file : resolve(context.cwd, file);
  try {
    const bytes = readFileSync(path);
    return bytes.length > MAX_NOTE_BYTES
      ? refuse('usage.invalid', `"${safeLine(path)}" is too large for a note`)
      : ok(bytes.toString('utf8'));
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    return refuse('usage.invalid', `"${safeLine(path)}" cannot be read (${String(code)})`);
  }
}

/** A bundle may hold back what a run is judged by, and of a run's bundle other runs are not there. */
function extentOf({ scope }: BundleReport): Extent {
  return { whole: scope?.is === 'ledger', withholds: true };
}

/** Times are read with the host's cryptography, which the verifier itself has not. */
function timeOf(context: CommandContext, file: string | undefined): Result<ReadTime | null, Refusal> {
  const pem = noteOf(context, file);
  if (!pem.ok) return pem;
  const trusted = pem.value;
  if (trusted === null) return ok(null);
  const read = readTrusted(trusted);
  if (!read.ok) return refuse('usage.invalid', `--tsa: ${read.error.message}`);
  return ok((response, data) => {
    const stamp = verifyTimestamp({ response, data, trusted });
    return stamp.ok ? ok({ at: instantFromMs(stamp.value.timeMs), authority: stamp.value.authority }) : stamp;
  });
}

/** The exit code of a checked bundle; `deep` null where nothing was judged again. */
export function exitOf({ report, deep }: Outcome): ExitCode {
  if (!report.sound || (deep !== null && unlawful(deep, extentOf(report)).length > 0)) return EXIT.integrity;
  return deep !== null && diverged(deep, extentOf(report)) ? EXIT.diverged : EXIT.ok;
}

function documentOf(outcome: Outcome): CliDocument<'verify-bundle'> {
  const { report, deep } = outcome;
  return {
    v: 1,
    exit: exitOf(outcome),
    ...report,
    scope: report.scope,
    runs: [...report.runs],
    cosigners: [...report.cosigners],
    times: [...report.times],
    findings: [...report.findings],
    checked: [...report.checked],
    notChecked: [...report.notChecked],
    deep:
      deep === null
        ? null
        : {
            runs: deep.runs.map(({ run, verdict, judgements, divergences }) => ({
              run,
              verdict,
              judgements,
              divergences: divergences.length,
            })),
            lawProblems: deep.lawProblems.length,
          },
  };
}

function lines({ report, deep }: Outcome, asked: boolean, style: Style): string[] {
  const dress = { safe: safeLine, good: (text: string) => style.green(text), bad: (text: string) => style.red(text) };
  return [...bundleLines(report, dress), ...deepLines({ report, deep }, asked, style), ...coverageLines(report, deep !== null)];
}

function deepLines({ report, deep }: Outcome, asked: boolean, style: Style): string[] {
  if (deep === null) return asked ? [`${style.yellow('not judged')}   what is not sound is not judged again`] : [];
  const { totals } = deep;
  const bad = diverged(deep, extentOf(report)) || unlawful(deep, extentOf(report)).length > 0;
  const tests = totals.selfTests === 0 ? '' : `, ${totals.selfTestJudgements} of ${totals.selfTests} self-tests`;
  const head = `${totals.judgements} judgements of ${totals.runs} runs derived again from ${totals.facts} facts${tests}`;
  const carved = report.scope?.is === 'ledger' ? [] : ['             what other runs left of standing writs is not in this bundle'];
  return [
    bad ? `${style.red('✗ diverged')}: ${head}; ${totals.divergences} differ` : `${style.green('✓ every judgement agrees')}: ${head}`,
    ...carved,
    ...[...deep.runs, ...deep.selfTests].flatMap(({ run, from, divergences }) => [
      ...(from === undefined
        ? []
        : [`${style.yellow('?')} ${run}: not derivable from seq ${from.seq}: ${from.code}: ${safeLine(from.message)}`]),
      ...divergences.flatMap((divergence) => divergenceLines(divergence, style)),
    ]),
  ];
}
