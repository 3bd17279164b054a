/**
 * As much of Jest as the packages' own tests use, in a form that can run a chosen few tests of a file and stop at the first that fails. Asserts with
 * Jest's own `expect`. A test that asks for anything else fails when it is first run without a mutant, so nothing is passed over in silence.
 */
import process from 'node:process';
import { format } from 'node:util';
import { expect } from 'expect';

type Body = () => unknown;
interface Suite {
  readonly name: string;
  readonly parent: Suite | null;
  readonly beforeAll: Body[];
  readonly beforeEach: Body[];
  readonly afterAll: Body[];
  readonly afterEach: Body[];
  /** Whether its `beforeAll` ran. */
  entered: boolean;
}
interface Case {
  readonly name: string;
  readonly suite: Suite;
  readonly body: Body;
}
/** How one test went; `ms` is wall time, `ownMs` what it took of the processor. */
export interface TestOutcome {
  readonly index: number;
  readonly name: string;
  readonly failure: string | null;
  readonly ms: number;
  readonly ownMs: number;
}
/** What happens around a test: coverage is told apart by it. */
export interface Watch {
  starts(index: number): void;
  ends(index: number): void;
}

function suiteOf(name: string, parent: Suite | null): Suite {
  return { name, parent, beforeAll: [], beforeEach: [], afterAll: [], afterEach: [], entered: false };
}

/** The suites around a test, outermost first. */
function chainOf(suite: Suite): Suite[] {
  return suite.parent === null ? [suite] : [...chainOf(suite.parent), suite];
}

/** A row of a table as the arguments of its test. */
function rowOf(row: unknown): unknown[] {
  return Array.isArray(row) ? row : [row];
}

/** The title with as many members of the row as it has places for. */
function titled(title: string, row: readonly unknown[]): string {
  return format(title, ...row.slice(0, title.match(/%[sdifjoO]/g)?.length ?? 0));
}

/** One test file: what it declares, and running it. Made anew for every evaluation of the file's script. */
export class Harness {
  readonly #cases: Case[] = [];
  #suite = suiteOf('', null);

  /** What stands in for `@jest/globals`. */
  globals(): Readonly<Record<string, unknown>> {
    const describe = (name: string, body: Body): void => {
      const outer = this.#suite;
      this.#suite = suiteOf(name, outer);
      body();
      this.#suite = outer;
    };
    const declare = (name: string, body: Body): void => {
      this.#cases.push({ name, suite: this.#suite, body });
    };
    const each =
      (one: (name: string, body: Body) => void) => (rows: readonly unknown[]) => (title: string, body: (...row: unknown[]) => unknown) => {
        for (const row of rows) one(titled(title, rowOf(row)), () => body(...rowOf(row)));
      };
    const skip = (): void => {};
    const test = Object.assign(declare, { each: each(declare), skip });
    const jest = { setTimeout: skip };
    return {
      describe: Object.assign(describe, { each: each(describe), skip }),
      test,
      it: test,
      expect,
      jest,
      beforeAll: (body: Body) => this.#suite.beforeAll.push(body),
      beforeEach: (body: Body) => this.#suite.beforeEach.push(body),
      afterAll: (body: Body) => this.#suite.afterAll.push(body),
      afterEach: (body: Body) => this.#suite.afterEach.push(body),
    };
  }

  /** How many tests the file declares. */
  get size(): number {
    return this.#cases.length;
  }

  /** Runs the chosen tests in order, each for at most `limitMs` (hooks have the same), and stops at the first that fails. */
  async run(chosen: readonly number[], limitMs: (index: number) => number, watch: Watch): Promise<readonly TestOutcome[]> {
    const outcomes: TestOutcome[] = [];
    for (const index of chosen) {
      const one = this.#cases[index];
      if (one === undefined) throw new Error(`there is no test ${index}`);
      const started = performance.now();
      const before = process.cpuUsage();
      const failure = await this.#runOne(one, index, limitMs(index), watch);
      const { user, system } = process.cpuUsage(before);
      const name = [...chainOf(one.suite).map((suite) => suite.name), one.name].join(' ').trim();
      outcomes.push({ index, name, failure, ms: performance.now() - started, ownMs: (user + system) / 1000 });
      if (failure !== null) break;
    }
    for (const suite of new Set(this.#cases.flatMap((one) => chainOf(one.suite)))) {
      if (suite.entered) for (const hook of suite.afterAll) await attempt(hook, limitMs(-1));
    }
    return outcomes;
  }

  async #runOne(one: Case, index: number, limitMs: number, watch: Watch): Promise<string | null> {
    const chain = chainOf(one.suite);
    for (const suite of chain) {
      const hooks = suite.entered ? [] : suite.beforeAll;
      suite.entered = true;
      for (const hook of hooks) {
        const failure = await attempt(hook, Math.max(limitMs, 60_000));
        if (failure !== null) return failure;
      }
    }
    watch.starts(index);
    let failure: string | null = null;
    for (const body of [...chain.flatMap((suite) => suite.beforeEach), one.body]) failure ??= await attempt(body, limitMs);
    for (const body of chain.toReversed().flatMap((suite) => suite.afterEach)) failure ??= await attempt(body, limitMs);
    watch.ends(index);
    return failure;
  }
}

/** Runs a body; gives why it failed, or null. A body that waits for ever fails by its limit; one that never yields is the parent's to end. */
async function attempt(body: Body, limitMs: number): Promise<string | null> {
  let tooLate: (why: string) => void = () => {};
  const late = new Promise<string>((done) => {
    tooLate = done;
  });
  const timer = setTimeout(() => tooLate(`took more than ${Math.round(limitMs)} ms`), limitMs);
  const stray = new Promise<string>((done) => {
    strays = (reason) => done(`unhandled: ${String(reason)}`);
  });
  try {
    return await Promise.race([(async () => (await body(), null))(), late, stray]);
  } catch (error) {
    return error instanceof Error ? error.message || error.name : String(error);
  } finally {
    clearTimeout(timer);
    strays = () => {};
  }
}

/** A rejection or throw that nobody awaits belongs to the test that runs. */
let strays: (reason: unknown) => void = () => {};
export function strayFailure(reason: unknown): void {
  strays(reason);
}
