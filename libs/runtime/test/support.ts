/** A founded ledger in memory, a run to open in it, and hands that do what a test tells them. */
import {
  type Bytes,
  type Clock,
  digestOf,
  type Digest,
  instantFromMs,
  type Json,
  type KeyId,
  ok,
  type Randomness,
  sha256,
  toHex,
  type TrajectoryId,
  utf8Decode,
  utf8Encode,
} from '@openexec/canon';
import { bodyType, foundLedger, issueWrit, signBody, VOTE_TYPE } from '@openexec/authority';
import {
  type ActionHost,
  builtinActions,
  builtinToolsets,
  compileProfile,
  type Execution,
  type ExecutionOrder,
  type ModelRequest,
  type NeutralAnswer,
  type StopSignal,
  type Workspace,
} from '@openexec/catalogue';
import { type AppendBatch, type LedgerStore, memoryLedger, type Stored } from '@openexec/ledger';
import { gitBlobId, gitCommitId, gitTreeId, keyIdOf, publicKeyOf, seedSigner, sign } from '@openexec/proof';
import type { ActionContract, CheckedStage, FileChange, PolicyRule, Role, Vote, Writ } from '@openexec/protocol';
import { type Drive, driveRun, type Hands, NEVER, type Opening, openRun } from '../src/index.ts';

const seedOf = (n: number): Bytes => new Uint8Array(32).fill(n);
export const SEEDS = { root: seedOf(1), runtime: seedOf(2), issuer: seedOf(3), approver: seedOf(4), log: seedOf(5) } as const;
export const keyOf = (seed: Bytes): KeyId => keyIdOf(publicKeyOf(seed));
export const START = 1_777_982_400_000;
export const DAY = 86_400_000;
export const SECRET = 'tok_NOBODY_KNOWS';
const LAW = 'law' as TrajectoryId;
const ORIGIN = 'test.example/ledger';

export function randomness(seed: string): Randomness {
  let drawn = 0;
  return {
    bytes: (count) =>
      Uint8Array.from({ length: count }, (_, at) => sha256(utf8Encode(`${seed}/${drawn}/${at}`))[0] ?? 0).map(
        (byte) => ((drawn += 1), byte),
      ),
  };
}
export interface TestClock extends Clock {
  ms: number;
}
export function clock(): TestClock {
  return {
    ms: START,
    now() {
      this.ms += 1;
      return instantFromMs(this.ms);
    },
  };
}

export interface Place {
  readonly ledger: LedgerStore;
  readonly clock: TestClock;
  readonly fingerprint: Digest;
  legislate(
    kind: 'key.trusted' | 'key.retired' | 'writ.revoked' | 'writ.restored',
    members: { readonly [key: string]: Json },
  ): Promise<void>;
  nonce(): string;
}

/** What a store of the test ledger signs with. */
export const STORE_KEYS = {
  signer: { keyId: keyOf(SEEDS.runtime), sign: (message: Bytes) => sign(SEEDS.runtime, message) },
  logSigner: seedSigner({ keyName: ORIGIN, seed: SEEDS.log }),
};
/** A founded ledger: in memory, or in the empty store that is handed in. */
export async function place(time: TestClock = clock(), store?: LedgerStore): Promise<Place> {
  const ledger = store ?? memoryLedger({ randomness: randomness('salts'), ...STORE_KEYS });
  let nonces = 0;
  const nonce = (): string => (++nonces).toString(16).padStart(32, '0');
  const append = async (
    kind: 'ledger.founded' | 'key.trusted' | 'key.retired' | 'writ.revoked' | 'writ.restored',
    payload: Json,
  ): Promise<void> => {
    const draft = { kind, at: time.now(), actor: `key:${keyOf(SEEDS.root)}` as const, cause: null, law: null, payload };
    const done = await ledger.append({ to: [{ trajectory: LAW, expect: 'any', drafts: [draft] }], blobs: [] });
    if (!done.ok) throw new Error(done.error.message);
  };
  await append('ledger.founded', {
    ...foundLedger({ origin: ORIGIN, rootSeeds: [SEEDS.root], logKey: publicKeyOf(SEEDS.log), nonce: nonce() }),
  });
  const fingerprint = (await ledger.head()).fingerprint;
  if (fingerprint === null) throw new Error('not founded');
  const legislate: Place['legislate'] = (kind, members) =>
    append(kind, { ...signBody({ type: bodyType(kind), body: { ledger: fingerprint, nonce: nonce(), ...members }, seeds: [SEEDS.root] }) });
  const roles: [keyof typeof SEEDS, Role][] = [
    ['runtime', 'runtime'],
    ['issuer', 'issuer'],
    ['approver', 'approver'],
  ];
  for (const [name, role] of roles) await legislate('key.trusted', trusted(SEEDS[name], role));
  return { ledger, clock: time, fingerprint, legislate, nonce };
}
export function trusted(seed: Bytes, role: Role): { readonly [key: string]: Json } {
  return {
    publicKey: toHex(publicKeyOf(seed)),
    roles: [role],
    window: { notBefore: instantFromMs(START - DAY), notAfter: null },
    label: role,
  };
}

