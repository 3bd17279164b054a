/**
 * `openexec show RUN`: what was asked, under which law, what was wished and decided and why, what came of it, and how to check or undo it.
 */
import { figuresOfRun } from '@openexec/audit';
import { ok } from '@openexec/canon';
import { DEFAULTS } from '@openexec/config';
import type { Amount, RunMetrics, RunSafety } from '@openexec/protocol';
import type { CommandContext, CommandResult, Register } from '../context.ts';
import { EXIT } from '../exit.ts';
import { safe, safeLine, type Style } from '../output.ts';
import { shortRun } from '../findRun.ts';
import { accountOf, type IntentAccount, type LawAccount, type RunAccount } from '../read/account.ts';
import { withLedger } from '../read/guard.ts';
import { amountText } from '../read/narrator.ts';

interface ShowOptions {
  readonly json?: boolean;
  readonly ledger?: string;
}

interface Figures {
  readonly metrics: RunMetrics;
  readonly safety: RunSafety;
}

/** Adds the command. */
export const register: Register = (program, context) => {
  program
    .command('show')
    .description('show one run: the task, the law, every verdict and its reason, the result')
    .argument('<run>', 'id of the run, a prefix of it, or latest')
    .option('--json', 'one JSON document')
    .option('--ledger <url>', 'another ledger: sqlite:PATH or postgres://HOST/DATABASE')
    .addHelpText('after', '\nExample:\n  openexec show latest')
    .action(context.act((run: string, options: ShowOptions) => show(context, run, options)));
};

async function show(context: CommandContext, wanted: string, options: ShowOptions): Promise<CommandResult> {
  return withLedger(context, { ledger: options.ledger }, async ({ store }) => {
    const run = await context.findRun(store, wanted);
    if (!run.ok) return run;
    const account = await accountOf(store, run.value);
    const figures = await figuresOfRun(store, run.value);
    if (options.json === true) context.output.json('show', { ...account, ...figures });
    else for (const line of pageOf(account, figures, context.output.style)) context.output.result(line);
    return ok(EXIT.ok);
  });
}

/** The account as a page for a terminal. */
function pageOf(account: RunAccount, figures: Figures, style: Style): string[] {
  const paint =
    account.status === 'done' ? style.green : account.status === 'open' || account.status === 'parked' ? style.yellow : style.red;
  const because = account.because === null ? '' : `: ${safeLine(account.because.message)} (${account.because.code})`;
  return [
    `${style.bold(account.run)}  ${paint(account.status)}${because}`,
    `opened ${account.openedAt ?? 'never'}, last entry ${account.lastAt ?? 'none'}, ${account.entries} entries, ${account.asks} questions to the model, ${account.commits} commits`,
    '',
    style.bold('Task'),
    ...(account.task === null ? ['  (erased)'] : safe(account.task).trimEnd().split('\n')).map((line) => `  ${line}`),
    '',
    ...(account.law === null ? [] : lawLines(account.law, style)),
    ...stageLines(account, style),
    ...figureLines(figures, style),
    ...childLines(account, style),
    ...resultLines(account, style),
    ...nextLines(account, style),
  ];
}

function lawLines(law: LawAccount, style: Style): string[] {
  const policies =
    law.policies === null
      ? '(erased)'
      : law.policies.map(({ layer, name, source }) => `${layer}: ${name}${source === name ? '' : ` (${safeLine(source, 80)})`}`).join(', ');
  const { writ } = law;
  return [
    style.bold('Law'),
    `  blueprint  ${law.blueprint ?? '(erased)'}; approvals ${law.approvals}; kernel ${law.kernel.version}`,
    `  policy     ${policies}; set ${law.policySet}`,
    ...(writ === null
      ? []
      : [
          `  writ       by ${writ.issuer} until ${writ.notAfter}: ${safeLine(writ.actions.join(', '))}`,
          `             effects ${writ.ceiling.join(', ')}; reads ${list(writ.readPaths)}; writes ${list(writ.writePaths)}; hosts ${list(writ.hosts)}`,
          `             at most ${grantText(writ.budget)}, ${Math.round(writ.wallMs / 1000)} s`,
        ]),
    ...law.skills.map(
      ({ name, version, id, params }) =>
        `  skill      ${name === null ? '(erased)' : `${safeLine(name)} version ${version ?? '?'}`} ${id}${paramsText(params)}: narrows the writ`,
    ),
    `  model      ${law.model === null ? 'none' : safeLine(law.model)}`,
    `  base       commit ${law.base.commit}, tree ${law.base.tree}`,
    '',
  ];
}

function paramsText(params: Readonly<Record<string, string>>): string {
  const all = Object.entries(params).map(([key, value]) => `${key}=${value}`);
  return all.length === 0 ? '' : ` with ${safeLine(all.join(', '), 400)}`;
}

/** A grant without a limit in dollars is the largest that the configuration writes. */
function grantText(grant: Amount): string {
  return grant.usdMicros >= DEFAULTS.usdMicros ? `${grant.tokens} tokens, ${grant.calls} calls, any price` : amountText(grant);
}

const list = (values: readonly string[]): string => (values.length === 0 ? 'none' : safeLine(values.join(', ')));

