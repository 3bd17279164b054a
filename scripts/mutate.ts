/**
 * The mutation score of one package: `npm run mutate -- libs/policy [--sample N] [--seed S] [--file TEXT] [--quick MS] [--least PERCENT]`.
 *
 * Changes the sources in every small way that Stryker's mutators know, one at a time, and sees whether the package's tests notice. Prints every change
 * that none noticed, then the score; a sampled score has its 95 % interval. Exit 0 when the score is at least the goal of scripts/mutate/packages.json
 * (or `--least`), 1 when it is below or a list is stale, 2 for a wrong call. Results stand in `.cache/mutate/`. The document is docs/reference/mutation.md.
 */
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { walk } from './lib/files.ts';
import { bundleTests, bundleWorker } from './mutate/bundles.ts';
import { instrument, type Mutant } from './mutate/instrument.ts';
import { type Bounds, endWith, EVERY_TEST, judge, type Judged, takeBaseline, Workers } from './mutate/measure.ts';
import { type Equivalent, lineOf, sampleOf, scoreOf, withoutEquivalent } from './mutate/score.ts';

/** What is measured of a package, and by which tests. */
interface Measured {
  readonly least: number;
  /** Sources left out, by their beginning: fixtures and doors for tests. */
  readonly without: readonly string[];
  /** Test files beyond the package's own. */
  readonly alsoBy: readonly string[];
  /** Test files left out, with the reason in the document. */
  readonly notBy: readonly string[];
}
interface Wish {
  readonly folder: string;
  readonly measured: Measured;
  readonly sample: number | null;
  readonly seed: number;
  readonly file: string;
  /** Tests that take more of a processor are left out; the score is a lower bound then. */
  readonly quickMs: number;
  readonly least: number;
}

const root = path.dirname(path.dirname(new URL(import.meta.url).pathname));
const USAGE = 'usage: npm run mutate -- PACKAGE [--sample N] [--seed S] [--file TEXT] [--quick MS] [--least PERCENT]\n';

function readJson<T>(file: string): T {
  return JSON.parse(fs.readFileSync(path.join(root, file), 'utf8')) as T;
}

