/**
 * `openexec demo`: the whole main job on a shipped sample repository, offline, with the scripted model: found a ledger, run under law, look at the result,
 * verify, judge again, replay, forge a copy and see it refused. Exit 0 only when every one of these really came out as it should.
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { ok, type Result } from '@openexec/canon';
import type { CommandContext, CommandResult, Register } from '../context.ts';
import { type Finished, openexec } from '../demo/child.ts';
import { git, makeRepository } from '../demo/repository.ts';
import { forge, parseEntries } from '../demo/tamper.ts';
import { EXIT, type ExitCode, type Refusal, refuse } from '../exit.ts';
import { safeLine, wantsColour } from '../output.ts';

const SAMPLE = 'duration';
const TASK = 'A timeout of "1.5h" is read as five hours. Make parseDuration count fractions and refuse what it does not understand.';
/** Wishes of the scripted model that the law must refuse: outside the tree, a secret's place, the network. */
const REFUSALS = 3;

interface DemoOptions {
  readonly keep?: string;
}

export const register: Register = (program, context) => {
  program
    .command('demo')
    .description('the whole main job on a shipped sample repository with a real bug, offline')
    .option('--keep <dir>', 'work in this new folder and keep it')
    .addHelpText('after', '\nExample:\n  openexec demo --keep /tmp/openexec-demo')
    .action(context.act((options: DemoOptions) => demo(context, options)));
};

async function demo(context: CommandContext, options: DemoOptions): Promise<CommandResult> {
  const folder = makeFolder(options.keep);
  if (!folder.ok) return folder;
  const stage = new Stage(context, folder.value);
  const result = await stage.play();
  const kept = options.keep !== undefined || !result.ok || result.value !== EXIT.ok;
  if (kept) stage.sayWhere();
  else rmSync(folder.value, { recursive: true, force: true });
  return result;
}

function makeFolder(keep: string | undefined): Result<string, Refusal> {
  if (keep === undefined) {
    const folder = mkdtempSync(join(tmpdir(), 'openexec-demo-'));
    // The sandbox runs under an id of its own and has to walk through.
    chmodSync(folder, 0o755);
    return ok(folder);
  }
  const folder = resolve(keep);
  if (existsSync(folder) && readdirSync(folder).length > 0) return refuse('usage.invalid', `--keep wants a new or empty folder; there is something in ${safeLine(folder)}`);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  return ok(folder);
}

/** A result that was not as it should be. */
class Wrong extends Error {
  readonly exit: ExitCode;

  constructor(message: string, exit: ExitCode = EXIT.failed) {
    super(message);
    this.exit = exit;
  }
}

