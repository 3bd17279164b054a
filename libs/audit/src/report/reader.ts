/**
 * One run, read from the entries that a bundle shows, for its report. What is withheld or gone is named and nothing is said in its place. Must never
 * judge, and never take what a model says of itself for a fact (PROTOCOL §11, ARCHITECTURE invariant 8).
 */
import { writId } from '@openexec/authority';
import { type Digest, digestJson, type Json, parseJson, type TrajectoryId, utf8Decode } from '@openexec/canon';
import type { Stored } from '@openexec/ledger';
import {
  type BlobRef,
  type Body,
  checkedBlueprint,
  delta,
  type InlineOrBlob,
  type Kind,
  policySet,
  type ReportedRun,
  type RunOpened,
} from '@openexec/protocol';
import { type BlobReader, bodyOf } from '../event.ts';
import type { AuditSource } from '../report.ts';
import { FiguresReader } from './figures.ts';
import { ChangedFiles } from './files.ts';
import { Bounded, MAX_TEXT_CHARACTERS } from './lists.ts';
import { SafetyTally } from './safety.ts';

type Line<L extends 'stages' | 'intents' | 'approvals' | 'checks' | 'undeclared' | 'violations' | 'unreadable'> = {
  -readonly [K in keyof ReportedRun[L][number]]: ReportedRun[L][number][K];
};
type AnyBody = { [K in Kind]: { readonly kind: K; readonly body: Body<K> } }[Kind];
/** What the entries say; the rest of a reported run is derived from it. */
type Told = Omit<ReportedRun, 'patch' | 'absent' | 'judgedAgain' | 'change' | 'files' | 'governed' | 'selfTest' | 'figures' | 'network'>;

/** How a run is to be read. */
interface Reading {
  readonly isWithheld: (stored: Stored) => boolean;
  /** With what the run is folded again, to derive what was spent; null: that is not derived. */
  readonly fold: BlobReader | null;
}

export class RunReader {
  readonly files = new ChangedFiles();
  readonly safety = new SafetyTally();
  readonly figures: FiguresReader;
  readonly stages = new Bounded<Line<'stages'>>();
  readonly intents = new Bounded<Line<'intents'>>();
  readonly approvals = new Bounded<Line<'approvals'>>();
  readonly checks = new Bounded<Line<'checks'>>();
  readonly undeclared = new Bounded<Line<'undeclared'>>();
  readonly violations = new Bounded<Line<'violations'>>();
  readonly unreadable = new Bounded<Line<'unreadable'>>();
  opened: RunOpened | null = null;
  readonly #view: Pick<AuditSource, 'blob'>;
  readonly #isWithheld: (stored: Stored) => boolean;
  /** By the ids of intent, proposal and execution. */
  readonly #intents = new Map<string, Line<'intents'>>();
  readonly #checks = new Map<string, Line<'checks'>>();
  readonly #approvals = new Map<string, Line<'approvals'>>();
  readonly #told: { -readonly [K in keyof Told]: Told[K] };

  constructor(run: TrajectoryId, view: Pick<AuditSource, 'blob'>, { isWithheld, fold }: Reading) {
    this.#view = view;
    this.#isWithheld = isWithheld;
    this.figures = new FiguresReader(run, fold);
    this.#told = emptyRun(run);
  }

  /** Takes the next entry of the run. */
  async take(stored: Stored): Promise<void> {
    const { seq, kind, at } = stored.entry;
    const told = this.#told;
    told.entries += 1;
    told.lastAt = at;
    if (seq === 0) told.openedAt = at;
    await this.figures.taken(stored);
    const body = bodyOf(stored);
    if (!body.ok) {
      // A closing whose payload is gone says that the run is over, and no more.
      if (kind === 'run.closed') told.outcome = 'unknown';
      if (kind === 'commit.recorded' || kind === 'commit.compensated') this.files.lose('what a commit changed cannot be read');
      const because = body.error.what === 'body' ? 'malformed' : this.#isWithheld(stored) ? 'withheld' : 'erased';
      return this.unreadable.add({ seq, kind, because });
    }
    // The body was just held against the schema of this kind.
    const event = { kind, body: body.value } as unknown as AnyBody;
    await this.#takeRun(event);
    this.#takeStage(event, seq);
    this.#takeIntent(event, stored);
    this.#takeExecution(event, seq);
    this.#takeApproval(event, stored);
    this.#takeRemark(event, seq);
    this.figures.take(event, stored);
    this.safety.take(event, stored, (id) => this.#intents.get(id));
  }

  /** Everything that the entries say. */
  told(): Told {
    const { stages, intents, approvals, checks, undeclared, violations, unreadable } = this;
    return {
      ...this.#told,
      stages: stages.lines,
      intents: intents.lines,
      approvals: approvals.lines,
      checks: checks.lines,
      undeclared: undeclared.lines,
      violations: violations.lines,
      unreadable: unreadable.lines,
      omitted: {
        stages: stages.omitted,
        intents: intents.omitted,
        approvals: approvals.omitted,
        checks: checks.omitted,
        undeclared: undeclared.omitted,
        files: 0,
        other: violations.omitted + unreadable.omitted,
      },
    };
  }

  async #takeRun({ kind, body }: AnyBody): Promise<void> {
    const told = this.#told;
    switch (kind) {
      case 'run.opened':
        this.opened = body;
        return this.#takeOpening(body);
      case 'model.asked':
        told.counts.asks += 1;
        return;
      case 'model.answered':
        told.counts.inputTokens += body.usage?.inputTokens ?? 0;
        told.counts.outputTokens += body.usage?.outputTokens ?? 0;
        return;
      case 'commit.recorded':
        told.counts.commits += 1;
        told.worldRoot = body.worldRoot;
        return this.#takeDelta(body.delta);
      case 'commit.compensated':
        told.worldRoot = body.worldRoot;
        return this.#takeDelta(body.delta);
      case 'run.closed':
        told.outcome = body.outcome;
        told.because = body.because;
        told.result = body.result;
        told.worldRoot = body.worldRoot;
        told.spend = body.spend;
        return;
      default:
    }
  }

