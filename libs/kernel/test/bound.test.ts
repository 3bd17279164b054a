/**
 * What others bring into an open run: a skill, which takes away from there on and never gives, and a router's evidence, which does nothing at all. PROTOCOL
 * §§4.1, 4.2, 5; specs: skills, routing evidence.
 */
import { describe, expect, test } from '@jest/globals';
import { coversAction, coversHost, coversPath } from '@openexec/authority';
import type { Json } from '@openexec/canon';
import { pending, neededBlobs, type RunState } from '@openexec/kernel';
import { blobOf, ONE_AGENT, ONE_CHECK, type RunDriver, writeFile } from '@openexec/kernel/fixture';
import type { Skill } from '@openexec/protocol';
import fc from 'fast-check';
import { bodiesOf, endOf, lastOf, OPEN, openRun } from './support.ts';

/** Bodies are JSON by their schemas; only their interfaces lack the index signature. */
const asJson = (value: unknown): Json => value as Json;
const PLAIN: Skill = {
  v: 1,
  name: 'plain',
  version: 1,
  title: 'Plain',
  instructions: '',
  actions: null,
  ceiling: null,
  readPaths: null,
  writePaths: null,
  hosts: null,
  budget: { tokens: null, usdMicros: null, calls: null },
  wallMs: null,
  params: [],
};
async function bind(run: RunDriver, more: Partial<Skill>, params: Readonly<Record<string, string>> = {}): Promise<void> {
  const template = blobOf(asJson({ ...PLAIN, ...more }));
  await run.fact('skill.bound', { template: template.ref, params: { ...params }, because: 'narrower' }, { blobs: [template] });
}
const writOf = (state: RunState) => {
  if (state.law === null) throw new Error('the run has no law');
  return state.law.writ;
};

