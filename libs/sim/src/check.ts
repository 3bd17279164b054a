/**
 * What must hold of every run, whatever happened to it: judgements that the kernel makes again byte for byte, a conserved budget, an end for every
 * intent, effects at most once, no secret. Looks at the ledger and at the world outside, never at a driver's memory (ARCHITECTURE §7).
 */
import {
  type Bytes,
  canonicalText,
  type Digest,
  digestOf,
  instantToMs,
  type Json,
  parseCanonical,
  type TrajectoryId,
  utf8Decode,
} from '@openexec/canon';
import { emptyLaw, foldLaw, type LawView } from '@openexec/authority';
import { evolve, initialState, isFact, judge, neededBlobs, type RunEvent, type RunState } from '@openexec/kernel';
import type { LedgerStore, Stored } from '@openexec/ledger';
import type { Outside } from './host.ts';
import { SECRET } from './model.ts';

const LAW = 'law' as TrajectoryId; // The one name of its grammar.
const MAX_FINDINGS = 10;

interface Walk {
  readonly ledger: LedgerStore;
  readonly problems: string[];
  readonly laws: readonly LawView[];
}

function parsed(stored: Stored): Json {
  const body = stored.payload === null ? null : parseCanonical(stored.payload);
  if (body?.ok !== true) throw new Error(`sim: the payload of ${stored.entry.trajectory} ${stored.entry.seq} is gone or not canonical`);
  return body.value;
}

async function eventOf(ledger: LedgerStore, stored: Stored): Promise<RunEvent> {
  const { kind, at, cause, law } = stored.entry;
  const body = parsed(stored);
  const blobs = new Map<Digest, Bytes>();
  // The store admitted the body under this kind.
  for (const { digest } of neededBlobs({ kind, body } as unknown as RunEvent)) {
    const bytes = await ledger.blob(digest);
    if (!bytes.ok) throw new Error(`sim: blob ${digest} of ${kind}: ${bytes.error.message}`);
    blobs.set(digest, bytes.value);
  }
  return { kind, at, cause, law, body, blobs } as unknown as RunEvent;
}

async function lawsOf(ledger: LedgerStore): Promise<LawView[]> {
  const laws: LawView[] = [];
  for await (const stored of ledger.read(LAW)) {
    const { seq, kind, at } = stored.entry;
    const next = foldLaw(laws.at(-1) ?? emptyLaw(), { seq, kind, body: parsed(stored), at, leaf: stored.leaf, blobs: new Map() });
    if (!next.ok) throw new Error(next.error.message);
    laws.push(next.value);
  }
  return laws;
}

/** The judgements that stand from here on with this cause must be the kernel's, and all of them. */
async function checkGroup(walk: Walk, state: RunState, entries: readonly Stored[], from: number): Promise<void> {
  const first = entries[from]?.entry;
  const law = first?.law === null || first === undefined ? undefined : walk.laws[first.law];
  if (first === undefined || law === undefined) return void walk.problems.push(`replay: ${from} has no law`);
  if (state.queue[0]?.seq !== first.cause)
    walk.problems.push(`replay: ${from} judges ${first.cause}, but ${state.queue[0]?.seq} is the oldest in the queue`);
  for (const [offset, made] of judge(state, law).entries()) {
    const recorded = entries[from + offset];
    const fits =
      recorded !== undefined &&
      recorded.entry.kind === made.kind &&
      recorded.entry.cause === first.cause &&
      recorded.entry.law === first.law;
    if (!fits || canonicalText(parsed(recorded)) !== canonicalText(made.body))
      return void walk.problems.push(
        `replay: at ${from + offset} the kernel says ${made.kind}, recorded is ${recorded?.entry.kind ?? 'nothing'}`,
      );
    for (const blob of made.blobs) {
      const kept = await walk.ledger.blob(blob.digest);
      if (!kept.ok || digestOf(kept.value) !== blob.digest)
        walk.problems.push(`blob: ${made.kind} at ${from + offset} names ${blob.digest}, which is not there`);
    }
  }
}

function checkGrant(walk: Walk, state: RunState): void {
  const grant = state.law?.opened.writs.at(-1)?.body.budget;
  if (grant === undefined) return;
  for (const dimension of ['tokens', 'usdMicros', 'calls'] as const) {
    const held = state.settled[dimension] + state.reserved[dimension];
    if (held > grant[dimension])
      walk.problems.push(`budget: ${held} ${dimension} are spent or reserved at ${state.nextSeq - 1}, ${grant[dimension]} were granted`);
  }
}

