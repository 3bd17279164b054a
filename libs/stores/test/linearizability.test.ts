/**
 * Eight writers race for positions on each store, and what they were told has to fit into one order: the checker is tested with histories that do and do
 * not, and with stores that are broken on purpose. PROTOCOL §3 ("of two racing writers exactly one wins").
 */
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type LedgerStore, memoryLedger } from '@openexec/ledger';
import { fixtures } from '@openexec/ledger/contract';
import { type PostgresServer, startPostgres } from '@openexec/stores/testServer';
import { bundled } from './children.ts';
import { EventStoreServer } from './eventstoreServer/server.ts';
import { checkLinearizable } from './linear/checker.ts';
import { type Answered, type Asked, type Step, trajectoryModel } from './linear/register.ts';
import { race, type Raced, racedOn } from './linear/writers.ts';
import { check, folder, found, keys, opened, openRun, randomness, removeFolders } from './support.ts';

const WRITERS = 8;
const TIME_MS = 120_000;
jest.setTimeout(TIME_MS);
const RUN = fixtures.runNamed('race');
const model = trajectoryModel(['opened']);

let postgres: PostgresServer;
let eventstore: EventStoreServer;
let child = '';
beforeAll(async () => {
  child = await bundled('linearChild');
  postgres = await startPostgres();
  eventstore = await EventStoreServer.start();
}, TIME_MS);
afterAll(async () => {
  await postgres.stop();
  await eventstore.stop();
  removeFolders();
  rmSync(child, { force: true });
}, TIME_MS);

const at = (called: number, returned: number | null, asked: Asked, answered: Answered | null): Step => ({
  asked,
  answered,
  called: BigInt(called),
  returned: returned === null ? null : BigInt(returned),
});
const append = (expect: number | 'any', value: string): Asked => ({ is: 'append', expect, value });
const READ: Asked = { is: 'read' };
const values = (...rest: readonly string[]): Answered => ({ is: 'values', values: ['opened', ...rest] });
const appended = (seq: number): Answered => ({ is: 'appended', seq });
const duplicate = (seq: number): Answered => ({ is: 'duplicate', seq });
const conflict = (actual: number): Answered => ({ is: 'conflict', actual });

describe('the checker', () => {
  test.each<readonly [string, readonly Step[]]>([
    ['nothing at all', []],
    ['one after the other', [at(0, 1, append(0, 'a'), appended(1)), at(2, 3, READ, values('a'))]],
    ['a reading that overlaps an append and does not see it', [at(0, 9, append(0, 'a'), appended(1)), at(2, 3, READ, values())]],
    ['a reading that overlaps an append and sees it', [at(0, 9, append(0, 'a'), appended(1)), at(2, 3, READ, values('a'))]],
    ['a race with one winner', [at(0, 9, append(0, 'a'), appended(1)), at(1, 8, append(0, 'b'), conflict(1))]],
    ['the later call wins', [at(0, 9, append(0, 'a'), conflict(1)), at(5, 6, append(0, 'b'), appended(1))]],
    [
      'a repeat',
      [at(0, 1, append(0, 'a'), appended(1)), at(2, 3, append('any', 'b'), appended(2)), at(4, 5, append(0, 'a'), duplicate(1))],
    ],
    ['an unheard append that happened', [at(0, null, append(0, 'a'), null), at(5, 6, READ, values('a'))]],
    [
      'an unheard append that never happened',
      [at(0, null, append(0, 'a'), null), at(5, 6, append(0, 'b'), appended(1)), at(7, 8, READ, values('b'))],
    ],
    ['an unheard append that happened late', [at(0, null, append(0, 'a'), null), at(1, 2, READ, values()), at(5, 6, READ, values('a'))]],
    [
      'two readers who see two overlapping appends in the same order',
      [
        at(0, 20, append('any', 'a'), appended(2)),
        at(0, 20, append('any', 'b'), appended(1)),
        at(5, 6, READ, values('b')),
        at(7, 8, READ, values('b', 'a')),
      ],
    ],
  ])('takes %s', (_, history) => {
    const verdict = checkLinearizable(history, model);
    expect(verdict.linearizable).toBe(true);
    expect(verdict.linearizable ? verdict.order.length : -1).toBe(history.length);
  });

  test.each<readonly [string, readonly Step[]]>([
    ['two winners of one position', [at(0, 9, append(0, 'a'), appended(1)), at(1, 8, append(0, 'b'), appended(1))]],
    ['no winner of a position', [at(0, 9, append(0, 'a'), conflict(1)), at(1, 8, append(0, 'b'), conflict(1))]],
    ['a reading that misses what was answered before', [at(0, 1, append(0, 'a'), appended(1)), at(2, 3, READ, values())]],
    ['a reading of what was appended only later', [at(0, 1, READ, values('a')), at(2, 3, append(0, 'a'), appended(1))]],
    ['readings that go back', [at(0, 20, append(0, 'a'), appended(1)), at(1, 2, READ, values('a')), at(3, 4, READ, values())]],
    ['a lost append', [at(0, 1, append(0, 'a'), appended(1)), at(2, 3, append(0, 'b'), appended(1)), at(4, 5, READ, values('b'))]],
    ['an append that is answered twice as new', [at(0, 1, append(0, 'a'), appended(1)), at(2, 3, append(0, 'a'), appended(2))]],
    ['a conflict where nobody was', [at(0, 1, append(0, 'a'), conflict(1)), at(2, 3, READ, values())]],
    ['a conflict that names another end', [at(0, 1, append(0, 'a'), appended(1)), at(2, 3, append(0, 'b'), conflict(2))]],
    [
      'an unheard append that is there and gone again',
      [at(0, null, append(0, 'a'), null), at(1, 2, READ, values('a')), at(3, 4, READ, values())],
    ],
    [
      'two readers who see two overlapping appends in different orders',
      [
        at(0, 20, append('any', 'a'), appended(1)),
        at(0, 20, append('any', 'b'), appended(1)),
        at(5, 6, READ, values('a')),
        at(7, 8, READ, values('b', 'a')),
      ],
    ],
  ])('refuses %s', (_, history) => {
    const verdict = checkLinearizable(history, model);
    expect(verdict.linearizable).toBe(false);
    expect(verdict.linearizable ? [] : verdict.stuck).not.toEqual([]);
  });
});

