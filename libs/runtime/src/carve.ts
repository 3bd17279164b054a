/**
 * Spending writs: a run takes its whole grant at once from every writ above it that others may be narrowed from, under the positions at which the rest
 * was counted, and gives back at its close what it did not spend. Must never let the sum of grants and spend pass any such writ's budget, under any
 * interleaving (PROTOCOL §5).
 */
import { addAmount, BUDGET_DIMENSIONS, carveTrajectory, checkChain, fitsBudget, isCarved, NO_AMOUNT, writId } from '@openexec/authority';
import { type Instant, type Json, maxInstant, ok, parseCanonical, type Result, type TrajectoryId } from '@openexec/canon';
import type { Draft, LedgerStore } from '@openexec/ledger';
import { type Amount, type Body, kindRow, type SignedWrit } from '@openexec/protocol';
import { reading, refuse, type RuntimeFailure } from './failure.ts';
import { loadLaw } from './read.ts';

/** One part of the append that opens or closes a run. */
export interface CarvePart {
  readonly trajectory: TrajectoryId;
  readonly expect: 'none' | 'any' | number;
  readonly drafts: readonly Draft[];
}
/** What an opening takes. */
export interface Carving {
  /** One part for each writ that is spent, root first. Empty where the chain is the run's own writ, from which nobody may narrow. */
  readonly parts: readonly CarvePart[];
  /** The position of the law under which the chain was found to count; null where nobody asked. The append holds it. */
  readonly law: number | null;
  /** No earlier than any fact of the trajectories, so that what was checked is the moment that is recorded. */
  readonly at: Instant;
}

/** What is taken of a writ, and where its trajectory stands. */
export interface Spent {
  readonly amount: Amount;
  /** The position it was read at; null where nothing was ever carved. */
  readonly last: number | null;
  readonly lastAt: Instant | null;
}

/**
 * The writs of a chain that an opening is carved from. A child run takes nothing from those above its own: its grant is held in the run that delegated to
 * it, which took its own from them.
 */
function spentFrom(writs: readonly SignedWrit[], delegated: boolean): readonly SignedWrit[] {
  return (delegated ? writs.slice(-1) : writs).filter(({ body }) => isCarved(body));
}

/**
 * What the opening of `run` takes from the writs of its chain. Where something is taken, or the chain has more than one writ, it is held against the law
 * first: nothing is carved from what does not count. Children that were narrowed offline may together promise more than their parent has; since every
 * opening is carved from all its ancestors, they can never spend it.
 */
export async function carve(
  ledger: LedgerStore,
  options: { readonly writs: readonly SignedWrit[]; readonly run: TrajectoryId; readonly now: Instant; readonly delegated: boolean },
): Promise<Result<Carving, RuntimeFailure>> {
  const { writs, run, now, delegated } = options;
  const leaf = writs.at(-1);
  const above = spentFrom(writs, delegated);
  if (leaf === undefined || (above.length === 0 && writs.length < 2)) return ok({ parts: [], law: null, at: now });
  const grant = { ...leaf.body.budget };
  const counted: { readonly writ: SignedWrit; readonly trajectory: TrajectoryId; readonly spent: Spent }[] = [];
  let at = now;
  for (const writ of above) {
    const trajectory = carveTrajectory(writId(writ.body));
    const spent = await spentOf(ledger, trajectory);
    if (!spent.ok) return spent;
    counted.push({ writ, trajectory, spent: spent.value });
    at = spent.value.lastAt === null ? at : maxInstant(at, spent.value.lastAt);
  }
  const law = await loadLaw(ledger);
  if (!law.ok) return law;
  const chain = checkChain({ writs, law: law.value, at, ledger: law.value.ledger });
  if (!chain.ok) return refuse('writ.notCarved', `${chain.error.code}: ${chain.error.message}`);
  for (const { writ, spent } of counted) {
    const fits = fitsBudget({ grant: writ.body.budget, settled: NO_AMOUNT, reserved: spent.amount, ask: grant });
    if (!fits.ok) return refuse('writ.overdrawn', `writ ${writId(writ.body)} cannot give this run its grant: ${fits.error.message}`);
  }
  // A signed writ is JSON by its schema.
  const payload = { run, writ: leaf, grant } as unknown as Json;
  const draft: Draft = { kind: 'writ.carved', at, actor: 'runtime', cause: null, law: null, payload };
  const parts = counted.map(({ trajectory, spent }) => ({ trajectory, expect: spent.last ?? ('none' as const), drafts: [draft] }));
  return ok({ parts, law: law.value.position, at });
}

/** What the close of a run gives back to every writ that it was carved from, in the append of `run.closed`. */
export function settle(options: {
  readonly writs: readonly SignedWrit[];
  readonly run: TrajectoryId;
  readonly at: Draft['at'];
  readonly spend: Amount;
  readonly delegated: boolean;
}): readonly CarvePart[] {
  const { writs, run, at, spend, delegated } = options;
  const leaf = writs.at(-1);
  if (leaf === undefined) return [];
  const back = (dimension: (typeof BUDGET_DIMENSIONS)[number]) => Math.max(0, leaf.body.budget[dimension] - spend[dimension]);
  const returned = { tokens: back('tokens'), usdMicros: back('usdMicros'), calls: back('calls') };
  const payload: Json = { run, spend: { ...spend }, returned };
  const draft: Draft = { kind: 'writ.settled', at, actor: 'runtime', cause: null, law: null, payload };
  return spentFrom(writs, delegated).map(({ body }) => ({ trajectory: carveTrajectory(writId(body)), expect: 'any', drafts: [draft] }));
}

/** What is taken of a writ: the full grant of a run that is open, the true spend of one that is closed. */
export function spentOf(ledger: LedgerStore, trajectory: TrajectoryId): Promise<Result<Spent, RuntimeFailure>> {
  return reading(async () => {
    const taken = new Map<string, Amount>();
    let last: { readonly seq: number; readonly at: Instant } | null = null;
    for await (const { entry, payload } of ledger.read(trajectory)) {
      last = entry;
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
    const amount = [...taken.values()].reduce(addAmount, NO_AMOUNT);
    return ok({ amount, last: last?.seq ?? null, lastAt: last?.at ?? null });
  });
}
