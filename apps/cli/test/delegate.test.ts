/**
 * Child runs through the bundle: a model hands a part of its work on, the child works under a narrower writ in a tree of its own, and what it did enters the
 * parent only by the parent's own patch. Stops, approvals, cancellation and revocation between both. PROTOCOL §§4.3, 5; E15.
 */
import { describe, expect, test } from '@jest/globals';
import { patchScripts, patchSum } from './place.ts';
import { commitAll, inEachPlace, initialised, openexec, place, provider, start } from './scene.ts';

const TIME_MS = 240_000;
const LEAD = `version: 1
name: lead
delegates: [part]
stages:
  - id: lead
    type: agent
    goal: Fix the bug; hand parts of the work on.
    toolset: coding_lead
    sandbox: workspace_write
    outputs: [patch]
  - id: test
    type: deterministic
    action: run_tests
    sandbox: workspace_write
  - id: land
    type: deterministic
    action: commit_changes
    sandbox: repo_write
`;
const PART = `version: 1
name: part
stages:
  - id: work
    type: agent
    goal: Do the part.
    toolset: coding_backend
    sandbox: workspace_write
    outputs: [patch]
  - id: check
    type: deterministic
    action: run_tests
    sandbox: workspace_write
    on_failure: fail
`;

inEachPlace(async () => {
  place.write('.openexec/blueprints/lead.yaml', LEAD);
  place.write('.openexec/blueprints/part.yaml', PART);
  await initialised();
  commitAll('blueprints');
});

const delegateCall = (more: object = {}) => ({
  name: 'delegate_run',
  arguments: { key: 'sum', blueprint: 'part', task: 'Make sum add.', writePaths: ['sum.js'], tokens: 50_000, calls: 20, ...more },
});

interface Row {
  readonly run: string;
  readonly status: string;
  readonly parent: string | null;
}
async function runs(): Promise<readonly Row[]> {
  const listed = await openexec('runs', '--json');
  return (JSON.parse(listed.stdout) as { runs: Row[] }).runs;
}
async function soundLedger(): Promise<void> {
  const verified = await openexec('verify', '--deep', '--json');
  expect(JSON.parse(verified.stdout)).toMatchObject({
    sound: true,
    deep: { totals: { divergences: 0, violations: 0 }, carvingFaults: [] },
  });
}
/** Parent and child of the one family there is. */
async function family(): Promise<{ readonly parent: Row; readonly child: Row }> {
  const all = await runs();
  const child = all.find(({ parent }) => parent !== null);
  const parent = all.find((row) => row.parent === null);
  if (child === undefined || parent === undefined || all.length !== 2) throw new Error(`not a family: ${JSON.stringify(all)}`);
  expect(child.parent).toBe(parent.run);
  return { parent, child };
}
const short = (run: string): string => run.slice('run/'.length, 'run/'.length + 12);
interface Shown {
  readonly spend: { readonly calls: number; readonly tokens: number };
  readonly children: readonly {
    readonly key: string;
    readonly run: string;
    readonly outcome: string;
    readonly spend: { readonly calls: number; readonly tokens: number };
  }[];
}
async function shown(run: string): Promise<Shown> {
  return JSON.parse((await openexec('show', short(run), '--json')).stdout) as Shown;
}
const PART_WORKS = [{ calls: [patchSum('-', '+')] }, { text: 'The part is done.' }] as const;

