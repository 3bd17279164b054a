/**
 * E01: what an execution that looks at folders may not see. Each denied file is masked by its own name, whoever denies it, and what is masked follows from
 * the ledger alone. GOALS E01, PROTOCOL §§6, 7.
 */
import { describe, expect, test } from '@jest/globals';
import { coversPath } from '@openexec/authority';
import { digestJson, type Json } from '@openexec/canon';
import { isMasked } from '@openexec/catalogue';
import type { PolicyCondition, PolicyRule, PolicySet } from '@openexec/protocol';
import { ONE_AGENT, ONE_CHECK, type RunDriver, type RunPlan } from '@openexec/kernel/fixture';
import fc from 'fast-check';
import { bodiesOf, bundleOf, endOf, isAction, lastOf, OPEN, openRun, setOf, TERMS } from './support.ts';

const FILES = {
  'README.md': 'read\n',
  'docs/a.md': 'a\n',
  'keep/canary.txt': 'alive\n',
  'keep/deep/b.txt': 'b\n',
  'keep.txt': 'beside\n',
  'mixed/.env': 'TOKEN\n',
  'mixed/open.txt': 'open\n',
  'src/a.ts': 'export const a = 1;\n',
};
const reads = (op: 'anyUnder' | 'anyNamed' | 'allUnder', value: string | string[]): PolicyCondition => ({ field: 'paths.read', op, value });
const denying = (...conditions: readonly PolicyCondition[]): PolicySet =>
  setOf(
    bundleOf(
      'denying',
      conditions.map((when) => ({ when, decide: 'deny' as const })),
    ),
  );
const rule = (id: string, when: PolicyCondition, decide: PolicyRule['decide']): PolicyRule => ({
  id,
  when,
  decide,
  because: id,
  examples: { match: [{}], noMatch: [{}] },
});

/** What the first execution of a check cannot see. */
async function maskOf(plan: RunPlan): Promise<readonly string[]> {
  const run = await openRun({ blueprint: ONE_CHECK, files: FILES, policySet: OPEN, ...plan });
  return seenBy(run);
}
function seenBy(run: RunDriver): readonly string[] {
  const { sandbox } = lastOf(run, 'execution.started');
  const { profile } = run.due('execute');
  const listed =
    sandbox.masked === undefined ? [] : 'inline' in sandbox.masked ? (sandbox.masked.inline as string[]) : (profile.masked ?? []);
  // What is recorded is what the hands are given, and the profile's digest covers it.
  expect(profile.masked ?? []).toEqual(listed);
  expect(sandbox.profile).toBe(digestJson({ ...profile }));
  return listed;
}

