import { join } from 'node:path';
import { fixtures } from '@openexec/ledger/contract';
import Database from 'better-sqlite3';
import { folder, found, opened, openRun, removeFolders } from '../test/support.ts';
const store = await opened(join(folder(), 'ledger.db'));
const run = await openRun(store, await found(store), 'bench');
let seq = 0;
const cpu = (u: NodeJS.CpuUsage) => ({ valueOf: () => 0, u: u.user, s: u.system }) as never;
const mk = (n: number) => Array.from({ length: n }, (_, i) => fixtures.fact('run.cancelRequested', { because: 'x'.repeat(250) }, { at: fixtures.after(seq + i) }));
const db = new Database(join(folder(), 'bare.db'));
db.pragma('journal_mode = WAL'); db.pragma('synchronous = FULL');
db.exec('CREATE TABLE entries (idx INTEGER PRIMARY KEY, trajectory INTEGER NOT NULL, seq INTEGER NOT NULL, entry BLOB NOT NULL, payload BLOB, salt BLOB); CREATE UNIQUE INDEX place ON entries (trajectory, seq)');
const insert = db.prepare('INSERT INTO entries (trajectory, seq, entry, payload, salt) VALUES (?, ?, ?, ?, ?)');
let at = 0;
const e = Buffer.alloc(350, 120), p = Buffer.alloc(264, 120), s = Buffer.alloc(32, 1);
for (let round = 0; round < 6; round++) {
  const drafts = mk(400);
  let c = process.cpuUsage(); let t = performance.now();
  for (const d of drafts) { const r = await store.append(fixtures.batchTo(run, seq, [d])); if (!r.ok) throw new Error(r.error.code); seq++; }
  console.log('single ours cpu us', process.cpuUsage(c).user / 400, process.cpuUsage(c).system / 400, 'wall', ((performance.now() - t) * 1000) / 400);
  c = process.cpuUsage(); t = performance.now();
  for (let i = 0; i < 400; i++) insert.run(1, at++, e, p, s);
  console.log('single bare cpu us', process.cpuUsage(c).user / 400, process.cpuUsage(c).system / 400, 'wall', ((performance.now() - t) * 1000) / 400);
  const many = Array.from({ length: 40 }, (_, b) => { const m = mk(256).map((x, i) => x); return m; });
  c = process.cpuUsage(); t = performance.now();
  for (const m of many) { const r = await store.append(fixtures.batchTo(run, seq, m)); if (!r.ok) throw new Error(r.error.code); seq += 256; }
  console.log('batch ours cpu us', cpu(process.cpuUsage(c)) / 10240, 'wall', ((performance.now() - t) * 1000) / 10240);
  const tx = db.transaction(() => { for (let i = 0; i < 256; i++) insert.run(1, at++, e, p, s); });
  c = process.cpuUsage(); t = performance.now();
  for (let b = 0; b < 40; b++) tx.immediate();
  console.log('batch bare cpu us', cpu(process.cpuUsage(c)) / 10240, 'wall', ((performance.now() - t) * 1000) / 10240);
}
await store.close(); removeFolders();
