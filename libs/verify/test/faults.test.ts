/**
 * Each thing that can be wrong with a body of law, an erasure, a pruning or a self-test, alone in a ledger that is sound otherwise: found at its entry,
 * under its code. Ledgers are made entry by entry, as somebody would who holds the keys and no store. PROTOCOL §§3-5, 10.
 */
import { describe, expect, test } from '@jest/globals';
import { type Bytes, canonicalBytes, type Digest, digestOf, type Json, toHex, type TrajectoryId, utf8Encode } from '@openexec/canon';
import { commitmentOf, type Entry, encodeEntry, ERASURE_TYPE, erasureBody, type Row } from '@openexec/ledger';
import { fixtures } from '@openexec/ledger/contract';
import { keyIdOf, leafHash, publicKeyOf, signTyped } from '@openexec/proof';
import type { Kind } from '@openexec/protocol';
import { LedgerVerification, type LedgerSource, verifyLedger, type VerifyReport } from '@openexec/verify';

const { after, CANCEL, CLOSED, LAW, LEDGER, nonceOf, openedBody, runNamed, SEEDS, signedBody, START } = fixtures;
const ROOT = keyIdOf(publicKeyOf(SEEDS.root));
const RUN = runNamed('a');
const hex = (seed: Bytes): string => toHex(publicKeyOf(seed));
type Members = { readonly [name: string]: Json };

interface Step {
  readonly to: TrajectoryId;
  readonly kind: Kind;
  /** Bytes that are no JSON stand as they are. */
  readonly body: Json | Bytes;
  readonly at?: Entry['at'];
  readonly cause?: number | null;
  readonly law?: number;
  readonly sig?: Entry['sig'];
  readonly erased?: boolean;
}
const law = (kind: Kind, body: Json | Bytes, more: Partial<Step> = {}): Step => ({ to: LAW, kind, body, ...more });
const enacted = (kind: Kind, body: Members, by: Bytes = SEEDS.root): Step => law(kind, signedBody(kind, body, by));

const FOUNDED: Members = {
  origin: fixtures.ORIGIN,
  registry: 1,
  logKey: hex(SEEDS.log),
  rootKeys: [hex(SEEDS.root)],
  nonce: nonceOf('founding'),
};
const founding = (change: Members = {}): Step => enacted('ledger.founded', { ...FOUNDED, ...change });

/** Rows of these entries, each in its place and under its commitment. */
function rowsOf(steps: readonly Step[]): Row[] {
  const heads = new Map<string, { seq: number; leaf: Digest }>();
  return steps.map(({ to, kind, body, at = START, cause, law: position, sig, erased = false }) => {
    const head = heads.get(to);
    const payload = body instanceof Uint8Array ? body : canonicalBytes(body);
    const salt = new Uint8Array(32).fill(heads.size);
    const seq = head === undefined ? 0 : head.seq + 1;
    const entryBytes = encodeEntry({
      v: 1,
      trajectory: to,
      seq,
      prev: head?.leaf ?? null,
      kind,
      at,
      actor: 'runtime',
      cause: cause ?? null,
      law: position ?? null,
      commitment: commitmentOf(salt, payload),
      bytes: payload.length,
      ...(sig === undefined ? {} : { sig }),
    });
    heads.set(to, { seq, leaf: `sha256:${toHex(leafHash(entryBytes))}` as Digest });
    return erased ? { entryBytes, payload: null, salt: null } : { entryBytes, payload, salt };
  });
}

function verified(rows: readonly Row[], more: Partial<Omit<LedgerSource, 'rows'>> = {}): Promise<VerifyReport> {
  async function* pages(): AsyncGenerator<readonly Row[]> {
    yield await Promise.resolve(rows);
  }
  return verifyLedger({ rows: pages(), checkpoints: [], head: null, ...more }, { trust: null });
}
const FINGERPRINT = `sha256:${toHex(leafHash(rowsOf([founding()])[0]?.entryBytes ?? new Uint8Array()))}` as Digest;
const codes = async (steps: readonly Step[], more: Partial<Omit<LedgerSource, 'rows'>> = {}): Promise<readonly string[]> =>
  (await verified(rowsOf(steps), more)).findings.map(({ index, code }) => `${index} ${code}`);
const of = (more: Members): Members => ({ ledger: FINGERPRINT, nonce: nonceOf(JSON.stringify(more)), ...more });
const trusted = (seed: Bytes, roles: readonly string[], window: Json = { notBefore: START, notAfter: null }): Step =>
  enacted('key.trusted', of({ publicKey: hex(seed), roles: [...roles], window, label: 'x' }));
