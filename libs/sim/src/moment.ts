/**
 * What a simulation is made of, in the order in which it happened: what was handed in and what became durable, what was about to be done and what
 * really came of it. The checkers of the invariants see nothing else. ARCHITECTURE §7.
 */
import type { Bytes, Digest, TrajectoryId } from '@openexec/canon';
import type { LawView } from '@openexec/authority';
import type { ExecutionOrder, ModelRequest } from '@openexec/catalogue';
import type { RunState } from '@openexec/kernel';
import type { Stored } from '@openexec/ledger';
import type { Body, Kind } from '@openexec/protocol';

/** One entry that became durable, with its body. `law` is the law as it stands after it; `before` the run's fold before it. */
export type EntryMoment = {
  readonly [K in Kind]: {
    readonly what: 'entry';
    readonly kind: K;
    readonly body: Body<K>;
    readonly stored: Stored;
    readonly law: LawView;
    readonly before: RunState | null;
    readonly after: RunState | null;
  };
}[Kind];

/** One thing that happened. `by` names the handle on the ledger through which its doer works: one for each drive. */
export type Moment =
  | EntryMoment
  /** An append came back: what it was to add, what the store says, and whether the caller heard it. */
  | {
      readonly what: 'handed';
      readonly by: string;
      readonly drafts: number;
      readonly blobs: readonly { readonly digest: Digest; readonly bytes: Bytes }[];
      readonly outcome: 'appended' | 'duplicate' | 'refused';
      readonly code: string | null;
      readonly told: boolean;
      readonly stored: readonly Stored[];
    }
  /** Everything that is durable was seen; the store names this head. */
  | { readonly what: 'head'; readonly size: bigint; readonly root: Bytes }
  /** A host is about to perform an order. */
  | { readonly what: 'performs'; readonly by: string; readonly run: TrajectoryId; readonly order: ExecutionOrder }
  /** What really came of it: `passed` and `red` are verdicts of a check that ran, `came` an effect, `nothing` none at all. */
  | { readonly what: 'performed'; readonly execution: Digest; readonly truth: 'passed' | 'red' | 'came' | 'nothing' }
  /** An adapter is about to ask a provider. */
  | { readonly what: 'asks'; readonly by: string; readonly run: TrajectoryId; readonly request: ModelRequest }
  /** The ledger was read once more from its first entry to its last. */
  | { readonly what: 'reread'; readonly entries: readonly Stored[] };

/** Says what is wrong. */
export type Tell = (problem: string) => void;

/** Holds one invariant against what happens. Never reads a driver's memory; keeps what it needs of the past itself. */
export interface Checker {
  /** Its number in ARCHITECTURE §7. */
  readonly invariant: 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10;
  readonly name: string;
  /** Called for every moment, in order. */
  see(moment: Moment, tell: Tell): void | Promise<void>;
}

/** Where an entry stands, for a message. */
export function placeOf({ index, entry }: Stored): string {
  return `entry ${index} (${entry.trajectory} ${entry.seq} ${entry.kind})`;
}

/** The value of a body member that may lie in a blob; undefined where it does. */
export function inlineOf<T>(value: { readonly inline: T } | { readonly blob: unknown }): T | undefined {
  return 'inline' in value ? value.inline : undefined;
}
