/**
 * The score and what stands beside it: a sample drawn from a seed, the interval of a sampled score, and the list of mutants that change nothing
 * anyone could see (`scripts/mutate/equivalent.json`), each with its reason. An entry that names no mutant is an error, so the list cannot rot.
 */
import type { Mutant } from './instrument.ts';
import type { Judged } from './measure.ts';

/** A mutant known by its place and its change, not by its line number. */
export interface Equivalent {
  readonly file: string;
  /** The first line of the place, trimmed. */
  readonly context: string;
  readonly original: string;
  readonly replacement: string;
  readonly why: string;
}
export interface Score {
  readonly killed: number;
  readonly tried: number;
  /** From 0 to 100. */
  readonly percent: number;
  /** The 95 % interval (Wilson) where only a sample was tried, else null. */
  readonly interval: readonly [low: number, high: number] | null;
}

const Z_95 = 1.96;

/** Numbers in [0, 1) from a seed (mulberry32). */
function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** `count` of the items, each as likely as any, in their order; the same for the same seed. */
export function sampleOf<T>(items: readonly T[], count: number, seed: number): readonly T[] {
  const next = chance(seed);
  const drawn = items.map((item, at) => ({ item, at, lot: next() })).sort((a, b) => a.lot - b.lot);
  return drawn
    .slice(0, count)
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

/** Killed and timed out against all that were tried. */
export function scoreOf(judged: readonly Judged[], sampled: boolean): Score {
  const tried = judged.length;
  const killed = judged.filter(({ verdict }) => verdict === 'killed' || verdict === 'timeout').length;
  const share = tried === 0 ? 0 : killed / tried;
  return { killed, tried, percent: share * 100, interval: sampled ? wilson(share, tried) : null };
}

function wilson(share: number, tried: number): readonly [number, number] {
  if (tried === 0) return [0, 100];
  const square = Z_95 ** 2;
  const middle = (share + square / (2 * tried)) / (1 + square / tried);
  const half = (Z_95 * Math.sqrt((share * (1 - share)) / tried + square / (4 * tried ** 2))) / (1 + square / tried);
  return [Math.max(0, middle - half) * 100, Math.min(1, middle + half) * 100];
}

function isAt(mutant: Mutant, entry: Equivalent): boolean {
  const { file, context, original, replacement } = entry;
  return mutant.file === file && mutant.context === context && mutant.original === original && mutant.replacement === replacement;
}

/** Mutants without those that the list calls equivalent, and the entries that name none. */
export function withoutEquivalent(
  mutants: readonly Mutant[],
  list: readonly Equivalent[],
): { readonly left: readonly Mutant[]; readonly equivalent: readonly Mutant[]; readonly stale: readonly Equivalent[] } {
  const equivalent = mutants.filter((mutant) => list.some((entry) => isAt(mutant, entry)));
  const known = new Set(equivalent);
  return {
    left: mutants.filter((mutant) => !known.has(mutant)),
    equivalent,
    stale: list.filter((entry) => !mutants.some((mutant) => isAt(mutant, entry))),
  };
}

function oneLine(text: string): string {
  const flat = text.replaceAll(/\s+/g, ' ');
  return flat.length <= 100 ? flat : `${flat.slice(0, 97)}...`;
}

/** A survivor as the list shows it. */
export function lineOf({ file, line, column, mutator, original, replacement }: Mutant, verdict: Judged['verdict']): string {
  return `${file}:${line}:${column} ${mutator}${verdict === 'uncovered' ? ' (no test comes here)' : ''}: ${oneLine(original)} -> ${oneLine(replacement)}`;
}
