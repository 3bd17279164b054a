/**
 * Spending writs: runs carved from one never take more together than it grants, under any interleaving and however deep the chain; what a run did not
 * spend comes back to every writ above it.
 */
import { describe, expect, test } from '@jest/globals';
import { issueWrit, writId } from '@openexec/authority';
import type { Amount, SignedWrit } from '@openexec/protocol';
import { driveRun, NEVER } from '../src/index.ts';
import { drive, entriesOf, handsOf, keyOf, newWorld, openingOf, type Place, place, SEEDS } from './support.ts';
import { accountOf, audit, bodyOf, forRun, GRANT, kindsIn, narrowed, open, ROOT_BUDGET, standingWrit, taken, under } from './writs.ts';

function only(writ: SignedWrit | undefined): SignedWrit {
  if (writ === undefined) throw new Error('no writ');
  return writ;
}
/** A standing writ of the law, and openings of runs carved from it. */
async function standing() {
  const at = await place();
  const root = await standingWrit(at);
  return { at, root: root[0], child: (grant: Amount = GRANT) => under(at, narrowed(at, root, forRun(grant))) };
}
async function sound(at: Place, carved: number): Promise<void> {
  expect(await audit(at.ledger)).toEqual({ faults: [], carved });
}

describe('a standing writ', () => {
  test('opens runs until its budget is given out, and then none', async () => {
    const { at, root, child } = await standing();
    expect((await open(at, child())).ok).toBe(true);
    expect((await open(at, child())).ok).toBe(true);
    expect(await open(at, child())).toMatchObject({ ok: false, error: { code: 'writ.overdrawn' } });
    expect((await open(at, child({ ...GRANT, tokens: 50_000 }))).ok).toBe(true);
    expect(await taken(at.ledger, root)).toMatchObject({ tokens: 250_000 });
    await sound(at, 3);
  });

  test('is never overdrawn by runs that open at the same time', async () => {
    const { at, root, child } = await standing();
    const opened = await Promise.all(Array.from({ length: 6 }, () => open(at, child())));
    expect(opened.filter(({ ok }) => ok)).toHaveLength(2);
    expect(await kindsIn(at.ledger, accountOf(root))).toEqual(['writ.carved', 'writ.carved']);
    await sound(at, 2);
  });

  test('takes one nonce once: a second opening by the same child carves nothing, however little is left', async () => {
    const { at, root, child } = await standing();
    const opening = child(ROOT_BUDGET);
    expect((await open(at, opening)).ok).toBe(true);
    expect(await open(at, opening)).toMatchObject({ ok: false, error: { code: 'run.exists' } });
    expect(await Promise.all([open(at, opening), open(at, opening)])).toMatchObject([{ ok: false }, { ok: false }]);
    expect(await kindsIn(at.ledger, accountOf(root))).toEqual(['writ.carved']);
    await sound(at, 1);
  });

  test('gets back what a run did not spend, in the append that closes it', async () => {
    const { at, root, child } = await standing();
    const opened = await open(at, child());
    if (!opened.ok) throw new Error(opened.error.message);
    const report = await drive(opened.value.run, handsOf(at, newWorld()));
    expect(report.state.closed?.outcome).toBe('done');
    const { spend } = report.state.closed ?? {};
    expect(await taken(at.ledger, root)).toEqual(spend);
    const [, settled] = await entriesOf(at.ledger, accountOf(root));
    const returned = { tokens: GRANT.tokens - (spend?.tokens ?? 0), usdMicros: 0, calls: GRANT.calls - (spend?.calls ?? 0) };
    expect([settled?.entry.kind, bodyOf(settled?.payload ?? null)]).toEqual(['writ.settled', { run: opened.value.run, spend, returned }]);
    await sound(at, 1);
  });

  test('opens nothing once it is revoked, also between the count and the append', async () => {
    const { at, root, child } = await standing();
    expect((await open(at, child())).ok).toBe(true);
    const revoke = () => at.legislate('writ.revoked', { writ: writId(only(root).body), because: 'over' });
    let revoked = false;
    const racing = new Proxy(at.ledger, {
      get(target, name) {
        const member: unknown = Reflect.get(target, name, target);
        if (name !== 'append') return typeof member === 'function' ? member.bind(target) : member;
        return async (batch: Parameters<typeof target.append>[0]) => {
          if (!revoked) await revoke();
          revoked = true;
          return target.append(batch);
        };
      },
    });
    const late = await open(at, child(), racing);
    expect(late).toMatchObject({ ok: false, error: { code: 'writ.notCarved' } });
    expect(late.ok ? '' : late.error.message).toContain('writ.revoked');
    await sound(at, 1);
  });
});

