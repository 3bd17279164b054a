/**
 * Repositories of a size that makes the everyday suite wait: a file over 2 GB, a hundred thousand files, more than the limit. The ledger is verified
 * by the production verifier after each run. Run by `npm test -- --heavy`.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type Bundle, buildBundle, type Ended } from './cli.ts';
import { makePlace, patchSum, type Place, type Provider, type Reply, startProvider } from './place.ts';

let bundle: Bundle;
let place: Place;
let provider: Provider;
const LARGE_MS = 300_000;
const GOOD: readonly Reply[] = [{ calls: [patchSum('-', '+')] }, { text: 'done' }];

beforeAll(async () => {
  bundle = await buildBundle();
}, LARGE_MS);
afterAll(() => bundle.remove());
beforeEach(async () => {
  place = makePlace();
  provider = await startProvider();
}, LARGE_MS);
afterEach(async () => {
  await provider.close();
  place.remove();
});

function openexec(...args: readonly string[]): Promise<Ended> {
  return bundle.run(args, { cwd: place.root, env: { ...place.env, ...provider.env } });
}
async function init(): Promise<void> {
  expect(await openexec('init', '--model', 'openai:gpt-test')).toMatchObject({ exit: 0 });
}
/** One run from the commit; the ledger it leaves is sound and every judgement in it is made again. */
async function run(): Promise<{ readonly exit: number | null; readonly status: string; readonly commit: string }> {
  const ended = await openexec('run', 'Make sum add', '--json', '--base', 'HEAD');
  const verified = await openexec('verify', '--deep');
  expect({ exit: verified.exit, said: verified.stderr }).toMatchObject({ exit: 0 });
  const report = JSON.parse(ended.stdout) as { status: string; result: { commit: string } | null };
  return { exit: ended.exit, status: report.status, commit: report.result?.commit ?? '' };
}
function commit(): void {
  place.git('add', '-A', '--', '.', ':!.openexec');
  place.git('-c', 'user.name=Test', '-c', 'user.email=test@example.org', 'commit', '-q', '-m', 'more');
}

describe('a repository', () => {
  test(
    'with a file of 2 GB and one byte is worked on, and the file is in the result as it was',
    async () => {
      truncateSync(fileOf('large.bin'), 2 ** 31 + 1);
      commit();
      const blob = place.git('rev-parse', 'HEAD:large.bin').trim();
      truncateSync(join(place.root, 'large.bin'), 0);
      place.git('update-index', '--assume-unchanged', 'large.bin');
      await init();
      provider.say({ calls: [{ name: 'read_file', arguments: { path: 'large.bin' } }] }, ...GOOD);
      const ended = await run();
      expect(ended).toMatchObject({ exit: 0, status: 'done' });
      expect(JSON.stringify(provider.requests[1]?.messages)).toContain('file.tooLarge');
      expect(place.git('rev-parse', `${ended.commit}:large.bin`).trim()).toBe(blob);
    },
    LARGE_MS,
  );

  test(
    'of a hundred thousand files is worked on; one of more than the limit is refused with 2 before anything is recorded',
    async () => {
      importFiles(100_000);
      await init();
      provider.say(...GOOD);
      const ended = await run();
      expect(ended).toMatchObject({ exit: 0, status: 'done' });
      expect(filesOf(ended.commit)).toBe(100_003);
      const asked = provider.requests.length;
      importFiles(200_001);
      const refused = await openexec('run', 'Make sum add', '--json', '--base', 'HEAD');
      const { error } = JSON.parse(refused.stdout) as { error: { code: string } };
      expect({ exit: refused.exit, code: error.code }).toEqual({ exit: 2, code: 'workspace.quota' });
      expect(provider.requests).toHaveLength(asked);
    },
    LARGE_MS,
  );
});

function fileOf(name: string): string {
  place.write(name, '');
  return join(place.root, name);
}

function filesOf(revision: string): number {
  return execFileSync('git', ['-C', place.root, 'ls-tree', '-r', '-z', '--name-only', revision], { maxBuffer: 1 << 28 }).filter(
    (byte) => byte === 0,
  ).length;
}

/** Commits so many small files on top, without a checkout of them: only the commit is asked about. */
function importFiles(count: number): void {
  mkdirSync(join(place.folder, 'import'), { recursive: true });
  const files = Array.from({ length: count }, (_, index) => `M 100644 inline many/${index % 500}/f${index}\ndata 1\nx\n`).join('');
  const head = place.git('rev-parse', 'HEAD').trim();
  const input = `commit refs/heads/main\ncommitter Test <test@example.org> 1700000000 +0000\ndata 4\nmanyfrom ${head}\n${files}`;
  execFileSync('git', ['-C', place.root, 'fast-import', '--quiet', '--force'], { input, maxBuffer: 1 << 28 });
  place.git('read-tree', 'HEAD');
}
