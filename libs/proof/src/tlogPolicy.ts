/**
 * C2SP tlog-policy: which logs, which witnesses, and how many of them have to have cosigned. Must never read a line it does not know as
 * nothing, and never counts a witness twice. c2sp.org/tlog-policy; PROTOCOL §3 (anchors).
 */

import { err, ok, type Result, toHex } from '@openexec/canon';
import { type Checkpoint, openCheckpoint } from './checkpoint.ts';
import { type Cosignature, type Cosigner, openCosignatures, parseCosignerVkey } from './cosignature.ts';
import type { NoteError } from './errors.ts';
import { parseVkey, type Vkey } from './notes.ts';

/** Lines, and members of one group: four times what the specification recommends to support. */
const MAX_DEFINED = 128;
const NONE = 'none';
// The specification allows tab, newline and what is not a control character.
const FORBIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f]/;

/** A policy, checked: every name is defined before it is used, and used as a member once. */
export interface TlogPolicy {
  readonly logs: readonly { readonly vkey: Vkey; readonly url: string | null }[];
  readonly witnesses: readonly { readonly name: string; readonly cosigner: Cosigner; readonly url: string | null }[];
  readonly groups: readonly { readonly name: string; readonly threshold: number; readonly members: readonly string[] }[];
  /** Name of a witness or group; null: no cosignature is asked for (`quorum none`). */
  readonly quorum: string | null;
}

/** How a checkpoint stands under a policy. */
export interface PolicyVerdict {
  readonly checkpoint: Checkpoint;
  readonly cosignatures: readonly Cosignature[];
  /** Whether the quorum is reached; true for `quorum none`. */
  readonly met: boolean;
}

interface Draft {
  readonly logs: TlogPolicy['logs'][number][];
  readonly witnesses: TlogPolicy['witnesses'][number][];
  readonly groups: TlogPolicy['groups'][number][];
  readonly names: Set<string>;
  readonly members: Set<string>;
  quorum: string | null | undefined;
}

/** Reads a policy. Refuses with the line that is wrong. */
export function parseTlogPolicy(text: string): Result<TlogPolicy, NoteError> {
  if (FORBIDDEN.test(text)) return refuse('a policy holds no control character but tab and newline');
  if (text !== '' && !text.endsWith('\n')) return refuse('the last line of a policy ends in a newline too');
  const draft: Draft = { logs: [], witnesses: [], groups: [], names: new Set([NONE]), members: new Set(), quorum: undefined };
  for (const [at, line] of text.split('\n').entries()) {
    const words = line.split(/[ \t]+/).filter((word) => word !== '');
    if (words.length === 0 || words[0]?.startsWith('#') === true) continue;
    const fault = takeLine(draft, words);
    if (fault !== undefined) return refuse(`line ${at + 1}: ${fault}`);
    if (draft.logs.length + draft.names.size > MAX_DEFINED) return refuse(`line ${at + 1}: a policy defines at most ${MAX_DEFINED} names`);
  }
  const { logs, witnesses, groups, quorum } = draft;
  return quorum === undefined ? refuse('a policy has exactly one quorum line; there is none') : ok({ logs, witnesses, groups, quorum });
}

/** Opens a checkpoint under a policy: signed by one of its logs (or, where it lists none, of `logs`), and whether its quorum cosigned. */
export function judgeByPolicy(note: string, policy: TlogPolicy, logs: readonly (Vkey | string)[] = []): Result<PolicyVerdict, NoteError> {
  const listed = policy.logs.map(({ vkey }) => vkey);
  const checkpoint = openCheckpoint(note, listed.length > 0 ? listed : logs);
  if (!checkpoint.ok) return checkpoint;
  const cosignatures = openCosignatures(
    note,
    policy.witnesses.map(({ cosigner }) => cosigner),
  );
  if (!cosignatures.ok) return cosignatures;
  return ok({ checkpoint: checkpoint.value, cosignatures: cosignatures.value, met: isMet(policy, cosignatures.value) });
}

/** Definitions stand before their uses, so one pass in order decides every name. */
function isMet(policy: TlogPolicy, cosignatures: readonly Cosignature[]): boolean {
  if (policy.quorum === null) return true;
  const holds = new Set<string>();
  for (const { name, cosigner } of policy.witnesses)
    if (cosignatures.some(({ keyName, keyHash }) => keyName === cosigner.keyName && keyHash === cosigner.keyHash)) holds.add(name);
  for (const { name, threshold, members } of policy.groups)
    if (members.filter((member) => holds.has(member)).length >= threshold) holds.add(name);
  return holds.has(policy.quorum);
}

function takeLine(draft: Draft, [keyword = '', ...words]: readonly string[]): string | undefined {
  if (keyword === 'log') return takeLog(draft, words);
  if (keyword === 'witness') return takeWitness(draft, words);
  if (keyword === 'group') return takeGroup(draft, words);
  if (keyword === 'quorum') return takeQuorum(draft, words);
  return 'expected log, witness, group or quorum';
}

function takeLog(draft: Draft, words: readonly string[]): string | undefined {
  const [text = '', url] = words;
  if (words.length < 1 || words.length > 2) return 'expected: log <vkey> [<url>]';
  const vkey = parseVkey(text);
  if (!vkey.ok) return vkey.error.message;
  if (draft.logs.some((log) => toHex(log.vkey.publicKey) === toHex(vkey.value.publicKey))) return 'this log key is listed already';
  draft.logs.push({ vkey: vkey.value, url: url ?? null });
  return undefined;
}

function takeWitness(draft: Draft, words: readonly string[]): string | undefined {
  const [name = '', text = '', url] = words;
  if (words.length < 2 || words.length > 3) return 'expected: witness <name> <vkey> [<url>]';
  if (draft.names.has(name)) return `the name ${name} is taken`;
  const cosigner = parseCosignerVkey(text);
  if (!cosigner.ok) return cosigner.error.message;
  const { publicKey } = cosigner.value;
  if (draft.witnesses.some((witness) => toHex(witness.cosigner.publicKey) === toHex(publicKey)))
    return 'this witness key is listed already';
  draft.names.add(name);
  draft.witnesses.push({ name, cosigner: cosigner.value, url: url ?? null });
  return undefined;
}

function takeGroup(draft: Draft, words: readonly string[]): string | undefined {
  const [name = '', wanted = '', ...members] = words;
  if (members.length === 0) return 'expected: group <name> all|any|<k> <name>…';
  if (draft.names.has(name)) return `the name ${name} is taken`;
  const threshold = wanted === 'all' ? members.length : wanted === 'any' ? 1 : /^[1-9][0-9]{0,3}$/.test(wanted) ? Number(wanted) : 0;
  if (threshold < 1 || threshold > members.length) return `the threshold is all, any or a number from 1 to ${members.length}`;
  for (const member of members) {
    if (member === NONE || !draft.names.has(member)) return `${member} is not defined on a line before`;
    if (draft.members.has(member)) return `${member} is a member already`;
    draft.members.add(member);
  }
  draft.names.add(name);
  draft.groups.push({ name, threshold, members });
  return undefined;
}

function takeQuorum(draft: Draft, words: readonly string[]): string | undefined {
  const [name = ''] = words;
  if (words.length !== 1) return 'expected: quorum <name>';
  if (draft.quorum !== undefined) return 'there is a quorum line already';
  if (!draft.names.has(name)) return `${name} is not defined on a line before`;
  draft.quorum = name === NONE ? null : name;
  return undefined;
}

function refuse(message: string): { readonly ok: false; readonly error: NoteError } {
  return err({ code: 'tlogPolicy.malformed', message });
}