describe('a chain of four', () => {
  test('carves from every writ above the run, and each may be the one that has too little left', async () => {
    const at = await place();
    const root = await standingWrit(at);
    const team = narrowed(at, root, { budget: { ...ROOT_BUDGET, tokens: 200_000 } });
    const person = narrowed(at, team, { budget: { ...ROOT_BUDGET, tokens: 150_000 } });
    const run = () => under(at, narrowed(at, person, forRun()));
    const first = await open(at, run());
    expect(first.ok).toBe(true);
    for (const writ of person) expect(await taken(at.ledger, writ)).toEqual(GRANT);
    // The person's own writ has too little left, its parents would have had enough.
    const second = await open(at, run());
    expect(second).toMatchObject({ ok: false, error: { code: 'writ.overdrawn' } });
    expect(second.ok ? '' : second.error.message).toContain(person[2] === undefined ? '?' : writId(person[2].body));
    // Another person of the same team was promised as much; the team has too little left for both, then the root for another team.
    const other = narrowed(at, team, {});
    expect((await open(at, under(at, narrowed(at, other, forRun())))).ok).toBe(true);
    expect(await open(at, under(at, narrowed(at, other, forRun({ ...GRANT, tokens: 1 }))))).toMatchObject({
      error: { code: 'writ.overdrawn' },
    });
    const elsewhere = narrowed(at, root, {});
    expect(await open(at, under(at, narrowed(at, elsewhere, forRun({ ...GRANT, tokens: 50_001 }))))).toMatchObject({ ok: false });
    if (!first.ok) throw new Error('not opened');
    const { state } = await drive(first.value.run, handsOf(at, newWorld()));
    for (const writ of person.slice(2)) expect(await taken(at.ledger, writ)).toEqual(state.closed?.spend);
    // Carved from all of them together, what came back can be spent again.
    expect((await open(at, under(at, narrowed(at, person, forRun({ ...GRANT, tokens: 90_000 }))))).ok).toBe(true);
    await sound(at, 9);
  });

  test('is a strict subset at each step: depth falls, and a writ that may not be subdivided or has no depth left has no children', async () => {
    const at = await place();
    const root = await standingWrit(at, { delegation: { depth: 2, maySubdivide: true } });
    const team = narrowed(at, root);
    const refusals = [
      [narrowed(at, narrowed(at, team, { delegation: { depth: 0, maySubdivide: false } }), forRun()), 'delegation.depth'],
      [narrowed(at, narrowed(at, root, { delegation: { depth: 1, maySubdivide: false } }), forRun()), 'delegation.maySubdivide'],
      [narrowed(at, narrowed(at, root, { delegation: { depth: 2, maySubdivide: true } }), forRun()), 'delegation.depth'],
      [narrowed(at, team, { ...forRun(), hosts: ['elsewhere.example:443'] }), 'hosts'],
      [narrowed(at, team, forRun({ ...GRANT, tokens: ROOT_BUDGET.tokens + 1 })), 'budget.tokens'],
    ] as const;
    for (const [chain, dimension] of refusals) {
      const refused = await open(at, under(at, chain));
      expect([dimension, refused.ok ? '' : refused.error.code, refused.ok ? '' : refused.error.message]).toEqual([
        dimension,
        'writ.notCarved',
        expect.stringContaining(dimension),
      ]);
    }
    expect((await open(at, under(at, narrowed(at, team, forRun())))).ok).toBe(true);
    await sound(at, 2);
  });

  test('falls whole with any writ of it, stops a run that is open, and stands again once restored', async () => {
    const at = await place();
    const chain = narrowed(at, narrowed(at, await standingWrit(at)), {});
    const opening = () => under(at, narrowed(at, chain, forRun({ ...GRANT, tokens: 5_000 })));
    for (const writ of chain) {
      const opened = await open(at, opening());
      if (!opened.ok) throw new Error(opened.error.message);
      const body = { writ: writId(writ.body), because: 'a test' };
      await at.legislate('writ.revoked', body);
      expect(await open(at, opening())).toMatchObject({ ok: false, error: { code: 'writ.notCarved' } });
      const report = await drive(opened.value.run, handsOf(at, newWorld()));
      expect(report.state.closed).toMatchObject({ outcome: 'denied', because: { code: 'writ.revoked' } });
      await at.legislate('writ.restored', body);
    }
    const again = await open(at, opening());
    if (!again.ok) throw new Error(again.error.message);
    expect((await drive(again.value.run, handsOf(at, newWorld()))).state.closed?.outcome).toBe('done');
    await sound(at, 12);
  });
});

