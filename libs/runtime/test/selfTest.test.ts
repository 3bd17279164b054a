/**
 * Self-tests over the production judge: every canary is recorded and held, nothing is started, the verifiers agree, and each forgery of what it
 * came to, or of a citation, is found. PROTOCOL §§4.2, 10; GOALS "first 8".
 */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { CANARIES, deepVerify } from '@openexec/audit';
import { bodyType, signBody } from '@openexec/authority';
import { digestOf, instantFromMs, type Json, type TrajectoryId } from '@openexec/canon';
import type { SandboxReport } from '@openexec/catalogue';
import { type Change, entriesOf, rechained } from '@openexec/kernel/fixture';
import type { LedgerStore } from '@openexec/ledger';
import { verifyLedger } from '@openexec/verify';
import {
  keyOfGround,
  type Opening,
  openRun,
  type RecordedSelfTest,
  readSelfTest,
  recordSelfTest,
  type SelfTestOrder,
  standsFor,
} from '../src/index.ts';
import { DAY, keyOf, openingOf, type Place, place, randomness, SEEDS } from './support.ts';

const SOUND: SandboxReport = {
  sound: true,
  kind: 'test',
  version: '1',
  uid: 1000,
  limiter: 'none',
  canaries: [{ name: 'write outside', blocked: true, control: true }],
  problem: null,
};
let at: Place;

beforeEach(async () => {
  at = await place();
});

const ports = () => ({ ledger: at.ledger, clock: at.clock, randomness: randomness(`self-test ${at.clock.ms}`) });
function orderFor(opening: Opening, sandbox = SOUND): SelfTestOrder {
  const { policySet, catalogue, profile } = opening;
  return {
    ground: { ledger: at.fingerprint, runtime: '1.0.0', policySet, catalogue, profile, host: digestOf('this machine') },
    issuer: { keyId: keyOf(SEEDS.issuer), seed: SEEDS.issuer },
    runtime: { keyId: keyOf(SEEDS.runtime), seed: SEEDS.runtime },
    sandbox,
  };
}
async function recorded(order: SelfTestOrder): Promise<RecordedSelfTest> {
  const made = await recordSelfTest(order, ports());
  if (!made.ok) throw new Error(made.error.message);
  return made.value;
}
async function kindsOf(store: LedgerStore, trajectory: TrajectoryId): Promise<string[]> {
  const kinds: string[] = [];
  for await (const { entry } of store.read(trajectory)) kinds.push(entry.kind);
  return kinds;
}
/** Every row of the ledger, for the verifier of bytes. */
async function integrity() {
  const rows = (await entriesOf(at.ledger)).map(({ entryBytes, payload, salt }) => ({ entryBytes, payload, salt }));
  async function* pages() {
    yield rows;
  }
  return verifyLedger({ rows: pages(), checkpoints: [], head: null }, { trust: at.fingerprint });
}

