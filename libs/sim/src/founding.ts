/**
 * A founded ledger in memory with one key for each role, and the opening of a simulated run: blueprint, policy, catalogue, writ, base tree. Data
 * only; must never differ between two worlds of one seed.
 */
import { digestOf, instantFromMs, instantToMs, type Json, type KeyId, toHex, type TrajectoryId, utf8Encode } from '@openexec/canon';
import { bodyType, foundLedger, issueWrit, signBody, writId } from '@openexec/authority';
import { builtinActions, builtinToolsets, compileProfile } from '@openexec/catalogue';
import { type LedgerStore, memoryLedger, type SnapshotShelf } from '@openexec/ledger';
import { gitCommitId, gitTreeId, keyIdOf, publicKeyOf, seedSigner, sign } from '@openexec/proof';
import type { ActionContract, CheckedBlueprint, CheckedStage, PolicySet, Role, SignedWrit, Writ } from '@openexec/protocol';
import type { Opening } from '@openexec/runtime';
import type { Chance, SimClock } from './chance.ts';
import { Watch } from './watch.ts';
import { listingOf, type SimFile, type SimRepository } from './workspace.ts';

/** Keys of a simulation: one seed each. */
export const SEEDS = {
  root: seed(1),
  runtime: seed(2),
  issuer: seed(3),
  approver: seed(4),
  log: seed(5),
  second: seed(6),
  stranger: seed(7),
} as const;
const ORIGIN = 'sim.example/ledger';
const LAW = 'law' as TrajectoryId; // The one name of its grammar.
const DAY_MS = 86_400_000;
const NONCE_BYTES = 16;
const AUTHOR = { name: 'Base', email: 'base@sim.example', seconds: 1_700_000_000, offset: '+0000' };

function seed(number: number): Uint8Array {
  return new Uint8Array(32).fill(number);
}
/** Ids by seed: deriving a public key costs as much as a signature. */
const ids = new Map<Uint8Array, KeyId>();
/** Id of the key of a seed. */
export function keyOf(of: Uint8Array): KeyId {
  const known = ids.get(of) ?? keyIdOf(publicKeyOf(of));
  ids.set(of, known);
  return known;
}

/** Bodies of the law that a root key signs here. */
type SignedLaw = 'key.trusted' | 'key.retired' | 'writ.revoked';

/** A ledger with its law. */
export interface SimLedger {
  readonly store: LedgerStore;
  readonly watch: Watch;
  readonly shelf: SnapshotShelf;
  /** Appends one signed body to `law`. */
  legislate(kind: SignedLaw, members: { readonly [key: string]: Json }): Promise<void>;
  /** Puts a standing writ into the law. */
  issue(writ: SignedWrit): Promise<void>;
  readonly fingerprint: string;
}

/** Founds a ledger in memory and trusts the keys. */
export async function foundSim(chance: Chance, clock: SimClock, options: { readonly keep?: boolean } = {}): Promise<SimLedger> {
  const signer = { keyId: keyOf(SEEDS.runtime), sign: (message: Uint8Array) => sign(SEEDS.runtime, message) };
  const kept = memoryLedger({ randomness: chance.fork('salts'), signer, logSigner: seedSigner({ keyName: ORIGIN, seed: SEEDS.log }) });
  const watch = new Watch(kept, options);
  const store = watch.handle('outside');
  const nonces = chance.fork('law');
  const append = async (kind: 'ledger.founded' | 'writ.issued' | SignedLaw, payload: Json): Promise<void> => {
    const draft = { kind, at: clock.now(), actor: `key:${keyOf(SEEDS.root)}` as const, cause: null, law: null, payload };
    const appended = await store.append({ to: [{ trajectory: LAW, expect: 'any', drafts: [draft] }], blobs: [] });
    if (!appended.ok) throw new Error(`${kind}: ${appended.error.code}: ${appended.error.message}`);
  };
  const founding = foundLedger({
    origin: ORIGIN,
    rootSeeds: [SEEDS.root],
    logKey: publicKeyOf(SEEDS.log),
    nonce: toHex(nonces.bytes(NONCE_BYTES)),
  });
  await append('ledger.founded', { ...founding });
  const fingerprint = (await store.head()).fingerprint ?? '';
  const legislate: SimLedger['legislate'] = async (kind, members) => {
    const body = { ledger: fingerprint, nonce: toHex(nonces.bytes(NONCE_BYTES)), ...members };
    await append(kind, { ...signBody({ type: bodyType(kind), body, seeds: [SEEDS.root] }) });
  };
  const window = { notBefore: instantFromMs(instantToMs(clock.now()) - DAY_MS), notAfter: null };
  const roles: readonly (readonly [keyof typeof SEEDS, Role])[] = [
    ['runtime', 'runtime'],
    ['issuer', 'issuer'],
    ['approver', 'approver'],
    ['second', 'approver'],
  ];
  for (const [name, role] of roles) {
    await legislate('key.trusted', { publicKey: toHex(publicKeyOf(SEEDS[name])), roles: [role], window, label: name });
  }
  const issue: SimLedger['issue'] = (writ) => append('writ.issued', { writ });
  return { store, watch, shelf: kept.snapshots, legislate, issue, fingerprint };
}

