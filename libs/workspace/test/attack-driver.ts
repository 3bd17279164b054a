/**
 * Runs the whole attack list in a process of its own, so that it can be any user's and can have a descriptor leaked into it. Prints one JSON line:
 * the report of the check and, for each attack, whether it worked confined and unconfined.
 */
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type ListenOptions, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Identity } from '../src/index.ts';
import { createSandbox, sandboxIdentity } from '../src/index.ts';
import { ATTACKS, CANARY, LEAKED_FD, type Range } from './attacks.ts';
import { AMPLE_MS, comesAbout, NEVER, profile, redactor } from './harness.ts';

/** For a control that works, and is nearly always heard at once. */
const HEARD_MS = 5_000;

const read = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
};

async function withRange<T>(owner: Identity, work: (range: Range) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'openexec-attack-'));
  chmodSync(folder, 0o755);
  const tree = `${folder}/tree`;
  const outside = `${folder}/outside`;
  mkdirSync(tree);
  mkdirSync(outside);
  chmodSync(outside, 0o777);
  writeFileSync(`${outside}/secret`, CANARY);
  chmodSync(`${outside}/secret`, 0o666);
  writeFileSync(`${outside}/own`, 'own');
  symlinkSync(`${outside}/secret`, `${tree}/link`);
  if (process.getuid?.() === 0) for (const path of [tree, `${outside}/own`]) chownSync(path, owner.uid, owner.gid);
  const hits = { tcp: 0, udp: 0, unix: 0, abstract: 0 };
  const abstractName = `openexec-${process.pid}-${Math.floor(performance.now() * 1000)}`;
  const serve = async (key: 'tcp' | 'unix' | 'abstract', where: ListenOptions) => {
    const server = createServer((socket: Socket) => {
      hits[key] += 1;
      socket.on('error', () => undefined).end();
    }).listen(where);
    await once(server, 'listening');
    return server;
  };
  const tcp = await serve('tcp', { port: 0, host: '127.0.0.1' });
  const unix = await serve('unix', { path: `${tree}/host.sock` });
  chmodSync(`${tree}/host.sock`, 0o777);
  const abstract = await serve('abstract', { path: `\0${abstractName}` });
  const udp = createSocket('udp4', () => {
    hits.udp += 1;
  }).bind(0, '127.0.0.1');
  await once(udp, 'listening');
  const address = tcp.address();
  try {
    return await work({
      outside,
      tree,
      abstractName,
      hits,
      tcpPort: typeof address === 'object' && address !== null ? address.port : 0,
      udpPort: udp.address().port,
    });
  } finally {
    for (const server of [tcp, unix, abstract]) server.close();
    udp.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The same text without any wall, as the user that sandboxed commands have. */
async function plain(text: string, range: Range, owner: Identity): Promise<string> {
  const child = spawn('/usr/bin/bash', ['-c', text], {
    cwd: range.tree,
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', OUT: range.outside, RUNTIME_CANARY: CANARY },
    stdio: ['ignore', 'pipe', 'pipe', ...Array.from({ length: LEAKED_FD - 3 }, () => 'ignore' as const), LEAKED_FD],
    ...(process.getuid?.() === 0 ? owner : {}),
  });
  let out = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (out += chunk.toString('latin1')));
  await once(child, 'close');
  return out;
}

async function main(): Promise<void> {
  const owner = sandboxIdentity();
  const sandbox = createSandbox({ redactor, host: { environment: new Map() } });
  const report = await sandbox.check();
  const results = [];
  for (const attack of ATTACKS) {
    const seen = attack.seen ?? ((_range, output) => output.includes('WORKED'));
    const confined = await withRange(owner, async (range) => {
      const outcome = await sandbox.run(
        {
          profile: profile(),
          argv: ['bash', '-c', `OUT='${range.outside.slice(0, 4)}'; OUT+='${range.outside.slice(4)}'; ${attack.probe(range)}`],
          directory: '',
          workspace: range.tree,
          gitView: null,
          deadlineMs: AMPLE_MS,
          stdin: null,
        },
        NEVER,
      );
      const output = outcome.ok
        ? Buffer.concat([outcome.value.stdout.head, outcome.value.stderr.head]).toString('latin1')
        : `refused ${outcome.error.message}`;
      return { ran: outcome.ok && outcome.value.stopped === 'no', worked: seen(range, output, read), output };
    });
    const control = await withRange(owner, async (range) => {
      const output = await plain((attack.control ?? attack.probe)(range), range, owner);
      // What arrives at a listener of this process is heard a little after the probe has ended.
      const worked = () => (attack.control === undefined ? seen(range, output, read) : output.includes('WORKED'));
      return { worked: await comesAbout(worked, HEARD_MS), output };
    });
    results.push({
      id: attack.id,
      ran: confined.ran,
      worked: confined.worked,
      control: control.worked,
      output: confined.output.slice(0, 2000),
      controlOutput: control.output.slice(0, 500),
    });
  }
  process.stdout.write(`${JSON.stringify({ uid: process.getuid?.(), report, results })}\n`);
}

await main();
