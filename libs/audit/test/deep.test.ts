/**
 * Deep verification and replay over real runs on the ledger in memory: everything agrees after every single append, and every tampering that keeps
 * the chain whole is found where it was made, with both values. PROTOCOL §§4.1, 10.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { type AuditSource, deepVerify, driftOf, replayRun } from '@openexec/audit';
import { err, type Json, parseCanonical, type TrajectoryId } from '@openexec/canon';
import { committedTree } from '@openexec/kernel';
import {
  type Change,
  entriesOf,
  FIX_LOOP,
  House,
  ONE_AGENT,
  ONE_CHECK,
  RunDriver,
  rechained,
  SHIPPED,
  writeFile,
} from '@openexec/kernel/fixture';
import { type Entry, memoryLedger, type Stored } from '@openexec/ledger';
import type { PolicyBundle } from '@openexec/protocol';

const TWO = writeFile('src/a.ts', 'export const a = 2;\n');
const THREE = writeFile('src/a.ts', 'export const a = 3;\n');

/** A house that verifies itself deeply after every append. */
async function watchedHouse(): Promise<{ house: House; checks: () => number }> {
  let checks = 0;
  const house = await House.found();
  house.onAppend = async () => {
    const report = await deepVerify(house.store);
    expect(report.runs.flatMap(({ divergences }) => divergences)).toEqual([]);
    expect(report.runs.every(({ verdict }) => verdict === 'agrees')).toBe(true);
    expect(report.lawProblems).toEqual([]);
    checks += 1;
  };
  return { house, checks: () => checks };
}

describe('a ledger made by the kernel', () => {
  test.each([{ apart: false }, { apart: true }])(
    'agrees after every append of a run that fails its tests once and lands (facts apart: $apart)',
    async (options) => {
      const { house, checks } = await watchedHouse();
      const run = await RunDriver.open(house);
      await run.play({ answers: [[TWO], 'written', [THREE], 'repaired'], tests: [false, true] }, options);
      expect(run.state.closed?.outcome).toBe('done');
      // Opening, 4 answers, 2 patches, 2 tests, 1 landing: each at least one append, or two where facts stand apart.
      expect(checks()).toBe(options.apart ? 19 : 10);
    },
  );

  test('agrees after every append while two runs interleave, the law changes, votes come and a driver is replaced', async () => {
    const { house } = await watchedHouse();
    const first = await RunDriver.open(house);
    const second = await RunDriver.open(house, { blueprint: ONE_AGENT, opener: 'issuer' });
    await first.answer([TWO]);
    await second.answer([writeFile('package.json', '{}\n'), { name: 'read_file', arguments: { path: 'README.md' } }]);
    await house.trust('stranger').catch(() => undefined);
    await second.vote('stranger', 'approve');
    await house.adopt(strict('deny-nothing'));
    await second.vote('anna');
    await first.perform();
    await second.vote('ben');
    await second.play();
    await first.resume({ queue: true });
    await first.fact('run.pauseRequested', { by: 'person', because: { code: 'person.asked', message: 'wait' } });
    await first.resume();
    await first.play({ answers: ['written'], tests: [true] });
    expect([first.state.closed?.outcome, second.state.closed?.outcome]).toEqual(['done', 'done']);
  });

  test('agrees after every append of a run that is rewound, also with the fact apart from its judgements, and replays to that tree', async () => {
    const { house } = await watchedHouse();
    const run = await RunDriver.open(house);
    const base = committedTree(run.state);
    await run.answer([TWO]);
    await run.perform();
    await run.answer('written');
    await run.test(false);
    await run.rewind('run_tests', 1, { apart: true });
    await run.rewind('implement', 1);
    expect(committedTree(run.state)).toBe(base);
    expect(await replayRun(house.store, run.run)).toMatchObject({ verdict: 'agrees', outcome: 'open', tree: base });
    await run.resume();
    await run.play({ answers: [[THREE], 'written'] });
    expect(run.state.closed?.outcome).toBe('done');
    expect(await replayRun(house.store, run.run)).toMatchObject({ verdict: 'agrees', tree: run.state.landed?.tree });
  });

  test('counts facts that nobody has judged as pending, and a violation as the violation it is', async () => {
    const house = await House.found();
    const run = await RunDriver.open(house, { blueprint: ONE_CHECK });
    await run.fact('execution.observed', {
      ...run.driving,
      execution: run.opened.body.task.digest,
      status: 'ok',
      summary: '',
      output: run.opened.body.task,
      exitCode: 0,
      durationMs: 1,
      changes: { inline: [] },
      scratch: [],
      artifacts: [],
      landed: null,
    });
    await run.fact('run.cancelRequested', { because: 'stop' }, { queue: true });
    const { runs, totals } = await deepVerify(house.store);
    expect(runs).toMatchObject([{ verdict: 'agrees', pending: 1, closed: false, violations: [{ why: 'execution.notOpen' }] }]);
    expect(totals).toMatchObject({ pending: 1, violations: 1, divergences: 0, mostOpen: 1 });
  });

  test('counts what was queued when the run closed as pending for ever', async () => {
    const house = await House.found();
    const run = await RunDriver.open(house, { blueprint: ONE_CHECK });
    await run.fact('run.pauseRequested', { by: 'person', because: { code: 'person.asked', message: 'wait' } });
    await run.test(true, { queue: true });
    await run.fact('run.cancelRequested', { because: 'stop' }, { queue: true });
    await run.fact('run.cancelRequested', { because: 'stop again' }, { queue: true });
    await run.settle();
    const { runs } = await deepVerify(house.store);
    expect(runs).toMatchObject([{ verdict: 'agrees', closed: true, pending: 1 }]);
  });

  test('holds no more runs at once than were open at once', async () => {
    const house = await House.found();
    for (let at = 0; at < 5; at++) await (await RunDriver.open(house, { blueprint: ONE_CHECK })).play();
    const seen: number[] = [];
    const { totals, runs } = await deepVerify(house.store, { onProgress: ({ openRuns }) => seen.push(openRuns) });
    expect(totals).toMatchObject({ runs: 5, mostOpen: 1, divergences: 0 });
    expect(runs.every(({ closed }) => closed)).toBe(true);
    expect(seen.at(-1)).toBe(0);
  });
});

