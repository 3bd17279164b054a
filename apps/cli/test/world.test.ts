/**
 * The world through the bundle: versions that go on after a retraction, at any position of the run, and proofs that a stranger checks from a file and
 * the log's key alone; each link of a proof, changed, is refused by name. PROTOCOL §8.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { canonicalText, digestOf, type Json } from '@openexec/canon';
import { verifyWorldProof } from '@openexec/verify';
import { patchSum } from './place.ts';
import { bundle, inOnePlace, openexec, place, provider } from './scene.ts';

const TIME_MS = 180_000;
let logKey = '';

async function json(exit: number, ...args: readonly string[]): Promise<{ readonly [name: string]: Json }> {
  const ended = await openexec(...args, '--json');
  expect({ args, exit: ended.exit, stderr: ended.exit === exit ? '' : ended.stderr }).toEqual({ args, exit, stderr: '' });
  return JSON.parse(ended.stdout) as { readonly [name: string]: Json };
}
const whole = (path: string, content: string) => ({ name: 'apply_patch', arguments: { format: 'whole_file', path, content } });
const removed = (path: string, line: string) => ({
  name: 'apply_patch',
  arguments: { format: 'unified', patch: `--- a/${path}\n+++ /dev/null\n@@ -1 +0,0 @@\n-${line}\n` },
});
interface Commit {
  readonly seq: number;
}

inOnePlace(async () => {
  expect(await openexec('init', '--model', 'openai:gpt-test')).toMatchObject({ exit: 0 });
  provider.say(
    { calls: [patchSum('-', '+'), whole('note.txt', 'one\n')] },
    { calls: [removed('note.txt', 'one')] },
    { calls: [whole('note.txt', 'two\n')] },
    { text: 'done' },
  );
  const ended = await openexec('run', 'Make sum add');
  expect({ exit: ended.exit, stderr: ended.exit === 0 ? '' : ended.stderr }).toEqual({ exit: 0, stderr: '' });
  logKey = /log key\s+(\S+)/.exec((await openexec('ledger', 'info')).stdout)?.[1] ?? '';
  expect(logKey).toContain('+');
});

/** Positions of the commits of the run that changed files. */
async function commits(): Promise<readonly Commit[]> {
  const lines = (await openexec('timeline', 'latest', '--jsonl')).stdout.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Commit & { readonly kind: string }).filter(({ kind }) => kind === 'commit.recorded');
}

describe('a resource', () => {
  test(
    'is created, retracted and created again under a continued version, and each is there at its position',
    async () => {
      const seqs = (await commits()).map(({ seq }) => seq);
      const [, created = 0, retracted = 0, again = 0] = seqs;
      const records = [created, retracted, again].map((at) => json(0, 'world', 'get', 'file', 'note.txt', '--at', String(at)));
      const [first, second, third] = await Promise.all(records);
      expect(first).toMatchObject({ seq: created, record: { version: 1, retracted: false, lastCommit: created } });
      expect(second).toMatchObject({
        seq: retracted,
        record: { version: 2, retracted: true, value: null, lastCommit: retracted },
        value: null,
      });
      expect(third).toMatchObject({ seq: again, record: { version: 3, retracted: false, lastCommit: again } });
      expect(await json(0, 'world', 'get', 'file', 'note.txt')).toMatchObject({ record: third?.['record'] ?? null });
      const before = await json(2, 'world', 'get', 'file', 'note.txt', '--at', String(created - 1));
      expect(before).toMatchObject({ error: { code: 'resource.unknown' } });
      expect((await openexec('world', 'get', 'file', 'note.txt')).stdout).toContain(`version 3, there, by the commit at seq ${again}`);
    },
    TIME_MS,
  );

  test(
    'that nobody committed, a run that nobody opened and a position before the first commit are refused by type',
    async () => {
      expect(await json(2, 'world', 'get', 'file', 'nowhere.txt')).toMatchObject({ error: { code: 'resource.unknown' } });
      expect(await json(2, 'world', 'get', 'file', 'sum.js', '--at', '0')).toMatchObject({ error: { code: 'resource.unknown' } });
      expect(await json(2, 'world', 'get', 'file', 'sum.js', '--run', 'ffffffff')).toMatchObject({ error: { code: 'run.unknown' } });
      expect((await openexec('world', 'get', 'file', 'sum.js', '--at', 'last')).exit).toBe(2);
    },
    TIME_MS,
  );
});

