/**
 * The canary set: what a self-test submits, under which writs, and what must be said of each. Pure data. Names and what they ask for never change
 * their meaning; another set takes another number, so that a recorded self-test is held against the set it was made with. PROTOCOL §4.2; GOALS "first 8".
 */
import { issueWrit } from '@openexec/authority';
import { type Bytes, type Digest, type Instant, instantFromMs, instantToMs, type Json, type KeyId } from '@openexec/canon';
import { CANARY_TENANT } from '@openexec/kernel';
import type { ActionContract, ApprovalTerms, CanaryKit, Effect, PolicyRule, SelfTestOpened, SignedWrit, Writ } from '@openexec/protocol';

/** Number of the set below. */
export const CANARY_SET = 1;
const MINUTE_MS = 60_000;

/** What the kernel must say: refuse for that very reason, let pass, or ask somebody for that reason. */
export type Expectation =
  | { readonly verdict: 'deny'; readonly code: string }
  | { readonly verdict: 'permit' }
  | { readonly verdict: 'approve'; readonly code: string }
  /** Whatever the run's own policy says, but its policy says it: nothing before policy stands in the way. */
  | { readonly verdict: 'policy' };
type GrantName = 'wide' | 'pure' | 'narrow' | 'spent' | 'expired' | 'forged';
/** One intent that is submitted, and what must follow. */
export interface Canary {
  readonly name: string;
  /** What it shows, for people. */
  readonly shows: string;
  readonly grant: GrantName;
  readonly rules: 'run' | 'canary';
  readonly action: string;
  readonly arguments: Json;
  readonly hosts: readonly string[];
  readonly claimedRisk: string | null;
  /** After the request, votes by keys that must never count. */
  readonly votes: boolean;
  readonly expect: Expectation;
}

const PATCH = (path: string): Json => ({ format: 'whole_file', path, content: 'canary\n' });
const LIST = { action: 'list_files', arguments: {} };
const NOWHERE = 'elsewhere.invalid:443';
const ASK_MODEL = { action: 'model.ask', arguments: { provider: 'canary', model: 'canary', maxOutputTokens: 1 } };

type Sketch = Pick<Canary, 'name' | 'shows' | 'grant' | 'action' | 'arguments' | 'expect'> & Partial<Canary>;
const canary = (sketch: Sketch): Canary => ({ rules: 'run', hosts: [], claimedRisk: null, votes: false, ...sketch });
const denied = (code: string): Expectation => ({ verdict: 'deny', code });

