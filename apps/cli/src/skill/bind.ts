/**
 * `openexec skill bind RUN SKILL`: takes something away from a run that is open. Must never drive the run nor widen anything: whoever drives it judges the
 * fact, and from that judgement on the run has less. PROTOCOL §§3, 5.
 */
import { digestJson, err, type KeyId, ok, type Result } from '@openexec/canon';
import { bindSkillTo } from '@openexec/runtime';
import type { CommandContext, CommandResult, OpenLedger, Project } from '../context.ts';
import { EXIT, type Refusal, refuse } from '../exit.ts';
import { storeRefusal } from '../openLedger.ts';
import { safeLine } from '../output.ts';
import { loadOperating } from '../run/drive.ts';
import { redactWords } from '../run/redact.ts';
import { type PlannedSkill, planSkills } from './plan.ts';

/** Options of the command. */
export interface BindOptions {
  readonly skillParam: Readonly<Record<string, string>>;
  readonly because: string;
  readonly json?: boolean;
}

/** Records the binding. */
export async function bind(wanted: string, skill: string, options: BindOptions, context: CommandContext): Promise<CommandResult> {
  const project = await context.project();
  if (!project.ok) return project;
  const planned = planSkills(context, project.value, { wanted: [skill], params: options.skillParam });
  if (!planned.ok) return planned;
  const [bound] = planned.value;
  if (bound === undefined) return refuse('skill.unknown', `there is no skill "${safeLine(skill, 64)}"`);
  const opened = await context.openLedger({ access: 'append' });
  if (!opened.ok) return opened;
  try {
    return await append(wanted, bound, { options, context, ledger: opened.value, project: project.value });
  } finally {
    await opened.value.close();
  }
}

async function append(
  wanted: string,
  { template, params }: PlannedSkill,
  of: { readonly options: BindOptions; readonly context: CommandContext; readonly ledger: OpenLedger; readonly project: Project },
): Promise<CommandResult> {
  const { options, context, ledger } = of;
  const run = await context.findRun(ledger.store, wanted);
  if (!run.ok) return run;
  const operating = loadOperating(ledger);
  if (!operating.ok) return operating;
  const { operator } = operating.value;
  const clean = await refuseSecretIn(JSON.stringify([template, params]), context, operator);
  if (!clean.ok) return clean;
  const because = await redactWords(context, operator, options.because);
  if (!because.ok) return because;
  const { clock, randomness } = context;
  // Key files hold checked ids.
  const actor = operator.keyId as KeyId;
  const speaker = { ledger: ledger.store, clock, randomness, run: run.value, actor };
  const noted = await bindSkillTo({ ...speaker, template, params, because: because.value });
  if (!noted.ok) return err(storeRefusal(noted.error));
  const { name, version } = template;
  const id = digestJson(template);
  if (options.json === true)
    context.output.json('skill-bind', { v: 1, run: run.value, seq: noted.value.seq, skill: { name, version, id } });
  else
    context.output.result(
      `${run.value} is bound to ${safeLine(name)} version ${version} from ${noted.value.seq} on; whoever drives it judges that`,
    );
  return ok(EXIT.ok);
}

/** What binds a run is recorded as it is, so it may hold nothing that looks like a secret. */
async function refuseSecretIn(
  text: string,
  context: CommandContext,
  operator: Parameters<typeof redactWords>[1],
): Promise<Result<void, Refusal>> {
  const redacted = await redactWords(context, operator, text);
  if (!redacted.ok) return redacted;
  return redacted.value === text
    ? ok(undefined)
    : refuse('secret.recorded', 'the skill or a parameter of it holds what looks like a secret');
}
