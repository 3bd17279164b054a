/**
 * A node of EventStoreDB for tests: a gRPC server over an in-memory log that speaks the client's own protocol, with faults on demand. What it keeps
 * survives {@link EventStoreServer.disconnect}, which cuts every connection as a crash of the process would.
 */
import {
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  status,
} from '@grpc/grpc-js';
import features from '@eventstore/db-client/generated/serverfeatures_grpc_pb.js';
import featureMessages from '@eventstore/db-client/generated/serverfeatures_pb.js';
import services from '@eventstore/db-client/generated/streams_grpc_pb.js';
import streams from '@eventstore/db-client/generated/streams_pb.js';
import { type ExpectedRevision, Log, type Outcome, type Proposed } from './log.ts';
import { appendResponse, batchResponse, deletedError, exception, expectedIn, nameIn, proposedIn, uuidIn } from './messages.ts';
import { type ReadCall, serveRead } from './reading.ts';

type AppendReq = InstanceType<typeof streams.AppendReq>;
type AppendResp = InstanceType<typeof streams.AppendResp>;
type BatchReq = InstanceType<typeof streams.BatchAppendReq>;
type BatchResp = InstanceType<typeof streams.BatchAppendResp>;

/**
 * What happens to the next append. `cutBefore` and `cutAfter`: all connections end before or after it is stored. `silentAfter`: stored, never
 * answered. `slow`: stored after a while. `twice`: it arrives twice. `notLeader`: refused, and the leader named is this node.
 */
export type Fault = 'cutBefore' | 'cutAfter' | 'silentAfter' | 'slow' | 'twice' | 'notLeader' | 'denied';

/** How a node is started. */
export interface EventStoreServerOptions {
  readonly tls?: { readonly key: Buffer; readonly cert: Buffer; readonly user: string; readonly password: string };
  /** Whether BatchAppend is offered; servers before 21.10 do not. */
  readonly batch?: boolean;
}

/** A running node. */
export class EventStoreServer {
  readonly log = new Log();
  readonly #options: EventStoreServerOptions;
  readonly #faults: Fault[] = [];
  #server: Server | null = null;
  port = 0;
  /** Appends that were asked for, of either kind. */
  appends = 0;

  private constructor(options: EventStoreServerOptions) {
    this.#options = options;
  }

  static async start(options: EventStoreServerOptions = {}): Promise<EventStoreServer> {
    const server = new EventStoreServer(options);
    await server.#listen();
    return server;
  }

  /** Faults for the next appends, one each. */
  fail(...faults: readonly Fault[]): void {
    this.#faults.push(...faults);
  }

  /** Ends every connection at once and listens again. */
  async disconnect(): Promise<void> {
    this.#server?.forceShutdown();
    await this.#listen();
  }

  async stop(): Promise<void> {
    this.#server?.forceShutdown();
    this.#server = null;
  }

