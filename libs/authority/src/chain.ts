/**
 * The check of a writ chain at every use: links, containment, signatures, trust, windows, revocation of any ancestor. Must never accept what
 * it cannot trace to an issuer of the law at hand; only signatures and containment are remembered, everything else is asked anew. PROTOCOL §5.
 */

import { type Digest, err, type Instant, ok, type Result, type TrajectoryId } from '@openexec/canon';
import { ROLES, type SignedWrit, type Writ } from '@openexec/protocol';
import { isRevoked, keyWithRole, type LawView } from './law.ts';
import { checkSignature, WRIT_TYPE } from './signing.ts';
import { containsWrit, runTrajectory, writId, type WritDimension } from './writs.ts';

/** Longest chain that is read; `run.opened` holds no more. */
const MAX_CHAIN = 16;

/** Why a chain does not count. */
export type WritProblemCode =
  | 'writ.chainLength'
  | 'writ.ledger'
  | 'writ.use'
  | 'writ.parent'
  | 'writ.issuer'
  | 'writ.widens'
  | 'writ.nonce'
  | 'writ.untrusted'
  | 'writ.subject'
  | 'writ.signature'
  | 'writ.notIssued'
  | 'writ.window'
  | 'writ.notYet'
  | 'writ.expired'
  | 'writ.revoked';

/** A refusal; `writ` is the id of the writ at fault and `index` its place in the chain, root = 0. */
export interface WritProblem {
  readonly code: WritProblemCode;
  readonly message: string;
  readonly index: number;
  readonly writ: Digest | null;
  /** For `writ.widens`: the dimension. */
  readonly dimension: WritDimension | null;
}

/** A chain that counts, here and now. */
export interface CheckedChain {
  /** Root first. */
  readonly writs: readonly { readonly id: Digest; readonly writ: Writ }[];
  readonly root: Writ;
  readonly rootId: Digest;
  /** The leaf: what the run may do. Every other writ of the chain contains it. */
  readonly writ: Writ;
  readonly writId: Digest;
  /** The one run that the leaf opens. */
  readonly run: TrajectoryId;
}

interface Link {
  readonly id: Digest;
  readonly signed: SignedWrit;
  readonly writ: Writ;
  readonly index: number;
  readonly parent: Link | null;
}

/** Ids and verdicts of writs already seen; sound because a remembered writ is frozen, all the way down. */
const ids = new WeakMap<Writ, Digest>();
const contained = new WeakMap<Writ, WeakMap<Writ, ReturnType<typeof containsWrit>>>();

/**
 * Checks a chain, root first, under the law at one position and at the time of the fact being judged; a ledger that is not founded (null) has none. The last writ is the run's own. Freezes
 * the writs it is given, so that what was checked stays what is used.
 */
export function checkChain(options: {
  writs: readonly SignedWrit[];
  law: LawView;
  at: Instant;
  ledger: Digest | null;
}): Result<CheckedChain, WritProblem> {
  const { writs, law, at, ledger } = options;
  const links = linksOf(writs);
  const first = links[0];
  const last = links[links.length - 1];
  if (first === undefined || last === undefined || writs.length > MAX_CHAIN) {
    return err({
      code: 'writ.chainLength',
      message: `a writ chain has 1 to ${MAX_CHAIN} writs, this one ${writs.length}`,
      index: 0,
      writ: null,
      dimension: null,
    });
  }
  if (last.writ.use !== 'run') return refuse(last, 'writ.use', 'the last writ of a chain opens a run; a standing writ is only carved from');
  const refused = firstProblem(links, { law, at, ledger });
  if (refused !== null) return refused;
  const subject = keyWithRole(law, { key: last.writ.subject, roles: ['runtime'], at });
  if (!subject.ok)
    return refuse(
      last,
      'writ.subject',
      `its subject is no runtime key in force (run writs are for an install’s key): ${subject.error.message}`,
    );
  return ok({
    writs: links.map(({ id, writ }) => ({ id, writ })),
    root: first.writ,
    rootId: first.id,
    writ: last.writ,
    writId: last.id,
    run: runTrajectory({ issuer: last.writ.issuer, nonce: last.writ.nonce }),
  });
}

/**
 * Whether every writ of a chain counts by itself and inside its parent, whatever the last one is for: of a standing writ, which opens nothing, this is
 * all that can be asked.
 */
export function checkLinks(options: {
  writs: readonly SignedWrit[];
  law: LawView;
  at: Instant;
  ledger: Digest | null;
}): Result<void, WritProblem> {
  return firstProblem(linksOf(options.writs), options) ?? ok(undefined);
}

function firstProblem(links: readonly Link[], of: { law: LawView; at: Instant; ledger: Digest | null }): Refusal | null {
  for (const link of links) {
    const refused = linkProblem(link, of.ledger) ?? trustProblem(link, of.law, of.at) ?? timeProblem(link, of.law, of.at);
    if (refused !== null) return refused;
  }
  return null;
}

