/**
 * Runs mutants against tests: one run without a mutant says which tests pass each mutant's place, each test is proved to pass alone, then every mutant
 * meets the tests that can notice it. Must never call a mutant killed because the tests fail anyway.
 */
import { type ChildProcess, fork } from 'node:child_process';
import process from 'node:process';
import type { Job, JobPart, JobResult } from './worker.ts';

export type Verdict = 'killed' | 'timeout' | 'survived' | 'uncovered';
export interface Judged {
  readonly mutant: string;
  readonly verdict: Verdict;
  /** The test that failed, where one did. */
  readonly by: string | null;
}
/** One test file with its script. */
export interface TestFile {
  /** Absolute. */
  readonly file: string;
  readonly script: string;
}
interface Known {
  readonly name: string;
  readonly ms: number;
  readonly ownMs: number;
}
interface CoveredFile extends TestFile {
  readonly tests: readonly Known[];
  /** Tests by mutant; a mutant that is passed outside any test can be noticed by all of them. */
  readonly tellers: ReadonlyMap<string, readonly number[]>;
  /** What evaluating the script and its hooks takes. */
  readonly setUpMs: number;
}
export interface Baseline {
  readonly files: readonly CoveredFile[];
  /** How often each mutant's place is passed by all tests together. */
  readonly hits: ReadonlyMap<string, number>;
}

/** Which tests are asked, and how long they may take. */
export interface Bounds {
  /** Tests that take more of a processor are left out: what they alone would notice counts as survived. */
  readonly quickMs: number;
  /** What every test may take. */
  readonly floorMs: number;
}
export const EVERY_TEST: Bounds = { quickMs: Number.POSITIVE_INFINITY, floorMs: 20_000 };

const FIRST_LIMIT_MS = 600_000;
/** A test may take this much longer with a mutant, and never less than {@link Bounds.floorMs}: machines are busy. */
const SLOWER = 15;
const HITS_SLOWER = 100;
const FEWEST_HITS = 10_000;

/** A worker process that is started when it is needed and ended when it does not answer. */
export class Workers {
  readonly #entry: string;
  /** At most one. */
  readonly #running: ChildProcess[] = [];

  constructor(entry: string) {
    this.#entry = entry;
  }

