/**
 * What became of each question to a model, for whoever routes: which model, on whose evidence, how long, how many tokens, whether it succeeded. Derived from
 * the ledger when it is asked for. Must never hold a word of a task, an answer, an argument or a reason. specs: routing feedback, pull only.
 */
import { canonicalBytes, digestOf, type Json } from '@openexec/canon';
import type { LedgerStore } from '@openexec/ledger';
import { type Body, type CliDocument, routingPlan } from '@openexec/protocol';
import { blobJson, readEvent } from '../read/events.ts';

/** One line. */
export type RoutingOutcome = CliDocument<'routing-outcome'>;

interface RunNotes {
  evidence: RoutingOutcome['evidence'];
  readonly asks: Map<string, Body<'model.asked'>>;
  /** The models that were asked about, by the subject of the decision. */
  model: string | null;
}

/** Every outcome behind a position of the ledger, in its order; each is told once, at the entry that settled it. */
export async function* routingOutcomes(store: LedgerStore, after: bigint): AsyncGenerator<RoutingOutcome, void> {
  const runs = new Map<string, RunNotes>();
  for await (const stored of store.all()) {
    const { trajectory, kind, seq, at } = stored.entry;
    if (!trajectory.startsWith('run/')) continue;
    const notes = runs.get(trajectory) ?? { evidence: null, asks: new Map(), model: null };
    runs.set(trajectory, notes);
    const { event } = readEvent(stored);
    if (kind === 'run.closed') runs.delete(trajectory);
    if (event === null) continue;
    const line = (more: Omit<RoutingOutcome, 'v' | 'cursor' | 'run' | 'seq' | 'at' | 'evidence'>): RoutingOutcome => ({
      v: 1,
      cursor: stored.index.toString(),
      run: trajectory,
      seq,
      at,
      evidence: notes.evidence,
      ...more,
    });
    const told = await take(event, notes, { store, line });
    if (told !== null && stored.index > after) yield told;
  }
}

type Event = NonNullable<ReturnType<typeof readEvent>['event']>;
type Line = (more: Omit<RoutingOutcome, 'v' | 'cursor' | 'run' | 'seq' | 'at' | 'evidence'>) => RoutingOutcome;

async function take(
  { kind, body }: Event,
  notes: RunNotes,
  { store, line }: { readonly store: LedgerStore; readonly line: Line },
): Promise<RoutingOutcome | null> {
  switch (kind) {
    case 'run.opened':
      notes.model = body.model === null ? null : `${body.model.provider}:${body.model.model}`;
      return null;
    case 'router.planned':
      notes.evidence = evidenceOf(await blobJson(store, body.plan));
      return null;
    case 'policy.decided':
      if (body.intent !== null || body.verdict === 'permit' || notes.model === null) return null;
      return line({ ...NOWHERE, model: notes.model, status: 'denied', failure: body.because.code, latencyMs: null, tokens: null });
    case 'model.asked': {
      const { replaces } = body;
      const left = replaces === null ? undefined : notes.asks.get(replaces);
      if (replaces !== null) notes.asks.delete(replaces);
      notes.asks.set(body.ask, body);
      // What failed was told when it failed; what nobody answered is told when it is given up for another try.
      return left === undefined ? null : line({ ...placeOf(left), status: 'interrupted', failure: null, latencyMs: null, tokens: null });
    }
    case 'model.answered':
    case 'model.failed': {
      const asked = notes.asks.get(body.ask);
      if (asked === undefined) return null;
      notes.asks.delete(body.ask);
      const place = { ...placeOf(asked), latencyMs: body.durationMs };
      return kind === 'model.answered'
        ? line({
            ...place,
            status: 'answered',
            failure: null,
            tokens: body.usage === null ? null : { input: body.usage.inputTokens, output: body.usage.outputTokens },
          })
        : line({ ...place, status: 'failed', failure: body.error.code, tokens: null });
    }
    default:
      return null;
  }
}

const NOWHERE = { stage: null, visit: null, turn: null, attempt: null } as const;

function placeOf({ stage, visit, turn, attempt, provider, model }: Body<'model.asked'>) {
  return { stage, visit, turn, attempt, model: `${provider}:${model}` };
}

/** Evidence by its own name, and by the digest of all that it says; null where it was erased. */
function evidenceOf(json: Json | null): RoutingOutcome['evidence'] {
  const read = routingPlan.safeParse(json);
  if (!read.success || json === null) return null;
  const { router, decision, selected, candidates } = read.data;
  return { router, decision, selected, candidates: candidates.map(({ model }) => model), plan: digestOf(canonicalBytes(json)) };
}