/** All writers on one process, each with its own way to what is raced on. */
async function raced(ways: readonly Raced[], count: number): Promise<readonly Step[]> {
  return (await Promise.all(ways.map((way, writer) => race(way, writer, count)))).flat();
}

function summary(history: readonly Step[]): { readonly [answer: string]: number } {
  const counts: { [answer: string]: number } = {};
  for (const { answered } of history) counts[answered?.is ?? 'unknown'] = (counts[answered?.is ?? 'unknown'] ?? 0) + 1;
  return counts;
}

function expectLinearizable(history: readonly Step[]): void {
  const verdict = checkLinearizable(history, model);
  expect(verdict.linearizable ? [] : verdict.stuck).toEqual([]);
  // A race in which nobody was in anybody's way would prove nothing.
  const { appended: won = 0, conflict: lost = 0, values: read = 0 } = summary(history);
  expect([won > WRITERS, lost > 0, read > 0]).toEqual([true, true, true]);
}

describe('a store that is broken on purpose is caught', () => {
  const soon = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const honest =
    (log: string[]) =>
    (asked: Asked): Answered => {
      if (asked.is === 'read') return { is: 'values', values: log.slice() };
      const last = log.length - 1;
      if (asked.expect !== 'any' && log[asked.expect + 1] === asked.value) return { is: 'duplicate', seq: asked.expect + 1 };
      if (asked.expect !== 'any' && asked.expect !== last) return { is: 'conflict', actual: last };
      log.push(asked.value);
      return { is: 'appended', seq: last + 1 };
    };
  const broken: readonly (readonly [string, () => Raced])[] = [
    [
      'that looks at the position, waits, and then writes',
      () => {
        const log = ['opened'];
        return {
          ask: async (asked) => {
            const end = log.length;
            await soon();
            if (asked.is === 'append' && (asked.expect === 'any' || asked.expect === end - 1)) {
              log[end] = asked.value;
              return { is: 'appended', seq: end };
            }
            return honest(log)(asked);
          },
        };
      },
    ],
    [
      'that reads from a copy which lags behind',
      () => {
        const log = ['opened'];
        let copy = log.slice();
        let asks = 0;
        return {
          ask: async (asked) => {
            await soon();
            if (++asks % 40 === 0) copy = log.slice();
            return asked.is === 'read' ? { is: 'values', values: copy } : honest(log)(asked);
          },
        };
      },
    ],
    [
      'that forgets now and then what it acknowledged',
      () => {
        const log = ['opened'];
        let asks = 0;
        return {
          ask: async (asked) => {
            await soon();
            const answer = honest(log)(asked);
            if (answer.is === 'appended' && ++asks % 15 === 0) log.pop();
            return answer;
          },
        };
      },
    ],
  ];
  test.each(broken)('one %s', async (_, make) => {
    const store = make();
    const history = await raced(
      Array.from({ length: WRITERS }, () => store),
      12,
    );
    expect(checkLinearizable(history, model).linearizable).toBe(false);
  });
  test('and the honest one it was made from is not', async () => {
    const log = ['opened'];
    const store: Raced = {
      ask: async (asked) => {
        await soon();
        const answer = honest(log)(asked);
        await soon();
        return answer;
      },
    };
    expectLinearizable(
      await raced(
        Array.from({ length: WRITERS }, () => store),
        12,
      ),
    );
  });
});

