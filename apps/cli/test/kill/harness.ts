/**
 * Whole runs under SIGKILL: each seed is a fresh repository and ledger, a run through the real bundle that is shot down at a seeded moment, and
 * `resume` from new processes that may be shot down too; in the end the result has to be the one of the run that nobody disturbed.
 * A seed fixes the moments that are aimed at, not what the machine has done by then: where a kill landed is read from the ledger and reported.
 * GOALS §1 E06, §4; MECHANICS "Crash harness".
 */
import { brokenIn, type RunFact } from './facts.ts';
import { outliving, Scene, type Shot } from './scene.ts';

/** The run that nobody disturbed. */
export interface Calm {
  readonly tree: string;
  /** Of the whole process, from spawn to exit. */
  readonly durationMs: number;
  readonly events: number;
}
/** Where a kill hit: the kind of the last durable entry of the run, or a word where there is no open run. */
export type Landed = string;
const BEFORE = 'before run.opened';
const AFTER = 'after run.closed';

/** How one seed came out. */
export interface SeedReport {
  readonly seed: number;
  readonly landings: readonly Landed[];
  /** Everything that is wrong; empty when all held. */
  readonly faults: readonly string[];
  /** Effects that took place more than once. */
  readonly doubled: number;
  /** The run was given up lawfully, because its one ask was interrupted as often as the kernel allows. */
  readonly givenUp: boolean;
}
/** All seeds together. */
export interface KillReport {
  readonly calm: Calm;
  readonly seeds: readonly SeedReport[];
  /** Kills that hit a run between `run.opened` and `run.closed`. */
  readonly live: number;
  readonly kills: number;
  readonly doubled: number;
  readonly faults: readonly string[];
  readonly distribution: readonly (readonly [Landed, number])[];
}
/** What to play. */
export interface KillOptions {
  /** The bundle's entry file. */
  readonly entry: string;
  readonly seeds: readonly number[];
  readonly workers: number;
  /** Told of each seed as it ends. */
  readonly onSeed?: (report: SeedReport) => void;
  /** Leave the place of a seed with faults where it is. */
  readonly keepFaulty?: boolean;
}

const MORE_KILLS = 3;
/** Chance that the next process is shot down too. */
const AGAIN = 0.4;
/** After an event was told, the effect that follows it takes about this long. */
const MAX_EVENT_DELAY_MS = 40;
/** The kernel asks so often again before it gives up (`model.interrupted`). */
const MAX_ASKS = 3;

/** Plays every seed; rejects when the undisturbed run itself does not come out. */
export async function killRuns(options: KillOptions): Promise<KillReport> {
  const calm = await calmRun(options.entry);
  const queue = [...options.seeds];
  const seeds: SeedReport[] = [];
  const work = async (): Promise<void> => {
    for (let seed = queue.shift(); seed !== undefined; seed = queue.shift()) {
      const report = await killRun(seed, calm, options);
      seeds.push(report);
      options.onSeed?.(report);
    }
  };
  await Promise.all(Array.from({ length: options.workers }, work));
  return summed(calm, seeds);
}

function summed(calm: Calm, seeds: readonly SeedReport[]): KillReport {
  const landings = seeds.flatMap((report) => report.landings);
  const counts = new Map<Landed, number>();
  for (const landing of landings) counts.set(landing, (counts.get(landing) ?? 0) + 1);
  return {
    calm,
    seeds,
    kills: landings.length,
    live: landings.filter((landing) => landing !== BEFORE && landing !== AFTER).length,
    doubled: seeds.reduce((sum, { doubled }) => sum + doubled, 0),
    faults: seeds.flatMap(({ seed, faults }) => faults.map((fault) => `seed ${seed}: ${fault}`)),
    distribution: [...counts].sort(([, one], [, other]) => other - one),
  };
}

