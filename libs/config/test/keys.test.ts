/**
 * Key files and pins: modes, owners, links, names that are taken, and files that cannot be understood.
 */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Digest, digestOf, toHex, utf8Encode } from '@openexec/canon';
import {
  type FileKey,
  findPlaces,
  listKeys,
  pinsFile,
  readKey,
  readKeyFile,
  readPin,
  readPublicKey,
  rewriteKey,
  writeKey,
  writePin,
  writePublicKey,
} from '../src/index.ts';

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

describe('a key under a passphrase', () => {
  const PASSPHRASE = 'four words make one';
  const file = () => join(folder, 'alice.key');
  const alter = (change: (members: Record<string, Record<string, unknown>>) => void): void => {
    const members = JSON.parse(readFileSync(file(), 'utf8')) as Record<string, Record<string, unknown>>;
    change(members);
    writeFileSync(file(), JSON.stringify(members));
  };
  const opened = (passphrase: string | null = PASSPHRASE): string => {
    const read = readKeyFile(folder, 'alice');
    if (!read.ok) return read.error.code;
    const key = read.value.unlock(passphrase);
    return key.ok ? toHex(key.value.seed) : key.error.code;
  };
  beforeEach(() => {
    expect(writeKey(folder, { label: 'alice', roles: ['approver'], seed: SEED, passphrase: PASSPHRASE })).toMatchObject({
      ok: true,
      value: { assurance: 'passphrase' },
    });
  });

  test('opens with it and with nothing else, shows its public half without it, and holds no seed in the clear', () => {
    expect(opened()).toBe('07'.repeat(32));
    expect([opened('four words make One'), opened(null), code('alice')]).toEqual(['passphrase.wrong', 'key.locked', 'key.locked']);
    const read = readKeyFile(folder, 'alice');
    const open = writeKey(folder, { label: 'open', roles: ['approver'], seed: SEED });
    expect(read.ok && open.ok && [read.value.keyId, read.value.assurance]).toEqual([open.ok && open.value.keyId, 'passphrase']);
    expect(readFileSync(file(), 'utf8')).not.toContain('07'.repeat(32));
    expect(statSync(file()).mode & 0o777).toBe(0o600);
  });

  test('is the same on every keyboard: composed and decomposed letters are one passphrase', () => {
    expect(rewriteKey(folder, { label: 'alice', roles: ['approver'], seed: SEED, passphrase: 'cafe\u0301 avec du lait' })).toMatchObject({
      ok: true,
    });
    expect(opened('caf\u00e9 avec du lait')).toBe('07'.repeat(32));
  });

  test('does not open once its roles, its public half or any part of the seal is another', () => {
    const before = readFileSync(file());
    const flip = (text: unknown): string => `${String(text).startsWith('0') ? '1' : '0'}${String(text).slice(1)}`;
    const changes: readonly ((members: Record<string, Record<string, unknown>>) => void)[] = [
      (members) => Object.assign(members, { roles: ['approver', 'root'] }),
      (members) => Object.assign(members, { publicKey: flip(members['publicKey']) }),
      (members) => Object.assign(members, { sealed: flip(members['sealed']) }),
      (members) => Object.assign(members['cipher'] ?? {}, { nonce: flip(members['cipher']?.['nonce']) }),
      (members) => Object.assign(members['kdf'] ?? {}, { salt: flip(members['kdf']?.['salt']) }),
      (members) => Object.assign(members['kdf'] ?? {}, { n: 2 ** 16 }),
    ];
    for (const change of changes) {
      alter(change);
      expect(opened()).toBe('passphrase.wrong');
      writeFileSync(file(), before);
    }
    expect(opened()).toBe('07'.repeat(32));
  });

  test('is refused before any memory is spent when its parameters are out of bounds', () => {
    const before = readFileSync(file());
    for (const kdf of [{ n: 2 ** 30 }, { n: 2 ** 19 }, { n: 2 ** 10 }, { n: 100_000 }, { r: 1024 }, { p: 64 }, { name: 'none' }]) {
      alter((members) => Object.assign(members['kdf'] ?? {}, kdf));
      expect(opened()).toBe('key.malformed');
      writeFileSync(file(), before);
    }
  });

  test('takes no passphrase that is guessed at once, and is never replaced by another key', () => {
    for (const passphrase of ['', 'short', 'elevenchars'])
      expect(writeKey(folder, { label: 'weak', roles: ['approver'], seed: SEED, passphrase })).toMatchObject({
        ok: false,
        error: { code: 'passphrase.weak' },
      });
    const other = { label: 'alice', roles: ['approver'] as const, seed: new Uint8Array(32).fill(9), passphrase: PASSPHRASE };
    expect(rewriteKey(folder, other)).toMatchObject({ ok: false, error: { code: 'key.exists' } });
    expect(rewriteKey(folder, { ...other, seed: SEED, passphrase: null })).toMatchObject({ ok: true, value: { assurance: 'file' } });
    expect(listKeys(folder)).toEqual(['alice']);
    expect(opened(null)).toBe('07'.repeat(32));
  });
});

describe('the public half of a key', () => {
  const LEDGER = digestOf(utf8Encode('ledger'));
  const keyOf = (label: string, fill: number): FileKey => {
    const key = writeKey(folder, { label, roles: ['approver'], seed: new Uint8Array(32).fill(fill) });
    if (!key.ok) throw new Error(key.error.message);
    return key.value;
  };

  test('travels as a file that its own key signed, for one ledger, and is not overwritten', () => {
    const key = keyOf('alice', 1);
    const file = join(folder, 'alice.pub');
    expect(writePublicKey(file, key, LEDGER)).toMatchObject({ ok: true });
    expect(writePublicKey(file, key, LEDGER)).toMatchObject({ ok: false, error: { code: 'key.exists' } });
    expect(readPublicKey(file, LEDGER)).toMatchObject({ ok: true, value: { label: 'alice', keyId: key.keyId } });
    expect(readPublicKey(file, digestOf(utf8Encode('another')))).toMatchObject({ ok: false, error: { code: 'key.malformed' } });
    expect(readFileSync(file, 'utf8')).not.toContain(toHex(key.seed));
  });

  test('is refused with another key, another name or another signature in it', () => {
    const [own, other] = [keyOf('alice', 1), keyOf('bob', 2)];
    const file = join(folder, 'x.pub');
    writePublicKey(file, own, LEDGER);
    const good = JSON.parse(readFileSync(file, 'utf8')) as { body: Record<string, unknown>; signatures: { key: string; value: string }[] };
    const [signature] = good.signatures;
    for (const bad of [
      { ...good, body: { ...good.body, publicKey: toHex(other.publicKey) } },
      { ...good, body: { ...good.body, label: 'mallory' } },
      { ...good, body: { ...good.body, more: 1 } },
      { ...good, signatures: [{ ...signature, key: other.keyId }] },
      { ...good, signatures: [signature, signature] },
      { ...good, signatures: [] },
      [],
    ]) {
      writeFileSync(file, JSON.stringify(bad));
      expect(readPublicKey(file, LEDGER)).toMatchObject({ ok: false, error: { code: 'key.malformed' } });
    }
    expect(readPublicKey(join(folder, 'none.pub'), LEDGER)).toMatchObject({ ok: false, error: { code: 'key.missing' } });
  });
});
