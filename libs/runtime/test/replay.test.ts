/**
 * Replays that do something again, over hands that a test makes deviate: workspace actions in a fresh tree, and questions to a model. Nothing reaches
 * beyond the workspace, nothing is appended, and every deviation is named with both values. PROTOCOL §10.
 */
import { describe, expect, test } from '@jest/globals';
import { type Bytes, err, ok, type TrajectoryId, utf8Encode } from '@openexec/canon';
import type { ActionHost, Execution, ExecutionOrder, ModelAnswer, ModelFailure, ModelRequest, Workspace } from '@openexec/catalogue';
import { committedTree } from '@openexec/kernel';
import { gitTreeId } from '@openexec/proof';
import type { FileChange, TreeEntry } from '@openexec/protocol';
import { driveRun, NEVER, replayEffects, replayModel, rewindRun, stopSwitch } from '../src/index.ts';
import {
  answers,
  changeOf,
  count,
  drive,
  executionOf,
  handsOf,
  LISTING,
  newWorld,
  opened,
  openingOf,
  PATCHED,
  type Place,
  place,
  redact,
  type World,
} from './support.ts';

type Files = Map<string, Pick<TreeEntry, 'mode' | 'oid'>>;
/** What a deviating host says instead. */
type Deviation = (order: ExecutionOrder, done: Execution) => Execution | null;

/** A workspace that keeps git ids and hashes them as git does; it starts with whatever a stranger left. */
function treeOf(log: string[]): Workspace {
  let committed: Files = new Map();
  let rebuilt = false;
  const put = (changes: readonly FileChange[]): void => {
    for (const { path, after } of changes) {
      if (after === null) committed.delete(path);
      else committed.set(path, { mode: after.mode, oid: after.oid });
    }
  };
  const unused = (): Promise<never> => Promise.reject(new Error('a replay does not do this itself'));
  return {
    root: '/fresh',
    gitView: null,
    maskedGitView: unused,
    rebuild: async (files) => {
      log.push('rebuild');
      rebuilt = true;
      committed = new Map(LISTING.map(({ path, mode, oid }) => [path, { mode, oid }]));
      put(files.map(({ change }) => change));
      return ok(undefined);
    },
    accept: async (changes) => {
      if (!rebuilt) throw new Error('accepted before it was rebuilt');
      log.push(`accept ${changes.map(({ path }) => path).join(',')}`);
      put(changes);
      return ok(undefined);
    },
    restore: async () => (log.push('restore'), ok(undefined)),
    tree: async () =>
      ok(
        gitTreeId(
          [...committed].map(([path, at]) => ({ path, ...at })),
          'sha1',
        ),
      ),
    changes: unused,
    read: unused,
    list: unused,
    edit: unused,
    diff: unused,
    land: unused,
  };
}

/** The host of the tests again, with a deviation. */
function hostOf(world: World, deviate: Deviation): ActionHost {
  return {
    execute: async (order) => {
      world.effects.push(order);
      const { path = '', content = '' } = order.arguments as { readonly path?: string; readonly content?: string };
      const bytes = utf8Encode(content);
      const plain =
        order.action === 'apply_patch'
          ? executionOf({
              changes: [changeOf(path, bytes)],
              contents: new Map([[changeOf(path, bytes).after?.blob ?? 'sha256:', bytes]]) as Execution['contents'],
            })
          : executionOf();
      const done = deviate(order, plain);
      return done === null
        ? err({ code: 'patch.conflict', message: 'it does not fit', effectUnknown: false, output: null })
        : ok({ ...done, durationMs: 99 });
    },
  };
}

/** A run that wrote, told somebody, tested and landed. */
async function done(): Promise<{ at: Place; run: TrajectoryId; world: World }> {
  const at = await place();
  const world = newWorld();
  const { run } = await opened(at);
  expect((await drive(run, handsOf(at, world))).state.closed?.outcome).toBe('done');
  return { at, run, world };
}

