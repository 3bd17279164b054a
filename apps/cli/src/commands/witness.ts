/**
 * `openexec witness`: a small C2SP witness with a memory and a key of its own. Listens on this machine unless told otherwise, knows only the logs it
 * was told of, and persists before it answers (PROTOCOL §3, CLI.md).
 */
import { mkdirSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { readWitnessKey, serveWitness, Witness, writeWitnessKey } from '@openexec/anchors';
import { instantToMs, ok, type Result } from '@openexec/canon';
import { parseVkey, type Vkey } from '@openexec/proof';
import { acquireLease } from '@openexec/stores';
import type { CommandContext, CommandResult, Register } from '../context.ts';
import { EXIT, type Refusal, refuse } from '../exit.ts';
import { safeLine } from '../output.ts';

interface WitnessOptions {
  readonly key: string;
  readonly newKey?: string;
  readonly state?: string;
  readonly log?: readonly string[];
  readonly listen: string;
  readonly host?: readonly string[];
}

const LISTEN = /^(\[[0-9a-f:]+\]|[A-Za-z0-9.-]+):(\d{1,5})$/;
const KEY_NAME = /^[^\s\u0085+\p{Cc}]{1,200}$/u;
const SEED_BYTES = 32;

/** Adds the command. */
export const register: Register = (program, context) => {
  program
    .command('witness')
    .description('remember the checkpoints of other ledgers and cosign those that continue (C2SP tlog-witness)')
    .requiredOption('--key <file>', 'file of the key, readable by its owner only')
    .option('--new-key <name>', 'make that file with a new key under this name, print its verifier key, and end')
    .option('--state <folder>', 'where the witness remembers what it cosigned; one process at a time')
    .option('--log <vkey...>', 'verifier keys of the logs it knows; openexec ledger info prints them')
    .option('--listen <host:port>', 'where it listens; port 0 takes a free one', '127.0.0.1:8765')
    .option('--host <name...>', 'names beside those of this machine under which requests may come')
    .addHelpText(
      'after',
      '\nExamples:\n  openexec witness --key w1.key --new-key witness.example/w1\n  openexec witness --key w1.key --state w1 --log "openexec.local/…+…+…"',
    )
    .action(context.act((options: WitnessOptions) => witness(context, options)));
};

async function witness(context: CommandContext, options: WitnessOptions): Promise<CommandResult> {
  const at = (path: string): string => (isAbsolute(path) ? path : resolve(context.cwd, path));
  if (options.newKey !== undefined) return newKey(context, at(options.key), options.newKey);
  const key = readWitnessKey(at(options.key));
  if (!key.ok) return refuse('witness.key', key.error.message);
  if (options.state === undefined) return refuse('usage.invalid', 'name the folder of what it remembers: --state FOLDER');
  const logs = readLogs(options.log ?? []);
  if (!logs.ok) return logs;
  const [, host = '', portText = ''] = LISTEN.exec(options.listen) ?? [];
  const port = Number(portText);
  if (host === '' || port > 65_535) return refuse('usage.invalid', `--listen takes HOST:PORT, not "${safeLine(options.listen, 80)}"`);
  const state = at(options.state);
  try {
    mkdirSync(state, { recursive: true, mode: 0o700 });
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    return refuse('witness.unavailable', `${safeLine(state)} cannot be made (${String(code)})`);
  }
  const lease = acquireLease({ path: join(state, 'lock.db') });
  if (!lease.ok) return refuse('witness.unavailable', `another witness uses this folder: ${lease.error.message}`);
  try {
    return await serve(context, {
      ...key.value,
      state,
      logs: logs.value,
      host: host.replace(/^\[|\]$/g, ''),
      port,
      hosts: options.host ?? [],
    });
  } finally {
    await lease.value.release();
  }
}

interface Serving {
  readonly signer: ConstructorParameters<typeof Witness>[0]['signer'];
  readonly vkey: string;
  readonly state: string;
  readonly logs: readonly Vkey[];
  readonly host: string;
  readonly port: number;
  readonly hosts: readonly string[];
}

async function serve(context: CommandContext, { signer, vkey, state, logs, host, port, hosts }: Serving): Promise<CommandResult> {
  const { output, clock } = context;
  const parts = new Witness({
    state,
    signer,
    logs,
    now: () => BigInt(Math.floor(instantToMs(clock.now()) / 1000)),
    onAnswer: ({ origin, size, status, message }) =>
      output.progress(`${clock.now()}  ${status}  ${safeLine(origin ?? 'no origin')}  ${size ?? '-'}  ${safeLine(message)}`),
  });
  const running = await serveWitness({ witness: parts, host, port, hosts });
  if (!running.ok) return refuse('witness.unavailable', running.error.message);
  const stop = context.stopOnInterrupt();
  output.result(`witness  ${vkey}`);
  output.result(
    `listens  http://${host.includes(':') ? `[${host}]` : host}:${running.value.port}/  for ${logs.map(({ keyName }) => safeLine(keyName)).join(', ')}`,
  );
  await new Promise<void>((resolveStop) => stop.onStop(resolveStop));
  await running.value.close();
  return ok(EXIT.ok);
}

function newKey(context: CommandContext, path: string, name: string): CommandResult {
  if (!KEY_NAME.test(name)) return refuse('usage.invalid', 'a name holds no space and no plus sign');
  const made = writeWitnessKey(path, name, context.randomness.bytes(SEED_BYTES));
  if (!made.ok) return refuse('witness.key', made.error.message);
  context.output.result(made.value);
  return ok(EXIT.ok);
}

function readLogs(texts: readonly string[]): Result<readonly Vkey[], Refusal> {
  const logs: Vkey[] = [];
  for (const text of texts) {
    const vkey = parseVkey(text);
    if (!vkey.ok) return refuse('usage.invalid', `--log "${safeLine(text, 120)}": ${vkey.error.message}`);
    logs.push(vkey.value);
  }
  return logs.length > 0 ? ok(logs) : refuse('usage.invalid', 'name the logs it knows: --log VKEY');
}