const OPENED: Step = { to: RUN, kind: 'run.opened', body: openedBody(FINGERPRINT, 'a') };
const CANCELLED: Step = { to: RUN, kind: 'run.cancelRequested', body: CANCEL };

/** Public keys of as many people. */
const manyKeys = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, at) => hex(Uint8Array.from({ length: 32 }, (__, byte) => (byte === 0 ? at & 255 : (at >> 8) + 7))));

describe('the founding', () => {
  const signedTwice = (): Step => {
    const body = signedBody('ledger.founded', FOUNDED, SEEDS.root) as { readonly signatures: readonly Json[] } & Members;
    return law('ledger.founded', { ...body, signatures: [...body.signatures, ...body.signatures] });
  };
  test.each<readonly [string, () => Step, string]>([
    ['is sound', founding, ''],
    ['with a key twice', () => founding({ rootKeys: [hex(SEEDS.root), hex(SEEDS.root)] }), '0 law.body'],
    ['whose log key is a root key', () => founding({ logKey: hex(SEEDS.root) }), '0 law.body'],
    ['with more signatures than root keys', signedTwice, '0 law.signature'],
    ['without a registry', () => enacted('ledger.founded', { ...FOUNDED, registry: null }), '0 law.body'],
    ['of a registry that is not said', () => law('ledger.founded', without('registry')), '0 law.body'],
    ['of a registry that is not known', () => founding({ registry: 2 }), '0 law.registry'],
    ['of a registry below the first', () => founding({ registry: 0 }), '0 law.registry'],
    ['with a signature that is none', () => law('ledger.founded', { body: FOUNDED, signatures: [1] }), '0 law.body'],
    ['with a signature without its value', () => law('ledger.founded', { body: FOUNDED, signatures: [{ key: ROOT }] }), '0 law.body'],
    ['with a signature without its key', () => law('ledger.founded', { body: FOUNDED, signatures: [{ value: 'AA==' }] }), '0 law.body'],
    ['without any signature', () => law('ledger.founded', { body: FOUNDED, signatures: [] }), '0 law.body'],
    ['that is no canonical JSON', () => law('ledger.founded', utf8Encode('{ }')), '0 law.body'],
  ])('%s', async (_, step, expected) => {
    expect((await codes([step()])).join()).toBe(expected);
  });

  test('of more keys than a founding may name, or of one that is not admissible among all that it may, is no law', async () => {
    const rootKeys = manyKeys(16);
    expect(await codes([founding({ rootKeys })])).toEqual(['0 law.signature']);
    expect(await codes([founding({ rootKeys: [...rootKeys.slice(1), '00'.repeat(32)] })])).toEqual(['0 law.body']);
    expect(await codes([founding({ rootKeys: manyKeys(17) })])).toEqual(['0 law.body']);
  });

  function without(name: string): Json {
    const { [name]: _gone, ...body } = FOUNDED;
    return signedBody('ledger.founded', body, SEEDS.root);
  }
});

