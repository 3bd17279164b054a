/**
 * Step replay: one visit of one stage, judged again exactly. What stands before it is folded as recorded; what comes after is not looked at. The part
 * that is judged begins and ends with whole lists of judgements, so it holds the way into the stage and the way out (PROTOCOL §10).
 */
import { emptyLaw, type LawView } from '@openexec/authority';
import type { TrajectoryId } from '@openexec/canon';
import type { Stored } from '@openexec/ledger';
import type { Body } from '@openexec/protocol';
import { BlobReader, bodyOf } from './event.ts';
import { nextLaw } from './law.ts';
import { RecordedTree } from './recordedTree.ts';
import { elsewhere, treeOf } from './replay.ts';
import type { AuditSource, StageReplayReport, StageVisit } from './report.ts';
import { type JudgingKernel, RunAudit } from './runAudit.ts';

/** An entry of the run with the law as it stood there. */
interface Placed {
  readonly stored: Stored;
  readonly law: LawView;
}
/** Which part of the entries is judged: positions in the list, both included. */
interface Window {
  readonly from: number;
  readonly to: number;
  readonly outcome: StageReplayReport['outcome'];
}

/** Without a visit: the newest visit of that stage. */
export interface StageWanted {
  readonly stage: string;
  readonly visit: number | null;
}
/** The report, or the visits that there are where none is the one that is wanted. */
export type StageReplay = { readonly report: StageReplayReport } | { readonly visits: readonly StageVisit[] };

/** Replays one visit; null when the source has no such run. */
export async function replayStage(
  source: AuditSource,
  run: TrajectoryId,
  wanted: StageWanted,
  kernel?: JudgingKernel,
): Promise<StageReplay | null> {
  const reader = new BlobReader(source);
  const entries = await entriesOf(source, run, reader);
  if (entries.length === 0) return null;
  const visits = entries.flatMap(({ stored }, at) => visitAt(stored, at));
  const visit = visits.findLast(({ stage, visit: number }) => stage === wanted.stage && (wanted.visit ?? number) === number);
  if (visit === undefined) return { visits: visits.map(({ stage, visit: number }) => ({ stage, visit: number })) };
  return { report: await judged({ run, entries, window: windowOf(entries, visit), visit, reader, kernel }) };
}

async function entriesOf(source: AuditSource, run: TrajectoryId, reader: BlobReader): Promise<readonly Placed[]> {
  const entries: Placed[] = [];
  let law = emptyLaw();
  for await (const stored of source.all(0n)) {
    const { trajectory, kind } = stored.entry;
    if (trajectory === 'law') ({ law } = await nextLaw(law, stored, reader));
    if (trajectory !== run) continue;
    entries.push({ stored, law });
    if (kind === 'run.closed') break;
  }
  return entries;
}

/** A visit, and the place in the list at which it begins. */
interface VisitAt extends StageVisit {
  readonly at: number;
}

function visitAt(stored: Stored, at: number): VisitAt[] {
  const body = stored.entry.kind === 'stage.entered' ? bodyOf(stored) : null;
  if (body?.ok !== true) return [];
  // `bodyOf` has just held it against the schema of this kind.
  const { stage, visit } = body.value as unknown as Body<'stage.entered'>;
  return [{ stage, visit, at }];
}

/** From the first judgement of the list that enters to the last one of the list that leaves: by leaving, by a rewind, or with the end of the run. */
function windowOf(entries: readonly Placed[], { stage, visit, at }: VisitAt): Window {
  let from = at;
  while (from > 0 && sameList(entries[from - 1], entries[at])) from -= 1;
  let to = entries.length - 1;
  let outcome: Window['outcome'] = 'open';
  for (let next = at + 1; next < entries.length; next += 1) {
    const left = leftAt(entries[next]?.stored, { stage, visit });
    const ends = left !== null || entries[next]?.stored.entry.kind === 'stage.entered';
    if (!ends) continue;
    to = next;
    outcome = left ?? 'rewound';
    break;
  }
  const end = entries[to];
  while (to + 1 < entries.length && sameList(entries[to + 1], end)) to += 1;
  return { from, to, outcome };
}

function sameList(one: Placed | undefined, other: Placed | undefined): boolean {
  return one !== undefined && other !== undefined && one.stored.entry.cause !== null && one.stored.entry.cause === other.stored.entry.cause;
}

function leftAt(stored: Stored | undefined, visit: StageVisit): Exclude<Window['outcome'], 'open' | 'rewound'> | null {
  const body = stored?.entry.kind === 'stage.left' ? bodyOf(stored) : null;
  if (body?.ok !== true) return null;
  const left = body.value as unknown as Body<'stage.left'>; // As above.
  return left.stage === visit.stage && left.visit === visit.visit ? left.outcome : null;
}

async function judged(of: {
  readonly run: TrajectoryId;
  readonly entries: readonly Placed[];
  readonly window: Window;
  readonly visit: StageVisit;
  readonly reader: BlobReader;
  readonly kernel: JudgingKernel | undefined;
}): Promise<StageReplayReport> {
  const { run, entries, window, visit, reader } = of;
  const audit = new RunAudit(run, reader, of.kernel);
  const recorded = new RecordedTree(reader);
  for (const [at, { stored, law }] of entries.slice(0, window.to + 1).entries()) {
    await (at < window.from ? audit.passOver(stored) : audit.take(stored, law));
    const body = bodyOf(stored);
    if (body.ok) await recorded.take(stored, body.value);
  }
  const base = audit.finish();
  const tree = base.from === undefined ? treeOf(audit.state) : null;
  const recordedTree = base.from === undefined && audit.state.law !== null ? recorded.tree : null;
  const last = entries[window.to]?.stored;
  const wrong = last !== undefined && tree !== recordedTree ? [elsewhere(last, tree, recordedTree)] : [];
  return {
    ...base,
    verdict: wrong.length > 0 ? 'diverges' : base.verdict,
    divergences: [...base.divergences, ...wrong],
    stage: visit.stage,
    visit: visit.visit,
    fromSeq: entries[window.from]?.stored.entry.seq ?? 0,
    toSeq: last?.entry.seq ?? 0,
    outcome: window.outcome,
    tree,
    recordedTree,
  };
}
