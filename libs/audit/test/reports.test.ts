/**
 * Reports in bundles over real runs: of their schemas, the same bytes each time, nothing of what is withheld in any of them, and nothing that anybody wrote
 * into a ledger is markup, script or an unseen character in a page. PROTOCOL §11.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { type Bytes, digestOf, type TrajectoryId, utf8Decode, utf8Encode } from '@openexec/canon';
import { FIX_LOOP, House, ONE_AGENT, RunDriver, writeFile } from '@openexec/kernel/fixture';
import { gitBlobId } from '@openexec/proof';
import { type AuditReport, auditReport } from '@openexec/protocol';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { Ajv } from 'ajv';
import fc from 'fast-check';
import type { BundleOrder } from '../src/index.ts';
import { escaped, visible } from '../src/report/escape.ts';
import { htmlOf } from '../src/report/html.ts';
import { junitOf } from '../src/report/junit.ts';
import { sarifOf } from '../src/report/sarif.ts';
import { bundleOf, check, type Files, RUNS } from './bundles.ts';

const ROOT = join(import.meta.dirname, '../../..');
const SECRET = 'the quick brown secret\n';
/** The base of the house's runs has this file; a repository at hand would give it by its id. */
const BASE = utf8Encode('export const a = 1;\n');
const baseFile = (oid: string): Promise<Bytes | null> => Promise.resolve(oid === gitBlobId(BASE, 'sha1') ? BASE : null);
const REPORTS = { reports: { baseFile } };
const NAMES = ['report.json', 'report.html', 'results.sarif', 'junit.xml'];

let house: House;
let done: TrajectoryId;
let open: TrajectoryId;

beforeAll(async () => {
  house = await House.found();
  const one = await RunDriver.open(house, { blueprint: FIX_LOOP });
  await one.play({
    answers: [[writeFile('src/a.ts', SECRET)], 'written', [writeFile('src/b.ts', 'export const b = 3;\n')], 'again'],
    tests: [false, true],
  });
  done = one.run;
  const two = await RunDriver.open(house, { blueprint: ONE_AGENT });
  await two.answer([
    { name: 'write_file', arguments: { path: '../outside', content: 'x' } },
    { name: 'no_such_action', arguments: {} },
  ]);
  open = two.run;
});

const text = (files: Files, path: string): string => {
  const read = utf8Decode(files.get(path) ?? new Uint8Array());
  if (!read.ok || read.value === '') throw new Error(path);
  return read.value;
};
const reportIn = (files: Files): AuditReport => auditReport.parse(JSON.parse(text(files, 'report.json')));
const bundle = (more: Partial<BundleOrder> = {}) => bundleOf(house, RUNS(done, open), { ...REPORTS, ...more });

