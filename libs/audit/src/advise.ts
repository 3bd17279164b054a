/**
 * The advisor: what people approved again and again, and what the sandbox stopped, as the narrowest rules that would say the same; each draft held
 * against the whole past for what else it would let through. Reads recorded fields that people or the runtime fixed, never a text of a model; adopts
 * nothing (GOALS E19, first 15).
 */
import { canonicalText, type Json, type TrajectoryId } from '@openexec/canon';
import { policiesInForce } from '@openexec/kernel';
import { checkBundle, draftBundle, type FieldValues, inOrder, type Wanted } from '@openexec/policy';
import type { ApprovalTerms, PolicyBundle } from '@openexec/protocol';
import {
  type AnsweredPoint,
  type DecisionPoint,
  decisionsOf,
  LawHistory,
  type TrajectorySource,
  type UndeclaredPoint,
} from './decisions.ts';
import { BlobReader } from './event.ts';
import type { NotDerivable } from './report.ts';
import { simulate } from './simulate.ts';

/** A decision by its place. */
export interface Place {
  readonly run: TrajectoryId;
  readonly seq: number;
}
/** One drafted rule and what stands behind it. */
export interface Advice {
  readonly id: string;
  readonly kind: 'permit' | 'ask';
  readonly action: string;
  readonly fields: FieldValues;
  /** Decisions that people approved, or actions that the sandbox stopped. */
  readonly evidence: readonly Place[];
  /** Keys that approved. */
  readonly keys: readonly string[];
}
/** What was seen and is not drafted, and why. */
export interface NotAdvised {
  readonly action: string;
  readonly code: 'advice.once' | 'advice.denied' | 'advice.modelNamed' | 'advice.otherLayer' | 'advice.policyChanged' | 'advice.stillAsks';
  readonly message: string;
  readonly evidence: readonly Place[];
}
/** A decision that the draft would let through and nobody approved. */
export interface Also extends Place {
  readonly subject: string;
  readonly recorded: string;
}
/** All of it; `bundle` is null where nothing is drafted. */
export interface AdviceReport {
  readonly base: { readonly layer: string; readonly name: string } | null;
  readonly bundle: PolicyBundle | null;
  readonly advice: readonly Advice[];
  readonly notAdvised: readonly NotAdvised[];
  /** What else the drafts would have let through over these runs. */
  readonly also: readonly Also[];
  readonly notDerivable: readonly (NotDerivable & { readonly run: TrajectoryId; readonly missed: number })[];
}

interface Group {
  readonly action: string;
  readonly fields: FieldValues;
  /** Rules of the deciding layer that ask. */
  readonly asking: readonly string[];
  /** Why no draft can be made of it, whatever people said. */
  readonly obstacle: Pick<NotAdvised, 'code' | 'message'> | null;
  readonly approved: Place[];
  readonly denied: Place[];
  readonly keys: Set<string>;
}
type Shaped = Pick<Group, 'action' | 'fields' | 'asking' | 'obstacle'>;

/** Terms of a drafted question: somebody else than the opener. */
const ONE_OTHER: ApprovalTerms = { roles: ['approver'], quorum: 1, ttlMs: 86_400_000, minAssurance: 'file', openerMayApprove: false };
/** Fields that people, the repository or the runtime fix; what a model writes freely (contents, queries, reasons) is not among them. */
const FIELDS = [
  'action.name',
  'action.effect',
  'intent.author',
  'run.blueprint',
  'stage.id',
  'stage.sandbox',
  'paths.read',
  'paths.write',
  'hosts',
];

/** Drafts what people approved at least `least` times, and what the sandbox stopped. */
export async function advise(
  source: TrajectorySource,
  runs: readonly TrajectoryId[],
  options: { readonly least: number; readonly replaces: string },
): Promise<AdviceReport> {
  const seen = new Seen();
  const reader = new BlobReader(source);
  const shared = { reader, laws: await LawHistory.read(source, reader) };
  for (const run of runs) {
    seen.begin(run);
    for await (const point of decisionsOf(source, run, shared)) {
      if (point.what === 'decision') seen.decided(point);
      else if (point.what === 'answered') seen.answered(point);
      else if (point.what === 'undeclared') seen.stopped(point);
      else seen.notDerivable.push({ run, ...point.from, missed: point.missed });
    }
  }
  const { advice, wanted, notAdvised } = seen.draft(options.least);
  const { base } = seen;
  const none = { base: base === null ? null : { layer: base.layer, name: base.bundle.name }, notDerivable: seen.notDerivable };
  if (base === null || wanted.length === 0) return { ...none, bundle: null, advice: [], notAdvised, also: [] };
  const bundle = draftBundle(base.bundle, wanted);
  const sound = checkBundle(bundle);
  if (!sound.ok) throw new Error(`a draft that refuses itself: ${sound.error[0]?.message ?? ''}`);
  const held = await holdAgainst(source, runs, { bundle, replaces: options.replaces, advice });
  return { ...none, bundle, advice, notAdvised: [...notAdvised, ...held.stillAsk], also: held.also };
}

