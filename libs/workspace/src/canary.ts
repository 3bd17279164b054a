/**
 * The canary set: attacks that must fail inside the sandbox, each run unconfined too, because a broken probe would look like a wall. Outcomes are
 * read from the outside (listener hits, files) wherever the outside can see them (SECURITY §9). Must touch nothing but its own temporary folder.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CommandOutcome, SandboxFailure, SandboxReport } from '@openexec/catalogue';
import type { Result } from '@openexec/canon';
import { shown, systemCode } from './failure.ts';
import type { Identity } from './identity.ts';

const TEXT = 'openexec-canary-8c1f';
const PROBE_DEADLINE_MS = 15_000;

/**
 * Runs inside and outside alike; prints which probes worked as far as it can see. Plain CommonJS text because it crosses into another process.
 */
const PROBE = `
const fs=require('fs'),net=require('net'),cp=require('child_process');
const a=JSON.parse(process.argv[1]),worked={};
const t=(n,f)=>{try{worked[n]=f()!==false}catch{worked[n]=false}};
t('read outside',()=>fs.readFileSync(a.outside+'/secret','latin1').includes(a.text));
t('read through a planted link',()=>fs.readFileSync('link','latin1').includes(a.text));
t('write outside',()=>fs.writeFileSync(a.outside+'/written','x'));
t('write through a planted link',()=>fs.writeFileSync('door/through','x'));
t('environment of the runtime',()=>fs.readFileSync(a.environ,'latin1').length>0);
t('process of the host',()=>fs.readFileSync('/proc/'+a.pid+'/stat','latin1').replace(/^.*\\) /,'').split(' ')[19]===a.start);
t('set-user-id file',()=>{fs.writeFileSync('suid','');fs.chmodSync('suid',0o4755);return (fs.statSync('suid').mode&0o4000)!==0});
t('nested user namespace',()=>cp.spawnSync('unshare',['-Ur','true']).status===0);
const c=(n,to)=>new Promise(r=>{try{const s=net.connect(to,()=>{worked[n]=true;s.destroy();r()});s.on('error',()=>{worked[n]=false;r()})}catch{worked[n]=false;r()}});
Promise.all([c('tcp to the host',{port:a.port,host:'127.0.0.1'}),c('unix socket in the workspace',{path:'host.sock'})]).then(()=>console.log(JSON.stringify(worked)));
`;
/** Hosts may forbid this to everybody but bubblewrap itself (Ubuntu from 24.04), so its control need not succeed. */
const CONTROL_MAY_FAIL: ReadonlySet<string> = new Set(['nested user namespace']);

interface Range {
  readonly folder: string;
  readonly workspace: string;
  readonly outside: string;
  readonly hits: { tcp: number; unix: number };
  readonly port: number;
  close(): Promise<void>;
}

/** Runs a Node script in `workspace`, confined. */
export type RunConfined = (argv: readonly string[], workspace: string) => Promise<Result<CommandOutcome, SandboxFailure>>;

/**
 * Runs all probes confined and unconfined, each against a range of its own below `scratch`, which the sandbox's id must reach. Ranges that a killed
 * process left there are removed first.
 */
export async function runCanaries(
  run: RunConfined,
  owner: Identity,
  scratch = tmpdir(),
): Promise<Pick<SandboxReport, 'sound' | 'canaries' | 'problem'>> {
  try {
    mkdirSync(scratch, { recursive: true, mode: 0o711 });
    sweepStale(scratch);
  } catch (caught) {
    return { sound: false, canaries: [], problem: `the folder "${shown(scratch)}" for the check cannot be used (${systemCode(caught)})` };
  }
  let ranges: readonly [Range, Range];
  try {
    ranges = await makeRanges(owner, scratch);
  } catch (caught) {
    return {
      sound: false,
      canaries: [],
      problem: `the range for the check could not be made in "${shown(scratch)}" (${systemCode(caught)})`,
    };
  }
  try {
    const [inside, outside] = ranges;
    const [confined, control] = await Promise.all([
      run(['node', '-e', PROBE, argumentsOf(inside, '/proc/1/environ')], inside.workspace),
      runPlain(['-e', PROBE, argumentsOf(outside, '/proc/self/environ')], outside.workspace),
    ]);
    if (!confined.ok) return { sound: false, canaries: [], problem: confined.error.message };
    const insideWorked = parseProbe(Buffer.from(confined.value.stdout.head).toString('utf8'));
    const outsideWorked = parseProbe(control);
    if (insideWorked === null || outsideWorked === null) {
      const said = Buffer.from(confined.value.stderr.head).toString('utf8').slice(0, 300);
      return {
        sound: false,
        canaries: [],
        problem: `the canary set did not run to its end (exit ${confined.value.exitCode ?? 'none'}): ${said}`,
      };
    }
    const seen = observe(inside, insideWorked);
    const live = observe(outside, outsideWorked);
    const canaries = Object.keys(live).map((name) => ({ name, blocked: seen[name] === false, control: live[name] === true }));
    const open = canaries.filter((canary) => !canary.blocked).map((canary) => canary.name);
    const dead = canaries.filter((canary) => !canary.control && !CONTROL_MAY_FAIL.has(canary.name)).map((canary) => canary.name);
    const problem =
      open.length > 0
        ? `these attacks worked inside the sandbox: ${open.join(', ')}`
        : dead.length > 0
          ? `these probes prove nothing here, they fail unconfined too: ${dead.join(', ')}`
          : null;
    return { sound: problem === null, canaries, problem };
  } finally {
    for (const range of ranges) await range.close();
  }
}