async function calmRun(entry: string): Promise<Calm> {
  const scene = await Scene.make(entry);
  try {
    const life = await scene.drive('run', null);
    if (life.exit !== 0) throw new Error(`the undisturbed run ended with ${life.exit}: ${life.stderr}`);
    const outcome = await checked(scene, { resumes: 0, calm: null });
    if (outcome.faults.length > 0) throw new Error(`the undisturbed run: ${outcome.faults.join('; ')}`);
    return { tree: outcome.tree, durationMs: life.durationMs, events: life.stdout.trimEnd().split('\n').length };
  } finally {
    scene.remove();
  }
}

/** One seed from the empty place to the checked end. */
async function killRun(seed: number, calm: Calm, options: KillOptions): Promise<SeedReport> {
  const scene = await Scene.make(options.entry);
  const faults: string[] = [];
  let doubled = 0;
  let played: Played = { landings: [], resumes: 0, givenUp: false };
  try {
    played = await play(scene, shotsOf(seed, calm), faults);
    if (faults.length === 0) {
      const outcome = await checked(scene, { resumes: played.resumes, calm: played.givenUp ? null : calm, givenUp: played.givenUp });
      faults.push(...outcome.faults);
      doubled = outcome.doubled;
    }
  } catch (error) {
    faults.push(error instanceof Error ? error.message : String(error));
  }
  const kept = faults.length > 0 && options.keepFaulty === true;
  if (kept) faults.push(`everything of it is in ${scene.folder}`);
  else scene.remove();
  return { seed, landings: played.landings, faults, doubled, givenUp: played.givenUp };
}

interface Played {
  readonly landings: readonly Landed[];
  readonly resumes: number;
  readonly givenUp: boolean;
}

/** Processes one after the other until one ends by itself. */
async function play(scene: Scene, shots: readonly Shot[], faults: string[]): Promise<Played> {
  const landings: Landed[] = [];
  let resumes = 0;
  for (let life = 0; ; life++) {
    const { last, closed } = life === 0 ? { last: null, closed: false } : scene.landing();
    const command = last === null ? 'run' : 'resume';
    if (command === 'resume') resumes += 1;
    const ended = await scene.drive(command, shots[life] ?? null);
    if (!ended.killed) {
      const outcome = outcomeOf({
        exit: ended.exit,
        closed,
        stderr: ended.stderr,
        asksHit: landings.filter((kind) => kind === 'model.asked').length,
      });
      if (outcome === 'wrong')
        faults.push(`${command} as process ${life + 1} ended with ${ended.exit}: ${ended.stderr.trim().slice(-500)}`);
      return { landings, resumes, givenUp: outcome === 'givenUp' };
    }
    const boxed = scene.boxed();
    const hit = scene.landing();
    landings.push(hit.closed ? AFTER : (hit.last ?? BEFORE));
    if (hit.last === null && (await scene.exitOf('verify')) !== 0)
      faults.push('the ledger of a run that was killed before it was opened does not verify');
    const orphans = await outliving(boxed);
    if (orphans.length > 0) faults.push(`${orphans.length} processes of the sandbox outlived the runtime`);
  }
}

/** What the last process may end with: done; or, where the run had been closed before the kill, that there is nothing to resume. */
function outcomeOf(end: {
  readonly exit: number | null;
  readonly closed: boolean;
  readonly stderr: string;
  readonly asksHit: number;
}): 'done' | 'givenUp' | 'wrong' {
  if (end.closed) return end.exit === 2 && end.stderr.includes('run.closed') ? 'done' : 'wrong';
  if (end.exit === 0) return 'done';
  return end.exit === 30 && end.asksHit >= MAX_ASKS ? 'givenUp' : 'wrong';
}

/** Half of the seeds aim by the clock, from before the run is opened to after it is closed; half by the events that the process tells. */
function shotsOf(seed: number, calm: Calm): readonly Shot[] {
  const chance = chanceOf(seed);
  const shots: Shot[] = [];
  do {
    const byClock = chance() < 0.5;
    const moment = chance();
    shots.push(
      byClock
        ? { after: 'start', delayMs: moment * calm.durationMs }
        : { after: 'event', count: 1 + Math.floor((moment * calm.events) / (shots.length + 1)), delayMs: chance() * MAX_EVENT_DELAY_MS },
    );
  } while (shots.length <= MORE_KILLS && chance() < AGAIN);
  return shots;
}

