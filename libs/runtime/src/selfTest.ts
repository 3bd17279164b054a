/**
 * Making and citing self-tests: canaries go through the very `evolve` and `judge` of runs, in one append with what they came to, signed by the
 * runtime key. Must never cite one that was not read from the ledger and checked. PROTOCOL §4.2 `selftest/…`; GOALS "first 8".
 */

import {
  CANARIES,
  CANARY_KIT,
  CANARY_SET,
  type Canary,
  canaryGrants,
  canaryOutcomes,
  canaryRows,
  keyOfOpening,
  passedOf,
  SELF_TEST_VALID_MS,
  SELF_VOTES,
  type SelfTestEvent,
  selfTestKey,
} from '@openexec/audit';
import { bodyType, checkSignature, keyWithRole, type LawView, signBody, VOTE_TYPE } from '@openexec/authority';
import {
  type Bytes,
  type Clock,
  canonicalBytes,
  type Digest,
  digestJson,
  type Instant,
  instantFromMs,
  instantToMs,
  type Json,
  type KeyId,
  ok,
  parseCanonical,
  parseTrajectoryId,
  type Randomness,
  type Result,
  type TrajectoryId,
  toHex,
} from '@openexec/canon';
import type { SandboxReport } from '@openexec/catalogue';
import { evolve, initialState, judge, KERNEL_FLAGS, KERNEL_VERSION, neededBlobs, type RunEvent, type RunState } from '@openexec/kernel';
import type { Blob, Draft, LedgerStore } from '@openexec/ledger';
import {
  type BlobRef,
  type Body,
  type Catalogue,
  type FactKind,
  kindRow,
  type PolicySet,
  type Reference,
  type SandboxProfile,
  type SelfTestOpened,
  type SelfTestReport,
  selfTestReport,
  type Vote,
} from '@openexec/protocol';
import { ledgerRefusal, type RuntimeFailure, reading, refuse } from './failure.ts';
import { blobOf, checkClock } from './open.ts';
import { loadLaw } from './read.ts';

const JSON_TYPE = 'application/json';
const NONCE_BYTES = 16;
const SEED_BYTES = 32;
/** The law may change between reading and appending; it does so rarely. */
const MAX_TRIES = 8;

/** A key that signs here. */
export interface SigningKey {
  readonly keyId: KeyId;
  readonly seed: Bytes;
}
/** What a self-test stands for, as a run would be opened with it. */
export interface SelfTestGround {
  readonly ledger: Digest;
  /** Version of the runtime. */
  readonly runtime: string;
  readonly policySet: PolicySet;
  readonly catalogue: Catalogue;
  readonly profile: SandboxProfile;
  /** Digest of what the machine is, as far as confining depends on it. */
  readonly host: Digest;
}
/** What making one needs. */
export interface SelfTestOrder {
  readonly ground: SelfTestGround;
  /** Issues the writs of the canaries; it is the opener as well. */
  readonly issuer: SigningKey;
  /** Signs what it came to, and votes in vain. */
  readonly runtime: SigningKey;
  /** What the sandbox's own canaries came to. */
  readonly sandbox: SandboxReport;
}
/** What it works on. */
export interface SelfTestPorts {
  readonly ledger: LedgerStore;
  readonly clock: Clock;
  readonly randomness: Randomness;
}
/** A self-test that is in the ledger. */
export interface RecordedSelfTest {
  /** What `run.opened` cites: the entry that says what it came to. */
  readonly reference: Reference;
  readonly passed: boolean;
  readonly at: Instant;
  readonly until: Instant;
  readonly report: SelfTestReport;
}

/** The digest of what a self-test on this ground stands for. */
export function keyOfGround(ground: SelfTestGround): Digest {
  const { runtime, host } = ground;
  // Typed data of the protocol is JSON by its schemas.
  const digest = (value: unknown): Digest => digestJson(value as Json);
  return selfTestKey({
    runtime,
    kernel: { version: KERNEL_VERSION, flags: KERNEL_FLAGS },
    policySet: digest(ground.policySet),
    catalogue: digest(ground.catalogue),
    profile: digest(ground.profile),
    host,
  });
}

/** Judges every canary and records what they came to. A failed one is recorded as well; whether it passed, the caller asks. */
export async function recordSelfTest(order: SelfTestOrder, ports: SelfTestPorts): Promise<Result<RecordedSelfTest, RuntimeFailure>> {
  const clock = await checkClock(ports);
  if (!clock.ok) return clock;
  for (let tries = 1; ; tries++) {
    const law = await loadLaw(ports.ledger);
    if (!law.ok) return law;
    const made = new Trial(order, ports, law.value).play();
    const appended = await ports.ledger.append({
      to: [{ trajectory: made.trajectory, expect: 'none', drafts: made.drafts }],
      blobs: made.blobs,
      law: law.value.position,
    });
    if (appended.ok) {
      const { passed, at, until, report } = made;
      return ok({ reference: { trajectory: made.trajectory, seq: made.drafts.length - 1 }, passed, at, until, report });
    }
    if (appended.error.code !== 'law.stale' || tries >= MAX_TRIES) return ledgerRefusal(appended.error);
  }
}

