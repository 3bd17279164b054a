/**
 * The context of the real process: node's streams, the checkout around the working folder, its ledger. Must never fall back to another ledger or a
 * key that was not asked for.
 */
import process from 'node:process';
import type { StopSignal } from '@openexec/catalogue';
import type { CommandContext, CommandResult } from './context.ts';
import { EXIT, type Refusal, REFUSALS, refuse } from './exit.ts';
import { createOutput, type Output, safe } from './output.ts';
import { createSurroundings, findProject } from './surroundings.ts';

const SECOND_INTERRUPT = 'interrupted again: ending at once; openexec resume goes on from the last acknowledged event';

/** Builds the context of this process. `assets` is the folder of shipped files. */
export function createContext(options: { readonly assets: string; readonly version: string }): CommandContext {
  const surroundings = createSurroundings({ env: process.env, cwd: process.cwd(), assets: options.assets });
  const { env, cwd, places, clock, randomness } = surroundings;
  const output = createOutput({ stdout: process.stdout, stderr: process.stderr, env });
  let ledger: string | undefined;
  let companion: string | undefined;
  return {
    ...surroundings,
    get ledger() {
      return ledger;
    },
    get companion() {
      return companion;
    },
    nameLedger: (url, beside) => {
      ledger = url;
      companion = beside;
    },
    output,
    interactive: process.stdin.isTTY === true && process.stderr.isTTY === true && (env['CI'] ?? '') === '',
    version: options.version,
    act:
      (work) =>
      async (...args) =>
        finish(output, args, () => work(...args)),
    project: async () => findProject(cwd, places),
    openLedger: async (choice = {}) =>
      (await import('./openLedger.ts')).openLedger({
        choice,
        ledger,
        companion,
        env,
        cwd,
        places,
        clock,
        randomness,
        assets: options.assets,
        note: (message) => output.progress(safe(message)),
        project: async () => findProject(cwd, places),
      }),
    findRun: async (store, wanted) => (await import('./findRun.ts')).findRun(store, wanted),
    stopOnInterrupt: () => stopOnInterrupt(output),
  };
}

async function finish(output: Output, args: readonly unknown[], work: () => Promise<CommandResult>): Promise<void> {
  const json = wantsJson(args);
  let result: CommandResult;
  try {
    result = await work();
  } catch (error) {
    result = refuse(isDamage(error) ? 'ledger.corrupt' : isSilence(error) ? 'ledger.unreachable' : 'internal.fault', faultText(error));
  }
  if (result.ok) {
    process.exitCode = result.value;
    return;
  }
  process.exitCode = REFUSALS[result.error.code].exit;
  report(output, result.error, json);
}

/** Damaged bytes of a ledger, which iterators and the head can only throw: they are no defect of ours. */
function isDamage(error: unknown): boolean {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return typeof code === 'string' && /^(?:store\.corrupt|SQLITE_CORRUPT.*|SQLITE_NOTADB)$/.test(code);
}

/** A server that did not answer a reading. */
function isSilence(error: unknown): boolean {
  return ((error ?? {}) as { readonly code?: unknown }).code === 'store.unreachable';
}

/** What a throw says; with its stack where somebody looks for a defect. */
function faultText(error: unknown): string {
  const { message, stack } = (error ?? {}) as { readonly message?: unknown; readonly stack?: unknown };
  const said = typeof message === 'string' ? message : String(error);
  return process.env['OPENEXEC_DEBUG'] === '1' && typeof stack === 'string' ? `${said}\n${stack}` : said;
}

/** Commander hands the options object to every action, before the command itself. */
function wantsJson(args: readonly unknown[]): boolean {
  return args.some((arg) => {
    if (typeof arg !== 'object' || arg === null || !('json' in arg)) return false;
    return arg.json === true;
  });
}

function report(output: Output, refusal: Refusal, json: boolean): void {
  const row = REFUSALS[refusal.code];
  if (json) {
    const details = refusal.details === undefined ? {} : { details: refusal.details };
    output.json('error', {
      error: { code: refusal.code, exit: row.exit, where: row.where, message: refusal.message, remedy: row.remedy, ...details },
    });
  }
  const { red, dim } = output.progressStyle;
  output.progress(`${red('refused')} ${safe(refusal.message)}`);
  output.progress(dim(`  ${refusal.code} (exit ${row.exit}) · ${row.remedy}`));
}

function stopOnInterrupt(output: Output): StopSignal {
  const listeners = new Set<() => void>();
  let stopped = false;
  const onSignal = (): void => {
    if (stopped) {
      output.progress(SECOND_INTERRUPT);
      process.exit(EXIT.interrupted);
    }
    stopped = true;
    const told = [...listeners];
    listeners.clear();
    for (const listener of told) listener();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  return {
    get stopped() {
      return stopped;
    },
    onStop(listener) {
      if (stopped) {
        listener();
        return () => undefined;
      }
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
