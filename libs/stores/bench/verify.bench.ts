/**
 * Integrity verification of a ledger in SQLite beside a bare paged read of the same rows, in one process. Prints both sides, the median ratio
 * and its spread. GOALS §3; TOOLCHAIN §5.5.
 */
import { join } from 'node:path';
import { fixtures } from '@openexec/ledger/contract';
import { verifyLedger } from '@openexec/verify';
import Database from 'better-sqlite3';
import { folder, found, opened, openRun, removeFolders } from '../test/support.ts';

const SCALE = Number(process.env['OPENEXEC_BENCH_SCALE'] ?? '1');
const BATCHES = Math.round(400 * SCALE);
const ROUNDS = 5;

const path = join(folder(), 'ledger.db');
const store = await opened(path);
const run = await openRun(store, await found(store), 'bench');
let seq = 0;
for (let batch = 0; batch < BATCHES; batch++) {
  const first = seq;
  const drafts = Array.from({ length: 256 }, () =>
    fixtures.fact('run.cancelRequested', { because: 'x'.repeat(250) }, { at: fixtures.after(++seq) }),
  );
  const result = await store.append(fixtures.batchTo(run, first, drafts));
  if (!result.ok) throw new Error(result.error.code);
}
const db = new Database(path, { readonly: true });
const page = db.prepare('SELECT idx, entry, payload, salt FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx LIMIT 1000').raw();
const { size } = await store.head();

function bareRead(): number {
  const since = performance.now();
  let bytes = 0;
  for (let at = 0; at < size; at += 1000)
    for (const row of page.all(at, Number(size)) as [number, Uint8Array, Uint8Array, Uint8Array][]) bytes += row[1].length + row[2].length;
  if (bytes === 0) throw new Error('nothing was read');
  return performance.now() - since;
}

async function verified(): Promise<number> {
  const since = performance.now();
  const report = await verifyLedger({ rows: store.rows(), checkpoints: [], head: null }, { trust: null });
  if (!report.sound) throw new Error(report.findings[0]?.message ?? 'unsound');
  return performance.now() - since;
}

bareRead();
await verified();
const rounds: { ours: number; floor: number }[] = [];
for (let round = 0; round < ROUNDS; round++) rounds.push({ floor: bareRead(), ours: await verified() });
const ratios = rounds.map(({ ours, floor }) => floor / ours).sort((a, b) => a - b);
const rate = (ms: number): string => `${Math.round((Number(size) * 1000) / ms).toLocaleString('en')}/s`;
process.stdout.write(
  `integrity verification of ${size} entries: ${rate(Math.min(...rounds.map(({ ours }) => ours)))}, bare paged read ${rate(Math.min(...rounds.map(({ floor }) => floor)))}, ` +
    `ratio ${ratios[Math.floor(ROUNDS / 2)]?.toFixed(2)} (${ratios[0]?.toFixed(2)} to ${ratios.at(-1)?.toFixed(2)}), goal >= 0.25; ` +
    `heap ${Math.round(process.memoryUsage().heapUsed / 1e6)} MB, Node ${process.version}\n`,
);
db.close();
await store.close();
removeFolders();
