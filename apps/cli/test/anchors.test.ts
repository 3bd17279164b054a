/**
 * Anchors and tiles end to end, through the real bundle: a file, a ref, openssl's time stamping authority and our own witness are shown checkpoints;
 * `verify` says how far that reaches, and what was shown elsewhere contradicts a ledger that was rolled back. PROTOCOL §3, GOALS first 10.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type Bundle, buildBundle, type Ended, until } from './cli.ts';
import { makePlace, type Place } from './place.ts';
import { startTsa, type Tsa } from '@openexec/anchors/testServer';

let bundle: Bundle;
let place: Place;
let closing: (() => unknown)[];
const TIME_MS = 240_000;
const KEY_NAME = 'witness.example/w1';

beforeAll(async () => {
  bundle = await buildBundle();
}, TIME_MS);
afterAll(() => bundle.remove());
beforeEach(() => {
  place = makePlace();
  closing = [];
});
afterEach(async () => {
  for (const close of closing.toReversed()) await close();
  place.remove();
});

function openexec(...args: readonly string[]): Promise<Ended> {
  return bundle.run(args, { cwd: place.root, env: place.env });
}
async function init(): Promise<void> {
  expect(await openexec('init', '--model', 'none')).toMatchObject({ exit: 0 });
}
/** The user's own configuration. */
function configure(text: string): void {
  mkdirSync(join(place.folder, 'config', 'openexec'), { recursive: true });
  writeFileSync(join(place.folder, 'config', 'openexec', 'config.yaml'), `version: 1\n${text}`);
}
interface Verified {
  readonly exit: number | null;
  readonly sound: boolean;
  readonly level: string | null;
  readonly anchor: string;
  readonly findings: readonly { readonly code: string; readonly message: string }[];
  readonly anchors: {
    readonly covered: string | null;
    readonly cosigners: readonly string[];
    readonly problems: readonly { readonly code: string }[];
  } | null;
}
async function verify(...more: readonly string[]): Promise<Verified> {
  const ended = await openexec('verify', '--json', ...more);
  return { ...(JSON.parse(ended.stdout) as Verified), exit: ended.exit };
}
async function info(): Promise<{ readonly size: string; readonly logKeys: readonly string[] }> {
  return JSON.parse((await openexec('ledger', 'info', '--json')).stdout) as { size: string; logKeys: readonly string[] };
}
async function authority(): Promise<Tsa> {
  const tsa = await startTsa();
  closing.push(() => tsa.close());
  return tsa;
}
/** Puts an older copy in the ledger's place, and takes away the head file that would say so. */
function rollBackTo(saved: string): void {
  for (const name of readdirSync(place.state)) rmSync(join(place.state, name, 'head.json'), { force: true });
  rmSync(join(place.root, '.openexec'), { recursive: true });
  cpSync(saved, join(place.root, '.openexec'), { recursive: true });
}
/** A witness in a process of its own. */
async function witness(
  options: { readonly state?: string; readonly port?: string } = {},
): Promise<{ readonly vkey: string; readonly url: string; stop(): Promise<Ended> }> {
  const key = join(place.folder, 'w1.key');
  const made = await openexec('witness', '--key', key, '--new-key', KEY_NAME);
  const { logKeys } = await info();
  const state = options.state ?? join(place.folder, 'witness');
  const args = ['witness', '--key', key, '--state', state, '--listen', `127.0.0.1:${options.port ?? '0'}`, '--log', ...logKeys];
  const child = bundle.start(args, { cwd: place.root, env: place.env });
  closing.push(() => child.kill('SIGKILL'));
  await until('the witness listens', () => child.stdout().includes('listens'));
  const url = /listens {2}(\S+)/.exec(child.stdout())?.[1] ?? '';
  const stop = async (): Promise<Ended> => {
    child.kill('SIGTERM');
    return child.ended;
  };
  return { vkey: made.stdout.trim() || (/witness {2}(\S+)/.exec(child.stdout())?.[1] ?? ''), url, stop };
}

describe('a ledger without anchors', () => {
  test(
    'says so, and a required one that is missing ends with 22',
    async () => {
      await init();
      expect(await verify()).toMatchObject({ exit: 0, anchor: 'notConfigured', anchors: null });
      const refused = await openexec('ledger', 'anchor', '--json');
      expect({ exit: refused.exit, code: (JSON.parse(refused.stdout) as { error: { code: string } }).error.code }).toEqual({
        exit: 2,
        code: 'anchor.notConfigured',
      });
      place.write('.openexec/config.local.yaml', 'version: 1\nanchors:\n  required: true\n');
      expect(await verify()).toMatchObject({ exit: 22, sound: true, anchor: 'stale' });
    },
    TIME_MS,
  );

  test(
    'a repository may ask for more but not choose where checkpoints are sent (E20)',
    async () => {
      await init();
      place.write('.openexec/config.local.yaml', 'version: 1\nanchors:\n  to:\n    - {name: mine, type: file, folder: /tmp}\n');
      const refused = await openexec('verify', '--json');
      expect(refused.exit).toBe(2);
      expect((JSON.parse(refused.stdout) as { error: { code: string; message: string } }).error).toMatchObject({
        code: 'config.invalid',
        message: expect.stringContaining('may not choose where checkpoints are sent'),
      });
      configure('anchors:\n  to:\n    - {name: w, type: witness, url: "http://127.0.0.1:1/"}\n');
      place.write('.openexec/config.local.yaml', 'version: 1\n');
      expect((await openexec('verify')).stderr).toContain('a witness needs url and vkey');
    },
    TIME_MS,
  );
});

