/** Writs for the tests of spending: standing ones of the law, children to any depth, openings under a chain; and a store that a forger holds. */
import { carveTrajectory, issueWrit, writId } from '@openexec/authority';
import { deepVerify } from '@openexec/audit';
import { type Json, type KeyId, parseCanonical, type TrajectoryId } from '@openexec/canon';
import type { AppendBatch, LedgerStore } from '@openexec/ledger';
import type { Amount, SignedWrit, Writ } from '@openexec/protocol';
import { type Opening, openRun, spentOf } from '../src/index.ts';
import { agent, keyOf, openingOf, type Place, randomness, SEEDS } from './support.ts';

export const GRANT: Amount = { tokens: 100_000, usdMicros: 0, calls: 100 };
export const ROOT_BUDGET: Amount = { tokens: 250_000, usdMicros: 0, calls: 1000 };

const seedFor = (key: KeyId) => {
  const seed = Object.values(SEEDS).find((each) => keyOf(each) === key);
  if (seed === undefined) throw new Error('nobody holds that key');
  return seed;
};

/** Records a law body as it stands. */
export async function enact(at: Place, kind: 'writ.issued', payload: Json): Promise<void> {
  const draft = { kind, at: at.clock.now(), actor: 'runtime' as const, cause: null, law: null, payload };
  const done = await at.ledger.append({ to: [{ trajectory: 'law' as TrajectoryId, expect: 'any', drafts: [draft] }], blobs: [] });
  if (!done.ok) throw new Error(done.error.message);
}
/** A standing writ in the law, of the issuer for the approver's key, and the chain that it is. */
export async function standingWrit(at: Place, changed: Partial<Writ> = {}): Promise<readonly SignedWrit[]> {
  const own = openingOf(at).writs[0]?.body;
  if (own === undefined) throw new Error('no writ');
  const delegation = { depth: 4, maySubdivide: true };
  const made = { use: 'standing' as const, subject: keyOf(SEEDS.approver), nonce: at.nonce(), budget: ROOT_BUDGET, delegation };
  const signed = issueWrit({ writ: { ...own, ...made, ...changed }, seed: SEEDS.issuer });
  await enact(at, 'writ.issued', { writ: signed });
  return [signed];
}
/** The chain with one more writ, by the subject of its last. Standing unless a run is named; a run's writ is the runtime's. */
export function narrowed(at: Place, chain: readonly SignedWrit[], changed: Partial<Writ> = {}): readonly SignedWrit[] {
  const above = chain.at(-1)?.body;
  if (above === undefined) throw new Error('no parent');
  const made = { issuer: above.subject, parent: writId(above), nonce: at.nonce() };
  const delegation = { depth: Math.max(0, above.delegation.depth - 1), maySubdivide: above.delegation.depth > 1 };
  return [...chain, issueWrit({ writ: { ...above, delegation, ...made, ...changed }, seed: seedFor(above.subject) })];
}
/** The members of a run's own writ, from which nobody narrows. */
export function forRun(budget: Amount = GRANT): Partial<Writ> {
  return { use: 'run', subject: keyOf(SEEDS.runtime), budget, delegation: { depth: 0, maySubdivide: false } };
}
/** An opening of one agent stage under a chain. */
export function under(at: Place, writs: readonly SignedWrit[]): Opening {
  return openingOf(at, { stages: [agent('work', 'done')], writs });
}
/** Opens on the place's ledger, or on another hold of it. */
export function open(at: Place, opening: Opening, ledger: LedgerStore = at.ledger) {
  return openRun(opening, { ledger, clock: at.clock, randomness: randomness(at.nonce()) });
}
export const accountOf = (writ: SignedWrit | undefined): TrajectoryId => {
  if (writ === undefined) throw new Error('no writ');
  return carveTrajectory(writId(writ.body));
};
/** What is taken of the writ. */
export async function taken(ledger: LedgerStore, writ: SignedWrit | undefined): Promise<Amount> {
  const spent = await spentOf(ledger, accountOf(writ));
  if (!spent.ok) throw new Error(spent.error.message);
  return spent.value.amount;
}
export async function kindsIn(ledger: LedgerStore, trajectory: TrajectoryId): Promise<readonly string[]> {
  const kinds: string[] = [];
  for await (const { entry } of ledger.read(trajectory)) kinds.push(entry.kind);
  return kinds;
}
/** What the production verifier finds in spending, and that it finds nothing else. */
export async function audit(ledger: LedgerStore) {
  const { carvingFaults, lawProblems, totals } = await deepVerify(ledger);
  if (totals.divergences > 0 || lawProblems.length > 0) throw new Error('the forgery shows elsewhere too');
  return { faults: carvingFaults, carved: totals.carved };
}

/** A hold of the ledger whose owner writes and reads what he likes. */
export function forged(
  ledger: LedgerStore,
  how: {
    readonly batch?: (batch: AppendBatch) => AppendBatch | readonly AppendBatch[];
    /** Whether an entry is shown to whoever reads. */
    readonly shows?: (kind: string) => boolean;
  },
): LedgerStore {
  const { batch: change = (batch) => batch, shows = () => true } = how;
  const append: LedgerStore['append'] = async (batch) => {
    const changed = change(batch);
    let done = null;
    for (const each of Array.isArray(changed) ? (changed as readonly AppendBatch[]) : [changed as AppendBatch]) {
      done = await ledger.append(each);
      if (!done.ok) throw new Error(`the forger's own ledger refuses him: ${done.error.message}`);
    }
    if (done === null) throw new Error('nothing was appended');
    return done;
  };
  const read: LedgerStore['read'] = async function* (...args) {
    for await (const stored of ledger.read(...args)) if (shows(stored.entry.kind)) yield stored;
  };
  return new Proxy(ledger, {
    get(target, name) {
      if (name === 'append') return append;
      if (name === 'read') return read;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
}
/** A batch with the payload of its drafts of one kind changed. */
export function altered(kind: string, change: (payload: { readonly [name: string]: Json }) => Json): (batch: AppendBatch) => AppendBatch {
  return (batch) => ({
    ...batch,
    to: batch.to.map((part) => ({
      ...part,
      drafts: part.drafts.map((draft) =>
        draft.kind === kind ? { ...draft, payload: change(draft.payload as { readonly [name: string]: Json }) } : draft,
      ),
    })),
  });
}
export function bodyOf(payload: Uint8Array | null): Json {
  const json = payload === null ? null : parseCanonical(payload);
  if (json?.ok !== true) throw new Error('no body');
  return json.value;
}
