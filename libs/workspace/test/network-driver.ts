/**
 * Runs every network probe in a sandbox of its own, in a process that can be any user's. Prints one JSON line: for each probe what the sandbox
 * observed, and what the same text did unconfined where that can be told without a network.
 */
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSandbox, sandboxIdentity } from '../src/index.ts';
import { NEVER, profile, redactor } from './harness.ts';
import { PROBES } from './networkProbes.ts';

const owner = sandboxIdentity();
const sandbox = createSandbox({ redactor });
const answers = [];
for (const { name, argv, deadlineMs } of PROBES) {
  const workspace = mkdtempSync(join(tmpdir(), 'openexec-net-'));
  chmodSync(workspace, 0o755);
  if (process.getuid?.() === 0) chownSync(workspace, owner.uid, owner.gid);
  const order = { profile: profile(), argv, directory: '', workspace, gitView: null, deadlineMs: deadlineMs ?? 20_000, stdin: null };
  const outcome = await sandbox.run(order, NEVER);
  rmSync(workspace, { recursive: true, force: true });
  const said = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1').slice(0, 500);
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