describe('the reports of a bundle', () => {
  test('are parts of it, of their published schema, sound under the manifest, and the same bytes twice', async () => {
    const [{ files }, again] = [await bundle(), await bundle()];
    for (const name of [...NAMES, `changes/${done.slice(4)}.patch`, `changes/${done.slice(4)}.reverse.patch`])
      expect({ name, digest: digestOf(files.get(name) ?? new Uint8Array()) }).toEqual({
        name,
        digest: digestOf(again.files.get(name) ?? utf8Encode('nothing')),
      });
    const report = await check(files, { trust: house.fingerprint });
    expect([report.sound, report.findings]).toEqual([true, []]);
    const schema = JSON.parse(readFileSync(join(ROOT, 'schemas/audit-report.schema.json'), 'utf8')) as object;
    const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(schema);
    expect([validate(JSON.parse(text(files, 'report.json'))), validate.errors]).toEqual([true, null]);
    expect(validate({ ...(JSON.parse(text(files, 'report.json')) as object), more: 1 })).toBe(false);
  });

  test('are not there when nobody wants them', async () => {
    const { files } = await bundle({ reports: null });
    expect(NAMES.filter((name) => files.has(name))).toEqual([]);
    expect([...files.keys()].some((name) => name.startsWith('changes/'))).toBe(false);
  });

  test('tell what the entries say: stages, verdicts, checks, files, cost, and that it follows from the facts', async () => {
    const { files } = await bundle();
    const { runs } = reportIn(files);
    const [first, second] = runs;
    expect(first).toMatchObject({
      run: done,
      outcome: 'done',
      governed: false,
      selfTest: null,
      counts: { checks: 2, checksPassed: 1 },
      judgedAgain: { verdict: 'agrees', divergences: [] },
      change: { tests: { run: 2, passed: 1, lastNotPassed: [] }, backOut: `changes/${done.slice(4)}.reverse.patch` },
      unreadable: [],
    });
    expect(first?.files?.map(({ path, change }) => `${change} ${path}`)).toEqual(['modified src/a.ts', 'added src/b.ts']);
    expect(first?.intents.filter(({ end }) => end === 'committed').length).toBe(first?.counts.committed);
    expect(first?.change.gaps.join('\n')).toMatch(/not governed/);
    expect(second).toMatchObject({ run: open, outcome: 'open', patch: null, counts: { intents: 2 } });
    expect(second?.intents.map(({ verdict }) => verdict)).toEqual(['deny', 'deny']);
  });

  test('have no patch where a base file is not at hand or is another one, and name it', async () => {
    for (const other of [() => Promise.resolve(null), () => Promise.resolve(utf8Encode('another\n'))]) {
      const { files } = await bundle({ reports: { baseFile: other } });
      const [run] = reportIn(files).runs;
      expect([run?.patch, run?.absent.map(({ path }) => path), run?.change.backOut]).toEqual([null, ['src/a.ts'], null]);
      expect([...files.keys()].some((name) => name.startsWith('changes/'))).toBe(false);
    }
  });

  test('hold nothing of what is withheld, and name it', async () => {
    const everything = ({ files }: { files: Files }): string =>
      [...files].flatMap(([name]) => (NAMES.includes(name) || name.startsWith('changes/') ? [text(files, name)] : [])).join('\n');
    // The control: it is there while nobody keeps it back.
    expect(everything(await bundle())).toContain(SECRET.trim());
    const task = reportIn((await bundle()).files).runs[0]?.task?.text ?? '';
    expect(task.length).toBeGreaterThan(3);
    const held = await bundle({ withhold: { payload: ({ kind }) => kind === 'policy.decided', blob: () => true } });
    expect((await check(held.files)).findings).toEqual([]);
    expect(everything(held)).not.toContain(SECRET.trim());
    expect(text(held.files, 'report.json')).not.toContain(task);
    const report = reportIn(held.files);
    expect(report.withheld.payloads.length).toBe(held.built.withheldPayloads);
    expect(report.runs[0]).toMatchObject({ task: { text: null }, files: null, patch: null, judgedAgain: { verdict: 'notDerivable' } });
    expect(report.runs[0]?.intents.every(({ verdict }) => verdict === null)).toBe(true);
    expect(report.runs[0]?.unreadable.map(({ because }) => because)).toContain('withheld');
    expect([...held.files.keys()].some((name) => name.startsWith('changes/'))).toBe(false);
  });

  test('of a range tell of no run whose opening is not in it', async () => {
    const { size } = await house.store.head();
    const { files } = await bundleOf(house, { is: 'range', from: Number(size) - 3, to: Number(size) }, REPORTS);
    const { runs, notReported } = reportIn(files);
    expect([runs, notReported]).toEqual([[], [{ run: open, because: 'its opening is not in the bundle' }]]);
    expect((await check(files)).findings).toEqual([]);
  });
});

describe('results.sarif', () => {
  test('is of the published schema, and has what was denied and what did not pass, each with its entry', async () => {
    const { files } = await bundle();
    const schema = JSON.parse(readFileSync(join(ROOT, 'test-fixtures/sarif/sarif-2.1.0.schema.json'), 'utf8')) as object;
    expect(schema).toHaveProperty('definitions.result');
    const validate = new Ajv({ strict: false, validateFormats: false, unicodeRegExp: false }).compile(schema);
    const log = JSON.parse(text(files, 'results.sarif')) as { runs: [{ results: { ruleId: string; message: { text: string } }[] }] };
    expect([validate(log), validate.errors]).toEqual([true, null]);
    expect(validate({ ...log, version: '2.0.0' })).toBe(false);
    const found = log.runs[0].results.map(({ ruleId }) => ruleId);
    expect(found).toContain('OX001');
    expect(found).toContain('OX003');
  });

  test('says undeclared effects with their paths, and what diverges', async () => {
    const report = reportIn((await bundle()).files);
    const [run] = report.runs;
    if (run === undefined) throw new Error('no run');
    const undeclared = {
      seq: 9,
      action: 'test',
      paths: ['a b/ü.ts'],
      networkAttempts: 2,
      because: { code: 'effect.undeclared', message: 'm' },
    };
    const divergence = { seq: 4, what: 'payload', expected: 'x', recorded: null };
    const judgedAgain = { verdict: 'diverges' as const, judgements: 1, divergences: [divergence], omitted: 0 };
    const log = JSON.stringify(sarifOf({ ...report, runs: [{ ...run, undeclared: [undeclared], judgedAgain }] }));
    expect(log).toContain('"uri":"a%20b/%C3%BC.ts"');
    expect(log).toContain('2 attempts at the network');
    expect(log).toContain('payload: expected x, recorded nothing');
  });
});

describe('junit.xml', () => {
  test('has a suite for each run, and the last verdict of each stage and command', async () => {
    const { files } = await bundle();
    const xml = text(files, 'junit.xml');
    expect(xml.match(/<testsuite /g)).toHaveLength(2);
    expect(wellFormed(xml)).toBe(true);
    expect(wellFormed(xml.replace('</testsuite>', ''))).toBe(false);
    // The command failed once and passed at last: one case, passed, the earlier attempt in its output.
    expect(xml).toMatch(/<testcase [^>]*>\s*<system-out>entry \d+, visit 1: failed/);
    expect(xml).toMatch(/tests="\d+" failures="0" errors="\d+"/);
  });
});

