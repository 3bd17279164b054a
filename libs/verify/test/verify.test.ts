/**
 * A sound ledger verifies; whatever is done to one byte, one entry, the end or the whole chain is found, and its first index named. GOALS §4
 * (tamper matrix), PROTOCOL §10.
 */
import { describe, expect, test } from '@jest/globals';
import { type Bytes, digestOf, type Json, parseCanonical, type TrajectoryId, utf8Encode } from '@openexec/canon';
import {
  type AppendBatch,
  type Entry,
  encodeEntry,
  commitmentOf,
  decodeEntry,
  type LedgerStore,
  knownKinds,
  factsOf,
  memoryLedger,
  type Row,
} from '@openexec/ledger';
import { fixtures, keeping } from '@openexec/ledger/contract';
import { leafHash } from '@openexec/proof';
import { KINDS } from '@openexec/protocol';
import { type VerifyReport, verifyLedger } from '@openexec/verify';

const { after, batchTo, CANCEL, CLOSED, fact, judgement, LAW, LEDGER, nonceOf, NOTED, runNamed, SEEDS, signedBody, START, trustDraft } =
  fixtures;

interface Ledger {
  readonly rows: readonly Row[];
  readonly checkpoints: readonly { readonly size: bigint; readonly note: string }[];
  readonly fingerprint: string;
}

