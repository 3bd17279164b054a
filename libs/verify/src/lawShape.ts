/**
 * What a body of trajectory `law` looks like, told by hand: an auditor's verifier has no validation library. Must never take a body for law that the
 * runtime would not take, nor the other way round: a test holds both against each other. PROTOCOL §§5, 10.
 */
import type { Json } from '@openexec/canon';

/** The members of a JSON object. */
export type Members = { readonly [name: string]: Json };
/** A payload of trajectory `law` whose form was judged good: its members can be read as `SHAPES` says. For `writ.issued` the writ. */
export interface LawBody {
  readonly kind: LawKind;
  readonly body: Members;
  readonly signatures: readonly { readonly key: string; readonly value: string }[];
}
/** A kind of the trajectory `law` (PROTOCOL §5). */
export type LawKind =
  | 'ledger.founded'
  | 'key.trusted'
  | 'key.retired'
  | 'policy.adopted'
  | 'writ.issued'
  | 'writ.revoked'
  | 'writ.restored'
  | 'ledger.upgraded';
type Rule = (value: Json) => boolean;
type Shape = Readonly<Record<string, Rule>>;

const matches =
  (pattern: RegExp): Rule =>
  (value) =>
    typeof value === 'string' && pattern.test(value);
const text =
  (max: number, min = 0): Rule =>
  (value) =>
    typeof value === 'string' && value.length >= min && value.length <= max;
const count: Rule = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const oneOf =
  (...values: readonly Json[]): Rule =>
  (value) =>
    values.includes(value);
const nullOr =
  (rule: Rule): Rule =>
  (value) =>
    value === null || rule(value);
const list =
  (rule: Rule, max: number, min = 0): Rule =>
  (value) =>
    Array.isArray(value) && value.length >= min && value.length <= max && (value as readonly Json[]).every(rule);
const members =
  (shape: Shape): Rule =>
  (value) =>
    isMembers(value) && wrongMember(value, shape) === null;

const DIGEST = matches(/^sha256:[0-9a-f]{64}$/);
const HEX_16 = matches(/^[0-9a-f]{32}$/);
const HEX_32 = matches(/^[0-9a-f]{64}$/);
const INSTANT = matches(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/);
const SENTENCE = text(2000);
const PATH = matches(/^(?:\*\*|(?!\/)(?!(?:.*\/)?\.{0,2}(?:\/|$))[^\0*]+(?:\/\*\*)?)$/s);
const PATHS: Rule = list((value) => PATH(value) && (value as string).length <= 4096, 256);
const ACTION = matches(/^(\*|[a-z][a-z0-9_.-]{0,63}\*?)$/);
const HOST = matches(/^(\*\.)?([a-z0-9]([a-z0-9-]*[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*:[1-9][0-9]{0,4}$/);
const BLOB = members({ digest: DIGEST, bytes: count, mediaType: text(127) });
const LAW = { ledger: DIGEST, nonce: HEX_16 };

/** The body under the signatures, by kind; for `writ.issued` the writ. */
const SHAPES: Readonly<Record<LawKind, Shape>> = {
  'ledger.founded': {
    origin: text(255, 1),
    registry: count,
    logKey: HEX_32,
    rootKeys: list(HEX_32, 16, 1),
    nonce: HEX_16,
  },
  'key.trusted': {
    ...LAW,
    publicKey: HEX_32,
    roles: list(oneOf('root', 'issuer', 'policy', 'approver', 'runtime', 'log'), 6, 1),
    window: members({ notBefore: INSTANT, notAfter: nullOr(INSTANT) }),
    label: text(128),
  },
  'key.retired': { ...LAW, key: HEX_16, because: SENTENCE },
  'policy.adopted': { ...LAW, layer: oneOf('organisation', 'operator'), bundle: BLOB },
  'writ.issued': {
    v: oneOf(1),
    ledger: DIGEST,
    use: oneOf('run', 'standing'),
    issuer: HEX_16,
    subject: HEX_16,
    parent: nullOr(DIGEST),
    nonce: HEX_16,
    tenant: text(128, 1),
    actions: list(ACTION, 128),
    ceiling: list(oneOf('pure', 'read', 'write', 'external', 'irreversible'), 5),
    readPaths: PATHS,
    writePaths: PATHS,
    hosts: list((value) => HOST(value) && (value as string).length <= 260, 256),
    budget: members({ tokens: count, usdMicros: count, calls: count }),
    wallMs: count,
    notBefore: INSTANT,
    notAfter: INSTANT,
    delegation: members({ depth: count, maySubdivide: (value) => typeof value === 'boolean' }),
  },
  'writ.revoked': { ...LAW, writ: DIGEST, because: SENTENCE },
  'writ.restored': { ...LAW, writ: DIGEST, because: SENTENCE },
  'ledger.upgraded': { ...LAW, registry: count },
};
const SIGNED: Shape = {
  body: isMembers,
  signatures: list(members({ key: HEX_16, value: matches(/^[A-Za-z0-9+/]+={0,2}$/) }), 16, 1),
};

function isMembers(value: Json | undefined): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The first member that is missing, not of its kind, or too much. */
function wrongMember(value: Members, shape: Shape): string | null {
  const bad = Object.entries(shape).find(([name, rule]) => {
    const member = Object.hasOwn(value, name) ? value[name] : undefined;
    return member === undefined || !rule(member);
  });
  return bad?.[0] ?? Object.keys(value).find((name) => !Object.hasOwn(shape, name)) ?? null;
}

function isLawKind(kind: string): kind is LawKind {
  return Object.hasOwn(SHAPES, kind);
}

/** The signed writ of an issue that holds it and nothing else. */
function writOf(payload: Json): Json | undefined {
  return isMembers(payload) && Object.keys(payload).length === 1 ? payload['writ'] : undefined;
}

/** A law payload that is right in form, or in words what is wrong with it: the member at fault. */
export function readLaw(kind: string, payload: Json): LawBody | string {
  if (!isLawKind(kind)) return `${kind} is no kind of trajectory law`;
  const signed = kind === 'writ.issued' ? writOf(payload) : payload;
  if (kind === 'writ.issued' && !isMembers(signed)) return `${kind} holds no writ`;
  const outer = isMembers(signed) ? wrongMember(signed, SIGNED) : 'body';
  if (outer !== null) return `${kind} is not a signed law body: ${shown(outer)}`;
  const { body, signatures } = signed as unknown as Pick<LawBody, 'body' | 'signatures'>;
  const inner = wrongMember(body, SHAPES[kind]);
  return inner === null ? { kind, body, signatures } : `the member "${shown(inner)}" of ${kind} is missing, not of its kind, or too much`;
}

/** A member's name as a message shows it: a hostile one may be as long as a payload. */
function shown(name: string): string {
  return name.slice(0, 64);
}
