/**
 * The flow analysis against brute force: every way through random graphs is walked, and what exists on all of them, or on some, is what the analysis
 * says. And whatever its stages answer, a checked blueprint comes to an end within its caps.
 */
import { describe, expect, test } from '@jest/globals';
import type { Json } from '@openexec/canon';
import type { ActionContract, CheckedBlueprint, CheckedStage, ConfiguredCommand } from '@openexec/protocol';
import fc from 'fast-check';
import { artifactFlow } from '../src/flow.ts';
import { type BlueprintContext, checkBlueprint, stageOf } from '../src/index.ts';

const CONTEXT: BlueprintContext = { actions: [], toolsets: {}, commands: {}, argumentProblem: () => null };
const NAMES = ['a', 'b', 'c'];
const ENDS = ['done', 'fail', 'paused'];

const stage = fc.record({
  agent: fc.boolean(),
  outputs: fc.subarray(NAMES),
  conditional: fc.boolean(),
  success: fc.nat(5),
  failure: fc.nat(5),
  visits: fc.integer({ min: 1, max: 4 }),
});
const graph = fc.array(stage, { minLength: 1, maxLength: 4 }).map((drawn): CheckedBlueprint => {
  const target = (at: number): string => (at < drawn.length ? `s${at}` : (ENDS[at % 3] ?? 'done'));
  const stages = drawn.map((each, at): CheckedStage => {
    const common = {
      id: `s${at}`,
      inputs: [],
      outputs: each.outputs,
      onSuccess: target(each.success),
      onFailure: target(each.failure),
      retryLimit: 2,
      visitLimit: each.visits,
      approvalRequired: false,
      sandbox: 'repo_write' as const,
      when: each.conditional ? { artifact: 'a', exists: true } : null,
    };
    return each.agent
      ? { ...common, type: 'agent', goal: 'x', toolset: 't', turnLimit: 1 }
      : { ...common, type: 'deterministic', action: 'x', arguments: {} };
  });
  return { version: 1, name: 'random', description: '', approvalMode: 'never', stages };
});

/** The ways out of a stage: where to, and which of its outputs exist then. */
function waysOf(now: CheckedStage): readonly { readonly to: string; readonly gives: readonly string[] }[] {
  return [
    { to: now.onSuccess, gives: now.outputs },
    { to: now.onFailure, gives: now.type === 'deterministic' ? now.outputs : [] },
    ...(now.when === null ? [] : [{ to: now.onSuccess, gives: [] }]),
  ];
}

/** Every (stage, artifacts) that any way leads to; ways are walked until they only repeat what was seen. */
function bruteForce(checked: CheckedBlueprint): ReadonlyMap<string, readonly ReadonlySet<string>[]> {
  const seen = new Map<string, ReadonlySet<string>[]>();
  const known = new Set<string>();
  const walk = (id: string, have: ReadonlySet<string>): void => {
    const now = stageOf(checked, id);
    const key = `${id}:${NAMES.filter((name) => have.has(name)).join()}`;
    if (now === undefined || known.has(key)) return;
    known.add(key);
    seen.set(id, [...(seen.get(id) ?? []), have]);
    for (const { to, gives } of waysOf(now)) walk(to, new Set([...have, ...gives]));
  };
  walk('s0', new Set());
  return seen;
}

const sorted = (names: Iterable<string>): readonly string[] => [...names].sort();

