/**
 * Keys in the place of others: the runtime key between two runs, the root key by itself, a key that something is bound to, a call that was cut short. What
 * was signed before stands, what the old key signs afterwards counts for nothing. Through the bundle, each end verified by the production verifier.
 */
import { copyFileSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { unpacked } from '@openexec/stores';
import Database from 'better-sqlite3';
import type { Ended } from './cli.ts';
import { rewrite } from './forger.ts';
import { patchScripts, patchSum } from './place.ts';
import { fine, initialised, inOnePlace, openexec, place, provider, refused } from './scene.ts';

interface Rotated {
  readonly keyId: string;
  readonly replaces: string;
  readonly retired: number | null;
  readonly law: number;
  readonly aside: string;
}
const TIME_MS = 180_000;
let stateFolder = '';

inOnePlace(async () => {
  await initialised();
  const { fingerprint } = json<{ fingerprint: string }>(await fine('ledger', 'info', '--json'));
  stateFolder = join(place.state, fingerprint.slice('sha256:'.length, 'sha256:'.length + 32));
});

const json = <T>(ended: Ended): T => JSON.parse(ended.stdout) as T;
async function rotated(...args: readonly string[]): Promise<Rotated> {
  return json<Rotated>(await fine('key', 'rotate', ...args, '--because', 'once a year', '--json'));
}
async function done(): Promise<void> {
  provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
  const ended = await openexec('run', 'Make sum add', '--json');
  expect({ exit: ended.exit, stderr: ended.exit === 0 ? '' : ended.stderr }).toEqual({ exit: 0, stderr: '' });
}
/** Ids of the keys that signed commits and closes, in their order. */
function signers(): readonly string[] {
  const db = new Database(join(place.root, '.openexec/ledger.db'), { readonly: true });
  const rows = db.prepare('SELECT entry FROM entries ORDER BY idx').all() as { entry: Buffer }[];
  db.close();
  const keys = rows.map(({ entry }) => (JSON.parse(Buffer.from(unpacked(entry)).toString('utf8')) as { sig?: { key: string } }).sig?.key);
  return keys.filter((key): key is string => key !== undefined);
}
const keyFile = (label: string): string => join(stateFolder, 'keys', `${label}.key`);

describe('the runtime key', () => {
  test(
    'is rotated between two runs: each commit counts by the key that held the role there, and one moved behind the retirement does not',
    async () => {
      await done();
      const { keyId, replaces, retired, law, aside } = await rotated('runtime');
      expect([retired, existsSync(keyFile(aside)), existsSync(keyFile('runtime-next'))]).toEqual([law, true, false]);
      await done();
      const by = signers();
      expect(new Set(by)).toEqual(new Set([replaces, keyId]));
      expect(by.lastIndexOf(replaces)).toBeLessThan(by.indexOf(keyId));
      const verified = json<{ sound: boolean; signatures: number }>(await fine('verify', '--deep', '--json'));
      expect([verified.sound, verified.signatures > by.length]).toEqual([true, true]);
      // The same ledger, its commits after the retirement signed by the old key: every hash holds, and it is not sound.
      const now = readFileSync(keyFile('runtime'));
      copyFileSync(keyFile(aside), keyFile('runtime'));
      try {
        const target = join(place.folder, 'forged/ledger.db');
        await rewrite({ source: join(place.root, '.openexec/ledger.db'), target, stateFolder, change: (_, payload) => payload });
        const found = await openexec('verify', '--ledger', `sqlite:${target}`, '--json');
        const { findings } = json<{ findings: readonly { code: string; message: string }[] }>(found);
        expect([found.exit, new Set(findings.map(({ code }) => code))]).toEqual([20, new Set(['entry.signature'])]);
        expect(findings[0]?.message).toContain(`key ${replaces} held no runtime role here`);
      } finally {
        writeFileSync(keyFile('runtime'), now, { mode: 0o600 });
      }
    },
    TIME_MS,
  );

  test(
    'is not taken from under an open run; with --overlap both count, and the run ends under the new one',
    async () => {
      provider.say({ calls: [patchScripts()] });
      expect((await openexec('run', 'Give it a start script', '--json')).exit).toBe(11);
      const [request] = json<{ approvals: readonly { id: string }[] }>(await fine('approvals', '--json')).approvals;
      const bound = await refused('key', 'rotate', 'runtime', '--because', 'x');
      expect(bound).toMatchObject({ exit: 2, code: 'key.inUse' });
      expect(bound.message).toContain('the open run run/');
      const { keyId, replaces, retired } = await rotated('runtime', '--overlap');
      expect(retired).toBeNull();
      await fine('deny', request?.id ?? '', '--because', 'not that');
      provider.say({ text: 'then nothing' });
      await openexec('resume', 'latest', '--json');
      expect(signers().at(-1)).toBe(keyId);
      await fine('key', 'retire', replaces, '--because', 'the overlap is over');
      await done();
      await fine('verify', '--deep');
    },
    TIME_MS,
  );
});

describe('other keys', () => {
  test(
    'the root key signs its own successor in, and the old one makes no law any more; the log key stays',
    async () => {
      const { aside } = await rotated('root');
      expect(await refused('key', 'retire', 'operator', '--because', 'x', '--root', aside)).toMatchObject({ exit: 2, code: 'law.refused' });
      await fine('key', 'new', '--role', 'issuer', '--label', 'clerk');
      expect(await refused('key', 'rotate', 'log', '--because', 'x')).toMatchObject({ exit: 2, code: 'usage.invalid' });
      expect(await refused('key', 'rotate', aside, '--because', 'x')).toMatchObject({ exit: 2, code: 'law.refused' });
      expect(await refused('key', 'rotate', 'nobody', '--because', 'x')).toMatchObject({ exit: 2, code: 'key.missing' });
      await done();
      await fine('verify', '--deep');
    },
    TIME_MS,
  );

  test(
    'a standing writ holds its issuer fast; a call that was cut short is finished by the next, at any of its steps',
    async () => {
      await fine('writ', 'issue', '--standing', '--key', 'clerk', '--out', join(place.folder, 'team.writ'));
      expect((await refused('key', 'rotate', 'clerk', '--because', 'x')).message).toContain('the standing writ sha256:');
      await fine('writ', 'revoke', join(place.folder, 'team.writ'), '--because', 'over');
      const first = await rotated('clerk');
      // As a crash would leave it: the law has both changes, the files are half moved, then not moved at all.
      renameSync(keyFile('clerk'), keyFile('clerk-next'));
      expect((await rotated('clerk')).keyId).toBe(first.keyId);
      renameSync(keyFile('clerk'), keyFile('clerk-next'));
      renameSync(keyFile(first.aside), keyFile('clerk'));
      const again = await rotated('clerk');
      expect([again.keyId, again.replaces, again.law]).toEqual([first.keyId, first.replaces, first.law]);
      await fine('writ', 'issue', '--key', 'clerk', '--out', join(place.folder, 'next.writ'));
      await fine('writ', 'verify', join(place.folder, 'next.writ'));
      await fine('verify', '--deep');
    },
    TIME_MS,
  );
});
