/**
 * `policy advise`: rules drafted from what people approved again and again and from what the sandbox stopped, and what else they would let through. Must
 * never adopt anything, nor write over a file (GOALS E19).
 */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type AdviceReport, advise } from '@openexec/audit';
import { ok, type Result } from '@openexec/canon';
import { SOLO } from '@openexec/policy';
import type { PolicyBundle } from '@openexec/protocol';
import type { CommandContext, CommandResult, OpenLedger } from '../context.ts';
import { EXIT, type Refusal, refuse } from '../exit.ts';
import { shortRun } from '../findRun.ts';
import { safeLine } from '../output.ts';
import { conditionText } from './show.ts';
import { chosenRuns } from './simulate.ts';

/** Options of the command. */
export interface AdviseOptions {
  readonly from?: string;
  readonly to?: string;
  readonly least: string;
  readonly out?: string;
  readonly json?: boolean;
}

/** Drafts, and says what stands behind each draft. */
export async function adviseRuns(
  runs: readonly string[],
  options: AdviseOptions,
  context: CommandContext,
  ledger: OpenLedger,
): Promise<CommandResult> {
  if (!/^[1-9][0-9]{0,3}$/.test(options.least)) return refuse('usage.invalid', '--least takes a number from 1 to 9999');
  const chosen = await chosenRuns({ runs, from: options.from, to: options.to }, context, ledger);
  if (!chosen.ok) return chosen;
  const report = await advise(ledger.store, chosen.value, { least: Number(options.least), replaces: SOLO.name });
  const { output } = context;
  if (report.bundle !== null && options.out !== undefined) {
    const written = writeDraft(resolve(context.cwd, options.out), report.bundle);
    if (!written.ok) return written;
  }
  if (options.json === true) output.json('policy-advise', { v: 1, runs: chosen.value.length, ...report });
  else for (const line of linesOf(report, options.out)) output.result(safeLine(line, 1000));
  for (const { run, seq, code, missed } of report.notDerivable)
    output.warn(`${run} is not derivable from seq ${seq} (${safeLine(code)}): ${missed} decisions were not looked at`);
  return ok(EXIT.ok);
}

function writeDraft(file: string, bundle: PolicyBundle): Result<void, Refusal> {
  try {
    writeFileSync(file, `${JSON.stringify(bundle, null, 2)}\n`, { flag: 'wx' });
    return ok(undefined);
  } catch (error) {
    const { code } = error as { readonly code?: string };
    return code === 'EEXIST'
      ? refuse('file.exists', `"${safeLine(file)}" is there already`)
      : refuse('file.unwritable', `"${safeLine(file)}" cannot be written (${code ?? ''})`);
  }
}

function linesOf({ bundle, base, advice, notAdvised, also }: AdviceReport, out: string | undefined): readonly string[] {
  const at = ({ run, seq }: { readonly run: string; readonly seq: number }) => `${shortRun(run)}:${seq}`;
  const drafts = advice.flatMap(({ id, kind, action, evidence, keys }) => {
    const rule = bundle?.rules.find((each) => each.id === id);
    const seen = evidence.map(at).join(', ');
    return [
      kind === 'permit'
        ? `draft ${id}: permit ${action}, approved ${evidence.length} times (${seen}) by ${keys.join(', ')}`
        : `draft ${id}: ask before ${action} gets a host, stopped ${evidence.length} times (${seen}); the writ has to name the host`,
      ...(rule === undefined ? [] : [`  when ${conditionText(rule.when)}`]),
    ];
  });
  const not = notAdvised.map(
    ({ action, code, message, evidence }) => `not drafted: ${action} (${code}): ${message} (${evidence.map(at).join(', ')})`,
  );
  if (bundle === null) return [...not, 'nothing is drafted'];
  const more = also.map((each) => `also let through: ${at(each)} ${each.subject}, recorded ${each.recorded}`);
  const else_ = also.length === 0 ? ['over these runs the drafts let through nothing else'] : more;
  const file = out ?? 'DRAFT';
  return [
    ...drafts,
    ...not,
    ...else_,
    `the whole bundle ${bundle.name}, ${base?.layer ?? ''}/${base?.name ?? ''} with the drafts, ${out === undefined ? 'is written by --out FILE' : `stands in ${out}`}; nothing was adopted`,
    `look at it: openexec policy test ${file} · openexec policy simulate ${file} · then openexec policy adopt ${file}`,
  ];
}
