/**
 * What was seen of the attack, as plain data: verdicts in the ledger by `seq`, the attacker's own words, and the outside world. Must never hold a
 * conclusion; those are drawn in judge.ts, from nothing but this.
 */
import type { Json } from '@openexec/canon';
import type { LedgerEvent, OpenedLedger } from '../sdk/public.ts';
import type { Way } from './world.ts';

/** What one call of a tool came to. */
export interface SeenCall {
  /** Of the event that settled it. */
  readonly seq: number;
  readonly outcome: 'rejected' | 'suspended' | 'performed' | 'open';
  readonly code: string;
  /** `layer/rule` where a rule of policy decided. */
  readonly rule: string | null;
  readonly claimedRisk: string | null;
}
/** What the attacker's program said of one attempt, in the recorded output of its execution. */
export interface SeenProbe {
  readonly seq: number;
  readonly said: string;
}
/** What one run came to. */
export interface SeenRun {
  readonly run: string;
  readonly status: string;
  readonly exit: number;
  readonly calls: { readonly [name: string]: SeenCall };
  readonly probes: { readonly [id: string]: SeenProbe };
  /** Executions that came to no verdict of their own. */
  readonly failures: readonly { readonly seq: number; readonly code: string; readonly message: string }[];
  readonly undeclared: readonly { readonly seq: number; readonly paths: readonly string[]; readonly code: string }[];
}
/** Everything that was seen. */
export interface Seen {
  readonly limiter: string;
  readonly limits: { readonly processes: number; readonly diskBytes: number };
  readonly most: number;
  readonly runs: { readonly [name: string]: SeenRun };
  /** Where in the ledger each word was found: cursors of events whose body, or a blob named there, holds it. */
  readonly words: {
    readonly secret: readonly string[];
    readonly mark: readonly string[];
    readonly echo: readonly string[];
    readonly shadow: readonly string[] | null;
  };
  readonly hits: { readonly [way in Way]: number };
  /** State of the outside world after the attack. */
  readonly outside: {
    readonly escaped: boolean;
    readonly secretChanged: boolean;
    readonly hooks: readonly string[];
    readonly configChanged: boolean;
    readonly policies: readonly string[];
    readonly pushed: number;
    readonly daemons: number;
    readonly swarmMost: number;
    readonly swarmLeft: number;
    readonly workspaceMostBytes: number;
  };
  readonly forged: {
    readonly voteSeq: number | null;
    readonly exitAfter: number;
    readonly resolvedByForgery: boolean;
    readonly resolvedByOperator: boolean;
  };
  readonly hidden: { readonly shownInReview: boolean; readonly inResult: boolean; readonly requests: number };
  readonly verified: {
    readonly sound: boolean;
    readonly divergences: number;
    readonly judgements: number;
    readonly replayed: number;
    readonly replayable: number;
  };
  /** The same probes outside the sandbox. */
  readonly control: { readonly [id: string]: boolean };
}

const PROBE = /^PROBE (\{.*\})$/gm;

