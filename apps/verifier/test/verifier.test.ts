/**
 * The small verifier as it ships: one file, alone in an empty folder, on folders and archives, sound and not. PROTOCOL §11.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Shipped, ship } from './support.ts';

const TIME_MS = 60_000;
const LIMIT_BYTES = 300 * 1024;
let shipped: Shipped;

beforeAll(async () => {
  shipped = await ship();
  mkdirSync(join(shipped.folder, 'alone'));
  copyFileSync(shipped.program, join(shipped.folder, 'alone/openexec-verify.mjs'));
}, TIME_MS);
afterAll(() => shipped.remove());

/** The program, with nothing beside it. */
function verify(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  const cwd = join(shipped.folder, 'alone');
  return spawnSync(process.execPath, ['openexec-verify.mjs', ...args], { cwd, encoding: 'utf8', env: { PATH: '' } });
}

describe('what ships', () => {
  test('is one file each, below its limit, and asks for no package and no network', () => {
    for (const file of [shipped.program, shipped.page]) expect(statSync(file).size).toBeLessThan(LIMIT_BYTES);
    const program = readFileSync(shipped.program, 'utf8');
    const imports = [...program.matchAll(/(?:from|import)\s*["']([^"']+)["']/g)].map(([, name]) => name);
    expect(new Set(imports)).toEqual(
      new Set(['node:buffer', 'node:crypto', 'node:fs', 'node:fs/promises', 'node:path', 'node:process', 'node:util']),
    );
    const page = readFileSync(shipped.page, 'utf8');
    expect(page).not.toMatch(/node:|\bfetch\(|XMLHttpRequest|WebSocket|(?:src|href)=/);
    expect(page).toContain("default-src 'none'");
  });
});

describe('openexec-verify', () => {
  test.each([
    ['a folder', 'bundle'],
    ['one file', 'archive'],
  ] as const)('finds %s sound, pinned and in words, and says what it did not check', (_, which) => {
    const { status, stdout, stderr } = verify(shipped[which], '--trust', shipped.fingerprint);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^✓ sound: \d+ parts, \d+ entries/);
    expect(stdout).toContain('level        signed; trust pinned');
    expect(stdout).toMatch(/^not checked {2}what signed things mean/m);
  });

  test('prints one document for programs', () => {
    const { status, stdout } = verify(shipped.archive, '--json');
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      v: 1,
      exit: 0,
      sound: true,
      trust: 'selfAsserted',
      fingerprint: shipped.fingerprint,
      findings: [],
    });
  });

  test('names the part that was changed, and the ledger that is not the trusted one, with exit 20', () => {
    const copy = join(shipped.folder, 'changed');
    cpSync(shipped.bundle, copy, { recursive: true });
    const events = readFileSync(join(copy, 'events.jsonl'), 'utf8');
    writeFileSync(join(copy, 'events.jsonl'), events.replace('"outcome\\":\\"done\\"', '"outcome\\":\\"dont\\"'));
    expect(verify(copy)).toMatchObject({
      status: 20,
      stdout: expect.stringMatching(/^✗ not sound: first bad index \d+\n[\s\S]*✗ events\.jsonl index \d+: payload\.commitment/),
    });
    const other = `sha256:${'0'.repeat(64)}`;
    expect(verify(shipped.bundle, '--trust', other)).toMatchObject({ status: 20, stdout: expect.stringContaining('ledger.untrusted') });
  });

  test.each([
    ['nothing', [], 2, 'name one bundle'],
    ['two bundles', ['a', 'b'], 2, 'name one bundle'],
    ['an unknown option', ['--truts', 'x', 'a'], 2, '--truts'],
    ['a fingerprint that is none', ['a', '--trust', 'abc'], 2, '--trust takes a fingerprint'],
    ['a path that is not there', ['nowhere'], 2, 'bundle.unreadable'],
    ['a policy that is not there', ['a', '--policy', 'nowhere'], 2, 'cannot be read (ENOENT)'],
    ['a file that is no archive', ['openexec-verify.mjs'], 20, 'bundle.'],
  ])('%s is refused with its reason', (_, args, status, text) => {
    expect(verify(...args)).toMatchObject({ status, stdout: '', stderr: expect.stringContaining(text) });
  });

  test('tells its version and its options', () => {
    expect(verify('--version')).toMatchObject({ status: 0, stdout: '0.1.0\n' });
    expect(verify('--help').stdout).toContain('--trust FINGERPRINT');
  });
});
