/**
 * Ledgers written entry by entry, so that one rule at a time can be broken, by somebody who can chain and sign everything else rightly: each finding with
 * its index and its words. PROTOCOL §§2–5, 10.
 */
import { describe, expect, test } from '@jest/globals';
import { type Bytes, canonicalBytes, type Digest, digestBytes, digestOf, type Json, toBase64, type TrajectoryId } from '@openexec/canon';
import { commitmentOf, type Entry, encodeEntry, entrySigningBytes, type Row } from '@openexec/ledger';
import { fixtures } from '@openexec/ledger/contract';
import { CompactRange, keyIdOf, leafHash, publicKeyOf, sign, signCheckpoint, signTyped } from '@openexec/proof';
import type { Kind } from '@openexec/protocol';
import { LedgerVerification, type VerifyOptions } from '@openexec/verify';

const { after, CANCEL, CLOSED, LAW, LEDGER, logSigner, NOTED, ORIGIN, runNamed, SEEDS, START } = fixtures;
const [RUN, SELF] = [runNamed('a'), 'selftest/1' as TrajectoryId];
const ERASED = 'application/vnd.openexec.payload.erased.v1+json';
const TESTED = 'application/vnd.openexec.selfTest.recorded.v1+json';
const OTHER = digestOf('other');
type Source = ConstructorParameters<typeof LedgerVerification>[0];
type Members = { readonly [name: string]: Json };
const signatureOf = (type: string, body: Json, seed: Bytes): Json => {
  const { key, value } = signTyped({ type, body, seed });
  return { key, value };
};

/** A ledger in the making; what is not said follows from what stands there. */
class Pages {
  readonly rows: Row[] = [];
  readonly #ends = new Map<string, { readonly seq: number; readonly leaf: Digest }>();
  fingerprint: Digest = OTHER;
  law = -1;

  add(
    trajectory: TrajectoryId,
    kind: string,
    body: Json,
    more: Partial<Entry> & { readonly by?: Bytes | null; readonly row?: Partial<Row> } = {},
  ): this {
    const { by, row, ...members } = more;
    const end = this.#ends.get(trajectory);
    const payload = canonicalBytes(body);
    const salt = new Uint8Array(16).fill(this.rows.length);
    const bare: Entry = {
      v: 1,
      trajectory,
      seq: end === undefined ? 0 : end.seq + 1,
      prev: end?.leaf ?? null,
      kind: kind as Kind,
      at: START,
      actor: 'runtime',
      cause: null,
      law: null,
      commitment: commitmentOf(salt, payload),
      bytes: payload.length,
      ...members,
    };
    const signing = by ?? null;
    const key = signing === null ? null : keyIdOf(publicKeyOf(signing));
    const sig =
      key === null || signing === null ? {} : { sig: { key, value: toBase64(sign(signing, entrySigningBytes(bare, this.fingerprint))) } };
    const entryBytes = encodeEntry({ ...bare, ...sig });
    const leaf = `sha256:${Buffer.from(leafHash(entryBytes)).toString('hex')}` as Digest;
    if (this.rows.length === 0) this.fingerprint = leaf;
    if (trajectory === LAW) this.law = bare.seq;
    this.#ends.set(trajectory, { seq: bare.seq, leaf });
    this.rows.push({ entryBytes, payload, salt, ...row });
    return this;
  }
  judged(kind: string, body: Json, more: Parameters<Pages['add']>[3] = {}): this {
    return this.add(RUN, kind, body, { cause: 0, law: this.law, ...more });
  }
  closed(more: Parameters<Pages['add']>[3] = {}): this {
    return this.judged('run.closed', CLOSED, { by: SEEDS.runtime, ...more });
  }
  read(source: Partial<Source> = {}): LedgerVerification {
    const verification = new LedgerVerification({ checkpoints: [], head: null, ...source });
    for (const row of this.rows) verification.take(row);
    return verification;
  }
  /** Every finding, with its index. */
  async said(source: Partial<Source> = {}, options: Partial<VerifyOptions> = {}): Promise<readonly string[]> {
    const verification = this.read(source);
    await verification.lists(source.blob);
    return verification.finish({ trust: null, ...options }).findings.map(({ index, code, message }) => `${index} ${code}: ${message}`);
  }
}
/** A founded ledger that trusts its runtime key, and a run that was opened. */
function opened(): Pages {
  const pages = new Pages();
  const [founding] = fixtures.foundingBatch().to[0]?.drafts ?? [];
  pages.add(LAW, 'ledger.founded', founding?.payload ?? null);
  pages.add(LAW, 'key.trusted', fixtures.trustDraft(pages.fingerprint).payload);
  return pages.add(RUN, 'run.opened', fixtures.openedBody(pages.fingerprint, 'a'));
}
const place = (seq: number): string => `${RUN} seq ${seq}: `;

