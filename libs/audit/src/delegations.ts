/**
 * Both sides of every delegation held against each other, in tree order: a child opens only where its parent's `delegation.opened` stands, with exactly what
 * that hands out; what the parent records of its end is what the child's own last entry says. Holds only what is open. PROTOCOL §§4.3, 5, 10.
 */
import { runTrajectory } from '@openexec/authority';
import { canonicalText, type Json, type TrajectoryId } from '@openexec/canon';
import type { Stored } from '@openexec/ledger';
import type { Body, RunClosed, RunOpened } from '@openexec/protocol';
import { bodyOf } from './event.ts';

/** Both values of one thing in which the two sides do not agree. */
export interface DelegationFault {
  readonly expected: string | null;
  readonly recorded: string | null;
}
/** One delegation, as far as it was met. */
interface Handed {
  readonly parent: TrajectoryId;
  readonly seq: number;
  readonly body: Body<'delegation.opened'>;
  child: 'none' | 'open' | 'gone' | { readonly seq: number; readonly body: RunClosed; readonly tree: string | null };
  joined: boolean;
}
/** A run that may delegate. */
interface Parent {
  readonly opened: RunOpened;
  readonly handed: Handed[];
  /** A payload is gone, so not everything that it handed out is known. */
  gone: boolean;
}

/** What a child takes over from its parent as it is. */
const INHERITED = [
  'policySet',
  'catalogue',
  'toolsets',
  'prices',
  'model',
  'approvals',
  'opener',
  'session',
  'delegates',
  'selfTest',
  'kernel',
] as const;

export class DelegationAudit {
  readonly #parents = new Map<TrajectoryId, Parent>();
  readonly #children = new Map<TrajectoryId, Handed>();
  /** Runs whose opening was met, for a source that holds some runs only. */
  readonly #met = new Set<TrajectoryId>();
  readonly #whole: boolean;

  /** `whole`: the source holds every run of the ledger, so that a parent that is not there is missing. */
  constructor(whole: boolean) {
    this.#whole = whole;
  }

  /** Takes the next entry of a run. `tree` is what a run that closes here ends at; null where that is not known. */
  take(stored: Stored, tree: string | null): readonly DelegationFault[] {
    const { kind, trajectory } = stored.entry;
    switch (kind) {
      case 'run.opened':
        return this.#opened(stored);
      case 'delegation.opened':
        this.#handedOut(stored);
        return [];
      case 'delegation.closed':
        return this.#joined(stored);
      case 'run.closed':
        return [...this.#childClosed(stored, tree), ...this.#parentClosed(trajectory)];
      default:
        return [];
    }
  }

  #opened(stored: Stored): readonly DelegationFault[] {
    const run = stored.entry.trajectory;
    if (!this.#whole) this.#met.add(run);
    const read = bodyOf(stored);
    if (!read.ok) return []; // Said by its audit.
    const opened = read.value as unknown as RunOpened; // Held against its schema by `bodyOf`.
    if (opened.delegates !== undefined) this.#parents.set(run, { opened, handed: [], gone: false });
    const handed = this.#children.get(run);
    if (handed === undefined) return opened.parent === undefined ? [] : this.#orphan(opened.parent);
    const faults = handed.joined ? [{ expected: 'no child after delegation.closed', recorded: run }] : [];
    if (handed.child === 'none') handed.child = 'open';
    const parent = this.#parents.get(handed.parent)?.opened;
    return parent === undefined ? faults : [...faults, ...childFaults(opened, handed, parent)];
  }

  #orphan({ trajectory, seq }: { readonly trajectory: TrajectoryId; readonly seq: number }): readonly DelegationFault[] {
    const parent = this.#parents.get(trajectory);
    if (parent?.gone === true || (!this.#whole && !this.#met.has(trajectory))) return [];
    return [{ expected: 'a delegation.opened that hands this run out, before it', recorded: `${trajectory} ${seq}` }];
  }

  #handedOut(stored: Stored): void {
    const { trajectory: parent, seq } = stored.entry;
    const read = bodyOf(stored);
    const known = this.#parents.get(parent);
    if (!read.ok) {
      if (known !== undefined) known.gone = true;
      return;
    }
    const body = read.value as unknown as Body<'delegation.opened'>; // As above.
    const handed: Handed = { parent, seq, body, child: 'none', joined: false };
    known?.handed.push(handed);
    this.#children.set(childOf(body), handed);
  }

  #childClosed(stored: Stored, tree: string | null): readonly DelegationFault[] {
    const handed = this.#children.get(stored.entry.trajectory);
    if (handed === undefined) return [];
    const read = bodyOf(stored);
    handed.child = read.ok ? { seq: stored.entry.seq, body: read.value as unknown as RunClosed, tree } : 'gone';
    return [];
  }