/** The repository that every run of the simulation starts from. */
export function baseRepository(): SimRepository {
  const files = new Map<string, SimFile>();
  for (const [path, text] of Object.entries({
    'src/a.txt': 'a\n',
    'src/old.txt': 'old\n',
    'package.json': '{}',
    'README.md': 'simulated\n',
  }))
    files.set(path, { content: utf8Encode(text), mode: '100644' });
  const tree = gitTreeId(listingOf(files), 'sha1');
  return {
    files,
    branches: new Map(),
    commit: gitCommitId({ tree, parents: [], author: AUTHOR, committer: AUTHOR, message: 'base\n' }, 'sha1'),
  };
}

/** Tells somebody outside: not idempotent, not to be repeated. */
const notify: ActionContract = {
  name: 'notify',
  title: 'Tell somebody',
  description: 'Sends a message outside.',
  effect: 'external',
  risk: 'low',
  idempotence: 'none',
  compensable: false,
  timeout: 'fast',
  arguments: { type: 'object', properties: {}, required: [], additionalProperties: false },
  paths: [],
  writes: 'none',
  command: null,
  outputs: [],
  offered: true,
};

const APPROVE = { roles: ['approver' as const], ttlMs: DAY_MS, minAssurance: 'file' as const, openerMayApprove: true };
const EXAMPLES = { match: [{}], noMatch: [{}] };
const named = (name: string) => ({ field: 'action.name', op: 'eq' as const, value: name });
/** Anything goes, save keys; manifests and messages are asked about. */
const policySetOf = (quorum: number): PolicySet => ({
  riskThreshold: 'high',
  layers: [
    {
      layer: 'shipped',
      source: 'sim',
      bundle: {
        version: 1,
        name: 'sim',
        rules: [
          {
            id: 'permit-all',
            when: { field: 'action.name', op: 'exists', value: true },
            decide: 'permit',
            because: 'a simulation',
            examples: EXAMPLES,
          },
          {
            id: 'deny-keys',
            when: { field: 'paths.write', op: 'anyNamed', value: ['*.pem'] },
            decide: 'deny',
            because: 'keys are not written',
            examples: EXAMPLES,
          },
          {
            id: 'ask-manifest',
            when: { field: 'paths.write', op: 'anyNamed', value: ['package.json'] },
            decide: { approve: { ...APPROVE, quorum: 1 } },
            because: 'it runs code',
            examples: EXAMPLES,
          },
          {
            id: 'ask-notify',
            when: { all: [named('notify'), { field: 'intent.author', op: 'eq', value: 'model' }] },
            decide: { approve: { ...APPROVE, quorum } },
            because: 'it speaks to people',
            examples: EXAMPLES,
          },
        ],
      },
    },
  ],
});

function blueprintOf(withNotice: boolean): CheckedBlueprint {
  const common = {
    inputs: [],
    outputs: [],
    onFailure: 'fail',
    retryLimit: 2,
    visitLimit: 3,
    approvalRequired: false,
    sandbox: 'repo_write' as const,
    when: null,
  };
  const agent = { type: 'agent' as const, toolset: 'all', turnLimit: 6, goal: 'do the task' };
  const act = (action: string) => ({ type: 'deterministic' as const, action, arguments: {} });
  const stages: CheckedStage[] = [
    { ...common, ...act('build_context_pack'), id: 'pack', outputs: ['context_pack'], onSuccess: 'implement' },
    { ...common, ...agent, id: 'implement', inputs: ['context_pack'], outputs: ['patch'], onSuccess: withNotice ? 'tell' : 'test' },
    { ...common, ...act('notify'), id: 'tell', onSuccess: 'test' },
    { ...common, ...act('run_tests'), id: 'test', outputs: ['test_report'], onSuccess: 'land', onFailure: 'fix' },
    { ...common, ...agent, id: 'fix', inputs: ['test_report'], outputs: ['patch'], onSuccess: 'test' },
    { ...common, ...act('commit_changes'), id: 'land', onSuccess: 'done' },
  ];
  return {
    version: 1,
    name: 'sim',
    description: 'a simulated task',
    approvalMode: 'never',
    stages: stages.filter(({ id }) => withNotice || id !== 'tell'),
  };
}