describe('a file and a ref', () => {
  test(
    'take the checkpoint; verify says anchored and fresh; an older copy of the ledger is found out by either (roll-back)',
    async () => {
      await init();
      const share = join(place.folder, 'share');
      mkdirSync(share);
      const configured = `anchors:\n  required: true\n  to:\n    - {name: share, type: file, folder: ${share}}\n    - {name: ref, type: git}\n`;
      configure(configured);
      expect(await verify()).toMatchObject({ exit: 22, anchor: 'stale', level: 'chained' });
      expect(await openexec('ledger', 'anchor')).toMatchObject({ exit: 0 });
      const saved = join(place.folder, 'saved');
      cpSync(join(place.root, '.openexec'), saved, { recursive: true });
      expect(await openexec('ledger', 'anchor')).toMatchObject({ exit: 0 });
      const { size } = await info();
      expect(await openexec('ledger', 'anchor')).toMatchObject({ exit: 0 });
      expect(await verify()).toMatchObject({ exit: 0, level: 'anchored', anchor: 'fresh', anchors: { covered: size, problems: [] } });
      const [file = ''] = readdirSync(share);
      expect(place.git('show', 'refs/openexec/checkpoints:checkpoint')).toBe(readFileSync(join(share, file), 'utf8'));
      // The older copy, and the head file gone: nothing on this machine but the two places remembers any more.
      rollBackTo(saved);
      const shorter = await verify();
      expect(shorter).toMatchObject({ exit: 20, sound: false, level: null });
      expect(shorter.findings.map(({ code }) => code)).toEqual(['anchor.contradicted', 'anchor.contradicted']);
      expect(await openexec('ledger', 'anchor')).toMatchObject({ exit: 20, stderr: expect.stringContaining('anchor.conflict') });
      // It grows again elsewhere, beyond what was shown.
      const elsewhere = join(place.folder, 'elsewhere');
      mkdirSync(elsewhere);
      configure(`anchors:\n  to:\n    - {name: share, type: file, folder: ${elsewhere}}\n`);
      for (let times = 0; times < 6; times++) expect(await openexec('ledger', 'anchor')).toMatchObject({ exit: 0 });
      expect(await verify()).toMatchObject({ exit: 0, level: 'anchored' });
      configure(configured);
      const grown = await verify();
      expect(grown).toMatchObject({ exit: 20, sound: false });
      expect(grown.findings.every(({ message }) => message.includes('history was rewritten'))).toBe(true);
    },
    TIME_MS,
  );
});

describe('a time stamping authority', () => {
  test(
    'gives a token that verify reads again and openssl accepts; one of another authority counts for nothing',
    async () => {
      await init();
      const tsa = await authority();
      configure(`anchors:\n  to:\n    - {name: tsa, type: rfc3161, url: "${tsa.url}", ca: ${tsa.caFile}}\n`);
      expect(await openexec('ledger', 'anchor', '--to', 'tsa')).toMatchObject({ exit: 0 });
      expect(await verify('--deep')).toMatchObject({ exit: 0, level: 'anchored', anchor: 'fresh' });
      const other = await authority();
      configure(`anchors:\n  to:\n    - {name: tsa, type: rfc3161, url: "${tsa.url}", ca: ${other.caFile}}\n`);
      expect(await verify()).toMatchObject({
        exit: 0,
        level: 'signed',
        anchor: 'stale',
        anchors: { problems: [{ code: 'timestamp.untrusted' }] },
      });
      tsa.say({ status: 200, body: Buffer.from('no token') });
      const refused = await openexec('ledger', 'anchor', '--json');
      expect({ exit: refused.exit, said: JSON.parse(refused.stdout) as unknown }).toMatchObject({
        exit: 22,
        said: { exit: 22, anchors: [{ taken: false, code: 'anchor.refused' }] },
      });
      expect((await openexec('ledger', 'anchor')).stderr).toContain('anchor.failed');
    },
    TIME_MS,
  );
});

