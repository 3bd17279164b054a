/**
 * Invariant 2: no effect beyond the writ's ceiling, scope, paths, window or budget; a child never wider than its parent; what is carved of a standing
 * writ never more than it has. Counted here from the entries, not asked of the kernel. ARCHITECTURE §7, PROTOCOL §5.
 */
import type { Digest, Instant, Json, TrajectoryId } from '@openexec/canon';
import {
  addAmount,
  BUDGET_DIMENSIONS,
  containsWrit,
  isRevoked,
  matchAction,
  matchPath,
  NO_AMOUNT,
  withinAmount,
  writId,
} from '@openexec/authority';
import type { Amount, DeltaStep, RunOpened, Writ } from '@openexec/protocol';
import { type Checker, type EntryMoment, inlineOf, placeOf, type Tell } from '../moment.ts';

interface Spending {
  readonly grants: Map<string, Amount>;
}
type Members = { readonly [name: string]: Json };
const membersOf = (json: Json | undefined): Members =>
  typeof json === 'object' && json !== null && !Array.isArray(json) ? (json as Members) : {};

class WithinWrits implements Checker {
  readonly invariant = 2;
  readonly name = 'nothing beyond the writ, and no child wider than its parent';
  readonly #opened = new Map<TrajectoryId, RunOpened>();
  readonly #carved = new Map<string, Spending>();
  readonly #roots = new Map<string, Writ>();
  readonly #overspent = new Set<TrajectoryId>();

  see(moment: Parameters<Checker['see']>[0], tell: Tell): void {
    if (moment.what === 'performs') this.#order(moment.run, moment.order.action, membersOf(moment.order.arguments), tell);
    if (moment.what !== 'entry') return;
    const run = moment.stored.entry.trajectory;
    if (moment.kind === 'run.opened') this.#open(moment, tell);
    if (moment.kind === 'writ.carved' || moment.kind === 'writ.settled') this.#spend(moment, tell);
    if (moment.kind === 'execution.started' || moment.kind === 'model.asked') this.#inForce(moment, tell);
    if (moment.kind === 'commit.recorded') this.#paths(run, inlineOf(moment.body.delta), placeOf(moment.stored), tell);
    this.#budget(moment, tell);
  }

