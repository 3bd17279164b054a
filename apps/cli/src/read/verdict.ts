/**
 * What verifying a ledger comes to: integrity of the whole, and where asked every judgement derived again. The same verdict for the command and for
 * programs. Must never print, nor judge again what is not sound (PROTOCOL §10).
 */
import { type DeepReport, deepVerify, diverged, unlawful } from '@openexec/audit';
import { checkSnapshots, type SnapshotCheck } from '@openexec/runtime';
import { type Digest, instantToMs, ok, parseDigest, type Result, type TrajectoryId } from '@openexec/canon';
import type { CliDocument } from '@openexec/protocol';
import { readAttempts } from '../anchors/attempts.ts';
import { type Anchored, examineAnchors } from '../anchors/examine.ts';
import { openPlaces } from '../anchors/places.ts';
import { EXIT, type Refusal, refuse } from '../exit.ts';
import { findRun } from '../findRun.ts';
import { stateFolderOf } from '../keyring.ts';
import { programDigest } from '../program.ts';
import type { VerifyReport } from '@openexec/verify';
import { type Evidence, type EvidenceContext, type Integrity, openEvidence } from './evidence.ts';

/** What the check of blobs adds to what the verifier checks. */
const BLOBS_CHECKED = 'every blob that a payload names: there, and of that digest, or erased lawfully';
const DEEP_CHECKED =
  'every judgement of every run named, and of every self-test: derived again and compared by kind, payload, cause, law position and time';
const CARVING_CHECKED =
  'every grant carved from a writ: its chain, what was left of each writ, in one piece with the opening; settled with the close at what the run spent';
const SNAPSHOTS_CHECKED = 'every snapshot of a run: folded again from the opening and compared byte by byte';
const NO_HEAD = 'a head kept elsewhere: this ledger is not pinned here, so nobody remembers how far it had come';
const ANCHORS_CHECKED = 'every receipt of an anchor, and what the places that hold a checkpoint hold now';
/** The verifier's line that configured anchors answer. */
const ANCHOR_MARK = 'anchors and witnesses:';
/** Lines of the verifier that `--deep` answers. */
const DEEP_MARK = '(verify --deep)';

/** What is to be verified. */
export interface Verifying {
  /** `sqlite:PATH`; left out: the ledger of the checkout. */
  readonly ledger: string | undefined;
  /** The fingerprint that the reader knows from elsewhere. */
  readonly trust: string | undefined;
  readonly deep: boolean;
  /** With `deep`: only this run. */
  readonly run: string | undefined;
  readonly onProgress?: (entries: number) => void;
}

/** Opens the ledger as evidence and checks it. */
export async function verdictOf(context: EvidenceContext, verifying: Verifying): Promise<Result<Verdict, Refusal>> {
  const trust = readTrust(verifying.trust);
  if (!trust.ok) return trust;
  const evidence = await openEvidence(context, { ledger: verifying.ledger, trust: trust.value });
  if (!evidence.ok) return evidence;
  try {
    return await check(context, evidence.value, verifying);
  } finally {
    await evidence.value.close();
  }
}

function readTrust(text: string | undefined): Result<Digest | undefined, Refusal> {
  if (text === undefined) return ok(undefined);
  const digest = parseDigest(text);
  return digest.ok ? digest : refuse('usage.invalid', '--trust takes a fingerprint: sha256: and 64 lower-case hex digits');
}

async function check(
  context: EvidenceContext,
  evidence: Evidence,
  { ledger, run: wanted, deep: asked, onProgress }: Verifying,
): Promise<Result<Verdict, Refusal>> {
  const found = await evidence.check(onProgress);
  const examined = await anchorsOf(context, evidence, { found, ledger });
  if (!examined.ok) return examined;
  const anchors = examined.value;
  const integrity = anchors === null ? found : withFaults(found, anchors);
  let only: readonly TrajectoryId[] | undefined;
  let deep: DeepReport | null = null;
  // What is not sound cannot be judged again: its entries may be anybody's.
  if (integrity.sound && wanted !== undefined) {
    const run = await findRun(evidence.store, wanted);
    if (!run.ok) return run;
    only = [run.value];
  }
  if (integrity.sound && asked) deep = await deepVerify(evidence.store, only === undefined ? {} : { runs: only });
  const snapshots = deep === null ? null : await snapshotsOf(context, evidence, only?.[0]);
  return ok({ integrity, anchors, deep, snapshots, asked });
}

/** Snapshots held against the fold from the start; null where they cannot be read, which says nothing of the entries. */
async function snapshotsOf({ assets }: EvidenceContext, { store }: Evidence, run: TrajectoryId | undefined): Promise<SnapshotCheck | null> {
  const checked = await checkSnapshots(store, { shelf: store.snapshots, program: programDigest(assets) }, run);
  return checked.ok ? checked.value : null;
}

/** What is not sound shows nothing to hold a receipt against; what was never founded has no configuration of its own. */
async function anchorsOf(
  context: EvidenceContext,
  evidence: Evidence,
  { found, ledger }: { readonly found: Integrity; readonly ledger: string | undefined },
): Promise<Result<Anchored | null, Refusal>> {
  const { fingerprint } = found.report;
  if (!found.sound || fingerprint === null) return ok(null);
  // A ledger that the call or the environment names belongs to no checkout.
  const named = ledger ?? context.ledger ?? context.env['OPENEXEC_LEDGER'];
  const project = named === undefined || named === '' ? await context.project() : ok(null);
  if (!project.ok) return project;
  const settings = openPlaces(context, { fingerprint, project: project.value });
  if (!settings.ok) return settings;
  const attempts = readAttempts(stateFolderOf(context.places, fingerprint));
  return examineAnchors(evidence.store, settings.value, { nowMs: instantToMs(context.clock.now()), attempts });
}