describe('a body of law', () => {
  const WRIT: Members = of({
    v: 1,
    use: 'standing',
    issuer: ROOT,
    subject: ROOT,
    parent: null,
    tenant: 'house',
    actions: ['*'],
    ceiling: ['pure'],
    readPaths: [],
    writePaths: [],
    hosts: [],
    budget: { tokens: 1, usdMicros: 1, calls: 1 },
    wallMs: 1000,
    notBefore: START,
    notAfter: after(1000),
    delegation: { depth: 0, maySubdivide: false },
  });
  const writ = (issuer: string, seed: Bytes): Step => {
    const body: Members = { ...WRIT, issuer };
    const signature = signTyped({ type: 'application/vnd.openexec.writ.v1+json', body, seed });
    return law('writ.issued', { writ: { body, signatures: [{ ...signature }] } });
  };
  const twice = (): Step => {
    const signed = signedBody('writ.revoked', of({ writ: FINGERPRINT, because: 'x' }), SEEDS.root) as {
      readonly signatures: readonly Json[];
    } & Members;
    return law('writ.revoked', { ...signed, signatures: [...signed.signatures, ...signed.signatures] });
  };
  test.each<readonly [string, () => Step, string]>([
    ['a writ by its issuer', () => writ(ROOT, SEEDS.root), ''],
    ['a writ that names another issuer than its signer', () => writ(keyIdOf(publicKeyOf(SEEDS.stranger)), SEEDS.root), '1 law.signature'],
    ['a writ signed as something else', () => law('writ.issued', { writ: signedBody('writ.issued', WRIT, SEEDS.root) }), '1 law.signature'],
    ['a writ that is no object', () => law('writ.issued', []), '1 law.body'],
    ['a key signs twice', twice, '1 law.signature'],
    [
      'trust without a window',
      () => enacted('key.trusted', of({ publicKey: hex(SEEDS.stranger), roles: ['approver'], label: '' })),
      '1 law.body',
    ],
    ['trust in a window without an end', () => trusted(SEEDS.stranger, ['approver'], { notBefore: START }), '1 law.body'],
    [
      'trust without a key',
      () => enacted('key.trusted', of({ roles: ['approver'], window: { notBefore: START, notAfter: null }, label: '' })),
      '1 law.body',
    ],
    [
      'trust without roles',
      () =>
        enacted('key.trusted', of({ publicKey: hex(SEEDS.stranger), roles: [1], window: { notBefore: START, notAfter: null }, label: '' })),
      '1 law.body',
    ],
    ['trust that is all there', () => trusted(SEEDS.stranger, ['approver']), ''],
    ['trust from no time on', () => trusted(SEEDS.stranger, ['approver'], { notAfter: null }), '1 law.body'],
    ['a key retired that nobody trusted', () => enacted('key.retired', of({ key: 'ab'.repeat(16), because: 'x' })), '1 law.body'],
    ['a key retired that is no key', () => enacted('key.retired', of({ key: 'x', because: 'x' })), '1 law.body'],
    ['no key retired', () => enacted('key.retired', of({ because: 'x' })), '1 law.body'],
    ['a higher registry', () => enacted('ledger.upgraded', of({ registry: 2 })), '1 law.registry'],
    ['no registry', () => enacted('ledger.upgraded', of({})), '1 law.body'],
    ['the same registry', () => enacted('ledger.upgraded', of({ registry: 1 })), '1 law.registry'],
    ['without a nonce', () => enacted('key.retired', { ledger: FINGERPRINT, key: ROOT, because: 'x' }), '1 law.body'],
  ])('%s', async (_, step, expected) => {
    expect((await codes([founding(), step()])).join()).toBe(expected);
  });

  test('that trusts more keys than verdicts are kept for is judged key by key all the same', async () => {
    const trust = (publicKey: string): Step =>
      enacted('key.trusted', of({ publicKey, roles: ['approver'], window: { notBefore: START, notAfter: null }, label: '' }));
    const keys = [...manyKeys(300), '00'.repeat(32), hex(SEEDS.stranger)];
    expect(await codes([founding(), ...keys.map(trust)])).toEqual(['301 law.body']);
  });

  test('by a key whose window is over does not count, and counts on its last day', async () => {
    const issuer = SEEDS.stranger;
    const revoked = (at: Entry['at']): Step => ({ ...enacted('writ.revoked', of({ writ: FINGERPRINT, because: 'x' }), issuer), at });
    const until = trusted(issuer, ['issuer'], { notBefore: START, notAfter: after(1000) });
    expect(await codes([founding(), until, revoked(after(1000))])).toEqual([]);
    expect(await codes([founding(), until, revoked(after(1001))])).toEqual(['2 law.signature']);
  });
});

describe('an entry', () => {
  test('with a signature of its own that its kind does not have, or a judgement without a cause, is found', async () => {
    const sig = { key: ROOT, value: Buffer.alloc(64).toString('base64') };
    expect(await codes([founding(), OPENED, { ...CANCELLED, sig }])).toEqual(['2 entry.kind', '2 entry.signature']);
    const noted: Step = { to: RUN, kind: 'fact.noted', body: fixtures.NOTED, law: 0 };
    expect(await codes([founding(), OPENED, noted])).toEqual(['2 entry.cause']);
    expect(await codes([founding(), OPENED, { ...noted, cause: 0 }])).toEqual([]);
  });

  test('is counted as it is taken, and the verification says so to who asks', async () => {
    const rows = rowsOf([founding(), OPENED]);
    const verification = new LedgerVerification({ checkpoints: [], head: null });
    for (const row of rows) verification.take(row);
    expect([verification.entries, verification.findings, verification.root.length]).toEqual([2, [], 32]);
    const said: number[] = [];
    async function* pages(): AsyncGenerator<readonly Row[]> {
      for (const row of rows) yield await Promise.resolve([row]);
    }
    await verifyLedger({ rows: pages(), checkpoints: [], head: null }, { trust: null, onProgress: (entries) => void said.push(entries) });
    expect(said).toEqual([1, 2]);
  });
});

