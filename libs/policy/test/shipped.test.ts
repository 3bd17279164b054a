/** The policies that are shipped: what `solo` and `regulated` decide, and that the second is nowhere laxer. */
import { describe, expect, test } from '@jest/globals';
import type { Json } from '@openexec/canon';
import type { PolicySet } from '@openexec/protocol';
import fc from 'fast-check';
import { checkBundle, evaluateSet, explain, REGULATED, SOLO } from '../src/index.ts';
import { ORDER } from './support.ts';

describe('the shipped policy solo', () => {
  const SET: PolicySet = { layers: [{ layer: 'shipped', bundle: SOLO, source: 'shipped' }], riskThreshold: 'high' };
  const ask = (name: string, effect: string, more: { read?: string[]; write?: string[]; change?: string[]; args?: Json } = {}) =>
    evaluateSet(SET, {
      action: { name, effect },
      arguments: more.args ?? {},
      paths: { read: more.read ?? [], write: more.write ?? [] },
      change: { paths: more.change ?? [], autoRun: false },
    });
  test('passes its own check', () => {
    const checked = checkBundle(JSON.parse(JSON.stringify(SOLO)) as Json);
    expect(checked.ok ? [] : checked.error).toEqual([]);
  });
  test.each([
    ['read_file', 'read', { read: ['src/a.ts'] }, 'permit', 'permit-reading'],
    ['search', 'read', {}, 'permit', 'permit-reading'],
    ['read_file', 'read', { read: ['.env.production'] }, 'deny', 'deny-secret-reads'],
    ['read_file', 'read', { read: ['home/ID_RSA'] }, 'deny', 'deny-secret-reads'],
    ['apply_patch', 'write', { write: ['src/a.ts'] }, 'permit', 'permit-workspace-work'],
    ['apply_patch', 'write', { write: ['src/a.ts', '.husky/pre-commit'] }, 'approve', 'ask-auto-run'],
    ['apply_patch', 'write', { write: ['package.json'] }, 'approve', 'ask-auto-run'],
    ['apply_patch', 'write', { write: ['CLAUDE.md'] }, 'approve', 'ask-auto-run'],
    ['apply_patch', 'write', { write: ['certs/ca.pem'] }, 'approve', 'ask-secret-writes'],
    ['run_tests', 'write', {}, 'permit', 'permit-workspace-work'],
    ['model.ask', 'external', {}, 'permit', 'permit-model'],
    ['commit_changes', 'external', { change: ['src/a.ts'] }, 'permit', 'permit-commit'],
    ['commit_changes', 'external', { change: ['.github/workflows/x.yml'] }, 'approve', 'ask-commit'],
    ['commit_changes', 'external', { change: ['src/a.ts'], args: { branch: 'main' } }, 'approve', 'ask-commit'],
    ['commit_changes', 'external', { change: ['src/a.ts'], args: { branch: 'openexec/x' } }, 'permit', 'permit-commit'],
    ['shell_exec', 'write', {}, 'deny', null],
    ['http_request', 'external', {}, 'deny', null],
  ] as const)('%s (%s) %j: %s', (name, effect, more, verdict, id) => {
    const outcome = ask(name, effect, { ...more } as Parameters<typeof ask>[2]);
    expect(outcome.verdict).toBe(verdict);
    expect(outcome.rule?.rule ?? null).toBe(id);
  });
  test('asks rather than permits when it cannot see what a commit changes', () => {
    const outcome = evaluateSet(SET, {
      action: { name: 'commit_changes', effect: 'external' },
      arguments: {},
      paths: { read: [], write: [] },
    });
    expect(outcome.verdict).toBe('approve');
    expect(outcome.rules.find(({ rule: id }) => id === 'ask-commit')?.unknown).toEqual(['change.autoRun', 'change.paths']);
    expect(explain(outcome)).toContain('rule shipped/ask-commit: unknown (unknown: change.autoRun, change.paths), says approve');
  });
  test('explains a denial without a rule', () => {
    expect(explain(ask('shell_exec', 'write'))[0]).toBe(
      'deny by no rule: no rule of shipped/solo, the outermost layer, permits it; what is not permitted is denied',
    );
  });
});

describe('the shipped policy regulated', () => {
  const setFor = (bundle: typeof SOLO): PolicySet => ({ layers: [{ layer: 'shipped', bundle, source: 'shipped' }], riskThreshold: 'high' });
  const NONE = { read: [], write: [] };
  const TWO = { quorum: 2, minAssurance: 'passphrase', openerMayApprove: false, roles: ['approver'] };

  test('passes its own check', () => {
    const checked = checkBundle(JSON.parse(JSON.stringify(REGULATED)) as Json);
    expect(checked.ok ? [] : checked.error).toEqual([]);
  });
  test('asks two others wherever it asks, and about every landing and every gate', () => {
    const terms = REGULATED.rules.flatMap(({ decide }) => (typeof decide === 'string' ? [] : [decide.approve]));
    expect(terms).toEqual(terms.map(() => expect.objectContaining(TWO)));
    expect(terms.length).toBeGreaterThan(3);
    for (const fields of [
      {
        action: { name: 'commit_changes', effect: 'external' },
        arguments: {},
        change: { paths: ['src/a.ts'], autoRun: false },
        paths: NONE,
        hosts: [],
      },
      { action: { name: 'approval.gate', effect: 'pure' }, paths: NONE, hosts: [] },
      { action: { name: 'apply_patch', effect: 'write' }, paths: { read: [], write: ['package.json'] }, hosts: [] },
    ])
      expect(evaluateSet(setFor(REGULATED), fields)).toMatchObject({ verdict: 'approve', terms: TWO });
  });
  test('lets nothing but the question to a model reach the network', () => {
    for (const effect of ['external', 'irreversible', 'write', 'read'])
      expect(evaluateSet(setFor(REGULATED), { action: { name: 'fetch', effect }, hosts: ['example.org:443'] })).toMatchObject({
        verdict: 'deny',
        rule: { rule: 'deny-network' },
      });
    expect(
      evaluateSet(setFor(REGULATED), { action: { name: 'model.ask', effect: 'external' }, paths: NONE, hosts: ['a.example:443'] }).verdict,
    ).toBe('permit');
  });
  test('is nowhere laxer than solo, whatever is asked', () => {
    const fields = fc.record({
      action: fc.record({
        name: fc.constantFrom('read_file', 'apply_patch', 'run_tests', 'commit_changes', 'model.ask', 'approval.gate', 'shell_exec'),
        effect: fc.constantFrom('pure', 'read', 'write', 'external', 'irreversible'),
      }),
      arguments: fc.record({ branch: fc.constantFrom('main', 'openexec/a') }, { requiredKeys: [] }),
      paths: fc.record({
        read: fc.subarray(['src/a.ts', '.env', 'keys/id_rsa']),
        write: fc.subarray(['src/a.ts', 'package.json', '.env', '.husky/x']),
      }),
      change: fc.record({ paths: fc.subarray(['src/a.ts', '.github/x.yml']), autoRun: fc.boolean() }),
      hosts: fc.subarray(['example.org:443']),
    });
    fc.assert(
      fc.property(fields, (given) => {
        const [strict, lax] = [evaluateSet(setFor(REGULATED), given), evaluateSet(setFor(SOLO), given)];
        expect(ORDER[strict.verdict]).toBeGreaterThanOrEqual(ORDER[lax.verdict]);
      }),
    );
  });
});