describe('a run that delegates', () => {
  test(
    'opens a child that works in a tree of its own; its change enters the parent by a patch of the parent and in no other way',
    async () => {
      provider.say({ calls: [delegateCall()] }, ...PART_WORKS, { calls: [patchSum('-', '+')] }, { text: 'All done.' });
      const ended = await openexec('run', 'Fix the failing test', '--blueprint', 'lead');
      expect(ended).toMatchObject({ exit: 0 });
      const { parent, child } = await family();
      expect([parent.status, child.status]).toEqual(['done', 'done']);
      // The child began anew: its own task, nothing of the parent's conversation.
      expect(JSON.stringify(provider.requests[1]?.messages)).toContain('Make sum add.');
      expect(JSON.stringify(provider.requests[1]?.messages)).not.toContain('Fix the failing test');
      // The parent was told outcome and diff, and its own file was still the old one, or its patch would not have applied.
      const answer = JSON.stringify(provider.requests[3]?.messages.at(-1));
      expect(answer).toContain('+  return a + b;');
      const account = await shown(parent.run);
      expect(account.children).toMatchObject([{ key: 'sum', run: child.run, outcome: 'done' }]);
      const spent = account.children[0]?.spend;
      // 3 answers and 3 actions of its own and 1 landing; what the child spent is counted once, in its parent.
      expect(account.spend).toEqual({ tokens: 3 * 120 + (spent?.tokens ?? 0), usdMicros: 0, calls: 7 + (spent?.calls ?? 0) });
      const told = (await openexec('timeline', short(parent.run), '--children')).stdout;
      expect(told).toMatch(/^ {4}.*opened on/m);
      expect(told).toContain(`delegated sum to ${short(child.run)}`);
      expect((await openexec('runs')).stdout).toMatch(new RegExp(`^${short(parent.run)}.*\n└ ${short(child.run)}`));
      await soundLedger();
      expect(await openexec('replay', short(parent.run))).toMatchObject({ exit: 0 });
      expect(await openexec('replay', short(child.run))).toMatchObject({ exit: 0 });
      const bundle = `${place.folder}/family.tlog`;
      expect(await openexec('export', short(parent.run), '--out', bundle)).toMatchObject({ exit: 0 });
      const checked = await openexec('verify-bundle', bundle, '--deep', '--json');
      expect(JSON.parse(checked.stdout)).toMatchObject({ deep: { runs: [{ verdict: 'agrees' }, { verdict: 'agrees' }] } });
      const alone = `${place.folder}/child.tlog`;
      expect(await openexec('export', short(child.run), '--out', alone)).toMatchObject({ exit: 0 });
      expect(await openexec('verify-bundle', alone, '--deep')).toMatchObject({ exit: 0 });
    },
    TIME_MS,
  );

  test(
    'is refused a child that is wider than itself, of a blueprint that it does not name, or dearer than what it has left',
    async () => {
      provider.say(
        {
          calls: [
            delegateCall({ blueprint: 'quick_fix' }),
            delegateCall({ tokens: 90_000_000 }),
            delegateCall({ actions: ['*'] }),
            delegateCall({ key: 'Not a key' }),
          ],
        },
        { text: 'Then not.' },
      );
      await openexec('run', 'Fix the failing test', '--blueprint', 'lead');
      const told =
        provider.requests
          .at(-1)
          ?.messages.filter(({ role }) => role === 'tool')
          .map(({ content }) => JSON.stringify(content)) ?? [];
      expect(told.map((text) => /code\\*":\\*"([A-Za-z.]+)/.exec(text)?.[1])).toEqual([
        'delegation.blueprint',
        'writ.widens',
        'writ.widens',
        'delegation.key',
      ]);
      expect(await runs()).toHaveLength(1);
      await soundLedger();
    },
    TIME_MS,
  );

  test(
    'has its child denied what the narrower writ leaves out, and goes on with the answer',
    async () => {
      provider.say(
        { calls: [delegateCall({ writePaths: ['docs/**'] })] },
        { calls: [patchSum('-', '+')] },
        { text: 'I may not.' },
        { calls: [patchSum('-', '+')] },
        { text: 'Done myself.' },
      );
      expect(await openexec('run', 'Fix the failing test', '--blueprint', 'lead')).toMatchObject({ exit: 0 });
      expect(JSON.stringify(provider.requests[2]?.messages)).toContain('writ.writePaths');
      const { parent, child } = await family();
      expect([parent.status, child.status]).toEqual(['done', 'failed']);
      expect(JSON.stringify(provider.requests[3]?.messages.at(-1))).toContain('changed nothing that can be shown');
      await soundLedger();
    },
    TIME_MS,
  );
});