/** Every declared intent is rejected, committed, lost, or ended by the failure of its last execution. */
function checkIntents(walk: Walk, events: readonly RunEvent[]): void {
  const open = new Set<string>();
  const intentOf = new Map<string, string>();
  for (const event of events) {
    if (event.kind === 'intent.declared') open.add(event.body.intent);
    if (event.kind === 'proposal.staged' || event.kind === 'proposal.suspended') intentOf.set(event.body.proposal, event.body.intent);
    if (event.kind === 'execution.started') intentOf.set(event.body.execution, intentOf.get(event.body.proposal) ?? '');
    if (event.kind === 'proposal.rejected') open.delete(event.body.intent);
    if (event.kind === 'commit.recorded') open.delete(intentOf.get(event.body.proposal) ?? '');
    if (event.kind === 'execution.lost' || event.kind === 'execution.failed' || event.kind === 'effect.undeclared')
      open.delete(intentOf.get(event.body.execution) ?? '');
  }
  for (const intent of open) walk.problems.push(`intent: ${intent} never ended`);
}

/** Facts never go back in time; what a judgement names as its time is its fact's. */
function checkTimes(walk: Walk, events: readonly RunEvent[]): void {
  let last = 0;
  for (const [seq, event] of events.entries()) {
    if (!isFact(event)) {
      if (event.at !== events[event.cause ?? -1]?.at) walk.problems.push(`time: ${seq} does not have its cause's`);
      continue;
    }
    if (instantToMs(event.at) < last) walk.problems.push(`time: the fact at ${seq} lies before the one before it`);
    last = instantToMs(event.at);
  }
}

async function checkSecret(walk: Walk, entries: readonly Stored[]): Promise<void> {
  for (const { payload, entry } of entries) {
    const text = payload === null ? null : utf8Decode(payload);
    if (text?.ok !== true) continue;
    if (text.value.includes(SECRET)) walk.problems.push(`secret: it stands in the payload at ${entry.seq}`);
    for (const [digest] of text.value.matchAll(/sha256:[0-9a-f]{64}/g)) {
      const blob = await walk.ledger.blob(digest as Digest); // The pattern is a digest's.
      const body = blob.ok ? utf8Decode(blob.value) : null;
      if (body?.ok === true && body.value.includes(SECRET))
        walk.problems.push(`secret: it stands in the blob ${digest} named at ${entry.seq}`);
    }
  }
}

function checkOutside(walk: Walk, outside: Outside): void {
  for (const [key, { action, times }] of outside.effects)
    if (action === 'notify' && times > 1) walk.problems.push(`effect: ${action} ${key} took place ${times} times`);
  for (const execution of outside.unstarted) walk.problems.push(`effect: ${execution} was performed without a durable start`);
}

/** The run's final state and everything found wrong with it. */
export interface Checked {
  readonly state: RunState;
  readonly events: readonly RunEvent[];
  readonly problems: readonly string[];
}

/** Walks the whole run once more from the ledger alone. */
export async function checkRun(ledger: LedgerStore, run: TrajectoryId, outside: Outside): Promise<Checked> {
  const walk: Walk = { ledger, problems: [], laws: await lawsOf(ledger) };
  const entries: Stored[] = [];
  for await (const stored of ledger.read(run)) entries.push(stored);
  const events: RunEvent[] = [];
  let state = initialState(run);
  for (const [seq, stored] of entries.entries()) {
    const event = await eventOf(ledger, stored);
    const opensGroup = !isFact(event) && event.cause !== entries[seq - 1]?.entry.cause;
    if (opensGroup && walk.problems.length < MAX_FINDINGS) await checkGroup(walk, state, entries, seq);
    state = evolve(state, seq, event);
    events.push(event);
    checkGrant(walk, state);
    if (event.kind === 'fact.noted' && event.body.violation)
      walk.problems.push(`violation: ${seq}: ${event.body.why}: ${event.body.message}`);
  }
  if (state.status !== 'closed') walk.problems.push(`end: the run is ${state.status}`);
  else checkIntents(walk, events);
  checkTimes(walk, events);
  await checkSecret(walk, entries);
  checkOutside(walk, outside);
  return { state, events, problems: walk.problems.slice(0, MAX_FINDINGS) };
}