// ---- the run

const BASE = new Map<string, Bytes>([['src/a.txt', utf8Encode('a\n')]]);
export const LISTING = [...BASE].map(([path, content]) => ({ path, mode: '100644' as const, oid: gitBlobId(content, 'sha1') }));
const TREE = gitTreeId(LISTING, 'sha1');
const AUTHOR = { name: 'Base', email: 'base@test.example', seconds: 1_700_000_000, offset: '+0000' };
const COMMIT = gitCommitId({ tree: TREE, parents: [], author: AUTHOR, committer: AUTHOR, message: 'base\n' }, 'sha1');
export const notify: ActionContract = {
  name: 'notify',
  title: 'Tell somebody',
  description: 'Sends a message.',
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
const EXAMPLES = { match: [{}], noMatch: [{}] };
const PERMIT: PolicyRule = {
  id: 'permit-all',
  when: { field: 'action.name', op: 'exists', value: true },
  decide: 'permit',
  because: 'a test',
  examples: EXAMPLES,
};
/** Asks for an approval of `notify`. */
export const ASK_NOTIFY: PolicyRule = {
  id: 'ask-notify',
  when: { field: 'action.name', op: 'eq', value: 'notify' },
  because: 'it speaks to people',
  examples: EXAMPLES,
  decide: { approve: { roles: ['approver'], quorum: 1, ttlMs: DAY, minAssurance: 'file', openerMayApprove: true } },
};
const COMMON = {
  inputs: [],
  outputs: [],
  onFailure: 'fail',
  retryLimit: 1,
  visitLimit: 3,
  approvalRequired: false,
  sandbox: 'repo_write' as const,
  when: null,
};
export function act(
  id: string,
  action: string,
  onSuccess: string,
  more: Partial<Extract<CheckedStage, { type: 'deterministic' }>> = {},
): CheckedStage {
  return { ...COMMON, type: 'deterministic', id, action, arguments: {}, onSuccess, ...more };
}
export function agent(id: string, onSuccess: string): CheckedStage {
  return { ...COMMON, type: 'agent', id, toolset: 'all', turnLimit: 6, goal: 'do it', onSuccess };
}
export const WHOLE: readonly CheckedStage[] = [
  agent('work', 'tell'),
  act('tell', 'notify', 'test'),
  act('test', 'run_tests', 'land', { retryLimit: 2 }),
  act('land', 'commit_changes', 'done'),
];

export function openingOf(
  at: Place,
  more: { stages?: readonly CheckedStage[]; rules?: readonly PolicyRule[] } & Partial<Opening> = {},
): Opening {
  const { stages = WHOLE, rules = [], ...changed } = more;
  const writ: Writ = {
    v: 1,
    ledger: at.fingerprint,
    use: 'run',
    issuer: keyOf(SEEDS.issuer),
    subject: keyOf(SEEDS.runtime),
    parent: null,
    nonce: at.nonce(),
    tenant: 'test',
    actions: ['*'],
    ceiling: ['pure', 'read', 'write', 'external'],
    readPaths: ['**'],
    writePaths: ['src/**'],
    hosts: [],
    budget: { tokens: 1_000_000, usdMicros: 0, calls: 1000 },
    wallMs: 2 * DAY,
    notBefore: instantFromMs(START - DAY),
    notAfter: instantFromMs(START + 30 * DAY),
    delegation: { depth: 0, maySubdivide: false },
  };
  return {
    task: 'Do it.',
    session: null,
    opener: keyOf(SEEDS.issuer),
    writs: [issueWrit({ writ, seed: SEEDS.issuer })],
    blueprint: { version: 1, name: 'test', description: '', approvalMode: 'never', stages: [...stages] },
    policySet: {
      riskThreshold: 'high',
      layers: [{ layer: 'shipped', source: 'test', bundle: { version: 1, name: 'test', rules: [PERMIT, ...rules] } }],
    },
    catalogue: { version: 1, actions: [...builtinActions, notify], commands: { test: { argv: ['test'], timeout: 'fast' } } },
    toolsets: { all: builtinToolsets['coding_backend'] ?? [] },
    prices: { version: 'test', models: {} },
    profile: compileProfile({ writ, mode: 'workspace_write', provide: [], toolchain: [], seccompDigest: digestOf('test') }),
    model: { provider: 'test', model: 'small', host: null, maxOutputTokens: 100 },
    base: { commit: COMMIT, tree: TREE, objectFormat: 'sha1', listing: LISTING },
    approvals: 'ask',
    selfTest: null,
    ...changed,
  };
}

// ---- the hands

/** What happened outside the ledger, over all drivers of a test. */
export interface World {
  readonly effects: ExecutionOrder[];
  readonly tree: string[];
  readonly asked: ModelRequest[];
  readonly branches: Map<string, string>;
}
export const newWorld = (): World => ({ effects: [], tree: [], asked: [], branches: new Map() });
export function count(world: World, action: string): number {
  return world.effects.filter((order) => order.action === action).length;
}

/** Every file a test's model writes. */
export const PATCHED = utf8Encode(`b ${'.'.repeat(20)}\n`);
function write(path: string, content: string): Json {
  return { format: 'whole_file', path, content };
}
/** Turn 1 writes a file, turn 2 ends. */
export function answers(request: ModelRequest): NeutralAnswer {
  if (request.turn > 1) return { text: `done, ${SECRET}`, calls: [], finish: 'stop' };
  const args = JSON.stringify(write('src/b.txt', utf8Text(PATCHED)));
  return { text: '', calls: [{ id: 'c1', name: 'apply_patch', arguments: args }], finish: 'calls' };
}
export function utf8Text(bytes: Bytes): string {
  const text = utf8Decode(bytes);
  if (!text.ok) throw new Error(text.error.message);
  return text.value;
}

function workspaceOf(world: World, files: Map<string, Bytes>): Workspace {
  let committed = new Map<string, Bytes>();
  return {
    root: '/test',
    gitView: null,
    maskedGitView: async () => ok(null),
    rebuild: async (list) => {
      world.tree.push(`rebuild ${list.map(({ change }) => change.path).join(',')}`);
      committed = new Map(BASE);
      for (const { change, content } of list)
        if (content === null) committed.delete(change.path);
        else committed.set(change.path, content);
      files.clear();
      for (const [path, content] of committed) files.set(path, content);
      return ok(undefined);
    },
    accept: async (changes) => {
      world.tree.push(`accept ${changes.map((change) => change.path).join(',')}`);
      committed = new Map(files);
      return ok(undefined);
    },
    restore: async () => {
      world.tree.push('restore');
      files.clear();
      for (const [path, content] of committed) files.set(path, content);
      return ok(undefined);
    },
    changes: () => Promise.reject(new Error('the runtime does not look at the tree itself')),
    read: () => Promise.reject(new Error('nor read')),
    list: () => Promise.reject(new Error('nor list')),
    edit: () => Promise.reject(new Error('nor edit')),
    diff: () => Promise.reject(new Error('nor compare')),
    tree: () => Promise.reject(new Error('nor hash')),
    land: () => Promise.reject(new Error('nor land')),
  };
}
export function executionOf(more: Partial<Execution> = {}): Execution {
  return {
    status: 'ok',
    summary: 'done',
    output: utf8Encode('done'),
    outputMediaType: 'text/plain',
    exitCode: null,
    durationMs: 1,
    changes: [],
    contents: new Map(),
    scratch: [],
    undeclared: [],
    network: null,
    artifacts: [],
    landed: null,
    ...more,
  };
}
export function changeOf(path: string, content: Bytes, before: string | null = null): FileChange {
  return { path, before, after: { blob: digestOf(content), bytes: content.length, mode: '100644', oid: gitBlobId(content, 'sha1') } };
}

function hostOf(world: World, files: Map<string, Bytes>): ActionHost {
  return {
    execute: async (order) => {
      world.effects.push(order);
      const args = order.arguments as { readonly [key: string]: string };
      if (order.action === 'apply_patch') {
        const content = utf8Encode(args['content'] ?? '');
        const path = args['path'] ?? '';
        files.set(path, content);
        return ok(executionOf({ changes: [changeOf(path, content)], contents: new Map([[digestOf(content), content]]) }));
      }
      if (order.action !== 'commit_changes') return ok(executionOf());
      const listing = [...files].map(([path, content]) => ({ path, mode: '100644' as const, oid: gitBlobId(content, 'sha1') }));
      const landed = { ref: `refs/heads/${args['branch']}`, commit: args['commit'] ?? '', tree: gitTreeId(listing, 'sha1') };
      world.branches.set(landed.ref, landed.tree);
      return ok(executionOf({ landed }));
    },
  };
}

export function redact(bytes: Bytes): Bytes {
  const text = utf8Decode(bytes);
  return text.ok ? utf8Encode(text.value.replaceAll(SECRET, '[redacted]')) : bytes;
}
/** The hands of one driving process. */
export function handsOf(at: Place, world: World, more: Partial<Hands> = {}): Hands {
  const files = new Map<string, Bytes>();
  return {
    ledger: at.ledger,
    clock: at.clock,
    randomness: randomness(`driver/${at.nonce()}`),
    model: {
      provider: 'test',
      ask: async (request) => {
        world.asked.push(request);
        return ok({ answer: answers(request), usage: { inputTokens: 5, outputTokens: 5 }, raw: utf8Encode(`raw ${SECRET}`) });
      },
    },
    workspace: workspaceOf(world, files),
    host: hostOf(world, files),
    approver: null,
    redact,
    sleep: async (ms: number, stop: StopSignal) => {
      for (let turn = 0; turn < 50 && !stop.stopped; turn++) await Promise.resolve();
      if (!stop.stopped) at.clock.ms += ms;
    },
    ...more,
  };
}

/** A store that lets a test look at, or replace, each append. */
export function watched(ledger: LedgerStore, append: LedgerStore['append']): LedgerStore {
  return new Proxy(ledger, { get: (target, name) => (name === 'append' ? append : bound(target, name)) });
}
function bound(target: LedgerStore, name: string | symbol): unknown {
  const member: unknown = Reflect.get(target, name, target);
  return typeof member === 'function' ? member.bind(target) : member;
}
export function kindsOf(batch: AppendBatch): string[] {
  return batch.to.flatMap((part) => part.drafts.map((draft) => draft.kind));
}

export async function opened(at: Place, opening: Opening = openingOf(at)): Promise<{ run: TrajectoryId; driver: string }> {
  const done = await openRun(opening, { ledger: at.ledger, clock: at.clock, randomness: randomness(`open/${at.nonce()}`) });
  if (!done.ok) throw new Error(done.error.message);
  return done.value;
}
/** Drives and wants a report. */
export async function drive(run: TrajectoryId, hands: Hands, more: Partial<Drive> = {}) {
  const done = await driveRun({ run, hands, stop: NEVER, onAwait: 'park', resume: true, ...more });
  if (!done.ok) throw new Error(`${done.error.code}: ${done.error.message}`);
  return done.value;
}
export async function entriesOf(ledger: LedgerStore, run: TrajectoryId): Promise<Stored[]> {
  const entries: Stored[] = [];
  for await (const stored of ledger.read(run)) entries.push(stored);
  return entries;
}
export async function kinds(ledger: LedgerStore, run: TrajectoryId): Promise<string[]> {
  return (await entriesOf(ledger, run)).map(({ entry }) => entry.kind);
}
/** A vote of the approver. */
export function voteOn(
  at: Place,
  run: TrajectoryId,
  question: { request: Digest; digest: Digest; until: Vote['expiry'] },
  decision: 'approve' | 'deny' = 'approve',
) {
  const body: Vote = {
    ledger: at.fingerprint,
    run,
    request: question.request,
    decision,
    digest: question.digest,
    expiry: question.until,
    nonce: at.nonce(),
    assurance: 'file',
    because: '',
  };
  return signBody({ type: VOTE_TYPE, body, seeds: [SEEDS.approver] });
}
