/**
 * No secret is left by a run, wherever it came from: each kind is put before the real bundle in every way we know, and then every file is searched
 * (ARCHITECTURE invariant 10, SECURITY §5). The search itself is shown to find what is planted in each kind of place.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { packed } from '@openexec/stores';
import Database from 'better-sqlite3';
import { describe, expect, test } from '@jest/globals';
import type { Ended } from './cli.ts';
import { API_KEY, patchScripts, patchSum } from './place.ts';
import { bundle, commitAll, inEachPlace, place, provider } from './scene.ts';
import { formsOf, leaksIn, searchFolder, unicodeEscaped } from './searcher.ts';

const TIME_MS = 240_000;
/** Made here, never issued; joined from halves so that scanners of this source stay quiet. */
const KNOWN = {
  provider: API_KEY,
  env: 'p/Q+r"s\\t=&%u<v>\u00fc-0123456789',
  database: 'Zx9-correct-battery',
  remote: 'remotetoken0123456789abcdef',
  npm: 'npmrctoken-4567890123-zyxwv',
};
let state = 7;
/** Letters and digits that repeat in no other secret, from a fixed seed. */
const body = (length: number): string =>
  Array.from({ length }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'[(state >>> 16) % 62] ?? '';
  }).join('');
const UNKNOWN = {
  github: `gh${'p_'}${body(36)}`,
  stripe: `sk_${'live'}_${body(24)}`,
  pem: `-----BEGIN RSA ${'PRIVATE'} KEY-----\n${Array.from({ length: 6 }, () => `${body(64)}\n`).join('')}-----END RSA ${'PRIVATE'} KEY-----`,
  vault: `hvs${'.'}CAESI${body(90)}`,
};
const SECRETS = [...Object.values(KNOWN), ...Object.values(UNKNOWN)];
/** A secret in every other dress that a program or a model may give it. */
const dressed = (secret: string): string[] => {
  const bytes = Buffer.from(secret);
  const base64 = [0, 1, 2].map((offset) =>
    Buffer.concat([Buffer.from('abc').subarray(0, offset), bytes, Buffer.from('zz')]).toString('base64'),
  );
  const json = JSON.stringify(secret);
  return [
    secret,
    ...base64,
    bytes.toString('base64url'),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    encodeURIComponent(secret),
    [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''),
    json,
    JSON.stringify(json),
    unicodeEscaped(secret),
    JSON.stringify(unicodeEscaped(secret)),
    secret.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;'),
    secret.replace(/(.{7})/gs, '$1\n'),
    secret.split('').join('\u001b[31m'),
    secret.split('').join('\u200b'),
  ];
};
const allKnown = Object.values(KNOWN).flatMap(dressed).join('\n');
const everything = `${allKnown}\n${Object.values(UNKNOWN).join('\n')}`;

/** Prints, writes and names files after everything that leak.txt holds (masked, so that the repository itself holds no secret), byte by byte at first. */
const LEAKY = `import { readFileSync, writeFileSync } from 'node:fs';
import { sum } from './sum.js';
const { text, names } = JSON.parse(Buffer.from(readFileSync('leak.txt', 'utf8'), 'hex').map((b) => b ^ 0x5a).toString('utf8'));
const bytes = Buffer.from(text);
for (let at = 0; at < 3000; at += 1) process.stdout.write(bytes.subarray(at, at + 1));
process.stdout.write(bytes.subarray(3000));
process.stdout.write('\\n' + 'x'.repeat(8000) + '\\n' + text + '\\n');
process.stderr.write(text);
names.forEach((name, index) => { writeFileSync('left-' + index, 'token = ' + name + '\\n'); writeFileSync('left-' + name.replace(/[^A-Za-z0-9_-]/g, ''), 'x'); });
process.exit(sum(2, 3) === 5 ? 0 : 1);
`;

let temporary: string;

