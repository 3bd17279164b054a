/**
 * GOALS E17, back-pressure and not a leak: a reader that is slower than the writers of a ledger holds a page of it and no more, on each store. It is a process
 * of its own under a bound on its heap, so that it dies where it keeps what it has not read yet; the control does. Run by `npm test -- --heavy`.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { fixtures, keeping } from '@openexec/ledger/contract';
import { type PostgresServer, startPostgres } from '@openexec/stores/testServer';
import { bundled, type Outcome, run, scratch } from './children.ts';
import { EventStoreServer } from './eventstoreServer/server.ts';
import { found, opened } from './support.ts';

const { batchTo, fact, openedBody } = fixtures;
/** The bound on the reader's heap, and what goes through it: payloads of 16 KiB, 125 MiB in all. */
const HEAP_MB = 64;
const PAYLOAD_BYTES = 16 * 1024;
const BATCH = 50;
const ENTRIES = 8000;
/** Of the whole process, whose code and add-ons alone take half of this; what goes through does not fit into it. */
const PEAK_MB = 300;
const LEAST_MB = 110;
jest.setTimeout(600_000);

let child = '';
let folder = '';
let node: EventStoreServer;
let postgres: PostgresServer;
beforeAll(async () => {
  [child, node, postgres] = await Promise.all([bundled('followChild'), EventStoreServer.start(), startPostgres()]);
  folder = scratch('openexec-slow-');
});
afterAll(async () => {
  await Promise.all([node.stop(), postgres.stop()]);
  rmSync(folder, { recursive: true, force: true });
  rmSync(child, { force: true });
});

const placeOf = async (kind: string): Promise<string> => {
  if (kind === 'Postgres') return postgres.database();
  if (kind === 'SQLite') return join(folder, 'ledger.db');
  return `esdb://127.0.0.1:${node.port}/?tls=false&stream=slow&companion=${encodeURIComponent(join(folder, 'companion.db'))}`;
};

/** Fills a ledger as fast as it takes it while the child reads it. */
async function followed(place: string, manner: string): Promise<{ readonly outcome: Outcome; readonly entries: number }> {
  const store = await opened(place);
  const fingerprint = await found(store);
  const trajectory = keeping.runOfKeeping('slow');
  await store.append(batchTo(trajectory, 'none', [fact('run.opened', openedBody(fingerprint, 'slow'))]));
  const entries = ENTRIES + Number((await store.head()).size);
  const reading = run(process.execPath, [`--max-old-space-size=${HEAP_MB}`, child, place, String(entries), manner]);
  const body = {
    channel: 'c',
    action: 'a',
    arguments: { inline: 'x'.repeat(PAYLOAD_BYTES) },
    claims: { rationale: null, claimedRisk: null },
  };
  const drafts = Array.from({ length: BATCH }, () => fact('intent.submitted', body));
  for (let seq = 0; seq < ENTRIES; seq += BATCH) {
    const taken = await store.append(batchTo(trajectory, seq, drafts));
    if (!taken.ok) throw new Error(`${taken.error.code}: ${taken.error.message}`);
  }
  const outcome = await reading;
  await store.close();
  return { outcome, entries };
}

describe('a reader that is slower than the writers', () => {
  test.each(['SQLite', 'Postgres', 'EventStoreDB'])(
    'of a ledger in %s reads all of it, each entry once, in bounded memory (E17)',
    async (kind) => {
      const { outcome, entries } = await followed(await placeOf(kind), 'read');
      expect([outcome.code, outcome.signal, outcome.errors]).toEqual([0, null, '']);
      const { seen, bytes, peakMb } = JSON.parse(outcome.lines.at(-1) ?? '{}') as { readonly [name: string]: number };
      expect(seen).toBe(entries);
      // It did not fit: what went through is more than the bound and what the process may hold beside its code.
      expect((bytes ?? 0) / 2 ** 20).toBeGreaterThan(LEAST_MB);
      expect(peakMb).toBeLessThan(PEAK_MB);
    },
  );

  test('the control: one that keeps what it is given dies of the same bound', async () => {
    const { outcome } = await followed(join(folder, 'control.db'), 'hoard');
    expect([outcome.code === 0, outcome.errors]).toEqual([false, expect.stringContaining('heap out of memory')]);
  });
});