  /** The result, or null when the process did not answer in time or died. */
  async run(job: Job, limitMs: number): Promise<JobResult | null> {
    const [known] = this.#running;
    const child =
      known ??
      fork(this.#entry, {
        execArgv: ['--disable-warning=ExperimentalWarning'],
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
    if (known === undefined) this.#running.push(child);
    return new Promise((done) => {
      const end = (result: JobResult | null): void => {
        clearTimeout(timer);
        child.removeAllListeners();
        if (result === null) this.close();
        done(result);
      };
      const timer = setTimeout(() => end(null), limitMs);
      child.once('message', (message) => end(message as JobResult));
      child.once('exit', () => end(null));
      child.send(job);
    });
  }

  close(): void {
    for (const child of this.#running.splice(0)) {
      child.removeAllListeners();
      child.kill('SIGKILL');
    }
  }
}

function part({ file, script }: TestFile, tests: readonly number[] | null, limitsMs: readonly number[]): JobPart {
  return { file, script, tests, limitsMs };
}

async function withoutMutant(workers: Workers, one: JobPart): Promise<JobResult['parts'][number]> {
  const result = await workers.run({ mutant: null, hitLimit: null, parts: [one] }, FIRST_LIMIT_MS);
  const [only] = result?.parts ?? [];
  if (only === undefined) throw new Error(`${one.file}: the tests did not end`);
  const failed = only.outcomes.find(({ failure }) => failure !== null);
  if (only.broken !== null) throw new Error(`${one.file} cannot be run here: ${only.broken}`);
  if (failed !== undefined) throw new Error(`${one.file}: '${failed.name}' fails without any mutant: ${failed.failure}`);
  return only;
}

/** Which tests tell of which mutant. Throws where a test fails without a mutant, or (of those that are not left out as slow) only passes after another. */
export async function takeBaseline(workers: Workers, files: readonly TestFile[], { quickMs } = EVERY_TEST): Promise<Baseline> {
  const hits = new Map<string, number>();
  const covered: CoveredFile[] = [];
  for (const file of files) {
    await withoutMutant(workers, part(file, [], []));
    const started = performance.now();
    const { outcomes, coverage } = await withoutMutant(workers, part(file, null, []));
    const tests = outcomes.map(({ name, ms, ownMs }) => ({ name, ms, ownMs }));
    const setUpMs = performance.now() - started - tests.reduce((sum, { ms }) => sum + ms, 0);
    const tellers = new Map<string, number[]>(Object.keys(coverage.static).map((mutant) => [mutant, tests.map((_, index) => index)]));
    for (const [mutant, count] of Object.entries(coverage.static)) hits.set(mutant, (hits.get(mutant) ?? 0) + count);
    for (const [index, passed] of Object.entries(coverage.perTest)) {
      for (const [mutant, count] of Object.entries(passed)) {
        hits.set(mutant, (hits.get(mutant) ?? 0) + count);
        const known = tellers.get(mutant) ?? [];
        if (coverage.static[mutant] === undefined) tellers.set(mutant, [...known, Number(index)]);
      }
    }
    for (const [index, { ownMs }] of tests.entries()) if (ownMs <= quickMs) await withoutMutant(workers, part(file, [index], []));
    covered.push({ ...file, tests, tellers, setUpMs });
  }
  return { files: covered, hits };
}

function msOf({ tests }: CoveredFile, index: number): number {
  return tests[index]?.ms ?? 0;
}

function ownMsOf({ tests }: CoveredFile, index: number): number {
  return tests[index]?.ownMs ?? 0;
}

/** Lets the tests that can notice a mutant meet it, quickest file first. */
export async function judge(
  workers: Workers,
  { files, hits }: Baseline,
  mutant: string,
  { quickMs, floorMs } = EVERY_TEST,
): Promise<Judged> {
  const telling = files
    .map((file) => ({ file, chosen: (file.tellers.get(mutant) ?? []).filter((index) => ownMsOf(file, index) <= quickMs) }))
    .filter(({ chosen }) => chosen.length > 0)
    // Each test passes alone, so their order is free: the quick ones notice most.
    .map(({ file, chosen }) => ({ file, chosen: chosen.toSorted((a, b) => msOf(file, a) - msOf(file, b)) }))
    .map(({ file, chosen }) => ({ file, chosen, ms: file.setUpMs + chosen.reduce((sum, index) => sum + msOf(file, index), 0) }))
    .sort((a, b) => a.ms - b.ms);
  if (telling.length === 0) return { mutant, verdict: 'uncovered', by: null };
  const parts = telling.map(({ file, chosen }) =>
    part(
      file,
      chosen,
      file.tests.map(({ ms }) => floorMs + ms * SLOWER),
    ),
  );
  const limitMs = 2 * floorMs + SLOWER * telling.reduce((sum, { ms }) => sum + ms, 0);
  const hitLimit = Math.max(FEWEST_HITS, (hits.get(mutant) ?? 0) * HITS_SLOWER);
  const result = await workers.run({ mutant, hitLimit, parts }, limitMs);
  if (result === null || result.looped) {
    // What still runs in that process must not meet the next mutant.
    workers.close();
    return { mutant, verdict: 'timeout', by: null };
  }
  const last = result.parts.at(-1);
  if (last !== undefined && last.broken !== null) return { mutant, verdict: 'killed', by: 'the modules do not load' };
  const failed = last?.outcomes.find(({ failure }) => failure !== null);
  if (failed === undefined) return { mutant, verdict: 'survived', by: null };
  if (failed.failure?.startsWith('took more than') === true) workers.close();
  return { mutant, verdict: 'killed', by: failed.name };
}

/** Ends what was started when this process is told to end. */
export function endWith(workers: Workers): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      workers.close();
      process.exit(130);
    });
  }
}
