/**
 * The advisor through the bundle: what was approved twice becomes a draft that says exactly that, held against the past; what only a model named, what
 * was denied once, what was approved once does not. Nothing is adopted but by a person. GOALS E19, first 15.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from '@jest/globals';
import { patchSum, type Reply } from './place.ts';
import { fine, inEachPlace, openexec, place, provider } from './scene.ts';
import { verifies } from './verifies.ts';

const TIME_MS = 240_000;

inEachPlace(() => undefined);

const writeWhole = (path: string, content: string): NonNullable<Reply['calls']>[number] => ({
  name: 'apply_patch',
  arguments: { format: 'whole_file', path, content, rationale: 'SECRET-WORDS of the model', claimedRisk: 'none' },
});
const PACKAGE =
  '{ "name": "sample", "version": "1.0.0", "type": "module", "scripts": { "test": "node --test", "start": "node sum.js" } }\n';
/** A run that is asked about one file and answered; it is parked or done afterwards. */
async function asked(path: string, content: string, answer: 'approve' | 'deny' | null): Promise<void> {
  provider.say({ calls: [writeWhole(path, content)] });
  expect((await openexec('run', `Change ${path}`, '--json')).exit).toBe(11);
  if (answer === null) return;
  const { approvals } = JSON.parse((await fine('approvals', '--json')).stdout) as { approvals: readonly { id: string }[] };
  const id = approvals.at(-1)?.id ?? '';
  expect(approvals).toHaveLength(1);
  await fine(answer, id, ...(answer === 'deny' ? ['--because', 'not this'] : []));
  await openexec('cancel', 'latest');
}
interface Advised {
  readonly bundle: { readonly rules: readonly { readonly id: string; readonly when: object; readonly decide: unknown }[] } | null;
  readonly advice: readonly {
    readonly id: string;
    readonly kind: string;
    readonly fields: Readonly<Record<string, unknown>>;
    readonly evidence: readonly object[];
  }[];
  readonly notAdvised: readonly { readonly action: string; readonly code: string }[];
  readonly also: readonly { readonly recorded: string }[];
}
const advised = async (...args: readonly string[]) => JSON.parse((await fine('policy', 'advise', ...args, '--json')).stdout) as Advised;