  #writ(run: TrajectoryId): Writ | undefined {
    return this.#opened.get(run)?.writs.at(-1)?.body;
  }

  #open({ body, stored }: Extract<EntryMoment, { kind: 'run.opened' }>, tell: Tell): void {
    this.#opened.set(stored.entry.trajectory, body);
    for (const [at, { body: child }] of body.writs.entries()) {
      const parent = body.writs[at - 1]?.body;
      if (parent === undefined) continue;
      const fits = containsWrit(parent, child);
      if (!fits.ok) tell(`${placeOf(stored)}: its writ is wider than its parent in ${fits.error.dimension}`);
    }
    const root = body.writs[0]?.body;
    if (root !== undefined && body.writs.length > 1) this.#roots.set(`writ/${writId(root).slice('sha256:'.length)}`, root);
  }

  #spend(moment: Extract<EntryMoment, { kind: 'writ.carved' | 'writ.settled' }>, tell: Tell): void {
    const { trajectory } = moment.stored.entry;
    const { grants } = this.#carved.get(trajectory) ?? { grants: new Map<string, Amount>() };
    this.#carved.set(trajectory, { grants });
    const { run } = moment.body;
    if (moment.kind === 'writ.carved' && grants.has(run)) tell(`${placeOf(moment.stored)}: ${run} is carved twice`);
    if (moment.kind === 'writ.settled' && !grants.has(run)) tell(`${placeOf(moment.stored)}: ${run} settles what it never carved`);
    grants.set(run, moment.kind === 'writ.carved' ? moment.body.grant : moment.body.spend);
    const taken = [...grants.values()].reduce(addAmount, NO_AMOUNT);
    const root = this.#roots.get(trajectory) ?? moment.law.standing.get(`sha256:${trajectory.slice('writ/'.length)}` as Digest)?.body;
    // A call at the truth may cost more than was reserved; a grant never may.
    if (root === undefined) tell(`${placeOf(moment.stored)} spends a writ that was never issued`);
    else if (moment.kind === 'writ.carved' && !withinAmount(taken, root.budget))
      tell(`${placeOf(moment.stored)}: ${JSON.stringify(taken)} are taken of ${JSON.stringify(root.budget)}`);
  }

  /** Window and revocation at the moment of a start, effect and name of the action. */
  #inForce(moment: Extract<EntryMoment, { kind: 'execution.started' | 'model.asked' }>, tell: Tell): void {
    const { stored, law } = moment;
    const { trajectory, at } = stored.entry;
    const place = placeOf(stored);
    if (this.#overspent.has(trajectory)) tell(`${place} is started after the grant was passed`);
    for (const { body: writ } of this.#opened.get(trajectory)?.writs ?? []) {
      if (!inside(writ, at)) tell(`${place} is started outside the writ's window (${writ.notBefore} to ${writ.notAfter}, now ${at})`);
      if (isRevoked(law, writId(writ), writ)) tell(`${place} is started under a revoked writ`);
    }
    const writ = this.#writ(trajectory);
    const action = moment.kind === 'model.asked' ? 'model.ask' : moment.body.action;
    const effect = moment.kind === 'model.asked' ? 'external' : (moment.before?.law?.actions.get(action)?.effect ?? null);
    if (writ === undefined || effect === null) return tell(`${place} starts ${action}, of which nothing is known`);
    if (effect !== 'pure' && !writ.ceiling.includes(effect)) tell(`${place}: the writ has no ceiling for ${effect}`);
    if (!writ.actions.some((pattern) => matchAction(pattern, action))) tell(`${place}: the writ does not name ${action}`);
  }

  #paths(run: TrajectoryId, delta: readonly DeltaStep[] | undefined, place: string, tell: Tell): void {
    const writ = this.#writ(run);
    for (const step of delta ?? [])
      if (step.kind === 'file' && !(writ?.writePaths ?? []).some((pattern) => matchPath(pattern, step.id)))
        tell(`${place} changes ${step.id}, which the writ does not cover`);
  }

  /** What a host is told to touch. */
  #order(run: TrajectoryId, action: string, args: Members, tell: Tell): void {
    const writ = this.#writ(run);
    const path = args['path'];
    if (typeof path !== 'string' || (action !== 'read_file' && action !== 'apply_patch')) return;
    const patterns = (action === 'read_file' ? writ?.readPaths : writ?.writePaths) ?? [];
    if (!patterns.some((pattern) => matchPath(pattern, path))) tell(`${action} is told to touch ${path}, which the writ does not cover`);
  }

  /** Spent and reserved together stay within the grant; only the truth about one call may pass it, and then nothing is started any more. */
  #budget({ after, stored, kind }: EntryMoment, tell: Tell): void {
    const grant = this.#writ(stored.entry.trajectory)?.budget;
    if (after === null || grant === undefined) return;
    const held = addAmount(after.settled, after.reserved);
    if (withinAmount(held, grant)) return;
    const run = stored.entry.trajectory;
    if (after.overspent === null && !this.#overspent.has(run)) {
      const over = BUDGET_DIMENSIONS.filter((dimension) => held[dimension] > grant[dimension]);
      tell(`${placeOf(stored)}: ${over.map((each) => `${held[each]} ${each} held, ${grant[each]} granted`).join(', ')} after ${kind}`);
    }
    this.#overspent.add(run);
  }
}

function inside(writ: Writ, at: Instant): boolean {
  return writ.notBefore <= at && at <= writ.notAfter;
}

/** 2: every effect lies within the writ. */
export function withinWrits(): Checker {
  return new WithinWrits();
}