describe('the flow of artifacts', () => {
  test('property: agrees with walking every way, for what exists always and for what exists sometimes', () => {
    let reached = 0;
    fc.assert(
      fc.property(graph, (checked) => {
        const flow = artifactFlow(checked, CONTEXT);
        const walked = bruteForce(checked);
        expect(sorted(flow.sure.keys())).toEqual(sorted(walked.keys()));
        expect(sorted(flow.possible.keys())).toEqual(sorted(walked.keys()));
        for (const [id, ways] of walked) {
          reached += 1;
          const always = NAMES.filter((name) => ways.every((have) => have.has(name)));
          const sometimes = NAMES.filter((name) => ways.some((have) => have.has(name)));
          // The analysis may know outputs only; so do the ways.
          expect(sorted(flow.sure.get(id) ?? [])).toEqual(always);
          expect(sorted(flow.possible.get(id) ?? [])).toEqual(sometimes);
        }
      }),
      { numRuns: 5000 },
    );
    expect(reached).toBeGreaterThan(5000);
  });

  test('property: whatever its stages answer, a run of the graph ends within the sum of its visits', () => {
    let loops = 0;
    fc.assert(
      fc.property(graph, fc.array(fc.nat(2), { minLength: 40, maxLength: 40 }), (checked, answers) => {
        const most = checked.stages.reduce((sum, { visitLimit }) => sum + visitLimit, 0);
        const visits = new Map<string, number>();
        let at: string | undefined = 's0';
        let steps = 0;
        while (at !== undefined) {
          const now = stageOf(checked, at);
          const visit = (visits.get(at) ?? 0) + 1;
          // The kernel's rule (enterStage): beyond the cap nothing is entered.
          if (now === undefined || visit > now.visitLimit) break;
          if (visit > 1) loops += 1;
          visits.set(at, visit);
          steps += 1;
          const ways = waysOf(now);
          at = ways[(answers[steps % answers.length] ?? 0) % ways.length]?.to;
        }
        expect(steps).toBeLessThanOrEqual(most);
      }),
      { numRuns: 2000 },
    );
    expect(loops).toBeGreaterThan(200);
  });
});

describe('a command that is configured as none', () => {
  const action: ActionContract = {
    name: 'run_tests',
    title: '',
    description: '',
    effect: 'write',
    risk: 'low',
    idempotence: 'workspace',
    compensable: true,
    timeout: 'fast',
    arguments: { type: 'object', properties: {}, required: [], additionalProperties: false },
    paths: [],
    writes: 'scratch',
    command: 'test',
    outputs: [],
    offered: false,
  };
  const check = { type: 'deterministic', action: 'run_tests', sandbox: 'workspace_write' };
  const agent = { type: 'agent', goal: 'x', toolset: 't', sandbox: 'read_only' };
  const codes = (stages: Json, test: ConfiguredCommand): readonly string[] => {
    const context: BlueprintContext = { actions: [action], toolsets: { t: [] }, commands: { test }, argumentProblem: () => null };
    const checked = checkBlueprint({ version: 1, name: 'sample', stages }, context);
    return checked.ok ? [] : checked.error.map(({ code, message }) => `${code}: ${message}`);
  };
  const argv: ConfiguredCommand = { argv: ['x'], timeout: 'fast' };

  test('never fails, so that what only its failure leads to is no way to done', () => {
    // Only a failing test leads on: with none, the two would go round for ever.
    const bugfix = [
      { ...agent, id: 'reproduce' },
      { ...check, id: 'confirm', on_success: 'reproduce', on_failure: 'repair' },
      { ...agent, id: 'repair' },
    ];
    expect(codes(bugfix, argv)).toEqual([]);
    expect(codes(bugfix, 'none')).toEqual([
      expect.stringMatching(/^blueprint\.noWayOut: no route leads to done while .* configured as none/),
    ]);
    const stuck = [
      { ...check, id: 'one', on_failure: 'done', on_success: 'two' },
      { ...check, id: 'two', on_failure: 'done', on_success: 'one' },
    ];
    expect(codes(stuck, argv)).toEqual([]);
    expect(codes(stuck, 'none')).toEqual([
      expect.stringMatching(/^blueprint\.noWayOut: stage one: no route from here ends while/),
      expect.stringMatching(/^blueprint\.noWayOut: stage two: no route from here ends while/),
    ]);
  });
  test('is no reason to refuse a stage that only its failure leads to', () => {
    const fix = [
      { ...check, id: 'check', on_success: 'done', on_failure: 'fix' },
      { ...agent, id: 'fix', on_success: 'check' },
    ];
    expect(codes(fix, 'none')).toEqual([]);
  });
});
