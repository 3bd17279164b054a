/**
 * The golden examples of the catalogue: every one through the real schema, the real preconditions and the real host, on a real workspace in the real
 * sandbox. What an example says is what happens.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Json, type KeyId, ok, type Result } from '@openexec/canon';
import {
  ACTION_PAGES,
  accountOf,
  builtinActions,
  builtinToolsets,
  checkActionArguments,
  EXAMPLE_FILES,
  type Execution,
  kvInput,
  kvProblem,
  pathsOf,
} from '@openexec/catalogue';
import { gitCommitId } from '@openexec/proof';
import type { ActionContract } from '@openexec/protocol';
import type { ActionFailureCode } from '../src/index.ts';
import { cleanUp, codeOf, sandbox, type Scene, scene, value } from './support.ts';

const NOTE = { version: 0, value: undefined };
const AUTHOR = { name: 'OpenExec', email: 'runtime@openexec.invalid', seconds: 1_700_000_000, offset: '+0000' };
const examples = builtinActions.flatMap((action) => {
  const page = ACTION_PAGES[action.name];
  if (page === undefined) return [];
  return [...page.accepted.map((each) => ({ action, ...each, code: 'ok' })), ...page.refused.map((each) => ({ action, ...each }))];
});

beforeAll(async () => {
  const report = await sandbox().check();
  if (!report.sound) throw new Error(`no sound sandbox: ${report.problem ?? ''}`);
});
afterAll(cleanUp);

/** What the schema, the paths and the world say, before anything is done. */
function judged(action: ActionContract, args: Json): Result<unknown, { readonly code: string }> {
  const paths = pathsOf(action, args);
  const shaped = checkActionArguments(action, args);
  if (!shaped.ok) return shaped;
  if (!paths.ok) return paths;
  const problem = action.name === 'kv_set' ? kvProblem(NOTE, args) : null;
  return problem === null ? ok(null) : { ok: false, error: problem };
}

/** The input that the kernel would give, on this scene. */
async function inputFor(action: ActionContract, args: Json, place: Scene): Promise<Json> {
  const { base, workspace } = place;
  const own = args as { readonly [name: string]: Json };
  const tree = value(await workspace.tree());
  switch (action.name) {
    case 'kv_set':
    case 'kv_get':
      return kvInput(action.name, NOTE, args);
    case 'run_formatter':
      return { ...own, writePaths: ['**'] };
    case 'generate_diff_report':
      return { base: base.commit, baseTree: base.tree, tree };
    case 'prepare_review_bundle':
    case 'summarize_run':
      return { account: accountFor(place, tree) };
    case 'commit_changes': {
      const order = {
        branch: 'openexec/example',
        tree,
        parent: base.commit,
        message: typeof own['message'] === 'string' ? own['message'] : 'task',
        author: AUTHOR,
      };
      return {
        ...order,
        commit: gitCommitId({ tree, parents: [base.commit], author: AUTHOR, committer: AUTHOR, message: order.message }, 'sha1'),
      };
    }
    default:
      return args;
  }
}

function accountFor({ base }: Scene, tree: string): Json {
  const none = { tokens: 0, usdMicros: 0, calls: 0 };
  return accountOf(null, {
    run: 'run/example',
    task: 'an example',
    blueprint: 'example',
    opener: '0'.repeat(32) as KeyId,
    until: 1,
    base: { commit: base.commit, tree: base.tree },
    tree,
    model: null,
    files: [],
    notes: [],
    spend: { settled: none, reserved: none, grant: none },
  });
}

