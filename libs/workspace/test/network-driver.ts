/**
 * Runs every network probe in a sandbox of its own, in a process that can be any user's. Prints one JSON line: for each probe what the sandbox
 * observed, and what the same text did unconfined where that can be told without a network.
 */
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSandbox, sandboxIdentity } from '../src/index.ts';
import { AMPLE_MS, NEVER, profile, redactor, stoppedWhenReady } from './harness.ts';
import { PROBES } from './networkProbes.ts';

const owner = sandboxIdentity();
const sandbox = createSandbox({ redactor });
const answers = [];
for (const { name, argv, says, killedAfterMs } of PROBES) {
  const workspace = mkdtempSync(join(tmpdir(), 'openexec-net-'));
  chmodSync(workspace, 0o755);
  if (process.getuid?.() === 0) chownSync(workspace, owner.uid, owner.gid);
  const order = { profile: profile(), argv, directory: '', workspace, gitView: null, stdin: null };
  const said = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1').slice(0, 500);
  const outcome =
    killedAfterMs === undefined
      ? await sandbox.run({ ...order, deadlineMs: AMPLE_MS }, NEVER)
      : await stoppedWhenReady(
          (deadlineMs) => sandbox.run({ ...order, deadlineMs }, NEVER),
          (ran) => !ran.ok || said(ran.value.stdout.head).includes(says),
          killedAfterMs,
        );
  rmSync(workspace, { recursive: true, force: true });
  answers.push(
    outcome.ok
      ? {
          name,
          network: outcome.value.network,
          stopped: outcome.value.stopped,
          out: said(outcome.value.stdout.head) + said(outcome.value.stderr.head),
        }
      : { name, problem: outcome.error.message },
  );
}
process.stdout.write(`${JSON.stringify({ uid: process.getuid?.(), answers })}\n`);
