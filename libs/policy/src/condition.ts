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
  /** Number of the path that it asks about. */
  readonly path: number;
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
  readonly #pathNumbers = new Map<string, number>();
  readonly #paths: (readonly string[])[] = [];

  /** The number of a leaf; equal leaves share it. */
  numberOf(leaf: LeafCondition): number {
    const key = canonicalText([leaf.field, leaf.op, leaf.value]);
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const number = this.#leaves.push({ path: this.#pathOf(leaf.field), test: operatorTest(leaf.op, leaf.value) }) - 1;
    this.#numbers.set(key, number);
    return number;
  }

  #pathOf(field: string): number {
    const known = this.#pathNumbers.get(field);
    if (known !== undefined) return known;
    const number = this.#paths.push(splitField(field)) - 1;
    this.#pathNumbers.set(field, number);
    return number;
  }

  /** One evaluation over these fields. */
  frame(fields: Json): Frame {
    return new Frame(this.#leaves, this.#paths, fields);
  }
}

/** The answers given so far in one evaluation. A field is looked up once: some are worked out only when asked for. */
export class Frame {
  readonly #leaves: readonly Leaf[];
  readonly #paths: readonly (readonly string[])[];
  readonly #fields: Json;
  readonly #answers: (Truth | undefined)[] = [];
  readonly #values: { readonly value: Json | undefined }[] = [];

  constructor(leaves: readonly Leaf[], paths: readonly (readonly string[])[], fields: Json) {
    this.#leaves = leaves;
    this.#paths = paths;
    this.#fields = fields;
  }

  /** The truth of the leaf of that number. */
  ask(number: number): Truth {
    const known = this.#answers[number];
    if (known !== undefined) return known;
    const leaf = this.#leaves[number];
    const answer = leaf === undefined ? UNKNOWN : leaf.test(this.#valueOf(leaf.path));
    this.#answers[number] = answer;
    return answer;
  }

  #valueOf(path: number): Json | undefined {
    const known = this.#values[path];
    if (known !== undefined) return known.value;
    const value = lookup(this.#fields, this.#paths[path] ?? []);
    this.#values[path] = { value };
    return value;
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