describe('what a command may not see (E01)', () => {
  test('is nothing where nobody denies anything, and then nothing is said of it', async () => {
    const run = await openRun({ blueprint: ONE_CHECK, files: FILES, policySet: OPEN });
    expect(lastOf(run, 'execution.started').sandbox).not.toHaveProperty('masked');
    expect(run.due('execute').profile).not.toHaveProperty('masked');
  });

  test('is a whole folder that policy denies, a denied name by itself, and what people would have to be asked about', async () => {
    expect(await maskOf({ policySet: denying(reads('anyUnder', 'keep')) })).toEqual(['keep/**']);
    expect(await maskOf({ policySet: denying(reads('anyNamed', ['.env*', 'b.*'])) })).toEqual(['keep/deep/b.txt', 'mixed/.env']);
    const asks = setOf(bundleOf('asks', [{ when: reads('anyUnder', 'docs'), decide: { approve: TERMS } }]));
    expect(await maskOf({ policySet: asks })).toEqual(['docs/**']);
  });

  test('is denied whichever action the rule speaks of: reading by itself, or the very action', async () => {
    const read: PolicyCondition = { all: [isAction('read_file'), reads('anyUnder', 'keep')] };
    const own: PolicyCondition = { all: [isAction('run_tests'), reads('anyUnder', 'docs')] };
    const other: PolicyCondition = { all: [isAction('search'), reads('anyUnder', 'src')] };
    const argument: PolicyCondition = { all: [isAction('read_file'), { field: 'arguments.path', op: 'eq', value: 'README.md' }] };
    expect(await maskOf({ policySet: denying(read, own, other, argument) })).toEqual(['README.md', 'docs/**', 'keep/**']);
  });

  test('is not widened by rules that say the same of every path: those were asked about the action', async () => {
    expect(await maskOf({ policySet: denying(isAction('read_file')) })).toEqual([]);
    const none: PolicySet = {
      layers: [
        {
          layer: 'operator',
          source: 'test',
          bundle: { version: 1, name: 'few', rules: [rule('checks', isAction('run_tests'), 'permit')] },
        },
      ],
      riskThreshold: 'critical',
    };
    expect(await maskOf({ policySet: none })).toEqual([]);
  });

  test('is everything beside what is permitted, where the outermost layer permits only some paths', async () => {
    const rules = [
      rule('checks', { all: [isAction('run_tests')] }, 'permit'),
      rule('source', { all: [isAction('read_file'), reads('allUnder', ['src', 'docs'])] }, 'permit'),
    ];
    const some: PolicySet = {
      layers: [{ layer: 'operator', source: 'test', bundle: { version: 1, name: 'some', rules } }],
      riskThreshold: 'critical',
    };
    expect(await maskOf({ policySet: some })).toEqual(['README.md', 'keep.txt', 'keep/**', 'mixed/**']);
  });

  test('holds for a rule that cannot be told for want of a field', async () => {
    const open: PolicyCondition = { all: [reads('anyUnder', 'keep'), { field: 'arguments.reason', op: 'ne', value: 'because' }] };
    expect(await maskOf({ policySet: denying(open) })).toEqual(['keep/**']);
  });

  test('is what the writ does not grant to be read, and an inner layer adds to it', async () => {
    const inner: PolicySet = {
      layers: [
        ...OPEN.layers,
        { layer: 'project', source: 'test', bundle: bundleOf('inner', [{ when: reads('anyNamed', 'a.ts'), decide: 'deny' }]) },
      ],
      riskThreshold: 'critical',
    };
    expect(await maskOf({ grant: { readPaths: ['src/**', 'mixed/**'] }, policySet: inner })).toEqual([
      'README.md',
      'docs/**',
      'keep.txt',
      'keep/**',
      'src/a.ts',
    ]);
  });

  test('follows a policy that the law adopts while the run is open', async () => {
    const run = await openRun({ blueprint: ONE_AGENT, files: FILES, policySet: OPEN });
    await run.answer([{ name: 'search', arguments: { pattern: 'a' } }]);
    expect(seenBy(run)).toEqual([]);
    await run.perform();
    await run.house.adopt(bundleOf('later', [{ when: reads('anyUnder', 'keep'), decide: 'deny' }]));
    await run.answer([{ name: 'search', arguments: { pattern: 'a' } }]);
    expect(seenBy(run)).toEqual(['keep/**']);
  });

  test('holds what the run deleted of the base: git still shows it', async () => {
    const run = await openRun({ blueprint: ONE_AGENT, files: FILES, policySet: OPEN });
    const patch = '--- a/keep/canary.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-alive\n';
    await run.answer([{ name: 'apply_patch', arguments: { format: 'unified', patch } }]);
    const { before } = run.change('keep/canary.txt', '').change;
    await run.observe({ changes: { inline: [{ path: 'keep/canary.txt', before, after: null }] } });
    await run.house.adopt(bundleOf('later', [{ when: reads('anyNamed', 'canary.txt'), decide: 'deny' }]));
    await run.answer([{ name: 'list_files', arguments: {} }]);
    expect(seenBy(run)).toEqual(['keep/canary.txt']);
  });

  test('holds what the run wrote itself', async () => {
    const run = await openRun({ blueprint: ONE_AGENT, files: FILES, policySet: denying(reads('anyNamed', ['*.key', 'canary.txt'])) });
    await run.answer([{ name: 'apply_patch', arguments: { format: 'whole_file', path: 'new/x.key', content: 'k\n' } }]);
    await run.perform();
    await run.answer([{ name: 'list_files', arguments: {} }]);
    expect(seenBy(run)).toEqual(['keep/canary.txt', 'new/x.key']);
  });

  test.each(['read_file', 'apply_patch'])('does not concern %s, whose paths are judged one by one', async (name) => {
    const run = await openRun({ blueprint: ONE_AGENT, files: FILES, policySet: denying(reads('anyUnder', 'keep')) });
    const change = { format: 'whole_file', path: 'src/a.ts', content: 'x\n' };
    await run.answer([{ name, arguments: name === 'read_file' ? { path: 'src/a.ts' } : change }]);
    expect(seenBy(run)).toEqual([]);
  });

  test('stays the same over a kill and a retry', async () => {
    const run = await openRun({ blueprint: ONE_CHECK, files: FILES, policySet: denying(reads('anyUnder', 'keep')) });
    await run.resume();
    expect(bodiesOf(run, 'execution.started').map(({ attempt, sandbox }) => [attempt, sandbox.masked])).toEqual([
      [1, { inline: ['keep/**'] }],
      [2, { inline: ['keep/**'] }],
    ]);
    expect(seenBy(run)).toEqual(['keep/**']);
  });

  test('travels as a blob where it is long, and is hydrated from it', async () => {
    const files = Object.fromEntries(Array.from({ length: 900 }, (_, at) => [`many/${at}-${'x'.repeat(20)}.key`, 'k\n'] as const));
    const run = await openRun({
      blueprint: ONE_CHECK,
      files: { ...files, 'many/open.txt': '' },
      policySet: denying(reads('anyNamed', '*.key')),
    });
    expect(lastOf(run, 'execution.started').sandbox.masked).toHaveProperty('blob');
    expect(run.due('execute').profile.masked).toHaveLength(900);
  });
});