describe('a trajectory', () => {
  test('that keeps its rules has no finding', async () => {
    const pages = opened()
      .judged('fact.noted', NOTED)
      .add(RUN, 'run.cancelRequested', CANCEL, { at: after(5) })
      .closed({ cause: 2, at: after(5) });
    expect(await pages.said()).toEqual([]);
    expect(pages.read().finish({ trust: pages.fingerprint })).toMatchObject({
      sound: true,
      level: 'chained',
      trust: 'pinned',
      anchor: 'notConfigured',
      entries: 6,
      origin: ORIGIN,
      fingerprint: pages.fingerprint,
      signatures: 3,
      erased: 0,
      pruned: 0,
      firstBad: null,
      omitted: 0,
      signedSize: 0,
    });
  });
  test('skips no seq, and says what the next one is', async () => {
    expect(await opened().add(RUN, 'run.cancelRequested', CANCEL, { seq: 2 }).said()).toEqual([
      `3 entry.position: ${place(2)}the next seq is 1`,
    ]);
    expect(await opened().add(RUN, 'run.cancelRequested', CANCEL, { seq: 0 }).said()).toEqual([
      `3 entry.position: ${place(0)}the next seq is 1`,
      `3 entry.kind: ${place(0)}run.cancelRequested cannot open its trajectory`,
    ]);
  });
  test('has nothing after its end', async () => {
    expect(await opened().closed().add(RUN, 'run.cancelRequested', CANCEL).said()).toEqual([
      `4 entry.afterClose: ${place(2)}its trajectory was closed before`,
    ]);
  });
  test('names for each entry the one before it; which of two was changed, the next one says', async () => {
    const torn = (pages: Pages) => pages.add(RUN, 'run.cancelRequested', CANCEL, { prev: OTHER });
    const pages = torn(opened());
    const before = `sha256:${Buffer.from(leafHash(pages.rows[2]?.entryBytes ?? new Uint8Array())).toString('hex')}`;
    const message = `${place(1)}prev is ${OTHER}; the entry before it is ${before}`;
    expect(await pages.said()).toEqual([`3 entry.prev: ${message}`]);
    // The next one continues it: so the one before the break was changed. It does not: then the entry itself was.
    expect(await torn(opened()).add(RUN, 'run.cancelRequested', CANCEL).said()).toEqual([`2 entry.prev: ${message}`]);
    expect(await torn(torn(opened())).said()).toEqual([`3 entry.prev: ${message}`]);
    expect(await new Pages().add(RUN, 'run.opened', {}, { prev: OTHER }).said()).toContain(
      `0 entry.prev: ${place(0)}prev is ${OTHER}; the entry before it is none`,
    );
    const gap = opened().add(RUN, 'run.cancelRequested', CANCEL, { prev: null, seq: 5 });
    expect(await gap.said()).toContain(`3 entry.prev: ${place(5)}prev is null; the entry before it is ${before}`);
  });
  test('holds the kinds of its family, opens with its opening, and signs what is signed', async () => {
    expect(await opened().add(RUN, 'key.trusted', {}).said()).toEqual([`3 entry.kind: ${place(1)}key.trusted does not belong here`]);
    expect(
      await opened()
        .add('run' as TrajectoryId, 'run.opened', {})
        .said(),
    ).toEqual(['3 entry.undecodable: the trajectory run belongs to no family of this registry']);
    expect(await opened().add(RUN, 'run.opened', {}).said()).toEqual([`3 entry.kind: ${place(1)}run.opened stands at seq 0 only`]);
    expect(await opened().add(runNamed('b'), 'run.cancelRequested', CANCEL).said()).toEqual([
      `3 entry.kind: ${runNamed('b')} seq 0: run.cancelRequested cannot open its trajectory`,
    ]);
    expect(
      await opened()
        .add('memory' as TrajectoryId, 'pointer.recorded', {})
        .said(),
    ).toEqual([]);
    expect(await opened().judged('fact.noted', NOTED, { by: SEEDS.runtime }).said()).toEqual([
      `3 entry.kind: ${place(1)}fact.noted carries a signature of its own, which its kind does not have`,
    ]);
  });
  test('has facts without cause in the order of time, and judgements with the time of theirs', async () => {
    const lone = `3 entry.cause: ${place(1)}a fact has neither cause nor law position`;
    expect(await opened().add(RUN, 'run.cancelRequested', CANCEL, { cause: 0 }).said()).toEqual([lone]);
    expect(await opened().add(RUN, 'run.cancelRequested', CANCEL, { law: 1 }).said()).toEqual([lone]);
    const early = opened()
      .add(RUN, 'run.cancelRequested', CANCEL, { at: after(9) })
      .add(RUN, 'run.cancelRequested', CANCEL, { at: after(8) });
    expect(await early.said()).toEqual([
      `4 entry.time: ${place(2)}its time ${after(8)} lies before that of the fact before it, ${after(9)}`,
    ]);
    expect(await early.add(RUN, 'run.cancelRequested', CANCEL, { at: after(8) }).said()).toHaveLength(2);
    expect(
      await opened()
        .judged('fact.noted', NOTED, { at: after(1) })
        .said(),
    ).toEqual([`3 entry.time: ${place(1)}its time ${after(1)} is not that of its cause, ${START}`]);
    expect(await opened().judged('fact.noted', NOTED, { law: 0 }).said()).toEqual([
      `3 entry.law: ${place(1)}it names law position 0; the law stood at 1`,
    ]);
    expect(await opened().judged('fact.noted', NOTED, { law: null }).said()).toEqual([
      `3 entry.law: ${place(1)}it names law position null; the law stood at 1`,
    ]);
  });
  test('has judgements whose cause is a fact, and no earlier one than the judgement before', async () => {
    const none = (seq: number, cause: string) => `entry.cause: ${place(seq)}its cause ${cause} is no fact that it may follow from`;
    expect(await opened().judged('fact.noted', NOTED, { cause: null }).said()).toEqual([`3 ${none(1, 'null')}`]);
    expect(await opened().judged('fact.noted', NOTED, { cause: 1 }).said()).toEqual([`3 ${none(1, '1')}`]);
    expect(await opened().judged('fact.noted', NOTED).judged('fact.noted', NOTED, { cause: 1 }).said()).toEqual([`4 ${none(2, '1')}`]);
    const two = opened()
      .add(RUN, 'run.cancelRequested', CANCEL)
      .judged('fact.noted', NOTED, { cause: 1 })
      .judged('fact.noted', NOTED, { cause: 0 });
    expect(await two.said()).toEqual([`5 ${none(3, '0')}`]);
    const same = opened()
      .add(RUN, 'run.cancelRequested', CANCEL)
      .judged('fact.noted', NOTED, { cause: 0 })
      .judged('fact.noted', NOTED, { cause: 1 });
    expect(await same.judged('fact.noted', NOTED, { cause: 1 }).said()).toEqual([]);
  });
  test('of which a part is left out is held against what is there', () => {
    const pages = opened().add(RUN, 'run.cancelRequested', CANCEL).judged('fact.noted', NOTED, { cause: 1 }).closed({ cause: 1 });
    const part = (isPartial: (trajectory: string) => boolean, ...without: number[]) => {
      const verification = new LedgerVerification({ checkpoints: [], head: null }, isPartial);
      pages.rows.forEach((row, index) => without.includes(index) || verification.takeAt(row, index));
      return verification.findings.map(({ index, code }) => `${index} ${code}`);
    };
    const ofRun = (trajectory: string) => trajectory.startsWith('run/');
    expect(part(ofRun)).toEqual([]);
    expect(part(ofRun, 3)).toEqual([]);
    expect(part(ofRun, 4)).toEqual([]);
    expect(part(ofRun, 2, 3, 4)).toEqual([]);
    expect(part(() => false, 4)).toEqual(['5 entry.position', '5 entry.prev']);
    expect(part((trajectory) => trajectory === 'law', 4)).toEqual(['5 entry.position', '5 entry.prev']);
  });
});

