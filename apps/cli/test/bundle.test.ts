/**
 * Audit bundles by command: exported after real runs, checked by `verify-bundle` and by tools that are not ours, refused with a type when they are not
 * what they say. Two runs, one ledger; the production verifier looks after each step. PROTOCOL §11.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { startTsa } from '@openexec/anchors/testServer';
import { type AuditReport, auditReport } from '@openexec/protocol';
import { patchSum } from './place.ts';
import { done, inOnePlace, openexec, place, provider } from './scene.ts';

const TIME_MS = 120_000;
const CANARY = 'canary-of-the-other-run-41';
let fingerprint = '';
let kept = '';

const at = (name: string): string => join(place.folder, name);
interface Verdict {
  readonly sound: boolean;
  readonly trust: string;
  readonly runs: readonly { readonly run: string; readonly commit: string | null }[];
  readonly findings: readonly { readonly part: string; readonly index: number | null; readonly code: string }[];
  readonly deep: { readonly runs: readonly { readonly verdict: string }[] } | null;
}
async function verdictOf(path: string, ...more: readonly string[]): Promise<{ exit: number | null; verdict: Verdict }> {
  const { exit, stdout } = await openexec('verify-bundle', path, '--json', ...more);
  return { exit, verdict: JSON.parse(stdout) as Verdict };
}

inOnePlace(async () => {
  await done('init', '--model', 'openai:gpt-test');
  provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' }, { text: 'done' }, { text: 'done' });
  await done('run', `Make sum add ${CANARY}`);
  kept = await done('ledger', 'checkpoint');
  provider.say({ text: 'nothing to do' }, { text: 'nothing to do' }, { text: 'nothing to do' });
  await openexec('run', 'Look once more');
  fingerprint = (JSON.parse(await done('ledger', 'info', '--json')) as { fingerprint: string }).fingerprint;
  writeFileSync(at('kept.checkpoint'), kept);
});
/** The run that was asked to add, and the one that was not. */
async function runOf(which: 'first' | 'other'): Promise<string> {
  const { runs } = JSON.parse(await done('runs', '--json')) as { runs: readonly { run: string; task: string | null }[] };
  const found = runs.find(({ task }) => (task?.includes(CANARY) === true) === (which === 'first'));
  if (found === undefined) throw new Error(`there is no ${which} run`);
  return found.run;
}

describe('a bundle of one run', () => {
  test(
    'is exported, pinned, judged again from itself, and names the commit that the run landed in git',
    async () => {
      const run = await runOf('first');
      const said = await done('export', run, '--out', at('run'));
      expect(said).toContain(`openexec verify-bundle ${at('run')} --trust ${fingerprint}`);
      const { exit, verdict } = await verdictOf(at('run'), '--trust', fingerprint, '--deep');
      expect([exit, verdict.findings, verdict.trust]).toEqual([0, [], 'pinned']);
      expect(verdict.deep?.runs).toMatchObject([{ verdict: 'agrees' }]);
      const branch = place.git('rev-parse', `openexec/${run.replace('run/', '').slice(0, 12)}`).trim();
      expect(verdict.runs).toMatchObject([{ run, commit: branch }]);
      expect(await done('verify')).toContain('✓ sound');
    },
    TIME_MS,
  );

  test(
    'is accepted by sha256sum and jq, and its leaf by hand is the one that the next entry names',
    () => {
      const cwd = at('run');
      expect(execFileSync('sha256sum', ['-c', 'MANIFEST', '--strict', '--quiet'], { cwd, encoding: 'utf8' })).toBe('');
      const lines = readFileSync(join(cwd, 'events.jsonl'), 'utf8').trimEnd().split('\n');
      const [founding, second] = lines.map((line) => (JSON.parse(line) as { data: { entry: string } }).data.entry);
      const leaf = execFileSync('bash', ['-c', "(printf '\\0'; printf '%s' \"$0\") | sha256sum", founding ?? ''], {
        encoding: 'utf8',
      }).slice(0, 64);
      expect((JSON.parse(second ?? '{}') as { prev: string }).prev).toBe(`sha256:${leaf}`);
      expect(fingerprint).toBe(`sha256:${leaf}`);
    },
    TIME_MS,
  );

  test(
    'holds nothing of the other run',
    async () => {
      const other = await runOf('other');
      await done('export', other, '--out', at('other'));
      expect((await verdictOf(at('other'), '--trust', fingerprint)).exit).toBe(0);
      const everything = readdirSync(at('other'), { recursive: true, withFileTypes: true })
        .filter((file) => file.isFile())
        .map((file) => readFileSync(join(file.parentPath, file.name), 'latin1'))
        .join('\n');
      expect(everything).not.toContain(CANARY);
      expect(everything).not.toContain((await runOf('first')).slice(4));
      // The control: in its own bundle the task is there.
      expect(
        readdirSync(join(at('run'), 'blobs')).some((name) => readFileSync(join(at('run'), 'blobs', name), 'utf8').includes(CANARY)),
      ).toBe(true);
    },
    TIME_MS,
  );
});

