/**
 * Reports: every fixture against its expected reading, the shape of it for anything that a command may print, and that the exit code alone decides.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { describe, expect, test } from '@jest/globals';
import { canonicalBytes } from '@openexec/canon';
import fc from 'fast-check';
import { lossyText } from '../src/execution.ts';
import { countsText, failureText, readReport, reportMembers, reportText } from '../src/reports/report.ts';
import type { CheckKind, Report } from '../src/reports/types.ts';

interface Golden {
  readonly kind: CheckKind;
  readonly exitCode: number | null;
  readonly report: Report;
}

const FOLDER = join(import.meta.dirname, 'fixtures/reports');
const outputOf = (name: string): string => lossyText(readFileSync(join(FOLDER, `${name}.txt`)));
const golden = JSON.parse(readFileSync(join(FOLDER, 'expected.json'), 'utf8')) as Readonly<Record<string, Golden>>;
const names = readdirSync(FOLDER).flatMap((file) => (file.endsWith('.txt') ? [file.slice(0, -'.txt'.length)] : []));

// The expectations are drafted by the readers and corrected by hand: OPENEXEC_DRAFT=1 writes the draft.
if (process.env['OPENEXEC_DRAFT'] === '1') {
  const draft = Object.entries(golden).map(([name, { kind, exitCode }]) => [
    name,
    { kind, exitCode, report: readReport(outputOf(name), exitCode, kind) },
  ]);
  writeFileSync(join(FOLDER, 'expected.json'), `${JSON.stringify(Object.fromEntries(draft), null, 2)}\n`);
}

test('every fixture has an expectation, and every form is among them', () => {
  expect(Object.keys(golden).sort()).toEqual([...names].sort());
  expect(new Set(Object.values(golden).map(({ report }) => report.format)).size).toBe(14);
});

describe('a fixture is read as expected', () => {
  test.each(names)('%s', (name) => {
    const { kind, exitCode, report } = golden[name] ?? { kind: 'test', exitCode: 0, report: null };
    expect(readReport(outputOf(name), exitCode, kind)).toEqual(report);
  });
  test('also without a kind, but where only a kind tells two forms apart', () => {
    for (const [name, { exitCode, report }] of Object.entries(golden))
      expect([name, readReport(outputOf(name), exitCode)]).toEqual([name, report]);
  });
});

describe('the exit code', () => {
  test('is contradicted aloud, in either direction and by a signal', () => {
    const green = '\u2139 tests 1\n\u2139 pass 1\n\u2139 fail 0\n';
    const red = '\u2139 tests 1\n\u2139 pass 0\n\u2139 fail 1\n';
    expect(readReport(green, 0).disagreement).toBeNull();
    expect(readReport(red, 1).disagreement).toBeNull();
    expect(readReport(green, 1).disagreement).toBe('the exit code is 1, but the output counts no failure');
    expect(readReport(red, 0).disagreement).toBe('the exit code is 0, but the output counts 1 failure');
    expect(readReport(green, null).disagreement).toBe('the command was ended by a signal, but the output counts no failure');
  });
  test('stands alone where no form is recognised: no counts, never 0', () => {
    const report = readReport('all 12 tests passed\n', 1);
    expect(report).toEqual({
      format: 'generic',
      counts: { passed: null, failed: null, skipped: null, errors: null, warnings: null },
      failures: [],
      failuresLeftOut: 0,
      disagreement: null,
    });
    expect(reportMembers(report)['counts']).toBeNull();
    expect(reportText(report)).toBe('');
  });
});

describe('what is told', () => {
  test('names counts that are known, the first failure with its place, and a disagreement', () => {
    const report = readReport(outputOf('node-spec'), 0, 'test');
    expect(reportText(report)).toBe(
      ': 1 passed, 2 failed, 2 skipped; first: adds (test/sum.test.js:6); the exit code is 0, but the output counts 2 failures',
    );
    expect(countsText(readReport(outputOf('go-green'), 0).counts)).toBe('0 failed, 0 errors');
    expect(failureText({ name: null, file: 'a.ts', line: null, message: 'm\nn' })).toBe('m (a.ts)');
    expect(failureText({ name: null, file: null, line: null, message: '' })).toBe('');
  });
  test('at most twenty failures are kept, and the others are counted', () => {
    const lines = Array.from({ length: 50 }, (_, index) => `src/a.ts(${index + 1},1): error TS1000: no`).join('\n');
    const report = readReport(lines, 1, 'typecheck');
    expect([report.failures.length, report.failuresLeftOut, report.counts.errors]).toEqual([20, 30, 50]);
  });
});

describe('whatever a command prints', () => {
  const kinds: readonly CheckKind[] = ['test', 'lint', 'typecheck', 'build', 'format'];
  /** Bounds and safety of every text in a report; canonical bytes refuse what has no UTF-8 form. */
  function sound(report: Report): void {
    expect(canonicalBytes(reportMembers(report)).length).toBeLessThan(64 * 1024);
    for (const { name, file, message } of report.failures) {
      expect(`${name ?? ''}${file ?? ''}${message.replaceAll('\n', '')}`).not.toMatch(
        /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u206f]/,
      );
      expect((name ?? '').length).toBeLessThanOrEqual(300);
      expect(message.length).toBeLessThanOrEqual(600);
      expect(file ?? 'a').not.toMatch(/^\/|(?:^|\/)\.\.?(?:\/|$)|^\.git/);
    }
  }
  test('any cut of any fixture, with bytes changed, is read without harm', () => {
    const texts = names.map(outputOf);
    fc.assert(
      fc.property(
        fc.constantFrom(...texts),
        fc.nat(),
        fc.nat(),
        fc.string({ unit: 'binary', maxLength: 8 }),
        fc.constantFrom(...kinds),
        (text, from, to, noise, kind) => {
          const [start, end] = [from % (text.length + 1), to % (text.length + 1)].sort((a, b) => a - b);
          sound(readReport(text.slice(start, end), 1, kind));
          sound(readReport(text.slice(0, start) + noise + text.slice(end), 0, kind));
        },
      ),
      { numRuns: 600 },
    );
  });
  const MEGABYTE = 1024 * 1024;
  const fill = (part: string): string => part.repeat(Math.ceil(MEGABYTE / part.length));
  test.each<readonly [string, string]>([
    ['one line of results', `1..1\nok ${fill(' - #')}`],
    ['one line of escapes', fill('\u001b[')],
    ['unclosed titles', fill('\u001b]0;')],
    ['places', fill('a:1:1: b [Error/')],
    ['brackets', fill('a(1,1): ')],
    ['panics', fill("thread 'a' panicked at 'b', c:1:1\n")],
    ['panics in one line', `thread 'a' panicked at ${fill("', ")}`],
    ['results with open diagnostics', fill('not ok 1 - a\n  ---\n')],
    ['nested results', Array.from({ length: 1400 }, (_, depth) => `${' '.repeat(depth)}not ok 1\n${' '.repeat(depth + 2)}---\n`).join('')],
    ['titles', `FAIL a\n${fill('  \u25cf a\n')}Test Suites: 1 failed, 1 total\nTests:       1 failed, 1 total\n`],
    ['a short summary', `${fill('___ a ___\n')}= short test summary info =\n${fill('FAILED a::a\n')}1 failed in 1s\n`],
    [
      'slashes',
      Array.from({ length: 600 }, (_, index) => `--- FAIL: T${index}${'/a'.repeat(900)} (0.00s)`).join('\n') + '\nFAIL\tp\t0.1s\n',
    ],
    ['open elements', `<testsuites>${fill('<a>')}`],
    ['attributes', `<testsuites><a ${fill('b="c" ')}`],
    ['comments', `<testsuites>${fill('<!-- ')}`],
    ['declarations', fill('<?xml ?>\n')],
    ['events', fill('{"Action":"fail","Package":"p","Test":"t/t"}\n')],
    ['underscores', fill('___ ')],
    ['line ends', fill('\r')],
  ])('%s of a megabyte does not take long', (_name, output) => {
    const before = process.cpuUsage();
    for (const kind of ['test', 'lint'] as const) sound(readReport(output, 1, kind));
    // Ten times what it takes on a slow machine; what is quadratic takes minutes.
    expect(process.cpuUsage(before).user / 1e6).toBeLessThan(10);
  });
});