describe('payloads and signatures', () => {
  test('are those that were committed to, and there where they can never be erased', async () => {
    const gone = { row: { payload: null, salt: null } };
    const noted = (row: Partial<Row>) => opened().judged('fact.noted', NOTED, { row });
    expect(await noted({ payload: new Uint8Array(3) }).said()).toEqual([
      `3 payload.commitment: the payload has 3 bytes; the entry says ${canonicalBytes(NOTED).length}`,
    ]);
    expect(await noted({ payload: new Uint8Array(canonicalBytes(NOTED).length) }).said()).toEqual([
      '3 payload.commitment: the payload is not the one that was committed to',
    ]);
    const missing = `3 payload.missing: ${place(1)}the payload is gone and neither payload.erased nor ledger.pruned names it`;
    expect(await opened().judged('fact.noted', NOTED, gone).said()).toEqual([missing]);
    expect(await noted({ salt: null }).said()).toEqual([
      '3 payload.commitment: payload and salt must be there together or not at all',
      missing,
    ]);
    expect(await noted({ payload: null }).said()).toEqual([
      '3 payload.commitment: payload and salt must be there together or not at all',
      missing,
    ]);
    expect(
      await opened()
        .judged('fact.noted', NOTED, gone)
        .said({}, { withheld: (trajectory, seq) => trajectory === RUN && seq === 1 }),
    ).toEqual([]);
    expect(await opened().add(runNamed('b'), 'run.opened', {}, gone).said()).toEqual([
      `3 payload.missing: the payload of run.opened in ${runNamed('b')} can never be erased, and is gone`,
    ]);
    for (const trajectory of ['ledger', 'writ/1'] as TrajectoryId[])
      expect(
        await opened()
          .add(trajectory, trajectory === 'ledger' ? 'anchor.recorded' : 'writ.carved', {}, gone)
          .said(),
      ).toEqual([expect.stringMatching(/^3 payload\.missing: the payload of \S+ in \S+ can never be erased, and is gone$/)]);
    expect(await opened().add(LAW, 'writ.revoked', {}, gone).said()).toEqual([
      '3 payload.missing: the payload of writ.revoked in law can never be erased, and is gone',
      '3 law.body: a law payload is gone',
    ]);
  });
  test('of entries are by a runtime key, over this very entry', async () => {
    const key = (seed: Bytes) => keyIdOf(publicKeyOf(seed));
    expect(await opened().closed({ by: SEEDS.stranger }).said()).toEqual([
      `3 entry.signature: key ${key(SEEDS.stranger)} held no runtime role here`,
    ]);
    expect(await opened().closed({ by: SEEDS.root }).said()).toEqual([
      `3 entry.signature: key ${key(SEEDS.root)} held no runtime role here`,
    ]);
    const torn = opened();
    const { fingerprint } = torn;
    torn.fingerprint = OTHER;
    torn.closed();
    torn.fingerprint = fingerprint;
    expect(await torn.said()).toEqual([`3 entry.signature: the signature of ${key(SEEDS.runtime)} is not over this entry`]);
  });
  test('the first entry is the founding, and the law reads its own', async () => {
    expect(await new Pages().said()).toEqual(['null ledger.unfounded: the ledger is empty']);
    expect(await new Pages().add('memory' as TrajectoryId, 'pointer.recorded', {}).said()).toEqual([
      '0 ledger.unfounded: the first entry is not ledger.founded',
    ]);
    const [founding] = fixtures.foundingBatch().to[0]?.drafts ?? [];
    expect(await new Pages().add(LAW, 'ledger.founded', founding?.payload ?? null, { seq: 1 }).said()).toContain(
      '0 ledger.unfounded: the first entry is not ledger.founded',
    );
    const spaced = new TextEncoder().encode('{ }');
    const salt = new Uint8Array(16);
    expect(
      await opened()
        .add(LAW, 'writ.revoked', {}, { bytes: 3, commitment: commitmentOf(salt, spaced), row: { payload: spaced, salt } })
        .said(),
    ).toEqual([expect.stringMatching(/^3 law\.body: a law payload is not canonical: \S/)]);
  });
});

