/** The witness itself: what it remembers, in which order, and what it refuses over HTTP. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { formatAddCheckpoint, seedSigner } from '@openexec/proof';
import { readWitnessKey, serveWitness, Witness, writeWitnessKey } from '../src/index.ts';
import { LOG_VKEY, TestLog } from './fixture.ts';

const log = new TestLog(64);
const signer = seedSigner({ keyName: 'witness.example/w1', seed: new Uint8Array(32).fill(9) });
let state: string;
let answers: { readonly status: number; readonly message: string }[];
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'openexec-witness-'));
  answers = [];
});
afterEach(() => rmSync(state, { recursive: true, force: true }));

const open = (): Witness =>
  new Witness({ state, signer, logs: [LOG_VKEY], now: () => 5n, onAnswer: (answer) => void answers.push(answer) });
const asking = async (oldSize: number, size: number): Promise<string> =>
  formatAddCheckpoint({ oldSize: BigInt(oldSize), proof: log.proof(BigInt(oldSize), size), checkpoint: await log.note(size) });
const sizeKept = (): string => {
  const [file = ''] = readdirSync(state).filter((name) => name.endsWith('.json'));
  return (JSON.parse(readFileSync(join(state, file), 'utf8')) as { size: string }).size;
};

describe('a witness', () => {
  test('has the new tree head on disk when it answers, and goes on from it after a restart', async () => {
    expect(await open().add(await asking(0, 7))).toMatchObject({ status: 200 });
    expect(sizeKept()).toBe('7');
    expect(await open().add(await asking(0, 9))).toEqual({ status: 409, type: 'text/x.tlog.size', body: '7\n' });
    expect(await open().add(await asking(7, 9))).toMatchObject({
      status: 200,
      body: expect.stringMatching(/^— witness\.example\/w1 \S+\n$/),
    });
    expect(sizeKept()).toBe('9');
  });

  test('of many requests at once cosigns one at a time: what came later never goes back', async () => {
    const witness = open();
    expect(await witness.add(await asking(0, 4))).toMatchObject({ status: 200 });
    const asked = await Promise.all([5, 9, 17, 33, 64, 6, 8].map((size) => asking(4, size)));
    const said = await Promise.all(asked.map((text) => witness.add(text)));
    expect(said.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(said.filter(({ status }) => status === 409)).toHaveLength(6);
    expect(sizeKept()).toBe('5');
  });

  test('does not cosign when it cannot keep, nor when what it kept cannot be read; the client is not told where', async () => {
    const witness = open();
    expect(await witness.add(await asking(0, 4))).toMatchObject({ status: 200 });
    const [file = ''] = readdirSync(state).filter((name) => name.endsWith('.json'));
    writeFileSync(join(state, file), '{"size":"0"}');
    const broken = await witness.add(await asking(0, 9));
    expect(broken).toMatchObject({ status: 500, body: 'this witness cannot answer now\n' });
    expect(answers.at(-1)?.message).toContain('nothing is cosigned until it is put right');
    rmSync(state, { recursive: true });
    expect(await open().add(await asking(0, 9))).toMatchObject({ status: 500 });
  });

  test('does not know other logs, and takes no bytes that are no request', async () => {
    const witness = new Witness({ state, signer, logs: [], now: () => 5n });
    expect(await witness.add(await asking(0, 4))).toMatchObject({ status: 404 });
    expect(await witness.add('old 1\n')).toMatchObject({ status: 400 });
    expect(readdirSync(state)).toEqual([]);
  });
});

describe('its server', () => {
  const ask = (
    port: number,
    options: { readonly path?: string; readonly method?: string; readonly host?: string; readonly body?: string | Uint8Array },
  ): Promise<number> =>
    new Promise((resolve, reject) => {
      const { path = '/add-checkpoint', method = 'POST', host = '127.0.0.1', body = '' } = options;
      const sent = request({ host: '127.0.0.1', port, path, method, headers: { host: `${host}:${port}` } }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      sent.on('error', reject);
      sent.end(body);
    });

  test('answers one path, one method, its own names, and bodies of a bounded size', async () => {
    const running = await serveWitness({ witness: open(), host: '127.0.0.1', port: 0, hosts: ['witness.example'] });
    if (!running.ok) throw new Error(running.error.message);
    const { port } = running.value;
    expect(await ask(port, { body: await asking(0, 4) })).toBe(200);
    expect(await ask(port, { host: 'witness.example', body: await asking(4, 4) })).toBe(200);
    expect(await ask(port, { host: 'attacker.example', body: await asking(4, 5) })).toBe(421);
    expect(await ask(port, { path: '/' })).toBe(404);
    expect(await ask(port, { method: 'GET' })).toBe(405);
    expect(await ask(port, { body: 'x'.repeat(128 * 1024 + 1) })).toBe(413);
    expect(await ask(port, { body: Uint8Array.of(0xff, 0xfe) })).toBe(400);
    expect(await serveWitness({ witness: open(), host: '127.0.0.1', port, hosts: [] })).toMatchObject({
      ok: false,
      error: { code: 'witness.listen' },
    });
    await running.value.close();
  });
});

describe('its key', () => {
  test('is a file for its owner alone, written once, and read back', () => {
    const path = join(state, 'w1.key');
    const seed = new Uint8Array(32).fill(3);
    const vkey = writeWitnessKey(path, 'witness.example/w1', seed);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readWitnessKey(path)).toMatchObject({
      ok: true,
      value: { vkey: vkey.ok ? vkey.value : '', signer: { keyName: 'witness.example/w1' } },
    });
    expect(writeWitnessKey(path, 'witness.example/w1', seed)).toMatchObject({ ok: false, error: { code: 'witnessKey.exists' } });
    expect(readWitnessKey(join(state, 'none'))).toMatchObject({ ok: false, error: { code: 'witnessKey.missing' } });
    writeFileSync(join(state, 'open'), readFileSync(path), { mode: 0o644 });
    expect(readWitnessKey(join(state, 'open'))).toMatchObject({ ok: false, error: { code: 'witnessKey.unsafe' } });
    for (const text of ['', 'PRIVATE+KEY+x+00000000+AA==\n', readFileSync(path, 'utf8').replace(/\+[0-9a-f]{8}\+/, '+00000000+')]) {
      writeFileSync(join(state, 'bad'), text, { mode: 0o600 });
      expect(readWitnessKey(join(state, 'bad'))).toMatchObject({ ok: false, error: { code: 'witnessKey.malformed' } });
    }
  });
});