inEachPlace(async () => {
  temporary = join(place.folder, 'tmp');
  mkdirSync(temporary);
  chmodSync(temporary, 0o1777);
  const leak = Buffer.from(JSON.stringify({ text: everything, names: [UNKNOWN.github, KNOWN.remote] }));
  place.write('leak.txt', Buffer.from(leak.map((byte) => byte ^ 0x5a)).toString('hex'));
  place.write('tests.mjs', LEAKY);
  commitAll('tests that tell everything');
  place.git('remote', 'add', 'origin', `https://oauth2:${KNOWN.remote}@git.example.org/a/b.git`);
  place.write('.npmrc', `//registry.example.org/:_authToken=${KNOWN.npm}\n`);
  expect(await openexec('init', '--model', 'openai:gpt-test')).toMatchObject({ exit: 0 });
  place.write('.openexec/config.yaml', 'version: 1\nmodel: openai:gpt-test\ncommands:\n  test: {argv: [node, tests.mjs]}\n  lint: none\n');
});

function openexec(...args: readonly string[]): Promise<Ended> {
  const DATABASE_URL = `postgres://openexec:${KNOWN.database}@db.example.org/ledger`;
  return bundle.run(args, {
    cwd: place.root,
    env: { ...place.env, ...provider.env, TMPDIR: temporary, DEPLOY_TOKEN: KNOWN.env, DATABASE_URL },
  });
}
/** Where the user keeps them. */
const KEPT = ['repo/.git/config', 'repo/.npmrc'];