/** What makes one run differ from another besides the model's words. */
export interface OpeningOptions {
  readonly fingerprint: string;
  readonly clock: SimClock;
  readonly chance: Chance;
  /** A stage whose effect can neither be repeated nor taken back. */
  readonly withNotice: boolean;
  readonly budget: Writ['budget'];
  /** Distinct keys that a message to people takes. */
  readonly quorum: number;
  readonly withModel: boolean;
  readonly withTests: boolean;
  /** The standing writ that the run is carved from; null for a writ of its own. */
  readonly standing: SignedWrit | null;
}

/** A writ of the simulation; the issuer signs roots, the runtime what it carves from them. */
function writOf(
  options: Pick<OpeningOptions, 'fingerprint' | 'clock' | 'chance' | 'budget'>,
  standing: SignedWrit | null,
  use: Writ['use'],
): SignedWrit {
  const now = instantToMs(options.clock.now());
  const parent = standing?.body ?? null;
  const writ: Writ = {
    v: 1,
    ledger: options.fingerprint as Writ['ledger'], // The fold of the law compares it.
    use,
    issuer: keyOf(parent === null ? SEEDS.issuer : SEEDS.runtime),
    subject: keyOf(SEEDS.runtime),
    parent: parent === null ? null : writId(parent),
    nonce: toHex(options.chance.fork(`writ/${use}`).bytes(NONCE_BYTES)),
    tenant: 'sim',
    actions: ['*'],
    ceiling: ['pure', 'read', 'write', 'external'],
    readPaths: ['**'],
    writePaths: ['src/**', 'keys/**', 'package.json'],
    hosts: [],
    budget: options.budget,
    wallMs: parent?.wallMs ?? DAY_MS,
    notBefore: parent?.notBefore ?? instantFromMs(now - DAY_MS),
    notAfter: parent?.notAfter ?? instantFromMs(now + 30 * DAY_MS),
    delegation: use === 'standing' ? { depth: 1, maySubdivide: true } : { depth: 0, maySubdivide: false },
  };
  return issueWrit({ writ, seed: parent === null ? SEEDS.issuer : SEEDS.runtime });
}

/** A standing writ with half as much again as one run takes. */
export function standingWrit(options: Pick<OpeningOptions, 'fingerprint' | 'clock' | 'chance' | 'budget'>): SignedWrit {
  const { tokens, usdMicros, calls } = options.budget;
  const more = (amount: number): number => Math.floor(amount * 1.5);
  return writOf({ ...options, budget: { tokens: more(tokens), usdMicros: more(usdMicros), calls: more(calls) } }, null, 'standing');
}

/** The opening of a run, its writ signed by the issuer or carved from the standing writ. */
export function openingOf(options: OpeningOptions, repository: SimRepository): Opening {
  const { standing } = options;
  const listing = listingOf(repository.files);
  const writ = writOf(options, standing, 'run');
  return {
    task: 'Make the tests pass.',
    session: null,
    opener: keyOf(SEEDS.issuer),
    writs: standing === null ? [writ] : [standing, writ],
    blueprint: blueprintOf(options.withNotice),
    policySet: policySetOf(options.quorum),
    catalogue: {
      version: 1,
      actions: [...builtinActions, notify],
      commands: options.withTests ? { test: { argv: ['sim-test'], timeout: 'fast' } } : {},
    },
    toolsets: { all: [...(builtinToolsets['coding_backend'] ?? []), 'notify'] },
    prices: { version: 'sim', models: { 'sim:small': { inputUsdMicrosPerMillion: 1_000_000, outputUsdMicrosPerMillion: 2_000_000 } } },
    profile: compileProfile({ writ: writ.body, mode: 'workspace_write', provide: [], toolchain: ['sim'], seccompDigest: digestOf('sim') }),
    model: options.withModel ? { provider: 'sim', model: 'small', host: null, maxOutputTokens: 500 } : null,
    base: { commit: repository.commit, tree: gitTreeId(listing, 'sha1'), objectFormat: 'sha1', listing },
    approvals: 'ask',
    selfTest: null,
  };
}
