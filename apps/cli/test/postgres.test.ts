/**
 * The ledger in Postgres, through the bundle and against a real server: founding, runs, approvals by another process, taking and rewinding results,
 * kills, lost connections, two drivers, refusals, and what users of a file do not load.
 */
import { createReadStream, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { memoryLedger, readExport } from '@openexec/ledger';
import { type PostgresServer, startPostgres } from '@openexec/stores/testServer';
import { growthOf } from '../src/keep/tend.ts';
import type { Ended } from './cli.ts';
import { patchScripts, patchSum } from './place.ts';
import { bundle, inEachPlace, openexec, place, provider } from './scene.ts';

let server: PostgresServer;
let address = '';
const TIME_MS = 240_000;

beforeAll(async () => {
  server = await startPostgres();
}, TIME_MS);
afterAll(async () => {
  await server.stop();
}, TIME_MS);
inEachPlace(async () => {
  address = await server.database();
  place.git('config', 'user.name', 'A Person');
  place.git('config', 'user.email', 'person@example.org');
});

async function founded(): Promise<void> {
  expect(await openexec('init', '--model', 'openai:gpt-test', '--ledger', address)).toMatchObject({ exit: 0, stderr: '' });
}
function databaseOf(url: string): string {
  return new URL(url).pathname.slice(1);
}
/** Ends every connection of the command to its database; answers how many there were. */
async function cut(): Promise<number> {
  const ended = await server.admin(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${databaseOf(address)}' AND application_name LIKE 'openexec%'`,
  );
  return ended.rowCount ?? 0;
}

describe('a ledger in Postgres', () => {
  test(
    'is founded by init, named by the configuration without user, and carries a run, its proof, its replay and its result',
    async () => {
      await founded();
      const config = readFileSync(join(place.root, '.openexec/config.yaml'), 'utf8');
      expect(config).toContain(`ledger: "postgres://${new URL(address).host}/${databaseOf(address)}"`);
      expect(config).not.toContain('openexec@');
      // The configuration names no user: the environment does, as for any client of Postgres.
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
      const named = { cwd: place.root, env: { ...place.env, ...provider.env, PGUSER: 'openexec' } };
      const ran = await bundle.run(['run', 'Make sum add', '--json'], named);
      expect(ran).toMatchObject({ exit: 0 });
      const typed = (...args: readonly string[]): Promise<Ended> => bundle.run(args, named);
      expect(await typed('verify', '--deep')).toMatchObject({ exit: 0, stdout: expect.stringContaining('every judgement agrees') });
      expect(await typed('replay', 'latest')).toMatchObject({ exit: 0 });
      expect(await typed('show', 'latest')).toMatchObject({ exit: 0 });
      expect(await typed('__complete', 'runs')).toMatchObject({ exit: 0, stdout: expect.stringMatching(/^latest\t/) });
      const info = JSON.parse((await typed('ledger', 'info', '--json')).stdout) as { readonly path: string; readonly pinned: string };
      expect(info.path).toBe(`postgres://127.0.0.1:${new URL(address).port}/${databaseOf(address)}?schema=openexec`);
      expect(info.pinned).toMatch(/^sha256:/);
      expect(await typed('apply', 'latest')).toMatchObject({ exit: 0 });
      expect(readFileSync(join(place.root, 'sum.js'), 'utf8')).toContain('a + b');
      expect(await typed('verify', '--deep')).toMatchObject({ exit: 0 });
      // What grows, by kind, is the same in Postgres, in a file and in memory.
      const growth = async (...more: readonly string[]): Promise<unknown> =>
        (JSON.parse((await typed('ledger', 'info', '--growth', '--json', ...more)).stdout) as { readonly growth: unknown }).growth;
      const [file, copy] = [join(place.folder, 'copy.oxl'), `sqlite:${join(place.folder, 'copy.db')}`];
      expect(await typed('ledger', 'export', file)).toMatchObject({ exit: 0 });
      expect(await typed('ledger', 'import', file, '--ledger', copy)).toMatchObject({ exit: 0 });
      const grown = await growth();
      expect(grown).toMatchObject({ 'run.opened': { entries: 1 }, 'run.closed': { entries: 1 } });
      expect(await growth('--ledger', copy)).toEqual(grown);
      const memory = memoryLedger({ randomness: { bytes: (count) => new Uint8Array(count) } });
      expect(await memory.keeper.copyIn(await readExport(() => createReadStream(file)))).toMatchObject({ ok: true });
      expect(await growthOf(memory)).toEqual(grown);
      // The same place by the environment, and by what DATABASE_URL says.
      const env = { ...place.env, OPENEXEC_LEDGER: 'postgres:', DATABASE_URL: address };
      expect(await bundle.run(['verify'], { cwd: place.folder, env })).toMatchObject({
        exit: 0,
        stdout: expect.stringContaining('trust pinned'),
      });
    },
    TIME_MS,
  );

  test(
    'lets another process approve what a run waits for, and goes back to a stage instead',
    async () => {
      await founded();
      const env = { ...place.env, ...provider.env, OPENEXEC_LEDGER: address };
      const typed = (...args: readonly string[]): Promise<Ended> => bundle.run(args, { cwd: place.root, env });
      provider.say({ calls: [patchScripts(), patchSum('-', '+')] });
      expect(await typed('run', 'Add a script')).toMatchObject({ exit: 11 });
      provider.say({ text: 'done' });
      // The patch asks, and the commit of a file that something runs by itself asks again.
      for (const exit of [11, 0]) {
        const [id = ''] = (await typed('__complete', 'requests')).stdout.split('\t');
        expect(await typed('approve', id)).toMatchObject({ exit: 0 });
        expect(await typed('resume', 'latest')).toMatchObject({ exit });
      }
      provider.say({ calls: [patchScripts()] });
      expect(await typed('run', 'Add a script again')).toMatchObject({ exit: 11 });
      const [stage = ''] = (await typed('rewind', 'latest')).stdout.split('#', 1);
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
      expect(await typed('rewind', 'latest', '--to', stage, '--run')).toMatchObject({ exit: 0 });
      expect(await typed('verify', '--deep')).toMatchObject({ exit: 0 });
    },
    TIME_MS,
  );

  test(
    'E06: a run that is killed gives its lease back at once and is resumed; while it lives a second driver is refused',
    async () => {
      await founded();
      const env = { ...place.env, ...provider.env, OPENEXEC_LEDGER: address };
      let answer: () => void = () => undefined;
      provider.say({ after: new Promise<void>((resolve) => (answer = resolve)), text: 'never heard' });
      const life = bundle.start(['run', 'Make sum add'], { cwd: place.root, env });
      await provider.arrived(1);
      expect(await bundle.run(['resume', 'latest'], { cwd: place.root, env })).toMatchObject({
        exit: 2,
        stderr: expect.stringContaining('run.busy'),
      });
      life.kill('SIGKILL');
      await life.ended;
      answer();
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
      expect(await bundle.run(['resume', 'latest'], { cwd: place.root, env })).toMatchObject({ exit: 0 });
      expect(await bundle.run(['verify', '--deep'], { cwd: place.root, env })).toMatchObject({ exit: 0 });
    },
    TIME_MS,
  );

  test(
    'outlives its connections: they are cut while the model thinks, and the run ends as if nothing had been',
    async () => {
      await founded();
      const env = { ...place.env, ...provider.env, OPENEXEC_LEDGER: address };
      let answer: () => void = () => undefined;
      provider.say({ after: new Promise<void>((resolve) => (answer = resolve)), calls: [patchSum('-', '+')] }, { text: 'done' });
      const life = bundle.start(['run', 'Make sum add'], { cwd: place.root, env });
      await provider.arrived(1);
      expect(await cut()).toBeGreaterThan(1);
      answer();
      expect(await life.ended).toMatchObject({ exit: 0 });
      expect(await bundle.run(['verify', '--deep'], { cwd: place.root, env })).toMatchObject({ exit: 0 });
    },
    TIME_MS,
  );
});

/** Makes every insert of entries do this first, on the server. */
async function before(statement: string): Promise<void> {
  await server.admin(
    `CREATE OR REPLACE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${statement} RETURN NULL; END $$;
     CREATE OR REPLACE TRIGGER trouble BEFORE INSERT ON openexec.entries FOR EACH STATEMENT EXECUTE FUNCTION trouble()`,
    databaseOf(address),
  );
}

describe('a server in trouble', () => {
  test(
    'E17: a slow one makes the run slow: nothing piles up before it, neither statements nor connections',
    async () => {
      await founded();
      const env = { ...place.env, ...provider.env, OPENEXEC_LEDGER: address };
      const delayMs = 200;
      await before(`PERFORM pg_sleep(${delayMs / 1000});`);
      const commits = async (): Promise<number> =>
        Number((await server.admin('SELECT count(DISTINCT xmin::text) AS n FROM openexec.entries', databaseOf(address))).rows[0]?.['n']);
      const at = await commits();
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
      const since = performance.now();
      const life = bundle.start(['run', 'Make sum add'], { cwd: place.root, env });
      const busy: number[] = [];
      for (let over = false; !over; ) {
        const seen = await server.admin(
          `SELECT count(*) AS n FROM pg_stat_activity WHERE datname = '${databaseOf(address)}' AND application_name = 'openexec' AND state <> 'idle'`,
        );
        busy.push(Number((seen.rows[0] as { readonly n: string }).n));
        over = await Promise.race([life.ended.then(() => true), new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 20))]);
      }
      expect(await life.ended).toMatchObject({ exit: 0 });
      const made = (await commits()) - at;
      expect(made).toBeGreaterThan(5);
      // Each commit was waited for before the next was asked for.
      expect(performance.now() - since).toBeGreaterThan(made * delayMs);
      expect(busy).toContain(1);
      expect(Math.max(...busy)).toBeLessThanOrEqual(2);
    },
    TIME_MS,
  );

  test(
    'with a full disk stops the run with its code, loses nothing, and lets it go on when there is room again',
    async () => {
      await founded();
      const env = { ...place.env, ...provider.env, OPENEXEC_LEDGER: address };
      const typed = (...args: readonly string[]): Promise<Ended> => bundle.run(args, { cwd: place.root, env });
      let answer: () => void = () => undefined;
      provider.say({ after: new Promise<void>((resolve) => (answer = resolve)), text: 'lost with the disk' });
      const life = bundle.start(['run', 'Make sum add'], { cwd: place.root, env });
      await provider.arrived(1);
      await before("RAISE EXCEPTION 'no room' USING ERRCODE = '53100';");
      answer();
      expect(await life.ended).toMatchObject({ exit: 1, stderr: expect.stringContaining('ledger.full') });
      await before('');
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
      expect(await typed('resume', 'latest')).toMatchObject({ exit: 0 });
      expect(await typed('verify', '--deep')).toMatchObject({ exit: 0 });
    },
    TIME_MS,
  );
});

