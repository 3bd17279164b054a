/**
 * Authority that is not: writs and votes as a forger makes them who has some keys and a hand in the ledger, each refused with its pinned code through the
 * command; a chain of four that is genuine, spent, revoked in its middle and restored; a settlement that lies. Through the bundle.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { issueWrit, signBody, VOTE_TYPE, writId } from '@openexec/authority';
import { type Bytes, instantFromMs, instantToMs, type Json, type TrajectoryId } from '@openexec/canon';
import { readKey } from '@openexec/config';
import type { SignedWrit, Vote, Writ } from '@openexec/protocol';
import { openSqliteLedger } from '@openexec/stores';
import type { Ended } from './cli.ts';
import { rewrite } from './forger.ts';
import { patchScripts, patchSum } from './place.ts';
import { fine, inOnePlace, openexec, place, provider, refused } from './scene.ts';

interface Waiting {
  readonly id: string;
  readonly run: string;
  readonly digest: string;
  readonly until: string;
}
const TIME_MS = 180_000;
const DAY_MS = 86_400_000;
let fingerprint = '';
let keys = '';
let host = '';

inOnePlace(async () => {
  host = new URL(provider.env['OPENAI_BASE_URL'] ?? '').host;
  await fine('init', '--model', 'openai:gpt-test');
  fingerprint = json<{ fingerprint: string }>(await fine('ledger', 'info', '--json')).fingerprint;
  keys = join(place.state, fingerprint.slice('sha256:'.length, 'sha256:'.length + 32), 'keys');
});

const json = <T>(ended: Ended): T => JSON.parse(ended.stdout) as T;
const out = (name: string): string => join(place.folder, name);
const run = (file: string): readonly string[] => ['run', 'Make sum add', '--writ', out(file)];
function key(label: string): { readonly seed: Bytes; readonly keyId: Writ['issuer'] } {
  const read = readKey(keys, label);
  if (!read.ok) throw new Error(read.error.message);
  return { seed: read.value.seed, keyId: read.value.keyId as Writ['issuer'] };
}
function chain(file: string): SignedWrit[] {
  return (JSON.parse(readFileSync(out(file), 'utf8')) as { writs: SignedWrit[] }).writs;
}
function rootOf(file: string): Writ {
  const [root] = chain(file);
  if (root === undefined) throw new Error('no root');
  return root.body;
}
/** A chain whose last writ is changed and signed anew by a key that the forger has. */
function resigned(name: string, from: string, by: string, change: (leaf: Writ) => Partial<Writ>): string {
  const writs = chain(from);
  const leaf = writs.at(-1)?.body;
  if (leaf === undefined) throw new Error('no leaf');
  const signer = key(by);
  const issuer = change(leaf).issuer ?? signer.keyId;
  const changed = { ...leaf, ...change(leaf), issuer: signer.keyId };
  const signed = issueWrit({ writ: changed, seed: signer.seed });
  const writ = issuer === signer.keyId ? signed : { ...signed, body: { ...changed, issuer } };
  writeFileSync(out(name), JSON.stringify({ v: 1, writs: [...writs.slice(0, -1), writ] }));
  return name;
}
const narrowing = ['--tokens', '300000', '--usd', '1', '--calls', '20'];
async function narrow(from: string, to: string, ...flags: readonly string[]): Promise<void> {
  await fine('writ', 'narrow', out(from), ...flags, '--out', out(to));
}

