/**
 * Every branch of this package is taken by a test of it or of the bundles that it reads; one that is not is named with its line. Run by
 * `npm test -- --heavy`, because it runs those suites again. GOALS "Replay and audit".
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { expect, test } from '@jest/globals';

const ROOT = resolve(import.meta.dirname, '../../..');
const SUITES = ['libs/verify/test', 'libs/audit/test/bundle', 'libs/audit/test/worldProof'];
/** Hostile input by the thousand takes no branch that the others do not, and takes minutes. */
const LEFT_OUT = ['exportFuzz', '\\.heavy\\.'];
const NAMES = '^(?!variations )';
/** Shapes alone: nothing of them is ever run. */
const SHAPES = /\/report\.ts$/;
const TIME_MS = 3_000_000;

interface Place {
  readonly line: number;
  readonly column: number;
}
type Coverage = Readonly<
  Record<
    string,
    {
      readonly branchMap: Readonly<Record<string, { readonly locations: readonly { readonly start: Place }[] }>>;
      readonly b: Readonly<Record<string, readonly number[]>>;
    }
  >
>;

test(
  'every branch is taken',
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'openexec-coverage-'));
    try {
      const { OPENEXEC_HEAVY: _heavy, JEST_WORKER_ID: _worker, ...env } = process.env;
      const node = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', join(ROOT, 'node_modules/jest/bin/jest.js')];
      const coverage = [
        '--coverage',
        '--coverageReporters=json',
        `--coverageDirectory=${folder}`,
        '--collectCoverageFrom=libs/verify/src/**/*.ts',
      ];
      const args = [...node, ...SUITES, '-i', '-t', NAMES, ...coverage, ...LEFT_OUT.flatMap((name) => ['--testPathIgnorePatterns', name])];
      const ended = spawnSync(process.execPath, args, { cwd: ROOT, env, encoding: 'utf8' });
      expect({ status: ended.status, said: ended.status === 0 ? '' : ended.stderr.slice(-4000) }).toEqual({ status: 0, said: '' });
      const found = JSON.parse(readFileSync(join(folder, 'coverage-final.json'), 'utf8')) as Coverage;
      const all = Object.entries(found)
        .filter(([file]) => !SHAPES.test(file))
        .flatMap(([file, { branchMap, b }]) =>
          Object.entries(branchMap).flatMap(([id, { locations }]) =>
            locations.map(({ start }, at) => ({
              at: `${file.slice(ROOT.length + 1)}:${start.line}:${start.column}`,
              times: b[id]?.[at] ?? 0,
            })),
          ),
        );
      expect(all.filter(({ times }) => times === 0).map(({ at }) => at)).toEqual([]);
      expect(all.length).toBeGreaterThan(900);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  TIME_MS,
);