/** What the draft would let through beyond what was approved, and what it would ask about all the same. */
async function holdAgainst(
  source: TrajectorySource,
  runs: readonly TrajectoryId[],
  draft: { readonly bundle: PolicyBundle; readonly replaces: string; readonly advice: readonly Advice[] },
): Promise<{ readonly also: readonly Also[]; readonly stillAsk: readonly NotAdvised[] }> {
  const { bundle, replaces, advice } = draft;
  const approved = new Map(
    advice.flatMap((each) => (each.kind === 'permit' ? each.evidence.map(({ run, seq }) => [`${run}/${seq}`, each] as const) : [])),
  );
  const also: Also[] = [];
  const stillAsk: NotAdvised[] = [];
  const candidate = { layer: 'operator' as const, bundle, source: 'draft', signers: [], replaces };
  await simulate(source, runs, candidate, ({ run, seq, subject, direction, recorded, candidate: said }) => {
    const mine = approved.get(`${run}/${seq}`);
    if (mine === undefined && direction === 'widened') also.push({ run, seq, subject, recorded: recorded.verdict });
    if (mine === undefined || said.verdict === 'permit') return;
    const by = said.rule === null ? said.by : `${said.rule.layer}/${said.rule.rule}`;
    const message = `${by} would still ${said.verdict === 'deny' ? 'deny' : 'ask about'} it`;
    stillAsk.push({ action: mine.action, code: 'advice.stillAsks', message, evidence: [{ run, seq }] });
  });
  return { also, stillAsk };
}

/** What was seen so far; of a run only what its later entries may speak of. */
class Seen {
  readonly #groups = new Map<string, Group>();
  readonly #stopped = new Map<string, { readonly action: string; readonly fields: FieldValues; readonly evidence: Place[] }>();
  readonly notDerivable: (NotDerivable & { readonly run: TrajectoryId; readonly missed: number })[] = [];
  #run: TrajectoryId = '' as TrajectoryId;
  #asked = new Map<number, Group>();
  #let = new Map<number, { readonly action: string; readonly fields: FieldValues }>();
  /** The deciding layer of the latest decision. */
  base: { readonly layer: string; readonly bundle: PolicyBundle } | null = null;

  begin(run: TrajectoryId): void {
    this.#run = run;
    this.#asked = new Map();
    this.#let = new Map();
  }

  decided(point: DecisionPoint): void {
    const { body, again, seq } = point;
    const [outermost] = inOrder(policiesInForce(point.state, point.law)?.own ?? { layers: [], riskThreshold: 'high' });
    if (outermost === undefined || again.decision.fields === null || body.intent === null) return;
    this.base = { layer: outermost.layer, bundle: outermost.bundle };
    const fields = fieldsOf(point);
    if (again.decision.verdict === 'permit') this.#let.set(seq, { action: again.action, fields });
    if (again.decision.verdict !== 'approve') return;
    const shaped = { action: again.action, fields, ...obstacleOf(point, outermost.layer) };
    const key = canonicalText([shaped.action, { ...fields }, [...shaped.asking], shaped.obstacle?.code ?? null]);
    const group = this.#groups.get(key) ?? { ...shaped, approved: [], denied: [], keys: new Set<string>() };
    this.#groups.set(key, group);
    this.#asked.set(seq, group);
  }