describe('a witness', () => {
  test(
    'cosigns what continues; verify says witnessed when the quorum of the policy is reached, and not before',
    async () => {
      await init();
      const running = await witness();
      const policy = join(place.folder, 'policy');
      writeFileSync(policy, `witness w1 ${running.vkey}\nquorum w1\n`);
      configure(`anchors:\n  policy: ${policy}\n  to:\n    - {name: w1, type: witness, url: "${running.url}", vkey: "${running.vkey}"}\n`);
      expect(await verify()).toMatchObject({ exit: 0, level: 'chained', anchor: 'stale' });
      expect(await openexec('ledger', 'anchor')).toMatchObject({ exit: 0 });
      expect(await openexec('ledger', 'anchor')).toMatchObject({ exit: 0 });
      expect(await verify('--deep')).toMatchObject({
        exit: 0,
        level: 'witnessed',
        anchor: 'fresh',
        anchors: { cosigners: [KEY_NAME], problems: [] },
      });
      // Two are asked for, one cosigned.
      const second = await openexec('witness', '--key', join(place.folder, 'w2.key'), '--new-key', 'witness.example/w2');
      writeFileSync(policy, `witness w1 ${running.vkey}\nwitness w2 ${second.stdout.trim()}\ngroup both all w1 w2\nquorum both\n`);
      expect(await verify()).toMatchObject({ exit: 0, level: 'anchored' });
      expect((await running.stop()).exit).toBe(0);
      const unreachable = await openexec('ledger', 'anchor', '--json');
      expect({ exit: unreachable.exit, said: JSON.parse(unreachable.stdout) as unknown }).toMatchObject({
        exit: 22,
        said: { anchors: [{ taken: false, code: 'anchor.unreachable' }] },
      });
    },
    TIME_MS,
  );

  test(
    'remembers across its own restart: a ledger that was rolled back and grew again is a conflict, exit 20',
    async () => {
      await init();
      const saved = join(place.folder, 'saved');
      cpSync(join(place.root, '.openexec'), saved, { recursive: true });
      const running = await witness();
      const configured = (url: string): void =>
        configure(`anchors:\n  to:\n    - {name: w1, type: witness, url: "${url}", vkey: "${running.vkey}"}\n`);
      configured(running.url);
      for (let times = 0; times < 3; times++) expect(await openexec('ledger', 'anchor')).toMatchObject({ exit: 0 });
      await running.stop();
      rollBackTo(saved);
      const again = await witness();
      configured(again.url);
      const conflict = await openexec('ledger', 'anchor');
      expect(conflict).toMatchObject({ exit: 20, stderr: expect.stringContaining('anchor.conflict') });
    },
    TIME_MS,
  );
});

describe('tiles', () => {
  test(
    'are written under the newest checkpoint; entries and earlier sizes are proved from them alone; a flipped byte is found',
    async () => {
      await init();
      const out = join(place.folder, 'public');
      expect(await openexec('ledger', 'checkpoint')).toMatchObject({ exit: 0 });
      expect(await openexec('ledger', 'tiles', '--out', out)).toMatchObject({ exit: 0 });
      const { size } = await info();
      const proof = await openexec('ledger', 'prove', '1', '--tiles', out);
      expect(proof).toMatchObject({ exit: 0, stdout: (await openexec('ledger', 'prove', '1')).stdout });
      const consistency = await openexec('ledger', 'consistency', '1', size, '--tiles', out);
      expect(consistency).toMatchObject({ exit: 0, stdout: (await openexec('ledger', 'consistency', '1', size)).stdout });
      const tile = join(out, 'tile/0/000.p', size);
      const bytes = readFileSync(tile);
      expect(await openexec('ledger', 'fsck', '--tiles', out)).toMatchObject({
        exit: 0,
        stdout: expect.stringContaining('2 tiles and bundles'),
      });
      bytes[0] = (bytes[0] ?? 0) ^ 1;
      writeFileSync(tile, bytes);
      const found = await openexec('ledger', 'fsck', '--tiles', out);
      expect(found).toMatchObject({ exit: 20, stderr: expect.stringContaining('first bad index 0') });
      expect(found.stdout).toContain(`index 0: tile.different: tile/0/000.p/${size}`);
      expect(await openexec('ledger', 'prove', '1', '--tiles', out)).toMatchObject({
        exit: 20,
        stderr: expect.stringContaining('tiles.failed'),
      });
      rmSync(tile);
      expect((await openexec('ledger', 'prove', '1', '--tiles', out)).stderr).toContain('tile.missing');
      expect(await openexec('ledger', 'fsck', '--tiles', out, '--repair')).toMatchObject({ exit: 0 });
      expect(await openexec('ledger', 'prove', '1', '--tiles', out)).toMatchObject({ exit: 0, stdout: proof.stdout });
    },
    TIME_MS,
  );
});