describe('after a run that met every secret in every way', () => {
  test(
    'invariant 10: no file, name, object, cell, output or request holds any of them',
    async () => {
      provider.say(
        { status: 503, error: `upstream said: ${everything}` },
        {
          text: `I found these:\n${everything}`,
          calls: [
            { ...patchSum('-', '*'), arguments: { ...patchSum('-', '*').arguments, rationale: everything } },
            { name: 'apply_patch', arguments: { format: 'whole_file', path: 'notes.txt', content: everything } },
            { name: 'apply_patch', arguments: { format: 'whole_file', path: `${KNOWN.remote}.txt`, content: 'x' } },
            { name: 'read_file', arguments: { path: UNKNOWN.github } },
            { name: 'search', arguments: { pattern: KNOWN.database } },
            { name: everything.slice(0, 60), arguments: { [KNOWN.npm]: everything } },
          ],
        },
        { text: 'done' },
        { calls: [patchSum('*', '+')] },
        { text: `repaired with ${everything}` },
      );
      const told: Ended[] = [await openexec('run', `Make sum add. ${everything}`)];
      expect({ exit: told[0]?.exit, said: told[0]?.exit === 0 ? '' : told[0]?.stderr }).toEqual({ exit: 0, said: '' });
      for (const args of [
        ['show', 'latest'],
        ['timeline', 'latest', '--jsonl'],
        ['timeline', 'latest'],
        ['verify', '--deep'],
        ['replay', 'latest'],
        ['apply', 'latest'],
      ])
        told.push(await openexec(...args));
      expect(told.map(({ exit }) => exit)).toEqual(told.map(() => 0));

      expect(leaksIn('output', Buffer.from(told.map(({ stdout, stderr }) => stdout + stderr).join('\n')), SECRETS)).toEqual([]);
      expect(provider.requests.length).toBeGreaterThanOrEqual(5);
      expect(leaksIn('requests', Buffer.from(JSON.stringify(provider.requests)), SECRETS)).toEqual([]);
      const { leaks, seen } = searchFolder(place.folder, SECRETS, KEPT);
      expect(leaks).toEqual([]);
      expect(seen.files).toBeGreaterThan(40);
      expect(seen.objects).toBeGreaterThan(15);
      expect(seen.cells).toBeGreaterThan(300);
      // The run met them: the markers are there, and the same secret has the same one throughout.
      const timeline = JSON.stringify(provider.requests);
      for (const kind of ['provider', 'env', 'address', 'git', 'npm', 'github', 'stripe', 'pem', 'hashicorp-vault'])
        expect(timeline).toMatch(new RegExp(`\\[redacted:${kind}:[0-9a-f]{8}\\]`));
      expect(new Set(timeline.match(/\[redacted:git:[0-9a-f]{8}\]/g)).size).toBe(1);
    },
    TIME_MS,
  );

  test(
    'what people say for the record and what a script holds is redacted like everything else',
    async () => {
      provider.say({ calls: [patchScripts()] });
      expect((await openexec('run', 'Add a start script')).exit).toBe(11);
      const request =
        (JSON.parse((await openexec('approvals', '--json')).stdout) as { approvals: { id: string }[] }).approvals[0]?.id ?? '';
      const told = [await openexec('deny', request, '--because', everything)];
      provider.say({ text: 'I see' }, { text: 'I see' });
      told.push(await openexec('resume', 'latest'));
      provider.say({ calls: [patchScripts()] });
      told.push(await openexec('run', 'Add a start script again'));
      told.push(await openexec('cancel', 'latest', '--because', everything));
      const script = join(place.folder, 'script.json');
      writeFileSync(script, JSON.stringify({ answers: [{ stage: 'implement', text: everything, calls: [patchScripts()] }] }));
      told.push(await openexec('run', 'As scripted', '--model', `scripted:${script}`));
      expect(leaksIn('output', Buffer.from(told.map(({ stdout, stderr }) => stdout + stderr).join('\n')), SECRETS)).toEqual([]);
      expect(leaksIn('requests', Buffer.from(JSON.stringify(provider.requests)), SECRETS)).toEqual([]);
      expect(searchFolder(place.folder, SECRETS, [...KEPT, 'script.json']).leaks).toEqual([]);
      expect(told[0]?.exit).toBe(0);
      const kept = (readdirSync(place.state, { recursive: true }) as string[]).filter((name) => name.endsWith('.script.json'));
      expect(kept).toHaveLength(1);
      expect(readFileSync(join(place.state, kept[0] ?? ''), 'utf8')).toContain('[redacted:github:');
    },
    TIME_MS,
  );

  test(
    'a tracked file named after a secret, and a command that holds one, are refused before anything is recorded',
    async () => {
      const before = readFileSync(join(place.root, '.openexec/ledger.db'));
      place.write(
        '.openexec/config.yaml',
        `version: 1\nmodel: openai:gpt-test\ncommands:\n  test: {argv: [node, tests.mjs, --token, ${KNOWN.remote}]}\n  lint: none\n`,
      );
      const command = await openexec('run', 'Make sum add', '--json');
      expect(command.exit).toBe(2);
      expect(JSON.parse(command.stdout)).toMatchObject({
        error: { code: 'secret.recorded', message: expect.stringContaining('the configured commands holds') },
      });
      place.write(
        '.openexec/config.yaml',
        'version: 1\nmodel: openai:gpt-test\ncommands:\n  test: {argv: [node, tests.mjs]}\n  lint: none\n',
      );
      place.write(`${KNOWN.remote}.txt`, 'x');
      place.git('add', `${KNOWN.remote}.txt`);
      place.git('-c', 'user.name=Test', '-c', 'user.email=test@example.org', 'commit', '-q', '-m', 'named');
      const named = await openexec('run', 'Make sum add', '--json');
      expect(named.exit).toBe(2);
      expect(JSON.parse(named.stdout)).toMatchObject({
        error: { code: 'secret.recorded', message: expect.stringContaining('the list of files') },
      });
      expect(named.stdout + named.stderr + command.stdout + command.stderr).not.toContain(KNOWN.remote);
      expect(provider.requests).toHaveLength(0);
      expect(readFileSync(join(place.root, '.openexec/ledger.db')).equals(before)).toBe(true);
    },
    TIME_MS,
  );

  test('what --help needs does not load the second scanner', () => {
    const loaded = new Set<string>();
    const follow = (file: string): void => {
      if (loaded.has(file)) return;
      loaded.add(file);
      for (const [, path = ''] of readFileSync(file, 'utf8').matchAll(
        /^(?:import|export)\b[^;]*?from\s*"(\.[^"]+)"|^import\s*"(\.[^"]+)"/gm,
      ))
        if (path !== '') follow(join(dirname(file), path));
    };
    follow(bundle.entry);
    const chunks = readdirSync(join(dirname(bundle.entry), 'chunks')).map((name) => join(dirname(bundle.entry), 'chunks', name));
    const rules = chunks.filter((file) => readFileSync(file, 'utf8').includes('secretlint-rule-aws'));
    expect(rules).toHaveLength(1);
    expect(rules.filter((file) => loaded.has(file))).toEqual([]);
  });
});

