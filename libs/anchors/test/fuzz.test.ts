/**
 * Answers of time stamping authorities and witnesses in 18 000 hostile variations: every one ends in a code of its own, none throws, and no time comes out
 * that the authority did not sign. Memory is counted, DER is walked no further than its bytes.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { utf8Encode } from '@openexec/canon';
import { type Anchor, cosign, formatAddCheckpoint, formatCosignerVkey, parseCosignerVkey, seedSigner } from '@openexec/proof';
import { allocatedBy, Chance, insist, mutateBytes, mutateText, Outcomes } from '@openexec/proof/hostile';
import { verifyTimestamp, Witness, witnessAnchor } from '../src/index.ts';
import { timestampRequest } from '../src/rfc3161/request.ts';
import { LOG_VKEY, TestLog } from './fixture.ts';
import { startTsa } from '../src/testServer.ts';

// Against hanging, not a measure: machines are busy.
jest.setTimeout(600_000);

const DATA = utf8Encode('log.example\n3\nroot\n');
const NONCE = 77n;
const TOKENS = 15_000;
const CONTROL_EVERY = 100;
const CODES = new Set(
  ['malformed', 'refused', 'otherData', 'otherNonce', 'unsupported', 'badSignature', 'badCertificate', 'untrusted'].map(
    (code) => `timestamp.${code}`,
  ),
);
let tokens: Uint8Array[];
let trusted: string;
let times: ReadonlySet<number>;

beforeAll(async () => {
  const rsa = await startTsa();
  const ec = await startTsa({ key: 'ec' });
  trusted = rsa.ca + ec.ca;
  tokens = [rsa, ec].map((tsa) => new Uint8Array(tsa.stamp(timestampRequest(DATA, NONCE))));
  times = new Set(
    tokens.map((response) => {
      const read = verifyTimestamp({ response, data: DATA, nonce: NONCE, trusted });
      if (!read.ok) throw new Error(read.error.message);
      return read.value.timeMs;
    }),
  );
  await rsa.close();
  await ec.close();
});

describe('hostile time stamps', () => {
  test('15 000 variations of real tokens: a code each, and no time but the one that was signed', () => {
    const outcomes = new Outcomes();
    for (let round = 0; round < TOKENS; round++) {
      const chance = new Chance(70_000_000 + round);
      const control = round % CONTROL_EVERY === 0;
      const token = chance.pick(tokens);
      const response = control ? token : mutateBytes(token, chance, tokens);
      const read = verifyTimestamp({ response, data: DATA, nonce: NONCE, trusted });
      insist(!control || read.ok, `control of round ${round}`);
      insist(!read.ok || times.has(read.value.timeMs), `the time of round ${round}`);
      outcomes.take(read, CODES, `round ${round}`);
    }
    expect(outcomes.idle(TOKENS, 6)).toBeNull();
  });

  test('a length that the bytes do not have asks for no memory', async () => {
    for (const length of [0x7fffffff, 0xffffffff, 0x00ffffff]) {
      const lying = Uint8Array.of(0x30, 0x84, length >>> 24, (length >>> 16) & 255, (length >>> 8) & 255, length & 255, 0);
      expect(await allocatedBy(globalThis, () => verifyTimestamp({ response: lying, data: DATA, nonce: NONCE, trusted }))).toBeLessThan(
        10_000,
      );
    }
  });
});

describe('a hostile witness', () => {
  const signer = seedSigner({ keyName: 'witness.example/h', seed: new Uint8Array(32).fill(9) });
  const log = new TestLog(40);
  let server: Server;
  let say: { readonly status: number; readonly type: string; readonly body: string | Uint8Array };
  let anchor: Anchor;

  beforeAll(async () => {
    const cosigner = parseCosignerVkey(formatCosignerVkey(signer));
    if (!cosigner.ok) throw new Error(cosigner.error.message);
    server = createServer((request, response) => {
      request.resume().on('end', () => {
        response.writeHead(say.status, { 'content-type': say.type });
        response.end(say.body);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    anchor = witnessAnchor({ name: 'w', url: `http://127.0.0.1:${port}/`, cosigners: [cosigner.value] });
  });
  afterAll(async () => {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });

  test('1 000 answers: each is refused by its code, or is the cosignature that was asked for', async () => {
    const submission = await log.submission(30, 0n);
    const line = await cosign(submission.checkpoint.slice(0, submission.checkpoint.indexOf('\n\n') + 1), signer, 1_700_000_000n);
    const codes = new Set(['anchor.refused', 'anchor.unreachable', 'anchor.unknown', 'anchor.conflict']);
    const outcomes = new Outcomes();
    for (let round = 0; round < 1000; round++) {
      const chance = new Chance(60_000_000 + round);
      const control = round % CONTROL_EVERY === 0;
      const status = control ? 200 : chance.pick([200, 200, 200, 409, 409, 403, 404, 422, 429, 500]);
      const text = status === 409 ? `${chance.pick(['0', '7', '30', '31', '-1', '1e9', 'x', '9'.repeat(400)])}\n` : line;
      const type = chance.pick(['text/plain; charset=utf-8', 'text/x.tlog.size']);
      say = {
        status,
        type: status === 409 ? type : 'text/plain',
        body: control ? line : chance.below(50) === 0 ? 'x'.repeat(200_000) : mutateText(text, chance),
      };
      const taken = await anchor.submit(submission);
      insist(!control || taken.ok, `control of round ${round}`);
      outcomes.take(taken, codes, `round ${round}`);
    }
    for (const code of ['ok', ...codes]) expect([code, outcomes.counts.has(code)]).toEqual([code, true]);
  });

  test('2 000 requests to our own witness: every answer has a status of the protocol, and it never forgets or goes back', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'openexec-hostile-'));
    const witness = new Witness({ state: folder, signer, logs: [LOG_VKEY], now: () => 1_700_000_000n });
    const bodyOf = async (oldSize: number, size: number): Promise<string> =>
      formatAddCheckpoint({ oldSize: BigInt(oldSize), proof: log.proof(BigInt(oldSize), size), checkpoint: await log.note(size) });
    expect((await witness.add(await bodyOf(0, 20))).status).toBe(200);
    const examples = [await bodyOf(0, 30), await bodyOf(20, 20), await bodyOf(7, 30), await bodyOf(10, 20)];
    const statuses = new Map<number, number>();
    for (let round = 0; round < 2000; round++) {
      const chance = new Chance(50_000_000 + round);
      const { status, body } = await witness.add(mutateText(chance.pick(examples), chance, examples));
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      expect([200, 400, 403, 404, 409, 422]).toContain(status);
      // The one tree that it has cosigned is still the one it goes on from.
      insist(status !== 409 || !/^\d+\n$/.test(body) || body === '20\n', `the size of round ${round}`);
    }
    expect(statuses.size).toBeGreaterThanOrEqual(4);
    expect((await witness.add(await bodyOf(20, 30))).status).toBe(200);
    rmSync(folder, { recursive: true, force: true });
  });
});
