/**
 * The rows of the attack list that are whole procedures, once more as an ordinary user when the suites themselves run as root. The suites are the same
 * files; only their runner differs.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync } from 'node:fs';
import { afterAll, describe, expect, jest, test } from '@jest/globals';
import { ATTACK_ROWS } from './attackTable.ts';
import { bundle, bundleSuite, THROWAWAY_ID } from './bundle.ts';
import { cleanUp, temporary } from './harness.ts';
import type { Told } from './plainRunner.ts';

jest.setTimeout(900_000);
afterAll(cleanUp);

const SUITES = ['masked.test', 'sandbox.test', 'workspace.test', 'redaction.test', 'redaction.scale.test'];
const asRoot = process.getuid?.() === 0;

describe('the attack list, its procedures as an ordinary user', () => {
  test.each(SUITES)('%s', (suite) => {
    const expected = ATTACK_ROWS.flatMap((row) =>
      (row.tests ?? []).filter(({ file }) => suite === ownerOf(file)).map(({ title }) => title),
    );
    expect(expected.length).toBeGreaterThan(0);
    // Without root the suites themselves run as an ordinary user already.
    if (!asRoot) return;
    const folder = temporary('as-user');
    mkdirSync(`${folder}/tmp`);
    chmodSync(`${folder}/tmp`, 0o1777);
    const program = bundleSuite(suite, folder);
    const ran = spawnSync(process.execPath, [program], {
      cwd: '/',
      env: {
        PATH: '/usr/local/bin:/usr/bin:/bin',
        TMPDIR: `${folder}/tmp`,
        // The attack list itself, as data, has its own run as an ordinary user (sandbox.test).
        SUITE_ONLY: '^(?!the attack list).*A\\d\\d',
        SLEEPER_DRIVER: bundle('sleeper-driver', folder),
      },
      encoding: 'utf8',
      maxBuffer: 1 << 26,
      uid: THROWAWAY_ID,
      gid: THROWAWAY_ID,
    });
    const line = ran.stdout.trimEnd().split('\n').at(-1) ?? '';
    if (!line.startsWith('{')) throw new Error(`${suite} as an ordinary user ended with ${ran.status}: ${ran.stderr.slice(-2000)}`);
    const { uid, told } = JSON.parse(line) as { readonly uid: number; readonly told: readonly Told[] };
    expect(uid).toBe(THROWAWAY_ID);
    expect(told.filter(({ error }) => error !== null)).toEqual([]);
    for (const title of expected) expect([title, told.some((each) => each.title.includes(title))]).toEqual([title, true]);
  });
});

/** The suite that registers what a contract file holds. */
function ownerOf(file: string): string {
  return file.replace('.contract.ts', '.test').replace(/\.ts$/, '');
}
