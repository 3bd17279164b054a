/**
 * The demo end to end through the bundle, then its ledger under every reading command: cursors, shapes, proofs, forged bytes, a
 * rolled-back file.
 */
import { chmodSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Json, toHex } from '@openexec/canon';
import { leafHash, openCheckpoint, verifyTlogProof } from '@openexec/proof';
import Database from 'better-sqlite3';
import { type Bundle, buildBundle, type Ended } from './cli.ts';
import { rewrite } from './forger.ts';

interface Line {
  readonly v: number;
  readonly run: string;
  readonly seq: number;
  readonly at: string;
  readonly kind: string;
  readonly cursor: string;
  readonly class: string;
  readonly body: Readonly<Record<string, unknown>>;
}
interface VerifyDocument {
  readonly exit: number;
  readonly sound: boolean;
  readonly level: string | null;
  readonly trust: string;
  readonly entries: number;
  readonly fingerprint: string;
  readonly firstBad: number | null;
  readonly findings: readonly { readonly index: number | null; readonly code: string }[];
  readonly checked: readonly string[];
  readonly notChecked: readonly string[];
  readonly deep: { readonly totals: { readonly judgements: number; readonly divergences: number } } | null;
}

let bundle: Bundle;
let folder: string;
let demo: Ended;
let env: Readonly<Record<string, string>>;

