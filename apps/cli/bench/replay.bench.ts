/**
 * What each mode of replay costs, beside the bare work it cannot do without, in alternating rounds of one process. exact and step: judgements per second
 * of a golden run out of its bundle, beside reading the same entries and parsing every payload. model: questions per second to a model that answers at
 * once, beside reading and parsing the recorded answers. effects: workspace actions per second through the sandbox, beside starting `true` as often.
 * Prints; must never judge. BENCH_ROUNDS makes it longer. GOALS §3.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { createActionHost } from '@openexec/actions';
import { bundleSource, replayRun, replayStage } from '@openexec/audit';
import {
  type Bytes,
  type Clock,
  type Digest,
  instantFromMs,
  type Json,
  ok,
  parseCanonical,
  parseJson,
  type TrajectoryId,
} from '@openexec/canon';
import { readAnswer } from '@openexec/catalogue';
import type { Stored } from '@openexec/ledger';
import { goldenRun } from '@openexec/protocol';
import { NEVER, replayEffects, replayModel } from '@openexec/runtime';
import { openBundle } from '@openexec/verify/files';
import { createRedactor, createSandbox, inspectRepository, loadSecondOpinion, openWorkspace, sandboxIdentity } from '@openexec/workspace';

const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 5);
const GOLDEN = resolve(dirname(fileURLToPath(import.meta.url)), '../../../test-fixtures/golden');
const NAME = 'bugfix-in-two-tries';

const clock: Clock = { now: () => instantFromMs(Date.now()) };
const redact = (bytes: Bytes): Bytes => bytes;

interface Rate {
  readonly done: number;
  readonly seconds: number;
}
async function timed(work: () => Promise<number>): Promise<Rate> {
  const start = process.hrtime.bigint();
  const done = await work();
  return { done, seconds: Number(process.hrtime.bigint() - start) / 1e9 };
}
const perSecond = ({ done, seconds }: Rate): number => done / seconds;

/** Mode and baseline in turns, so that whatever else the machine does falls on both; the best of each counts. */
async function compare(name: string, unit: string, mode: () => Promise<number>, bare: () => Promise<number>): Promise<void> {
  let [best, floor] = [0, 0];
  for (let round = 0; round < ROUNDS; round++) {
    best = Math.max(best, perSecond(await timed(mode)));
    floor = Math.max(floor, perSecond(await timed(bare)));
  }
  console.log(
    `${name.padEnd(8)} ${best.toFixed(0).padStart(8)} ${unit}/s   bare ${floor.toFixed(0).padStart(8)}/s   ratio ${(best / floor).toFixed(3)}`,
  );
}

/** A golden run with its entries in memory, read as a driver's ledger would be. */
async function recorded() {
  const json = parseJson(new Uint8Array(readFileSync(join(GOLDEN, NAME, 'golden.json'))));
  const opened = await openBundle(join(GOLDEN, NAME, 'bundle.tar'));
  if (!json.ok || !opened.ok) throw new Error(`${NAME} cannot be opened`);
  const golden = goldenRun.parse(json.value);
  const source = bundleSource(opened.value.parts);
  const all: Stored[] = [];
  for await (const stored of source.all()) all.push(stored);
  const { run } = golden;
  const entries = all.filter(({ entry }) => entry.trajectory === run);
  const blobs = new Map<string, Bytes>();
  for (const path of opened.value.parts.keys()) {
    const hex = /^blobs\/([0-9a-f]{64})$/.exec(path)?.[1];
    if (hex === undefined) continue;
    const digest = `sha256:${hex}` as Digest; // 64 hex digits, just matched.
    const bytes = await source.blob(digest);
    if (bytes.ok) blobs.set(digest, bytes.value);
  }
  await opened.value.close();
  const blob: (typeof source)['blob'] = async (digest) => ok(blobs.get(digest) ?? new Uint8Array());
  const ledger = {
    blob,
    // Every reading is of one run from some place on.
    async *read(_: TrajectoryId, from = 0) {
      yield* entries.slice(from);
    },
    async *all() {
      yield* all;
    },
  };
  return { run, entries, ledger, opened: parsed(entries[0]) };
}

function parsed(stored: Stored | undefined): { readonly [name: string]: Json } {
  const body = stored === undefined || stored.payload === null ? null : parseCanonical(stored.payload);
  if (body?.ok !== true) throw new Error('a payload of a golden run is not canonical');
  return body.value as { readonly [name: string]: Json };
}

const { run, entries, ledger } = await recorded();
console.log(`${NAME}: ${entries.length} entries; ${ROUNDS} rounds, the best of each`);