  async #takeOpening(opened: RunOpened): Promise<void> {
    const told = this.#told;
    const blueprint = checkedBlueprint.safeParse(await this.#json(opened.blueprint));
    const policies = policySet.safeParse(await this.#json(opened.policySet));
    told.task = await this.#quoted(opened.task);
    told.opener = opened.opener;
    told.writs = opened.writs.map(({ body }) => {
      const { issuer, subject, notBefore, notAfter, budget } = body;
      return { id: writId(body), issuer, subject, notBefore, notAfter, budget };
    });
    told.blueprint = { name: blueprint.success ? blueprint.data.name : null, digest: opened.blueprint.digest };
    const layers = policies.success
      ? policies.data.layers.map(({ layer, bundle, source }) => ({ layer, name: bundle.name, source }))
      : null;
    told.policySet = { digest: opened.policySet.digest, layers };
    told.model = opened.model === null ? null : `${opened.model.provider}:${opened.model.model}`;
    told.kernel = { version: opened.kernel.version, flags: [...opened.kernel.flags] };
    told.approvalsMode = opened.approvals;
    told.base = { commit: opened.base.commit, tree: opened.base.tree };
    this.files.base(await this.#json(opened.base.listing));
  }

  async #takeDelta(held: Body<'commit.recorded'>['delta']): Promise<void> {
    const steps = delta.safeParse('inline' in held ? held.inline : await this.#json(held.blob));
    if (steps.success) this.files.take(steps.data);
    else this.files.lose('what a commit changed cannot be read');
  }

  #takeStage({ kind, body }: AnyBody, seq: number): void {
    if (kind === 'stage.entered') {
      const { stage, visit, type } = body;
      this.stages.add({ seq, stage, visit, type, outcome: null, because: null });
    }
    if (kind !== 'stage.left') return;
    const left = this.stages.lines.findLast(({ stage, visit }) => stage === body.stage && visit === body.visit);
    if (left !== undefined) Object.assign(left, { outcome: body.outcome, because: body.because });
  }

  #takeIntent({ kind, body }: AnyBody, { entry: { seq, at } }: Stored): void {
    const { counts } = this.#told;
    switch (kind) {
      case 'intent.declared': {
        const { stage, visit, author, action } = body;
        const line = { seq, at, stage, visit, author, action, arguments: heldDigest(body.arguments), ...UNDECIDED };
        counts.intents += 1;
        this.#intents.set(body.intent, line);
        return this.intents.add(line);
      }
      case 'policy.decided': {
        const line = body.intent === null ? undefined : this.#intents.get(body.intent);
        if (body.verdict === 'deny' && line !== undefined) counts.denied += 1;
        const { verdict, by, rule, because } = body;
        if (line !== undefined) Object.assign(line, { verdict, by, rule, because });
        return;
      }
      case 'proposal.staged':
        this.#link(body.proposal, body.intent);
        return this.#set(body.proposal, { effect: body.effect });
      case 'proposal.suspended':
        return this.#link(body.proposal, body.intent);
      case 'proposal.rejected':
        return this.#set(body.intent, { end: 'rejected', endBecause: body.because });
      default:
    }
  }

