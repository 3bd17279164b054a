/**
 * Contract suite of the port `ActionHost`: what holds for every action of every host, told by the port's own words. What a single action shows or
 * changes is tested beside it.
 */
import { describe, expect, test } from '@jest/globals';
import { type Bytes, digestOf, type Json, type Result } from '@openexec/canon';
import {
  type ActionHost,
  builtinActions,
  type Execution,
  type ExecutionFailure,
  type ExecutionOrder,
  type StopSignal,
  type Workspace,
} from '@openexec/catalogue';
import { stoppedWhenReady } from './support.ts';

/** A host on a fresh workspace. */
export interface OpenedHost {
  readonly host: ActionHost;
  readonly workspace: Workspace;
  /** An order of the action as the kernel would give it, with its usual deadline. */
  readonly order: (action: string, args: Json, more?: Partial<ExecutionOrder>) => ExecutionOrder;
}
/** What an adapter brings to the suite. */
export interface ActionHostContract {
  /** Opens a host on a tree in which these files are committed. */
  readonly open: (files: Readonly<Record<string, string>>) => Promise<OpenedHost>;
  /** A secret that the installation of the host knows. */
  readonly secret: string;
}

const NEVER: StopSignal = { stopped: false, onStop: () => () => undefined };
const FILES = { 'README.md': '# sample\n', 'src/a.txt': 'one\ntwo\n' };
const PATCH =
  '--- a/src/a.txt\n+++ b/src/a.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n--- /dev/null\n+++ b/src/b.txt\n@@ -0,0 +1 @@\n+new\n';
const sh = (script: string): { readonly command: readonly string[] } => ({ command: ['sh', '-c', script] });
const textOf = (bytes: Bytes | null): string => Buffer.from(bytes ?? []).toString('utf8');

/** Everything of an answer but the time it took, in a form that can be compared. */
function comparable(result: Result<Execution, ExecutionFailure>): unknown {
  if (!result.ok) return result;
  const { durationMs: _time, contents, ...rest } = result.value;
  return { ...rest, contents: [...contents].map(([digest, bytes]) => [digest, digestOf(bytes)]) };
}
async function changed(workspace: Workspace): Promise<readonly string[]> {
  const found = await workspace.changes();
  if (!found.ok) throw new Error(found.error.message);
  return found.value.changes.map((change) => change.path);
}
function refusal(result: Result<Execution, ExecutionFailure>): ExecutionFailure {
  if (result.ok) throw new Error(`the action ended ${result.value.status}`);
  return result.error;
}

function repeating(contract: ActionHostContract): void {
  test.each<readonly [string, Json]>([
    ['read_file', { path: 'README.md' }],
    ['list_files', {}],
    ['search', { pattern: 'one' }],
    ['build_context_pack', {}],
  ])('%s gives the same answer for the same order and changes nothing', async (action, args) => {
    const { host, workspace, order } = await contract.open(FILES);
    const first = await host.execute(order(action, args), NEVER);
    expect(first.ok && [first.value.status, first.value.changes, first.value.landed]).toEqual(['ok', [], null]);
    expect(comparable(await host.execute(order(action, args), NEVER))).toEqual(comparable(first));
    expect(await changed(workspace)).toEqual([]);
  });

  test('apply_patch makes the same changes from the same committed tree, and those alone are in the tree', async () => {
    const { host, workspace, order } = await contract.open(FILES);
    const patch = order('apply_patch', { format: 'unified', patch: PATCH });
    const first = await host.execute(patch, NEVER);
    expect(first.ok && first.value.changes.map((change) => change.path)).toEqual(['src/a.txt', 'src/b.txt']);
    expect(await changed(workspace)).toEqual(['src/a.txt', 'src/b.txt']);
    expect((await workspace.restore()).ok).toBe(true);
    expect(comparable(await host.execute(patch, NEVER))).toEqual(comparable(first));
  });
}

function refusing(contract: ActionHostContract): void {
  test.each(['launch', 'model.ask', '', 'constructor'])('the action "%s" is unknown and nothing happens', async (action) => {
    const { host, workspace, order } = await contract.open(FILES);
    expect(refusal(await host.execute(order(action, {}), NEVER))).toMatchObject({ code: 'action.unknown', effectUnknown: false });
    expect(await changed(workspace)).toEqual([]);
  });

  test('arguments that the contract of the action does not have are refused, whoever judged them before', async () => {
    const { host, workspace, order } = await contract.open(FILES);
    const names = builtinActions.map((action) => action.name).filter((name) => name !== 'model.ask' && name !== 'delegate_run');
    expect(names.length).toBeGreaterThan(5);
    for (const name of names) {
      const refused = refusal(await host.execute(order(name, { nonsense: 1 }, sh('exit 0')), NEVER));
      expect([name, refused.code, refused.effectUnknown]).toEqual([name, 'arguments.invalid', false]);
    }
    expect(await changed(workspace)).toEqual([]);
  });
}

