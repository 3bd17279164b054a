/**
 * Anchors that are asked by the run itself, end to end through the real bundle: at its close, by time while it works, with places that are down or never
 * answer; and what somebody with the log key could record that no anchor said. PROTOCOL §§3, 4.2.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Bytes, type Digest, digestOf, instantFromMs, toHex, type TrajectoryId, utf8Encode } from '@openexec/canon';
import type { KeptLedger } from '@openexec/ledger';
import { cosign, formatCosignerVkey, openCheckpoint, seedSigner, signCheckpoint } from '@openexec/proof';
import { openSqliteLedger } from '@openexec/stores';
import { keysFolder, loadSigners } from '../src/keyring.ts';
import { logKeys } from '../src/read/proofs.ts';
import { type Bundle, buildBundle, type Ended } from './cli.ts';
import { makePlace, patchSum, type Place, type Provider, startProvider } from './place.ts';
import { startTsa, type Tsa } from '@openexec/anchors/testServer';

const TIME_MS = 180_000;
const CHANCE = { bytes: (count: number) => randomFillSync(new Uint8Array(count)) };
let bundle: Bundle;
let place: Place;
let provider: Provider;
let tsa: Tsa;
/** Takes connections and never says a word. */
let mute: Server;
/** What is still to be ended when a test failed half way. */
const ending: (() => void)[] = [];

beforeAll(async () => {
  bundle = await buildBundle();
  place = makePlace();
  provider = await startProvider();
  tsa = await startTsa();
  mute = createServer((socket) => void socket.on('error', () => undefined).resume());
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
  expect(await openexec('init', '--model', 'openai:gpt-test')).toMatchObject({ exit: 0 });
}, TIME_MS);
afterAll(async () => {
  await provider.close();
  await tsa.close();
  mute.close();
  for (const end of ending) end();
  place.remove();
  bundle.remove();
});