describe('a self-test', () => {
  test('judges every canary in one append, starts nothing, and both verifiers agree with what it says', async () => {
    const made = await recorded(orderFor(openingOf(at)));
    expect(made.report.canaries.filter(({ held }) => !held)).toEqual([]);
    expect(made).toMatchObject({ passed: true, reference: { trajectory: expect.stringMatching(/^selftest\/[0-9a-f]{32}$/) } });
    const kinds = await kindsOf(at.ledger, made.reference.trajectory);
    expect(kinds[0]).toBe('selfTest.opened');
    expect(kinds.at(-1)).toBe('selfTest.recorded');
    expect(made.reference.seq).toBe(kinds.length - 1);
    expect(kinds).not.toContain('execution.started');
    expect(kinds.filter((kind) => kind === 'intent.submitted')).toHaveLength(CANARIES.length);
    // The runtime's vote and a stranger's, both in vain.
    expect(kinds.filter((kind) => kind === 'approval.voted')).toHaveLength(2);
    expect(kinds).not.toContain('approval.resolved');
    const deep = await deepVerify(at.ledger);
    expect(deep.selfTests).toMatchObject([{ verdict: 'agrees', passed: true, closed: true, pending: 0, divergences: [], violations: [] }]);
    expect(deep.totals).toMatchObject({ selfTests: 1, selfTestJudgements: kinds.length - CANARIES.length - 4, divergences: 0 });
    expect(await integrity()).toMatchObject({ sound: true, findings: [] });
  });

  test.each(CANARIES.map(({ name }) => name))('shows %s, by name', async (name) => {
    const made = await recorded(orderFor(openingOf(at)));
    expect(made.report.canaries.find((each) => each.name === name)).toMatchObject({ held: true });
  });

  test('is judged under a policy that permits nothing as well: its controls do not hang on anybody’s policy', async () => {
    const opening = openingOf(at);
    const [layer] = opening.policySet.layers;
    if (layer === undefined) throw new Error('no layer');
    const rules = layer.bundle.rules.map((rule) => ({ ...rule, decide: 'deny' as const }));
    const policySet = { ...opening.policySet, layers: [{ ...layer, bundle: { ...layer.bundle, rules } }] };
    const made = await recorded(orderFor({ ...opening, policySet }));
    expect(made.passed).toBe(true);
    expect(made.report.canaries.find(({ name }) => name === 'control.policy')).toMatchObject({ verdict: 'deny', code: 'policy.denied' });
  });

  test('of a sandbox that let a probe through does not pass, is recorded all the same, and stands for nothing', async () => {
    const open = { ...SOUND, sound: false, canaries: [{ name: 'write outside', blocked: false, control: true }] };
    const order = orderFor(openingOf(at), open);
    const made = await recorded(order);
    expect(made.passed).toBe(false);
    const read = await readSelfTest(ports(), made.reference.trajectory);
    if (!read.ok || read.value === null) throw new Error('it cannot be read');
    expect(standsFor(read.value, order.ground, at.clock.now())).toMatchObject({ ok: false, error: { code: 'selfTest.failed' } });
    expect((await deepVerify(at.ledger)).selfTests).toMatchObject([{ verdict: 'agrees', passed: false }]);
  });

  test('whose issuer is not one fails at its controls, so that its refusals are not taken for enforcement', async () => {
    const order = orderFor(openingOf(at));
    const stranger = { keyId: keyOf(SEEDS.approver), seed: SEEDS.approver };
    const made = await recorded({ ...order, issuer: stranger });
    expect(made.passed).toBe(false);
    expect(made.report.canaries.filter(({ held }) => held)).toEqual([]);
  });

  test('stands for a day, for the same ground and nothing else', async () => {
    const order = orderFor(openingOf(at));
    const { ground } = order;
    const made = await recorded(order);
    const read = await readSelfTest(ports(), made.reference.trajectory);
    if (!read.ok || read.value === null) throw new Error('it cannot be read');
    const known = read.value;
    expect(known.key).toBe(keyOfGround(ground));
    const now = at.clock.ms;
    expect(standsFor(known, ground, instantFromMs(now)).ok).toBe(true);
    expect(standsFor(known, ground, instantFromMs(now + DAY)).ok).toBe(true);
    for (const late of [now + DAY + 1, now - 1])
      expect(standsFor(known, ground, instantFromMs(late))).toMatchObject({ ok: false, error: { code: 'selfTest.expired' } });
    const others = [
      { runtime: '1.0.1' },
      { host: digestOf('another machine') },
      { profile: { ...ground.profile, mode: 'read_only' as const } },
      { policySet: { ...ground.policySet, riskThreshold: 'low' as const } },
      { catalogue: { ...ground.catalogue, commands: {} } },
    ];
    for (const other of others)
      expect(standsFor(known, { ...ground, ...other }, instantFromMs(now))).toMatchObject({
        ok: false,
        error: { code: 'selfTest.otherGround' },
      });
  });

  test('that is not there, or is no self-test, is not read', async () => {
    const none = await readSelfTest(ports(), `selftest/${'0'.repeat(32)}` as TrajectoryId);
    expect(none).toEqual({ ok: true, value: null });
  });
});

describe('a run', () => {
  async function openedWith(change: (made: RecordedSelfTest) => Partial<Opening>, later = 1000): Promise<void> {
    const opening = openingOf(at);
    const made = await recorded(orderFor(opening));
    at.clock.ms += later;
    const opened = await openRun({ ...opening, selfTest: made.reference, ...change(made) }, ports());
    if (!opened.ok) throw new Error(opened.error.message);
  }
  const faults = async () => (await deepVerify(at.ledger)).runs[0]?.divergences.filter(({ what }) => what === 'selfTest') ?? [];

  test('that cites its self-test has nothing against it; one that cites none is counted', async () => {
    await openedWith(() => ({}));
    expect(await deepVerify(at.ledger)).toMatchObject({ totals: { divergences: 0, ungoverned: 0 } });
    await openRun(openingOf(at), ports());
    expect(await deepVerify(at.ledger)).toMatchObject({ totals: { divergences: 0, ungoverned: 1 } });
  });

  const there = expect.any(String);
  const wrong: readonly (readonly [string, (made: RecordedSelfTest) => Partial<Opening>, number, object])[] = [
    [
      'a self-test that is not there',
      () => ({ selfTest: { trajectory: `selftest/${'0'.repeat(32)}` as TrajectoryId, seq: 9 } }),
      1000,
      { expected: 'a recorded self-test before it' },
    ],
    ['another entry of it', ({ reference }) => ({ selfTest: { ...reference, seq: 0 } }), 1000, { expected: there }],
    ['one that is older than a day', () => ({}), DAY + 1, { recorded: expect.stringContaining('opened at') }],
    [
      'one of another policy',
      () => ({ policySet: { ...openingOf(at).policySet, riskThreshold: 'low' } }),
      1000,
      { expected: expect.stringContaining('policySet') },
    ],
    [
      'one of another catalogue',
      () => ({ catalogue: { ...openingOf(at).catalogue, commands: {} } }),
      1000,
      { expected: expect.stringContaining('catalogue') },
    ],
  ];
  test.each(wrong)('that cites %s is found, with both values', async (_, change, later, values) => {
    await openedWith(change, later);
    expect(await faults()).toMatchObject([{ what: 'selfTest', kind: { recorded: 'run.opened' }, seq: 0, ...values }]);
  });
});