describe('refusals', () => {
  const verify = (ledger: string, env: Readonly<Record<string, string>> = {}): Promise<Ended> =>
    bundle.run(['verify', '--ledger', ledger], { cwd: place.root, env: { ...place.env, ...env } });

  test(
    'each have their code and exit, and none shows a password',
    async () => {
      await founded();
      const at = new URL(address);
      const changed = (change: (url: URL) => void): string => {
        const url = new URL(address);
        url.password = 'tell-nobody';
        change(url);
        return url.toString();
      };
      const cases: readonly (readonly [string, string, number])[] = [
        [changed((url) => (url.port = '1')), 'ledger.unreachable', 1],
        [changed((url) => (url.pathname = '/no_such_database')), 'ledger.missing', 2],
        [changed((url) => url.searchParams.set('schema', 'nothing_there')), 'ledger.missing', 2],
        [changed((url) => url.searchParams.set('sslmode', 'verify-full')), 'ledger.refused', 2],
        [changed((url) => url.searchParams.set('sslmode', 'prefer')), 'ledger.url', 2],
        [changed((url) => url.searchParams.set('host', 'elsewhere.example')), 'ledger.url', 2],
        ['esdb://admin:tell-nobody@localhost', 'ledger.url', 2],
        ['postgres:', 'ledger.url', 2],
      ];
      for (const [ledger, code, exit] of cases) {
        const ended = await verify(ledger);
        expect([ended.stderr.includes(`${code} (`), ended.exit, ledger]).toEqual([true, exit, ledger]);
        expect(ended.stdout + ended.stderr).not.toContain('tell-nobody');
      }
      await server.admin('UPDATE openexec.migrations SET version = 99 WHERE version > 1', databaseOf(address));
      expect(await verify(address)).toMatchObject({ exit: 2, stderr: expect.stringContaining('ledger.newer') });
      await server.admin('UPDATE openexec.migrations SET version = 2 WHERE version > 1', databaseOf(address));
      await server.admin(`UPDATE openexec.entries SET payload = '{}'::bytea WHERE idx = 0`, databaseOf(address));
      expect(await verify(address)).toMatchObject({ exit: 20 });
      expect(at.password).toBe('');
    },
    TIME_MS,
  );

  test(
    'a role that may not read, or not write, is told what it lacks and nothing is stored; with the rights that the page names it reads, and runs',
    async () => {
      await founded();
      const role = `plain_${databaseOf(address)}`;
      const grant = (rights: string): Promise<unknown> => server.admin(`GRANT ${rights} TO ${role}`, databaseOf(address));
      const as = (...args: readonly string[]): Promise<Ended> =>
        bundle.run(args, { cwd: place.root, env: { ...place.env, ...provider.env, PGUSER: role } });
      const told = async (code: string, said: string, ...args: readonly string[]): Promise<void> => {
        const { exit, stderr } = await as(...args);
        expect([exit, stderr]).toEqual([2, expect.stringContaining(`${code} (`)]);
        expect(stderr).toContain(said);
      };
      await server.admin(`CREATE ROLE ${role} LOGIN`);
      await told('ledger.denied', 'the role may not use the schema', 'verify');
      await grant('USAGE ON SCHEMA openexec');
      await told('ledger.denied', 'permission denied for table migrations', 'runs');
      await grant('SELECT ON openexec.migrations');
      await told('ledger.denied', `the role ${role} may not read blob_parts, blobs, checkpoints, entries, head`, 'verify');
      await grant('SELECT ON ALL TABLES IN SCHEMA openexec');
      const entries = async (): Promise<unknown> =>
        (JSON.parse((await as('verify', '--json')).stdout) as { readonly entries: number }).entries;
      const before = await entries();
      expect(before).toBeGreaterThan(0);
      await told('ledger.readOnly', `the role ${role} may not write blob_parts, blobs, checkpoints, entries, head`, 'run', 'Make sum add');
      await grant('UPDATE ON openexec.head');
      await told(
        'ledger.readOnly',
        `may not write blob_parts, blobs, checkpoints, entries, snapshots, subtrees, trajectories`,
        'run',
        'Make sum add',
      );
      expect(await entries()).toBe(before);
      await grant('INSERT ON ALL TABLES IN SCHEMA openexec');
      await grant('UPDATE ON openexec.trajectories, openexec.blobs');
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
      expect(await as('run', 'Make sum add', '--json')).toMatchObject({ exit: 0 });
      expect(await as('verify', '--deep')).toMatchObject({ exit: 0 });
    },
    TIME_MS,
  );

  test(
    'a server that only the repository names is not connected to before it is pinned',
    async () => {
      await founded();
      const connections = async (): Promise<number> => {
        const seen = await server.admin(`SELECT sessions FROM pg_stat_database WHERE datname = '${databaseOf(address)}'`);
        return Number((seen.rows[0] as { readonly sessions: string } | undefined)?.sessions);
      };
      const stranger = { ...place.env, XDG_CONFIG_HOME: join(place.folder, 'stranger'), PGUSER: 'openexec' };
      const before = await connections();
      for (const command of [['runs'], ['verify'], ['init'], ['run', 'x']])
        expect(await bundle.run(command, { cwd: place.root, env: { ...stranger, ...provider.env } })).toMatchObject({
          exit: 2,
          stderr: expect.stringContaining('ledger.unpinned'),
        });
      expect(await connections()).toBe(before);
    },
    TIME_MS,
  );

  test('a password in a configuration file is refused, and its text is not shown', async () => {
    place.write('.openexec/config.yaml', 'version: 1\nledger: "postgres://me:tell-nobody@db.example/x"\n');
    const ended = await openexec('runs');
    expect(ended).toMatchObject({ exit: 2, stderr: expect.stringContaining('config.invalid') });
    expect(ended.stderr).toContain('PGPASSWORD');
    expect(ended.stderr).not.toContain('tell-nobody');
  });
});

