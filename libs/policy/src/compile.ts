/**
 * Turns a policy set into functions once, and evaluates it with a full trace. Must never let an inner layer grant, nor an unknown permit; the
 * same set and fields give the same outcome, always. PROTOCOL §7.
 */

import type { Json } from '@openexec/canon';
import type { ApprovalTerms, PolicyLayerName, PolicyRule, PolicySet, RuleTrace } from '@openexec/protocol';
import { type CompiledCondition, compileCondition, type Frame, Leaves, unknownFields } from './condition.ts';
import { FALSE, TRUE, UNKNOWN } from './operators.ts';
import { joinVoices, type PolicyVerdict, type Voice } from './strictness.ts';

/** What one layer says; `abstain` for an inner layer that adds nothing, `noMatch` for an outermost layer that decides nothing. */
export interface LayerVerdict {
  readonly layer: string;
  readonly verdict: PolicyVerdict | 'abstain' | 'noMatch';
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

interface CompiledRule {
  readonly source: PolicyRule;
  readonly decide: PolicyVerdict;
  readonly terms: ApprovalTerms | null;
  readonly when: CompiledCondition;
}
interface CompiledLayer {
  readonly layer: PolicyLayerName;
  readonly name: string;
  readonly rules: readonly CompiledRule[];
}
/** From the outside in. Only the first three may permit. */
const LAYER_ORDER: readonly PolicyLayerName[] = ['organisation', 'operator', 'shipped', 'project', 'run'];
const DECIDING_LAYERS: readonly PolicyLayerName[] = ['organisation', 'operator', 'shipped'];

const compiled = new WeakMap<PolicySet, (fields: Json) => PolicyOutcome>();

/** The set as one function, made once per set object. Freezes the set, so that what was compiled stays what is evaluated. */
export function compileSet(set: PolicySet): (fields: Json) => PolicyOutcome {
  const known = compiled.get(set);
  if (known !== undefined) return known;
  freezeDeep(set);
  const leaves = new Leaves();
  const layers = set.layers
    .map(({ layer, bundle }) => ({ layer, name: `${layer}/${bundle.name}`, rules: bundle.rules.map((rule) => compileRule(rule, leaves)) }))
    .sort((a, b) => LAYER_ORDER.indexOf(a.layer) - LAYER_ORDER.indexOf(b.layer));
  const evaluate = (fields: Json) => evaluateLayers(layers, leaves.frame(fields));
  compiled.set(set, evaluate);
  return evaluate;
}

/** What the set says about these fields (PROTOCOL §7). */
export function evaluateSet(set: PolicySet, fields: Json): PolicyOutcome {
  return compileSet(set)(fields);
}

/** The strictest of two outcomes, with both traces: how a run's own set and what the law has adopted since are joined (PROTOCOL §6). */
export function strictest(a: PolicyOutcome, b: PolicyOutcome): PolicyOutcome {
  return { ...joinVoices([a, b]), layers: [...a.layers, ...b.layers], rules: [...a.rules, ...b.rules], asked: [...a.asked, ...b.asked] };
}

function compileRule(source: PolicyRule, leaves: Leaves): CompiledRule {
  const { decide } = source;
  const terms = typeof decide === 'string' ? null : decide.approve;
  return { source, decide: typeof decide === 'string' ? decide : 'approve', terms, when: compileCondition(source.when, leaves) };
}

function evaluateLayers(layers: readonly CompiledLayer[], frame: Frame): PolicyOutcome {
  const verdicts: LayerVerdict[] = [];
  const rules: RuleTrace[] = [];
  const voices: Voice[] = [];
  for (const [index, layer] of layers.entries()) {
    const voice = voiceOf(layer, applyingRules(layer, frame, rules));
    const granting = voice?.verdict === 'permit';
    if (index === 0 && (voice === null || (granting && !DECIDING_LAYERS.includes(layer.layer)))) {
      verdicts.push({ layer: layer.layer, verdict: 'noMatch' });
      voices.push(unmatched(layer));
    } else if (voice === null || (index > 0 && granting)) {
      verdicts.push({ layer: layer.layer, verdict: 'abstain' });
    } else {
      verdicts.push({ layer: layer.layer, verdict: voice.verdict });
      voices.push(voice);
    }
  }
  const asked = voices.flatMap(({ terms }) => (terms === null ? [] : [terms]));
  return { ...joinVoices(voices), layers: verdicts, rules, asked };
}

/** The rules that take effect; notes every match and every unknown in the trace. */
function applyingRules(layer: CompiledLayer, frame: Frame, trace: RuleTrace[]): readonly CompiledRule[] {
  const applying: CompiledRule[] = [];
  for (const rule of layer.rules) {
    const truth = rule.when.truth(frame);
    if (truth === FALSE) continue;
    const unknown = truth === UNKNOWN ? unknownFields(rule.when, frame) : [];
    trace.push({ layer: layer.layer, rule: rule.source.id, truth: truth === TRUE ? 'true' : 'unknown', decide: rule.decide, unknown });
    if (truth === TRUE || rule.decide !== 'permit') applying.push(rule);
  }
  return applying;
}

/** The strictest of the applying rules, the first of equals; null when none applies. */
function voiceOf(layer: CompiledLayer, applying: readonly CompiledRule[]): Voice | null {
  if (applying.length === 0) return null;
  return joinVoices(
    applying.map(({ decide, source, terms }) => ({
      verdict: decide,
      rule: { layer: layer.layer, rule: source.id },
      because: source.because,
      terms,
    })),
  );
}

function unmatched(layer: CompiledLayer): Voice {
  const because = `no rule of ${layer.name}, the outermost layer, permits it; what is not permitted is denied`;
  return { verdict: 'deny', rule: null, because, terms: null };
}

function freezeDeep(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const member of Object.values(value)) freezeDeep(member);
}
