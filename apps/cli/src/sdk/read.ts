/**
 * `openLedger` and `verifyLedger`: the same reading that the commands do, as values. Must never write.
 */
import { err, ok, parseDecimal, parseDigest, type Result, type TrajectoryId } from '@openexec/canon';
import type { LedgerStore, Stored } from '@openexec/ledger';
import type { OpenLedger } from '../context.ts';
import { EXIT, refuse } from '../exit.ts';
import { findRun } from '../findRun.ts';
import { openLedger as openForReading } from '../openLedger.ts';
import { eventLine, readEvent } from '../read/events.ts';
import { listRuns, type RunRow } from '../read/runs.ts';
import { documentOf, verdictOf } from '../read/verdict.ts';
import type { LedgerEvent, LedgerPlace, OpenedLedger, Outcome, RunListing, VerifyReport } from './public.ts';
import { failureOf, faultOf, onAbort, outcomeOf, placeOf, settled, surroundingsOf, thrown } from './shared.ts';

/** See `openLedger` of public.ts. */
export function openLedgerFrom(entry: string, place: LedgerPlace): Promise<Outcome<OpenedLedger>> {
  return settled(async () => {
    const context = surroundingsOf(entry, process.cwd(), place.env);
    const { ledger, project } = placeOf(place, context.places);
    const opened = await openForReading({ ...context, choice: { ledger }, project });
    return outcomeOf(opened, described);
  });
}

function described(ledger: OpenLedger): OpenedLedger {
  const { store, path, fingerprint, pinned } = ledger;
  return {
    path,
    fingerprint,
    pinned: pinned !== null,
    size: async () => (await store.head()).size.toString(),
    runs: () => settled(async () => ok((await listRuns(store)).map(listing))),
    findRun: (wanted) => settled(async () => outcomeOf(await findRun(store, wanted), (run) => run)),
    events: (options = {}) => ({ [Symbol.asyncIterator]: () => eventsOf(store, options) }),
    blob: async (digest) => {
      const parsed = parseDigest(digest);
      const read = parsed.ok ? await store.blob(parsed.value) : parsed;
      return read.ok ? read.value : null;
    },
    close: () => ledger.close(),
  };
}

function listing({ run, openedAt, lastAt, status, task, result, spend, index }: RunRow): RunListing {
  const branch = result?.ref.replace(/^refs\/heads\//, '') ?? null;
  const landed = { branch, commit: result?.commit ?? null, tree: result?.tree ?? null };
  return { run, openedAt, lastAt, status, task, spend, ...landed, cursor: index.toString() };
}

/** Which events of a store. */
type Wanted = NonNullable<Parameters<OpenedLedger['events']>[0]>;

/** Events of a store, one page at a time; a damaged file throws an `OpenExecError`. */
async function* eventsOf(store: LedgerStore, wanted: Wanted): AsyncGenerator<LedgerEvent, void> {
  const after = wanted.after === undefined ? ok(-1n) : parseDecimal(wanted.after);
  if (!after.ok) throw thrown(failureOf(refuse('usage.invalid', `"after" takes the cursor of an event, a whole number`).error));
  const named: Result<TrajectoryId | null, ReturnType<typeof refuse>['error']> =
    wanted.run === undefined ? ok(null) : await findRun(store, wanted.run);
  if (!named.ok) throw thrown(failureOf(named.error));
  const run = named.value;
  try {
    yield* following(store, { run, after: after.value, follow: wanted.follow === true, signal: wanted.signal });
  } catch (error) {
    throw thrown(failureOf(faultOf(error)));
  }
}

async function* following(
  store: LedgerStore,
  wanted: { readonly run: TrajectoryId | null; readonly after: bigint; readonly follow: boolean; readonly signal: Wanted['signal'] },
): AsyncGenerator<LedgerEvent, void> {
  const { run, after } = wanted;
  const closes = (stored: Stored): boolean => run !== null && stored.entry.trajectory === run && stored.entry.kind === 'run.closed';
  let next = after + 1n;
  for await (const stored of run === null ? store.all(next) : store.read(run)) {
    if (wanted.signal?.aborted === true) return;
    if (stored.index > after) yield eventLine(readEvent(stored));
    if (stored.index >= next) next = stored.index + 1n;
    if (closes(stored)) return;
  }
  if (!wanted.follow) return;
  const subscription = store.follow(next);
  const release = onAbort(wanted.signal, () => void subscription.return());
  try {
    for await (const stored of subscription) {
      if (run !== null && stored.entry.trajectory !== run) continue;
      yield eventLine(readEvent(stored));
      if (closes(stored)) return;
    }
  } finally {
    release();
    await subscription.return();
  }
}

/** See `verifyLedger` of public.ts. */
export function verifyLedgerFrom(
  entry: string,
  place: LedgerPlace & { readonly trust?: string; readonly deep?: boolean; readonly run?: string },
): Promise<Outcome<VerifyReport>> {
  return settled(async () => {
    const context = surroundingsOf(entry, process.cwd(), place.env);
    const { ledger, project } = placeOf(place, context.places);
    const { run, trust, deep } = place;
    const reached = await verdictOf({ ...context, project }, { ledger, run, trust, deep: deep === true });
    if (reached.ok) return ok(plain(documentOf(reached.value)));
    // What lies in a ledger's place and is none fails verification; there is nothing to report of it.
    return err(failureOf(reached.error));
  });
}

/** The document as it would be printed: bigints as decimals. Its members are those of `VerifyReport`, which a test holds it to. */
function plain(document: object): VerifyReport {
  return JSON.parse(
    JSON.stringify(document, (_key, value: unknown) => (typeof value === 'bigint' ? value.toString() : value)),
  ) as VerifyReport;
}

/** The name of an exit code. */
export function meaningOf(exit: number): string {
  return Object.entries(EXIT).find(([, code]) => code === exit)?.[0] ?? 'failed';
}
