/**
 * A candidate policy over a recorded past, through the bundle: table, JSON, SARIF against its schema, JUnit against its grammar, and the exit code that a
 * pipeline reads. First 7 of GOALS §2.
 */
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { Ajv } from 'ajv';
import { patchScripts, patchSum } from './place.ts';
import { fine, initialised, inOnePlace, openexec, place, provider } from './scene.ts';

const HOUSE = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const TIME_MS = 180_000;

interface Simulated {
  readonly decisions: number;
  readonly missed: number;
  readonly widened: number;
  readonly narrowed: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly runs: readonly { readonly run: string; readonly notDerivable: { readonly code: string; readonly missed: number } | null }[];
  readonly changed: readonly { readonly run: string; readonly seq: number; readonly subject: string; readonly change: string }[];
}

inOnePlace(async () => {
  await initialised();
  provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
  await fine('run', 'Make sum add', '--json');
  provider.say({ calls: [patchScripts()] });
  expect((await openexec('run', 'Give it a script', '--json')).exit).toBe(11);
  place.write('no-scripts.yaml', NO_SCRIPTS);
  place.write('loose.yaml', LOOSE);
});

async function simulated(...args: readonly string[]): Promise<Simulated> {
  return JSON.parse((await openexec('policy', 'simulate', ...args, '--json')).stdout) as Simulated;
}

const NO_SCRIPTS = `version: 1
name: no-scripts
rules:
  - id: deny-package
    when: {field: paths.write, op: anyNamed, value: package.json}
    decide: deny
    because: "nobody <but> a person & a half changes package.json"
    examples:
      match: [{paths: {write: [package.json]}}]
      noMatch: [{paths: {write: [src/a.ts]}}]
`;
const LOOSE = `version: 1
name: loose
rules:
  - id: permit-all
    when: {field: action.name, op: exists, value: true}
    decide: permit
    because: whatever
    examples:
      match: [{action: {name: read_file}}]
      noMatch: [{}]
`;

/** Elements of a document as their opening tags, in order; throws where it is not well formed. */
function elementsOf(
  xml: string,
): readonly { readonly name: string; readonly inside: string; readonly attributes: Record<string, string> }[] {
  const open: string[] = [];
  const found: { name: string; inside: string; attributes: Record<string, string> }[] = [];
  const rest = xml
    .replace(/^<\?xml version="1\.0" encoding="UTF-8"\?>\n/, '')
    .replace(/<(\/?)([a-z]+)((?: [a-z]+="[^"<>]*")*)(\/?)>/g, (_tag, ...parts) => {
      const [closing, name, text, alone] = parts as string[];
      if (closing === '/') {
        if (open.pop() !== name) throw new Error(`</${name}> closes nothing`);
        return '';
      }
      const attributes = Object.fromEntries(
        [...(text ?? '').matchAll(/ ([a-z]+)="([^"]*)"/g)].map(([, key = '', value = '']) => [key, value]),
      );
      found.push({ name: name ?? '', inside: open.at(-1) ?? '', attributes });
      if (alone !== '/') open.push(name ?? '');
      return '';
    });
  if (open.length > 0 || /[<>]|&(?!amp;|lt;|gt;|quot;)/.test(rest)) throw new Error(`not well formed: ${rest.slice(0, 200)}`);
  return found;
}

