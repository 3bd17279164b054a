/**
 * `openexec world get|prove|verify`: what a run's commits made of one resource, and a file that shows it to somebody who has the log's key alone.
 * Must never print a value under a root that is not the recorded one. PROTOCOL §8, CLI.md.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { proveResource, type WorldAt, worldAt } from '@openexec/audit';
import { canonicalText, type Json, ok, parseJson, type Result } from '@openexec/canon';
import { lookUp, recordOf, worldRoot } from '@openexec/kernel';
import type { LedgerStore } from '@openexec/ledger';
import type { CliDocument } from '@openexec/protocol';
import { verifyWorldProof } from '@openexec/verify';
import { type Command, InvalidArgumentError } from 'commander';
import type { CommandContext, CommandResult } from '../context.ts';
import { EXIT, type Refusal, refuse } from '../exit.ts';
import { shortRun } from '../findRun.ts';
import { safe, safeLine } from '../output.ts';
import { withLedger } from '../read/guard.ts';
import { proveEntry } from '../read/proofs.ts';

const MAX_PROOF_BYTES = 16 * 1024 * 1024;

interface Where {
  readonly run: string;
  readonly at?: number;
  readonly json?: boolean;
  readonly ledger?: string;
}

/** Adds the command. */
export function register(program: Command, context: CommandContext): void {
  const world = program
    .command('world')
    .description('what the commits of a run made of a resource, and proofs of it')
    .addHelpText('after', '\nExamples:\n  openexec world get file src/a.ts\n  openexec world prove file src/a.ts --out a.proof.json');
  const sub = (name: string, description: string, example: string): Command =>
    world
      .command(name)
      .description(description)
      .option('--json', 'print one JSON document')
      .addHelpText('after', `\nExample:\n  ${example}`);
  const at = (command: Command): Command =>
    command
      .argument('<kind>', 'kind of the resource: file, kv')
      .argument('<id>', 'its name: a path, a key')
      .option('--run <run>', 'id of the run, a prefix of it, or latest', 'latest')
      .option('--at <seq>', 'as the last commit at or before this position of the run left it', position);
  at(sub('get', 'the version and value of a resource', 'openexec world get file src/a.ts --run latest')).action(
    context.act((kind: string, id: string, where: Where) => get(context, { kind, id }, where)),
  );
  at(sub('prove', 'prove a resource, or that there is none, up to a signed tree head', 'openexec world prove kv plan --out plan.json'))
    .option('--out <file>', 'write the proof to this new file')
    .action(context.act((kind: string, id: string, where: Where & { readonly out?: string }) => prove(context, { kind, id }, where)));
  sub(
    'verify',
    'check a proof, from the file and the key of the log alone',
    'openexec world verify a.proof.json --log-key "$(cat log.vkey)"',
  )
    .argument('<file>', 'a proof that openexec world prove wrote')
    .requiredOption(
      '--log-key <vkey>',
      'the key that you know from elsewhere; openexec ledger info prints it',
      (key: string, all: string[]) => [...all, key],
      [],
    )
    .action(
      context.act(async (file: string, options: { readonly logKey: readonly string[]; readonly json?: boolean }) =>
        verify(context, file, options),
      ),
    );
}

function position(text: string): number {
  if (!/^(0|[1-9]\d{0,14})$/.test(text)) throw new InvalidArgumentError('a position in the run: 0, 1, 2 …');
  return Number(text);
}

/** The world that is asked about; a run without commits has none. */
async function found(context: CommandContext, store: LedgerStore, where: Where): Promise<Result<WorldAt, Refusal>> {
  const run = await context.findRun(store, where.run);
  if (!run.ok) return run;
  const world = await worldAt(store, run.value, where.at);
  if (world.ok) return world;
  const { code, message } = world.error;
  if (code === 'world.differs') return refuse('verify.failed', message);
  return refuse('resource.unknown', `${shortRun(run.value)}: ${message}`);
}

