/** What the suites of blueprints share: a small catalogue to check against, sample stages, and the problems of a document. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Json } from '@openexec/canon';
import type { ActionContract } from '@openexec/protocol';
import { parse } from 'yaml';
import { type BlueprintContext, type BlueprintProblem, checkBlueprint } from '../src/index.ts';

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
export const CONTEXT: BlueprintContext = {
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
export const SHIPPED = fileURLToPath(new URL('../../../blueprints/', import.meta.url));
export const FIXTURES = fileURLToPath(new URL('./fixtures/', import.meta.url));

export function load(file: string): Json {
  return parse(readFileSync(file, 'utf8')) as Json; // YAML of the core schema is JSON.
}
export function problems(json: Json, context = CONTEXT): readonly BlueprintProblem[] {
  const checked = checkBlueprint(json, context);
  return checked.ok ? [] : checked.error;
}
export function codes(json: Json, context = CONTEXT): readonly string[] {
  return problems(json, context).map(({ code }) => code);
}
export const tests = { id: 'test', type: 'deterministic', action: 'run_tests' };
export const agent = {
  id: 'work',
  type: 'agent',
  goal: 'Do it.',
  toolset: 'coding_backend',
  sandbox: 'workspace_write',
  outputs: ['patch'],
};
export function of(...stages: Json[]): { [key: string]: Json } {
  return { version: 1, name: 'sample', stages };
}
