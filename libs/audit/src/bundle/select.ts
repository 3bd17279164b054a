/**
 * Which entries belong into a bundle: all, whole runs with what they rest on, or a range. One pass that reads no blob. Must never let an entry of
 * another run in. PROTOCOL §11.
 */
import { type Json, parseCanonical } from '@openexec/canon';
import type { Stored } from '@openexec/ledger';
import type { BundleScope } from '@openexec/verify';

/** Says of every entry whether it belongs into the bundle. */
export type Selection = (stored: Stored) => boolean;

type Members = { readonly [name: string]: Json };

/**
 * The selection for a scope. Of runs: the runs, the self-tests that they cite, all of `law` below the checkpoint (its signature rests on the last of
 * it), what erased or pruned payloads of theirs, and their own lines in the accounts of standing writs.
 */
export async function selectionFor(scope: BundleScope, entries: AsyncIterable<Stored>): Promise<Selection> {
  if (scope.is === 'ledger') return () => true;
  if (scope.is === 'range')
    return ({ entry, index }) => entry.trajectory === 'law' || (index >= BigInt(scope.from) && index < BigInt(scope.to));
  const wanted = new Set<string>(['law', ...scope.runs]);
  const runs = new Set<string>(scope.runs);
  const single = new Set<bigint>();
  let erased = false;
  for await (const { entry, payload, index } of entries) {
    const { trajectory, kind } = entry;
    if (runs.has(trajectory)) erased ||= payload === null;
    const body = needsBody(kind) && payload !== null ? parseCanonical(payload) : null;
    if (body?.ok !== true) continue;
    if (runs.has(trajectory) && kind === 'run.opened') for (const cited of selfTestOf(body.value)) wanted.add(cited);
    if (kind === 'payload.erased' && namesAny(body.value, runs)) single.add(index);
    if (kind === 'ledger.pruned' && erased) single.add(index);
    if (trajectory.startsWith('writ/') && isOf(body.value, runs)) single.add(index);
  }
  return ({ entry, index }) => wanted.has(entry.trajectory) || single.has(index);
}

function needsBody(kind: string): boolean {
  return kind === 'run.opened' || kind === 'payload.erased' || kind === 'ledger.pruned' || kind.startsWith('writ.');
}

function membersOf(value: Json | undefined): Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Members) : {};
}

function selfTestOf(body: Json): readonly string[] {
  const { trajectory } = membersOf(membersOf(body)['selfTest']) as { readonly trajectory?: Json };
  return typeof trajectory === 'string' ? [trajectory] : [];
}

function namesAny(body: Json, runs: ReadonlySet<string>): boolean {
  const entries = membersOf(body)['entries'];
  if (!Array.isArray(entries)) return false;
  return (entries as readonly Json[]).some((each) => {
    const { trajectory } = membersOf(each) as { readonly trajectory?: Json };
    return typeof trajectory === 'string' && runs.has(trajectory);
  });
}

function isOf(body: Json, runs: ReadonlySet<string>): boolean {
  const { run } = membersOf(body) as { readonly run?: Json };
  return typeof run === 'string' && runs.has(run);
}