/** A ledger with law, runs that interleave, erasable payloads; with a checkpoint after each entry, or one at the end. */
async function smallLedger(checkpoints: 'each' | 'last'): Promise<Ledger> {
  const store = memoryLedger({
    randomness: fixtures.seededRandomness(7),
    signer: fixtures.runtimeSigner(),
    logSigner: fixtures.logSigner(),
  });
  const took = async (batch: AppendBatch): Promise<string> => {
    const result = await store.append(batch);
    if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`);
    if (checkpoints === 'each') await store.checkpoint();
    return result.value.stored[0]?.leaf ?? '';
  };
  const fingerprint = await took(fixtures.foundingBatch());
  await took(batchTo(LAW, 0, [trustDraft(fingerprint)]));
  const [a, b] = [runNamed('a'), runNamed('b')];
  await took(batchTo(a, 'none', [fact('run.opened', fixtures.openedBody(fingerprint, 'a'))]));
  await took(batchTo(b, 'none', [fact('run.opened', fixtures.openedBody(fingerprint, 'b'))]));
  await took(batchTo(a, 0, [judgement('fact.noted', NOTED, { cause: 0, law: 1 })], 1));
  await took(batchTo(b, 'any', [fact('run.cancelRequested', CANCEL, { at: after(10), id: '01-cancel' })]));
  await took(batchTo(a, 1, [fact('run.cancelRequested', CANCEL, { at: after(20) })]));
  await took(batchTo(LAW, 1, [trustDraft(fingerprint, { nonce: 'approver', key: SEEDS.stranger, roles: ['approver'] })]));
  await took(batchTo(a, 2, [judgement('run.closed', CLOSED, { cause: 2, law: 2, at: after(20) })], 2));
  await took(batchTo(b, 1, [judgement('fact.noted', NOTED, { cause: 0, law: 2 })], 2));
  await store.checkpoint();
  return { rows: await all(store), checkpoints: await notes(store), fingerprint };
}

async function all(store: LedgerStore): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for await (const page of store.rows()) rows.push(...page);
  return rows;
}

async function notes(store: LedgerStore): Promise<Ledger['checkpoints']> {
  const kept = [];
  for await (const checkpoint of store.checkpoints()) kept.push(checkpoint);
  return kept;
}

function verify(
  rows: readonly Row[],
  ledger: Pick<Ledger, 'checkpoints'>,
  more: { readonly head?: { size: bigint; root: Bytes; fingerprint: string }; readonly trust?: string } = {},
): Promise<VerifyReport> {
  async function* pages(): AsyncGenerator<readonly Row[]> {
    for (let at = 0; at < rows.length; at += 4) yield rows.slice(at, at + 4);
  }
  // Fingerprints of fixtures are digests by construction.
  const head = more.head === undefined ? null : { ...more.head, fingerprint: digest(more.head.fingerprint) };
  return verifyLedger(
    { rows: pages(), checkpoints: ledger.checkpoints, head },
    { trust: more.trust === undefined ? null : digest(more.trust) },
  );
}

function digest(text: string): ReturnType<typeof digestOf> {
  return text as ReturnType<typeof digestOf>;
}

function instant(text: string): Entry['at'] {
  return text as Entry['at'];
}

function replaced(rows: readonly Row[], index: number, change: Partial<Row>): Row[] {
  return rows.map((row, at) => (at === index ? { ...row, ...change } : row));
}

function flipped(bytes: Bytes, at: number, mask: number): Bytes {
  const changed = Uint8Array.from(bytes);
  changed[at] = (changed[at] ?? 0) ^ mask;
  return changed;
}

function rowAt(rows: readonly Row[], index: number): Row {
  const row = rows[index];
  if (row === undefined) throw new Error(`no row ${index}`);
  return row;
}

function entryAt(rows: readonly Row[], index: number): Entry {
  const entry = decodeEntry(rowAt(rows, index).entryBytes);
  if (!entry.ok) throw new Error(entry.error.message);
  return entry.value;
}

/** Replaces a payload and makes commitments and chain fit again, as somebody with the whole file but no key would. */
function rechained(rows: readonly Row[], index: number, payload: Bytes): Row[] {
  const heads = new Map<string, Entry['prev']>();
  return rows.map((row, at) => {
    const entry = entryAt(rows, at);
    const body = at === index ? payload : row.payload;
    if (body === null || row.salt === null) throw new Error('nothing is erased here');
    const made = encodeEntry({
      ...entry,
      prev: heads.get(entry.trajectory) ?? null,
      commitment: commitmentOf(row.salt, body),
      bytes: body.length,
    });
    heads.set(entry.trajectory, digest(`sha256:${Buffer.from(leafHash(made)).toString('hex')}`));
    return { ...row, entryBytes: made, payload: body };
  });
}

describe('an entry that breaks a rule of its trajectory', () => {
  /** The ledger with one entry written otherwise, chained as if it had been so from the beginning. */
  async function codesAfter(index: number, change: Partial<Entry>): Promise<readonly string[]> {
    const { rows } = await smallLedger('last');
    const bytes = encodeEntry({ ...entryAt(rows, index), ...change });
    const report = await verify(replaced(rows, index, { entryBytes: bytes }), { checkpoints: [] });
    return report.findings.filter((finding) => finding.index === index).map(({ code }) => code);
  }

  test.each([
    ['a seq that is not the next', 6, { seq: 7 }, 'entry.position'],
    ['a fact before the fact before it', 6, { at: instant('2026-11-20T08:00:00.000Z') }, 'entry.time'],
    ['a judgement at another time than its cause', 4, { at: instant('2026-11-20T09:00:00.001Z') }, 'entry.time'],
    ['another leaf before it', 6, { prev: digest(`sha256:${'a'.repeat(64)}`) }, 'entry.prev'],
    ['a kind of another trajectory', 6, { kind: 'ledger.sealed' }, 'entry.kind'],
    ['a fact with a cause', 6, { cause: 0, law: 1 }, 'entry.cause'],
    ['a judgement under a law that was not in force', 4, { law: 0 }, 'entry.law'],
    ['an entry behind the close', 9, { trajectory: runNamed('a') }, 'entry.afterClose'],
  ] as const)('%s is named', async (_what, index, change, code) => {
    expect(await codesAfter(index, change)).toContain(code);
  });

  test('bytes that are no entry are named, and the entry as it was is not', async () => {
    const { rows } = await smallLedger('last');
    const report = await verify(replaced(rows, 3, { entryBytes: utf8Encode('{}') }), { checkpoints: [] });
    expect(report.findings[0]).toMatchObject({ index: 3, code: 'entry.undecodable' });
    expect((await verify(rows, { checkpoints: [] })).findings).toEqual([]);
  });
});

describe('a sound ledger', () => {
  test('verifies, says its level and trust, and what was not checked', async () => {
    const ledger = await smallLedger('each');
    const report = await verify(ledger.rows, ledger, { trust: ledger.fingerprint });
    expect(report.findings).toEqual([]);
    expect(report).toMatchObject({
      sound: true,
      level: 'signed',
      trust: 'pinned',
      anchor: 'notConfigured',
      entries: 10,
      signedSize: 10,
      firstBad: null,
      fingerprint: ledger.fingerprint,
      origin: fixtures.ORIGIN,
    });
    expect(report.notChecked.length).toBeGreaterThan(2);
    expect(await verify(ledger.rows, { checkpoints: [] })).toMatchObject({
      sound: true,
      level: 'chained',
      trust: 'selfAsserted',
      signedSize: 0,
    });
    const early = ledger.checkpoints.slice(0, 4);
    expect((await verify(ledger.rows, { checkpoints: early })).notChecked[0]).toBe(
      'entries from 4 on: chained, but under no checkpoint yet',
    );
  });

  test('the kinds that verification knows are those of the registry, in every respect', () => {
    expect([...knownKinds()].sort()).toEqual(Object.keys(KINDS).sort());
    for (const [kind, row] of Object.entries(KINDS))
      expect({ kind, families: factsOf(kind)?.families, judged: factsOf(kind)?.judged }).toEqual({
        kind,
        families: row.families,
        judged: row.class === 'judgement',
      });
  });

  test('another ledger than the trusted one is found', async () => {
    const ledger = await smallLedger('last');
    expect(await verify(ledger.rows, ledger, { trust: digestOf('other') })).toMatchObject({ sound: false, firstBad: 0 });
  });
});

/** Payloads are long and each byte goes into the same hash: behind the first 64, every seventh stands for all; OPENEXEC_TAMPER=all takes them all. */
function step(column: string, at: number): number {
  return column === 'payload' && at >= 64 && process.env['OPENEXEC_TAMPER'] !== 'all' ? 7 : 1;
}

describe('tampering', () => {
  test('any byte of any entry, payload or salt is found, and placed at its entry when a checkpoint stands behind it', async () => {
    const each = await smallLedger('each');
    const missed: string[] = [];
    for (const [index, row] of each.rows.entries()) {
      const behind = { checkpoints: each.checkpoints.filter(({ size }) => size === BigInt(index + 1)) };
      const atEnd = { checkpoints: each.checkpoints.slice(-1) };
      for (const column of ['entryBytes', 'payload', 'salt'] as const) {
        const bytes = row[column] ?? new Uint8Array(0);
        for (let at = 0; at < bytes.length; at += step(column, at)) {
          const rows = replaced(each.rows, index, { [column]: flipped(bytes, at, 1 << (at % 8)) });
          const exact = await verify(rows, column === 'entryBytes' ? behind : { checkpoints: [] });
          if (exact.sound || exact.firstBad !== index)
            missed.push(`${column} ${index}.${at}: ${exact.firstBad} ${exact.findings[0]?.code}`);
          // One checkpoint far behind finds it too, and never blames an earlier entry.
          if (column !== 'entryBytes' || at % 4 !== 0) continue;
          const loose = await verify(rows, atEnd);
          if (loose.sound || loose.firstBad === null || loose.firstBad < index)
            missed.push(`${column} ${index}.${at} with one checkpoint: ${loose.firstBad}`);
        }
      }
    }
    expect(missed).toEqual([]);
  });

  test('deleting, swapping, repeating and cutting off entries is found', async () => {
    const ledger = await smallLedger('each');
    const { rows } = ledger;
    for (let index = 0; index < rows.length; index++) {
      const without = rows.filter((_, at) => at !== index);
      const report = await verify(without, ledger);
      expect([index, report.sound, report.firstBad !== null && report.firstBad >= index - 1]).toEqual([index, false, true]);
      expect((await verify([...rows.slice(0, index + 1), ...rows.slice(index)], ledger)).sound).toBe(false);
      expect((await verify(rows.slice(0, index), ledger)).sound).toBe(false);
    }
  });

  test('two neighbours that changed places are found at the first of them', async () => {
    const ledger = await smallLedger('each');
    for (let index = 0; index + 1 < ledger.rows.length; index++) {
      const swapped = [
        ...ledger.rows.slice(0, index),
        rowAt(ledger.rows, index + 1),
        rowAt(ledger.rows, index),
        ...ledger.rows.slice(index + 2),
      ];
      expect(await verify(swapped, ledger)).toMatchObject({ sound: false, firstBad: index });
    }
  });

  test('a head remembered elsewhere shows a cut and a rewritten history even without checkpoints', async () => {
    const ledger = await smallLedger('last');
    const none = { checkpoints: [] };
    const sound = await verify(ledger.rows, none);
    const head = { size: 10n, root: Buffer.from(sound.root.slice(7), 'hex'), fingerprint: ledger.fingerprint };
    expect((await verify(ledger.rows, none, { head })).sound).toBe(true);
    expect(await verify(ledger.rows.slice(0, 9), none, { head })).toMatchObject({
      sound: false,
      findings: [{ code: 'ledger.rolledBack' }],
    });
    const rewritten = rechained(ledger.rows, 9, utf8Encode('{"message":"nothing at all","violation":false,"why":"late"}'));
    expect(await verify(rewritten, none)).toMatchObject({ sound: true, level: 'chained' });
    expect(await verify(rewritten, none, { head })).toMatchObject({ sound: false, findings: [{ code: 'ledger.rolledBack' }] });
  });

  test('a chain made anew without the key is found by checkpoints, by signed entries, and by the law', async () => {
    const ledger = await smallLedger('last');
    for (let index = 1; index < ledger.rows.length; index++) {
      const payload = rowAt(ledger.rows, index).payload ?? new Uint8Array(0);
      const body = parseCanonical(payload);
      expect(body.ok).toBe(true);
      const other = flipped(payload, payload.length - 3, 1);
      expect([index, (await verify(rechained(ledger.rows, index, other), ledger)).sound]).toEqual([index, false]);
    }
    // Without checkpoints: entry 8 is a signed run.closed, and everything before it in its run hangs on it.
    const inRun = await verify(rechained(ledger.rows, 6, utf8Encode('{"because":"asked twice"}')), { checkpoints: [] });
    expect(inRun.findings).toMatchObject([{ index: 8, code: 'entry.signature' }]);
    const inLaw = await verify(rechained(ledger.rows, 7, flipped(rowAt(ledger.rows, 7).payload ?? new Uint8Array(0), 40, 1)), {
      checkpoints: [],
    });
    expect(inLaw.sound).toBe(false);
  });
});

/** Stores law that a store does not judge, and says what verification finds in it. */
async function findingsOf(drafts: (fingerprint: string) => AppendBatch[], checkpoint: 'none' | 'log' = 'none'): Promise<string[]> {
  const store = memoryLedger({
    randomness: fixtures.seededRandomness(3),
    logSigner: fixtures.logSigner(),
    signer: fixtures.runtimeSigner(),
  });
  const founded = await store.append(fixtures.foundingBatch());
  const fingerprint = founded.ok ? (founded.value.stored[0]?.leaf ?? '') : '';
  for (const batch of drafts(fingerprint)) {
    const result = await store.append(batch);
    if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`);
  }
  if (checkpoint === 'log') await store.checkpoint();
  const report = await verify(await all(store), { checkpoints: await notes(store) });
  return report.findings.map(({ index, code }) => `${index} ${code}`);
}

