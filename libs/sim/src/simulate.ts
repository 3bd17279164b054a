/**
 * One seed, told twice: a run that nothing disturbs, and the same run under crashes, a misbehaving store, strangers who append, and second drivers.
 * Whatever happens, the ledger must check out; where nothing was lost, both must end in the same tree. ARCHITECTURE §2 "simulation".
 */
import { canonicalText } from '@openexec/canon';
import { changedFiles, committedTree, type RunState } from '@openexec/kernel';
import { chanceOf } from './chance.ts';
import type { Checked } from './check.ts';
import { play, type Trouble } from './play.ts';

const CALM: Trouble = { crash: 0, store: 0, modelFails: 0, rival: 0, lease: true, intervene: 'none', rewind: 0 };

/** What came of a seed. */
export interface SimReport {
  readonly seed: string;
  readonly outcome: string;
  readonly entries: number;
  readonly drives: number;
  readonly crashes: number;
  readonly faults: number;
  readonly busy: number;
  readonly rewinds: number;
  /** Whether the disturbed run could be held against the calm one: nothing lost, nothing intervened. */
  readonly compared: boolean;
  readonly problems: readonly string[];
}

/** Simulates a seed. Never throws for what it looks for: problems are in the report. */
export async function simulate(seed: string): Promise<SimReport> {
  const draw = chanceOf(`${seed}/trouble`);
  const trouble: Trouble = {
    crash: draw.pick([0, 6, 15, 40]),
    store: draw.pick([0, 5, 12]),
    modelFails: draw.pick([0, 0, 4]),
    rival: draw.pick([0, 0, 2]),
    lease: draw.once(2),
    intervene: draw.pick(['none', 'none', 'none', 'pause', 'cancel', 'revoke']),
    rewind: draw.pick([0, 0, 3]),
  };
  const options = { withNotice: draw.once(2), small: draw.once(6) };
  const calm = await play(seed, CALM, options);
  const hard = await play(seed, trouble, options);
  const problems = [...calm.checked.problems.map((one) => `calm: ${one}`), ...hard.checked.problems];
  const compared =
    !options.small && comparable(hard.checked) && trouble.intervene !== 'cancel' && trouble.intervene !== 'revoke' && trouble.rewind === 0;
  if (compared) problems.push(...differences(calm.checked.state, hard.checked.state));
  const { drives, crashes, faults, busy, rewinds } = hard.count;
  return {
    seed,
    outcome: hard.checked.state.closed?.outcome ?? 'open',
    entries: hard.checked.events.length,
    drives,
    crashes,
    faults,
    busy,
    rewinds,
    compared,
    problems,
  };
}

/** A lost effect or a model asked too often changes what follows, rightly. */
function comparable({ events }: Checked): boolean {
  return !events.some(
    (event) =>
      event.kind === 'execution.lost' ||
      (event.kind === 'stage.left' && event.body.outcome === 'failed' && event.body.because.code.startsWith('model.')),
  );
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
  return told(calm) === told(hard) ? [] : [`world: undisturbed ${told(calm)}, disturbed ${told(hard)}`];
}
