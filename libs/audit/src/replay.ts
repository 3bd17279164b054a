/**
 * Exact replay of one run: its recorded facts through the kernel, no model, no effect, ending at the git tree, the git commit and the world root
 * that follow from them (PROTOCOL §10).
 */
import { emptyLaw } from '@openexec/authority';
import { type TrajectoryId } from '@openexec/canon';
import { committedTree, type RunState, worldRoot } from '@openexec/kernel';
import type { Stored } from '@openexec/ledger';
import { BlobReader, bodyOf } from './event.ts';
import { nextLaw } from './law.ts';
import { RecordedTree } from './recordedTree.ts';
import type { AuditSource, Divergence, ReplayReport } from './report.ts';
import { type JudgingKernel, RunAudit } from './runAudit.ts';

const NOTHING = { tokens: 0, usdMicros: 0, calls: 0 };

/** Replays one run, as far as it is recorded; null when the source has no such run. `kernel` is the present one unless a candidate is given. */
export async function replayRun(source: AuditSource, run: TrajectoryId, kernel?: JudgingKernel): Promise<ReplayReport | null> {
  const reader = new BlobReader(source);
  const audit = new RunAudit(run, reader, kernel);
  const recorded = new RecordedTree(reader);
  let law = emptyLaw();
  let last: Stored | null = null;
  for await (const stored of source.all(0n)) {
    const { trajectory } = stored.entry;
    if (trajectory === 'law') ({ law } = await nextLaw(law, stored, reader));
    if (trajectory !== run) continue;
    await audit.take(stored, law);
    const body = bodyOf(stored);
    if (body.ok) await recorded.take(stored, body.value);
    last = stored;
    if (audit.closed) break;
  }
  return last === null ? null : report(audit, last, recorded.tree);
}

function report(audit: RunAudit, last: Stored, recordedTree: string | null): ReplayReport {
  const base = audit.finish();
  const nothing = { outcome: 'open', tree: null, recordedTree: null, commit: null, ref: null, worldRoot: null, spend: NOTHING } as const;
  if (base.from !== undefined) return { ...base, ...nothing };
  const { state } = audit;
  const tree = treeOf(state);
  const wrong = [
    ...(state.landed !== null && state.landed.tree !== tree ? [elsewhere(last, tree, state.landed.tree)] : []),
    ...(state.law !== null && recordedTree !== tree ? [elsewhere(last, tree, recordedTree)] : []),
  ];
  return {
    ...base,
    verdict: wrong.length > 0 ? 'diverges' : base.verdict,
    divergences: [...base.divergences, ...wrong],
    outcome: state.closed?.outcome ?? 'open',
    tree,
    recordedTree: state.landed?.tree ?? recordedTree,
    commit: state.landed?.commit ?? null,
    ref: state.landed?.ref ?? null,
    worldRoot: worldRoot(state.world),
    spend: state.settled,
  };
}

/** The committed tree; null where the run has no law, or committed files of which git makes no tree. */
export function treeOf(state: RunState): string | null {
  try {
    return state.law === null ? null : committedTree(state);
  } catch {
    return null; // Thrown for impossible paths and ids only; what was committed may be anything.
  }
}

/** What is recorded comes to another tree: a landing names the tree of its moment, and nothing is committed after it that would change the files. */
export function elsewhere(last: Stored, tree: string | null, recorded: string | null): Divergence {
  return {
    index: last.index,
    seq: last.entry.seq,
    kind: { expected: null, recorded: last.entry.kind },
    what: 'result',
    about: 'world',
    expected: tree,
    recorded,
    drift: [],
  };
}
