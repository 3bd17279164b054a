/**
 * Open approval requests with exactly what they are about: the patch, the command, the files of a result, and the rule that asked. Must never
 * shorten what an approver signs for (GOALS E04).
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bytes, canonicalText, type Digest, err, type Json, ok, type Result, type TrajectoryId } from '@openexec/canon';
import { changedFiles, type OpenRequest, type RunState } from '@openexec/kernel';
import type { LedgerStore } from '@openexec/ledger';
import type { ApprovalRequested } from '@openexec/protocol';
import { loadRun, type Snapshots } from '@openexec/runtime';
import { type Refusal, refuse } from '../exit.ts';
import { storeRefusal } from '../openLedger.ts';
import { readEvent } from '../read/events.ts';
import { changeText } from './changeText.ts';

/** One open request, with the state of its run. */
export interface OpenApproval {
  readonly run: TrajectoryId;
  readonly state: RunState;
  readonly request: OpenRequest;
  readonly asked: ApprovalRequested;
  /** Arguments of the action, null where a stage's result is asked about. */
  readonly arguments: Json | null;
}

const RUNS = 'run/';
const MAX_DIFF_BYTES = 16 * 1024 * 1024;

/** Every open request of every run that is not closed, in the order of the runs' names. */
export async function openApprovals(
  store: LedgerStore,
  snapshots: Snapshots | null = null,
): Promise<Result<readonly OpenApproval[], Refusal>> {
  const found: OpenApproval[] = [];
  for await (const { trajectory, closed } of store.trajectories(RUNS)) {
    if (closed) continue;
    const state = await loadRun(store, trajectory, snapshots);
    if (!state.ok) return err(storeRefusal(state.error));
    const { request } = state.value;
    if (request === null) continue;
    const asked = await askedFor(store, trajectory, request.id);
    if (asked === null) continue;
    const intent = state.value.stage?.intents.find((one) => one.request === request.id);
    found.push({ run: trajectory, state: state.value, request, asked, arguments: intent?.arguments ?? null });
  }
  return ok(found);
}

/** The open request whose id begins with `wanted` (with or without `sha256:`). */
export async function findApproval(store: LedgerStore, wanted: string): Promise<Result<OpenApproval, Refusal>> {
  const prefix = wanted.replace(/^sha256:/, '');
  if (!/^[0-9a-f]{4,64}$/.test(prefix))
    return refuse('usage.invalid', `"${wanted.slice(0, 80)}" is no id of a request: give at least 4 hex digits`);
  const open = await openApprovals(store);
  if (!open.ok) return open;
  const [first, second] = open.value.filter(({ request }) => request.id.slice('sha256:'.length).startsWith(prefix));
  if (first === undefined) return refuse('approval.unknown', `no open request begins with ${prefix}`);
  return second === undefined ? ok(first) : refuse('approval.ambiguous', `several open requests begin with ${prefix}`);
}

async function askedFor(store: LedgerStore, run: TrajectoryId, id: Digest): Promise<ApprovalRequested | null> {
  let found: ApprovalRequested | null = null;
  for await (const stored of store.read(run)) {
    const { event } = readEvent(stored);
    if (event?.kind === 'approval.requested' && event.body.request === id) found = event.body;
  }
  return found;
}

/** Who may decide, until when, how far it is, and what a yes allows. */
export function termsText({ terms, votes, until }: OpenRequest): string {
  const opener = terms.openerMayApprove ? 'whoever opened the run may approve' : 'not by whoever opened the run';
  const held = terms.minAssurance === 'file' ? '' : `, key held by ${terms.minAssurance} or better`;
  return [
    `needs     ${terms.quorum} of ${terms.roles.join(' or ')}, ${opener}${held}, until ${until}; ${votes.length} of ${terms.quorum} voted`,
    'allows    exactly this, once, under this policy and writ; nothing else',
  ].join('\n');
}

/** What exactly is asked, as text: a change of files line by line, a result as the diff of its files, anything else as canonical JSON. */
export async function contentOf(
  approval: OpenApproval,
  options: { readonly store: LedgerStore; readonly root: string | null },
): Promise<string> {
  const { arguments: args, asked } = approval;
  const change = args !== null && asked.action === 'apply_patch' ? changeText(args) : null;
  if (change !== null) return change;
  if (args !== null && asked.action !== 'commit_changes') return `${commandOf(approval)}${canonicalText(args)}`;
  return resultDiff(approval, options);
}

/** The words that the action runs, as the run's own catalogue fixes them; no shell is between. */
function commandOf({ state, asked }: OpenApproval): string {
  const name = state.law?.actions.get(asked.action)?.command ?? null;
  const command = name === null ? undefined : state.law?.catalogue.commands[name];
  return command === undefined || command === 'none' ? '' : `runs ${JSON.stringify(command.argv)}\n`;
}

async function resultDiff(approval: OpenApproval, options: { readonly store: LedgerStore; readonly root: string | null }): Promise<string> {
  const { state } = approval;
  const parts: string[] = [];
  for (const [path, after] of changedFiles(state.world)) {
    const oid = state.law?.base.get(path)?.oid ?? null;
    const before = oid === null ? new Uint8Array() : baseBlob(options.root, oid);
    const read = after === null ? null : await options.store.blob(after.blob);
    const now = read === null ? new Uint8Array() : read.ok ? read.value : null;
    if (before === null || now === null)
      parts.push(
        `${after === null ? 'removes' : 'changes'} ${path}: ${oid ?? 'new'} → ${after?.blob ?? 'gone'} (its bytes are not here)\n`,
      );
    else
      parts.push(
        `${after === null ? 'removes' : oid === null ? `adds (${after.mode})` : `changes (${after.mode})`} ${path}\n${diffOf(before, now)}`,
      );
  }
  return parts.length === 0 ? 'no file is changed\n' : parts.join('');
}

function baseBlob(root: string | null, oid: string): Bytes | null {
  if (root === null) return null;
  try {
    return execFileSync('git', ['--no-optional-locks', '-C', root, 'cat-file', 'blob', oid], {
      maxBuffer: MAX_DIFF_BYTES,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  } catch {
    return null;
  }
}

/** The difference of two files as git shows it, without the user's drivers or pager. */
function diffOf(before: Bytes, after: Bytes): string {
  const folder = mkdtempSync(join(tmpdir(), 'openexec-diff-'));
  try {
    writeFileSync(join(folder, 'before'), before);
    writeFileSync(join(folder, 'after'), after);
    const args = ['-c', 'core.pager=cat', 'diff', '--no-index', '--no-ext-diff', '--no-textconv', '--no-color', '--', 'before', 'after'];
    try {
      return execFileSync('git', args, { cwd: folder, maxBuffer: MAX_DIFF_BYTES, stdio: ['ignore', 'pipe', 'ignore'] }).toString('utf8');
    } catch (error) {
      // Exit 1 means that they differ.
      const { status, stdout } = error as { readonly status?: number; readonly stdout?: Buffer };
      if (status !== 1 || stdout === undefined) throw error;
      return stdout.toString('utf8').split('\n').slice(2).join('\n');
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