describe('what was kept elsewhere', () => {
  test('a checkpoint that says another size than it is kept under, several of one size, and the head of another ledger are found', async () => {
    const signer = fixtures.logSigner();
    const store = (await import('@openexec/ledger')).memoryLedger({
      randomness: fixtures.seededRandomness(1),
      signer: fixtures.runtimeSigner(),
      logSigner: signer,
    });
    await store.append(fixtures.foundingBatch());
    const one = await store.checkpoint();
    await store.append(fixtures.batchTo(RUN, 'none', [fixtures.fact('run.opened', openedBody(FINGERPRINT, 'a'))]));
    const two = await store.checkpoint();
    if (!one.ok || !two.ok) throw new Error('no checkpoint');
    const rows: Row[] = [];
    for await (const page of store.rows()) rows.push(...page);
    const found = async (more: Partial<Omit<LedgerSource, 'rows'>>) =>
      (await verified(rows, more)).findings.map(({ index, code }) => `${index} ${code}`);
    expect(await found({ checkpoints: [two.value, one.value, two.value] })).toEqual([]);
    expect(await found({ checkpoints: [{ size: 1n, note: two.value.note }] })).toEqual(['0 checkpoint.size']);
    const { root } = (await store.head()) as { readonly root: Bytes };
    expect(await found({ head: { fingerprint: digestOf('other'), size: 2n, root } })).toEqual(['null ledger.rolledBack']);
    expect((await verified([], { checkpoints: [] })).findings).toMatchObject([{ code: 'ledger.unfounded' }]);
    async function* none(): AsyncGenerator<readonly Row[]> {
      yield await Promise.resolve([]);
    }
    const untrusted = await verifyLedger({ rows: none(), checkpoints: [], head: null }, { trust: FINGERPRINT });
    expect(untrusted.findings.map(({ message }) => message).join()).toContain('the fingerprint is none');
  });
});

describe('an erasure', () => {
  const places: Json = [{ trajectory: RUN, seq: 1 }];
  const closed: readonly Step[] = [founding(), OPENED, CANCELLED, { to: RUN, kind: 'run.closed', body: CLOSED, cause: 1, law: 0 }];
  const erased = (change: Members = {}, by: Bytes = SEEDS.root): Step => {
    const part = { ledger: FINGERPRINT, entries: [{ trajectory: RUN, seq: 1 }], by: ROOT, because: 'asked', rule: 'request' };
    const signature = signTyped({ type: ERASURE_TYPE, body: erasureBody(part), seed: by });
    return {
      to: LEDGER,
      kind: 'payload.erased',
      body: { entries: places, by: ROOT, because: 'asked', rule: 'request', signatures: [{ ...signature }], ...change },
    };
  };
  // The closing carries no signature of its own here; that is found by no rule of integrity.
  test.each<readonly [string, () => Step, readonly string[]]>([
    ['that is signed by a root key', () => erased(), []],
    ['that is no JSON', () => ({ ...erased(), body: utf8Encode('x') }), ['4 law.body']],
    ['that names no list', () => erased({ entries: 1 }), ['4 law.body']],
    ['that names something that is no place', () => erased({ entries: [{ trajectory: RUN }] }), ['4 erasure.signature', '4 law.body']],
    ['that is not signed', () => erased({ signatures: [] }), ['4 erasure.signature']],
    ['whose signatures are no list', () => erased({ signatures: 1 }), ['4 erasure.signature']],
    ['whose signature has no key', () => erased({ signatures: [{ value: 'AA==' }] }), ['4 erasure.signature']],
    ['whose signature is no object', () => erased({ signatures: [1] }), ['4 erasure.signature']],
    ['whose signature has no value', () => erased({ signatures: [{ key: ROOT }] }), ['4 erasure.signature']],
    ['that somebody else signed', () => erased({}, SEEDS.stranger), ['4 erasure.signature']],
    ['that is about something else than is signed', () => erased({ because: 'another' }), ['4 erasure.signature']],
  ])('%s', async (_, step, expected) => {
    expect(await codes([...closed, step()])).toEqual(expected);
  });
});

