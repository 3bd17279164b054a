/**
 * Rewinding a run: takes the lease, appends `run.rewound` with its judgements, and puts the tree where the committed state now is. A process that
 * dies in between leaves a run whose next driver does the same (PROTOCOL §§4.3, 4.4).
 */
import { ok, type Result, type TrajectoryId } from '@openexec/canon';
import { committedListing, committedTree, rewindTargets, type RewindTarget, type RunState } from '@openexec/kernel';
import type { RunRewound } from '@openexec/protocol';
import { rebuildTree, workspaceRefusal } from './execute.ts';
import { type OwnCode, reading, refuse, type RuntimeFailure } from './failure.ts';
import type { Hands } from './hands.ts';
import { newDriver } from './open.ts';
import { loadLaw } from './read.ts';
import { Session } from './session.ts';
import { foldRun } from './snapshots.ts';

/** What to go back to. Without a visit: the newest entry of the stage that is left in the run as it stands. */
export interface Rewind {
  readonly run: TrajectoryId;
  readonly hands: Hands;
  readonly to: { readonly stage: string; readonly visit: number | null };
}
/** What came of it. The run is parked at the entry and goes on by `driveRun` with `resume`. */
export interface Rewound {
  readonly state: RunState;
  readonly target: RewindTarget;
  /** Files that are another now than before the rewind, sorted by path. */
  readonly files: readonly { readonly path: string; readonly how: 'removed' | 'restored' | 'changed back' }[];
  /** Git tree of the workspace, as the workspace itself computed it. */
  readonly tree: string;
}

/** Goes back to a stage entry. Refusals are the kernel's (`rewind.*`), made before anything is appended; spend and visit counts stay. */
export async function rewindRun({ run, hands, to }: Rewind): Promise<Result<Rewound, RuntimeFailure>> {
  const there = await reading(async () => ok(await hands.ledger.trajectory(run)));
  if (!there.ok) return there;
  if (there.value === null) return refuse('run.unknown', `the ledger has no ${run}; open it, or list the runs it has`);
  const lease = await hands.lease?.acquire(run);
  if (lease === null) return refuse('run.busy', `${run} is driven by another process; wait for it, or stop it`);
  try {
    return await rewind({ run, hands, to });
  } finally {
    await lease?.release();
  }
}

async function rewind({ run, hands, to }: Rewind): Promise<Result<Rewound, RuntimeFailure>> {
  const law = await loadLaw(hands.ledger);
  if (!law.ok) return law;
  const folded = await foldRun(hands.ledger, run, hands.snapshots ?? null);
  if (!folded.ok) return folded;
  const session = new Session({ hands, driver: newDriver(hands.randomness), folded: folded.value, law: law.value });
  const settled = await session.settle();
  if (!settled.ok) return settled;
  const before = session.state;
  const target = targetOf(before, to);
  if (!target.ok) return target;
  const done = await session.rewind({ stage: target.value.stage, visit: target.value.visit });
  if (!done.ok) return done;
  // Somebody's vote or wish came in between and changed what is possible.
  if (!done.value) return refuse('run.busy', `${run} moved on meanwhile; look at it and try again`);
  hands.crashPoint?.('W9.rewound');
  const rebuilt = await rebuildTree(session);
  if (!rebuilt.ok) return rebuilt;
  const tree = await hands.workspace.tree();
  if (!tree.ok) return workspaceRefusal(tree.error);
  const committed = committedTree(session.state);
  if (tree.value !== committed)
    return refuse('workspace.conflict', `the workspace holds tree ${tree.value}, the ledger computed ${committed}: run openexec verify`);
  return ok({ state: session.state, target: target.value, files: filesBetween(before, session.state), tree: tree.value });
}

function targetOf(state: RunState, to: Rewind['to']): Result<RewindTarget, RuntimeFailure> {
  if (state.status === 'closed') return refuse('run.closed', `${state.run} is closed; a closed run is not rewound`);
  const targets = rewindTargets(state);
  const target = targets.find(({ stage, visit }) => stage === to.stage && (to.visit === null || to.visit === visit));
  if (target === undefined) return refuse('rewind.unknown', unknown(to, targets));
  // The kernel gives these codes and no others (libs/kernel/src/rewind.ts).
  return target.problem === null ? ok(target) : refuse(target.problem.code as OwnCode, target.problem.message);
}

function unknown(
  { stage, visit }: Pick<RunRewound, 'stage'> & { readonly visit: number | null },
  targets: readonly RewindTarget[],
): string {
  const known = targets.map((target) => `${target.stage}#${target.visit}`);
  const wanted = visit === null ? stage : `${stage}#${visit}`;
  return `the run as it stands has no entry of stage ${wanted}; it has ${known.length === 0 ? 'none' : known.join(', ')}`;
}

function filesBetween(before: RunState, after: RunState): Rewound['files'] {
  const [old, now] = [before, after].map((state) => new Map(committedListing(state).map((entry) => [entry.path, entry])));
  const files: Rewound['files'][number][] = [];
  for (const [path, entry] of old ?? []) {
    const next = now?.get(path);
    if (next === undefined) files.push({ path, how: 'removed' });
    else if (next.oid !== entry.oid || next.mode !== entry.mode) files.push({ path, how: 'changed back' });
  }
  for (const path of now?.keys() ?? []) if (old?.has(path) === false) files.push({ path, how: 'restored' });
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}
