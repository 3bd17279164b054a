/**
 * `openexec demo`: the whole main job on a shipped sample repository, offline, with the scripted model: found a ledger, run under law,
 * look at the result, verify, judge again, replay, forge a copy and see it refused. Exit 0 only when every one of these really came out as
 * it should.
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { err, ok, type Result } from '@openexec/canon';
import type { CommandContext, CommandResult, Register } from '../context.ts';
import { type Finished, openexec } from '../demo/child.ts';
import { git, makeRepository } from '../demo/repository.ts';
import { forge, parseEntries } from '../demo/tamper.ts';
import { EXIT, type ExitCode, REFUSALS, type Refusal, refuse } from '../exit.ts';
import { hostileDemo } from '../hostile/demo.ts';
import { safeLine, wantsColour } from '../output.ts';

const SAMPLE = 'duration';
const TASK = 'A timeout of "1.5h" is read as five hours. Make parseDuration count fractions and refuse what it does not understand.';
/** Wishes of the scripted model that the law must refuse: outside the tree, a secret's place, the network. */
const REFUSED_WISHES = 3;

interface DemoOptions {
  readonly keep?: string;
  readonly hostile?: boolean;
  readonly json?: boolean;
}

/** Adds the command. */
export const register: Register = (program, context) => {
  program
    .command('demo')
    .description('the whole main job on a shipped sample repository with a real bug, offline')
    .option('--keep <dir>', 'work in this new folder and keep it')
    .option('--hostile', 'instead: the model is an attacker; what stopped each attempt, with the evidence')
    .option('--json', 'with --hostile: one JSON document')
    .addHelpText('after', '\nExamples:\n  openexec demo --keep /tmp/openexec-demo\n  openexec demo --hostile')
    .action(context.act((options: DemoOptions) => demo(context, options)));
};

async function demo(context: CommandContext, options: DemoOptions): Promise<CommandResult> {
  if (options.json === true && options.hostile !== true) return refuse('usage.invalid', '--json goes with --hostile');
  const folder = makeFolder(options.keep);
  if (!folder.ok) return folder;
  if (options.hostile === true) return hostile(context, folder.value, options);
  const stage = new Stage(context, folder.value);
  const result = await stage.play();
  const kept = options.keep !== undefined || !result.ok || result.value !== EXIT.ok;
  if (kept) stage.sayWhere();
  else rmSync(folder.value, { recursive: true, force: true });
  return result;
}

/** The attack leaves nothing behind unless it is to be kept; what is found on a failure is printed, not left lying about. */
async function hostile(context: CommandContext, folder: string, options: DemoOptions): Promise<CommandResult> {
  try {
    return await hostileDemo(context, folder, options.json === true);
  } finally {
    if (options.keep === undefined) rmSync(folder, { recursive: true, force: true });
    else context.output.progress(`everything is in ${safeLine(folder)}; evidence.json holds what was seen`);
  }
}

function makeFolder(keep: string | undefined): Result<string, Refusal> {
  if (keep === undefined) {
    const folder = mkdtempSync(join(tmpdir(), 'openexec-demo-'));
    // The sandbox runs under an id of its own and has to walk through.
    chmodSync(folder, 0o755);
    return ok(folder);
  }
  const folder = resolve(keep);
  if (existsSync(folder) && readdirSync(folder).length > 0)
    return refuse('usage.invalid', `--keep wants a new or empty folder; there is something in ${safeLine(folder)}`);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  return ok(folder);
}

/** Something came out otherwise than it should; ends the demo with this exit code. */
interface Wrong {
  readonly exit: ExitCode;
  readonly message: string;
}
type Played<T = void> = Promise<Result<T, Wrong>>;

/** What `runs --json` says of the run, as far as the demo reads it. */
interface RunFacts {
  readonly status: string;
  readonly result: { readonly ref: string; readonly commit: string; readonly tree: string } | null;
}
type Landed = NonNullable<RunFacts['result']>;

function wrong(message: string, exit: ExitCode = EXIT.failed): { readonly ok: false; readonly error: Wrong } {
  return err({ exit, message });
}

class Stage {
  readonly #context: CommandContext;
  readonly #folder: string;
  readonly #repository: string;
  readonly #env: { readonly [name: string]: string | undefined };

  constructor(context: CommandContext, folder: string) {
    this.#context = context;
    this.#folder = folder;
    this.#repository = join(folder, SAMPLE);
    const colour = wantsColour(context.env, process.stdout) ? { FORCE_COLOR: '1' } : {};
    // Keys, pins and state are throw-away: everything lies in the demo's folder. The user's own configuration has no say.
    this.#env = { ...context.env, ...this.#places(), ...colour, CI: 'true' };
  }