const repository = (): string => join(folder, 'demo/duration');
const ledgerFile = (): string => join(repository(), '.openexec/ledger.db');
const openexec = (...args: string[]): Promise<Ended> => bundle.run(args, { cwd: repository(), env });
const linesOf = (text: string): Line[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
async function verified(...args: string[]): Promise<{ readonly exit: number | null; readonly document: VerifyDocument }> {
  const { exit, stdout, stderr } = await openexec('verify', '--json', ...args);
  if (stdout === '') throw new Error(`verify said nothing on stdout, but: ${stderr}`);
  return { exit, document: JSON.parse(stdout) as VerifyDocument };
}

/** A copy of the ledger; what the callback does to it is done through SQLite. */
function copied(name: string, change: (db: Database.Database) => void): string {
  const copy = join(folder, name);
  cpSync(join(repository(), '.openexec'), copy, { recursive: true });
  const path = join(copy, 'ledger.db');
  const db = new Database(path);
  try {
    change(db);
    // In one file, so that reading it back needs nothing beside it.
    db.pragma('wal_checkpoint(TRUNCATE)');
  } finally {
    db.close();
  }
  return path;
}

beforeAll(async () => {
  bundle = await buildBundle();
  folder = mkdtempSync(join(tmpdir(), 'openexec-demo-test-'));
  // As the demo does for its own folder: the sandbox's id has to walk through.
  chmodSync(folder, 0o755);
  demo = await bundle.run(['demo', '--keep', join(folder, 'demo')], { cwd: folder });
  env = { XDG_CONFIG_HOME: join(folder, 'demo/config'), OPENEXEC_STATE_DIR: join(folder, 'demo/state') };
}, 180_000);
afterAll(() => {
  bundle.remove();
  rmSync(folder, { recursive: true, force: true });
});

describe('the demo', () => {
  test('ends with exit code 0 and says that all of it held', () => {
    expect({ exit: demo.exit, stderr: demo.exit === 0 ? '' : demo.stderr, end: demo.exit === 0 ? '' : demo.stdout.slice(-2000) }).toEqual({
      exit: 0,
      stderr: '',
      end: '',
    });
    expect(demo.stdout).toContain('All of it held.');
  });

  test.each([
    ['the refused path', /denied by compiler: read_file \.\.\/\.\.\/\.ssh\/id_ed25519: path\./],
    ['the refused secret, with its rule', /denied by rule shipped\/deny-secret-reads: read_file \.env/],
    ['the refused network action', /denied by compiler: http_get https:\/\/example\.org\/durations: writ\.scope/],
    ['the failed tests', /the tests failed/],
    ['the repair', /stage fix_tests entered/],
    ['the landing', /committed commit_changes to refs\/heads\/openexec\//],
  ])('shows %s while it happens, on stderr', (_name, pattern) => {
    expect(demo.stderr).toMatch(pattern);
  });

  test.each([
    ['the diff of the result', /^\+const PART = /m],
    ['the signed tree head', /^— \S+ [A-Za-z0-9+/=]+$/m],
    ['integrity', /✓ sound: \d+ entries/],
    ['judgement', /✓ every judgement agrees/],
    ['the replayed tree, equal to that of git', /git has {4}[0-9a-f]{40} as the tree of [0-9a-f]{40}: the same/],
    ['the forged entry', /✗ not sound: first bad index \d+/],
  ])('prints %s on stdout', (_name, pattern) => {
    expect(demo.stdout).toMatch(pattern);
  });

  test('refuses to work in a folder that holds something', async () => {
    const again = await bundle.run(['demo', '--keep', join(folder, 'demo')], { cwd: folder });
    expect(again.exit).toBe(2);
  });
});

describe('the timeline', () => {
  test('is one line of version 1 per event, gapless in seq, rising in cursor, from the opening to the close', async () => {
    const lines = linesOf((await openexec('timeline', 'latest', '--jsonl')).stdout);
    expect(lines.map(({ seq }) => seq)).toEqual(lines.map((_, at) => at));
    expect(lines.every(({ v, run, at }) => v === 1 && /^run\/[0-9a-f]{32}$/.test(run) && at.endsWith('Z'))).toBe(true);
    const cursors = lines.map(({ cursor }) => Number(cursor));
    expect([...cursors].sort((a, b) => a - b)).toEqual(cursors);
    expect([lines[0]?.kind, lines.at(-1)?.kind]).toEqual(['run.opened', 'run.closed']);
  });

  test('after a cursor gives exactly what stands after it, in both forms', async () => {
    const lines = linesOf((await openexec('timeline', 'latest', '--jsonl')).stdout);
    const middle = lines[Math.floor(lines.length / 2)];
    if (middle === undefined) throw new Error('the run has no events');
    const rest = linesOf((await openexec('timeline', 'latest', '--jsonl', '--after', middle.cursor)).stdout);
    expect(rest).toEqual(lines.slice(middle.seq + 1));
    const told = (await openexec('timeline', 'latest', '--after', middle.cursor)).stdout.trimEnd().split('\n');
    expect(told).toHaveLength(rest.length);
    expect(await openexec('timeline', 'latest', '--after', lines.at(-1)?.cursor ?? '')).toMatchObject({ exit: 0, stdout: '' });
  });

  test('followed on a closed run ends by itself, and a run is found by a prefix', async () => {
    const [first] = linesOf((await openexec('timeline', 'latest', '--jsonl', '--follow')).stdout);
    const prefix = first?.run.slice('run/'.length, 'run/'.length + 6) ?? '';
    expect((await openexec('timeline', prefix, '--jsonl')).stdout).toContain(first?.run);
  });

  test.each([['x'], ['-1'], ['1.5'], ['']])('refuses the cursor %j', async (cursor) => {
    expect((await openexec('timeline', 'latest', `--after=${cursor}`)).exit).toBe(2);
  });
});

describe('show and runs', () => {
  test('show says what was asked, every refusal with its reason, the result and how to check and undo it', async () => {
    const { stdout } = await openexec('show', 'latest');
    for (const text of [
      'A timeout of "1.5h"',
      'quick_fix',
      'shipped/deny-secret-reads',
      'writ.scope',
      'refs/heads/openexec/',
      'openexec verify',
      'openexec apply',
      'git branch -D',
    ])
      expect(stdout).toContain(text);
  });

  test('show --json agrees with the timeline', async () => {
    const account = JSON.parse((await openexec('show', 'latest', '--json')).stdout) as {
      entries: number;
      status: string;
      intents: { verdict: string; end: string }[];
    };
    const lines = linesOf((await openexec('timeline', 'latest', '--jsonl')).stdout);
    expect(account).toMatchObject({ entries: lines.length, status: 'done' });
    expect(account.intents.filter(({ verdict }) => verdict === 'deny')).toHaveLength(
      lines.filter(({ kind, body }) => kind === 'policy.decided' && body['verdict'] === 'deny').length,
    );
    expect(account.intents.every(({ end }) => end === 'committed' || end === 'rejected')).toBe(true);
  });

  test('runs lists the run with its task', async () => {
    const { runs } = JSON.parse((await openexec('runs', '--json')).stdout) as { runs: { task: string; status: string }[] };
    expect(runs).toMatchObject([{ status: 'done' }]);
    expect((await openexec('runs')).stdout).toContain('A timeout of "1.5h"');
  });

  test('an unknown run is refused by name', async () => {
    expect(await openexec('show', 'ffff0000ffff')).toMatchObject({ exit: 2 });
  });
});

describe('verify and replay', () => {
  test('verify --json says the level, the trust, what was checked and what was not', async () => {
    const { exit, document } = await verified();
    expect(exit).toBe(0);
    expect(document).toMatchObject({
      exit: 0,
      sound: true,
      level: 'signed',
      trust: 'pinned',
      anchor: 'notConfigured',
      firstBad: null,
      findings: [],
      deep: null,
    });
    expect(document.checked.length).toBeGreaterThan(3);
    expect(document.notChecked.some((line) => line.includes('--deep'))).toBe(true);
  });

  test('verify --deep moves what it derives from not checked to checked', async () => {
    const { exit, document } = await verified('--deep');
    expect(exit).toBe(0);
    expect(document.deep?.totals.divergences).toBe(0);
    expect(document.deep?.totals.judgements).toBeGreaterThan(20);
    expect(document.notChecked.some((line) => line.includes('--deep'))).toBe(false);
  });

  test('another fingerprint than the one that is trusted is refused', async () => {
    const { exit, document } = await verified('--trust', `sha256:${'0'.repeat(64)}`);
    expect(exit).toBe(20);
    expect(document.findings.map(({ code }) => code)).toContain('ledger.untrusted');
  });

  test('without a pin the trust is self-asserted', async () => {
    const { stdout } = await bundle.run(['verify', '--json'], {
      cwd: repository(),
      env: { ...env, XDG_CONFIG_HOME: join(folder, 'nobody') },
    });
    expect(JSON.parse(stdout)).toMatchObject({ sound: true, trust: 'selfAsserted' });
  });

  test('a replay mode that is not built is refused by name', async () => {
    const { exit, stderr } = await openexec('replay', 'latest', '--mode', 'effects');
    expect(exit).toBe(2);
    expect(stderr).toMatch(/not built yet.*exact/);
  });
});

describe('the ledger commands', () => {
  test('a printed proof holds under the printed checkpoint key, and not for another entry', async () => {
    const info = JSON.parse((await openexec('ledger', 'info', '--json')).stdout) as { size: string; logKeys: string[] };
    const proof = (await openexec('ledger', 'prove', '3')).stdout;
    const entries = (await openexec('ledger', 'read', '--from', '3', '--limit', '2', '--jsonl')).stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { entry: string; leaf: string });
    const leaves = entries.map(({ entry }) => leafHash(new TextEncoder().encode(entry)));
    expect(leaves.map((leaf) => `sha256:${toHex(leaf)}`)).toEqual(entries.map(({ leaf }) => leaf));
    const [third, fourth] = leaves;
    if (third === undefined || fourth === undefined) throw new Error('two entries were expected');
    expect(verifyTlogProof({ proof, leaf: third, vkeys: info.logKeys }).ok).toBe(true);
    expect(verifyTlogProof({ proof, leaf: fourth, vkeys: info.logKeys }).ok).toBe(false);
    expect(await openexec('ledger', 'prove', info.size)).toMatchObject({ exit: 2 });
  });

  test('a checkpoint opens under the log key, and consistency is proved to its size', async () => {
    const info = JSON.parse((await openexec('ledger', 'info', '--json')).stdout) as { size: string; logKeys: string[] };
    const note = (await openexec('ledger', 'checkpoint')).stdout;
    expect(openCheckpoint(note, info.logKeys)).toMatchObject({ ok: true, value: { size: BigInt(info.size) } });
    const consistency = await openexec('ledger', 'consistency', '3', info.size);
    expect(consistency.exit).toBe(0);
    expect(consistency.stdout).toMatch(/^old 3\n([A-Za-z0-9+/]{43}=\n)+\n/);
    expect(consistency.stdout.endsWith(note)).toBe(true);
    expect(await openexec('ledger', 'consistency', info.size, '3')).toMatchObject({ exit: 2 });
  });
});

describe('a forged ledger', () => {
  const SAMPLES = 5;
  const flip = (bytes: Uint8Array, at: number): Buffer => {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ 1;
    return changed;
  };

  /** Flips one bit of a column at entries spread over the ledger; says for each what verify came to. */
  async function flipEverywhere(column: 'payload' | 'salt' | 'entry') {
    const source = new Database(ledgerFile(), { readonly: true });
    const size = Number(source.prepare('SELECT count(*) FROM entries').pluck().get());
    source.close();
    const outcomes: { readonly index: number; readonly exit: number | null; readonly firstBad: number }[] = [];
    for (let sample = 0; sample < SAMPLES; sample += 1) {
      const index = Math.floor(((sample + 0.5) * size) / SAMPLES);
      const path = copied(`forged-${column}-${sample}`, (db) => {
        const bytes = db.prepare(`SELECT ${column} FROM entries WHERE idx = ?`).pluck().get(index) as Uint8Array;
        const changed = flip(bytes, Math.floor((bytes.length * (sample + 1)) / (SAMPLES + 1)));
        db.prepare(`UPDATE entries SET ${column} = ? WHERE idx = ?`).run(changed, index);
      });
      const { exit, document } = await verified('--ledger', `sqlite:${path}`);
      outcomes.push({ index, exit, firstBad: document.firstBad ?? -1 });
    }
    return outcomes;
  }

  test.each(['payload', 'salt'] as const)(
    'one flipped bit of a %s is found, and placed at its entry',
    async (column) => {
      const outcomes = await flipEverywhere(column);
      expect(outcomes).toEqual(outcomes.map(({ index }) => ({ index, exit: 20, firstBad: index })));
    },
    60_000,
  );

  test('one flipped bit of an entry is found; where its own bytes can still be read, by what follows from them', async () => {
    const outcomes = await flipEverywhere('entry');
    expect(outcomes.map(({ exit }) => exit)).toEqual(outcomes.map(() => 20));
    expect(outcomes.filter(({ index, firstBad }) => firstBad < index)).toEqual([]);
  }, 60_000);

  test('one byte changed in the raw file under a payload is found at its entry', async () => {
    const source = new Database(ledgerFile(), { readonly: true });
    const rows = source.prepare('SELECT idx, payload FROM entries ORDER BY idx').raw().all() as [number, Buffer][];
    source.close();
    const copy = join(folder, 'forged-raw');
    cpSync(join(repository(), '.openexec'), copy, { recursive: true });
    const path = join(copy, 'ledger.db');
    const bytes = readFileSync(path);
    const found = rows.find(([, payload]) => payload.length > 64 && bytes.indexOf(payload) >= 0);
    if (found === undefined) throw new Error('no payload stands in the file in one piece');
    const [index, payload] = found;
    for (let at = bytes.indexOf(payload); at >= 0; at = bytes.indexOf(payload, at + 1)) bytes[at + 32] = (bytes[at + 32] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    const { exit, document } = await verified('--ledger', `sqlite:${path}`);
    expect([exit, document.firstBad]).toEqual([20, index]);
  });

  test('a changed and a missing blob are each found, at the entry that names them', async () => {
    const changed = copied('forged-blob', (db) => {
      const [digest, bytes] = db.prepare('SELECT digest, bytes FROM blobs WHERE bytes IS NOT NULL LIMIT 1').raw().get() as [
        string,
        Uint8Array,
      ];
      db.prepare('UPDATE blobs SET bytes = ? WHERE digest = ?').run(flip(bytes, 0), digest);
    });
    expect((await verified('--ledger', `sqlite:${changed}`)).document.findings).toMatchObject([{ code: 'blob.corrupt' }]);
    const missing = copied(
      'missing-blob',
      (db) => void db.prepare('DELETE FROM blobs WHERE digest = (SELECT digest FROM blobs LIMIT 1)').run(),
    );
    const { exit, document } = await verified('--ledger', `sqlite:${missing}`);
    expect(exit).toBe(20);
    expect(document.findings).toMatchObject([{ code: 'blob.missing' }]);
  });

  test('a deleted and a swapped entry are found', async () => {
    const deleted = copied('deleted', (db) => void db.prepare('DELETE FROM entries WHERE idx = 7').run());
    expect((await verified('--ledger', `sqlite:${deleted}`)).exit).toBe(20);
    const swapped = copied('swapped', (db) => {
      const get = db.prepare('SELECT entry, payload, salt FROM entries WHERE idx = ?').raw();
      const set = db.prepare('UPDATE entries SET entry = ?, payload = ?, salt = ? WHERE idx = ?');
      const [seven, eight] = [get.get(7), get.get(8)] as unknown[][];
      set.run(...(eight ?? []), 7);
      set.run(...(seven ?? []), 8);
    });
    const { exit, document } = await verified('--ledger', `sqlite:${swapped}`);
    expect([exit, document.firstBad]).toEqual([20, 7]);
  });

  test('is not judged again: --deep says so and the exit code stays 20', async () => {
    const path = copied('forged-deep', (db) => void db.prepare("UPDATE entries SET payload = x'7b7d' WHERE idx = 9").run());
    const { exit, stdout } = await openexec('verify', '--deep', '--ledger', `sqlite:${path}`);
    expect(exit).toBe(20);
    expect(stdout).toMatch(/first bad index 9[\s\S]*not judged/);
  });
});

describe('a ledger forged with all of its keys', () => {
  test('is sound, but a judgement that the kernel would not make is found: verify --deep and replay exit 21 and say where', async () => {
    const target = join(folder, 'with-keys/ledger.db');
    const { fingerprint } = (await verified()).document;
    let forgedIndex = -1;
    await rewrite({
      source: ledgerFile(),
      target,
      stateFolder: join(folder, 'demo/state', fingerprint.slice('sha256:'.length, 'sha256:'.length + 32)),
      change: ({ index, entry }, payload) => {
        if (forgedIndex >= 0 || entry.kind !== 'stage.left') return payload;
        forgedIndex = Number(index);
        return { ...(payload as { readonly [name: string]: Json }), because: { code: 'answer.final', message: 'nothing to see here' } };
      },
    });
    const plain = await verified('--ledger', `sqlite:${target}`, '--trust', fingerprint);
    expect(plain).toMatchObject({ exit: 0, document: { sound: true, level: 'signed', trust: 'pinned', fingerprint } });
    const deep = await verified('--deep', '--ledger', `sqlite:${target}`);
    expect(deep.exit).toBe(21);
    expect(deep.document.deep).toMatchObject({
      totals: { divergences: 1 },
      runs: [{ verdict: 'diverges', divergences: [{ index: `${forgedIndex}`, what: 'payload', drift: [{ path: '/because/message' }] }] }],
    });
    const replayed = await openexec('replay', 'latest', '--ledger', `sqlite:${target}`);
    expect(replayed.exit).toBe(21);
    expect(replayed.stdout).toContain('nothing to see here');
  }, 60_000);
});

describe('a file that is no ledger any more', () => {
  test.each([
    ['cut in half', (bytes: Buffer) => bytes.subarray(0, bytes.length / 2)],
    ['overwritten at its beginning', (bytes: Buffer) => Buffer.concat([Buffer.alloc(100), bytes.subarray(100)])],
    ['empty', () => Buffer.alloc(0)],
  ])('%s fails verification, exit 20', async (name, damage) => {
    const path = join(folder, `damaged ${name}.db`);
    writeFileSync(path, damage(readFileSync(ledgerFile())));
    expect(await openexec('verify', '--ledger', `sqlite:${path}`)).toMatchObject({ exit: 20 });
  });
});

describe('a timeline that is followed from another process', () => {
  const waiting = () => join(folder, 'waiting.yaml');

  beforeAll(async () => {
    const patch = [
      '--- a/package.json',
      '+++ b/package.json',
      '@@ -1,4 +1,4 @@',
      ' {',
      '   "name": "duration-sample",',
      '-  "version": "1.0.0",',
      '+  "version": "1.0.1",',
      '   "private": true,',
      '',
    ].join('\n');
    writeFileSync(
      waiting(),
      JSON.stringify({ answers: [{ stage: 'implement', calls: [{ name: 'apply_patch', arguments: { format: 'unified', patch } }] }] }),
    );
    // Package scripts run by themselves, so the shipped policy asks a person, and nobody is there.
    expect(await openexec('run', 'Raise the version', '--model', `scripted:${waiting()}`)).toMatchObject({ exit: 11 });
  }, 60_000);

  test('ends with 130 when it is interrupted', async () => {
    const child = bundle.start(['timeline', 'latest', '--follow', '--jsonl'], { cwd: repository(), env });
    while (!child.stdout().includes('run.parked')) await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill('SIGINT');
    expect(await child.ended).toMatchObject({ exit: 130 });
  }, 30_000);

  test('shows what others append, each event once and in order, and ends when the run is closed', async () => {
    const child = bundle.start(['timeline', 'latest', '--follow', '--jsonl'], { cwd: repository(), env });
    while (!child.stdout().includes('run.parked')) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await openexec('cancel', 'latest')).toMatchObject({ exit: expect.any(Number) });
    const { exit, stdout } = await child.ended;
    const lines = linesOf(stdout);
    expect(exit).toBe(0);
    expect(lines.map(({ seq }) => seq)).toEqual(lines.map((_, at) => at));
    expect(lines.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['run.parked', 'run.cancelRequested', 'run.closed']));
    expect(lines).toEqual(linesOf((await openexec('timeline', 'latest', '--jsonl')).stdout));
  }, 30_000);
});

