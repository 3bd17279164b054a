/**
 * The tarball as a user gets it: what is in it, and that it works in a folder with no workspace around it. The examples of the SDK's page run there as
 * they are written.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { installOffline, packCli } from '../lib/packed.mjs';

interface Packed {
  readonly tarball: string;
  readonly files: readonly string[];
  readonly bytes: number;
  readonly unpackedBytes: number;
}
const HOUSE = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
jest.setTimeout(600_000);

/** Everything that may be in the tarball. */
const ALLOWED = [
  /^(LICENSE|README\.md|package\.json)$/,
  /^dist\/(openexec\.mjs|sdk\.mjs|sdk\.d\.ts|THIRD-PARTY-NOTICES\.txt)$/,
  /^dist\/chunks\/[\w-]+-[A-Z0-9]{8}\.mjs$/,
  /^dist\/assets\/blueprints\/\w+\.yaml$/,
  /^dist\/assets\/models\/\w+\.yaml$/,
  /^dist\/assets\/repos\/[\w-]+\/[\w./-]+$/,
  /^dist\/assets\/hostile\/[\w-]+\.mjs$/,
];

let folder = '';
let app = '';
let packed: Packed;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'openexec-package-'));
  chmodSync(folder, 0o755);
  packed = packCli(join(folder, 'packed'));
  app = installOffline(folder, packed.tarball);
  mkdirSync(join(folder, 'home'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a program in the installed folder, with a home in which nothing of this machine is found. */
function inApp(command: string, args: readonly string[]) {
  const env = {
    PATH: `${join(app, 'node_modules/.bin')}:${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
    HOME: join(folder, 'home'),
    OPENEXEC_STATE_DIR: join(folder, 'state'),
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_AUTHOR_NAME: 'Reader',
    GIT_AUTHOR_EMAIL: 'reader@example.org',
    GIT_COMMITTER_NAME: 'Reader',
    GIT_COMMITTER_EMAIL: 'reader@example.org',
    NO_COLOR: '1',
    CI: 'true',
  };
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: app, env, encoding: 'utf8', maxBuffer: 2 ** 26 });
  return { status, stdout, stderr };
}

function page(name: string): string {
  return readFileSync(join(HOUSE, 'docs', name), 'utf8');
}
function blocks(name: string, language: string): readonly string[] {
  return [...page(name).matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map(([, block = '']) => block);
}
function filesBelow(at: string): readonly string[] {
  return readdirSync(at, { recursive: true, encoding: 'utf8' })
    .map((name) => join(at, name))
    .filter((path) => statSync(path).isFile());
}

describe('the tarball', () => {
  test('holds what is listed and nothing else, and all that its manifest promises', () => {
    expect(packed.files.filter((file) => !ALLOWED.some((pattern) => pattern.test(file)))).toEqual([]);
    const unused = ALLOWED.filter((pattern) => !packed.files.some((file) => pattern.test(file)));
    expect(unused).toEqual([]);
    const manifest = JSON.parse(readFileSync(join(app, 'node_modules/openexec/package.json'), 'utf8')) as {
      readonly dependencies: object;
      readonly exports: { readonly '.': { readonly [condition: string]: string } };
    };
    expect(Object.keys(manifest.dependencies)).toEqual(['better-sqlite3']);
    for (const file of Object.values(manifest.exports['.'])) expect(packed.files).toContain(file.replace('./', ''));
  });

  test('is no larger than its page says', () => {
    const [, most, mostUnpacked] = /at most (\d+) kB, and at most (\d+) kB unpacked/.exec(page('reference/package.md')) ?? [];
    process.stderr.write(`the tarball has ${packed.bytes} bytes, ${packed.unpackedBytes} unpacked\n`);
    expect(packed.bytes).toBeLessThanOrEqual(Number(most) * 1000);
    expect(packed.unpackedBytes).toBeLessThanOrEqual(Number(mostUnpacked) * 1000);
    expect(packed.bytes).toBeGreaterThan(100_000);
  });

  test('names no place of the machine that packed it', () => {
    const texts = filesBelow(join(app, 'node_modules/openexec'));
    expect(texts).toHaveLength(packed.files.length);
    // With the separator: the folder above the house may be called as some word of the code begins.
    const places = [`${HOUSE}/`, `${folder}/`, `${dirname(HOUSE)}/`, ...(hostname().length > 8 ? [hostname()] : [])];
    expect(texts.filter((file) => places.some((place) => readFileSync(file, 'utf8').includes(place)))).toEqual([]);
  });

  test('hands on the licence of each bundled package, and its own', () => {
    const notices = readFileSync(join(app, 'node_modules/openexec/dist/THIRD-PARTY-NOTICES.txt'), 'utf8');
    for (const name of ['commander', 'openai', 'yaml', 'zod']) expect(notices).toMatch(new RegExp(`^${name} \\d+\\.\\d+\\.\\d+ \\(`, 'm'));
    expect(notices.match(/Permission is hereby granted|Permission to use, copy|Apache License/g)?.length).toBeGreaterThanOrEqual(4);
    expect(readFileSync(join(app, 'node_modules/openexec/LICENSE'), 'utf8')).toBe(readFileSync(join(HOUSE, 'LICENSE'), 'utf8'));
  });
});

describe('installed into an empty folder', () => {
  test('there is no workspace around it', () => {
    expect(readdirSync(join(app, 'node_modules'))).not.toContain('@openexec');
    expect(statSync(join(app, 'node_modules/better-sqlite3')).isDirectory()).toBe(true);
    expect(inApp('openexec', ['--version'])).toMatchObject({ status: 0, stdout: '0.1.0\n' });
    expect(inApp('openexec', ['--help'])).toMatchObject({ status: 0, stdout: expect.stringContaining('openexec init && openexec run') });
  });

  test('the demo runs to its end', () => {
    const { status, stdout, stderr } = inApp('openexec', ['demo']);
    expect([status, stderr]).toEqual([0, expect.stringContaining('denied by rule')]);
    expect(stdout).toContain('every judgement agrees');
  });

  test('the examples of the page about the SDK work as they are written', () => {
    const [repository = ''] = blocks('tutorial/first-run.md', 'sh').slice(1);
    const [setUp = ''] = blocks('how-to/use-the-sdk.md', 'sh');
    expect(inApp('bash', ['-euc', `(${repository})\n${setUp}`])).toMatchObject({ status: 0 });
    const programs = blocks('how-to/use-the-sdk.md', 'js');
    expect(programs).toHaveLength(3);
    const said = programs.map((text) => {
      const name = /^\/\/ ([\w-]+\.mjs)\n/.exec(text)?.[1] ?? '';
      writeFileSync(join(app, name), text);
      return inApp(process.execPath, [name]);
    });
    expect(said.map(({ status, stderr }) => [status, stderr])).toEqual(programs.map(() => [0, '']));
    expect(said.map(({ stdout }) => stdout)).toEqual([
      expect.stringMatching(/^denied at \d+\nok openexec\/[0-9a-f]{12} [0-9a-f]{40}\n$/),
      expect.stringMatching(/^run\/[0-9a-f]{32} done openexec\/[0-9a-f]{12}\n$/),
      expect.stringMatching(/^true signed \d{2,} judgements, 0 differ\n$/),
    ]);
  });

  test('a TypeScript program compiles against its types alone, and a wrong one does not', () => {
    const good = [
      "import { startRun, openLedger, verifyLedger, type ModelAdapter, type RunResult, type LedgerEvent } from 'openexec';",
      "const adapter: ModelAdapter = { provider: 'mine', ask: async () => ({ ok: false, error: { code: 'model.refused', message: '', retryable: false, retryAfterMs: null, status: null, raw: null } }) };",
      "const run = startRun({ repository: '.', task: 'x', model: { adapter, name: 'm' }, approve: async ({ content }) => (content === '' ? 'later' : 'deny') });",
      'export const events: AsyncIterable<LedgerEvent> = run.events;',
      'export async function end(): Promise<RunResult | string> { const ended = await run.result; return ended.ok ? ended.value : ended.error.remedy; }',
      "export const read = async () => { const l = await openLedger({ path: 'x.db' }); return l.ok ? l.value.fingerprint : l.error.code; };",
      "export const check = async () => verifyLedger({ repository: '.', deep: true, trust: 'sha256:' });",
    ].join('\n');
    const compile = (name: string, text: string) => {
      writeFileSync(join(app, name), text);
      const tsc = join(HOUSE, 'node_modules/typescript/bin/tsc');
      const flags = [
        '--noEmit',
        '--strict',
        '--target',
        'es2023',
        '--lib',
        'es2023',
        '--module',
        'nodenext',
        '--types',
        '',
        '--skipLibCheck',
        'false',
      ];
      return inApp(process.execPath, [tsc, ...flags, name]);
    };
    expect(compile('good.ts', good)).toEqual({ status: 0, stdout: '', stderr: '' });
    const bad = compile('bad.ts', "import { startRun } from 'openexec';\nstartRun({ repository: '.', taks: 'x' });\n");
    expect([bad.status === 0, bad.stdout]).toEqual([false, expect.stringContaining("'taks'")]);
  });
});
