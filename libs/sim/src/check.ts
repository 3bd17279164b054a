/**
 * What must hold at the end of a play, found anew from the ledger alone by the production verifiers: integrity, every judgement, an end for every run and
 * every intent; and a changed judgement named at its place. Looks at no driver's memory (ARCHITECTURE §7, PROTOCOL §10).
 */
import { canonicalBytes, type Json, parseCanonical, type TrajectoryId } from '@openexec/canon';
import { deepVerify } from '@openexec/audit';
import type { RunState } from '@openexec/kernel';
import type { LedgerStore, Row, Stored } from '@openexec/ledger';
import { loadRun } from '@openexec/runtime';
import { verifyLedger } from '@openexec/verify';
import type { Chance } from './chance.ts';
import { entryMoment } from './watch.ts';
import type { EntryMoment } from './moment.ts';

/** The run's final state and everything found wrong with it. */
export interface Checked {
  readonly state: RunState;
  readonly events: readonly Pick<EntryMoment, 'kind' | 'body'>[];
  readonly problems: readonly string[];
}

async function* pageOf(entries: readonly Stored[]): AsyncIterable<readonly Row[]> {
  yield entries;
}

/** Integrity and judgements of the whole ledger, from its first entry on. */
export async function checkLedger(
  ledger: LedgerStore,
  replaced?: Stored,
): Promise<{ readonly problems: string[]; readonly first: bigint | null }> {
  const entries: Stored[] = [];
  for await (const stored of ledger.all(0n)) entries.push(replaced !== undefined && stored.index === replaced.index ? replaced : stored);
  const checkpoints = [];
  for await (const checkpoint of ledger.checkpoints()) checkpoints.push(checkpoint);
  const { fingerprint, size, root } = await ledger.head();
  const head = fingerprint === null ? null : { fingerprint, size, root };
  const sound = await verifyLedger({ rows: pageOf(entries), checkpoints, head }, { trust: fingerprint });
  const deep = await deepVerify({
    all: async function* () {
      yield* entries;
    },
    blob: (digest) => ledger.blob(digest),
  });
  const problems = sound.findings.map(({ index, code, message }) => `integrity: entry ${index}: ${code}: ${message}`);
  for (const { index, code, message } of deep.lawProblems) problems.push(`law: entry ${index}: ${code}: ${message}`);
  const divergences = deep.runs.flatMap((run) => run.divergences);
  for (const { index, what, expected, recorded } of divergences)
    problems.push(`judgement: entry ${index}: ${what}: the kernel says ${expected ?? 'nothing'}, recorded is ${recorded ?? 'nothing'}`);
  for (const { run, from } of deep.runs)
    if (from !== undefined) problems.push(`judgement: ${run} cannot be judged from ${from.seq} on: ${from.message}`);
  const first = divergences.map(({ index }) => index).sort((a, b) => (a < b ? -1 : 1))[0] ?? null;
  if (sound.entries !== entries.length) problems.push(`integrity: ${entries.length} entries, ${sound.entries} verified`);
  return { problems, first };
}

/** Every declared intent is rejected, committed, lost, or ended by the failure of its last execution. */
function openIntents(events: readonly Pick<EntryMoment, 'kind' | 'body'>[]): ReadonlySet<string> {
  const open = new Set<string>();
  const intentOf = new Map<string, string>();
  for (const event of events as readonly EntryMoment[]) {
    if (event.kind === 'intent.declared') open.add(event.body.intent);
    if (event.kind === 'proposal.staged' || event.kind === 'proposal.suspended') intentOf.set(event.body.proposal, event.body.intent);
    if (event.kind === 'execution.started') intentOf.set(event.body.execution, intentOf.get(event.body.proposal) ?? '');
    if (event.kind === 'proposal.rejected') open.delete(event.body.intent);
    if (event.kind === 'commit.recorded') open.delete(intentOf.get(event.body.proposal) ?? '');
    if (event.kind === 'execution.lost' || event.kind === 'execution.failed' || event.kind === 'effect.undeclared')
      open.delete(intentOf.get(event.body.execution) ?? '');
  }
  return open;
}

/** Changes one judgement of the run and asks the verifiers where: both must name that very entry (invariant 5: "reported, with the first index"). */
async function namesChange(ledger: LedgerStore, entries: readonly Stored[], chance: Chance): Promise<string[]> {
  const [first, ...more] = entries.filter(({ entry }) => entry.cause !== null);
  if (first === undefined) return [];
  const chosen = chance.pick([first, ...more]);
  const body = chosen.payload === null ? null : parseCanonical(chosen.payload);
  if (body?.ok !== true) return [];
  const payload = canonicalBytes({ ...(body.value as { readonly [name: string]: Json }), doctored: true });
  const { problems, first: named } = await checkLedger(ledger, { ...chosen, payload });
  const integrity = problems.some((problem) => problem.startsWith(`integrity: entry ${chosen.index}: payload.commitment`));
  return [
    ...(named === chosen.index ? [] : [`doctored: judgement ${chosen.index} was changed, named is ${named ?? 'none'}`]),
    ...(integrity ? [] : [`doctored: payload ${chosen.index} was changed, integrity names it nowhere`]),
  ];
}

/** Checks the whole ledger once more and the run in it; now and then with one judgement changed. */
export async function checkRun(
  ledger: LedgerStore,
  run: TrajectoryId,
  options: { readonly chance: Chance; readonly doctor: boolean },
): Promise<Checked> {
  const { problems } = await checkLedger(ledger);
  const entries: Stored[] = [];
  for await (const stored of ledger.read(run)) entries.push(stored);
  const loaded = await loadRun(ledger, run);
  if (!loaded.ok) throw new Error(`sim: ${loaded.error.code}: ${loaded.error.message}`);
  const state = loaded.value;
  const events = entries.map((stored) => entryMoment(stored));
  if (state.status !== 'closed') problems.push(`end: the run is ${state.status}`);
  else for (const intent of openIntents(events)) problems.push(`end: intent ${intent} never ended`);
  if (options.doctor) problems.push(...(await namesChange(ledger, entries, options.chance)));
  return { state, events, problems };
}