  #takeExecution({ kind, body }: AnyBody, seq: number): void {
    switch (kind) {
      case 'execution.started': {
        this.#link(body.execution, body.proposal);
        if (body.command === null) return;
        const { stage = null, visit = 0 } = this.#intents.get(body.proposal) ?? {};
        const { action, attempt } = body;
        const line = { seq, stage, visit, action, attempt, status: null, exitCode: null, durationMs: null, summary: '' };
        this.#told.counts.checks += 1;
        this.#checks.set(body.execution, line);
        return this.checks.add(line);
      }
      case 'execution.observed': {
        const { status, exitCode, durationMs, summary } = body;
        if (this.#checks.has(body.execution) && status === 'ok') this.#told.counts.checksPassed += 1;
        return this.#seen(body.execution, { status, exitCode, durationMs, summary });
      }
      case 'execution.failed':
        this.#set(body.execution, { end: 'failed', endBecause: body.error });
        return this.#seen(body.execution, { status: 'error', durationMs: body.durationMs, summary: body.error.message });
      case 'execution.lost':
        this.#set(body.execution, { end: 'lost', endBecause: body.because });
        return this.#seen(body.execution, { status: 'lost', summary: body.because.message });
      case 'commit.recorded':
        this.#told.counts.committed += 1;
        return this.#set(body.execution, { end: 'committed' });
      default:
    }
  }

  #takeApproval({ kind, body }: AnyBody, { entry: { seq, at } }: Stored): void {
    if (kind === 'approval.requested') {
      const { subject, stage, action, because, terms } = body;
      const line = { seq, at, subject, stage, action, because, terms, outcome: null, resolvedAt: null, votes: [] };
      this.#told.counts.approvals += 1;
      this.#approvals.set(body.request, line);
      this.approvals.add(line);
    }
    if (kind === 'approval.voted') {
      const vote = body.vote.body;
      const [signature] = body.vote.signatures;
      const { decision, assurance, because } = vote;
      if (signature !== undefined)
        this.#approvals.get(vote.request)?.votes.push({ seq, at, key: signature.key, decision, assurance, because, counted: false });
    }
    if (kind !== 'approval.resolved') return;
    const line = this.#approvals.get(body.request);
    if (line === undefined) return;
    Object.assign(line, { outcome: body.outcome, resolvedAt: at });
    const counted = new Set(body.votes.map((vote) => vote.seq));
    line.votes = line.votes.map((vote) => ({ ...vote, counted: counted.has(vote.seq) }));
  }

  #takeRemark({ kind, body }: AnyBody, seq: number): void {
    if (kind === 'effect.undeclared') {
      const action = this.#intents.get(body.execution)?.action ?? '';
      this.#told.counts.undeclared += 1;
      this.undeclared.add({ seq, action, paths: body.paths, networkAttempts: body.network?.attempts ?? null, because: body.because });
    }
    if (kind === 'fact.noted' && body.violation) this.violations.add({ seq, why: body.why, message: body.message });
  }

  #link(id: string, to: string): void {
    const line = this.#intents.get(to);
    if (line !== undefined) this.#intents.set(id, line);
  }

  #set(id: string, said: Partial<Line<'intents'>>): void {
    Object.assign(this.#intents.get(id) ?? {}, said);
  }

  #seen(id: string, said: Partial<Line<'checks'>>): void {
    Object.assign(this.#checks.get(id) ?? {}, said);
  }

  async #quoted(ref: BlobRef): Promise<ReportedRun['task']> {
    const bytes = await this.#view.blob(ref.digest);
    const text = bytes.ok ? utf8Decode(bytes.value) : null;
    if (text?.ok !== true) return { text: null, digest: ref.digest, cut: false };
    const characters = [...text.value];
    const cut = characters.length > MAX_TEXT_CHARACTERS;
    return { text: cut ? characters.slice(0, MAX_TEXT_CHARACTERS).join('') : text.value, digest: ref.digest, cut };
  }

  async #json(ref: BlobRef): Promise<Json | null> {
    const bytes = await this.#view.blob(ref.digest);
    const json = bytes.ok ? parseJson(bytes.value, { maxBytes: bytes.value.length, numbers: 'doubles' }) : null;
    return json?.ok === true ? json.value : null;
  }
}

const UNDECIDED = { effect: null, verdict: null, by: null, rule: null, because: null, end: null, endBecause: null };

/** The same for a value in the payload and for one in a blob, which holds its canonical bytes. */
function heldDigest(held: InlineOrBlob): Digest {
  return 'inline' in held ? digestJson(held.inline) : held.blob.digest;
}

/** A run of which nothing was read yet. */
function emptyRun(run: TrajectoryId): Told {
  const none = { intents: 0, denied: 0, committed: 0, checks: 0, checksPassed: 0, approvals: 0, undeclared: 0 };
  return {
    run,
    outcome: 'open',
    because: null,
    openedAt: null,
    lastAt: null,
    entries: 0,
    task: null,
    opener: null,
    writs: [],
    blueprint: null,
    policySet: null,
    model: null,
    kernel: null,
    approvalsMode: null,
    base: null,
    result: null,
    worldRoot: null,
    stages: [],
    intents: [],
    approvals: [],
    checks: [],
    undeclared: [],
    violations: [],
    counts: { ...none, commits: 0, asks: 0, inputTokens: 0, outputTokens: 0 },
    spend: null,
    unreadable: [],
    omitted: { intents: 0, approvals: 0, checks: 0, stages: 0, undeclared: 0, files: 0, other: 0 },
  };
}