/** What was shown elsewhere and is not in the ledger makes it unsound, however well its own bytes agree. */
function withFaults(found: Integrity, { faults }: Anchored): Integrity {
  if (faults.length === 0) return found;
  const firstBad = faults.reduce<number | null>(
    (first, { index }) => (first === null || (index !== null && index < first) ? index : first),
    null,
  );
  return { ...found, faults: [...found.faults, ...faults], sound: false, firstBad };
}

/** A verification's outcome; `asked` says that judgements were to be derived, which damage forbids. */
export interface Verdict {
  readonly integrity: Integrity;
  /** Null where none is configured, or where the ledger is not sound. */
  readonly anchors: Anchored | null;
  readonly deep: DeepReport | null;
  /** Null unless every judgement was derived again. */
  readonly snapshots: SnapshotCheck | null;
  readonly asked: boolean;
}

/** The exit code of a verdict. */
export function exitOf({
  integrity,
  anchors,
  deep,
  snapshots,
}: Verdict): typeof EXIT.ok | typeof EXIT.integrity | typeof EXIT.diverged | typeof EXIT.anchor {
  if (!integrity.sound || (deep !== null && unlawful(deep).length > 0)) return EXIT.integrity;
  if (deep !== null && diverged(deep)) return EXIT.diverged;
  // What is derived tells another story than the entries: they are sound, and somebody or something is not.
  if (snapshots !== null && snapshots.wrong.length > 0) return EXIT.diverged;
  return anchors !== null && anchors.required && anchors.flag !== 'fresh' ? EXIT.anchor : EXIT.ok;
}

/** The highest level that holds of chained < signed < anchored < witnessed; null when nothing does (PROTOCOL §3). */
export function levelOf({ integrity, anchors }: Verdict): VerifyReport['level'] | 'anchored' | 'witnessed' {
  return integrity.sound ? (anchors?.level ?? integrity.report.level) : null;
}

/** What a verdict rests on, and what it says nothing about. */
export function checkedLists({ integrity, anchors, deep, snapshots }: Verdict): {
  readonly checked: readonly string[];
  readonly notChecked: readonly string[];
} {
  const checked = anchors === null ? integrity.report.checked : [...integrity.report.checked, ANCHORS_CHECKED];
  const open = integrity.report.notChecked.filter((line) => anchors === null || !line.startsWith(ANCHOR_MARK));
  const notChecked = integrity.headKept ? open : [...open, NO_HEAD];
  if (deep === null) return { checked: [...checked, BLOBS_CHECKED], notChecked };
  const { carvedUnchecked } = deep.totals;
  const settled = carvedUnchecked === 0 ? [] : [`${carvedUnchecked} settlements against the spend of a close that was erased`];
  return {
    checked: [...checked, BLOBS_CHECKED, DEEP_CHECKED, CARVING_CHECKED, ...((snapshots?.checked ?? 0) === 0 ? [] : [SNAPSHOTS_CHECKED])],
    notChecked: [...notChecked.filter((line) => !line.endsWith(DEEP_MARK)), ...settled, ...foreignText(snapshots)],
  };
}

function foreignText(snapshots: SnapshotCheck | null): readonly string[] {
  const foreign = snapshots?.foreign ?? 0;
  return foreign === 0 ? [] : [`${foreign} snapshots that another program made: this one never reads them`];
}

/** The JSON document of a verdict, version 1. */
export function documentOf(verdict: Verdict): CliDocument<'verify'> {
  const { integrity, anchors, deep, snapshots } = verdict;
  const { report, faults, faultsOmitted } = integrity;
  const { checked, notChecked } = checkedLists(verdict);
  return {
    v: 1,
    exit: exitOf(verdict),
    sound: integrity.sound,
    level: levelOf(verdict),
    trust: report.trust,
    anchor: anchors?.flag ?? report.anchor,
    entries: report.entries,
    origin: report.origin,
    fingerprint: report.fingerprint,
    root: report.root,
    signatures: report.signatures,
    checkpoints: report.checkpoints,
    erased: report.erased,
    pruned: report.pruned,
    blobs: integrity.blobs,
    firstBad: integrity.firstBad,
    findings: [...report.findings, ...faults],
    omitted: report.omitted + faultsOmitted,
    checked,
    notChecked,
    deep,
    snapshots: snapshots === null ? null : { ...snapshots, wrong: [...snapshots.wrong] },
    anchors: anchors === null ? null : anchorsDocument(anchors),
  };
}

function anchorsDocument({
  configured,
  required,
  maxAgeMs,
  recorded,
  covered,
  ageMs,
  cosigners,
  problems,
}: Anchored): NonNullable<CliDocument<'verify'>['anchors']> {
  const age = ageMs === null ? null : Math.floor(ageMs / 1000);
  return { configured, required, maxAge: Math.floor(maxAgeMs / 1000), recorded, covered, age, cosigners, problems };
}