function wishOf(args: readonly string[]): Wish | null {
  const options = {
    sample: { type: 'string' },
    seed: { type: 'string' },
    file: { type: 'string' },
    quick: { type: 'string' },
    least: { type: 'string' },
  } as const;
  const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
  const folder = positionals[0]?.replace(/\/$/, '');
  const measured = folder === undefined ? undefined : readJson<Readonly<Record<string, Measured>>>('scripts/mutate/packages.json')[folder];
  if (folder === undefined || measured === undefined || positionals.length > 1) return null;
  const numbers = [values.sample, values.seed, values.quick, values.least].filter((value) => value !== undefined);
  if (numbers.some((value) => !/^\d+(\.\d+)?$/.test(value))) return null;
  const sample = values.sample === undefined ? null : Number(values.sample);
  const quickMs = Number(values.quick ?? Number.POSITIVE_INFINITY);
  const least = Number(values.least ?? measured.least);
  return { folder, measured, sample, seed: Number(values.seed ?? 1), file: values.file ?? '', quickMs, least };
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** The files of the package that are measured, and the tests that measure. */
function filesOf({ folder, measured }: Wish): { readonly sources: readonly string[]; readonly tests: readonly string[] } {
  const sources = walk(root, `${folder}/src`).filter(
    (file) => !measured.without.some((start) => file.startsWith(`${folder}/src/${start}`)),
  );
  const own = walk(root, `${folder}/test`).filter((file) => file.endsWith('.test.ts') && !file.endsWith('.heavy.test.ts'));
  return { sources, tests: [...own, ...measured.alsoBy].filter((file) => !measured.notBy.includes(file)) };
}

/** Every chosen mutant against the tests; tells how far it is, once every half minute. */
async function judgeAll(
  workers: Workers,
  mutants: readonly Mutant[],
  tests: ReadonlyMap<string, string>,
  bounds: Bounds,
): Promise<readonly Judged[]> {
  const files = [...tests].map(([file, script]) => ({ file: path.join(root, file), script }));
  const baseline = await takeBaseline(workers, files, bounds);
  const known = baseline.files.flatMap((each) => each.tests);
  const slow = known.filter(({ ownMs }) => ownMs > bounds.quickMs).length;
  if (slow > 0) process.stderr.write(`${slow} tests take more than ${bounds.quickMs} ms and are left out: the score is a lower bound\n`);
  const seconds = known.reduce((sum, { ms }) => sum + ms, 0) / 1000;
  process.stderr.write(
    `${known.length} tests of ${files.length} files (${seconds.toFixed(1)} s) pass without a mutant, and each passes alone\n`,
  );
  const judged: Judged[] = [];
  let told = performance.now();
  for (const mutant of mutants) {
    const one = await judge(workers, baseline, mutant.id, bounds);
    judged.push(one);
    if (one.verdict === 'survived' || one.verdict === 'uncovered') say(lineOf(mutant, one.verdict));
    if (performance.now() - told < 30_000) continue;
    told = performance.now();
    process.stderr.write(`${judged.length} of ${mutants.length} mutants tried, ${scoreOf(judged, false).percent.toFixed(1)} %\n`);
  }
  return judged;
}

/** Measures and prints; the exit code. */
async function measure(wish: Wish): Promise<number> {
  const { folder, sample, seed, file, quickMs, least } = wish;
  const into = path.join(root, '.cache/mutate', folder);
  fs.mkdirSync(into, { recursive: true });
  const { sources, tests } = filesOf(wish);
  const instrumented = await instrument(root, sources);
  const list = readJson<readonly Equivalent[]>('scripts/mutate/equivalent.json').filter((entry) => entry.file.startsWith(`${folder}/`));
  const { left, equivalent, stale } = withoutEquivalent(instrumented.mutants, list);
  const asked = left.filter((mutant) => mutant.file.includes(file));
  const chosen = sample === null ? asked : sampleOf(asked, sample, seed);
  if (chosen.length === 0) throw new Error('there is nothing to mutate');
  const workers = new Workers(await bundleWorker(root, path.join(root, 'scripts/mutate/worker.ts'), into));
  endWith(workers);
  try {
    const judged = await judgeAll(workers, chosen, await bundleTests(root, tests, instrumented.sources, into), { ...EVERY_TEST, quickMs });
    const verdicts = new Map(judged.map((one) => [one.mutant, one]));
    fs.writeFileSync(
      path.join(into, 'result.json'),
      `${JSON.stringify(
        chosen.map((each) => ({ ...each, ...verdicts.get(each.id) })),
        null,
        1,
      )}\n`,
    );
    for (const entry of stale) say(`stale: scripts/mutate/equivalent.json names no mutant of ${entry.file}: ${entry.context}`);
    const late = judged.filter(({ verdict }) => verdict === 'timeout').length;
    const { killed, tried, percent, interval } = scoreOf(judged, chosen.length < asked.length);
    const between = interval === null ? '' : ` (95 %: ${interval[0].toFixed(1)} to ${interval[1].toFixed(1)}; seed ${seed})`;
    say(
      `${folder}: ${percent.toFixed(1)} %${between}: ${killed} of ${tried} mutants noticed (${late} by their time), of ${asked.length}; ${equivalent.length} equivalent; goal ${least} %`,
    );
    return percent >= least && stale.length === 0 ? 0 : 1;
  } finally {
    workers.close();
  }
}

async function main(): Promise<void> {
  const wish = wishOf(process.argv.slice(2));
  if (wish === null) {
    process.stderr.write(USAGE);
    process.exitCode = 2;
    return;
  }
  process.exitCode = await measure(wish);
}

await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
