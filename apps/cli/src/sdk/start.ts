/**
 * `startRun`: one governed run in this process, through the very path that `openexec run` takes. Must never decide what the law decides, and never
 * hold events back in memory: a reader that is slow reads the ledger (GOALS E11, E17).
 */
import { err, type KeyId, type Result, type TrajectoryId } from '@openexec/canon';
import type { Stored } from '@openexec/ledger';
import { requestCancel, type StopSwitch, stopSwitch } from '@openexec/runtime';
import { keyedApprover } from '../approval/keyed.ts';
import type { OpenLedger, Surroundings } from '../context.ts';
import { type Refusal, refuse } from '../exit.ts';
import { storeRefusal } from '../openLedger.ts';
import { eventLine, readEvent } from '../read/events.ts';
import { anchorProblems, type RunSummary } from '../run/finish.ts';
import type { Company } from '../run/open.ts';
import { startGoverned } from '../run/start.ts';
import { findProject } from '../surroundings.ts';
import type { LedgerEvent, Outcome, RunResult, StartedRun, StartOptions } from './public.ts';
import { meaningOf, openLedgerFrom } from './read.ts';
import { failureOf, onAbort, outcomeOf, settled, surroundingsOf, thrown } from './shared.ts';

const BECAUSE = 'decided by the program that started the run';

/** See `startRun` of public.ts. */
export function startRunFrom(entry: string, options: StartOptions): StartedRun {
  return new Started(entry, options);
}

/** A run while it is open in this process. */
interface Open {
  readonly run: TrajectoryId;
  readonly ledger: OpenLedger;
  readonly operator: KeyId;
}

class Started implements StartedRun {
  readonly result: Promise<Outcome<RunResult>>;
  readonly run: Promise<string | null>;
  readonly #entry: string;
  readonly #options: StartOptions;
  readonly #stop: StopSwitch = stopSwitch();
  readonly #warnings: string[] = [];
  readonly #ended = new AbortController();
  #open: Open | null = null;
  #opened: (run: string | null) => void = () => undefined;
  #cancelled: Promise<Outcome<RunResult>> | null = null;

