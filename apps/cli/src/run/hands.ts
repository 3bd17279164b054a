/**
 * The hands of one run, built from this machine: workspace, sandbox, action host, lease. The same for a new run and a resumed one. Must never be
 * built without a sound sandbox (GOALS E02, exit 14).
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createActionHost } from '@openexec/actions';
import { issueWrit } from '@openexec/authority';
import { err, ok, type Result, type TrajectoryId } from '@openexec/canon';
import type { Approver, BaseTree, ModelAdapter, Sandbox, StopSignal, WorkspaceFailure } from '@openexec/catalogue';
import type { FileKey } from '@openexec/config';
import type { Stored } from '@openexec/ledger';
import type { SandboxProfile } from '@openexec/protocol';
import type { Delegating, Hands } from '@openexec/runtime';
import { createSandbox, forkPoint, openWorkspace, type Redactor, type RepositoryPlace, sandboxIdentity } from '@openexec/workspace';
import type { OpenLedger, Surroundings } from '../context.ts';
import { type Refusal, refusalFor, refuse } from '../exit.ts';
import { leaseRun } from '../ledgerPlace.ts';

/** Marks a folder of the checkout in a profile; host paths never stand there (MECHANICS part 2). */
const CHECKOUT = 'checkout:';

/** The profile's symbol for a folder of the checkout. */
export function provideOf(path: string): { readonly path: string; readonly source: string } {
  return { path, source: `${CHECKOUT}${path}` };
}

/** Where the sandbox is checked, below the user's state: what a killed check leaves there the next one removes. */
export function checkFolder(state: string): string {
  return join(state, 'check');
}

/** A sandbox that was checked, or the refusal. */
export async function soundSandbox(options: {
  readonly redactor: Redactor;
  readonly root: string;
  readonly state: string;
  readonly provide: SandboxProfile['provide'];
}): Promise<Result<Sandbox, Refusal>> {
  const { redactor, root, state, provide } = options;
  const places = new Map(provide.map(({ source }) => [source, join(root, source.slice(CHECKOUT.length))] as const));
  const absent = [...places].find(([, place]) => !existsSync(place));
  if (absent !== undefined)
    return refuse(
      'config.invalid',
      `sandbox.provide names "${absent[0].slice(CHECKOUT.length)}", which is not in this checkout; install it or take it out`,
    );
  const sandbox = createSandbox({ redactor, host: { provide: places }, scratch: checkFolder(state) });
  const report = await sandbox.check();
  if (report.sound) return ok(sandbox);
  return refuse('sandbox.unavailable', `commands cannot be confined on this machine: ${report.problem ?? 'a canary was not blocked'}`);
}

/** What the hands of a run are built from. */
export interface HandsOptions {
  readonly context: Pick<Surroundings, 'clock' | 'randomness'>;
  readonly ledger: OpenLedger;
  readonly repository: RepositoryPlace;
  readonly run: TrajectoryId;
  /** Full id of the base commit. */
  readonly base: string;
  readonly sandbox: Sandbox;
  readonly redactor: Redactor;
  /** The install's key: child writs are signed with it. */
  readonly runtime: FileKey;
  readonly model: ModelAdapter | null;
  readonly approver: Approver | null;
  observe(stored: Stored): void;
}

/** Folder of one run, below the ledger's state folder; reachable by the sandbox's id. */
export function runFolder(ledger: OpenLedger, run: TrajectoryId): string {
  return join(ledger.stateFolder, 'runs', run.slice('run/'.length));
}

/** Opens the workspace and puts the hands together. */
export async function openHands(options: HandsOptions): Promise<Result<{ readonly hands: Hands; readonly base: BaseTree }, Refusal>> {
  const made = await makeHands(options);
  return made.ok ? made : err(refusalFor(made.error, 'workspace.failed'));
}

async function makeHands(options: HandsOptions): Promise<Result<{ readonly hands: Hands; readonly base: BaseTree }, WorkspaceFailure>> {
  const { context, ledger, repository, redactor, sandbox } = options;
  const directory = runFolder(ledger, options.run);
  mkdirSync(join(ledger.stateFolder, 'runs'), { recursive: true, mode: 0o711 });
  const opened = await openWorkspace({ repository, base: options.base, directory, identity: sandboxIdentity(), redactor });
  if (!opened.ok) return opened;
  const { workspace, base } = opened.value;
  const hands: Hands = {
    ledger: ledger.store,
    clock: context.clock,
    randomness: context.randomness,
    model: options.model,
    workspace,
    host: createActionHost({ workspace, sandbox, redactor }),
    approver: options.approver,
    redact: (bytes) => redactor.redactBytes(bytes),
    observe: (stored) => options.observe(stored),
    sleep,
    ...(ledger.snapshots === null ? {} : { snapshots: ledger.snapshots }),
    lease: { acquire: (run) => leaseRun(ledger.place, run, join(ledger.stateFolder, 'runs')) },
    delegating: delegatingFor(options),
  };
  return ok({ hands, base });
}

/** Child runs work as their parents do, in trees of their own; the install's key signs their writs. */
function delegatingFor(options: HandsOptions): Delegating {
  const { ledger, repository, runtime } = options;
  return {
    sign: (writ) => issueWrit({ writ, seed: runtime.seed }),
    hands: async ({ run, parent, base }) => {
      const place = await forkPoint({ directory: runFolder(ledger, parent), objectFormat: repository.objectFormat, order: base });
      const made = place.ok ? await makeHands({ ...options, repository: place.value, run, base: base.commit }) : place;
      return made.ok ? ok(made.value.hands) : made;
    },
  };
}

/** Resolves after the time or at a stop, whichever is first. */
export async function sleep(ms: number, stop: StopSignal): Promise<void> {
  if (stop.stopped) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, ms);
    const off = stop.onStop(done);
    function done(): void {
      clearTimeout(timer);
      off();
      resolve();
    }
  });
}
