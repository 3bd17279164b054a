/** Runs that delegate, for tests: an opening whose writ may be handed on, a model that answers by stage, and hands for every generation. */
import { issueWrit } from '@openexec/authority';
import { ok, utf8Encode } from '@openexec/canon';
import { builtinToolsets, type ModelRequest, type NeutralAnswer, type Workspace } from '@openexec/catalogue';
import { gitTreeId } from '@openexec/proof';
import type { CheckedBlueprint, FileChange, TreeEntry, Writ } from '@openexec/protocol';
import type { CrashPoint, Delegating, Hands, Opening } from '../src/index.ts';
import { agent, handsOf, LISTING, openingOf, type Place, SEEDS, type World } from './support.ts';

export const BUDGET = { tokens: 1_000_000, usdMicros: 0, calls: 1000 };
export const HANDED = { tokens: 100_000, usdMicros: 0, calls: 50 };
export const blueprintOf = (name: string, delegates: readonly string[] = []): CheckedBlueprint => ({
  version: 1,
  name,
  description: '',
  approvalMode: 'never',
  ...(delegates.length === 0 ? {} : { delegates: [...delegates] }),
  stages: [agent(name, 'done')],
});

/** A run of `lead`, which may delegate to `mid` and `part`; `mid` may delegate to `part`. */
export function leading(at: Place, more: Partial<Opening> = {}, changed: Partial<Writ> = {}): Opening {
  const opening = openingOf(at);
  const own = opening.writs[0]?.body;
  if (own === undefined) throw new Error('no writ');
  const writ = { ...own, budget: BUDGET, delegation: { depth: 2, maySubdivide: true }, ...changed };
  return {
    ...opening,
    writs: [issueWrit({ writ, seed: SEEDS.issuer })],
    toolsets: { all: builtinToolsets['coding_lead'] ?? [] },
    blueprint: blueprintOf('lead', ['mid', 'part']),
    delegates: [
      { name: 'mid', blueprint: blueprintOf('mid', ['part']) },
      { name: 'part', blueprint: blueprintOf('part') },
    ],
    ...more,
  };
}

export function call(name: string, args: object): NeutralAnswer {
  return { text: '', calls: [{ id: 'c1', name, arguments: JSON.stringify(args) }], finish: 'calls' };
}
export const handOut = (blueprint: string, more: object = {}): NeutralAnswer =>
  call('delegate_run', {
    key: blueprint,
    blueprint,
    task: `Do ${blueprint}.`,
    tokens: HANDED.tokens,
    calls: HANDED.calls,
    usdMicros: 0,
    ...more,
  });
export const file = (path: string, content: string): NeutralAnswer => call('apply_patch', { format: 'whole_file', path, content });
export const STOP: NeutralAnswer = { text: 'done', calls: [], finish: 'stop' };
/** What each stage answers, turn by turn; beyond its list it stops. */
export type Script = Readonly<Record<string, readonly NeutralAnswer[]>>;
export const PLAIN: Script = {
  lead: [file('src/lead.txt', 'lead'), handOut('part'), file('src/b.txt', 'taken over')],
  part: [file('src/b.txt', 'part')],
};

/** A workspace that knows its committed tree, over the one of the tests. */
function tracked(inner: Workspace, base: readonly TreeEntry[]): Workspace & { committed(): readonly TreeEntry[] } {
  let now = new Map(base.map((entry) => [entry.path, entry]));
  const apply = (changes: readonly FileChange[]): void => {
    for (const { path, after } of changes)
      if (after === null) now.delete(path);
      else now.set(path, { path, mode: after.mode, oid: after.oid });
  };
  return {
    ...inner,
    committed: () => [...now.values()],
    rebuild: async (files) => {
      now = new Map(base.map((entry) => [entry.path, entry]));
      apply(files.map(({ change }) => change));
      return inner.rebuild(files);
    },
    accept: async (changes) => {
      apply(changes);
      return inner.accept(changes);
    },
    tree: async () => ok(gitTreeId([...now.values()], 'sha1')),
    diff: async () => {
      const old = new Map(base.map(({ path, oid }) => [path, oid]));
      const changed = [...now.values()].filter(({ path, oid }) => old.get(path) !== oid);
      return ok(
        changed.map(({ path, oid }) => ({
          path,
          status: 'changed' as const,
          added: null,
          removed: null,
          text: utf8Encode(`${path} ${oid}\n`),
        })),
      );
    },
  };
}

/** Hands of a family: every generation has a tree of its own that starts from what its parent had committed. */
export function familyHands(
  at: Place,
  world: World,
  how: {
    readonly script?: Script;
    readonly crashPoint?: (point: CrashPoint) => void;
    readonly more?: Partial<Hands>;
    readonly sign?: (writ: Writ) => Writ;
    /** Called before each answer. */
    readonly before?: (request: ModelRequest) => Promise<void>;
  } = {},
  base: readonly TreeEntry[] = LISTING,
): Hands {
  const { script = PLAIN, crashPoint, more = {}, sign = (writ) => writ, before = async () => undefined } = how;
  const plain = handsOf(at, world, { ...more, ...(crashPoint === undefined ? {} : { crashPoint }) });
  const workspace = tracked(plain.workspace, base);
  const delegating: Delegating = {
    sign: (writ) => issueWrit({ writ: sign(writ), seed: SEEDS.runtime }),
    hands: async () => ok(familyHands(at, world, how, workspace.committed())),
  };
  return {
    ...plain,
    workspace,
    delegating,
    model: {
      provider: 'test',
      ask: async (request) => {
        world.asked.push(request);
        await before(request);
        const answer = script[request.stage]?.[request.turn - 1] ?? STOP;
        return ok({ answer, usage: { inputTokens: 5, outputTokens: 5 }, raw: utf8Encode('raw') });
      },
    },
  };
}
