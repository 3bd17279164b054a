/**
 * The gate's judgement by itself: each rule met and not met, nothing unknown taken for met; and the facts of runs as their bundle shows them.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import {
  bundleSource,
  deepVerify,
  GATE_DEFAULTS,
  type GitChange,
  gateRules,
  type HeadFacts,
  judgeChange,
  landedRuns,
  relationOf,
  type RunFacts,
} from '@openexec/audit';
import type { Digest, KeyId, TrajectoryId } from '@openexec/canon';
import { FIX_LOOP, House, ONE_AGENT, RunDriver, writeFile } from '@openexec/kernel/fixture';
import type { GatePolicy, GateRules } from '@openexec/protocol';
import { partsOf } from '@openexec/verify';
import { bundleOf } from './bundles.ts';

const KEY = (letter: string): KeyId => letter.repeat(32) as KeyId; // Of the form of a key id.
const oid = (letter: string): string => letter.repeat(40);
const side = (letter: string) => ({ oid: oid(letter), mode: '100644' });
const FILES = [
  { path: 'a.ts', before: side('1'), after: side('2') },
  { path: 'b.ts', before: null, after: side('3') },
];
const RUN: RunFacts = {
  run: `run/${'0'.repeat(32)}` as TrajectoryId,
  outcome: 'done',
  governed: true,
  judged: 'agrees',
  opener: KEY('a'),
  votes: [
    { action: 'commit_changes', key: KEY('a'), assurance: 'hardware' },
    { action: 'commit_changes', key: KEY('b'), assurance: 'passphrase' },
    { action: 'commit_changes', key: KEY('b'), assurance: 'passphrase' },
    { action: 'apply_patch', key: KEY('c'), assurance: 'file' },
  ],
  checks: { run: 3, passed: 2, lastNotPassed: [], whole: true },
  policySet: `sha256:${'d'.repeat(64)}` as Digest,
  policies: ['solo', 'project'],
  blueprint: 'fix_tests',
  model: 'openai:gpt-test',
  base: { commit: oid('b'), tree: oid('c') },
  result: { commit: oid('e'), tree: oid('f') },
  files: FILES,
};
const HEAD: HeadFacts = { coverage: 'full', witnessed: true, cosignedAtMs: 1_000_000_000_000 };
const NOW = 1_000_000_000_000 + 3_600_000;
const LANDED: GitChange = { commit: oid('e'), tree: oid('f'), parents: [{ commit: oid('b'), tree: oid('c') }], files: FILES };

/** Codes of what is not met. */
function unmet(policy: Partial<GatePolicy>, of: { run?: Partial<RunFacts>; head?: Partial<HeadFacts>; nowMs?: number } = {}): string[] {
  const judged = judgeChange(gateRules({ version: 1, ...policy }), {
    run: { ...RUN, ...of.run },
    relation: 'commit',
    head: { ...HEAD, ...of.head },
    nowMs: of.nowMs ?? NOW,
  });
  return judged.filter(({ satisfied }) => !satisfied).map(({ code }) => code);
}