const law = (seq: number, draft: ReturnType<typeof fact>): AppendBatch => batchTo(LAW, seq, [draft]);
const retire = (ledger: string, nonce: string, key: string) =>
  fact('key.retired', signedBody('key.retired', { ledger, nonce: nonceOf(nonce), key, because: 'lost' }, SEEDS.root));

describe('the law', () => {
  test('a body signed by a stranger, for another ledger, or replayed is found', async () => {
    expect(await findingsOf((ledger) => [law(0, trustDraft(ledger, { by: SEEDS.stranger }))])).toEqual(['1 law.signature']);
    expect(await findingsOf(() => [law(0, trustDraft(digestOf('elsewhere')))])).toEqual(['1 law.ledger']);
    expect(await findingsOf((ledger) => [law(0, trustDraft(ledger)), law(1, trustDraft(ledger))])).toEqual(['2 law.nonce']);
  });

  test('a signature over another body, and a type that is not the kind’s, do not count', async () => {
    const other = (ledger: string) => {
      const good = trustDraft(ledger);
      const payload = good.payload as { readonly body: { readonly [member: string]: Json }; readonly signatures: Json };
      return { ...good, payload: { ...payload, body: { ...payload.body, label: 'another' } } };
    };
    expect(await findingsOf((ledger) => [law(0, other(ledger))])).toEqual(['1 law.signature']);
    const retyped = (ledger: string) => ({
      ...trustDraft(ledger),
      payload: signedBody(
        'key.retired',
        (trustDraft(ledger).payload as { readonly body: { readonly [member: string]: Json } }).body,
        SEEDS.root,
      ),
    });
    expect(await findingsOf((ledger) => [law(0, retyped(ledger))])).toEqual(['1 law.signature']);
  });

  test('a key counts only in its role, inside its window, and not after it was retired', async () => {
    const runtime = fixtures.runtimeSigner().keyId;
    const run = runNamed('a');
    const closing = (ledger: string, position: number): AppendBatch[] => [
      batchTo(run, 'none', [fact('run.opened', fixtures.openedBody(ledger, 'a'))]),
      batchTo(run, 0, [judgement('run.closed', CLOSED, { cause: 0, law: position })], position),
    ];
    expect(await findingsOf((ledger) => [law(0, trustDraft(ledger)), ...closing(ledger, 1)])).toEqual([]);
    expect(await findingsOf((ledger) => closing(ledger, 0))).toEqual(['2 entry.signature']);
    expect(await findingsOf((ledger) => [law(0, trustDraft(ledger, { roles: ['approver'] })), ...closing(ledger, 1)])).toEqual([
      '3 entry.signature',
    ]);
    expect(await findingsOf((ledger) => [law(0, trustDraft(ledger)), law(1, retire(ledger, 'r', runtime)), ...closing(ledger, 2)])).toEqual(
      ['4 entry.signature'],
    );
    expect(await findingsOf((ledger) => [law(0, trustDraft(ledger)), ...closing(ledger, 1), law(1, retire(ledger, 'r', runtime))])).toEqual(
      [],
    );
    const late = (ledger: string) =>
      fact(
        'key.trusted',
        signedBody(
          'key.trusted',
          {
            ledger,
            nonce: nonceOf('w'),
            publicKey: Buffer.from(fixturesPublicKey()).toString('hex'),
            roles: ['runtime'],
            window: { notBefore: after(1), notAfter: null },
            label: '',
          },
          SEEDS.root,
        ),
      );
    expect(await findingsOf((ledger) => [law(0, late(ledger)), ...closing(ledger, 1)])).toEqual(['3 entry.signature']);
  });

  test('a retired key is never trusted again, and a runtime key holds no other role', async () => {
    const runtime = fixtures.runtimeSigner().keyId;
    expect(
      await findingsOf((ledger) => [
        law(0, trustDraft(ledger)),
        law(1, retire(ledger, 'r', runtime)),
        law(2, trustDraft(ledger, { nonce: 'again' })),
      ]),
    ).toEqual(['3 law.body']);
    expect(await findingsOf((ledger) => [law(0, trustDraft(ledger, { roles: ['runtime', 'approver'] }))])).toEqual(['1 law.body']);
  });

  test('a checkpoint by the log key does not count after that key was retired', async () => {
    const log = fixtures.logSigner().keyId;
    expect(await findingsOf((ledger) => [law(0, trustDraft(ledger))], 'log')).toEqual([]);
    expect(await findingsOf((ledger) => [law(0, retire(ledger, 'r', log))], 'log')).toEqual(['1 checkpoint.signature']);
  });
});

