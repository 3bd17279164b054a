/**
 * Golden runs through the bundle: those of this repository under every clock and language, a kernel that judges otherwise, records that do not hold, and
 * the adding of one. CLI.md; GOALS E14.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Bundle, buildBundle, type Ended } from './cli.ts';
import { patchSum } from './place.ts';
import { inOnePlace, openexec, place, provider } from './scene.ts';
import { verifies } from './verifies.ts';

const GOLDEN = resolve(dirname(fileURLToPath(import.meta.url)), '../../../test-fixtures/golden');
const TIME_MS = 240_000;
const ELSEWHERE: readonly Readonly<Record<string, string>>[] = [
  { TZ: 'Pacific/Kiritimati', LANG: 'tr_TR.UTF-8', LC_ALL: 'tr_TR.UTF-8', LANGUAGE: 'tr' },
  { TZ: 'America/St_Johns', LANG: 'de_DE.UTF-8', LC_ALL: 'de_DE.UTF-8', LANGUAGE: 'de' },
  { TZ: 'Asia/Kathmandu', LANG: 'C', LC_ALL: 'C' },
];
interface Verdict {
  readonly name: string;
  readonly verdict: string;
  readonly judgements: number;
  readonly first: {
    readonly seq: number;
    readonly kind: { readonly recorded: string | null };
    readonly expected: string | null;
    readonly recorded: string | null;
  } | null;
  readonly divergences: number;
  readonly problem: { readonly code: string } | null;
  readonly differs: readonly { readonly what: string; readonly expected: string | null; readonly actual: string | null }[];
}
const verdicts = ({ stdout }: Ended): readonly Verdict[] => (JSON.parse(stdout) as { readonly runs: readonly Verdict[] }).runs;

describe('the golden runs of this repository', () => {
  let bundle: Bundle;
  let folder = '';
  beforeAll(async () => {
    bundle = await buildBundle();
    folder = mkdtempSync(join(tmpdir(), 'openexec-golden-'));
  }, TIME_MS);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const golden = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> =>
    bundle.run(['golden', ...args], { cwd: folder, env });
  const code = async (args: readonly string[]): Promise<readonly [number | null, string]> => {
    const ended = await golden([...args, '--json']);
    return [ended.exit, (JSON.parse(ended.stdout) as { readonly error: { readonly code: string } }).error.code];
  };
  /** A copy of one of them, changed. */
  const changed = (name: string, change: (at: string) => void): string => {
    const copy = mkdtempSync(join(folder, 'copy-'));
    cpSync(join(GOLDEN, name), join(copy, name), { recursive: true });
    change(join(copy, name));
    return copy;
  };

  verifies(
    'E14',
    'runs of the present format are judged as they were, byte for byte alike under other time zones and languages',
    async () => {
      const here = await golden(['run', '--dir', GOLDEN, '--json']);
      expect({ exit: here.exit, stderr: here.stderr }).toEqual({ exit: 0, stderr: '' });
      const runs = verdicts(here);
      expect(runs.map(({ name }) => name)).toEqual(readdirSync(GOLDEN).sort());
      expect(runs.length).toBeGreaterThanOrEqual(4);
      for (const run of runs) {
        expect(run).toMatchObject({ verdict: 'agrees', problem: null, first: null, divergences: 0, differs: [] });
        expect(run.judgements).toBeGreaterThan(30);
      }
      for (const env of ELSEWHERE) expect(await golden(['run', '--dir', GOLDEN, '--json'], env)).toEqual(here);
      const [first = ''] = readdirSync(GOLDEN).sort();
      expect((await golden(['run', first, '--dir', GOLDEN])).stdout).toMatch(
        new RegExp(`✓ ${first} .*\\n1 of 1 golden runs agree with kernel 1\\n`),
      );
    },
    TIME_MS,
  );

  verifies(
    'E14',
    'a kernel that judges otherwise is named at its first judgement, with both values, for each run',
    async () => {
      const other = join(mkdtempSync(join(dirname(dirname(bundle.entry)), 'other-')));
      try {
        cpSync(dirname(bundle.entry), other, { recursive: true });
        const files = ['openexec.mjs', ...readdirSync(join(other, 'chunks')).map((name) => join('chunks', name))].map((name) =>
          join(other, name),
        );
        const SAID = 'Keep changes as small as the task allows.';
        const hit = files.filter((file) => readFileSync(file, 'utf8').includes(SAID));
        expect(hit.length).toBeGreaterThan(0);
        for (const file of hit) writeFileSync(file, readFileSync(file, 'utf8').replaceAll(SAID, 'Change whatever you like.'));
        const candidate: Bundle = { ...bundle, entry: join(other, 'openexec.mjs') };
        const ended = await runEntry(candidate.entry, ['golden', 'run', '--dir', GOLDEN, '--json'], folder);
        expect(ended.exit).toBe(21);
        for (const run of verdicts(ended)) {
          expect(run).toMatchObject({ verdict: 'diverges', first: { kind: { recorded: 'model.asked' } } });
          expect(run.first?.expected).not.toBe(run.first?.recorded);
          expect(run.differs).toContainEqual({ what: 'verdict', expected: 'agrees', actual: 'diverges' });
        }
        const told = await runEntry(candidate.entry, ['golden', 'run', '--dir', GOLDEN], folder);
        expect(told.stdout).toMatch(/✗ index \d+, seq \d+, model\.asked: payload/);
        expect(told.stdout).toMatch(/\n0 of \d+ golden runs agree/);
      } finally {
        rmSync(other, { recursive: true, force: true });
      }
    },
    TIME_MS,
  );

  test(
    'a record that does not hold ends with 20 and its place: a byte of the bundle, a bundle that is gone, a record that is none',
    async () => {
      const [name = ''] = readdirSync(GOLDEN).sort();
      const flipped = changed(name, (at) => {
        const bytes = readFileSync(join(at, 'bundle.tar'));
        const place = bytes.indexOf('"payload":');
        bytes[place + 60] = (bytes[place + 60] ?? 0) ^ 1;
        writeFileSync(join(at, 'bundle.tar'), bytes);
      });
      const ended = await golden(['run', '--dir', flipped, '--json']);
      expect([ended.exit, verdicts(ended)[0]?.verdict]).toEqual([20, 'broken']);
      const gone = await golden(['run', '--dir', changed(name, (at) => rmSync(join(at, 'bundle.tar'))), '--json']);
      expect([gone.exit, verdicts(gone)[0]?.problem?.code]).toEqual([20, 'bundle.unreadable']);
      for (const text of ['{', '{"v":1}', '[]'])
        expect((await golden(['run', '--dir', changed(name, (at) => writeFileSync(join(at, 'golden.json'), text))])).exit).toBe(20);
      const renamed = changed(name, (at) => cpSync(at, join(dirname(at), 'another'), { recursive: true }));
      const two = await golden(['run', '--dir', renamed]);
      expect([two.exit, two.stdout]).toEqual([20, expect.stringContaining('stands in the folder "another"')]);
    },
    TIME_MS,
  );

  test(
    'an expectation that is not met ends with 21 and both values',
    async () => {
      const [name = ''] = readdirSync(GOLDEN).sort();
      const tree = '0'.repeat(40);
      const copy = changed(name, (at) => {
        const text = readFileSync(join(at, 'golden.json'), 'utf8');
        writeFileSync(join(at, 'golden.json'), text.replace(/"tree": "[0-9a-f]{40}"/, `"tree": "${tree}"`));
      });
      const ended = await golden(['run', '--dir', copy, '--json']);
      expect([ended.exit, verdicts(ended)[0]?.differs]).toEqual([
        21,
        [{ what: 'tree', expected: tree, actual: expect.stringMatching(/^[0-9a-f]{40}$/) }],
      ]);
    },
    TIME_MS,
  );

  test(
    'a folder that holds none is an error, and so is a name that is not there: nothing passes because nothing was looked at',
    async () => {
      const empty = join(folder, 'empty');
      mkdirSync(empty);
      expect(await code(['run', '--dir', empty])).toEqual([2, 'golden.invalid']);
      expect(await code(['list', '--dir', empty])).toEqual([2, 'golden.invalid']);
      expect(await code(['run', '--dir', join(folder, 'nowhere')])).toEqual([2, 'golden.invalid']);
      expect(await code(['run', 'nobody', '--dir', GOLDEN])).toEqual([2, 'golden.invalid']);
      const listed = await golden(['list', '--dir', GOLDEN]);
      expect([listed.exit, listed.stdout.trim().split('\n').length]).toEqual([0, readdirSync(GOLDEN).length]);
    },
    TIME_MS,
  );
});

