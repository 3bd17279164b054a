/** Shared by this package's tests: folders that vanish, the production verifier as a check, children that run TypeScript. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Clock, instantFromMs, type Randomness } from '@openexec/canon';
import type { LedgerStore } from '@openexec/ledger';
import { fixtures } from '@openexec/ledger/contract';
import { openSqliteLedger, type SqliteLedgerOptions } from '@openexec/stores';
import { verifyLedger } from '@openexec/verify';
import { build } from 'esbuild';

export const clock: Clock = { now: () => instantFromMs(Date.now()) };
export const randomness: Randomness = { bytes: (count) => new Uint8Array(randomBytes(count)) };
export const keys = { signer: fixtures.runtimeSigner(), logSigner: fixtures.logSigner() };

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const folders: string[] = [];

/** A fresh folder, removed by {@link removeFolders}. */
export function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'openexec-stores-'));
  folders.push(made);
  return made;
}

export function removeFolders(): void {
  for (const made of folders.splice(0)) rmSync(made, { recursive: true, force: true });
}

/** Opens what must open. */
export async function opened(path: string, more: Partial<SqliteLedgerOptions> = {}): Promise<LedgerStore> {
  const store = await openSqliteLedger({ path, clock, randomness, missing: 'create', ...keys, ...more });
  if (!store.ok) throw new Error(`${store.error.code}: ${store.error.message}`);
  return store.value;
}

/** Why something was refused to open. */
export async function refusalOf(path: string, more: Partial<SqliteLedgerOptions> = {}): Promise<string> {
  const store = await openSqliteLedger({ path, clock, randomness, ...keys, ...more });
  if (!store.ok) return store.error.code;
  await store.value.close();
  return 'opened';
}

/** Verifies the whole ledger and throws when anything is wrong. */
export async function check(store: LedgerStore): Promise<void> {
  const { size } = await store.head();
  if (size === 0n) return;
  const checkpoints = [];
  for await (const checkpoint of store.checkpoints()) checkpoints.push(checkpoint);
  const head = await store.head();
  const remembered = head.fingerprint === null ? null : { fingerprint: head.fingerprint, size: head.size, root: head.root };
  const report = await verifyLedger({ rows: store.rows(), checkpoints, head: remembered }, { trust: null });
  if (!report.sound) throw new Error(`the ledger does not verify: ${JSON.stringify(report.findings[0])}`);
  if (BigInt(report.entries) < size) throw new Error(`verified ${report.entries} of ${size} entries`);
}

/** A ledger that has been founded and trusts the runtime key; answers its fingerprint. */
export async function found(store: LedgerStore): Promise<string> {
  const founded = await store.append(fixtures.foundingBatch());
  const fingerprint = founded.ok ? founded.value.stored[0]?.leaf : undefined;
  if (fingerprint === undefined) throw new Error('the founding was refused');
  const trusted = await store.append(fixtures.batchTo(fixtures.LAW, 0, [fixtures.trustDraft(fingerprint)]));
  if (!trusted.ok) throw new Error(`the trust was refused: ${trusted.error.code}`);
  return fingerprint;
}

/** A run that has been opened. */
export async function openRun(store: LedgerStore, fingerprint: string, name: string): Promise<ReturnType<typeof fixtures.runNamed>> {
  const run = fixtures.runNamed(name);
  const result = await store.append(fixtures.batchTo(run, 'none', [fixtures.fact('run.opened', fixtures.openedBody(fingerprint, name))]));
  if (!result.ok) throw new Error(`the run was refused: ${result.error.code}`);
  return run;
}

/** Bundles a child of these tests once; add-ons and other packages come from node_modules, so the result lies below the repository. */
export async function bundled(name: string): Promise<string> {
  const outfile = join(root, '.cache/stores-children', `${name}-${process.pid}.mjs`);
  mkdirSync(dirname(outfile), { recursive: true });
  await build({
    entryPoints: [join(root, 'libs/stores/test', `${name}.ts`)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    conditions: ['@openexec/source', 'node'],
    external: ['better-sqlite3', '@noble/*', 'zod'],
    logLevel: 'error',
  });
  return outfile;
}

/** What became of a child. */
export interface Outcome {
  readonly lines: readonly string[];
  readonly errors: string;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Runs a command to its end; with `killAfterMs` it is killed that long after its first line. */
export function run(command: string, args: readonly string[], options: { readonly killAfterMs?: number } = {}): Promise<Outcome> {
  return new Promise((settle, fail) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    let errors = '';
    let isArmed = false;
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
      if (options.killAfterMs === undefined || isArmed || !text.includes('\n')) return;
      isArmed = true;
      setTimeout(() => child.kill('SIGKILL'), options.killAfterMs);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString('utf8');
    });
    child.on('error', fail);
    // What was written before a kill is still in the pipe: wait for its end.
    child.on('close', (code, signal) => settle({ lines: text.slice(0, text.lastIndexOf('\n') + 1).split('\n').slice(0, -1), errors, code, signal }));
  });
}
