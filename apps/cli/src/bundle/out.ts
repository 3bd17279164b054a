/**
 * One export: the bundle is built beside its place, checked as a stranger would check it, and only then put there. Must never leave half a bundle, nor
 * one that does not verify (PROTOCOL §11).
 */
import { lstatSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { buildBundle, type BuildProblem, type BuiltBundle, type BundleOrder, folderSink, writeTar } from '@openexec/audit';
import type { Digest, Result } from '@openexec/canon';
import { ok } from '@openexec/canon';
import type { LedgerStore } from '@openexec/ledger';
import { type BundleReport, verifyBundle } from '@openexec/verify';
import { openBundle } from '@openexec/verify/files';
import { type Refusal, refuse, type RefusalCode } from '../exit.ts';
import { safeLine } from '../output.ts';

/** What was exported. */
export interface Exported {
  readonly built: BuiltBundle;
  readonly report: BundleReport;
}

const CODES: { readonly [K in BuildProblem['code']]: RefusalCode } = {
  'bundle.checkpoint': 'verify.failed',
  'bundle.scope': 'usage.invalid',
  'bundle.proof': 'ledger.failed',
  'bundle.blob': 'ledger.corrupt',
  'bundle.ungoverned': 'bundle.ungoverned',
  'bundle.timestamp': 'anchor.failed',
};

/** Builds, checks and places a bundle: a folder, or one tar file where the name ends in `.tar`. `path` is absolute and must not exist. */
export async function exportBundle(
  store: LedgerStore,
  order: BundleOrder,
  to: { readonly path: string; readonly fingerprint: Digest },
): Promise<Result<Exported, Refusal>> {
  const { path } = to;
  return atNewPlace(path, (unfinished) => make(store, order, { ...to, unfinished }));
}

/**
 * Lets `work` fill a folder beside `path`, an absolute path that must not exist; `work` puts it there. What is not put there is removed. Errors of the
 * file system are refusals.
 */
export async function atNewPlace<T>(path: string, work: (unfinished: string) => Promise<Result<T, Refusal>>): Promise<Result<T, Refusal>> {
  if (isThere(path)) return refuse('file.exists', `"${safeLine(path)}" is there already`);
  const unfinished = `${path}.unfinished`;
  if (isThere(unfinished)) return refuse('file.exists', `"${safeLine(unfinished)}" is there: what an interrupted export left; remove it`);
  try {
    mkdirSync(unfinished);
    return await work(unfinished);
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    if (typeof code === 'string' && /^E[A-Z]+$/.test(code))
      return refuse('file.unwritable', `"${safeLine(path)}" cannot be written (${code})`);
    throw error;
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}

async function make(
  store: LedgerStore,
  order: BundleOrder,
  { path, fingerprint, unfinished }: { readonly path: string; readonly fingerprint: Digest; readonly unfinished: string },
): Promise<Result<Exported, Refusal>> {
  const built = await buildBundle(store, order, folderSink(unfinished));
  if (!built.ok) return refuse(CODES[built.error.code], built.error.message);
  const opened = await openBundle(unfinished);
  if (!opened.ok) return refuse('verify.failed', `${opened.error.part}: ${opened.error.message}`);
  const report = await verifyBundle(opened.value.parts, { trust: fingerprint, policy: null, since: null });
  if (!report.sound) return refuse('verify.failed', `the bundle does not verify: ${firstFinding(report)}`);
  if (!path.endsWith('.tar')) renameSync(unfinished, path);
  else {
    const file = `${path}.part`;
    try {
      await writeTar(file, opened.value.parts.values());
      renameSync(file, path);
    } finally {
      rmSync(file, { force: true });
    }
  }
  return ok({ built: built.value, report });
}

/** Also for a link that leads nowhere. */
function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** The first thing that is wrong, for a message. */
export function firstFinding({ findings }: BundleReport): string {
  const [first] = findings;
  if (first === undefined) return 'no signed checkpoint';
  return `${safeLine(first.part)}${first.index === null ? '' : ` at index ${first.index}`}: ${first.code}: ${safeLine(first.message)}`;
}
