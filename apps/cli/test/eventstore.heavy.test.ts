/**
 * The ledger in EventStoreDB, through the bundle and against a node that speaks the client's protocol: founding, runs, kills, lost connections, leases,
 * moving, erasing, examining, refusals, and what users of a file do not load.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startPostgres } from '@openexec/stores/testServer';
import type { Ended } from './cli.ts';
import { type EventStoreNode, startNode } from './eventstoreNode.ts';
import { patchSum } from './place.ts';
import { bundle, inEachPlace, openexec, place, provider } from './scene.ts';

let node: EventStoreNode;
let stream = '';
let address = '';
let serial = 0;
const TIME_MS = 180_000;

beforeAll(async () => {
  node = await startNode();
}, TIME_MS);
afterAll(async () => {
  await node.stop();
}, TIME_MS);
inEachPlace(() => {
  stream = `cli-${++serial}`;
  address = `esdb://127.0.0.1:${node.port}/?stream=${stream}&tls=false`;
  place.git('config', 'user.name', 'A Person');
  place.git('config', 'user.email', 'person@example.org');
});

async function founded(): Promise<void> {
  expect(await openexec('init', '--model', 'openai:gpt-test', '--ledger', address, '--companion', 'sqlite:')).toMatchObject({
    exit: 0,
    stderr: '',
  });
}

describe('a ledger in EventStoreDB', () => {
  test(
    'is founded by init, named by the configuration with its companion, and carries a run, its proof, its replay and its result',
    async () => {
      await founded();
      expect(readFileSync(join(place.root, '.openexec/config.yaml'), 'utf8')).toContain(
        `ledger: ${JSON.stringify({ eventstore: address, companion: 'sqlite:' })}`,
      );
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
      expect(await openexec('run', 'Make sum add', '--json')).toMatchObject({ exit: 0 });
      expect(await openexec('verify', '--deep')).toMatchObject({ exit: 0, stdout: expect.stringContaining('every judgement agrees') });
      expect(await openexec('replay', 'latest')).toMatchObject({ exit: 0 });
      expect(await openexec('timeline', 'latest')).toMatchObject({ exit: 0, stdout: expect.stringContaining('closed, done') });
      const info = JSON.parse((await openexec('ledger', 'info', '--json')).stdout) as { readonly path: string; readonly pinned: string };
      expect(info.path).toBe(`esdb://127.0.0.1:${node.port}/?stream=${stream}&tls=false&companion=sqlite%3A`);
      expect(info.pinned).toMatch(/^sha256:/);
      expect(await openexec('doctor')).toMatchObject({ stdout: expect.stringContaining('the stream forgets nothing') });
      expect(await openexec('apply', 'latest')).toMatchObject({ exit: 0 });
      expect(readFileSync(join(place.root, 'sum.js'), 'utf8')).toContain('a + b');
      // The entries are in the stream, and nothing else of the run is.
      const entries = (await node.obey({ order: 'entries', stream })) as readonly string[];
      expect(entries.some((entry) => entry.includes('"kind":"run.closed"'))).toBe(true);
      expect(entries.some((entry) => entry.includes('Make sum add'))).toBe(false);
      // The same place by the environment, in the other spelling.
      const env = { ...place.env, OPENEXEC_LEDGER: address.replace('esdb:', 'kurrentdb:'), OPENEXEC_COMPANION: 'sqlite:' };
      expect(await bundle.run(['verify', '--deep'], { cwd: place.folder, env })).toMatchObject({
        exit: 0,
        stdout: expect.stringContaining('trust pinned'),
      });
    },
    TIME_MS,
  );
});

describe('a driver on EventStoreDB', () => {
  test(
    'E06: outlives its connections and its own death; while it lives a second one is refused',
    async () => {
      await founded();
      let answer: () => void = () => undefined;
      provider.say({ after: new Promise<void>((resolve) => (answer = resolve)), text: 'never heard' });
      const life = bundle.start(['run', 'Make sum add'], { cwd: place.root, env: { ...place.env, ...provider.env } });
      await provider.arrived(1);
      expect(await openexec('resume', 'latest')).toMatchObject({ exit: 2, stderr: expect.stringContaining('run.busy') });
      life.kill('SIGKILL');
      await life.ended;
      answer();
      // The next one loses all its connections while the model thinks.
      let second: () => void = () => undefined;
      provider.say({ after: new Promise<void>((resolve) => (second = resolve)), calls: [patchSum('-', '+')] }, { text: 'done' });
      const next = bundle.start(['resume', 'latest'], { cwd: place.root, env: { ...place.env, ...provider.env } });
      await provider.arrived(2);
      await node.obey({ order: 'disconnect' });
      // An append that is on its way when a connection goes has an unknown outcome, and stops its driver: this one learns of the loss first.
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      second();
      expect(await next.ended).toMatchObject({ exit: 0 });
      expect(await openexec('verify', '--deep')).toMatchObject({ exit: 0 });
    },
    TIME_MS,
  );

  test(
    'stops with its code where an append was sent and not answered, and the next driver finds out what became of it',
    async () => {
      await founded();
      for (const fault of ['cutAfter', 'cutBefore']) {
        let answer: () => void = () => undefined;
        provider.say({ after: new Promise<void>((resolve) => (answer = resolve)), calls: [patchSum('-', '+')] });
        const before = provider.requests.length;
        const life = bundle.start(['run', 'Make sum add'], { cwd: place.root, env: { ...place.env, ...provider.env } });
        await provider.arrived(before + 1);
        await node.obey({ order: 'fail', faults: [fault] });
        answer();
        expect(await life.ended).toMatchObject({ exit: 1, stderr: expect.stringContaining('ledger.failed') });
        provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' }, { text: 'done' });
        expect(await openexec('resume', 'latest')).toMatchObject({ exit: 0 });
        expect(await openexec('verify', '--deep')).toMatchObject({ exit: 0 });
      }
    },
    TIME_MS,
  );
});

test(
  'with a companion in Postgres its lease holds across hosts, and its connections may be cut while the model thinks',
  async () => {
    const server = await startPostgres();
    let answer: () => void = () => undefined;
    try {
      const companion = await server.database();
      const named = ['--ledger', address, '--companion', companion];
      expect(await openexec('init', '--model', 'openai:gpt-test', ...named)).toMatchObject({ exit: 0, stderr: '' });
      const config = readFileSync(join(place.root, '.openexec/config.yaml'), 'utf8');
      expect(config).toContain(`"companion":"postgres://${new URL(companion).host}${new URL(companion).pathname}"`);
      provider.say({ after: new Promise<void>((resolve) => (answer = resolve)), calls: [patchSum('-', '+')] }, { text: 'done' });
      // The configuration names no user: the environment does, as for any client of Postgres.
      const env = { ...place.env, ...provider.env, PGUSER: 'openexec' };
      const life = bundle.start(['run', 'Make sum add'], { cwd: place.root, env });
      await provider.arrived(1);
      // Another host: nothing of the first one's state but its keys.
      const state = join(place.folder, 'elsewhere');
      cpSync(place.state, state, { recursive: true, filter: (from) => !from.endsWith('.lease') });
      expect(await bundle.run(['resume', 'latest'], { cwd: place.root, env: { ...env, OPENEXEC_STATE_DIR: state } })).toMatchObject({
        exit: 2,
        stderr: expect.stringContaining('run.busy'),
      });
      const cut = await server.admin(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${new URL(companion).pathname.slice(1)}' AND application_name LIKE 'openexec%'`,
      );
      expect(cut.rowCount).toBeGreaterThan(1);
      answer();
      expect(await life.ended).toMatchObject({ exit: 0 });
      for (const command of [
        ['verify', '--deep'],
        ['ledger', 'fsck'],
        ['ledger', 'fsck', '--repair'],
      ])
        expect(await bundle.run(command, { cwd: place.root, env })).toMatchObject({ exit: 0 });
    } finally {
      answer();
      await server.stop();
    }
  },
  TIME_MS,
);

test(
  'a ledger moves from a file into EventStoreDB and back out with the same checkpoint, forgets, and is examined; the sealed source refuses',
  async () => {
    const at = (name: string): string => join(place.folder, name);
    const done = async (...args: readonly string[]): Promise<string> => {
      const ended = await openexec(...args);
      if (ended.exit !== 0) throw new Error(`${args.join(' ')}: ${ended.exit}: ${ended.stdout}${ended.stderr}`);
      return ended.stdout;
    };
    const here = ['--ledger', address, '--companion', `sqlite:${at('companion.db')}`];
    await done('init', '--model', 'openai:gpt-test');
    provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
    await done('run', 'Make sum add canary-5e1d');
    const id = (await done('ledger', 'import', '--prepare', ...here)).trim();
    await done('ledger', 'export', at('moved.oxl'), '--move', '--to', id);
    const sealed = JSON.parse(await done('ledger', 'info', '--json')) as { readonly fingerprint: string; readonly root: string };
    expect(await openexec('run', 'Anything')).toMatchObject({ exit: 2, stderr: expect.stringContaining('ledger.sealed') });
    expect(await done('ledger', 'import', at('moved.oxl'), ...here)).toContain('this store goes on');
    expect(await openexec('ledger', 'import', at('moved.oxl'), ...here)).toMatchObject({
      exit: 2,
      stderr: expect.stringContaining('ledger.notEmpty'),
    });
    await done('ledger', 'pin', sealed.fingerprint, ...here);
    expect(JSON.parse(await done('ledger', 'info', '--json', ...here))).toMatchObject({ root: sealed.root, pinned: sealed.fingerprint });
    // Out again, into a file: the same bytes, the same checkpoints.
    await done('ledger', 'export', at('again.oxl'), ...here);
    expect(readFileSync(at('again.oxl')).equals(readFileSync(at('moved.oxl')))).toBe(true);
    // It forgets, and says so.
    expect(readFileSync(at('companion.db')).includes('canary-5e1d')).toBe(true);
    expect(await done('ledger', 'erase', 'latest', '--because', 'asked by the customer', ...here)).toContain('every proof stays');
    for (const name of readdirSync(place.folder).filter((each) => each.startsWith('companion.db')))
      expect([name, readFileSync(at(name)).includes('canary-5e1d')]).toEqual([name, false]);
    expect(await done('verify', ...here)).toContain('erased');
    expect(await done('ledger', 'fsck', ...here)).toContain('examined');
    expect(await done('ledger', 'fsck', '--repair', ...here)).toContain('examined');
    expect(await openexec('ledger', 'backup', at('backup.db'), ...here)).toMatchObject({
      exit: 2,
      stderr: expect.stringContaining('ledger export'),
    });
    // The run goes on there.
    provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
    await done('run', 'Make sum add once more', ...here);
    expect(await done('verify', '--deep', ...here)).toContain('entries');
  },
  TIME_MS,
);

describe('refusals', () => {
  test(
    'each have their code and exit, name what to do, and show no password',
    async () => {
      await founded();
      const secret = 'tell-nobody';
      const cases: readonly (readonly [readonly string[], string, number])[] = [
        [['--ledger', address], 'ledger.url', 2],
        [['--ledger', `${address}&nodePreference=follower`, '--companion', 'sqlite:'], 'ledger.url', 2],
        [['--ledger', `esdb://ops:${secret}@127.0.0.1:${node.port}/?tls=false`, '--companion', 'sqlite:'], 'ledger.url', 2],
        [['--ledger', address, '--companion', `mysql://ops:${secret}@h/x`], 'ledger.url', 2],
        [['--ledger', address, '--companion', `postgres://ops:${secret}@127.0.0.1:1/x`], 'ledger.unreachable', 1],
        [['--ledger', `sqlite:${join(place.folder, 'x.db')}`, '--companion', 'sqlite:'], 'ledger.url', 2],
        [['--ledger', address.replace(String(node.port), '1'), '--companion', 'sqlite:'], 'ledger.unreachable', 1],
        [['--ledger', address, '--companion', `sqlite:${join(place.folder, 'other.db')}`], 'ledger.missing', 2],
        [['--ledger', address.replace(stream, 'nothing-there'), '--companion', 'sqlite:'], 'ledger.missing', 2],
      ];
      for (const [args, code, exit] of cases) {
        const ended = await openexec('verify', ...args);
        expect([args, ended.stderr.includes(`${code} (`), ended.exit]).toEqual([args, true, exit]);
        expect(ended.stdout + ended.stderr).not.toContain(secret);
      }
      expect((await openexec('verify', '--ledger', address)).stderr).toContain('--companion sqlite:');
    },
    TIME_MS,
  );

  test(
    'a stream that was told to forget is not written to, deleted ones are damage, and a cluster that only the repository names is not asked',
    async () => {
      await founded();
      await node.obey({ order: 'metadata', stream, body: { $maxCount: 5 } });
      for (const command of [['verify'], ['run', 'x']])
        expect(await openexec(...command)).toMatchObject({ exit: 2, stderr: expect.stringContaining('ledger.notDurable') });
      await node.obey({ order: 'metadata', stream, body: {} });
      expect(await openexec('verify')).toMatchObject({ exit: 0 });
      const stranger = { ...place.env, ...provider.env, XDG_CONFIG_HOME: join(place.folder, 'stranger') };
      for (const command of [['runs'], ['verify'], ['init'], ['run', 'x']])
        expect(await bundle.run(command, { cwd: place.root, env: stranger })).toMatchObject({
          exit: 2,
          stderr: expect.stringContaining('ledger.unpinned'),
        });
      await node.obey({ order: 'tombstone', stream });
      expect(await openexec('verify')).toMatchObject({ exit: 20, stderr: expect.stringContaining('ledger.corrupt') });
    },
    TIME_MS,
  );

  test('a password in a configuration file is refused, and its text is not shown', async () => {
    for (const ledger of [
      '"esdb://ops:tell-nobody@db.example/?stream=x"',
      '"esdb://db.example/?companion=postgres%3A%2F%2Fops%3Atell-nobody%40db.example%2Fx"',
      '{eventstore: "esdb://db.example", companion: "postgres://ops:tell-nobody@db.example/x"}',
    ]) {
      place.write('.openexec/config.yaml', `version: 1\nledger: ${ledger}\n`);
      const ended = await openexec('runs');
      expect(ended).toMatchObject({ exit: 2, stderr: expect.stringContaining('config.invalid') });
      expect(ended.stderr).toContain('OPENEXEC_EVENTSTORE_PASSWORD');
      expect(ended.stderr).not.toContain('tell-nobody');
    }
  });
});

test(
  'the login comes from the environment, and the stream is reached by TLS with the authority that the address names',
  async () => {
    const [key, cert] = [join(place.folder, 'key.pem'), join(place.folder, 'cert.pem')];
    const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2', '-nodes'];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-keyout', key, '-out', cert, ...subject], { stdio: 'pipe' });
    const secure = await startNode([key, cert, 'ops', 'p@ss:word']);
    try {
      const ledger = `esdb://127.0.0.1:${secure.port}/?stream=secure&tlsCAFile=${encodeURIComponent(cert)}`;
      const env = { ...place.env, OPENEXEC_EVENTSTORE_USER: 'ops', OPENEXEC_EVENTSTORE_PASSWORD: 'p@ss:word' };
      const typed = (more: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Ended> =>
        bundle.run(args, { cwd: place.root, env: { ...env, ...more } });
      expect(await typed({}, 'init', '--ledger', ledger, '--companion', 'sqlite:')).toMatchObject({ exit: 0 });
      const config = readFileSync(join(place.root, '.openexec/config.yaml'), 'utf8');
      expect(config).toContain('eventstore');
      expect(config).not.toContain('ops');
      expect(await typed({}, 'verify')).toMatchObject({ exit: 0 });
      expect(await typed({ OPENEXEC_EVENTSTORE_PASSWORD: 'wrong' }, 'verify')).toMatchObject({
        exit: 2,
        stderr: expect.stringContaining('ledger.refused'),
      });
      expect(await typed({ OPENEXEC_EVENTSTORE_PASSWORD: '' }, 'verify')).toMatchObject({
        exit: 2,
        stderr: expect.stringContaining('ledger.url'),
      });
    } finally {
      await secure.stop();
    }
  },
  TIME_MS,
);

test(
  'users of a file do not load the client: no chunk that the command reaches at its start holds it',
  () => {
    const folder = dirname(bundle.entry);
    const reached = new Set<string>();
    // Static imports only: what `import()` names is loaded when it is called, and only a place in EventStoreDB calls for the client.
    const walk = (path: string): void => {
      if (reached.has(path)) return;
      reached.add(path);
      for (const [, to = ''] of readFileSync(path, 'utf8').matchAll(
        /(?:^|[;\n])\s*(?:import|export)\s*(?:[^"';()]*?from\s*)?["'](\.[^"']+)["']/g,
      ))
        walk(join(dirname(path), to));
    };
    const isClient = (path: string): boolean => /EventStoreDBClient|grpc-node-js/.test(readFileSync(path, 'utf8'));
    const chunks = readdirSync(join(folder, 'chunks')).map((name) => join(folder, 'chunks', name));
    // The client is in the bundle, and something is reached: else this test would look at nothing.
    expect(chunks.filter(isClient).length).toBeGreaterThan(0);
    for (const start of [bundle.entry, ...chunks.filter((path) => /\/(run|init|verify|openLedger)-[^/]*$/.test(path))]) walk(start);
    expect(reached.size).toBeGreaterThan(10);
    expect([...reached].filter(isClient)).toEqual([]);
  },
  TIME_MS,
);
