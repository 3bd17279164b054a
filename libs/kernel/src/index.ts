/**
 * The kernel: three pure functions. `evolve` folds, `judge` decides, `pending` says what the hands have to do. It knows no clock, no chance, no
 * file, no network and no database (ARCHITECTURE §2).
 */
export { evolve, initialState, isFact } from './fold.ts';
export { type DecidedAgain, decideAgain, type RecordedPoint } from './again.ts';
export { policiesInForce, type PoliciesInForce } from './policies.ts';
export { type DelegationBase, delegationInHand } from './delegation.ts';
export { judge } from './judge.ts';
export { pending } from './pending.ts';
export type { PendingEffect } from './pending.ts';
export { neededBlobs } from './hydrate.ts';
export { foldOfImage, IMAGE_FORMAT, imageOf } from './image.ts';
export { readRunLaw } from './open.ts';
export { KERNEL_FLAGS, KERNEL_VERSION } from './flags.ts';
export { resultBranch } from './execution.ts';
export { committedListing, committedTree } from './tree.ts';
export { type RewindTarget, rewindProblem, rewindTargets } from './rewind.ts';
export { changedFiles, lookUp, recordOf, worldRoot } from './world.ts';
export type { Resource, World } from './world.ts';
export type { Judgement, KernelBlob } from './emit.ts';
export type { EventOf, FactEvent, IntentState, OpenRequest, QueuedFact, RunEvent, RunLaw, RunState, StageState } from './state.ts';
export { CANARY_TENANT } from './selfTest.ts';
