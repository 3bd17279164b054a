/**
 * What must hold of a ledger whose writer was cut off: it opens, every acknowledged batch is there, no batch is half there, payloads and blobs are
 * those that were handed over, it verifies, a repeat is answered as one, and the next append goes on. GOALS §4.
 */
import { join } from 'node:path';
import { utf8Decode } from '@openexec/canon';
import type { Appended, LedgerStore } from '@openexec/ledger';
import Database from 'better-sqlite3';
import { check, keys, randomness } from '../sqliteSupport.ts';
import { openSqliteLedger } from '@openexec/stores';
import { fixtures } from '@openexec/ledger/contract';
import { planOf, type Planned, RUN, type Scenario } from './script.ts';

/** What was found, and how far the ledger had come. */
export interface Inspected {
  readonly faults: readonly string[];
  /** The `seq` of the run's last entry before anything was added; -1 when it could not be opened. */
  readonly stored: number;
  /** Whether the last stored batch was handed in once more. */
  readonly repeated: boolean;
}

/** Inspects the ledger in `folder` of which `acknowledged` was the last `seq` its writer had been told of. Adds two batches to it. */
export async function inspect(
  folder: string,
  scenario: Scenario,
  acknowledged: number,
  options: { readonly clockOffsetMs?: number } = {},
): Promise<Inspected> {
  const path = join(folder, 'ledger.db');
  const store = await openSqliteLedger({
    path,
    headFile: join(folder, 'head.json'),
    clock: { now: () => fixtures.after(options.clockOffsetMs ?? 0) },
    randomness,
    ...keys,
  });
  if (!store.ok) {
    // Before the founding was acknowledged there may be nothing, or nothing yet that is a ledger.
    const nothingYet = acknowledged < -1 && (store.error.code === 'store.missing' || store.error.code === 'store.missingDirectory');
    return { faults: nothingYet ? [] : [`does not open: ${store.error.code}: ${store.error.message}`], stored: -1, repeated: false };
  }
  const faults: string[] = [];
  let stored = -1;
  let repeated = false;
  try {
    stored = (await store.value.trajectory(RUN))?.seq ?? -1;
    if (stored < 0 && acknowledged < 0) faults.push(...(await beforeTheRun(store.value, acknowledged)));
    else {
      faults.push(...(await contents(store.value, scenario, stored, acknowledged)));
      await check(store.value);
      if (faults.length === 0) {
        faults.push(...(await goesOn(store.value, scenario, stored)));
        repeated = stored > 0;
      }
      await check(store.value);
    }
  } catch (error) {
    faults.push(`threw: ${String(error)}`);
  }
  await store.value.close();
  faults.push(...integrityOf(path));
  return { faults, stored, repeated };
}

/** What SQLite itself says about the file. */
function integrityOf(path: string): string[] {
  let found: string;
  try {
    const db = new Database(path, { readonly: true });
    found = String(db.pragma('integrity_check', { simple: true }));
    db.close();
  } catch (error) {
    found = String(error);
  }
  return found === 'ok' ? [] : [`integrity_check: ${found}`];
}

async function contents(store: LedgerStore, scenario: Scenario, stored: number, acknowledged: number): Promise<string[]> {
  const faults: string[] = [];
  if (stored < acknowledged) faults.push(`lost: ${acknowledged} acknowledged, ${stored} stored`);
  const plan = planOf(scenario);
  if (stored > 0 && !plan.some(({ end }) => end === stored)) faults.push(`half a batch: the run ends at ${stored}`);
  const expected = plan.flatMap(({ payloads }) => payloads);
  let seq = 0;
  for await (const { entry, payload } of store.read(RUN, 1)) {
    if (entry.seq !== ++seq) faults.push(`position ${entry.seq} where ${seq} should stand`);
    const text = payload === null ? null : utf8Decode(payload);
    if (text === null || !text.ok || text.value !== expected[seq - 1]) faults.push(`another payload at ${seq}`);
  }
  if (seq !== Math.max(stored, 0)) faults.push(`${seq} entries read, the head says ${stored}`);
  for (const { blob, end } of plan) {
    if (blob === null || end > stored) continue;
    const read = await store.blob(blob.digest);
    if (!read.ok) faults.push(`the blob of the batch up to ${end}: ${read.error.code}`);
  }
  return faults;
}

/** A ledger whose run is not opened yet: what was acknowledged is the founding, or nothing. */
async function beforeTheRun(store: LedgerStore, acknowledged: number): Promise<string[]> {
  const { size } = await store.head();
  if (acknowledged === -1 && size < 2n) return [`lost: the founding was acknowledged, ${size} entries are stored`];
  await check(store);
  const next = await store.append(fixtures.foundingBatch());
  const outcome = size === 0n ? 'appended' : 'duplicate';
  return next.ok && next.value.outcome === outcome
    ? []
    : [`the founding again is not ${outcome}: ${next.ok ? next.value.outcome : next.error.code}`];
}

/** The last stored batch again, then the two that come next. */
async function goesOn(store: LedgerStore, scenario: Scenario, stored: number): Promise<string[]> {
  const faults: string[] = [];
  const plan = planOf(scenario, 2);
  const append = async (planned: Planned | undefined, outcome: Appended['outcome']): Promise<void> => {
    if (planned === undefined) return;
    const result = await store.append(planned.batch);
    if (!result.ok) faults.push(`the append up to ${planned.end} was refused: ${result.error.code}: ${result.error.message}`);
    else if (result.value.outcome !== outcome) faults.push(`the append up to ${planned.end} was ${result.value.outcome}, not ${outcome}`);
  };
  const next = plan.findIndex(({ end }) => end > stored);
  await append(plan[next - 1], 'duplicate');
  await append(plan[next], 'appended');
  await append(plan[next + 1], 'appended');
  return faults;
}
