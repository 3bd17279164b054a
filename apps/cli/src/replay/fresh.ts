/**
 * Hands for a replay that performs: the run's own base, sandbox and profile, in a workspace of its own that is removed afterwards. The ledger is open
 * for reading only. Must never touch the workspace of the run itself.
 */
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createActionHost } from '@openexec/actions';
import { err, instantToMs, ok, type Result, toHex, type TrajectoryId } from '@openexec/canon';
import type { Hands } from '@openexec/runtime';
import { inspectRepository, openWorkspace, sandboxIdentity } from '@openexec/workspace';
import type { CommandContext, OpenLedger } from '../context.ts';
import { type Refusal, refusalFor } from '../exit.ts';
import { shortRun } from '../findRun.ts';
import { loadOperating, readOpening } from '../run/drive.ts';
import { soundSandbox } from '../run/hands.ts';
import { redactorOf } from '../run/redact.ts';

/** What performs again; `remove` takes the workspace away. */
export interface FreshHands {
  readonly hands: Pick<Hands, 'ledger' | 'host' | 'redact' | 'workspace'>;
  remove(): void;
}

/** What a killed replay left is removed by the next one after so long. */
const LEFT_MS = 86_400_000;

/** Makes them, or says what is missing on this machine: keys, repository, base commit, sandbox. */
export async function freshHands(context: CommandContext, ledger: OpenLedger, run: TrajectoryId): Promise<Result<FreshHands, Refusal>> {
  const project = await context.project();
  if (!project.ok) return project;
  const { root } = project.value;
  const recorded = await readOpening(ledger, run);
  if (!recorded.ok) return recorded;
  const { opened, profile } = recorded.value;
  const repository = await inspectRepository(root);
  if (!repository.ok) return err(refusalFor(repository.error, 'workspace.failed'));
  // Markers of redaction are tagged with a key of the installation: with another one the same output would have other bytes.
  const operating = loadOperating(ledger);
  if (!operating.ok) return operating;
  const { operator, runtime } = operating.value;
  const { commonDir } = repository.value;
  const redactor = await redactorOf({ env: context.env, keys: [operator, runtime], runtime, root, commonDir });
  if (!redactor.ok) return redactor;
  const sandbox = await soundSandbox({ redactor: redactor.value, root, state: context.places.state, provide: profile.provide });
  if (!sandbox.ok) return sandbox;
  const directory = folderFor(context, ledger, run);
  const remove = (): void => rmSync(directory, { recursive: true, force: true });
  const made = await openWorkspace({
    repository: repository.value,
    base: opened.base.commit,
    directory,
    identity: sandboxIdentity(),
    redactor: redactor.value,
  });
  if (!made.ok) {
    remove();
    return err(refusalFor(made.error, 'workspace.failed'));
  }
  const { workspace } = made.value;
  const host = createActionHost({ workspace, sandbox: sandbox.value, redactor: redactor.value });
  const hands = { ledger: ledger.store, workspace, host, redact: (bytes: Uint8Array) => redactor.value.redactBytes(bytes) };
  return ok({ hands, remove });
}

function folderFor(context: CommandContext, ledger: OpenLedger, run: TrajectoryId): string {
  const all = join(ledger.stateFolder, 'replays');
  // Searchable by the id that commands run under, as the folder of runs is.
  mkdirSync(all, { recursive: true, mode: 0o711 });
  const now = instantToMs(context.clock.now());
  for (const name of readdirSync(all)) {
    const old = join(all, name);
    // Another replay may be taking its own away just now.
    const left = statSync(old, { throwIfNoEntry: false });
    if (left !== undefined && now - left.mtimeMs > LEFT_MS) rmSync(old, { recursive: true, force: true });
  }
  return join(all, `${shortRun(run)}-${toHex(context.randomness.bytes(6))}`);
}