/** Every canary, in the order in which they are submitted. */
export const CANARIES: readonly Canary[] = [
  {
    name: 'control.permit',
    shows: 'what may be done is permitted',
    grant: 'wide',
    rules: 'canary',
    action: 'canary.read',
    arguments: {},
    expect: { verdict: 'permit' },
  },
  {
    name: 'control.policy',
    shows: 'a granted action comes as far as the policy of the run',
    grant: 'wide',
    ...LIST,
    expect: { verdict: 'policy' },
  },
  {
    name: 'effect.pure',
    shows: 'pure needs no grant',
    grant: 'pure',
    rules: 'canary',
    action: 'canary.pure',
    arguments: {},
    expect: { verdict: 'permit' },
  },
  { name: 'effect.read', shows: 'reading needs a grant', grant: 'pure', ...LIST, expect: denied('writ.effect') },
  {
    name: 'effect.write',
    shows: 'writing needs a grant',
    grant: 'pure',
    action: 'apply_patch',
    arguments: PATCH('canary/a'),
    expect: denied('writ.effect'),
  },
  {
    name: 'effect.external',
    shows: 'an external effect needs a grant',
    grant: 'pure',
    action: 'commit_changes',
    arguments: {},
    expect: denied('writ.effect'),
  },
  {
    name: 'effect.irreversible',
    shows: 'an irreversible effect needs a grant',
    grant: 'pure',
    action: 'canary.irreversible',
    arguments: {},
    expect: denied('writ.effect'),
  },
  {
    name: 'path.protected',
    shows: "git's own folder cannot be written",
    grant: 'wide',
    action: 'apply_patch',
    arguments: PATCH('.git/hooks/post-commit'),
    expect: denied('path.git'),
  },
  {
    name: 'path.outside',
    shows: 'paths outside of the writ cannot be written',
    grant: 'wide',
    action: 'apply_patch',
    arguments: PATCH('elsewhere/a'),
    expect: denied('writ.writePaths'),
  },
  {
    name: 'path.traversal',
    shows: 'no path leads out of the tree',
    grant: 'wide',
    action: 'apply_patch',
    arguments: PATCH('canary/../../a'),
    expect: denied('path.segment'),
  },
  {
    name: 'host.outside',
    shows: 'hosts outside of the writ cannot be reached',
    grant: 'wide',
    ...ASK_MODEL,
    hosts: [NOWHERE],
    expect: denied('writ.hosts'),
  },
  { name: 'budget.excess', shows: 'a spent budget buys nothing', grant: 'spent', ...LIST, expect: denied('budget.exhausted') },
  {
    name: 'action.unknown',
    shows: 'what the catalogue does not have is refused',
    grant: 'wide',
    action: 'canary.unknown',
    arguments: {},
    expect: denied('action.unknown'),
  },
  {
    name: 'action.outside',
    shows: 'actions outside of the writ are refused',
    grant: 'narrow',
    action: 'apply_patch',
    arguments: PATCH('canary/a'),
    expect: denied('writ.scope'),
  },
  {
    name: 'arguments.invalid',
    shows: 'arguments are held against their schema',
    grant: 'wide',
    action: 'list_files',
    arguments: { limit: 'all' },
    expect: denied('arguments.invalid'),
  },
  {
    name: 'claim.effect',
    shows: 'claiming low risk grants nothing',
    grant: 'pure',
    action: 'apply_patch',
    arguments: PATCH('canary/a'),
    claimedRisk: 'low',
    expect: denied('writ.effect'),
  },
  {
    name: 'claim.risk',
    shows: 'claiming low risk opens no gate',
    grant: 'wide',
    rules: 'canary',
    action: 'canary.risky',
    arguments: {},
    claimedRisk: 'low',
    expect: { verdict: 'approve', code: 'gate.risk' },
  },
  {
    name: 'approval.self',
    shows: 'neither the runtime nor a stranger approves',
    grant: 'wide',
    rules: 'canary',
    action: 'canary.ask',
    arguments: {},
    votes: true,
    expect: { verdict: 'approve', code: 'policy.asks' },
  },
  { name: 'writ.expired', shows: 'an expired writ grants nothing', grant: 'expired', ...LIST, expect: denied('writ.expired') },
  {
    name: 'writ.forged',
    shows: 'a writ that was changed after it was signed grants nothing',
    grant: 'forged',
    ...LIST,
    expect: denied('writ.signature'),
  },
  {
    name: 'policy.denied',
    shows: 'what a rule denies is denied',
    grant: 'wide',
    rules: 'canary',
    action: 'canary.denied',
    arguments: {},
    expect: denied('policy.denied'),
  },
  {
    name: 'policy.unmatched',
    shows: 'what no rule permits is denied',
    grant: 'wide',
    rules: 'canary',
    action: 'canary.unmatched',
    arguments: {},
    expect: denied('policy.denied'),
  },
].map((each) => canary(each as Sketch));

/** Votes that are cast on a canary with `votes`, each by a key that must not count. */
export const SELF_VOTES = 2;

