/**
 * The reports of a bundle: data in, parts out, the same bytes each time. They are made from what the bundle shows and from nothing else, so that what is
 * withheld cannot be in them. Must never read a clock, a file or the ledger behind the bundle (PROTOCOL §11).
 */
import { type Bytes, canonicalText, type TrajectoryId, utf8Decode, utf8Encode } from '@openexec/canon';
import type { Stored } from '@openexec/ledger';
import { type AuditReport, auditReport, type ReportedRun, type SelfTestRecorded } from '@openexec/protocol';
import type { BundleDescription, StatedRun } from '@openexec/verify';
import { deepVerify } from '../deep.ts';
import { BlobReader, bodyOf } from '../event.ts';
import type { AuditSource, RunReport } from '../report.ts';
import { changeOf } from './change.ts';
import { type ChangeSources, changesOf, type ReportPart } from './changes.ts';
import { CONTROLS } from './controls.ts';
import { htmlOf, type ShownChange } from './html.ts';
import { junitOf } from './junit.ts';
import { MAX_CHANGE_CHARACTERS, MAX_JUDGED_ENTRIES, MAX_LINES, MAX_RUNS } from './lists.ts';
import { RunReader } from './reader.ts';
import { sarifOf } from './sarif.ts';

const NEWLINE = 10;

/** How the reports of an export are to be made. */
export interface ReportOrder {
  /**
   * Bytes of a base file by its git id, from a repository that is at hand; null where there is none, or where it may not be shown. They are held against the id, which an entry names.
   * The ledger itself holds of a base nothing but ids.
   */
  readonly baseFile: (oid: string) => Promise<Bytes | null>;
}
/** What the reports are made from. */
export interface ReportInput {
  /** Exactly what the bundle shows: withheld payloads and blobs are not handed out. */
  readonly view: AuditSource;
  readonly description: BundleDescription;
  readonly stated: readonly StatedRun[];
  /** Payloads that are gone from the ledger itself. */
  readonly gonePayloads: readonly { readonly trajectory: TrajectoryId; readonly seq: number }[];
  readonly order: ReportOrder;
}

/** Every report, in a fixed order: the patches of each run as soon as they are made, then what is said of all runs. */
export async function* makeReports(input: ReportInput): AsyncGenerator<ReportPart> {
  const changes = new Map<string, ShownChange>();
  // The schema is what is published: nothing else may leave here.
  const report = auditReport.parse(yield* reportOf(input, changes));
  yield { path: 'report.json', bytes: utf8Encode(`${canonicalText(report)}\n`) };
  yield { path: 'report.html', bytes: utf8Encode(htmlOf(report, changes)) };
  yield { path: 'results.sarif', bytes: utf8Encode(`${canonicalText(sarifOf(report))}\n`) };
  yield { path: 'junit.xml', bytes: utf8Encode(junitOf(report)) };
}

async function* reportOf(input: ReportInput, changes: Map<string, ShownChange>): AsyncGenerator<ReportPart, AuditReport> {
  const { description, gonePayloads, view } = input;
  // A range may begin in the middle of a run, and judging needs all that came before.
  const judges = description.scope.is !== 'range' && description.entries <= MAX_JUDGED_ENTRIES;
  const { readers, notReported, selfTests } = await readAll(input, judges);
  const judged = judges ? (await deepVerify(view, { partial: description.scope.is !== 'ledger' })).runs : [];
  const sources: ChangeSources = { view, baseFile: input.order.baseFile };
  const runs: ReportedRun[] = [];
  for (const [run, reader] of readers) {
    const stated = input.stated.find((each) => each.run === run);
    const again = judged.find((each) => each.run === run);
    const made = await runOf(run, reader, { governed: stated?.governed ?? false, again, selfTests, sources });
    runs.push(made.run);
    // Every patch is one UTF-8 text; of a long one the page shows the beginning, so no more of it is kept.
    const [forward] = made.patches;
    const begun = forward === undefined ? null : patchBeginning(forward.bytes);
    if (begun !== null) changes.set(run, begun);
    yield* made.patches;
  }
  return {
    v: 1,
    type: 'openexec.report',
    ledger: description.ledger,
    origin: description.origin,
    checkpoint: { size: description.size, root: description.root },
    scope: description.scope.is,
    coverage: description.coverage,
    runs,
    notReported: notReported.map(([run, because]) => ({ run, because })),
    withheld: {
      payloads: description.withheldPayloads.map(({ trajectory, seq }) => ({ trajectory: trajectory as TrajectoryId, seq })),
      blobs: [...description.withheldBlobs],
    },
    gone: { payloads: [...gonePayloads], blobs: [...description.goneBlobs] },
    controls: CONTROLS.map((control) => ({ ...control })),
  };
}

