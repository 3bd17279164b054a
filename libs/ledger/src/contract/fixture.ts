/**
 * A small lawful ledger to append to: a founding with real signatures, a trusted runtime key, and bodies that pass their schemas. For
 * contract suites, crash children and benches only; the keys are published here. PROTOCOL §5.
 */
import {
  type Bytes,
  type Clock,
  digestOf,
  type EventId,
  type Instant,
  instantFromMs,
  instantToMs,
  type Json,
  type Randomness,
  toHex,
  type TrajectoryId,
  utf8Encode,
} from '@openexec/canon';
import { keyIdOf, publicKeyOf, seedSigner, sign, type Signer, signTyped } from '@openexec/proof';
import type { Kind } from '@openexec/protocol';
import type { AppendBatch, AppendPart, Draft, EntrySigner, Expected } from '../types.ts';

/** Origin of every ledger that fixtures found. */
export const ORIGIN = 'ledger.test/fixture';
/** The trajectory of law. */
export const LAW = 'law' as TrajectoryId;
/** The trajectory of the ledger's own facts. */
export const LEDGER = 'ledger' as TrajectoryId;

const seed = (byte: number): Bytes => new Uint8Array(32).fill(byte);
/** Published test seeds. */
export const SEEDS = { root: seed(1), log: seed(2), runtime: seed(3), stranger: seed(4) } as const;
/** The moment at which fixtures begin. */
export const START = '2026-11-20T09:00:00.000Z' as Instant;

/** The runtime key as stores take it. */
export function runtimeSigner(): EntrySigner {
  return { keyId: keyIdOf(publicKeyOf(SEEDS.runtime)), sign: (message) => sign(SEEDS.runtime, message) };
}

/** The log key, named by the origin. */
export function logSigner(): Signer {
  return seedSigner({ keyName: ORIGIN, seed: SEEDS.log });
}

/** Reproducible bytes; never for anything but tests. */
export function seededRandomness(start: number): Randomness {
  let state = (start >>> 0) + 0x9e3779b9;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
  return { bytes: (count) => Uint8Array.from({ length: count }, () => next() & 255) };
}

/** A clock that goes on by one millisecond per question. */
export function steppingClock(start: Instant = START): Clock {
  let ms = instantToMs(start);
  return { now: () => instantFromMs(ms++) };
}

/** `START` and some milliseconds. */
export function after(ms: number): Instant {
  return instantFromMs(instantToMs(START) + ms);
}

/** A fact. */
export function fact(kind: Kind, payload: Json, options: { readonly at?: Instant; readonly id?: string } = {}): Draft {
  const id = options.id === undefined ? {} : { id: options.id as EventId };
  return { kind, at: options.at ?? START, actor: 'runtime', cause: null, law: null, payload, ...id };
}

/** A judgement. */
export function judgement(
  kind: Kind,
  payload: Json,
  place: { readonly cause: number; readonly law: number; readonly at?: Instant },
): Draft {
  return { kind, at: place.at ?? START, actor: 'runtime', cause: place.cause, law: place.law, payload };
}

/** A batch of one part. */
export function batchTo(trajectory: TrajectoryId, expect: Expected, drafts: readonly Draft[], law?: number): AppendBatch {
  return batchOf([{ trajectory, expect, drafts }], law);
}

/** A batch of several parts. */
export function batchOf(to: readonly AppendPart[], law?: number): AppendBatch {
  return { to, blobs: [], ...(law === undefined ? {} : { law }) };
}

/** The founding, signed by its root key. */
export function foundingBatch(options: { readonly at?: Instant } = {}): AppendBatch {
  const body = { origin: ORIGIN, registry: 1, logKey: hexKey(SEEDS.log), rootKeys: [hexKey(SEEDS.root)], nonce: nonceOf('founding') };
  return batchTo(LAW, 'none', [
    fact('ledger.founded', signedBody('ledger.founded', body, SEEDS.root), options.at === undefined ? {} : { at: options.at }),
  ]);
}

