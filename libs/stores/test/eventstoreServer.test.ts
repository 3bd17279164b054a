/** The node that tests of EventStoreDB run on, held against the client itself: expected revisions, readings, subscriptions, metadata, deletion. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type AppendExpectedRevision, EventStoreDBClient, jsonEvent, streamNameFilter } from '@eventstore/db-client';
import { EventStoreServer } from './eventstoreServer/server.ts';

let servers: EventStoreServer[] = [];
let clients: EventStoreDBClient[] = [];
const one = (type = 'made') => jsonEvent({ type, data: { at: type } });

beforeAll(async () => {
  servers = [await EventStoreServer.start(), await EventStoreServer.start({ batch: false })];
  clients = servers.map(({ port }) => new EventStoreDBClient({ endpoint: { address: '127.0.0.1', port } }, { insecure: true }));
});
afterAll(async () => {
  for (const client of clients) await client.dispose();
  for (const server of servers) await server.stop();
});
const clientOf = (at: number): EventStoreDBClient => {
  const client = clients[at];
  if (client === undefined) throw new Error('no client');
  return client;
};

describe.each([
  ['appends on one shared call', 0],
  ['appends of their own', 1],
])('a node that takes %s', (_, at) => {
  test('holds every expected revision against the stream, and names both sides of a conflict', async () => {
    const client = clientOf(at);
    const append = (expectedRevision: AppendExpectedRevision) => client.appendToStream('s', one(), { expectedRevision });
    await expect(append('stream_exists')).rejects.toMatchObject({ type: 'wrong-expected-version', actualVersion: 'no_stream' });
    await expect(append(0n)).rejects.toMatchObject({ type: 'wrong-expected-version', expectedVersion: 0n, actualVersion: 'no_stream' });
    expect(await append('no_stream')).toMatchObject({ success: true, nextExpectedRevision: 0n });
    await expect(append('no_stream')).rejects.toMatchObject({
      type: 'wrong-expected-version',
      expectedVersion: 'no_stream',
      actualVersion: 0n,
    });
    expect(await append(0n)).toMatchObject({ nextExpectedRevision: 1n });
    await expect(append(0n)).rejects.toMatchObject({ type: 'wrong-expected-version', expectedVersion: 0n, actualVersion: 1n });
    expect(await append('stream_exists')).toMatchObject({ nextExpectedRevision: 2n });
    expect(await append('any')).toMatchObject({ nextExpectedRevision: 3n });
  });

  test('answers the same event appended again as it did the first time', async () => {
    const client = clientOf(at);
    const event = one();
    const first = await client.appendToStream('twice', event, { expectedRevision: 'no_stream' });
    expect(await client.appendToStream('twice', event, { expectedRevision: 'no_stream' })).toEqual(first);
    expect(await client.appendToStream('twice', event, { expectedRevision: 'any' })).toEqual(first);
  });

  test('refuses what is too large, and a stream that was deleted for good', async () => {
    const client = clientOf(at);
    const large = jsonEvent({ type: 'large', data: { text: 'x'.repeat(2_000_000) } });
    await expect(client.appendToStream('large', large)).rejects.toMatchObject({
      type: 'maximum-append-size-exceeded',
      maxAppendSize: 1_048_576,
    });
    await client.appendToStream('gone', one());
    await client.tombstoneStream('gone');
    await expect(client.appendToStream('gone', one())).rejects.toMatchObject({ type: 'stream-deleted' });
    await expect(revisions(client.readStream('gone'))).rejects.toMatchObject({ type: 'stream-deleted' });
  });

  test('reads both ways, from any place, so many', async () => {
    const client = clientOf(at);
    await client.appendToStream('read', ['a', 'b', 'c', 'd'].map(one));
    expect(await revisions(client.readStream('read'))).toEqual([0n, 1n, 2n, 3n]);
    expect(await revisions(client.readStream('read', { fromRevision: 2n, maxCount: 1 }))).toEqual([2n]);
    expect(await revisions(client.readStream('read', { direction: 'backwards', fromRevision: 'end', maxCount: 2 }))).toEqual([3n, 2n]);
    expect(await revisions(client.readStream('read', { direction: 'backwards', fromRevision: 1n }))).toEqual([1n, 0n]);
    await expect(revisions(client.readStream('nowhere'))).rejects.toMatchObject({ type: 'stream-not-found' });
  });

  test('hides what metadata says, keeps the numbers, and a soft deletion hides all', async () => {
    const client = clientOf(at);
    await client.appendToStream('hide', ['a', 'b', 'c', 'd'].map(one));
    await client.setStreamMetadata('hide', { maxCount: 2 });
    expect(await revisions(client.readStream('hide'))).toEqual([2n, 3n]);
    await client.setStreamMetadata('hide', { truncateBefore: 3 });
    expect((await client.getStreamMetadata('hide')).metadata).toEqual({ truncateBefore: 3 });
    expect(await revisions(client.readStream('hide'))).toEqual([3n]);
    await client.deleteStream('hide');
    await expect(revisions(client.readStream('hide'))).rejects.toMatchObject({ type: 'stream-not-found' });
  });

  test('subscriptions give what is there after their place, then what comes; of $all, by a filter with checkpoints', async () => {
    const client = clientOf(at);
    await client.appendToStream('live', ['a', 'b', 'c'].map(one));
    const live = client.subscribeToStream('live', { fromRevision: 0n });
    const seen: bigint[] = [];
    for await (const { event } of live) {
      if (event === undefined) continue;
      seen.push(event.revision);
      if (seen.length === 2) await client.appendToStream('live', one());
      if (seen.length === 3) break;
    }
    await live.unsubscribe();
    expect(seen).toEqual([1n, 2n, 3n]);

    const checkpoints: bigint[] = [];
    const filter = streamNameFilter({
      prefixes: ['late'],
      checkpointInterval: 1,
      maxSearchWindow: 4,
      checkpointReached: async (_subscription, { commit }) => void checkpoints.push(commit),
    });
    const all = client.subscribeToAll({ fromPosition: 'start', filter });
    await client.appendToStream('late', one());
    for await (const { event } of all) {
      expect(event?.streamId).toBe('late');
      break;
    }
    await all.unsubscribe();
    expect(checkpoints.length).toBeGreaterThan(0);
    const positions = [];
    for await (const { event } of client.readAll()) positions.push(event?.position?.commit ?? -1n);
    expect(positions).toEqual(positions.toSorted((a, b) => (a < b ? -1 : 1)));
    expect(positions).toContain(checkpoints[0]);
  });
});

async function revisions(
  reading: AsyncIterable<{ readonly event?: { readonly revision: bigint } }>,
): Promise<readonly (bigint | undefined)[]> {
  const found = [];
  for await (const { event } of reading) found.push(event?.revision);
  return found;
}
