/**
 * The release gate's judgement: the rules in force against what a bundle proves of a run and what git says of a commit. Pure. Must never find a
 * requirement met of which nothing is known (docs/how-to/gate-a-change.md).
 */
import type { Assurance, ChangeRelation, GateCode, GatePolicy, GateRules } from '@openexec/protocol';
import type { ChangedPath, RunFacts } from './facts.ts';

/** A commit as git has it. */
export interface GitChange {
  readonly commit: string;
  readonly tree: string;
  readonly parents: readonly { readonly commit: string; readonly tree: string }[];
  /** What differs from its first parent; empty where it has none. */
  readonly files: readonly ChangedPath[];
}
/** How far the bundle's tree head is vouched for. */
export interface HeadFacts {
  readonly coverage: 'full' | 'gatewayOnly';
  /** The witnesses that the rules name have cosigned, as many as they ask for. */
  readonly witnessed: boolean;
  /** Time of the youngest of their cosignatures, in milliseconds since 1970; null where there is none. */
  readonly cosignedAtMs: number | null;
}
/** One requirement: what is asked, what is there. */
export interface Requirement {
  readonly code: GateCode;
  readonly satisfied: boolean;
  readonly wanted: string;
  readonly found: string;
}

const HOUR_MS = 3_600_000;
/** Clocks of two hosts may differ by this much; a cosignature further ahead of ours shows no age. */
const AHEAD_MS = 300_000;
/** From the weakest (PROTOCOL §6). */
const ASSURANCES: readonly Assurance[] = ['file', 'passphrase', 'hardware'];

/** What holds where a gate policy says nothing. */
export const GATE_DEFAULTS: GateRules = {
  accept: ['commit', 'tree', 'merge'],
  governed: true,
  judged: true,
  coverage: 'full',
  checks: { atLeast: 0, lastPassed: true },
  approvals: { atLeast: 0, assurance: 'file', notOpener: true, keys: null, actions: null },
  policySets: null,
  policies: null,
  blueprints: null,
  models: null,
  level: 'signed',
  witnesses: null,
  maxAgeHours: null,
};

/** The rules in force under a policy; null: only the defaults. */
export function gateRules(policy: GatePolicy | null): GateRules {
  const { version: _version, trust: _trust, checks = {}, approvals = {}, ...rest } = policy ?? {};
  const of = GATE_DEFAULTS;
  return { ...of, ...said(rest), checks: { ...of.checks, ...said(checks) }, approvals: { ...of.approvals, ...said(approvals) } };
}

/** Members that are there: an absent one must not hide a default. */
function said<T extends object>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  // What is left has no member that is undefined.
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/**
 * How a commit hangs together with what a run landed; null: not at all. `commit`: the very commit, on its base, with its tree. `tree`: another commit
 * whose tree and whose parent's tree are the run's. `merge` and `moved`: of a merge, and of any other commit, against its first parent: exactly the
 * paths that the run changed, each with exactly the content and mode before and after. `cleanMerge` is no relation to a run.
 */
export function relationOf({ commit, tree, parents, files }: GitChange, run: RunFacts): ChangeRelation | null {
  const [parent, second, third] = parents;
  if (parent === undefined || third !== undefined) return null;
  const { base, result } = run;
  if (second === undefined && base !== null) {
    if (commit === result.commit) return tree === result.tree && parent.commit === base.commit ? 'commit' : null;
    if (tree === result.tree && parent.tree === base.tree) return 'tree';
  }
  return sameChange(files, run.files) ? (second === undefined ? 'moved' : 'merge') : null;
}

function sameChange(found: readonly ChangedPath[], wanted: readonly ChangedPath[] | null): boolean {
  if (wanted === null || wanted.length === 0 || found.length !== wanted.length) return false;
  const known = new Map(found.map((each) => [each.path, each]));
  return wanted.every(({ path, before, after }) => {
    const other = known.get(path);
    return other !== undefined && sameSide(before, other.before) && sameSide(after, other.after);
  });
}

function sameSide(a: ChangedPath['before'], b: ChangedPath['before']): boolean {
  return a?.oid === b?.oid && a?.mode === b?.mode;
}

/** Every requirement, met or not, in a fixed order. */
export function judgeChange(
  rules: GateRules,
  {
    run,
    relation,
    head,
    nowMs,
  }: { readonly run: RunFacts; readonly relation: ChangeRelation | null; readonly head: HeadFacts; readonly nowMs: number },
): readonly Requirement[] {
  return [
    relationRequirement(rules, relation, run),
    ...runRequirements(rules, run, head),
    ...plan(rules, run),
    ...anchors(rules, head, nowMs),
  ];
}

/** Whether how a commit hangs together with a run is accepted. */
function relationRequirement({ accept }: GateRules, relation: ChangeRelation | null, { run, result }: RunFacts): Requirement {
  const satisfied = relation !== null && accept.includes(relation);
  const found = relation ?? `neither the tree nor the change of ${run}, which landed ${result.commit}`;
  return { code: 'change.relation', satisfied, wanted: accept.join(' or '), found };
}