  /** A run ends only after its delegations. */
  #parentClosed(run: TrajectoryId): readonly DelegationFault[] {
    const parent = this.#parents.get(run);
    this.#parents.delete(run);
    for (const { body } of parent?.handed ?? []) this.#children.delete(childOf(body));
    const open = parent?.handed.filter(({ joined }) => !joined) ?? [];
    return open.map(({ body }) => ({ expected: `delegation.closed of ${body.key}`, recorded: 'run.closed' }));
  }

  #joined(stored: Stored): readonly DelegationFault[] {
    const read = bodyOf(stored);
    const parent = this.#parents.get(stored.entry.trajectory);
    if (!read.ok) {
      for (const each of parent?.handed ?? []) each.joined = true;
      return [];
    }
    const body = read.value as unknown as Body<'delegation.closed'>; // As above.
    const handed = parent?.handed.find((each) => each.body.delegation === body.delegation);
    // One that answers nothing open is a violation, which its own audit tells.
    if (handed === undefined || handed.joined) return [];
    handed.joined = true;
    return endFaults(handed, body);
  }
}

const childOf = ({ writ }: Body<'delegation.opened'>): TrajectoryId => runTrajectory({ issuer: writ.issuer, nonce: writ.nonce });

/** Bodies are JSON by their schemas; a member that is left out is null here. */
const textOf = (value: unknown): string => canonicalText((value ?? null) as Json);

function held(pairs: readonly (readonly [name: string, expected: unknown, recorded: unknown])[]): DelegationFault[] {
  return pairs.flatMap(([name, expected, recorded]) => {
    const [due, found] = [textOf(expected), textOf(recorded)];
    return due === found ? [] : [{ expected: `${name} ${due}`, recorded: `${name} ${found}` }];
  });
}

/** The child carries what was handed out, and everything else as its parent has it. */
function childFaults(opened: RunOpened, { parent: run, seq, body }: Handed, parent: RunOpened): readonly DelegationFault[] {
  const { writs, base } = opened;
  const blueprint = parent.delegates?.find(({ name }) => name === body.blueprint)?.blueprint;
  return held([
    ['parent', { trajectory: run, seq }, opened.parent],
    ['writ', body.writ, writs.at(-1)?.body],
    ['writs above', parent.writs, writs.slice(0, -1)],
    ['task', body.task.digest, opened.task.digest],
    ['blueprint', blueprint?.digest, opened.blueprint.digest],
    ['base', { commit: body.base.commit, tree: body.base.tree }, { commit: base.commit, tree: base.tree }],
    ...INHERITED.map((name) => [name, parent[name], opened[name]] as const),
  ]);
}

/** What the parent records is what the child's own last entry says. */
function endFaults({ body: handed, child }: Handed, body: Body<'delegation.closed'>): readonly DelegationFault[] {
  if (child === 'gone') return [];
  if (body.child === null) {
    const nothing = { tokens: 0, usdMicros: 0, calls: 0 };
    const faults = held([
      ['outcome', 'denied', body.outcome],
      ['spend', nothing, body.spend],
    ]);
    return child === 'none' ? faults : [...faults, { expected: `the end of ${childOf(handed)}`, recorded: 'child null' }];
  }
  if (typeof child === 'string') return [{ expected: `run.closed of ${childOf(handed)} before it`, recorded: textOf(body.child) }];
  return held([
    ['child', { trajectory: childOf(handed), seq: child.seq }, body.child],
    ['outcome', child.body.outcome, body.outcome],
    ['because', child.body.because, body.because],
    ['spend', child.body.spend, body.spend],
    ...(child.tree === null ? [] : [['tree', child.tree, body.tree] as const]),
  ]);
}