/** A bundle that adds nothing but its name: permits everything, so that stricter layers decide. */
function strict(name: string): PolicyBundle {
  return {
    version: 1,
    name,
    rules: [
      {
        id: 'all',
        when: { field: 'action.name', op: 'exists', value: true },
        decide: 'permit',
        because: 'as before',
        examples: { match: [{ action: { name: 'x' } }], noMatch: [{ action: {} }] },
      },
    ],
  };
}

describe('exact replay', () => {
  test('ends at the git tree, commit, branch, world root and spend that the run ended at', async () => {
    const house = await House.found();
    const run = await RunDriver.open(house);
    await run.play({ answers: [[TWO], 'written'], tests: [true] });
    const replay = await replayRun(house.store, run.run);
    expect(replay).toMatchObject({
      verdict: 'agrees',
      outcome: 'done',
      tree: committedTree(run.state),
      commit: run.state.landed?.commit,
      ref: run.state.landed?.ref,
      worldRoot: run.state.closed?.worldRoot,
      spend: run.state.closed?.spend,
      divergences: [],
    });
    expect(replay?.tree).toBe(run.state.landed?.tree);
    expect(replay?.tree).not.toBe(run.opened.body.base.tree);
  });

  test('of a run that is still open ends where it stands; of a run that is not there is null', async () => {
    const house = await House.found();
    const run = await RunDriver.open(house);
    await run.answer([TWO]);
    await run.perform();
    expect(await replayRun(house.store, run.run)).toMatchObject({
      verdict: 'agrees',
      outcome: 'open',
      tree: committedTree(run.state),
      commit: null,
    });
    expect(await replayRun(house.store, 'run/00000000000000000000000000000000' as TrajectoryId)).toBeNull();
  });
});

// ---- tampering that keeps every hash and link whole

const keep: Change = (_, body) => [{ entry: {}, body }];

function asObject(body: Json): { readonly [name: string]: Json } {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new Error('not an object');
  return body as { readonly [name: string]: Json };
}

