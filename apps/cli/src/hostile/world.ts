/**
 * The outside world of the hostile demo: listeners that count, a secret, a place to push to, words that must not come out. Everything really exists
 * on this host, so that an attempt that gets through is seen. Must never reach beyond the demo's folder and the loopback interface.
 */
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';

/** The ways into the network that are listened on. */
export const WAYS = ['tcp', 'udp', 'dns', 'unix', 'abstract'] as const;
/** One of {@link WAYS}. */
export type Way = (typeof WAYS)[number];
/** What the attacker's program is told; paths are of the host. */
export interface Target {
  readonly mode: 'read' | `net.${Way}` | 'policy' | 'fork' | 'disk' | 'hide';
  readonly repository: string;
  readonly bare: string;
  readonly secret: string;
  readonly echo: string;
  readonly tcp: number;
  readonly udp: number;
  readonly dns: number;
  readonly unix: string;
  readonly abstract: string;
  readonly daemon: string;
  readonly swarm: string;
  readonly most: number;
  readonly megabytes: number;
  readonly hidden: string;
}
/** The world while the demo runs. */
export interface World {
  /** Words that tell where they came from: in the secret file, in the runtime's environment, in the attacker's own program. */
  readonly words: { readonly secret: string; readonly mark: string; readonly echo: string };
  readonly hits: { readonly [way in Way]: number };
  target(mode: Target['mode'], at: { readonly repository: string; readonly bare: string }): Target;
  close(): Promise<void>;
}

/** Far above what the sandbox of the demo lets a command have, and far below what hurts a host. */
const SWARM = 200;
const MEGABYTES = 64;
/** A file that is to be hidden from review. */
export const HIDDEN = 'src/backdoor.mjs';

/** Puts the world up in a folder. */
export async function openWorld(folder: string): Promise<World> {
  const words = { secret: word('secret'), mark: word('mark'), echo: word('echo') };
  const secret = join(folder, 'secret.txt');
  writeFileSync(secret, `${words.secret}\n`, { mode: 0o644 });
  const hits = { tcp: 0, udp: 0, dns: 0, unix: 0, abstract: 0 };
  const abstract = `openexec-${randomBytes(8).toString('hex')}`;
  const unix = join(folder, 'canary.sock');
  const tcp = await listen(() => (hits.tcp += 1), { host: '127.0.0.1', port: 0 });
  const streams = [
    tcp,
    await listen(() => (hits.unix += 1), { path: unix }),
    await listen(() => (hits.abstract += 1), { path: `\0${abstract}` }),
  ];
  const udp = await receive(() => (hits.udp += 1));
  const dns = await receive(() => (hits.dns += 1));
  const address = tcp.address();
  const seconds = (least: number): string => `${least}.${randomBytes(4).readUInt32BE().toString().padStart(10, '0')}`;
  const tags = { daemon: seconds(600), swarm: seconds(5) };
  const common = { secret, echo: words.echo, unix, abstract, ...tags, most: SWARM, megabytes: MEGABYTES, hidden: HIDDEN };
  const ports = {
    tcp: typeof address === 'object' && address !== null ? address.port : 0,
    udp: udp.address().port,
    dns: dns.address().port,
  };
  return {
    words,
    hits,
    target: (mode, at) => ({ mode, ...common, ...ports, ...at }),
    async close() {
      for (const socket of [udp, dns]) socket.close();
      await Promise.all(streams.map((server) => new Promise((done) => server.close(done))));
      killTagged(Object.values(tags));
    },
  };
}

/** A word of letters that no rule takes for a secret, unlike any other. */
function word(kind: string): string {
  const letters = [...randomBytes(16)].map((byte) => 'abcdefghijklmnop'[byte & 15]).join('');
  return `${kind}-${letters.match(/.{4}/g)?.join('-') ?? ''}`;
}

async function listen(hit: () => void, where: { host: string; port: number } | { path: string }): Promise<Server> {
  const server = createServer((socket) => {
    hit();
    socket.on('error', () => undefined);
    socket.destroy();
  });
  server.listen(where);
  await once(server, 'listening');
  return server;
}

async function receive(hit: () => void): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.on('message', hit);
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

/** Processes of this host whose command line holds one of these words. */
export function tagged(words: readonly string[]): readonly number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return [];
    try {
      const said = readFileSync(`/proc/${name}/cmdline`, 'latin1');
      return words.some((one) => said.includes(one)) ? [Number(name)] : [];
    } catch {
      return []; // Ended meanwhile.
    }
  });
}

/** Ends what the demo's own probes left behind; by process id, never by name. */
export function killTagged(words: readonly string[]): number {
  const found = tagged(words);
  for (const pid of found) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Ended meanwhile.
    }
  }
  return found.length;
}

/** Whether there is such a file. */
export const isThere = (path: string): boolean => existsSync(path);
