/**
 * The node of EventStoreDB as a process of its own, for tests of other packages: says its port in the first line, then answers one line of JSON for
 * each line of JSON. `--tls KEY CERT USER PASSWORD` asks for that login.
 */
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { proposedJson } from './eventstoreServer/log.ts';
import { EventStoreServer, type Fault } from './eventstoreServer/server.ts';

/** What can be asked for. */
export type NodeOrder =
  | { readonly order: 'disconnect' }
  | { readonly order: 'fail'; readonly faults: readonly Fault[] }
  | { readonly order: 'metadata'; readonly stream: string; readonly body: object }
  | { readonly order: 'tombstone' | 'softDelete' | 'entries'; readonly stream: string }
  | { readonly order: 'cut'; readonly stream: string; readonly size: number };

const [flag, key = '', cert = '', user = '', password = ''] = process.argv.slice(2);
const node = await EventStoreServer.start(
  flag === '--tls' ? { tls: { key: readFileSync(key), cert: readFileSync(cert), user, password } } : {},
);
process.stdout.write(`${JSON.stringify({ port: node.port })}\n`);

async function obey(wanted: NodeOrder): Promise<unknown> {
  switch (wanted.order) {
    case 'disconnect':
      await node.disconnect();
      return null;
    case 'fail':
      node.fail(...wanted.faults);
      return null;
    case 'metadata':
      return node.log.append(`$$${wanted.stream}`, 'any', [proposedJson('$metadata', wanted.body)]).kind;
    case 'tombstone':
      node.log.tombstone(wanted.stream);
      return null;
    case 'softDelete':
      node.log.softDelete(wanted.stream);
      return null;
    case 'cut':
      node.log.cut(wanted.stream, wanted.size);
      return null;
    case 'entries':
      return (node.log.visible(wanted.stream) ?? []).map(({ data }) => Buffer.from(data).toString('utf8'));
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await obey(JSON.parse(line) as NodeOrder);
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await node.stop();
