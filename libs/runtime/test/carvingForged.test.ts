/**
 * Spending as a forger records it, who holds every key and the store: the chain of hashes is whole, and deep verification names the entry, the code and
 * both values. PROTOCOL §§5, 10.
 */
import { describe, expect, test } from '@jest/globals';
import { runTrajectory, writId } from '@openexec/authority';
import { instantFromMs, type Json } from '@openexec/canon';
import type { AppendBatch, LedgerStore } from '@openexec/ledger';
import type { Amount } from '@openexec/protocol';
import { drive, handsOf, newWorld, place, START } from './support.ts';
import { accountOf, altered, audit, forged, forRun, GRANT, narrowed, open, ROOT_BUDGET, standingWrit, under } from './writs.ts';

const NOTHING: Amount = { tokens: 0, usdMicros: 0, calls: 0 };
const text = ({ tokens, usdMicros, calls }: Amount) => `${tokens} tokens, ${usdMicros} usdMicros, ${calls} calls`;

async function world() {
  const at = await place();
  const root = await standingWrit(at);
  const opening = (grant: Amount = GRANT) => under(at, narrowed(at, root, forRun(grant)));
  const opened = async (ledger: LedgerStore = at.ledger, grant: Amount = GRANT) => {
    const done = await open(at, opening(grant), ledger);
    if (!done.ok) throw new Error(done.error.message);
    return done.value.run;
  };
  const closed = async (run: Awaited<ReturnType<typeof opened>>, ledger: LedgerStore = at.ledger) => {
    const { state } = await drive(run, handsOf({ ...at, ledger }, newWorld()));
    if (state.closed === null) throw new Error('not closed');
    return state.closed.spend;
  };
  return { at, root, opening, opened, closed, account: accountOf(root[0]) };
}
const isOpening = (batch: AppendBatch) => batch.to.some(({ trajectory }) => trajectory.startsWith('run/')) && batch.to.length > 1;
/** Everything at the positions that are really there, and under no law. */
const anywhere = (batch: AppendBatch): AppendBatch => ({
  blobs: batch.blobs,
  to: batch.to.map((part) => (part.trajectory.startsWith('writ/') ? { ...part, expect: 'any' as const } : part)),
});