function channelOf(body: Json): string {
  const { channel } = body as { readonly channel?: string };
  return channel ?? '';
}

describe('a forged self-test', () => {
  const isRecorded: (change: (body: { readonly [name: string]: Json }) => Json) => Change = (change) => (stored, body) =>
    stored.entry.kind === 'selfTest.recorded'
      ? [{ entry: {}, body: change(body as { readonly [name: string]: Json }) }]
      : [{ entry: {}, body }];
  async function judgedAgain(change: Change) {
    await recorded(orderFor(openingOf(at)));
    const report = await deepVerify(rechained(await entriesOf(at.ledger), at.ledger, change));
    return report.selfTests[0]?.divergences ?? [];
  }
  const resigned = (more: { readonly [name: string]: Json }, seed = SEEDS.runtime) =>
    isRecorded(({ body }) => {
      const changed = { ...(body as { readonly [name: string]: Json }), ...more };
      const made = signBody({ type: bodyType('selfTest.recorded'), body: changed, seeds: [seed] });
      return { body: made.body, signatures: [...made.signatures] };
    });

  test('whose canary was let through, and which says that it was not, is found at both places', async () => {
    let seen = '';
    const divergences = await judgedAgain((stored, body) => {
      const members = body as { readonly [name: string]: Json };
      if (stored.entry.kind === 'intent.submitted') seen = channelOf(body);
      // The runtime judged it by a kernel that grants writing to everybody.
      if (seen === 'effect.write' && stored.entry.kind === 'policy.decided')
        return [{ entry: {}, body: { ...members, verdict: 'permit', because: { code: 'policy.permitted', message: 'why not' } } }];
      return [{ entry: {}, body }];
    });
    expect(divergences.map(({ what }) => what)).toEqual(['payload', 'selfTest', 'selfTest']);
    expect(divergences[1]).toMatchObject({
      expected: expect.stringContaining('"held":false'),
      recorded: expect.stringContaining('"held":true'),
    });
    expect(divergences[2]).toMatchObject({ expected: 'passed: false', recorded: 'passed: true' });
  });

  test.each<readonly [string, Change, object]>([
    ['signed by an approver', resigned({}, SEEDS.approver), { expected: 'the signature of a runtime key in force' }],
    [
      'changed after it was signed',
      isRecorded((whole) => ({ ...whole, body: { ...(whole['body'] as object), canaries: 1 } })),
      { expected: 'the signature of a runtime key in force' },
    ],
    ['that stands for a week', resigned({ until: instantFromMs(1_777_982_400_000 + 7 * DAY) }), { expected: '24 hours from its time' }],
    ['of another key', resigned({ key: digestOf('another') }), { recorded: digestOf('another') }],
    ['of another trajectory', resigned({ trajectory: `selftest/${'1'.repeat(32)}` }), { recorded: `selftest/${'1'.repeat(32)}` }],
    ['of another ledger', resigned({ ledger: digestOf('another') }), { recorded: digestOf('another') }],
    ['that names fewer canaries', resigned({ canaries: 1 }), { recorded: '1 canaries' }],
    [
      'whose report is not there',
      resigned({ report: { digest: digestOf('nothing'), bytes: 7, mediaType: 'application/json' } }),
      { expected: `the report ${digestOf('nothing')}` },
    ],
  ])('%s is found', async (_, change, values) => {
    const divergences = await judgedAgain(change);
    expect(divergences).toContainEqual(expect.objectContaining({ what: 'selfTest', ...values }));
  });

  test('with a canary left out is found: an empty test passes nothing', async () => {
    let seen = '';
    const divergences = await judgedAgain((stored, body) => {
      if (stored.entry.kind === 'intent.submitted') seen = channelOf(body);
      return seen === 'writ.forged' && stored.entry.kind !== 'selfTest.recorded' ? [] : [{ entry: {}, body }];
    });
    expect(divergences).toContainEqual(expect.objectContaining({ what: 'selfTest', expected: 'passed: false' }));
  });

  test('is named by the verifier of bytes where its signature is not a runtime key’s', async () => {
    await recorded(orderFor(openingOf(at)));
    const forged = rechained(await entriesOf(at.ledger), at.ledger, resigned({}, SEEDS.issuer));
    async function* pages() {
      yield forged.entries.map(({ entryBytes, payload, salt }) => ({ entryBytes, payload, salt }));
    }
    const report = await verifyLedger({ rows: pages(), checkpoints: [], head: null }, { trust: at.fingerprint });
    expect(report.findings).toMatchObject([{ code: 'selfTest.signature' }]);
  });
});
