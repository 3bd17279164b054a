/**
 * Where the ledger's file cannot be used as it must: a file system that may only be read, files and folders of somebody else, a folder that is gone, another
 * process that does not let go. Each is refused by every command that needs it, with what, where and what to do; nothing is lost, and with the hindrance gone
 * the ledger verifies. As root and as an ordinary user. PROTOCOL §3; CLI.md "Exit codes".
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import Database from 'better-sqlite3';
import { type Bundle, buildBundle } from './cli.ts';
import { makePlace, type Place } from './place.ts';

const TIME_MS = 180_000;
/** An id that owns nothing on this machine. */
const ORDINARY = 23_456;
const isRoot = process.getuid?.() === 0;
const canMount = isRoot || spawnSync('/usr/bin/unshare', ['-Urm', '/bin/true']).status === 0;
/** Whoever is not root already is an ordinary user. */
const user = isRoot ? ORDINARY : (process.getuid?.() ?? 0);
let bundle: Bundle;
let place: Place;
let ledgerFile = '';
let ledgerFolder = '';
let before: Buffer;

beforeAll(async () => {
  bundle = await buildBundle();
  place = makePlace();
  own(place.folder, user);
  expect(asUser(['init', '--model', 'openai:gpt-test'])).toMatchObject({ status: 0 });
  ledgerFile = join(place.root, '.openexec/ledger.db');
  ledgerFolder = dirname(ledgerFile);
  sound();
  before = readFileSync(ledgerFile);
}, TIME_MS);
afterAll(() => {
  place.remove();
  bundle.remove();
});

/** Gives everything below a folder to a user; only root can. */
function own(folder: string, to: number): void {
  if (!isRoot) return;
  chownSync(folder, to, to);
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) chownSync(join(folder, name), to, to);
}

const environment = (): Record<string, string> => ({
  PATH: process.env['PATH'] ?? '',
  HOME: place.folder,
  CI: 'true',
  OPENAI_API_KEY: 'sk-none',
  ...place.env,
});

/** The command as the ordinary user. */
function asUser(args: readonly string[]): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  return spawnSync(process.execPath, [bundle.entry, ...args], {
    cwd: place.root,
    env: environment(),
    encoding: 'utf8',
    ...(isRoot ? { uid: user, gid: user } : {}),
  });
}

function sound(): void {
  const { status, stdout, stderr } = asUser(['verify', '--deep']);
  expect({ status, stderr, stdout }).toMatchObject({ status: 0 });
}

interface Refused {
  readonly exit: number | null;
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
}

function refusedBy(ended: { readonly status: number | null; readonly stdout: string; readonly stderr: string }): Refused {
  const { error } = JSON.parse(ended.stdout === '' ? '{}' : ended.stdout) as { readonly error?: Omit<Refused, 'exit'> };
  if (error === undefined) throw new Error(`not refused (${ended.status}): ${ended.stdout} ${ended.stderr}`);
  return { exit: ended.status, code: error.code, message: error.message, remedy: error.remedy };
}

/** What one command is refused with. */
function refusal(...args: readonly string[]): Refused {
  return refusedBy(asUser([...args, '--json']));
}

/** One command as a user behind others, in a space where they may mount; what it says as JSON. */
function after(commands: readonly string[], as: number, args: readonly string[]): Refused {
  const id = isRoot ? `setpriv --reuid ${as} --regid ${as} --clear-groups ` : '';
  const line = [...commands, `cd "$1" && exec ${id}"$2" "$3" "\${@:4}"`].join(' && ');
  const shell = ['/bin/bash', '-c', line, 'bash', place.root, process.execPath, bundle.entry, ...args, '--json'];
  return refusedBy(spawnSync('/usr/bin/unshare', [isRoot ? '-m' : '-Urm', ...shell], { env: environment(), encoding: 'utf8' }));
}

/** Whoever puts a hindrance there takes it away again; then nothing is different, and the ledger verifies. */
function hindered(put: () => () => void, look: () => void): void {
  const away = put();
  try {
    look();
  } finally {
    away();
  }
  expect(readFileSync(ledgerFile).equals(before)).toBe(true);
  sound();
}

function mode(path: string, bits: number, otherwise: number): () => void {
  chmodSync(path, bits);
  return () => chmodSync(path, otherwise);
}

