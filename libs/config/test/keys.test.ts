/**
 * Key files and pins: modes, owners, links, names that are taken, and files that cannot be understood.
 */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Digest, digestOf, toHex, utf8Encode } from '@openexec/canon';
import { findPlaces, listKeys, pinsFile, readKey, readPin, writeKey, writePin } from '../src/index.ts';

const SEED = new Uint8Array(32).fill(7);
let folder: string;
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'openexec-keys-')), 'keys');
});
afterEach(() => rmSync(join(folder, '..'), { recursive: true, force: true }));

function code(label = 'operator'): string {
  const read = readKey(folder, label);
  return read.ok ? 'ok' : read.error.code;
}
function made(): void {
  const written = writeKey(folder, { label: 'operator', roles: ['issuer', 'approver'], seed: SEED });
  expect(written).toMatchObject({ ok: true });
}

describe('a key file', () => {
  test('is written once, for its owner only, and read back', () => {
    made();
    expect(statSync(join(folder, 'operator.key')).mode & 0o777).toBe(0o600);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    const read = readKey(folder, 'operator');
    expect(read.ok && { roles: read.value.roles, seed: toHex(read.value.seed) }).toEqual({
      roles: ['issuer', 'approver'],
      seed: '07'.repeat(32),
    });
    const again = writeKey(folder, { label: 'operator', roles: ['root'], seed: new Uint8Array(32) });
    expect(again).toMatchObject({ ok: false, error: { code: 'key.exists' } });
    expect(readFileSync(join(folder, 'operator.key'), 'utf8')).toContain('07'.repeat(32));
    expect(listKeys(folder)).toEqual(['operator']);
    expect(listKeys(join(folder, 'none'))).toEqual([]);
  });

  test('is refused when others could read it or enter its folder', () => {
    made();
    for (const mode of [0o640, 0o604, 0o660, 0o601]) {
      chmodSync(join(folder, 'operator.key'), mode);
      expect(code()).toBe('key.unsafe');
    }
    chmodSync(join(folder, 'operator.key'), 0o600);
    expect(code()).toBe('ok');
    chmodSync(folder, 0o711);
    expect(code()).toBe('key.unsafe');
  });

  // Only root can give a file away.
  const asRoot = process.getuid?.() === 0 ? test : test.skip;
  asRoot('is refused when it or its folder belongs to somebody else (needs root)', () => {
    made();
    chownSync(join(folder, 'operator.key'), 12_345, 12_345);
    expect(code()).toBe('key.unsafe');
    chownSync(join(folder, 'operator.key'), 0, 0);
    chownSync(folder, 12_345, 12_345);
    expect(code()).toBe('key.unsafe');
  });

  test('is refused as a link, a folder, or with content that is not a key', () => {
    made();
    symlinkSync(join(folder, 'operator.key'), join(folder, 'linked.key'));
    expect(code('linked')).toBe('key.unsafe');
    mkdirSync(join(folder, 'folder.key'), { mode: 0o700 });
    expect(code('folder')).toBe('key.unsafe');
    expect(code('none')).toBe('key.missing');
    for (const text of [
      '',
      '{}',
      '[]',
      '{"v":2,"roles":[],"seed":""}',
      '{"v":1,"roles":["king"],"seed":"',
      '{"v":1,"roles":[],"seed":"00"}',
      `{"v":1,"roles":["root"],"seed":"${'0'.repeat(64)}","x":1}`,
      `{"v":1,"roles":["king"],"seed":"${'0'.repeat(64)}"}`,
    ]) {
      writeFileSync(join(folder, 'bad.key'), text, { mode: 0o600 });
      expect(code('bad')).toBe('key.malformed');
    }
    for (const label of ['../x', 'a/b', '', 'A', '.x'])
      expect(writeKey(folder, { label, roles: [], seed: SEED })).toMatchObject({ ok: false, error: { code: 'key.malformed' } });
  });
});

describe('pins', () => {
  const one: Digest = digestOf(utf8Encode('one'));
  const two: Digest = digestOf(utf8Encode('two'));

  test('are kept by place, replaced only for that place', () => {
    const user = join(folder, 'user');
    expect(readPin(user, '/a')).toEqual({ ok: true, value: null });
    expect(writePin(user, '/a', one).ok && writePin(user, '__proto__', two).ok).toBe(true);
    expect(readPin(user, '/a')).toEqual({ ok: true, value: one });
    expect(writePin(user, '/a', two).ok).toBe(true);
    expect([readPin(user, '/a'), readPin(user, '/b')]).toEqual([
      { ok: true, value: two },
      { ok: true, value: null },
    ]);
  });

  test('that cannot be understood are an error, never no pin', () => {
    const user = join(folder, 'user');
    mkdirSync(user, { recursive: true });
    for (const text of ['', '{}', 'null', '{"v":1}', '{"v":1,"ledgers":{"/a":"sha256:12"}}', '{"v":2,"ledgers":{}}']) {
      writeFileSync(pinsFile(user), text);
      expect(readPin(user, '/a')).toMatchObject({ ok: false, error: { code: 'pins.malformed' } });
      expect(writePin(user, '/a', one)).toMatchObject({ ok: false });
    }
  });
});

describe('places', () => {
  test('follow XDG where it is absolute, and for root lie where the sandbox can walk', () => {
    const at = (env: Record<string, string>, root = false) => findPlaces({ env, home: '/home/ann', root });
    expect(at({})).toEqual({ system: '/etc/openexec', user: '/home/ann/.config/openexec', state: '/home/ann/.local/state/openexec' });
    expect(at({}, true).state).toBe('/var/lib/openexec');
    expect(at({ XDG_STATE_HOME: '/s', XDG_CONFIG_HOME: '/c' })).toMatchObject({ user: '/c/openexec', state: '/s/openexec' });
    expect(at({ XDG_STATE_HOME: 'relative', OPENEXEC_STATE_DIR: './x' }).state).toBe('/home/ann/.local/state/openexec');
    expect(at({ OPENEXEC_STATE_DIR: '/o', XDG_STATE_HOME: '/s' }).state).toBe('/o');
  });
});