describe('the search itself', () => {
  test('finds a secret planted in each kind of place, in each form', () => {
    const planted = 'planted-secret-0123456789/+=';
    const empty = searchFolder(place.folder, [planted], KEPT);
    expect(empty.leaks).toEqual([]);
    const git = (...args: readonly string[]): string => place.git(...args).trim();
    const cell = (path: string, bytes: Buffer): void => {
      const database = new Database(path);
      database.exec('CREATE TABLE t (b BLOB)');
      database.prepare('INSERT INTO t VALUES (?)').run(bytes);
      database.close();
    };
    const plants: Readonly<Record<string, () => void>> = {
      'a file of the state': () => writeFileSync(join(place.state, 'x'), `a ${planted} b`),
      'a temporary file': () => writeFileSync(join(temporary, 'x'), Buffer.concat([Buffer.alloc(5000, 1), Buffer.from(planted)])),
      'a name': () => writeFileSync(join(temporary, `x-${planted.replace('/', '')}`), ''),
      'a loose object': () => {
        writeFileSync(join(temporary, 'x'), planted);
        git('hash-object', '-w', join(temporary, 'x'));
        writeFileSync(join(temporary, 'x'), '');
      },
      'a packed object of another repository': () => {
        const other = join(place.state, 'other.git');
        const at = (...args: readonly string[]): string =>
          execFileSync('git', [`--git-dir=${other}`, ...args], { encoding: 'utf8', input: planted }).trim();
        execFileSync('git', ['init', '-q', '--bare', other]);
        const oid = at('hash-object', '-w', '--stdin');
        execFileSync('git', [`--git-dir=${other}`, 'pack-objects', '-q', join(other, 'objects/pack/pack')], { input: `${oid}\n` });
        at('prune-packed');
      },
      'a commit message': () => git('-c', 'user.name=T', '-c', 'user.email=t@example.org', 'commit', '-q', '--allow-empty', '-m', planted),
      'a cell that spans pages': () => {
        const database = new Database(join(place.state, 'cells.db'));
        database.exec('CREATE TABLE t (b BLOB)');
        for (let from = 0; from < 5000; from += 7)
          database.prepare('INSERT INTO t VALUES (?)').run(Buffer.concat([Buffer.alloc(from, 1), Buffer.from(planted)]));
        database.close();
      },
      'a packed payload': () => {
        const column = packed(
          Buffer.from(JSON.stringify({ because: { code: 'x', message: planted }, digest: `sha256:${'0'.repeat(64)}` })),
        );
        expect(column[0]).toBe(1);
        cell(join(place.state, 'packed.db'), Buffer.from(column));
      },
      'a deflated blob': () => cell(join(place.state, 'deflated.db'), deflateRawSync(Buffer.from(`${planted} `.repeat(50)))),
      'a log of writes': () => {
        const database = new Database(join(place.state, 'log.db'));
        database.pragma('journal_mode = WAL');
        database.exec('CREATE TABLE t (b TEXT)');
        database.prepare('INSERT INTO t VALUES (?)').run(planted);
        // As a crash leaves it: the log without its database.
        renameSync(join(place.state, 'log.db-wal'), join(temporary, 'left-wal'));
        database.close();
      },
    };
    for (const [name, plant] of Object.entries(plants)) {
      const before = searchFolder(place.folder, [planted], KEPT).leaks.length;
      plant();
      expect({ name, more: searchFolder(place.folder, [planted], KEPT).leaks.length > before }).toEqual({ name, more: true });
    }
    for (const text of dressed(planted))
      expect({ text, found: leaksIn('x', Buffer.from(`<${text}>`), [planted]).length > 0 }).toEqual({ text, found: true });
    expect([...formsOf(planted).keys()].length).toBeGreaterThan(20);
  });
});