describe('a run writ from which others may be narrowed', () => {
  const budget: Amount = { tokens: 150_000, usdMicros: 0, calls: 200 };
  /** A root writ for the approver's key, who narrows it, and the one that the runtime uses itself. */
  async function parent(subject = keyOf(SEEDS.approver)) {
    const at = await place();
    const own = openingOf(at).writs[0]?.body;
    if (own === undefined) throw new Error('no writ');
    const writ = { ...own, subject, budget, delegation: { depth: 2, maySubdivide: true } };
    return { at, chain: [issueWrit({ writ, seed: SEEDS.issuer })] as readonly SignedWrit[] };
  }

  test('is spent by its children together, never beyond its own budget', async () => {
    const { at, chain } = await parent();
    expect((await open(at, under(at, narrowed(at, chain, forRun())))).ok).toBe(true);
    expect(await open(at, under(at, narrowed(at, chain, forRun())))).toMatchObject({ ok: false, error: { code: 'writ.overdrawn' } });
    const grandchild = narrowed(at, narrowed(at, chain, { use: 'run' }), forRun({ ...GRANT, tokens: 50_000 }));
    expect((await open(at, under(at, grandchild))).ok).toBe(true);
    expect(await taken(at.ledger, chain[0])).toMatchObject({ tokens: 150_000 });
    expect(await kindsIn(at.ledger, accountOf(grandchild[1]))).toEqual(['writ.carved']);
    await sound(at, 3);
  });

  test('spends itself whole when it opens its own run: the children find what that run leaves, and nothing before', async () => {
    const { at, chain } = await parent(keyOf(SEEDS.runtime));
    const own = await open(at, under(at, chain));
    if (!own.ok) throw new Error(own.error.message);
    const child = () => under(at, narrowed(at, chain, forRun({ ...GRANT, tokens: 1000, calls: 10 })));
    expect(await open(at, child())).toMatchObject({ ok: false, error: { code: 'writ.overdrawn' } });
    const done = await driveRun({ run: own.value.run, hands: handsOf(at, newWorld()), stop: NEVER, onAwait: 'park', resume: true });
    expect(done.ok && done.value.state.closed?.outcome).toBe('done');
    expect((await open(at, child())).ok).toBe(true);
    await sound(at, 2);
  });

  test('does not become standing further down, and gives no child to somebody else', async () => {
    const { at, chain } = await parent();
    const stood = narrowed(at, narrowed(at, chain, { use: 'standing' }), forRun());
    expect(await open(at, under(at, stood))).toMatchObject({
      error: { code: 'writ.notCarved', message: expect.stringContaining('writ.use') },
    });
    const [root] = chain;
    const child = narrowed(at, chain, forRun())[1];
    if (root === undefined || child === undefined) throw new Error('no child');
    const other = await standingWrit(at);
    expect(await open(at, under(at, [...other, child]))).toMatchObject({
      error: { code: 'writ.notCarved', message: expect.stringContaining('writ.parent') },
    });
    expect(await open(at, under(at, [child, child]))).toMatchObject({ error: { code: 'writ.notCarved' } });
    await sound(at, 0);
  });
});
