/**
 * From what a person types to the run it names. Must never guess between two.
 */
import { ok, type Result, type TrajectoryId } from '@openexec/canon';
import type { LedgerStore } from '@openexec/ledger';
import { type Refusal, refuse } from './exit.ts';
import { safeLine } from './output.ts';

const PREFIX = 'run/';
const LEAST_DIGITS = 4;

/** The run that `wanted` names: its trajectory, its id, a prefix of at least 4 hex digits, or `latest` (the one opened last). */
export async function findRun(store: LedgerStore, wanted: string): Promise<Result<TrajectoryId, Refusal>> {
  if (wanted === 'latest') return latestRun(store);
  const id = wanted.startsWith(PREFIX) ? wanted.slice(PREFIX.length) : wanted;
  if (!/^[0-9a-f]{4,32}$/.test(id)) {
    return refuse('usage.invalid', `"${safeLine(wanted, 80)}" names no run: give at least ${LEAST_DIGITS} hex digits of its id, or latest`);
  }
  const found: TrajectoryId[] = [];
  for await (const { trajectory } of store.trajectories(`${PREFIX}${id}`)) found.push(trajectory);
  const [first, second] = found;
  if (first === undefined) return refuse('run.unknown', `this ledger has no run that begins with ${id}`);
  return second === undefined
    ? ok(first)
    : refuse('run.ambiguous', `${found.length} runs begin with ${id}: ${found.slice(0, 5).join(', ')}`);
}

async function latestRun(store: LedgerStore): Promise<Result<TrajectoryId, Refusal>> {
  let latest: { readonly run: TrajectoryId; readonly index: bigint } | null = null;
  for await (const { trajectory } of store.trajectories(PREFIX)) {
    for await (const { index } of store.read(trajectory, 0, 1))
      if (latest === null || index > latest.index) latest = { run: trajectory, index };
  }
  return latest === null ? refuse('run.unknown', 'this ledger has no run yet') : ok(latest.run);
}

/** The part of a run's name that people use. */
export function shortRun(run: string): string {
  return run.replace(PREFIX, '').slice(0, 12);
}
