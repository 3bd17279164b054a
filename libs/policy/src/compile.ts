/**
 * Turns a policy set into functions once, and evaluates it with a full trace. Must never let an inner layer grant, nor an unknown permit; the
 * same set and fields give the same outcome, always. PROTOCOL §7.
 */

import { digestJson, type Json, type KeyId } from '@openexec/canon';
import type { ApprovalTerms, BundleOrigin, PolicyLayerName, PolicyRule, PolicySet, RuleTrace } from '@openexec/protocol';
import { type CompiledCondition, compileCondition, type Frame, Leaves, unknownFields } from './condition.ts';
import { FALSE, TRUE } from './operators.ts';
import { joinTerms, joinVoices, noCommonRole, type PolicyVerdict, stricter, type Voice } from './strictness.ts';

/** A set whose bundles may be signed: those that the law has adopted are. */
export interface LayeredPolicy extends Omit<PolicySet, 'layers'> {
  readonly layers: readonly (PolicySet['layers'][number] & { readonly signers?: readonly KeyId[] })[];
}
/** What one layer says; `abstain` for an inner layer that adds nothing, `noMatch` for an outermost layer that decides nothing. */
export interface LayerVerdict {
  readonly layer: string;
  readonly verdict: PolicyVerdict | 'abstain' | 'noMatch';
  /** Which bundle spoke, from where, by whose word. */
  readonly bundle: BundleOrigin;
}

/** The verdict with all that led to it. */
export interface PolicyOutcome extends Voice {
  /** Outermost first. */
  readonly layers: readonly LayerVerdict[];
  /** Every rule that matched and every rule that was unknown; an unknown permit stands here but did not apply. */
  readonly rules: readonly RuleTrace[];
  /** What each layer that asks wants of its approvers, whatever the verdict of the whole. */
  readonly asked: readonly ApprovalTerms[];
}

/** A rule with all that does not depend on the action worked out: an evaluation allocates nothing for a rule that matches. */
interface CompiledRule {
  readonly decide: PolicyVerdict;
  readonly when: CompiledCondition;
  /** What it says where it applies. */
  readonly voice: Voice;
  /** What the trace says of it where it is true. */
  readonly matched: RuleTrace;
}
interface CompiledLayer {
  readonly layer: PolicyLayerName;
  readonly origin: BundleOrigin;
  readonly rules: readonly CompiledRule[];
  /** What it says as the outermost layer where no rule decides. */
  readonly unmatched: Voice;
}
/** From the outside in. Only the first three may permit. */
const LAYER_ORDER: readonly PolicyLayerName[] = ['organisation', 'operator', 'shipped', 'project', 'run'];
const DECIDING_LAYERS: readonly PolicyLayerName[] = ['organisation', 'operator', 'shipped'];

const compiled = new WeakMap<LayeredPolicy, (fields: Json) => PolicyOutcome>();

/** The set as one function, made once per set object. Freezes the set, so that what was compiled stays what is evaluated. */
export function compileSet(set: LayeredPolicy): (fields: Json) => PolicyOutcome {
  const known = compiled.get(set);
  if (known !== undefined) return known;
  freezeDeep(set);
  const leaves = new Leaves();
  const layers = inOrder(set).map((each) => compileLayer(each, leaves));
  const evaluate = (fields: Json) => evaluateLayers(layers, leaves.frame(fields));
  compiled.set(set, evaluate);
  return evaluate;
}

/** The layers from the outside in. */
export function inOrder({ layers }: LayeredPolicy): LayeredPolicy['layers'] {
  return layers.toSorted((a, b) => LAYER_ORDER.indexOf(a.layer) - LAYER_ORDER.indexOf(b.layer));
}

/** Whether permits of this layer count, where it is the outermost. */
export function mayPermit(layer: PolicyLayerName): boolean {
  return DECIDING_LAYERS.includes(layer);
}