describe('what goes, goes lawfully', () => {
  const gone = { row: { payload: null, salt: null } };
  /** A closed run whose second entry has no payload. */
  const ready = () => opened().judged('fact.noted', NOTED, gone).closed();
  const erasing = (pages: Pages, entries: Json, ...by: Bytes[]): Members => {
    const body = { entries, because: 'asked' };
    const signed = { ...body, ledger: pages.fingerprint };
    return { ...body, signatures: by.map((seed) => signatureOf(ERASED, signed, seed)) };
  };
  const erased = (pages: Pages, entries: Json = [{ trajectory: RUN, seq: 1 }], by: Bytes[] = [SEEDS.root], body: Members = {}) =>
    pages.add(LEDGER, 'payload.erased', { ...erasing(pages, entries, ...by), ...body });
  const missing = `3 payload.missing: ${place(1)}the payload is gone and neither payload.erased nor ledger.pruned names it`;

  test('by a signed erasure of a closed run', async () => {
    expect(await erased(ready()).said()).toEqual([]);
    expect(erased(ready()).read().finish({ trust: null })).toMatchObject({ sound: true, erased: 1, pruned: 0, signatures: 4 });
    const wrong = '5 erasure.signature: payload.erased is not signed by a root or issuer key of this ledger';
    expect(await erased(ready(), undefined, [SEEDS.stranger]).said()).toEqual([wrong]);
    expect(await erased(ready(), undefined, [SEEDS.runtime]).said()).toEqual([wrong]);
    expect(await erased(ready(), undefined, [SEEDS.root, SEEDS.log]).said()).toEqual([wrong]);
    const unsigned = '5 erasure.signature: payload.erased is not signed';
    expect(await erased(ready(), undefined, []).said()).toEqual([unsigned]);
    expect(await erased(ready(), undefined, [], { signatures: 1 }).said()).toEqual([unsigned]);
    expect(await erased(ready(), undefined, [], { signatures: [{ key: 1, value: 'x' }] }).said()).toEqual([wrong]);
    expect(await erased(ready(), undefined, [], { signatures: [{ key: keyIdOf(publicKeyOf(SEEDS.root)), value: 1 }] }).said()).toEqual([
      wrong,
    ]);
    expect(await erased(ready(), undefined, [SEEDS.root], { because: 'changed' }).said()).toEqual([wrong]);
  });
  test('of places, of closed runs, and of nothing that it does not name', async () => {
    expect(await erased(ready(), { 0: 1 }).said()).toEqual(['5 law.body: payload.erased names no entries', missing]);
    const none = '5 law.body: payload.erased names something that is no place';
    expect(await erased(ready(), [1, { trajectory: RUN, seq: 1 }]).said()).toEqual([none]);
    expect(
      await erased(ready(), [
        { trajectory: 1, seq: 1 },
        { trajectory: RUN, seq: '1' },
      ]).said(),
    ).toEqual([none, none, missing]);
    expect(await erased(ready(), [{ trajectory: RUN, seq: 2 }]).said()).toEqual([missing]);
    expect(await erased(opened().judged('fact.noted', NOTED, gone)).said()).toEqual([
      `4 payload.missing: a payload of ${RUN} was erased while that run was open`,
    ]);
    expect(await erased(opened(), [{ trajectory: 'memory', seq: 1 }]).said()).toEqual([]);
  });
  test('by the list of a pruning, of what was old enough', async () => {
    const list = (runs: Json): Bytes => canonicalBytes({ v: 1, runs });
    const pruned = async (runs: Json, before: Json = after(1), pages = ready(), blob?: Bytes | null) => {
      const bytes = list(runs);
      pages.add(LEDGER, 'ledger.pruned', { before, list: { digest: digestOf(bytes), bytes: bytes.length } }, { at: after(2) });
      return pages.said({ blob: async (digest) => (blob === undefined && digest === digestOf(bytes) ? bytes : (blob ?? null)) });
    };
    expect(await pruned([[RUN, [[1, 1]]]])).toEqual([]);
    expect(await pruned([[RUN, [[0, 5]]]])).toEqual([]);
    expect(
      await pruned([
        [runNamed('x'), [[0, 5]]],
        [RUN, [[1, 1]]],
      ]),
    ).toEqual([]);
    expect(await pruned([[RUN, [[0, 0]]]])).toEqual([missing]);
    expect(await pruned([[RUN, [[2, 9]]]])).toEqual([missing]);
    expect(await pruned([[RUN, [[1, 1]]]], START)).toEqual([missing]);
    const unread = (bytes: Bytes) =>
      `5 payload.missing: the list ${digestOf(bytes)} of a ledger.pruned cannot be read: what it names counts as missing`;
    expect(await pruned([[RUN, [[1, 1]]]], after(1), ready(), null)).toEqual([unread(list([[RUN, [[1, 1]]]])), missing]);
    expect(await pruned([[RUN, [[1, 1]]]], after(1), ready(), list([]))).toEqual([unread(list([[RUN, [[1, 1]]]])), missing]);
    expect(await pruned('none')).toEqual([unread(list('none')), missing]);
    expect(await pruned([[RUN, [[1, 1]]]], 1)).toEqual(['5 law.body: ledger.pruned names no list', missing]);
    expect(await pruned([[RUN, [[1, 1]]]], after(3))).toEqual(['5 law.body: ledger.pruned reaches into its own future']);
    expect(await pruned([[RUN, [[1, 1]]]], after(2))).toEqual([]);
    expect(await pruned([[RUN, [[1, 1]]]], after(1), opened().judged('fact.noted', NOTED, gone))).toEqual([
      `4 payload.missing: payloads of ${RUN} were pruned while that run was open`,
    ]);
    expect(await ready().add(LEDGER, 'ledger.pruned', { before: START }).said()).toEqual([
      '5 law.body: ledger.pruned names no list',
      missing,
    ]);
    const two = ready();
    const bytes = list([[RUN, [[1, 1]]]]);
    two.add(LEDGER, 'ledger.pruned', { before: after(1), list: { digest: digestOf(bytes) } }, { at: after(2) });
    const verification = two.read();
    await verification.lists(async () => bytes);
    expect(verification.finish({ trust: null })).toMatchObject({ sound: true, erased: 1, pruned: 1 });
    // Without the bytes of lists, what they name counts as missing.
    expect(await two.said()).toEqual([unread(bytes), missing]);
  });
});

