/**
 * From the remembered events of a run to its account: who wished for what, what became of it, what people said, what it cost. Pure; must never tell
 * what no event says. What reads it is `prepare_review_bundle` and `summarize_run`.
 */
import type { Digest, Instant } from '@openexec/canon';
import type {
  ActionCount,
  ApprovalLine,
  Body,
  ChangedFile,
  CheckLine,
  FileValue,
  Kind,
  Reason,
  RefusalLine,
  RunAccount,
  StageLine,
  TreeEntry,
  UndeclaredLine,
} from '@openexec/protocol';
import { isAutoRun } from './autorun.ts';

/** Kinds that an account is made of. */
export const REMEMBERED = [
  'stage.entered',
  'stage.left',
  'intent.declared',
  'proposal.staged',
  'proposal.suspended',
  'proposal.rejected',
  'approval.requested',
  'approval.voted',
  'approval.resolved',
  'execution.started',
  'execution.observed',
  'execution.failed',
  'execution.lost',
  'effect.undeclared',
  'commit.recorded',
  'model.asked',
  'model.answered',
  'model.failed',
] as const satisfies readonly Kind[];
type RememberedKind = (typeof REMEMBERED)[number];
/** One event with its place in the run. */
export type RememberedEvent = {
  readonly [K in RememberedKind]: { readonly kind: K; readonly seq: number; readonly at: Instant; readonly body: Body<K> };
}[RememberedKind];
/** The events of a run so far, newest first: one more costs the same however many there are. */
export interface History {
  readonly event: RememberedEvent;
  readonly before: History | null;
}
/** What the account says beside the history; the kernel knows it from its state. */
export type AccountFacts = Pick<RunAccount, 'run' | 'task' | 'blueprint' | 'opener' | 'until' | 'base' | 'tree' | 'spend'> & {
  readonly model: { readonly provider: string; readonly model: string } | null;
  readonly files: readonly ChangedFile[];
  readonly notes: RunAccount['notes'];
};

/** Longest lists; what came before is counted in `omitted`. */
const MAX_LINES = 500;
const MAX_FILES = 5000;

interface Place {
  readonly seq: number;
  readonly stage: string | null;
  readonly visit: number;
}
interface Running extends Place {
  readonly action: string;
  readonly attempt: number;
  readonly check: boolean;
}
type Ended = Pick<CheckLine, 'status' | 'exitCode' | 'durationMs' | 'summary'>;

/** Mutable only while one account is made. */
class Telling {
  readonly stages: StageLine[] = [];
  readonly checks: CheckLine[] = [];
  readonly refusals: RefusalLine[] = [];
  readonly approvals: ApprovalLine[] = [];
  readonly undeclared: UndeclaredLine[] = [];
  readonly counts = new Map<string, ActionCount>();
  asks = 0;
  answers = 0;
  failures = 0;
  #stage: { readonly stage: string; readonly visit: number } | null = null;
  readonly #intents = new Map<Digest, { readonly author: RefusalLine['author']; readonly action: string }>();
  readonly #proposals = new Map<Digest, Digest>();
  readonly #running = new Map<Digest, Running>();
  readonly #requests = new Map<Digest, ApprovalLine>();
  readonly #votes = new Map<number, ApprovalLine['votes'][number]>();

  take(event: RememberedEvent): void {
    switch (event.kind) {
      case 'stage.entered':
        this.#stage = { stage: event.body.stage, visit: event.body.visit };
        this.stages.push({ ...this.#at(event.seq), type: event.body.type, outcome: null, because: null });
        return;
      case 'stage.left':
        return this.#left(event.body);
      case 'intent.declared':
        this.#intents.set(event.body.intent, { author: event.body.author, action: event.body.action });
        this.#count(event.body.action).intents += 1;
        return;
      case 'proposal.staged':
      case 'proposal.suspended':
        this.#proposals.set(event.body.proposal, event.body.intent);
        return;
      case 'proposal.rejected':
        return this.#refused(event.seq, event.body);
      case 'approval.requested':
      case 'approval.voted':
      case 'approval.resolved':
        return this.#asked(event);
      case 'model.asked':
        this.asks += 1;
        return;
      case 'model.answered':
        this.answers += 1;
        return;
      case 'model.failed':
        this.failures += 1;
        return;
      default:
        return this.#performed(event);
    }
  }

  #at(seq: number): Place {
    return { seq, stage: this.#stage?.stage ?? null, visit: this.#stage?.visit ?? 0 };
  }

  #count(action: string): ActionCount {
    const known = this.counts.get(action) ?? { action, intents: 0, refused: 0, executed: 0, committed: 0, failed: 0 };
    this.counts.set(action, known);
    return known;
  }

  #left(body: Body<'stage.left'>): void {
    const line = this.stages.at(-1);
    if (line !== undefined) this.stages.splice(-1, 1, { ...line, outcome: body.outcome, because: body.because });
    this.#stage = null;
  }