describe('a pruning', () => {
  const LIST = canonicalBytes({
    v: 1,
    runs: [
      [RUN, [[1, 1]]],
      ['run/other', [[0, 3]]],
    ],
  });
  const pruned = (change: Members = {}): Step => ({
    to: LEDGER,
    kind: 'ledger.pruned',
    at: after(5000),
    body: {
      before: after(4000),
      rule: 'yearly',
      entries: 1,
      list: { digest: digestOf(LIST), bytes: LIST.length, mediaType: 'x' },
      because: 'x',
      ...change,
    },
  });
  const closing: Step = { to: RUN, kind: 'run.closed', body: CLOSED, cause: 1, law: 0 };
  const gone: readonly Step[] = [founding(), OPENED, { ...CANCELLED, erased: true }];
  const blob: LedgerSource['blob'] = (digest) => Promise.resolve(digest === digestOf(LIST) ? LIST : null);

  test('of a closed run is sound with its list, and not without, under another, or with one that is none', async () => {
    const steps = [...gone, closing, pruned()];
    expect(await codes(steps, { blob })).toEqual([]);
    expect(await codes(steps)).toEqual(['4 payload.missing', '2 payload.missing']);
    expect(await codes(steps, { blob: () => Promise.resolve(utf8Encode('other')) })).toEqual(['4 payload.missing', '2 payload.missing']);
    const none = pruned({ list: { digest: digestOf('x'), bytes: 1, mediaType: 'x' } });
    expect(await codes([...gone, closing, none], { blob: () => Promise.resolve(utf8Encode('x')) })).toEqual([
      '4 payload.missing',
      '2 payload.missing',
    ]);
  });

  test('takes nothing beyond what its list names, nor what is younger than it reaches, nor twice', async () => {
    const two: readonly Step[] = [
      founding(),
      OPENED,
      { ...CANCELLED, erased: true },
      { to: RUN, kind: 'run.pauseRequested', body: { by: 'person', because: { code: 'a.b', message: 'x' } }, erased: true },
      { to: RUN, kind: 'run.closed', body: CLOSED, cause: 1, law: 0 },
    ];
    expect(await codes([...two, pruned()], { blob })).toEqual(['3 payload.missing']);
    expect(await codes([...two, pruned(), pruned()], { blob })).toEqual(['3 payload.missing']);
    expect(await codes([...gone, closing, pruned({ before: START })], { blob })).toEqual(['2 payload.missing']);
  });

  test('of an open run, into its own future, or without a list is found', async () => {
    expect(await codes([...gone, pruned()], { blob })).toContain('3 payload.missing');
    expect(await codes([...gone, closing, pruned({ before: after(6000) })], { blob })).toEqual(['4 law.body']);
    for (const change of [{ before: 1 }, { list: 1 }, { list: { digest: 'x' } }])
      expect(await codes([founding(), { ...pruned(change) }], { blob })).toEqual(['1 law.body']);
    expect(await codes([founding(), { ...pruned(), body: utf8Encode('x') }])).toEqual(['1 law.body']);
  });
});

describe('the verdict of a self-test', () => {
  const RUNTIME = SEEDS.runtime;
  const test1 = 'selftest/a' as TrajectoryId;
  const runtime = trusted(RUNTIME, ['runtime']);
  const recorded = (body: Json | Bytes): readonly Step[] => [
    founding(),
    runtime,
    { to: test1, kind: 'selfTest.opened', body: {} },
    { to: test1, kind: 'selfTest.recorded', body },
  ];
  const signed = (change: Members = {}, by: Bytes = RUNTIME): Members =>
    signedBody('selfTest.recorded', { ledger: FINGERPRINT, trajectory: test1, ...change }, by) as Members;
  test.each<readonly [string, () => Json | Bytes, readonly string[]]>([
    ['is sound', () => signed(), []],
    ['that is no JSON', () => utf8Encode('x'), ['3 selfTest.signature']],
    ['without signatures', () => ({ body: {} }), ['3 selfTest.signature']],
    ['with two', () => ({ ...signed(), signatures: [1, 2] }), ['3 selfTest.signature']],
    ['with one that has no key', () => ({ ...signed(), signatures: [{ value: 'x' }] }), ['3 selfTest.signature']],
    ['with one that has no value', () => ({ ...signed(), signatures: [{ key: keyIdOf(publicKeyOf(RUNTIME)) }] }), ['3 selfTest.signature']],
    ['without a body', () => ({ signatures: signed()['signatures'] ?? null }), ['3 selfTest.signature']],
    ['by a stranger', () => signed({}, SEEDS.stranger), ['3 selfTest.signature']],
    ['over another body', () => ({ ...signed(), body: { ledger: FINGERPRINT } }), ['3 selfTest.signature']],
    ['of another ledger', () => signed({ ledger: digestOf('other') }), ['3 selfTest.signature']],
    ['of another self-test', () => signed({ trajectory: 'selftest/b' }), ['3 selfTest.signature']],
  ])('%s', async (_, body, expected) => {
    expect(await codes(recorded(body()))).toEqual(expected);
  });
});