describe('policy simulate', () => {
  test(
    'says per decision what a narrower and a wider policy would change, over all runs, one, or a range, and fails a pipeline that asks for it',
    async () => {
      const all = await simulated('no-scripts.yaml', '--layer', 'project');
      expect(all.runs).toHaveLength(2);
      expect(all.changed).toEqual([expect.objectContaining({ subject: 'apply_patch', change: 'newlyDenies', run: all.runs[1]?.run })]);
      expect(all).toMatchObject({ narrowed: 1, widened: 0, missed: 0, counts: { same: all.decisions - 1, newlyDenies: 1 } });
      const first = all.runs[0]?.run.slice('run/'.length) ?? '';
      const one = await simulated('no-scripts.yaml', first, '--layer', 'project');
      expect([one.changed, one.runs.length]).toEqual([[], 1]);
      expect((await simulated('no-scripts.yaml', '--from', 'latest', '--layer', 'project')).runs).toEqual([all.runs[1]]);
      expect((await simulated('no-scripts.yaml', '--to', first, '--layer', 'project')).runs).toEqual([all.runs[0]]);
      const table = await fine('policy', 'simulate', 'no-scripts.yaml', '--layer', 'project');
      expect(table.stdout).toMatch(/apply_patch +approve → deny {2}by project\/deny-package: nobody/);
      expect(table.stdout).toContain('1 newly denied');

      const wider = await simulated('loose.yaml');
      expect(wider).toMatchObject({ widened: 1, narrowed: 0, counts: { newlyPermits: 1 } });
      const exits: (number | null)[] = [];
      for (const [file, what] of [
        ['loose.yaml', 'widened'],
        ['loose.yaml', 'narrowed'],
        ['loose.yaml', 'changed'],
        ['solo', 'changed'],
      ] as const)
        exits.push((await openexec('policy', 'simulate', file, '--fail-on', what)).exit);
      expect(exits).toEqual([1, 0, 1, 0]);
      expect((await openexec('policy', 'simulate', 'loose.yaml', 'latest', '--from', 'latest')).exit).toBe(2);
    },
    TIME_MS,
  );

  test(
    'writes SARIF that its schema takes, with the line of the rule, and JUnit whose counts are true',
    async () => {
      const schema = JSON.parse(readFileSync(join(HOUSE, 'test-fixtures/sarif/sarif-2.1.0.schema.json'), 'utf8')) as object;
      const validate = new Ajv({ strict: false, validateFormats: false, unicodeRegExp: false }).compile(schema);
      const sarif = async (...args: readonly string[]) => {
        const report = JSON.parse((await fine('policy', 'simulate', ...args, '--sarif')).stdout) as {
          runs: { results: { level: string; ruleId: string; locations: { physicalLocation: { region: object } }[] }[] }[];
        };
        expect([validate(report), validate.errors]).toEqual([true, null]);
        return report;
      };
      const narrowed = await sarif('no-scripts.yaml', '--layer', 'project');
      expect(narrowed.runs[0]?.results).toEqual([
        expect.objectContaining({
          ruleId: 'newly-denied',
          level: 'warning',
          locations: [
            expect.objectContaining({ physicalLocation: { artifactLocation: { uri: 'no-scripts.yaml' }, region: { startLine: 4 } } }),
          ],
        }),
      ]);
      expect((await sarif('loose.yaml')).runs[0]?.results[0]).toMatchObject({ ruleId: 'newly-permitted', level: 'error' });
      // The validator notices what is not SARIF.
      expect(validate({ version: '2.1.0', runs: [{ tool: {}, results: [] }] })).toBe(false);

      const { decisions } = await simulated('no-scripts.yaml', '--layer', 'project');
      const junit = (await fine('policy', 'simulate', 'no-scripts.yaml', '--layer', 'project', '--junit')).stdout.trimEnd();
      const elements = elementsOf(junit);
      const inside: Readonly<Record<string, string>> = {
        testsuite: 'testsuites',
        testcase: 'testsuite',
        failure: 'testcase',
        skipped: 'testcase',
      };
      for (const { name, inside: where } of elements.slice(1)) expect([name, where]).toEqual([name, inside[name]]);
      const named = (name: string) => elements.filter((each) => each.name === name);
      expect([elements[0]?.name, named('testsuite').length, named('testcase').length, named('failure').length]).toEqual([
        'testsuites',
        2,
        decisions,
        1,
      ]);
      expect(named('testsuite').map(({ attributes }) => attributes['failures'])).toEqual(['0', '1']);
      expect(named('failure')[0]?.attributes['message']).toContain('nobody &lt;but&gt; a person &amp; a half');
    },
    TIME_MS,
  );

  test(
    'explains one recorded decision, and a hypothetical one, by every question with its value, and what would have to change',
    async () => {
      const { decisions } = JSON.parse((await fine('policy', 'explain', 'latest', '--json')).stdout) as {
        decisions: readonly { seq: number; verdict: string; why: object | null }[];
      };
      const asked = decisions.find(({ verdict }) => verdict === 'approve');
      expect(decisions.map(({ why }) => why)).toEqual(decisions.map(() => null));
      const text = (await fine('policy', 'explain', 'latest', String(asked?.seq))).stdout;
      expect(text).toMatch(/true: paths\.write anyNamed \[.*; it is \["package\.json"\]/);
      expect(text).toContain('rule shipped/permit-reading: false, says permit, not applied');
      expect(text).toContain('to be permitted: shipped/ask-auto-run would have to be false');
      const one = JSON.parse((await fine('policy', 'explain', 'latest', String(asked?.seq), '--json')).stdout) as object;
      const change = { field: 'paths.write', mustBe: 'false', actual: '["package.json"]' };
      const why = { toPermit: [{ rule: 'ask-auto-run', changes: [change] }] };
      expect(one).toMatchObject({ decisions: [{ seq: asked?.seq, why }] });
      const { arguments: wish } = patchScripts();
      place.write('wish.json', JSON.stringify({ action: 'apply_patch', arguments: wish }));
      expect(JSON.parse((await fine('policy', 'explain', '--action', 'wish.json', '--json')).stdout)).toMatchObject({
        verdict: 'approve',
        why,
      });
    },
    TIME_MS,
  );

  test(
    'names a run that was erased with the decisions that it could not look at',
    async () => {
      const before = await simulated('loose.yaml');
      const first = before.runs[0]?.run.slice('run/'.length) ?? '';
      await fine('ledger', 'erase', first, '--because', 'asked for');
      const after = await simulated('loose.yaml');
      expect(after.runs[0]?.notDerivable).toMatchObject({ code: 'blob.erased', missed: after.missed });
      expect(after.missed + after.decisions).toBe(before.decisions);
      const said = await openexec('policy', 'simulate', 'loose.yaml', '--fail-on', 'narrowed');
      expect(said.exit).toBe(0);
      expect(said.stderr).toMatch(/is not derivable from seq 0 \(blob\.erased\): \d+ decisions were not looked at/);
      expect((await fine('policy', 'simulate', 'loose.yaml', '--junit')).stdout).toContain('<skipped message="not derivable');
      await fine('verify', '--deep');
    },
    TIME_MS,
  );
});
