/**
 * The outline of a run: what it was asked, under which law, what was wished, decided and done, which files came of it, what it cost. Read from its
 * entries alone; leaves out what no two runs share (ids, times, durations, drivers), so that two outlines can be compared. Must never judge.
 */
import { canonicalText, type Digest, digestJson, type Json, parseJson, type TrajectoryId, utf8Decode } from '@openexec/canon';
import type { Stored } from '@openexec/ledger';
import { type Amount, type BlobRef, type Body, delta, type InlineOrBlob, type Kind, type RunOpened } from '@openexec/protocol';
import { bodyOf } from './event.ts';
import type { AuditSource } from './report.ts';

/** What a run was opened with; each value is text that two runs share exactly when they agree. */
export interface OutlineLaw {
  readonly task: string;
  readonly blueprint: string;
  readonly policy: string;
  readonly catalogue: string;
  readonly toolsets: string;
  readonly profile: string;
  readonly model: string;
  readonly base: string;
  readonly kernel: string;
  readonly approvals: string;
}
/** One visit of a stage. */
export interface OutlineStage {
  readonly seq: number;
  readonly stage: string;
  readonly visit: number;
  outcome: string | null;
}
/** One intent with its verdict and its end. */
export interface OutlineIntent {
  readonly seq: number;
  readonly stage: string | null;
  readonly visit: number;
  readonly author: string;
  readonly action: string;
  /** Digest of the arguments' canonical bytes. */
  readonly arguments: Digest;
  /** `permit`, or `deny by layer/rule: code`; null where nobody decided yet. */
  verdict: string | null;
  /** `committed`, `rejected at …`, `failed`, `lost`, or null. */
  end: string | null;
  /** What the effect came to: status and exit code; null where there was none. */
  effect: string | null;
}
/** One step of the run in words that do not depend on ids or times; the first that differs is where two runs part. */
export interface OutlineStep {
  readonly seq: number;
  readonly kind: Kind;
  readonly text: string;
}
/** All of it. */
export interface RunOutline {
  readonly run: TrajectoryId;
  law: OutlineLaw | null;
  readonly stages: OutlineStage[];
  readonly intents: OutlineIntent[];
  readonly steps: OutlineStep[];
  /** Path to `DIGEST MODE` of the committed content, or `deleted`. Only files that a commit touched. */
  readonly files: Map<string, string>;
  outcome: string;
  because: string;
  /** As settled when the run was closed; null while it is open. */
  spend: Amount | null;
  readonly counts: { asks: number; inputTokens: number; outputTokens: number; prompts: number };
  /** Entries whose payload is gone or is not of its kind: of those the outline says nothing. */
  readonly unreadable: number[];
}

/** Reads the outline of one run; null when the source has no such run. */
export async function outlineRun(source: AuditSource, run: TrajectoryId): Promise<RunOutline | null> {
  const reader = new OutlineReader(source, run);
  let found = false;
  for await (const stored of source.all(0n)) {
    if (stored.entry.trajectory !== run) continue;
    found = true;
    await reader.take(stored);
  }
  return found ? reader.outline : null;
}

type AnyBody = { [K in Kind]: { readonly kind: K; readonly body: Body<K> } }[Kind];

class OutlineReader {
  readonly outline: RunOutline;
  readonly #source: AuditSource;
  /** By the ids of intent, decision, proposal and execution. */
  readonly #intents = new Map<string, OutlineIntent>();

  constructor(source: AuditSource, run: TrajectoryId) {
    this.#source = source;
    this.outline = {
      run,
      law: null,
      stages: [],
      intents: [],
      steps: [],
      files: new Map(),
      outcome: 'open',
      because: '',
      spend: null,
      counts: { asks: 0, inputTokens: 0, outputTokens: 0, prompts: 0 },
      unreadable: [],
    };
  }

