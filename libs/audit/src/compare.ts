/**
 * Two runs side by side: what they were opened with, their stages, intents, verdicts, effects, files and cost, and the first step in which they
 * part. Pure over two outlines; must never say `same` of what it could not read.
 */
import type { TrajectoryId } from '@openexec/canon';
import { outlineRun, type OutlineIntent, type OutlineLaw, type OutlineStep, type RunOutline } from './outline.ts';
import type { AuditSource } from './report.ts';

/** One value on both sides. */
export interface FacetDifference {
  /** `task`, `blueprint`, `policy`, … `outcome`. */
  readonly what: string;
  readonly left: string | null;
  readonly right: string | null;
}
/** Something that stands at a place of one run, and at none or another of the other. */
export interface PlacedDifference {
  readonly left: { readonly seq: number; readonly text: string } | null;
  readonly right: { readonly seq: number; readonly text: string } | null;
}
/** A file of the committed trees: `DIGEST MODE`, `deleted`, or null where the run did not touch it. */
export interface FileDifference {
  readonly path: string;
  readonly left: string | null;
  readonly right: string | null;
}
/** One run in figures; spend is null while it is open. */
export interface RunFigures {
  readonly outcome: string;
  readonly stages: number;
  readonly intents: number;
  /** Intents by their last verdict. */
  readonly permitted: number;
  readonly denied: number;
  /** Those that still wait for a person, or were never ruled on. */
  readonly undecided: number;
  readonly committed: number;
  /** How often a person was asked. */
  readonly prompts: number;
  readonly files: number;
  readonly asks: number;
  readonly tokens: number | null;
  readonly usdMicros: number | null;
  readonly calls: number | null;
}
/** How two runs differ. Every list is empty exactly when nothing of its kind differs. */
export interface RunComparison {
  readonly left: TrajectoryId;
  readonly right: TrajectoryId;
  /** Nothing below differs, and everything could be read. */
  readonly same: boolean;
  /** The first step in which they part; null side where that run had ended. Null when no step differs. */
  readonly first: PlacedDifference | null;
  /** What the runs were opened with, and how they ended. */
  readonly facets: readonly FacetDifference[];
  readonly stages: readonly PlacedDifference[];
  /** Intents that only one of the runs has, each with its stage. */
  readonly intents: readonly PlacedDifference[];
  /** Same intent, other verdict. */
  readonly verdicts: readonly PlacedDifference[];
  /** Same intent, same verdict, other end or effect. */
  readonly effects: readonly PlacedDifference[];
  readonly files: readonly FileDifference[];
  readonly cost: readonly FacetDifference[];
  /** Both whole, also where they are equal. */
  readonly figures: { readonly left: RunFigures; readonly right: RunFigures };
  /** Positions whose payload was erased or cannot be read; of them nothing is compared. */
  readonly unreadable: { readonly left: readonly number[]; readonly right: readonly number[] };
}

/** Above this many pairs the middle of two lists is taken as replaced, so that time and memory stay bounded. */
const MAX_PAIRS = 4_000_000;

/** Compares two runs of one source (or of two); null when one of them is not there. */
export async function compareRuns(
  left: { readonly source: AuditSource; readonly run: TrajectoryId },
  right: { readonly source: AuditSource; readonly run: TrajectoryId },
): Promise<RunComparison | null> {
  const a = await outlineRun(left.source, left.run);
  const b = await outlineRun(right.source, right.run);
  return a === null || b === null ? null : compareOutlines(a, b);
}

