/**
 * Totality and determinism: whatever facts are recorded in whatever order, the kernel never throws, always says something, says it again in the same
 * bytes, and says nothing that a store would refuse. ARCHITECTURE §2; PROTOCOL §4.1.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { emptyLaw, type LawView, writId } from '@openexec/authority';
import { canonicalBytes, canonicalText, type Digest, digestOf, type Instant, instantFromMs, type Json, utf8Encode } from '@openexec/canon';
import { evolve, initialState, isFact, judge, type Judgement, neededBlobs, pending, type RunEvent, type RunState } from '@openexec/kernel';
import { House, ONE_AGENT, RunDriver, writeFile } from '@openexec/kernel/fixture';
import { kindRow } from '@openexec/protocol';
import fc from 'fast-check';
import { actionOf, ASKS, oneAction, OPEN, watch } from './support.ts';

/** States to start from, and laws to judge under, gathered from real runs. */
const starts: RunState[] = [];
const laws: LawView[] = [];

beforeAll(async () => {
  const house = await House.found();
  const gather = (before: RunState, law: LawView, list: readonly Judgement[], after: RunState): void => {
    watch(before, law, list, after);
    if (after.status !== 'closed') starts.push(after);
  };
  const looping = await RunDriver.open(house, {}, gather);
  await looping.play({ answers: [[writeFile('src/a.ts', 'x'), { name: 'read_file', arguments: { path: '.env' } }], 'ok'], tests: [false] });
  const asking = await RunDriver.open(house, { blueprint: ONE_AGENT, policySet: ASKS }, gather);
  await asking.answer([writeFile('src/a.ts', 'x'), writeFile('src/b.ts', 'y')]);
  await asking.vote('anna');
  await asking.fact('run.pauseRequested', { by: 'person', because: { code: 'person.asked', message: '' } });
  await RunDriver.open(house, { blueprint: oneAction('once'), actions: [actionOf('once')], policySet: OPEN }, gather);
  starts.push(initialState(looping.run));
  laws.push(house.law, emptyLaw());
  const writ = asking.opened.body.writs[0];
  if (writ !== undefined) await house.revoke(writId(writ.body));
  laws.push(house.law);
});

