/**
 * Bodies of `selftest/…`: what canaries are judged under, what they came to. Shapes only; which canaries there are, and what must be said of each, is
 * the audit's word (PROTOCOL §4.2).
 */
import * as z from 'zod';
import { hostPattern, signedWrit } from './law.ts';
import { blobRef, count, digest, instant, keyId, name, nonce, signed, trajectory } from './words.ts';
import { actionContract, policySet } from './work.ts';

/** A writ chain under which canaries are judged, by its name in the set. */
const canaryGrant = z.strictObject({ name, writs: z.array(signedWrit).min(1).max(16) });
/** One canary: whose writ it stands under, whose rules judge it, and the hosts it would reach. */
const canaryRow = z.strictObject({ name, grant: name, rules: z.enum(['run', 'canary']), hosts: z.array(hostPattern).max(4) });
/** Body of `selfTest.opened`: fixes what the canaries are judged under. `set` numbers the canary set; `kit` is a `canaryKit`. */
export const selfTestOpened = z.strictObject({
  set: count,
  runtime: z.string().max(64),
  kernel: z.strictObject({ version: z.string().max(32), flags: z.array(count).max(256) }),
  policySet: blobRef,
  catalogue: blobRef,
  profile: blobRef,
  host: digest,
  opener: keyId,
  kit: blobRef,
  grants: z.array(canaryGrant).min(1).max(16),
  canaries: z.array(canaryRow).min(1).max(64),
});
/** What canaries bring along: contracts that no catalogue has, and rules that do not depend on anybody's policy. */
export const canaryKit = z.strictObject({ actions: z.array(actionContract).max(16), policySet });
/** How one canary came out: what the kernel said, and whether that is what must be said. */
const canaryOutcome = z.strictObject({ name, verdict: z.string().max(32), code: z.string().max(64), held: z.boolean() });
/** One attack from inside the sandbox; `control` says that it works outside, else it would prove nothing. */
const probeOutcome = z.strictObject({ name: z.string().max(128), blocked: z.boolean(), control: z.boolean() });
/** What a self-test found, as a blob of `selfTest.recorded`. */
export const selfTestReport = z.strictObject({
  v: z.literal(1),
  set: count,
  canaries: z.array(canaryOutcome).max(64),
  sandbox: z.strictObject({
    kind: z.string().max(32),
    version: z.string().max(64),
    limiter: z.string().max(32),
    probes: z.array(probeOutcome).max(64),
  }),
});
/** Body of `selfTest.recorded`: last entry; not judged. `key` is what the test stands for; a run of another key may not cite it. */
export const selfTestRecorded = signed(
  z.strictObject({
    ledger: digest,
    nonce,
    trajectory,
    key: digest,
    passed: z.boolean(),
    canaries: count,
    until: instant,
    report: blobRef,
  }),
);

/** Parsed form of `selfTestOpened`. */
export type SelfTestOpened = z.infer<typeof selfTestOpened>;
/** Parsed form of `canaryKit`. */
export type CanaryKit = z.infer<typeof canaryKit>;
/** Parsed form of `selfTestReport`. */
export type SelfTestReport = z.infer<typeof selfTestReport>;
/** Parsed form of `selfTestRecorded`. */
export type SelfTestRecorded = z.infer<typeof selfTestRecorded>;