/** Compares two outlines. */
export function compareOutlines(left: RunOutline, right: RunOutline): RunComparison {
  const intents = align(left.intents, right.intents, intentKey);
  const pairs = intents.flatMap(([a, b]): [OutlineIntent, OutlineIntent][] => (a !== null && b !== null ? [[a, b]] : []));
  const verdicts = pairs.filter(([a, b]) => a.verdict !== b.verdict);
  const effects = pairs.filter(([a, b]) => a.verdict === b.verdict && endText(a) !== endText(b));
  const differences = {
    first: firstDifference(left, right),
    facets: facetsOf(left, right),
    stages: unpaired(align(left.stages, right.stages, stageText), stageText),
    intents: unpaired(intents, intentText),
    verdicts: verdicts.map(([a, b]) => placed(a, b, (intent) => `${intentText(intent)}: ${intent.verdict ?? 'no verdict'}`)),
    effects: effects.map(([a, b]) => placed(a, b, (intent) => `${intentText(intent)}: ${endText(intent)}`)),
    files: filesOf(left, right),
    cost: costOf(left, right),
  };
  const unreadable = { left: left.unreadable, right: right.unreadable };
  const lists = [differences.facets, differences.stages, differences.intents, differences.verdicts, differences.effects, differences.files];
  const same =
    differences.first === null &&
    [...lists, differences.cost, unreadable.left, unreadable.right].every((list: readonly unknown[]) => list.length === 0);
  const figures = { left: figuresOf(left), right: figuresOf(right) };
  return { left: left.run, right: right.run, same, ...differences, figures, unreadable };
}

function figuresOf(outline: RunOutline): RunFigures {
  const { stages, intents, files, spend, counts } = outline;
  const ruled = (verdict: string): number => intents.filter((intent) => intent.verdict?.split(' ')[0] === verdict).length;
  return {
    outcome: outcomeText(outline),
    stages: stages.length,
    intents: intents.length,
    permitted: ruled('permit'),
    denied: ruled('deny'),
    undecided: intents.length - ruled('permit') - ruled('deny'),
    committed: intents.filter(({ end }) => end === 'committed').length,
    prompts: counts.prompts,
    files: files.size,
    asks: counts.asks,
    tokens: spend?.tokens ?? null,
    usdMicros: spend?.usdMicros ?? null,
    calls: spend?.calls ?? null,
  };
}

const LAW_FACETS = ['task', 'blueprint', 'policy', 'catalogue', 'toolsets', 'profile', 'model', 'base', 'kernel', 'approvals'] as const;

function facetsOf(left: RunOutline, right: RunOutline): FacetDifference[] {
  const law = (outline: RunOutline, what: keyof OutlineLaw): string | null => outline.law?.[what] ?? null;
  const facets: FacetDifference[] = LAW_FACETS.map((what) => ({ what, left: law(left, what), right: law(right, what) }));
  facets.push({ what: 'outcome', left: outcomeText(left), right: outcomeText(right) });
  return facets.filter((facet) => facet.left !== facet.right);
}

function outcomeText({ outcome, because }: RunOutline): string {
  return because === '' ? outcome : `${outcome}: ${because}`;
}

function costOf(left: RunOutline, right: RunOutline): FacetDifference[] {
  const figures = ({ spend, counts }: RunOutline): Readonly<Record<string, number | null>> => ({
    tokens: spend?.tokens ?? null,
    usdMicros: spend?.usdMicros ?? null,
    calls: spend?.calls ?? null,
    asks: counts.asks,
    inputTokens: counts.inputTokens,
    outputTokens: counts.outputTokens,
    prompts: counts.prompts,
  });
  const [a, b] = [figures(left), figures(right)];
  const text = (value: number | null | undefined): string | null => (value === null || value === undefined ? null : String(value));
  return Object.keys(a)
    .map((what) => ({ what, left: text(a[what]), right: text(b[what]) }))
    .filter((facet) => facet.left !== facet.right);
}

function filesOf(left: RunOutline, right: RunOutline): FileDifference[] {
  return [...new Set([...left.files.keys(), ...right.files.keys()])]
    .sort()
    .map((path) => ({ path, left: left.files.get(path) ?? null, right: right.files.get(path) ?? null }))
    .filter((file) => file.left !== file.right);
}

