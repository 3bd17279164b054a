/**
 * Actions in memory, with a count of every effect that leaves the workspace. Must never perform what is not durable in the ledger: each call looks
 * for its own `execution.started` and reports what it does not find. Ports: ActionHost.
 */
import { canonicalBytes, err, type Json, ok, type Result, type TrajectoryId, utf8Encode } from '@openexec/canon';
import {
  type ActionHost,
  type Execution,
  type ExecutionFailure,
  type ExecutionOrder,
  parsePatch,
  type TreeChanges,
  type Workspace,
} from '@openexec/catalogue';
import type { SandboxFault } from './faults.ts';
import type { Moment } from './moment.ts';

/** A process that ended: thrown through everything, caught only by the harness. */
export class Crash extends Error {
  readonly code = 'sim.crash';
}

/** What the host needs. */
export interface SimHostOptions {
  readonly workspace: Workspace;
  readonly run: TrajectoryId;
  /** Name of the driver's handle on the ledger. */
  readonly by: string;
  /** Told of what is about to be done, and of what really came of it. */
  tell(moment: Moment): Promise<void>;
  /** Whether the process ends here, half-way through the effect. */
  dies(): boolean;
  /** What becomes of this execution besides. */
  fault(): SandboxFault | null;
  pass(ms: number): void;
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
      await options.tell({ what: 'performs', by: options.by, run: options.run, order });
      const fault = options.fault();
      const done = fault === null ? await perform(order, options) : await disturbed(order, fault, options);
      if (options.dies()) throw new Crash(`died after ${order.action}`);
      return done;
    },
  };
}

/** What truly came of an execution, as nobody but the simulation can know it. */
async function settle(order: ExecutionOrder, { tell }: SimHostOptions, truth: 'passed' | 'red' | 'came' | 'nothing'): Promise<void> {
  await tell({ what: 'performed', execution: order.execution, truth });
}

/** An execution that its sandbox does not let come to an end, or that does more than it says. */
async function disturbed(order: ExecutionOrder, fault: SandboxFault, options: SimHostOptions): Promise<Done> {
  const { workspace } = options;
  if (fault === 'sandbox.unavailable') {
    await settle(order, options, 'nothing');
    return failed('sandbox.unavailable', 'the sandbox does not start');
  }
  if (fault === 'sandbox.overrun') options.pass(order.deadlineMs);
  if (fault === 'sandbox.killed' || fault === 'sandbox.overrun') {
    await workspace.edit([{ path: 'src/half', content: Uint8Array.of(7), mode: '100644' }]);
    await settle(order, options, 'nothing');
    const ended = fault === 'sandbox.killed' ? 'sandbox.broken' : 'action.deadline';
    return err({ code: ended, message: `the command ended by ${fault}`, effectUnknown: fault === 'sandbox.killed', output: null });
  }
  const honest = await perform(order, options);
  if (!honest.ok) return honest;
  if (fault === 'sandbox.network') return ok({ ...honest.value, network: { attempts: 2, ipv4: 2, ipv6: 0 } });
  await workspace.edit([{ path: 'Makefile', content: utf8Encode('all:\n'), mode: '100644' }]);
  if (fault === 'sandbox.undeclared') return ok({ ...honest.value, undeclared: ['Makefile'] });
  // A host that reports as declared what was not: the kernel has to notice by itself.
  const { changes, contents } = await changed(workspace);
  return ok({ ...honest.value, changes, contents });
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
  const done = await attempt(order, options);
  const ran = done.ok && order.action === 'run_tests' ? (done.value.status === 'ok' ? 'passed' : 'red') : 'came';
  await settle(order, options, done.ok ? ran : 'nothing');
  return done;
}

async function attempt(order: ExecutionOrder, options: SimHostOptions): Promise<Done> {
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
      return order.command === null ? failed('command.missing', 'no test command is configured') : tests(options);
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
      return done('somebody was told');
    default:
      return failed('action.unknown', `the simulation has no ${order.action}`);
  }
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
  return done('landed', { landed: { ref: landed.value.ref, commit: landed.value.commit, tree: tree.value } });
}
