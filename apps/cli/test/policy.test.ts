/**
 * The policy commands: what is wrong with a bundle and where, which rule each example sets off, why a run was decided as it was, what is in force.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { Ended } from './cli.ts';
import { patchScripts } from './place.ts';
import { inEachPlace, openexec, place, provider } from './scene.ts';

const TIME_MS = 240_000;

inEachPlace(() => undefined);

const GOOD = `version: 1
name: good
rules:
  - id: deny-docs
    when: {field: paths.write, op: anyUnder, value: docs}
    decide: deny
    because: documents are written by people
    examples:
      match: [{paths: {write: [docs/a.md]}}]
      noMatch: [{paths: {write: [src/a.ts]}}]
`;

describe('policy check', () => {
  test('names every problem of every file with line and column, and passes a sound one', async () => {
    place.write('good.yaml', GOOD);
    place.write(
      'bad.yaml',
      GOOD.replace('anyUnder', 'anyUnda').replace('decide: deny', 'decide: denied').replace('name: good', 'nome: good'),
    );
    place.write('worse.json', '{"version": 1, "version": 2}');
    const ended = await openexec('policy', 'check', 'good.yaml', 'bad.yaml', 'worse.json', 'none.yaml');
    expect(ended.exit).toBe(2);
    expect(ended.stdout).toContain('good.yaml: good is sound: 1 rules');
    expect(ended.stdout).toMatch(/bad\.yaml:5:\d+: .*did you mean anyUnder\?/);
    expect(ended.stdout).toMatch(/bad\.yaml:6:\d+: .*decide is permit, deny/);
    expect(ended.stdout).toMatch(/bad\.yaml:2:\d+: .*unknown key nome/);
    expect(ended.stdout).toMatch(/worse\.json:1:\d+: this key stands here twice/);
    expect(ended.stdout).toContain('none.yaml: there is no such file');
    const sound = await openexec('policy', 'check', 'good.yaml', '--json');
    expect([sound.exit, JSON.parse(sound.stdout)]).toMatchObject([
      0,
      { sound: true, files: [{ file: 'good.yaml', name: 'good', problems: [] }] },
    ]);
  });
});

describe('policy test', () => {
  test('runs each example, tells which rules it set off, and fails with the place of one that does not hold', async () => {
    place.write('good.yaml', GOOD);
    const good = await openexec('policy', 'test', 'good.yaml');
    expect([good.exit, good.stdout]).toEqual([0, expect.stringMatching(/ok {3}deny-docs match\.0: deny-docs → deny; in all deny/)]);
    place.write('bad.yaml', GOOD.replace('docs/a.md', 'doc/a.md'));
    const bad = await openexec('policy', 'test', 'bad.yaml');
    expect([bad.exit, bad.stdout]).toEqual([1, expect.stringMatching(/bad\.yaml:9:\d+: rule deny-docs: example match\.0 does not match/)]);
    const json = JSON.parse((await openexec('policy', 'test', 'bad.yaml', '--json')).stdout) as object;
    expect(json).toMatchObject({
      failed: 1,
      files: [
        {
          examples: [
            { list: 'match', passed: false, hits: [] },
            { list: 'noMatch', passed: true },
          ],
        },
      ],
    });
    const junit = await openexec('policy', 'test', 'good.yaml', 'bad.yaml', '--junit');
    expect(junit.exit).toBe(1);
    expect(junit.stdout).toMatch(/<testsuite name="good" tests="2" failures="1" errors="0">/);
    expect(junit.stdout.match(/<testcase /g)).toHaveLength(4);
    expect(junit.stdout.match(/<failure message="rule deny-docs: example match\.0 does not match the rule"/g)).toHaveLength(1);
    place.write('broken.yaml', GOOD.replace('value: docs', 'value: 7'));
    expect((await openexec('policy', 'test', 'broken.yaml')).exit).toBe(2);
  });
});

describe('policy explain and list', () => {
  test(
    'tell why a run was decided so, rule by rule, and what would be said about an action in a file',
    async () => {
      expect((await openexec('init', '--model', 'openai:gpt-test')).exit).toBe(0);
      place.write('.openexec/policy/docs.yaml', GOOD);
      provider.say({ calls: [patchScripts()] });
      expect((await openexec('run', 'Give it a script', '--json')).exit).toBe(11);
      const all = JSON.parse((await openexec('policy', 'explain', 'latest', '--json')).stdout) as {
        decisions: readonly { seq: number; intentSeq: number | null; verdict: string; subject: string }[];
      };
      expect(all.decisions.map(({ verdict }) => verdict)).toEqual(['permit', 'approve']);
      const asked = all.decisions[1];
      for (const seq of [asked?.seq, asked?.intentSeq]) {
        const text = (await openexec('policy', 'explain', 'latest', String(seq))).stdout;
        expect(text).toContain('approve by shipped/ask-auto-run');
        expect(text).toContain('layer shipped: approve');
        expect(text).toContain('layer project: abstain');
        expect(text).toMatch(/rule shipped\/ask-auto-run: true, says approve \(the path is run or obeyed/);
        expect(text).not.toContain('model.ask openai');
      }
      expect((await openexec('policy', 'explain', 'latest', '0')).exit).toBe(2);
      expect((await openexec('policy', 'explain')).exit).toBe(2);
      const file = join(place.folder, 'wish.json');
      const wish = async (text: string): Promise<Ended> => {
        writeFileSync(file, text);
        return openexec('policy', 'explain', '--action', file);
      };
      const patch = patchScripts().arguments;
      expect((await wish(JSON.stringify({ action: 'apply_patch', arguments: patch }))).stdout).toContain('approve by shipped/ask-auto-run');
      const docs = await wish('{"action": {"name": "apply_patch", "effect": "write"}, "paths": {"read": [], "write": ["docs/a.md"]}}');
      expect(docs.stdout).toContain('deny by project/deny-docs: documents are written by people');
      const open = await wish('{"action": {"name": "apply_patch", "effect": "write"}}');
      expect(open.stdout).toContain('rule project/deny-docs: unknown (unknown: paths.write), says deny');
      expect((await wish('{"actoin": "x"}')).stderr).toContain('did you mean action?');
      expect((await wish('{"action": "fly"}')).exit).toBe(2);
      // What the law adopts joins, with its own words.
      expect((await openexec('policy', 'adopt', 'regulated')).exit).toBe(0);
      const listed = JSON.parse((await openexec('policy', 'list', '--json')).stdout) as {
        layers: readonly { layer: string; name: string }[];
      };
      expect(listed.layers.map(({ layer, name }) => `${layer}/${name}`)).toEqual(['operator/regulated', 'project/good']);
      const bound = await openexec('policy', 'explain', '--action', file, '--json');
      expect(bound.exit).toBe(2);
      const commit = await wish(
        '{"action": {"name": "commit_changes", "effect": "external"}, "arguments": {}, "paths": {"read": [], "write": []}, "change": {"paths": [], "autoRun": false}, "hosts": []}',
      );
      expect(commit.stdout).toContain('approve by operator/ask-every-commit');
      expect(commit.stdout).toContain('approval: 2 of approver, key held by passphrase or better');
      expect((await openexec('verify', '--deep')).exit).toBe(0);
    },
    TIME_MS,
  );
});