function get(context: CommandContext, { kind, id }: { readonly kind: string; readonly id: string }, where: Where): Promise<CommandResult> {
  return withLedger(context, where, async ({ store }) => {
    const at = await found(context, store, where);
    if (!at.ok) return at;
    const { world, stored } = at.value;
    const resource = lookUp(world, kind, id);
    const { trajectory, seq } = stored.entry;
    const place = `at seq ${seq} of ${shortRun(trajectory)}`;
    if (resource === undefined) return refuse('resource.unknown', `no ${safeLine(kind)} "${safeLine(id)}" was ever committed ${place}`);
    const record = recordOf(resource);
    const { output } = context;
    const value = resource.retracted ? null : { inline: resource.value };
    if (where.json === true) output.json('world-get', { v: 1, run: trajectory, seq, kind, id, record, value, worldRoot: worldRoot(world) });
    else {
      output.result(
        `${safeLine(kind)} ${safeLine(id)}  version ${record.version}, ${record.retracted ? 'retracted' : 'there'}, by the commit at seq ${record.lastCommit}`,
      );
      if (!resource.retracted) output.result(`value        ${safe(canonicalText(resource.value))}`);
      output.result(`world        ${worldRoot(world)} ${place}`);
    }
    return ok(EXIT.ok);
  });
}

function prove(
  context: CommandContext,
  { kind, id }: { readonly kind: string; readonly id: string },
  where: Where & { readonly out?: string },
): Promise<CommandResult> {
  return withLedger(context, where, async ({ store }) => {
    const at = await found(context, store, where);
    if (!at.ok) return at;
    const made = proveResource(at.value, kind, id);
    if (!made.ok) return refuse('resource.unknown', made.error.message);
    const logged = await proveEntry(store, at.value.stored.index);
    if (!logged.ok) return logged;
    const document: CliDocument<'world-proof'> = { ...made.value, tlogProof: logged.value };
    if (where.out === undefined) {
      context.output.json('world-proof', document);
      return ok(EXIT.ok);
    }
    return written(context, { document, out: where.out, json: where.json === true });
  });
}

function written(
  context: CommandContext,
  { document, out, json }: { readonly document: CliDocument<'world-proof'>; readonly out: string; readonly json: boolean },
): CommandResult {
  const file = resolve(context.cwd, out);
  if (existsSync(file)) return refuse('file.exists', `${safeLine(out)} is there already`);
  try {
    writeFileSync(file, `${JSON.stringify(document, null, 2)}\n`, { flag: 'wx' });
  } catch (error) {
    return refuse('file.unwritable', `${safeLine(out)}: ${(error as { code?: string }).code ?? 'unknown'}`);
  }
  if (json) context.output.json('world-proof', document);
  else
    context.output.result(
      `${document.record === null ? 'the absence of' : 'proved:'} ${safeLine(document.kind)} ${safeLine(document.id)} at seq ${document.seq}; openexec world verify ${safeLine(out)} --log-key VKEY checks it`,
    );
  return ok(EXIT.ok);
}

function verify(
  context: CommandContext,
  file: string,
  options: { readonly logKey: readonly string[]; readonly json?: boolean },
): CommandResult {
  const read = readProof(resolve(context.cwd, file));
  if (!read.ok) return read;
  const checked = verifyWorldProof(read.value, options.logKey);
  if (!checked.ok) return refuse('verify.failed', `${checked.error.code}: ${checked.error.message}`);
  const { run, seq, at, kind, id, record, worldRoot: root, size, origin } = checked.value;
  const { output } = context;
  if (options.json === true)
    output.json('world-verify', { v: 1, sound: true, run, seq, at, kind, id, record, worldRoot: root, size, origin });
  else {
    const said =
      record === null
        ? 'was never committed'
        : `version ${record.version}, ${record.retracted ? 'retracted' : `value ${record.value ?? ''}`}`;
    output.result(`${output.style.green('✓')} ${safeLine(kind)} ${safeLine(id)}: ${said}, at seq ${seq} of ${safeLine(run)}, ${at}`);
    output.result(`under        ${root}, in the tree of ${size} entries that ${safeLine(origin)} signed`);
  }
  return ok(EXIT.ok);
}

function readProof(file: string): Result<Json, Refusal> {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    return refuse('usage.invalid', `the proof cannot be read: ${(error as { code?: string }).code ?? 'unknown'}`);
  }
  if (bytes.length > MAX_PROOF_BYTES) return refuse('verify.failed', `a proof has at most ${MAX_PROOF_BYTES} bytes`);
  // A value may hold what a model's arguments may.
  const parsed = parseJson(bytes, { maxBytes: MAX_PROOF_BYTES, numbers: 'doubles' });
  return parsed.ok ? parsed : refuse('verify.failed', `worldProof.malformed: ${parsed.error.message}`);
}