describe('between parent and child', () => {
  test(
    'killed while the child works, the parent resumed drives it to its end',
    async () => {
      let answer: (value: unknown) => void = () => undefined;
      const held = new Promise((resolve) => (answer = resolve));
      provider.say({ calls: [delegateCall()] }, { calls: [patchSum('-', '+')] }, { text: 'late', after: held });
      const running = start('run', 'Fix the failing test', '--blueprint', 'lead');
      await provider.arrived(3);
      running.kill('SIGKILL');
      await running.ended;
      answer(null);
      const before = await family();
      expect([before.parent.status, before.child.status]).toEqual(['open', 'open']);
      provider.say({ text: 'The part is done.' }, { calls: [patchSum('-', '+')] }, { text: 'All done.' });
      expect(await openexec('resume', short(before.parent.run))).toMatchObject({ exit: 0 });
      const { parent, child } = await family();
      expect([parent.status, child.status]).toEqual(['done', 'done']);
      await soundLedger();
    },
    TIME_MS,
  );

  test(
    'cancelled, the parent ends after its child, both as cancelled',
    async () => {
      let answer: (value: unknown) => void = () => undefined;
      const held = new Promise((resolve) => (answer = resolve));
      provider.say({ calls: [delegateCall()] }, { calls: [patchSum('-', '+')] }, { text: 'late', after: held });
      const running = start('run', 'Fix the failing test', '--blueprint', 'lead');
      await provider.arrived(3);
      const { parent } = await family();
      expect(await openexec('cancel', short(parent.run))).toMatchObject({ exit: 0 });
      answer(null);
      await running.ended;
      const after = await family();
      expect([after.parent.status, after.child.status]).toEqual(['cancelled', 'cancelled']);
      await soundLedger();
    },
    TIME_MS,
  );

  test(
    'a child that waits for an approval lets its parent rest; approved, the parent goes on by a resume',
    async () => {
      provider.say({ calls: [delegateCall({ writePaths: ['**'] })] }, { calls: [patchScripts(), patchSum('-', '+')] });
      const parked = await openexec('run', 'Fix the failing test', '--blueprint', 'lead');
      expect(parked).toMatchObject({ exit: 11 });
      const { parent, child } = await family();
      expect([parent.status, child.status]).toEqual(['parked', 'parked']);
      const waiting = JSON.parse((await openexec('approvals', '--json')).stdout) as { approvals: { id: string; run: string }[] };
      expect(waiting.approvals).toMatchObject([{ run: child.run }]);
      expect(await openexec('approve', (waiting.approvals[0]?.id ?? '').replace('sha256:', '').slice(0, 12))).toMatchObject({
        exit: 0,
      });
      provider.say({ text: 'The part is done.' }, { calls: [patchSum('-', '+')] }, { text: 'All done.' });
      expect(await openexec('resume', short(parent.run))).toMatchObject({ exit: 0 });
      const after = await family();
      expect([after.parent.status, after.child.status]).toEqual(['done', 'done']);
      await soundLedger();
    },
    TIME_MS,
  );

  test(
    'the revocation of the parent’s writ stops the child at its next use',
    async () => {
      let answer: (value: unknown) => void = () => undefined;
      const held = new Promise((resolve) => (answer = resolve));
      provider.say({ calls: [delegateCall()] }, { calls: [patchSum('-', '+')], after: held });
      const running = start('run', 'Fix the failing test', '--blueprint', 'lead');
      await provider.arrived(2);
      const { parent } = await family();
      const writ = JSON.parse((await openexec('writ', 'show', short(parent.run), '--json')).stdout) as { writs: { id: string }[] };
      expect(await openexec('writ', 'revoke', writ.writs.at(-1)?.id ?? '', '--because', 'stop')).toMatchObject({ exit: 0 });
      answer(null);
      expect((await running.ended).exit).toBe(10);
      const after = await family();
      expect([after.parent.status, after.child.status]).toEqual(['denied', 'denied']);
      await soundLedger();
    },
    TIME_MS,
  );
});
