import { join } from 'node:path';
import { fixtures } from '@openexec/ledger/contract';
import { statSync } from 'node:fs';
import { folder, found, opened, openRun, removeFolders } from '../test/support.ts';
const f = folder();
const store = await opened(join(f, 'ledger.db'));
const run = await openRun(store, await found(store), 'bench');
let seq = 0;
const wal = () => statSync(join(f, 'ledger.db-wal')).size / 4120;
let before = wal();
for (let i = 0; i < 5000; i++) { await store.append(fixtures.batchTo(run, seq, [fixtures.fact('run.cancelRequested', { because: 'x'.repeat(250) }, { at: fixtures.after(seq) })])); seq++; }
console.log('frames per commit', (wal() - before) / 100);
await store.close(); removeFolders();