describe('a proof', () => {
  async function proof(...args: readonly string[]): Promise<{ readonly [name: string]: Json }> {
    return json(0, 'world', 'prove', ...args);
  }

  test(
    'of a resource, of a retracted one and of an absence holds from the file and the key of the log alone',
    async () => {
      const [, , retracted] = await commits();
      for (const [args, says] of [
        [['file', 'sum.js'], 'version 1, value sha256:'],
        [['file', 'note.txt', '--at', String(retracted?.seq)], 'version 2, retracted'],
        [['file', 'never.txt'], 'was never committed'],
      ] as const) {
        const file = join(place.folder, `proof-${args[1]}.json`);
        expect((await openexec('world', 'prove', ...args, '--out', file)).exit).toBe(0);
        // Elsewhere, without a ledger, a configuration or a state folder.
        const env = { OPENEXEC_STATE_DIR: join(place.folder, 'nobody'), XDG_CONFIG_HOME: join(place.folder, 'nobody') };
        const checked = await bundle.run(['world', 'verify', file, '--log-key', logKey], { cwd: place.folder, env });
        expect({ exit: checked.exit, stderr: checked.exit === 0 ? '' : checked.stderr }).toEqual({ exit: 0, stderr: '' });
        expect(checked.stdout).toContain(says);
        expect(await openexec('world', 'prove', ...args, '--out', file)).toMatchObject({ exit: 2 });
      }
    },
    TIME_MS,
  );

  test(
    'changed in any of its links is refused, by name',
    async () => {
      const sound = await proof('file', 'sum.js');
      const absent = await proof('file', 'never.txt');
      const keys = [logKey];
      expect(verifyWorldProof(sound, keys)).toMatchObject({ ok: true, value: { kind: 'file', id: 'sum.js' } });
      const record = sound['record'] as { readonly [name: string]: Json };
      const path = sound['proof'] as { readonly siblings: readonly string[]; readonly end: Json };
      const text = (name: string): string => {
        const value = sound[name];
        if (typeof value !== 'string') throw new Error(`${name} is no text`);
        return value;
      };
      const payload = JSON.parse(text('payload')) as { readonly [name: string]: Json };
      const entry = JSON.parse(text('entry')) as { readonly [name: string]: Json };
      const other = digestOf('other');
      const hex = other.slice('sha256:'.length);
      const changes: readonly (readonly [string, { readonly [name: string]: Json }, string])[] = [
        ['another id', { id: 'package.json' }, 'worldProof.map'],
        ['another kind', { kind: 'kv' }, 'worldProof.map'],
        ['another version', { record: { ...record, version: 7 } }, 'worldProof.map'],
        ['another last commit', { record: { ...record, lastCommit: 1 } }, 'worldProof.map'],
        ['another digest', { record: { ...record, value: other }, value: null }, 'worldProof.map'],
        ['a retraction', { record: { ...record, retracted: true, value: null }, value: null }, 'worldProof.map'],
        ['an absence', { record: null, value: null }, 'worldProof.map'],
        ['another value', { value: { inline: 'other' } }, 'worldProof.value'],
        ['another sibling', { proof: { ...path, siblings: [...path.siblings.slice(1), hex] } }, 'worldProof.map'],
        ['one sibling more', { proof: { ...path, siblings: [...path.siblings, hex] } }, 'worldProof.map'],
        ['a path that ends at once', { proof: { siblings: [], end: null } }, 'worldProof.map'],
        ['another root beside', { worldRoot: other }, 'worldProof.payload'],
        [
          'another root in the payload',
          { payload: canonicalText({ ...payload, worldRoot: other }), worldRoot: other },
          'worldProof.payload',
        ],
        ['another salt', { salt: hex }, 'worldProof.payload'],
        ['another entry', { entry: canonicalText({ ...entry, at: '2020-01-01T00:00:00.000Z' }) }, 'worldProof.log'],
        ['an entry that is none', { entry: '{}' }, 'worldProof.entry'],
        ['another run', { run: `run/${'0'.repeat(32)}` }, 'worldProof.entry'],
        ['another position', { seq: 1 }, 'worldProof.entry'],
        ['another index', { tlogProof: text('tlogProof').replace(/^index \d+$/m, 'index 1') }, 'worldProof.log'],
        ['a member more', { more: 1 }, 'worldProof.malformed'],
        ['another version of the format', { v: 2 }, 'worldProof.malformed'],
        ['a path that is none', { proof: { siblings: ['zz'], end: null } }, 'worldProof.malformed'],
      ];
      for (const [what, change, code] of changes)
        expect({ what, ...verifyWorldProof({ ...sound, ...change }, keys) }).toMatchObject({ what, ok: false, error: { code } });
      for (const name of Object.keys(sound)) {
        const { [name]: _, ...rest } = sound;
        expect(verifyWorldProof(rest, keys)).toMatchObject({ ok: false, error: { code: 'worldProof.malformed' } });
      }
      expect(verifyWorldProof(sound, [])).toMatchObject({ ok: false, error: { code: 'worldProof.log' } });
      // An absence is no proof of a presence.
      expect(verifyWorldProof({ ...absent, record: sound['record'] ?? null }, keys)).toMatchObject({ ok: false });
    },
    TIME_MS,
  );

  test(
    'that was damaged, is no JSON, or is held against another key ends with 20',
    async () => {
      const file = join(place.folder, 'damaged.json');
      const sound = await proof('file', 'sum.js');
      writeFileSync(file, JSON.stringify({ ...sound, id: 'package.json' }));
      const verify = (key = logKey) => openexec('world', 'verify', file, '--log-key', key);
      expect(await verify()).toMatchObject({ exit: 20 });
      writeFileSync(file, JSON.stringify(sound));
      expect(await verify()).toMatchObject({ exit: 0 });
      expect(await verify('other.example+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW')).toMatchObject({ exit: 20 });
      writeFileSync(file, readFileSync(file, 'utf8').slice(0, 100));
      expect(await verify()).toMatchObject({ exit: 20 });
      expect(await openexec('world', 'verify', join(place.folder, 'none.json'), '--log-key', logKey)).toMatchObject({ exit: 2 });
    },
    TIME_MS,
  );
});
