/**
 * Conditions as functions. Equal questions are asked once per evaluation, however many rules ask them. Must never differ from asking each anew.
 * PROTOCOL §7.
 */

import { canonicalText, type Json } from '@openexec/canon';
import type { PolicyCondition } from '@openexec/protocol';
import { lookup, splitField } from './fields.ts';
import { FALSE, notTruth, operatorTest, TRUE, type Truth, UNKNOWN } from './operators.ts';

type LeafCondition = Extract<PolicyCondition, { field: string }>;
interface Leaf {
  readonly path: readonly string[];
  readonly test: (actual: Json | undefined) => Truth;
}

/** A condition over a frame; `unknown` adds the fields that left it open. */
export interface CompiledCondition {
  readonly truth: (frame: Frame) => Truth;
  readonly unknown: (frame: Frame, into: Set<string>) => void;
}

/** The distinct leaves of everything compiled together. */
export class Leaves {
  readonly #numbers = new Map<string, number>();
  readonly #leaves: Leaf[] = [];

  /** The number of a leaf; equal leaves share it. */
  numberOf(leaf: LeafCondition): number {
    const key = canonicalText([leaf.field, leaf.op, leaf.value]);
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const number = this.#leaves.push({ path: splitField(leaf.field), test: operatorTest(leaf.op, leaf.value) }) - 1;
    this.#numbers.set(key, number);
    return number;
  }

  /** One evaluation over these fields. */
  frame(fields: Json): Frame {
    return new Frame(this.#leaves, fields);
  }
}

/** The answers given so far in one evaluation. */
export class Frame {
  readonly #leaves: readonly Leaf[];
  readonly #fields: Json;
  readonly #answers: (Truth | undefined)[] = [];

  constructor(leaves: readonly Leaf[], fields: Json) {
    this.#leaves = leaves;
    this.#fields = fields;
  }

  /** The truth of the leaf of that number. */
  ask(number: number): Truth {
    const known = this.#answers[number];
    if (known !== undefined) return known;
    const leaf = this.#leaves[number];
    const answer = leaf === undefined ? UNKNOWN : leaf.test(lookup(this.#fields, leaf.path));
    this.#answers[number] = answer;
    return answer;
  }
}

/** Compiles a condition whose leaves join those compiled before. */
export function compileCondition(condition: PolicyCondition, leaves: Leaves): CompiledCondition {
  const compile = (part: PolicyCondition) => compileCondition(part, leaves);
  if ('all' in condition) return compileMany(condition.all.map(compile), FALSE);
  if ('any' in condition) return compileMany(condition.any.map(compile), TRUE);
  if ('not' in condition) {
    const inner = compile(condition.not);
    return { truth: (frame) => notTruth(inner.truth(frame)), unknown: inner.unknown };
  }
  const number = leaves.numberOf(condition);
  return {
    truth: (frame) => frame.ask(number),
    unknown: (frame, into) => {
      if (frame.ask(number) === UNKNOWN) into.add(condition.field);
    },
  };
}

/** The fields that left a condition open, each once, in the order of the condition. */
export function unknownFields(condition: CompiledCondition, frame: Frame): string[] {
  const fields = new Set<string>();
  condition.unknown(frame, fields);
  return [...fields];
}

/** `decisive` ends it at once: false for `all`, true for `any`; else unknown wins over the rest. */
function compileMany(parts: readonly CompiledCondition[], decisive: Truth): CompiledCondition {
  const truth = (frame: Frame): Truth => {
    let result = notTruth(decisive);
    for (const part of parts) {
      const value = part.truth(frame);
      if (value === decisive) return decisive;
      if (value === UNKNOWN) result = UNKNOWN;
    }
    return result;
  };
  const unknown = (frame: Frame, into: Set<string>) => {
    if (truth(frame) === UNKNOWN) for (const part of parts) part.unknown(frame, into);
  };
  return { truth, unknown };
}