/** As much of a patch as a page shows and a little more, to whole lines. */
function patchBeginning(bytes: Bytes): ShownChange | null {
  const most = MAX_CHANGE_CHARACTERS * 4;
  const end = bytes.length <= most ? bytes.length : bytes.lastIndexOf(NEWLINE, most) + 1;
  const begun = utf8Decode(bytes.subarray(0, end));
  return begun.ok ? { text: begun.value, whole: end === bytes.length } : null;
}

interface ReadAll {
  readonly readers: ReadonlyMap<TrajectoryId, RunReader>;
  readonly notReported: readonly (readonly [TrajectoryId, string])[];
  readonly selfTests: ReadonlyMap<string, SelfTestRecorded['body']>;
}

async function readAll({ view, description }: ReportInput, folds: boolean): Promise<ReadAll> {
  const withheld = new Set(description.withheldPayloads.map(({ trajectory, seq }) => `${trajectory} ${seq}`));
  const isWithheld = ({ entry }: Stored): boolean => withheld.has(`${entry.trajectory} ${entry.seq}`);
  const fold = folds ? new BlobReader(view) : null;
  const readers = new Map<TrajectoryId, RunReader>();
  const notReported = new Map<TrajectoryId, string>();
  const selfTests = new Map<string, SelfTestRecorded['body']>();
  for await (const stored of view.all(0n)) {
    const { trajectory, seq, kind } = stored.entry;
    if (kind === 'selfTest.recorded') {
      const body = bodyOf(stored);
      // The body was just held against the schema of this kind.
      if (body.ok) selfTests.set(trajectory, (body.value as unknown as SelfTestRecorded).body);
    }
    if (!trajectory.startsWith('run/') || notReported.has(trajectory)) continue;
    let reader = readers.get(trajectory);
    if (reader === undefined) {
      if (seq > 0) notReported.set(trajectory, 'its opening is not in the bundle');
      else if (readers.size >= MAX_RUNS) notReported.set(trajectory, `a report tells of ${MAX_RUNS} runs; export this one by its name`);
      else readers.set(trajectory, (reader = new RunReader(trajectory, view, { isWithheld, fold })));
    }
    await reader?.take(stored);
  }
  return { readers, notReported: [...notReported], selfTests };
}

interface Beside {
  readonly governed: boolean;
  readonly again: RunReport | undefined;
  readonly selfTests: ReadonlyMap<string, SelfTestRecorded['body']>;
  readonly sources: ChangeSources;
}

async function runOf(
  run: TrajectoryId,
  reader: RunReader,
  { governed, again, selfTests, sources }: Beside,
): Promise<{ readonly run: ReportedRun; readonly patches: readonly ReportPart[] }> {
  const told = reader.told();
  const files = reader.files.list();
  const { patch, absent, parts } = await changesOf(run, { files, lost: reader.files.lost }, sources);
  const cited = reader.opened?.selfTest ?? null;
  const found = cited === null ? undefined : selfTests.get(cited.trajectory);
  const facts = {
    ...told,
    governed,
    selfTest: cited === null ? null : { cited, passed: found?.passed ?? null, until: found?.until ?? null },
    files: files === null ? null : files.slice(0, MAX_LINES),
    omitted: { ...told.omitted, files: Math.max(0, (files?.length ?? 0) - MAX_LINES) },
    figures: reader.figures.figures(),
    network: reader.safety.network(),
    patch,
    absent,
    judgedAgain: again === undefined ? null : judgedAgain(again),
  };
  return { run: { ...facts, change: changeOf(facts) }, patches: parts };
}

function judgedAgain({ verdict, judgements, divergences, omitted }: RunReport): ReportedRun['judgedAgain'] {
  const listed = divergences.slice(0, MAX_LINES).map(({ seq, what, expected, recorded }) => ({
    seq,
    what,
    expected: shortened(expected),
    recorded: shortened(recorded),
  }));
  return { verdict, judgements, divergences: listed, omitted: omitted + divergences.length - listed.length };
}

function shortened(text: string | null): string | null {
  return text === null || text.length <= 1000 ? text : `${[...text].slice(0, 1000).join('')}…`;
}