describe('the rules', () => {
  test('are the defaults where nothing is said, and a part of a group leaves the rest of it', () => {
    expect(gateRules(null)).toEqual(GATE_DEFAULTS);
    const rules: GateRules = gateRules({ version: 1, approvals: { atLeast: 2 }, governed: false });
    expect(rules).toEqual({ ...GATE_DEFAULTS, governed: false, approvals: { ...GATE_DEFAULTS.approvals, atLeast: 2 } });
    expect(unmet({})).toEqual([]);
  });

  test.each<readonly [string, Partial<GatePolicy>, Parameters<typeof unmet>[1], readonly string[]]>([
    ['a run that is not done', {}, { run: { outcome: 'failed' } }, ['run.outcome']],
    ['a run that is not governed', {}, { run: { governed: false } }, ['run.governed']],
    ['one where that is not asked', { governed: false }, { run: { governed: false } }, []],
    ['a run that could not be judged again', {}, { run: { judged: 'notDerivable' } }, ['run.judged']],
    ['one where that may be', { judged: false }, { run: { judged: 'notDerivable' } }, []],
    ['a run that diverges, even where it need not be judged', { judged: false }, { run: { judged: 'diverges' } }, ['run.judged']],
    ['a run that nobody judged', { judged: false }, { run: { judged: null } }, ['run.judged']],
    ['a gateway that saw a part', {}, { head: { coverage: 'gatewayOnly' } }, ['run.coverage']],
    ['one where a part is enough', { coverage: 'gatewayOnly' }, { head: { coverage: 'gatewayOnly' } }, []],
    ['too few checks', { checks: { atLeast: 3 } }, {}, ['run.checks']],
    ['a last check that failed', {}, { run: { checks: { ...RUN.checks, lastNotPassed: ['run_tests'] } } }, ['run.checks']],
    ['checks of which some are not known', {}, { run: { checks: { ...RUN.checks, whole: false } } }, ['run.checks']],
    ['one where the last need not pass', { checks: { lastPassed: false } }, { run: { checks: { ...RUN.checks, whole: false } } }, []],
    ['two approvers beside the opener', { approvals: { atLeast: 2 } }, {}, []],
    ['three of them', { approvals: { atLeast: 3 } }, {}, ['run.approvals']],
    ['three with the opener', { approvals: { atLeast: 3, notOpener: false } }, {}, []],
    ['two with a passphrase', { approvals: { atLeast: 2, assurance: 'passphrase' } }, {}, ['run.approvals']],
    ['one by hardware who is the opener', { approvals: { atLeast: 1, assurance: 'hardware' } }, {}, ['run.approvals']],
    ['the same key twice', { approvals: { atLeast: 2, actions: ['commit_changes'] } }, {}, ['run.approvals']],
    ['a key of a list', { approvals: { atLeast: 1, keys: [KEY('c')] } }, {}, []],
    ['no key of a list', { approvals: { atLeast: 1, keys: [KEY('d')] } }, {}, ['run.approvals']],
    ['an opener that nobody knows', { approvals: { atLeast: 1 } }, { run: { opener: null } }, ['run.approvals']],
    ['another policy set', { policySets: [`sha256:${'0'.repeat(64)}` as Digest] }, {}, ['run.policySet']],
    ['the policy set', { policySets: [`sha256:${'d'.repeat(64)}` as Digest] }, {}, []],
    ['a policy that was there and one that was not', { policies: ['solo', 'regulated'] }, {}, ['run.policies']],
    ['policies that cannot be read', { policies: ['solo'] }, { run: { policies: null } }, ['run.policies']],
    ['another blueprint', { blueprints: ['docs'] }, {}, ['run.blueprint']],
    ['a blueprint that cannot be read', { blueprints: ['fix_tests'] }, { run: { blueprint: null } }, ['run.blueprint']],
    ['a model of a family', { models: ['openai:*'] }, {}, []],
    ['a model whose name only begins so', { models: ['openai:gpt'] }, {}, ['run.model']],
    ['no model where one of two is asked', { models: ['openai:*', 'anthropic:*'] }, { run: { model: 'none' } }, ['run.model']],
    ['a head without witnesses', { level: 'witnessed' }, { head: { witnessed: false } }, ['anchor.level']],
    ['a cosignature of an hour', { maxAgeHours: 1 }, {}, []],
    ['one that is older', { maxAgeHours: 1 }, { nowMs: NOW + 1 }, ['anchor.age']],
    ['one of the future', { maxAgeHours: 1 }, { nowMs: NOW - 2 * 3_600_000 }, ['anchor.age']],
    ['none', { maxAgeHours: 1 }, { head: { cosignedAtMs: null } }, ['anchor.age']],
  ])('judge %s', (_, policy, of, wanted) => {
    expect(unmet(policy, of)).toEqual(wanted);
  });

  test('accept no relation that is not named, and none at all', () => {
    const satisfied = (relation: 'moved' | null, accept?: GatePolicy['accept']): boolean | undefined =>
      judgeChange(gateRules({ version: 1, accept }), { run: RUN, relation, head: HEAD, nowMs: NOW })[0]?.satisfied;
    expect([satisfied('moved'), satisfied('moved', ['moved']), satisfied(null, ['moved'])]).toEqual([false, true, false]);
  });
});

