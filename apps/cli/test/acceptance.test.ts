/**
 * Expectations of GOALS §1 through the bundle, each under its id, and the gate that holds requirements.ts against the tests that there are.
 */
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { inflated } from '@openexec/stores';
import Database from 'better-sqlite3';
import { type Bundle, buildBundle, type Ended } from './cli.ts';
import { makePlace, type Place, patchScripts, patchSum } from './place.ts';
import { REQUIREMENTS } from './requirements.ts';
import { verifies } from './verifies.ts';

const HOUSE = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const TIME_MS = 240_000;

/** One line of `timeline --jsonl`, as far as these tests read it. */
interface Line {
  readonly kind: string;
  readonly body: { readonly [member: string]: unknown };
}
type Call = { readonly name: string; readonly arguments: object };

describe('with the bundle', () => {
  let bundle: Bundle;
  let place: Place;
  beforeAll(async () => {
    bundle = await buildBundle();
  }, TIME_MS);
  afterAll(() => bundle.remove());
  beforeEach(() => {
    place = makePlace();
  });
  afterEach(() => place.remove());

  const openexec = (...args: readonly string[]): Promise<Ended> => bundle.run(args, { cwd: place.root, env: place.env });
  /** A run whose model says these turns. */
  const run = (turns: readonly (readonly Call[])[], ...more: readonly string[]): Promise<Ended> => {
    const script = join(place.folder, 'script.json');
    writeFileSync(script, JSON.stringify({ answers: turns.map((calls) => ({ stage: 'implement', text: 'said', calls })) }));
    return openexec('run', 'Make sum add', '--model', `scripted:${script}`, '--json', ...more);
  };
  const timeline = async (): Promise<readonly Line[]> => {
    const lines = (await openexec('timeline', 'latest', '--jsonl')).stdout.trimEnd().split('\n');
    return lines.map((line) => JSON.parse(line) as Line);
  };
  const init = async (): Promise<void> => expect(await openexec('init')).toMatchObject({ exit: 0 });
  const database = (): string => join(place.root, '.openexec/ledger.db');
  const branches = (): string => place.git('for-each-ref', '--format=%(refname)', 'refs/heads/openexec/');

  verifies(
    'E07',
    'what the model says of its own risk is recorded and changes no verdict, no reason and no effect',
    async () => {
      await init();
      const CLAIMS = [null, 'none', 'low', 'critical'] as const;
      const told: {
        readonly exit: number | null;
        readonly decided: readonly { readonly verdict: unknown }[];
        readonly effects: unknown;
        readonly tree: string;
      }[] = [];
      for (const claim of CLAIMS) {
        const claims = claim === null ? {} : { claimedRisk: claim, rationale: `the risk is ${claim}` };
        const calls: readonly Call[] = [
          { name: 'read_file', arguments: { path: 'sum.js' } },
          { name: 'read_file', arguments: { path: '.env' } },
          { name: 'http_get', arguments: { url: 'https://example.org/' } },
          patchScripts(),
          patchSum('-', '+'),
        ];
        const ended = await run(
          [calls.map((call) => ({ ...call, arguments: { ...call.arguments, ...claims } })), []],
          '--approve',
          'never',
        );
        const lines = await timeline();
        const bodies = (kind: string) => lines.filter((line) => line.kind === kind).map(({ body }) => body);
        const declared = bodies('intent.declared').filter(({ author }) => author === 'model');
        expect(declared).toHaveLength(calls.length);
        for (const { claims: recorded } of declared)
          expect(recorded).toEqual({ rationale: claims.rationale ?? null, claimedRisk: claims.claimedRisk ?? null });
        // Beside the claim itself, nothing of the run knows it.
        for (const { body, kind } of lines)
          if (kind !== 'intent.declared' && claim !== null) expect(JSON.stringify(body)).not.toContain('claimedRisk');
        told.push({
          exit: ended.exit,
          decided: bodies('policy.decided').map(({ verdict, because, rule }) => ({ verdict, because, rule })),
          effects: bodies('execution.started').map(({ action, input, deadlineMs }) => ({
            action,
            input: action === 'commit_changes' ? null : input,
            deadlineMs,
          })),
          tree: (JSON.parse(ended.stdout) as { readonly result: { readonly tree: string } }).result.tree,
        });
      }
      const verdicts = told[0]?.decided.map(({ verdict }) => verdict);
      expect(verdicts).toEqual(expect.arrayContaining(['permit', 'deny']));
      for (const other of told.slice(1)) expect(other).toEqual(told[0]);
    },
    TIME_MS,
  );

  verifies(
    'E12',
    'a budget that is used up ends the run with 13, and says so',
    async () => {
      await init();
      const file = join(place.root, '.openexec/config.yaml');
      writeFileSync(file, readFileSync(file, 'utf8').replace(/calls: \d+/, 'calls: 1'));
      const ended = await run([[{ name: 'read_file', arguments: { path: 'sum.js' } }], []]);
      expect(ended.exit).toBe(13);
      expect(JSON.parse(ended.stdout)).toMatchObject({
        status: 'exhausted',
        exit: 13,
        because: { code: 'budget.exhausted' },
        result: null,
      });
      expect(branches()).toBe('');
    },
    TIME_MS,
  );

  describe('a ledger whose disk refuses one entry', () => {
    /** Positions of entries in a run of these turns that nothing refuses: that of every run of them. */
    const places = new Map<string, number>();
    const placeOf = (kind: string, words: string): number => places.get(`${kind} ${words}`) ?? -1;
    const WANTED = [
      ['execution.started', '"action":"apply_patch"'],
      ['execution.started', '"action":"commit_changes"'],
      ['execution.observed', '"ref":"refs/heads/openexec/'],
    ] as const;
    beforeAll(async () => {
      place = makePlace();
      await init();
      expect((await run(turns)).exit).toBe(0);
      const lines = (await openexec('ledger', 'read', '--jsonl')).stdout.trimEnd().split('\n');
      for (const line of lines) {
        const { entry, payload } = JSON.parse(line) as { readonly entry: string; readonly payload: string | null };
        const { kind, seq, trajectory } = JSON.parse(entry) as { readonly kind: string; readonly seq: number; readonly trajectory: string };
        if (!trajectory.startsWith('run/')) continue;
        for (const [wanted, words] of WANTED) if (kind === wanted && payload?.includes(words)) places.set(`${kind} ${words}`, seq);
      }
      expect(places.size).toBe(WANTED.length);
      place.remove();
    }, TIME_MS);
    /** From now on the run's entry of this kind whose payload holds the words is refused, as a failing disk would. */
    const refuse = (...[kind, words]: (typeof WANTED)[number]): void => {
      const db = new Database(database());
      // Columns are packed, so that the entry is told by its place.
      db.exec(`CREATE TRIGGER refusing BEFORE INSERT ON entries
        WHEN NEW.seq = ${placeOf(kind, words)} AND EXISTS (SELECT 1 FROM trajectories WHERE id = NEW.trajectory AND name LIKE 'run/%')
        BEGIN SELECT RAISE(ABORT, 'the disk says no'); END`);
      db.close();
    };
    const heal = (): void => {
      const db = new Database(database());
      db.exec('DROP TRIGGER refusing');
      db.close();
    };
    const resume = async (): Promise<void> => {
      heal();
      const ended = await openexec('resume', 'latest', '--json');
      expect({ exit: ended.exit, said: ended.exit === 0 ? '' : ended.stderr }).toEqual({ exit: 0, said: '' });
      expect(branches().trim().split('\n')).toHaveLength(1);
      expect(place.git('reflog', 'show', '--format=%H', branches().trim()).trim().split('\n')).toHaveLength(1);
      expect((await openexec('verify', '--deep')).exit).toBe(0);
    };
    const turns = [[{ name: 'read_file', arguments: { path: 'sum.js' } }], [patchSum('-', '+')], []];
    /** The working copy of the run, wherever it lies below the state folder. */
    const copies = (): readonly string[] =>
      readdirSync(place.state, { recursive: true, encoding: 'utf8' })
        .filter((path) => path.endsWith('/sum.js'))
        .map((path) => readFileSync(join(place.state, path), 'utf8'));

    verifies(
      'E18',
      'does not change a file whose change it could not record beforehand, and goes on once it can be written again',
      async () => {
        await init();
        refuse('execution.started', '"action":"apply_patch"');
        const ended = await run(turns);
        expect(ended.exit).toBe(1);
        expect(copies().length).toBeGreaterThan(0);
        for (const text of copies()) expect(text).toContain('return a - b');
        expect((await timeline()).flatMap(({ kind, body }) => (kind === 'execution.started' ? [body['action']] : []))).toEqual([
          'read_file',
        ]);
        await resume();
      },
      TIME_MS,
    );

    verifies(
      'E18',
      'does not make the branch that it could not record beforehand',
      async () => {
        await init();
        refuse('execution.started', '"action":"commit_changes"');
        const objects = place.git('count-objects', '-v');
        const ended = await run(turns);
        expect(ended.exit).toBe(1);
        expect(branches()).toBe('');
        expect(place.git('count-objects', '-v')).toBe(objects);
        await resume();
      },
      TIME_MS,
    );

    verifies(
      'E18',
      'stops when it cannot record what was done, says so, and later finds the one branch instead of making another',
      async () => {
        await init();
        refuse('execution.observed', '"ref":"refs/heads/openexec/');
        const ended = await run(turns);
        expect(ended.exit).toBe(1);
        expect(JSON.parse(ended.stdout)).toMatchObject({ error: { exit: 1, where: 'ledger' } });
        const made = branches();
        expect(made).not.toBe('');
        await resume();
        expect(branches()).toBe(made);
      },
      TIME_MS,
    );
  });

  verifies(
    'E22',
    'git status, git log, npm test, node --test and tsc work as the test command of a run, and nobody is asked',
    async () => {
      const native = readdirSync(join(HOUSE, 'node_modules/@typescript')).map((name) => `@typescript/${name}`);
      for (const name of ['typescript', ...native])
        cpSync(join(HOUSE, 'node_modules', name), join(place.root, 'node_modules', name), { recursive: true });
      place.write('.gitignore', 'node_modules/\n');
      place.write('typed.ts', 'export const one: number = 1;\n');
      place.write(
        'tools.mjs',
        [
          "import { spawnSync } from 'node:child_process';",
          'const tools = [',
          "  ['git', 'status', '--short'],",
          "  ['git', 'log', '--oneline', '-1'],",
          "  ['npm', 'test'],",
          "  ['node', '--test'],",
          "  ['node', 'node_modules/typescript/bin/tsc', '--noEmit', '--strict', 'typed.ts'],",
          '];',
          'const env = { ...process.env, TOOLS: "" };',
          'let worst = 0;',
          'for (const [file, ...args] of tools) {',
          "  const done = spawnSync(file, args, { encoding: 'utf8', env });",
          "  console.log('TOOL', file, args.join(' '), '->', done.status ?? done.signal ?? done.error, JSON.stringify((done.stdout ?? '').slice(-200) + (done.stderr ?? '').slice(-200)));",
          '  worst = Math.max(worst, done.status ?? 1);',
          '}',
          'process.exit(worst);',
          '',
        ].join('\n'),
      );
      place.git('add', '-A');
      place.git('-c', 'user.name=Test', '-c', 'user.email=test@example.org', 'commit', '-q', '-m', 'tools');
      await init();
      const file = join(place.root, '.openexec/config.yaml');
      const written = readFileSync(file, 'utf8');
      // The default profile as init writes it; only the command is ours.
      expect(written).toContain('provide: ["node_modules"]');
      writeFileSync(file, written.replace(/test: \{argv: \[[^\]]*\]/, 'test: {argv: ["node", "tools.mjs"]'));
      const ended = await run([[patchSum('-', '+')], []]);
      const lines = await timeline();
      const tests = lines.find(({ kind, body }) => kind === 'execution.observed' && body['exitCode'] !== null);
      const said = JSON.stringify({ exit: ended.exit, stderr: ended.stderr.slice(-2000), tests: tests?.body });
      expect({ exit: ended.exit, said: ended.exit === 0 ? '' : said }).toEqual({ exit: 0, said: '' });
      expect(lines.filter(({ kind }) => kind === 'approval.requested')).toEqual([]);
      const output = outputOf(database(), tests);
      for (const tool of [
        'git status --short',
        'git log --oneline -1',
        'npm test',
        'node --test',
        'node node_modules/typescript/bin/tsc --noEmit --strict typed.ts',
      ])
        expect(output).toContain(`TOOL ${tool} -> 0 `);
      expect(output).toContain('M sum.js');
    },
    TIME_MS,
  );
});