function linksOf(writs: readonly SignedWrit[]): readonly Link[] {
  const links: Link[] = [];
  for (const [index, signed] of writs.entries()) {
    links.push({ id: knownId(signed.body), signed, writ: signed.body, index, parent: links[index - 1] ?? null });
  }
  return links;
}

/** What the writ says about itself and its parent; independent of time and law. */
function linkProblem(link: Link, ledger: Digest | null): Refusal | null {
  const { writ, parent } = link;
  if (writ.ledger !== ledger) return refuse(link, 'writ.ledger', `it is for ledger ${writ.ledger}, this is ${ledger ?? 'not founded'}`);
  if (writ.notBefore > writ.notAfter) return refuse(link, 'writ.window', `it ends (${writ.notAfter}) before it begins (${writ.notBefore})`);
  if (parent === null)
    return writ.parent === null ? null : refuse(link, 'writ.parent', `it has the parent ${writ.parent}, which is not in the chain`);
  if (writ.parent !== parent.id) return refuse(link, 'writ.parent', `it names the parent ${writ.parent}, the chain holds ${parent.id}`);
  if (writ.issuer !== parent.writ.subject)
    return refuse(link, 'writ.issuer', `its issuer ${writ.issuer} is not its parent's subject ${parent.writ.subject}`);
  if (writ.use === 'standing' && parent.writ.use === 'run') return refuse(link, 'writ.use', 'a standing writ cannot come from a run writ');
  for (let above: Link | null = parent; above !== null; above = above.parent) {
    if (above.writ.nonce === writ.nonce) return refuse(link, 'writ.nonce', 'its nonce repeats that of an ancestor');
  }
  const fits = knownContainment(parent.writ, writ);
  if (fits.ok) return null;
  return refuse(link, 'writ.widens', `it is wider than its parent in ${fits.error.dimension}: ${fits.error.value}`, fits.error.dimension);
}

/** Who signed, and whether that key may: an issuer of the law for a root, the parent's subject (checked above) for a child. */
function trustProblem(link: Link, law: LawView, at: Instant): Refusal | null {
  const { writ, signed, id, parent } = link;
  // A child’s issuer may hold any role: its authority is the parent’s, not its own.
  const record = keyWithRole(law, { key: writ.issuer, roles: parent === null ? ['root', 'issuer'] : ROLES, at });
  if (!record.ok) return refuse(link, 'writ.untrusted', `its issuer does not count: ${record.error.message}`);
  const [signature, ...others] = signed.signatures;
  if (signature === undefined || others.length > 0)
    return refuse(link, 'writ.signature', 'a writ carries exactly one signature, its issuer’s');
  const good =
    signature.key === writ.issuer &&
    checkSignature({ type: WRIT_TYPE, body: writ, publicKey: record.value.publicKey, signature, digest: id });
  if (!good) return refuse(link, 'writ.signature', `its signature is not its issuer’s (${writ.issuer}) over this content`);
  // The nonce of a standing root was used up by its own `writ.issued`.
  const issued = writ.use === 'standing' && parent === null;
  if (issued && !law.standing.has(id)) {
    return refuse(link, 'writ.notIssued', 'a standing writ counts only once `writ.issued` stands in the law');
  }
  if (!issued && law.nonces.has(writ.nonce)) return refuse(link, 'writ.nonce', 'its nonce was used up by the law');
  return null;
}

/** Windows include both ends; a revoked ancestor is met on the way, since every link is asked. */
function timeProblem(link: Link, law: LawView, at: Instant): Refusal | null {
  if (at < link.writ.notBefore) return refuse(link, 'writ.notYet', `it counts from ${link.writ.notBefore}, now is ${at}`);
  if (at > link.writ.notAfter) return refuse(link, 'writ.expired', `it counted until ${link.writ.notAfter}, now is ${at}`);
  return isRevoked(law, link.id, link.writ)
    ? refuse(link, 'writ.revoked', `it was revoked by law position ${law.position}, and with it all that descends from it`)
    : null;
}

type Refusal = { readonly ok: false; readonly error: WritProblem };

function refuse(link: Link, code: WritProblemCode, what: string, dimension: WritDimension | null = null): Refusal {
  return err({ code, message: `writ ${link.id} (place ${link.index} of the chain): ${what}`, index: link.index, writ: link.id, dimension });
}

function knownId(writ: Writ): Digest {
  const known = ids.get(writ);
  if (known !== undefined) return known;
  freezeDeep(writ);
  const id = writId(writ);
  ids.set(writ, id);
  return id;
}

function knownContainment(parent: Writ, child: Writ): ReturnType<typeof containsWrit> {
  const children = contained.get(parent) ?? new WeakMap<Writ, ReturnType<typeof containsWrit>>();
  contained.set(parent, children);
  const known = children.get(child) ?? containsWrit(parent, child);
  children.set(child, known);
  return known;
}

function freezeDeep(value: unknown): void {
  // What is no object counts as frozen.
  if (Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const member of Object.values(value as object)) freezeDeep(member);
}