  async take(stored: Stored): Promise<void> {
    const { seq, kind } = stored.entry;
    const body = bodyOf(stored);
    if (!body.ok) {
      this.outline.unreadable.push(seq);
      return;
    }
    // The body was just held against the schema of this kind.
    const event = { kind, body: body.value } as unknown as AnyBody;
    await this.#takeRun(event);
    this.#takeStage(event, seq);
    this.#takeIntent(event, seq);
    this.#takeEnd(event);
    const text = this.#stepText(event);
    if (text !== null) this.outline.steps.push({ seq, kind, text });
  }

  async #takeRun({ kind, body }: AnyBody): Promise<void> {
    const { outline } = this;
    switch (kind) {
      case 'run.opened':
        outline.law = await this.#lawOf(body);
        return;
      case 'model.answered':
        outline.counts.asks += 1;
        outline.counts.inputTokens += body.usage?.inputTokens ?? 0;
        outline.counts.outputTokens += body.usage?.outputTokens ?? 0;
        return;
      case 'approval.requested':
        outline.counts.prompts += 1;
        return;
      case 'commit.recorded':
      case 'commit.compensated':
        await this.#takeFiles(body.delta);
        return;
      case 'run.closed':
        outline.outcome = body.outcome;
        outline.because = `${body.because.code}`;
        outline.spend = body.spend;
        return;
      default:
    }
  }

  async #lawOf(opened: RunOpened): Promise<OutlineLaw> {
    const { model, base, kernel } = opened;
    const named = async (ref: BlobRef): Promise<string> => {
      const found = await this.#json(ref);
      const name = typeof found === 'object' && found !== null && 'name' in found && typeof found.name === 'string' ? `${found.name} ` : '';
      return `${name}${ref.digest}`;
    };
    return {
      task: (await this.#text(opened.task)) ?? opened.task.digest,
      blueprint: await named(opened.blueprint),
      policy: opened.policySet.digest,
      catalogue: opened.catalogue.digest,
      toolsets: opened.toolsets.digest,
      profile: opened.profile.digest,
      model: model === null ? 'none' : `${model.provider}:${model.model} at ${model.host ?? 'no host'}`,
      base: base.commit,
      kernel: `${kernel.version} flags ${kernel.flags.join(',')}`,
      approvals: opened.approvals,
    };
  }

  async #takeFiles(held: Body<'commit.recorded'>['delta']): Promise<void> {
    const steps = delta.safeParse('inline' in held ? held.inline : await this.#json(held.blob));
    if (!steps.success) return;
    for (const step of steps.data) {
      if (step.kind !== 'file') continue;
      this.outline.files.set(step.id, step.op === 'retract' ? 'deleted' : contentText(step.value));
    }
  }

  #takeStage({ kind, body }: AnyBody, seq: number): void {
    if (kind === 'stage.entered') this.outline.stages.push({ seq, stage: body.stage, visit: body.visit, outcome: null });
    if (kind !== 'stage.left') return;
    const left = this.outline.stages.findLast(({ stage, visit }) => stage === body.stage && visit === body.visit);
    if (left !== undefined) left.outcome = `${body.outcome}, then ${body.next}`;
  }

  #takeIntent({ kind, body }: AnyBody, seq: number): void {
    if (kind === 'intent.declared') {
      const { stage, visit, author, action } = body;
      const intent = { seq, stage, visit, author, action, arguments: digestOf(body.arguments), verdict: null, end: null, effect: null };
      this.#intents.set(body.intent, intent);
      this.outline.intents.push(intent);
      return;
    }
    if (kind === 'policy.decided' && body.intent !== null) {
      const intent = this.#intents.get(body.intent);
      if (intent !== undefined) intent.verdict = verdictText(body);
    }
    if (kind === 'proposal.staged' || kind === 'proposal.suspended' || kind === 'proposal.rejected') {
      const intent = this.#intents.get(body.intent);
      if (intent === undefined) return;
      this.#intents.set(body.proposal, intent);
      if (kind === 'proposal.rejected') intent.end = `rejected at ${body.at}: ${body.because.code}`;
    }
  }

  #takeEnd({ kind, body }: AnyBody): void {
    switch (kind) {
      case 'execution.started':
        this.#link(body.execution, body.proposal);
        return;
      case 'execution.observed':
        this.#set(body.execution, { effect: `${body.status}${body.exitCode === null ? '' : `, exit code ${body.exitCode}`}` });
        return;
      case 'execution.failed':
        this.#set(body.execution, { end: `failed: ${body.error.code}` });
        return;
      case 'execution.lost':
        this.#set(body.execution, { end: 'lost' });
        return;
      case 'commit.recorded':
        this.#set(body.execution, { end: 'committed' });
        return;
      default:
    }
  }

  #link(id: string, to: string): void {
    const intent = this.#intents.get(to);
    if (intent !== undefined) this.#intents.set(id, intent);
  }

  #set(id: string, ended: { readonly end?: string; readonly effect?: string }): void {
    const intent = this.#intents.get(id);
    if (intent !== undefined) Object.assign(intent, ended);
  }

  /** Null for what says nothing of its own, or nothing that two runs could share. */
  #stepText({ kind, body }: AnyBody): string | null {
    switch (kind) {
      case 'stage.entered':
        return `stage ${body.stage}, visit ${body.visit}, is entered`;
      case 'stage.left':
        return `stage ${body.stage}, visit ${body.visit}, is left: ${body.outcome}, then ${body.next}`;
      case 'model.asked':
        return `${body.provider}:${body.model} is asked, turn ${body.turn}, attempt ${body.attempt}`;
      case 'model.failed':
        return `the model fails: ${body.error.code}`;
      case 'intent.declared':
        return `${body.author} wants ${body.action} with ${digestOf(body.arguments)}`;
      case 'policy.decided':
        return `verdict on ${body.intent === null ? body.subject : (this.#intents.get(body.intent)?.action ?? body.subject)}: ${verdictText(body)}`;
      case 'approval.requested':
        return `an approval of ${body.action} is asked for`;
      case 'approval.resolved':
        return `the approval is ${body.outcome}`;
      case 'execution.observed':
        return `${this.#intents.get(body.execution)?.action ?? 'an action'} ends ${body.status}${body.exitCode === null ? '' : ` with ${body.exitCode}`}`;
      case 'execution.failed':
        return `${this.#intents.get(body.execution)?.action ?? 'an action'} fails: ${body.error.code}`;
      case 'run.closed':
        return `the run is closed: ${body.outcome}, ${body.because.code}`;
      case 'run.cancelRequested':
      case 'run.rewound':
      case 'effect.undeclared':
      case 'execution.lost':
      case 'commit.recorded':
      case 'commit.compensated':
        return kind;
      default:
        return null;
    }
  }

  async #text(ref: BlobRef): Promise<string | null> {
    const bytes = await this.#source.blob(ref.digest);
    const text = bytes.ok ? utf8Decode(bytes.value) : null;
    return text?.ok === true ? text.value : null;
  }

  async #json(ref: BlobRef): Promise<unknown> {
    const bytes = await this.#source.blob(ref.digest);
    const json = bytes.ok ? parseJson(bytes.value, { maxBytes: bytes.value.length, numbers: 'doubles' }) : null;
    return json?.ok === true ? json.value : null;
  }
}

/** The same for a value in the payload and for one in a blob, which holds its canonical bytes. */
function digestOf(held: InlineOrBlob): Digest {
  return 'inline' in held ? digestJson(held.inline) : held.blob.digest;
}

/** `DIGEST MODE` of a file's value (protocol `fileValue`); its canonical text where it is none. */
function contentText(value: Json): string {
  const { blob, mode } =
    typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as { readonly [name: string]: Json }) : {};
  return typeof blob === 'string' && typeof mode === 'string' ? `${blob} ${mode}` : canonicalText(value);
}

function verdictText({ verdict, by, rule, because }: Body<'policy.decided'>): string {
  const who = rule === null ? by : `${rule.layer}/${rule.rule}`;
  return verdict === 'permit' ? `permit by ${who}` : `${verdict} by ${who}: ${because.code}`;
}