function fixturesPublicKey(): Bytes {
  const draft = trustDraft(digestOf('any')).payload as { readonly body: { readonly publicKey: string } };
  return Buffer.from(draft.body.publicKey, 'hex');
}

function erasedBody(fingerprint: string, trajectory: TrajectoryId, seq: number): { readonly [name: string]: Json } {
  const wish = keeping.erasure(digest(fingerprint), [{ trajectory, seq }]);
  if (wish.kind !== 'erase') throw new Error('an erasure');
  return { ...(wish.bodies[0] as unknown as { readonly [name: string]: Json }) };
}

describe('erased payloads', () => {
  const erased = (rows: readonly Row[], index: number): Row[] => replaced(rows, index, { payload: null, salt: null });

  test('are sound only when payload.erased names them, and never in law, in run.opened or in an open run', async () => {
    const store = memoryLedger({ randomness: fixtures.seededRandomness(7), signer: fixtures.runtimeSigner() });
    const founded = await store.append(fixtures.foundingBatch());
    const fingerprint = founded.ok ? (founded.value.stored[0]?.leaf ?? '') : '';
    const [closed, open] = [runNamed('a'), runNamed('b')];
    const erasure = (trajectory: TrajectoryId, seq: number) =>
      fact('payload.erased', {
        ...erasedBody(fingerprint, trajectory, seq),
      });
    for (const batch of [
      law(0, trustDraft(fingerprint)),
      batchTo(closed, 'none', [fact('run.opened', fixtures.openedBody(fingerprint, 'a')), fact('run.cancelRequested', CANCEL)]),
      batchTo(open, 'none', [fact('run.opened', fixtures.openedBody(fingerprint, 'b')), fact('run.cancelRequested', CANCEL)]),
      batchTo(closed, 1, [judgement('run.closed', CLOSED, { cause: 0, law: 1 })], 1),
      batchTo(LEDGER, 'none', [erasure(closed, 1), erasure(open, 1), erasure(closed, 0)]),
    ]) {
      const result = await store.append(batch);
      if (!result.ok) throw new Error(result.error.message);
    }
    const rows = await all(store);
    const codes = async (changed: readonly Row[]) =>
      (await verify(changed, { checkpoints: [] })).findings.map(({ index, code }) => `${index} ${code}`);
    // The erasure of the open run is itself a finding, so each case is looked at without the others' entries.
    const upTo = (count: number) => rows.slice(0, count);
    expect(await codes(erased(upTo(8), 3))).toEqual([]);
    expect(await verify(erased(upTo(8), 3), { checkpoints: [] })).toMatchObject({ sound: true, erased: 1 });
    expect(await codes(erased(upTo(7), 3))).toEqual(['3 payload.missing']);
    expect(await codes(upTo(9))).toEqual(['8 payload.missing']);
    expect(await codes(erased(upTo(8), 1))).toContain('1 payload.missing');
    expect(await codes(erased(upTo(8), 2))).toContain('2 payload.missing');
    expect(await codes(replaced(upTo(8), 3, { salt: null }))).toContain('3 payload.commitment');
  });
});

