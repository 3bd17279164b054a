/** Skills: they only narrow, in every dimension and however many are laid over each other; parameters are put in once, and only as declared. */
import { describe, expect, test } from '@jest/globals';
import type { Effect, Skill, Writ } from '@openexec/protocol';
import fc from 'fast-check';
import {
  containsWrit,
  matchAction,
  matchHost,
  matchPath,
  narrowWrit,
  renderSkill,
  type ScopeRequest,
  scopeOf,
  writId,
} from '../src/index.ts';
import { writOf } from './support.ts';

const PLAIN: Skill = {
  v: 1,
  name: 'plain',
  version: 1,
  title: 'Plain',
  instructions: '',
  actions: null,
  ceiling: null,
  readPaths: null,
  writePaths: null,
  hosts: null,
  budget: { tokens: null, usdMicros: null, calls: null },
  wallMs: null,
  params: [],
};
const EFFECTS: readonly Effect[] = ['pure', 'read', 'write', 'external', 'irreversible'];
const ACTIONS = ['*', 'run_*', 'run_tests', 'r*', 'read_file', 'model.ask'];
const PATHS = ['**', 'src/**', 'src/a', 'src/lib/**', 'src/lib/x', 'docs/**'];
const HOSTS = ['*.c:1', '*.b.c:1', 'a.b.c:1', 'b.c:1', 'c:1', 'c:2'];
const some = <T>(values: readonly T[]) => fc.subarray([...values]);
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null, freq: 3 });
const amount = fc.constantFrom(0, 1, 500, 1000, Number.MAX_SAFE_INTEGER);

const skill: fc.Arbitrary<Skill> = fc
  .record({
    actions: maybe(some(ACTIONS)),
    ceiling: maybe(some(EFFECTS)),
    readPaths: maybe(some(PATHS)),
    writePaths: maybe(some(PATHS)),
    hosts: maybe(some(HOSTS)),
    budget: fc.record({ tokens: maybe(amount), usdMicros: maybe(amount), calls: maybe(amount) }),
    wallMs: maybe(amount),
  })
  .map((limits) => ({ ...PLAIN, ...limits }));
const writ: fc.Arbitrary<Writ> = fc
  .record({
    actions: some(ACTIONS),
    ceiling: some(EFFECTS),
    readPaths: some(PATHS),
    writePaths: some(PATHS),
    hosts: some(HOSTS),
    budget: fc.record({ tokens: amount, usdMicros: amount, calls: amount }),
    wallMs: amount,
  })
  .map((members) => writOf(members));
const few = <T>(values: readonly T[]) => fc.subarray([...values], { maxLength: 1 });
const request: fc.Arbitrary<ScopeRequest> = fc.record({
  action: fc.constantFrom('run_tests', 'run_x', 'read_file', 'model.ask', 'rm'),
  effect: fc.constantFrom(...EFFECTS),
  readPaths: few(['src', 'src/a', 'src/lib/x', 'docs/y', 'z']),
  writePaths: few(['src', 'src/a', 'src/lib/x', 'docs/y', 'z']),
  hosts: few(['a.b.c:1', 'x.c:1', 'b.c:1', 'c:1', 'c:2']),
});

/** What a skill lets through, said without any of the code under test but the matching of single patterns. */
function lets(of: Skill, asked: ScopeRequest): boolean {
  const all = (list: readonly string[] | null, match: (pattern: string, text: string) => boolean, texts: readonly string[]) =>
    list === null || texts.every((text) => list.some((pattern) => match(pattern, text)));
  return (
    all(of.actions, matchAction, [asked.action]) &&
    (of.ceiling === null || asked.effect === 'pure' || of.ceiling.includes(asked.effect)) &&
    all(of.readPaths, matchPath, asked.readPaths) &&
    all(of.writePaths, matchPath, asked.writePaths) &&
    all(of.hosts, matchHost, asked.hosts)
  );
}