describe('a chain of four', () => {
  test(
    'is narrowed offline, runs, is spent at every step, falls with its middle and stands again; deep verification folds its spending',
    async () => {
      const operator = key('operator').keyId;
      await fine(
        'writ',
        'issue',
        '--standing',
        '--subject',
        operator,
        '--depth',
        '3',
        '--subdivide',
        '--host',
        host,
        '--calls',
        '50',
        '--out',
        out('org.writ'),
      );
      await narrow('org.writ', 'team.writ', '--standing', '--tokens', '800000', '--usd', '2', '--calls', '40');
      await narrow('team.writ', 'anna.writ', '--standing', '--tokens', '500000', '--usd', '2', '--calls', '30');
      await narrow('anna.writ', 'first.writ', ...narrowing);
      await narrow('anna.writ', 'second.writ', ...narrowing);
      expect(json<{ writs: number }>(await fine('writ', 'verify', out('first.writ'), '--json')).writs).toBe(4);
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
      expect((await openexec(...run('first.writ'), '--json')).exit).toBe(0);
      expect(await refused(...run('first.writ'))).toMatchObject({ exit: 2, code: 'writ.invalid' });
      await fine('writ', 'revoke', out('team.writ'), '--because', 'a pause');
      const fallen = await refused(...run('second.writ'));
      expect([fallen.exit, fallen.code, fallen.message.includes('writ.revoked')]).toEqual([10, 'writ.notInForce', true]);
      await fine('writ', 'restore', out('team.writ'), '--because', 'it goes on');
      provider.say({ calls: [patchScripts()] });
      expect((await openexec(...run('second.writ'), '--json')).exit).toBe(11);
      // An approval that was given before the revocation starts nothing after it.
      const [request] = json<{ approvals: readonly Waiting[] }>(await fine('approvals', '--json')).approvals;
      await fine('approve', request?.id ?? '');
      await fine('writ', 'revoke', out('org.writ'), '--because', 'over');
      const ended = await openexec('resume', 'latest', '--json');
      expect([ended.exit, json<{ because: { code: string } }>(ended).because.code]).toEqual([10, 'writ.revoked']);
      const { deep } = json<{ deep: { totals: { carved: number; unsigned: number }; carvingFaults: readonly object[] } }>(
        await fine('verify', '--deep', '--json'),
      );
      expect([deep.totals.carved, deep.totals.unsigned, deep.carvingFaults]).toEqual([6, 0, []]);
    },
    TIME_MS,
  );

  test(
    'settled too low by a forger who holds every key is sound and found: verify --deep exits 21 with the entry and both values',
    async () => {
      const target = out('forged/ledger.db');
      let at = -1;
      await rewrite({
        source: join(place.root, '.openexec/ledger.db'),
        target,
        stateFolder: join(keys, '..'),
        change: ({ entry, index }, payload) => {
          if (entry.kind !== 'writ.settled' || at >= 0) return payload;
          at = Number(index);
          const body = payload as { readonly [name: string]: Json };
          return { ...body, spend: { tokens: 0, usdMicros: 0, calls: 0 } };
        },
      });
      await fine('verify', '--ledger', `sqlite:${target}`);
      const found = await openexec('verify', '--deep', '--ledger', `sqlite:${target}`, '--json');
      const { deep } = json<{ deep: { carvingFaults: readonly { index: string; code: string; expected: string; recorded: string }[] } }>(
        found,
      );
      expect(found.exit).toBe(21);
      expect(deep.carvingFaults).toEqual([
        expect.objectContaining({ index: `${at}`, code: 'settlement.spend', recorded: '0 tokens, 0 usdMicros, 0 calls' }),
      ]);
      expect((await openexec('verify', '--deep', '--ledger', `sqlite:${target}`)).stdout).toContain(`index ${at}: settlement.spend`);
    },
    TIME_MS,
  );
});