describe('policy advise', () => {
  verifies(
    'E19',
    'drafts the narrowest rule for what people approved twice, shows what else it would allow, and leaves the adopting to a person',
    async () => {
      await fine('init', '--model', 'openai:gpt-test');
      await asked('package.json', PACKAGE, 'approve');
      expect(await advised()).toMatchObject({ bundle: null, advice: [], notAdvised: [{ code: 'advice.once' }] });
      await asked('package.json', PACKAGE.replace('start', 'begin'), 'approve');
      // Named by nobody but a model, however often it was approved.
      await asked('.github/workflows/PLEASE-ADOPT.yml', 'on: push\n', 'approve');
      await asked('.github/workflows/PLEASE-ADOPT.yml', 'on: pull_request\n', 'approve');
      const draft = await advised('--out', 'draft.json');
      expect(draft.notAdvised.map(({ code }) => code)).toEqual(['advice.modelNamed']);
      expect(draft.advice).toHaveLength(1);
      const [advice] = draft.advice;
      expect(advice?.fields).toMatchObject({ 'action.name': 'apply_patch', 'paths.write': ['package.json'], 'intent.author': 'model' });
      expect([advice?.kind, advice?.evidence.length, draft.also]).toEqual(['permit', 2, []]);
      const file = join(place.root, 'draft.json');
      const text = readFileSync(file, 'utf8');
      for (const word of ['SECRET-WORDS', 'PLEASE-ADOPT', 'claimedRisk', 'begin']) expect(text).not.toContain(word);
      expect((await fine('policy', 'test', 'draft.json')).stdout).toContain('permit-approved-1');
      expect(await openexec('policy', 'advise', '--out', 'draft.json')).toMatchObject({ exit: 2 });

      // Drafting changed no law: the same is asked again. It also counts towards what else the draft allows: nobody answered it.
      await asked('package.json', PACKAGE.replace('start', 'third'), null);
      await openexec('cancel', 'latest');
      const also = await advised();
      expect(also.also).toEqual([expect.objectContaining({ subject: 'apply_patch', recorded: 'approve' })]);
      expect((await fine('policy', 'advise')).stdout).toContain('also let through');

      // Adopted by a person, it lets exactly that through and nothing beside it.
      await fine('policy', 'adopt', 'draft.json');
      const fields = advice?.fields ?? {};
      const EXACT = {
        intent: { author: 'model' },
        action: { name: 'apply_patch', effect: 'write' },
        hosts: [],
        run: { blueprint: fields['run.blueprint'] },
        stage: { id: fields['stage.id'], sandbox: fields['stage.sandbox'] },
      };
      const explained = async (path: string) => {
        place.write('wish.json', JSON.stringify({ ...EXACT, paths: { read: fields['paths.read'], write: [path] } }));
        return (JSON.parse((await fine('policy', 'explain', '--action', 'wish.json', '--json')).stdout) as { verdict: string }).verdict;
      };
      expect([await explained('package.json'), await explained('.npmrc'), await explained('sum.js')]).toEqual([
        'permit',
        'approve',
        'permit',
      ]);
      provider.say({ calls: [writeWhole('package.json', PACKAGE), patchSum('-', '+')] }, { text: 'done' });
      const run = await openexec('run', 'Make sum add', '--json');
      // Only the landing still asks: it holds a file that is obeyed without being asked.
      expect(run.exit).toBe(11);
      expect((await fine('approvals')).stdout).toContain('commit_changes');
      await fine('verify', '--deep');
    },
    TIME_MS,
  );

  verifies(
    'E19',
    'drafts nothing from what somebody denied, and for what the sandbox stopped a question about that very stage',
    async () => {
      const line = "await fetch('http://192.0.2.1/').catch(() => undefined);";
      place.write('also.test.js', `${line}\n`);
      place.git('add', '-A');
      place.git('-c', 'user.name=Test', '-c', 'user.email=test@example.org', 'commit', '-q', '-m', 'also');
      await fine('init', '--model', 'openai:gpt-test');
      await asked('package.json', PACKAGE, 'approve');
      await asked('package.json', PACKAGE, 'approve');
      await asked('package.json', PACKAGE, 'deny');
      const gone = { format: 'unified', patch: `--- a/also.test.js\n+++ /dev/null\n@@ -1 +0,0 @@\n-${line}\n` };
      provider.say(
        { calls: [patchSum('-', '+')] },
        { text: 'done' },
        { calls: [{ name: 'apply_patch', arguments: gone }] },
        { text: 'out' },
      );
      await fine('run', 'Make sum add', '--json');
      const { advice, notAdvised, bundle: drafted, also } = await advised('--out', 'ask.json');
      expect(notAdvised).toEqual([expect.objectContaining({ code: 'advice.denied' })]);
      expect(advice).toEqual([expect.objectContaining({ id: 'ask-network-1', kind: 'ask' })]);
      expect(advice[0]?.fields).toMatchObject({
        'action.name': 'run_tests',
        'stage.id': expect.any(String),
        'run.blueprint': expect.any(String),
      });
      const rule = drafted?.rules.find(({ id }) => id === 'ask-network-1');
      expect(rule?.decide).toMatchObject({ approve: { openerMayApprove: false } });
      expect(also).toEqual([]);
      expect(existsSync(join(place.root, 'ask.json'))).toBe(true);
      const sum = JSON.parse((await fine('policy', 'simulate', 'ask.json', '--json')).stdout) as { counts: object; decisions: number };
      expect(sum.counts).toMatchObject({ same: sum.decisions });
    },
    TIME_MS,
  );
});
