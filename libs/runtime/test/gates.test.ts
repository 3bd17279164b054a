/**
 * The eleven steps of compile, each with an action that must not happen: whatever stops it, the hand that would have done it is never called and nothing
 * was started. The same action, lawful, happens once. PROTOCOL §6.
 */
import { expect, test } from '@jest/globals';
import { issueWrit, writId } from '@openexec/authority';
import { instantFromMs } from '@openexec/canon';
import { builtinActions, compileProfile } from '@openexec/catalogue';
import type { PolicyRule, Writ } from '@openexec/protocol';
import type { Opening } from '../src/index.ts';
import { act, count, drive, handsOf, kinds, newWorld, notify, opened, openingOf, type Place, place, SEEDS, START } from './support.ts';

const DENY: PolicyRule = {
  id: 'never-notify',
  when: { field: 'action.name', op: 'eq', value: 'notify' },
  decide: 'deny',
  because: 'nobody is told',
  examples: { match: [{ action: { name: 'notify' } }], noMatch: [{ action: { name: 'other' } }] },
};
const STAGES = [act('tell', 'notify', 'done', { retryLimit: 0 })];

/** An opening whose writ is changed before it is signed, with the profile that fits it. */
function granted(at: Place, change: Partial<Writ>, more: Parameters<typeof openingOf>[1] = {}): Opening {
  const plain = openingOf(at, { stages: STAGES, ...more });
  const own = plain.writs[0]?.body;
  if (own === undefined) throw new Error('no writ');
  const writ = { ...own, ...change };
  const { mode, provide, toolchain, limits, environment, seccomp } = plain.profile;
  const profile = compileProfile({ writ, mode, provide, toolchain, limits, environment, seccompDigest: seccomp });
  return { ...plain, writs: [issueWrit({ writ, seed: SEEDS.issuer })], profile };
}
/** A catalogue in which the action is another. */
function declared(at: Place, changed: Partial<typeof notify>): Opening {
  const plain = openingOf(at, { stages: STAGES });
  return { ...plain, catalogue: { ...plain.catalogue, actions: [...builtinActions, { ...notify, ...changed }] } };
}
/** A writ that was changed after it was signed. */
function tampered(at: Place): Opening {
  const plain = openingOf(at, { stages: STAGES });
  return { ...plain, writs: plain.writs.map((signed) => ({ ...signed, body: { ...signed.body, wallMs: signed.body.wallMs - 1 } })) };
}

const PATCH = { format: 'unified', patch: '--- a/gone.txt\n+++ b/gone.txt\n@@ -1 +1 @@\n-a\n+b\n' };
type Case = readonly [
  step: string,
  code: string,
  opening: (at: Place) => Opening,
  meanwhile?: (at: Place, opening: Opening) => Promise<void>,
];
const CASES: readonly Case[] = [
  ['2, signature', 'writ.signature', tampered],
  ['2, window', 'writ.expired', (at) => granted(at, { notAfter: instantFromMs(START - 1) })],
  ['2, not yet', 'writ.notYet', (at) => granted(at, { notBefore: instantFromMs(START + 10 ** 9) })],
  [
    '2, revocation',
    'writ.revoked',
    (at) => openingOf(at, { stages: STAGES }),
    async (at, { writs: [signed] }) => {
      if (signed === undefined) throw new Error('no writ');
      await at.legislate('writ.revoked', { writ: writId(signed.body), because: 'a test' });
    },
  ],
  ['3, scope', 'writ.scope', (at) => granted(at, { actions: ['run_*'] })],
  [
    '4, unknown',
    'action.unknown',
    (at) => ({ ...openingOf(at, { stages: STAGES }), catalogue: { version: 1, actions: [...builtinActions], commands: {} } }),
  ],
  ['5, ceiling', 'writ.effect', (at) => granted(at, { ceiling: ['read', 'write'] })],
  ['5, irreversible', 'writ.effect', (at) => declared(at, { effect: 'irreversible' })],
  ['6, arguments', 'arguments.invalid', (at) => openingOf(at, { stages: [act('tell', 'notify', 'done', { arguments: { to: 'all' } })] })],
  [
    '7, precondition',
    'precondition.absent',
    (at) => granted(at, { writePaths: ['**'] }, { stages: [act('tell', 'apply_patch', 'done', { arguments: PATCH })] }),
  ],
  ['8, budget', 'budget.exhausted', (at) => granted(at, { budget: { tokens: 10, usdMicros: 0, calls: 0 } })],
  ['9, policy', 'policy.denied', (at) => openingOf(at, { stages: STAGES, rules: [DENY] })],
];

const ROWS = CASES.map(([step, code, openingFor, meanwhile = null]) => [step, code, openingFor, meanwhile] as const);
test.each(ROWS)('step %s: %s stops the action, and the hand that would do it is never called', async (_, code, openingFor, meanwhile) => {
  const at = await place();
  const world = newWorld();
  const opening = openingFor(at);
  const { run } = await opened(at, opening);
  await meanwhile?.(at, opening);
  const { state } = await drive(run, handsOf(at, world));
  expect([world.effects.length, state.status]).toEqual([0, 'closed']);
  expect(state.closed?.because.code).toBe(code);
  expect(await kinds(at.ledger, run)).not.toContain('execution.started');
});

test.each([
  ['risk at the threshold', { risk: 'high' }],
  ['an effect that cannot be undone', { effect: 'irreversible', compensable: false }],
] as const)('step 10: a gate (%s) asks a person, and until then the hand is not called', async (_, changed) => {
  const at = await place();
  const world = newWorld();
  const plain = granted(at, { ceiling: ['pure', 'read', 'write', 'external', 'irreversible'] });
  const { run } = await opened(at, {
    ...plain,
    catalogue: { ...plain.catalogue, actions: [...builtinActions, { ...notify, ...changed }] },
  });
  const { state } = await drive(run, handsOf(at, world));
  expect([world.effects.length, state.status, state.request === null]).toEqual([0, 'parked', false]);
});

test('step 11: the same action, lawful, below the threshold, happens exactly once', async () => {
  for (const opening of [(at: Place) => openingOf(at, { stages: STAGES }), (at: Place) => declared(at, { risk: 'medium' })]) {
    const at = await place();
    const world = newWorld();
    const { run } = await opened(at, opening(at));
    const { state } = await drive(run, handsOf(at, world));
    expect([count(world, 'notify'), world.effects.length, state.closed?.outcome]).toEqual([1, 1, 'done']);
  }
});
