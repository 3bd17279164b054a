/** The four adapters under the contract of `Anchor`: real files, real git, a real HTTP server with openssl's authority, a real witness. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { utf8Decode } from '@openexec/canon';
import { formatCosignerVkey, openCosignatures, parseCosignerVkey, seedSigner } from '@openexec/proof';
import { fileAnchor, gitAnchor, heldByFile, heldByGit, rfc3161Anchor, serveWitness, Witness, witnessAnchor } from '../src/index.ts';
import { anchorContract, type OpenedAnchor } from './anchor.contract.ts';
import { LOG_VKEY, TestLog } from './fixture.ts';
import { startTsa } from '../src/testServer.ts';

const randomness = { bytes: (count: number) => new Uint8Array(randomBytes(count)) };
const folderOf = (): string => mkdtempSync(join(tmpdir(), 'openexec-anchor-'));
const drop = (folder: string): void => rmSync(folder, { recursive: true, force: true });
const TIME = 1_790_000_000n;

function openFile(): OpenedAnchor {
  const folder = folderOf();
  const make = () => fileAnchor({ name: 'share', path: join(folder, 'checkpoint') });
  return { anchor: make(), again: make, cut: () => drop(folder), close: () => drop(folder) };
}

function openGit(): OpenedAnchor {
  const folder = folderOf();
  execFileSync('git', ['init', '-q', folder]);
  const make = () => gitAnchor({ name: 'ref', repository: folder, ref: 'refs/openexec/checkpoints', now: () => Number(TIME) });
  return { anchor: make(), again: make, cut: () => drop(folder), close: () => drop(folder) };
}

async function openTsa(): Promise<OpenedAnchor> {
  const tsa = await startTsa();
  const make = () => rfc3161Anchor({ name: 'tsa', url: tsa.url, trusted: tsa.ca, randomness });
  return { anchor: make(), again: make, cut: () => tsa.close(), close: () => tsa.close() };
}

async function openWitness(): Promise<OpenedAnchor> {
  const folder = folderOf();
  const signer = seedSigner({ keyName: 'witness.example/w1', seed: new Uint8Array(32).fill(9) });
  const cosigner = parseCosignerVkey(formatCosignerVkey(signer));
  if (!cosigner.ok) throw new Error(cosigner.error.message);
  const witness = new Witness({ state: folder, signer, logs: [LOG_VKEY], now: () => TIME });
  const running = await serveWitness({ witness, host: '127.0.0.1', port: 0, hosts: [] });
  if (!running.ok) throw new Error(running.error.message);
  const { port, close } = running.value;
  const make = () => witnessAnchor({ name: 'w1', url: `http://127.0.0.1:${port}/`, cosigners: [cosigner.value] });
  const end = async (): Promise<void> => {
    await close();
    drop(folder);
  };
  return { anchor: make(), again: make, cut: close, close: end };
}

anchorContract('fileAnchor', { remembers: true, open: openFile });
anchorContract('gitAnchor', { remembers: true, open: openGit });
anchorContract('rfc3161Anchor', { remembers: false, open: openTsa });
anchorContract('witnessAnchor', { remembers: true, open: openWitness });

describe('what an anchor holds', () => {
  const log = new TestLog(20);

  test('the file holds the newest note, byte for byte, and nothing before the first', async () => {
    const folder = folderOf();
    const path = join(folder, 'checkpoint');
    expect(heldByFile(path)).toEqual({ ok: true, value: null });
    await fileAnchor({ name: 'share', path }).submit(await log.submission(7));
    expect(heldByFile(path)).toEqual({ ok: true, value: await log.note(7) });
    drop(folder);
  });

  test('the ref is a chain of commits with the note as its one file; hooks of the repository are not run', async () => {
    const folder = folderOf();
    execFileSync('git', ['init', '-q', folder]);
    writeFileSync(join(folder, '.git/hooks/reference-transaction'), `#!/bin/sh\ntouch ${join(folder, 'ran')}\n`, { mode: 0o755 });
    const where = { repository: folder, ref: 'refs/openexec/checkpoints' };
    expect(await heldByGit(where)).toEqual({ ok: true, value: null });
    const anchor = gitAnchor({ name: 'ref', ...where, now: () => Number(TIME) });
    await anchor.submit(await log.submission(7));
    await anchor.submit(await log.submission(9));
    expect(await heldByGit(where)).toEqual({ ok: true, value: await log.note(9) });
    const git = (...args: readonly string[]) => execFileSync('git', ['-C', folder, ...args]).toString();
    expect(git('log', '--format=%s', where.ref)).toBe(
      'checkpoint of log.example/anchored, size 9\ncheckpoint of log.example/anchored, size 7\n',
    );
    expect(git('ls-tree', '--name-only', where.ref)).toBe('checkpoint\n');
    expect(git('fsck', '--strict')).toBe('');
    expect(existsSync(join(folder, 'ran'))).toBe(false);
    // The positive control: the hook is one that runs.
    git('update-ref', 'refs/heads/control', where.ref);
    expect(existsSync(join(folder, 'ran'))).toBe(true);
    drop(folder);
  });

  test('a witness’s receipt is the note with a cosignature of its key at its time', async () => {
    const opened = await openWitness();
    const taken = await opened.anchor.submit(await log.submission(7));
    const signer = seedSigner({ keyName: 'witness.example/w1', seed: new Uint8Array(32).fill(9) });
    const cosigner = parseCosignerVkey(formatCosignerVkey(signer));
    const note = taken.ok ? utf8Decode(taken.value.bytes) : undefined;
    if (note?.ok !== true || !cosigner.ok) throw new Error('no receipt');
    expect(openCosignatures(note.value, [cosigner.value])).toEqual({
      ok: true,
      value: [{ keyName: 'witness.example/w1', keyHash: cosigner.value.keyHash, time: TIME }],
    });
    expect(note.value.startsWith(await log.note(7))).toBe(true);
    await opened.close();
  });
});
