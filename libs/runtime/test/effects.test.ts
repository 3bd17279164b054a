/** What goes to the model and comes back, and what happens to the tree: redaction, retries, commits, rebuilding. */
import { describe, expect, test } from '@jest/globals';
import { digestOf, err, ok, utf8Decode, utf8Encode } from '@openexec/canon';
import type { Execution } from '@openexec/catalogue';
import { driveRun, type Hands, NEVER } from '../src/index.ts';
import {
  act,
  agent,
  changeOf,
  drive,
  entriesOf,
  executionOf,
  handsOf,
  kinds,
  newWorld,
  opened,
  openingOf,
  place,
  SECRET,
  utf8Text,
  WHOLE,
} from './support.ts';

describe('what the model says and is told', () => {
  test('no secret is recorded or sent on, and the conversation is what the ledger holds', async () => {
    const at = await place();
    const { run } = await opened(at, openingOf(at, { stages: [agent('work', 'done')] }));
    const world = newWorld();
    await drive(run, handsOf(at, world));
    const digests = new Set<string>();
    for (const { payload } of await entriesOf(at.ledger, run)) {
      const text = utf8Text(payload ?? utf8Encode(''));
      expect(text).not.toContain(SECRET);
      for (const [digest] of text.matchAll(/sha256:[0-9a-f]{64}/g)) digests.add(digest);
    }
    let texts = 0;
    for (const digest of digests) {
      const blob = await at.ledger.blob(digest as ReturnType<typeof digestOf>);
      const text = blob.ok ? utf8Decode(blob.value) : null;
      if (text?.ok !== true) continue;
      texts++;
      expect(text.value).not.toContain(SECRET);
    }
    expect(texts).toBeGreaterThan(8);
    const second = world.asked[1];
    expect(second?.messages.map(({ role }) => role)).toEqual(['system', 'user', 'assistant', 'tool']);
    expect(second?.messages[2]).toMatchObject({ answer: { finish: 'calls', calls: [{ name: 'apply_patch' }] } });
    expect(second?.messages[3]).toEqual({ role: 'tool', call: 'c1', text: 'done' });
    expect(second?.tools.map(({ name }) => name)).toContain('read_file');
  });

  test('a failure is recorded, waited for and asked again', async () => {
    const at = await place();
    const { run } = await opened(at, openingOf(at, { stages: [agent('work', 'done')] }));
    const world = newWorld();
    const hands = handsOf(at, world);
    const slept: number[] = [];
    let fails = 2;
    const report = await drive(run, {
      ...hands,
      sleep: async (ms) => void slept.push(ms),
      model: {
        provider: 'test',
        ask: async (request, stop) => {
          if (fails-- > 0)
            return err({
              code: 'model.rateLimited',
              message: `slow down ${SECRET}`,
              retryable: true,
              retryAfterMs: 700,
              status: 429,
              raw: utf8Encode(SECRET),
            });
          return hands.model?.ask(request, stop) ?? Promise.reject(new Error('no model'));
        },
      },
    });
    expect(report.state.closed?.outcome).toBe('done');
    expect(slept).toEqual([700, 700]);
    expect((await kinds(at.ledger, run)).filter((kind) => kind === 'model.failed')).toHaveLength(2);
  });

  test('text that is no Unicode is a malformed answer', async () => {
    const at = await place();
    const { run } = await opened(at, openingOf(at, { stages: [agent('work', 'done')] }));
    const report = await drive(
      run,
      handsOf(at, newWorld(), {
        model: {
          provider: 'test',
          ask: async () => ok({ answer: { text: 'half \ud800', calls: [], finish: 'stop' }, usage: null, raw: utf8Encode('x') }),
        },
      }),
    );
    expect(report.state.closed?.because.code).toBe('model.malformed');
  });
});

