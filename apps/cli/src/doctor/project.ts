/**
 * What this checkout has: repository, ledger, keys, configuration, model key. Must never print a key, nor say of one that it works: it was not tried.
 */
import { err, ok, type Result } from '@openexec/canon';
import { inspectRepository } from '@openexec/workspace';
import type { CommandContext, OpenLedger, Project } from '../context.ts';
import { REFUSALS, type Refusal } from '../exit.ts';
import { KEY_LABELS, keysFolder, loadKey } from '../keyring.ts';
import { configFor, planRun } from '../run/plan.ts';
import { lastSelfTest, selfTestText } from '../run/selfTest.ts';
import { type Finding, good, wanting } from './finding.ts';

/** Everything about the checkout around, in the order of the report. */
export async function projectFindings(context: CommandContext): Promise<readonly Finding[]> {
  const project = await context.project();
  const usable = project.ok ? await usableCheckout(project.value) : err(project.error.message);
  const why = 'a run starts from a commit of a checkout';
  if (!project.ok || !usable.ok) {
    const said = usable.ok ? 'there is no checkout here' : usable.error;
    const remedy = 'run inside a git checkout with a commit';
    return [
      wanting('bad', { name: 'repository', said, why, remedy, command: 'git init && git commit --allow-empty -m "first"' }),
      keyFinding(context),
    ];
  }
  return [
    good('repository', usable.value, why),
    ...(await ledgerFindings(context)),
    ...configFindings(context, project.value),
    keyFinding(context),
  ];
}

async function usableCheckout(project: Project): Promise<Result<string, string>> {
  const facts = await inspectRepository(project.root);
  if (!facts.ok) return err(facts.error.message);
  const { branch, dirty, head } = facts.value;
  const where = branch === null ? `detached at ${head.slice(0, 12)}` : `${branch} at ${head.slice(0, 12)}`;
  return ok(dirty.length === 0 ? `${where}, clean` : `${where}, ${dirty.length} tracked files changed: commit or stash before a run`);
}

/** What opening for writing has made sure of. */
const DURABLE = {
  sqlite: 'WAL, synchronous FULL',
  postgres: 'fsync, full_page_writes, synchronous_commit',
  eventstore: 'the stream forgets nothing, the companion store is durable',
} as const;

/** Opening for writing sets and reads back WAL and FULL, holds the head file against the entries, and needs the keys. */
async function ledgerFindings(context: CommandContext): Promise<readonly Finding[]> {
  const why = 'everything that happens is recorded there before and after it happens; what cannot be recorded is not done';
  const opened = await context.openLedger({ access: 'write' });
  if (!opened.ok) return [refused('ledger', opened.error, why)];
  const { store, stateFolder, fingerprint, place } = opened.value;
  const { size } = await store.head();
  const selfTest = await selfTestFinding(context, opened.value);
  await opened.value.close();
  const said = `${size} entries, durable (${DURABLE[place.kind]}), head file agrees, fingerprint ${fingerprint}`;
  return [good('ledger', said, why), keysFinding(keysFolder(stateFolder)), selfTest];
}

/** What is recorded; nothing is tried here, and a run makes its own where none stands. */
async function selfTestFinding(context: CommandContext, ledger: OpenLedger): Promise<Finding> {
  const why = 'no run opens unless what must be refused was seen to be refused, within a day, on this machine and under this policy';
  const name = 'self-test';
  const last = await lastSelfTest(ledger);
  if (last === null) {
    const remedy = 'the next run makes one; to see it by itself, run it';
    return wanting('note', { name, said: 'none is recorded in this ledger by this machine', why, remedy, command: 'openexec self-test' });
  }
  const said = `${last.reference.trajectory} of ${last.at}: ${selfTestText(last)}; it stands until ${last.until}`;
  if (context.clock.now() <= last.until) return good(name, said, why);
  return wanting('note', {
    name,
    said: `${said}, which is over`,
    why,
    remedy: 'the next run makes another',
    command: 'openexec self-test',
  });
}

function refused(name: string, refusal: Refusal, why: string): Finding {
  const { remedy } = REFUSALS[refusal.code];
  const command = refusal.code === 'ledger.missing' ? 'openexec init' : refusal.code === 'ledger.corrupt' ? 'openexec verify' : null;
  return wanting('bad', { name, said: refusal.message, why, remedy: `${refusal.code}: ${remedy}`, command });
}

/** Reading a key refuses one that others may read. */
function keysFinding(folder: string): Finding {
  const why = 'they sign the law, the checkpoints and the commits; whoever reads them can do so too';
  const labels = Object.values(KEY_LABELS);
  for (const label of labels) {
    const key = loadKey(folder, label);
    if (key.ok) continue;
    const command = key.error.code === 'key.unsafe' ? `chmod 700 "${folder}" && chmod 600 "${folder}"/*` : 'openexec init';
    return wanting('bad', { name: 'keys', said: key.error.message, why, remedy: REFUSALS[key.error.code].remedy, command });
  }
  return good('keys', `${labels.join(', ')} in ${folder}, readable by you only`, why);
}

function configFindings(context: CommandContext, project: Project): readonly Finding[] {
  const why = 'one unknown word in it stops every run before anything is done';
  const config = configFor(context, project, {});
  if (!config.ok) return [refused('config', config.error, why)];
  const { commands, model, blueprint } = config.value;
  const sound = good(
    'config',
    `blueprint ${blueprint}, model ${model ?? 'none'}, commands ${Object.keys(commands).join(', ') || 'none'}`,
    why,
  );
  const plan = planRun(context, project, { policies: [] });
  if (plan.ok) return [sound];
  const soft = plan.error.code === 'config.modelMissing' || plan.error.code === 'model.keyMissing';
  const finding = {
    name: 'run',
    said: plan.error.message,
    why: 'this is what a run would be refused for',
    remedy: REFUSALS[plan.error.code].remedy,
  };
  return [sound, wanting(soft ? 'note' : 'bad', { ...finding, command: plan.error.code === 'config.missing' ? 'openexec init' : null })];
}

function keyFinding(context: CommandContext): Finding {
  const why = 'a provider answers nobody without one; a script needs none';
  const name = 'model key';
  if ((context.env['OPENAI_API_KEY'] ?? '') !== '')
    return good(name, 'OPENAI_API_KEY is set (it was not tried: openexec model test does)', why);
  const remedy = 'set it in the environment, or use --model scripted:FILE';
  return wanting('note', { name, said: 'OPENAI_API_KEY is not set', why, remedy, command: 'export OPENAI_API_KEY=…' });
}