  #places(): { readonly XDG_CONFIG_HOME: string; readonly OPENEXEC_STATE_DIR: string } {
    return { XDG_CONFIG_HOME: join(this.#folder, 'config'), OPENEXEC_STATE_DIR: join(this.#folder, 'state') };
  }

  /** Plays every act; the first that does not come out ends the demo. */
  async play(): Promise<CommandResult> {
    const played = await this.#acts();
    if (played.ok) return ok(EXIT.ok);
    const { output } = this.#context;
    output.progress(`${output.progressStyle.red('the demo stopped:')} ${played.error.message}`);
    return ok(played.error.exit);
  }

  async #acts(): Played {
    const landed = await this.#work();
    if (!landed.ok) return landed;
    for (const act of [
      () => this.#story(),
      () => this.#diff(landed.value),
      () => this.#check(),
      () => this.#replay(landed.value),
      () => this.#bundle(landed.value),
      () => this.#forge(),
    ]) {
      const played = await act();
      if (!played.ok) return played;
    }
    this.#close(landed.value);
    return ok(undefined);
  }

  async #work(): Played<Landed> {
    const { assets } = this.#context;
    this.#act(
      '1. A repository with a bug, and a ledger',
      'Two of its four tests fail. init makes keys outside the repository and founds the ledger.',
    );
    const made = await makeRepository(join(assets, 'repos', SAMPLE), this.#repository);
    if (!made.ok) return wrong(made.error.message, REFUSALS[made.error.code].exit);
    const founded = await this.#type(['init']);
    if (!founded.ok) return founded;
    this.#act(
      '2. A governed run',
      'A scripted model works: it tries what it must not, then patches, wrongly at first. No network, no key.',
    );
    const ran = await this.#type(['run', TASK, '--model', `scripted:${join(assets, 'models', 'demo.yaml')}`]);
    if (!ran.ok) return ran;
    const listed = await this.#ask<{ readonly runs: readonly RunFacts[] }>(['runs', '--json']);
    if (!listed.ok) return listed;
    const [facts] = listed.value.runs;
    if (facts === undefined || facts.result === null || facts.status !== 'done')
      return wrong(`the run ended ${facts?.status ?? 'nowhere'}, without a result`);
    return ok(facts.result);
  }

  /** The refusals and the repair are in the ledger, not only on the screen. */
  async #story(): Played {
    const timeline = await this.#collect(['timeline', 'latest', '--jsonl']);
    if (!timeline.ok) return timeline;
    const lines = timeline.value.split('\n').filter((line) => line !== '');
    const events = lines.map(
      (line) => JSON.parse(line) as { readonly kind: string; readonly body: { readonly verdict?: string; readonly stage?: string } },
    );
    const denied = events.filter(({ kind, body }) => kind === 'policy.decided' && body.verdict === 'deny').length;
    const repaired = events.some(({ kind, body }) => kind === 'stage.entered' && body.stage === 'fix_tests');
    if (denied === REFUSED_WISHES && repaired) return ok(undefined);
    return wrong(`${denied} wishes were refused and ${repaired ? 'a' : 'no'} repair was made; ${REFUSED_WISHES} and one were expected`);
  }

  async #diff({ ref }: Landed): Played {
    this.#act('3. The result', 'One commit on a branch of its own; the checkout was not touched.');
    this.#context.output.result((await git(this.#repository, ['diff', '--stat', '--patch', 'main', ref])).trimEnd());
    const touched = (await git(this.#repository, ['status', '--porcelain', '--', '.', ':!.openexec'])).trim();
    return touched === '' ? ok(undefined) : wrong(`the checkout was touched: ${safeLine(touched)}`);
  }

  async #check(): Played {
    this.#act('4. The signed tree head', 'C2SP checkpoint: size and root of everything recorded, by the log key.');
    const signed = await this.#type(['ledger', 'checkpoint']);
    if (!signed.ok) return signed;
    this.#act('5. Integrity', 'Every byte, chain, commitment, signature and blob.');
    const sound = await this.#type(['verify']);
    if (!sound.ok) return sound;
    this.#act('6. Judgement', 'Every verdict derived again from the recorded facts.');
    return this.#type(['verify', '--deep']);
  }

  async #replay({ ref }: Landed): Played {
    this.#act('7. Exact replay', 'Without a model and without an effect, to the git tree and commit.');
    const shown = await this.#type(['replay', 'latest']);
    if (!shown.ok) return shown;
    const replayed = await this.#ask<{ readonly tree: string; readonly commit: string }>(['replay', 'latest', '--json']);
    if (!replayed.ok) return replayed;
    const commit = (await git(this.#repository, ['rev-parse', ref])).trim();
    const tree = (await git(this.#repository, ['rev-parse', `${ref}^{tree}`])).trim();
    const same = replayed.value.tree === tree && replayed.value.commit === commit;
    if (!same)
      return wrong(
        `replay came to tree ${replayed.value.tree}, commit ${replayed.value.commit}; git has ${tree}, ${commit}`,
        EXIT.diverged,
      );
    this.#context.output.result(`git has    ${tree} as the tree of ${commit}: the same`);
    return ok(undefined);
  }

  /** What an auditor gets, and how a stranger checks it. */
  async #bundle({ commit }: Landed): Played {
    const file = join(this.#folder, 'change.tar');
    this.#act(
      '8. The proof travels',
      'One file for an auditor: the run, its law and every proof. Checked without the ledger, and judged again.',
    );
    const made = await this.#type(['export', 'latest', '--out', file, '--governed']);
    if (!made.ok) return made;
    const info = await this.#ask<{ readonly fingerprint: string }>(['ledger', 'info', '--json']);
    if (!info.ok) return info;
    const checked = await this.#type(['verify-bundle', file, '--trust', info.value.fingerprint, '--deep']);
    return checked.ok ? this.#type(['verify-change', commit, '--bundle', file, '--trust', info.value.fingerprint]) : checked;
  }

  async #forge(): Played {
    const read = await this.#collect(['ledger', 'read', '--jsonl']);
    if (!read.ok) return read;
    const forged = forge(join(this.#repository, '.openexec', 'ledger.db'), join(this.#folder, 'forged'), parseEntries(read.value));
    if (forged === null) return wrong('the ledger file holds no refusal in one piece that could be forged');
    this.#act('9. A forgery', `In a copy, entry ${forged.index} says ${forged.after} instead of ${forged.before}: one byte.`);
    const args = ['verify', '--ledger', `sqlite:${forged.path}`];
    const shown = await this.#type(args, EXIT.integrity);
    if (!shown.ok) return shown;
    const verified = await this.#ask<{ readonly firstBad: number | null }>([...args, '--json'], EXIT.integrity);
    if (!verified.ok) return verified;
    const { firstBad } = verified.value;
    return firstBad === forged.index
      ? ok(undefined)
      : wrong(`the forgery of entry ${forged.index} was placed at ${firstBad ?? 'no entry'}`, EXIT.integrity);
  }

  #close(landed: Landed): void {
    const { bold, green } = this.#context.output.style;
    const branch = landed.ref.replace('refs/heads/', '');
    this.#context.output.result(
      [
        '',
        `${green('✓')} ${bold('All of it held.')} ${REFUSED_WISHES} wishes were refused with their reasons, a wrong patch was caught by the tests and repaired, the result`,
        `  stands on ${branch} as ${landed.commit}; the ledger verifies, every judgement agrees,`,
        '  the replay ends at the same tree, the audit bundle holds by itself, and a forged byte was found and placed.',
        '',
        '  in your own repository:  openexec init   then   openexec run "TASK" --model openai:NAME',
        '  to look around in this:  openexec demo --keep DIR',
      ].join('\n'),
    );
  }

  /** Where everything lies, and how to go on there. */
  sayWhere(): void {
    const places = this.#places();
    this.#context.output.result(
      [
        '',
        `Everything is in ${safeLine(this.#folder)}. To look around:`,
        `  cd ${safeLine(this.#repository)}`,
        `  export XDG_CONFIG_HOME=${safeLine(places.XDG_CONFIG_HOME)} OPENEXEC_STATE_DIR=${safeLine(places.OPENEXEC_STATE_DIR)}`,
        '  openexec show latest       openexec timeline latest      openexec ledger info',
        '  openexec ledger prove 0    openexec verify --deep        openexec apply latest',
      ].join('\n'),
    );
  }

  #act(title: string, says: string): void {
    const { bold, dim } = this.#context.output.style;
    this.#context.output.result(`\n${bold(title)}\n${dim(says)}`);
  }

  /** Types a command: shows it and what it says, and insists on its exit code. */
  async #type(args: readonly string[], exit: ExitCode = EXIT.ok): Played {
    const { output } = this.#context;
    output.result(output.style.cyan(`$ openexec ${args.map(quoted).join(' ')}`));
    const finished = await this.#run(args, true);
    if (finished.exit !== exit) return unexpected(args, finished, exit);
    if (exit !== EXIT.ok) output.result(output.style.dim(`exit code ${exit}`));
    return ok(undefined);
  }

  /** What a command prints, not shown. */
  async #collect(args: readonly string[], exit: ExitCode = EXIT.ok): Played<string> {
    const finished = await this.#run(args);
    return finished.exit === exit ? ok(finished.stdout) : unexpected(args, finished, exit);
  }

  /** The document of a command; `T` names the members that are read of it. */
  async #ask<T>(args: readonly string[], exit: ExitCode = EXIT.ok): Played<T> {
    const text = await this.#collect(args, exit);
    return text.ok ? ok(JSON.parse(text.value) as T) : text;
  }

  #run(args: readonly string[], show = false): Promise<Finished> {
    const { output } = this.#context;
    return openexec(args, { cwd: this.#repository, env: this.#env, ...(show ? { show: output } : {}) });
  }
}

function unexpected(args: readonly string[], finished: Finished, wanted: ExitCode): { readonly ok: false; readonly error: Wrong } {
  return wrong(`openexec ${args[0] ?? ''} ended with exit code ${finished.exit}, not ${wanted}`, knownExit(finished.exit));
}

/** A child's exit code where it is one of ours and no success. */
function knownExit(code: number): ExitCode {
  return Object.values(EXIT).find((known) => known === code && known !== EXIT.ok) ?? EXIT.failed;
}

function quoted(arg: string): string {
  return /^[\w./:=-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`;
}
