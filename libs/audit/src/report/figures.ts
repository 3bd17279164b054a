/**
 * Figures of one run, by stage and in all: visits, questions to the model, executions, durations, cost. Counted from the entries; the cost is the
 * kernel's own, from the same fold that drives a run, so that no second rule of settling exists. Must never guess: what cannot be derived is null.
 */
import { instantToMs, type TrajectoryId } from '@openexec/canon';
import { evolve, initialState, type RunState } from '@openexec/kernel';
import type { Stored } from '@openexec/ledger';
import type { Amount, Body, Kind, RunFigures } from '@openexec/protocol';
import { type BlobReader, bodyOf, eventOf } from '../event.ts';

type AnyBody = { [K in Kind]: { readonly kind: K; readonly body: Body<K> } }[Kind];
type Latency = RunFigures['total']['elapsed'];
const NOTHING: Amount = { tokens: 0, usdMicros: 0, calls: 0 };

/** Durations in milliseconds, in any order. */
class Durations {
  readonly #all: number[] = [];

  add(ms: number): void {
    this.#all.push(ms);
  }

  figures(): Latency {
    const sorted = [...this.#all].sort((a, b) => a - b);
    const rank = (share: number): number | null => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
    const totalMs = sorted.reduce((sum, ms) => sum + ms, 0);
    return { count: sorted.length, totalMs, minMs: rank(0), medianMs: rank(0.5), p95Ms: rank(0.95), maxMs: rank(1) };
  }
}

/** Everything that is counted of one stage, or of the run. */
class Work {
  readonly visits = { entered: 0, succeeded: 0, failed: 0, skipped: 0 };
  readonly elapsed = new Durations();
  readonly model = { asked: 0, answered: 0, failed: 0, unmetered: 0, inputTokens: 0, outputTokens: 0 };
  readonly modelLatency = new Durations();
  readonly actions = { intents: 0, permitted: 0, asked: 0, denied: 0, started: 0, ok: 0, failed: 0, errors: 0, lost: 0, committed: 0 };
  readonly actionLatency = new Durations();
  spent = NOTHING;

  figures(isSpentKnown: boolean): RunFigures['total'] {
    return {
      visits: this.visits,
      elapsed: this.elapsed.figures(),
      model: { ...this.model, latency: this.modelLatency.figures() },
      actions: { ...this.actions, latency: this.actionLatency.figures() },
      spent: isSpentKnown ? this.spent : null,
    };
  }
}

interface ActionWork {
  started: number;
  ok: number;
  failed: number;
  errors: number;
  lost: number;
  readonly latency: Durations;
}

/** The stage of a visit and when it was entered. */
interface Entered {
  readonly stage: string;
  readonly visit: number;
  readonly atMs: number;
}

/** Counts one run; entries must be given in their order. */
export class FiguresReader {
  readonly #total = new Work();
  readonly #stages = new Map<string, { readonly type: 'deterministic' | 'agent'; readonly work: Work }>();
  readonly #actions = new Map<string, ActionWork>();
  /** Actions by execution. */
  readonly #executions = new Map<string, string>();
  readonly #spend: SpendFold | null;
  #now: Entered | null = null;
  #firstMs: number | null = null;
  #lastMs = 0;

  /** `reader` null: what was spent is not derived. */
  constructor(run: TrajectoryId, reader: BlobReader | null) {
    this.#spend = reader === null ? null : new SpendFold(run, reader);
  }

