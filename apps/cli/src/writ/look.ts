/**
 * `writ show`, `verify` and `list`: what a writ grants, whether it counts here and now, and what the ledger knows of writs. Reads only.
 */
import { resolve } from 'node:path';
import { carveTrajectory, checkChain, checkLinks, isCarved, isRevoked, type LawView, writId } from '@openexec/authority';
import { type Digest, err, ok, type Result, type TrajectoryId } from '@openexec/canon';
import type { Amount, SignedWrit, Writ } from '@openexec/protocol';
import { spentOf } from '@openexec/runtime';
import type { CommandContext, CommandResult, OpenLedger } from '../context.ts';
import { EXIT, type Refusal, refuse } from '../exit.ts';
import { lawOf } from '../law.ts';
import { safeLine } from '../output.ts';
import { storeRefusal } from '../openLedger.ts';
import { readEvent } from '../read/events.ts';
import { amountText } from '../read/narrator.ts';
import { readChain } from './file.ts';

interface LookOptions {
  readonly json?: boolean;
}
/** One writ that the ledger knows. */
export interface KnownWrit {
  readonly id: Digest;
  readonly writ: Writ;
  /** The run that it opened, or null for a standing one. */
  readonly run: TrajectoryId | null;
}

const LAW = 'law' as TrajectoryId; // The one name of its grammar.

/** The chain that a file holds, or that a run was opened under. */
export async function chainOf(
  wanted: string,
  context: CommandContext,
  ledger: OpenLedger,
): Promise<Result<readonly SignedWrit[], Refusal>> {
  if (!/^(latest|(run\/)?[0-9a-f]{4,32})$/.test(wanted)) return readChain(resolve(context.cwd, wanted));
  const run = await context.findRun(ledger.store, wanted);
  if (!run.ok) return run;
  for await (const stored of ledger.store.read(run.value, 0, 1)) {
    const { event } = readEvent(stored);
    if (event?.kind === 'run.opened') return ok(event.body.writs);
  }
  return refuse('run.failed', `the opening of ${run.value} cannot be read any more`);
}

/** Prints every writ of a chain. */
export async function show(wanted: string, options: LookOptions, context: CommandContext, ledger: OpenLedger): Promise<CommandResult> {
  const chain = await chainOf(wanted, context, ledger);
  if (!chain.ok) return chain;
  const rows = chain.value.map(({ body }) => ({ id: writId(body), writ: body }));
  if (options.json === true) context.output.json('writ-show', { v: 1, writs: rows });
  else for (const { id, writ } of rows) for (const line of linesOf(id, writ)) context.output.result(line);
  return ok(EXIT.ok);
}

function linesOf(id: Digest, writ: Writ): readonly string[] {
  const list = (words: readonly string[]) => (words.length === 0 ? 'none' : safeLine(words.join(', '), 1000));
  const { depth, maySubdivide } = writ.delegation;
  return [
    `writ      ${id}  (${writ.use})`,
    `issuer    ${writ.issuer}   subject ${writ.subject}   parent ${writ.parent ?? 'none'}`,
    `actions   ${list(writ.actions)}`,
    `ceiling   ${list(writ.ceiling)}`,
    `reads     ${list(writ.readPaths)}`,
    `writes    ${list(writ.writePaths)}`,
    `hosts     ${list(writ.hosts)}`,
    `budget    ${amountText(writ.budget)}; ${writ.wallMs / 60_000} minutes`,
    `window    ${writ.notBefore} to ${writ.notAfter}`,
    `narrowed  ${maySubdivide ? `at most ${depth} times` : 'never'}; tenant ${safeLine(writ.tenant)}`,
  ];
}

/** Holds the chain in a file against the law: links, signatures, trust, windows, revocation, containment. */
export async function verify(file: string, options: LookOptions, context: CommandContext, ledger: OpenLedger): Promise<CommandResult> {
  const chain = await chainOf(file, context, ledger);
  if (!chain.ok) return chain;
  const law = await lawOf(ledger);
  if (!law.ok) return law;
  const leaf = chain.value.at(-1)?.body;
  if (leaf === undefined) return refuse('writ.invalid', 'the chain is empty');
  const at = context.clock.now();
  const given = { writs: chain.value, law: law.value, at, ledger: ledger.fingerprint };
  const checked = leaf.use === 'run' ? checkChain(given) : checkLinks(given);
  if (!checked.ok) return refuse('writ.notInForce', `${checked.error.code}: ${checked.error.message}`);
  const id = writId(leaf);
  if (options.json === true)
    context.output.json('writ-verify', { v: 1, counts: true, id, use: leaf.use, writs: chain.value.length, at, law: law.value.position });
  else
    context.output.result(
      `${id}  counts at ${at} under law ${law.value.position}: ${chain.value.length} writ(s), signatures, windows, revocations and containment`,
    );
  return ok(EXIT.ok);
}

/** Every writ of the ledger: the standing ones of the law, and those of runs. */
export async function knownWrits(ledger: OpenLedger): Promise<readonly KnownWrit[]> {
  const known: KnownWrit[] = [];
  for await (const stored of ledger.store.read(LAW)) {
    const { event } = readEvent(stored);
    if (event?.kind === 'writ.issued') known.push({ id: writId(event.body.writ.body), writ: event.body.writ.body, run: null });
  }
  for await (const { trajectory } of ledger.store.trajectories('run/')) {
    for await (const stored of ledger.store.read(trajectory, 0, 1)) {
      const { event } = readEvent(stored);
      const writ = event?.kind === 'run.opened' ? event.body.writs.at(-1)?.body : undefined;
      if (writ !== undefined) known.push({ id: writId(writ), writ, run: trajectory });
    }
  }
  return known;
}

/** Lists them, with what is left of each standing one, and what the law has revoked. */
export async function list(options: LookOptions, context: CommandContext, ledger: OpenLedger): Promise<CommandResult> {
  const law = await lawOf(ledger);
  if (!law.ok) return law;
  const known = await knownWrits(ledger);
  const rows = [];
  for (const each of known) {
    const spent = isCarved(each.writ) ? await spentOf(ledger.store, carveTrajectory(each.id)) : ok(null);
    if (!spent.ok) return err(storeRefusal(spent.error));
    rows.push({ ...each, state: stateOf(each, law.value, context), spent: spent.value?.amount ?? null });
  }
  const strange = [...law.value.revoked.keys()].filter((id) => !known.some((each) => each.id === id));
  if (options.json === true) {
    const writs = rows.map(({ id, writ, run, state, spent }) => ({ id, use: writ.use, issuer: writ.issuer, run, state, spent, writ }));
    context.output.json('writ-list', { v: 1, writs, revokedUnseen: strange });
    return ok(EXIT.ok);
  }
  for (const { id, writ, run, state, spent } of rows)
    context.output.result(`${id}  ${state.padEnd(9)}  ${run ?? `standing, ${taken(spent, writ)}`}  until ${writ.notAfter}`);
  for (const id of strange) context.output.result(`${id}  revoked    opened nothing here`);
  return ok(EXIT.ok);
}

function stateOf({ id, writ }: KnownWrit, law: LawView, { clock }: CommandContext): 'in force' | 'revoked' | 'expired' | 'not yet' {
  const now = clock.now();
  if (isRevoked(law, id, writ)) return 'revoked';
  return now > writ.notAfter ? 'expired' : now < writ.notBefore ? 'not yet' : 'in force';
}

function taken(spent: Amount | null, writ: Writ): string {
  return `${amountText(spent ?? { tokens: 0, usdMicros: 0, calls: 0 })} taken of ${amountText(writ.budget)}`;
}
