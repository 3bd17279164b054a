/**
 * A founded SQLite ledger in a folder of its own, and runs in it whose hands do nothing: what remains is what governing costs. The keys are made of
 * published seeds and must never sign anything else. For benches only.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomFillSync } from 'node:crypto';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { bodyType, foundLedger, issueWrit, signBody } from '@openexec/authority';
import {
  type Bytes,
  type Clock,
  digestOf,
  instantFromMs,
  type Json,
  type KeyId,
  ok,
  type Randomness,
  toHex,
  type TrajectoryId,
  utf8Encode,
} from '@openexec/canon';
import {
  type ActionHost,
  builtinActions,
  builtinToolsets,
  compileProfile,
  type Execution,
  type ModelAdapter,
  type Workspace,
} from '@openexec/catalogue';
import type { AppendBatch, LedgerStore } from '@openexec/ledger';
import { SOLO } from '@openexec/policy';
import { gitBlobId, gitCommitId, gitTreeId, keyIdOf, publicKeyOf, seedSigner, sign } from '@openexec/proof';
import type { CheckedStage, Role, Writ } from '@openexec/protocol';
import { driveRun, NEVER, openRun, type Opening } from '@openexec/runtime';
import { openSqliteLedger } from '@openexec/stores';

const seedOf = (byte: number): Bytes => new Uint8Array(32).fill(byte);
const SEEDS = { root: seedOf(1), log: seedOf(2), runtime: seedOf(3), issuer: seedOf(4) } as const;
const idOf = (seed: Bytes): KeyId => keyIdOf(publicKeyOf(seed));
const LAW = 'law' as TrajectoryId; // The one name of its grammar.
const ORIGIN = 'bench.example/ledger';
const DAY_MS = 86_400_000;
const MANY = 10 ** 12;

const clock: Clock = { now: () => instantFromMs(Date.now()) };
const randomness: Randomness = { bytes: (count) => randomFillSync(new Uint8Array(count)) };
const nonce = (): string => toHex(randomness.bytes(16));

/** One action that a run performs; the bytes of a patch are what a step adds. */
export type Step = { readonly action: 'list_files' } | { readonly action: 'apply_patch'; readonly path: string; readonly content: string };
/** A run to be driven: `turns` answers for each of `visits` visits of its only stage, each with what `callsOf` gives. */
export interface Load {
  readonly visits: number;
  readonly turns: number;
  callsOf(visit: number, turn: number): readonly Step[];
}
/** What the hands saw while a run was driven. */
export interface Seen {
  /** When each action was performed, in milliseconds. */
  readonly performedMs: readonly number[];
  /** Appends handed to the store, the opening aside. */
  readonly appends: number;
  /** Appends that were under way at the same time, at most. */
  readonly mostAtOnce: number;
  readonly entries: number;
}
export interface BenchPlace {
  readonly folder: string;
  /** Drives one run to its end. */
  drive(load: Load): Promise<Seen>;
  /** Closes the ledger, so that everything lies in its files, and gives their bytes. */
  close(): Promise<number>;
  remove(): void;
}