describe('the golden examples', () => {
  test('every action has a page, of its own name, with an example that is taken and one that is refused', () => {
    const names = builtinActions.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(Object.keys(ACTION_PAGES).sort()).toEqual([...names].sort());
    for (const [name, page] of Object.entries(ACTION_PAGES)) {
      expect([name, page.accepted.length > 0, page.refused.length > 0, page.outputBytes > 0]).toEqual([name, true, true, true]);
      for (const { code } of page.refused) expect([name, page.errors.includes(code) && code]).toEqual([name, code]);
      expect([name, new Set(page.errors).size]).toEqual([name, page.errors.length]);
    }
  });

  test('what a toolset offers is offered, and nothing else is', () => {
    const offered = new Set(Object.values(builtinToolsets).flat());
    expect(
      builtinActions
        .filter((each) => each.offered)
        .map(({ name }) => name)
        .sort(),
    ).toEqual([...offered].sort());
  });

  test.each(examples.map((each) => [`${each.action.name} ${JSON.stringify(each.arguments).slice(0, 80)}: ${each.code}`, each] as const))(
    '%s',
    async (_name, { action, arguments: args, code }) => {
      const verdict = judged(action, args);
      const { ended, done } = verdict.ok ? await performed(action, args) : { ended: verdict.error.code, done: null };
      // Asking a model goes through the port ModelAdapter, and a child run is opened by the runtime: neither is a matter of this host.
      const elsewhere = action.name === 'model.ask' || action.name === 'delegate_run';
      expect(ended).toBe(elsewhere && code === 'ok' ? 'action.unknown' : code);
      expect(done?.output.length ?? 0).toBeLessThanOrEqual(ACTION_PAGES[action.name]?.outputBytes ?? 0);
      expect(done?.artifacts.map(({ name }) => name) ?? action.outputs).toEqual(action.outputs);
    },
    60_000,
  );
});

/** The host's own answer on a fresh workspace. */
async function performed(action: ActionContract, args: Json): Promise<{ readonly ended: string; readonly done: Execution | null }> {
  const place = await scene(EXAMPLE_FILES);
  if (action.name === 'commit_changes') await commitSomething(place);
  const command = action.command === null ? null : ['sh', '-c', 'echo said; exit 0'];
  const done = await place.run(action.name, await inputFor(action, args, place), { command });
  return { ended: codeOf(done), done: done.ok ? done.value : null };
}

async function commitSomething({ workspace }: Scene): Promise<void> {
  value(await workspace.edit([{ path: 'src/a.txt', content: Buffer.from('changed\n'), mode: '100644' }]));
  value(await workspace.accept(value(await workspace.changes()).changes));
}

/** Every code of the host's closed union; a code that is missing here does not type-check. */
const HOST_CODES: { readonly [K in ActionFailureCode]: true } = {
  'action.unknown': true,
  'arguments.invalid': true,
  'run.stopped': true,
  'file.notFound': true,
  'file.tooLarge': true,
  'file.binary': true,
  'file.range': true,
  'search.badPattern': true,
  'preImage.changed': true,
  'secret.known': true,
  'command.notConfigured': true,
  'command.timeout': true,
  'command.limit': true,
  'landing.mismatch': true,
  'format.notKept': true,
  'report.otherTree': true,
  'path.empty': true,
  'path.absolute': true,
  'path.segment': true,
  'path.character': true,
  'path.git': true,
  'path.tooLong': true,
  'patch.empty': true,
  'patch.tooLarge': true,
  'patch.malformed': true,
  'patch.counts': true,
  'patch.binary': true,
  'patch.rename': true,
  'patch.mode': true,
  'patch.path': true,
  'patch.duplicate': true,
  'patch.redactionMarker': true,
  'patch.absent': true,
  'patch.exists': true,
  'patch.context': true,
  'patch.ambiguous': true,
  'patch.overlap': true,
  'patch.remainder': true,
  'patch.newline': true,
  'patch.tooCostly': true,
  'sandbox.unavailable': true,
  'sandbox.refused': true,
  'sandbox.broken': true,
  'workspace.notARepository': true,
  'workspace.dirty': true,
  'workspace.objectMissing': true,
  'workspace.pathRefused': true,
  'workspace.notAFile': true,
  'workspace.tooLarge': true,
  'workspace.quota': true,
  'workspace.conflict': true,
  'workspace.refExists': true,
  'workspace.secret': true,
  'workspace.io': true,
  'workspace.git': true,
};

test('the errors of a page are codes of the closed unions: the host, the pre- and postconditions, the model', () => {
  const others = /^(?:precondition|postcondition|model|delegation)\.[a-zA-Z]+$|^change\.empty$/;
  const unknown = Object.values(ACTION_PAGES).flatMap(({ errors }) => errors.filter((code) => !(code in HOST_CODES) && !others.test(code)));
  expect(unknown).toEqual([]);
});
