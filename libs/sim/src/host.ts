/**
 * Actions in memory, with a count of every effect that leaves the workspace. Must never perform what is not durable in the ledger: each call looks
 * for its own `execution.started` and reports what it does not find. Ports: ActionHost.
 */
import { canonicalBytes, type Digest, err, type Json, ok, type Result, utf8Decode, utf8Encode } from '@openexec/canon';
import {
  type ActionHost,
  type Execution,
  type ExecutionFailure,
  type ExecutionOrder,
  parsePatch,
  type TreeChanges,
  type Workspace,
} from '@openexec/catalogue';
import type { LedgerStore } from '@openexec/ledger';
import type { TrajectoryId } from '@openexec/canon';

/** A process that ended: thrown through everything, caught only by the harness. */
export class Crash extends Error {
  readonly code = 'sim.crash';
}

/** What happened outside, over all drivers of a run. */
export interface Outside {
  /** Times each idempotency key took effect, by action. */
  readonly effects: Map<string, { readonly action: string; times: number }>;
  /** Executions performed without a durable start. */
  readonly unstarted: Digest[];
}
/** What the host needs. */
export interface SimHostOptions {
  readonly workspace: Workspace;
  readonly outside: Outside;
  readonly ledger: LedgerStore;
  readonly run: TrajectoryId;
  /** Whether the process ends here, half-way through the effect. */
  dies(): boolean;
}
type Members = { readonly [key: string]: Json };
type Done = Result<Execution, ExecutionFailure>;

/** A file whose presence makes the tests pass. */
export const FIX = 'src/fixed.txt';
const MAX_READ_BYTES = 1_000_000;

/** The host of one driver. */
export function simHost(options: SimHostOptions): ActionHost {
  return {
    execute: async (order) => {
      if (!(await isStarted(options, order.execution))) options.outside.unstarted.push(order.execution);
      const done = await perform(order, options);
      if (options.dies()) throw new Crash(`died after ${order.action}`);
      return done;
    },
  };
}

async function isStarted({ ledger, run }: SimHostOptions, execution: Digest): Promise<boolean> {
  for await (const { entry, payload } of ledger.read(run)) {
    const text = entry.kind === 'execution.started' && payload !== null ? utf8Decode(payload) : null;
    if (text?.ok === true && text.value.includes(`"execution":"${execution}"`)) return true;
  }
  return false;
}

function members(value: Json): Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Members) : {};
}
const textOf = (value: Json | undefined): string => (typeof value === 'string' ? value : '');
const failed = (code: string, message: string): Done => err({ code, message, effectUnknown: false, output: null });

function done(summary: string, more: Partial<Execution> = {}): Done {
  return ok({
    status: 'ok',
    summary,
    output: utf8Encode(summary),
    outputMediaType: 'text/plain; charset=utf-8',
    exitCode: null,
    durationMs: 3,
    changes: [],
    contents: new Map(),
    scratch: [],
    undeclared: [],
    network: null,
    artifacts: [],
    landed: null,
    ...more,
  });
}

async function perform(order: ExecutionOrder, options: SimHostOptions): Promise<Done> {
  const { workspace } = options;
  const args = members(order.arguments);
  switch (order.action) {
    case 'read_file': {
      const read = await workspace.read(textOf(args['path']), { maxBytes: MAX_READ_BYTES });
      return read.ok ? done('read', { output: read.value }) : failed(read.error.code, read.error.message);
    }
    case 'apply_patch':
      return patch(args, options);
    case 'run_tests':
      return tests(options);
    case 'kv_set':
    case 'kv_get':
      // The world is the kernel's; a host only says what it was given.
      return done(order.action, { output: canonicalBytes(order.arguments), outputMediaType: 'application/json' });
    case 'build_context_pack': {
      const list = await workspace.list('');
      const bytes = utf8Encode(list.ok ? list.value.map(({ path }) => path).join('\n') : '');
      return done('packed', { artifacts: [{ name: 'context_pack', bytes, mediaType: 'text/plain; charset=utf-8' }] });
    }
    case 'commit_changes':
      return land(args, order, options);
    case 'notify':
      count(options, order);
      return done('somebody was told');
    default:
      return failed('action.unknown', `the simulation has no ${order.action}`);
  }
}

function count({ outside }: SimHostOptions, order: ExecutionOrder): void {
  const counted = outside.effects.get(order.idempotencyKey) ?? { action: order.action, times: 0 };
  counted.times++;
  outside.effects.set(order.idempotencyKey, counted);
}

async function changed(workspace: Workspace): Promise<TreeChanges> {
  const found = await workspace.changes();
  return found.ok ? found.value : { changes: [], contents: new Map(), gitEntries: [] };
}

async function patch(args: Members, options: SimHostOptions): Promise<Done> {
  const { workspace } = options;
  if (args['format'] === 'unified') {
    const parsed = parsePatch(textOf(args['patch']));
    const file = parsed.ok ? parsed.value.files[0] : undefined;
    if (file?.kind !== 'delete') return failed('patch.malformed', 'the simulation only removes files by diff');
    await workspace.edit([{ path: file.path, content: null, mode: '100644' }]);
  } else {
    const edited = await workspace.edit([{ path: textOf(args['path']), content: utf8Encode(textOf(args['content'])), mode: '100644' }]);
    if (!edited.ok) return failed(edited.error.code, edited.error.message);
  }
  if (options.dies()) throw new Crash('died with the tree half changed');
  return done('patched', await changed(workspace));
}

async function tests({ workspace, dies }: SimHostOptions): Promise<Done> {
  const passes = (await workspace.read(FIX, { maxBytes: MAX_READ_BYTES })).ok;
  await workspace.edit([{ path: 'coverage.out', content: Uint8Array.of(1), mode: '100644' }]);
  if (dies()) throw new Crash('died under the tests');
  await workspace.restore();
  const report = canonicalBytes({ passed: passes });
  const artifacts = [{ name: 'test_report', bytes: report, mediaType: 'application/json' }];
  return done(passes ? 'all passed' : 'one failed', {
    status: passes ? 'ok' : 'failed',
    exitCode: passes ? 0 : 1,
    scratch: ['coverage.out'],
    artifacts,
  });
}

async function land(args: Members, order: ExecutionOrder, options: SimHostOptions): Promise<Done> {
  const { workspace } = options;
  const tree = await workspace.tree();
  if (!tree.ok || tree.value !== args['tree'])
    return failed('workspace.conflict', `the tree is ${tree.ok ? tree.value : 'unknown'}, the order says ${textOf(args['tree'])}`);
  const who = members(args['author'] ?? null);
  const author = { name: textOf(who['name']), email: textOf(who['email']), seconds: Number(who['seconds']), offset: textOf(who['offset']) };
  const landed = await workspace.land({
    branch: textOf(args['branch']),
    tree: tree.value,
    parent: textOf(args['parent']),
    message: textOf(args['message']),
    author,
  });
  if (!landed.ok) return failed(landed.error.code, landed.error.message);
  count(options, order);
  return done('landed', { landed: { ref: landed.value.ref, commit: landed.value.commit, tree: tree.value } });
}