function ending(contract: ActionHostContract): void {
  test('a deadline is an error, not a verdict; what was said until then is kept and the tree is put back', async () => {
    const { host, workspace, order } = await contract.open(FILES);
    const failed = await stoppedWhenReady(
      async (deadlineMs) =>
        refusal(await host.execute(order('run_tests', {}, { ...sh('echo begun; echo 1 >left; sleep 600'), deadlineMs }), NEVER)),
      ({ output }) => textOf(output).includes('begun'),
    );
    expect(failed).toMatchObject({ code: 'command.timeout', effectUnknown: false });
    expect(textOf(failed.output)).toContain('begun');
    expect(await changed(workspace)).toEqual([]);
  });

  test('a stop before the start does nothing', async () => {
    const { host, workspace, order } = await contract.open(FILES);
    const patch = order('apply_patch', { format: 'unified', patch: PATCH });
    expect(refusal(await host.execute(patch, { ...NEVER, stopped: true })).code).toBe('run.stopped');
    expect(await changed(workspace)).toEqual([]);
  });

  test('a stop during a command ends it, and the tree is put back', async () => {
    const { host, workspace, order } = await contract.open(FILES);
    const listeners: (() => void)[] = [];
    let stopped = false;
    const stop: StopSignal = {
      get stopped() {
        return stopped;
      },
      onStop: (listener) => (listeners.push(listener), () => undefined),
    };
    const running = host.execute(order('run_tests', {}, sh('echo 1 >left; sleep 600')), stop);
    setTimeout(() => {
      stopped = true;
      for (const listener of listeners) listener();
    }, 300);
    expect(refusal(await running)).toMatchObject({ code: 'run.stopped', effectUnknown: false });
    expect(await changed(workspace)).toEqual([]);
  });
}

function declaring(contract: ActionHostContract): void {
  test('what a check wrote, changed and deleted is scratch: listed, put back and no change', async () => {
    const { host, workspace, order } = await contract.open(FILES);
    const done = await host.execute(order('run_tests', {}, sh('mkdir cov; echo 1 >cov/out; echo 2 >>README.md; rm src/a.txt')), NEVER);
    expect(done.ok && done.value).toMatchObject({
      status: 'ok',
      scratch: ['README.md', 'cov/out', 'src/a.txt'],
      undeclared: [],
      changes: [],
    });
    expect(await changed(workspace)).toEqual([]);
  });

  test('what had changed beside a patch is undeclared: it fails the action and is taken back', async () => {
    const { host, workspace, order } = await contract.open(FILES);
    expect((await workspace.edit([{ path: 'stray.txt', content: new Uint8Array([97]), mode: '100644' }])).ok).toBe(true);
    const done = await host.execute(order('apply_patch', { format: 'unified', patch: PATCH }), NEVER);
    expect(done.ok && done.value).toMatchObject({ status: 'failed', undeclared: ['stray.txt'], changes: [] });
    expect(await changed(workspace)).toEqual([]);
  });
}

function redacting(contract: ActionHostContract): void {
  test('a secret of the installation is in no output, summary, artifact or message', async () => {
    const { secret } = contract;
    const { host, workspace, order } = await contract.open({ ...FILES, 'secret.txt': `before\n${secret}\nafter\n` });
    const orders = [
      order('read_file', { path: 'secret.txt' }),
      order('search', { pattern: 'e' }),
      order('build_context_pack', {}, { task: `explain secret.txt and ${secret}` }),
      order('run_tests', {}, sh('cat secret.txt; cat secret.txt >&2')),
      order('run_tests', {}, { ...sh('cat secret.txt; sleep 600'), deadlineMs: 2_000 }),
    ];
    for (const each of orders) {
      const result = await host.execute(each, NEVER);
      const shown = result.ok
        ? [result.value.summary, textOf(result.value.output), ...result.value.artifacts.map((artifact) => textOf(artifact.bytes))]
        : [result.error.message, textOf(result.error.output)];
      expect([each.action, shown.join('\n').includes(secret)]).toEqual([each.action, false]);
    }
    expect(await changed(workspace)).toEqual([]);
  });
}

/** Registers the suite for one adapter. */
export function actionHostContract(contract: ActionHostContract): void {
  describe('port ActionHost: the same order again', () => {
    repeating(contract);
  });
  describe('port ActionHost: refusals', () => {
    refusing(contract);
  });
  describe('port ActionHost: deadline and stop', () => {
    ending(contract);
  });
  describe('port ActionHost: nothing but what is declared', () => {
    declaring(contract);
  });
  describe('port ActionHost: redaction', () => {
    redacting(contract);
  });
}
