/**
 * What kind of drift a difference is: read from both values, the reasons they give and the members that differ. For people and for counts; no verdict
 * hangs on it. PROTOCOL §10 "drift is a list".
 */
import type { Json } from '@openexec/canon';
import type { Difference } from './drift.ts';
import type { DivergenceKind, DriftKind } from './report.ts';

type Members = { readonly [name: string]: Json };

/** Both sides of a difference, as far as they are there. */
export interface Sides {
  readonly what: DivergenceKind;
  /** The kind of event that was expected, and that is recorded. */
  readonly kind: { readonly expected: string | null; readonly recorded: string | null };
  readonly expected: Json | undefined;
  readonly recorded: Json | undefined;
  readonly drift: readonly Difference[];
}

/** Reasons that say that nothing was wrong: where the other side gives one, that one says what this is about. */
const FINE = /^(policy\.permitted|approval\.granted|action\.done|answer\.final|fact\.taken|vote\.counted)$/;
/** Kinds of drift by the codes of reasons, the first that fits. */
const BY_CODE: readonly (readonly [RegExp, DriftKind])[] = [
  [/^(writ|vote)\.(signature|untrusted)$/, 'signature'],
  [/^(writ|scope|profile|budget)\./, 'writ'],
  [/^(vote|approval)\./, 'vote'],
  [/^(action|arguments|command|catalogue|toolset)\./, 'catalogue'],
  [/^(policy|gate)\./, 'policy'],
];
/** Members that belong to one thing, wherever they stand. */
const BY_PATH: readonly (readonly [RegExp, DriftKind])[] = [
  [/^\/(worldRoot|delta)(\/|$)/, 'world'],
  [/^\/(votes|terms|request)(\/|$)/, 'vote'],
  [/^\/(rule|policySet|trace\/(layers|rules|gates))(\/|$)/, 'policy'],
  [/^\/(effect|trace\/effect|trace\/risk)(\/|$)/, 'catalogue'],
  [/^\/(reservation|settled|spend)(\/|$)/, 'writ'],
];
const WORLD_KINDS = /^commit\./;
const VOTE_KINDS = /^approval\./;
const COMPILED = /^(policy\.decided|proposal\.|intent\.|execution\.started)/;

/** The kind of drift of one difference. */
export function aboutOf(sides: Sides): DriftKind {
  const { what, kind, drift } = sides;
  if (what === 'selfTest') return 'selfTest';
  if (what === 'delegation') return 'writ';
  if (what === 'cause' || what === 'law' || what === 'at' || what === 'order') return 'order';
  const code = codeOf(sides);
  const byCode = code === null ? undefined : BY_CODE.find(([pattern]) => pattern.test(code));
  if (byCode !== undefined) return byCode[1];
  const byPath = BY_PATH.find(([pattern]) => drift.some(({ path }) => pattern.test(path)));
  if (byPath !== undefined) return byPath[1];
  const kinds = [kind.expected, kind.recorded].filter((each) => each !== null);
  if (what === 'result' || kinds.some((each) => WORLD_KINDS.test(each))) return 'world';
  if (kinds.some((each) => VOTE_KINDS.test(each))) return 'vote';
  return kinds.some((each) => COMPILED.test(each)) ? 'compiler' : 'judgement';
}

/** The reason that says what is wrong: the expected one, unless it finds nothing wrong. */
/** The code of the reason that says what is wrong: the expected one, unless it finds nothing wrong. */
function codeOf({ expected, recorded }: Sides): string | null {
  const codes = [reasonOf(expected), reasonOf(recorded)].filter((code) => code !== null);
  return codes.find((code) => !FINE.test(code)) ?? null;
}

/** The code of a reason: `because`, or the word of a note; a refused vote names its own in the message. */
function reasonOf(body: Json | undefined): string | null {
  if (!isMembers(body)) return null;
  const { because, why, message } = body;
  if (why === 'vote.refused' && typeof message === 'string') return message.split(':', 1)[0] ?? null;
  if (typeof why === 'string') return why;
  return isMembers(because) && typeof because['code'] === 'string' ? because['code'] : null;
}

function isMembers(value: Json | undefined): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