  answered({ decision, outcome, keys }: AnsweredPoint): void {
    const group = this.#asked.get(decision);
    if (group === undefined) return;
    const place = { run: this.#run, seq: decision };
    if (outcome === 'approved') {
      group.approved.push(place);
      for (const key of keys) group.keys.add(key);
    }
    if (outcome === 'denied') group.denied.push(place);
  }

  stopped({ decision, seq, attempts }: UndeclaredPoint): void {
    const wish = this.#let.get(decision);
    if (wish === undefined || attempts === 0) return;
    const { action, fields } = wish;
    const kept = ['action.name', 'run.blueprint', 'stage.id'].flatMap((name) =>
      fields[name] === undefined ? [] : [[name, fields[name]] as const],
    );
    const narrow = Object.fromEntries(kept);
    const key = canonicalText(narrow);
    const known = this.#stopped.get(key) ?? { action, fields: narrow, evidence: [] };
    known.evidence.push({ run: this.#run, seq });
    this.#stopped.set(key, known);
  }

  draft(least: number): {
    readonly advice: readonly Advice[];
    readonly wanted: readonly Wanted[];
    readonly notAdvised: readonly NotAdvised[];
  } {
    const advice: Advice[] = [];
    const wanted: Wanted[] = [];
    const notAdvised: NotAdvised[] = [];
    for (const group of this.#groups.values()) {
      const { action, approved, denied, fields, asking, keys } = group;
      if (approved.length === 0) continue;
      const not = this.#notDrafted(group, least);
      if (not !== null) {
        notAdvised.push({ action, evidence: denied.length > 0 ? denied : approved, ...not });
        continue;
      }
      const id = this.#idOf(`permit-approved-${advice.length + 1}`);
      const because = `people approved exactly this ${approved.length} times`;
      advice.push({ id, kind: 'permit', action, fields, evidence: approved, keys: [...keys] });
      wanted.push({ id, permit: fields, except: asking, because });
    }
    for (const { action, fields, evidence } of this.#stopped.values()) {
      const id = this.#idOf(`ask-network-${advice.length + 1}`);
      const because = `the sandbox stopped ${evidence.length === 1 ? 'an attempt' : `${evidence.length} attempts`} of this on the network`;
      advice.push({ id, kind: 'ask', action, fields, evidence, keys: [] });
      wanted.push({ id, ask: fields, hosts: true, terms: ONE_OTHER, because });
    }
    return { advice, wanted, notAdvised };
  }

  #idOf(id: string): string {
    const taken = this.base?.bundle.rules.some((rule) => rule.id === id) === true;
    return taken ? this.#idOf(`${id}-more`) : id;
  }

  #notDrafted({ approved, denied, obstacle, asking }: Group, least: number): Pick<NotAdvised, 'code' | 'message'> | null {
    if (denied.length > 0)
      return { code: 'advice.denied', message: `people approved it ${approved.length} times and denied it ${denied.length} times` };
    if (obstacle !== null) return obstacle;
    if (approved.length < least) return { code: 'advice.once', message: `approved ${approved.length} times; a draft wants ${least}` };
    const gone = asking.find((id) => this.base?.bundle.rules.every((rule) => rule.id !== id) === true);
    return gone === undefined ? null : { code: 'advice.policyChanged', message: `the rule ${gone} that asked is in force no longer` };
  }
}

/** The closed fields of a decision, each with its value; of a landing also what it changes, and the branch where people wrote it. */
function fieldsOf({ again }: DecisionPoint): FieldValues {
  const given = again.decision.fields ?? {};
  const names = again.action === 'commit_changes' ? [...FIELDS, 'change.paths'] : FIELDS;
  const branch = again.author === 'blueprint' ? ['arguments.branch'] : [];
  return Object.fromEntries(
    [...names, ...branch].flatMap((name) => {
      const value = name.split('.').reduce<Json | undefined>(memberOf, given);
      return value === undefined || value === null ? [] : [[name, value] as const];
    }),
  );
}

function memberOf(value: Json | undefined, step: string): Json | undefined {
  if (value === undefined || value === null || typeof value !== 'object' || !Object.hasOwn(value, step)) return undefined;
  return (value as Readonly<Record<string, Json>>)[step]; // Own members only, as was just asked.
}

/** Which rules asked, and whether a rule of the deciding layer could answer for them at all. */
function obstacleOf(point: DecisionPoint, deciding: string): Pick<Shaped, 'asking' | 'obstacle'> {
  const { trace, by } = point.again.decision;
  const asking = trace.rules.filter(({ decide }) => decide === 'approve');
  const own = asking.filter(({ layer }) => layer === deciding).map(({ rule }) => rule);
  const other = asking.find(({ layer }) => layer !== deciding);
  if (by === 'gate' || trace.gates.length > 0)
    return { asking: own, obstacle: { code: 'advice.otherLayer', message: `${trace.gates.join(', ')} asks, which no rule opens` } };
  if (other !== undefined)
    return {
      asking: own,
      obstacle: { code: 'advice.otherLayer', message: `${other.layer}/${other.rule} asks too, which only its own file can change` },
    };
  const named = modelNamed(point);
  const message = 'a path in it stands in no commit that the run began from: only a model has named it';
  return { asking: own, obstacle: named === null ? null : { code: 'advice.modelNamed', message } };
}

/** A path of the wish that the repository did not have: its name is a model's text. */
function modelNamed({ again, state }: DecisionPoint): string | null {
  if (again.author === 'blueprint' && again.action !== 'commit_changes') return null;
  const fields = again.decision.fields ?? {};
  const paths = [['paths', 'read'], ['paths', 'write'], ...(again.action === 'commit_changes' ? [['change', 'paths']] : [])].flatMap(
    (path) => {
      const value = path.reduce<Json | undefined>(memberOf, fields);
      return Array.isArray(value) ? (value as readonly Json[]) : [];
    },
  );
  const base = state.law?.base ?? new Map<string, unknown>();
  const strange = paths.find((path) => typeof path === 'string' && !base.has(path));
  return typeof strange === 'string' ? strange : null;
}
