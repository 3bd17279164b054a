/**
 * `openexec golden add RUN`: a closed run that the present kernel judges as it is recorded, as a bundle with nothing of other runs in it, and beside it
 * what every later kernel must make of it. Must never write over anything, nor leave half a record.
 */
import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BuiltBundle, expectedOf, replayRun } from '@openexec/audit';
import { err, ok, type Result, type TrajectoryId } from '@openexec/canon';
import type { GoldenRun, RunOpened } from '@openexec/protocol';
import { exportBundle } from '../bundle/out.ts';
import type { CommandContext, CommandResult, OpenLedger } from '../context.ts';
import { EXIT, type Refusal, refuse } from '../exit.ts';
import { shortRun } from '../findRun.ts';
import { keysFolder, loadSigners } from '../keyring.ts';
import { storeRefusal } from '../openLedger.ts';
import { safeLine } from '../output.ts';
import { withLedger } from '../read/guard.ts';
import { logKeys } from '../read/proofs.ts';
import { readOpening } from '../run/drive.ts';
import { BUNDLE, goldenFolder, isGoldenName, RECORD } from './files.ts';

/** Options of the command. */
export interface AddOptions {
  readonly name?: string;
  readonly dir?: string;
  readonly json?: boolean;
  readonly ledger?: string;
}

/** Adds one. */
export async function addGolden(context: CommandContext, wanted: string, options: AddOptions): Promise<CommandResult> {
  if (options.name !== undefined && !isGoldenName(options.name))
    return refuse(
      'usage.invalid',
      `"${safeLine(options.name, 80)}" is no name of a golden run: lower-case letters, digits and dashes, at most 64`,
    );
  const folder = await goldenFolder(context, options.dir);
  if (!folder.ok) return folder;
  return withLedger(context, { ledger: options.ledger, access: 'write' }, async (ledger) => {
    const run = await context.findRun(ledger.store, wanted);
    if (!run.ok) return run;
    const name = options.name ?? shortRun(run.value);
    const golden = await write(context, ledger, { run: run.value, name, folder: join(folder.value, name) });
    if (!golden.ok) return golden;
    const bytes = statSync(join(folder.value, name, BUNDLE)).size + statSync(join(folder.value, name, RECORD)).size;
    if (options.json === true) context.output.json('golden-add', { v: 1, folder: join(folder.value, name), bytes, golden: golden.value });
    else for (const line of linesOf(golden.value, join(folder.value, name), bytes)) context.output.result(line);
    return ok(EXIT.ok);
  });
}

interface Wanted {
  readonly run: TrajectoryId;
  readonly name: string;
  readonly folder: string;
}

async function write(context: CommandContext, ledger: OpenLedger, { run, name, folder }: Wanted): Promise<Result<GoldenRun, Refusal>> {
  const replayed = await replayRun(ledger.store, run);
  if (replayed === null) return refuse('run.unknown', `the ledger has no ${run}`);
  if (replayed.verdict === 'diverges')
    return refuse('replay.diverged', `${run} is not what this kernel makes of it; openexec replay says where`);
  if (replayed.verdict === 'notDerivable' || !replayed.closed)
    return refuse(
      'golden.invalid',
      `${run} is ${replayed.closed ? 'not derivable to its end' : 'not closed'}; a golden run is a whole one`,
    );
  const opening = await readOpening(ledger, run);
  if (!opening.ok) return opening;
  const made = makeFolder(folder);
  if (!made.ok) return made;
  const built = await bundle(ledger, run, join(folder, BUNDLE));
  if (!built.ok) {
    rmSync(folder, { recursive: true, force: true });
    return built;
  }
  const golden = recordOf({ context, name, run, opened: opening.value.opened, built: built.value, expected: expectedOf(replayed) });
  writeFileSync(join(folder, RECORD), `${JSON.stringify(golden, null, 2)}\n`, { flag: 'wx' });
  return ok(golden);
}

function makeFolder(folder: string): Result<void, Refusal> {
  try {
    mkdirSync(join(folder, '..'), { recursive: true });
    mkdirSync(folder);
    return ok(undefined);
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    if (code === 'EEXIST')
      return refuse('file.exists', `there is a golden run "${safeLine(folder)}" already; a golden run is never written over`);
    if (typeof code === 'string') return refuse('file.unwritable', `"${safeLine(folder)}" cannot be made (${code})`);
    throw error;
  }
}

async function bundle(ledger: OpenLedger, run: TrajectoryId, path: string): Promise<Result<BuiltBundle, Refusal>> {
  const checkpoint = await ledger.store.checkpoint();
  if (!checkpoint.ok) return err(storeRefusal(checkpoint.error));
  const vkeys = await logKeys(ledger.store);
  if (!vkeys.ok) return vkeys;
  const signers = loadSigners(keysFolder(ledger.stateFolder));
  if (!signers.ok) return signers;
  const made = await exportBundle(
    ledger.store,
    {
      scope: { is: 'runs', runs: [run] },
      checkpoint: checkpoint.value,
      vkeys: vkeys.value,
      since: [],
      withhold: { payload: () => false, blob: () => false },
      governed: false,
      signer: signers.value.logSigner,
      stamp: null,
      reports: null,
      more: [],
    },
    { path, fingerprint: ledger.fingerprint },
  );
  return made.ok ? ok(made.value.built) : made;
}

function recordOf(of: {
  readonly context: CommandContext;
  readonly name: string;
  readonly run: TrajectoryId;
  readonly opened: RunOpened;
  readonly built: BuiltBundle;
  readonly expected: GoldenRun['expected'];
}): GoldenRun {
  const { manifest, ledger, size, root } = of.built.statement;
  return {
    v: 1,
    name: of.name,
    run: of.run,
    madeBy: of.context.version,
    kernel: of.opened.kernel,
    bundle: { manifest, ledger, size: `${size}`, root },
    expected: of.expected,
  };
}

function linesOf({ name, run, expected }: GoldenRun, folder: string, bytes: number): string[] {
  return [
    `golden     ${name}: ${run}, ${expected.outcome}, ${expected.judgements} judgements${expected.tree === null ? '' : `, tree ${expected.tree}`}`,
    `folder     ${safeLine(folder)}, ${bytes} bytes`,
    `  openexec golden run ${name} --dir ${safeLine(join(folder, '..'))}`,
  ];
}