const readAll = async (): Promise<number> => {
  for (const stored of entries) parsed(stored);
  return entries.length;
};
await compare(
  'exact',
  'entries',
  async () => {
    const report = await replayRun(ledger, run);
    if (report?.verdict !== 'agrees') throw new Error('the golden run does not agree');
    return report.facts + report.judgements;
  },
  readAll,
);
await compare(
  'step',
  'entries',
  async () => {
    const replayed = await replayStage(ledger, run, { stage: 'run_tests', visit: 1 });
    if (replayed === null || !('report' in replayed) || replayed.report.verdict !== 'agrees') throw new Error('the stage does not agree');
    return replayed.report.facts + replayed.report.judgements;
  },
  readAll,
);

/** The recorded answers, in order. */
const answers: Bytes[] = [];
for (const stored of entries) {
  if (stored.entry.kind !== 'model.answered') continue;
  const { digest } = parsed(stored)['answer'] as { readonly digest: Digest };
  const bytes = await ledger.blob(digest);
  if (bytes.ok) answers.push(bytes.value);
}
type Ledger = Parameters<typeof replayModel>[0]['hands']['ledger'];
await compare(
  'model',
  'asks',
  async () => {
    let next = 0;
    const model = {
      provider: 'bench',
      ask: async () => {
        const bytes = answers[next++] ?? new Uint8Array();
        const parsedAnswer = parseJson(bytes, { numbers: 'doubles' });
        if (!parsedAnswer.ok) throw new Error('a recorded answer is not JSON');
        return ok({ answer: parsedAnswer.value as never, usage: { inputTokens: 1, outputTokens: 1 }, raw: bytes });
      },
    };
    const sleep = (): Promise<void> => Promise.resolve();
    const hands = { ledger: ledger as unknown as Ledger, clock, redact, sleep, model };
    const budget = { tokens: 10 ** 9, usdMicros: 10 ** 9, calls: 10 ** 9 };
    const replayed = await replayModel({ run, hands, model: 'bench', budget, costOf: () => 0, stop: NEVER });
    if (!replayed.ok || !replayed.value.sameCalls) throw new Error('the recorded answers are not the recorded answers');
    return replayed.value.asks.length;
  },
  async () => {
    for (const bytes of answers) if (!readAnswer(bytes).ok) throw new Error('a recorded answer cannot be read');
    return answers.length;
  },
);

/** The base of that golden run, as a repository with the same tree: nothing but its files is asked for. */
async function effects(): Promise<void> {
  const folder = mkdtempSync(join(process.env['BENCH_DIR'] ?? tmpdir(), 'openexec-bench-'));
  try {
    chmodSync(folder, 0o755);
    const place = join(folder, 'repo');
    mkdirSync(place);
    const git = (...args: readonly string[]): string => execFileSync('git', ['-C', place, ...args], { encoding: 'utf8' });
    git('init', '-q', '-b', 'main');
    for (const [path, text] of Object.entries(FILES)) writeFileSync(join(place, path), text);
    git('add', '-A');
    git('-c', 'user.name=Bench', '-c', 'user.email=bench@example.org', 'commit', '-q', '-m', 'base');
    const repository = await inspectRepository(place);
    if (!repository.ok) throw new Error(repository.error.message);
    const redactor = createRedactor({ secrets: [], tagKey: new Uint8Array(32), second: await loadSecondOpinion() });
    const sandbox = createSandbox({ redactor, host: { provide: new Map() }, scratch: join(folder, 'check') });
    const report = await sandbox.check();
    if (!report.sound) return console.log(`effects  not measured: ${report.problem ?? 'no sandbox'}`);
    const base = git('rev-parse', 'HEAD').trim();
    const bare = async (): Promise<number> => {
      for (let at = 0; at < 5; at++) spawnSync('true');
      return 5;
    };
    let serial = 0;
    await compare(
      'effects',
      'actions',
      async () => {
        serial += 1;
        const made = await openWorkspace({
          repository: repository.value,
          base,
          directory: join(folder, `run-${serial}`),
          identity: sandboxIdentity(),
          redactor,
        });
        if (!made.ok) throw new Error(made.error.message);
        const { workspace } = made.value;
        const host = createActionHost({ workspace, sandbox, redactor });
        const hands = { ledger: ledger as unknown as Ledger, workspace, host, redact };
        const replayed = await replayEffects({ run, hands, stop: NEVER });
        if (!replayed.ok) throw new Error(`${replayed.error.code}: ${replayed.error.message}`);
        return replayed.value.actions.filter(({ skipped }) => skipped === null).length;
      },
      bare,
    );
  } finally {
    for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true, force: true });
    rmSync(folder, { recursive: true, force: true });
  }
}

const FILES: Readonly<Record<string, string>> = {
  'package.json': '{\n  "name": "sample",\n  "version": "1.0.0",\n  "type": "module",\n  "scripts": { "test": "node --test" }\n}\n',
  'sum.js': 'export function sum(a, b) {\n  return a - b;\n}\n',
  'sum.test.js':
    "import assert from 'node:assert';\nimport { test } from 'node:test';\nimport { sum } from './sum.js';\ntest('sum', () => assert.equal(sum(2, 3), 5));\n",
};

await effects();
