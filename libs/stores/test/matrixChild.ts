/**
 * The process under test: plays one scenario on one ledger and says on standard output what it was told, at once. Ways to play: `honest`; `fresh`, which
 * founds the ledger first; `two`, through two handles by turns; `dies`, which ends itself after a commit; and `early`, `halves`, `deaf`, which break the
 * rules to show that the checks notice.
 */
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import type { LedgerStore } from '@openexec/ledger';
import { fixtures } from '@openexec/ledger/contract';
import { CHILD_SEED, planOf, type Planned, RUN, scenarioNamed } from './kill/script.ts';
import { found, openedSqlite as opened, openRun } from './sqliteSupport.ts';

const [folder = '', name = '', way = 'honest'] = process.argv.slice(2);

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

/** Appends one batch and says what came of it. */
async function appendOne(store: LedgerStore, { batch, end }: Planned): Promise<boolean> {
  const [part] = batch.to;
  if (way === 'early') say(`acknowledged ${end}`);
  if (way === 'halves' && part !== undefined && part.drafts.length > 1) {
    await store.append({ ...batch, to: [{ ...part, drafts: part.drafts.slice(0, 1) }] });
    await store.append({ to: [{ ...part, expect: Number(part.expect) + 1, drafts: part.drafts.slice(1) }], blobs: [], law: 1 });
    say(`acknowledged ${end}`);
    return true;
  }
  const result = await store.append(batch);
  // Window 4: the commit is durable, its answer never gets out.
  if (way === 'dies' && result.ok) process.kill(process.pid, 'SIGKILL');
  if (result.ok || way === 'deaf') {
    if (way !== 'early') say(`acknowledged ${end}`);
    return true;
  }
  say(`refused ${result.error.code}`);
  return false;
}

async function play(): Promise<void> {
  const scenario = scenarioNamed(name);
  if (way === 'fresh') await begin();
  const store = await opened(join(folder, 'ledger.db'), {
    headFile: join(folder, 'head.json'),
    randomness: fixtures.seededRandomness(CHILD_SEED),
  });
  say('opened');
  const plan = planOf(scenario);
  const other = way === 'two' ? await opened(join(folder, 'ledger.db'), { randomness: fixtures.seededRandomness(CHILD_SEED + 2) }) : store;
  if (scenario.isGroup) await Promise.all(plan.map(async (planned) => appendOne(store, planned)));
  else {
    for (const [at, planned] of plan.entries()) {
      if (await appendOne(at % 2 === 0 ? store : other, planned)) continue;
      // A handle that failed once must not take the next write, whatever the disk would say to it.
      const again = await store.append(planned.batch);
      say(`then ${again.ok ? `taken ${at}` : again.error.code}`);
      break;
    }
  }
  const checkpoint = await store.checkpoint();
  say(`checkpoint ${checkpoint.ok ? 'made' : checkpoint.error.code}`);
  if (way === 'two') await other.close();
  await store.close();
  say('closed');
}

/** Founds the ledger that scenarios start from. */
async function begin(): Promise<void> {
  const store = await opened(join(folder, 'ledger.db'), {
    headFile: join(folder, 'head.json'),
    randomness: fixtures.seededRandomness(CHILD_SEED + 1),
  });
  const fingerprint = await found(store);
  say('acknowledged -1');
  const run = await openRun(store, fingerprint, 'kill');
  if (run !== RUN) throw new Error('the run of the scenarios has another name');
  say('acknowledged 0');
  await store.checkpoint();
  await store.close();
  say('closed');
}

await (name === 'begin' ? begin() : play());
