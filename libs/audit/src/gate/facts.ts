/**
 * What a verified bundle says of the runs that landed something, as far as a gate asks: read from its entries, never from its reports. Only for a bundle
 * that was found sound. Must never take for known what is withheld. PROTOCOL §11.
 */
import type { Digest, KeyId, TrajectoryId } from '@openexec/canon';
import type { Assurance } from '@openexec/protocol';
import type { StatedRun } from '@openexec/verify';
import { testsOf } from '../report/change.ts';
import { RunReader } from '../report/reader.ts';
import type { AuditSource, DeepReport, RunVerdict } from '../report.ts';

/** A file on one side of a change. */
export interface Side {
  readonly oid: string;
  readonly mode: string;
}
/** One path that differs between two trees; null where it is not there. */
export interface ChangedPath {
  readonly path: string;
  readonly before: Side | null;
  readonly after: Side | null;
}
/** A vote that counted, for an approval that was given. */
export interface CountedVote {
  readonly action: string;
  readonly key: KeyId;
  readonly assurance: Assurance;
}
/** One run that landed a commit. What cannot be read in the bundle is null. */
export interface RunFacts {
  readonly run: TrajectoryId;
  readonly outcome: string;
  readonly governed: boolean;
  /** What deriving its judgements again came to; null where that was not done. */
  readonly judged: RunVerdict | null;
  readonly opener: KeyId | null;
  readonly votes: readonly CountedVote[];
  readonly checks: { readonly run: number; readonly passed: number; readonly lastNotPassed: readonly string[]; readonly whole: boolean };
  readonly policySet: Digest | null;
  /** Names of the bundles of its layers. */
  readonly policies: readonly string[] | null;
  readonly blueprint: string | null;
  /** `PROVIDER:NAME`, or `none` where no model was asked. */
  readonly model: string | null;
  readonly base: { readonly commit: string; readonly tree: string } | null;
  readonly result: { readonly commit: string; readonly tree: string };
  readonly files: readonly ChangedPath[] | null;
}

/** Runs that are read for one gate; a bundle of more is asked for a smaller one. */
export const MAX_GATE_RUNS = 256;

/** The runs of a bundle that landed something, of those that `wanted` names. `stated` is what the verified statement says of all. */
export async function landedRuns(
  view: AuditSource,
  {
    stated,
    deep,
    wanted,
  }: { readonly stated: readonly StatedRun[]; readonly deep: DeepReport; readonly wanted: (run: StatedRun) => boolean },
): Promise<readonly RunFacts[]> {
  const landed = stated.filter((run) => run.commit !== null && wanted(run)).slice(0, MAX_GATE_RUNS);
  const readers = new Map<string, RunReader>();
  const named = new Set(landed.map(({ run }) => run));
  for await (const stored of view.all(0n)) {
    const { trajectory } = stored.entry;
    if (!named.has(trajectory)) continue;
    const reader = readers.get(trajectory) ?? new RunReader(trajectory, view, { isWithheld: () => false, fold: null });
    readers.set(trajectory, reader);
    await reader.take(stored);
  }
  return landed.flatMap((run) => {
    const reader = readers.get(run.run);
    const judged = deep.runs.find((each) => each.run === run.run)?.verdict ?? null;
    const facts = reader === undefined ? null : factsOf(reader, { governed: run.governed, judged });
    return facts ?? [];
  });
}

function factsOf(
  reader: RunReader,
  { governed, judged }: { readonly governed: boolean; readonly judged: RunVerdict | null },
): RunFacts | null {
  const told = reader.told();
  const { run, outcome, opener, result, base } = told;
  if (result === null) return null;
  return {
    run,
    outcome,
    governed,
    judged,
    opener,
    votes: votesOf(told.approvals),
    checks: { ...testsOf(told), whole: told.omitted.checks === 0 },
    policySet: told.policySet?.digest ?? null,
    policies: told.policySet?.layers?.map(({ name }) => name) ?? null,
    blueprint: told.blueprint?.name ?? null,
    // An opening that was read and names no model had none.
    model: opener === null ? null : (told.model ?? 'none'),
    base,
    result: { commit: result.commit, tree: result.tree },
    files: reader.files.list()?.map(({ path, before, after }) => ({ path, before: sideOf(before), after: sideOf(after) })) ?? null,
  };
}

function votesOf(approvals: ReturnType<RunReader['told']>['approvals']): readonly CountedVote[] {
  return approvals
    .filter(({ outcome }) => outcome === 'approved')
    .flatMap(({ action, votes }) =>
      votes.flatMap(({ counted, decision, key, assurance }) => (counted && decision === 'approve' ? [{ action, key, assurance }] : [])),
    );
}

function sideOf(side: Side | null): Side | null {
  return side === null ? null : { oid: side.oid, mode: side.mode };
}