test(
  'users of a file load neither the driver of Postgres nor its query builder: no chunk that the command reaches at its start holds them',
  () => {
    const folder = dirname(bundle.entry);
    // Static imports only: what `import()` names is loaded when it is called, and only a place in Postgres calls for the driver.
    const reached = new Set<string>();
    const walk = (path: string): void => {
      if (reached.has(path)) return;
      reached.add(path);
      for (const [, to = ''] of readFileSync(path, 'utf8').matchAll(
        /(?:^|[;\n])\s*(?:import|export)\s*(?:[^"';()]*?from\s*)?["'](\.[^"']+)["']/g,
      ))
        walk(join(dirname(path), to));
    };
    const isDriver = (path: string): boolean => /pg_try_advisory_lock|class PostgresDialect|pg-protocol/.test(readFileSync(path, 'utf8'));
    const chunks = readdirSync(join(folder, 'chunks')).map((name) => join(folder, 'chunks', name));
    // The driver is in the bundle, and something is reached: else this test would look at nothing.
    expect(chunks.filter(isDriver).length).toBeGreaterThan(0);
    for (const start of [bundle.entry, ...chunks.filter((path) => /\/(run|init|verify|openLedger)-[^/]*$/.test(path))]) walk(start);
    expect(reached.size).toBeGreaterThan(10);
    expect([...reached].filter(isDriver)).toEqual([]);
  },
  TIME_MS,
);
