/**
 * What a recorded self-test came to: read from its entries alone, by the runtime that makes it and by everybody who judges it again, so that both say
 * the same. Must never take a canary for held of which nothing is recorded (PROTOCOL §4.2 `selftest/…`).
 */
import { type Digest, digestJson, type Json } from '@openexec/canon';
import type { Body, Kind, SelfTestOpened, SelfTestReport } from '@openexec/protocol';
import { CANARIES, CANARY_KIT, CANARY_SET, type Canary, canaryRows, type Expectation, SELF_VOTES } from './canaries.ts';

/** How long a self-test stands for later runs, in milliseconds (GOALS "first 8"). */
export const SELF_TEST_VALID_MS = 24 * 3_600_000;

/** One entry of a self-test as far as its outcome goes. */
export interface SelfTestEvent {
  readonly kind: Kind;
  readonly body: unknown;
}
type CanaryOutcome = SelfTestReport['canaries'][number];

/** What a self-test stands for: a run cites one whose members are its own, and nothing else (PROTOCOL §10). */
export interface SelfTestKey {
  readonly runtime: string;
  readonly kernel: { readonly version: string; readonly flags: readonly number[] };
  readonly policySet: Digest;
  readonly catalogue: Digest;
  readonly profile: Digest;
  readonly host: Digest;
}

/** The digest of what a self-test stands for. */
export function selfTestKey(key: SelfTestKey): Digest {
  const { runtime, kernel, policySet, catalogue, profile, host } = key;
  return digestJson({
    set: CANARY_SET,
    runtime,
    kernel: { version: kernel.version, flags: [...kernel.flags] },
    policySet,
    catalogue,
    profile,
    host,
  });
}

/** The key that an opening says. */
export function keyOfOpening(opened: SelfTestOpened): Digest {
  const { runtime, kernel, policySet, catalogue, profile, host } = opened;
  return selfTestKey({ runtime, kernel, policySet: policySet.digest, catalogue: catalogue.digest, profile: profile.digest, host });
}

/** Why an opening is not that of the canary set, or null: another set, other rows, other contracts or rules. */
export function openingFault(opened: SelfTestOpened): string | null {
  if (opened.set !== CANARY_SET) return `canary set ${opened.set} is not known here; this is ${CANARY_SET}`;
  if (opened.kit.digest !== digestJson(CANARY_KIT)) return 'the contracts and rules of the canaries are not those of the set';
  return digestJson(opened.canaries) === digestJson(canaryRows()) ? null : 'the canaries are not those of the set';
}

/** What one canary met. */
interface Seen {
  submitted: { readonly action: string; readonly arguments: Json; readonly claimedRisk: string | null } | null;
  verdict: string | null;
  code: string;
  reached: number;
  staged: boolean;
  suspended: boolean;
  refusedVotes: number;
  countedVotes: number;
  resolved: boolean;
}

const unseen = (): Seen => ({
  submitted: null,
  verdict: null,
  code: '',
  reached: 0,
  staged: false,
  suspended: false,
  refusedVotes: 0,
  countedVotes: 0,
  resolved: false,
});

/** Everything recorded, canary by canary. */
function sightings(events: readonly SelfTestEvent[]): ReadonlyMap<string, Seen> {
  const all = new Map<string, Seen>();
  let seen = unseen();
  for (const event of events) {
    if (event.kind === 'intent.submitted') {
      // Each body was held against the schema of its kind when it was written, and is again when it is judged.
      const { channel, action, arguments: args, claims } = event.body as Body<'intent.submitted'>;
      seen = { ...unseen(), submitted: { action, arguments: 'inline' in args ? args.inline : null, claimedRisk: claims.claimedRisk } };
      // Submitted twice, the worse of both would hide behind the better.
      all.set(channel, all.has(channel) ? { ...unseen() } : seen);
    } else look(seen, event);
  }
  return all;
}

function look(seen: Seen, { kind, body }: SelfTestEvent): void {
  if (kind === 'policy.decided') {
    const { verdict, because, trace } = body as Body<'policy.decided'>;
    seen.verdict = verdict;
    seen.code = because.code;
    seen.reached = 'inline' in trace ? trace.inline.reached : 0;
  }
  if (kind === 'proposal.staged') seen.staged = true;
  if (kind === 'proposal.suspended') seen.suspended = true;
  if (kind === 'approval.resolved') seen.resolved = true;
  if (kind !== 'fact.noted') return;
  const { why } = body as Body<'fact.noted'>;
  if (why === 'vote.refused') seen.refusedVotes += 1;
  if (why === 'vote.counted') seen.countedVotes += 1;
}

function isAsDefined(canary: Canary, { submitted }: Seen): boolean {
  return (
    submitted !== null &&
    submitted.action === canary.action &&
    submitted.claimedRisk === canary.claimedRisk &&
    digestJson(submitted.arguments) === digestJson(canary.arguments)
  );
}

function isMet(expect: Expectation, seen: Seen, votes: boolean): boolean {
  switch (expect.verdict) {
    case 'permit':
      return seen.verdict === 'permit' && seen.staged;
    case 'deny':
      return seen.verdict === 'deny' && seen.code === expect.code && !seen.staged && !seen.suspended;
    case 'approve': {
      const open = seen.verdict === 'approve' && seen.code === expect.code && seen.suspended && !seen.staged && !seen.resolved;
      return open && (!votes || (seen.refusedVotes === SELF_VOTES && seen.countedVotes === 0));
    }
    case 'policy':
      return seen.reached >= POLICY_STEP;
  }
}

/** Step of the compiler that asks policy (PROTOCOL §6). */
const POLICY_STEP = 9;

/** The outcome of every canary of the set; one of which nothing is recorded did not hold. */
export function canaryOutcomes(events: readonly SelfTestEvent[]): readonly CanaryOutcome[] {
  const seen = sightings(events);
  return CANARIES.map((canary) => {
    const met = seen.get(canary.name) ?? unseen();
    const held = isAsDefined(canary, met) && isMet(canary.expect, met, canary.votes);
    return { name: canary.name, verdict: met.verdict ?? 'none', code: met.code, held };
  });
}

/** Whether a self-test passed: every canary held, every probe of the sandbox was blocked, and there were some of each. */
export function passedOf(report: Pick<SelfTestReport, 'canaries' | 'sandbox'>): boolean {
  const { canaries, sandbox } = report;
  return (
    canaries.length === CANARIES.length &&
    canaries.every(({ held }) => held) &&
    sandbox.probes.length > 0 &&
    sandbox.probes.every(({ blocked }) => blocked)
  );
}

/** The canaries and probes that did not hold, as a person reads it. */
export function failures(report: SelfTestReport): readonly string[] {
  const shows = new Map(CANARIES.map(({ name, shows: what }) => [name, what]));
  const canaries = report.canaries
    .filter(({ held }) => !held)
    .map(({ name, verdict, code }) => `${name} (${shows.get(name) ?? ''}): ${verdict}${code === '' ? '' : ` ${code}`}`);
  return [...canaries, ...report.sandbox.probes.filter(({ blocked }) => !blocked).map(({ name }) => `sandbox: ${name} was not blocked`)];
}