/** Another program than the bundle. */
async function runEntry(entry: string, args: readonly string[], cwd: string): Promise<Ended> {
  const { execFile } = await import('node:child_process');
  const { PATH = '', HOME = '' } = process.env;
  return new Promise((ended) => {
    execFile(
      process.execPath,
      [entry, ...args],
      { cwd, env: { PATH, HOME, CI: 'true', NO_COLOR: '1' }, maxBuffer: 1 << 26 },
      (error, stdout, stderr) => ended({ exit: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });
}

describe('adding a golden run', () => {
  inOnePlace();

  test(
    'writes a closed run under its name, small and whole; never over another, never an open one, and it is replayed without its ledger',
    async () => {
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
      expect((await openexec('run', 'Make sum add')).exit).toBe(0);
      const added = await openexec('golden', 'add', 'latest', '--name', 'sum', '--json');
      expect(JSON.parse(added.stdout)).toMatchObject({
        golden: { name: 'sum', kernel: { version: '1' }, expected: { verdict: 'agrees', outcome: 'done' } },
      });
      const at = join(place.root, 'test-fixtures/golden/sum');
      expect(readdirSync(at).sort()).toEqual(['bundle.tar', 'golden.json']);
      expect(statSync(join(at, 'bundle.tar')).size).toBeLessThan(600_000);
      const again = await openexec('golden', 'add', 'latest', '--name', 'sum', '--json');
      expect([again.exit, JSON.parse(again.stdout)]).toMatchObject([2, { error: { code: 'file.exists' } }]);
      for (const name of ['../sum', 'Sum', '', 'a/b', '-x'])
        expect((await openexec('golden', 'add', 'latest', `--name=${name}`)).exit).toBe(2);
      expect(readdirSync(join(place.root, 'test-fixtures/golden'))).toEqual(['sum']);

      provider.say({ status: 401 });
      await openexec('run', 'Look around');
      expect((await openexec('golden', 'add', 'latest')).exit).toBe(0);
      rmSync(join(place.root, '.openexec/ledger.db'));
      const replayed = await openexec('golden', 'run', '--json');
      expect([replayed.exit, verdicts(replayed).map(({ verdict }) => verdict)]).toEqual([0, ['agrees', 'agrees']]);
    },
    TIME_MS,
  );
});