  #refused(seq: number, body: Body<'proposal.rejected'>): void {
    const intent = this.#intents.get(body.intent);
    if (intent === undefined) return;
    this.#count(intent.action).refused += 1;
    this.refusals.push({ ...this.#at(seq), ...intent, at: body.at, because: body.because, rule: body.rule });
  }

  #asked(event: Extract<RememberedEvent, { kind: 'approval.requested' | 'approval.voted' | 'approval.resolved' }>): void {
    if (event.kind === 'approval.requested') {
      const { subject, action, because, rule, request } = event.body;
      const line: ApprovalLine = { ...this.#at(event.seq), subject, action, because, rule, outcome: null, votes: [] };
      this.#requests.set(request, line);
      this.approvals.push(line);
    } else if (event.kind === 'approval.voted') {
      const { body, signatures } = event.body.vote;
      const key = signatures[0]?.key;
      if (key !== undefined) this.#votes.set(event.seq, { key, decision: body.decision, assurance: body.assurance, because: body.because });
    } else {
      const line = this.#requests.get(event.body.request);
      if (line === undefined) return;
      line.outcome = event.body.outcome;
      // Only votes that counted are named by the resolution.
      line.votes = event.body.votes.flatMap(({ seq }) => this.#votes.get(seq) ?? []);
    }
  }

  #performed(
    event: Extract<
      RememberedEvent,
      {
        kind: 'execution.started' | 'execution.observed' | 'execution.failed' | 'execution.lost' | 'effect.undeclared' | 'commit.recorded';
      }
    >,
  ): void {
    const { body } = event;
    if (event.kind === 'execution.started') {
      const { execution, action, attempt, command } = event.body;
      this.#running.set(execution, { ...this.#at(event.seq), action, attempt, check: command !== null });
      this.#count(action).executed += 1;
      return;
    }
    const running = this.#running.get(body.execution);
    if (running === undefined) return;
    if (event.kind === 'commit.recorded') this.#count(running.action).committed += 1;
    else if (event.kind === 'execution.observed') {
      const { status, exitCode, durationMs, summary } = event.body;
      this.#checked(running, { status, exitCode, durationMs, summary });
    } else if (event.kind === 'execution.failed') {
      this.#count(running.action).failed += 1;
      this.#checked(running, { status: 'error', exitCode: null, durationMs: event.body.durationMs, summary: said(event.body.error) });
    } else {
      this.#count(running.action).failed += 1;
      const lost = event.kind === 'execution.lost';
      this.#checked(running, { status: lost ? 'lost' : 'error', exitCode: null, durationMs: 0, summary: said(event.body.because) });
      if (!lost)
        this.undeclared.push({ ...this.#at(event.seq), action: running.action, paths: event.body.paths, because: event.body.because });
    }
  }

  #checked({ seq, stage, visit, action, attempt, check }: Running, ended: Ended): void {
    if (check) this.checks.push({ seq, stage, visit, action, attempt, ...ended });
  }
}

function said({ code, message }: Reason): string {
  return `${code}: ${message}`.slice(0, 2000).replace(/[\ud800-\udbff]$/, '');
}

/** A file of the world as it differs from the base; null where it was made and taken away again, or is as it was. */
export function differing(path: string, base: TreeEntry | undefined, after: FileValue | null): ChangedFile | null {
  const before = base?.oid ?? null;
  if (after === null ? before === null : after.oid === before && after.mode === base?.mode) return null;
  return { path, status: after === null ? 'deleted' : before === null ? 'added' : 'changed', before, after, autoRun: isAutoRun(path) };
}

/** The newest lines, and how many older ones are left out. */
function newest<T>(lines: readonly T[], max = MAX_LINES): { readonly kept: T[]; readonly omitted: number } {
  return { kept: lines.slice(-max), omitted: Math.max(0, lines.length - max) };
}

/** The account of everything remembered. */
export function accountOf(history: History | null, facts: AccountFacts): RunAccount {
  const events: RememberedEvent[] = [];
  for (let node = history; node !== null; node = node.before) events.push(node.event);
  const told = new Telling();
  for (const event of events.reverse()) told.take(event);
  const lists = {
    stages: newest(told.stages),
    checks: newest(told.checks),
    refusals: newest(told.refusals),
    approvals: newest(told.approvals),
    undeclared: newest(told.undeclared),
    notes: newest(facts.notes),
  };
  const { model, files, notes: _notes, ...plain } = facts;
  return {
    version: 1,
    ...plain,
    model: model === null ? null : { ...model, asks: told.asks, answers: told.answers, failures: told.failures },
    stages: lists.stages.kept,
    actions: [...told.counts.values()].sort((a, b) => (a.action < b.action ? -1 : 1)),
    checks: lists.checks.kept,
    refusals: lists.refusals.kept,
    approvals: lists.approvals.kept,
    undeclared: lists.undeclared.kept,
    files: files.slice(0, MAX_FILES),
    notes: lists.notes.kept,
    omitted: {
      stages: lists.stages.omitted,
      checks: lists.checks.omitted,
      refusals: lists.refusals.omitted,
      approvals: lists.approvals.omitted,
      undeclared: lists.undeclared.omitted,
      files: Math.max(0, files.length - MAX_FILES),
      notes: lists.notes.omitted,
    },
  };
}
