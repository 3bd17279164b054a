/**
 * Effects replay: the recorded workspace actions of a run again, by the same hands, in a fresh workspace, each from the tree that the ledger says was
 * committed before it, and each held against what is recorded. Must never append, land, or perform what reaches beyond the workspace (PROTOCOL §10).
 */
import { type Difference, driftOf, treeOfListing } from '@openexec/audit';
import { type Json, ok, parseCanonical, type Result, type TrajectoryId } from '@openexec/canon';
import type { StopSignal } from '@openexec/catalogue';
import { committedListing, committedTree, type RunState } from '@openexec/kernel';
import type { Blob } from '@openexec/ledger';
import { type BlobRef, type FileChange, fileChange, type InlineOrBlob, type TreeEntry } from '@openexec/protocol';
import { execute, type ExecuteEffect, type ExecutionFact, type Performed, rebuildTree, workspaceRefusal } from './execute.ts';
import { refuse, type RuntimeFailure } from './failure.ts';
import type { Hands } from './hands.ts';
import { type Answer, recordedRun, type RecordedEffect } from './recorded.ts';

/** What is held against the record, in words. */
export const COMPARED = [
  'how the action ended',
  'exit code',
  'every changed file by mode and git id',
  'paths beyond the declaration',
] as const;
/** Held against it for actions that run no command, whose words are theirs alone. */
export const COMPARED_WITHOUT_COMMAND = ['digest of the output', 'digest of each artifact'] as const;
/** What is not, because it differs from time to time. */
export const NOT_COMPARED = [
  'durations',
  'what commands print and the reports made of it',
  'paths that a check left behind and that were put back',
  'packets that were refused',
] as const;

/** What became of one recorded execution. */
export interface ActionReplay {
  /** Position of its `execution.started`. */
  readonly seq: number;
  readonly stage: string | null;
  readonly visit: number;
  readonly action: string;
  /**
   * `external`: it reaches beyond the workspace and is never performed again. `unanswered`: nobody recorded how it went. `stopped`: a person ended it.
   */
  readonly skipped: 'external' | 'unanswered' | 'stopped' | null;
  /** Both values of everything compared that differs; `expected` is what is recorded, `recorded` what came now. */
  readonly differs: readonly Difference[];
  /** What is not compared and came out otherwise. */
  readonly varied: readonly string[];
}
/** An effects replay. The trees are git's ids. */
export interface EffectsReplay {
  readonly actions: readonly ActionReplay[];
  readonly expectedTree: string;
  /** What the actions made this time: read from the workspace by git where nothing differs, else made of what each left. */
  readonly actualTree: string | null;
}
/** The hands of an effects replay: of a driver's, those that perform. The ledger is only read. */
export interface Reperform {
  readonly run: TrajectoryId;
  readonly hands: Pick<Hands, 'ledger' | 'host' | 'redact' | 'workspace'>;
  readonly stop: StopSignal;
  /** Told of each action once it is compared. */
  onAction?(action: ActionReplay): void;
}

/** Performs them. The workspace must be fresh: what it holds is replaced. `replay.stopped` after a stop. */
export async function replayEffects(order: Reperform): Promise<Result<EffectsReplay, RuntimeFailure>> {
  const { hands, run, stop } = order;
  const recorded = await recordedRun(hands.ledger, run);
  if (!recorded.ok) return recorded;
  const { effects, end } = recorded.value;
  if (end.law === null)
    return refuse('run.unreadable', `${run} was opened under a law that does not hold; there is nothing to perform again`);
  const replay = new Replay(hands, end.law.base);
  for (const one of effects) {
    if (stop.stopped) return stopped();
    const { effect } = one;
    if (effect.do !== 'execute') continue;
    const done = await replay.perform(one, effect, stop);
    if (!done.ok) return done;
    order.onAction?.(done.value);
  }
  return replay.finish(end);
}

const stopped = () => refuse('replay.stopped', 'the replay was stopped; nothing was recorded and nothing landed');

type Place = Pick<TreeEntry, 'mode' | 'oid'>;

