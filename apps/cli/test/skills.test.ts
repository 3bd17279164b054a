/**
 * Skills from the command line: what a run is bound to narrows its writ whatever the writ says, is shown to the model, and is derived again by deep
 * verification. Bad files and parameters are refused before anything is opened. Through the bundle.
 */
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { writeFileSync } from 'node:fs';
import type { Ended } from './cli.ts';
import { rewrite } from './forger.ts';
import { patchSum } from './place.ts';
import { fine, initialised, inOnePlace, openexec, place, provider } from './scene.ts';

const TIME_MS = 120_000;
const DOCS = `name: docs
version: 2
title: Documents only
instructions: |
  Write for {reader}. Change nothing but documents.
actions: [apply_patch, read_file, list_files, model.ask, run_tests, commit_changes]
writePaths: [docs/**, README.md]
budget: {calls: 12}
params:
  - {key: reader, default: beginners, values: [beginners, experts], description: who reads it}
`;

inOnePlace(async () => {
  await initialised();
  place.write('.openexec/skills/docs.yaml', DOCS);
  place.write('.openexec/skills/quiet.yaml', 'name: quiet\nversion: 1\ntitle: Says nothing\nceiling: [read, write]\n');
});

const json = <T>(ended: Ended): T => JSON.parse(ended.stdout) as T;

describe('a run that is bound to a skill', () => {
  test(
    'is denied what the skill holds back although writ and policy would allow it, and its instructions reach the model with their parameter',
    async () => {
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'I may not' });
      const ended = await openexec('run', 'Say how it is installed', '--skill', 'docs', '--skill-param', 'reader=experts', '--json');
      expect(ended.exit).not.toBe(0);
      const said = JSON.stringify(provider.requests[0]?.messages);
      expect(said).toContain('Write for experts. Change nothing but documents.');
      expect(JSON.stringify(provider.requests[1]?.messages)).toContain('does not grant writePaths sum.js');
      expect(place.git('branch', '--list', 'openexec/*')).toBe('');
      const shown = json<{ law: { skills: readonly object[]; writ: { writePaths: readonly string[] } } }>(
        await fine('show', 'latest', '--json'),
      );
      expect(shown.law.skills).toEqual([expect.objectContaining({ name: 'docs', version: 2, params: { reader: 'experts' } })]);
      // The signed writ is as wide as ever: it is the skill that holds back.
      expect(shown.law.writ.writePaths).toEqual(['**']);
      expect((await fine('show', 'latest')).stdout).toMatch(
        /skill +docs version 2 sha256:[0-9a-f]{64} with reader=experts: narrows the writ/,
      );
      await fine('verify', '--deep');
      await fine('replay', 'latest');
    },
    TIME_MS,
  );

  test(
    'opened by a forger as if no skill had been bound, is found by deep verification',
    async () => {
      const target = join(place.folder, 'forged/ledger.db');
      const { fingerprint } = json<{ fingerprint: string }>(await fine('ledger', 'info', '--json'));
      const stateFolder = join(place.state, fingerprint.slice('sha256:'.length, 'sha256:'.length + 32));
      await rewrite({
        source: join(place.root, '.openexec/ledger.db'),
        target,
        stateFolder,
        change: ({ entry }, payload) => {
          if (entry.kind !== 'run.opened') return payload;
          const { skills: _, ...rest } = payload as { readonly skills?: unknown };
          return rest;
        },
      });
      const found = await openexec('verify', '--deep', '--ledger', `sqlite:${target}`, '--json');
      expect([found.exit, json<{ sound: boolean; deep: { totals: { divergences: number } } }>(found)]).toMatchObject([
        21,
        { sound: true, deep: { totals: { divergences: expect.any(Number) } } },
      ]);
    },
    TIME_MS,
  );

  test(
    'to two of them has what both let through: an effect that one holds back ends it before the model is asked',
    async () => {
      const before = provider.requests.length;
      const ended = await openexec('run', 'Say more', '--skill', 'docs', '--skill', '.openexec/skills/quiet.yaml', '--json');
      expect([ended.exit, json<{ because: { code: string } }>(ended).because.code]).toEqual([10, 'writ.effect']);
      expect(provider.requests).toHaveLength(before);
      await fine('verify', '--deep');
    },
    TIME_MS,
  );
});