describe('eight writers that race for positions are told one history', () => {
  async function founded(store: LedgerStore): Promise<void> {
    await openRun(store, await found(store), 'race');
  }

  async function onHandles(open: () => Promise<LedgerStore>, count: number): Promise<void> {
    const stores: LedgerStore[] = [];
    const first = await open();
    await founded(first);
    stores.push(first);
    while (stores.length < WRITERS) stores.push(await open());
    expectLinearizable(
      await raced(
        stores.map((store) => racedOn(store, RUN)),
        count,
      ),
    );
    await check(first);
    for (const store of stores) await store.close();
  }

  test('in memory', async () => {
    const store = memoryLedger({ randomness, ...keys });
    await founded(store);
    const later = racedOn(store, RUN);
    // An append in memory is over before anybody else is asked; the race is in what writers believe.
    const way: Raced = {
      ask: async (asked) => {
        await new Promise((resolve) => setImmediate(resolve));
        return later.ask(asked);
      },
    };
    expectLinearizable(
      await raced(
        Array.from({ length: WRITERS }, () => way),
        15,
      ),
    );
    await check(store);
  });

  test('on SQLite, as eight processes', async () => {
    const path = join(folder(), 'ledger.db');
    const store = await opened(path);
    await founded(store);
    const children = Array.from({ length: WRITERS }, (_, writer) => {
      const started = spawn(process.execPath, [child, path, String(writer), '15'], { stdio: ['pipe', 'pipe', 'pipe'] });
      let text = '';
      let errors = '';
      const ready = new Promise<void>((resolve, reject) => {
        started.on('error', reject);
        started.on('close', () => reject(new Error(`a writer ended: ${errors}`)));
        started.stdout.on('data', (chunk: Buffer) => {
          text += chunk.toString('utf8');
          if (text.startsWith('ready\n')) resolve();
        });
      });
      started.stderr.on('data', (chunk: Buffer) => {
        errors += chunk.toString('utf8');
      });
      const steps = new Promise<readonly Step[]>((resolve, reject) => {
        started.on('close', (code) => {
          if (code === 0) resolve(stepsIn(text.slice('ready\n'.length)));
          else reject(new Error(`a writer failed: ${errors}`));
        });
      });
      return { ready, steps, go: () => started.stdin.end('go\n') };
    });
    await Promise.all(children.map(({ ready }) => ready));
    for (const { go } of children) go();
    expectLinearizable((await Promise.all(children.map(({ steps }) => steps))).flat());
    await check(store);
    await store.close();
  });

  test('on Postgres, as eight connections', async () => {
    const place = `${await postgres.database()}?schema=race`;
    await onHandles(() => opened(place), 15);
  });

  test('on EventStoreDB, as eight clients of a node in this process', async () => {
    const companion = encodeURIComponent(join(folder(), 'companion.db'));
    const address = `esdb://127.0.0.1:${eventstore.port}/?tls=false&stream=race&companion=${companion}`;
    await onHandles(() => opened(address), 10);
  });
});

function stepsIn(text: string): readonly Step[] {
  return JSON.parse(text, (name, value: unknown) =>
    (name === 'called' || name === 'returned') && typeof value === 'string' ? BigInt(value) : value,
  ) as readonly Step[];
}
