/**
 * The enforcement self-test through the bundle: recorded before the first run, cited, reused, shown; and a runtime whose kernel or sandbox was broken
 * opens no run, names the canary and ends with its own exit code. PROTOCOL §4.2; GOALS "first 8", E01, E03.
 */

import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { describe, expect, test } from '@jest/globals';
import { CANARIES } from '@openexec/audit';
import type { Ended } from './cli.ts';
import { patchSum } from './place.ts';
import { bundle, inOnePlace, openexec, place, provider } from './scene.ts';
import { verifies } from './verifies.ts';

const TIME_MS = 180_000;

inOnePlace();

const env = (): Record<string, string> => ({ ...place.env, ...provider.env });
interface Row {
  readonly trajectory: string;
  readonly kind: string;
  readonly seq: number;
}
async function entries(): Promise<readonly Row[]> {
  const { stdout } = await openexec('ledger', 'read', '--jsonl');
  const lines = stdout.split('\n').filter((line) => line !== '');
  const rows = lines.map((line) => JSON.parse((JSON.parse(line) as { readonly entry: string }).entry) as Row);
  expect(rows[0]).toMatchObject({ trajectory: 'law', kind: 'ledger.founded', seq: 0 });
  return rows;
}
async function selfTests(): Promise<readonly string[]> {
  return [...new Set((await entries()).map(({ trajectory }) => trajectory).filter((name) => name.startsWith('selftest/')))];
}
async function deep(): Promise<{ readonly totals: Readonly<Record<string, number>>; readonly selfTests: readonly object[] }> {
  const ended = await openexec('verify', '--deep', '--json');
  return (JSON.parse(ended.stdout) as { deep: { totals: Readonly<Record<string, number>>; selfTests: readonly object[] } }).deep;
}