describe('a run that is bound while it is open', () => {
  test(
    'has less from there on, over a kill and a resume: the model is told, and what it could do before is denied',
    async () => {
      place.write(
        '.openexec/skills/late.yaml',
        'name: late\nversion: 3\ntitle: Late\ninstructions: Leave {what} alone.\nwritePaths: [docs/**]\nparams: [{key: what}]\n',
      );
      const asked = provider.requests.length;
      let answer: () => void = () => undefined;
      provider.say(
        { calls: [patchSum('-', '+')], after: new Promise<void>((resolve) => (answer = resolve)) },
        { calls: [patchSum('+', '*')] },
        { text: 'I may not' },
      );
      const running = openexec('run', 'Change the sum', '--json');
      await provider.arrived(asked + 1);
      const bound = json<{ run: string; seq: number; skill: { name: string; version: number } }>(
        await fine('skill', 'bind', 'latest', 'late', '--skill-param', 'what=the code', '--because', 'documents only', '--json'),
      );
      expect(bound.skill).toMatchObject({ name: 'late', version: 3 });
      answer();
      expect((await running).exit).not.toBe(0);
      // The answer came before the model could know: its patch is judged under the narrower writ all the same.
      const said = JSON.stringify(provider.requests[asked + 1]?.messages);
      expect(said).toContain('does not grant writePaths sum.js');
      expect(said).toContain('Leave the code alone.');
      const events = (await fine('timeline', bound.run, '--jsonl')).stdout
        .trim()
        .split('\n')
        .map(
          (line) =>
            JSON.parse(line) as {
              seq: number;
              kind: string;
              cause: number | null;
              body: { why?: string; params?: object; because?: string };
            },
        );
      expect(events.find(({ seq }) => seq === bound.seq)).toMatchObject({
        kind: 'skill.bound',
        body: { params: { what: 'the code' }, because: 'documents only' },
      });
      expect(events.filter(({ cause }) => cause === bound.seq)[0]).toMatchObject({ kind: 'fact.noted', body: { why: 'skill.bound' } });
      expect((await fine('show', bound.run)).stdout).toMatch(
        /skill +late version 3 sha256:[0-9a-f]{64} with what=the code: narrows the writ/,
      );
      await fine('verify', '--deep');
      await fine('replay', bound.run);
    },
    TIME_MS,
  );

  test(
    'only while it is open, to what is a skill, with its parameters: anything else is refused and nothing is appended',
    async () => {
      const before = json<{ size: string | number }>(await fine('ledger', 'info', '--json')).size;
      const rows: readonly (readonly [string, readonly string[]])[] = [
        ['run.closed', ['latest', 'quiet']],
        ['skill.unknown', ['latest', 'dosc']],
        ['skill.params', ['latest', 'late']],
        ['run.unknown', ['0123456789ab', 'quiet']],
      ];
      for (const [code, args] of rows) {
        const ended = await openexec('skill', 'bind', ...args, '--json');
        expect({ args, code: json<{ error?: { code: string } }>(ended).error?.code }).toEqual({ args, code });
      }
      expect(json<{ size: string | number }>(await fine('ledger', 'info', '--json')).size).toEqual(before);
    },
    TIME_MS,
  );
});

test(
  'what is no skill, has a wrong parameter or is not there is refused with its code and place, and opens nothing',
  async () => {
    const runs = json<{ runs: readonly object[] }>(await fine('runs', '--json')).runs.length;
    const file = (name: string, text: string): string => {
      const path = join(place.folder, name);
      writeFileSync(path, text);
      return path;
    };
    const head = 'name: x\nversion: 1\ntitle: X\n';
    const rows: readonly (readonly [string, string, readonly string[]])[] = [
      ['skill.unknown', 'did you mean docs?', ['--skill', 'dosc']],
      ['config.invalid', 'there is no such file', ['--skill', './none.yaml']],
      ['skill.invalid', 'version', ['--skill', file('unversioned.yaml', 'name: x\ntitle: X\n')]],
      ['skill.invalid', 'toolz', ['--skill', file('strange.yaml', `${head}toolz: [a]\n`)]],
      ['skill.invalid', 'writePaths.0', ['--skill', file('path.yaml', `${head}writePaths: [/etc/**]\n`)]],
      ['skill.invalid', 'ceiling.0', ['--skill', file('effect.yaml', `${head}ceiling: [everything]\n`)]],
      ['skill.invalid', 'skill.paramTwice', ['--skill', file('twice.yaml', `${head}params: [{key: a}, {key: a}]\n`)]],
      ['config.invalid', 'not YAML', ['--skill', file('broken.yaml', 'name: [')]],
      ['skill.params', 'one of: beginners, experts', ['--skill', 'docs', '--skill-param', 'reader=nobody']],
      ['skill.params', 'no skill of this run has a parameter other', ['--skill', 'docs', '--skill-param', 'other=1']],
      ['skill.params', 'has no default', ['--skill', file('open.yaml', `${head}params: [{key: a}]\n`)]],
    ];
    for (const [code, words, args] of rows) {
      const ended = await openexec('run', 'x', ...args, '--json');
      const { error } = json<{ error?: { code: string; message: string } }>(ended);
      expect({ args, exit: ended.exit, code: error?.code }).toEqual({ args, exit: 2, code });
      expect(error?.message).toContain(words);
    }
    expect((await openexec('run', 'x', '--skill-param', 'nothing')).exit).toBe(2);
    expect(json<{ runs: readonly object[] }>(await fine('runs', '--json')).runs).toHaveLength(runs);
    const checked = await fine('skill', 'check', 'quiet');
    expect(checked.stdout).toContain('held back: model.ask');
    expect((await fine('skill', 'list')).stdout).toContain('docs  version 2  Documents only');
    expect((await fine('skill', 'show', 'docs')).stdout).toContain(
      'parameter reader: who reads it; else "beginners"; one of beginners, experts',
    );
  },
  TIME_MS,
);
