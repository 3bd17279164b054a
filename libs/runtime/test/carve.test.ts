/** Standing writs: runs carved from one never take more together than it grants, under any interleaving; what a run did not spend comes back. */
import { describe, expect, test } from '@jest/globals';
import { issueWrit, writId } from '@openexec/authority';
import { type Json, parseCanonical } from '@openexec/canon';
import type { Amount, Writ } from '@openexec/protocol';
import { carveTrajectory, type Opening, openRun, spentOf } from '../src/index.ts';
import { agent, drive, handsOf, keyOf, newWorld, openingOf, type Place, place, randomness, SEEDS } from './support.ts';

const GRANT: Amount = { tokens: 100_000, usdMicros: 0, calls: 100 };

/** A standing writ of the law, and openings of runs carved from it. */
async function standing(budget: Amount = { tokens: 250_000, usdMicros: 0, calls: 1000 }) {
  const at = await place();
  const own = openingOf(at).writs[0]?.body;
  if (own === undefined) throw new Error('no writ');
  const delegation = { depth: 1, maySubdivide: true };
  const root: Writ = { ...own, use: 'standing', subject: keyOf(SEEDS.approver), nonce: at.nonce(), budget, delegation };
  const signed = issueWrit({ writ: root, seed: SEEDS.issuer });
  const draft = {
    kind: 'writ.issued' as const,
    at: at.clock.now(),
    actor: 'runtime' as const,
    cause: null,
    law: null,
    payload: { writ: signed } as unknown as Json,
  };
  const done = await at.ledger.append({ to: [{ trajectory: 'law' as never, expect: 'any', drafts: [draft] }], blobs: [] });
  if (!done.ok) throw new Error(done.error.message);
  const child = (grant: Amount = GRANT): Opening => {
    const writ: Writ = { ...own, issuer: root.subject, parent: writId(root), nonce: at.nonce(), budget: grant };
    return openingOf(at, { stages: [agent('work', 'done')], writs: [signed, issueWrit({ writ, seed: SEEDS.approver })] });
  };
  return { at, root, child };
}
function open(at: Place, opening: Opening) {
  return openRun(opening, { ledger: at.ledger, clock: at.clock, randomness: randomness(at.nonce()) });
}
async function kindsIn(at: Place, root: Writ): Promise<readonly string[]> {
  const kinds: string[] = [];
  for await (const { entry } of at.ledger.read(carveTrajectory(root))) kinds.push(entry.kind);
  return kinds;
}
async function taken(at: Place, root: Writ): Promise<Amount> {
  const spent = await spentOf(at.ledger, carveTrajectory(root));
  if (!spent.ok) throw new Error(spent.error.message);
  return spent.value.amount;
}

describe('a standing writ', () => {
  test('opens runs until its budget is given out, and then none', async () => {
    const { at, root, child } = await standing();
    expect((await open(at, child())).ok).toBe(true);
    expect((await open(at, child())).ok).toBe(true);
    expect(await open(at, child())).toMatchObject({ ok: false, error: { code: 'writ.overdrawn' } });
    expect((await open(at, child({ ...GRANT, tokens: 50_000 }))).ok).toBe(true);
    expect(await taken(at, root)).toMatchObject({ tokens: 250_000 });
  });

  test('is never overdrawn by runs that open at the same time', async () => {
    const { at, root, child } = await standing();
    const opened = await Promise.all(Array.from({ length: 6 }, () => open(at, child())));
    expect(opened.filter(({ ok }) => ok)).toHaveLength(2);
    expect(await kindsIn(at, root)).toEqual(['writ.carved', 'writ.carved']);
  });

  test('takes one nonce once: a second opening by the same child carves nothing', async () => {
    const { at, root, child } = await standing();
    const opening = child();
    expect((await open(at, opening)).ok).toBe(true);
    expect(await open(at, opening)).toMatchObject({ ok: false, error: { code: 'run.exists' } });
    expect(await kindsIn(at, root)).toEqual(['writ.carved']);
  });

  test('gets back what a run did not spend, in the append that closes it', async () => {
    const { at, root, child } = await standing();
    const opened = await open(at, child());
    if (!opened.ok) throw new Error(opened.error.message);
    const report = await drive(opened.value.run, handsOf(at, newWorld()));
    expect(report.state.closed?.outcome).toBe('done');
    const { spend } = report.state.closed ?? {};
    expect(await kindsIn(at, root)).toEqual(['writ.carved', 'writ.settled']);
    expect(await taken(at, root)).toEqual(spend);
    for await (const { entry, payload } of at.ledger.read(carveTrajectory(root), 1)) {
      const body = payload === null ? null : parseCanonical(payload);
      const returned = { tokens: GRANT.tokens - (spend?.tokens ?? 0), usdMicros: 0, calls: GRANT.calls - (spend?.calls ?? 0) };
      expect([entry.kind, body?.ok === true && body.value]).toEqual(['writ.settled', { run: opened.value.run, spend, returned }]);
    }
  });

  test('opens no run from a chain whose budgets nobody counts', async () => {
    const { at, child } = await standing();
    const opening = child();
    const [, leaf] = opening.writs;
    if (leaf === undefined) throw new Error('no child');
    const odd = { ...opening, writs: [leaf, leaf] };
    expect(await open(at, odd)).toMatchObject({ ok: false, error: { code: 'writ.notCarved' } });
  });
});
