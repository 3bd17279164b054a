/** Blueprints: the shipped ones, the specification's example, each way of being refused, defaults, data flow, conditions, drawings. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import type { Json } from '@openexec/canon';
import { type ActionContract, blueprint, checkedBlueprint } from '@openexec/protocol';
import fc from 'fast-check';
import { parse } from 'yaml';
import { BLUEPRINT_PROBLEMS } from '../src/problems.ts';
import { type BlueprintContext, type BlueprintProblem, blueprintGraph, checkBlueprint, evaluateCondition, stageOf } from '../src/index.ts';

/** A contract as the catalogue declares them, reduced to what a blueprint asks of it. */
function action(name: string, more: Partial<ActionContract> = {}): ActionContract {
  return {
    name,
    title: name,
    description: name,
    effect: 'read',
    risk: 'low',
    idempotence: 'workspace',
    compensable: true,
    timeout: 'fast',
    arguments: { type: 'object', properties: {}, required: [], additionalProperties: false },
    paths: [],
    writes: 'none',
    command: null,
    outputs: [],
    offered: false,
    ...more,
  };
}
const check = { effect: 'write', writes: 'scratch' } as const;
const CONTEXT: BlueprintContext = {
  actions: [
    action('read_file'),
    action('apply_patch', { effect: 'write', writes: 'declared', outputs: ['patch'] }),
    action('build_context_pack', { outputs: ['context_pack'] }),
    action('run_linters', { ...check, outputs: ['lint_report'], command: 'lint' }),
    action('run_tests', { ...check, outputs: ['test_report'], command: 'test' }),
    action('generate_diff_report', { effect: 'pure', outputs: ['diff_report'] }),
    action('prepare_review_bundle', { effect: 'pure', outputs: ['review_bundle'] }),
    action('summarize_run', { effect: 'pure', outputs: ['summary'] }),
    action('commit_changes', { effect: 'external', outputs: ['result'] }),
    action('model.ask', { effect: 'external' }),
  ],
  toolsets: { coding_backend: ['read_file', 'apply_patch'], repo_readonly: ['read_file'] },
  commands: { test: { argv: ['npm', 'test'], timeout: 'medium' }, lint: { argv: ['npx', 'eslint'], timeout: 'fast' } },
  // The catalogue's own rule is held against blueprints where both are known: libs/config.
  argumentProblem: (_, value) =>
    value !== null && typeof value === 'object' && Object.hasOwn(value, 'bad') ? { path: '/bad', message: '"bad" is not a member' } : null,
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
const agent = { id: 'work', type: 'agent', goal: 'Do it.', toolset: 'coding_backend', sandbox: 'workspace_write', outputs: ['patch'] };
function of(...stages: Json[]): { [key: string]: Json } {
  return { version: 1, name: 'sample', stages };
}

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
    [
      'agent key in a deterministic stage',
      of({ ...tests, turn_limit: 3 }),
      'blueprint.unknownKey',
      ['stages', 0, 'turn_limit'],
      'type agent',
    ],
    ['action in an agent stage', of({ ...agent, action: 'run_tests' }), 'blueprint.unknownKey', ['stages', 0, 'action'], 'deterministic'],
    [
      'unknown mode',
      of({ ...tests, sandbox: 'workspace_wirte' }),
      'blueprint.malformed',
      ['stages', 0, 'sandbox'],
      'mean workspace_write?',
    ],
    [
      'unknown approval mode',
      { ...of(tests), defaults: { approval_mode: 'alway' } },
      'blueprint.malformed',
      ['defaults', 'approval_mode'],
      'did you mean always?',
    ],
    ['unknown scope', { ...of(tests), scope: 'declare' }, 'blueprint.malformed', ['scope'], 'did you mean declared?'],
    ['no visits', of({ ...tests, visit_limit: 0 }), 'blueprint.malformed', ['stages', 0, 'visit_limit'], 'from 1 to 20'],
    ['endless visits', of({ ...tests, visit_limit: 21 }), 'blueprint.malformed', ['stages', 0, 'visit_limit'], 'from 1 to 20'],
    ['endless tries', of({ ...tests, retry_limit: 11 }), 'blueprint.malformed', ['stages', 0, 'retry_limit'], 'from 1 to 10'],
    ['half a try', of({ ...tests, retry_limit: 1.5 }), 'blueprint.malformed', ['stages', 0, 'retry_limit'], 'from 1 to 10'],
    ['endless turns', of({ ...agent, turn_limit: 101 }), 'blueprint.malformed', ['stages', 0, 'turn_limit'], 'from 1 to 100'],
    [
      'endless visits by default',
      { ...of(tests), defaults: { max_stage_visits: 100 } },
      'blueprint.malformed',
      ['defaults', 'max_stage_visits'],
      'from 1 to 20',
    ],
    [
      'endless tries by default',
      { ...of(tests), defaults: { max_step_retries: 0 } },
      'blueprint.malformed',
      ['defaults', 'max_step_retries'],
      'from 1 to 10',
    ],
    ['no stages', { version: 1, name: 'sample', stages: [] }, 'blueprint.malformed', ['stages'], ''],
    ['missing id', of({ type: 'deterministic', action: 'run_tests' }), 'blueprint.malformed', ['stages', 0, 'id'], 'id is missing'],
    [
      'approval of another type',
      of({ ...tests, approval_required: 'yes' }),
      'blueprint.malformed',
      ['stages', 0, 'approval_required'],
      'true or',
    ],
    ['a name with a path', of({ ...agent, protect: ['src/a.ts'] }), 'blueprint.malformed', ['stages', 0, 'protect', 0], 'without /'],
    [
      'asking as an action',
      of({ ...tests, action: 'model.ask' }),
      'blueprint.actionNotAllowed',
      ['stages', 0, 'action'],
      'a stage of type agent',
    ],
    [
      'landing without repo_write',
      of({ id: 'land', type: 'deterministic', action: 'commit_changes', sandbox: 'workspace_write' }),
      'blueprint.actionNotAllowed',
      ['stages', 0, 'sandbox'],
      'needs sandbox: repo_write',
    ],
    [
      'writing where nothing is written',
      of({ id: 'write', type: 'deterministic', action: 'apply_patch' }),
      'blueprint.actionNotAllowed',
      ['stages', 0, 'sandbox'],
      'not allowed in read_only',
    ],
    [
      'a toolset that writes where nothing is written',
      of({ ...agent, sandbox: 'read_only' }),
      'blueprint.actionNotAllowed',
      ['stages', 0, 'sandbox'],
      'offers apply_patch',
    ],
    [
      'arguments that the action does not take',
      of({ ...tests, arguments: { bad: 1 } }),
      'blueprint.arguments',
      ['stages', 0, 'arguments', 'bad'],
      'arguments of run_tests: bad',
    ],
    [
      'an input twice',
      of(agent, { ...tests, inputs: ['patch', 'patch'] }),
      'blueprint.duplicateArtifact',
      ['stages', 1, 'inputs', 1],
      'twice',
    ],
    ['an output twice', of({ ...agent, outputs: ['patch', 'patch'] }), 'blueprint.duplicateArtifact', ['stages', 0, 'outputs', 1], 'twice'],
    [
      'a check that leads to itself',
      of({ ...tests, on_failure: 'test' }),
      'blueprint.selfRoute',
      ['stages', 0, 'on_failure'],
      'use retry_limit',
    ],
    ['success that leads to itself', of({ ...agent, on_success: 'work' }), 'blueprint.selfRoute', ['stages', 0, 'on_success'], 'itself'],
    [
      'a field that is none',
      of(agent, { ...tests, when: { artifact: 'patch', field: 'a..b', eq: 1 } }),
      'blueprint.condition',
      ['stages', 1, 'when', 'field'],
      'joined by dots',
    ],
    [
      'a comparison with a list',
      of(agent, { ...tests, when: { artifact: 'patch', field: 'a', eq: [1] } }),
      'blueprint.condition',
      ['stages', 1, 'when', 'eq'],
      'not with a list',
    ],
    [
      'a field that is no text',
      of({ ...tests, when: { artifact: 'x', field: 1, eq: 1 } }),
      'blueprint.malformed',
      ['stages', 0, 'when', 'field'],
      'a text',
    ],
    [
      'exists that is no truth',
      of({ ...tests, when: { artifact: 'x', exists: 'yes' } }),
      'blueprint.malformed',
      ['stages', 0, 'when', 'exists'],
      'true or false',
    ],
    [
      'two conditions in one',
      of({ ...tests, when: { artifact: 'x', exists: true, field: 'a', eq: 1 } }),
      'blueprint.malformed',
      ['stages', 0, 'when'],
      'not both',
    ],
    [
      'a condition on what comes only later',
      of({ ...tests, when: { artifact: 'patch', exists: true } }, agent),
      'blueprint.conditionNever',
      ['stages', 0, 'when', 'artifact'],
      'always be skipped',
    ],
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
  test('a toolset that names no action, with what was meant', () => {
    const context = { ...CONTEXT, toolsets: { coding_backend: ['read_fil'] } };
    expect(problems(of(agent), context)).toEqual([
      expect.objectContaining({ code: 'blueprint.unknownAction', message: expect.stringContaining('did you mean read_file?') }),
    ]);
  });
  test('for no single word where the word is right: an agent may try again in a new conversation, and a check may look without writing', () => {
    expect(codes(of({ ...agent, on_failure: 'work' }))).toEqual([]);
    expect(codes(of({ ...tests, sandbox: 'read_only', when: { artifact: 'test_report', exists: false } }))).toEqual([
      'blueprint.unknownArtifact',
    ]);
    expect(
      codes(of({ ...tests, sandbox: 'read_only', outputs: ['test_report'], when: { artifact: 'test_report', exists: false } })),
    ).toEqual([]);
  });
  test('all problems of one kind come at once', () => {
    expect(codes(of({ ...tests, action: 'x', on_failure: 'y' }, { ...agent, toolset: 'z' }))).toEqual([
      'blueprint.unknownStage',
      'blueprint.unknownAction',
      'blueprint.unknownToolset',
    ]);
  });
});

test('the reference names every key and every refusal, and no other refusal', () => {
  const page = readFileSync(fileURLToPath(new URL('../../../docs/reference/blueprints.md', import.meta.url)), 'utf8');
  const rows = [...page.matchAll(/^\| `([a-zA-Z_.]+)` \|/gm)].map(([, word]) => word ?? '');
  expect(rows.filter((word) => word.startsWith('blueprint.')).sort()).toEqual([...BLUEPRINT_PROBLEMS].sort());
  const shape = blueprint.shape;
  const stageKeys = shape.stages.element.options.flatMap((option) => Object.keys(option.shape));
  const defaultKeys = Object.keys(shape.defaults.unwrap().shape);
  for (const key of [...Object.keys(shape), ...stageKeys, ...defaultKeys]) expect(rows).toContain(key);
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