/** One member of a judgement, changed within its own schema: a reason's message, a digest, a name. */
function alteredMember(body: { readonly [name: string]: Json }): readonly [string, Json] {
  if (body['because'] !== undefined) return ['because', { ...asObject(body['because']), message: 'altered' }];
  const [name, value] = Object.entries(body).find(([, each]) => typeof each === 'string') ?? [];
  if (name === undefined || typeof value !== 'string') throw new Error('nothing to alter');
  return [name, `${value.slice(0, -1)}${value.endsWith('0') ? '1' : '0'}`];
}

describe('a re-chained ledger', () => {
  let house: House;
  let run: RunDriver;
  let honest: Stored[];

  beforeAll(async () => {
    house = await House.found();
    run = await RunDriver.open(house);
    await run.answer([TWO, { name: 'read_file', arguments: { path: '.env' } }]);
    await run.play({ answers: ['written'], tests: [false, true] });
    honest = await entriesOf(house.store);
  });

  /** The place of the n-th entry of a kind in this run. */
  function placeOf(kind: string, nth = 0): bigint {
    const found = honest.filter(({ entry }) => entry.kind === kind && entry.trajectory === run.run)[nth];
    if (found === undefined) throw new Error(`no ${kind}`);
    return found.index;
  }

  /** Changes one entry and verifies. */
  async function tampered(at: bigint, change: Change) {
    const source = rechained(honest, house.store, (stored, body) => (stored.index === at ? change(stored, body) : keep(stored, body)));
    const report = await deepVerify(source);
    return { report: report.runs.find((each) => each.run === run.run), source };
  }

  test('without a change agrees: the forger of these tests adds nothing of his own', async () => {
    expect((await tampered(0n, keep)).report).toMatchObject({ verdict: 'agrees', divergences: [] });
  });

  test('with a verdict turned round is found at that very entry, with both values and the places in which they differ', async () => {
    const at = placeOf('policy.decided', 2);
    const { report } = await tampered(at, (_, body) => [{ entry: {}, body: { ...asObject(body ?? null), verdict: 'permit' } }]);
    expect(report?.verdict).toBe('diverges');
    expect(report?.divergences[0]).toMatchObject({
      index: at,
      what: 'payload',
      kind: { expected: 'policy.decided', recorded: 'policy.decided' },
      drift: [{ path: '/verdict', expected: '"deny"', recorded: '"permit"' }],
    });
    expect(report?.divergences[0]?.expected).toContain('"verdict":"deny"');
    expect(report?.divergences[0]?.recorded).toContain('"verdict":"permit"');
  });

  test('with the spend changed is found, and only there', async () => {
    const at = placeOf('run.closed');
    const { report } = await tampered(at, (_, body) => [
      { entry: {}, body: { ...asObject(body ?? null), spend: { tokens: 1, usdMicros: 1, calls: 1 } } },
    ]);
    expect(report?.divergences).toHaveLength(1);
    expect(report?.divergences[0]).toMatchObject({ index: at, what: 'payload' });
    expect(report?.divergences[0]?.drift.map(({ path }) => path)).toEqual(['/spend/calls', '/spend/tokens', '/spend/usdMicros']);
  });

  test('with another world root in a commit is found at that commit', async () => {
    const at = placeOf('commit.recorded');
    const { report } = await tampered(at, (_, body) => [
      { entry: {}, body: { ...asObject(body ?? null), worldRoot: run.opened.body.task.digest } },
    ]);
    expect(report?.divergences[0]).toMatchObject({ index: at, what: 'payload', drift: [{ path: '/worldRoot' }] });
  });

  test('opened for another kernel is found at the first judgement', async () => {
    const { report } = await tampered(placeOf('run.opened'), (_, body) => [
      { entry: {}, body: { ...asObject(body ?? null), kernel: { version: '1', flags: [7] } } },
    ]);
    expect(report?.verdict).toBe('diverges');
    expect(report?.divergences[0]).toMatchObject({
      index: placeOf('stage.entered'),
      kind: { expected: 'run.closed', recorded: 'stage.entered' },
    });
  });

  test('with a judgement left out is found where it is missing', async () => {
    const at = placeOf('proposal.staged');
    const { report } = await tampered(at, () => []);
    expect(report?.divergences[0]).toMatchObject({ index: at, what: 'missing', kind: { expected: 'proposal.staged', recorded: null } });
  });

  test('with the last judgement left out is found', async () => {
    const { report } = await tampered(placeOf('run.closed'), () => []);
    expect(report).toMatchObject({ verdict: 'diverges', divergences: [{ what: 'missing', kind: { expected: 'run.closed' } }] });
  });

  test('with a judgement too many is found where it stands', async () => {
    const at = placeOf('stage.entered');
    const { report } = await tampered(at, (_, body) => [
      { entry: {}, body },
      { entry: { kind: 'fact.noted' }, body: { why: 'made.up', message: 'never judged', violation: false } },
    ]);
    expect(report?.divergences[0]).toMatchObject({ index: at + 1n, what: 'kind', kind: { recorded: 'fact.noted' } });
  });

  test('with a judgement after the list was complete is found as one too many', async () => {
    const at = placeOf('model.asked');
    const { report } = await tampered(at, (_, body) => [
      { entry: {}, body },
      { entry: { kind: 'fact.noted' }, body: { why: 'made.up', message: 'never judged', violation: false } },
    ]);
    expect(report?.divergences[0]).toMatchObject({ index: at + 1n, what: 'extra', expected: null, recorded: 'fact.noted' });
  });

  test('with a judgement that cites an older law is found, both positions named', async () => {
    const at = placeOf('model.asked');
    const { report } = await tampered(at, (_, body) => [{ entry: { law: 3 }, body }]);
    expect(report?.divergences).toMatchObject([{ index: at, what: 'law', expected: `${house.law.position}`, recorded: '3' }]);
  });

  test('with a judgement moved in time is found', async () => {
    const at = placeOf('model.asked');
    const { report } = await tampered(at, (stored, body) => [
      { entry: { at: stored.entry.at.replace('2026', '2025') as Entry['at'] }, body },
    ]);
    expect(report?.divergences).toMatchObject([{ index: at, what: 'at' }]);
  });

  test('with another answer of the model is found at the judgement that followed from it', async () => {
    const at = placeOf('model.answered');
    const final = honest.filter(({ entry }) => entry.kind === 'model.answered').at(1);
    const other = final?.payload === null || final === undefined ? null : parseCanonical(final.payload);
    const { report } = await tampered(at, (_, body) => [
      { entry: {}, body: { ...asObject(body ?? null), answer: asObject(other?.ok === true ? other.value : null)['answer'] ?? null } },
    ]);
    expect(report?.verdict).toBe('diverges');
    expect(report?.divergences[0]?.index).toBe(placeOf('intent.declared'));
  });

  test('whose payload was erased is not derivable from there, and says so apart from divergence', async () => {
    const { report } = await tampered(placeOf('model.answered'), () => [{ entry: {}, body: null }]);
    expect(report).toMatchObject({ verdict: 'notDerivable', divergences: [], closed: true, from: { code: 'payload.erased' } });
    expect(report?.from?.seq).toBe(honest.find(({ index }) => index === placeOf('model.answered'))?.entry.seq);
  });

  test('whose erased payload stands behind a forged judgement still diverges', async () => {
    const forged = placeOf('policy.decided');
    const erased = placeOf('execution.observed');
    const source = rechained(honest, house.store, (stored, body) => {
      if (stored.index === erased) return [{ entry: {}, body: null }];
      return stored.index === forged ? [{ entry: {}, body: { ...asObject(body ?? null), verdict: 'deny' } }] : keep(stored, body);
    });
    expect((await deepVerify(source)).runs[0]).toMatchObject({ verdict: 'diverges', from: { code: 'payload.erased' } });
  });

  test('whose blob was erased is not derivable; whose kernel-made blob is simply gone diverges', async () => {
    const { report, source } = await tampered(0n, keep);
    expect(report?.verdict).toBe('agrees');
    const answered = honest.find(({ index }) => index === placeOf('model.answered'));
    const body = answered?.payload === null || answered === undefined ? null : parseCanonical(answered.payload);
    const answer = asObject(asObject(body?.ok === true ? body.value : null)['answer'] ?? null)['digest'];
    if (typeof answer !== 'string') throw new Error('the answer names no blob');
    const without = (digest: string, code: 'blob.erased' | 'blob.unknown'): AuditSource => ({
      all: source.all,
      blob: async (asked) => (asked === digest ? err({ code, message: 'gone' }) : house.store.blob(asked)),
    });
    expect((await deepVerify(without(answer, 'blob.erased'))).runs[0]).toMatchObject({
      verdict: 'notDerivable',
      from: { code: 'blob.erased' },
    });
    const asked = run.judged.find(({ kind }) => kind === 'model.asked');
    const tools = asked?.kind === 'model.asked' ? asked.body.tools.digest : '';
    expect((await deepVerify(without(tools, 'blob.unknown'))).runs[0]).toMatchObject({
      verdict: 'diverges',
      divergences: [1, 2, 3].map(() => ({ what: 'blob', expected: tools })),
    });
  });

  test('with a fact that has not the shape of its kind is named and judged no further', async () => {
    const { report } = await tampered(placeOf('model.answered'), (_, body) => [
      { entry: {}, body: { ...asObject(body ?? null), epoch: 'seven' } },
    ]);
    expect(report).toMatchObject({ verdict: 'diverges', divergences: [{ what: 'body' }], from: { code: 'payload.invalid' } });
  });

  test('with any one judgement altered in any one member is found at the first index', async () => {
    const places = honest.filter(({ entry }) => entry.trajectory === run.run && entry.cause !== null);
    for (const place of places) {
      const body = place.payload === null ? null : parseCanonical(place.payload);
      const whole = asObject(body?.ok === true ? body.value : null);
      const [name, altered] = alteredMember(whole);
      const { report } = await tampered(place.index, () => [{ entry: {}, body: { ...whole, [name]: altered } }]);
      expect({ kind: place.entry.kind, verdict: report?.verdict, first: report?.divergences[0]?.index }).toEqual({
        kind: place.entry.kind,
        verdict: 'diverges',
        first: place.index,
      });
    }
  });
});