/** An address where nobody listens any more. */
async function deadUrl(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}/`;
}

const openexec = (...args: readonly string[]): Promise<Ended> =>
  bundle.run(args, { cwd: place.root, env: { ...place.env, ...provider.env } });
const at = (name: string): string => join(place.folder, name);

/** The user's own configuration: these places. */
function configure(lines: readonly string[], more = ''): void {
  mkdirSync(at('config/openexec'), { recursive: true });
  const to = lines.length === 0 ? '' : `  to:\n${lines.map((line) => `    - {${line}}\n`).join('')}`;
  writeFileSync(at('config/openexec/config.yaml'), `version: 1\nanchors:\n  timeoutSeconds: 5\n${more}${to}`);
}
const tsaLine = (): string => `name: tsa, type: rfc3161, url: "${tsa.url}", ca: ${tsa.caFile}`;

interface Verified {
  readonly exit: number | null;
  readonly level: string | null;
  readonly anchor: string;
  readonly findings: readonly { readonly index: number | null; readonly code: string }[];
  readonly anchors: {
    readonly covered: string | null;
    readonly problems: readonly { readonly anchor: string; readonly code: string }[];
  } | null;
}
async function verify(...more: readonly string[]): Promise<Verified> {
  const ended = await openexec('verify', '--json', ...more);
  return { ...(JSON.parse(ended.stdout) as Verified), exit: ended.exit };
}
interface Told {
  readonly status: string;
  readonly checkpoint: string;
  readonly anchorProblem: string | null;
  readonly anchors: readonly {
    readonly name: string;
    readonly taken: boolean;
    readonly position: string | null;
    readonly code: string | null;
  }[];
}
async function until(what: () => boolean): Promise<void> {
  for (let tries = 0; !what(); tries++) {
    if (tries > 1200) throw new Error('it never came about');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
/** One run that ends well; `before` holds back the model's first answer. */
async function governed(before?: Promise<unknown>): Promise<{ readonly ended: Ended; readonly told: Told }> {
  provider.say({ calls: [patchSum('-', '+')], ...(before === undefined ? {} : { after: before }) }, { text: 'done' });
  const ended = await openexec('run', 'Make sum add', '--json');
  return { ended, told: JSON.parse(ended.stdout) as Told };
}
/** A witness in a process of its own, told of this ledger; its key is made the first time. */
async function witness(name: string): Promise<{ readonly url: string; stop(): Promise<Ended> }> {
  const { logKeys: keys } = JSON.parse((await openexec('ledger', 'info', '--json')).stdout) as { readonly logKeys: readonly string[] };
  const args = ['witness', '--key', at(`${name}.key`), '--state', at(name), '--listen', '127.0.0.1:0', '--log', ...keys];
  const child = bundle.start(args, { cwd: place.root, env: place.env });
  ending.push(() => child.kill('SIGKILL'));
  await until(() => child.stdout().includes('listens'));
  const stop = async (): Promise<Ended> => {
    child.kill('SIGTERM');
    return child.ended;
  };
  return { url: /listens {2}(\S+)/.exec(child.stdout())?.[1] ?? '', stop };
}

describe('a run with anchors', () => {
  let vkey: string;

  test(
    'asks them when it closes and by time; those that are down or mute cost it nothing but their deadline, and are asked again later',
    async () => {
      vkey = (await openexec('witness', '--key', at('w1.key'), '--new-key', 'witness.example/w1')).stdout.trim();
      for (const folder of ['share', 'hourly', 'never']) mkdirSync(at(folder));
      writeFileSync(at('policy'), `witness w1 ${vkey}\nquorum w1\n`);
      const address = mute.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      const places = (witnessUrl: string): string[] => [
        `name: w1, type: witness, url: "${witnessUrl}", vkey: "${vkey}"`,
        tsaLine(),
        `name: mute, type: rfc3161, url: "http://127.0.0.1:${port}/", ca: ${tsa.caFile}`,
        'name: ref, type: git, at: close',
        `name: share, type: file, folder: ${at('share')}`,
        `name: hourly, type: file, folder: ${at('hourly')}, at: every 1h`,
        `name: never, type: file, folder: ${at('never')}, at: demand`,
      ];
      configure(places(await deadUrl()), `  policy: ${at('policy')}\n  tiles: ${at('tiles')}\n`);
      expect(await verify()).toMatchObject({ exit: 0, level: 'chained', anchor: 'stale' });
      // The model answers only once the place that is asked by time was shown a tree head: the run was busy then.
      const { ended, told } = await governed(until(() => readdirSync(at('hourly')).some((name) => name.endsWith('.checkpoint'))));
      expect({ exit: ended.exit, told: told.status, problem: told.anchorProblem }).toEqual({ exit: 0, told: 'done', problem: null });
      const came = Object.fromEntries(told.anchors.map(({ name, taken, code }) => [name, taken ? 'taken' : code]));
      expect(came).toEqual({ w1: 'anchor.unreachable', mute: 'anchor.unknown', tsa: 'taken', ref: 'taken', share: 'taken' });
      expect(readdirSync(at('never'))).toEqual([]);
      // What the share was shown is the tree head of the close; what the hourly place was shown is an earlier one.
      const sizeIn = (folder: string): number =>
        Number(readFileSync(join(at(folder), readdirSync(at(folder))[0] ?? ''), 'utf8').split('\n')[1]);
      expect(sizeIn('share')).toBe(Number(told.checkpoint));
      expect(sizeIn('hourly')).toBeLessThan(Number(told.checkpoint));
      // The folder of tiles leads to the tree head of the close: a proof read from it alone is the ledger's own.
      const [log = ''] = readdirSync(at('tiles'));
      expect(readFileSync(join(at('tiles'), log, 'checkpoint'), 'utf8').split('\n')[1]).toBe(told.checkpoint);
      expect((await openexec('ledger', 'prove', '9', '--tiles', join(at('tiles'), log))).exit).toBe(0);
      const said = await verify('--deep');
      expect(said).toMatchObject({ exit: 0, level: 'anchored', anchor: 'fresh', anchors: { covered: told.checkpoint } });
      expect(said.anchors?.problems).toMatchObject([
        { anchor: 'never', code: 'anchor.empty' },
        { anchor: 'w1', code: 'anchor.unreachable' },
        { anchor: 'mute', code: 'anchor.unknown' },
      ]);
      // Nobody configured: the same ledger is signed, and no more is said.
      configure([]);
      expect(await verify()).toMatchObject({ exit: 0, level: 'signed', anchor: 'notConfigured' });
      // The witness is back: a timer asks what failed, and nothing else.
      const running = await witness('w1');
      configure(places(running.url), `  policy: ${at('policy')}\n`);
      const due = JSON.parse((await openexec('ledger', 'anchor', '--due', '--json')).stdout) as Told;
      expect(due.anchors.map(({ name, taken }) => [name, taken])).toEqual([
        ['w1', true],
        ['mute', false],
      ]);
      expect(await verify('--deep')).toMatchObject({ exit: 0, level: 'witnessed', anchor: 'fresh' });
      await running.stop();
    },
    TIME_MS,
  );

  test(
    'whose one witness is down is done and stale; the next close that finds it up is witnessed',
    async () => {
      const key = (await openexec('witness', '--key', at('w2.key'), '--new-key', 'witness.example/w2')).stdout.trim();
      const line = (url: string): string => `name: w2, type: witness, url: "${url}", vkey: "${key}"`;
      configure([line(await deadUrl())], '  required: true\n');
      const first = await governed();
      expect(first.ended.exit).toBe(0);
      expect(first.told.anchors).toMatchObject([{ name: 'w2', taken: false, code: 'anchor.unreachable' }]);
      const behind = await verify();
      expect(behind).toMatchObject({ exit: 22, level: 'signed', anchor: 'stale', anchors: { covered: null } });
      expect(behind.anchors?.problems).toContainEqual(expect.objectContaining({ anchor: 'w2', code: 'anchor.unreachable' }));
      const running = await witness('w2');
      configure([line(running.url)], '  required: true\n');
      const second = await governed();
      expect(second.told).toMatchObject({ status: 'done', anchors: [{ name: 'w2', taken: true }] });
      expect(await verify('--deep')).toMatchObject({
        exit: 0,
        anchor: 'fresh',
        anchors: { covered: second.told.checkpoint },
      });
      await running.stop();
    },
    TIME_MS,
  );

  test(
    'whose configured authority has no readable certificate is not even opened: not configured is an error',
    async () => {
      configure([`name: tsa, type: rfc3161, url: "${tsa.url}", ca: ${at('gone.pem')}`]);
      const { size } = JSON.parse((await openexec('ledger', 'info', '--json')).stdout) as { readonly size: string };
      const refused = await openexec('run', 'Make sum add', '--json');
      expect({ exit: refused.exit, code: (JSON.parse(refused.stdout) as { error: { code: string } }).error.code }).toEqual({
        exit: 2,
        code: 'config.invalid',
      });
      expect(JSON.parse((await openexec('ledger', 'info', '--json')).stdout)).toMatchObject({ size });
    },
    TIME_MS,
  );
});

describe('somebody with the keys of the ledger', () => {
  const stranger = seedSigner({ keyName: 'witness.example/stranger', seed: new Uint8Array(32).fill(3) });
  const known = seedSigner({ keyName: 'witness.example/known', seed: new Uint8Array(32).fill(4) });
  let saved: string;
  let knownKey: string;

  beforeAll(async () => {
    knownKey = formatCosignerVkey(known);
    saved = at('saved');
    cpSync(join(place.root, '.openexec'), saved, { recursive: true });
  });

  /** Opens the ledger with its own keys, as it was saved. */
  async function forged<T>(work: (store: KeptLedger, signer: Parameters<typeof signCheckpoint>[1]) => Promise<T>): Promise<T> {
    for (const name of readdirSync(place.state))
      for (const file of ['head.json', 'anchors.json']) rmSync(join(place.state, name, file), { force: true });
    rmSync(join(place.root, '.openexec'), { recursive: true });
    cpSync(saved, join(place.root, '.openexec'), { recursive: true });
    const [folder = ''] = readdirSync(place.state).filter((name) => existsSync(join(place.state, name, 'keys')));
    const signers = loadSigners(keysFolder(join(place.state, folder)));
    if (!signers.ok) throw new Error(signers.error.message);
    const clock = { now: () => instantFromMs(Date.now()) };
    const opened = await openSqliteLedger({
      path: join(place.root, '.openexec/ledger.db'),
      clock,
      randomness: CHANCE,
      ...signers.value,
    });
    if (!opened.ok) throw new Error(opened.error.message);
    try {
      return await work(opened.value, signers.value.logSigner);
    } finally {
      await opened.value.close();
    }
  }
  async function record(
    store: KeptLedger,
    fact: { readonly size: bigint; readonly root: string; readonly type: string; readonly evidence: Bytes },
  ) {
    const { size, root, type, evidence } = fact;
    const digest = digestOf(evidence);
    const blob = { digest, bytes: evidence, mediaType: 'application/octet-stream' };
    const payload = { size: Number(size), root, type, evidence: { digest, bytes: evidence.length, mediaType: blob.mediaType } };
    const draft = {
      kind: 'anchor.recorded' as const,
      at: instantFromMs(Date.now()),
      actor: 'runtime' as const,
      cause: null,
      law: null,
      payload,
    };
    const appended = await store.append({ to: [{ trajectory: 'ledger' as TrajectoryId, expect: 'any', drafts: [draft] }], blobs: [blob] });
    if (!appended.ok) throw new Error(appended.error.message);
  }
  async function present(
    store: KeptLedger,
  ): Promise<{ readonly note: string; readonly text: string; readonly size: bigint; readonly root: string }> {
    const made = await store.checkpoint();
    const keys = await logKeys(store);
    const opened = made.ok && keys.ok ? openCheckpoint(made.value.note, keys.value) : undefined;
    if (!made.ok || opened?.ok !== true) throw new Error('no checkpoint');
    const { note, size } = made.value;
    return { note, text: note.slice(0, note.indexOf('\n\n') + 1), size, root: `sha256:${toHex(opened.value.root)}` };
  }
  const configured = (): void =>
    configure([tsaLine(), `name: known, type: witness, url: "http://127.0.0.1:1/", vkey: "${knownKey}", at: demand`]);

  test(
    'who records an anchor of another root, or of a size that the ledger had not, is contradicted: exit 20',
    async () => {
      configured();
      const other = `sha256:${'a'.repeat(64)}` as Digest;
      await forged(async (store) => record(store, { ...(await present(store)), root: other, type: 'witness', evidence: utf8Encode('x') }));
      expect(await verify()).toMatchObject({ exit: 20, level: null, findings: [{ code: 'anchor.contradicted' }] });
      await forged(async (store) => {
        const { root, size } = await present(store);
        await record(store, { size: size + 1n, root, type: 'witness', evidence: utf8Encode('x') });
      });
      expect(await verify()).toMatchObject({ exit: 20, level: null, findings: [{ code: 'anchor.contradicted' }] });
    },
    TIME_MS,
  );

  test(
    'who replays the time stamp of an earlier tree gains nothing; the stamp of this tree is the control',
    async () => {
      configured();
      const stamp = async (store: KeptLedger): Promise<Bytes> => {
        writeFileSync(at('stamped'), (await present(store)).note);
        execFileSync('openssl', ['ts', '-query', '-data', at('stamped'), '-sha256', '-cert', '-out', at('query')], { stdio: 'ignore' });
        return new Uint8Array(tsa.stamp(readFileSync(at('query'))));
      };
      await forged(async (store) => {
        const old = await stamp(store);
        await record(store, { ...(await present(store)), type: 'elsewhere', evidence: utf8Encode('one entry more') });
        await record(store, { ...(await present(store)), type: 'rfc3161', evidence: old });
      });
      const replayed = await verify();
      expect(replayed).toMatchObject({
        exit: 0,
        anchors: { problems: expect.arrayContaining([expect.objectContaining({ code: 'timestamp.otherData' })]) },
      });
      const covered = Number(replayed.anchors?.covered ?? 0);
      await forged(async (store) => record(store, { ...(await present(store)), type: 'rfc3161', evidence: await stamp(store) }));
      const control = await verify();
      expect(control).toMatchObject({ exit: 0, level: 'anchored', anchor: 'fresh' });
      expect(Number(control.anchors?.covered)).toBeGreaterThan(covered);
    },
    TIME_MS,
  );

  test(
    'who brings the cosignature of a stranger is not witnessed; that of the known one is the control',
    async () => {
      configured();
      await forged(async () => undefined);
      const before = await verify();
      const cosigned = async (signer: typeof known): Promise<void> =>
        forged(async (store) => {
          const { note, text, size, root } = await present(store);
          const line = await cosign(text, signer, BigInt(Math.floor(Date.now() / 1000)));
          await record(store, { size, root, type: 'witness', evidence: utf8Encode(note + line) });
        });
      await cosigned(stranger);
      const strange = await verify();
      expect(strange.anchors?.problems).toContainEqual(expect.objectContaining({ code: 'anchor.unknownWitness' }));
      expect(strange.anchors?.covered).toBe(before.anchors?.covered);
      await cosigned(known);
      const control = await verify();
      expect(control).toMatchObject({ exit: 0, level: 'anchored', anchors: { cosigners: ['witness.example/known'] } });
      expect(Number(control.anchors?.covered)).toBeGreaterThan(Number(before.anchors?.covered ?? 0));
    },
    TIME_MS,
  );

  test(
    'who showed a witness another tree of the same size is found out by the receipt: a split view, exit 20',
    async () => {
      configured();
      await forged(async (store, log) => {
        const { size, root } = await present(store);
        const { origin } = await store.head();
        const other = await signCheckpoint({ origin: origin ?? '', size, root: new Uint8Array(32).fill(9) }, log);
        if (!other.ok) throw new Error(other.error.message);
        const text = other.value.slice(0, other.value.indexOf('\n\n') + 1);
        const line = await cosign(text, known, BigInt(Math.floor(Date.now() / 1000)));
        await record(store, { size, root, type: 'witness', evidence: utf8Encode(other.value + line) });
      });
      expect(await verify()).toMatchObject({ exit: 20, level: null, findings: [{ code: 'anchor.contradicted' }] });
    },
    TIME_MS,
  );
});
