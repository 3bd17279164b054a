/**
 * Everything that can go wrong in a simulation, by name, and how often each did. A kind that never happens in a long row of seeds shows nothing, so the
 * counts are kept and told. ARCHITECTURE §2 "simulation".
 */
import type { Chance } from './chance.ts';

/** What may go wrong around one append or one reading. */
export const STORE_FAULTS = [
  'store.conflict',
  'store.lawMoves',
  'store.busy',
  'store.lostCommit',
  'store.silentCommit',
  'store.duplicate',
  'store.full',
  'store.unreadable',
] as const;
/** Answers of a model that are none, or too much. They belong to the seed, not to the moment: asked again, the model says the same. */
export const MODEL_ODDITIES = [
  'model.garbage',
  'model.truncated',
  'model.refusal',
  'model.loop',
  'model.malformed',
  'model.surrogate',
  'model.flood',
  'model.noUsage',
  'model.overspends',
] as const;
/** Moments in which a provider does not answer; the next attempt gets the answer. */
export const MODEL_FAILURES = ['model.server', 'model.timeout', 'model.rateLimited', 'model.unreachable'] as const;
/** What may become of a command, or of any other execution. */
export const SANDBOX_FAULTS = [
  'sandbox.unavailable',
  'sandbox.killed',
  'sandbox.overrun',
  'sandbox.undeclared',
  'sandbox.network',
  'sandbox.smuggled',
] as const;
/** What clocks of machines do. */
export const CLOCK_FAULTS = ['clock.setBack', 'clock.jumps'] as const;
/** What people and strangers do instead of one good vote. */
export const VOTE_FAULTS = [
  'vote.twice',
  'vote.stranger',
  'vote.runtimeKey',
  'vote.wrongRole',
  'vote.otherDigest',
  'vote.otherRequest',
  'vote.forged',
  'vote.late',
  'vote.veto',
  'vote.keyRetired',
  'vote.writRevoked',
] as const;
/** What happens to drivers. */
export const DRIVER_FAULTS = [
  'driver.crash',
  'driver.rival',
  'driver.busy',
  'driver.stopped',
  'driver.noModel',
  'run.rewound',
  'run.paused',
  'run.cancelled',
  'writ.revoked',
] as const;
/** How a seed may be set up besides. */
export const SETTINGS = ['writ.standing', 'writ.sibling', 'writ.overdrawn', 'config.noModel', 'config.noTests', 'budget.small'] as const;

/** Every kind. */
export const FAULT_KINDS = [
  ...STORE_FAULTS,
  ...MODEL_ODDITIES,
  ...MODEL_FAILURES,
  ...SANDBOX_FAULTS,
  ...CLOCK_FAULTS,
  ...VOTE_FAULTS,
  ...DRIVER_FAULTS,
  ...SETTINGS,
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];
export type StoreFault = (typeof STORE_FAULTS)[number];
export type SandboxFault = (typeof SANDBOX_FAULTS)[number];
export type VoteFault = (typeof VOTE_FAULTS)[number];
/** Times each kind happened. */
export type Tally = Partial<Record<FaultKind, number>>;

/** Counts one. */
export function count(tally: Tally, kind: FaultKind): void {
  tally[kind] = (tally[kind] ?? 0) + 1;
}

/** How hard a run is treated: one in so many; 0 is never. */
export interface Trouble {
  readonly crash: number;
  readonly store: number;
  readonly modelFails: number;
  /** A second driver takes over while the first works. */
  readonly rival: number;
  /** Whether drivers hold a lease, so that a second one is refused. */
  readonly lease: boolean;
  /** A driver is asked to stop. */
  readonly stop: number;
  /** A driver comes without a model. */
  readonly noModel: number;
  /** What somebody asks for at a drawn drive. */
  readonly intervene: 'none' | 'pause' | 'cancel' | 'revoke';
  /** Between drives somebody goes back to a drawn stage entry, one time in so many. */
  readonly rewind: number;
  readonly sandbox: number;
  readonly clock: number;
  /** A vote is preceded or replaced by something else. */
  readonly votes: number;
  /** Which of the votes' faults: those that change the story, or only those that must not. */
  readonly votesMayDecide: boolean;
}

/** Nothing goes wrong. */
export const CALM: Trouble = {
  crash: 0,
  store: 0,
  modelFails: 0,
  rival: 0,
  lease: true,
  stop: 0,
  noModel: 0,
  intervene: 'none',
  rewind: 0,
  sandbox: 0,
  clock: 0,
  votes: 0,
  votesMayDecide: false,
};

/** Draws the trouble of a seed. About half of the seeds get only what must not change the end of the run, so that both ends can be compared. */
export function troubleOf(draw: Chance): Trouble {
  const harmless: Trouble = {
    ...CALM,
    crash: draw.pick([0, 6, 15, 40]),
    store: draw.pick([0, 5, 12]),
    modelFails: draw.pick([0, 0, 4]),
    rival: draw.pick([0, 0, 2]),
    lease: draw.once(2),
    stop: draw.pick([0, 0, 25]),
    noModel: draw.pick([0, 0, 0, 4]),
    intervene: draw.pick(['none', 'none', 'pause']),
    votes: draw.pick([0, 2]),
  };
  if (draw.once(2)) return harmless;
  return {
    ...harmless,
    intervene: draw.pick(['none', 'none', 'pause', 'cancel', 'revoke']),
    rewind: draw.pick([0, 0, 3]),
    sandbox: draw.pick([0, 0, 4, 9]),
    clock: draw.pick([0, 0, 6]),
    votes: 1,
    votesMayDecide: true,
  };
}

/** Whether what happened may have changed how the run ends. */
export function changedTheStory(tally: Tally): boolean {
  const changing: readonly FaultKind[] = [
    ...SANDBOX_FAULTS,
    ...CLOCK_FAULTS,
    'vote.late',
    'vote.veto',
    'vote.keyRetired',
    'vote.writRevoked',
    'run.cancelled',
    'run.rewound',
    'writ.revoked',
  ];
  return changing.some((kind) => (tally[kind] ?? 0) > 0);
}
