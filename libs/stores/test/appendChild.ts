/** A child process of the tests: appends at random until it is killed, races for positions, fills a disk, or holds a lease. */
import { fixtures } from '@openexec/ledger/contract';
import type { Draft } from '@openexec/ledger';
import { acquireLease } from '@openexec/stores';
import { acquirePostgresLease } from '@openexec/stores/postgres';
import { say } from './say.ts';
import { check, opened, refusalOf } from './support.ts';

const { batchTo, fact, judgement, runNamed, textBlob, CANCEL, NOTED } = fixtures;
const [mode = '', path = '', name = '', count = '0'] = process.argv.slice(2);

/** Batches of 1 to 8 entries, sometimes with a large blob; each acknowledged range is written at once. */
async function appendUntilKilled(seed: number): Promise<void> {
  const store = await opened(path);
  const random = fixtures.seededRandomness(seed);
  const run = runNamed('kill');
  let seq = (await store.trajectory(run))?.seq ?? 0;
  for (let batch = 0; ; batch++) {
    const [size = 0, kind = 0] = random.bytes(2);
    const moment = fixtures.after(seq);
    const drafts: Draft[] = [fact('run.cancelRequested', CANCEL, { at: moment })];
    for (let extra = size % 8; extra > 0; extra--)
      drafts.push(
        judgement(
          'fact.noted',
          { ...Object(NOTED), message: `${seed}.${batch}.${extra} of ${drafts.length}` },
          { cause: seq + 1, law: 1, at: moment },
        ),
      );
    const blobs = kind % 16 === 0 ? [textBlob(`${seed}.${batch} `.repeat(20_000))] : [];
    const result = await store.append({ ...batchTo(run, seq, drafts, 1), blobs });
    if (!result.ok) return say(`refused ${result.error.code}`);
    seq += drafts.length;
    say(`${seq} ${drafts.length}`);
  }
}

/** One append that is stored and of which nobody hears. */
async function dieUnheard(): Promise<void> {
  const store = await opened(path);
  const result = await store.append(batchTo(runNamed('kill'), 0, [fact('run.cancelRequested', CANCEL)]));
  if (result.ok) process.kill(process.pid, 'SIGKILL');
  say(result.ok ? 'alive' : result.error.code);
}

async function race(): Promise<void> {
  const store = await opened(path);
  const run = runNamed('race');
  for (;;) {
    const seq = (await store.trajectory(run))?.seq ?? 0;
    if (seq >= Number(count)) break;
    const result = await store.append(batchTo(run, seq, [fact('run.cancelRequested', { because: `${name} at ${seq}` })]));
    if (result.ok) say(`won ${seq + 1}`);
    else if (result.error.code !== 'conflict') throw new Error(result.error.code);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await store.close();
}

/** Appends large facts until one is refused; then tries a small one on the same handle. */
async function fill(): Promise<void> {
  const store = await opened(path);
  const run = runNamed('fill');
  let seq = (await store.trajectory(run))?.seq ?? 0;
  for (;;) {
    const body = { channel: 'c', action: 'a', arguments: { inline: 'x'.repeat(60_000) }, claims: { rationale: null, claimedRisk: null } };
    const result = await store.append(batchTo(run, seq, [fact('intent.submitted', body)]));
    if (!result.ok) {
      say(`refused ${result.error.code}`);
      break;
    }
    seq++;
    say(`${seq}`);
    if (seq > 200) break;
  }
  const small = await store.append(batchTo(run, seq, [fact('run.cancelRequested', CANCEL)]));
  say(`then ${small.ok ? 'taken' : small.error.code}`);
  await store.close();
}

async function read(): Promise<void> {
  const store = await opened(path);
  await check(store);
  say(`sound ${(await store.trajectory(runNamed('fill')))?.seq ?? -1}`);
  await store.close();
}

async function open(): Promise<void> {
  for (const access of ['readWrite', 'readOnly'] as const) say(`${access} ${await refusalOf(path, { access })}`);
}

if (mode === 'kill') await appendUntilKilled(Number(name));
else if (mode === 'dies') await dieUnheard();
else if (mode === 'race') await race();
else if (mode === 'fill') await fill();
else if (mode === 'read') await read();
else if (mode === 'open') await open();
else if (mode === 'hold') {
  const lease = path.startsWith('postgres:') ? await acquirePostgresLease({ address: path, name }) : acquireLease({ path });
  say(lease.ok ? 'held' : lease.error.code);
  setInterval(() => undefined, 1000);
} else throw new Error(`no such mode: ${mode}`);
