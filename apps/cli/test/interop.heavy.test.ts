/**
 * What others make of it: checkpoints, tiles, inclusion and consistency proofs under Go's sumdb/note and sumdb/tlog, tokens under `openssl ts`,
 * signatures under `openssl pkeyutl`. The verifying side shares no code with ours; each check is shown to refuse a changed byte too.
 * Run by `npm test -- --heavy`. PROTOCOL §11.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { formatVkey, seedSigner, signCheckpoint, TileBuilder, type TileFile } from '@openexec/proof';
import { type Bundle, buildBundle, type Ended, until } from './cli.ts';
import { makePlace, type Place } from './place.ts';
import { startTsa, type Tsa } from '@openexec/anchors/testServer';

const SOURCE = resolve(dirname(fileURLToPath(import.meta.url)), '../../../test-fixtures/interop/verify.go');
const GO_PATH = '/usr/share/gocode';
const TIME_MS = 300_000;
const has = (command: string, ...args: readonly string[]): boolean => spawnSync(command, args, { stdio: 'ignore' }).status === 0;
const goIsThere = has('go', 'version') && existsSync(join(GO_PATH, 'src/golang.org/x/mod/sumdb/tlog'));
const opensslIsThere = has('openssl', 'version');

let bundle: Bundle;
let place: Place;
let tsa: Tsa | undefined;

beforeAll(async () => {
  bundle = await buildBundle();
  place = makePlace();
  expect(await openexec('init', '--model', 'none')).toMatchObject({ exit: 0 });
}, TIME_MS);
afterAll(async () => {
  await tsa?.close();
  place.remove();
  bundle.remove();
});

function openexec(...args: readonly string[]): Promise<Ended> {
  return bundle.run(args, { cwd: place.root, env: place.env });
}
function configure(text: string): void {
  mkdirSync(join(place.folder, 'config', 'openexec'), { recursive: true });
  writeFileSync(join(place.folder, 'config', 'openexec', 'config.yaml'), `version: 1\n${text}`);
}
async function kept(file: string, ...args: readonly string[]): Promise<string> {
  const ended = await openexec(...args);
  expect(ended).toMatchObject({ exit: 0 });
  const path = join(place.folder, file);
  writeFileSync(path, ended.stdout);
  return path;
}
/** A copy of a file with one byte changed, near its beginning. */
function changed(path: string, at: number): string {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(`${path}.changed`, bytes);
  return `${path}.changed`;
}

