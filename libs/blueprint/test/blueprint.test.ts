/** Blueprints: the shipped ones, the specification's example, defaults, the flow of artifacts, conditions, drawings. */
import { readdirSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import type { Json } from '@openexec/canon';
import { checkedBlueprint } from '@openexec/protocol';
import fc from 'fast-check';
import { blueprintGraph, checkBlueprint, evaluateCondition, stageOf } from '../src/index.ts';
import { agent, codes, CONTEXT, FIXTURES, load, of, problems, SHIPPED, tests } from './support.ts';

/** The loop that each shipped blueprint repairs in: the check, and the stage that its failure leads to. */
const LOOPS: Readonly<Record<string, readonly [string, string]>> = {
  'backend_bugfix.yaml': ['run_tests', 'fix_tests'],
  'debug_ci_failure.yaml': ['run_tests', 'gather_context'],
  'quick_fix.yaml': ['run_tests', 'fix_tests'],
  'scoped_code_change.yaml': ['run_tests', 'fix_tests'],
  'standard_task.yaml': ['run_tests', 'fix_tests'],
};

describe('the shipped blueprints', () => {
  test('are these', () => expect(readdirSync(SHIPPED).sort()).toEqual(Object.keys(LOOPS)));
  test.each(Object.entries(LOOPS))('%s checks, ends in done, and holds a loop with a finite cap', (file, [check, repair]) => {
    const checked = checkBlueprint(load(SHIPPED + file), CONTEXT);
    if (!checked.ok) throw new Error(JSON.stringify(checked.error));
    expect(checked.value.name).toBe(file.replace('.yaml', ''));
    expect(checkedBlueprint.safeParse(checked.value).success).toBe(true);
    expect(stageOf(checked.value, check)).toMatchObject({ onFailure: repair, visitLimit: 3 });
    expect(stageOf(checked.value, repair)).toMatchObject({ visitLimit: 3 });
    expect(stageOf(checked.value, 'commit_changes')).toMatchObject({ onSuccess: 'done', sandbox: 'repo_write', inputs: ['patch'] });
  });
  test.each(Object.keys(LOOPS))(
    '%s is refused where its commands are not configured, and checks where linters are configured as none',
    (file) => {
      const missing = codes(load(SHIPPED + file), { ...CONTEXT, commands: {} });
      expect([...new Set(missing)]).toEqual(['blueprint.commandNotConfigured']);
      expect(codes(load(SHIPPED + file), { ...CONTEXT, commands: { ...CONTEXT.commands, lint: 'none' } })).toEqual([]);
    },
  );
  test.each(Object.keys(LOOPS))('%s still checks where tests are configured as none, unless it needs one that fails', (file) => {
    const found = codes(load(SHIPPED + file), { ...CONTEXT, commands: { ...CONTEXT.commands, test: 'none' } });
    expect(found).toEqual(file === 'backend_bugfix.yaml' ? ['blueprint.noWayOut'] : []);
  });
  test('protect the tests wherever they repair a check that shows something, and ask a person before a scoped change lands', () => {
    const stagesOf = (file: string) => {
      const checked = checkBlueprint(load(SHIPPED + file), CONTEXT);
      return checked.ok ? checked.value.stages : [];
    };
    const protecting = (file: string) =>
      stagesOf(file).flatMap((stage) => (stage.type === 'agent' && stage.protect?.includes('*.test.ts') === true ? [stage.id] : []));
    expect(protecting('debug_ci_failure.yaml')).toEqual(['fix', 'fix_lints']);
    expect(protecting('backend_bugfix.yaml')).toEqual(['implement', 'fix_tests']);
    expect(stagesOf('scoped_code_change.yaml').filter(({ approvalRequired }) => approvalRequired)).toMatchObject([
      { id: 'review', onSuccess: 'commit_changes' },
    ]);
  });
});

describe("the specification's example", () => {
  test('as published it is refused for the stage that it never defines, with the place', () => {
    expect(problems(load(`${FIXTURES}backend_bugfix.excerpt.yaml`))).toEqual([
      expect.objectContaining({
        code: 'blueprint.unknownStage',
        path: ['stages', 2, 'on_success'],
        message: expect.stringContaining('run_tests'),
      }),
    ]);
  });
  test('completed with run_tests and fix_tests it checks, and its defaults are the documented ones', () => {
    const checked = checkBlueprint(load(`${FIXTURES}backend_bugfix.yaml`), CONTEXT);
    if (!checked.ok) throw new Error(JSON.stringify(checked.error));
    expect(stageOf(checked.value, 'gather_context')).toMatchObject({
      onSuccess: 'implement',
      onFailure: 'fail',
      retryLimit: 2,
      visitLimit: 3,
      sandbox: 'workspace_write',
    });
    expect(stageOf(checked.value, 'implement')).toMatchObject({ turnLimit: 24, toolset: 'coding_backend' });
    expect(stageOf(checked.value, 'done')).toBeUndefined();
  });
});

describe('artifacts flow', () => {
  const reader = (from: { [key: string]: Json }, more: { [key: string]: Json } = {}) =>
    of(
      { ...from, on_success: 'read', ...more },
      { id: 'read', type: 'deterministic', action: 'commit_changes', sandbox: 'repo_write', inputs: from['outputs'] ?? [] },
    );
  test('what a check reports exists after a failure too, what an agent gives only after success', () => {
    const report = { ...tests, outputs: ['test_report'] };
    expect(codes(reader(report, { on_failure: 'read' }))).toEqual([]);
    expect(problems(reader(agent, { on_failure: 'read' }))).toEqual([
      expect.objectContaining({
        code: 'blueprint.inputMissing',
        path: ['stages', 1, 'inputs', 0],
        message: expect.stringContaining('from work on failure'),
      }),
    ]);
  });
  test('a stage that may be skipped gives nothing to its success route: by condition, or by a command configured as none', () => {
    const report = { ...tests, outputs: ['test_report'] };
    const conditional = reader({ ...report, when: { artifact: 'test_report', exists: false } });
    expect(codes(conditional)).toEqual(['blueprint.inputMissing']);
    expect(codes(reader(report))).toEqual([]);
    expect(codes(reader(report), { ...CONTEXT, commands: { ...CONTEXT.commands, test: 'none' } })).toEqual(['blueprint.inputMissing']);
  });
  test('an input must exist on every path, around a loop too', () => {
    const loop = of({ ...agent, inputs: ['test_report'] }, { ...tests, outputs: ['test_report'], on_failure: 'work' });
    expect(problems(loop)).toEqual([
      expect.objectContaining({ code: 'blueprint.inputMissing', message: expect.stringContaining('first') }),
    ]);
  });
  test('property: an accepted blueprint never meets a missing input or endless work, whatever its stages answer', () => {
    const stage = fc.record({
      kind: fc.constantFrom('run_tests', 'build_context_pack', 'commit_changes', 'agent'),
      inputs: fc.subarray(['patch', 'test_report', 'context_pack']),
      success: fc.nat(5),
      failure: fc.nat(5),
      gives: fc.boolean(),
    });
    let accepted = 0;
    fc.assert(
      fc.property(
        fc.array(stage, { minLength: 1, maxLength: 4 }),
        fc.array(fc.boolean(), { minLength: 60, maxLength: 60 }),
        (stages, answers) => {
          const target = (at: number) => (at < stages.length ? `s${at}` : at % 2 === 0 ? 'done' : 'fail');
          const gift: { [key: string]: string } = {
            run_tests: 'test_report',
            build_context_pack: 'context_pack',
            commit_changes: 'result',
            agent: 'patch',
          };
          const written = stages.map(({ kind, inputs, success, failure, gives }, index): Json => {
            const shared = {
              id: `s${index}`,
              inputs,
              outputs: gives ? [gift[kind] ?? ''] : [],
              on_success: target(success),
              on_failure: target(failure),
              sandbox: 'repo_write',
            };
            return kind === 'agent'
              ? { ...shared, type: 'agent', goal: 'x', toolset: 'coding_backend' }
              : { ...shared, type: 'deterministic', action: kind };
          });
          const checked = checkBlueprint(of(...written), CONTEXT);
          if (!checked.ok) return;
          accepted++;
          const visits = new Map<string, number>();
          const have = new Set<string>();
          let at = 's0';
          for (const good of answers) {
            const now = stageOf(checked.value, at);
            if (now === undefined) break;
            visits.set(at, (visits.get(at) ?? 0) + 1);
            if ((visits.get(at) ?? 0) > now.visitLimit) return;
            expect(now.inputs.filter((name) => !have.has(name))).toEqual([]);
            if (good || now.type === 'deterministic') for (const name of now.outputs) have.add(name);
            at = good ? now.onSuccess : now.onFailure;
          }
          expect(stageOf(checked.value, at)).toBeUndefined();
        },
      ),
      { numRuns: 3000 },
    );
    expect(accepted).toBeGreaterThan(20);
  });
});

describe('conditions', () => {
  const artifacts = new Map<string, Json>([['report', { failed: 0, list: [{ name: 'a' }], nothing: null }]]);
  test.each<[string, Parameters<typeof evaluateCondition>[0], boolean]>([
    ['exists', { artifact: 'report', exists: true }, true],
    ['does not exist', { artifact: 'plan', exists: false }, true],
    ['field equals', { artifact: 'report', field: 'failed', eq: 0 }, true],
    ['another type is not equal', { artifact: 'report', field: 'failed', eq: '0' }, false],
    ['by index', { artifact: 'report', field: 'list.0.name', eq: 'a' }, true],
    ['a missing field is not null', { artifact: 'report', field: 'gone', eq: null }, false],
    ['null is null', { artifact: 'report', field: 'nothing', eq: null }, true],
    ['nothing is inherited', { artifact: 'report', field: 'list.length', eq: 1 }, false],
    ['a missing artifact', { artifact: 'plan', field: 'x', eq: 1 }, false],
    ['structures by content', { artifact: 'report', field: 'list', eq: [{ name: 'a' }] }, true],
  ])('%s', (_, condition, expected) => {
    expect(evaluateCondition(condition, artifacts)).toBe(expected);
  });
});

test('a drawing shows every stage and every route', () => {
  const checked = checkBlueprint(load(`${SHIPPED}quick_fix.yaml`), CONTEXT);
  if (!checked.ok) throw new Error(JSON.stringify(checked.error));
  const text = blueprintGraph(checked.value, 'text');
  const mermaid = blueprintGraph(checked.value, 'mermaid');
  expect(text).toContain(
    'run_tests: action run_tests [workspace_write, at most 3 visits of 2 tries]\n  patch -> test_report\n  success: commit_changes, failure: fix_tests\n',
  );
  expect(mermaid).toBe(
    [
      'flowchart TD',
      '  n0(["implement"])',
      '  n1["run_tests: run_tests"]',
      '  n2(["fix_tests"])',
      '  n3["commit_changes: commit_changes"]',
      '  n4(("done"))',
      '  n5(("fail"))',
      '  n0 -->|success| n1',
      '  n0 -.->|failure| n5',
      '  n1 -->|success| n3',
      '  n1 -.->|failure| n2',
      '  n2 -->|success| n1',
      '  n2 -.->|failure| n5',
      '  n3 -->|success| n4',
      '  n3 -.->|failure| n5',
      '',
    ].join('\n'),
  );
});