  async #listen(): Promise<void> {
    const server = new Server({ 'grpc.max_receive_message_length': 32 * 1024 * 1024 });
    server.addService(services.StreamsService, {
      read: (call: ReadCall) => {
        if (this.#admits(call)) void serveRead(this.log, call).catch((error: unknown) => call.emit('error', error));
      },
      append: (call: ServerReadableStream<AppendReq, AppendResp>, done: sendUnaryData<AppendResp>) => this.#append(call, done),
      batchAppend: (call: ServerDuplexStream<BatchReq, BatchResp>) => this.#batchAppend(call),
      delete: (
        call: ServerUnaryCall<InstanceType<typeof streams.DeleteReq>, InstanceType<typeof streams.DeleteResp>>,
        done: sendUnaryData<InstanceType<typeof streams.DeleteResp>>,
      ) => {
        this.log.softDelete(nameIn(call.request.getOptions()?.getStreamIdentifier()));
        done(null, new streams.DeleteResp());
      },
      tombstone: (
        call: ServerUnaryCall<InstanceType<typeof streams.TombstoneReq>, InstanceType<typeof streams.TombstoneResp>>,
        done: sendUnaryData<InstanceType<typeof streams.TombstoneResp>>,
      ) => {
        this.log.tombstone(nameIn(call.request.getOptions()?.getStreamIdentifier()));
        done(null, new streams.TombstoneResp());
      },
    });
    server.addService(features.ServerFeaturesService, {
      getSupportedMethods: (_: unknown, done: sendUnaryData<InstanceType<typeof featureMessages.SupportedMethods>>) =>
        done(null, this.#methods()),
    });
    const { tls } = this.#options;
    const credentials =
      tls === undefined
        ? ServerCredentials.createInsecure()
        : ServerCredentials.createSsl(null, [{ private_key: tls.key, cert_chain: tls.cert }]);
    this.port = await new Promise<number>((resolve, reject) =>
      server.bindAsync(`127.0.0.1:${this.port}`, credentials, (error, port) => (error === null ? resolve(port) : reject(error))),
    );
    this.#server = server;
  }

  #methods(): InstanceType<typeof featureMessages.SupportedMethods> {
    const names = ['read', 'append', 'delete', 'tombstone', ...(this.#options.batch === false ? [] : ['batchappend'])];
    const methods = names.map((name) =>
      new featureMessages.SupportedMethod().setServiceName('event_store.client.streams.Streams').setMethodName(name),
    );
    return new featureMessages.SupportedMethods().setEventStoreServerVersion('23.10.0.0').setMethodsList(methods);
  }

  /** A node that asks for a password refuses whoever sends none, or another. */
  #admits(call: { readonly metadata: ReadCall['metadata']; emit(event: 'error', error: unknown): boolean }): boolean {
    const { tls } = this.#options;
    if (tls === undefined) return true;
    const wanted = `Basic ${Buffer.from(`${tls.user}:${tls.password}`).toString('base64')}`;
    if (call.metadata.get('authorization')[0] === wanted) return true;
    call.emit('error', exception(status.UNAUTHENTICATED, 'access-denied'));
    return false;
  }

  #append(call: ServerReadableStream<AppendReq, AppendResp>, done: sendUnaryData<AppendResp>): void {
    const proposed: Proposed[] = [];
    let stream = '';
    let expected: ExpectedRevision = 'any';
    if (!this.#admits({ metadata: call.metadata, emit: (_, error) => (done(error as Parameters<typeof done>[0]), true) })) return;
    call.on('data', (request: AppendReq) => {
      const options = request.getOptions();
      const message = request.getProposedMessage();
      if (options !== undefined) {
        stream = nameIn(options.getStreamIdentifier());
        expected = expectedIn(options);
      } else if (message !== undefined) proposed.push(proposedIn(message));
    });
    call.on('error', () => undefined);
    call.on('end', () => {
      const answer = async (): Promise<void> => {
        const outcome = await this.#withFault(() => this.log.append(stream, expected, proposed));
        if (outcome === null) return;
        const refusal = 'code' in outcome ? outcome : this.#refusalOf(outcome, stream);
        done(refusal, refusal === null && 'kind' in outcome ? appendResponse(outcome, expected) : null);
      };
      answer().catch((error: unknown) => call.emit('error', error));
    });
  }

  #refusalOf(outcome: Outcome, stream: string): ReturnType<typeof exception> | null {
    if (outcome.kind === 'deleted') return deletedError(stream);
    if (outcome.kind !== 'tooLarge') return null;
    return exception(status.INVALID_ARGUMENT, 'maximum-append-size-exceeded', { 'maximum-append-size': String(this.log.maxAppendBytes) });
  }

  /** Many appends on one call; each is collected by its correlation id until its last part has come. */
  #batchAppend(call: ServerDuplexStream<BatchReq, BatchResp>): void {
    const open = new Map<string, { stream: string; expected: ExpectedRevision; proposed: Proposed[] }>();
    if (!this.#admits(call)) return;
    call.on('error', () => undefined);
    call.on('end', () => call.end());
    call.on('data', (request: BatchReq) => {
      const correlation = request.getCorrelationId();
      const id = uuidIn(correlation);
      const options = request.getOptions();
      if (options !== undefined)
        open.set(id, { stream: nameIn(options.getStreamIdentifier()), expected: expectedIn(options), proposed: [] });
      const batch = open.get(id);
      if (batch === undefined) return;
      batch.proposed.push(...request.getProposedMessagesList().map(proposedIn));
      if (!request.getIsFinal()) return;
      open.delete(id);
      const answer = async (): Promise<void> => {
        const outcome = await this.#withFault(() => this.log.append(batch.stream, batch.expected, batch.proposed));
        if (outcome === null) return;
        if ('code' in outcome) call.emit('error', outcome);
        else call.write(batchResponse(outcome, { ...batch, correlation }, this.log.maxAppendBytes));
      };
      answer().catch((error: unknown) => call.emit('error', error));
    });
  }

  /** Null where nothing is answered. */
  async #withFault(append: () => Outcome): Promise<Outcome | ReturnType<typeof exception> | null> {
    this.appends++;
    const fault = this.#faults.shift();
    if (fault === 'denied') return exception(status.PERMISSION_DENIED, 'access-denied');
    if (fault === 'notLeader')
      return exception(status.NOT_FOUND, 'not-leader', { 'leader-endpoint-host': '127.0.0.1', 'leader-endpoint-port': String(this.port) });
    if (fault === 'slow') await new Promise((resolve) => setTimeout(resolve, 300));
    const outcome = fault === 'cutBefore' ? null : append();
    if (fault === 'cutBefore' || fault === 'cutAfter') {
      await this.disconnect();
      return null;
    }
    if (fault === 'silentAfter') return null;
    // Answered as a repeat of itself: what a network that delivers twice makes of it.
    return fault === 'twice' ? append() : outcome;
  }
}
