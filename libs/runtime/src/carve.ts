/**
 * Spending a standing writ: a run under it takes its whole grant at once, under the position that the rest was counted at, and gives back at its close
 * what it did not spend. Must never let the sum of grants and spend pass the root's budget, under any interleaving (PROTOCOL §5).
 */
import { addAmount, BUDGET_DIMENSIONS, fitsBudget, NO_AMOUNT, writId } from '@openexec/authority';
import { type Json, ok, parseCanonical, parseTrajectoryId, type Result, type TrajectoryId } from '@openexec/canon';
import type { Draft, LedgerStore } from '@openexec/ledger';
import { type Amount, type Body, kindRow, type SignedWrit, type Writ } from '@openexec/protocol';
import { reading, refuse, type RuntimeFailure } from './failure.ts';

/** One part of the append that opens or closes a run. */
export interface CarvePart {
  readonly trajectory: TrajectoryId;
  readonly expect: 'none' | 'any' | number;
  readonly drafts: readonly Draft[];
}

/** The trajectory in which a standing writ is spent. */
export function carveTrajectory(root: Writ): TrajectoryId {
  const name = parseTrajectoryId(`writ/${writId(root).slice('sha256:'.length)}`);
  if (!name.ok) throw new Error(name.error.message);
  return name.value;
}

/** What the opening of `run` takes from the standing writ at the root of its chain; null where the chain is the run's own writ alone. */
export async function carve(
  ledger: LedgerStore,
  options: { readonly writs: readonly SignedWrit[]; readonly run: TrajectoryId; readonly at: Draft['at'] },
): Promise<Result<CarvePart | null, RuntimeFailure>> {
  const { writs, run, at } = options;
  const [root, leaf, ...more] = writs;
  if (root === undefined || leaf === undefined) return ok(null);
  if (root.body.use !== 'standing' || more.length > 0)
    return refuse(
      'writ.notCarved',
      'a run is carved from a standing writ of the law directly; other chains cannot conserve their budgets yet',
    );
  const trajectory = carveTrajectory(root.body);
  const spent = await spentOf(ledger, trajectory);
  if (!spent.ok) return spent;
  const fits = fitsBudget({ grant: root.body.budget, settled: NO_AMOUNT, reserved: spent.value.amount, ask: leaf.body.budget });
  if (!fits.ok) return refuse('writ.overdrawn', `the standing writ cannot give this run its grant: ${fits.error.message}`);
  // A signed writ is JSON by its schema.
  const payload = { run, writ: leaf, grant: { ...leaf.body.budget } } as unknown as Json;
  const draft: Draft = { kind: 'writ.carved', at, actor: 'runtime', cause: null, law: null, payload };
  return ok({ trajectory, expect: spent.value.last ?? 'none', drafts: [draft] });
}

/** What the close of a run gives back; null where it was carved from nothing. Shares the append of `run.closed`. */
export function settle(options: {
  readonly writs: readonly SignedWrit[];
  readonly run: TrajectoryId;
  readonly at: Draft['at'];
  readonly spend: Amount;
}): CarvePart | null {
  const [root, leaf] = options.writs;
  if (root === undefined || leaf === undefined || root.body.use !== 'standing') return null;
  const { run, at, spend } = options;
  const back = (dimension: (typeof BUDGET_DIMENSIONS)[number]) => Math.max(0, leaf.body.budget[dimension] - spend[dimension]);
  const returned = { tokens: back('tokens'), usdMicros: back('usdMicros'), calls: back('calls') };
  const payload: Json = { run, spend: { ...spend }, returned };
  const draft: Draft = { kind: 'writ.settled', at, actor: 'runtime', cause: null, law: null, payload };
  return { trajectory: carveTrajectory(root.body), expect: 'any', drafts: [draft] };
}

/** What is taken of a standing writ: the full grant of a run that is open, the true spend of one that is closed. `last` is the position it was read at. */
export function spentOf(
  ledger: LedgerStore,
  trajectory: TrajectoryId,
): Promise<Result<{ readonly amount: Amount; readonly last: number | null }, RuntimeFailure>> {
  return reading(async () => {
    const taken = new Map<string, Amount>();
    let last: number | null = null;
    for await (const { entry, payload } of ledger.read(trajectory)) {
      last = entry.seq;
      const json = payload === null ? null : parseCanonical(payload);
      const body = json?.ok === true ? kindRow(entry.kind).body.safeParse(json.value) : null;
      if (body?.success !== true)
        return refuse('run.unreadable', `${trajectory} ${entry.seq} cannot be read, so what is left cannot be known`);
      if (entry.kind === 'writ.carved') {
        const { run, grant } = body.data as Body<'writ.carved'>; // Just held against the schema of this kind.
        taken.set(run, grant);
      } else if (entry.kind === 'writ.settled') {
        const { run, spend } = body.data as Body<'writ.settled'>; // As above.
        taken.set(run, spend);
      }
    }
    return ok({ amount: [...taken.values()].reduce(addAmount, NO_AMOUNT), last });
  });
}
