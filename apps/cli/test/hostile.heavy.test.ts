/**
 * The hostile demo twice more, in full: what it leaves behind (nothing), and as an ordinary user. Run by `npm test -- --heavy`.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { Row } from '../src/hostile/judge.ts';
import { type Bundle, buildBundle } from './cli.ts';

/** An id that owns nothing on this machine. */
const ORDINARY = 23_456;
const ROOT = process.getuid?.() === 0;
jest.setTimeout(900_000);

let bundle: Bundle;
let folder = '';

beforeAll(async () => {
  bundle = await buildBundle();
  folder = mkdtempSync(join(tmpdir(), 'openexec-hostile-'));
  chmodSync(folder, 0o755);
});
afterAll(() => {
  bundle.remove();
  rmSync(folder, { recursive: true, force: true });
});

describe('the hostile demo', () => {
  test('without --keep leaves no file and no process behind', async () => {
    const temporary = join(folder, 'temporary');
    mkdirSync(temporary, { mode: 0o755 });
    const before = processes();
    const ended = await bundle.run(['demo', '--hostile'], { cwd: folder, env: { TMPDIR: temporary } });
    expect([ended.exit, ended.stdout]).toEqual([0, expect.stringContaining('30 of 30 attempts stopped')]);
    expect(readdirSync(temporary)).toEqual([]);
    expect(processes().filter((line) => !before.includes(line) && /\bsleep (5|600)\.\d{10}/.test(line))).toEqual([]);
  });

  test('comes to the same as an ordinary user', () => {
    const home = join(folder, 'ordinary');
    mkdirSync(home);
    // Whoever is not root has just shown it, and shows it again.
    if (ROOT) chownSync(home, ORDINARY, ORDINARY);
    const env = { PATH: process.env['PATH'] ?? '', HOME: home, TMPDIR: home, CI: 'true', NO_COLOR: '1' };
    const id = ROOT ? ['setpriv', '--reuid', String(ORDINARY), '--regid', String(ORDINARY), '--clear-groups'] : [];
    const command = [...id, process.execPath, bundle.entry, 'demo', '--hostile', '--json'];
    const { status, stdout, stderr } = spawnSync('env', command, { cwd: home, env, encoding: 'utf8' });
    if (stdout === '') throw new Error(stderr);
    expect((JSON.parse(stdout) as { readonly rows: readonly Row[] }).rows.filter(({ verdict }) => verdict !== 'stopped')).toEqual([]);
    expect(status).toBe(0);
    expect(readdirSync(home)).toEqual([]);
  });
});

/** Command lines of this host's processes, with their ids. */
function processes(): readonly string[] {
  return readdirSync('/proc').flatMap((name) => {
    const file = `/proc/${name}/cmdline`;
    if (!/^\d+$/.test(name) || !existsSync(file)) return [];
    try {
      return [`${name} ${readFileSync(file, 'latin1').replaceAll('\0', ' ')}`];
    } catch {
      return []; // Ended meanwhile.
    }
  });
}
