/**
 * The figures and the safety report of one run as documents of their own, `metrics.json` and `safety.json`: what it cost, wrote, tried on the network,
 * was refused, was allowed by people, and did without declaring it. Made from a run that was read, and from nothing else (schemas/timeline.md).
 */
import type { TrajectoryId } from '@openexec/canon';
import type { RunMetrics, RunSafety } from '@openexec/protocol';
import { BlobReader } from '../event.ts';
import { MAX_LINES } from '../report/lists.ts';
import { RunReader } from '../report/reader.ts';
import type { RunSource } from '../worldAt.ts';

/** Both documents of one run; one that has no entry gives empty ones. */
export async function figuresOfRun(
  source: RunSource,
  run: TrajectoryId,
): Promise<{ readonly metrics: RunMetrics; readonly safety: RunSafety }> {
  const reader = wholeReader(run, source);
  for await (const stored of source.read(run)) await reader.take(stored);
  return { metrics: metricsOf(reader), safety: safetyOf(reader) };
}

/** A reader of a run out of a ledger itself, where nothing is withheld that is not gone. */
export function wholeReader(run: TrajectoryId, source: Pick<RunSource, 'blob'>): RunReader {
  return new RunReader(run, source, { isWithheld: () => false, fold: new BlobReader(source) });
}

/** `metrics.json` of a run that was read. */
export function metricsOf(reader: RunReader): RunMetrics {
  const { run, outcome, openedAt, lastAt, entries, unreadable, omitted } = reader.told();
  const head = { run, outcome, openedAt, lastAt, entries };
  const lost = unreadable.length + omitted.other;
  return { v: 1, type: 'openexec.metrics', ...head, ...reader.figures.figures(), unreadable: lost };
}

/** `safety.json` of a run that was read. */
export function safetyOf(reader: RunReader): RunSafety {
  const { run, outcome, openedAt, lastAt, entries, result, counts, undeclared, approvals, omitted } = reader.told();
  const { violations, unreadable, safety } = reader;
  const changed = reader.files.list();
  const files = changed?.slice(0, MAX_LINES).map(({ path, change, after }) => ({ path, change, bytes: after?.bytes ?? null })) ?? null;
  return {
    v: 1,
    type: 'openexec.safety',
    run,
    outcome,
    openedAt,
    lastAt,
    entries,
    selfTest: reader.opened?.selfTest ?? null,
    writes: { commits: counts.commits, files, lost: reader.files.lost },
    landed: result,
    external: safety.external.lines.map(({ seq, action, effect, end }) => ({ seq, action, effect: effect ?? 'external', end })),
    providers: [...safety.providers].sort(([a], [b]) => (a < b ? -1 : 1)).map(([provider, asked]) => ({ provider, asked })),
    network: safety.network(),
    undeclared,
    violations: violations.lines,
    refusals: safety.refusals.lines,
    approvals,
    unreadable: unreadable.lines,
    omitted: {
      files: Math.max(0, (changed?.length ?? 0) - MAX_LINES),
      external: safety.external.omitted,
      undeclared: omitted.undeclared,
      violations: violations.omitted,
      refusals: safety.refusals.omitted,
      approvals: omitted.approvals,
      unreadable: unreadable.omitted,
    },
  };
}
