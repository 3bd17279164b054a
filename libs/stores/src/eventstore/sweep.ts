/**
 * Takes payloads out of a companion that no entry names: what an append left behind that was refused or cut off. Must never take one whose entry
 * may still be on its way. PROTOCOL §3 (fsck).
 */
import { type Clock, err, instantFromMs, instantToMs, ok, type Result } from '@openexec/canon';
import type { OpenFailure } from '../errors.ts';
import { connectClient, parseEventStoreAddress } from './address.ts';
import { inTransaction, openCompanion } from './companion.ts';
import { isOutcome, openRefusal } from './failures.ts';
import { EntryStream } from './stream.ts';
import { TrajectoryIndex } from './trajectories.ts';

/** No append takes this long; see the writer. */
const ORPHAN_AGE_MS = 24 * 60 * 60 * 1000;

/** What is swept. */
export interface SweepOptions {
  readonly address: string;
  readonly companion?: string;
  readonly clock: Clock;
}
/** What a sweep found. */
export interface Swept {
  /** Payloads taken out. */
  readonly removed: number;
  /** Payloads that nothing names yet, too young to be taken. */
  readonly waiting: number;
}

/** Removes payloads that no entry names and that are older than a day. The index is caught up first. */
export async function sweepCompanion(options: SweepOptions): Promise<Result<Swept, OpenFailure>> {
  const address = parseEventStoreAddress(options.address);
  if (!address.ok) return address;
  const place = options.companion ?? address.value.companion;
  if (place === null) return err({ code: 'store.address', message: 'the address names no companion store' });
  const client = connectClient(address.value);
  if (!client.ok) return client;
  const stream = new EntryStream(client.value, address.value);
  try {
    const companion = await openCompanion({
      place,
      stream: address.value.stream,
      clock: options.clock,
      randomness: { bytes: (count) => new Uint8Array(count) },
      readOnly: false,
      create: false,
    });
    if (!companion.ok) return companion;
    const { db } = companion.value;
    try {
      await new TrajectoryIndex(db, stream, false).catchUp();
      const before = instantFromMs(instantToMs(options.clock.now()) - ORPHAN_AGE_MS);
      // Instants are of one length, so that they compare as texts.
      const { numDeletedRows } = await inTransaction(db, (tx) =>
        tx
          .deleteFrom('payloads')
          .where('stored', '<', before)
          .where('commitment', 'not in', tx.selectFrom('entries').select('commitment'))
          .executeTakeFirst(),
      );
      const waiting = await db
        .selectFrom('payloads')
        .select((eb) => eb.fn.countAll().as('count'))
        .where('commitment', 'not in', db.selectFrom('entries').select('commitment'))
        .executeTakeFirstOrThrow();
      return ok({ removed: Number(numDeletedRows), waiting: Number(waiting.count) });
    } finally {
      await db.destroy();
    }
  } catch (error) {
    if (!isOutcome(error)) throw error;
    return err(openRefusal(error, address.value.where));
  } finally {
    await stream.close();
  }
}
