/**
 * Between the log and the messages of the client's own protocol: recorded events, errors as packed details and as trailers, expected revisions.
 */
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import anyMessages from 'google-protobuf/google/protobuf/any_pb.js';
import emptyMessages from 'google-protobuf/google/protobuf/empty_pb.js';
import shared from '@eventstore/db-client/generated/shared_pb.js';
import statuses from '@eventstore/db-client/generated/status_pb.js';
import streams from '@eventstore/db-client/generated/streams_pb.js';
import type { ExpectedRevision, Outcome, Proposed, Recorded } from './log.ts';

const TICKS_PER_MS = 10_000n;

/** The name in a stream identifier. */
export function nameIn(identifier: InstanceType<typeof shared.StreamIdentifier> | undefined): string {
  return Buffer.from(identifier?.getStreamName_asU8() ?? new Uint8Array(0)).toString('utf8');
}

export function identifierOf(stream: string): InstanceType<typeof shared.StreamIdentifier> {
  return new shared.StreamIdentifier().setStreamName(Buffer.from(stream, 'utf8').toString('base64'));
}

/** The text of a UUID in either of its spellings. */
export function uuidIn(uuid: InstanceType<typeof shared.UUID> | undefined): string {
  const parts = uuid?.getStructured();
  if (parts === undefined) return uuid?.getString() ?? '';
  const hex = [parts.getMostSignificantBits(), parts.getLeastSignificantBits()]
    .map((half) => BigInt.asUintN(64, BigInt(half)).toString(16).padStart(16, '0'))
    .join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** A proposed message of either kind of append. */
export function proposedIn(
  message: InstanceType<typeof streams.AppendReq.ProposedMessage> | InstanceType<typeof streams.BatchAppendReq.ProposedMessage>,
): Proposed {
  return {
    id: uuidIn(message.getId()),
    metadata: [...message.getMetadataMap().entries()] as [string, string][],
    custom: message.getCustomMetadata_asU8(),
    data: message.getData_asU8(),
  };
}

/** The revision that an append of either kind expects. */
export function expectedIn(
  options: InstanceType<typeof streams.AppendReq.Options> | InstanceType<typeof streams.BatchAppendReq.Options>,
): ExpectedRevision {
  if (options.hasNoStream()) return 'no_stream';
  if (options.hasAny()) return 'any';
  if (options.hasStreamExists()) return 'stream_exists';
  return Number('getRevision' in options ? options.getRevision() : options.getStreamPosition());
}

/** An event as a reading answers it. */
export function eventResponse({
  id,
  stream,
  revision,
  position,
  createdMs,
  metadata,
  custom,
  data,
}: Recorded): InstanceType<typeof streams.ReadResp> {
  const recorded = new streams.ReadResp.ReadEvent.RecordedEvent()
    .setId(new shared.UUID().setString(id))
    .setStreamIdentifier(identifierOf(stream))
    .setStreamRevision(String(revision))
    .setCommitPosition(String(position))
    .setPreparePosition(String(position))
    .setCustomMetadata(custom)
    .setData(data);
  const map = recorded.getMetadataMap();
  for (const [key, value] of metadata) map.set(key, value);
  map.set('created', String(BigInt(createdMs) * TICKS_PER_MS));
  return new streams.ReadResp().setEvent(new streams.ReadResp.ReadEvent().setEvent(recorded).setCommitPosition(String(position)));
}

/** Answer of an append of its own, where it is an answer rather than an error. */
export function appendResponse(outcome: Outcome, expected: ExpectedRevision): InstanceType<typeof streams.AppendResp> | null {
  const response = new streams.AppendResp();
  if (outcome.kind === 'appended') {
    const position = new streams.AppendResp.Position()
      .setCommitPosition(String(outcome.position))
      .setPreparePosition(String(outcome.position));
    return response.setSuccess(new streams.AppendResp.Success().setCurrentRevision(String(outcome.revision)).setPosition(position));
  }
  if (outcome.kind !== 'wrongExpectedVersion') return null;
  const wrong = new streams.AppendResp.WrongExpectedVersion();
  if (outcome.current === null) wrong.setCurrentNoStream(new shared.Empty());
  else wrong.setCurrentRevision(String(outcome.current));
  if (expected === 'no_stream') wrong.setExpectedNoStream(new shared.Empty());
  else if (expected === 'any') wrong.setExpectedAny(new shared.Empty());
  else if (expected === 'stream_exists') wrong.setExpectedStreamExists(new shared.Empty());
  else wrong.setExpectedRevision(String(expected));
  return response.setWrongExpectedVersion(wrong);
}

/** Answer of one append among many on one call. */
export function batchResponse(
  outcome: Outcome,
  to: { readonly stream: string; readonly expected: ExpectedRevision; readonly correlation: InstanceType<typeof shared.UUID> | undefined },
  maxAppendBytes: number,
): InstanceType<typeof streams.BatchAppendResp> {
  const response = new streams.BatchAppendResp().setStreamIdentifier(identifierOf(to.stream));
  if (to.correlation !== undefined) response.setCorrelationId(to.correlation);
  if (outcome.kind === 'appended') {
    const position = new shared.AllStreamPosition()
      .setCommitPosition(String(outcome.position))
      .setPreparePosition(String(outcome.position));
    return response.setSuccess(new streams.BatchAppendResp.Success().setCurrentRevision(String(outcome.revision)).setPosition(position));
  }
  const details = new anyMessages.Any();
  const pack = (bytes: Uint8Array, name: string): void => details.pack(bytes, `event_store.client.${name}`);
  if (outcome.kind === 'deleted')
    pack(new shared.StreamDeleted().setStreamIdentifier(identifierOf(to.stream)).serializeBinary(), 'StreamDeleted');
  else if (outcome.kind === 'tooLarge')
    pack(new shared.MaximumAppendSizeExceeded().setMaxappendsize(maxAppendBytes).serializeBinary(), 'MaximumAppendSizeExceeded');
  else {
    const wrong = new shared.WrongExpectedVersion();
    if (outcome.current === null) wrong.setCurrentNoStream(new emptyMessages.Empty());
    else wrong.setCurrentStreamRevision(String(outcome.current));
    if (to.expected === 'no_stream') wrong.setExpectedNoStream(new emptyMessages.Empty());
    else if (to.expected === 'any') wrong.setExpectedAny(new emptyMessages.Empty());
    else if (to.expected === 'stream_exists') wrong.setExpectedStreamExists(new emptyMessages.Empty());
    else wrong.setExpectedStreamPosition(String(to.expected));
    pack(wrong.serializeBinary(), 'WrongExpectedVersion');
  }
  return response.setError(new statuses.Status().setCode(9).setMessage(outcome.kind).setDetails(details));
}

/** An error as the server tells it: a status, and an `exception` with its facts among the trailers. */
export function exception(
  code: status,
  name: string,
  facts: { readonly [trailer: string]: string } = {},
): Pick<ServiceError, 'code' | 'details' | 'metadata'> {
  const metadata = new Metadata();
  metadata.set('exception', name);
  for (const [key, value] of Object.entries(facts)) metadata.set(key, value);
  return { code, details: name, metadata };
}

/** The error of a stream that was deleted for good. */
export function deletedError(stream: string): Pick<ServiceError, 'code' | 'details' | 'metadata'> {
  return exception(status.FAILED_PRECONDITION, 'stream-deleted', { 'stream-name': stream });
}
