/** What every lease keeps, on one host or across several; run by the suites of SQLite and of Postgres. PROTOCOL §4.4. */
import process from 'node:process';
import { describe, expect, test } from '@jest/globals';
import type { Result } from '@openexec/canon';
import type { Lease, LeaseFailure } from '@openexec/stores';
import { run } from './children.ts';

export type Acquire = () => Promise<Result<Lease, LeaseFailure>>;

/** `place` makes a lease that nobody has: how to take it here, and the words by which `appendChild hold` takes it in a process of its own. */
export function leaseContract(
  name: string,
  options: { child(): string; place(): { readonly acquire: Acquire; readonly holding: readonly string[] } },
): void {
  describe(`the lease on ${name}`, () => {
    test('is held by one at a time, says so, and is free after release', async () => {
      const { acquire } = options.place();
      const first = await taken(acquire);
      expect(await acquire()).toMatchObject({ ok: false, error: { code: 'lease.held' } });
      expect(await first.held()).toBe(true);
      await first.release();
      expect(await first.held()).toBe(false);
      const second = await taken(acquire);
      await first.release();
      expect(await second.held()).toBe(true);
      await second.release();
    });

    test('of one thing is no lease of another', async () => {
      const [one, other] = [await taken(options.place().acquire), await taken(options.place().acquire)];
      expect([await one.held(), await other.held()]).toEqual([true, true]);
      await one.release();
      await other.release();
    });

    test('goes to exactly one of many who ask at once', async () => {
      const { acquire } = options.place();
      const asked = await Promise.all(Array.from({ length: 8 }, () => acquire()));
      expect(asked.filter(({ ok }) => ok)).toHaveLength(1);
      for (const each of asked) if (each.ok) await each.value.release();
    });

    test('is free at once when its holder is killed', async () => {
      const { acquire, holding } = options.place();
      let during = 'not asked';
      const onLine = async (): Promise<void> => {
        const asked = await acquire();
        during = asked.ok ? 'taken' : asked.error.code;
      };
      const ended = await run(process.execPath, [options.child(), 'hold', ...holding], { killAfterMs: 0, onLine });
      expect([during, ended.signal, ended.lines]).toEqual(['lease.held', 'SIGKILL', ['held']]);
      const since = performance.now();
      let after = await acquire();
      // The system has to tell the server that a connection ended; that is a matter of milliseconds where nothing else is to be done.
      while (!after.ok && performance.now() - since < 60_000) after = await acquire();
      expect(after.ok).toBe(true);
      if (after.ok) await after.value.release();
    });
  });
}

/** A lease that must be there to take. */
export async function taken(acquire: Acquire): Promise<Lease> {
  const lease = await acquire();
  if (!lease.ok) throw new Error(`${lease.error.code}: ${lease.error.message}`);
  return lease.value;
}
