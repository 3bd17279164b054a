/**
 * `policy explain`: why something was decided, rule by rule and layer by layer, from the recorded trace; or what would be decided about an action in
 * a file, by the evaluation of the kernel. Must never show a rule that the trace does not hold.
 */
import { resolve } from 'node:path';
import { type Json, ok, type Result, type TrajectoryId } from '@openexec/canon';
import { builtinActions, isAutoRun, pathsOf } from '@openexec/catalogue';
import { loadData } from '@openexec/config';
import type { LedgerStore } from '@openexec/ledger';
import { BlobReader, decisionsOf, LawHistory } from '@openexec/audit';
import { policiesInForce } from '@openexec/kernel';
import { explain, POLICY_FIELDS, type Why, why, whyLines } from '@openexec/policy';
import { type DecisionTrace, kindRow, nearest, type PolicyBundle, policyBundle, type PolicyDecided, policySet } from '@openexec/protocol';
import type { CommandContext, CommandResult, OpenLedger } from '../context.ts';
import { EXIT, type Refusal, refuse } from '../exit.ts';
import { safeLine } from '../output.ts';
import { blobJson, type KnownEvent, readEvent } from '../read/events.ts';
import { configRefusal } from '../run/problems.ts';
import { evaluateInForce, layeredInForce, policyInForce } from './inForce.ts';

/** Options of the command. */
export interface ExplainOptions {
  readonly action?: string;
  readonly policy: readonly string[];
  readonly json?: boolean;
}
interface Recorded {
  readonly seq: number;
  readonly law: number | null;
  readonly body: PolicyDecided;
  /** Of the intent's declaration, or null for the question to a model. */
  readonly intentSeq: number | null;
}
type Reasons = (rule: { readonly layer: string; readonly rule: string }) => string | null;

const LAW = 'law' as TrajectoryId; // The one name of its grammar.

/** Explains the decisions of a run: all of them, or the one at (or about the intent at) `seq`. */
export async function explainRun(
  wanted: { readonly run: string; readonly seq: string | undefined },
  options: ExplainOptions,
  context: CommandContext,
  ledger: OpenLedger,
): Promise<CommandResult> {
  const { store } = ledger;
  const run = await context.findRun(store, wanted.run);
  if (!run.ok) return run;
  const seq = wanted.seq === undefined ? null : /^(0|[1-9][0-9]{0,14})$/.test(wanted.seq) ? Number(wanted.seq) : -1;
  if (seq === -1) return refuse('usage.invalid', `"${safeLine(wanted.seq ?? '', 40)}" is no position in a run`);
  const all = await recordedOf(store, run.value);
  const chosen = seq === null ? all : all.filter((each) => each.seq === seq || each.intentSeq === seq);
  if (chosen.length === 0 && seq !== null)
    return refuse(
      'usage.invalid',
      `nothing was decided at ${seq} of ${run.value}; openexec timeline shows where intents and decisions stand`,
    );
  const bundles = await bundlesOf(store, run.value);
  const told = [];
  for (const each of chosen) {
    const why = seq === null ? null : await whyAt(store, run.value, each.seq);
    told.push({ ...each, trace: await traceOf(store, each.body), why });
  }
  if (options.json === true) {
    const decisions = told.map(({ seq: at, law, intentSeq, body, trace, why }) => ({ seq: at, law, intentSeq, ...body, trace, why }));
    context.output.json('policy-explain', { v: 1, run: run.value, decisions });
    return ok(EXIT.ok);
  }
  for (const { seq: at, law, body, trace, why } of told) {
    context.output.result(`${run.value} ${at}  ${context.output.style.bold(safeLine(body.subject))}`);
    if (trace === null) context.output.result('  its trace was erased');
    else for (const line of recordedLines(body, trace, reasonsAt(bundles, law))) context.output.result(`  ${safeLine(line, 1000)}`);
    if (why !== null) for (const line of whyLines(why)) context.output.result(`  ${safeLine(line, 1000)}`);
  }
  if (told.length === 0) context.output.progress('nothing was decided in this run');
  return ok(EXIT.ok);
}

/** Why it was decided so, from the state and the law at that very point; null where that cannot be derived, or policy was not asked. */
async function whyAt(store: LedgerStore, run: TrajectoryId, seq: number): Promise<Why | null> {
  const reader = new BlobReader(store);
  const laws = await LawHistory.read(store, reader);
  for await (const point of decisionsOf(store, run, { reader, laws })) {
    if (point.what !== 'decision' || point.seq !== seq) continue;
    const sets = policiesInForce(point.state, point.law);
    const { fields } = point.again.decision;
    if (sets === null || fields === null) return null;
    return both(why(sets.own, fields), sets.adopted === null ? null : why(sets.adopted, fields));
  }
  return null;
}

/** What the run carries and what the law has adopted since, both of which have to permit. */
function both(own: Why, adopted: Why | null): Why {
  if (adopted === null) return own;
  const toPermit = own.toPermit === null || adopted.toPermit === null ? null : [...own.toPermit, ...adopted.toPermit];
  return { rules: [...own.rules, ...adopted.rules], toPermit };
}

/** The trace, also where it stands in a blob; null when that is gone or no trace. */
async function traceOf(store: LedgerStore, body: PolicyDecided): Promise<DecisionTrace | null> {
  if ('inline' in body.trace) return body.trace.inline;
  const inline = await blobJson(store, body.trace.blob);
  const checked = kindRow('policy.decided').body.safeParse({ ...body, trace: { inline } });
  // Just held against the schema of its kind, in the form that holds the trace itself.
  return checked.success ? (inline as DecisionTrace) : null;
}

