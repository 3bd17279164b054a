/**
 * What a gate comes to: every commit of the change against every bundle at hand, and the exit code that tells the truth. Must never pass a commit of
 * which nothing was found, nor pass over a bundle that is not sound because another one would do.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { judgeChange, relationOf, type Requirement, type RunFacts } from '@openexec/audit';
import { err, ok, type Result } from '@openexec/canon';
import type { ChangePointer, ChangeRelation, CliDocument } from '@openexec/protocol';
import { mergedTree } from '@openexec/workspace';
import { EXIT, type ExitCode, type Refusal, refusalFor, refuse } from '../exit.ts';
import { safeLine } from '../output.ts';
import { checkBundle, type CheckedBundle, type Wanted } from './bundles.ts';
import { bundleAt, type Candidate, namedBundles, type Places, pointersFor, readPointers } from './candidates.ts';
import type { Change, TestedCommit } from './change.ts';
import type { Gate } from './rules.ts';

/** One commit, judged. */
export interface JudgedCommit {
  readonly commit: string;
  readonly tree: string;
  readonly satisfied: boolean;
  readonly relation: ChangeRelation | null;
  readonly run: string | null;
  readonly bundle: string | null;
  readonly requirements: readonly Requirement[];
}
/** The whole. */
export interface GateVerdict {
  readonly change: Change;
  readonly gate: Gate;
  readonly commits: readonly JudgedCommit[];
  readonly bundles: readonly CheckedBundle[];
}
/** What the command line says. */
export interface Looking {
  readonly cwd: string;
  readonly bundles: readonly string[];
  readonly folder: string | undefined;
  readonly nowMs: number;
}

/** Bundles that are opened for one change. */
const MAX_BUNDLES = 64;
const FETCH = "git fetch origin 'refs/notes/openexec*:refs/notes/openexec*'";

