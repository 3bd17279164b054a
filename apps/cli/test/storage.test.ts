/**
 * Where the ledger's file cannot be used as it must: a file system that may only be read, a folder that is gone. Each is refused by
 * every command that needs it, with what, where and what to do; nothing is lost, and with the hindrance gone the ledger verifies. PROTOCOL §3; CLI.md "Exit codes".
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Bundle, buildBundle } from './cli.ts';
import { makePlace, type Place } from './place.ts';

const TIME_MS = 180_000;
const isRoot = process.getuid?.() === 0;
const canMount = isRoot || spawnSync('/usr/bin/unshare', ['-Urm', '/bin/true']).status === 0;
let bundle: Bundle;
let place: Place;
let ledgerFile = '';
let before: Buffer;

beforeAll(async () => {
  bundle = await buildBundle();
  place = makePlace();
  expect(await bundle.run(['init', '--model', 'openai:gpt-test'], { cwd: place.root, env: place.env })).toMatchObject({ exit: 0 });
  ledgerFile = join(place.root, '.openexec/ledger.db');
  await sound();
  before = readFileSync(ledgerFile);
}, TIME_MS);
afterAll(() => {
  place.remove();
  bundle.remove();
});

async function sound(): Promise<void> {
  const verified = await bundle.run(['verify', '--deep'], { cwd: place.root, env: place.env });
  expect({ exit: verified.exit, said: verified.stderr }).toMatchObject({ exit: 0 });
}

interface Refused {
  readonly exit: number | null;
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
}

/** One command behind others; what it says as JSON. */
function after(commands: readonly string[], args: readonly string[]): Refused {
  const line = [...commands, 'cd "$1" && exec "$2" "$3" "${@:4}"'].join(' && ');
  const ended = spawnSync(
    '/usr/bin/unshare',
    [isRoot ? '-m' : '-Urm', '/bin/bash', '-c', line, 'bash', place.root, process.execPath, bundle.entry, ...args, '--json'],
    {
      env: { PATH: process.env['PATH'] ?? '', HOME: place.folder, CI: 'true', OPENAI_API_KEY: 'sk-none', ...place.env },
      encoding: 'utf8',
    },
  );
  const { error } = JSON.parse(ended.stdout === '' ? '{}' : ended.stdout) as { readonly error?: Omit<Refused, 'exit'> };
  if (error === undefined) throw new Error(`not refused (${ended.status}): ${ended.stdout} ${ended.stderr}`);
  return { exit: ended.status, code: error.code, message: error.message, remedy: error.remedy };
}

describe('a ledger that cannot be used', () => {
  (canMount ? test : test.skip)(
    'because its file system may only be read is refused before anything is asked of a model (not run where nothing can be mounted)',
    async () => {
      const refused = after(
        ['mount --bind "$1/.openexec" "$1/.openexec"', 'mount -o remount,bind,ro "$1/.openexec"'],
        ['run', 'Make sum add'],
      );
      expect(refused).toMatchObject({ exit: 1, code: 'ledger.failed', message: expect.stringContaining(ledgerFile) });
      expect(refused.message).toMatch(/cannot be written .* nothing was stored; make the file and its folder writable/);
      expect(readFileSync(ledgerFile).equals(before)).toBe(true);
      await sound();
    },
    TIME_MS,
  );

  test(
    'because its folder is gone is refused as missing, and is there again with it',
    async () => {
      const [folder, moved] = [join(place.root, '.openexec'), join(place.folder, 'moved')];
      renameSync(folder, moved);
      try {
        const ended = await bundle.run(['verify', '--json'], { cwd: place.root, env: place.env });
        expect({ exit: ended.exit, said: ended.stdout }).toMatchObject({
          exit: 2,
          said: expect.stringMatching(/ledger\.missing|config\.missing/),
        });
      } finally {
        renameSync(moved, folder);
      }
      expect(readFileSync(ledgerFile).equals(before)).toBe(true);
      await sound();
    },
    TIME_MS,
  );
});