/** Numbers in [0, 1) that a seed fixes: mulberry32, whose neighbouring seeds differ at once. */
function chanceOf(seed: number): () => number {
  let state = Math.imul(seed, 0x9e3779b1) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Outcome {
  readonly tree: string;
  readonly faults: readonly string[];
  readonly doubled: number;
}

/** Holds ledger, git and processes against what must be; `calm` null: there is nothing to compare the tree with. */
async function checked(
  scene: Scene,
  ran: { readonly resumes: number; readonly calm: Calm | null; readonly givenUp?: boolean },
): Promise<Outcome> {
  const facts = factsOf(await scene.type('ledger', 'read', '--jsonl'));
  const broken = brokenIn(facts, ran.resumes);
  const faults = broken.map(({ message }) => message);
  const want = (holds: boolean, message: string): void => {
    if (!holds) faults.push(message);
  };
  const verified = JSON.parse(await scene.type('verify', '--json')) as { readonly level: string };
  want(verified.level === 'signed', `the ledger is ${verified.level}: no tree head was made after the close`);
  want((await scene.exitOf('verify', '--deep')) === 0, 'verify --deep does not exit 0');
  const replayed = JSON.parse(await scene.type('replay', 'latest', '--json')) as {
    readonly verdict: string;
    readonly tree: string;
    readonly commit: string;
  };
  want(replayed.verdict === 'agrees', `replay ${replayed.verdict}`);
  const branches = (await scene.git('for-each-ref', '--format=%(refname) %(objectname) %(tree)', 'refs/heads/openexec/'))
    .split('\n')
    .filter((line) => line !== '');
  const [ref = '', commit = ''] = branches[0]?.split(' ') ?? [];
  want(branches.length === (ran.givenUp === true ? 0 : 1), `there are ${branches.length} branches of the run`);
  const tree = ref === '' ? '' : (await scene.git('rev-parse', `${ref}^{tree}`)).trim();
  let made = 0;
  if (ref !== '') {
    want(
      replayed.commit === commit && replayed.tree === tree,
      `replay came to ${replayed.commit} with ${replayed.tree}, git has ${commit} with ${tree}`,
    );
    made = (await scene.git('reflog', 'show', '--format=%H', ref)).split('\n').filter((line) => line !== '').length;
    want(made === 1, `the branch was set ${made} times`);
  }
  want(ran.calm === null || tree === ran.calm.tree, `the tree is ${tree}, undisturbed it is ${ran.calm?.tree ?? ''}`);
  const objects = await scene.git('cat-file', '--batch-all-objects', '--batch-check=%(objecttype)');
  const commits = objects.split('\n').filter((type) => type === 'commit').length;
  want(commits <= 2, `${commits} commits were written, one is the base`);
  want((await scene.git('status', '--porcelain', '--', '.', ':!.openexec')) === '', 'the checkout was touched');
  const orphans = await outliving(scene.boxed());
  want(orphans.length === 0, `${orphans.length} processes of the sandbox are left`);
  return { tree, faults, doubled: broken.filter((each) => each.doubled).length + Number(made > 1 || commits > 2 || branches.length > 1) };
}

/** The entries of the run from `ledger read --jsonl`. */
export function factsOf(lines: string): readonly RunFact[] {
  return lines
    .trimEnd()
    .split('\n')
    .flatMap((line) => {
      const { entry, payload } = JSON.parse(line) as { readonly entry: string; readonly payload: string };
      const { trajectory, seq, kind } = JSON.parse(entry) as { readonly trajectory: string; readonly seq: number; readonly kind: string };
      // The verifier, which has the last word on the same ledger, admits an entry only with a body of its kind.
      return trajectory.startsWith('run/') ? [{ seq, kind, body: JSON.parse(payload) } as RunFact] : [];
    });
}