async function effects(at: Place, run: TrajectoryId, deviate: Deviation = (_, plain) => plain, stop = NEVER) {
  const [world, log]: [World, string[]] = [newWorld(), []];
  const before = (await at.ledger.head()).size;
  const replayed = await replayEffects({
    run,
    hands: { ledger: at.ledger, host: hostOf(world, deviate), workspace: treeOf(log), redact },
    stop,
  });
  expect((await at.ledger.head()).size).toBe(before);
  return { replayed, world, log };
}
async function sound(at: Place, run: TrajectoryId, deviate?: Deviation) {
  const { replayed, world, log } = await effects(at, run, deviate);
  if (!replayed.ok) throw new Error(`${replayed.error.code}: ${replayed.error.message}`);
  return { ...replayed.value, world, log };
}

describe('effects replay', () => {
  test('performs what stays in the workspace, nothing that reaches beyond it, and ends at the tree by git', async () => {
    const { at, run } = await done();
    const replayed = await sound(at, run);
    expect(replayed.actions.map(({ action, skipped, differs }) => [action, skipped, differs])).toEqual([
      ['apply_patch', null, []],
      ['notify', 'external', []],
      ['run_tests', null, []],
      ['commit_changes', 'external', []],
    ]);
    expect([count(replayed.world, 'notify'), count(replayed.world, 'commit_changes')]).toEqual([0, 0]);
    expect(replayed.log).toEqual(['rebuild', 'accept src/b.txt']);
    expect(replayed.actualTree).toBe(replayed.expectedTree);
    expect(replayed.expectedTree).not.toBe(gitTreeId(LISTING, 'sha1'));
  });

  test('whose patch makes other bytes names the file with both ids, ends at another tree, and the next action starts from the recorded one', async () => {
    const { at, run } = await done();
    const other = utf8Encode('other\n');
    const replayed = await sound(at, run, ({ action }, plain) =>
      action === 'apply_patch' ? { ...plain, changes: [changeOf('src/b.txt', other)] } : plain,
    );
    expect(replayed.actions[0]?.differs).toEqual([
      {
        path: '/files/src~1b.txt',
        expected: `"100644 ${changeOf('', PATCHED).after?.oid}"`,
        recorded: `"100644 ${changeOf('', other).after?.oid}"`,
      },
    ]);
    expect(replayed.actions[2]?.differs).toEqual([]);
    expect(replayed.log).toEqual(['rebuild', 'restore', 'rebuild']);
    const made = [...LISTING, { path: 'src/b.txt', mode: '100644' as const, oid: changeOf('', other).after?.oid ?? '' }];
    expect(replayed.actualTree).toBe(gitTreeId(made, 'sha1'));
    expect(replayed.actualTree).not.toBe(replayed.expectedTree);
  });

  test.each<readonly [string, string, Deviation, object]>([
    ['a red check', 'run_tests', (_, plain) => ({ ...plain, status: 'failed', exitCode: 1 }), [{ path: '/exitCode' }, { path: '/status' }]],
    [
      'a file too many',
      'run_tests',
      (_, plain) => ({ ...plain, undeclared: ['.env'] }),
      [{ path: '/because' }, { path: '/end' }, { path: '/exitCode' }, { path: '/files' }, { path: '/paths' }, { path: '/status' }],
    ],
    [
      'an error',
      'apply_patch',
      () => null,
      [{ path: '/end' }, { path: '/error' }, { path: '/exitCode' }, { path: '/files' }, { path: '/status' }],
    ],
    [
      'other words of an action without a command',
      'apply_patch',
      (_, plain) => ({ ...plain, output: utf8Encode('else') }),
      [{ path: '/output' }],
    ],
  ])('names %s', async (_, action, deviate, differs) => {
    const { at, run } = await done();
    const replayed = await sound(at, run, (order, plain) => (order.action === action ? deviate(order, plain) : plain));
    const told = replayed.actions.find((one) => one.action === action)?.differs ?? [];
    expect(told).toMatchObject(differs);
    for (const { expected, recorded } of told) expect(expected).not.toBe(recorded);
    expect(replayed.actions.filter((one) => one.differs.length > 0)).toHaveLength(1);
  });

  test('takes other words of a command for what they are: told, and no difference', async () => {
    const { at, run } = await done();
    const replayed = await sound(at, run, ({ action }, plain) =>
      action === 'run_tests' ? { ...plain, output: utf8Encode('took 3.1 s'), scratch: ['tmp/1'], summary: 'other' } : plain,
    );
    expect(replayed.actions[2]).toMatchObject({ differs: [], varied: ['output'] });
    expect(replayed.actualTree).toBe(replayed.expectedTree);
  });

  test('passes over what nobody recorded the end of, and performs the retry', async () => {
    const at = await place();
    const world = newWorld();
    const { run } = await opened(at);
    let killed = false;
    const hands = handsOf(at, world, {
      crashPoint: (point) => {
        if (killed || point !== 'W5.performed' || count(world, 'run_tests') === 0) return;
        killed = true;
        throw new Error('the driver dies');
      },
    });
    await expect(driveRun({ run, hands, stop: NEVER, onAwait: 'park', resume: true })).rejects.toThrow('the driver dies');
    expect((await drive(run, handsOf(at, world))).state.closed?.outcome).toBe('done');
    const replayed = await sound(at, run);
    expect(replayed.actions.map(({ action, skipped }) => [action, skipped])).toEqual([
      ['apply_patch', null],
      ['notify', 'external'],
      ['run_tests', 'unanswered'],
      ['run_tests', null],
      ['commit_changes', 'external'],
    ]);
  });

  test('of a run that was rewound ends at the tree that the rewind left', async () => {
    const at = await place();
    const { run } = await opened(
      at,
      openingOf(at, {
        stages: openingOf(at)
          .blueprint.stages.filter(({ id }) => id !== 'tell')
          .map((stage) => (stage.id === 'work' ? { ...stage, onSuccess: 'test' } : stage)),
      }),
    );
    const world = newWorld();
    const stop = stopSwitch();
    const hands = handsOf(at, world);
    const stopping = {
      ...hands,
      host: { execute: async (order: ExecutionOrder) => (order.action === 'run_tests' && stop.stop(), hands.host.execute(order, NEVER)) },
    };
    const paused = await driveRun({ run, hands: stopping, stop: stop.signal, onAwait: 'park', resume: true });
    expect(paused).toMatchObject({ ok: true, value: { state: { status: 'parked' } } });
    const log: string[] = [];
    const rewound = await rewindRun({ run, hands: { ...handsOf(at, world), workspace: treeOf(log) }, to: { stage: 'work', visit: null } });
    if (!rewound.ok) throw new Error(rewound.error.message);
    const replayed = await sound(at, run);
    expect(replayed.actions[0]).toMatchObject({ action: 'apply_patch', skipped: null, differs: [] });
    expect(replayed.expectedTree).toBe(committedTree(rewound.value.state));
    expect(replayed.actualTree).toBe(gitTreeId(LISTING, 'sha1'));
  });

  test('ends at a stop, and of a run that there is not', async () => {
    const { at, run } = await done();
    const stop = stopSwitch();
    const { replayed } = await effects(at, run, (_, plain) => (stop.stop(), plain), stop.signal);
    expect(replayed).toMatchObject({ ok: false, error: { code: 'replay.stopped' } });
    const none = await effects(at, `run/${'0'.repeat(32)}` as TrajectoryId);
    expect(none.replayed).toMatchObject({ ok: false, error: { code: 'run.unknown' } });
  });
});

