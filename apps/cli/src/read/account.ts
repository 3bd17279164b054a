/**
 * The account of one run, read once from its entries: what was asked, under which law, what was wished, decided and done, what it cost,
 * what came of it. Must never judge anew or fill a gap: what is gone is null (CLI.md "show").
 */
import type { Json, TrajectoryId } from '@openexec/canon';
import type { LedgerStore } from '@openexec/ledger';
import { type Amount, type Body, checkedBlueprint, policySet, type Reason, type RunOpened, skill as skillSchema } from '@openexec/protocol';
import { childOf } from '@openexec/runtime';
import { blobJson, blobText, heldJson, type KnownEvent, readEvent } from './events.ts';
import { wishText } from './wish.ts';

export interface IntentAccount {
  readonly seq: number;
  readonly intent: string;
  readonly stage: string | null;
  readonly author: string;
  readonly wish: string;
  readonly claims: { readonly rationale: string | null; readonly claimedRisk: string | null };
  verdict: 'permit' | 'deny' | 'approve' | null;
  /** Who decided: the compiler, a rule or a gate; a rule as `layer/rule`. */
  by: string | null;
  because: Reason | null;
  /** What became of it. */
  end: 'committed' | 'delegated' | 'rejected' | 'failed' | 'lost' | null;
  endBecause: Reason | null;
  summary: string | null;
}
export interface StageAccount {
  readonly stage: string;
  readonly visit: number;
  outcome: 'succeeded' | 'failed' | 'skipped' | 'rewound' | null;
  because: Reason | null;
}
/** A child run as its parent's own entries tell of it; `outcome` and `spend` are null until it ended. */
export interface ChildAccount {
  readonly seq: number;
  readonly key: string;
  readonly blueprint: string;
  readonly run: TrajectoryId;
  readonly budget: Amount;
  outcome: string | null;
  because: Reason | null;
  spend: Amount | null;
}
export interface RunAccount {
  readonly v: 1;
  readonly run: TrajectoryId;
  status: string;
  because: Reason | null;
  openedAt: string | null;
  lastAt: string | null;
  entries: number;
  /** Position in the ledger of the last entry read. */
  cursor: string | null;
  task: string | null;
  law: LawAccount | null;
  readonly stages: StageAccount[];
  readonly intents: IntentAccount[];
  /** The run that delegated this one; null for any other run. */
  parent: TrajectoryId | null;
  readonly children: ChildAccount[];
  commits: number;
  asks: number;
  readonly notes: { readonly seq: number; readonly why: string; readonly message: string; readonly violation: boolean }[];
  spend: Amount | null;
  result: { readonly ref: string; readonly commit: string; readonly tree: string } | null;
  worldRoot: string | null;
}
export interface LawAccount {
  readonly blueprint: string | null;
  readonly policies: readonly { readonly layer: string; readonly name: string; readonly source: string }[] | null;
  readonly policySet: string;
  readonly writ: {
    readonly issuer: string;
    readonly actions: readonly string[];
    readonly ceiling: readonly string[];
    readonly readPaths: readonly string[];
    readonly writePaths: readonly string[];
    readonly hosts: readonly string[];
    readonly budget: Amount;
    readonly wallMs: number;
    readonly notAfter: string;
  } | null;
  readonly model: string | null;
  readonly base: { readonly commit: string; readonly tree: string };
  readonly kernel: { readonly version: string; readonly flags: readonly number[] };
  readonly approvals: string;
  /** What the writ is narrowed by; a template that was erased has neither name nor version. */
  readonly skills: readonly {
    readonly name: string | null;
    readonly version: number | null;
    readonly id: string;
    readonly params: Readonly<Record<string, string>>;
  }[];
}

