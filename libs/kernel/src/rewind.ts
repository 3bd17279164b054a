/**
 * Going back to a stage entry: which entries a rewind can reach, why it may not, and the delta that puts the world back. Pure questions about a
 * state; what is written about them stands in rewound.ts (PROTOCOL §4.3, last paragraph).
 */
import { canonicalText, type Digest } from '@openexec/canon';
import { mapEntries } from '@openexec/proof';
import type { DeltaStep, Reason, RunRewound } from '@openexec/protocol';
import type { CommitMark, RunState, StageMark } from './state.ts';
import { lookUp, type Resource, type World } from './world.ts';

/** A delta and the ids it undoes stay under the size of a payload (PROTOCOL §2). */
const MAX_UNDONE = 700;

/** One stage entry of the run as it stands, newest first; `problem` says why the run cannot go back to it now. */
export interface RewindTarget {
  readonly stage: string;
  readonly visit: number;
  /** Position of its `stage.entered`. */
  readonly seq: number;
  /** Commits that changed the world since. */
  readonly undoes: number;
  readonly problem: Reason | null;
}

/** A rewind by a new driver takes the run over, as `run.resumed` does; one by the driver in force does not. */
export function takesOver(state: RunState, body: Pick<RunRewound, 'epoch'>): boolean {
  return body.epoch > state.epoch;
}

/** The entry that is meant; an entry that an earlier rewind went back over is none any more. */
export function markOf(state: RunState, to: Pick<RunRewound, 'stage' | 'visit'>): StageMark | null {
  for (let mark = state.marks; mark !== null; mark = mark.earlier) if (mark.stage === to.stage && mark.visit === to.visit) return mark;
  return null;
}

/** Ids of the commits since an entry that changed the world, newest first. */
export function undoneBy(state: RunState, mark: StageMark): Digest[] {
  const undone: Digest[] = [];
  for (let made: CommitMark | null = state.commits; made !== null && made.seq > mark.seq; made = made.earlier) undone.push(made.commit);
  return undone;
}

/** Every entry that the run could go back to, newest first. */
export function rewindTargets(state: RunState): RewindTarget[] {
  const targets: RewindTarget[] = [];
  for (let mark = state.marks; mark !== null; mark = mark.earlier) {
    const { stage, visit, seq } = mark;
    targets.push({ stage, visit, seq, undoes: undoneBy(state, mark).length, problem: problemWith(state, mark) });
  }
  return targets;
}

/** Why this rewind is refused, or null. What an earlier driver left open does not stand in the way of one that takes the run over. */
export function rewindProblem(state: RunState, body: RunRewound): Reason | null {
  if (!takesOver(state, body) && isOpen(state))
    return { code: 'rewind.busy', message: 'an execution or a model call is open; a run is rewound between them' };
  const mark = markOf(state, body);
  return mark === null
    ? { code: 'rewind.unknown', message: `the run as it stands has no entry of stage ${body.stage}, visit ${body.visit}` }
    : problemWith(state, mark);
}

function isOpen({ stage }: RunState): boolean {
  if (stage === null) return false;
  if (stage.ask !== null && stage.ask.ended === null) return true;
  return stage.intents.some(({ execution }) => execution !== null && execution.ended === null);
}

function problemWith(state: RunState, mark: StageMark): Reason | null {
  if (state.status === 'closed') return { code: 'run.closed', message: 'the run is closed' };
  const ending = state.overspent?.message ?? state.cancel;
  if (ending !== null) return { code: 'rewind.ending', message: `the run is about to end: ${ending}` };
  if (state.stage?.intents.some(({ delegation }) => delegation !== null) === true)
    return { code: 'rewind.delegated', message: 'a child run is open; a run is rewound once it has ended' };
  const { outside } = state;
  if (outside !== null && outside.seq > mark.seq)
    return {
      code: 'rewind.external',
      message: `${outside.action} was started at ${outside.seq}, after stage ${mark.stage} was entered; what it did outside the workspace cannot be put back`,
    };
  const limit = state.law?.stages.get(mark.stage)?.visitLimit ?? 0;
  if ((state.visits[mark.stage] ?? 0) >= limit)
    return {
      code: 'rewind.visits',
      message: `stage ${mark.stage} was visited ${limit} times; a rewind is one more visit and its cap is reached`,
    };
  const undone = undoneBy(state, mark).length;
  return undone > MAX_UNDONE
    ? { code: 'rewind.tooMany', message: `${undone} commits stand after it, more than ${MAX_UNDONE}; rewind to a later entry first` }
    : null;
}

/** The steps that give every resource the value it had at the entry; versions go on (PROTOCOL §8). */
export function compensation(state: RunState, mark: StageMark): DeltaStep[] {
  const steps: DeltaStep[] = [];
  for (const { value: now } of mapEntries(state.world)) {
    const step = stepBack(now, valueAt(state, mark.world, now));
    if (step !== null) steps.push(step);
  }
  return steps.sort((a, b) => (a.kind === b.kind ? order(a.id, b.id) : order(a.kind, b.kind)));
}

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** What a resource held: its value then, for a file that nobody had touched the base's, undefined for nothing. */
function valueAt(state: RunState, world: World, now: Resource): Resource['value'] | undefined {
  const old = lookUp(world, now.kind, now.id);
  if (old !== undefined) return old.retracted ? undefined : old.version === now.version ? now.value : old.value;
  const base = now.kind === 'file' ? state.law?.base.get(now.id) : undefined;
  return base === undefined ? undefined : { base: base.oid };
}

function stepBack(now: Resource, value: Resource['value'] | undefined): DeltaStep | null {
  const named = { kind: now.kind, id: now.id, version: now.version };
  if (value === undefined) return now.retracted ? null : { op: 'retract', ...named };
  if (now.retracted) return { op: 'create', ...named, value };
  // A file that came back to what it was by itself needs no step.
  return canonicalText(value) === canonicalText(now.value) ? null : { op: 'replace', ...named, value };
}
