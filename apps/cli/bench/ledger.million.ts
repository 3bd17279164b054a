/**
 * A ledger of a million entries in SQLite, made through the production store in batches of 256, and what it costs then: integrity, export, fsck, tiles,
 * proofs, and one more durable append beside the first ones. Each long reading runs in a process of its own, whose peak memory it prints. Prints; must
 * never judge. `npm run bench -- --million`; BENCH_EVENTS makes it smaller. GOALS §3.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { keepTiles, examineTiles, type TreeOfTiles } from '@openexec/anchors';
import { type Bytes, instantFromMs } from '@openexec/canon';
import { exportLines, type KeptLedger, type StoredCheckpoint } from '@openexec/ledger';
import { fixtures } from '@openexec/ledger/contract';
import { formatVkey, leafHash, openCheckpoint, verifyConsistency, verifyInclusion } from '@openexec/proof';
import { openSqliteLedger } from '@openexec/stores';
import { verifyLedger } from '@openexec/verify';

const EVENTS = Number(process.env['BENCH_EVENTS'] ?? 1_000_000);
const RUN_EVENTS = 1000;
const BATCH = 256;
const SINGLES = 300;
const PROOFS = 2000;
const { after, batchTo, fact, foundingBatch, LAW, logSigner, openedBody, runNamed, runtimeSigner, trustDraft } = fixtures;
const clock = { now: () => instantFromMs(Date.now()) };
const randomness = { bytes: (count: number) => new Uint8Array(randomBytes(count)) };

const [mode, path = ''] = process.argv.slice(2).filter((arg) => !arg.startsWith('--'));
const seconds = (since: number): number => (performance.now() - since) / 1000;
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const peak = (): string => `peak ${Math.round(process.resourceUsage().maxRSS / 1024)} MB`;

async function ledger(file: string, write = false): Promise<KeptLedger> {
  const keys = { signer: runtimeSigner(), logSigner: logSigner() };
  const opened = await openSqliteLedger({
    path: file,
    clock,
    randomness,
    ...(write ? { missing: 'create', ...keys } : { access: 'readOnly' }),
  });
  if (!opened.ok) throw new Error(`${opened.error.code}: ${opened.error.message}`);
  return opened.value;
}
async function took(store: KeptLedger, batch: Parameters<KeptLedger['append']>[0]): Promise<void> {
  const appended = await store.append(batch);
  if (!appended.ok) throw new Error(`${appended.error.code}: ${appended.error.message}`);
}
let at = 0;
const cancel = () => fact('run.cancelRequested', { because: 'x'.repeat(250) }, { at: after(++at) });

/** Entries one at a time on a run of their own; the median in milliseconds. */
async function singles(store: KeptLedger, name: string): Promise<number> {
  const run = runNamed(name);
  const { fingerprint } = await store.head();
  await took(store, batchTo(run, 'none', [fact('run.opened', openedBody(fingerprint ?? '', name), { at: after(at) })]));
  const times: number[] = [];
  for (let seq = 0; seq < SINGLES; seq++) {
    const batch = batchTo(run, seq, [cancel()]);
    const since = performance.now();
    await took(store, batch);
    times.push(performance.now() - since);
  }
  return times.sort((a, b) => a - b)[SINGLES / 2] ?? 0;
}

async function build(file: string): Promise<void> {
  const store = await ledger(file, true);
  await took(store, foundingBatch());
  const { fingerprint } = await store.head();
  await took(store, batchTo(LAW, 0, [trustDraft(fingerprint ?? '')]));
  const first = await singles(store, 'first');
  const since = performance.now();
  for (let run = 0; at < EVENTS; run++) {
    const name = runNamed(`run ${run}`);
    await took(store, batchTo(name, 'none', [fact('run.opened', openedBody(fingerprint ?? '', `run ${run}`), { at: after(at) })]));
    for (let seq = 0; seq < RUN_EVENTS; seq += BATCH)
      await took(store, batchTo(name, seq, Array.from({ length: Math.min(BATCH, RUN_EVENTS - seq) }, cancel)));
    if (run % 50 === 0) await store.checkpoint();
  }
  const built = seconds(since);
  const last = await singles(store, 'last');
  const { size } = await store.head();
  await store.checkpoint();
  await store.close();
  say(`build          ${size} entries in ${built.toFixed(1)} s, ${Math.round(Number(size) / built)}/s; ${peak()}; ${megabytes(file)} MB`);
  say(
    `append         first p50 ${first.toFixed(3)} ms, after ${size} entries ${last.toFixed(3)} ms: ${(last / first).toFixed(2)} times; goal 1.2`,
  );
}
const megabytes = (file: string): number => Math.round(statSync(file).size / 1e6);

async function kept(store: KeptLedger): Promise<StoredCheckpoint[]> {
  const all: StoredCheckpoint[] = [];
  for await (const checkpoint of store.checkpoints()) all.push(checkpoint);
  return all;
}

async function verify(file: string): Promise<void> {
  const store = await ledger(file);
  const since = performance.now();
  const report = await verifyLedger({ rows: store.rows(), checkpoints: await kept(store), head: null }, { trust: null });
  const took = seconds(since);
  if (!report.sound) throw new Error(report.findings[0]?.message ?? 'unsound');
  say(`verify         ${took.toFixed(1)} s, ${Math.round(report.entries / took)}/s, ${report.checkpoints} checkpoints; ${peak()}`);
  await store.close();
}