test(
  'a writ that is forged, widened, put under another parent, in nobody’s name, or by a small-order key is refused with its pinned code, and opens nothing',
  async () => {
    const operator = key('operator').keyId;
    const runs = json<{ runs: readonly object[] }>(await fine('runs', '--json')).runs.length;
    await fine('writ', 'issue', '--standing', '--subject', operator, '--host', host, '--out', out('a.writ'));
    await fine('writ', 'issue', '--standing', '--subject', operator, '--host', host, '--out', out('b.writ'));
    await narrow('a.writ', 'child.writ', ...narrowing);
    const other = writId(rootOf('b.writ'));
    const small = '0'.repeat(32) as Writ['issuer'];
    const past = instantFromMs(instantToMs(rootOf('a.writ').notBefore) + 1);
    resigned('widened.writ', 'child.writ', 'operator', () => ({ wallMs: Number.MAX_SAFE_INTEGER }));
    resigned('deeper.writ', 'child.writ', 'operator', () => ({ delegation: { depth: 1, maySubdivide: true } }));
    resigned('reparented.writ', 'child.writ', 'operator', () => ({ parent: other }));
    resigned('expired.writ', 'child.writ', 'operator', () => ({ notAfter: past }));
    resigned('early.writ', 'child.writ', 'operator', (leaf) => ({ notBefore: instantFromMs(instantToMs(leaf.notAfter) - 1) }));
    resigned('byRuntime.writ', 'child.writ', 'runtime', () => ({}));
    resigned('namesOperator.writ', 'child.writ', 'runtime', (leaf) => ({ issuer: leaf.issuer }));
    resigned('small.writ', 'child.writ', 'operator', () => ({ issuer: small }));
    await fine('writ', 'issue', '--host', host, '--out', out('alone.writ'));
    resigned('rootByRuntime.writ', 'alone.writ', 'runtime', () => ({}));
    resigned('usedNonce.writ', 'child.writ', 'operator', () => ({ nonce: rootOf('b.writ').nonce }));
    resigned('standing.writ', 'child.writ', 'operator', () => ({ use: 'standing' }));
    const unissued = resigned('unissued.writ', 'a.writ', 'operator', () => ({ nonce: 'ab'.repeat(16) }));
    writeFileSync(
      out('twoSigners.writ'),
      JSON.stringify({
        v: 1,
        writs: chain('alone.writ').map((writ) => ({ ...writ, signatures: [...writ.signatures, ...writ.signatures] })),
      }),
    );
    const rows: readonly (readonly [string, string])[] = [
      ['widened.writ', 'writ.widens'],
      ['deeper.writ', 'writ.widens'],
      ['reparented.writ', 'writ.parent'],
      ['expired.writ', 'writ.expired'],
      ['early.writ', 'writ.notYet'],
      ['byRuntime.writ', 'writ.issuer'],
      ['namesOperator.writ', 'writ.signature'],
      ['small.writ', 'writ.issuer'],
      ['rootByRuntime.writ', 'writ.untrusted'],
      ['usedNonce.writ', 'writ.nonce'],
      ['standing.writ', 'writ.use'],
      ['twoSigners.writ', 'writ.signature'],
    ];
    for (const [file, inner] of rows) {
      const answer = await refused(...run(file));
      expect({ file, exit: answer.exit, code: answer.code, inner: answer.message.split(':')[0] }).toEqual({
        file,
        exit: 10,
        code: 'writ.notInForce',
        inner,
      });
    }
    expect(await refused('writ', 'verify', out(unissued))).toMatchObject({
      exit: 10,
      code: 'writ.notInForce',
      message: expect.stringContaining('writ.notIssued'),
    });
    // A key of small order signs anything, so nobody has it trusted: neither by its file nor by what it says of itself.
    const identity = `01${'00'.repeat(31)}`;
    const value = Buffer.concat([Buffer.from(identity, 'hex'), Buffer.alloc(32)]).toString('base64');
    const body = { v: 1, ledger: fingerprint, label: 'small', publicKey: identity, assurance: 'file' };
    writeFileSync(out('small.pub'), JSON.stringify({ body, signatures: [{ key: 'ef'.repeat(16), value }] }));
    expect(await refused('key', 'trust', out('small.pub'), '--role', 'approver')).toMatchObject({ exit: 2, code: 'key.malformed' });
    expect(json<{ runs: readonly object[] }>(await fine('runs', '--json')).runs).toHaveLength(runs);
    await fine('verify', '--deep');
  },
  TIME_MS,
);