describe('a grant', () => {
  test('that is honest is found by nobody, and what is open at the end is no fault', async () => {
    const { at, opened, closed } = await world();
    await closed(await opened());
    await opened();
    expect(await audit(at.ledger)).toEqual({ faults: [], carved: 2 });
  });

  test('of more than the writ has left is found, with what was left', async () => {
    const { at, opened, account } = await world();
    await opened();
    await opened();
    const blind = forged(at.ledger, { shows: (kind) => kind !== 'writ.carved', batch: anywhere });
    await opened(blind);
    expect(await audit(at.ledger)).toMatchObject({
      faults: [
        {
          code: 'carving.overdrawn',
          trajectory: account,
          seq: 2,
          expected: text({ ...ROOT_BUDGET, tokens: 50_000, calls: 800 }),
          recorded: text(GRANT),
        },
      ],
    });
  });

  test('that is recorded smaller than the budget of the run is found, and so is the run of another writ', async () => {
    const { at, opened, account } = await world();
    const less = { ...GRANT, tokens: 1 };
    await opened(forged(at.ledger, { batch: altered('writ.carved', (body) => ({ ...body, grant: { ...less } })) }));
    const strange = narrowed(at, await standingWrit(at), forRun())[1];
    await opened(forged(at.ledger, { batch: altered('writ.carved', (body) => ({ ...body, writ: strange as unknown as Json })) }));
    const { faults } = await audit(at.ledger);
    expect(faults).toMatchObject([
      { code: 'carving.grant', trajectory: account, seq: 0, expected: text(GRANT), recorded: text(less) },
      { code: 'carving.writ', trajectory: account, seq: 1, recorded: strange === undefined ? '' : writId(strange.body) },
    ]);
  });

  test('that is left out is found at the opening', async () => {
    const { at, opened } = await world();
    const without = (batch: AppendBatch) => ({ ...batch, to: batch.to.filter(({ trajectory }) => trajectory.startsWith('run/')) });
    const run = await opened(forged(at.ledger, { batch: without }));
    expect(await audit(at.ledger)).toMatchObject({
      faults: [{ code: 'carving.missing', trajectory: run, seq: 0, kind: 'run.opened', expected: text(GRANT), recorded: null }],
    });
  });

  test('that is not in one piece with the opening is found, and so is the opening', async () => {
    const { at, opened, account } = await world();
    const apart = (batch: AppendBatch) => {
      const [taken, ...rest] = batch.to;
      if (taken === undefined || !isOpening(batch)) return batch;
      const other = { trajectory: 'memory' as never, expect: 'any' as const, drafts: [REMARK] };
      return [
        { to: [taken], blobs: [] },
        { to: [other], blobs: [] },
        { ...batch, to: rest },
      ];
    };
    const run = await opened(forged(at.ledger, { batch: apart }));
    expect(await audit(at.ledger)).toMatchObject({
      faults: [
        { code: 'carving.apart', trajectory: account, seq: 0, expected: 'run.opened next' },
        { code: 'carving.missing', trajectory: run },
      ],
    });
  });

  test('of a nonce that opened its run before is found', async () => {
    const { at, opened, closed, account } = await world();
    let carved: AppendBatch | null = null;
    const run = await opened(
      forged(at.ledger, {
        batch: (batch) => {
          if (isOpening(batch)) carved = { to: batch.to.slice(0, 1).map((part) => ({ ...part, expect: 'any' as const })), blobs: [] };
          return batch;
        },
      }),
    );
    if (carved === null) throw new Error('nothing was carved');
    await at.ledger.append(carved);
    await closed(run);
    await at.ledger.append(carved);
    expect((await audit(at.ledger)).faults).toMatchObject([
      { code: 'carving.again', trajectory: account, seq: 1, recorded: text(GRANT) },
      { code: 'carving.apart', trajectory: account, seq: 3 },
    ]);
  });

  test('under a chain that is revoked, widened, of the wrong parent or out of its window is found, with the reason', async () => {
    const { at, root, account } = await world();
    const [first] = root;
    if (first === undefined) throw new Error('no writ');
    const blind = forged(at.ledger, { batch: anywhere, shows: (kind) => kind !== 'writ.revoked' });
    const careless = async (writs: ReturnType<typeof narrowed>) => {
      // The forger appends what an honest opening would have, under any chain.
      const honest = under(at, narrowed(at, root, forRun()));
      const leaf = writs.at(-1)?.body;
      if (leaf === undefined) throw new Error('no leaf');
      const ledger = forged(at.ledger, {
        batch: (batch) => {
          const name = batch.to[1]?.trajectory ?? '';
          const real = runTrajectory({ issuer: leaf.issuer, nonce: leaf.nonce });
          const renamed = JSON.parse(JSON.stringify(anywhere({ ...batch, blobs: [] })).replaceAll(name, real)) as AppendBatch;
          const asked = altered('run.opened', (body) => ({ ...body, writs: writs as unknown as Json }))(renamed);
          const granted = altered('writ.carved', (body) => ({ ...body, writ: writs.at(-1) as unknown as Json, grant: { ...leaf.budget } }))(
            asked,
          );
          return { ...granted, blobs: batch.blobs };
        },
      });
      expect((await open(at, honest, ledger)).ok).toBe(true);
    };
    await careless(narrowed(at, root, { ...forRun(), wallMs: Number.MAX_SAFE_INTEGER }));
    await careless(narrowed(at, root, { ...forRun({ ...GRANT, tokens: 1 }), notAfter: instantFromMs(START - 1) }));
    await careless(narrowed(at, root, { ...forRun({ ...GRANT, tokens: 1 }), parent: writId(narrowed(at, root)[1]?.body ?? first.body) }));
    await at.legislate('writ.revoked', { writ: writId(first.body), because: 'over' });
    const late = await open(at, under(at, narrowed(at, root, forRun({ ...GRANT, tokens: 1 }))), blind);
    expect(late).toMatchObject({ ok: true });
    const { faults } = await audit(at.ledger);
    expect(faults.map(({ code, trajectory, seq, recorded }) => [code, trajectory === account, seq, recorded])).toEqual([
      ['carving.chain', true, 0, 'writ.widens'],
      ['carving.chain', true, 1, 'writ.expired'],
      ['carving.chain', true, 2, 'writ.parent'],
      ['carving.chain', true, 3, 'writ.revoked'],
    ]);
  });
});