interface Played {
  readonly trajectory: TrajectoryId;
  readonly drafts: readonly Draft[];
  readonly blobs: readonly Blob[];
  readonly report: SelfTestReport;
  readonly passed: boolean;
  readonly at: Instant;
  readonly until: Instant;
}

/** One self-test being made. Mutable, and used once. */
class Trial {
  readonly #order: SelfTestOrder;
  readonly #ports: SelfTestPorts;
  readonly #law: LawView;
  readonly #at: Instant;
  readonly #nonce: string;
  readonly #trajectory: TrajectoryId;
  readonly #drafts: Draft[] = [];
  readonly #events: SelfTestEvent[] = [];
  readonly #blobs = new Map<Digest, Blob>();
  #state: RunState;

  constructor(order: SelfTestOrder, ports: SelfTestPorts, law: LawView) {
    this.#order = order;
    this.#ports = ports;
    this.#law = law;
    this.#at = ports.clock.now();
    this.#nonce = this.#random(NONCE_BYTES);
    const name = parseTrajectoryId(
      `selftest/${digestJson([keyOfGround(order.ground), this.#nonce]).slice('sha256:'.length, 'sha256:'.length + 32)}`,
    );
    if (!name.ok) throw new Error(name.error.message);
    this.#trajectory = name.value;
    this.#state = initialState(name.value);
  }