/** A law body with its signature, as `key.trusted` and its kin carry it. */
export function signedBody(kind: Kind, body: { readonly [member: string]: Json }, by: Bytes): Json {
  const type = kind === 'ledger.founded' ? 'application/vnd.openexec.founding.v1+json' : `application/vnd.openexec.${kind}.v1+json`;
  const { key, value } = signTyped({ type, body, seed: by });
  return { body, signatures: [{ key, value }] };
}

/** Trust in the runtime key: the second law entry. */
export function trustDraft(
  fingerprint: string,
  options: {
    readonly nonce?: string;
    readonly at?: Instant;
    readonly by?: Bytes;
    readonly key?: Bytes;
    readonly roles?: readonly string[];
  } = {},
): Draft {
  const body = {
    ledger: fingerprint,
    nonce: nonceOf(options.nonce ?? 'runtime'),
    publicKey: hexKey(options.key ?? SEEDS.runtime),
    roles: options.roles ?? ['runtime'],
    window: { notBefore: START, notAfter: null },
    label: 'runtime',
  };
  return fact('key.trusted', signedBody('key.trusted', body, options.by ?? SEEDS.root), { at: options.at ?? START });
}

/** 16 bytes as hex, from a name. */
export function nonceOf(name: string): string {
  return digestOf(name).slice(7, 39);
}

/** A body of `run.opened` that passes its schema; its writ is not what ledgers are tested for. */
export function openedBody(fingerprint: string, run: string): Json {
  const ref = { digest: digestOf(run), bytes: run.length, mediaType: 'application/json' };
  const oid = digestOf(run).slice(7, 47);
  const writ = {
    v: 1,
    ledger: fingerprint,
    use: 'run',
    issuer: keyIdOf(publicKeyOf(SEEDS.root)),
    subject: keyIdOf(publicKeyOf(SEEDS.runtime)),
    parent: null,
    nonce: nonceOf(run),
    tenant: 'test',
    actions: ['*'],
    ceiling: [],
    readPaths: [],
    writePaths: [],
    hosts: [],
    budget: { tokens: 0, usdMicros: 0, calls: 0 },
    wallMs: 0,
    notBefore: START,
    notAfter: START,
    delegation: { depth: 0, maySubdivide: false },
  };
  const { key, value } = signTyped({ type: 'application/vnd.openexec.writ.v1+json', body: writ, seed: SEEDS.root });
  return {
    driver: nonceOf('driver'),
    epoch: 0,
    task: ref,
    session: null,
    opener: keyIdOf(publicKeyOf(SEEDS.root)),
    writs: [{ body: writ, signatures: [{ key, value }] }],
    blueprint: ref,
    policySet: ref,
    catalogue: ref,
    toolsets: ref,
    prices: ref,
    profile: ref,
    model: null,
    base: { commit: oid, tree: oid, objectFormat: 'sha1', listing: ref },
    kernel: { version: '1', flags: [] },
    selfTest: null,
    approvals: 'never',
  };
}

/** The name of a test run. */
export function runNamed(name: string): TrajectoryId {
  return `run/${nonceOf(name)}` as TrajectoryId;
}

/** A small fact of a run. */
export const CANCEL: Json = { because: 'asked to stop' };
/** A small judgement of a run. */
export const NOTED: Json = { why: 'late', message: 'nothing follows', violation: false };
/** The closing judgement of a run. */
export const CLOSED: Json = {
  outcome: 'cancelled',
  because: { code: 'run.cancelled', message: 'asked to stop' },
  worldRoot: digestOf(''),
  spend: { tokens: 0, usdMicros: 0, calls: 0 },
  result: null,
};

/** A text blob. */
export function textBlob(text: string) {
  const bytes = utf8Encode(text);
  return { digest: digestOf(bytes), bytes, mediaType: 'text/plain' };
}

function hexKey(ofSeed: Bytes): string {
  return toHex(publicKeyOf(ofSeed));
}