async function exported(file: string): Promise<void> {
  const store = await ledger(file);
  const { fingerprint, origin, size, root } = await store.head();
  if (fingerprint === null || origin === null) throw new Error('not founded');
  const to = `${file}.export`;
  const since = performance.now();
  const handle = await open(to, 'w');
  for await (const line of exportLines(store, { fingerprint, origin, size, root })) await handle.write(line);
  await handle.sync();
  await handle.close();
  say(`export         ${seconds(since).toFixed(1)} s, ${megabytes(to)} MB; ${peak()}`);
  rmSync(to);
  await store.close();
}

async function fsck(file: string): Promise<void> {
  const store = await ledger(file, true);
  const since = performance.now();
  const examined = await store.keeper.examine({ repair: false });
  if (!examined.ok || examined.value.findings.length > 0) throw new Error('fsck found something');
  say(`fsck           ${seconds(since).toFixed(1)} s of ${examined.value.entries} entries; ${peak()}`);
  await store.close();
}

async function proofs(file: string): Promise<void> {
  const store = await ledger(file);
  const { size, root } = await store.head();
  const indexes = Array.from({ length: PROOFS }, (_, each) => (BigInt(each + 1) * 2_654_435_761n) % size);
  const leaves: Bytes[] = [];
  for (const index of indexes)
    for await (const page of store.rows(index, index + 1n)) for (const row of page) leaves.push(leafHash(row.entryBytes));
  const rate = (since: number): number => Math.round(PROOFS / seconds(since));
  let since = performance.now();
  const made: (readonly Bytes[])[] = [];
  for (const index of indexes) {
    const proof = await store.inclusion(index, size);
    if (proof.ok) made.push(proof.value);
  }
  const inclusion = rate(since);
  since = performance.now();
  for (const [which, index] of indexes.entries()) {
    const held = verifyInclusion({ leaf: leaves[which] ?? root, index, size, root, proof: made[which] ?? [] });
    if (!held.ok) throw new Error(held.error.message);
  }
  const checked = rate(since);
  const olds = await kept(store);
  since = performance.now();
  let pairs = 0;
  for (const old of olds) {
    const opened = openCheckpoint(old.note, [formatVkey(logSigner())]);
    const proof = await store.consistency(old.size, size);
    if (!opened.ok || !proof.ok) throw new Error('no consistency proof');
    const held = verifyConsistency({ oldSize: old.size, oldRoot: opened.value.root, newSize: size, newRoot: root, proof: proof.value });
    if (!held.ok) throw new Error(held.error.message);
    pairs += 1;
  }
  say(
    `proofs         inclusion ${inclusion}/s made, ${checked}/s verified; consistency with its signature ${Math.round(pairs / seconds(since))}/s; ${peak()}`,
  );
  await store.close();
}

async function tiles(file: string): Promise<void> {
  const store = await ledger(file, true);
  const folder = `${file}.tiles`;
  const vkeys = [formatVkey(logSigner())];
  const tree = async (): Promise<TreeOfTiles> => {
    const made = await store.checkpoint();
    const opened = made.ok ? openCheckpoint(made.value.note, vkeys) : made;
    if (!made.ok || !opened.ok) throw new Error('no checkpoint');
    const entries = async function* (from: bigint, to: bigint): AsyncGenerator<readonly Bytes[]> {
      for await (const page of store.rows(from, to)) yield page.map(({ entryBytes }) => entryBytes);
    };
    return { folder, checkpoint: opened.value, note: made.value.note, vkeys, entries };
  };
  let since = performance.now();
  const whole = await keepTiles(await tree());
  const full = seconds(since);
  if (!whole.ok) throw new Error(whole.error.message);
  const rounds: number[] = [];
  let files = 0;
  const run = runNamed('tiles');
  const { fingerprint } = await store.head();
  at = 10 * EVENTS;
  await took(store, batchTo(run, 'none', [fact('run.opened', openedBody(fingerprint ?? '', 'tiles'), { at: after(at) })]));
  for (let seq = 0; seq < 20 * 100; seq += 100) {
    await took(store, batchTo(run, seq, Array.from({ length: 100 }, cancel)));
    const next = await tree();
    since = performance.now();
    const more = await keepTiles(next);
    rounds.push(performance.now() - since);
    if (!more.ok || more.value.rebuilt !== null) throw new Error('not incremental');
    files += more.value.files;
  }
  const median = rounds.sort((a, b) => a - b)[10] ?? 0;
  say(
    `tiles          whole tree ${full.toFixed(1)} s in ${whole.value.files} files; 100 entries more ${median.toFixed(1)} ms (${files / 20} files): 1/${Math.round((full * 1000) / median)}; ${peak()}`,
  );
  since = performance.now();
  const examined = await examineTiles(await tree(), { repair: false, most: 5 });
  if (!examined.ok || examined.value.findings.length > 0) throw new Error('the tiles differ');
  say(`fsck --tiles   ${seconds(since).toFixed(1)} s for ${examined.value.tiles} tiles and bundles`);
  await store.close();
}

const MODES: { readonly [mode: string]: (file: string) => Promise<void> } = { build, verify, export: exported, fsck, proofs, tiles };

function main(): void {
  const folder = mkdtempSync(join(process.env['BENCH_DIR'] ?? tmpdir(), 'openexec-million-'));
  say(
    `${EVENTS} entries, ${cpus().length} processors, load ${loadavg()
      .map((each) => each.toFixed(1))
      .join(' ')}, Node ${process.version}, WAL and FULL`,
  );
  let failed = 0;
  try {
    for (const each of Object.keys(MODES))
      failed +=
        spawnSync(process.execPath, [...process.execArgv, process.argv[1] ?? '', each, join(folder, 'ledger.db')], { stdio: 'inherit' })
          .status === 0
          ? 0
          : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  process.exitCode = failed === 0 ? 0 : 1;
}

const work = mode === undefined ? undefined : MODES[mode];
if (work === undefined) main();
else await work(path);