describe('a rolled-back ledger', () => {
  test('put in the place of the newer one is refused by verify and by every other command, exit 20', async () => {
    const file = ledgerFile();
    const older = readFileSync(file);
    const sizes = async () => (JSON.parse((await openexec('ledger', 'info', '--json')).stdout) as { size: string }).size;
    const before = await sizes();
    const { runs } = JSON.parse((await openexec('runs', '--json')).stdout) as { runs: { run: string; status: string }[] };
    const done = runs.find(({ status }) => status === 'done')?.run ?? '';
    expect(await openexec('apply', done)).toMatchObject({ exit: 0 });
    expect(Number(await sizes())).toBeGreaterThan(Number(before));
    for (const suffix of ['-wal', '-shm']) if (existsSync(`${file}${suffix}`)) rmSync(`${file}${suffix}`);
    writeFileSync(file, older);
    const { exit, document } = await verified();
    expect(exit).toBe(20);
    expect(document).toMatchObject({ sound: false, level: null, findings: [{ index: null, code: 'ledger.rolledBack' }] });
    for (const command of [['runs'], ['show', 'latest'], ['timeline', 'latest'], ['ledger', 'info'], ['replay', 'latest']])
      expect(await openexec(...command)).toMatchObject({ exit: 20, stdout: '' });
  });

  test('a store that lies about its own head is found', async () => {
    const path = copied('lying-head', (db) => void db.prepare("UPDATE head SET frontier = x''").run());
    const { exit, document } = await verified('--ledger', `sqlite:${path}`);
    expect(exit).toBe(20);
    expect(document.findings).toMatchObject([{ index: null, code: 'store.head' }]);
    // Every other command says the same with the same exit, and none says it is a defect of ours.
    for (const command of [['runs'], ['show', 'latest'], ['timeline', 'latest'], ['ledger', 'info'], ['replay', 'latest']]) {
      const ended = await openexec(...command, '--ledger', `sqlite:${path}`);
      expect({ command, exit: ended.exit, said: ended.stderr.includes('ledger.corrupt (exit 20)') }).toEqual({
        command,
        exit: 20,
        said: true,
      });
    }
  });

  test('a file of something else is refused by every command with 20', async () => {
    const path = join(folder, 'somebody-else.db');
    writeFileSync(path, 'this was never a ledger\n'.repeat(1000));
    for (const command of [['runs'], ['show', 'latest'], ['ledger', 'info'], ['replay', 'latest'], ['verify']])
      expect({ command, exit: (await openexec(...command, '--ledger', `sqlite:${path}`)).exit }).toEqual({ command, exit: 20 });
  });

  test('replay of a run of which a blob is missing or changed ends with 20, as deep verification does', async () => {
    const intact = copied('replay-intact', () => undefined);
    const listed = await openexec('runs', '--json', '--ledger', `sqlite:${intact}`);
    const { runs } = JSON.parse(listed.stdout) as { runs: { run: string; status: string }[] };
    const done = runs.find(({ status }) => status === 'done')?.run ?? '';
    expect(await openexec('replay', done, '--ledger', `sqlite:${intact}`)).toMatchObject({ exit: 0 });
    const damages: Readonly<Record<string, string>> = {
      'blob.unknown': 'DELETE FROM blobs',
      'blob.corrupt': "UPDATE blobs SET bytes = x'00'",
    };
    for (const [code, sql] of Object.entries(damages)) {
      const path = copied(`replay-${code}`, (db) => void db.prepare(sql).run());
      const replayed = await openexec('replay', done, '--json', '--ledger', `sqlite:${path}`);
      expect(JSON.parse(replayed.stdout)).toMatchObject({ verdict: 'notDerivable', from: { code } });
      expect(replayed.exit).toBe(20);
      expect((await openexec('verify', '--deep', '--ledger', `sqlite:${path}`)).exit).toBe(20);
    }
  });
});
