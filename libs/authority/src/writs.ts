/**
 * Writs as data: their id, the run they name, containment of a child in its parent, and what a writ covers. Must never look at keys, time or
 * the law: see chain.ts. PROTOCOL §5.
 */

import { type Digest, digestJson, err, type KeyId, ok, parseTrajectoryId, type Result, type TrajectoryId } from '@openexec/canon';
import type { Effect, Writ } from '@openexec/protocol';
import { BUDGET_DIMENSIONS } from './budgets.ts';
import { coversAction, coversHost, coversPath, matchAction, matchHost, matchPath } from './patterns.ts';

/** The dimensions in which a child could be wider than its parent. */
export type WritDimension =
  | 'ledger'
  | 'tenant'
  | 'actions'
  | 'ceiling'
  | 'readPaths'
  | 'writePaths'
  | 'hosts'
  | 'budget.tokens'
  | 'budget.usdMicros'
  | 'budget.calls'
  | 'wallMs'
  | 'window'
  | 'delegation.depth'
  | 'delegation.maySubdivide';

/** The first dimension in which a child is not contained, and the offending value. */
export interface WidenProblem {
  readonly dimension: WritDimension;
  readonly value: string;
}

/** What an intent would touch; an action that is not known yet is asked with no paths and effect `pure`. */
export interface ScopeRequest {
  readonly action: string;
  readonly effect: Effect;
  readonly readPaths: readonly string[];
  readonly writePaths: readonly string[];
  /** `host:port`, lower case. */
  readonly hosts: readonly string[];
}

/** What the writ does not cover. */
export interface ScopeProblem {
  readonly dimension: 'action' | 'effect' | 'readPaths' | 'writePaths' | 'hosts';
  readonly value: string;
}

/** The id of a writ: the digest of its canonical body. */
export function writId(writ: Writ): Digest {
  return digestJson(writ);
}

/** The trajectory of the run that a writ opens: one run per issuer and nonce (PROTOCOL §2 `trajectory`). */
export function runTrajectory(options: { issuer: KeyId; nonce: string }): TrajectoryId {
  const hex = digestJson([options.issuer, options.nonce]).slice('sha256:'.length, 'sha256:'.length + 32);
  const name = parseTrajectoryId(`run/${hex}`);
  if (!name.ok) throw new Error(name.error.message);
  return name.value;
}

/**
 * Whether the writ is spent by carving, in a trajectory of its own: a standing one always, a run's where others may be narrowed from it, since the sum
 * of the run that it opens and of what opens under its children is then to be counted in one place (PROTOCOL §5).
 */
export function isCarved(writ: Writ): boolean {
  return writ.use === 'standing' || (writ.delegation.maySubdivide && writ.delegation.depth > 0);
}

/** The trajectory in which a writ is spent. */
export function carveTrajectory(id: Digest): TrajectoryId {
  const name = parseTrajectoryId(`writ/${id.slice('sha256:'.length)}`);
  if (!name.ok) throw new Error(name.error.message);
  return name.value;
}

/**
 * Whether the child is no wider than the parent in any dimension and smaller in depth. A parent that may not subdivide has no children. Says
 * nothing about signatures, or about the sum of several children: budgets are conserved by reservation, not by containment.
 */
export function containsWrit(parent: Writ, child: Writ): Result<void, WidenProblem> {
  const widened = widenedName(parent, child) ?? widenedPattern(parent, child) ?? widenedLimit(parent, child);
  return widened === null ? ok(undefined) : err(widened);
}

/** Whether the writ covers the request; names the first thing it does not cover. `pure` needs no bit, every other effect its own. */
export function scopeOf(writ: Writ, request: ScopeRequest): Result<void, ScopeProblem> {
  if (!writ.actions.some((pattern) => matchAction(pattern, request.action))) return err({ dimension: 'action', value: request.action });
  if (request.effect !== 'pure' && !writ.ceiling.includes(request.effect)) return err({ dimension: 'effect', value: request.effect });
  const read = request.readPaths.find((path) => !writ.readPaths.some((pattern) => matchPath(pattern, path)));
  if (read !== undefined) return err({ dimension: 'readPaths', value: read });
  const written = request.writePaths.find((path) => !writ.writePaths.some((pattern) => matchPath(pattern, path)));
  if (written !== undefined) return err({ dimension: 'writePaths', value: written });
  const host = request.hosts.find((name) => !writ.hosts.some((pattern) => matchHost(pattern, name)));
  return host === undefined ? ok(undefined) : err({ dimension: 'hosts', value: host });
}

function widenedName(parent: Writ, child: Writ): WidenProblem | null {
  if (child.ledger !== parent.ledger) return { dimension: 'ledger', value: child.ledger };
  return child.tenant === parent.tenant ? null : { dimension: 'tenant', value: child.tenant };
}

function widenedPattern(parent: Writ, child: Writ): WidenProblem | null {
  const action = child.actions.find((pattern) => !coversAction(parent.actions, pattern));
  if (action !== undefined) return { dimension: 'actions', value: action };
  const effect = child.ceiling.find((bit) => bit !== 'pure' && !parent.ceiling.includes(bit));
  if (effect !== undefined) return { dimension: 'ceiling', value: effect };
  const read = child.readPaths.find((pattern) => !coversPath(parent.readPaths, pattern));
  if (read !== undefined) return { dimension: 'readPaths', value: read };
  const written = child.writePaths.find((pattern) => !coversPath(parent.writePaths, pattern));
  if (written !== undefined) return { dimension: 'writePaths', value: written };
  const host = child.hosts.find((pattern) => !coversHost(parent.hosts, pattern));
  return host === undefined ? null : { dimension: 'hosts', value: host };
}

function widenedLimit(parent: Writ, child: Writ): WidenProblem | null {
  const over = BUDGET_DIMENSIONS.find((dimension) => child.budget[dimension] > parent.budget[dimension]);
  if (over !== undefined) return { dimension: `budget.${over}`, value: `${child.budget[over]}` };
  if (child.wallMs > parent.wallMs) return { dimension: 'wallMs', value: `${child.wallMs}` };
  if (child.notBefore < parent.notBefore) return { dimension: 'window', value: child.notBefore };
  if (child.notAfter > parent.notAfter) return { dimension: 'window', value: child.notAfter };
  if (child.delegation.depth >= parent.delegation.depth) return { dimension: 'delegation.depth', value: `${child.delegation.depth}` };
  return parent.delegation.maySubdivide ? null : { dimension: 'delegation.maySubdivide', value: 'the parent may not subdivide' };
}
