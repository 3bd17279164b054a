/**
 * Payloads that go for good: by a signed erasure, or by a written rule. The entries stay, the proofs stay. Must never take what PROTOCOL §3 "Erasure"
 * keeps; the store refuses it a second time.
 */
import { readFileSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { type Digest, err, type Instant, type Json, type KeyId, ok, parseDecimal, type Result, type TrajectoryId } from '@openexec/canon';
import { type FileKey, parseYaml, problemText } from '@openexec/config';
import {
  ERASURE_TYPE,
  type ErasureBody,
  erasureBody,
  type Forgotten,
  knownKinds,
  type KeptLedger,
  partsOf,
  type Place,
  pruneBefore,
  RETENTION_FLOOR_DAYS,
} from '@openexec/ledger';
import { signTyped } from '@openexec/proof';
import type { CommandContext, CommandResult, OpenLedger } from '../context.ts';
import { EXIT, type Refusal, refuse } from '../exit.ts';
import { findKeyFile, KEY_LABELS, keysFolder } from '../keyring.ts';
import { storeRefusal } from '../openLedger.ts';
import { safeLine } from '../output.ts';
import { type PassphraseOptions, unlock } from '../passphrase.ts';
import { withLedger } from '../read/guard.ts';

/** Options of `ledger erase`. */
export interface EraseOptions extends PassphraseOptions {
  readonly ledger?: string;
  readonly because: string;
  readonly rule: string;
  readonly key: string;
}
/** Options of `ledger prune`. */
export interface PruneOptions {
  readonly ledger?: string;
  readonly rule: string;
  readonly dryRun?: boolean;
}

/** Erases payloads of runs (all that may go), or of single entries by their index in the ledger. */
export async function erase(context: CommandContext, targets: readonly string[], options: EraseOptions): Promise<CommandResult> {
  return withLedger(context, { ledger: options.ledger, access: 'append' }, async (opened) => {
    const places: Place[] = [];
    for (const target of targets) {
      const found = await placesOf(context, opened.store, target);
      if (!found.ok) return found;
      places.push(...found.value);
    }
    const key = await signerFor(context, opened, options);
    if (!key.ok) return key;
    const bodies = partsOf(places).map((entries) => signedBody(opened.fingerprint, entries, key.value, options));
    const forgotten = await opened.store.keeper.forget({ kind: 'erase', at: context.clock.now(), bodies });
    if (!forgotten.ok) return err(storeRefusal(forgotten.error));
    report(context, 'erased', forgotten.value);
    context.output.progress(
      'files of the run under the state folder, its branch, exports and backups are not in the ledger: docs/how-to/erase-and-prune.md',
    );
    return ok(EXIT.ok);
  });
}

function report(context: CommandContext, word: string, { payloads, blobs, lingering }: Forgotten): void {
  context.output.result(`${word}  ${payloads} payloads, ${blobs} blobs; every entry and every proof stays`);
  if (lingering)
    context.output.result('lingering: another process has the ledger open and holds old bytes back; they go when it is next opened alone');
}

async function placesOf(context: CommandContext, store: KeptLedger, target: string): Promise<Result<readonly Place[], Refusal>> {
  const index = parseDecimal(target);
  if (index.ok) {
    for await (const { entry } of store.all(index.value, index.value + 1n)) return ok([{ trajectory: entry.trajectory, seq: entry.seq }]);
    return refuse('forget.refused', `the ledger has no entry ${target}; a run is named by its id with a letter in it, or as run/ID`);
  }
  const run = await context.findRun(store, target);
  return run.ok ? ok(await forgettableOf(store, run.value, [])) : run;
}

/** What of a run may go and is there. */
async function forgettableOf(store: KeptLedger, trajectory: TrajectoryId, keep: readonly string[]): Promise<readonly Place[]> {
  const places: Place[] = [];
  for await (const { entry, payload } of store.read(trajectory))
    if (payload !== null && entry.kind !== 'run.opened' && !keep.includes(entry.kind)) places.push({ trajectory, seq: entry.seq });
  return places;
}

async function signerFor(context: CommandContext, opened: OpenLedger, options: EraseOptions): Promise<Result<FileKey, Refusal>> {
  const file = findKeyFile(keysFolder(opened.stateFolder), options.key);
  if (!file.ok) return file;
  if (!file.value.roles.includes('issuer') && !file.value.roles.includes('root'))
    return refuse('forget.refused', `an erasure is signed by a root or issuer key; ${file.value.label} is ${file.value.roles.join(', ')}`);
  return unlock(file.value, options, context);
}

function signedBody(ledger: Digest, entries: readonly Place[], key: FileKey, { because, rule }: EraseOptions): ErasureBody {
  const by = key.keyId as KeyId; // Key files hold checked ids.
  const signature = signTyped({ type: ERASURE_TYPE, body: erasureBody({ ledger, entries, by, because, rule }), seed: key.seed });
  return { entries, by, because, rule, signatures: [signature] };
}

// ---- by rule

interface PruneRule {
  readonly name: string;
  readonly keepDays: number;
  readonly because: string;
  /** Kinds whose payloads stay. */
  readonly keep: readonly string[];
}

/** Prunes the payloads of runs that closed longer ago than the rule keeps them. */
export async function prune(context: CommandContext, options: PruneOptions): Promise<CommandResult> {
  const rule = readRule(isAbsolute(options.rule) ? options.rule : resolve(context.cwd, options.rule));
  if (!rule.ok) return rule;
  const { name, keepDays, because, keep } = rule.value;
  if (keepDays < RETENTION_FLOOR_DAYS)
    return refuse(
      'forget.refused',
      `the rule keeps payloads for ${keepDays} days; pruning keeps at least ${RETENTION_FLOOR_DAYS}, only a signed erasure goes below`,
    );
  return withLedger(context, { ledger: options.ledger, access: options.dryRun === true ? 'read' : 'append' }, async (opened) => {
    const before = pruneBefore(context.clock.now(), keepDays);
    const { places, runs } = await oldPlaces(opened.store, before, keep);
    const what = `${places.length} payloads of ${runs} runs closed before ${before}`;
    if (options.dryRun === true || places.length === 0) {
      context.output.result(places.length === 0 ? 'nothing to prune' : `would prune  ${what}`);
      return ok(EXIT.ok);
    }
    const key = findKeyFile(keysFolder(opened.stateFolder), KEY_LABELS.operator);
    if (!key.ok) return key;
    const by = key.value.keyId as KeyId; // Key files hold checked ids.
    const forgotten = await opened.store.keeper.forget({ kind: 'prune', at: context.clock.now(), by, before, rule: name, because, places });
    if (!forgotten.ok) return err(storeRefusal(forgotten.error));
    context.output.progress(what);
    report(context, 'pruned', forgotten.value);
    return ok(EXIT.ok);
  });
}

async function oldPlaces(
  store: KeptLedger,
  before: Instant,
  keep: readonly string[],
): Promise<{ readonly places: readonly Place[]; readonly runs: number }> {
  const places: Place[] = [];
  let runs = 0;
  for await (const { trajectory, seq, closed } of store.trajectories('run/')) {
    if (!closed) continue;
    let end: Instant | null = null;
    for await (const { entry } of store.read(trajectory, seq)) end = entry.at;
    if (end === null || end >= before) continue;
    const found = await forgettableOf(store, trajectory, keep);
    if (found.length > 0) runs += 1;
    for (const place of found) places.push(place);
  }
  return { places, runs };
}

function readRule(path: string): Result<PruneRule, Refusal> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    return refuse(
      'config.invalid',
      `the rule "${safeLine(path)}" cannot be read: ${safeLine(String((error as { readonly message?: unknown }).message))}`,
    );
  }
  const parsed = parseYaml(text, path);
  if (!parsed.ok) return refuse('config.invalid', parsed.error.map(problemText).join('\n'));
  const { data } = parsed.value;
  const bad = (what: string): Result<never, Refusal> =>
    refuse('config.invalid', `${safeLine(path)}: ${what}; a rule is {version: 1, name, keepDays, because, keep: [KIND, …]}`);
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return bad('this is no rule');
  const { version, name, keepDays, because, keep = [], ...more } = data as { readonly [member: string]: Json };
  const [unknown] = Object.keys(more);
  if (unknown !== undefined) return bad(`"${safeLine(unknown)}" is no member of a rule`);
  if (version !== 1) return bad('version is 1');
  if (typeof name !== 'string' || !/^[a-z][a-zA-Z0-9_.-]{0,63}$/.test(name)) return bad('name is a short lower-case name');
  if (typeof keepDays !== 'number' || !Number.isSafeInteger(keepDays) || keepDays < 0 || keepDays > 36_500)
    return bad('keepDays is a whole number of days');
  if (typeof because !== 'string' || because === '' || because.length > 1000) return bad('because says why');
  const kinds = Array.isArray(keep) ? (keep as readonly Json[]) : [null];
  const strange = kinds.find((kind) => typeof kind !== 'string' || !knownKinds().includes(kind));
  if (strange !== undefined) return bad('keep lists kinds of events');
  return ok({ name, keepDays, because, keep: kinds.map(String) });
}
