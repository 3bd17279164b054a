/**
 * The scripts that start everything else: set-up decides rightly what is still to be done, the test runner names what did not run, and
 * TypeScript scripts keep their arguments, exit codes and addresses.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { adviceFor, nodeIsSupported, staleness } from '../setup.mjs';
import { unrun } from '../test.mjs';

const root = path.resolve(path.dirname(new URL(import.meta.url).pathname), '../..');
let folder = '';

beforeEach(() => {
  folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'running-')));
});
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

function write(file: string, value: unknown): void {
  fs.mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
  fs.writeFileSync(path.join(folder, file), typeof value === 'string' ? value : JSON.stringify(value));
}

describe('set-up', () => {
  test.each([
    ['20.19.0', true],
    ['20.20.2', true],
    ['22.14.0', true],
    ['24.0.0', true],
    ['18.20.0', false],
    ['20.18.3', false],
    ['21.7.0', false],
    ['22.13.1', false],
  ])('takes Node %s: %s', (version, supported) => {
    expect(nodeIsSupported(version)).toBe(supported);
  });

  test('advice is a command that can be pasted', () => {
    const apt = {
      bin: 'apt-get',
      install: ['apt-get', 'install', '-y'],
      names: { bwrap: ['bubblewrap'], git: ['git'], compiler: ['build-essential', 'python3'] },
    };
    expect(adviceFor('bwrap', apt, false)).toBe('sudo apt-get install -y bubblewrap');
    expect(adviceFor('compiler', apt, true)).toBe('apt-get install -y build-essential python3');
  });

  /** A workspace with one package whose install is complete. */
  const complete = (): void => {
    const lock = {
      packages: {
        '': { devDependencies: { jest: '1.0.0' } },
        'libs/a': { dependencies: { zod: '4.0.0' } },
        'node_modules/zod': { version: '4.0.0' },
        'node_modules/other-platform': { version: '1.0.0', optional: true },
      },
    };
    write('package.json', { devDependencies: { jest: '1.0.0' } });
    write('libs/a/package.json', { dependencies: { zod: '4.0.0' } });
    write('package-lock.json', lock);
    write('node_modules/.package-lock.json', { packages: { 'node_modules/zod': { version: '4.0.0' } } });
  };

  test('finds a complete install complete', () => {
    complete();
    expect(staleness(folder)).toBeNull();
  });

  test.each<[string, string, unknown]>([
    ['a dependency that was added to a package', 'libs/a/package.json', { dependencies: { zod: '4.0.0', yaml: '2.0.0' } }],
    ['another version in the lockfile', 'node_modules/.package-lock.json', { packages: { 'node_modules/zod': { version: '3.0.0' } } }],
    ['a package that is not installed', 'node_modules/.package-lock.json', { packages: {} }],
    ['a workspace that the lockfile does not know', 'libs/b/package.json', {}],
  ])('sees %s', (_title, file, value) => {
    complete();
    write(file, value);
    expect(staleness(folder)).toEqual(expect.any(String));
  });

  test('installs nothing where that is forbidden, and says what is missing', () => {
    complete();
    write('node_modules/.package-lock.json', { packages: {} });
    fs.mkdirSync(path.join(folder, 'scripts'));
    fs.copyFileSync(path.join(root, 'scripts/setup.mjs'), path.join(folder, 'scripts/setup.mjs'));
    const env = { ...process.env, OPENEXEC_SETUP_INSTALL: 'never', OPENEXEC_SETUP_SYSTEM: 'never' };
    const child = spawnSync(process.execPath, ['scripts/setup.mjs'], { cwd: folder, encoding: 'utf8', env });
    expect(child.status).toBe(1);
    expect(child.stderr).toContain('zod is not at 4.0.0');
    expect(fs.existsSync(path.join(folder, 'node_modules/zod'))).toBe(false);
  });

  test('stops without a lockfile', () => {
    complete();
    fs.rmSync(path.join(folder, 'package-lock.json'));
    expect(() => staleness(folder)).toThrow('package-lock.json is missing');
  });
});

describe('the test runner', () => {
  test('names suites that could not run and tests that were skipped', () => {
    const suite = (name: string, status: string, assertionResults: unknown[]) => ({
      name: path.join(root, name),
      status,
      assertionResults,
    });
    const result = {
      testResults: [
        suite('libs/a/test/broken.test.ts', 'failed', []),
        suite('libs/a/test/fine.test.ts', 'passed', [
          { status: 'passed', fullName: 'runs' },
          { status: 'pending', fullName: 'waits for vectors' },
        ]),
        suite('libs/a/test/red.test.ts', 'failed', [{ status: 'failed', fullName: 'is red' }]),
      ],
    };
    expect(unrun(result)).toEqual(['could not run: libs/a/test/broken.test.ts', 'not run: libs/a/test/fine.test.ts: waits for vectors']);
  });
});

describe('run-ts', () => {
  // Unlike any other name, so that several runs at once do not see each other's bundles.
  const entry = `entry-${process.pid}.ts`;
  const run = (text: string, args: readonly string[] = []) => {
    write(entry, text);
    const child = spawnSync(process.execPath, [path.join(root, 'scripts/run-ts.mjs'), path.join(folder, entry), ...args], {
      cwd: root,
      encoding: 'utf8',
    });
    return { status: child.status, signal: child.signal, out: child.stdout.trim() };
  };

  test('passes arguments and exit codes through', () => {
    expect(run('console.log(process.argv.slice(2).join()); process.exit(Number(7));', ['a', '--b'])).toEqual({
      status: 7,
      signal: null,
      out: 'a,--b',
    });
  });

  test('passes a signal through', () => {
    expect(run("process.kill(process.pid, 'SIGTERM'); setTimeout(() => {}, 5000);").signal).toBe('SIGTERM');
  });

  test('fails on a program that does not parse', () => {
    expect(run('const = 1;').status).toBe(1);
  });

  test('keeps the address of the source', () => {
    expect(run('console.log(new URL(import.meta.url).pathname);').out).toBe(path.join(folder, entry));
  });

  test('leaves nothing behind', () => {
    run('export {};');
    const left = fs.readdirSync(path.join(root, '.cache/run-ts')).filter((name) => name.startsWith(path.basename(entry, '.ts')));
    expect(left).toEqual([]);
  });
});

describe('the list of checks', () => {
  test('every check is a script of package.json, and so is every command of the heavy list', () => {
    // The fields used are compared with names; nothing else is taken from the file.
    const { scripts } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
    const listed = spawnSync(process.execPath, [path.join(root, 'scripts/check.mjs'), '--list'], { encoding: 'utf8' })
      .stdout.trim()
      .split('\n');
    const heavy = [...fs.readFileSync(path.join(root, '.ci/run'), 'utf8').matchAll(/\|npm run --silent ([\w:-]+)/g)].map(
      (match) => match[1],
    );
    expect(listed.length).toBeGreaterThan(5);
    expect(heavy.length).toBeGreaterThan(2);
    for (const name of [...listed, ...heavy]) expect(Object.keys(scripts)).toContain(name);
  });

  test('an unknown check is refused', () => {
    expect(spawnSync(process.execPath, [path.join(root, 'scripts/check.mjs'), 'nonsense']).status).toBe(2);
  });
});
