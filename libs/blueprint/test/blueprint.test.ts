/** Blueprints: the shipped ones, the specification's example, each way of being refused, defaults, data flow, conditions, drawings. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import type { Json } from '@openexec/canon';
import { checkedBlueprint } from '@openexec/protocol';
import fc from 'fast-check';
import { parse } from 'yaml';
import { type BlueprintContext, type BlueprintProblem, blueprintGraph, checkBlueprint, evaluateCondition, stageOf } from '../src/index.ts';

const CONTEXT: BlueprintContext = {
  actions: [
    { name: 'read_file', outputs: [], command: null },
    { name: 'apply_patch', outputs: ['patch'], command: null },
    { name: 'build_context_pack', outputs: ['context_pack'], command: null },
    { name: 'run_linters', outputs: ['lint_report'], command: 'linters' },
    { name: 'run_tests', outputs: ['test_report'], command: 'tests' },
    { name: 'commit_changes', outputs: ['result'], command: null },
  ],
  toolsets: ['coding_backend', 'repo_readonly'],
  commands: { tests: { argv: ['npm', 'test'], timeout: 'medium' }, linters: { argv: ['npx', 'eslint'], timeout: 'fast' } },
};
const SHIPPED = fileURLToPath(new URL('../../../blueprints/', import.meta.url));
const FIXTURES = fileURLToPath(new URL('./fixtures/', import.meta.url));

function load(file: string): Json {
  return parse(readFileSync(file, 'utf8')) as Json; // YAML of the core schema is JSON.
}
function problems(json: Json, context = CONTEXT): readonly BlueprintProblem[] {
  const checked = checkBlueprint(json, context);
  return checked.ok ? [] : checked.error;
}
function codes(json: Json, context = CONTEXT): readonly string[] {
  return problems(json, context).map(({ code }) => code);
}
const tests = { id: 'test', type: 'deterministic', action: 'run_tests' };
const agent = { id: 'work', type: 'agent', goal: 'Do it.', toolset: 'coding_backend', outputs: ['patch'] };
function of(...stages: Json[]): { [key: string]: Json } {
  return { version: 1, name: 'sample', stages };
}

describe('the shipped blueprints', () => {
  test.each(readdirSync(SHIPPED))('%s checks, ends in done, and holds a loop with a finite cap', (file) => {
    const checked = checkBlueprint(load(SHIPPED + file), CONTEXT);
    if (!checked.ok) throw new Error(JSON.stringify(checked.error));
    expect(checked.value.name).toBe(file.replace('.yaml', ''));
    expect(checkedBlueprint.safeParse(checked.value).success).toBe(true);
    expect(stageOf(checked.value, 'fix_tests')).toMatchObject({ onSuccess: 'run_tests', visitLimit: 3 });
    expect(stageOf(checked.value, 'run_tests')).toMatchObject({ onFailure: 'fix_tests' });
    expect(stageOf(checked.value, 'commit_changes')).toMatchObject({ onSuccess: 'done', sandbox: 'repo_write' });
  });
  test.each(readdirSync(SHIPPED))(
    '%s still checks where tests are configured as none, and is refused where they are not configured',
    (file) => {
      expect(codes(load(SHIPPED + file), { ...CONTEXT, commands: { tests: 'none' } })).toEqual([]);
      expect(codes(load(SHIPPED + file), { ...CONTEXT, commands: {} })).toEqual(['blueprint.commandNotConfigured']);
    },
  );
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

describe('a blueprint is refused', () => {
  test.each<[string, Json, BlueprintProblem['code'], readonly (string | number)[], string]>([
    ['unknown top key', { ...of(tests), stage: [] }, 'blueprint.unknownKey', ['stage'], 'did you mean stages?'],
    [
      'unknown stage key',
      of({ ...tests, on_sucess: 'done' }),
      'blueprint.unknownKey',
      ['stages', 0, 'on_sucess'],
      'did you mean on_success?',
    ],
    [
      'unknown defaults key',
      { ...of(tests), defaults: { tolset: 'x' } },
      'blueprint.unknownKey',
      ['defaults', 'tolset'],
      'did you mean toolset?',
    ],
    [
      'unknown condition key',
      of({ ...tests, when: { artefact: 'x', exists: true } }),
      'blueprint.unknownKey',
      ['stages', 0, 'when', 'artefact'],
      'did you mean artifact?',
    ],
    [
      'condition of no shape',
      of({ ...tests, when: { artifact: 'x' } }),
      'blueprint.malformed',
      ['stages', 0, 'when'],
      '{artifact, exists}',
    ],
    ['other version', { ...of(tests), version: 2 }, 'blueprint.malformed', ['version'], 'version is 1'],
    ['unknown type', of({ ...tests, type: 'agentic' }), 'blueprint.malformed', ['stages', 0, 'type'], 'deterministic or agent'],
    ['missing action', of({ id: 'a', type: 'deterministic' }), 'blueprint.missingAction', ['stages', 0], 'stage a'],
    ['missing goal', of({ id: 'a', type: 'agent', toolset: 'coding_backend' }), 'blueprint.missingGoal', ['stages', 0], 'stage a'],
    ['missing toolset', of({ id: 'a', type: 'agent', goal: 'x' }), 'blueprint.missingToolset', ['stages', 0], 'defaults'],
    [
      'unknown toolset',
      of({ ...agent, toolset: 'coding_backand' }),
      'blueprint.unknownToolset',
      ['stages', 0, 'toolset'],
      'did you mean coding_backend?',
    ],
    ['unknown action', of({ ...tests, action: 'run_test' }), 'blueprint.unknownAction', ['stages', 0, 'action'], 'did you mean run_tests?'],
    [
      'sandbox of later',
      of({ ...tests, sandbox: 'danger_full_access' }),
      'blueprint.sandboxNotOffered',
      ['stages', 0, 'sandbox'],
      'not offered',
    ],
    ['reserved id', of({ ...tests, id: 'paused' }), 'blueprint.reservedId', ['stages', 0, 'id'], 'not stages'],
    ['duplicate id', of(tests, tests), 'blueprint.duplicateId', ['stages', 1, 'id'], 'twice'],
    ['unknown route', of({ ...tests, on_failure: 'testt' }), 'blueprint.unknownStage', ['stages', 0, 'on_failure'], 'did you mean test?'],
    [
      'output the action does not give',
      of({ ...tests, outputs: ['test_reprot'] }),
      'blueprint.unknownArtifact',
      ['stages', 0, 'outputs', 0],
      'did you mean test_report?',
    ],
    [
      'output no agent gives',
      of({ ...agent, outputs: ['summary'] }),
      'blueprint.unknownArtifact',
      ['stages', 0, 'outputs', 0],
      'an agent stage gives patch',
    ],
    [
      'input nobody gives',
      of({ ...tests, inputs: ['patsh'] }, agent),
      'blueprint.unknownArtifact',
      ['stages', 0, 'inputs', 0],
      'did you mean patch?',
    ],
    [
      'condition on what nobody gives',
      of({ ...tests, when: { artifact: 'plan', exists: true } }),
      'blueprint.unknownArtifact',
      ['stages', 0, 'when', 'artifact'],
      'no stage gives plan',
    ],
    ['unreachable stage', of({ ...tests, on_success: 'done' }, agent), 'blueprint.unreachable', ['stages', 1], 'no route leads here'],
    ['no route to done', of({ ...tests, on_success: 'fail' }), 'blueprint.noWayOut', ['stages'], 'never succeed'],
  ])('%s', (_, json, code, path, said) => {
    expect(problems(json)).toContainEqual({ code, path, message: expect.stringContaining(said) });
  });
  test('a cycle that only its cap could end, naming every stage in it', () => {
    const stuck = of(
      { ...tests, on_failure: 'a' },
      { ...agent, id: 'a', on_success: 'b', on_failure: 'b' },
      { ...agent, id: 'b', on_success: 'a', on_failure: 'a' },
      { ...tests, id: 'end' },
    );
    expect(
      problems({ ...stuck, stages: [{ ...tests, on_success: 'end', on_failure: 'a' }, ...(stuck['stages'] as Json[]).slice(1)] }),
    ).toEqual([
      expect.objectContaining({ code: 'blueprint.noWayOut', path: ['stages', 1] }),
      expect.objectContaining({ code: 'blueprint.noWayOut', path: ['stages', 2] }),
    ]);
  });
  test('all problems of one kind come at once', () => {
    expect(codes(of({ ...tests, action: 'x', on_failure: 'y' }, { ...agent, toolset: 'z' }))).toEqual([
      'blueprint.unknownStage',
      'blueprint.unknownAction',
      'blueprint.unknownToolset',
    ]);
  });
});

describe('artifacts flow', () => {
  const reader = (from: { [key: string]: Json }, more: { [key: string]: Json } = {}) =>
    of(
      { ...from, on_success: 'read', ...more },
      { id: 'read', type: 'deterministic', action: 'commit_changes', inputs: from['outputs'] ?? [] },
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
    expect(codes(reader(report), { ...CONTEXT, commands: { tests: 'none' } })).toEqual(['blueprint.inputMissing']);
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
    expect(accepted).toBeGreaterThan(50);
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
  const { text, mermaid } = blueprintGraph(checked.value);
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