describe('what a formatter moves', () => {
  test('out of a masked place to where it can be seen is no result: the stage fails and nothing of it stays', async () => {
    const blueprint: Json = {
      version: 1,
      name: 'formatting',
      defaults: { sandbox: 'workspace_write' },
      stages: [{ id: 'format', type: 'deterministic', action: 'run_formatter', on_success: 'done', on_failure: 'fail' }],
    };
    const commands = { format: { argv: ['fmt'], timeout: 'fast' as const } };
    const run = await openRun({ blueprint, commands, files: FILES, policySet: denying(reads('anyUnder', 'keep')) });
    expect(seenBy(run)).toEqual(['keep/**']);
    const moved = run.change('moved/canary.txt', 'alive\n');
    await run.observe({ changes: { inline: [moved.change] } }, { blobs: [moved.blob] });
    expect(lastOf(run, 'proposal.rejected')).toMatchObject({ at: 'postcondition', because: { code: 'postcondition.masked' } });
    expect(endOf(run).outcome).toBe('failed');
    // The same change of another content is an ordinary one.
    const other = await openRun({ blueprint, commands, files: FILES, policySet: denying(reads('anyUnder', 'keep')) });
    const plain = other.change('moved/canary.txt', 'mine\n');
    await other.observe({ changes: { inline: [plain.change] } }, { blobs: [plain.blob] });
    expect(endOf(other).outcome).toBe('done');
  });
});

describe('for any writ and any denial', () => {
  const names = Object.keys(FILES);
  const folders = ['docs', 'keep', 'keep/deep', 'mixed', 'src'];
  const pattern = fc.oneof(fc.constantFrom(...names), fc.constantFrom(...folders.map((each) => `${each}/**`)), fc.constant('**'));
  test('a file is masked exactly where reading it by itself would be refused (property)', async () => {
    const property = fc.asyncProperty(
      fc.uniqueArray(pattern, { minLength: 1, maxLength: 4 }),
      fc.uniqueArray(fc.constantFrom(...folders), { maxLength: 3 }),
      fc.uniqueArray(fc.constantFrom('.env*', '*.md', 'a.ts', 'canary.txt'), { maxLength: 2 }),
      async (readPaths, under, named) => {
        const conditions = [...under.map((each) => reads('anyUnder', each)), ...(named.length === 0 ? [] : [reads('anyNamed', named)])];
        const plan = { files: FILES, policySet: denying(...conditions), grant: { readPaths } };
        const masked = await maskOf({ ...plan, blueprint: ONE_CHECK });
        const asked = await openRun({ ...plan, blueprint: ONE_AGENT });
        await asked.answer(names.map((path) => ({ name: 'read_file', arguments: { path } })));
        while (asked.state.stage?.intents.some(({ phase }) => phase !== 'ended') === true) await asked.perform();
        const verdicts = bodiesOf(asked, 'policy.decided').filter(({ intent }) => intent !== null);
        expect(verdicts).toHaveLength(names.length);
        for (const [at, path] of names.entries())
          expect([path, isMasked(masked, path)]).toEqual([path, verdicts[at]?.verdict !== 'permit']);
        expect(names.filter((path) => !coversPath(readPaths, path) && !isMasked(masked, path))).toEqual([]);
      },
    );
    await fc.assert(property, { numRuns: 30, seed: 20261121 });
  });
});