/** Every element is closed by its own end, attributes are quoted, and nothing else looks like markup. */
function wellFormed(xml: string): boolean {
  const open: string[] = [];
  const rest = xml.replace(
    /<\?xml [^?]*\?>|<(\/?)([a-z-]+)((?: [a-z]+="[^"<]*")*)(\/?)>/g,
    (_, end, name: string | undefined, __, empty) => {
      if (name === undefined) return '';
      if (end === '/') return open.pop() === name ? '' : '<';
      if (empty !== '/') open.push(name);
      return '';
    },
  );
  return open.length === 0 && !rest.includes('<') && !/&(?!(?:amp|lt|gt|quot|#39);)/.test(xml);
}

const HOSTILE = [
  '</style>',
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  "' onmouseover='x",
  '<!--',
  ']]>',
  '&lt;b&gt;',
  '\u202ereversed\u202c',
  '\u2066\u2069\u200b\ufeff\u00ad',
  '\u0000\u0007\u001b[31m\u009b',
  '\u{e0041}\u2028',
  'javascript:alert(1)',
];
/** Every text of the report that is not bound to a form, in another's words. */
function rewritten<T>(value: T, word: (at: number) => string, at = { next: 0 }): T {
  if (typeof value === 'string') return (/^[a-zA-Z0-9:._/-]*$/.test(value) ? value : word(at.next++)) as T;
  if (Array.isArray(value)) return value.map((each: unknown) => rewritten(each, word, at)) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, rewritten(each as unknown, word, at)])) as T;
}
const tags = (html: string): readonly string[] => html.match(/<[^>]*>/g) ?? [];
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e007f}]/u;

describe('report.html', () => {
  let report: AuditReport;
  beforeAll(async () => {
    const made = reportIn((await bundle()).files);
    const violation = { seq: 1, why: 'fact.stray', message: 'a message of words' };
    const undeclared = { seq: 9, action: 'run tests', paths: ['a b/c'], networkAttempts: 2, because: { code: 'x.y', message: 'of words' } };
    report = { ...made, runs: made.runs.map((run) => ({ ...run, violations: [violation], undeclared: [undeclared] })) };
  });

  test('refers to nothing outside, runs nothing, has a heading for every section and a caption for every table', async () => {
    const html = text((await bundle()).files, 'report.html');
    expect(html).toContain(`content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"`);
    expect(html).not.toMatch(/<script|<link|<img|<iframe|<object|<form|@import|url\(|\son[a-z]+=|(?:src|action)=|href="(?!#)/i);
    expect(html.match(/<table>/g)?.length).toBe(html.match(/<caption>/g)?.length);
    expect(html).toMatch(/prefers-color-scheme:dark[\s\S]*@media print/);
    expect(html).toContain('+export const b = 3;');
    expect(html).toContain('never means that the control is met');
    for (const [, id] of html.matchAll(/aria-labelledby="([^"]+)"/g)) expect(html).toContain(`id="${id}"`);
    // Not one control is said to be met.
    expect(html).not.toMatch(/\bcompliant\b/i);
  });

  test('has the same markup whatever the ledger says, and no character that nobody sees', () => {
    const benign = htmlOf(
      rewritten(report, () => 'words'),
      new Map([[done, { text: 'words', whole: true }]]),
    );
    let seen = 0;
    const word = fc.oneof(fc.constantFrom(...HOSTILE), fc.string({ unit: 'binary', minLength: 1, maxLength: 80 }));
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 20 }), (words) => {
        const hostile = (at: number): string => {
          seen += 1;
          return words[at % words.length] ?? '';
        };
        const html = htmlOf(rewritten(report, hostile), new Map([[done, { text: words.join('\n'), whole: true }]]));
        expect(tags(html)).toEqual(tags(benign));
        expect(html).not.toMatch(UNSEEN);
      }),
      { numRuns: 60 },
    );
    expect(seen).toBeGreaterThan(1000);
  });

  test('stays bounded: a long text is cut, and says where the rest is', () => {
    const [run, ...others] = report.runs;
    if (run === undefined) throw new Error('no run');
    const note = { seq: 3, why: 'x', message: 'm'.repeat(5000) };
    const html = htmlOf({ ...report, runs: [{ ...run, violations: Array.from({ length: 900 }, () => note) }, ...others] }, new Map());
    expect(html).toContain('report.json has it');
    expect(html.length).toBeLessThan(400_000);
    const change: Bytes = utf8Encode('+'.repeat(200_000));
    expect(htmlOf(report, new Map([[done, { text: '+'.repeat(change.length), whole: true }]])).length).toBeLessThan(300_000);
  });

  test('the same words are harmless in XML and SARIF', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constantFrom(...HOSTILE), fc.string({ unit: 'binary' })), { minLength: 1 }), (words) => {
        const hostile = rewritten(report, (at) => words[at % words.length] ?? '');
        const xml = junitOf(hostile);
        expect(wellFormed(xml)).toBe(true);
        expect(xml).not.toMatch(UNSEEN);
      }),
      { numRuns: 40 },
    );
    expect(visible('a\u202eb\n')).toBe('a\\u{202e}b\n');
    expect(escaped('<&"\'>')).toBe('&lt;&amp;&quot;&#39;&gt;');
  });
});
