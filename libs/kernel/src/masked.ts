/**
 * What an execution that looks at folders may not see: every file that the writ does not grant to be read, or that policy would not show by itself.
 * Worked out at each start from recorded facts alone, so that a verifier finds the same. Must never leave a denied file out (GOALS E01, PROTOCOL §6).
 */
import { coversPath, type LawView } from '@openexec/authority';
import { canonicalText, type Instant, type Json } from '@openexec/canon';
import { askedValues, type LayeredPolicy, readingDenied, type ReadingProbe } from '@openexec/policy';
import type { ActionContract, Writ } from '@openexec/protocol';
import { policyFields, type Wish } from './compile.ts';
import { policiesInForce, type PoliciesInForce } from './policies.ts';
import type { RunLaw, RunState } from './state.ts';
import { changedFiles } from './world.ts';

/** The intent that is about to be started. */
export interface Looking {
  readonly contract: ActionContract;
  readonly author: Wish['author'];
  readonly arguments: Json;
}
type Acting = Pick<ActionContract, 'name' | 'effect' | 'risk' | 'idempotence'>;
/** What is denied is denied whichever action shows it: each file is asked about as if it were read by itself. */
const READ_FILE: Acting = { name: 'read_file', effect: 'read', risk: 'low', idempotence: 'workspace' };
const REPORTS: readonly string[] = ['generate_diff_report', 'prepare_review_bundle'];
/** Verdicts kept for each pair of policies; beyond it they are worked out anew. */
const MEMOS = 8;

/** Verdicts by path, under one policy and one writ; `bases` are the denied files of whole listings. */
interface Memo {
  readonly denied: (path: string) => boolean;
  readonly bases: WeakMap<RunLaw['base'], readonly string[]>;
}
const memos = new WeakMap<PoliciesInForce, Map<string, Memo>>();

/** Whether an action sees files that its arguments do not name one by one. */
function looksAtFolders(contract: ActionContract): boolean {
  const folders = contract.paths.some(({ as, access }) => as === 'files' && access === 'read');
  return folders || contract.command !== null || REPORTS.includes(contract.name);
}

/**
 * Paths and `folder/**`, sorted, that the execution may not see. A folder stands for its files only where it is denied as a folder too. Files of the base
 * that the run deleted count: git still shows them.
 */
export function maskedPaths(state: RunState, law: LawView, at: Instant, looking: Looking): readonly string[] {
  const own = state.law;
  if (own === null || !looksAtFolders(looking.contract)) return [];
  const memo = memoOf(state, law, at, looking);
  if (memo === null) return [];
  const known = memo.bases.get(own.base) ?? [...own.base.keys()].filter(memo.denied);
  memo.bases.set(own.base, known);
  const made = [...changedFiles(state.world)].flatMap(([path, file]) => (file === null || own.base.has(path) ? [] : [path]));
  const masked = new Set([...known, ...made.filter(memo.denied)]);
  return masked.size === 0 ? [] : places(masked, [...own.base.keys(), ...made], memo.denied);
}

function memoOf(state: RunState, law: LawView, at: Instant, looking: Looking): Memo | null {
  const own = state.law;
  const sets = policiesInForce(state, law);
  if (own === null || sets === null) return null;
  const both = [sets.own, ...(sets.adopted === null ? [] : [sets.adopted])];
  const probes = [
    probeOf(state, at, { acting: READ_FILE, author: 'model', given: null }),
    probeOf(state, at, { acting: looking.contract, author: looking.author, given: looking.arguments }),
  ];
  const key = canonicalText([
    own.writ.readPaths.toSorted(),
    ...both.flatMap((set) => probes.map(({ nowhere }) => askedValues(set, nowhere, ['paths']))),
  ]);
  const kept = memos.get(sets) ?? new Map<string, Memo>();
  memos.set(sets, kept);
  const memo = kept.get(key) ?? { denied: deniedBy(own.writ, both, probes), bases: new WeakMap() };
  if (kept.size >= MEMOS) kept.clear();
  kept.set(key, memo);
  return memo;
}

function deniedBy(writ: Writ, sets: readonly LayeredPolicy[], probes: readonly ReadingProbe[]): (path: string) => boolean {
  const rules = sets.flatMap((set) => probes.map((probe) => readingDenied(set, probe)));
  const verdicts = new Map<string, boolean>();
  return (path) => {
    const verdict = verdicts.get(path) ?? (!coversPath(writ.readPaths, path) || rules.some((denies) => denies(path)));
    verdicts.set(path, verdict);
    return verdict;
  };
}

/** The fields of one way of reading. `given` null: the arguments are the path, as `read_file` takes it. */
function probeOf(
  state: RunState,
  at: Instant,
  { acting, author, given }: { readonly acting: Acting; readonly author: Wish['author']; readonly given: Json | null },
): ReadingProbe {
  const wish: Wish = {
    action: acting.name,
    arguments: given,
    author,
    malformed: null,
    claims: null,
    hosts: [],
    reservation: { tokens: 0, usdMicros: 0, calls: 1 },
    granted: null,
  };
  const asked = policyFields(state, wish, acting, { read: [], write: [], writ: state.law?.writ ?? null, at });
  // Some members are worked out when they are asked for: they are taken over as they are, not read.
  const members = Object.getOwnPropertyDescriptors(asked);
  const withPaths = (more: { readonly [key: string]: Json }): Json =>
    Object.create(Object.prototype, {
      ...members,
      ...Object.fromEntries(Object.entries(more).map(([name, value]) => [name, { value, enumerable: true }])),
    }) as Json;
  const { arguments: _, ...rest } = members;
  const nowhere = Object.create(Object.prototype, {
    ...(given === null ? rest : members),
    paths: { value: { write: [], autoRun: false }, enumerable: true },
  }) as Json;
  return {
    nowhere,
    of: (path) => withPaths({ paths: { read: [path], write: [], autoRun: false }, ...(given === null ? { arguments: { path } } : {}) }),
  };
}

/** The masked files, folders in their place where everything in them is masked and they are denied themselves. */
function places(masked: ReadonlySet<string>, all: readonly string[], denied: (path: string) => boolean): readonly string[] {
  const whole = new Set([...masked].flatMap(foldersOf));
  for (const path of all) if (!masked.has(path)) for (const folder of foldersOf(path)) whole.delete(folder);
  const found = new Set<string>();
  for (const path of masked) {
    const folder = foldersOf(path).find((each) => whole.has(each) && denied(`${each}/**`));
    found.add(folder === undefined ? path : `${folder}/**`);
  }
  return [...found].sort();
}

/** The folders that a path stands in, the outermost first. */
function foldersOf(path: string): string[] {
  const folders: string[] = [];
  for (let end = path.indexOf('/'); end > 0; end = path.indexOf('/', end + 1)) folders.push(path.slice(0, end));
  return folders;
}
