/**
 * One seed: a run under crashes, a misbehaving store, model and sandbox, strangers who append, and second drivers; and, where nothing that happened may
 * change its end, the same run undisturbed, which must end in the same tree. ARCHITECTURE §2 "simulation".
 */
import { canonicalText, toHex } from '@openexec/canon';
import { changedFiles, committedTree, type RunState } from '@openexec/kernel';
import { chanceOf } from './chance.ts';
import type { Checked } from './check.ts';
import { CALM, changedTheStory, type Tally, type Trouble, troubleOf } from './faults.ts';
import { play, type Played, type PlayOptions } from './play.ts';

/** What came of a seed. */
export interface SimReport {
  readonly seed: string;
  readonly outcome: string;
  readonly entries: number;
  readonly drives: number;
  /** Moments after each of which every invariant was checked. */
  readonly steps: number;
  readonly tally: Tally;
  /** Whether the disturbed run could be held against the calm one: nothing lost, nothing intervened. */
  readonly compared: boolean;
  /** The end of the whole story: root of the ledger, steps, and what was found. Two plays of a seed give the same. */
  readonly trace: string;
  readonly problems: readonly string[];
}

/** How a seed is set up. */
export function settingOf(seed: string): { readonly trouble: Trouble; readonly options: PlayOptions } {
  const draw = chanceOf(`${seed}/trouble`);
  const trouble = troubleOf(draw);
  const options = {
    withNotice: draw.once(2),
    small: draw.once(6),
    standing: draw.once(3),
    quorum: draw.pick([1, 1, 2]),
    withModel: !draw.once(25),
    withTests: !draw.once(20),
  };
  return { trouble, options };
}

/** Simulates a seed. Never throws for what it looks for: problems are in the report. */
export async function simulate(seed: string): Promise<SimReport> {
  const { trouble, options } = settingOf(seed);
  const hard = await play(seed, trouble, options);
  const problems = [...hard.checked.problems];
  const compared = comparable(hard, options);
  if (compared) {
    const calm = await play(seed, CALM, options);
    problems.push(...calm.checked.problems.map((one) => `calm: ${one}`), ...differences(calm.checked.state, hard.checked.state));
  }
  const { drives, steps, tally, checked } = hard;
  return {
    seed,
    outcome: checked.state.closed?.outcome ?? 'open',
    entries: checked.events.length,
    drives,
    steps,
    tally,
    compared,
    trace: `${toHex(hard.root)} ${steps} ${problems.length}`,
    problems,
  };
}

/** A lost effect or a model asked too often changes what follows, rightly; so does a budget that retries eat up. */
function comparable({ checked, tally }: Played, { small }: PlayOptions): boolean {
  return !small && !changedTheStory(tally) && !checked.events.some((event) => changes(event));
}

/** What is recorded counts, also where its driver died before it could count it. */
function changes(event: Checked['events'][number]): boolean {
  if (event.kind === 'execution.lost' || event.kind === 'run.rewound' || event.kind === 'run.cancelRequested') return true;
  const left =
    event.kind === 'stage.left' ? (event.body as { readonly outcome: string; readonly because: { readonly code: string } }) : null;
  return left?.outcome === 'failed' && left.because.code.startsWith('model.');
}

function differences(calm: RunState, hard: RunState): string[] {
  const told = (state: RunState): string =>
    canonicalText({
      outcome: state.closed?.outcome ?? null,
      because: state.closed?.because.code ?? null,
      tree: committedTree(state),
      landed: state.landed?.tree ?? null,
      files: [...changedFiles(state.world)]
        .map(([path, file]) => [path, file?.blob ?? null])
        .sort((a, b) => (`${a[0]}` < `${b[0]}` ? -1 : 1)),
      artifacts: [...state.artifacts].map(([name, artifact]) => [name, artifact.version, artifact.blob.digest]),
      visits: { ...state.visits },
    });
  return told(calm) === told(hard) ? [] : [`end: undisturbed ${told(calm)}, disturbed ${told(hard)}`];
}
