/**
 * A run counted as its events pass: where it is, what it has cost, which checks ran, who was asked, which files differ. For people and summaries;
 * must never be read for a decision, and must never guess: what is not in the events is null.
 */
import { instantToMs } from '@openexec/canon';
import type { Amount, Prices } from '@openexec/protocol';
import type { KnownEvent, ReadEvent } from './events.ts';

/** The last outcome of a configured command or check in a run. */
export interface CheckTally {
  readonly action: string;
  readonly status: 'ok' | 'failed';
  /** What the runtime saw, in a sentence. */
  readonly summary: string;
  /** How often it ran. */
  readonly times: number;
}
/** Where a run is at one moment. */
export interface Whereabouts {
  readonly stage: string | null;
  readonly visit: number;
  /** The turn of the model in this stage; 0 before the first. */
  readonly turn: number;
  /** What is going on right now, in two words; null between steps. */
  readonly doing: string | null;
}
type Price = Prices['models'][string];

const NOTHING: Amount = { tokens: 0, usdMicros: 0, calls: 0 };
const MILLION = 1_000_000;

/** Counts the events of one run, in order. */
export class Tally {
  readonly #price: Price | null;
  readonly #checks = new Map<string, CheckTally>();
  readonly #running = new Map<string, string>();
  #spent: Amount = NOTHING;
  #where: Whereabouts = { stage: null, visit: 0, turn: 0, doing: null };
  #prompts = 0;
  #firstMs: number | null = null;
  #lastMs = 0;

  /** `price` is that of the run's model, or null where it has none: then no dollars are counted. */
  constructor(price: Price | null) {
    this.#price = price;
  }

  /** Takes the next event. */
  take({ stored, event }: ReadEvent): void {
    const at = instantToMs(stored.entry.at);
    this.#firstMs ??= at;
    this.#lastMs = Math.max(this.#lastMs, at);
    if (event === null) return;
    this.#takePlace(event);
    this.#takeWork(event);
  }

  get spent(): Amount {
    return this.#spent;
  }
  get where(): Whereabouts {
    return this.#where;
  }
  /** How often a person was asked. */
  get prompts(): number {
    return this.#prompts;
  }
  get checks(): readonly CheckTally[] {
    return [...this.#checks.values()];
  }
  /** Whether dollars are known: the model has a price. */
  get priced(): boolean {
    return this.#price !== null;
  }
  /** From the first event to the last, waiting included. */
  get elapsedMs(): number {
    return this.#firstMs === null ? 0 : Math.max(0, this.#lastMs - this.#firstMs);
  }
  /** Time of the first event, or null before it. */
  get firstMs(): number | null {
    return this.#firstMs;
  }

  #doing(doing: string | null): void {
    this.#where = { ...this.#where, doing };
  }

  #takePlace({ kind, body }: KnownEvent): void {
    switch (kind) {
      case 'stage.entered':
        this.#where = { stage: body.stage, visit: body.visit, turn: 0, doing: null };
        return;
      case 'stage.left':
      case 'run.closed':
        this.#doing(null);
        return;
      case 'model.asked':
        this.#where = { ...this.#where, turn: body.turn, doing: `asks ${body.provider}` };
        return;
      case 'run.parked':
      case 'approval.requested':
        this.#doing('waits for an approval');
        return;
      default:
    }
  }

  #takeWork({ kind, body }: KnownEvent): void {
    switch (kind) {
      case 'model.answered':
        this.#settle(body.usage);
        this.#doing(null);
        return;
      case 'approval.requested':
        this.#prompts += 1;
        return;
      case 'execution.started':
        if (body.command !== null) this.#running.set(body.execution, body.action);
        this.#doing(`runs ${body.action}`);
        return;
      case 'execution.observed': {
        const action = this.#running.get(body.execution);
        this.#doing(null);
        if (action === undefined) return;
        const times = (this.#checks.get(action)?.times ?? 0) + 1;
        this.#checks.set(action, { action, status: body.status, summary: body.summary, times });
        return;
      }
      case 'execution.failed':
      case 'model.failed':
        this.#doing(null);
        return;
      default:
    }
  }

  /** As the kernel settles: each side rounded up (kernel/ask.ts `costOf`); the closing event has the truth. */
  #settle(usage: { readonly inputTokens: number; readonly outputTokens: number } | null): void {
    const { tokens, usdMicros, calls } = this.#spent;
    if (usage === null) {
      this.#spent = { tokens, usdMicros, calls: calls + 1 };
      return;
    }
    const { inputTokens, outputTokens } = usage;
    const cost =
      this.#price === null
        ? 0
        : Math.ceil((inputTokens * this.#price.inputUsdMicrosPerMillion + outputTokens * this.#price.outputUsdMicrosPerMillion) / MILLION);
    this.#spent = { tokens: tokens + inputTokens + outputTokens, usdMicros: usdMicros + cost, calls: calls + 1 };
  }
}
