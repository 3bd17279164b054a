/**
 * Which entries belong into a bundle: all, whole runs with what they rest on, or a range; and what lawfully took payloads of them away. Two passes that
 * read no blob. Must never let an entry of another run in. PROTOCOL §11.
 */
import { type Json, parseCanonical } from '@openexec/canon';
import { placeKey, type Stored } from '@openexec/ledger';
import type { BundleScope } from '@openexec/verify';

/** Says of every entry whether it belongs into the bundle. */
export type Selection = (stored: Stored) => boolean;

type Members = { readonly [name: string]: Json };

/**
 * The selection for a scope. Of runs: the runs, the self-tests that they cite, all of `law` below the checkpoint (its signature rests on the last of
 * it), and their own lines in the accounts of standing writs. Of a part of a ledger also what erased or pruned payloads that are missing in it.
 */
export async function selectionFor(scope: BundleScope, entries: () => AsyncIterable<Stored>): Promise<Selection> {
  if (scope.is === 'ledger') return () => true;
  const taken = scope.is === 'range' ? rangeOf(scope) : await runsOf(scope.runs, entries());
  const forgotten = await forgettingOf(taken, entries());
  return (stored) => taken(stored) || forgotten.has(stored.index);
}

function rangeOf({ from, to }: { readonly from: number; readonly to: number }): Selection {
  return ({ entry, index }) => entry.trajectory === 'law' || (index >= BigInt(from) && index < BigInt(to));
}

async function runsOf(names: readonly string[], entries: AsyncIterable<Stored>): Promise<Selection> {
  const wanted = new Set<string>(['law', ...names]);
  const runs = new Set<string>(names);
  const single = new Set<bigint>();
  for await (const { entry, payload, index } of entries) {
    const { trajectory, kind } = entry;
    const isAccount = trajectory.startsWith('writ/');
    const isOpening = runs.has(trajectory) && kind === 'run.opened';
    const body = (isAccount || isOpening) && payload !== null ? parseCanonical(payload) : null;
    if (body?.ok !== true) continue;
    if (isOpening) for (const cited of selfTestOf(body.value)) wanted.add(cited);
    if (isAccount && isOf(body.value, runs)) single.add(index);
  }
  return ({ entry, index }) => wanted.has(entry.trajectory) || single.has(index);
}

/** What took payloads away that are missing among these entries: without it nobody could tell an erasure from a loss. */
async function forgettingOf(taken: Selection, entries: AsyncIterable<Stored>): Promise<ReadonlySet<bigint>> {
  const found = new Set<bigint>();
  const lacking = new Set<string>();
  for await (const stored of entries) {
    const { entry, payload, index } = stored;
    // Nothing that was erased can be named before it was there.
    if (payload === null && taken(stored)) lacking.add(placeKey(entry.trajectory, entry.seq));
    if (payload === null || lacking.size === 0) continue;
    if (entry.kind === 'ledger.pruned') found.add(index);
    const body = entry.kind === 'payload.erased' ? parseCanonical(payload) : null;
    if (body?.ok === true && placesOf(body.value).some((place) => lacking.has(place))) found.add(index);
  }
  return found;
}

function membersOf(value: Json | undefined): Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Members) : {};
}

function selfTestOf(body: Json): readonly string[] {
  const { trajectory } = membersOf(membersOf(body)['selfTest']) as { readonly trajectory?: Json };
  return typeof trajectory === 'string' ? [trajectory] : [];
}

function placesOf(body: Json): readonly string[] {
  const entries = membersOf(body)['entries'];
  if (!Array.isArray(entries)) return [];
  return (entries as readonly Json[]).flatMap((each) => {
    const { trajectory, seq } = membersOf(each) as { readonly trajectory?: Json; readonly seq?: Json };
    return typeof trajectory === 'string' && typeof seq === 'number' ? [placeKey(trajectory, seq)] : [];
  });
}

function isOf(body: Json, runs: ReadonlySet<string>): boolean {
  const { run } = membersOf(body) as { readonly run?: Json };
  return typeof run === 'string' && runs.has(run);
}
