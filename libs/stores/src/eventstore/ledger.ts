/**
 * A ledger in one stream of EventStoreDB, with a companion store for payloads and blobs. Durable before it answers; many processes on many hosts may
 * append. Must never delete or change an entry. PROTOCOL §3.
 */
import { err, ok, type Result } from '@openexec/canon';
import type { KeptLedger } from '@openexec/ledger';
import type { OpenFailure } from '../errors.ts';
import { QuerySnapshots } from '../querySnapshots.ts';
import { inPortions } from '../salts.ts';
import { KeptStoredLedger, type LedgerParts, type OpenOptions, type StoredLedger } from '../storedLedger.ts';
import { type EventStoreAddress, parseEventStoreAddress } from './address.ts';
import { connectClient } from './client.ts';
import { inTransaction, openCompanion, type OpenedCompanion } from './companion.ts';
import { companionRefusal, isOutcome, openRefusal, readFault } from './failures.ts';
import { lockedHead } from './indexHead.ts';
import { EventStoreKeeper } from './keeper.ts';
import { EventStoreReader } from './reader.ts';
import { EntryStream } from './stream.ts';
import { TrajectoryIndex } from './trajectories.ts';
import { finish, readable } from './unfinished.ts';
import { StreamWatch } from './watch.ts';
import { EventStoreWriter } from './writer.ts';

/** How a ledger in EventStoreDB is opened. */
export interface EventStoreLedgerOptions extends OpenOptions {
  /**
   * `esdb://host:2113/?stream=name&companion=place`; TLS unless `tls=false`. A missing companion store is made where that is asked for; the stream begins
   * with the first entry.
   */
  readonly address: string;
  /** The companion store, where the address does not name it: the path of a SQLite file, or an address of Postgres. */
  readonly companion?: string;
  /** Told of each numbered window as it is passed; for tests. */
  readonly onWindow?: (window: number) => void;
}

/** Opens a ledger, or says why not; see {@link OpenFailure}. A copy or a forgetting that was cut off is finished. */
export async function openEventStoreLedger(options: EventStoreLedgerOptions): Promise<Result<KeptLedger, OpenFailure>> {
  const address = parseEventStoreAddress(options.address);
  if (!address.ok) return address;
  const place = options.companion ?? address.value.companion;
  if (place === null)
    return err({
      code: 'store.address',
      message:
        'a ledger in EventStoreDB needs a companion store for payloads: add &companion= with the path of a SQLite file or an address of Postgres',
    });
  const client = connectClient(address.value);
  if (!client.ok) return client;
  const stream = new EntryStream(client.value, address.value);
  let opened: OpenedCompanion | undefined;
  let ledger: KeptStoredLedger | undefined;
  try {
    const why = await stream.forgets();
    if (why !== null) {
      await stream.close();
      return err({
        code: 'store.notDurable',
        message: `${address.value.where} is set to forget entries: ${why}; take that out of its metadata, and restore what it has forgotten`,
      });
    }
    // A companion that is made now holds no payload: that is right for a stream that has not begun, and for no other.
    const create = options.missing === 'create' && (await stream.page(0n, 1)).length === 0;
    const { clock, randomness, onWindow = () => undefined } = options;
    const readOnly = options.access === 'readOnly';
    const wanted = { place, stream: address.value.stream, clock, randomness, readOnly, create };
    const companion = await openCompanion(wanted);
    if (!companion.ok) {
      await stream.close();
      return companion;
    }
    opened = companion.value;
    const ready = readOnly ? await readable(stream, opened, wanted) : ok(await finish({ companion: opened, stream, clock, onWindow }));
    if (!ready.ok) {
      await opened.db.destroy();
      await stream.close();
      return ready;
    }
    ledger = handleOf({ stream, companion: companion.value, address: address.value }, options);
    const checked = await check(ledger);
    if (checked.ok) return ok(ledger);
    await ledger.close();
    return checked;
  } catch (error) {
    if (ledger === undefined) await opened?.db.destroy();
    await (ledger ?? stream).close();
    if (!isOutcome(error)) throw error;
    return err(openRefusal(error, address.value.where));
  }
}

/** What an open handle works with. */
interface Connected {
  readonly stream: EntryStream;
  readonly companion: OpenedCompanion;
  readonly address: EventStoreAddress;
}

function handleOf({ stream, companion, address }: Connected, options: EventStoreLedgerOptions): KeptStoredLedger {
  const { db, instance } = companion;
  const { clock, onWindow = () => undefined } = options;
  const salts = inPortions(options.randomness);
  const index = new TrajectoryIndex(db, stream, options.access === 'readOnly');
  const reading = new EventStoreReader(db, stream, index);
  const watch = new StreamWatch(stream);
  const writer = new EventStoreWriter({
    db,
    stream,
    index,
    source: reading.source,
    instance,
    signer: options.signer,
    clock,
    onWindow,
    onCommit: (head) => ledger.committed(head),
  });
  const parts: LedgerParts = {
    options,
    salts,
    reading,
    writer,
    watch,
    ask: async (what, read) => {
      try {
        return await read();
      } catch (error) {
        throw readFault(error, { where: address.where, what });
      }
    },
    refusalOf: (error) => (isOutcome(error) ? companionRefusal(error) : undefined),
    dispose: async () => {
      await stream.close();
      await db.destroy();
    },
  };
  const keeper = new EventStoreKeeper({
    companion,
    stream,
    index,
    source: reading.source,
    writer,
    clock,
    salts,
    readOnly: options.access === 'readOnly',
    isClosed: () => ledger.isClosed,
    onWindow,
  });
  const snapshots = new QuerySnapshots({
    db,
    readOnly: options.access === 'readOnly',
    isClosed: () => ledger.isClosed,
    locked: (work) =>
      inTransaction(db, async (tx) => {
        await lockedHead(tx);
        await work(tx);
      }),
    isOutcome,
    refusalOf: companionRefusal,
  });
  const ledger: KeptStoredLedger = new KeptStoredLedger(parts, keeper, snapshots);
  return ledger;
}

/** Before the handle is given out: the head remembered elsewhere; without one, whether the stream is shorter than what was read before. */
async function check(ledger: StoredLedger): Promise<Result<void, OpenFailure>> {
  await ledger.head();
  return ledger.checkRemembered();
}
