/**
 * What the redactor of an installation knows: the environment by name and by address, git's configuration, .npmrc, its own keys; and what it refuses.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type FileKey } from '@openexec/config';
import { publicKeyOf } from '@openexec/proof';
import { redactJson, redactorOf, refuseSecrets, type SecretPlaces } from '../src/run/redact.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'openexec-redact-'));
  mkdirSync(join(folder, '.git'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function key(fill: number): FileKey {
  const seed = new Uint8Array(32).fill(fill);
  return { label: 'k', roles: [], assurance: 'file', keyId: '', publicKey: publicKeyOf(seed), seed };
}
function places(env: SecretPlaces['env'], files: { readonly config?: string; readonly npmrc?: string } = {}): SecretPlaces {
  writeFileSync(join(folder, '.git/config'), files.config ?? '');
  writeFileSync(join(folder, '.npmrc'), files.npmrc ?? '');
  return { env, keys: [key(1), key(2)], runtime: key(2), root: folder, commonDir: join(folder, '.git') };
}
async function redacted(text: string, ...given: Parameters<typeof places>): Promise<string> {
  const made = await redactorOf(places(...given));
  if (!made.ok) throw new Error(made.error.message);
  return made.value.redactText(text);
}

describe('known are', () => {
  test.each([
    ['the key of a provider, however short', { OPENAI_API_KEY: 'k-123456' }, 'k-123456', 'provider'],
    ['a variable named like a secret', { MY_DEPLOY_TOKEN: 'abcdefgh-1234' }, 'abcdefgh-1234', 'env'],
    ['an access key', { AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG+bPx' }, 'wJalrXUtnFEMI/K7MDENG+bPx', 'env'],
    [
      'the token of npm as npm names it',
      { 'npm_config_//registry.example.org/:_authToken': 'token-of-npm-1234' },
      'token-of-npm-1234',
      'env',
    ],
    ['the password in an address, alone', { DATABASE_URL: 'postgres://u:pass-word-1@h/db' }, 'pass-word-1', 'address'],
    ['the same as it is when decoded', { SOME_URL: 'https://u:p%40ss%2Fword-1@h' }, 'p@ss/word-1', 'address'],
    ['the password of a proxy', { HTTPS_PROXY: 'http://me:hunter2hunter2@proxy:3128' }, 'hunter2hunter2', 'address'],
    ['a token as the user of an address', { GIT_URL: 'https://abcdefghijkl123:x-oauth-basic@h/r' }, 'abcdefghijkl123', 'address'],
  ] as const)('%s', async (_, env, secret, kind) => {
    expect(await redacted(`say ${secret} now`, env)).toMatch(new RegExp(`^say \\[redacted:${kind}:[0-9a-f]{8}\\] now$`));
    expect(await redacted(`say ${secret} now`, {})).toBe(`say ${secret} now`);
  });
  test('tokens in the addresses and headers of git, and in .npmrc', async () => {
    const config =
      '[remote "origin"]\n\turl = https://oauth2:remote-token-12@h/r.git\n[url "https://instead-token-34@h/"]\n\tinsteadOf = x:\n[http "https://h/"]\n\textraheader = AUTHORIZATION: basic aGVhZGVyLXRva2VuLTU2\n';
    const npmrc = '//registry.example.org/:_authToken=npm-token-78-abc\n//other/:_authToken=${NPM_TOKEN}\n# _authToken=comment-token-90\n';
    const said = await redacted(
      'remote-token-12 instead-token-34 aGVhZGVyLXRva2VuLTU2 npm-token-78-abc comment-token-90 ${NPM_TOKEN}',
      {},
      { config, npmrc },
    );
    expect(said.replace(/:[0-9a-f]{8}\]/g, ']')).toBe(
      '[redacted:git] [redacted:git] [redacted:git] [redacted:npm] comment-token-90 ${NPM_TOKEN}',
    );
  });
  test('the keys of this installation, as they stand in their files and in Base64', async () => {
    const seed = new Uint8Array(32).fill(1);
    const said = await redacted(`${Buffer.from(seed).toString('hex')} ${Buffer.from(seed).toString('base64')}`, {});
    expect(said.replace(/:[0-9a-f]{8}\]/g, ']')).toMatch(/^\[redacted:key\] \[redacted:key\]=?$/);
  });
  test('a value of several lines by each of its lines, and a long one in its pieces', async () => {
    const line = 'MIIEvQIBADANBgkqhkiG9w0BAQEFAASC';
    const pem = `-----BEGIN X-----\n${line}\nsecond${line}\n-----END X-----`;
    expect(await redacted(`only ${line} here`, { SIGNING_KEY: pem })).toMatch(/^only \[redacted:env:[0-9a-f]{8}\] here$/);
    const long = Array.from({ length: 700 }, (_, at) => String(at)).join('.');
    expect(await redacted(`<${long}>`, { LONG_TOKEN: long })).toMatch(/^<(?:\[redacted:env:[0-9a-f]{8}\])+>$/);
    const umlauts = 'ü'.repeat(10) + Array.from({ length: 500 }, (_, at) => `ö${at}`).join('');
    expect(await redacted(`<${umlauts}>`, { LONG_TOKEN: umlauts })).toMatch(/^<(?:\[redacted:env:[0-9a-f]{8}\])+>$/);
  });
});

describe('not taken are', () => {
  test('short words, ordinary variables, addresses without a password', async () => {
    const text = 'postgres git /usr/bin https://git@example.org/a.git changeme';
    expect(
      await redacted(text, { DB_PASSWORD: 'postgres', PATH: '/usr/bin', HOME_URL: 'https://git@example.org/a.git', EMPTY_TOKEN: '' }),
    ).toBe(text);
  });
  test('a value that cannot be kept out is refused, by the name of its variable and without the value', async () => {
    const huge = 'x1'.repeat(3000);
    const made = await redactorOf(places({ HUGE_TOKEN: huge }));
    expect(made).toMatchObject({
      ok: false,
      error: { code: 'config.invalid', message: expect.stringContaining('environment variable HUGE_TOKEN') },
    });
    expect(JSON.stringify(made)).not.toContain('x1x1');
  });
});

describe('JSON', () => {
  test('is redacted text by text and stays JSON; what opens a run is searched and named', async () => {
    const secret = 'quote"back\\slash/ and\nline';
    const made = await redactorOf(places({ ODD_TOKEN: secret }));
    if (!made.ok) throw new Error(made.error.message);
    const clean = redactJson({ [secret]: [secret, 1, null, { a: `x ${secret}` }] }, made.value);
    expect(JSON.stringify(clean).replace(/:[0-9a-f]{8}\]/g, ']')).toBe(
      '{"[redacted:env]":["[redacted:env]",1,null,{"a":"x [redacted:env]"}]}',
    );
    expect(refuseSecrets({ one: { a: 1 }, two: ['x', { deep: secret }] }, made.value)).toMatchObject({
      ok: false,
      error: { code: 'secret.recorded', message: expect.stringMatching(/^two holds a secret/) },
    });
    expect(refuseSecrets({ one: { a: 1 } }, made.value).ok).toBe(true);
  });
});
