/**
 * Reading rows: pages of entries, heads of trajectories, nodes of the tree, blobs. Must never hand out what was not decoded where decoding was
 * promised, nor hold more than a page. PROTOCOL §3.
 */
import type { Bytes, Digest, EventId, Instant, LeafHash, Result, TrajectoryId } from '@openexec/canon';
import { type BlobFailure, LedgerFault, type Row, type Stored, type StoredCheckpoint } from '@openexec/ledger';
import { leafHash } from '@openexec/proof';
import { type Selectable, sql } from 'kysely';
import { joined } from '../blobParts.ts';
import type { LedgerReading } from '../reading.ts';
import { storedOf } from '../storedRow.ts';
import { blockOf, nodeOf } from '../tree.ts';
import type { EventKey, HeadRow, PlaceKey, TrajectoryRow, ViewSource } from '../view.ts';
import type { Database, Tables } from './tables.ts';

const PAGE_ROWS = 1000;
const STORED_PAGE_ROWS = 256;
const NAMES_PAGE = 256;

interface RawRow {
  readonly idx: string;
  readonly entry: Buffer;
  readonly payload: Buffer | null;
  readonly salt: Buffer | null;
}

/** All reads take the pool or the connection of a transaction. */
export type Source = Pick<Database, 'selectFrom' | 'getExecutor'>;

/** The one row that every append locks first. */
export async function readHead(db: Source, lock: boolean): Promise<HeadRow> {
  const query = db.selectFrom('head').select(['size', 'frontier', 'fingerprint', 'successor']).where('id', '=', 0);
  const row = await (lock ? query.forUpdate() : query).executeTakeFirst();
  if (row === undefined) throw new LedgerFault('store.corrupt', 'the row of the head is gone; run verify, and restore a backup');
  // Written by our writer alone, from typed values.
  return {
    size: Number(row.size),
    frontier: plain(row.frontier),
    fingerprint: row.fingerprint as HeadRow['fingerprint'],
    successor: row.successor,
  };
}

/** Heads of these trajectories, in no order. */
export async function readTrajectories(db: Source, names: readonly string[]): Promise<readonly TrajectoryRow[]> {
  if (names.length === 0) return [];
  const found = await sql<TrajectoryFields>`
    SELECT id, name, seq, leaf, fact_at, closed FROM trajectories WHERE name = ANY(${[...names]}::text[])`.execute(db);
  return found.rows.map(trajectoryOf);
}

type TrajectoryFields = Selectable<Tables['trajectories']>;

function trajectoryOf(row: TrajectoryFields): TrajectoryRow {
  return {
    id: BigInt(row.id),
    name: row.name as TrajectoryId,
    seq: Number(row.seq),
    leaf: row.leaf as LeafHash,
    factAt: row.fact_at as Instant | null,
    closed: row.closed,
  };
}

/** A page of trajectories after a name, by name; names compare as bytes. */
async function trajectoriesAfter(db: Source, after: string, prefix: string): Promise<readonly TrajectoryRow[]> {
  const found = await sql<TrajectoryFields>`
    SELECT id, name, seq, leaf, fact_at, closed FROM trajectories
    WHERE name > ${after} AND starts_with(name, ${prefix}) ORDER BY name LIMIT ${NAMES_PAGE}`.execute(db);
  return found.rows.map(trajectoryOf);
}

/** Raw rows in tree order. */
async function rowPage(db: Source, from: number, to: number): Promise<readonly Row[]> {
  const rows = await inOrder(db, from, to, PAGE_ROWS);
  return rows.map(({ entry, payload, salt }) => ({ entryBytes: plain(entry), payload: plainOrNull(payload), salt: plainOrNull(salt) }));
}

/** Decoded entries in tree order. */
async function storedPage(db: Source, from: number, to: number): Promise<readonly Stored[]> {
  return (await inOrder(db, from, to, STORED_PAGE_ROWS)).map(storedIn);
}

async function inOrder(db: Source, from: number, to: number, limit: number): Promise<readonly RawRow[]> {
  return db
    .selectFrom('entries')
    .select(['idx', 'entry', 'payload', 'salt'])
    .where('idx', '>=', String(from))
    .where('idx', '<', String(to))
    .orderBy('idx')
    .limit(limit)
    .execute();
}

/** Decoded entries of one trajectory. */
async function trajectoryPage(db: Source, id: bigint, from: number, to: number): Promise<readonly Stored[]> {
  const rows = await db
    .selectFrom('entries')
    .select(['idx', 'entry', 'payload', 'salt'])
    .where('trajectory', '=', String(id))
    .where('seq', '>=', String(from))
    .where('seq', '<', String(to))
    .orderBy('seq')
    .limit(STORED_PAGE_ROWS)
    .execute();
  return rows.map(storedIn);
}

/** The entries at these places; places where nothing stands are left out. */
export async function readPlaces(db: Source, places: readonly PlaceKey[]): Promise<readonly Stored[]> {
  if (places.length === 0) return [];
  const found = await sql<RawRow>`
    SELECT e.idx, e.entry, e.payload, e.salt FROM entries e
    JOIN UNNEST(${places.map(({ trajectory }) => String(trajectory))}::bigint[], ${places.map(({ seq }) => seq)}::bigint[]) AS p (trajectory, seq)
    ON e.trajectory = p.trajectory AND e.seq = p.seq`.execute(db);
  return found.rows.map(storedIn);
}