const text = fc.string({ unit: fc.constantFrom('a', 'é', '😀', '\0', '"', '\n'), maxLength: 40 });
const blobs = new Map<Digest, Uint8Array>();
const blob = fc
  .oneof(
    text.map((each) => each.replace(/[^a-zé"\n]/gu, 'z')),
    fc.json(),
    answers(),
  )
  .map((content) => {
    const bytes = utf8Encode(content);
    const digest = digestOf(bytes);
    if (content.length % 7 !== 0) blobs.set(digest, bytes); // Now and then the blob is gone.
    return { digest, bytes: bytes.length, mediaType: content.length % 2 === 0 ? 'application/json' : 'text/plain' };
  });

function answers(): fc.Arbitrary<string> {
  const name = fc.constantFrom('apply_patch', 'read_file', 'run_tests', 'nothing', '');
  const args = fc.oneof(
    fc.constant('{"path":"README.md"}'),
    fc.constant('{"format":"whole_file","path":"src/a.ts","content":"z"}'),
    fc.constant('{'),
    fc.json(),
  );
  const call = fc.record({ id: fc.string(), name, arguments: args });
  return fc
    .record({
      text: fc.string(),
      finish: fc.constantFrom('stop', 'tool_calls', 'length', 'refusal', 'odd'),
      calls: fc.array(call, { maxLength: 5 }),
    })
    .map((answer) => JSON.stringify(answer));
}

const count = fc.oneof(fc.nat(1000), fc.constant(Number.MAX_SAFE_INTEGER));
const oid = fc.constantFrom('0'.repeat(40), 'a'.repeat(40), 'b'.repeat(64));
const reason = fc.record({
  code: fc.constantFrom('a.b', 'budget.exhausted', 'writ.revoked'),
  message: fc.constantFrom('', 'why', 'w'.repeat(2000)),
});
const path = fc.constantFrom(
  'README.md',
  'src/a.ts',
  'src/a.ts/x',
  'src',
  'new/file',
  `${'p'.repeat(4000)}`,
  '../up',
  '.git/config',
  'a//b',
);
const change = fc.record({
  path,
  before: fc.option(oid),
  after: fc.option(
    fc.record({ blob: fc.constant(digestOf('x')), bytes: fc.nat(), mode: fc.constantFrom('100644', '100755', '120000'), oid }),
  ),
});

/** An id that is open in the state, or any other. */
type Ids = { readonly ask: Digest; readonly execution: Digest; readonly request: Digest };
function idsOf(state: RunState): Ids {
  const none = digestOf('nothing');
  const open = pending(state)[0];
  return {
    ask: state.stage?.ask?.id ?? none,
    execution:
      open?.do === 'execute' ? open.execution : (state.stage?.intents.find(({ execution }) => execution !== null)?.execution?.id ?? none),
    request: state.request?.id ?? none,
  };
}

type Made = { readonly kind: string; readonly body: (state: RunState) => Json };
const asJson = (value: unknown): Json => value as Json;

const seeds = fc.record({
  stale: fc.integer({ min: 0, max: 9 }),
  other: fc.integer({ min: 0, max: 5 }),
  blob,
  reason,
  count,
  small: fc.nat(5),
  changes: fc.array(change, { maxLength: 3 }),
  artifact: blob,
  oid,
  flag: fc.boolean(),
  text,
  kind: fc.nat(17),
});
type Seed = typeof seeds extends fc.Arbitrary<infer S> ? S : never;

const driven = (seed: Seed, state: RunState) =>
  seed.stale === 0
    ? { driver: 'e'.repeat(32), epoch: seed.small }
    : { driver: state.driver === '' ? 'd'.repeat(32) : state.driver, epoch: state.epoch };
const id = (seed: Seed, state: RunState, which: keyof Ids): Digest => (seed.other === 0 ? digestOf('another') : idsOf(state)[which]);
const simple = (seed: Seed): string => seed.text.replaceAll('\0', '');

function runFacts(seed: Seed): readonly Made[] {
  return [
    { kind: 'run.resumed', body: (state) => asJson({ driver: 'c'.repeat(32), epoch: state.epoch + seed.small, because: simple(seed) }) },
    { kind: 'run.pauseRequested', body: () => asJson({ by: 'person', because: seed.reason }) },
    { kind: 'run.cancelRequested', body: () => asJson({ because: simple(seed) }) },
    {
      kind: 'run.rewound',
      body: (state) => {
        const by = seed.flag ? { driver: 'c'.repeat(32), epoch: state.epoch + seed.small } : driven(seed, state);
        return asJson({ ...by, stage: state.marks?.stage ?? 'implement', visit: state.marks?.visit ?? 1 });
      },
    },
    { kind: 'router.planned', body: (state) => asJson({ ...driven(seed, state), plan: seed.blob }) },
    { kind: 'skill.bound', body: () => asJson({ template: seed.blob, params: {}, because: 'x' }) },
    {
      kind: 'intent.submitted',
      body: () =>
        asJson({ channel: 'x', action: 'apply_patch', arguments: { inline: null }, claims: { rationale: null, claimedRisk: null } }),
    },
  ];
}

function approvalFacts(seed: Seed): readonly Made[] {
  return [
    { kind: 'approval.expired', body: (state) => asJson({ ...driven(seed, state), request: id(seed, state, 'request') }) },
    {
      kind: 'approval.voted',
      body: (state) =>
        asJson({
          vote: {
            body: {
              ledger: digestOf('l'),
              run: state.run,
              request: id(seed, state, 'request'),
              decision: seed.flag ? 'approve' : 'deny',
              digest: digestOf('d'),
              expiry: '2027-01-01T00:00:00.000Z',
              nonce: '0'.repeat(32),
              assurance: 'file',
              because: simple(seed),
            },
            signatures: [{ key: '1'.repeat(32), value: 'AAAA' }],
          },
        }),
    },
  ];
}

function failureFacts(seed: Seed): readonly Made[] {
  return [
    {
      kind: 'model.failed',
      body: (state) =>
        asJson({
          ...driven(seed, state),
          ask: id(seed, state, 'ask'),
          error: seed.reason,
          retryable: seed.flag,
          retryAfterMs: seed.flag ? seed.count : null,
          status: seed.flag ? 429 : null,
          raw: null,
          durationMs: 1,
        }),
    },
    {
      kind: 'execution.failed',
      body: (state) =>
        asJson({
          ...driven(seed, state),
          execution: id(seed, state, 'execution'),
          error: seed.reason,
          effectUnknown: seed.flag,
          output: null,
          durationMs: 1,
        }),
    },
    {
      kind: 'effect.undeclared',
      body: (state) => asJson({ ...driven(seed, state), execution: id(seed, state, 'execution'), paths: ['x'], because: seed.reason }),
    },
  ];
}

/** Answers and observations, which move a run on, come three times as often as the rest. */
function progressFacts(seed: Seed): readonly Made[] {
  return [
    ...Array.from({ length: 3 }, () => ({
      kind: 'model.answered',
      body: (state: RunState) =>
        asJson({
          ...driven(seed, state),
          ask: id(seed, state, 'ask'),
          answer: seed.blob,
          raw: seed.blob,
          usage: seed.flag ? { inputTokens: seed.count, outputTokens: seed.small } : null,
          durationMs: 1,
        }),
    })),
    ...Array.from({ length: 3 }, () => ({
      kind: 'execution.observed',
      body: (state: RunState) =>
        asJson({
          ...driven(seed, state),
          execution: id(seed, state, 'execution'),
          status: seed.flag ? 'ok' : 'failed',
          summary: simple(seed),
          output: seed.blob,
          exitCode: null,
          durationMs: 1,
          changes: seed.small === 0 ? { blob: seed.blob } : { inline: seed.changes },
          scratch: [],
          artifacts: [{ name: 'test_report', blob: seed.artifact }],
          landed: seed.small === 1 ? { ref: 'refs/heads/x', commit: seed.oid, tree: seed.oid } : null,
        }),
    })),
  ];
}

/** Facts of every kind a run may hold, mostly by the driver in force, mostly about what is open. */
const fact: fc.Arbitrary<Made> = seeds.map((seed) => {
  const bodies = [...runFacts(seed), ...approvalFacts(seed), ...failureFacts(seed), ...progressFacts(seed)];
  return bodies[seed.kind % bodies.length] ?? never();
});

function never(): never {
  throw new Error('there is always a fact');
}

function bytesOf(list: readonly Judgement[]): string {
  return canonicalText(list.map(({ kind, body }) => [kind, asJson(body)]));
}

/** A store refuses a judgement that has not its shape or is too large: then the run could never go on. */
function checkStorable(list: readonly Judgement[]): void {
  for (const { kind, body } of list) {
    const shaped = kindRow(kind).body.safeParse(body);
    if (!shaped.success) throw new Error(`${kind} has not its shape: ${shaped.error.message}`);
    if (canonicalBytes(asJson(body)).length > 65_536) throw new Error(`${kind} is larger than a payload`);
  }
}

interface Step {
  readonly made: Made;
  readonly law: number;
  readonly queue: boolean;
  readonly passMs: number;
}

/** Appends one event as a recorded one: its blobs are those that a shell would read. */
function recorded(
  state: RunState,
  bare: { readonly kind: string; readonly at: Instant; readonly cause: number | null; readonly law: number | null; readonly body: unknown },
  more: ReadonlyMap<Digest, Uint8Array>,
): RunState {
  const event = bare as unknown as RunEvent;
  const found = new Map<Digest, Uint8Array>();
  for (const { digest } of neededBlobs(event)) {
    const bytes = more.get(digest) ?? blobs.get(digest);
    if (bytes !== undefined) found.set(digest, bytes);
  }
  return evolve(state, state.nextSeq, { ...event, blobs: found });
}

/** Judges all that is queued, checking each list, and folds it as a verifier would. */
function drain(start: RunState, law: LawView): RunState {
  let state = start;
  while (state.queue[0] !== undefined) {
    const [oldest] = state.queue;
    const list = judge(state, law);
    if (list.length === 0) throw new Error('judge said nothing');
    if (bytesOf(judge(state, law)) !== bytesOf(list)) throw new Error('judge said something else the second time');
    checkStorable(list);
    const made = new Map(list.flatMap((each) => each.blobs.map((one) => [one.digest, one.bytes] as const)));
    for (const { kind, body } of list)
      state = recorded(state, { kind, at: oldest.event.at, cause: oldest.seq, law: law.position, body }, made);
    if (pending(state).length > 1) throw new Error('two things are due at once');
    if (state.status === 'closed' && pending(state).length > 0) throw new Error('a closed run has something to do');
  }
  return state;
}

describe('the kernel', () => {
  const step: fc.Arbitrary<Step> = fc.record({
    made: fact,
    law: fc.integer({ min: 0, max: 8 }),
    queue: fc.boolean(),
    passMs: fc.nat(400_000),
  });

  test('takes any facts in any order without throwing, always answers, and answers twice the same', () => {
    fc.assert(
      fc.property(fc.nat(), fc.array(step, { minLength: 1, maxLength: 12 }), (from, steps) => {
        let state = starts[from % starts.length] ?? never();
        let ms = 1_772_355_700_000;
        for (const { made, law, queue, passMs } of steps) {
          ms += passMs;
          const body = made.body(state);
          if (!kindRow(made.kind as Parameters<typeof kindRow>[0]).body.safeParse(body).success) continue;
          state = recorded(state, { kind: made.kind, at: instantFromMs(ms), cause: null, law: null, body }, new Map());
          // Mostly the law in force, now and then another.
          const view = laws[law < 6 ? 0 : law - 6] ?? never();
          if (!queue) state = drain(state, view);
        }
        drain(state, laws[0] ?? never());
      }),
      { numRuns: 1500 },
    );
  });

  test('makes most generated facts matter: the property above is not about refusals only', () => {
    const kinds = new Map<string, number>();
    for (const [at, { made }] of fc.sample(step, 2000).entries()) {
      const state = starts[at % starts.length] ?? never();
      const body = made.body(state);
      if (!kindRow(made.kind as Parameters<typeof kindRow>[0]).body.safeParse(body).success) continue;
      const next = recorded(state, { kind: made.kind, at: instantFromMs(1_772_355_700_000), cause: null, law: null, body }, new Map());
      for (const { kind } of judge(next, laws[0] ?? never())) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    }
    for (const kind of [
      'commit.recorded',
      'proposal.rejected',
      'intent.declared',
      'model.asked',
      'stage.left',
      'run.closed',
      'execution.started',
      'execution.lost',
      'run.parked',
      'approval.resolved',
      'commit.compensated',
    ]) {
      expect([kind, kinds.get(kind) ?? 0]).not.toEqual([kind, 0]);
    }
  });

  test('folds any recorded judgement, also ones it would never make', () => {
    const amount = fc.record({ tokens: count, usdMicros: count, calls: count });
    const digest = fc.constantFrom(digestOf('a'), digestOf('nothing'));
    const forged = fc.oneof(
      fc.record({
        kind: fc.constant('proposal.staged'),
        body: fc.record({
          proposal: digest,
          intent: digest,
          decision: digest,
          action: fc.constant('x'),
          effect: fc.constant('read'),
          reservation: amount,
          idempotencyKey: digest,
          preImage: fc.constant(null),
          approval: fc.constant(null),
        }),
      }),
      fc.record({ kind: fc.constant('execution.lost'), body: fc.record({ execution: digest, because: reason }) }),
      fc.record({
        kind: fc.constant('stage.left'),
        body: fc.record({
          stage: fc.constant('implement'),
          visit: fc.nat(3),
          outcome: fc.constantFrom('succeeded', 'failed', 'skipped'),
          because: reason,
          next: fc.constantFrom('fail', 'done', 'paused', 'nowhere'),
          outputs: fc.constant([]),
        }),
      }),
      fc.record({
        kind: fc.constant('stage.entered'),
        body: fc.record({
          stage: fc.constantFrom('implement', 'nowhere'),
          visit: fc.nat(9),
          type: fc.constant('agent'),
          inputs: fc.constant([]),
        }),
      }),
      fc.record({ kind: fc.constant('run.parked'), body: fc.record({ because: reason, request: fc.constant(null) }) }),
      fc.record({
        kind: fc.constant('approval.resolved'),
        body: fc.record({ request: digest, outcome: fc.constantFrom('approved', 'denied'), votes: fc.constant([]), because: reason }),
      }),
      fc.record({
        kind: fc.constant('run.closed'),
        body: fc.record({ outcome: fc.constant('failed'), because: reason, worldRoot: digest, spend: amount, result: fc.constant(null) }),
      }),
    );
    fc.assert(
      fc.property(fc.nat(), fc.array(forged, { minLength: 1, maxLength: 6 }), step, (from, judgements, { made }) => {
        let state = starts[from % starts.length] ?? never();
        for (const { kind, body } of judgements)
          state = recorded(state, { kind, at: '2026-03-01T10:00:00.000Z' as Instant, cause: 0, law: 0, body }, new Map());
        const body = made.body(state);
        if (!kindRow(made.kind as Parameters<typeof kindRow>[0]).body.safeParse(body).success) return;
        const next = recorded(
          state,
          { kind: made.kind, at: '2026-03-01T10:00:01.000Z' as Instant, cause: null, law: null, body },
          new Map(),
        );
        if (judge(next, laws[0] ?? never()).length === 0) throw new Error('judge said nothing');
      }),
      { numRuns: 1500 },
    );
  });

  test('judges nothing when nothing is queued: that is the caller’s mistake and is thrown', () => {
    expect(() => judge(starts[0] ?? never(), laws[0] ?? never())).toThrow('no fact is queued');
  });

  test('tells facts from judgements by their kinds alone', () => {
    const event = (kind: string) => ({ kind }) as unknown as RunEvent;
    expect([isFact(event('model.answered')), isFact(event('model.asked')), isFact(event('approval.voted'))]).toEqual([true, false, true]);
  });
});