describe('a ledger that cannot be used', () => {
  (canMount ? test : test.skip)(
    'because its file system may only be read is refused before anything is asked of a model (not run where nothing can be mounted)',
    () => {
      // Root is stopped by no mode, but by a file system that may only be read.
      for (const as of isRoot ? [user, 0] : [user])
        hindered(
          () => {
            own(place.folder, as);
            return () => own(place.folder, user);
          },
          () => {
            const mounts = ['mount --bind "$1/.openexec" "$1/.openexec"', 'mount -o remount,bind,ro "$1/.openexec"'];
            const refused = after(mounts, as, ['run', 'Make sum add']);
            expect(refused).toMatchObject({ exit: 2, code: 'ledger.readOnly', message: expect.stringContaining(ledgerFile) });
            expect(refused.message).toMatch(/cannot be written \(EROFS.*\) and nothing was stored; make the file and its folder writable/);
            expect(refused.remedy).toMatch(/nothing was stored: make what the message names writable/);
          },
        );
    },
    TIME_MS,
  );

  test(
    'because the file may only be read, or its folder, is refused to an ordinary user with what has which owner and mode',
    () => {
      hindered(
        () => mode(ledgerFile, 0o444, 0o644),
        () => {
          for (const args of [
            ['run', 'Make sum add'],
            ['ledger', 'anchor'],
          ]) {
            const refused = refusal(...args);
            expect([args, refused]).toMatchObject([args, { exit: 2, code: 'ledger.readOnly' }]);
            expect(refused.message).toContain(
              `${ledgerFile} cannot be written (EACCES: it belongs to user ${user} with mode 444, this is user ${user})`,
            );
          }
        },
      );
      hindered(
        () => mode(ledgerFolder, 0o555, 0o755),
        () => {
          const refused = refusal('run', 'Make sum add');
          expect(refused).toMatchObject({ exit: 2, code: 'ledger.readOnly' });
          expect(refused.message).toContain(`${ledgerFolder} cannot be written (EACCES`);
        },
      );
    },
    TIME_MS,
  );

  test(
    'because the file may not be read is refused to an ordinary user by every command, and is not called damaged',
    () => {
      hindered(
        () => mode(ledgerFile, 0o000, 0o644),
        () => {
          for (const args of [['verify'], ['runs'], ['run', 'Make sum add'], ['ledger', 'info']]) {
            const refused = refusal(...args);
            expect([args, refused]).toMatchObject([args, { exit: 2, code: 'ledger.denied' }]);
            expect(refused.message).toMatch(/cannot be read \(EACCES: it belongs to user \d+ with mode 0, this is user \d+\)/);
            expect(refused.remedy).toMatch(/work as the user that the ledger belongs to/);
          }
        },
      );
    },
    TIME_MS,
  );

  (isRoot ? test : test.skip)(
    'because it belongs to somebody else: read where the file lets everybody, refused where it does not (run by root, who can give files away)',
    () => {
      const give = (to: number): void => {
        for (const name of readdirSync(ledgerFolder)) if (name.startsWith('ledger.db')) chownSync(join(ledgerFolder, name), to, to);
      };
      hindered(
        () => {
          give(0);
          return () => give(user);
        },
        () => {
          expect(refusal('run', 'Make sum add')).toMatchObject({
            exit: 2,
            code: 'ledger.readOnly',
            message: expect.stringContaining(`it belongs to user 0 with mode 644, this is user ${user}`),
          });
          expect(asUser(['verify'])).toMatchObject({ status: 0 });
        },
      );
      hindered(
        () => {
          give(0);
          const away = mode(ledgerFile, 0o600, 0o644);
          return () => {
            away();
            give(user);
          };
        },
        () => expect(refusal('verify')).toMatchObject({ exit: 2, code: 'ledger.denied' }),
      );
    },
    TIME_MS,
  );

  test(
    'because another process does not let go of it is refused as busy, and taken as soon as that one does',
    () => {
      const [fingerprint] = /sha256:[0-9a-f]{64}/.exec(asUser(['ledger', 'info']).stdout) ?? [];
      expect(fingerprint).toBeDefined();
      const holder = new Database(ledgerFile);
      holder.exec('BEGIN IMMEDIATE');
      try {
        const refused = refusal('run', 'Make sum add');
        expect(refused).toMatchObject({ exit: 1, code: 'ledger.busy' });
        expect(refused.message).toMatch(/lock/);
        expect(refused.remedy).toMatch(/nothing was stored: wait until the other process is done/);
      } finally {
        holder.exec('ROLLBACK');
        holder.close();
      }
      sound();
      expect(asUser(['ledger', 'anchor', '--json']).stdout).not.toContain('ledger.busy');
      sound();
      before = readFileSync(ledgerFile);
    },
    TIME_MS,
  );

  test(
    'because its folder is gone is refused as missing, and is there again with it',
    () => {
      hindered(
        () => {
          const moved = join(place.folder, 'moved');
          renameSync(ledgerFolder, moved);
          return () => renameSync(moved, ledgerFolder);
        },
        () => {
          expect(refusal('verify')).toMatchObject({ exit: 2, code: expect.stringMatching(/^(ledger|config)\.missing$/) });
          expect(refusal('verify', '--ledger', `sqlite:${join(ledgerFolder, 'ledger.db')}`)).toMatchObject({
            exit: 2,
            code: 'ledger.missing',
          });
        },
      );
    },
    TIME_MS,
  );
});
