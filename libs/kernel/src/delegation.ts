/**
 * Delegation: the writ that a child run gets, what it starts from, and the judgement that lets it open. A child is no wider than its parent in any
 * dimension, its grant is held as a reservation of the parent, and nothing of it enters the parent's world by itself (PROTOCOL §§4.3, 5).
 */
import { addAmount, containsWrit, NO_AMOUNT, writId } from '@openexec/authority';
import { canonicalText, type Digest, digestJson, err, type Json, ok, type Result, utf8Decode } from '@openexec/canon';
import { DELEGATE_ACTION } from '@openexec/catalogue';
import { gitCommitId } from '@openexec/proof';
import { type Amount, type Body, type Reason, type Writ, words, writ as writSchema } from '@openexec/protocol';
import { delegateArguments } from './delegateArguments.ts';
import { nextId } from './emit.ts';
import type { IntentState, OpenDelegation, RunState } from './state.ts';
import { cut } from './text.ts';
import { AUTHOR, committedTreeOf } from './tree.ts';
import { worldRoot } from './world.ts';

/** The writ stands in the payload of `delegation.opened` and again, with its chain, in that of the child's `run.opened` (PROTOCOL §2). */
const MAX_WRIT_CHARACTERS = 16 * 1024;
const NONCE_DIGITS = 32;
/** Longest diff that is shown to a model at once. */
const MAX_SHOWN = 262_144;

/** A delegation that may be made here and now. */
export interface Delegable {
  readonly key: string;
  readonly blueprint: string;
  readonly task: string;
  readonly writ: Writ;
}
/** The commit on the parent's base that holds what the parent had committed: everything that fixes its id. */
export interface DelegationBase {
  readonly commit: string;
  readonly tree: string;
  readonly parent: string;
  readonly message: string;
  readonly author: { readonly name: string; readonly email: string; readonly seconds: number; readonly offset: string };
}

/** What the run has left for another, once the call itself is paid. */
function leftOf(state: RunState): Amount {
  const grant = state.law?.writ.budget ?? NO_AMOUNT;
  const left = (dimension: keyof Amount, own: number) =>
    Math.max(0, grant[dimension] - state.settled[dimension] - state.reserved[dimension] - own);
  return { tokens: left('tokens', 0), usdMicros: left('usdMicros', 0), calls: left('calls', 1) };
}

/** The grant that a call asks for its child: as it says, else half of what is left. */
export function wishedGrant(state: RunState, args: Json): Amount {
  const said = delegateArguments(args);
  const left = leftOf(state);
  const of = (dimension: keyof Amount) => said[dimension] ?? Math.floor(left[dimension] / 2);
  return { tokens: of('tokens'), usdMicros: of('usdMicros'), calls: of('calls') };
}

/** What the call and the child together hold of the run's budget. */
export function wishedReservation(state: RunState, action: string, args: Json, call: Amount): Amount {
  return action === DELEGATE_ACTION ? addAmount(call, wishedGrant(state, args)) : call;
}

/** The child's writ and what else a delegation names, or why there can be none. */
export function delegable(state: RunState, args: Json): Result<Delegable, Reason> {
  const law = state.law;
  const leaf = law?.opened.writs.at(-1);
  if (law === null || leaf === undefined) return err({ code: 'run.notOpened', message: 'the run has no law' });
  const { key, blueprint, task, actions, readPaths, writePaths, wallMs } = delegateArguments(args);
  if (key === null || blueprint === null || task === null || !words.name.safeParse(key).success)
    return err({ code: 'delegation.key', message: 'key is a short name: a lower case letter, then letters, digits, _ . -' });
  const offered = law.blueprint.delegates ?? [];
  if (!offered.includes(blueprint) || !law.delegates.has(blueprint))
    return err({
      code: 'delegation.blueprint',
      message: cut(`this run may delegate to ${offered.length === 0 ? 'no blueprint' : offered.join(', ')}, not to ${blueprint}`, 500),
    });
  const parent = law.writ;
  const depth = Math.max(0, parent.delegation.depth - 1);
  const wished = {
    ...parent,
    use: 'run',
    issuer: parent.subject,
    parent: writId(leaf.body),
    nonce: nextId(state, 'delegation').slice('sha256:'.length, 'sha256:'.length + NONCE_DIGITS),
    actions: actions ?? parent.actions,
    readPaths: readPaths ?? parent.readPaths,
    writePaths: writePaths ?? parent.writePaths,
    budget: wishedGrant(state, args),
    wallMs: Math.min(wallMs ?? Number.MAX_SAFE_INTEGER, Math.max(0, parent.wallMs - state.activeMs)),
    delegation: { depth, maySubdivide: depth > 0 && parent.delegation.maySubdivide },
  };
  const read = writSchema.safeParse(wished);
  if (!read.success)
    return err({ code: 'delegation.writ', message: cut(`the wished writ is none: ${read.error.issues[0]?.path.join('.') ?? ''}`, 500) });
  const within = containsWrit(parent, read.data);
  if (!within.ok)
    return err({
      code: 'writ.widens',
      message: cut(`the child's writ would be wider than this run's in ${within.error.dimension}: ${within.error.value}`, 500),
    });
  if (canonicalText({ ...read.data }).length > MAX_WRIT_CHARACTERS)
    return err({ code: 'delegation.writ', message: 'the wished writ is too large; name fewer patterns' });
  return ok({ key, blueprint, task, writ: read.data });
}

/** Step 7 for a delegation. What an approver signs for is the world that is handed over and the budget, not the hour. */
export function delegationReady(state: RunState, args: Json): Result<Digest, Reason> {
  const made = delegable(state, args);
  if (!made.ok) return made;
  if (committedTreeOf(state) === null)
    return err({
      code: 'precondition.tree',
      message: 'the committed files make no tree that git would take; a file stands where a folder is',
    });
  return ok(digestJson([worldRoot(state.world), { ...made.value.writ.budget }]));
}

/** The commit that a child starts from. Its id follows from the ledger alone, as that of a landing does. */
export function delegationBase(
  state: RunState,
  of: { readonly key: string; readonly tree: string; readonly seconds: number },
): DelegationBase {
  const base = state.law?.opened.base;
  const message = `Handed over as ${of.key}\n\nOpenExec-Run: ${state.run}\n`;
  const author = { ...AUTHOR, seconds: of.seconds, offset: '+0000' };
  const parent = base?.commit ?? '';
  const commit = gitCommitId({ tree: of.tree, parents: [parent], author, committer: author, message }, base?.objectFormat ?? 'sha1');
  return { commit, tree: of.tree, parent, message, author };
}

/** The delegation that the run waits for. */
export function delegationInHand(state: RunState): { readonly intent: IntentState; readonly open: OpenDelegation } | null {
  const intent = state.stage?.intents.find(({ phase }) => phase !== 'ended');
  return intent?.delegation === undefined || intent.delegation === null ? null : { intent, open: intent.delegation };
}

/** What the model that delegated is told: how it ended, then the diff as far as it was recorded. */
export function delegationTold(key: string, body: Body<'delegation.closed'>, patch: Uint8Array | undefined): string {
  const { outcome, because, spend, tree } = body;
  const head = canonicalText({ delegation: { key, outcome, because: { ...because }, spend: { ...spend }, tree } });
  const text = patch === undefined ? null : utf8Decode(patch);
  const shown = text?.ok === true ? cut(text.value, MAX_SHOWN) : '';
  return shown === ''
    ? `${head}\nThe child changed nothing that can be shown.`
    : `${head}\nIts changes, for apply_patch with format unified:\n${shown}`;
}