function recordedLines(body: PolicyDecided, trace: DecisionTrace, reasons: Reasons): readonly string[] {
  const { verdict, rule, because, by } = body;
  const outcome = { verdict, rule, because: because.message, terms: null, layers: trace.layers, rules: trace.rules, asked: [] };
  const [first = '', ...rest] = explain(outcome, reasons);
  const whose = by === 'policy' ? first : `${verdict} by the ${by} (${because.code}): ${because.message}`;
  const gates = trace.gates.length === 0 ? [] : [`gates: ${trace.gates.join(', ')}`];
  return [whose, `compile reached step ${trace.reached} of 11`, ...rest, ...gates];
}

async function recordedOf(store: LedgerStore, run: TrajectoryId): Promise<readonly Recorded[]> {
  const declared = new Map<string, number>();
  const found: Recorded[] = [];
  for await (const stored of store.read(run)) {
    const { event } = readEvent(stored);
    const { seq, law } = stored.entry;
    if (event?.kind === 'intent.declared') declared.set(event.body.intent, seq);
    if (event?.kind !== 'policy.decided') continue;
    const intentSeq = event.body.intent === null ? null : (declared.get(event.body.intent) ?? null);
    found.push({ seq, law, body: event.body, intentSeq });
  }
  return found;
}

interface PlacedBundle {
  readonly layer: string;
  /** Law position of its adoption; -1 for a layer of the run's own. */
  readonly since: number;
  readonly bundle: PolicyBundle;
}

async function bundlesOf(store: LedgerStore, run: TrajectoryId): Promise<readonly PlacedBundle[]> {
  const placed: PlacedBundle[] = [];
  for await (const stored of store.read(run, 0, 1)) {
    const { event } = readEvent(stored);
    const set = event?.kind === 'run.opened' ? policySet.safeParse(await blobJson(store, event.body.policySet)) : null;
    if (set?.success === true) placed.push(...set.data.layers.map(({ layer, bundle }) => ({ layer, bundle, since: -1 })));
  }
  for await (const stored of store.read(LAW)) {
    const event: KnownEvent | null = readEvent(stored).event;
    if (event?.kind !== 'policy.adopted') continue;
    const bundle = policyBundle.safeParse(await blobJson(store, event.body.body.bundle));
    if (bundle.success) placed.push({ layer: event.body.body.layer, bundle: bundle.data, since: stored.entry.seq });
  }
  return placed;
}

/** The words of a rule as they stood at a law position; null where the bundle is gone. */
function reasonsAt(bundles: readonly PlacedBundle[], law: number | null): Reasons {
  return ({ layer, rule }) => {
    const there = bundles.filter((each) => each.layer === layer && each.since <= (law ?? -1));
    // Of an adopted layer the latest counts; a run may have several bundles of one layer.
    const latest = Math.max(...there.map(({ since }) => since), -1);
    const found = there.filter(({ since }) => since === latest).flatMap(({ bundle }) => bundle.rules);
    return found.find(({ id }) => id === rule)?.because ?? null;
  };
}

/** Explains what policy would say about the action in a file. */
export async function explainFile(
  file: string,
  options: ExplainOptions,
  context: CommandContext,
  ledger: OpenLedger,
): Promise<CommandResult> {
  const data = loadData(resolve(context.cwd, file));
  if (!data.ok) return configRefusal(data.error, context.cwd);
  const fields = fieldsOf(data.value);
  if (!fields.ok) return fields;
  const policy = await policyInForce(context, ledger, options.policy);
  if (!policy.ok) return policy;
  const outcome = evaluateInForce(policy.value, fields.value);
  const whole = why(layeredInForce(policy.value), fields.value);
  if (options.json === true) {
    context.output.json('policy-explain-action', { v: 1, fields: fields.value, ...outcome, why: whole });
    return ok(EXIT.ok);
  }
  const reasons: Reasons = ({ layer, rule }) =>
    policy.value.layers
      .filter((each) => each.layer === layer)
      .flatMap(({ bundle }) => bundle.rules)
      .find(({ id }) => id === rule)?.because ?? null;
  for (const line of [...explain(outcome, reasons), ...whyLines(whole)]) context.output.result(safeLine(line, 1000));
  return ok(EXIT.ok);
}

/** The fields of policy from a document: as examples of rules have them, or `{action: NAME, arguments: {…}}` of the catalogue. */
function fieldsOf(data: Json): Result<Json, Refusal> {
  if (typeof data !== 'object' || data === null || Array.isArray(data))
    return refuse(
      'usage.invalid',
      'the file holds no object; write the fields of an action, such as {"action": "apply_patch", "arguments": {…}}',
    );
  const given = data as { readonly [name: string]: Json };
  const roots = Object.keys(POLICY_FIELDS);
  const strange = Object.keys(given).find((name) => !roots.includes(name));
  if (strange !== undefined) {
    const close = nearest(strange.slice(0, 64), roots);
    return refuse(
      'usage.invalid',
      `policy knows no field "${safeLine(strange, 64)}"${close === null ? '' : ` (did you mean ${close}?)`}; it knows ${roots.join(', ')}`,
    );
  }
  const { action } = given;
  if (typeof action !== 'string') return ok(given);
  const contract = builtinActions.find(({ name }) => name === action);
  if (contract === undefined) return refuse('usage.invalid', `the catalogue has no action "${safeLine(action, 64)}"`);
  const { name, effect, risk, idempotence, compensable } = contract;
  const touched = pathsOf(contract, given['arguments'] ?? {});
  if (!touched.ok) return refuse('usage.invalid', `the arguments of ${name}: ${touched.error.message}`);
  const { read, write } = touched.value;
  return ok({
    hosts: [],
    ...given,
    paths: given['paths'] ?? { read: [...read], write: [...write], autoRun: write.some(isAutoRun) },
    action: { name, effect, risk, idempotence, compensable },
  });
}
