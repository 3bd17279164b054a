/** A kept history told again to fresh checkers, as it was or doctored. */
import { type Json, canonicalBytes } from '@openexec/canon';
import { DeepPass } from '@openexec/audit';
import type { LedgerStore, Stored } from '@openexec/ledger';
import type { EntryMoment, Moment } from '../src/moment.ts';
import { checkers, entryMoment } from '../src/watch.ts';

export type Members = { [name: string]: Json };

/** Tells the moments to all ten checkers; findings by the number of their invariant. `see` may change an entry's view just before it is seen. */
export async function findingsOf(
  moments: readonly Moment[],
  ledger: LedgerStore,
  see: (moment: EntryMoment) => EntryMoment = (moment) => moment,
): Promise<ReadonlyMap<number, readonly string[]>> {
  const pass = new DeepPass(ledger);
  const found = new Map<number, string[]>();
  const all = checkers(pass);
  for (const moment of moments) {
    const told = moment.what === 'entry' ? see(await again(moment.stored, pass)) : moment;
    for (const checker of all)
      await checker.see(told, (problem) => found.set(checker.invariant, [...(found.get(checker.invariant) ?? []), problem]));
  }
  return found;
}

async function again(stored: Stored, pass: DeepPass): Promise<EntryMoment> {
  const run = stored.entry.trajectory;
  const before = pass.stateOf(run);
  await pass.take(stored);
  return entryMoment(stored, { law: pass.law, before, after: pass.stateOf(run) });
}

/** The body of an entry, whatever its kind. */
export function bodyOf(moment: EntryMoment): Members {
  const body: unknown = moment.body;
  return body as Members;
}

/** Changes the bodies of the entries that `which` names. */
export function rewritten(
  moments: readonly Moment[],
  which: (moment: EntryMoment) => boolean,
  change: (body: Members) => Json,
): readonly Moment[] {
  let changed = 0;
  const made = moments.map((moment): Moment => {
    if (moment.what !== 'entry' || !which(moment)) return moment;
    changed++;
    const payload = canonicalBytes(change(structuredClone(bodyOf(moment))));
    const { law, before, after } = moment;
    return entryMoment({ ...moment.stored, payload }, { law, before, after });
  });
  if (changed === 0) throw new Error('nothing was doctored');
  return made;
}

/** Leaves out the moments that `which` names. */
export function without(moments: readonly Moment[], which: (moment: Moment) => boolean): readonly Moment[] {
  const left = moments.filter((moment) => !which(moment));
  if (left.length === moments.length) throw new Error('nothing was left out');
  return left;
}

/** Changes the moments that `which` names, or puts others in their place. */
export function replaced(
  moments: readonly Moment[],
  which: (moment: Moment) => boolean,
  change: (moment: Moment) => readonly Moment[],
): readonly Moment[] {
  if (!moments.some(which)) throw new Error('nothing was replaced');
  return moments.flatMap((moment) => (which(moment) ? change(moment) : [moment]));
}