/** A copy of the bundle in which one text of our own code stands for another: a runtime that was broken, or broken into. */
function broken(from: RegExp, to: string): { run(...args: readonly string[]): Promise<Ended>; remove(): void } {
  const folder = mkdtempSync(join(dirname(dirname(bundle.entry)), 'broken-'));
  cpSync(dirname(bundle.entry), folder, { recursive: true });
  const files = ['openexec.mjs', ...readdirSync(join(folder, 'chunks')).map((name) => join('chunks', name))].map((name) =>
    join(folder, name),
  );
  const hit = files.filter((file) => readFileSync(file, 'utf8').search(from) >= 0);
  if (hit.length === 0) throw new Error(`the bundle does not hold: ${from.source}`);
  for (const file of hit) writeFileSync(file, readFileSync(file, 'utf8').replaceAll(from, to));
  const own = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', CI: 'true', NO_COLOR: '1', ...env() };
  return {
    run: (...args) =>
      new Promise((resolve) => {
        execFile(process.execPath, [join(folder, 'openexec.mjs'), ...args], { cwd: place.root, env: own }, (error, stdout, stderr) =>
          resolve({ exit: error === null ? 0 : Number(error.code), stdout, stderr }),
        );
      }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

describe('the first run', () => {
  verifies(
    'E01',
    'proves its enforcement first: every canary is judged, signed, cited, and judged again; the next run stands on the same',
    async () => {
      expect(await selfTests()).toEqual([]);
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
      const first = await openexec('run', 'Make sum add');
      expect({ exit: first.exit, stderr: first.exit === 0 ? '' : first.stderr }).toEqual({ exit: 0, stderr: '' });
      expect(first.stderr).toContain(`self-test: ${CANARIES.length} canaries and 10 probes of the sandbox held`);
      const [made, ...others] = await selfTests();
      expect(others).toEqual([]);
      const all = await entries();
      const recorded = all.findIndex(({ kind }) => kind === 'selfTest.recorded');
      expect(recorded).toBeGreaterThan(0);
      expect(recorded).toBeLessThan(all.findIndex(({ kind }) => kind === 'run.opened'));
      expect(all.filter(({ trajectory }) => trajectory === made).map(({ kind }) => kind)).not.toContain('execution.started');
      const opening = (await openexec('timeline', 'latest', '--jsonl')).stdout.split('\n')[0] ?? '';
      expect(JSON.parse(opening)).toMatchObject({ kind: 'run.opened', body: { selfTest: { trajectory: made, seq: all[recorded]?.seq } } });
      provider.say({ status: 401 });
      const second = await openexec('run', 'Look around');
      expect(second.stderr).toMatch(/self-test of \S+ stands until \S+/);
      expect(await selfTests()).toEqual([made]);
      const report = await deep();
      expect(report.selfTests).toMatchObject([{ run: made, verdict: 'agrees', passed: true, divergences: [] }]);
      expect(report.totals).toMatchObject({ divergences: 0, violations: 0, selfTests: 1, ungoverned: 0, runs: 2 });
      expect((await openexec('doctor')).stdout).toMatch(/✓ self-test\s+selftest\/[0-9a-f]{32} of/);
    },
    TIME_MS,
  );

  test(
    'under another policy makes a self-test of its own, and a hint that leads nowhere costs a new one and nothing else',
    async () => {
      const before = await selfTests();
      place.write('narrow.yaml', NARROW);
      provider.say({ status: 401 });
      await openexec('run', 'Look around', '--policy', 'narrow.yaml');
      expect(await selfTests()).toHaveLength(before.length + 1);
      const [ledger = ''] = readdirSync(place.state).filter((name) => /^[0-9a-f]{32}$/.test(name));
      writeFileSync(join(place.state, ledger, 'self-tests.json'), '{"damaged":');
      provider.say({ status: 401 });
      await openexec('run', 'Look around');
      expect(await selfTests()).toHaveLength(before.length + 2);
      expect((await deep()).totals).toMatchObject({ divergences: 0, ungoverned: 0 });
    },
    TIME_MS,
  );
});

const NARROW = `version: 1
name: narrow
rules:
  - id: no-search
    when: {field: action.name, op: eq, value: search}
    decide: deny
    because: not here
    examples:
      match: [{action: {name: search}}]
      noMatch: [{action: {name: read_file}}]
`;

describe('openexec self-test', () => {
  test(
    'shows every canary and probe with what it is for, and records them signed',
    async () => {
      const shown = await openexec('self-test');
      expect(shown.exit).toBe(0);
      for (const { name, shows } of CANARIES) {
        expect(shown.stdout).toContain(name);
        expect(shown.stdout).toContain(shows);
      }
      expect(shown.stdout).not.toContain('✗');
      expect(shown.stdout).toMatch(/recorded\s+selftest\/[0-9a-f]{32} \d+, signed by the runtime key/);
    },
    TIME_MS,
  );
});

describe('a runtime', () => {
  verifies(
    'E03',
    'whose kernel lets canaries through opens no run, names each one, ends with 15, and is found out by an intact verifier',
    async () => {
      // The ceiling of the writ is not looked at any more.
      const bad = broken(/if \(request\.effect !== "pure" && !writ\d*\.ceiling\.includes\(request\.effect\)\)/g, 'if (false)');
      try {
        // A self-test of the sound runtime stands, of the very same version: it does not stand for another program.
        provider.say({ status: 401 });
        expect((await openexec('run', 'Look around')).stderr).toMatch(/self-test/);
        provider.say({ status: 401 });
        expect((await openexec('run', 'Look around')).stderr).toMatch(/self-test of \S+ stands until \S+/);
        const runs = (await entries()).filter(({ kind }) => kind === 'run.opened').length;
        const asked = provider.requests.length;
        const ended = await bad.run('run', 'Make sum add');
        expect(ended).toMatchObject({ exit: 15 });
        expect(ended.stderr).toContain('selfTest.failed');
        for (const name of ['effect.read', 'effect.write', 'effect.irreversible', 'claim.effect']) expect(ended.stderr).toContain(name);
        expect(ended.stderr).not.toContain('budget.excess');
        expect(provider.requests).toHaveLength(asked);
        expect((await entries()).filter(({ kind }) => kind === 'run.opened')).toHaveLength(runs);
        const told = JSON.parse((await bad.run('self-test', '--json')).stdout) as { passed: boolean; exit: number };
        expect(told).toMatchObject({ passed: false, exit: 15 });
      } finally {
        bad.remove();
      }
      const verified = await openexec('verify', '--deep', '--json');
      expect(verified.exit).toBe(21);
      const { deep: report } = JSON.parse(verified.stdout) as { deep: { selfTests: readonly { passed: boolean; verdict: string }[] } };
      // What the broken kernel said is recorded, says itself that it did not pass, and is not what this kernel says.
      expect(report.selfTests.filter(({ passed }) => !passed).map(({ verdict }) => verdict)).toEqual(['diverges', 'diverges']);
    },
    TIME_MS,
  );

  test(
    'whose sandbox lets a probe through opens no run, names it, and ends with 14',
    async () => {
      const bad = broken(/--unshare-net /g, '');
      try {
        const ended = await bad.run('run', 'Make sum add');
        expect(ended).toMatchObject({ exit: 14 });
        expect(ended.stderr).toContain('these attacks worked inside the sandbox: tcp to the host');
        const shown = await bad.run('self-test');
        expect(shown.exit).toBe(14);
        expect(shown.stdout).toMatch(/✗ sandbox\s+NOT BLOCKED\s+tcp to the host/);
        expect(shown.stdout).toContain('did not pass');
      } finally {
        bad.remove();
      }
    },
    TIME_MS,
  );

  test(
    'whose probes prove nothing, because they fail unconfined too, opens no run',
    async () => {
      const bad = broken(/worked\[n\]=f\(\)!==false/g, 'worked[n]=false');
      try {
        const ended = await bad.run('run', 'Make sum add');
        expect(ended).toMatchObject({ exit: 14 });
        expect(ended.stderr).toContain('these probes prove nothing here');
      } finally {
        bad.remove();
      }
    },
    TIME_MS,
  );
});
