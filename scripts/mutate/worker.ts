/**
 * The process that runs tests: warm, with every script compiled once. For each job it switches one mutant on (or none), evaluates the scripts anew, and
 * runs the tests it is told to, until one fails. It may be killed at any time: a mutant that never yields is ended by the parent's timeout.
 */
import fs from 'node:fs';
import { createRequire } from 'node:module';
import process from 'node:process';
import vm from 'node:vm';
import { Harness, strayFailure, type TestOutcome } from './harness.ts';

/** Which tests of which script; all of them where none are named. */
export interface JobPart {
  readonly script: string;
  /** The test file itself: what outside packages are resolved from. */
  readonly file: string;
  readonly tests: readonly number[] | null;
  /** By test, then for everything else. */
  readonly limitsMs: readonly number[];
}
export interface Job {
  readonly mutant: string | null;
  /** How often the mutant's place may be passed before it counts as a loop without end. */
  readonly hitLimit: number | null;
  readonly parts: readonly JobPart[];
}
/** How often each mutant was passed, by mutant. */
export type Hits = Readonly<Record<string, number>>;
export interface PartResult {
  readonly outcomes: readonly TestOutcome[];
  /** Why the script could not even be evaluated. */
  readonly broken: string | null;
  readonly coverage: { readonly static: Hits; readonly perTest: Readonly<Record<string, Hits>> };
}
export interface JobResult {
  readonly parts: readonly PartResult[];
  readonly looped: boolean;
}

interface Switch {
  activeMutant: string | undefined;
  hitCount: number | undefined;
  hitLimit: number | undefined;
  currentTestId: string | undefined;
  mutantCoverage: { static: Record<string, number>; perTest: Record<string, Record<string, number>> };
}

type Evaluate = (module: { exports: object }, exports: object, require: NodeJS.Require) => void;
const scripts = new Map<string, Evaluate>();
const place: Switch = {
  activeMutant: undefined,
  hitCount: undefined,
  hitLimit: undefined,
  currentTestId: undefined,
  mutantCoverage: emptyCoverage(),
};
/** Properties are drawn from one seed and not shrunk: only whether they hold matters. */
const FAST_CHECK = Symbol.for('fast-check/GlobalParameters');
const DEFAULT_LIMIT_MS = 60_000;
Object.assign(globalThis, { __stryker__: place, [FAST_CHECK]: { seed: 20_26, endOnFailure: true } });

function emptyCoverage(): Switch['mutantCoverage'] {
  return { static: {}, perTest: {} };
}

function evaluatorOf(script: string): Evaluate {
  const known = scripts.get(script);
  if (known !== undefined) return known;
  const text = `(function (module, exports, require) {${fs.readFileSync(script, 'utf8')}\n})`;
  const evaluate = new vm.Script(text, { filename: script }).runInThisContext() as Evaluate;
  scripts.set(script, evaluate);
  return evaluate;
}

async function runPart({ script, file, tests, limitsMs }: JobPart): Promise<PartResult> {
  const harness = new Harness();
  place.mutantCoverage = emptyCoverage();
  place.currentTestId = undefined;
  Object.assign(globalThis, { __mutationHarness: harness.globals() });
  const module = { exports: {} };
  try {
    evaluatorOf(script)(module, module.exports, createRequire(file));
  } catch (error) {
    return {
      outcomes: [],
      broken: error instanceof Error ? (error.stack ?? error.message) : String(error),
      coverage: place.mutantCoverage,
    };
  }
  const watch = {
    starts: (index: number): void => void (place.currentTestId = String(index)),
    ends: (): void => void (place.currentTestId = undefined),
  };
  const chosen = tests ?? Array.from({ length: harness.size }, (_, index) => index);
  const outcomes = await harness.run(chosen, (index) => limitsMs[index] ?? DEFAULT_LIMIT_MS, watch);
  return { outcomes, broken: null, coverage: place.mutantCoverage };
}

async function run(job: Job): Promise<JobResult> {
  place.activeMutant = job.mutant ?? undefined;
  place.hitCount = job.hitLimit === null ? undefined : 0;
  place.hitLimit = job.hitLimit ?? undefined;
  const parts: PartResult[] = [];
  for (const part of job.parts) {
    const result = await runPart(part);
    parts.push(result);
    if (job.mutant !== null && (result.broken !== null || result.outcomes.some(({ failure }) => failure !== null))) break;
  }
  const looped = job.hitLimit !== null && (place.hitCount ?? 0) > job.hitLimit;
  place.activeMutant = undefined;
  return { parts, looped };
}

async function answer(job: Job): Promise<void> {
  const result = await run(job);
  // Only a run without a mutant is asked for its coverage.
  if (job.mutant === null) process.send?.(result);
  else process.send?.({ ...result, parts: result.parts.map((part) => ({ ...part, coverage: emptyCoverage() })) });
}

process.on('uncaughtException', strayFailure);
process.on('unhandledRejection', strayFailure);
process.on('message', (job: Job) => {
  answer(job).catch(strayFailure);
});