describe('a skill', () => {
  test('property: lets through exactly what both it and the writ let through, in 10,000 cases, and never more than the writ', () => {
    const seen = { through: 0, held: 0 };
    fc.assert(
      fc.property(writ, skill, request, (own, over, asked) => {
        const narrow = narrowWrit(own, over);
        const before = scopeOf(own, asked).ok;
        const after = scopeOf(narrow, asked).ok;
        expect(after).toBe(before && lets(over, asked));
        if (after) seen.through++;
        else if (before) seen.held++;
        // Contained in the writ like any child of it, in every dimension that a child has.
        const parent = { ...own, delegation: { depth: 1, maySubdivide: true } };
        expect(containsWrit(parent, { ...narrow, delegation: { depth: 0, maySubdivide: false } })).toEqual({ ok: true, value: undefined });
      }),
      { numRuns: 10_000, seed: 1729 },
    );
    expect(seen.through).toBeGreaterThan(200);
    expect(seen.held).toBeGreaterThan(200);
  });

  test('property: several narrow further, in any order, and one that says nothing changes nothing', () => {
    fc.assert(
      fc.property(writ, skill, skill, request, (own, first, second, asked) => {
        const both = scopeOf(narrowWrit(narrowWrit(own, first), second), asked).ok;
        expect(both).toBe(scopeOf(narrowWrit(narrowWrit(own, second), first), asked).ok);
        expect(!both || scopeOf(narrowWrit(own, first), asked).ok).toBe(true);
        expect(narrowWrit(narrowWrit(own, first), PLAIN)).toEqual(narrowWrit(own, first));
      }),
      { numRuns: 2000, seed: 1729 },
    );
  });

  test('an empty list lets nothing through, beside another skill too: nothing un-narrows', () => {
    const own = writOf();
    const none = narrowWrit(narrowWrit(own, { ...PLAIN, actions: ['run_*'] }), { ...PLAIN, actions: [] });
    expect(none.actions).toEqual([]);
    expect(narrowWrit(none, { ...PLAIN, actions: ['*'] }).actions).toEqual([]);
    expect(narrowWrit(writOf({ actions: ['fs_*'] }), { ...PLAIN, actions: ['*'] }).actions).toEqual(['fs_*']);
  });

  test('leaves what is signed as it was', () => {
    const own = writOf();
    const id = writId(own);
    narrowWrit(own, { ...PLAIN, actions: [] });
    expect(writId(own)).toBe(id);
  });
});

describe('the instructions of a skill', () => {
  const param = (key: string, preset: string | null, values: string[] = []) => ({ key, description: '', default: preset, values });
  const asked: Skill = {
    ...PLAIN,
    instructions: 'Use {tool} on {place}; keep {this} and {}.',
    params: [param('tool', 'sed', ['sed', 'awk']), param('place', null)],
  };
  test('take values once, from the list where there is one, and keep other braces', () => {
    expect(renderSkill(asked, { place: '{tool}' })).toEqual({ ok: true, value: 'Use sed on {tool}; keep {this} and {}.' });
    expect(renderSkill(asked, { place: '$& $1', tool: 'awk' })).toEqual({ ok: true, value: 'Use awk on $& $1; keep {this} and {}.' });
  });
  test.each([
    ['skill.paramMissing', asked, {}],
    ['skill.paramValue', asked, { place: 'x', tool: 'rm' }],
    ['skill.param', asked, { place: 'x', other: 'y' }],
    ['skill.param', asked, { place: 'x', toString: 'y' }],
    ['skill.paramTwice', { ...asked, params: [param('a', ''), param('a', '')] }, {}],
    ['skill.paramDefault', { ...asked, params: [param('a', 'x', ['y'])] }, {}],
  ] as const)('are refused with %s', (code, template, params) => {
    expect(renderSkill(template as Skill, params as Record<string, string>)).toMatchObject({ ok: false, error: { code } });
  });
});
