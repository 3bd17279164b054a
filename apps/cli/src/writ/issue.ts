/**
 * `writ issue` and `writ narrow`: signing capabilities, a root by an issuer of the law, a child by its parent's subject. Must never sign a child that is
 * wider than its parent in any dimension (PROTOCOL §5).
 */
import { resolve } from 'node:path';
import { containsWrit, issueWrit, writId } from '@openexec/authority';
import { instantFromMs, instantToMs, type Json, type KeyId, ok, type Result } from '@openexec/canon';
import { builtinActions, builtinToolsets } from '@openexec/catalogue';
import { grantOf, loadBlueprint, loadDelegates } from '@openexec/config';
import type { SignedWrit, Writ } from '@openexec/protocol';
import type { CommandContext, CommandResult, OpenLedger } from '../context.ts';
import { EXIT, type Refusal, refuse } from '../exit.ts';
import { findKeyFile, KEY_LABELS, keysFolder } from '../keyring.ts';
import { enact } from '../law.ts';
import { type PassphraseOptions, unlock } from '../passphrase.ts';
import { blueprintContext, configFor } from '../run/plan.ts';
import { configRefusal } from '../run/problems.ts';
import { nonceOf } from '../setup/found.ts';
import { chainText, readChain, writeChain } from './file.ts';
import { type MemberOptions, type Members, membersOf } from './members.ts';

/** Options of both commands. */
export interface IssueOptions extends MemberOptions, PassphraseOptions {
  readonly key?: string;
  readonly out?: string;
  readonly blueprint?: string;
  readonly standing?: boolean;
}

const DAY_MS = 86_400_000;
const WRIT_DAYS = 7;
const TENANT = 'default';

/** Signs a root writ; a standing one is recorded in the law, which is what makes it count. */
export async function issue(options: IssueOptions, context: CommandContext, ledger: OpenLedger): Promise<CommandResult> {
  const base = await defaultMembers(options, context, ledger);
  if (!base.ok) return base;
  const members = membersOf(base.value, options, context);
  if (!members.ok) return members;
  const use = options.standing === true ? ('standing' as const) : ('run' as const);
  const key = await signingKey(options.key ?? KEY_LABELS.operator, options, context, ledger);
  if (!key.ok) return key;
  const head = { v: 1 as const, ledger: ledger.fingerprint, use, parent: null, nonce: nonceOf(context.randomness) };
  const writ: Writ = { ...head, ...members.value, issuer: key.value.keyId as KeyId }; // Key files hold checked ids.
  const wrong = windowProblem(writ);
  if (wrong !== null) return wrong;
  const signed = issueWrit({ writ, seed: key.value.seed });
  if (use === 'standing') {
    // A signed writ is JSON by its schema.
    const payload = { writ: signed } as unknown as Json;
    const enacted = await enact(context, ledger, { kind: 'writ.issued', by: key.value.keyId, payload });
    if (!enacted.ok) return enacted;
  }
  return hand([signed], options, context);
}

/** Signs a child of the last writ of a chain, offline: what it is carved from is looked at when a run is opened. */
export async function narrow(file: string, options: IssueOptions, context: CommandContext, ledger: OpenLedger): Promise<CommandResult> {
  const chain = readChain(resolve(context.cwd, file));
  if (!chain.ok) return chain;
  const parent = chain.value.at(-1)?.body;
  if (parent === undefined) return refuse('writ.invalid', 'the chain is empty');
  if (parent.ledger !== ledger.fingerprint)
    return refuse('writ.invalid', `the writ is for ledger ${parent.ledger}, this one is ${ledger.fingerprint}`);
  const { maySubdivide } = parent.delegation;
  const delegation = { depth: Math.max(0, parent.delegation.depth - 1), maySubdivide: maySubdivide && parent.delegation.depth > 1 };
  // A run is the runtime's: unless told otherwise the child of this machine binds the runtime here.
  const runtime = findKeyFile(keysFolder(ledger.stateFolder), KEY_LABELS.runtime);
  const subject = options.standing === true || !runtime.ok ? parent.subject : (runtime.value.keyId as KeyId);
  const members = membersOf({ ...parent, subject, delegation }, options, context);
  if (!members.ok) return members;
  const key = await signingKey(options.key ?? parent.subject, options, context, ledger);
  if (!key.ok) return key;
  if (key.value.keyId !== parent.subject)
    return refuse('writ.invalid', `only the subject of the parent, key ${parent.subject}, may narrow it; this is ${key.value.keyId}`);
  const use = options.standing === true ? ('standing' as const) : ('run' as const);
  const head = { v: 1 as const, ledger: parent.ledger, use, parent: writId(parent), nonce: nonceOf(context.randomness) };
  const child: Writ = { ...onlyMembers(members.value), ...head, issuer: parent.subject };
  const wrong = windowProblem(child);
  if (wrong !== null) return wrong;
  const contained = containsWrit(parent, child);
  if (!contained.ok)
    return refuse('writ.wider', `the child would be wider than its parent in ${contained.error.dimension}: ${contained.error.value}`);
  // A run takes its whole grant at once: what nobody said would be all that the standing writ has left.
  const { tokens, usd, calls, from } = options;
  if (parent.use === 'standing' && from === undefined && [tokens, usd, calls].includes(undefined))
    return refuse('usage.invalid', 'say what the child takes of the standing writ: --tokens, --usd and --calls, or a budget with --from');
  if (use === 'standing' && parent.use === 'run') return refuse('writ.invalid', 'a standing writ cannot come from a run writ');
  return hand([...chain.value, issueWrit({ writ: child, seed: key.value.seed })], options, context);
}