/** Founds a ledger at full durability. BENCH_DIR picks the disk. */
/** `slowMs`: how long every append waits before the store gets it. */
export async function benchPlace({ slowMs = 0 }: { readonly slowMs?: number } = {}): Promise<BenchPlace> {
  const folder = mkdtempSync(join(process.env['BENCH_DIR'] ?? tmpdir(), 'openexec-bench-'));
  mkdirSync(folder, { recursive: true });
  const signer = { keyId: idOf(SEEDS.runtime), sign: (message: Bytes) => sign(SEEDS.runtime, message) };
  const logSigner = seedSigner({ keyName: ORIGIN, seed: SEEDS.log });
  const opened = await openSqliteLedger({
    path: join(folder, 'ledger.db'),
    clock,
    randomness,
    signer,
    logSigner,
    headFile: join(folder, 'head'),
    missing: 'create',
  });
  if (!opened.ok) throw new Error(opened.error.message);
  const ledger = opened.value;
  await found(ledger);
  return {
    folder,
    drive: (load) => driveLoad(ledger, load, slowMs),
    close: async () => {
      await ledger.close();
      return bytesBelow(folder);
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function bytesBelow(folder: string): number {
  return readdirSync(folder, { withFileTypes: true }).reduce(
    (sum, item) => sum + (item.isDirectory() ? bytesBelow(join(folder, item.name)) : statSync(join(folder, item.name)).size),
    0,
  );
}

async function found(ledger: LedgerStore): Promise<void> {
  const append = async (kind: 'ledger.founded' | 'key.trusted', payload: Json): Promise<void> => {
    const draft = { kind, at: clock.now(), actor: `key:${idOf(SEEDS.root)}` as const, cause: null, law: null, payload };
    const done = await ledger.append({ to: [{ trajectory: LAW, expect: 'any', drafts: [draft] }], blobs: [] });
    if (!done.ok) throw new Error(done.error.message);
  };
  await append('ledger.founded', {
    ...foundLedger({ origin: ORIGIN, rootSeeds: [SEEDS.root], logKey: publicKeyOf(SEEDS.log), nonce: nonce() }),
  });
  const { fingerprint } = await ledger.head();
  const roles: readonly (readonly [Bytes, Role])[] = [
    [SEEDS.runtime, 'runtime'],
    [SEEDS.issuer, 'issuer'],
  ];
  for (const [seed, role] of roles) {
    const body = {
      ledger: fingerprint,
      nonce: nonce(),
      publicKey: toHex(publicKeyOf(seed)),
      roles: [role],
      window: { notBefore: instantFromMs(Date.now() - DAY_MS), notAfter: null },
      label: role,
    };
    await append('key.trusted', { ...signBody({ type: bodyType('key.trusted'), body, seeds: [SEEDS.root] }) });
  }
}

async function openingOf(ledger: LedgerStore, load: Load): Promise<Opening> {
  const { fingerprint } = await ledger.head();
  if (fingerprint === null) throw new Error('the ledger is not founded');
  const writ: Writ = {
    v: 1,
    ledger: fingerprint,
    use: 'run',
    issuer: idOf(SEEDS.issuer),
    subject: idOf(SEEDS.runtime),
    parent: null,
    nonce: nonce(),
    tenant: 'bench',
    actions: ['*'],
    ceiling: ['pure', 'read', 'write', 'external'],
    readPaths: ['**'],
    writePaths: ['**'],
    hosts: [],
    budget: { tokens: MANY, usdMicros: MANY, calls: MANY },
    wallMs: MANY,
    notBefore: instantFromMs(Date.now() - DAY_MS),
    notAfter: instantFromMs(Date.now() + DAY_MS),
    delegation: { depth: 0, maySubdivide: false },
  };
  const listing = [{ path: 'README.md', mode: '100644' as const, oid: gitBlobId(utf8Encode('bench\n'), 'sha1') }];
  const tree = gitTreeId(listing, 'sha1');
  const author = { name: 'Bench', email: 'bench@example.org', seconds: 1_700_000_000, offset: '+0000' };
  const commit = gitCommitId({ tree, parents: [], author, committer: author, message: 'base\n' }, 'sha1');
  const stage = (visit: number): CheckedStage => ({
    type: 'agent',
    id: `work_${visit}`,
    goal: 'Do the task.',
    toolset: 'coding_backend',
    turnLimit: load.turns + 1,
    inputs: [],
    outputs: [],
    retryLimit: 1,
    visitLimit: 1,
    approvalRequired: false,
    sandbox: 'workspace_write',
    when: null,
    onSuccess: visit === load.visits ? 'done' : `work_${visit + 1}`,
    onFailure: 'fail',
  });
  return {
    task: 'Measure.',
    session: null,
    opener: idOf(SEEDS.issuer),
    writs: [issueWrit({ writ, seed: SEEDS.issuer })],
    blueprint: {
      version: 1,
      name: 'bench',
      description: '',
      approvalMode: 'never',
      stages: Array.from({ length: load.visits }, (_, at) => stage(at + 1)),
    },
    policySet: { riskThreshold: 'high', layers: [{ layer: 'shipped', source: 'solo', bundle: SOLO }] },
    catalogue: { version: 1, actions: [...builtinActions], commands: {} },
    toolsets: builtinToolsets,
    prices: { version: 'bench', models: {} },
    profile: compileProfile({ writ, mode: 'workspace_write', provide: [], toolchain: [], seccompDigest: digestOf('bench') }),
    model: { provider: 'bench', model: 'scripted', host: null, maxOutputTokens: 100 },
    base: { commit, tree, objectFormat: 'sha1', listing },
    approvals: 'never',
    selfTest: null,
  };
}

/** Says at once what the load has for this place. */
function modelOf(load: Load): ModelAdapter {
  return {
    provider: 'bench',
    ask: async ({ stage, turn }) => {
      const steps = turn > load.turns ? [] : load.callsOf(Number(stage.slice('work_'.length)), turn);
      const calls = steps.map((step, at) => {
        const args = step.action === 'list_files' ? {} : { format: 'whole_file', path: step.path, content: step.content };
        return { id: `call_${at}`, name: step.action, arguments: JSON.stringify(args) };
      });
      const answer = { text: '', calls, finish: calls.length > 0 ? ('calls' as const) : ('stop' as const) };
      return ok({ answer, usage: { inputTokens: 5, outputTokens: 5 }, raw: utf8Encode(JSON.stringify(answer)) });
    },
  };
}

const NOTHING: Execution = {
  status: 'ok',
  summary: 'done',
  output: utf8Encode('done'),
  outputMediaType: 'text/plain',
  exitCode: null,
  durationMs: 0,
  changes: [],
  contents: new Map(),
  scratch: [],
  undeclared: [],
  network: null,
  artifacts: [],
  landed: null,
};

function hostOf(performedMs: number[]): ActionHost {
  return {
    execute: async ({ action, arguments: given }) => {
      performedMs.push(performance.now());
      if (action !== 'apply_patch') return ok(NOTHING);
      const { path, content } = given as { readonly path: string; readonly content: string };
      const bytes = utf8Encode(content);
      const blob = digestOf(bytes);
      const change = { path, before: null, after: { blob, bytes: bytes.length, mode: '100644' as const, oid: gitBlobId(bytes, 'sha1') } };
      return ok({ ...NOTHING, changes: [change], contents: new Map([[blob, bytes]]) });
    },
  };
}

const unused = (): Promise<never> => Promise.reject(new Error('the runtime does not touch the tree itself'));
const WORKSPACE: Workspace = {
  root: '/nowhere',
  gitView: null,
  maskedGitView: async () => ok(null),
  rebuild: async () => ok(undefined),
  accept: async () => ok(undefined),
  restore: async () => ok(undefined),
  changes: unused,
  read: unused,
  list: unused,
  edit: unused,
  diff: unused,
  tree: unused,
  land: unused,
};

async function driveLoad(ledger: LedgerStore, load: Load, slowMs: number): Promise<Seen> {
  const opened = await openRun(await openingOf(ledger, load), { ledger, clock, randomness });
  if (!opened.ok) throw new Error(opened.error.message);
  const performedMs: number[] = [];
  let appends = 0;
  let underWay = 0;
  let mostAtOnce = 0;
  const append = async (batch: AppendBatch): ReturnType<LedgerStore['append']> => {
    appends += 1;
    mostAtOnce = Math.max(mostAtOnce, ++underWay);
    if (slowMs > 0) await sleep(slowMs);
    const answer = await ledger.append(batch);
    underWay -= 1;
    return answer;
  };
  const counting = new Proxy(ledger, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name, target);
      if (name === 'append') return append;
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
  const before = (await ledger.head()).size;
  const hands = {
    ledger: counting,
    clock,
    randomness,
    model: modelOf(load),
    workspace: WORKSPACE,
    host: hostOf(performedMs),
    approver: null,
    redact: (bytes: Bytes) => bytes,
    sleep: unused,
  };
  const done = await driveRun({ run: opened.value.run, driver: opened.value.driver, hands, stop: NEVER, onAwait: 'park', resume: false });
  if (!done.ok) throw new Error(`${done.error.code}: ${done.error.message}`);
  const { closed } = done.value.state;
  if (closed?.outcome !== 'done') throw new Error(`the run ended ${closed?.outcome ?? 'not at all'}: ${closed?.because.message ?? ''}`);
  return { performedMs, appends, mostAtOnce, entries: Number((await ledger.head()).size - before) };
}