describe('a skill that is bound during a run', () => {
  test('takes away from the judgement of its fact on: what was permitted before is refused', async () => {
    const run = await openRun({ blueprint: ONE_AGENT, policySet: OPEN });
    await run.answer([writeFile('src/a.ts', 'x\n')]);
    await run.perform();
    await bind(run, { writePaths: ['docs/**'] });
    expect(lastOf(run, 'fact.noted')).toMatchObject({ why: 'skill.bound', violation: false });
    await run.answer([writeFile('src/a.ts', 'y\n')]);
    expect(lastOf(run, 'proposal.rejected').because).toMatchObject({ code: 'writ.writePaths' });
  });

  test('is judged while a question is open, and that question goes on; its answer is judged under the skill', async () => {
    const run = await openRun({ blueprint: ONE_AGENT, policySet: OPEN });
    const { ask } = run.due('ask');
    await bind(run, { actions: ['model.ask', 'read_file'] });
    expect(run.due('ask').ask).toBe(ask);
    await run.answer([writeFile('src/a.ts', 'y\n')]);
    expect(lastOf(run, 'proposal.rejected').because).toMatchObject({ code: 'writ.scope' });
  });

  test('tells the model with the next question, behind the results of its calls, and every later stage from its beginning', async () => {
    const run = await openRun({ blueprint: ONE_AGENT, policySet: OPEN });
    await run.answer([{ name: 'read_file', arguments: { path: 'README.md' } }]);
    await bind(
      run,
      { instructions: 'Leave {what} alone.', params: [{ key: 'what', description: '', default: null, values: [] }] },
      { what: 'docs' },
    );
    await run.perform();
    const added = lastOf(run, 'model.asked').added;
    expect(added.map(({ role }) => role)).toEqual(['tool', 'user']);
    expect(run.state.law?.instructions).toEqual(['Plain\nLeave docs alone.']);
  });

  test('narrows what a command runs in: its mode, and what it may see', async () => {
    const run = await openRun({ blueprint: ONE_CHECK, policySet: OPEN });
    expect(run.due('execute').profile).toMatchObject({ workspace: 'rw' });
    await bind(run, { writePaths: [], readPaths: ['src/**'] });
    // What runs is not started anew; its retry is.
    expect(run.due('execute').profile).not.toHaveProperty('masked');
    await run.resume();
    expect(run.due('execute').profile).toMatchObject({ mode: 'read_only', workspace: 'ro', masked: ['README.md', 'test/**'] });
  });

  test('lets no model be asked where it says so, and less be spent', async () => {
    const silent = await openRun({ blueprint: ONE_AGENT, policySet: OPEN });
    await silent.answer([{ name: 'read_file', arguments: { path: 'README.md' } }]);
    await bind(silent, { actions: ['read_file'] });
    await silent.perform();
    expect(endOf(silent)).toEqual({ outcome: 'denied', code: 'writ.scope' });
    const poor = await openRun({ blueprint: ONE_AGENT, policySet: OPEN });
    await poor.answer([{ name: 'read_file', arguments: { path: 'README.md' } }]);
    await bind(poor, { budget: { tokens: null, usdMicros: null, calls: 2 } });
    await poor.perform();
    expect(endOf(poor)).toEqual({ outcome: 'exhausted', code: 'budget.exhausted' });
  });

  test('that is no skill, lacks a parameter or is one too many changes nothing and is named', async () => {
    const run = await openRun({ blueprint: ONE_AGENT, policySet: OPEN });
    const before = writOf(run.state);
    const broken = blobOf({ v: 1, name: 'x' });
    await run.fact('skill.bound', { template: broken.ref, params: {}, because: '' }, { blobs: [broken] });
    expect(lastOf(run, 'fact.noted')).toMatchObject({ why: 'law.blobInvalid', violation: true });
    await run.fact('skill.bound', { template: { ...broken.ref, digest: blobOf('gone').digest }, params: {}, because: '' });
    expect(lastOf(run, 'fact.noted')).toMatchObject({ why: 'law.blobMissing', violation: true });
    await bind(run, { params: [{ key: 'a', description: '', default: null, values: [] }] });
    expect(lastOf(run, 'fact.noted')).toMatchObject({ why: 'skill.params', violation: true });
    expect(writOf(run.state)).toEqual(before);
    for (let at = 0; at < 16; at += 1) await bind(run, {});
    expect(lastOf(run, 'fact.noted').why).toBe('skill.bound');
    await bind(run, {});
    expect(lastOf(run, 'fact.noted')).toMatchObject({ why: 'skill.tooMany', violation: true });
  });

  test('only ever narrows, whatever it says and however many there are (property)', async () => {
    const list = (all: readonly string[]) => fc.option(fc.uniqueArray(fc.constantFrom(...all), { maxLength: 3 }));
    const amount = fc.option(fc.nat(3_000_000));
    const template = fc.record({
      actions: list(['*', 'read_file', 'apply_patch', 'model.ask', 'run_*', 'shell_*']),
      ceiling: list(['read', 'write', 'external', 'irreversible']) as fc.Arbitrary<Skill['ceiling']>,
      readPaths: list(['**', 'src/**', 'README.md', 'docs/**']),
      writePaths: list(['**', 'src/**', 'docs/**', 'src/a.ts']),
      hosts: list(['model.test:443', '*.test:443', 'other.test:443']),
      budget: fc.record({ tokens: amount, usdMicros: amount, calls: amount }),
      wallMs: amount,
    });
    const property = fc.asyncProperty(fc.array(template, { minLength: 1, maxLength: 4 }), async (templates) => {
      const run = await openRun({
        blueprint: ONE_AGENT,
        policySet: OPEN,
        grant: { readPaths: ['src/**', 'README.md'], writePaths: ['src/**'] },
      });
      for (const each of templates) {
        const before = writOf(run.state);
        await bind(run, each);
        const after = writOf(run.state);
        for (const path of after.readPaths) expect(coversPath(before.readPaths, path)).toBe(true);
        for (const path of after.writePaths) expect(coversPath(before.writePaths, path)).toBe(true);
        for (const action of after.actions) expect(coversAction(before.actions, action)).toBe(true);
        for (const host of after.hosts) expect(coversHost(before.hosts, host)).toBe(true);
        for (const effect of after.ceiling) expect(before.ceiling).toContain(effect);
        for (const unit of ['tokens', 'usdMicros', 'calls'] as const) expect(after.budget[unit]).toBeLessThanOrEqual(before.budget[unit]);
        expect(after.wallMs).toBeLessThanOrEqual(before.wallMs);
        expect({ ...after, ...NARROWED }).toEqual({ ...before, ...NARROWED });
      }
    });
    await fc.assert(property, { numRuns: 40, seed: 20261122 });
  });
});
/** The dimensions in which a skill may narrow; everything else stays as it was signed. */
const NARROWED = { actions: [], ceiling: [], readPaths: [], writePaths: [], hosts: [], budget: null, wallMs: 0 };

describe("a router's evidence", () => {
  test('is taken and does nothing: the state is what it was, and its bytes are never at hand', async () => {
    const run = await openRun({ blueprint: ONE_AGENT, policySet: OPEN });
    const before = pending(run.state);
    const plan = blobOf({ selected: 'anything', obey: 'me' });
    const body = { ...run.driving, plan: plan.ref };
    expect(neededBlobs({ kind: 'router.planned', body })).toEqual([]);
    await run.fact('router.planned', body, { blobs: [plan] });
    expect(lastOf(run, 'fact.noted')).toMatchObject({ why: 'fact.taken', violation: false });
    expect(pending(run.state)).toEqual(before);
    expect(bodiesOf(run, 'model.asked')).toHaveLength(1);
  });
  test('of a driver that is none any more is a violation', async () => {
    const run = await openRun({ blueprint: ONE_AGENT, policySet: OPEN });
    const plan = blobOf({ selected: 'anything' });
    await run.fact('router.planned', { ...run.driving, epoch: 7, plan: plan.ref }, { blobs: [plan] });
    expect(lastOf(run, 'fact.noted')).toMatchObject({ why: 'driver.stale', violation: true });
  });
});
