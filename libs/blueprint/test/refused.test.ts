/** Each way in which a blueprint is refused, with its place, and that the reference names every one of them. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import type { Json } from '@openexec/canon';
import { blueprint } from '@openexec/protocol';
import { BLUEPRINT_PROBLEMS } from '../src/problems.ts';
import type { BlueprintProblem } from '../src/index.ts';
import { agent, codes, CONTEXT, of, problems, tests } from './support.ts';

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