  constructor(entry: string, options: StartOptions) {
    this.#entry = entry;
    this.#options = options;
    this.run = new Promise((resolve) => {
      this.#opened = resolve;
    });
    const release = onAbort(options.signal, () => this.#stop.stop());
    this.result = settled(async () => outcomeOf(await this.#drive(), (summary) => this.#resultOf(summary))).finally(() => {
      release();
      this.#open = null;
      this.#opened(null);
      this.#ended.abort();
    });
  }

  get events(): AsyncIterable<LedgerEvent> {
    return this.eventsAfter('0');
  }

  eventsAfter(cursor: string): AsyncIterable<LedgerEvent> {
    return { [Symbol.asyncIterator]: () => this.#read(cursor) };
  }

  cancel(because = 'cancelled by its program'): Promise<Outcome<RunResult>> {
    this.#cancelled ??= settled(() => this.#cancel(because));
    return this.#cancelled;
  }

  async #drive(): Promise<Result<RunSummary, Refusal>> {
    const { repository, task, blueprint, model, policy, approve, budget, base, writ, env, skills, skillParams, routing } = this.#options;
    // Relative names are relative to the checkout: a program's working folder is nobody's word.
    const context = surroundingsOf(this.#entry, repository, env);
    const project = findProject(repository, context.places);
    if (!project.ok) return project;
    const flags = {
      policies: policy === undefined ? [] : typeof policy === 'string' ? [policy] : policy,
      blueprint,
      approvals: approve === 'never' ? ('never' as const) : undefined,
      budgetUsd: budget?.usd,
      budgetTokens: budget?.tokens,
      budgetCalls: budget?.calls,
      ...(skills === undefined ? {} : { skills }),
      ...(routing === undefined ? {} : { routing }),
      ...(skillParams === undefined ? {} : { skillParams }),
      ...modelFlags(model),
    };
    const wrong = Object.entries(budget ?? {}).find(([, most]) => typeof most !== 'number' || !(most >= 0) || !Number.isFinite(most));
    if (wrong !== undefined) return refuse('usage.invalid', `budget.${wrong[0]} is a number that is not negative`);
    return startGoverned(context, project.value, { task, flags, writ, base }, this.#company(context, project.value.root));
  }

  #company(context: Surroundings, root: string): Company {
    const { approve, onEvent } = this.#options;
    return {
      stop: this.#stop.signal,
      approver: ({ ledger, key, approvals }) => {
        if (typeof approve !== 'function' || approvals === 'never') return null;
        return keyedApprover(context, { key, ledger: ledger.fingerprint, store: ledger.store, root, because: BECAUSE }, decider(approve));
      },
      opened: ({ run, ledger, operator }) => {
        this.#open = { run, ledger, operator };
        this.#opened(run);
      },
      counted: () => undefined,
      // Cited in the opening of the run, which a program reads.
      proven: () => undefined,
      observe: (stored) => notify(onEvent, stored),
      warn: (text) => void this.#warnings.push(text),
    };
  }

  #resultOf(summary: RunSummary): RunResult {
    const { run, status, exit, because, request, spend, result, checkpoint, checkpointProblem } = summary;
    const branch = result?.ref.replace(/^refs\/heads\//, '') ?? null;
    const unsigned = checkpointProblem === null ? [] : [`no signed tree head was made: ${checkpointProblem}`];
    const warnings = [...this.#warnings, ...unsigned, ...anchorProblems(summary)];
    const landed = { branch, commit: result?.commit ?? null, tree: result?.tree ?? null };
    return { v: 1, run, status, exit, meaning: meaningOf(exit), because, request, spend, ...landed, checkpoint, warnings };
  }

  async *#read(cursor: string): AsyncGenerator<LedgerEvent, void> {
    const run = await this.run;
    if (run === null) return;
    const { repository, env } = this.#options;
    const opened = await openLedgerFrom(this.#entry, { repository, ...(env === undefined ? {} : { env }) });
    if (!opened.ok) throw thrown(opened.error);
    const { value: ledger } = opened;
    let last = cursor;
    try {
      for await (const event of ledger.events({ run, after: last, follow: true, signal: this.#ended.signal })) {
        last = event.cursor;
        yield event;
      }
      // The drive ended while the last of it was still to be read.
      for await (const event of ledger.events({ run, after: last })) yield event;
    } finally {
      await ledger.close();
    }
  }

  /** The wish to cancel is a fact; whoever drives closes the run at its next step. */
  async #cancel(because: string): Promise<Outcome<RunResult>> {
    await Promise.race([this.run, this.result]);
    const open = this.#open;
    if (open === null) return this.result;
    const { clock, randomness } = surroundingsOf(this.#entry, this.#options.repository, this.#options.env);
    const { run, ledger, operator } = open;
    const asked = await requestCancel({ ledger: ledger.store, clock, randomness, run, actor: operator, because });
    if (!asked.ok) {
      // It may have come to its end meanwhile; then that end is the answer.
      const ended = await this.result;
      return ended.ok && ended.value.status !== 'parked' ? ended : err(failureOf(storeRefusal(asked.error)));
    }
    return this.result;
  }
}

function modelFlags(model: StartOptions['model']) {
  if (model === undefined || typeof model === 'string') return { model };
  const { adapter, name, host = null, maxOutputTokens } = model;
  return { own: { adapter, name, host, maxOutputTokens } };
}

function decider(approve: Exclude<StartOptions['approve'], string | undefined>): Parameters<typeof keyedApprover>[2] {
  return async ({ request, run, action, rule, because, until }, content) => {
    const said = await approve({ request, run, action, rule, because, content, until });
    return said === 'approve' || said === 'deny' ? said : null;
  };
}

/** An observer that throws stops nothing. */
function notify(onEvent: StartOptions['onEvent'], stored: Stored): void {
  if (onEvent === undefined) return;
  try {
    onEvent(eventLine(readEvent(stored)));
  } catch {
    // What it would have decided, the law decides.
  }
}
