/**
 * The witness over HTTP: one path, bounded in size and time, for hosts that it was told of. Must never listen elsewhere than where it was told, and
 * never answers a browser that was led here by another name. c2sp.org/tlog-witness; CLI.md "HTTP".
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { err, ok, type Result, utf8Decode } from '@openexec/canon';
import { MAX_BODY_BYTES, readBody } from '../body.ts';
import { faultCode } from '../files.ts';
import type { Witness } from './witness.ts';

const PATH = '/add-checkpoint';
const REQUEST_MS = 10_000;
const MAX_CONNECTIONS = 256;
const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', 'localhost', '[::1]']);

/** A server that runs. */
export interface RunningWitness {
  readonly host: string;
  readonly port: number;
  close(): Promise<void>;
}

/** Why it does not run. */
export interface ListenError {
  readonly code: 'witness.listen';
  readonly message: string;
}

/** Starts to listen. `hosts` are names beside those of this machine under which requests may come, without a port. */
export async function serveWitness(options: {
  readonly witness: Witness;
  readonly host: string;
  readonly port: number;
  readonly hosts: readonly string[];
}): Promise<Result<RunningWitness, ListenError>> {
  const known = new Set([...LOOPBACK, ...options.hosts]);
  const server = createServer({ requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS }, (request, response) => {
    void handle(options.witness, known, request, response).catch(() => response.destroy());
  });
  server.maxConnections = MAX_CONNECTIONS;
  const listening = await listen(server, options.host, options.port);
  if (listening !== null)
    return err({ code: 'witness.listen', message: `${options.host}:${options.port} cannot be listened on (${listening})` });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : options.port;
  return ok({ host: options.host, port, close: () => close(server) });
}

async function handle(witness: Witness, known: ReadonlySet<string>, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const host = (request.headers.host ?? '').replace(/:\d+$/, '');
  if (!known.has(host)) return answer(response, 421, 'this is not the host that was asked for');
  if (request.url !== PATH) return answer(response, 404, `there is only ${PATH}`);
  if (request.method !== 'POST') return answer(response, 405, 'POST is the one method');
  const body = await readBody(request);
  if (body === null) return answer(response, 413, `a request has at most ${MAX_BODY_BYTES} bytes`);
  const text = utf8Decode(body);
  if (!text.ok) return answer(response, 400, text.error.message);
  const said = await witness.add(text.value);
  response.writeHead(said.status, { 'content-type': said.type, 'cache-control': 'no-store' });
  response.end(said.body);
}

/** After a refusal before the end of a body the connection is of no more use. */
function answer(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' });
  response.end(`${message}\n`);
}

function listen(server: Server, host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    server.once('error', (error) => resolve(faultCode(error)));
    server.listen(port, host, () => resolve(null));
  });
}

function close(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