describe('a settlement', () => {
  test.each([
    ['too low', NOTHING],
    ['too high', { tokens: 99_999, usdMicros: 0, calls: 99 }],
  ])('%s is found with what the run recorded', async (_, said) => {
    const { at, opened, closed, account } = await world();
    const run = await opened();
    const returned = { tokens: GRANT.tokens - said.tokens, usdMicros: 0, calls: GRANT.calls - said.calls };
    const spend = await closed(
      run,
      forged(at.ledger, { batch: altered('writ.settled', (body) => ({ ...body, spend: { ...said }, returned })) }),
    );
    expect((await audit(at.ledger)).faults).toMatchObject([
      { code: 'settlement.spend', trajectory: account, seq: 1, expected: text(spend), recorded: text(said) },
      { code: 'settlement.returned', trajectory: account, seq: 1, recorded: text(returned) },
    ]);
  });

  test('made twice, or for a run that was never carved, is found', async () => {
    const { at, opened, closed, account } = await world();
    let settled: AppendBatch | null = null;
    const keep = (batch: AppendBatch) => {
      const part = batch.to.find(({ trajectory }) => trajectory === account);
      if (part !== undefined) settled = { to: [part], blobs: [] };
      return batch;
    };
    const spend = await closed(await opened(), forged(at.ledger, { batch: keep }));
    if (settled === null) throw new Error('nothing was settled');
    await at.ledger.append(settled);
    await at.ledger.append(altered('writ.settled', (body) => ({ ...body, run: 'run/00000000000000000000000000000000' }))(settled));
    expect((await audit(at.ledger)).faults).toMatchObject([
      { code: 'settlement.unknown', trajectory: account, seq: 2, recorded: text(spend) },
      { code: 'settlement.unknown', trajectory: account, seq: 3 },
    ]);
  });

  test('left out, or made while the run is open, is found', async () => {
    const { at, opened, closed, account } = await world();
    const without = (batch: AppendBatch) => ({ ...batch, to: batch.to.filter(({ trajectory }) => trajectory !== account) });
    const first = await opened();
    await closed(first, forged(at.ledger, { batch: without }));
    const second = await opened();
    const payload: Json = { run: second, spend: { ...NOTHING }, returned: { ...GRANT } };
    const draft = { kind: 'writ.settled' as const, at: at.clock.now(), actor: 'runtime' as const, cause: null, law: null, payload };
    await at.ledger.append({ to: [{ trajectory: account, expect: 'any', drafts: [draft] }], blobs: [] });
    expect((await audit(at.ledger)).faults).toMatchObject([
      { code: 'settlement.missing', trajectory: first, kind: 'run.closed' },
      { code: 'settlement.apart', trajectory: account, seq: 2 },
    ]);
  });
});

const REMARK = {
  kind: 'pointer.recorded' as const,
  at: instantFromMs(START),
  actor: 'runtime' as const,
  cause: null,
  law: null,
  payload: { pointer: 'between', type: 'note', value: { inline: 'x' }, source: 'a test', signatures: [] } as Json,
};