describe('a self-test', () => {
  const tested = (body: Members, by: readonly Bytes[] = [SEEDS.runtime], changed: Members = {}) => {
    const pages = opened().add(SELF, 'selfTest.opened', {});
    const full = { ledger: pages.fingerprint, trajectory: SELF, ...body };
    const signatures = by.map((seed) => signatureOf(TESTED, full, seed));
    return pages.add(SELF, 'selfTest.recorded', { body: full, signatures, ...changed }).said();
  };
  test('counts as one signature that was checked', () => {
    const pages = opened().add(SELF, 'selfTest.opened', {});
    const body = { ledger: pages.fingerprint, trajectory: SELF };
    pages.add(SELF, 'selfTest.recorded', { body, signatures: [signatureOf(TESTED, body, SEEDS.runtime)] });
    expect(pages.read().finish({ trust: null })).toMatchObject({ sound: true, signatures: 3 });
  });
  test('is the word of one runtime key, about this ledger and trajectory', async () => {
    expect(await tested({ passed: true })).toEqual([]);
    const wrong = ['4 selfTest.signature: selfTest.recorded is not signed by a runtime key of this ledger'];
    expect(await tested({}, [SEEDS.root])).toEqual(wrong);
    expect(await tested({}, [SEEDS.runtime, SEEDS.runtime])).toEqual(wrong);
    expect(await tested({}, [])).toEqual(wrong);
    expect(await tested({}, [SEEDS.runtime], { body: { ledger: OTHER } })).toEqual(wrong);
    expect(await tested({}, [SEEDS.runtime], { signatures: [{ key: 1, value: 1 }] })).toEqual(wrong);
    const elsewhere = ['4 selfTest.signature: selfTest.recorded is of another ledger or trajectory'];
    expect(await tested({ ledger: OTHER })).toEqual(elsewhere);
    expect(await tested({ trajectory: 'selftest/2' })).toEqual(elsewhere);
  });
});

