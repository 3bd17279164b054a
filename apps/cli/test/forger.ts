/**
 * A forger who holds every key of the ledger: writes it anew, entry by entry, with the same salts, so that fingerprint, chain, signatures and tree are all
 * in order, and only one recorded judgement is another. Integrity cannot see that; judging again can.
 */
import { randomFillSync } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Bytes, instantFromMs, type Json, parseCanonical } from '@openexec/canon';
import { factsOf, type LedgerStore, type Stored } from '@openexec/ledger';
import { openSqliteLedger, type SqliteLedgerOptions } from '@openexec/stores';
import Database from 'better-sqlite3';
import { keysFolder, loadSigners } from '../src/keyring.ts';

export interface Rewriting {
  readonly source: string;
  readonly target: string;
  /** Folder of the ledger's state, with its keys. */
  readonly stateFolder: string;
  /** The payload to write instead, or the same. */
  change(stored: Stored, payload: Json): Json;
}

const SALT_BYTES = 32;
const clock = { now: () => instantFromMs(Date.now()) };
const CHANCE = { bytes: (count: number) => randomFillSync(new Uint8Array(count)) };

/** A store draws salts ahead, many at once; it is given those of the source in their order, then chance. */
function nextSalts(salts: Bytes[], count: number): Bytes {
  const bytes = CHANCE.bytes(count);
  for (let at = 0; at < count; at += SALT_BYTES) {
    const salt = salts.shift();
    if (salt !== undefined) bytes.set(salt, at);
  }
  return bytes;
}

async function open(options: SqliteLedgerOptions): Promise<LedgerStore> {
  const opened = await openSqliteLedger(options);
  if (!opened.ok) throw new Error(opened.error.message);
  return opened.value;
}

/** Writes the forged ledger and signs its head. */
export async function rewrite(options: Rewriting): Promise<void> {
  const source = await open({ path: options.source, clock, randomness: CHANCE, access: 'readOnly' });
  const salts: Bytes[] = [];
  for await (const { salt } of source.all()) salts.push(salt ?? new Uint8Array(SALT_BYTES));
  const randomness = { bytes: (count: number) => (count % SALT_BYTES === 0 ? nextSalts(salts, count) : CHANCE.bytes(count)) };
  const signers = loadSigners(keysFolder(options.stateFolder));
  if (!signers.ok) throw new Error(signers.error.message);
  mkdirSync(dirname(options.target), { recursive: true });
  const shape = { path: options.target, clock, randomness, ...signers.value };
  await (await open({ ...shape, missing: 'create' })).close();
  copyBlobs(options);
  const target = await open(shape);
  try {
    for await (const stored of source.all()) await appendAgain(target, stored, options);
    const signed = await target.checkpoint();
    if (!signed.ok) throw new Error(signed.error.message);
  } finally {
    await source.close();
    await target.close();
  }
}

function copyBlobs({ source, target }: Rewriting): void {
  const db = new Database(target);
  db.prepare('ATTACH ? AS source').run(source);
  db.exec('INSERT INTO blobs SELECT * FROM source.blobs');
  db.close();
}

async function appendAgain(target: LedgerStore, stored: Stored, { change }: Rewriting): Promise<void> {
  const { trajectory, seq, kind, at, actor, cause, law } = stored.entry;
  const payload = stored.payload === null ? null : parseCanonical(stored.payload);
  if (payload?.ok !== true) throw new Error(`entry ${stored.index} cannot be copied`);
  const draft = { kind, at, actor, cause, law, payload: change(stored, payload.value) };
  const batch = { to: [{ trajectory, expect: seq === 0 ? ('none' as const) : seq - 1, drafts: [draft] }], blobs: [] };
  const appended = await target.append(factsOf(kind)?.judged === true && law !== null ? { ...batch, law } : batch);
  if (!appended.ok) throw new Error(`entry ${stored.index}: ${appended.error.message}`);
}
