/**
 * The shell: drives the kernel over its ports. The only driver of runs. ARCHITECTURE §3 floor 6, SEAM.
 */
export { spentOf } from './carve.ts';
export { CRASH_POINTS, type CrashPoint, DELEGATION_POINTS } from './crash.ts';
export { childOf } from './delegate.ts';
export { type Drive, driveRun } from './drive.ts';
export type { LedgerCode, OwnCode, RuntimeFailure } from './failure.ts';
export type { Delegating, Hands, Lease, Opening, RunReport } from './hands.ts';
export {
  bindSkillTo,
  type CastVote,
  castVote,
  type Noted,
  openChildren,
  requestCancel,
  requestCancelBelow,
  requestPause,
  type Speaker,
} from './notes.ts';
export { type Opened, type OpenPorts, openRun } from './open.ts';
export { loadLaw } from './read.ts';
export { type AskReplay, type ModelReplay, replayModel } from './reask.ts';
export {
  type ActionReplay,
  COMPARED,
  COMPARED_WITHOUT_COMMAND,
  type EffectsReplay,
  NOT_COMPARED,
  replayEffects,
} from './reperform.ts';
export { type Rewind, type Rewound, rewindRun } from './rewind.ts';
export {
  keyOfGround,
  type RecordedSelfTest,
  readSelfTest,
  recordSelfTest,
  type SelfTestGround,
  type SelfTestOrder,
  type SelfTestPorts,
  standsFor,
} from './selfTest.ts';
export { checkSnapshots, loadRun, type SnapshotCheck, type Snapshots } from './snapshots.ts';
export { NEVER, type StopSwitch, stopSwitch } from './stop.ts';