describe('the tree', () => {
  async function oneExecution(execution: Execution) {
    const at = await place();
    const stages = [agent('work', 'done')];
    const { run } = await opened(at, openingOf(at, { stages }));
    const world = newWorld();
    await drive(run, handsOf(at, world, { host: { execute: async () => ok(execution) } }));
    return { world, kinds: await kinds(at.ledger, run) };
  }
  const content = utf8Encode('x');

  test('is put back after a change that the kernel does not commit', async () => {
    const { world, kinds: list } = await oneExecution(
      executionOf({ changes: [changeOf('src/other.txt', content)], contents: new Map([[digestOf(content), content]]) }),
    );
    expect(list).not.toContain('commit.recorded');
    expect(world.tree).toEqual(['rebuild ', 'restore']);
  });

  test.each([
    ['comes from the workspace where that has it', true, { ok: true, value: { status: 'closed' } }],
    ['is a typed failure where that has it not', false, { ok: false, error: { code: 'run.erased' } }],
  ])('a content that was kept out of the ledger %s', async (_name, there, ends) => {
    const at = await place();
    const { run } = await opened(at, openingOf(at, { stages: [agent('work', 'test'), act('test', 'run_tests', 'done')] }));
    const world = newWorld();
    const hands = handsOf(at, world);
    const kept: Hands['host'] = {
      execute: async (order, stop) => {
        if (order.action === 'run_tests') throw new Error('killed');
        const done = await hands.host.execute(order, stop);
        return done.ok ? ok({ ...done.value, contents: new Map() }) : done;
      },
    };
    await expect(drive(run, { ...hands, host: kept })).rejects.toThrow('killed');
    const next = handsOf(at, world);
    const asked: (boolean | null)[] = [];
    const workspace: Hands['workspace'] = {
      ...next.workspace,
      rebuild: async (files) => {
        asked.push(...files.map(({ content }) => content === null));
        return there ? ok(undefined) : err({ code: 'workspace.objectMissing', message: 'not here' });
      },
    };
    const report = await driveRun({ run, hands: { ...next, workspace }, stop: NEVER, onAwait: 'park', resume: true });
    expect(asked).toEqual([true]);
    expect(report).toMatchObject(ends);
    expect((report.ok ? '' : report.error.message).includes('src/b.txt was kept out of the ledger')).toBe(!there);
  });

  test('is put back after an undeclared effect, which fails the stage', async () => {
    const { world, kinds: list } = await oneExecution(
      executionOf({ undeclared: ['.git/config'], changes: [changeOf('src/b.txt', content)], contents: new Map() }),
    );
    expect(list).toContain('effect.undeclared');
    expect(list).not.toContain('commit.recorded');
    expect(world.tree).toEqual(['rebuild ', 'restore']);
  });

  test('is put back after an attempt on the network, which fails the stage and says what to ask for (E19)', async () => {
    const at = await place();
    const { run } = await opened(at, openingOf(at, { stages: [act('test', 'run_tests', 'done', { onFailure: 'fail' })] }));
    const world = newWorld();
    const network = { attempts: 3, ipv4: 2, ipv6: 1 };
    const report = await drive(run, handsOf(at, world, { host: { execute: async () => ok(executionOf({ network })) } }));
    const reason = {
      code: 'effect.network',
      message: expect.stringMatching(/3 packets refused: 2 IPv4, 1 IPv6.*ask for a networked stage/),
    };
    expect(report.state.closed).toMatchObject({ outcome: 'failed', because: reason });
    const fact = (await entriesOf(at.ledger, run)).find(({ entry }) => entry.kind === 'effect.undeclared');
    expect(JSON.parse(utf8Text(fact?.payload ?? utf8Encode('')))).toMatchObject({
      paths: [],
      network,
      because: { code: 'effect.network' },
    });
    expect(world.tree.at(-1)).toBe('restore');
  });

  test.each([
    ['none', { attempts: 0, ipv4: 0, ipv6: 0 }],
    ['what could not be counted', { attempts: null, ipv4: 0, ipv6: 0 }],
  ] as const)('%s on the network stands in the observation and fails nothing', async (_name, network) => {
    const at = await place();
    const { run } = await opened(at, openingOf(at, { stages: [act('test', 'run_tests', 'done')] }));
    const report = await drive(run, handsOf(at, newWorld(), { host: { execute: async () => ok(executionOf({ network })) } }));
    expect(report.state.closed?.outcome).toBe('done');
    const fact = (await entriesOf(at.ledger, run)).find(({ entry }) => entry.kind === 'execution.observed');
    expect(JSON.parse(utf8Text(fact?.payload ?? utf8Encode('')))).toMatchObject({ network });
  });

  test('paths and attempts together are one fact that names both', async () => {
    const at = await place();
    const { run } = await opened(at, openingOf(at, { stages: [act('test', 'run_tests', 'done')] }));
    const execution = executionOf({ undeclared: ['.mcp.json'], network: { attempts: 1, ipv4: 1, ipv6: 0 } });
    const report = await drive(run, handsOf(at, newWorld(), { host: { execute: async () => ok(execution) } }));
    expect(report.state.closed?.because).toMatchObject({
      code: 'effect.undeclared',
      message: expect.stringMatching(/\.mcp\.json; it also tried to reach the network \(1 packet/),
    });
  });

  test('is made again by the next driver from what was committed, however long the list', async () => {
    const at = await place();
    const { run } = await opened(at);
    const world = newWorld();
    const hands = handsOf(at, world);
    const host: Hands['host'] = {
      execute: (order, stop) => (order.action === 'notify' ? Promise.reject(new Error('killed')) : hands.host.execute(order, stop)),
    };
    await expect(drive(run, { ...hands, host })).rejects.toThrow('killed');
    world.tree.length = 0;
    const second = newWorld();
    await drive(run, handsOf(at, second), { resume: true });
    // notify was lost with the first driver, so its stage failed; nothing else was done and nothing needed the tree.
    expect(second.effects).toHaveLength(0);
    const third = await opened(at, openingOf(at, { stages: [agent('work', 'test'), act('test', 'run_tests', 'done')] }));
    const killed = newWorld();
    const dying = handsOf(at, killed);
    const dies: Hands['host'] = {
      execute: (order, stop) => (order.action === 'run_tests' ? Promise.reject(new Error('killed')) : dying.host.execute(order, stop)),
    };
    await expect(drive(third.run, { ...dying, host: dies })).rejects.toThrow('killed');
    const revived = newWorld();
    expect((await drive(third.run, handsOf(at, revived))).state.closed?.outcome).toBe('done');
    expect(revived.tree[0]).toBe('rebuild src/b.txt');
  });

  test('a list of changes over 8 KiB travels as a blob and is committed all the same', async () => {
    const at = await place();
    const paths = Array.from({ length: 60 }, (_, number) => `src/generated/file-${number}.txt`);
    const patch = paths.map((path) => `--- /dev/null\n+++ b/${path}\n@@ -0,0 +1 @@\n+x\n`).join('');
    const file = utf8Encode('x\n');
    const { run } = await opened(at, openingOf(at, { stages: [agent('work', 'done')] }));
    const world = newWorld();
    const report = await drive(
      run,
      handsOf(at, world, {
        model: {
          provider: 'test',
          ask: async ({ turn }) => {
            const calls = [{ id: 'c', name: 'apply_patch', arguments: JSON.stringify({ format: 'unified', patch }) }];
            return ok({
              answer: { text: '', calls: turn === 1 ? calls : [], finish: turn === 1 ? 'calls' : 'stop' },
              usage: null,
              raw: utf8Encode('r'),
            });
          },
        },
        host: {
          execute: async () =>
            ok(executionOf({ changes: paths.map((path) => changeOf(path, file)), contents: new Map([[digestOf(file), file]]) })),
        },
      }),
    );
    expect(report.state.closed?.outcome).toBe('done');
    const observed = (await entriesOf(at.ledger, run)).find(({ entry }) => entry.kind === 'execution.observed');
    expect(utf8Text(observed?.payload ?? utf8Encode(''))).toContain('"changes":{"blob"');
    expect(world.tree.at(-1)).toBe(`accept ${paths.join(',')}`);
  });

  test('a failed check is tried again within its bound and its words are kept', async () => {
    const at = await place();
    const { run } = await opened(at, openingOf(at, { stages: WHOLE.slice(2, 3).map((stage) => ({ ...stage, onSuccess: 'done' })) }));
    let tries = 0;
    const report = await drive(
      run,
      handsOf(at, newWorld(), {
        host: {
          execute: async () =>
            ++tries === 1
              ? err({ code: 'Not A Code', message: `no luck ${SECRET}`, effectUnknown: false, output: utf8Encode(SECRET) })
              : ok(executionOf()),
        },
      }),
    );
    expect(report.state.closed?.outcome).toBe('done');
    const failed = (await entriesOf(at.ledger, run)).find(({ entry }) => entry.kind === 'execution.failed');
    expect(utf8Text(failed?.payload ?? utf8Encode(''))).toContain('"error":{"code":"action.failed","message":"no luck [redacted]"}');
  });
});
