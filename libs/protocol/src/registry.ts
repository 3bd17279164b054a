/**
 * The closed registry of event kinds, number 1: where a kind may stand, whether it is a fact or a judgement, who appends it, what must precede
 * it and what it does to the state. `schemas/events.md` is generated from here; a kind that is not here does not exist (PROTOCOL §4.2).
 */
import type { TrajectoryId } from '@openexec/canon';
import type * as z from 'zod';
import * as law from './law.ts';
import * as run from './run.ts';
import * as selfTestBodies from './selfTest.ts';

/** Number of this registry; a reader refuses a ledger that names a higher one. */
export const REGISTRY = 1;

/** The first word of a trajectory name. */
export type Family = 'law' | 'ledger' | 'writ' | 'run' | 'selftest' | 'memory';
/** One row of the registry. */
export interface KindRow {
  readonly families: readonly Family[];
  readonly class: 'fact' | 'judgement';
  readonly body: z.ZodType;
  /** Who may append it. */
  readonly by: string;
  /** What must precede it in the same trajectory. */
  readonly after: string;
  /** Its effect on the state. */
  readonly effect: string;
}

const fact = <T extends z.ZodType>(family: Family, body: T, by: string, after: string, effect: string) => ({
  families: [family] as readonly Family[],
  class: 'fact' as const,
  body,
  by,
  after,
  effect,
});
const judged = <T extends z.ZodType>(body: T, after: string, effect: string, selfTest = false) => ({
  families: (selfTest ? ['run', 'selftest'] : ['run']) as readonly Family[],
  class: 'judgement' as const,
  body,
  by: 'the kernel, through the driver',
  after,
  effect,
});