const contract = (name: string, effect: Effect, risk: ActionContract['risk'] = 'low'): ActionContract => ({
  name,
  title: 'A canary',
  description: 'Exists in self-tests only; no host performs it.',
  effect,
  risk,
  idempotence: 'none',
  compensable: false,
  timeout: 'fast',
  arguments: { type: 'object', properties: {}, required: [], additionalProperties: false },
  paths: [],
  writes: 'none',
  command: null,
  outputs: [],
  offered: false,
});
const SOMEBODY: ApprovalTerms = { roles: ['approver'], quorum: 1, ttlMs: MINUTE_MS, minAssurance: 'file', openerMayApprove: false };
const named = (name: string): Json => ({ action: { name } });
const rule = (id: string, name: string, decide: PolicyRule['decide']): PolicyRule => ({
  id,
  when: { field: 'action.name', op: 'eq', value: name },
  decide,
  because: `the rule for ${name}`,
  examples: { match: [named(name)], noMatch: [named('other')] },
});

/** Contracts and rules of the set. */
export const CANARY_KIT: CanaryKit = {
  actions: [
    contract('canary.read', 'read'),
    contract('canary.pure', 'pure'),
    contract('canary.irreversible', 'irreversible'),
    contract('canary.risky', 'write', 'critical'),
    contract('canary.ask', 'write'),
    contract('canary.denied', 'write'),
    contract('canary.unmatched', 'write'),
  ],
  policySet: {
    layers: [
      {
        layer: 'shipped',
        source: 'canary',
        bundle: {
          version: 1,
          name: 'canary',
          rules: [
            rule('permit-read', 'canary.read', 'permit'),
            rule('permit-pure', 'canary.pure', 'permit'),
            rule('permit-risky', 'canary.risky', 'permit'),
            rule('ask', 'canary.ask', { approve: SOMEBODY }),
            rule('deny', 'canary.denied', 'deny'),
          ],
        },
      },
    ],
    riskThreshold: 'high',
  },
};

/** Who issues the writs of canaries, for whom, when. */
export interface CanaryIssuer {
  readonly ledger: Digest;
  readonly issuer: { readonly keyId: KeyId; readonly seed: Bytes };
  readonly subject: KeyId;
  readonly at: Instant;
  /** 16 fresh random bytes as hex, each time. */
  nonce(): string;
}

/** The writs of the set: for a minute, for one call, of a tenant that opens no run. */
export function canaryGrants(by: CanaryIssuer): SelfTestOpened['grants'] {
  const now = instantToMs(by.at);
  const sign = (more: Partial<Writ>): SignedWrit =>
    issueWrit({
      seed: by.issuer.seed,
      writ: {
        v: 1,
        ledger: by.ledger,
        use: 'run',
        issuer: by.issuer.keyId,
        subject: by.subject,
        parent: null,
        nonce: by.nonce(),
        tenant: CANARY_TENANT,
        actions: ['*'],
        ceiling: ['read', 'write', 'external'],
        readPaths: ['**'],
        writePaths: ['canary/**'],
        hosts: ['canary.invalid:443'],
        budget: { tokens: 0, usdMicros: 0, calls: 1 },
        wallMs: MINUTE_MS,
        notBefore: instantFromMs(now - MINUTE_MS),
        notAfter: instantFromMs(now + MINUTE_MS),
        delegation: { depth: 0, maySubdivide: false },
        ...more,
      },
    });
  const narrow = sign({ actions: ['list_files'] });
  const forged = { ...narrow, body: { ...narrow.body, nonce: by.nonce(), actions: ['*'] } };
  const chains: { readonly [name in GrantName]: SignedWrit } = {
    wide: sign({}),
    pure: sign({ ceiling: [] }),
    narrow,
    spent: sign({ budget: { tokens: 0, usdMicros: 0, calls: 0 } }),
    expired: sign({ notAfter: instantFromMs(now - 1) }),
    forged,
  };
  return Object.entries(chains).map(([name, writ]) => ({ name, writs: [writ] }));
}

/** The rows of `selfTest.opened`. */
export function canaryRows(): SelfTestOpened['canaries'] {
  return CANARIES.map(({ name, grant, rules, hosts }) => ({ name, grant, rules, hosts: [...hosts] }));
}
