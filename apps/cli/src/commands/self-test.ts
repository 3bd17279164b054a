/**
 * `openexec self-test`: canary intents through the production judge and canary commands through the sandbox, each with its control, signed and
 * recorded. Exit 0 when all of them held, 15 when one did not, 14 when commands cannot be confined. Must never say that one held which was not tried.
 */
import { CANARIES } from '@openexec/audit';
import { ok } from '@openexec/canon';
import { createSandbox } from '@openexec/workspace';
import type { Command } from 'commander';
import type { CommandContext, CommandResult, OpenLedger, Project } from '../context.ts';
import { EXIT, type ExitCode, refuse } from '../exit.ts';
import { lawOf } from '../law.ts';
import { safe } from '../output.ts';
import { loadOperating } from '../run/drive.ts';
import { checkFolder } from '../run/hands.ts';
import { groundPlan, underLaw } from '../run/plan.ts';
import { redactorOf } from '../run/redact.ts';
import { failedSelfTest, groundFor, makeSelfTest, profileFor, selfTestText } from '../run/selfTest.ts';

const NAME_WIDTH = 20;
type Recorded = Extract<Awaited<ReturnType<typeof makeSelfTest>>, { ok: true }>['value'];

/** Adds the command. */
export function register(program: Command, context: CommandContext): void {
  program
    .command('self-test')
    .description('try what must be refused, through the very judge and sandbox of a run, and record it signed')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExamples:\n  openexec self-test\n  openexec self-test --json')
    .action(context.act((options: { readonly json?: boolean }) => selfTest(options, context)));
}

async function selfTest(options: { readonly json?: boolean }, context: CommandContext): Promise<CommandResult> {
  const project = await context.project();
  if (!project.ok) return project;
  const ledger = await context.openLedger({ access: 'write' });
  if (!ledger.ok) return ledger;
  try {
    return await tried(context, { project: project.value, ledger: ledger.value, json: options.json === true });
  } finally {
    await ledger.value.close();
  }
}

async function tried(
  context: CommandContext,
  { project, ledger, json }: { readonly project: Project; readonly ledger: OpenLedger; readonly json: boolean },
): Promise<CommandResult> {
  const plan = groundPlan(context, project, { policies: [] });
  if (!plan.ok) return plan;
  const operating = loadOperating(ledger);
  if (!operating.ok) return operating;
  const { operator, runtime } = operating.value;
  const known = await redactorOf({ env: context.env, keys: [operator, runtime], runtime, root: project.root, commonDir: project.root });
  if (!known.ok) return known;
  const sandbox = await createSandbox({ redactor: known.value, scratch: checkFolder(context.places.state) }).check();
  const { grant, config } = plan.value;
  const profile = profileFor(plan.value, { ceiling: [...grant.ceiling], writePaths: [...config.writePaths] });
  if (!profile.ok) return profile;
  const law = await lawOf(ledger);
  if (!law.ok) return law;
  const policySet = underLaw(plan.value.policySet, law.value.adopted);
  if (!policySet.ok) return policySet;
  const ground = groundFor(
    ledger,
    { policySet: policySet.value, catalogue: plan.value.catalogue },
    { profile: profile.value, sandbox, assets: context.assets },
  );
  const made = await makeSelfTest({ context, ledger, operating: operating.value, ground, sandbox });
  if (!made.ok) return made;
  const recorded = made.value;
  const exit = sandbox.sound ? (recorded.passed ? EXIT.ok : EXIT.selfTest) : EXIT.sandbox;
  if (json) context.output.json('self-test', documentOf(recorded, exit));
  else for (const line of linesOf(recorded, context)) context.output.result(line);
  if (json || exit === EXIT.ok) return ok(exit);
  if (!sandbox.sound)
    return refuse('sandbox.unavailable', `commands cannot be confined on this machine: ${sandbox.problem ?? 'a canary was not blocked'}`);
  return failedSelfTest(recorded);
}

const shows = new Map(CANARIES.map(({ name, shows: what }) => [name, what]));

function linesOf(recorded: Recorded, { output }: CommandContext): readonly string[] {
  const { green, red, dim } = output.style;
  const { reference, passed, until, report } = recorded;
  const mark = (held: boolean): string => (held ? green('✓') : red('✗'));
  return [
    ...report.canaries.map(
      ({ name, verdict, code, held }) =>
        `${mark(held)} ${name.padEnd(NAME_WIDTH)} ${verdict}${code === '' ? '' : ` ${code}`}  ${dim(shows.get(name) ?? '')}`,
    ),
    ...report.sandbox.probes.map(
      ({ name, blocked, control }) =>
        `${mark(blocked)} ${'sandbox'.padEnd(NAME_WIDTH)} ${blocked ? 'blocked' : 'NOT BLOCKED'}  ${dim(safe(name))}${control ? '' : dim(' (fails unconfined as well)')}`,
    ),
    passed ? `${green('✓ passed')}: ${selfTestText(recorded)}; it stands until ${until}` : red('✗ did not pass: no run may cite it'),
    `recorded     ${reference.trajectory} ${reference.seq}, signed by the runtime key`,
  ];
}

function documentOf({ reference, passed, at, until, report }: Recorded, exit: ExitCode) {
  return {
    v: 1 as const,
    exit,
    trajectory: reference.trajectory,
    seq: reference.seq,
    passed,
    at,
    until,
    set: report.set,
    canaries: report.canaries.map((each) => ({ ...each, shows: shows.get(each.name) ?? '' })),
    sandbox: report.sandbox,
  };
}