  /** Takes an entry, whether its payload can be read or not. */
  async taken(stored: Stored): Promise<void> {
    const atMs = instantToMs(stored.entry.at);
    this.#firstMs ??= atMs;
    // A judgement repeats the time of its fact, and so may lie before what came in between (PROTOCOL §2).
    this.#lastMs = Math.max(this.#lastMs, atMs);
    const spent = await this.#spend?.take(stored);
    if (spent !== undefined) for (const work of this.#here()) work.spent = sum(work.spent, spent);
  }

  /** Takes what an entry says. */
  take(event: AnyBody, stored: Stored): void {
    this.#takeVisit(event, instantToMs(stored.entry.at));
    this.#takeModel(event);
    this.#takeVerdict(event);
    this.#takeExecution(event);
  }

  figures(): RunFigures {
    const known = this.#spend !== null && !this.#spend.isLost;
    return {
      elapsedMs: this.#firstMs === null ? null : this.#lastMs - this.#firstMs,
      total: this.#total.figures(known),
      stages: [...this.#stages].map(([stage, { type, work }]) => ({ stage, type, ...work.figures(known) })),
      actions: [...this.#actions].map(([action, { latency, ...counts }]) => ({ action, ...counts, latency: latency.figures() })),
    };
  }

  /** Where something that happens now is counted. Version 1 has one stage at a time (PROTOCOL §4.3). */
  #here(): readonly Work[] {
    const stage = this.#now === null ? undefined : this.#stages.get(this.#now.stage);
    return stage === undefined ? [this.#total] : [this.#total, stage.work];
  }

  #count(how: (work: Work) => void): void {
    for (const work of this.#here()) how(work);
  }

  #takeVisit({ kind, body }: AnyBody, atMs: number): void {
    if (kind === 'stage.entered') {
      const { stage, visit, type } = body;
      if (!this.#stages.has(stage)) this.#stages.set(stage, { type, work: new Work() });
      this.#now = { stage, visit, atMs };
      this.#count(({ visits }) => void (visits.entered += 1));
    }
    if (kind !== 'stage.left' || this.#now?.stage !== body.stage || this.#now.visit !== body.visit) return;
    const tookMs = Math.max(0, atMs - this.#now.atMs);
    this.#count(({ visits, elapsed }) => {
      visits[body.outcome] += 1;
      elapsed.add(tookMs);
    });
    this.#now = null;
  }

  #takeModel({ kind, body }: AnyBody): void {
    if (kind === 'model.asked') this.#count(({ model }) => void (model.asked += 1));
    if (kind === 'model.answered')
      this.#count(({ model, modelLatency }) => {
        model.answered += 1;
        model.unmetered += body.usage === null ? 1 : 0;
        model.inputTokens += body.usage?.inputTokens ?? 0;
        model.outputTokens += body.usage?.outputTokens ?? 0;
        modelLatency.add(body.durationMs);
      });
    if (kind === 'model.failed')
      this.#count(({ model, modelLatency }) => {
        model.failed += 1;
        modelLatency.add(body.durationMs);
      });
  }

  #takeVerdict({ kind, body }: AnyBody): void {
    if (kind === 'intent.declared') this.#count(({ actions }) => void (actions.intents += 1));
    // A decision without an intent is one about asking the model.
    if (kind !== 'policy.decided' || body.intent === null) return;
    const word = { permit: 'permitted', approve: 'asked', deny: 'denied' } as const;
    this.#count(({ actions }) => void (actions[word[body.verdict]] += 1));
  }

  #takeExecution({ kind, body }: AnyBody): void {
    switch (kind) {
      case 'execution.started':
        this.#executions.set(body.execution, body.action);
        return this.#executed(body.execution, 'started', null);
      case 'execution.observed':
        return this.#executed(body.execution, body.status, body.durationMs);
      case 'execution.failed':
        return this.#executed(body.execution, 'errors', body.durationMs);
      case 'execution.lost':
        return this.#executed(body.execution, 'lost', null);
      case 'commit.recorded':
        return this.#count(({ actions }) => void (actions.committed += 1));
      default:
    }
  }

  #executed(execution: string, what: 'started' | 'ok' | 'failed' | 'errors' | 'lost', durationMs: number | null): void {
    this.#count(({ actions, actionLatency }) => {
      actions[what] += 1;
      if (durationMs !== null) actionLatency.add(durationMs);
    });
    const action = this.#executions.get(execution);
    if (action === undefined) return;
    let own = this.#actions.get(action);
    if (own === undefined)
      this.#actions.set(action, (own = { started: 0, ok: 0, failed: 0, errors: 0, lost: 0, latency: new Durations() }));
    own[what] += 1;
    if (durationMs !== null) own.latency.add(durationMs);
  }
}

/** What each entry adds to what the kernel has settled. */
class SpendFold {
  readonly #reader: BlobReader;
  #state: RunState;
  isLost = false;

  constructor(run: TrajectoryId, reader: BlobReader) {
    this.#reader = reader;
    this.#state = initialState(run);
  }

  async take(stored: Stored): Promise<Amount> {
    if (this.isLost) return NOTHING;
    const body = bodyOf(stored);
    const event = body.ok ? await eventOf(stored, body.value, this.#reader) : body;
    const before = this.#state.settled;
    let added = NOTHING;
    try {
      if (event.ok) this.#state = evolve(this.#state, stored.entry.seq, event.value);
      else this.isLost = true;
    } catch {
      this.isLost = true; // The kernel never stops on a past that it made itself; on any other it may.
    }
    if (!this.isLost) added = difference(this.#state.settled, before);
    // Nothing more is derived of what cannot be, and a closed run settles nothing more: no more of either is held.
    if (this.isLost || stored.entry.kind === 'run.closed') this.#state = initialState(this.#state.run);
    return added;
  }
}

function sum(a: Amount, b: Amount): Amount {
  return { tokens: a.tokens + b.tokens, usdMicros: a.usdMicros + b.usdMicros, calls: a.calls + b.calls };
}

function difference(a: Amount, b: Amount): Amount {
  return { tokens: a.tokens - b.tokens, usdMicros: a.usdMicros - b.usdMicros, calls: a.calls - b.calls };
}