describe("Go's sumdb/note and sumdb/tlog", () => {
  if (!goIsThere) {
    test.skip('not run: Go is not here; apt-get install golang-go golang-golang-x-mod-dev', () => {});
    return;
  }
  let program: string;
  const go = (...args: readonly string[]): { readonly status: number | null; readonly said: string } => {
    const ended = spawnSync(program, args, { encoding: 'utf8' });
    return { status: ended.status, said: ended.stdout + ended.stderr };
  };

  beforeAll(() => {
    const folder = mkdtempSync(join(tmpdir(), 'openexec-go-'));
    program = join(folder, 'verify');
    const env = { ...process.env, GO111MODULE: 'off', GOPATH: GO_PATH, GOFLAGS: '', GOPROXY: 'off', GOCACHE: join(folder, 'cache') };
    execFileSync('go', ['build', '-o', program, SOURCE], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  }, TIME_MS);
  afterAll(() => rmSync(dirname(program), { recursive: true, force: true }));

  test(
    'open a checkpoint, prove every record and every earlier tree from the tiles, and refuse a changed tile',
    async () => {
      const folder = join(place.folder, 'share');
      mkdirSync(folder);
      configure(`anchors:\n  to:\n    - {name: share, type: file, folder: ${folder}}\n`);
      for (let times = 0; times < 24; times++) expect(await openexec('ledger', 'anchor')).toMatchObject({ exit: 0 });
      const checkpoint = await kept('checkpoint', 'ledger', 'checkpoint');
      const out = join(place.folder, 'public');
      expect(await openexec('ledger', 'tiles', '--out', out)).toMatchObject({ exit: 0 });
      expect(go('checkpoint', checkpoint, join(out, 'log.vkey'))).toMatchObject({ status: 0 });
      const size = /size (\d+)/.exec(go('checkpoint', checkpoint, join(out, 'log.vkey')).said)?.[1] ?? '0';
      expect(Number(size)).toBeGreaterThan(20);
      expect(go('tiles', out)).toMatchObject({
        status: 0,
        said: expect.stringContaining(`${size} records and ${size} earlier trees proved`),
      });
      const tile = join(out, `tile/0/000.p/${size}`);
      const good = readFileSync(tile);
      writeFileSync(tile, readFileSync(changed(tile, 40)));
      expect(go('tiles', out).status).toBe(1);
      writeFileSync(tile, good);
      expect(go('checkpoint', changed(checkpoint, 30), join(out, 'log.vkey')).status).toBe(1);
    },
    TIME_MS,
  );

  test.each([256, 257, 66_000])(
    'prove what they like from the tiles of a tree of %d entries',
    async (size) => {
      const out = join(place.folder, `tree-${size}`);
      const signer = seedSigner({ keyName: 'log.example/large', seed: new Uint8Array(32).fill(3) });
      const builder = new TileBuilder();
      const keep = ({ path, bytes }: TileFile): void => {
        mkdirSync(dirname(join(out, path)), { recursive: true });
        writeFileSync(join(out, path), bytes);
      };
      for (let at = 0; at < size; at++) for (const file of builder.append(Buffer.from(`entry ${at}`))) keep(file);
      for (const file of builder.finish()) keep(file);
      const note = await signCheckpoint({ origin: signer.keyName, size: builder.size, root: builder.root() }, signer);
      writeFileSync(join(out, 'checkpoint'), note.ok ? note.value : '');
      writeFileSync(join(out, 'log.vkey'), `${formatVkey(signer)}\n`);
      expect(go('tiles', out, size > 1000 ? '997' : '1')).toMatchObject({ status: 0, said: expect.stringContaining('proved') });
      const tile = join(out, 'tile/0/000');
      const bytes = readFileSync(tile);
      bytes[32 * 100] = (bytes[32 * 100] ?? 0) ^ 1;
      writeFileSync(tile, bytes);
      expect(go('tiles', out, size > 1000 ? '997' : '1').status).toBe(1);
    },
    TIME_MS,
  );

  test(
    'accept our tlog-proofs and consistency proofs, from the ledger and from tiles, and refuse them for another entry or size',
    async () => {
      const out = join(place.folder, 'public');
      const vkeys = join(out, 'log.vkey');
      const entryOf = async (index: number): Promise<string> => {
        const read = await openexec('ledger', 'read', '--from', `${index}`, '--limit', '1', '--jsonl');
        const path = join(place.folder, `entry-${index}`);
        writeFileSync(path, (JSON.parse(read.stdout) as { entry: string }).entry);
        return path;
      };
      for (const source of [[], ['--tiles', out]]) {
        const proof = await kept('entry.tlog-proof', 'ledger', 'prove', '3', ...source);
        expect(go('proof', proof, vkeys, await entryOf(3))).toMatchObject({ status: 0 });
        expect(go('proof', proof, vkeys, await entryOf(4)).status).toBe(1);
      }
      const old = await kept('old', 'ledger', 'checkpoint');
      const oldSize = readFileSync(old, 'utf8').split('\n')[1] ?? '';
      expect(await openexec('ledger', 'anchor')).toMatchObject({ exit: 0 });
      const newer = await kept('newer', 'ledger', 'checkpoint');
      const newSize = readFileSync(newer, 'utf8').split('\n')[1] ?? '';
      const request = await kept('add-checkpoint', 'ledger', 'consistency', oldSize, newSize);
      expect(go('consistency', request, vkeys, old)).toMatchObject({ status: 0 });
      expect(go('consistency', request, vkeys, newer).status).toBe(1);
      const lines = readFileSync(request, 'utf8').split('\n');
      lines[1] = Buffer.alloc(32, 1).toString('base64');
      writeFileSync(request, lines.join('\n'));
      expect(go('consistency', request, vkeys, old).status).toBe(1);
    },
    TIME_MS,
  );

  test(
    'crypto/ed25519 accepts a cosignature of our witness as the specification words it',
    async () => {
      const key = join(place.folder, 'w1.key');
      const vkey = (await openexec('witness', '--key', key, '--new-key', 'witness.example/w1')).stdout.trim();
      const { logKeys } = JSON.parse((await openexec('ledger', 'info', '--json')).stdout) as { logKeys: string[] };
      const args = ['witness', '--key', key, '--state', join(place.folder, 'w1'), '--listen', '127.0.0.1:0', '--log', ...logKeys];
      const child = bundle.start(args, { cwd: place.root, env: place.env });
      await until('the witness listens', () => child.stdout().includes('listens'));
      const url = /listens {2}(\S+)/.exec(child.stdout())?.[1] ?? '';
      const note = await kept('note', 'ledger', 'checkpoint');
      const answer = await fetch(`${url}add-checkpoint`, { method: 'POST', body: `old 0\n\n${readFileSync(note, 'utf8')}` });
      const lines = await answer.text();
      child.kill('SIGKILL');
      await child.ended;
      expect({ status: answer.status, lines }).toMatchObject({ status: 200 });
      writeFileSync(note, readFileSync(note, 'utf8') + lines);
      expect(go('cosignature', note, vkey)).toMatchObject({ status: 0, said: expect.stringContaining('cosigned by witness.example/w1') });
      expect(go('cosignature', changed(note, 20), vkey).status).toBe(1);
    },
    TIME_MS,
  );
});

describe('openssl', () => {
  if (!opensslIsThere) {
    test.skip('not run: openssl is not here', () => {});
    return;
  }
  const openssl = (...args: readonly string[]): number | null => spawnSync('openssl', args, { stdio: 'ignore' }).status;

  test(
    'ts -verify accepts the token that was recorded, over the checkpoint, and over nothing else',
    async () => {
      tsa = await startTsa();
      configure(`anchors:\n  to:\n    - {name: tsa, type: rfc3161, url: "${tsa.url}", ca: ${tsa.caFile}}\n`);
      const checkpoint = await kept('stamped', 'ledger', 'checkpoint');
      expect(await openexec('ledger', 'anchor')).toMatchObject({ exit: 0 });
      const token = join(tsa.folder, 'reply.tsr');
      expect(openssl('ts', '-verify', '-in', token, '-data', checkpoint, '-CAfile', tsa.caFile)).toBe(0);
      expect(openssl('ts', '-verify', '-in', token, '-data', changed(checkpoint, 10), '-CAfile', tsa.caFile)).not.toBe(0);
      const stored = (await openexec('verify', '--json')).stdout;
      expect(JSON.parse(stored)).toMatchObject({ level: 'anchored', anchors: { problems: [] } });
    },
    TIME_MS,
  );

  test(
    'pkeyutl accepts the signature of a checkpoint over its text, and not over another',
    async () => {
      const path = await kept('signed', 'ledger', 'checkpoint');
      const [text = '', lines = ''] = readFileSync(path, 'utf8').split('\n\n');
      const { logKeys } = JSON.parse((await openexec('ledger', 'info', '--json')).stdout) as { logKeys: string[] };
      const raw = Buffer.from(logKeys[0]?.split('+').slice(2).join('+') ?? '', 'base64').subarray(1);
      const at = (name: string): string => join(place.folder, name);
      writeFileSync(at('key.der'), Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), raw]));
      writeFileSync(at('text'), `${text}\n`);
      writeFileSync(at('signature'), Buffer.from(lines.trim().split(' ')[2] ?? '', 'base64').subarray(4));
      const verify = (file: string): number | null =>
        openssl(
          'pkeyutl',
          '-verify',
          '-pubin',
          '-keyform',
          'DER',
          '-inkey',
          at('key.der'),
          '-rawin',
          '-in',
          file,
          '-sigfile',
          at('signature'),
        );
      expect(verify(at('text'))).toBe(0);
      expect(verify(changed(at('text'), 3))).not.toBe(0);
    },
    TIME_MS,
  );
});