describe('the reports in a bundle', () => {
  const reportIn = (name: string): AuditReport => auditReport.parse(JSON.parse(readFileSync(join(at(name), 'report.json'), 'utf8')));

  test(
    'tell of the run what the ledger has, in JSON, HTML, SARIF and JUnit, and are under the manifest',
    async () => {
      const run = await runOf('first');
      const [told, ...others] = reportIn('run').runs;
      expect(others).toEqual([]);
      expect(told).toMatchObject({ run, outcome: 'done', governed: true, selfTest: { passed: true }, judgedAgain: { verdict: 'agrees' } });
      expect(told?.task?.text).toContain(CANARY);
      expect(told?.files).toMatchObject([{ path: 'sum.js', change: 'modified' }]);
      expect(told?.counts.checksPassed).toBeGreaterThan(0);
      expect(told?.result?.tree).toBe(place.git('rev-parse', `${told?.result?.commit ?? ''}^{tree}`).trim());
      const html = readFileSync(join(at('run'), 'report.html'), 'utf8');
      expect(html).toContain(CANARY);
      expect(html).toContain('+  return a + b;');
      expect(readFileSync(join(at('run'), 'junit.xml'), 'utf8')).toMatch(
        /<testsuites name="openexec" tests="[1-9]\d*" failures="0" errors="0"/,
      );
      expect(JSON.parse(readFileSync(join(at('run'), 'results.sarif'), 'utf8'))).toMatchObject({ version: '2.1.0', runs: [{ tool: {} }] });
      const manifest = readFileSync(join(at('run'), 'MANIFEST'), 'utf8');
      for (const name of ['report.json', 'report.html', 'results.sarif', 'junit.xml', `changes/${run.slice(4)}.reverse.patch`])
        expect(manifest).toContain(`  ${name}\n`);
    },
    TIME_MS,
  );

  test(
    'carry the change as git takes it: forward gives the tree that the run landed, the reverse gives the base again',
    () => {
      const [told] = reportIn('run').runs;
      if (told === undefined || told.patch === null || told.base === null) throw new Error('no patch');
      const clone = at('clone');
      execFileSync('git', ['clone', '-q', place.root, clone]);
      const git = (...args: readonly string[]): string => execFileSync('git', ['-C', clone, ...args], { encoding: 'utf8' }).trim();
      git('checkout', '-q', '--detach', told.base.commit);
      const treeAfter = (patch: string): string => {
        git('apply', '--index', join(at('run'), patch));
        return git('write-tree');
      };
      expect(treeAfter(told.patch.forward)).toBe(told.result?.tree);
      expect(treeAfter(told.patch.reverse)).toBe(told.base.tree);
      expect(git('status', '--porcelain')).toBe('');
    },
    TIME_MS,
  );

  test(
    'are left out on demand, and hold nothing of what is withheld',
    async () => {
      const run = await runOf('first');
      await done('export', run, '--out', at('bare'), '--no-reports');
      expect(readdirSync(at('bare')).filter((name) => /^(?:report|results|junit|changes)/.test(name))).toEqual([]);
      await done('export', run, '--out', at('held'), '--withhold', 'blob:*');
      for (const name of ['bare', 'held']) expect((await verdictOf(at(name), '--trust', fingerprint)).exit).toBe(0);
      const texts = ['report.json', 'report.html', 'results.sarif', 'junit.xml'].map((name) =>
        readFileSync(join(at('held'), name), 'utf8'),
      );
      expect(texts.join('\n')).not.toContain(CANARY);
      expect(existsSync(join(at('held'), 'changes'))).toBe(false);
      expect(reportIn('held').withheld.blobs.length).toBeGreaterThan(3);
      expect(await done('verify')).toContain('✓ sound');
    },
    TIME_MS,
  );
});