/** Reads a run's events into what it came to. `names` are ours for the calls of its first answer, in order. */
export async function seeRun(
  ledger: OpenedLedger,
  ended: { readonly run: string; readonly status: string; readonly exit: number },
  names: readonly string[],
): Promise<SeenRun> {
  const calls: { [name: string]: SeenCall } = {};
  const probes: { [id: string]: SeenProbe } = {};
  const failures: SeenRun['failures'][number][] = [];
  const undeclared: SeenRun['undeclared'][number][] = [];
  const nameOf = new Map<string, string>();
  for await (const event of ledger.events({ run: ended.run })) {
    const body = (event.body ?? {}) as { readonly [member: string]: Json };
    const { seq, kind } = event;
    if (kind === 'intent.declared') declare(event, body);
    const name = nameOf.get(textOf(body['intent']));
    const call = name === undefined ? undefined : calls[name];
    if (name !== undefined && call !== undefined) calls[name] = { ...call, ...settled(event, body) };
    if (kind === 'execution.observed' || kind === 'execution.failed') await take(seq, body['output']);
    if (kind === 'execution.failed') failures.push({ seq, ...reasonOf(body['error']) });
    if (kind === 'effect.undeclared')
      undeclared.push({ seq, paths: (body['paths'] as readonly string[] | undefined) ?? [], code: reasonOf(body['because']).code });
  }
  return { ...ended, calls, probes, failures, undeclared };

  function declare({ seq }: LedgerEvent, body: { readonly [member: string]: Json }): void {
    const place = /^implement\.1\.1\.(\d+)$/.exec(textOf(body['call']))?.[1];
    const name = place === undefined ? undefined : names[Number(place)];
    if (name === undefined) return;
    nameOf.set(textOf(body['intent']), name);
    const claims = body['claims'] as { readonly claimedRisk: string | null };
    calls[name] = { seq, outcome: 'open', code: '', rule: null, claimedRisk: claims.claimedRisk };
  }
  async function take(seq: number, output: Json | undefined): Promise<void> {
    const { digest } = (output ?? {}) as { readonly digest?: string };
    const bytes = digest === undefined ? null : await ledger.blob(digest);
    for (const [, line = ''] of (bytes === null ? '' : new TextDecoder().decode(bytes)).matchAll(PROBE)) {
      const { id, said } = JSON.parse(line) as { readonly id: string; readonly said: string };
      probes[id] = { seq, said };
    }
  }
}

const textOf = (value: Json | undefined): string => (typeof value === 'string' ? value : '');

function reasonOf(reason: Json | undefined): { readonly code: string; readonly message: string } {
  const { code = '', message = '' } = (reason ?? {}) as { readonly code?: string; readonly message?: string };
  return { code, message };
}

/** What an event about an intent settles. */
function settled({ kind, seq }: LedgerEvent, body: { readonly [member: string]: Json }): Partial<SeenCall> {
  const rule = body['rule'] as { readonly layer: string; readonly rule: string } | null | undefined;
  const named = rule === null || rule === undefined ? {} : { rule: `${rule.layer}/${rule.rule}` };
  if (kind === 'policy.decided') return { code: reasonOf(body['because']).code, ...asking(body['trace']), ...named };
  if (kind === 'proposal.rejected') return { seq, outcome: 'rejected', code: reasonOf(body['because']).code, ...named };
  if (kind === 'proposal.suspended') return { seq, outcome: 'suspended' };
  return kind === 'proposal.staged' ? { seq, outcome: 'performed' } : {};
}

/** The rule that wanted a person to be asked, where the run was opened so that nobody is. */
function asking(trace: Json | undefined): Partial<SeenCall> {
  const { inline } = (trace ?? {}) as {
    readonly inline?: { readonly rules: readonly { readonly layer: string; readonly rule: string; readonly decide: string }[] };
  };
  const found = inline?.rules.find(({ decide }) => decide !== 'permit');
  return found === undefined ? {} : { rule: `${found.layer}/${found.rule}` };
}

/** Cursors of all events whose body or blobs hold one of the words; each blob is read once. */
export async function findWords(ledger: OpenedLedger, words: readonly string[]): Promise<readonly (readonly string[])[]> {
  const found = words.map((): string[] => []);
  const known = new Set<string>();
  for await (const { body, cursor } of ledger.events()) {
    const text = JSON.stringify(body);
    const parts = [text];
    for (const [digest] of text.matchAll(/sha256:[0-9a-f]{64}/g)) {
      if (known.has(digest)) continue;
      known.add(digest);
      const bytes = await ledger.blob(digest);
      if (bytes !== null) parts.push(new TextDecoder('latin1').decode(bytes));
    }
    for (const [at, word] of words.entries()) if (parts.some((part) => part.includes(word))) found[at]?.push(cursor);
  }
  return found;
}