/** What `openexec run` would grant: what the blueprint needs within what the configuration allows, and no host. */
async function defaultMembers(options: IssueOptions, context: CommandContext, ledger: OpenLedger): Promise<Result<Members, Refusal>> {
  const runtime = findKeyFile(keysFolder(ledger.stateFolder), KEY_LABELS.runtime);
  if (!runtime.ok && options.subject === undefined) return runtime;
  const project = await context.project();
  if (!project.ok) return project;
  const config = configFor(context, project.value, { blueprint: options.blueprint });
  if (!config.ok) return config;
  const blueprint = loadBlueprint({
    name: config.value.blueprint,
    folder: project.value.folder,
    shipped: resolve(context.assets, 'blueprints'),
    context: blueprintContext(config.value.commands),
  });
  if (!blueprint.ok) return configRefusal(blueprint.error, project.value.root);
  const delegates = loadDelegates(blueprint.value, {
    folder: project.value.folder,
    shipped: resolve(context.assets, 'blueprints'),
    context: blueprintContext(config.value.commands),
  });
  if (!delegates.ok) return configRefusal(delegates.error, project.value.root);
  const { blueprints, depth } = delegates.value;
  const below = blueprints.map((each) => each.blueprint);
  const grant = grantOf({ blueprint: blueprint.value, delegates: below, toolsets: builtinToolsets, actions: builtinActions });
  const { readPaths, writePaths, budget, wallMs } = config.value;
  const now = context.clock.now();
  return ok({
    subject: (runtime.ok ? runtime.value.keyId : '') as KeyId, // As above; without one the flag says it.
    tenant: TENANT,
    actions: [...grant.actions],
    ceiling: [...grant.ceiling],
    readPaths: [...readPaths],
    writePaths: [...writePaths],
    hosts: [],
    budget: { ...budget },
    wallMs,
    notBefore: now,
    notAfter: instantFromMs(instantToMs(now) + WRIT_DAYS * DAY_MS),
    // A standing writ is spent only by narrowing, and a run that delegates by its children.
    delegation: options.standing === true ? { depth: 1 + depth, maySubdivide: true } : { depth, maySubdivide: depth > 0 },
  });
}

/** The parent's members came along with what is the parent's own: id, use, nonce and issuer are the child's. */
function onlyMembers(members: Members): Members {
  const { tenant, subject, actions, ceiling, readPaths, writePaths, hosts, budget, wallMs, notBefore, notAfter, delegation } = members;
  return { tenant, subject, actions, ceiling, readPaths, writePaths, hosts, budget, wallMs, notBefore, notAfter, delegation };
}

async function signingKey(wanted: string, options: PassphraseOptions, context: CommandContext, ledger: OpenLedger) {
  const file = findKeyFile(keysFolder(ledger.stateFolder), wanted);
  return file.ok ? unlock(file.value, options, context) : file;
}

function windowProblem({ notBefore, notAfter }: Writ) {
  return notBefore <= notAfter ? null : refuse('usage.invalid', `the writ would end (${notAfter}) before it begins (${notBefore})`);
}

/** To a file with what it is on stdout, or the chain itself on stdout. */
function hand(writs: readonly SignedWrit[], options: IssueOptions, context: CommandContext): CommandResult {
  const leaf = writs.at(-1)?.body;
  if (leaf === undefined) return refuse('writ.invalid', 'the chain is empty');
  if (options.out === undefined) {
    context.output.result(chainText(writs).trimEnd());
    return ok(EXIT.ok);
  }
  const written = writeChain(resolve(context.cwd, options.out), writs);
  if (!written.ok) return written;
  context.output.result(`${writId(leaf)}  ${leaf.use} writ of key ${leaf.issuer} for key ${leaf.subject}, until ${leaf.notAfter}`);
  return ok(EXIT.ok);
}