/** The registry itself: one row for each kind. */
export const KINDS = {
  'ledger.founded': fact(
    'law',
    law.ledgerFounded,
    'init, signed by every founding root key',
    'nothing; it is entry 0 of the ledger',
    'fixes origin, registry, log key and root keys; its leaf hash is the fingerprint',
  ),
  'key.trusted': fact('law', law.keyTrusted, 'a root key', 'ledger.founded', 'the key holds the roles within its window'),
  'key.retired': fact(
    'law',
    law.keyRetired,
    'a root key',
    'key.trusted of that key',
    'the key counts for nothing after this position; nothing before it changes',
  ),
  'policy.adopted': fact(
    'law',
    law.policyAdopted,
    'a root or policy key',
    'ledger.founded',
    'the bundle is in force for the layer from here on, also for open runs (it only narrows them)',
  ),
  'writ.issued': fact('law', law.writIssued, 'a root or issuer key', 'key.trusted of the issuer', 'a standing writ may be carved'),
  'writ.revoked': fact(
    'law',
    law.writRevoked,
    'a root key, or the issuer of that writ',
    'ledger.founded',
    'the writ and all its descendants stop counting at the next use',
  ),
  'writ.restored': fact(
    'law',
    law.writRestored,
    'a root key, or the issuer of that writ',
    'writ.revoked of that writ',
    'the writ counts again',
  ),
  'ledger.upgraded': fact('law', law.ledgerUpgraded, 'a root key', 'ledger.founded', 'raises the registry number'),

  'anchor.recorded': fact(
    'ledger',
    run.anchorRecorded,
    'any process',
    'a checkpoint of that size',
    'evidence that the head was seen elsewhere',
  ),
  'result.applied': fact(
    'ledger',
    run.resultApplied,
    'the command line',
    'run.closed {done} of that run',
    'records which checkout took the result',
  ),
  'payload.erased': fact(
    'ledger',
    run.payloadErased,
    'the command line, signed',
    'run.closed of the runs named',
    'the payloads and salts named are gone lawfully',
  ),
  'ledger.pruned': fact('ledger', run.ledgerPruned, 'the command line', 'the retention floor', 'the payloads in the list are gone by rule'),
  'ledger.sealed': fact(
    'ledger',
    run.ledgerSealed,
    'the command line',
    'anything',
    'this store refuses appends unless its instance id is the successor',
  ),
  'writ.carved': fact(
    'writ',
    run.writCarved,
    'the driver that opens the run',
    'nothing: its chain counts; run.opened of that run follows in the same append',
    'the grant leaves the writ',
  ),
  'writ.settled': fact('writ', run.writSettled, 'the driver that closes the run', 'writ.carved of that run', 'what was not spent returns'),

  'run.opened': fact(
    'run',
    run.runOpened,
    'the driver',
    'nothing; it is entry 0 of the run',
    'fixes everything that later steers the run; the first stage is entered, or the run is closed when its law does not hold',
  ),
  'run.resumed': fact(
    'run',
    run.runResumed,
    'a new driver, with a higher epoch',
    'run.opened',
    'what was started before it is retried or lost; a parked run goes on',
  ),
  'run.pauseRequested': fact('run', run.runPauseRequested, 'any process', 'run.opened', 'the run is parked once nothing is in flight'),
  'run.cancelRequested': fact(
    'run',
    run.runCancelRequested,
    'any process',
    'run.opened',
    'the run is closed {cancelled} once nothing is in flight',
  ),
  'run.rewound': fact(
    'run',
    run.runRewound,
    'the driver, or a new one with a higher epoch',
    'stage.entered of that stage and visit; no external or irreversible effect since',
    'what waits is rejected, what stands open of an earlier driver is lost, commit.compensated and stage.entered follow, and the run is parked; spend and visits stay',
  ),
  'run.parked': judged(
    run.runParked,
    'a pause, an unanswered approval, a rewind or the terminal `paused`',
    'nothing is pending until run.resumed or approval.resolved',
  ),
  'run.closed': judged(
    run.runClosed,
    'a terminal route, a cancellation, a denial of law or exhaustion',
    'the last entry; every later append is refused',
  ),
  'stage.entered': judged(
    run.stageEntered,
    'run.opened, stage.left that routes here, or run.rewound',
    'visit count + 1; the stage is current',
  ),
  'stage.left': judged(run.stageLeft, 'stage.entered', 'its artifacts flow; the route is taken'),
  'router.planned': fact('run', run.routerPlanned, 'the driver', 'run.opened', 'recorded, never read for authority'),
  'context.packed': fact('run', run.contextPacked, 'the driver', 'stage.entered', 'recorded, never read for authority'),
  'model.asked': judged(
    run.modelAsked,
    'stage.entered of an agent stage and a permit for model.ask',
    'the reservation is held; an ask is open',
  ),
  'model.answered': fact(
    'run',
    run.modelAnswered,
    'the driver that saw model.asked durable',
    'model.asked',
    'the ask is settled; its calls become intents',
  ),
  'model.failed': fact(
    'run',
    run.modelFailed,
    'the driver that saw model.asked durable',
    'model.asked',
    'asked again within the bound, else the stage fails',
  ),
  'intent.submitted': {
    ...fact(
      'run',
      run.intentSubmitted,
      'a gateway or an editor',
      'run.opened',
      'becomes an intent when the run takes submitted intents, else noted late',
    ),
    families: ['run', 'selftest'],
  },
  'intent.declared': judged(run.intentDeclared, 'model.answered, intent.submitted or stage.entered', 'the intent waits its turn', true),
  'policy.decided': judged(
    run.policyDecided,
    'intent.declared, or stage.entered for model.ask',
    'the verdict with its trace stands before anything happens',
    true,
  ),
  'proposal.staged': judged(run.proposalStaged, 'policy.decided {permit}', 'the reservation is held', true),
  'proposal.suspended': judged(run.proposalSuspended, 'policy.decided {approve}', 'what is behind it waits', true),
  'proposal.rejected': judged(
    run.proposalRejected,
    'policy.decided {deny}, a failed approval or postcondition',
    'the whole intent is kept; its author is told',
    true,
  ),
  'approval.requested': judged(
    run.approvalRequested,
    'proposal.suspended, or a stage that wants its result approved',
    'votes are counted until `until`',
    true,
  ),
  'approval.voted': {
    ...fact('run', run.approvalVoted, 'an approver key', 'approval.requested', 'counts once per key'),
    families: ['run', 'selftest'],
  },
  'approval.expired': fact('run', run.approvalExpired, 'the driver', 'approval.requested', 'the request is resolved {expired}'),
  'approval.resolved': judged(
    run.approvalResolved,
    'enough votes, one denial, or expiry',
    'the request is consumed; the compile runs again',
    true,
  ),
  'execution.started': judged(run.executionStarted, 'proposal.staged', 'the effect may be performed, by the driver that appended it'),
  'execution.observed': fact('run', run.executionObserved, 'the driver', 'execution.started', 'what the effect did, seen from outside'),
  'execution.failed': fact('run', run.executionFailed, 'the driver', 'execution.started', 'the effect did not come about'),
  'execution.lost': judged(run.executionLost, 'execution.started before a run.resumed', 'settled at its full reservation; the stage fails'),
  'effect.undeclared': fact('run', run.effectUndeclared, 'the driver', 'execution.started', 'fails the stage'),
  'commit.recorded': judged(
    run.commitRecorded,
    'execution.observed {ok, or a check that failed}',
    'the delta enters the world; the reservation is settled',
  ),
  'commit.compensated': judged(run.commitCompensated, 'run.rewound', 'the resources named have their former values again'),
  'delegation.opened': judged(run.delegationOpened, 'proposal.staged of a delegation', 'a child may open under the narrower writ'),
  'delegation.closed': fact(
    'run',
    run.delegationClosed,
    'the driver',
    'delegation.opened',
    'its reservation is settled at what the child spent; the author is told how it ended',
  ),
  'skill.bound': fact('run', run.skillBound, 'any process', 'run.opened', 'narrows the run from here on'),
  'fact.noted': judged(run.factNoted, 'a fact from which nothing else follows', 'none', true),

  'selfTest.opened': fact(
    'selftest',
    selfTestBodies.selfTestOpened,
    'the driver',
    'nothing; it is entry 0',
    'fixes what the canaries are judged under',
  ),
  'selfTest.recorded': fact(
    'selftest',
    selfTestBodies.selfTestRecorded,
    'the runtime key',
    'every canary was judged',
    'last entry; not judged',
  ),
  'pointer.recorded': fact('memory', run.pointerRecorded, 'the command line', 'nothing', 'the pointer stands'),
  'pointer.retired': fact('memory', run.pointerRetired, 'the command line', 'pointer.recorded', 'the pointer is gone'),
} as const satisfies Record<string, KindRow>;

/** Name of an event kind of this registry. */
export type Kind = keyof typeof KINDS;
/** Body of a kind. */
export type Body<K extends Kind> = z.infer<(typeof KINDS)[K]['body']>;
/** Kinds that the kernel derives. */
export type JudgementKind = { [K in Kind]: (typeof KINDS)[K]['class'] extends 'judgement' ? K : never }[Kind];
/** Kinds that come from outside. */
export type FactKind = Exclude<Kind, JudgementKind>;

/** Whether the text names a kind of this registry. */
export function isKind(text: string): text is Kind {
  return Object.hasOwn(KINDS, text);
}

/** The row of a kind, without the literal types. */
export function kindRow(kind: Kind): KindRow {
  return KINDS[kind];
}

/** Which family a trajectory belongs to, or null for a reserved or unknown one. */
export function familyOf(trajectory: TrajectoryId): Family | null {
  const head = trajectory.split('/', 1)[0];
  return head === 'law' || head === 'ledger' || head === 'writ' || head === 'run' || head === 'selftest' || head === 'memory' ? head : null;
}