describe('hostile input', () => {
  test('bytes that are no entries are findings, never a throw', async () => {
    const ledger = await smallLedger('last');
    const texts = ['', '{}', 'null', '{"v":1}', '\u0000', '[]', 'x'.repeat(5000), `{"actor":"model","at":"${START}"}`];
    for (const text of texts) {
      const report = await verify(replaced(ledger.rows, 4, { entryBytes: utf8Encode(text) }), ledger);
      expect(report).toMatchObject({ sound: false, firstBad: 4 });
    }
    for (const payload of ['', '[]', '{}', '{"body":{},"signatures":[]}', '{"body":{"rootKeys":[],"logKey":1},"signatures":[{}]}']) {
      expect((await verify(replaced(ledger.rows, 0, { payload: utf8Encode(payload) }), ledger)).firstBad).toBe(0);
    }
    for (const note of ['', '\n\n', 'a\n1\nAAAA\n\n— a AAAA\n', ledger.checkpoints[0]?.note.replace('— ', '- ') ?? '']) {
      expect((await verify(ledger.rows, { checkpoints: [{ size: 3n, note }] })).findings).toMatchObject([{ code: 'checkpoint.signature' }]);
    }
    expect(await verify([], { checkpoints: [] })).toMatchObject({ sound: false, findings: [{ code: 'ledger.unfounded' }] });
  });

  test('a thousand findings are listed, the rest counted', async () => {
    const ledger = await smallLedger('last');
    const bad = { entryBytes: utf8Encode('{}'), payload: null, salt: null };
    const report = await verify([...ledger.rows, ...Array.from({ length: 1500 }, () => bad)], { checkpoints: [] });
    expect([report.findings.length, report.omitted, report.firstBad]).toEqual([1000, 500, 10]);
  });
});
