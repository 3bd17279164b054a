/**
 * Readings and subscriptions of a node: one stream or `$all`, both ways, from a place, by a filter, with checkpoints and caught-up messages.
 */
import { once } from 'node:events';
import { randomUUID } from 'node:crypto';
import { type ServerWritableStream, status } from '@grpc/grpc-js';
import streams from '@eventstore/db-client/generated/streams_pb.js';
import type { Log, Recorded } from './log.ts';
import { deletedError, eventResponse, identifierOf, nameIn } from './messages.ts';

type ReadReq = InstanceType<typeof streams.ReadReq>;
type ReadResp = InstanceType<typeof streams.ReadResp>;
type Options = InstanceType<typeof streams.ReadReq.Options>;
export type ReadCall = ServerWritableStream<ReadReq, ReadResp>;

/** Answers one call of Read. */
export async function serveRead(log: Log, call: ReadCall): Promise<void> {
  const options = call.request.getOptions();
  if (options === undefined) return void call.emit('error', { code: status.INVALID_ARGUMENT, details: 'no options' });
  const stream = options.hasStream() ? nameIn(options.getStream()?.getStreamIdentifier()) : null;
  if (stream !== null && log.isTombstoned(stream)) return void call.emit('error', deletedError(stream));
  if (options.hasSubscription()) return subscribe(log, call, options, stream);
  const known = stream === null ? log.events : log.visible(stream);
  if (known === null) {
    const missing = new streams.ReadResp.StreamNotFound().setStreamIdentifier(identifierOf(stream ?? ''));
    call.write(new streams.ReadResp().setStreamNotFound(missing));
    return void call.end();
  }
  for (const event of chosen(known, options).slice(0, countIn(options))) if (!(await send(call, eventResponse(event)))) return;
  call.end();
}

function countIn(options: Options): number {
  const count = Number(options.getCount());
  return Math.min(count, Number.MAX_SAFE_INTEGER);
}

/** In the order of the reading, from its place on; a reading begins with the event at its place. */
function chosen(events: readonly Recorded[], options: Options): readonly Recorded[] {
  const backwards = options.getReadDirection() === streams.ReadReq.Options.ReadDirection.BACKWARDS;
  const place = placeIn(options);
  const filtered = events.filter((event) => matches(options, event));
  if (backwards)
    return (place === 'start' ? [] : filtered.filter((event) => place === 'end' || orderOf(options, event) <= place)).toReversed();
  return place === 'end' ? [] : filtered.filter((event) => place === 'start' || orderOf(options, event) >= place);
}

function orderOf(options: Options, event: Recorded): number {
  return options.hasStream() ? event.revision : event.position;
}

function placeIn(options: Options): number | 'start' | 'end' {
  const one = options.getStream();
  const all = options.getAll();
  if (one?.hasStart() === true || all?.hasStart() === true) return 'start';
  if (one?.hasEnd() === true || all?.hasEnd() === true) return 'end';
  return Number(one?.getRevision() ?? all?.getPosition()?.getCommitPosition() ?? 0);
}

function matches(options: Options, event: Recorded): boolean {
  const filter = options.getFilter();
  if (filter === undefined) return true;
  const [rule, text] = filter.hasEventType()
    ? [filter.getEventType(), event.metadata.find(([key]) => key === 'type')?.[1] ?? '']
    : [filter.getStreamIdentifier(), event.stream];
  if (rule === undefined) return true;
  if (rule.getRegex() !== '') return new RegExp(rule.getRegex()).test(text);
  return rule.getPrefixList().some((prefix) => text.startsWith(prefix));
}

/** What is there, then what comes; a subscription begins after its place. Ends when the call is cancelled. */
async function subscribe(log: Log, call: ReadCall, options: Options, stream: string | null): Promise<void> {
  const place = placeIn(options);
  const order = (event: Recorded): number => orderOf(options, event);
  const known = (): readonly Recorded[] => (stream === null ? log.events : (log.visible(stream) ?? []));
  const last = known().at(-1);
  let after = place === 'start' ? -1 : place === 'end' ? (last === undefined ? -1 : order(last)) : place;
  let wake: () => void = () => undefined;
  const end = log.onAppend(() => wake());
  call.on('cancelled', () => wake());
  call.on('close', () => wake());
  const confirmation = new streams.ReadResp.SubscriptionConfirmation().setSubscriptionId(randomUUID());
  await send(call, new streams.ReadResp().setConfirmation(confirmation));
  // A checkpoint after so many events that the filter left out, so that a reader who sees few need not begin anew.
  const filter = options.getFilter();
  const interval =
    filter === undefined ? Infinity : Math.max(1, filter.getMax() || 32) * Math.max(1, filter.getCheckpointintervalmultiplier());
  let examined = 0;
  try {
    while (!call.cancelled && !call.destroyed) {
      const changed = new Promise<void>((resolve) => {
        wake = resolve;
      });
      if (stream !== null && log.isTombstoned(stream)) return void call.emit('error', deletedError(stream));
      const fresh = known().filter((event) => order(event) > after);
      for (const event of fresh) {
        after = order(event);
        if (matches(options, event) && !(await send(call, eventResponse(event)))) return;
        if (++examined >= interval) {
          examined = 0;
          await send(call, new streams.ReadResp().setCheckpoint(checkpointAt(event)));
        }
      }
      if (fresh.length > 0 || after === -1) await send(call, new streams.ReadResp().setCaughtUp(new streams.ReadResp.CaughtUp()));
      await changed;
    }
  } finally {
    end();
  }
}

function checkpointAt({ position }: Recorded): InstanceType<typeof streams.ReadResp.Checkpoint> {
  return new streams.ReadResp.Checkpoint().setCommitPosition(String(position)).setPreparePosition(String(position));
}

/** Waits where the reader is slow; false once it is gone. */
async function send(call: ReadCall, response: ReadResp): Promise<boolean> {
  if (call.cancelled || call.destroyed) return false;
  if (!call.write(response)) {
    const done = new AbortController();
    const { signal } = done;
    await Promise.race(['drain', 'close', 'cancelled'].map((name) => once(call, name, { signal }).catch(() => undefined)));
    done.abort();
  }
  return !call.cancelled && !call.destroyed;
}
