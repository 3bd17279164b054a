/**
 * What the sandbox costs: `true` confined against a bare spawn of `true`, p50 and p95, and their ratio. Goal: at most 8 ms more at p50, 15 ms at p95
 * (SECURITY §10). Prints one line a row; BENCH_ROUNDS sets the rounds.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRedactor, createSandbox, describeToolchain, sandboxIdentity, seccompArch, seccompDigest } from '@openexec/workspace';

const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 150);

async function timed(work: () => Promise<void>): Promise<{ readonly p50: number; readonly p95: number }> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const started = performance.now();
    await work();
    times.push(performance.now() - started);
  }
  times.sort((a, b) => a - b);
  return { p50: times[Math.floor(ROUNDS * 0.5)] ?? 0, p95: times[Math.floor(ROUNDS * 0.95)] ?? 0 };
}

const arch = seccompArch();
if (arch === null) throw new Error('no system-call filter for this CPU');
const workspace = mkdtempSync(join(tmpdir(), 'openexec-bench-'));
chmodSync(workspace, 0o755);
const { uid, gid } = sandboxIdentity();
if (process.getuid?.() === 0) chownSync(workspace, uid, gid);
const sandbox = createSandbox({ redactor: createRedactor({ secrets: [], tagKey: new Uint8Array(32) }) });
const checkStarted = performance.now();
const report = await sandbox.check();
const checkMs = performance.now() - checkStarted;
if (!report.sound) throw new Error(report.problem ?? 'the sandbox is not sound');
const limits = {
  memoryBytes: 2 ** 30,
  processes: 64,
  cpuMs: 10_000,
  fileBytes: 2 ** 20,
  tmpBytes: 2 ** 20,
  homeBytes: 2 ** 20,
  outputBytes: 2 ** 20,
  openFiles: 256,
  diskBytes: 2 ** 30,
  inodes: 10_000,
};
const profile = {
  version: 1,
  mode: 'workspace_write',
  network: 'none',
  workspace: 'rw',
  protectedPaths: [],
  provide: [],
  toolchain: [describeToolchain().symbol],
  environment: [],
  limits,
  seccomp: seccompDigest(arch),
} as const;
const order = {
  profile: { ...profile, protectedPaths: [], provide: [], toolchain: [...profile.toolchain], environment: [] },
  argv: ['true'],
  directory: '',
  workspace,
  gitView: null,
  deadlineMs: 10_000,
  stdin: null,
};

const plain = await timed(async () => {
  await once(spawn('/usr/bin/true', [], { stdio: ['ignore', 'pipe', 'pipe'], env: {} }), 'close');
});
const confined = await timed(async () => {
  const outcome = await sandbox.run(order, { stopped: false, onStop: () => () => undefined });
  if (!outcome.ok || outcome.value.exitCode !== 0) throw new Error('the command did not run');
});
const ms = (value: number): string => value.toFixed(2);
process.stdout.write(`plain spawn of true    p50 ${ms(plain.p50)} ms  p95 ${ms(plain.p95)} ms\n`);
process.stdout.write(`confined true          p50 ${ms(confined.p50)} ms  p95 ${ms(confined.p95)} ms  limiter ${report.limiter}\n`);
process.stdout.write(
  `overhead               p50 ${ms(confined.p50 - plain.p50)} ms  p95 ${ms(confined.p95 - plain.p95)} ms  ratio ${(confined.p50 / plain.p50).toFixed(2)}\n`,
);
process.stdout.write(`check (canary set)     ${ms(checkMs)} ms\n`);
rmSync(workspace, { recursive: true, force: true });