/** Positions of event ids. */
async function readEvents(db: Source, events: readonly EventKey[]): Promise<readonly (EventKey & { readonly seq: number })[]> {
  if (events.length === 0) return [];
  const found = await sql<{ readonly trajectory: string; readonly event: EventId; readonly seq: string }>`
    SELECT e.trajectory, e.event, e.seq FROM entries e
    JOIN UNNEST(${events.map(({ trajectory }) => String(trajectory))}::bigint[], ${events.map(({ event }) => event)}::text[]) AS p (trajectory, event)
    ON e.trajectory = p.trajectory AND e.event = p.event`.execute(db);
  return found.rows.map(({ trajectory, event, seq }) => ({ trajectory: BigInt(trajectory), event, seq: Number(seq) }));
}

/** What sequencing fetches, over this connection. */
export function viewOf(db: Source): ViewSource {
  return {
    trajectories: (names) => readTrajectories(db, names),
    places: (places) => readPlaces(db, places),
    events: (events) => readEvents(db, events),
  };
}

/** Bytes of a blob, put together from its parts and hashed again. */
export async function readBlob(db: Source, digest: Digest): Promise<Result<Bytes, BlobFailure>> {
  const known = await db.selectFrom('blobs').select('length').where('digest', '=', digest).executeTakeFirst();
  const parts = await db.selectFrom('blob_parts').select('bytes').where('digest', '=', digest).orderBy('part').execute();
  return joined(
    digest,
    known === undefined ? null : Number(known.length),
    parts.map(({ bytes }) => bytes),
  );
}

/** The checkpoint of a size. */
async function readCheckpoint(db: Source, size: bigint): Promise<StoredCheckpoint | null> {
  const row = await db.selectFrom('checkpoints').select('note').where('size', '=', String(size)).executeTakeFirst();
  return row === undefined ? null : { size, note: row.note };
}

/** A page of checkpoints above a size, smallest first. */
async function checkpointsAfter(db: Source, after: bigint): Promise<readonly StoredCheckpoint[]> {
  const rows = await db
    .selectFrom('checkpoints')
    .select(['size', 'note'])
    .where('size', '>', String(after))
    .orderBy('size')
    .limit(PAGE_ROWS)
    .execute();
  return rows.map(({ size, note }) => ({ size: BigInt(size), note }));
}

/** The hash of a complete subtree; at most 256 rows are read. */
async function readNode(db: Source, level: number, index: bigint): Promise<Bytes> {
  const block = blockOf(level, index);
  const { first, count } = block;
  return nodeOf(block, block.level === 0 ? await leavesOf(db, first, count) : await subtreesOf(db, block.level, first, count));
}

async function leavesOf(db: Source, first: number, count: number): Promise<Bytes[]> {
  const rows = await inOrder(db, first, first + count, count);
  return rows.map(({ entry }) => leafHash(plain(entry)));
}

async function subtreesOf(db: Source, level: number, first: number, count: number): Promise<Bytes[]> {
  const rows = await db
    .selectFrom('subtrees')
    .select('hash')
    .where('level', '=', level)
    .where('idx', '>=', String(first))
    .where('idx', '<', String(first + count))
    .orderBy('idx')
    .execute();
  return rows.map(({ hash }) => Uint8Array.from(hash));
}

function storedIn({ idx, entry, payload, salt }: RawRow): Stored {
  return storedOf({ index: BigInt(idx), entryBytes: plain(entry), payload: plainOrNull(payload), salt: plainOrNull(salt) });
}

/** What a handle asks for, over this connection. */
export function readingOf(db: Database): LedgerReading {
  const head = (): Promise<HeadRow> => readHead(db, false);
  return {
    head,
    sizeFor: async () => BigInt((await head()).size),
    trajectory: async (name) => (await readTrajectories(db, [name]))[0] ?? null,
    trajectoriesAfter: (after, prefix) => trajectoriesAfter(db, after, prefix),
    trajectoryPage: (id, from, to) => trajectoryPage(db, id, from, to),
    storedPage: (from, to) => storedPage(db, Number(from), Number(to)),
    rowPage: (from, to) => rowPage(db, Number(from), Number(to)),
    newPage: async (from) => storedPage(db, Number(from), (await head()).size),
    blob: (digest) => readBlob(db, digest),
    checkpoint: (size) => readCheckpoint(db, size),
    checkpointsAfter: (size) => checkpointsAfter(db, size),
    keep: async ({ size, note }) => {
      await sql`INSERT INTO checkpoints (size, note) VALUES (${String(size)}, ${note}) ON CONFLICT (size) DO NOTHING`.execute(db);
    },
    node: (level, index) => readNode(db, level, index),
  };
}

/** A copy as a plain byte array: the driver's buffers share one large piece of memory, which a kept row would hold on to. */
function plain(buffer: Buffer): Bytes {
  return Uint8Array.from(buffer);
}

function plainOrNull(buffer: Buffer | null): Bytes | null {
  return buffer === null ? null : plain(buffer);
}