function argumentsOf(range: Range, environ: string): string {
  const start = startOf('self') ?? '';
  return JSON.stringify({ outside: range.outside, text: TEXT, environ, pid: process.pid, start, port: range.port });
}

/** The probe's own word, overruled by what the outside saw: a file that exists was written, a connection that arrived was made. */
function observe(range: Range, worked: Readonly<Record<string, boolean>>): Record<string, boolean> {
  return {
    ...worked,
    'write outside': worked['write outside'] === true || existsSync(`${range.outside}/written`),
    'write through a planted link': worked['write through a planted link'] === true || existsSync(`${range.outside}/through`),
    'tcp to the host': worked['tcp to the host'] === true || range.hits.tcp > 0,
    'unix socket in the workspace': worked['unix socket in the workspace'] === true || range.hits.unix > 0,
  };
}

function parseProbe(text: string): Record<string, boolean> | null {
  try {
    // Our own probe printed it; anything else is not an object of booleans and counts as no answer.
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== 'object' || parsed === null) return null;
    return Object.fromEntries(Object.entries(parsed).map(([name, value]) => [name, value === true]));
  } catch {
    return null;
  }
}

async function runPlain(args: readonly string[], workspace: string): Promise<string> {
  const child = spawn(process.execPath, args, {
    cwd: workspace,
    env: { CANARY: TEXT, PATH: '/usr/local/bin:/usr/bin:/bin' },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), PROBE_DEADLINE_MS);
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(child, 'close');
  clearTimeout(timer);
  return Buffer.concat(chunks).toString('utf8');
}

/** Two ranges, or none: where one fails the other is put away. */
async function makeRanges(owner: Identity, scratch: string): Promise<readonly [Range, Range]> {
  const first = await makeRange(owner, scratch);
  try {
    return [first, await makeRange(owner, scratch)];
  } catch (caught) {
    await first.close();
    throw caught;
  }
}

/** Who made a range: process and its start in ticks since boot, so that a number used again is not taken for the same process. */
const RANGE = /^openexec-check-(\d+)-(\d+)-/;

/** When a process started, or null where it lives no more. */
function startOf(pid: string): string | null {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    return fields[0] === 'Z' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

/** Removes our own ranges whose maker is gone: it was killed before it could. */
function sweepStale(scratch: string): void {
  for (const name of readdirSync(scratch)) {
    const [, pid, start] = RANGE.exec(name) ?? [];
    if (pid === undefined || startOf(pid) === start) continue;
    const path = join(scratch, name);
    if (lstatSync(path, { throwIfNoEntry: false })?.uid === process.getuid?.()) rmSync(path, { recursive: true, force: true });
  }
}

async function makeRange(owner: Identity, scratch: string): Promise<Range> {
  const folder = mkdtempSync(join(scratch, `openexec-check-${process.pid}-${startOf('self') ?? 0}-`));
  chmodSync(folder, 0o711);
  const workspace = `${folder}/tree`;
  const outside = `${folder}/outside`;
  mkdirSync(workspace, { mode: 0o700 });
  mkdirSync(outside);
  // Open to everybody: only the sandbox may be what stops the write.
  chmodSync(outside, 0o777);
  writeFileSync(`${outside}/secret`, TEXT, { mode: 0o644 });
  symlinkSync(`${outside}/secret`, `${workspace}/link`);
  symlinkSync(outside, `${workspace}/door`);
  if (process.getuid?.() === 0) chownSync(workspace, owner.uid, owner.gid);
  const hits = { tcp: 0, unix: 0 };
  // The path of a socket has room for 107 bytes, and state folders may lie deeper: through its descriptor any folder has a short name.
  const door = openSync(workspace, constants.O_RDONLY | constants.O_DIRECTORY);
  const tcp = createServer(() => (hits.tcp += 1));
  const unix = createServer(() => (hits.unix += 1));
  const close = async (): Promise<void> => {
    await Promise.all([tcp, unix].map((server) => new Promise((done) => server.close(done))));
    closeSync(door);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await listen(tcp, { port: 0, host: '127.0.0.1' });
    await listen(unix, { path: `/proc/self/fd/${door}/host.sock` });
    chmodSync(`${workspace}/host.sock`, 0o777);
  } catch (caught) {
    // A server that goes on listening would keep the process from ever ending.
    await close();
    throw caught;
  }
  const address = tcp.address();
  return {
    folder,
    workspace,
    outside,
    hits,
    port: typeof address === 'object' && address !== null ? address.port : 0,
    close,
  };
}

async function listen(server: Server, where: { readonly port: number; readonly host: string } | { readonly path: string }): Promise<void> {
  server.on('connection', (socket) => {
    socket.on('error', () => undefined);
    socket.end();
  });
  server.listen(where);
  await once(server, 'listening');
}
