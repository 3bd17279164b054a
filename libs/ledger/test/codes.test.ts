/** Refusals that no store and no other suite has an occasion to make: one input each. PROTOCOL §§2-3; the gate in apps/cli/test/codes.test.ts holds all. */
import { describe, expect, test } from '@jest/globals';
import { canonicalBytes, digestOf, type Json, ok, utf8Encode } from '@openexec/canon';
import {
  CopyFault,
  decodeEntry,
  exportLines,
  type KeptLedger,
  makeCheckpoint,
  MAX_BLOB_BYTES,
  memoryLedger,
  readExport,
} from '@openexec/ledger';
import { fixtures } from '@openexec/ledger/contract';
import { EMPTY_ROOT, seedSigner } from '@openexec/proof';

const { batchTo, CANCEL, fact, foundingBatch, logSigner, ORIGIN, runNamed, seededRandomness } = fixtures;

function entry(change: { readonly [member: string]: Json }): Uint8Array {
  return canonicalBytes({
    v: 1,
    trajectory: 'ledger',
    seq: 0,
    prev: null,
    kind: 'anchor.recorded',
    at: '2026-11-20T09:00:00.000Z',
    actor: 'runtime',
    cause: null,
    law: null,
    commitment: `sha256:${'0'.repeat(64)}`,
    bytes: 2,
    ...change,
  });
}

describe('refusals', () => {
  test('entry.kindUnknown and entry.trajectoryUnknown: a kind or a family that this registry does not have', () => {
    expect(decodeEntry(entry({}))).toMatchObject({ ok: true });
    expect(decodeEntry(entry({ kind: 'anchor.dreamt' }))).toMatchObject({ ok: false, error: { code: 'entry.kindUnknown' } });
    expect(decodeEntry(entry({ trajectory: 'elsewhere' }))).toMatchObject({ ok: false, error: { code: 'entry.trajectoryUnknown' } });
  });

  test('blob.tooLarge: more than 64 MiB, said before anything is hashed or stored', async () => {
    const store = memoryLedger({ randomness: seededRandomness(1) });
    expect(await store.append(foundingBatch())).toMatchObject({ ok: true });
    const bytes = new Uint8Array(MAX_BLOB_BYTES + 1);
    const batch = {
      ...batchTo(runNamed('x'), 'any', [fact('run.cancelRequested', CANCEL)]),
      blobs: [{ digest: digestOf('x'), bytes, mediaType: 'x/y' }],
    };
    expect(await store.append(batch)).toMatchObject({ ok: false, error: { code: 'blob.tooLarge' } });
  });

  test('checkpoint.otherOrigin and checkpoint.signerFailed: a key of another log, and one that cannot be reached', async () => {
    const head = { size: 1n, root: EMPTY_ROOT, fingerprint: digestOf('x'), origin: ORIGIN };
    expect(await makeCheckpoint(head, logSigner())).toMatchObject({ ok: true });
    const other = seedSigner({ keyName: 'other.example', seed: new Uint8Array(32) });
    expect(await makeCheckpoint(head, other)).toMatchObject({ ok: false, error: { code: 'checkpoint.otherOrigin' } });
    const gone = { ...logSigner(), sign: () => Promise.reject(new Error('the token was taken out')) };
    expect(await makeCheckpoint(head, gone)).toMatchObject({ ok: false, error: { code: 'checkpoint.signerFailed' } });
  });

  test('copy.unreadable: a file that changes while it is read, and a source whose blob is not what its name says', async () => {
    const lines = async (store: KeptLedger): Promise<Uint8Array[]> => {
      const { size, root, fingerprint } = await store.head();
      const all: Uint8Array[] = [];
      if (fingerprint !== null) for await (const line of exportLines(store, { fingerprint, origin: ORIGIN, size, root })) all.push(line);
      return all;
    };
    const store = memoryLedger({ randomness: seededRandomness(1) });
    await store.append(foundingBatch());
    const whole = await lines(store);
    let opened = 0;
    const changing = async function* (): AsyncGenerator<Uint8Array> {
      opened += 1;
      yield* opened === 1
        ? whole
        : [
            utf8Encode(
              Buffer.from(whole[0] ?? '')
                .toString('utf8')
                .replace('"size":"1"', '"size":"2"'),
            ),
          ];
    };
    const copy = await readExport(changing);
    const code = async (work: () => Promise<unknown>): Promise<string> => {
      try {
        await work();
        return 'read';
      } catch (error) {
        return error instanceof CopyFault ? error.code : 'another throw';
      }
    };
    expect(await code(async () => copy.parts()[Symbol.asyncIterator]().next())).toBe('copy.unreadable');
    const lost: KeptLedger = Object.create(store, {
      blob: { value: async () => ({ ok: false, error: { code: 'blob.corrupt', message: 'damaged' } }) },
      keeper: {
        value: {
          blobs: async function* () {
            yield { digest: digestOf('x'), bytes: 1 };
          },
        },
      },
      head: { value: () => store.head() },
      rows: { value: (from: bigint, to: bigint) => store.rows(from, to) },
      checkpoints: { value: () => store.checkpoints() },
    });
    expect(await code(async () => lines(lost))).toBe('copy.unreadable');
    expect(ok(whole.length)).toEqual({ ok: true, value: 3 });
  });
});