describe('a commit and a run', () => {
  const [parent] = LANDED.parents;
  if (parent === undefined) throw new Error('no parent');
  const other = { commit: oid('9'), tree: oid('9') };

  test.each<readonly [string, Partial<GitChange>, Partial<RunFacts>, string | null]>([
    ['the very commit', {}, {}, 'commit'],
    ['its id with another tree: git contradicts the ledger', { tree: oid('0') }, {}, null],
    ['its id on another base', { parents: [other] }, {}, null],
    ['its trees under another id', { commit: oid('7') }, {}, 'tree'],
    ['its tree on another base', { commit: oid('7'), parents: [other], files: [] }, {}, null],
    ['its change on another base', { commit: oid('7'), tree: oid('0'), parents: [other] }, {}, 'moved'],
    ['its change as a merge', { commit: oid('7'), tree: oid('0'), parents: [other, other] }, {}, 'merge'],
    ['its change in a merge of three', { commit: oid('7'), parents: [parent, other, other] }, {}, null],
    ['a first commit', { commit: oid('7'), parents: [] }, {}, null],
    ['a part of its change', { commit: oid('7'), tree: oid('0'), files: FILES.slice(1) }, {}, null],
    [
      'more than its change',
      { commit: oid('7'), tree: oid('0'), files: [...FILES, { path: 'c.ts', before: null, after: side('5') }] },
      {},
      null,
    ],
    [
      'another content',
      { commit: oid('7'), tree: oid('0'), files: [{ path: 'a.ts', before: side('1'), after: side('4') }, ...FILES.slice(1)] },
      {},
      null,
    ],
    [
      'another content before',
      { commit: oid('7'), tree: oid('0'), files: [{ path: 'a.ts', before: side('4'), after: side('2') }, ...FILES.slice(1)] },
      {},
      null,
    ],
    [
      'another mode',
      {
        commit: oid('7'),
        tree: oid('0'),
        files: [{ path: 'a.ts', before: side('1'), after: { oid: oid('2'), mode: '100755' } }, ...FILES.slice(1)],
      },
      {},
      null,
    ],
    ['a change that is not known', { commit: oid('7'), tree: oid('0') }, { files: null }, null],
    ['nothing, and a run that changed nothing', { commit: oid('7'), tree: oid('0'), files: [] }, { files: [] }, null],
    ['the very commit of a run whose files are withheld', {}, { files: null }, 'commit'],
  ])('hang together by %s', (_, change, run, wanted) => {
    expect(relationOf({ ...LANDED, ...change }, { ...RUN, ...run })).toBe(wanted);
  });
});

describe('the facts of a bundle', () => {
  let facts: readonly RunFacts[];
  let landed: TrajectoryId;
  beforeAll(async () => {
    const house = await House.found();
    const one = await RunDriver.open(house, { blueprint: FIX_LOOP });
    await one.play({ answers: [[writeFile('src/a.ts', 'export const a = 2;\n')], 'written'], tests: [true] });
    landed = one.run;
    const open = await RunDriver.open(house, { blueprint: ONE_AGENT });
    await open.answer([writeFile('src/c.ts', 'c\n')]);
    const { files, built } = await bundleOf(house, { is: 'ledger' });
    const parts = partsOf(
      [...files].map(([path, bytes]) => ({
        path,
        bytes: bytes.length,
        async *read() {
          yield await Promise.resolve(bytes);
        },
      })),
    );
    if (!parts.ok) throw new Error(parts.error.message);
    const view = bundleSource(parts.value);
    facts = await landedRuns(view, {
      stated: built.statement.runs,
      deep: await deepVerify(view),
      wanted: () => true,
    });
  });

  test('are of what landed, and of nothing that is open', () => {
    expect(facts.map(({ run }) => run)).toEqual([landed]);
    const [run] = facts;
    expect(run).toMatchObject({
      outcome: 'done',
      governed: false,
      judged: 'agrees',
      checks: { passed: 1, lastNotPassed: [], whole: true },
    });
    expect(run?.files?.map(({ path }) => path)).toEqual(['src/a.ts']);
    expect(run?.base).not.toBeNull();
  });
});
