/**
 * `openexec doctor`: what is there, what is missing, how to get it. Must never say that something works without having tried it. CLI.md.
 */
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { ok } from '@openexec/canon';
import { createRedactor, createSandbox, sandboxIdentity } from '@openexec/workspace';
import type { Command } from 'commander';
import type { CommandContext, CommandResult, Project } from '../context.ts';
import { EXIT } from '../exit.ts';
import { safe } from '../output.ts';
import { configFor, planRun } from '../run/plan.ts';

/** One finding. `bad` keeps a run from working; `note` only limits it. */
interface Finding {
  readonly name: string;
  readonly state: 'good' | 'note' | 'bad';
  readonly said: string;
  readonly remedy: string | null;
}

const LEAST_FREE_BYTES = 1024 ** 3;
const NODE_RANGE = /^(20\.(19|[2-9]\d)|22\.(1[4-9]|[2-9]\d)|2[3-9]|[3-9]\d)(\.|$)/;
const TAG_KEY_BYTES = 16;

/** Adds the command. */
export function register(program: Command, context: CommandContext): void {
  program
    .command('doctor')
    .description('what is missing on this machine and in this repository, and how to get it')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  openexec doctor')
    .action(context.act((options: { readonly json?: boolean }) => doctor(options, context)));
}

async function doctor(options: { readonly json?: boolean }, context: CommandContext): Promise<CommandResult> {
  const findings: Finding[] = [nodeFinding(), gitFinding(), await sandboxFinding(context), diskFinding(context)];
  const project = await context.project();
  if (project.ok) {
    findings.push(await ledgerFinding(context));
    findings.push(...configFindings(context, project.value));
  } else findings.push({ name: 'repository', state: 'bad', said: project.error.message, remedy: 'run inside a git checkout' });
  findings.push(keyFinding(context));
  const { output } = context;
  const sound = findings.every(({ state }) => state !== 'bad');
  if (options.json === true) output.json({ v: 1, sound, findings });
  else {
    const { green, red, yellow, dim } = output.style;
    const marks = { good: green('✓'), note: yellow('!'), bad: red('✗') };
    for (const { name, state, said, remedy } of findings) {
      output.result(`${marks[state]} ${name.padEnd(11)} ${safe(said)}`);
      if (remedy !== null) output.result(dim(`              ${remedy}`));
    }
  }
  return ok(sound ? EXIT.ok : EXIT.failed);
}

function nodeFinding(): Finding {
  const version = process.versions.node;
  if (NODE_RANGE.test(version)) return { name: 'node', state: 'good', said: version, remedy: null };
  return {
    name: 'node',
    state: 'bad',
    said: `${version} is not supported`,
    remedy: 'install Node 20.19 or later of 20, or 22.14 or later',
  };
}

function gitFinding(): Finding {
  try {
    const said = execFileSync('git', ['--version'], { stdio: ['ignore', 'pipe', 'ignore'] })
      .toString('utf8')
      .trim();
    return { name: 'git', state: 'good', said, remedy: null };
  } catch {
    return { name: 'git', state: 'bad', said: 'git does not start', remedy: 'install it: apt install git' };
  }
}

async function sandboxFinding(context: CommandContext): Promise<Finding> {
  const redactor = createRedactor({ secrets: [], tagKey: context.randomness.bytes(TAG_KEY_BYTES) });
  const report = await createSandbox({ redactor }).check();
  if (report.sound) {
    const blocked = report.canaries.filter((canary) => canary.blocked).length;
    return {
      name: 'sandbox',
      state: 'good',
      said: `${report.kind} ${report.version}, uid ${report.uid}, limits by ${report.limiter}; ${blocked} of ${report.canaries.length} escapes tried and blocked`,
      remedy: null,
    };
  }
  return {
    name: 'sandbox',
    state: 'bad',
    said: report.problem ?? 'a canary was not blocked',
    remedy: 'install bubblewrap (apt install bubblewrap) and allow user namespaces (sysctl kernel.unprivileged_userns_clone=1)',
  };
}

/** Writes and flushes a file where run state lives, and looks at the room there. */
function diskFinding(context: CommandContext): Finding {
  const { state } = context.places;
  const probe = join(state, `probe-${randomUUID()}`);
  try {
    mkdirSync(state, { recursive: true, mode: 0o711 });
    const handle = openSync(probe, 'wx', 0o600);
    try {
      writeSync(handle, 'probe');
      fsyncSync(handle);
    } finally {
      closeSync(handle);
      rmSync(probe, { force: true });
    }
    const { bavail, bsize } = statfsSync(state);
    const free = bavail * bsize;
    const said = `${(free / 1024 ** 3).toFixed(1)} GiB free for run state in ${state}; commands run as uid ${sandboxIdentity().uid}`;
    return free >= LEAST_FREE_BYTES
      ? { name: 'disk', state: 'good', said, remedy: null }
      : { name: 'disk', state: 'note', said, remedy: 'free some space; a run keeps its own copy of the tree' };
  } catch (error) {
    const { code } = error as { code?: string };
    return {
      name: 'disk',
      state: 'bad',
      said: `the state folder ${state} cannot be written (${code ?? 'unknown'})`,
      remedy: 'set OPENEXEC_STATE_DIR to a folder of yours',
    };
  }
}

/** Opening for writing sets and reads back WAL and FULL, holds the head file against the entries, and needs the keys. */
async function ledgerFinding(context: CommandContext): Promise<Finding> {
  const opened = await context.openLedger({ access: 'write' });
  if (!opened.ok)
    return {
      name: 'ledger',
      state: 'bad',
      said: opened.error.message,
      remedy: opened.error.code === 'ledger.missing' ? 'openexec init' : `${opened.error.code}: openexec verify says more`,
    };
  const { size } = await opened.value.store.head();
  await opened.value.close();
  return {
    name: 'ledger',
    state: 'good',
    said: `${size} entries, durable (WAL, synchronous FULL), head file agrees, fingerprint ${opened.value.fingerprint}`,
    remedy: null,
  };
}

function configFindings(context: CommandContext, project: Project): readonly Finding[] {
  const config = configFor(context, project, {});
  if (!config.ok) return [{ name: 'config', state: 'bad', said: config.error.message, remedy: 'correct the file at the line given' }];
  const plan = planRun(context, project, { policies: [] });
  const { commands, model } = config.value;
  const said = `blueprint ${config.value.blueprint}, model ${model ?? 'none'}, commands ${Object.keys(commands).join(', ') || 'none'}`;
  const sound: Finding = { name: 'config', state: 'good', said, remedy: null };
  if (plan.ok) return [sound];
  const soft = plan.error.code === 'config.modelMissing' || plan.error.code === 'model.keyMissing';
  return [
    sound,
    {
      name: 'run',
      state: soft ? 'note' : 'bad',
      said: plan.error.message,
      remedy: soft ? 'name a model and give its key before a run' : 'correct it before a run',
    },
  ];
}

function keyFinding(context: CommandContext): Finding {
  const there = (context.env['OPENAI_API_KEY'] ?? '') !== '';
  if (there) return { name: 'model key', state: 'good', said: 'OPENAI_API_KEY is set (it was not tried)', remedy: null };
  return {
    name: 'model key',
    state: 'note',
    said: 'OPENAI_API_KEY is not set',
    remedy: 'export OPENAI_API_KEY=…, or use --model scripted:FILE',
  };
}