describe('the law under deep verification', () => {
  test('an entry that is no law is named and changes nothing, and later positions still count', async () => {
    const house = await House.found();
    await house.enact(
      'key.trusted',
      { publicKey: '00'.repeat(32), roles: ['approver'], window: { notBefore: house.now(), notAfter: null }, label: 'x' },
      'stranger',
    );
    await house.retire('ben');
    const run = await RunDriver.open(house, { blueprint: ONE_CHECK });
    await run.play();
    const report = await deepVerify(house.store);
    expect(report.lawProblems).toMatchObject([{ kind: 'key.trusted', code: 'law.untrusted' }]);
    expect(report.runs).toMatchObject([{ verdict: 'agrees' }]);
  });

  test('a run judged under law that was not in force any more is found', async () => {
    const house = await House.found();
    const run = await RunDriver.open(house, { blueprint: FIX_LOOP, policySet: SHIPPED });
    const honest = await entriesOf(house.store);
    await house.retire('issuer');
    const retired = (await entriesOf(house.store)).slice(honest.length);
    const opened = honest.findIndex(({ entry }) => entry.trajectory === run.run);
    const source = rechained([...honest.slice(0, opened), ...retired, ...honest.slice(opened)], house.store, keep);
    const [report] = (await deepVerify(source)).runs;
    expect(report?.verdict).toBe('diverges');
    expect(report?.divergences.map(({ what }) => what)).toContain('law');
    expect(report?.divergences.some(({ kind }) => kind.expected === 'run.closed')).toBe(true);
  });
});

describe('drift', () => {
  test('lists every place, with the text of both values, and nothing where they agree', () => {
    expect(driftOf({ a: [1, 2], b: { c: 'x', 'd/e': 1 } }, { a: [1, 3, 4], b: { c: 'x' }, f: null })).toEqual([
      { path: '/a/1', expected: '2', recorded: '3' },
      { path: '/a/2', expected: null, recorded: '4' },
      { path: '/b/d~1e', expected: '1', recorded: null },
      { path: '/f', expected: null, recorded: 'null' },
    ]);
    expect(driftOf({ a: [{ b: 1 }] }, { a: [{ b: 1 }] })).toEqual([]);
  });

  test('bounds the text of a value that is very long', () => {
    const [only] = driftOf('x'.repeat(5000), 'y');
    expect(only?.expected?.length).toBeLessThan(2100);
    expect(only?.expected).toContain('(5002 characters)');
  });
});

test('an empty ledger has nothing to say against', async () => {
  const store = memoryLedger({ randomness: { bytes: (count) => new Uint8Array(count) } });
  expect(await deepVerify(store)).toMatchObject({ runs: [], lawProblems: [], totals: { entries: 0 } });
});