describe('a bundle of the whole ledger', () => {
  test(
    'is one tar file, the same bytes twice, continues a checkpoint that was kept, and unpacks to what it is',
    async () => {
      const size = kept.split('\n')[1] ?? '';
      await done('export', '--out', at('all.tar'), '--since', size);
      await done('export', '--out', at('again.tar'), '--since', size);
      expect(readFileSync(at('all.tar')).equals(readFileSync(at('again.tar')))).toBe(true);
      const { exit, verdict } = await verdictOf(at('all.tar'), '--since', at('kept.checkpoint'), '--deep');
      expect([exit, verdict.findings]).toEqual([0, []]);
      mkdirSync(at('unpacked'));
      execFileSync('tar', ['xf', at('all.tar'), '-C', at('unpacked')]);
      expect((await verdictOf(at('unpacked'), '--trust', fingerprint)).exit).toBe(0);
    },
    TIME_MS,
  );
});

describe('times of an authority over a bundle', () => {
  test(
    'are in the bundle, hold for who trusts the authority and for openssl, and are said to be not checked for who does not say',
    async () => {
      const [tsa, other] = [await startTsa(), await startTsa()];
      const config = join(place.folder, 'config', 'openexec', 'config.yaml');
      try {
        const run = await runOf('first');
        const none = await openexec('export', run, '--out', at('timed'), '--timestamp');
        expect([none.exit, none.stderr, existsSync(at('timed'))]).toEqual([2, expect.stringContaining('anchor.notConfigured'), false]);
        mkdirSync(join(place.folder, 'config', 'openexec'), { recursive: true });
        writeFileSync(config, `version: 1\nanchors:\n  to:\n    - {name: tsa, type: rfc3161, url: "${tsa.url}", ca: ${tsa.caFile}}\n`);
        tsa.say({ status: 503, body: Buffer.from('closed') });
        const closed = await openexec('export', run, '--out', at('timed'), '--timestamp');
        expect([closed.exit, closed.stderr, existsSync(at('timed'))]).toEqual([22, expect.stringContaining('anchor.failed'), false]);
        tsa.say(undefined);
        expect((await openexec('export', run, '--out', at('timed'), '--timestamp', 'another')).exit).toBe(2);
        await done('export', run, '--out', at('timed'), '--timestamp', 'tsa');
        const timed = await done('verify-bundle', at('timed'), '--tsa', tsa.caFile, '--trust', fingerprint);
        expect(timed).toMatch(/time {9}export\.sigstore\.json: \d{4}-\S+Z by CN=Test TSA/);
        expect(timed).toMatch(/time {9}checkpoint\.tsr: \d{4}-\S+Z by CN=Test TSA/);
        expect(await done('verify-bundle', at('timed'))).toContain('2 RFC 3161 times: no authority that you trust was given');
        const { exit, verdict } = await verdictOf(at('timed'), '--tsa', other.caFile);
        expect([exit, verdict.findings.map(({ code, part }) => `${code} ${part}`)]).toEqual([
          20,
          ['timestamp.refused export.sigstore.json', 'timestamp.refused checkpoint.tsr'],
        ]);
        await done('export', run, '--out', at('untimed'), '--no-reports');
        expect(await verdictOf(at('untimed'), '--tsa', tsa.caFile)).toMatchObject({
          exit: 20,
          verdict: { findings: [{ code: 'timestamp.missing' }] },
        });
        expect((await openexec('verify-bundle', at('timed'), '--tsa', at('kept.checkpoint'))).exit).toBe(2);
        const ts = ['ts', '-verify', '-data', 'checkpoint', '-in', 'checkpoint.tsr', '-CAfile', tsa.caFile];
        expect(execFileSync('openssl', ts, { cwd: at('timed'), encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })).toContain('OK');
        expect(await done('verify')).toContain('✓ sound');
      } finally {
        rmSync(config, { force: true });
        await tsa.close();
        await other.close();
      }
    },
    TIME_MS,
  );
});