/** Reads the whole run; one that has no entry gives an account without one. */
export async function accountOf(store: LedgerStore, run: TrajectoryId): Promise<RunAccount> {
  const reader = new AccountReader(store, run);
  for await (const stored of store.read(run)) {
    const { account } = reader;
    account.entries += 1;
    account.lastAt = stored.entry.at;
    account.cursor = stored.index.toString();
    if (stored.entry.seq === 0) account.openedAt = stored.entry.at;
    const { event } = readEvent(stored);
    if (event !== null) await reader.take(event, stored.entry.seq);
  }
  return reader.account;
}

class AccountReader {
  readonly account: RunAccount;
  readonly #store: LedgerStore;
  /** Intents by their own id and by the ids of their proposals and executions. */
  readonly #intents = new Map<string, IntentAccount>();
  /** By the ids of their delegations. */
  readonly #children = new Map<string, ChildAccount>();

  constructor(store: LedgerStore, run: TrajectoryId) {
    this.#store = store;
    this.account = {
      v: 1,
      run,
      status: 'open',
      because: null,
      openedAt: null,
      lastAt: null,
      entries: 0,
      cursor: null,
      task: null,
      law: null,
      stages: [],
      intents: [],
      parent: null,
      children: [],
      commits: 0,
      asks: 0,
      notes: [],
      spend: null,
      result: null,
      worldRoot: null,
    };
  }