  play(): Played {
    this.#fact('selfTest.opened', this.#opening());
    for (const canary of CANARIES) this.#submit(canary);
    const { kind, version, limiter, canaries: probes } = this.#order.sandbox;
    const outcomes = canaryOutcomes(this.#events);
    const report: SelfTestReport = {
      v: 1,
      set: CANARY_SET,
      canaries: [...outcomes],
      sandbox: { kind, version, limiter, probes: probes.map(({ name, blocked, control }) => ({ name, blocked, control })) },
    };
    const passed = this.#order.sandbox.sound && passedOf(report);
    const until = instantFromMs(instantToMs(this.#at) + SELF_TEST_VALID_MS);
    this.#record({ report, passed, until });
    const blobs = [...this.#blobs.values()];
    return { trajectory: this.#trajectory, drafts: this.#drafts, blobs, report, passed, at: this.#at, until };
  }

  #random(bytes: number): string {
    return toHex(this.#ports.randomness.bytes(bytes));
  }

  /** Typed data of the protocol is JSON by its schemas; the store checks the shape of what is written once more. */
  #keep(value: unknown): BlobRef {
    const { ref, blob } = blobOf(canonicalBytes(value as Json), JSON_TYPE);
    this.#blobs.set(blob.digest, blob);
    return ref;
  }

  #opening(): SelfTestOpened {
    const { ground, issuer, runtime } = this.#order;
    return {
      set: CANARY_SET,
      runtime: ground.runtime,
      kernel: { version: KERNEL_VERSION, flags: [...KERNEL_FLAGS] },
      policySet: this.#keep(ground.policySet),
      catalogue: this.#keep(ground.catalogue),
      profile: this.#keep(ground.profile),
      host: ground.host,
      opener: issuer.keyId,
      kit: this.#keep(CANARY_KIT),
      grants: canaryGrants({ ledger: ground.ledger, issuer, subject: runtime.keyId, at: this.#at, nonce: () => this.#random(NONCE_BYTES) }),
      canaries: canaryRows(),
    };
  }

  #submit(canary: Canary): void {
    const { name, action, claimedRisk } = canary;
    const claims = { rationale: null, claimedRisk };
    this.#fact('intent.submitted', { channel: name, action, arguments: { inline: canary.arguments }, claims });
    const { request } = this.#state;
    if (!canary.votes || request === null) return;
    const voters = [this.#order.runtime.seed, this.#ports.randomness.bytes(SEED_BYTES)].slice(0, SELF_VOTES);
    for (const seed of voters) {
      const body: Vote = {
        ledger: this.#order.ground.ledger,
        run: this.#trajectory,
        request: request.id,
        decision: 'approve',
        digest: request.digest,
        expiry: request.until,
        nonce: this.#random(NONCE_BYTES),
        assurance: 'hardware',
        because: 'a canary',
      };
      this.#fact('approval.voted', { vote: signBody({ type: VOTE_TYPE, body, seeds: [seed] }) });
    }
  }

  /** Queues a fact and judges it, as a driver does. */
  #fact<K extends FactKind>(kind: K, body: Body<K>): void {
    const at = this.#at;
    const seq = this.#state.nextSeq;
    this.#draft({ kind, at, actor: 'runtime', cause: null, law: null, payload: body as unknown as Json });
    this.#take(seq, { kind, at, cause: null, law: null, body });
    const law = this.#law.position;
    for (const judged of judge(this.#state, this.#law)) {
      for (const { digest, bytes, mediaType } of judged.blobs) this.#blobs.set(digest, { digest, bytes, mediaType });
      this.#draft({ kind: judged.kind, at, actor: 'runtime', cause: seq, law, payload: judged.body });
      this.#take(this.#state.nextSeq, { kind: judged.kind, at, cause: seq, law, body: judged.body });
    }
  }

  #draft(draft: Draft): void {
    this.#drafts.push(draft);
    this.#events.push({ kind: draft.kind, body: draft.payload });
  }

  #take(
    seq: number,
    bare: {
      readonly kind: string;
      readonly body: unknown;
      readonly at: Instant;
      readonly cause: number | null;
      readonly law: number | null;
    },
  ): void {
    // Kind and body stand together; the mapped union cannot be rebuilt from them without saying so.
    const event = bare as unknown as RunEvent;
    const blobs = new Map<Digest, Bytes>();
    for (const { digest } of neededBlobs(event)) {
      const known = this.#blobs.get(digest);
      if (known === undefined) throw new Error(`runtime: ${bare.kind} names a blob that it does not bring`);
      blobs.set(digest, known.bytes);
    }
    this.#state = evolve(this.#state, seq, { ...event, blobs });
  }

  #record(found: { readonly report: SelfTestReport; readonly passed: boolean; readonly until: Instant }): void {
    const body = {
      ledger: this.#order.ground.ledger,
      nonce: this.#nonce,
      trajectory: this.#trajectory,
      key: keyOfGround(this.#order.ground),
      passed: found.passed,
      canaries: found.report.canaries.length,
      until: found.until,
      report: this.#keep(found.report),
    };
    const signed = signBody({ type: bodyType('selfTest.recorded'), body, seeds: [this.#order.runtime.seed] });
    const payload = { body: signed.body, signatures: [...signed.signatures] } as unknown as Json;
    this.#drafts.push({ kind: 'selfTest.recorded', at: this.#at, actor: 'runtime', cause: null, law: null, payload });
  }
}

/** A recorded self-test, read from the ledger: that of `reference`, whatever it came to. Null where there is none, or it is not whole. */
export function readSelfTest(
  ports: Pick<SelfTestPorts, 'ledger'>,
  trajectory: TrajectoryId,
): Promise<Result<(RecordedSelfTest & { readonly key: Digest; readonly signedBy: KeyId }) | null, RuntimeFailure>> {
  return reading(async () => {
    const head = await ports.ledger.trajectory(trajectory);
    if (head === null || head.seq === 0) return ok(null);
    const law = await loadLaw(ports.ledger);
    if (!law.ok) return law;
    const opened = await bodyAt(ports.ledger, { trajectory, seq: 0 }, 'selfTest.opened');
    const recorded = await bodyAt(ports.ledger, { trajectory, seq: head.seq }, 'selfTest.recorded');
    if (opened === null || recorded === null) return ok(null);
    const { body, signatures } = recorded.body;
    const [signature] = signatures;
    const holder = signature === undefined ? null : keyWithRole(law.value, { key: signature.key, roles: ['runtime'], at: recorded.at });
    if (signature === undefined || holder?.ok !== true || body.ledger !== law.value.ledger || body.trajectory !== trajectory)
      return ok(null);
    const type = bodyType('selfTest.recorded');
    if (!checkSignature({ type, body, publicKey: holder.value.publicKey, signature })) return ok(null);
    if (body.key !== keyOfOpening(opened.body)) return ok(null);
    const report = await reportOf(ports.ledger, body.report);
    if (report === null) return ok(null);
    const { passed, until, key } = body;
    return ok({ reference: { trajectory, seq: head.seq }, passed, at: recorded.at, until, report, key, signedBy: signature.key });
  });
}

async function reportOf(ledger: LedgerStore, ref: BlobRef): Promise<SelfTestReport | null> {
  const read = await ledger.blob(ref.digest);
  const json = read.ok ? parseCanonical(read.value) : null;
  const checked = json?.ok === true ? selfTestReport.safeParse(json.value) : null;
  return checked?.success === true ? checked.data : null;
}

async function bodyAt<K extends 'selfTest.opened' | 'selfTest.recorded'>(
  ledger: LedgerStore,
  at: Reference,
  kind: K,
): Promise<{ readonly body: Body<K>; readonly at: Instant } | null> {
  for await (const { entry, payload } of ledger.read(at.trajectory, at.seq, at.seq + 1)) {
    const json = entry.kind !== kind || payload === null ? null : parseCanonical(payload);
    const checked = json?.ok === true ? kindRow(kind).body.safeParse(json.value) : null;
    // Just held against the schema of this kind.
    return checked?.success === true ? { body: checked.data as Body<K>, at: entry.at } : null;
  }
  return null;
}

/** Whether a recorded self-test stands for this ground now: of the same key, passed, and not older than a day. */
export function standsFor(
  known: RecordedSelfTest & { readonly key: Digest },
  ground: SelfTestGround,
  now: Instant,
): Result<void, RuntimeFailure> {
  if (known.key !== keyOfGround(ground))
    return refuse('selfTest.otherGround', 'it was made for another runtime, policy, profile or machine');
  if (!known.passed) return refuse('selfTest.failed', 'it did not pass');
  if (now > known.until || now < known.at) return refuse('selfTest.expired', `it stood from ${known.at} until ${known.until}`);
  return ok(undefined);
}