/** What a command printed, from the store itself. */
function outputOf(path: string, observed: Line | undefined): string {
  if (observed === undefined) throw new Error('no command was observed');
  const { digest } = observed.body['output'] as { readonly digest: string };
  const db = new Database(path, { readonly: true });
  const [length, bytes] = db.prepare('SELECT length, bytes FROM blobs WHERE digest = ?').raw().get(digest) as [number, Uint8Array];
  db.close();
  return Buffer.from(inflated(bytes, length)).toString('utf8');
}

describe('the table of expectations', () => {
  const files = ['apps', 'libs'].flatMap((group) =>
    readdirSync(join(HOUSE, group)).flatMap((name) => {
      const folder = join(HOUSE, group, name, 'test');
      if (!existsSync(folder)) return [];
      return readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.test.ts'))
        .map((file) => join(folder, file));
    }),
  );
  const texts = new Map(files.map((file) => [relative(HOUSE, file), readFileSync(file, 'utf8')]));
  /** Ids under which there is a test: by `verifies`, or at the beginning of a title. */
  const tested = [...texts].flatMap(([file, text]) =>
    [...text.matchAll(/\bverifies\(\s*'(E\d+)'|\btest\(\s*['"`](E\d+):/g)].map(([, one, other]) => ({ file, id: one ?? other ?? '' })),
  );

  test('has E01 to E22, each with a sentence, and what is missing exactly where something is', () => {
    expect(Object.keys(REQUIREMENTS)).toEqual(Array.from({ length: 22 }, (_, at) => `E${String(at + 1).padStart(2, '0')}`));
    for (const [id, { sentence, status, missing }] of Object.entries(REQUIREMENTS))
      expect({ id, said: sentence !== '', lacks: missing !== null }).toEqual({ id, said: true, lacks: status !== 'proven' });
  });

  test('knows every id that a test names', () => {
    expect(tested.length).toBeGreaterThan(0);
    expect(tested.filter(({ id }) => REQUIREMENTS[id] === undefined)).toEqual([]);
    const [unknown, unclaimed] = ['E99', 'E15'];
    expect(() => verifies(unknown, 'nothing', () => undefined)).toThrow('no expectation E99');
    expect(() => verifies(unclaimed, 'nothing', () => undefined)).toThrow('still says later');
  });

  test.each(Object.entries(REQUIREMENTS))('%s has the tests that its status needs', (id, { status, cites }) => {
    const own = tested.filter((each) => each.id === id).length;
    expect({ id, isTested: own + cites.length > 0 }).toEqual({ id, isTested: status !== 'later' });
  });

  test('cites no test that is not there', () => {
    const cited = Object.entries(REQUIREMENTS).flatMap(([id, { cites }]) => cites.map((each) => ({ id, ...each })));
    const stale = cited.filter(({ file, title }) => texts.get(file)?.includes(`'${title}'`) !== true);
    expect(stale).toEqual([]);
  });
});