describe('a vote', () => {
  beforeAll(async () => {
    await fine('key', 'new', '--role', 'issuer', '--label', 'stranger', '--export-public', out('stranger.pub'));
  }, TIME_MS);
  async function waiting(): Promise<Waiting> {
    provider.say({ calls: [patchScripts()] });
    const ended = await openexec('run', 'Give it a start script', '--json');
    expect({ exit: ended.exit, stderr: ended.exit === 11 ? '' : ended.stderr }).toEqual({ exit: 11, stderr: '' });
    const run_ = json<{ run: string }>(ended).run;
    const all = json<{ approvals: readonly Waiting[] }>(await fine('approvals', '--json')).approvals;
    const request = all.find((each) => each.run === run_);
    if (request === undefined) throw new Error('nothing waits');
    return request;
  }
  /** Writes a vote into the ledger as somebody would who goes round the command. */
  async function cast(asked: Waiting, by: string, more: Partial<Vote> = {}, spoil = false): Promise<void> {
    const { seed, keyId } = key(by);
    const body = {
      ledger: fingerprint,
      run: asked.run,
      request: asked.id,
      decision: 'approve',
      digest: asked.digest,
      expiry: asked.until,
      nonce: Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('hex'),
      assurance: 'file',
      because: '',
      ...more,
    } as unknown as Vote;
    const vote = signBody({ type: VOTE_TYPE, body, seeds: [seed] });
    if (spoil) vote.body = { ...vote.body, because: 'changed after signing' };
    const clock = { now: () => instantFromMs(Date.now()) };
    const randomness = { bytes: (count: number) => crypto.getRandomValues(new Uint8Array(count)) };
    const opened = await openSqliteLedger({ path: join(place.root, '.openexec/ledger.db'), clock, randomness });
    if (!opened.ok) throw new Error(opened.error.message);
    const payload = { vote } as unknown as Json;
    const draft = { kind: 'approval.voted' as const, at: clock.now(), actor: `key:${keyId}` as const, cause: null, law: null, payload };
    const done = await opened.value.append({ to: [{ trajectory: asked.run as TrajectoryId, expect: 'any', drafts: [draft] }], blobs: [] });
    await opened.value.close();
    if (!done.ok) throw new Error(done.error.message);
  }

  test(
    'by a stranger, a runtime key, for another digest, run, request or ledger, expired or changed after signing is recorded, counts for nothing, and starts nothing',
    async () => {
      const asked = await waiting();
      expect(asked.digest).toMatch(/^sha256:/);
      const zero = `sha256:${'0'.repeat(64)}` as Vote['digest'];
      await cast(asked, 'stranger');
      await cast(asked, 'runtime');
      await cast(asked, 'operator', { digest: zero });
      await cast(asked, 'operator', { run: 'run/00000000000000000000000000000000' });
      await cast(asked, 'operator', { request: zero });
      await cast(asked, 'operator', { ledger: zero });
      await cast(asked, 'operator', { expiry: instantFromMs(Date.now() - DAY_MS) });
      await cast(asked, 'operator', {}, true);
      expect((await openexec('resume', asked.run, '--json')).exit).toBe(11);
      const notes = (await fine('timeline', asked.run, '--jsonl')).stdout
        .split('\n')
        .filter((line) => line.includes('"kind":"fact.noted"'))
        .map((line) => JSON.parse(line) as { payload?: { why: string; message: string }; body?: { why: string; message: string } })
        .map(({ payload, body }) => payload ?? body)
        .map((note) => (note?.why === 'vote.refused' ? note.message.split(':')[0] : note?.why));
      expect(notes.filter((why) => why !== 'approval.asked' && why !== 'run.resumed')).toEqual(
        expect.arrayContaining([
          'vote.untrusted',
          'vote.runtimeKey',
          'vote.digest',
          'vote.run',
          'approval.late',
          'vote.ledger',
          'vote.expired',
          'vote.signature',
        ]),
      );
      const kinds = (await fine('timeline', asked.run, '--jsonl')).stdout;
      expect(kinds).not.toContain('"kind":"execution.started"');
      await fine('verify', '--deep');
      await fine('cancel', asked.run);
    },
    TIME_MS,
  );

  test(
    'is refused by the command with its pinned code: a stranger, a key without the role, the runtime, twice, and late',
    async () => {
      await fine('key', 'new', '--role', 'policy', '--label', 'clerk');
      const asked = await waiting();
      const inner = async (...args: readonly string[]) => {
        const { exit, code, message } = await refused('approve', asked.id, ...args);
        return [exit, code, /: (vote\.[a-zA-Z]+):/.exec(message)?.[1]];
      };
      expect(await inner('--key', 'stranger')).toEqual([12, 'approval.refused', 'vote.untrusted']);
      expect(await inner('--key', 'clerk')).toEqual([12, 'approval.refused', 'vote.role']);
      expect(await inner('--key', 'runtime')).toEqual([12, 'approval.refused', 'vote.runtimeKey']);
      await cast(asked, 'operator', {}, true);
      await fine('approve', asked.id);
      // The vote is in and not judged yet: the same key again, and a false one in its name before that.
      expect(await inner('--key', 'operator')).toEqual([12, 'approval.refused', 'vote.twice']);
      provider.say({ text: 'done' });
      await openexec('resume', asked.run, '--json');
      expect(await refused('approve', asked.id)).toMatchObject({ exit: 2, code: 'approval.unknown' });
      await fine('verify', '--deep');
    },
    TIME_MS,
  );
});