class Replay {
  readonly #hands: Reperform['hands'];
  readonly #actions: ActionReplay[] = [];
  /** What the actions made this time, whatever is recorded of it. */
  readonly #made: Map<string, Place>;
  /** The committed state that the workspace holds; null where it is to be made again. */
  #held: string | null = null;
  #last: RunState | null = null;

  constructor(hands: Reperform['hands'], base: ReadonlyMap<string, Place>) {
    this.#hands = hands;
    this.#made = new Map(base);
  }

  async perform(one: RecordedEffect, effect: ExecuteEffect, stop: StopSignal): Promise<Result<ActionReplay, RuntimeFailure>> {
    const { before, answer, after, committed } = one;
    this.#follow(before);
    this.#last = after;
    const skipped = whySkipped(one, effect);
    const said = {
      seq: effect.startedSeq,
      stage: before.stage?.id ?? null,
      visit: before.stage?.visit ?? 0,
      action: effect.action,
      skipped,
    };
    if (skipped !== null || answer === null) return ok(this.#note({ ...said, differs: [], varied: [] }));
    const ready = await this.#ready(before);
    if (!ready.ok) return ready;
    const driven = { driver: before.driver, epoch: before.epoch };
    const performed = await execute({ hands: this.#hands, state: before, driven }, effect, stop);
    if (!performed.ok) return performed;
    if (performed.value === null || stop.stopped) return stopped();
    const compared = await this.#compare(answer, performed.value.fact, before.law?.actions.get(effect.action)?.command !== null);
    if (!compared.ok) return compared;
    if (committed) this.#take(performed.value.changes);
    const settled = await this.#settle(performed.value, { after, kept: committed && compared.value.differs.length === 0 });
    return settled.ok ? ok(this.#note({ ...said, ...compared.value })) : settled;
  }

  /** The workspace at the end, by git; where something differs, what the actions made. */
  async finish(end: RunState): Promise<Result<EffectsReplay, RuntimeFailure>> {
    this.#follow(end);
    const expectedTree = committedTree(end);
    const sheet = { actions: this.#actions, expectedTree };
    const format = end.law?.opened.base.objectFormat ?? 'sha1';
    if (this.#actions.some(({ differs }) => differs.length > 0)) return ok({ ...sheet, actualTree: treeOfListing(this.#made, format) });
    const ready = await this.#ready(end);
    if (!ready.ok) return ready;
    const tree = await this.#hands.workspace.tree();
    return tree.ok ? ok({ ...sheet, actualTree: tree.value }) : workspaceRefusal(tree.error);
  }

  #note(action: ActionReplay): ActionReplay {
    this.#actions.push(action);
    return action;
  }

  /** Brings the workspace to a committed state of the ledger, unless it is there. */
  async #ready(state: RunState): Promise<Result<void, RuntimeFailure>> {
    const wanted = committedTree(state);
    if (this.#held === wanted) return ok(undefined);
    const rebuilt = await rebuildTree({ hands: this.#hands, state });
    if (rebuilt.ok) this.#held = wanted;
    return rebuilt;
  }

  /** As a driver does it: what was committed is taken over, anything else is put back. */
  async #settle(
    { changes }: Performed,
    { after, kept }: { readonly after: RunState; readonly kept: boolean },
  ): Promise<Result<void, RuntimeFailure>> {
    const { workspace } = this.#hands;
    if (kept && changes.length === 0) return ok(undefined);
    this.#held = null;
    const done = kept ? await workspace.accept(changes) : await workspace.restore();
    if (!done.ok) return workspaceRefusal(done.error);
    if (!kept) return ok(undefined);
    const tree = await workspace.tree();
    if (!tree.ok) return workspaceRefusal(tree.error);
    // What git makes of the workspace is believed, not what was meant.
    if (tree.value === committedTree(after)) this.#held = tree.value;
    return ok(undefined);
  }

  /** What the ledger put back between two actions, by a rewind, was made by no action: it is taken over. */
  #follow(state: RunState): void {
    const last = this.#last;
    this.#last = state;
    if (last === null || last.world === state.world) return;
    const [old, now] = [last, state].map((one) => new Map(committedListing(one).map((entry) => [entry.path, entry])));
    if (old === undefined || now === undefined) return;
    for (const [path, { mode, oid }] of now)
      if (old.get(path)?.oid !== oid || old.get(path)?.mode !== mode) this.#made.set(path, { mode, oid });
    for (const path of old.keys()) if (!now.has(path)) this.#made.delete(path);
  }

  #take(changes: readonly FileChange[]): void {
    for (const { path, after } of changes) {
      if (after === null) this.#made.delete(path);
      else this.#made.set(path, { mode: after.mode, oid: after.oid });
    }
  }

  async #compare(
    answer: Answer,
    now: ExecutionFact,
    command: boolean,
  ): Promise<Result<Pick<ActionReplay, 'differs' | 'varied'>, RuntimeFailure>> {
    const recorded = await this.#told(answer, []);
    if (!recorded.ok) return recorded;
    const made = await this.#told(now, now.blobs);
    if (!made.ok) return made;
    const facts = driftOf(recorded.value.facts, made.value.facts);
    // An end of another kind has other words in any case.
    const words = answer.kind === now.kind ? driftOf(recorded.value.words, made.value.words) : [];
    if (!command) return ok({ differs: [...facts, ...words], varied: [] });
    return ok({ differs: facts, varied: words.map(({ path }) => path.slice(1)) });
  }

  /** What is said of how an action went: facts, and the words around them. */
  async #told(
    said: Answer | ExecutionFact,
    brought: readonly Blob[],
  ): Promise<Result<{ readonly facts: Json; readonly words: Json }, RuntimeFailure>> {
    switch (said.kind) {
      case 'execution.observed': {
        const { status, exitCode, output, artifacts } = said.body;
        const changes = await this.#changes(said.body.changes, brought);
        if (!changes.ok) return changes;
        const made = Object.fromEntries(artifacts.map(({ name, blob }) => [name, blob.digest]));
        return ok({ facts: { end: said.kind, status, exitCode, files: changes.value }, words: { output: output.digest, artifacts: made } });
      }
      case 'execution.failed':
        return ok({ facts: { end: said.kind, error: said.body.error.code }, words: { output: digestOr(said.body.output) } });
      case 'effect.undeclared':
        return ok({ facts: { end: said.kind, because: said.body.because.code, paths: said.body.paths }, words: {} });
      default:
        return refuse('run.unreadable', `an execution was answered by ${said.kind}`);
    }
  }

  async #changes(value: InlineOrBlob, brought: readonly Blob[]): Promise<Result<Json, RuntimeFailure>> {
    let json: Json | undefined;
    if ('inline' in value) json = value.inline;
    else {
      const near = brought.find(({ digest }) => digest === value.blob.digest)?.bytes;
      const bytes = near === undefined ? await this.#hands.ledger.blob(value.blob.digest) : ok(near);
      const parsed = bytes.ok ? parseCanonical(bytes.value) : bytes;
      json = parsed.ok ? parsed.value : undefined;
    }
    const list = fileChange.array().safeParse(json);
    if (!list.success) return refuse('run.unreadable', 'a recorded list of changes cannot be read');
    return ok(Object.fromEntries(list.data.map(({ path, after }) => [path, after === null ? 'deleted' : `${after.mode} ${after.oid}`])));
  }
}

const digestOr = (blob: BlobRef | null): Json => blob?.digest ?? null;

function whySkipped({ before, answer }: RecordedEffect, effect: ExecuteEffect): ActionReplay['skipped'] {
  const contract = before.law?.actions.get(effect.action);
  const inWorkspace = contract !== undefined && (contract.effect === 'pure' || contract.effect === 'read' || contract.effect === 'write');
  if (!inWorkspace) return 'external';
  if (answer === null) return 'unanswered';
  return answer.kind === 'execution.failed' && answer.body.error.code === 'run.stopped' ? 'stopped' : null;
}