/** Looks for the bundles, checks each once, and judges every commit. */
export async function verdictOf(change: Change, gate: Gate, looking: Looking): Promise<Result<GateVerdict, Refusal>> {
  const own = mkdtempSync(join(tmpdir(), 'openexec-gate-'));
  try {
    const places = { cwd: looking.cwd, named: looking.bundles, folder: looking.folder, own };
    return await judgeAll({ change, gate, places, nowMs: looking.nowMs });
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}

interface Work {
  readonly change: Change;
  readonly gate: Gate;
  readonly places: Places;
  readonly nowMs: number;
}

async function judgeAll(work: Work): Promise<Result<GateVerdict, Refusal>> {
  const { change, gate, places } = work;
  const pointers = places.named.length > 0 ? ok([]) : await readPointers(change.repository);
  if (!pointers.ok) return pointers;
  const wanted: Wanted = {
    commits: new Set(change.commits.flatMap(({ commit, parents }) => [commit, ...parents.map((parent) => parent.commit)])),
    trees: new Set(change.commits.map(({ tree }) => tree)),
  };
  const checked = new Map<string, CheckedBundle>();
  for (const candidate of namedBundles(places)) {
    const bundle = await checkBundle(candidate, gate, wanted);
    if (bundle.state === 'absent') return refuse('bundle.unreadable', `"${safeLine(bundle.name)}" is no bundle that can be read`);
    checked.set(candidate.name, bundle);
  }
  const commits: JudgedCommit[] = [];
  for (const commit of change.commits) {
    const bundles =
      places.named.length > 0 ? ok([...checked.values()]) : await pointedAt(commit, pointers.value, { work, checked, wanted });
    if (!bundles.ok) return bundles;
    const judged = await judgeCommit(commit, bundles.value, work);
    if (!judged.ok) return judged;
    commits.push(judged.value);
  }
  return ok({ change, gate, commits, bundles: [...checked.values()] });
}

async function pointedAt(
  commit: TestedCommit,
  pointers: readonly ChangePointer[],
  { work, checked, wanted }: { readonly work: Work; readonly checked: Map<string, CheckedBundle>; readonly wanted: Wanted },
): Promise<Result<readonly CheckedBundle[], Refusal>> {
  const found: CheckedBundle[] = [];
  for (const pointer of pointersFor(commit, pointers)) {
    const key = `${pointer.bundle.digest} ${JSON.stringify(pointer.bundle.at)}`;
    let bundle = checked.get(key);
    if (bundle === undefined) {
      if (checked.size >= MAX_BUNDLES)
        return refuse('bundle.refused', `git notes point at more than ${MAX_BUNDLES} bundles for this change`);
      const candidate: Result<Candidate, Refusal> = await bundleAt(pointer, work.change.repository, work.places);
      if (!candidate.ok) return candidate;
      bundle = await checkBundle(candidate.value, work.gate, wanted);
      checked.set(key, bundle);
    }
    if (!found.includes(bundle)) found.push(bundle);
  }
  return ok(found);
}

async function judgeCommit(commit: TestedCommit, bundles: readonly CheckedBundle[], work: Work): Promise<Result<JudgedCommit, Refusal>> {
  const tries = bundles.flatMap((bundle) => bundle.runs.map((run) => tryRun(commit, { bundle, run }, work)));
  const best = tries.toSorted((a, b) => rank(a) - rank(b))[0];
  if (best?.satisfied === true) return ok(best);
  const [, second, third] = commit.parents;
  if (second !== undefined && third === undefined && work.gate.rules.accept.includes('cleanMerge')) {
    const merged = await mergedTree(work.change.repository, { head: commit.parents[0]?.commit ?? '', commit: second.commit });
    if (!merged.ok) return err(refusalFor(merged.error, 'workspace.failed'));
    if (merged.value === commit.tree) return ok(cleanMerge(commit));
  }
  if (best !== undefined && best.relation !== null) return ok(best);
  return ok(uncovered(commit, bundles, best));
}

function tryRun(
  commit: TestedCommit,
  { bundle, run }: { readonly bundle: CheckedBundle; readonly run: RunFacts },
  { gate, nowMs }: Work,
): JudgedCommit {
  const relation = relationOf(commit, run);
  const head = bundle.head ?? { coverage: 'gatewayOnly' as const, witnessed: false, cosignedAtMs: null };
  const requirements = judgeChange(gate.rules, { run, relation, head, nowMs });
  const satisfied = requirements.every((each) => each.satisfied);
  return { commit: commit.commit, tree: commit.tree, satisfied, relation, run: run.run, bundle: bundle.name, requirements };
}

/** A run that hangs together with the commit comes before one that does not, whatever else is said of both. */
function rank({ relation, requirements }: JudgedCommit): number {
  return (relation === null ? 1000 : 0) + requirements.filter(({ satisfied }) => !satisfied).length;
}

/** What git makes of two parents by itself, each commit behind which is judged on its own. */
function cleanMerge({ commit, tree }: TestedCommit): JudgedCommit {
  const requirement = {
    code: 'change.relation' as const,
    satisfied: true,
    wanted: 'cleanMerge',
    found: 'what git makes of its two parents',
  };
  return { commit, tree, satisfied: true, relation: 'cleanMerge', run: null, bundle: null, requirements: [requirement] };
}

/** No run hangs together with the commit: what was found instead. */
function uncovered({ commit, tree }: TestedCommit, bundles: readonly CheckedBundle[], best: JudgedCommit | undefined): JudgedCommit {
  const none = { commit, tree, satisfied: false, relation: null, run: null };
  const bad = bundles.find(({ state }) => state !== 'sound' && state !== 'absent') ?? bundles.find(({ state }) => state === 'absent');
  if (bad !== undefined) return { ...none, bundle: bad.name, requirements: [wrongOf(bad)] };
  if (best !== undefined) return { ...best, requirements: best.requirements.filter(({ code }) => code === 'change.relation') };
  const [sound] = bundles;
  const found =
    sound === undefined ? `no bundle is named for it: no note, or the notes were not fetched (${FETCH})` : 'no run in it landed anything';
  return {
    ...none,
    bundle: sound?.name ?? null,
    requirements: [{ code: 'bundle.missing', satisfied: false, wanted: 'an audit bundle of a run whose change this is', found }],
  };
}

function wrongOf({ state, wrong, name }: CheckedBundle): Requirement {
  const [first] = wrong;
  const found = first === undefined ? `${name} is not at hand (${FETCH})` : `${first.part}: ${first.code}: ${first.message}`;
  const code = state === 'sound' ? ('unsound' as const) : state;
  return { code: `bundle.${code}`, satisfied: false, wanted: 'a sound bundle of a ledger that is trusted', found };
}

/** 20 before 21 before 10 before 22: an anchor alone does not mend a change that nobody approved. */
export function exitOf({ commits, bundles }: Pick<GateVerdict, 'commits' | 'bundles'>): ExitCode {
  if (bundles.some(({ state }) => state === 'refused' || state === 'untrusted' || state === 'unsound')) return EXIT.integrity;
  if (bundles.some(({ state }) => state === 'diverged')) return EXIT.diverged;
  const unmet = commits.flatMap(({ requirements }) => requirements.filter(({ satisfied }) => !satisfied));
  if (unmet.length === 0 && commits.length > 0 && commits.every(({ satisfied }) => satisfied)) return EXIT.ok;
  return unmet.length > 0 && unmet.every(({ code }) => code.startsWith('anchor.')) ? EXIT.anchor : EXIT.denied;
}

/** The published document. */
export function documentOf(verdict: GateVerdict): CliDocument<'verify-change'> {
  const { change, gate, commits, bundles } = verdict;
  const exit = exitOf(verdict);
  return {
    v: 1,
    exit,
    satisfied: exit === EXIT.ok,
    change: change.text,
    base: change.base,
    gate,
    commits,
    bundles: bundles.map(({ name, state, report, wrong }) => ({
      bundle: name,
      sound: state === 'sound',
      fingerprint: report?.fingerprint ?? null,
      size: report?.size ?? null,
      level: report?.level ?? null,
      findings: wrong.map(({ part, code, message }) => ({ part, code, message })),
    })),
  };
}