type Said = (request: ModelRequest) => Partial<ModelAnswer['answer']> | ModelFailure;
const FAILURE: ModelFailure = { code: 'model.server', message: 'down', retryable: true, retryAfterMs: null, status: 500, raw: null };

async function asked(at: Place, run: TrajectoryId, said: Said, more: { calls?: number; tokens?: number; usage?: null } = {}) {
  const requests: ModelRequest[] = [];
  const before = (await at.ledger.head()).size;
  const replayed = await replayModel({
    run,
    hands: {
      ledger: at.ledger,
      clock: at.clock,
      redact: (bytes: Bytes) => bytes,
      sleep: () => Promise.reject(new Error('a replay does not wait')),
      model: {
        provider: 'test',
        ask: async (request) => {
          requests.push(request);
          const say = said(request);
          if ('code' in say) return err(say);
          const answer = { ...answers(request), ...say };
          return ok({ answer, usage: more.usage === null ? null : { inputTokens: 7, outputTokens: 3 }, raw: utf8Encode('raw') });
        },
      },
    },
    model: 'large',
    budget: { tokens: more.tokens ?? 1_000_000, usdMicros: 1_000_000, calls: more.calls ?? 100 },
    costOf: (input, output) => input + 10 * output,
    stop: NEVER,
  });
  expect((await at.ledger.head()).size).toBe(before);
  if (!replayed.ok) throw new Error(`${replayed.error.code}: ${replayed.error.message}`);
  return { ...replayed.value, requests };
}

