/** A child process of the tests: appends, forgets or copies in, and dies in the window named. */
import { readFileSync } from 'node:fs';
import { fixtures, keeping } from '@openexec/ledger/contract';
import { readExport } from '@openexec/ledger';
import { opened } from './support.ts';

const [mode = '', path = '', window = '0', more = ''] = process.argv.slice(2);
let armed = false;
const onWindow = (passed: number): void => {
  if (armed && passed === Number(window)) process.kill(process.pid, 'SIGKILL');
};

const store = await opened(path, { onWindow });
armed = true;
const run = keeping.runOfKeeping('a');
if (mode === 'append') {
  await store.append(fixtures.batchTo(run, Number(more), [fixtures.fact('run.cancelRequested', fixtures.CANCEL)]));
} else if (mode === 'forget') {
  const { fingerprint } = await store.head();
  if (fingerprint === null) throw new Error('not founded');
  await store.keeper.forget(keeping.erasure(fingerprint, keeping.placesIn(run, Number(more))));
} else {
  await store.keeper.copyIn(
    await readExport(async function* () {
      yield new Uint8Array(readFileSync(more));
    }),
  );
}
await store.close();