describe('heads', () => {
  const rootOf = (pages: Pages, size: number): Bytes => {
    const range = CompactRange.empty();
    for (const row of pages.rows.slice(0, size)) range.append(leafHash(row.entryBytes));
    return range.root();
  };
  const noteOf = async (size: number, root: Bytes): Promise<string> => {
    const note = await signCheckpoint({ origin: ORIGIN, size: BigInt(size), root }, logSigner());
    if (!note.ok) throw new Error(note.error.message);
    return note.value;
  };
  test('that were signed cover what they say, and what stands behind them is only chained', async () => {
    const pages = opened();
    const at = async (size: number) => ({ size: BigInt(size), note: await noteOf(size, rootOf(pages, size)) });
    const report = pages.read({ checkpoints: [await at(3), await at(1)] }).finish({ trust: null });
    expect(report).toMatchObject({ sound: true, level: 'signed', checkpoints: 2, signedSize: 3, trust: 'selfAsserted', signatures: 4 });
    expect(report.notChecked.some((line) => line.startsWith('entries from'))).toBe(false);
    const behind = pages.read({ checkpoints: [await at(2)] }).finish({ trust: null });
    expect(behind).toMatchObject({ signedSize: 2, level: 'signed' });
    expect(behind.notChecked[0]).toBe('entries from 2 on: chained, but under no checkpoint yet');
    expect(report.checked).toHaveLength(6);
    expect([...report.checked, ...report.notChecked].every((line) => line.length > 10)).toBe(true);
  });
  test('that do not fit are named', async () => {
    const pages = opened();
    const said = async (size: number, note: string) => pages.said({ checkpoints: [{ size: BigInt(size), note }] });
    expect(await said(2, await noteOf(2, digestBytes(OTHER)))).toEqual([
      '1 checkpoint.root: the checkpoint of size 2 signs another root: one of the entries from 0 to 1 was changed',
    ]);
    expect(await said(2, await noteOf(3, rootOf(pages, 3)))).toEqual(['1 checkpoint.size: a checkpoint kept under size 2 says 3']);
    expect(await said(4, await noteOf(4, rootOf(pages, 3)))).toEqual([
      '3 checkpoint.size: a checkpoint of size 4 was signed, but there are 3 entries',
    ]);
    expect(await said(2, 'x')).toEqual([expect.stringMatching(/^1 checkpoint\.signature: checkpoint of size 2: \S/)]);
    expect(
      await new Pages().add('memory' as TrajectoryId, 'pointer.recorded', {}).said({ checkpoints: [{ size: 1n, note: 'x' }] }),
    ).toContain('0 checkpoint.signature: a checkpoint stands before the founding');
  });
  test('that were kept elsewhere show a roll-back, another history, another ledger', async () => {
    const pages = opened();
    const head = (size: number, root: Bytes, fingerprint = pages.fingerprint) =>
      pages.said({ head: { size: BigInt(size), root, fingerprint } });
    expect(await head(2, rootOf(pages, 2))).toEqual([]);
    expect(await head(3, rootOf(pages, 3))).toEqual([]);
    expect(await head(2, rootOf(pages, 3))).toEqual(['1 ledger.rolledBack: the first 2 entries are not those that were seen before']);
    expect(await head(4, rootOf(pages, 3))).toEqual(['3 ledger.rolledBack: 4 entries were seen before; there are 3']);
    expect(await head(3, rootOf(pages, 3), OTHER)).toEqual([`null ledger.rolledBack: the head kept elsewhere is of ledger ${OTHER}`]);
    expect(await pages.said({}, { trust: OTHER })).toEqual([
      `0 ledger.untrusted: the fingerprint is ${pages.fingerprint}; you trust ${OTHER}`,
    ]);
    expect(await new Pages().said({}, { trust: OTHER })).toContain(`0 ledger.untrusted: the fingerprint is none; you trust ${OTHER}`);
  });
  test('are by keys that the law knows', () => {
    const read = opened().read();
    expect(read.logVkeys()).toHaveLength(1);
    expect(read.logKey(keyIdOf(publicKeyOf(SEEDS.log)))).toEqual(publicKeyOf(SEEDS.log));
    expect([read.logKey(keyIdOf(publicKeyOf(SEEDS.root))), read.logKey('x')]).toEqual([null, null]);
    const none = new Pages().read();
    expect([none.logVkeys(), none.logKey(keyIdOf(publicKeyOf(SEEDS.log)))]).toEqual([[], null]);
    expect([none.entries, none.findings]).toEqual([0, []]);
  });
});