/** What the set says about these fields (PROTOCOL §7). */
export function evaluateSet(set: LayeredPolicy, fields: Json): PolicyOutcome {
  return compileSet(set)(fields);
}

/** The strictest of two outcomes, with both traces: how a run's own set and what the law has adopted since are joined (PROTOCOL §6). */
export function strictest(a: PolicyOutcome, b: PolicyOutcome): PolicyOutcome {
  return { ...joinVoices([a, b]), layers: [...a.layers, ...b.layers], rules: [...a.rules, ...b.rules], asked: [...a.asked, ...b.asked] };
}

function compileLayer({ layer, bundle, source, signers = [] }: LayeredPolicy['layers'][number], leaves: Leaves): CompiledLayer {
  const { name, version } = bundle;
  const because = `no rule of ${layer}/${name}, the outermost layer, permits it; what is not permitted is denied`;
  return {
    layer,
    origin: { name, version, digest: digestJson(bundle), source, signers: [...signers] },
    rules: bundle.rules.map((rule) => compileRule(layer, rule, leaves)),
    unmatched: { verdict: 'deny', rule: null, because, terms: null },
  };
}

function compileRule(layer: PolicyLayerName, source: PolicyRule, leaves: Leaves): CompiledRule {
  const { id, because } = source;
  const decide = typeof source.decide === 'string' ? source.decide : 'approve';
  const terms = typeof source.decide === 'string' ? null : source.decide.approve;
  return {
    decide,
    when: compileCondition(source.when, leaves),
    voice: { verdict: decide, rule: { layer, rule: id }, because, terms },
    matched: { layer, rule: id, truth: 'true', decide, unknown: [] },
  };
}

function evaluateLayers(layers: readonly CompiledLayer[], frame: Frame): PolicyOutcome {
  const verdicts: LayerVerdict[] = [];
  const rules: RuleTrace[] = [];
  const voices: Voice[] = [];
  for (const [index, layer] of layers.entries()) {
    const voice = voiceOf(layer, frame, rules);
    const granting = voice?.verdict === 'permit';
    let verdict: LayerVerdict['verdict'] = voice?.verdict ?? 'abstain';
    if (index === 0 && (voice === null || (granting && !mayPermit(layer.layer)))) {
      verdict = 'noMatch';
      voices.push(layer.unmatched);
    } else if (voice !== null) {
      if (index > 0 && granting) verdict = 'abstain';
      else voices.push(voice);
    }
    verdicts.push({ layer: layer.layer, verdict, bundle: layer.origin });
  }
  const asked = voices.flatMap(({ terms }) => (terms === null ? [] : [terms]));
  return { ...joinVoices(voices), layers: verdicts, rules, asked };
}

/**
 * What a layer says: the strictest of its applying rules, the first of equals, with what all that ask want together; null when none applies. Notes
 * every match and every unknown in the trace.
 */
function voiceOf(layer: CompiledLayer, frame: Frame, trace: RuleTrace[]): Voice | null {
  let strictest: Voice | null = null;
  const asking: ApprovalTerms[] = [];
  for (const { when, decide, voice, matched } of layer.rules) {
    const truth = when.truth(frame);
    if (truth === FALSE) continue;
    if (truth === TRUE) trace.push(matched);
    else trace.push({ ...matched, truth: 'unknown', unknown: unknownFields(when, frame) });
    if (truth !== TRUE && decide === 'permit') continue;
    if (voice.terms !== null) asking.push(voice.terms);
    if (strictest === null || stricter(voice.verdict, strictest.verdict)) strictest = voice;
  }
  if (strictest === null || strictest.verdict !== 'approve' || asking.length < 2) return strictest;
  const terms = joinTerms(asking);
  return terms === null ? noCommonRole(strictest) : { ...strictest, terms };
}

function freezeDeep(value: unknown): void {
  // What is no object counts as frozen.
  if (Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const member of Object.values(value as object)) freezeDeep(member);
}
