/**
 * As much of `@jest/globals` as the suites of this package use, for running one of them, bundled, as a user who may not read the checkout. Prints one
 * JSON line with every test that ran. Only titles that match SUITE_ONLY run; a suite of which none matches is a failure.
 */
import { expect } from 'expect';

type Work = () => unknown;
interface Registered {
  readonly title: string;
  readonly work: Work;
  readonly before: readonly Work[];
}
/** What is told of each test. */
export interface Told {
  readonly title: string;
  readonly error: string | null;
}

const only = new RegExp(process.env['SUITE_ONLY'] ?? '.');
const registered: Registered[] = [];
const after: Work[] = [];
let scope: { readonly titles: readonly string[]; readonly before: Work[] } = { titles: [], before: [] };

function suite(title: string, body: () => void): void {
  const outer = scope;
  scope = { titles: [...outer.titles, title], before: [...outer.before] };
  body();
  scope = outer;
}
function one(title: string, work: Work): void {
  registered.push({ title: [...scope.titles, title].join(' > '), work, before: scope.before });
}
/** Titles of `each` as jest writes them, as far as used here: %s, %d, %j. */
function titled(template: string, row: readonly unknown[]): string {
  let at = 0;
  return template.replace(/%[sdj]/g, () => String(row[at++]));
}
const eachOf =
  (add: (title: string, body: () => void) => void) =>
  (rows: readonly unknown[]) =>
  (template: string, body: (...row: unknown[]) => void): void => {
    for (const row of rows) {
      const cells: readonly unknown[] = Array.isArray(row) ? row : [row];
      add(titled(template, cells), () => body(...cells));
    }
  };

export { expect };
export const describe = Object.assign(suite, { each: eachOf(suite) });
export const test = Object.assign(one, { each: eachOf(one) });
export const beforeAll = (work: Work): void => void scope.before.push(work);
export const afterAll = (work: Work): void => void after.push(work);
export const jest = { setTimeout: (): void => undefined };

async function main(): Promise<void> {
  const told: Told[] = [];
  const prepared = new Map<Work, unknown>();
  for (const { title, work, before } of registered.filter((each) => only.test(each.title))) {
    let error: string | null = null;
    try {
      for (const each of before) if (!prepared.has(each)) prepared.set(each, await each());
      await work();
    } catch (caught) {
      error = caught instanceof Error ? (caught.stack ?? caught.message) : String(caught);
    }
    told.push({ title, error });
  }
  for (const work of after) await work();
  process.stdout.write(`\n${JSON.stringify({ uid: process.getuid?.(), told })}\n`);
}
// After the suite, which imports this module, has registered its tests.
setImmediate(() => void main());