describe('model replay', () => {
  /** The recorded words were redacted; said again by a model that has seen only these. */
  const REDACTED = 'done, [redacted]';
  const same: Said = ({ turn }) => (turn > 1 ? { text: REDACTED } : {});

  test('asks the recorded questions word for word, finds the same answers, and says what it cost', async () => {
    const { at, run, world } = await done();
    const replayed = await asked(at, run, same);
    expect(replayed.asks.map(({ stage, turn, verdict }) => [stage, turn, verdict])).toEqual([
      ['work', 1, 'same'],
      ['work', 2, 'same'],
    ]);
    expect(replayed.requests.map(({ messages, tools }) => ({ messages, tools }))).toEqual(
      world.asked.map(({ messages, tools }) => ({ messages, tools })),
    );
    expect(replayed.requests.map(({ model }) => model)).toEqual(['large', 'large']);
    expect(replayed).toMatchObject({ sameCalls: true, spent: { tokens: 20, usdMicros: 2 * (7 + 30), calls: 2 } });
  });

  test('tells other words apart from other calls', async () => {
    const { at, run } = await done();
    const claims = (call: ModelAnswer['answer']['calls'][number]) => ({
      ...call,
      id: 'other',
      arguments: JSON.stringify({ ...(JSON.parse(call.arguments) as object), rationale: 'why not' }),
    });
    const words = await asked(at, run, (request) =>
      request.turn > 1 ? { text: 'finished' } : { calls: answers(request).calls.map(claims) },
    );
    expect([words.asks.map(({ verdict }) => verdict), words.sameCalls]).toEqual([['text', 'text'], true]);
    const moved = await asked(at, run, (request) =>
      request.turn > 1
        ? { text: REDACTED }
        : { calls: [{ id: 'c1', name: 'apply_patch', arguments: '{"format":"whole_file","path":"src/c.txt","content":"c"}' }] },
    );
    expect(moved.asks[0]).toMatchObject({ verdict: 'differs' });
    expect(moved.asks[0]?.differs).toContainEqual({ path: '/calls/0/arguments/path', expected: '"src/b.txt"', recorded: '"src/c.txt"' });
    expect(moved.sameCalls).toBe(false);
    const silent = await asked(at, run, () => ({ text: REDACTED, calls: [], finish: 'stop' }));
    expect(silent.asks[0]?.differs.map(({ path }) => path)).toEqual(['/calls/0', '/finish']);
    const broken = await asked(at, run, (request) =>
      request.turn > 1 ? { text: REDACTED } : { calls: [{ id: 'c1', name: 'apply_patch', arguments: '{"format":' }] },
    );
    expect(broken.asks[0]?.differs).toContainEqual({ path: '/calls/0/malformed', expected: 'null', recorded: '"arguments.malformed"' });
  });

  test('names a provider that does not answer, and goes on', async () => {
    const { at, run } = await done();
    const replayed = await asked(at, run, (request) => (request.turn === 1 ? FAILURE : same(request)));
    expect(replayed.asks).toMatchObject([{ verdict: 'failed', because: { code: 'model.server' } }, { verdict: 'same' }]);
    expect(replayed).toMatchObject({ sameCalls: false, spent: { calls: 2, tokens: 10 } });
  });

  test('never asks what might cost more than is left, and counts the whole reservation where no usage is told', async () => {
    const { at, run } = await done();
    const once = await asked(at, run, same, { calls: 1 });
    expect([once.asks.map(({ verdict }) => verdict), once.requests.length, once.spent.calls]).toEqual([['same', 'budget'], 1, 1]);
    expect((await asked(at, run, same, { tokens: 50 })).requests).toEqual([]);
    const untold = await asked(at, run, same, { usage: null });
    expect(untold.spent.tokens).toBeGreaterThan(2 * 100);
    expect(untold.spent.usdMicros).toBeGreaterThan(2 * 10 * 100);
  });
});