interface RunFacts {
  readonly run: string;
  readonly status: string;
  readonly result: { readonly ref: string; readonly commit: string; readonly tree: string } | null;
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
    try {
      const facts = await this.#work();
      await this.#check(facts);
      await this.#forge();
      this.#close(facts);
      return ok(EXIT.ok);
    } catch (error) {
      const wrong = error as Partial<Wrong>;
      if (wrong.exit === undefined) throw error;
      this.#context.output.progress(`${this.#context.output.progressStyle.red('the demo stopped:')} ${wrong.message ?? ''}`);
      return ok(wrong.exit);
    }
  }

  async #work(): Promise<RunFacts & { readonly result: NonNullable<RunFacts['result']> }> {
    const { assets } = this.#context;
    this.#act('1. A repository with a bug, and a ledger', 'Two of its four tests fail. init makes keys outside the repository and founds the ledger.');
    await makeRepository(join(assets, 'repos', SAMPLE), this.#repository);
    await this.#type(['init']);
    this.#act('2. A governed run', 'A scripted model works: it tries what it must not, then patches, wrongly at first. No network, no key.');
    await this.#type(['run', TASK, '--model', `scripted:${join(assets, 'models', 'demo.yaml')}`]);
    const [facts] = (JSON.parse((await this.#ask(['runs', '--json'])).stdout) as { readonly runs: readonly RunFacts[] }).runs;
    if (facts === undefined || facts.result === null || facts.status !== 'done') throw new Wrong(`the run ended ${facts?.status ?? 'nowhere'}, without a result`);
    await this.#expectStory();
    this.#act('3. The result', 'One commit on a branch of its own; the checkout was not touched.');
    this.#context.output.result((await git(this.#repository, ['diff', '--stat', '--patch', 'main', facts.result.ref])).trimEnd());
    return { ...facts, result: facts.result };
  }

  /** The refusals and the second visit are in the ledger, not only on the screen. */
  async #expectStory(): Promise<void> {
    const lines = (await this.#ask(['timeline', 'latest', '--jsonl'])).stdout.split('\n').filter((line) => line !== '');
    const events = lines.map((line) => JSON.parse(line) as { readonly kind: string; readonly body: { readonly verdict?: string; readonly stage?: string } });
    const denied = events.filter(({ kind, body }) => kind === 'policy.decided' && body.verdict === 'deny').length;
    const repaired = events.some(({ kind, body }) => kind === 'stage.entered' && body.stage === 'fix_tests');
    if (denied !== REFUSALS || !repaired) throw new Wrong(`${denied} wishes were refused and ${repaired ? 'a' : 'no'} repair was made; ${REFUSALS} and one were expected`);
  }

  async #check(facts: RunFacts & { readonly result: NonNullable<RunFacts['result']> }): Promise<void> {
    this.#act('4. The signed tree head', 'C2SP checkpoint: size and root of everything recorded, by the log key.');
    await this.#type(['ledger', 'checkpoint']);
    this.#act('5. Integrity', 'Every byte, chain, commitment, signature and blob.');
    await this.#type(['verify']);
    this.#act('6. Judgement', 'Every verdict derived again from the recorded facts.');
    await this.#type(['verify', '--deep']);
    this.#act('7. Exact replay', 'Without a model and without an effect, to the git tree and commit.');
    await this.#type(['replay', 'latest']);
    const replayed = JSON.parse((await this.#ask(['replay', 'latest', '--json'])).stdout) as { readonly tree: string; readonly commit: string };
    const commit = (await git(this.#repository, ['rev-parse', facts.result.ref])).trim();
    const tree = (await git(this.#repository, ['rev-parse', `${facts.result.ref}^{tree}`])).trim();
    if (replayed.tree !== tree || replayed.commit !== commit) throw new Wrong(`replay came to tree ${replayed.tree}, commit ${replayed.commit}; git has ${tree}, ${commit}`, EXIT.diverged);
    this.#context.output.result(`git has    ${tree} as the tree of ${commit}: the same`);
  }

  async #forge(): Promise<void> {
    const ledger = join(this.#repository, '.openexec', 'ledger.db');
    const entries = parseEntries((await this.#ask(['ledger', 'read', '--jsonl'])).stdout);
    const forged = forge(ledger, join(this.#folder, 'forged'), entries);
    if (forged === null) throw new Wrong('the ledger file holds no refusal in one piece that could be forged');
    this.#act('8. A forgery', `In a copy, entry ${forged.index} says ${forged.after} instead of ${forged.before}: one byte.`);
    const args = ['verify', '--ledger', `sqlite:${forged.path}`];
    await this.#type(args, EXIT.integrity);
    const { exit, stdout } = await this.#run([...args, '--json']);
    const { firstBad } = JSON.parse(stdout) as { readonly firstBad: number | null };
    if (exit !== EXIT.integrity || firstBad !== forged.index) throw new Wrong(`the forgery of entry ${forged.index} was placed at ${firstBad ?? 'no entry'}`, EXIT.integrity);
  }

  #close(facts: RunFacts & { readonly result: NonNullable<RunFacts['result']> }): void {
    const { bold, green } = this.#context.output.style;
    const branch = facts.result.ref.replace('refs/heads/', '');
    this.#context.output.result(
      [
        '',
        `${green('✓')} ${bold('All of it held.')} ${REFUSALS} wishes were refused with their reasons, a wrong patch was caught by the tests and repaired, the result`,
        `  stands on ${branch} as ${facts.result.commit}; the ledger verifies, every judgement agrees,`,
        '  the replay ends at the same tree, and a forged byte was found and placed.',
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
  async #type(args: readonly string[], exit: ExitCode = EXIT.ok): Promise<void> {
    const { output } = this.#context;
    output.result(output.style.cyan(`$ openexec ${args.map(quoted).join(' ')}`));
    const finished = await this.#run(args, true);
    if (finished.exit !== exit) throw new Wrong(`openexec ${args[0] ?? ''} ended with exit code ${finished.exit}, not ${exit}`, knownExit(finished.exit));
    if (exit !== EXIT.ok) output.result(output.style.dim(`exit code ${exit}`));
  }

  /** Asks for a document without showing it. */
  async #ask(args: readonly string[]): Promise<Finished> {
    const finished = await this.#run(args);
    if (finished.exit !== EXIT.ok) throw new Wrong(`openexec ${args.join(' ')} ended with exit code ${finished.exit}`, knownExit(finished.exit));
    return finished;
  }

  #run(args: readonly string[], show = false): Promise<Finished> {
    const { output } = this.#context;
    return openexec(args, { cwd: this.#repository, env: this.#env, ...(show ? { show: output } : {}) });
  }
}

/** A child's exit code where it is one of ours and no success. */
function knownExit(code: number): ExitCode {
  return Object.values(EXIT).find((known) => known === code && known !== EXIT.ok) ?? EXIT.failed;
}

function quoted(arg: string): string {
  return /^[\w./:=-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`;
}
