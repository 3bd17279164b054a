/**
 * Arguments, paths, tools, profiles: the pure checks of the catalogue.
 */
import { describe, expect, test } from '@jest/globals';
import { canonicalText, type Digest, type Json } from '@openexec/canon';
import { type ActionContract, type ArgumentSchema, catalogue, sandboxProfile, toolsets } from '@openexec/protocol';
import fc from 'fast-check';
import * as z from 'zod';
import {
  AUTO_RUN_PATTERNS,
  builtinActions,
  builtinToolsets,
  checkActionArguments,
  checkArguments,
  checkPath,
  compileProfile,
  isAutoRun,
  patchTouches,
  pathsOf,
  splitClaims,
  toolDeclaration,
} from '../src/index.ts';

function action(name: string): ActionContract {
  const found = builtinActions.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no action ${name}`);
  return found;
}
const code = (result: { readonly ok: boolean; readonly error?: { readonly code: string } }): string =>
  result.ok ? 'ok' : (result.error?.code ?? '');

describe('the built-in declarations', () => {
  test('they are a catalogue and toolsets of the protocol', () => {
    expect(catalogue.safeParse({ version: 1, actions: builtinActions, commands: { test: 'none' } }).success).toBe(true);
    expect(toolsets.safeParse(builtinToolsets).success).toBe(true);
  });
  test('a toolset names only actions that are offered, and nothing that runs a command or leaves the workspace', () => {
    for (const names of Object.values(builtinToolsets))
      for (const name of names) expect(action(name)).toMatchObject({ offered: true, command: null });
    expect(builtinActions.filter((each) => !each.offered).map((each) => each.name)).toEqual([
      'run_tests',
      'run_linters',
      'run_typecheck',
      'run_formatter',
      'run_build',
      'build_context_pack',
      'generate_diff_report',
      'prepare_review_bundle',
      'summarize_run',
      'commit_changes',
      'model.ask',
    ]);
  });
  test('effects are those that were settled', () => {
    expect(Object.fromEntries(builtinActions.map((each) => [each.name, `${each.effect} ${each.idempotence}`]))).toEqual({
      read_file: 'read workspace',
      list_files: 'read workspace',
      search: 'read workspace',
      apply_patch: 'write workspace',
      delegate_run: 'write workspace',
      run_tests: 'write workspace',
      run_linters: 'write workspace',
      run_typecheck: 'write workspace',
      run_formatter: 'write workspace',
      run_build: 'write workspace',
      build_context_pack: 'read workspace',
      generate_diff_report: 'read workspace',
      prepare_review_bundle: 'pure workspace',
      summarize_run: 'pure workspace',
      kv_set: 'pure workspace',
      kv_get: 'pure workspace',
      commit_changes: 'external provider',
      'model.ask': 'external none',
    });
  });
});

/** The same schema for zod, member for member: an independent reading of it. */
function zodOf(schema: ArgumentSchema): z.ZodType {
  switch (schema.type) {
    case 'string': {
      const long = z
        .string()
        .refine((text) => [...text].length >= (schema.minLength ?? 0) && [...text].length <= (schema.maxLength ?? 1e9));
      return schema.enum === undefined ? long : z.enum(schema.enum as [string, ...string[]]);
    }
    case 'integer':
      return z
        .int()
        .min(schema.minimum ?? Number.MIN_SAFE_INTEGER)
        .max(schema.maximum ?? Number.MAX_SAFE_INTEGER);
    case 'number':
      return z
        .number()
        .min(schema.minimum ?? -Number.MAX_VALUE)
        .max(schema.maximum ?? Number.MAX_VALUE);
    case 'json': {
      const { maxBytes } = schema;
      return z.json().refine((value) => Buffer.byteLength(JSON.stringify(value)) <= maxBytes);
    }
    case 'boolean':
      return z.boolean();
    case 'array':
      return z
        .array(zodOf(schema.items))
        .min(schema.minItems ?? 0)
        .max(schema.maxItems ?? 1e9);
    case 'object':
      return z.strictObject(
        Object.fromEntries(
          Object.entries(schema.properties).map(([name, inner]) => [
            name,
            schema.required.includes(name) ? zodOf(inner) : zodOf(inner).optional(),
          ]),
        ),
      );
  }
}
const schemas: fc.Arbitrary<ArgumentSchema> = fc.letrec<{ any: ArgumentSchema }>((tie) => ({
  any: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom<ArgumentSchema>(
      { type: 'boolean' },
      { type: 'string' },
      { type: 'string', minLength: 1, maxLength: 2 },
      { type: 'string', enum: ['a', 'b'] },
      { type: 'integer', minimum: 0 },
      { type: 'integer', maximum: 3 },
      { type: 'number', minimum: -1, maximum: 1.5 },
    ),
    tie('any').map((items): ArgumentSchema => ({ type: 'array', items, minItems: 1, maxItems: 2 })),
    fc.tuple(fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('any'), { maxKeys: 3 }), fc.boolean()).map(
      ([properties, all]): ArgumentSchema => ({
        type: 'object',
        properties,
        required: all ? Object.keys(properties) : [],
        additionalProperties: false,
      }),
    ),
  ),
})).any;
const values: fc.Arbitrary<Json> = fc.letrec<{ any: Json }>((tie) => ({
  any: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom<Json>(null, true, '', 'a', 'b', '😀', '😀😀', 'abc', 0, 1, 3, 4, -1, 0.5, 1.5, 1e300),
    fc.array(tie('any'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'c', 'other'), tie('any'), { maxKeys: 3 }),
  ),
})).any;

describe('checkArguments', () => {
  test('agrees with an independent reading of the schema on every value', () => {
    let accepted = 0;
    fc.assert(
      fc.property(schemas, values, (schema, value) => {
        const ours = checkArguments(schema, value).ok;
        if (ours) accepted += 1;
        expect(ours).toBe(zodOf(schema).safeParse(value).success);
      }),
      { numRuns: 1500 },
    );
    // About seventy of the schemas that are drawn take the value drawn beside them.
    expect(accepted).toBeGreaterThan(20);
  });
  test('says where and what, with a suggestion for a mistyped member', () => {
    const refused = checkArguments(action('read_file').arguments, { path: 'a', ofset: 1 });
    expect(refused).toEqual({ ok: false, error: { path: '', message: '"ofset" is not a member; did you mean "offset"' } });
    expect(checkArguments(action('read_file').arguments, { path: 'a', offset: 0 })).toEqual({
      ok: false,
      error: { path: '/offset', message: '0 is below 1' },
    });
    expect(checkArguments(action('search').arguments, {})).toEqual({ ok: false, error: { path: '', message: '"pattern" is missing' } });
  });
  test('a declared member named constructor is absent until it is given', () => {
    const schema: ArgumentSchema = {
      type: 'object',
      properties: Object.fromEntries([['constructor', { type: 'boolean' } as const]]),
      required: ['constructor'],
      additionalProperties: false,
    };
    expect(checkArguments(schema, {}).ok).toBe(false);
    expect(checkArguments(schema, JSON.parse('{"constructor":true}') as Json).ok).toBe(true);
  });
  test('a member named __proto__ is a member like any other', () => {
    expect(checkArguments(action('list_files').arguments, JSON.parse('{"__proto__":{"directory":"x"}}') as Json).ok).toBe(false);
  });
});

describe('apply_patch arguments', () => {
  const patch = '--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n--- /dev/null\n+++ b/g\n@@ -0,0 +1 @@\n+x\n';
  test.each<readonly [string, Json, string]>([
    ['a unified diff', { format: 'unified', patch }, 'ok'],
    ['a whole file', { format: 'whole_file', path: 'a', content: '' }, 'ok'],
    ['a whole new file', { format: 'whole_file', path: 'a', content: 'x', expected: 'absent' }, 'ok'],
    ['a digest of the wrong form', { format: 'whole_file', path: 'a', content: 'x', expected: 'abc' }, 'arguments.invalid'],
    ['both formats', { format: 'unified', patch, path: 'a' }, 'arguments.invalid'],
    ['no patch', { format: 'unified' }, 'arguments.invalid'],
    ['no content', { format: 'whole_file', path: 'a' }, 'arguments.invalid'],
    ['another format', { format: 'ed', patch }, 'arguments.invalid'],
  ])('%s', (_name, args, expected) => {
    expect(code(checkActionArguments(action('apply_patch'), args))).toBe(expected);
  });
  test('its paths: everything is written, what stands there is read', () => {
    expect(pathsOf(action('apply_patch'), { format: 'unified', patch })).toEqual({ ok: true, value: { read: ['f'], write: ['f', 'g'] } });
    expect(pathsOf(action('apply_patch'), { format: 'whole_file', path: 'a/b', content: '' })).toEqual({
      ok: true,
      value: { read: [], write: ['a/b'] },
    });
    expect(code(pathsOf(action('apply_patch'), { format: 'unified', patch: 'x' }))).toBe('patch.malformed');
    expect(code(pathsOf(action('apply_patch'), { format: 'whole_file', path: '../x', content: '' }))).toBe('path.segment');
    expect(code(pathsOf(action('apply_patch'), { path: 7 }))).toBe('arguments.invalid');
  });
  test('what each path needs before it', () => {
    expect(patchTouches({ format: 'unified', patch })).toEqual({
      ok: true,
      value: [
        { path: 'f', needs: 'present' },
        { path: 'g', needs: 'absent' },
      ],
    });
    const whole = (expected?: string) =>
      patchTouches({ format: 'whole_file', path: 'a', content: '', ...(expected === undefined ? {} : { expected }) });
    expect([whole(), whole('absent'), whole(`sha256:${'0'.repeat(64)}`)].map((touch) => (touch.ok ? touch.value[0]?.needs : ''))).toEqual([
      'any',
      'absent',
      'present',
    ]);
    expect(code(patchTouches({ format: 'whole_file', path: 'a', content: '[redacted:x:00000000]' }))).toBe('patch.redactionMarker');
    expect(code(patchTouches({ format: 'unified', patch, content: '' }))).toBe('arguments.invalid');
  });
});

describe('paths', () => {
  test('folders are read as a whole, the tree where none is named', () => {
    expect(pathsOf(action('search'), { pattern: 'x' })).toEqual({ ok: true, value: { read: ['**'], write: [] } });
    expect(pathsOf(action('list_files'), { directory: 'src' })).toEqual({ ok: true, value: { read: ['src/**'], write: [] } });
    expect(pathsOf(action('read_file'), { path: 'src/a.ts' })).toEqual({ ok: true, value: { read: ['src/a.ts'], write: [] } });
    expect(code(pathsOf(action('search'), { pattern: 'x', directory: 3 }))).toBe('arguments.invalid');
    expect(code(pathsOf(action('read_file'), []))).toBe('arguments.invalid');
  });
  test.each([
    ['', 'path.empty'],
    ['/etc/passwd', 'path.absolute'],
    ['../x', 'path.segment'],
    ['a/../b', 'path.segment'],
    ['./a', 'path.segment'],
    ['a//b', 'path.segment'],
    ['a/', 'path.segment'],
    ['a\0b', 'path.character'],
    ['a\nb', 'path.character'],
    ['a\u0085b', 'path.character'],
    ['a\\b', 'path.character'],
    ['a\u202eb', 'path.character'],
    ['\ud800', 'path.character'],
    ['.git', 'path.git'],
    ['a/.GIT/config', 'path.git'],
    ['GIT~1/config', 'path.git'],
    ['gi7eba~1', 'path.git'],
    ['.git.', 'path.git'],
    ['.git ', 'path.git'],
    ['.git::$INDEX_ALLOCATION', 'path.git'],
    [`${'a'.repeat(256)}`, 'path.tooLong'],
    [`${'ab/'.repeat(1400)}x`, 'path.tooLong'],
    ['.gitignore', 'ok'],
    ['.github/workflows/ci.yml', 'ok'],
    ['git~x', 'ok'],
    ['été/日本/😀.txt', 'ok'],
    ['-rf', 'ok'],
  ])('%j is %s', (path, expected) => {
    expect(code(checkPath(path))).toBe(expected);
  });
  test('what passes is a path of the protocol, unchanged', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', '.', '/', '\\', 'g', 'i', 't', '~', '1', ' ', '\u200c') }), (text) => {
        const checked = checkPath(text);
        if (!checked.ok) return;
        expect(checked.value).toBe(text);
        expect(text).not.toMatch(/^\/|(^|\/)\.{0,2}(\/|$)|\\/);
      }),
    );
  });
});

describe('files that run by themselves', () => {
  test.each([
    '.github/workflows/ci.yml',
    'packages/a/package.json',
    '.husky/pre-commit',
    'sub/.npmrc',
    '.ENVRC',
    '.vscode/tasks.json',
    'CLAUDE.md',
    'AGENTS.md',
    '.mcp.json',
    '.gitlab-ci.yml',
    '.lefthook.yml',
    'a/evil.pth',
    'Jenkinsfile.release',
  ])('%s', (path) => {
    expect(isAutoRun(path)).toBe(true);
  });
  test.each(['src/index.ts', 'src/hooks/useThing.ts', 'docs/package.json.md', 'README.md', 'test/github.ts', 'mypackage.json'])(
    'not %s',
    (path) => {
      expect(isAutoRun(path)).toBe(false);
    },
  );
  test('the patterns have the forms of the policy operator anyNamed, in lower case', () => {
    for (const pattern of AUTO_RUN_PATTERNS) expect(pattern).toMatch(/^(\*?[^*A-Z/]+|[^*A-Z/]+\*?)$/);
  });
});

describe('tools and claims', () => {
  test('a declaration shows the arguments and the two optional claims', () => {
    const tool = toolDeclaration(action('read_file'));
    expect(tool.parameters).toMatchObject({
      type: 'object',
      required: ['path'],
      additionalProperties: false,
      properties: { path: { type: 'string' }, rationale: { type: 'string' }, claimedRisk: { type: 'string' } },
    });
    expect(canonicalText(tool.parameters)).toBe(canonicalText(toolDeclaration(action('read_file')).parameters));
  });
  test('claims come off before validation; anything that is no claim stays and is refused there', () => {
    expect(splitClaims({ path: 'a', rationale: 'because', claimedRisk: 'low' })).toEqual({
      claims: { rationale: 'because', claimedRisk: 'low' },
      arguments: { path: 'a' },
    });
    expect(splitClaims({ path: 'a', rationale: null })).toEqual({
      claims: { rationale: null, claimedRisk: null },
      arguments: { path: 'a' },
    });
    const odd = splitClaims({ path: 'a', rationale: { deep: true } });
    expect(odd.arguments).toEqual({ path: 'a', rationale: { deep: true } });
    expect(checkArguments(action('read_file').arguments, odd.arguments).ok).toBe(false);
    expect(Object.keys(splitClaims(JSON.parse('{"__proto__":1}') as Json).arguments as object)).toEqual(['__proto__']);
    expect(splitClaims('text')).toEqual({ claims: { rationale: null, claimedRisk: null }, arguments: 'text' });
    expect(splitClaims({ rationale: `${'x'.repeat(1999)}😀` }).claims.rationale).toBe('x'.repeat(1999));
  });
});

describe('the sandbox profile', () => {
  const seccompDigest = `sha256:${'1'.repeat(64)}` as Digest;
  const options = {
    mode: 'repo_write',
    provide: [{ path: 'node_modules', source: 'provide:node_modules' }],
    toolchain: ['node@20.20.2'],
    seccompDigest,
  } as const;
  const of = (ceiling: ('read' | 'write' | 'external')[], writePaths: string[]) =>
    compileProfile({ ...options, writ: { ceiling, writePaths } });
  test('it is the narrower of writ and mode', () => {
    expect(of(['read', 'write', 'external'], ['**'])).toMatchObject({ mode: 'repo_write', workspace: 'rw', network: 'none' });
    expect(of(['read', 'write'], ['**'])).toMatchObject({ mode: 'workspace_write', workspace: 'rw' });
    expect(of(['read', 'external'], ['**'])).toMatchObject({ mode: 'read_only', workspace: 'ro' });
    expect(of(['read', 'write'], [])).toMatchObject({ mode: 'read_only', workspace: 'ro' });
    expect(compileProfile({ ...options, mode: 'read_only', writ: { ceiling: ['write'], writePaths: ['**'] } })).toMatchObject({
      mode: 'read_only',
      workspace: 'ro',
    });
  });
  test('it is a profile of the protocol, protects git and the runtime, and does not depend on the order of what it was given', () => {
    const profile = of(['write'], ['**']);
    expect(sandboxProfile.safeParse(profile).success).toBe(true);
    expect(profile.protectedPaths).toEqual(['.git', '.openexec']);
    const writ = { ceiling: ['write' as const], writePaths: ['**'] };
    const one = compileProfile({ ...options, writ, toolchain: ['b', 'a', 'b'], environment: ['Y', 'X'] });
    expect(canonicalText(one)).toBe(canonicalText(compileProfile({ ...options, writ, toolchain: ['a', 'b'], environment: ['X', 'Y'] })));
  });
});
