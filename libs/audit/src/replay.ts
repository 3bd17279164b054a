/**
 * Exact replay of one run: its recorded facts through the kernel, no model, no effect, ending at the git tree, the git commit and the world root
 * that follow from them (PROTOCOL §10).
 */
import { emptyLaw } from '@openexec/authority';
import { type TrajectoryId } from '@openexec/canon';
import { committedTree, type RunState, worldRoot } from '@openexec/kernel';
import type { Stored } from '@openexec/ledger';
import { BlobReader } from './event.ts';
import { nextLaw } from './law.ts';
import type { AuditSource, Divergence, ReplayReport } from './report.ts';
import { RunAudit } from './runAudit.ts';

const NOTHING = { tokens: 0, usdMicros: 0, calls: 0 };

/** Replays one run, as far as it is recorded; null when the ledger has no such run. */
export async function replayRun(source: AuditSource, run: TrajectoryId): Promise<ReplayReport | null> {
  const reader = new BlobReader(source);
  const audit = new RunAudit(run, reader);
  let law = emptyLaw();
  let last: Stored | null = null;
  for await (const stored of source.all(0n)) {
    const { trajectory } = stored.entry;
    if (trajectory === 'law') ({ law } = await nextLaw(law, stored, reader));
    if (trajectory !== run) continue;
    await audit.take(stored, law);
    last = stored;
    if (audit.closed) break;
  }
  return last === null ? null : report(audit, last);
}

function report(audit: RunAudit, last: Stored): ReplayReport {
  const base = audit.finish();
  if (base.from !== undefined) return { ...base, outcome: 'open', tree: null, commit: null, ref: null, worldRoot: null, spend: NOTHING };
  const { state } = audit;
  const tree = treeOf(state);
  const wrong = state.landed !== null && state.landed.tree !== tree ? [landedElsewhere(state, last, tree)] : [];
  return {
    ...base,
    verdict: wrong.length > 0 ? 'diverges' : base.verdict,
    divergences: [...base.divergences, ...wrong],
    outcome: state.closed?.outcome ?? 'open',
    tree,
    commit: state.landed?.commit ?? null,
    ref: state.landed?.ref ?? null,
    worldRoot: worldRoot(state.world),
    spend: state.settled,
  };
}

/** The committed tree; null where the run has no law, or committed files of which git makes no tree. */
function treeOf(state: RunState): string | null {
  try {
    return state.law === null ? null : committedTree(state);
  } catch {
    return null; // Thrown for impossible paths and ids only; what was committed may be anything.
  }
}

/** A landing names the tree of the moment; nothing is committed after it that would change the files (PROTOCOL §10). */
function landedElsewhere(state: RunState, last: Stored, tree: string | null): Divergence {
  return {
    index: last.index,
    seq: last.entry.seq,
    kind: { expected: null, recorded: last.entry.kind },
    what: 'result',
    about: 'world',
    expected: tree,
    recorded: state.landed?.tree ?? null,
    drift: [],
  };
}