function stageLines(account: RunAccount, style: Style): string[] {
  const stages = account.stages.map(({ stage, visit, outcome, because }) => {
    const paint = outcome === 'failed' ? style.red : outcome === null ? style.yellow : style.green;
    return `  ${stage}${visit > 1 ? ` (visit ${visit})` : ''}  ${paint(outcome ?? 'not left yet')}${because === null ? '' : `  ${safeLine(because.message, 160)}`}`;
  });
  const notes = account.notes
    .filter(({ violation }) => violation)
    .map(({ seq, why, message }) => `  ${style.red('violation')} at ${seq}: ${why}: ${safeLine(message, 160)}`);
  return [
    style.bold('Stages'),
    ...stages,
    '',
    style.bold('Intents, verdicts, ends'),
    ...account.intents.flatMap((intent) => intentLines(intent, style)),
    ...notes,
    '',
  ];
}

function childLines({ parent, children }: RunAccount, style: Style): string[] {
  const below = children.map(({ seq, key, blueprint, run, outcome, because, spend }) => {
    const paint = outcome === 'done' ? style.green : outcome === null ? style.yellow : style.red;
    const why = because === null || outcome === 'done' ? '' : `: ${safeLine(because.message, 160)}`;
    const cost = spend === null ? '' : `; ${amountText(spend)}`;
    return `  ${style.dim(String(seq).padStart(4))}  ${shortRun(run)}  ${key} (${blueprint})  ${paint(outcome ?? 'open')}${why}${cost}`;
  });
  if (parent === null && below.length === 0) return [];
  const above = parent === null ? [] : [`  delegated by ${shortRun(parent)}: openexec show ${shortRun(parent)}`];
  return [style.bold('Child runs'), ...above, ...below, ''];
}

function intentLines(intent: IntentAccount, style: Style): string[] {
  const paint = { permit: style.green, deny: style.red, approve: style.yellow };
  const verdict =
    intent.verdict === null
      ? style.yellow('waiting')
      : paint[intent.verdict](intent.verdict === 'deny' ? 'denied' : intent.verdict === 'permit' ? 'permitted' : 'approval');
  const head = `  ${style.dim(String(intent.seq).padStart(4))}  ${verdict} by ${intent.by ?? 'nobody yet'}  ${intent.author}: ${intent.wish}`;
  const reason = intent.verdict === 'permit' || intent.because === null ? null : `${intent.because.code}: ${intent.because.message}`;
  const end = intent.end === null ? intent.summary : `${intent.end}${intent.summary === null ? '' : `: ${intent.summary}`}`;
  const failure =
    intent.endBecause !== null && intent.endBecause.message !== intent.because?.message
      ? `${intent.endBecause.code}: ${intent.endBecause.message}`
      : null;
  return [
    head,
    ...[reason, end === 'rejected' ? null : end, failure].flatMap((text) =>
      text === null ? [] : [`        ${style.dim(safeLine(text, 240))}`],
    ),
  ];
}

function figureLines({ metrics, safety }: Figures, style: Style): string[] {
  const stages = metrics.stages.map(({ stage, visits, elapsed, model, spent }) => {
    const tokens = model.asked === 0 ? '' : `, ${model.asked} asks, ${model.inputTokens} tokens in, ${model.outputTokens} out`;
    const median = model.latency.medianMs === null ? '' : `, median ${model.latency.medianMs} ms`;
    const cost = spent === null ? '' : `, ${amountText(spent)}`;
    return `  ${stage}  ${visits.succeeded} of ${visits.entered} visits succeeded, ${elapsed.totalMs} ms${tokens}${median}${cost}`;
  });
  const { network, undeclared, violations, refusals, approvals, omitted } = safety;
  const counted = network.uncounted === 0 ? '' : ` (${network.uncounted} of ${network.commands} commands could not be counted)`;
  const strange = undeclared.length + omitted.undeclared + violations.length + omitted.violations;
  const words = [
    `${refusals.length + omitted.refusals} refused`,
    `${approvals.length + omitted.approvals} asked of people`,
    `${network.attempts} packets refused on the network${counted}`,
    `${strange} undeclared effects and violations`,
  ];
  return [style.bold('Figures'), ...stages, `  ${words.join(', ')}`, ''];
}

function resultLines(account: RunAccount, style: Style): string[] {
  const { result, spend } = account;
  return [
    style.bold('Result'),
    result === null ? '  no branch' : `  ${safeLine(result.ref)}  commit ${result.commit}, tree ${result.tree}`,
    ...(spend === null ? [] : [`  spent ${amountText(spend)}`]),
    ...(account.worldRoot === null ? [] : [`  world root ${account.worldRoot}`]),
    '',
  ];
}

function nextLines(account: RunAccount, style: Style): string[] {
  const id = shortRun(account.run);
  const branch = account.result === null ? null : safeLine(account.result.ref.replace(/^refs\/heads\//, ''));
  const closed = !['open', 'parked'].includes(account.status);
  return [
    style.bold('Next'),
    `  check    openexec verify ${id} --deep   openexec replay ${id}`,
    `  look     openexec timeline ${id}${branch === null ? '' : `   git diff ${account.law?.base.commit.slice(0, 12) ?? ''} ${branch}`}`,
    ...(closed ? [] : [`  go on    openexec resume ${id}   stop it: openexec cancel ${id}`]),
    ...(branch === null ? [] : [`  take it  openexec apply ${id}`, `  undo     git branch -D ${branch}`]),
  ];
}