/** The opening first, since everything follows from it; then step by step. */
function firstDifference(left: RunOutline, right: RunOutline): PlacedDifference | null {
  const opening = LAW_FACETS.filter((what) => left.law?.[what] !== right.law?.[what]);
  if (opening.length > 0) {
    const text = `opened with another ${opening.join(', ')}`;
    return { left: { seq: 0, text }, right: { seq: 0, text } };
  }
  const length = Math.max(left.steps.length, right.steps.length);
  for (let index = 0; index < length; index += 1) {
    const [a, b] = [left.steps[index], right.steps[index]];
    if (a?.text !== b?.text) return { left: stepPlace(a), right: stepPlace(b) };
  }
  return null;
}

function stepPlace(step: OutlineStep | undefined): { readonly seq: number; readonly text: string } | null {
  return step === undefined ? null : { seq: step.seq, text: step.text };
}

function stageText(stage: RunOutline['stages'][number]): string {
  return `${stage.stage}, visit ${stage.visit}: ${stage.outcome ?? 'not left'}`;
}

function intentKey({ stage, author, action, arguments: args }: OutlineIntent): string {
  return `${stage ?? ''} ${author} ${action} ${args}`;
}

function intentText({ stage, visit, author, action, arguments: args }: OutlineIntent): string {
  return `${stage ?? 'no stage'}, visit ${visit}: ${author} wants ${action} (${args.slice('sha256:'.length, 'sha256:'.length + 12)})`;
}

function endText({ end, effect }: OutlineIntent): string {
  return `${end ?? 'no end'}${effect === null ? '' : ` (${effect})`}`;
}

interface Placed {
  readonly seq: number;
}

function placed<T extends Placed>(left: T, right: T, text: (one: T) => string): PlacedDifference {
  return { left: { seq: left.seq, text: text(left) }, right: { seq: right.seq, text: text(right) } };
}

function unpaired<T extends Placed>(pairs: readonly (readonly [T | null, T | null])[], text: (one: T) => string): PlacedDifference[] {
  const place = (one: T | null) => (one === null ? null : { seq: one.seq, text: text(one) });
  return pairs.filter(([a, b]) => a === null || b === null).map(([a, b]) => ({ left: place(a), right: place(b) }));
}

/** Pairs equal elements in order (longest common subsequence); what is on one side only is paired with null. */
function align<T>(left: readonly T[], right: readonly T[], key: (one: T) => string): (readonly [T | null, T | null])[] {
  const [a, b] = [left.map(key), right.map(key)];
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const at = <U>(list: readonly U[], index: number): U | null => list[index] ?? null;
  const pairs: (readonly [T | null, T | null])[] = [];
  for (let index = 0; index < head; index += 1) pairs.push([at(left, index), at(right, index)]);
  const middle = commonOf(a.slice(head, a.length - tail), b.slice(head, b.length - tail));
  for (const [i, j] of middle) pairs.push([i === null ? null : at(left, head + i), j === null ? null : at(right, head + j)]);
  for (let index = tail; index > 0; index -= 1) pairs.push([at(left, left.length - index), at(right, right.length - index)]);
  return pairs;
}

/** The alignment of two lists without a common head or tail, as pairs of indexes. */
function commonOf(a: readonly string[], b: readonly string[]): (readonly [number | null, number | null])[] {
  if (a.length * b.length > MAX_PAIRS)
    return [...a.map((_, i): readonly [number, null] => [i, null]), ...b.map((_, j): readonly [null, number] => [null, j])];
  const width = b.length + 1;
  const lengths = new Uint32Array((a.length + 1) * width);
  const length = (i: number, j: number): number => lengths[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i -= 1)
    for (let j = b.length - 1; j >= 0; j -= 1)
      lengths[i * width + j] = a[i] === b[j] ? length(i + 1, j + 1) + 1 : Math.max(length(i + 1, j), length(i, j + 1));
  const pairs: (readonly [number | null, number | null])[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) pairs.push([i++, j++]);
    else if (j >= b.length || (i < a.length && length(i + 1, j) >= length(i, j + 1))) pairs.push([i++, null]);
    else pairs.push([null, j++]);
  }
  return pairs;
}
