/**
 * What a store and a verifier must know of each kind, without the schemas of bodies: so that checking a ledger needs no validation library.
 * A test holds this table against the registry; neither may have a row that the other lacks. PROTOCOL §4.2.
 */
import type { TrajectoryId } from '@openexec/canon';
import type { Family, Kind } from '@openexec/protocol';

/** The number of the registry that this table mirrors; a higher one is refused by name. */
export const KNOWN_REGISTRY = 1;

/** How one kind may stand in a ledger. */
export interface KindFacts {
  readonly families: readonly Family[];
  readonly judged: boolean;
  /** Stands at seq 0 of its trajectory, and nowhere else. */
  readonly opens: boolean;
  /** The last entry of its trajectory. */
  readonly closes: boolean;
  /** Carries `sig` when the store has the runtime key. */
  readonly signed: boolean;
}

type Mark = 'opens' | 'closes' | 'signed';

function row(judged: boolean, families: readonly Family[], marks: readonly Mark[]): KindFacts {
  return { families, judged, opens: marks.includes('opens'), closes: marks.includes('closes'), signed: marks.includes('signed') };
}
const fact = (family: Family, ...marks: Mark[]): KindFacts => row(false, [family], marks);
const judgement = (...marks: Mark[]): KindFacts => row(true, ['run'], marks);
/** Also judged in self-tests (PROTOCOL §4.2). */
const compiled = (): KindFacts => row(true, ['run', 'selftest'], []);

const TABLE: Readonly<Record<Kind, KindFacts>> = {
  'ledger.founded': fact('law', 'opens'),
  'key.trusted': fact('law'),
  'key.retired': fact('law'),
  'policy.adopted': fact('law'),
  'writ.issued': fact('law'),
  'writ.revoked': fact('law'),
  'writ.restored': fact('law'),
  'ledger.upgraded': fact('law'),
  'anchor.recorded': fact('ledger'),
  'result.applied': fact('ledger'),
  'payload.erased': fact('ledger'),
  'ledger.pruned': fact('ledger'),
  'ledger.sealed': fact('ledger'),
  'writ.carved': fact('writ'),
  'writ.settled': fact('writ'),
  'run.opened': fact('run', 'opens'),
  'run.resumed': fact('run'),
  'run.pauseRequested': fact('run'),
  'run.cancelRequested': fact('run'),
  'run.rewound': fact('run'),
  'run.parked': judgement(),
  'run.closed': judgement('closes', 'signed'),
  'stage.entered': judgement(),
  'stage.left': judgement(),
  'router.planned': fact('run'),
  'context.packed': fact('run'),
  'model.asked': judgement(),
  'model.answered': fact('run'),
  'model.failed': fact('run'),
  'intent.submitted': row(false, ['run', 'selftest'], []),
  'intent.declared': compiled(),
  'policy.decided': compiled(),
  'proposal.staged': compiled(),
  'proposal.suspended': compiled(),
  'proposal.rejected': compiled(),
  'approval.requested': compiled(),
  'approval.voted': row(false, ['run', 'selftest'], []),
  'approval.expired': fact('run'),
  'approval.resolved': compiled(),
  'execution.started': judgement(),
  'execution.observed': fact('run'),
  'execution.failed': fact('run'),
  'execution.lost': judgement(),
  'effect.undeclared': fact('run'),
  'commit.recorded': judgement('signed'),
  'commit.compensated': judgement(),
  'delegation.opened': judgement(),
  'delegation.closed': fact('run'),
  'skill.bound': fact('run'),
  'fact.noted': compiled(),
  'selfTest.opened': fact('selftest', 'opens'),
  'selfTest.recorded': fact('selftest', 'closes'),
  'pointer.recorded': fact('memory'),
  'pointer.retired': fact('memory'),
};

const KINDS: ReadonlyMap<string, KindFacts> = new Map(Object.entries(TABLE));

/** The facts of a kind, or undefined when this registry has no such kind. */
export function factsOf(kind: string): KindFacts | undefined {
  return KINDS.get(kind);
}

/** Whether the text names a kind of this registry. */
export function isKnownKind(kind: string): kind is Kind {
  return KINDS.has(kind);
}

/** All kinds of this registry. */
export function knownKinds(): readonly string[] {
  return [...KINDS.keys()];
}

const FAMILIES: ReadonlySet<string> = new Set<Family>(['law', 'ledger', 'writ', 'run', 'selftest', 'memory']);
/** Families that are one trajectory, not a folder of them. */
const SINGLE: ReadonlySet<string> = new Set<Family>(['law', 'ledger', 'memory']);

/** The family of a trajectory, or null for a reserved or unknown one, or for one that must not (or must) have a name below it. */
export function familyOfTrajectory(trajectory: TrajectoryId): Family | null {
  const slash = trajectory.indexOf('/');
  const head = slash < 0 ? trajectory : trajectory.slice(0, slash);
  if (!FAMILIES.has(head) || SINGLE.has(head) === slash >= 0) return null;
  return head as Family; // Membership was just checked.
}

/** Families whose first entry is fixed: `run.opened`, `selfTest.opened`, `ledger.founded`. */
export function hasOpening(family: Family): boolean {
  return family === 'run' || family === 'selftest' || family === 'law';
}