function runRequirements(rules: GateRules, run: RunFacts, { coverage }: HeadFacts): Requirement[] {
  const { checks } = run;
  const made: Requirement[] = [{ code: 'run.outcome', satisfied: run.outcome === 'done', wanted: 'done', found: run.outcome }];
  if (rules.governed)
    made.push({
      code: 'run.governed',
      satisfied: run.governed,
      wanted: 'governed: a passed self-test, every effect declared',
      found: run.governed ? 'governed' : 'not governed',
    });
  const agreed = run.judged === 'agrees' || (!rules.judged && run.judged === 'notDerivable');
  made.push({
    code: 'run.judged',
    satisfied: agreed,
    wanted: rules.judged ? 'agrees' : 'agrees, or not derivable where that is lawful',
    found: run.judged ?? 'not judged',
  });
  made.push({
    code: 'run.coverage',
    satisfied: rules.coverage === 'gatewayOnly' || coverage === 'full',
    wanted: rules.coverage,
    found: coverage,
  });
  const last = checks.lastNotPassed.length === 0 ? '' : `; last attempt not passed: ${checks.lastNotPassed.join(', ')}`;
  made.push({
    code: 'run.checks',
    satisfied: checks.passed >= rules.checks.atLeast && (!rules.checks.lastPassed || (checks.whole && checks.lastNotPassed.length === 0)),
    wanted: `at least ${rules.checks.atLeast} passed${rules.checks.lastPassed ? ', the last attempt of each' : ''}`,
    found: `${checks.passed} of ${checks.run} passed${last}${checks.whole ? '' : '; not all of them are known'}`,
  });
  made.push(approvalRequirement(rules, run));
  return made;
}

function approvalRequirement({ approvals }: GateRules, { votes, opener }: RunFacts): Requirement {
  const { atLeast, assurance, notOpener, keys, actions } = approvals;
  const reached = (given: Assurance): boolean => ASSURANCES.indexOf(given) >= ASSURANCES.indexOf(assurance);
  // Of a run whose opener is not known nobody can be said not to be it.
  const other = (key: string): boolean => !notOpener || (opener !== null && key !== opener);
  const counted = votes.filter(
    (vote) =>
      reached(vote.assurance) &&
      other(vote.key) &&
      keys?.some((key) => key === vote.key) !== false &&
      actions?.includes(vote.action) !== false,
  );
  const distinct = new Set(counted.map(({ key }) => key));
  const all = new Set(votes.map(({ key }) => key));
  const limits = [
    `at least ${assurance}`,
    ...(notOpener ? ['not the opener'] : []),
    ...(keys === null ? [] : [`of ${keys.join(', ')}`]),
    ...(actions === null ? [] : [`for ${actions.join(', ')}`]),
  ];
  return {
    code: 'run.approvals',
    satisfied: distinct.size >= atLeast,
    wanted: atLeast === 0 ? 'none' : `${atLeast} distinct keys, ${limits.join(', ')}`,
    found: `${distinct.size} such of ${all.size} that approved`,
  };
}

function plan(rules: GateRules, run: RunFacts): Requirement[] {
  const unknown = 'cannot be read in the bundle';
  const made: Requirement[] = [];
  const oneOf = (code: GateCode, wanted: readonly string[] | null, found: string | null, fits = same): void => {
    if (wanted === null) return;
    const satisfied = found !== null && wanted.some((each) => fits(each, found));
    made.push({ code, satisfied, wanted: wanted.join(' or '), found: found ?? unknown });
  };
  oneOf('run.policySet', rules.policySets, run.policySet);
  if (rules.policies !== null)
    made.push({
      code: 'run.policies',
      satisfied: run.policies !== null && rules.policies.every((name) => run.policies?.includes(name) === true),
      wanted: rules.policies.join(' and '),
      found: run.policies?.join(', ') ?? unknown,
    });
  oneOf('run.blueprint', rules.blueprints, run.blueprint);
  oneOf('run.model', rules.models, run.model, matches);
  return made;
}

function same(wanted: string, found: string): boolean {
  return wanted === found;
}

/** Exact, or any rest behind a `*` at the end. */
function matches(pattern: string, found: string): boolean {
  return pattern.endsWith('*') ? found.startsWith(pattern.slice(0, -1)) : pattern === found;
}

function anchors({ level, maxAgeHours }: GateRules, { witnessed, cosignedAtMs }: HeadFacts, nowMs: number): Requirement[] {
  const made: Requirement[] = [];
  if (level === 'witnessed') made.push({ code: 'anchor.level', satisfied: witnessed, wanted: level, found: witnessed ? level : 'signed' });
  if (maxAgeHours === null) return made;
  const ageMs = cosignedAtMs === null || cosignedAtMs > nowMs + AHEAD_MS ? null : Math.max(0, nowMs - cosignedAtMs);
  made.push({
    code: 'anchor.age',
    satisfied: ageMs !== null && ageMs <= maxAgeHours * HOUR_MS,
    wanted: `cosigned within ${maxAgeHours} hours`,
    found: ageMs === null ? 'no cosignature of a time that can be believed' : `cosigned ${Math.floor(ageMs / HOUR_MS)} hours ago`,
  });
  return made;
}