  async take(event: KnownEvent, seq: number): Promise<void> {
    await this.#takeRun(event, seq);
    const { law } = this.account;
    if (event.kind === 'skill.bound' && law !== null)
      this.account.law = { ...law, skills: [...law.skills, ...(await this.#skillsOf({ skills: [event.body] }))] };
    this.#takeStage(event);
    await this.#takeIntent(event, seq);
    this.#takeEnd(event);
    this.#takeChild(event, seq);
  }

  async #takeRun({ kind, body }: KnownEvent, seq: number): Promise<void> {
    const { account } = this;
    switch (kind) {
      case 'run.opened':
        account.task = await blobText(this.#store, body.task);
        account.law = await this.#lawOf(body);
        account.parent = body.parent?.trajectory ?? null;
        return;
      case 'run.resumed':
        account.status = 'open';
        return;
      case 'run.parked':
        account.status = 'parked';
        account.because = body.because;
        return;
      case 'approval.resolved':
        account.status = 'open';
        return;
      case 'run.closed':
        account.status = body.outcome;
        account.because = body.because;
        account.spend = body.spend;
        account.result = body.result;
        account.worldRoot = body.worldRoot;
        return;
      case 'model.asked':
        account.asks += 1;
        return;
      case 'fact.noted':
        account.notes.push({ seq, why: body.why, message: body.message, violation: body.violation });
        return;
      default:
    }
  }

  async #lawOf(opened: RunOpened): Promise<LawAccount> {
    const blueprint = checkedBlueprint.safeParse(await blobJson(this.#store, opened.blueprint));
    const policies = policySet.safeParse(await blobJson(this.#store, opened.policySet));
    const writ = opened.writs.at(-1)?.body;
    return {
      blueprint: blueprint.success ? blueprint.data.name : null,
      policies: policies.success ? policies.data.layers.map(({ layer, bundle, source }) => ({ layer, name: bundle.name, source })) : null,
      policySet: opened.policySet.digest,
      writ:
        writ === undefined
          ? null
          : {
              issuer: writ.issuer,
              actions: writ.actions,
              ceiling: writ.ceiling,
              readPaths: writ.readPaths,
              writePaths: writ.writePaths,
              hosts: writ.hosts,
              budget: writ.budget,
              wallMs: writ.wallMs,
              notAfter: writ.notAfter,
            },
      model: opened.model === null ? null : `${opened.model.provider}:${opened.model.model}`,
      base: { commit: opened.base.commit, tree: opened.base.tree },
      kernel: opened.kernel,
      approvals: opened.approvals,
      skills: await this.#skillsOf(opened),
    };
  }

  async #skillsOf({ skills = [] }: Pick<RunOpened, 'skills'>): Promise<LawAccount['skills']> {
    const read = [];
    for (const { template, params } of skills) {
      const skill = skillSchema.safeParse(await blobJson(this.#store, template));
      read.push({
        name: skill.success ? skill.data.name : null,
        version: skill.success ? skill.data.version : null,
        id: template.digest,
        params,
      });
    }
    return read;
  }

  #takeStage({ kind, body }: KnownEvent): void {
    if (kind === 'stage.entered') this.account.stages.push({ stage: body.stage, visit: body.visit, outcome: null, because: null });
    const last = this.account.stages.at(-1);
    // Only a rewind compensates: the visit that was going on then is never left.
    if (kind === 'commit.compensated' && last?.outcome === null) {
      last.outcome = 'rewound';
      last.because = { code: 'run.rewound', message: 'the run was rewound' };
    }
    if (kind === 'stage.left' && last !== undefined) {
      last.outcome = body.outcome;
      last.because = body.because;
    }
  }

  async #takeIntent({ kind, body }: KnownEvent, seq: number): Promise<void> {
    switch (kind) {
      case 'intent.declared':
        return this.#declare(body, seq, await heldJson(this.#store, body.arguments));
      case 'policy.decided': {
        const intent = body.intent === null ? undefined : this.#intents.get(body.intent);
        if (intent === undefined) return;
        intent.verdict = body.verdict;
        intent.by = body.rule === null ? body.by : `${body.rule.layer}/${body.rule.rule}`;
        intent.because = body.because;
        return;
      }
      case 'proposal.staged':
      case 'proposal.suspended':
        this.#alias(body.intent, body.proposal);
        return;
      case 'execution.started':
        this.#alias(body.proposal, body.execution);
        return;
      default:
    }
  }

  #takeChild({ kind, body }: KnownEvent, seq: number): void {
    if (kind === 'delegation.opened') {
      const { key, blueprint, writ, reservation: budget } = body;
      const child = { seq, key, blueprint, run: childOf(writ), budget, outcome: null, because: null, spend: null };
      this.#children.set(body.delegation, child);
      this.account.children.push(child);
      this.#alias(body.proposal, body.delegation);
    }
    if (kind !== 'delegation.closed') return;
    const child = this.#children.get(body.delegation);
    if (child !== undefined) Object.assign(child, { outcome: body.outcome, because: body.because, spend: body.spend });
    const intent = this.#intents.get(body.delegation);
    if (intent === undefined) return;
    intent.end = 'delegated';
    intent.summary = `the child run ended ${body.outcome}`;
  }

  #declare(body: Body<'intent.declared'>, seq: number, args: Json | null): void {
    const intent: IntentAccount = {
      seq,
      intent: body.intent,
      stage: body.stage,
      author: body.author,
      wish: wishText(body.action, args),
      claims: body.claims,
      verdict: null,
      by: null,
      because: null,
      end: null,
      endBecause: null,
      summary: null,
    };
    this.#intents.set(body.intent, intent);
    this.account.intents.push(intent);
  }

  #alias(of: string, id: string): void {
    const intent = this.#intents.get(of);
    if (intent !== undefined) this.#intents.set(id, intent);
  }

  #takeEnd({ kind, body }: KnownEvent): void {
    switch (kind) {
      case 'execution.observed': {
        const intent = this.#intents.get(body.execution);
        if (intent !== undefined) intent.summary = body.summary;
        return;
      }
      case 'execution.failed':
        return this.#end(body.execution, 'failed', body.error);
      case 'effect.undeclared':
        return this.#end(body.execution, 'failed', body.because);
      case 'execution.lost':
        return this.#end(body.execution, 'lost', body.because);
      case 'proposal.rejected':
        return this.#end(body.intent, 'rejected', body.because);
      case 'commit.recorded':
        this.account.commits += 1;
        return this.#end(body.execution, 'committed', null);
      default:
    }
  }

  #end(id: string, end: NonNullable<IntentAccount['end']>, because: Reason | null): void {
    const intent = this.#intents.get(id);
    if (intent === undefined) return;
    intent.end = end;
    intent.endBecause = because;
  }
}