describe('a bundle that was changed', () => {
  const changed = (name: string, change: (folder: string) => void): string => {
    const folder = at(name);
    rmSync(folder, { recursive: true, force: true });
    cpSync(at('run'), folder, { recursive: true });
    change(folder);
    return folder;
  };
  const flip = (file: string, at: number): void => {
    const bytes = readFileSync(file);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(file, bytes);
  };
  test.each([
    ['a byte of an event', (f: string) => flip(join(f, 'events.jsonl'), 600), 'bundle.digest', 'events.jsonl'],
    ['a byte of the checkpoint', (f: string) => flip(join(f, 'checkpoint'), 30), 'bundle.digest', 'checkpoint'],
    ['a missing proof', (f: string) => rmSync(join(f, 'proofs/law.tlog-proof')), 'bundle.missing', 'proofs/law.tlog-proof'],
    ['a part that nobody listed', (f: string) => writeFileSync(join(f, 'README.txt'), ''), 'bundle.extra', 'README.txt'],
    ['a missing statement', (f: string) => rmSync(join(f, 'export.sigstore.json')), 'bundle.missing', 'export.sigstore.json'],
    ['a statement of other bytes', (f: string) => flip(join(f, 'export.sigstore.json'), 40), 'bundle.malformed', 'export.sigstore.json'],
    ['a manifest that is cut', (f: string) => truncateSync(join(f, 'MANIFEST'), 100), 'bundle.truncated', 'MANIFEST'],
  ])(
    '%s is found, with the part named, exit 20',
    async (_, change, code, part) => {
      const { exit, verdict } = await verdictOf(changed('changed', change));
      expect([exit, verdict.sound]).toEqual([20, false]);
      expect(verdict.findings).toContainEqual(expect.objectContaining({ code, part }));
    },
    TIME_MS,
  );

  test.each([
    ['a link among its parts', (f: string) => symlinkSync('/etc/passwd', join(f, 'blobs/link')), 20, 'bundle.path'],
    ['a hidden file', (f: string) => writeFileSync(join(f, '.hidden'), ''), 20, 'bundle.path'],
  ])(
    '%s is refused before anything is read',
    async (_, change, exit, code) => {
      const ended = await openexec('verify-bundle', changed('refused', change));
      expect([ended.exit, ended.stderr]).toEqual([exit, expect.stringContaining(code)]);
    },
    TIME_MS,
  );
});

describe('what cannot be exported', () => {
  test.each([
    ['a place that is taken', ['export', '--out', 'run'], 2, 'file.exists'],
    ['a run that is not there', ['export', 'abcdef', '--out', 'x'], 2, 'run.unknown'],
    [
      'something to withhold that is neither kind nor media type',
      ['export', '--out', 'x', '--withhold', 'model.anwsered'],
      2,
      'usage.invalid',
    ],
    ['a range that is no range', ['export', '--out', 'x', '--range', '9-'], 2, 'usage.invalid'],
    ['a range beyond the ledger', ['export', '--out', 'x', '--range', '0-99999'], 2, 'usage.invalid'],
    ['a checkpoint that was never kept', ['export', '--out', 'x', '--checkpoint', '3'], 2, 'usage.invalid'],
    ['a size that no checkpoint has', ['export', '--out', 'x', '--since', '3'], 2, 'usage.invalid'],
    ['a whole ledger as governed', ['export', '--out', 'x', '--governed'], 2, 'usage.invalid'],
    ['a bundle that is not there', ['verify-bundle', 'nothing'], 2, 'bundle.unreadable'],
  ])(
    '%s is refused, and nothing is left behind',
    async (_, args, exit, code) => {
      const ended = await openexec(...args.map((arg) => (arg === 'x' || arg === 'run' ? at(arg) : arg)));
      expect([ended.exit, ended.stderr]).toEqual([exit, expect.stringContaining(code)]);
      expect([existsSync(at('x')), existsSync(at('x.unfinished'))]).toEqual([false, false]);
    },
    TIME_MS,
  );
});
