/**
 * Configuration files: every refusal with its place, strict data, layers that only narrow, files of every kind read from disk.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { argumentProblem, builtinActions, builtinToolsets } from '@openexec/catalogue';
import fc from 'fast-check';
import {
  checkConfig,
  type Config,
  type ConfigProblem,
  configJsonSchema,
  grantOf,
  loadBlueprint,
  loadConfig,
  loadData,
  loadPolicies,
  loadProjectPolicies,
  type Overrides,
  parseYaml,
  problemText,
} from '../src/index.ts';

const BLUEPRINTS = resolve(dirname(fileURLToPath(import.meta.url)), '../../../blueprints');
const TEST_COMMAND = { test: { argv: ['npm', 'test'], timeout: 'medium' as const } };

function problems(text: string): readonly string[] {
  const source = parseYaml(text, 'c.yaml');
  if (!source.ok) return source.error.map(told);
  const checked = checkConfig(source.value);
  return checked.ok ? [] : checked.error.map(told);
}
const told = (problem: ConfigProblem): string => `${problem.code} ${problemText(problem)}`;

describe('strict YAML', () => {
  const refused: readonly (readonly [string, string, string])[] = [
    ['a key twice', 'version: 1\nversion: 1\n', 'config.duplicateKey c.yaml:2:1'],
    ['a key twice inside', 'version: 1\nbudget: {usd: 1, usd: 2}\n', 'config.duplicateKey c.yaml:2:18'],
    ['an alias', 'a: &x [1]\nb: *x\n', 'config.alias c.yaml:1:7'],
    ['a merge key', 'version: 1\n<<: {wall: 1}\n', 'config.unknownKey c.yaml:2:1'],
    ['a tag', 'version: !!int 1\n', 'config.tag c.yaml:1:16'],
    ['a foreign tag', 'version: !run 1\n', 'config.tag c.yaml:1:15'],
    ['two documents', 'version: 1\n---\nversion: 1\n', 'config.syntax c.yaml:2:1'],
    ['a tab as indent', 'budget:\n\tusd: 1\n', 'config.syntax c.yaml:2:1'],
    ['an open list', 'a: [1\n', 'config.syntax c.yaml:2:1'],
    ['infinity', 'budget: {usd: .inf}\n', 'config.number c.yaml:1:15'],
    ['an unsafe integer', 'budget: {tokens: 9007199254740993}\n', 'config.number c.yaml:1:18'],
    ['a list as key', '? [a]\n: 1\n', 'config.syntax c.yaml:1:3'],
  ];
  test.each(refused)('%s is refused at its place', (_name, text, expected) => {
    expect(problems(text)[0]).toContain(`${expected}: `);
  });

  test('a bomb of aliases is refused at once, and not expanded', () => {
    const levels = Array.from(
      { length: 12 },
      (_, level) => `l${level + 1}: &l${level + 1} [${Array.from({ length: 10 }, () => `*l${level}`).join(', ')}]`,
    );
    const before = process.cpuUsage();
    expect(problems(`l0: &l0 [x]\n${levels.join('\n')}\n`)[0]).toContain('config.alias');
    // Expanded, it would be a million million values; time on the processor is what a busy machine cannot lengthen.
    expect(process.cpuUsage(before).user / 1e6).toBeLessThan(10);
  });

  test('a file that is too large, and nesting that is too deep, are refused', () => {
    expect(problems(`a: "${'x'.repeat(1024 * 1024)}"`)[0]).toContain('config.tooLarge');
    expect(problems(`${'['.repeat(80)}${']'.repeat(80)}`)[0]).toContain('nested more than 64 deep');
  });

  test('what JSON can say reads as the same data, also with names that objects have of their own', () => {
    const key = fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', 'toString'));
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 4 },
        fc.string(),
        fc.boolean(),
        fc.constant(null),
        fc.maxSafeInteger(),
        fc.array(tie('any'), { maxLength: 4 }),
        tie('object'),
      ),
      object: fc.array(fc.tuple(key, tie('any')), { maxLength: 4 }).map((entries) => Object.fromEntries(entries)),
    })).any;
    fc.assert(
      fc.property(value, (data) => {
        const text = JSON.stringify(data);
        fc.pre(!/[\u0080-\u009f\ufeff\u2028\u2029]/.test(text));
        const read = parseYaml(text, 'x');
        expect(read.ok && JSON.stringify(read.value.data)).toBe(text);
      }),
      { numRuns: 200 },
    );
  });
});

describe('the configuration file', () => {
  const refused: readonly (readonly [string, string, string])[] = [
    ['no version', 'model: none\n', 'config.value c.yaml:1:1: version: '],
    ['an empty file', '', 'config.value c.yaml:1:1: the file: '],
    ['another version', 'version: 2\n', 'config.value c.yaml:1:10: version: '],
    ['a mistyped key', 'version: 1\nmodle: none\n', 'config.unknownKey c.yaml:2:1: unknown key "modle" (did you mean model?)'],
    [
      'a mistyped key of a command',
      'version: 1\ncommands:\n  test:\n    argv: [a]\n    timout: fast\n',
      'config.unknownKey c.yaml:5:5: unknown key "timout" in commands.test (did you mean timeout?)',
    ],
    [
      'a mistyped key of a provider',
      'version: 1\nmodels: {openai: {baseurl: "x"}}\n',
      'unknown key "baseurl" in models.openai (did you mean baseUrl?)',
    ],
    ['a command as one string', 'version: 1\ncommands: {test: npm test}\n', 'config.value c.yaml:2:18: commands.test: '],
    ['an empty command', 'version: 1\ncommands: {test: {argv: []}}\n', 'config.value c.yaml:2:25: commands.test.argv: '],
    [
      'a timeout that is none',
      'version: 1\ncommands: {test: {argv: [a], timeout: slow}}\n',
      'config.value c.yaml:2:39: commands.test.timeout: ',
    ],
    ['a model without provider', 'version: 1\nmodel: gpt\n', 'config.value c.yaml:2:8: model: PROVIDER:NAME'],
    ['a negative budget', 'version: 1\nbudget: {calls: -1}\n', 'config.value c.yaml:2:17: budget.calls: '],
    ['less than a micro-dollar', 'version: 1\nbudget: {usd: 0.0000001}\n', 'dollars have at most six decimal places'],
    ['a folder outside', 'version: 1\nsandbox: {provide: [../secrets]}\n', 'config.value c.yaml:2:21: sandbox.provide.0: '],
    ['a limit that is none', 'version: 1\nsandbox: {limits: {procesess: 9}}\n', 'config.unknownKey c.yaml:2:20: '],
    [
      'a limit too small to start',
      'version: 1\nsandbox: {limits: {processes: 1}}\n',
      'config.value c.yaml:2:31: sandbox.limits.processes: ',
    ],
    ['an absolute folder', 'version: 1\nsandbox: {provide: [/etc]}\n', 'config.value c.yaml:2:21: sandbox.provide.0: '],
  ];
  test.each(refused)('with %s is refused at its place', (_name, text, expected) => {
    expect(problems(text).join('\n')).toContain(expected);
  });

  test('with two faults names both', () => {
    expect(problems('version: 1\nmodle: x\nwall: 0\n')).toHaveLength(2);
  });

  test('has a JSON Schema that closes every object', () => {
    expect(JSON.stringify(configJsonSchema())).toContain('"additionalProperties":false');
  });
});

describe('files of a project', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'openexec-config-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  const places = () => ({ system: join(folder, 'system'), user: join(folder, 'user'), state: join(folder, 'state') });
  const load = (overrides: Overrides = {}) => loadConfig({ folder: join(folder, 'own'), places: places(), overrides });
  const loaded = (overrides: Overrides = {}): Config => {
    const config = load(overrides);
    if (!config.ok) throw new Error(config.error.map(problemText).join('\n'));
    return config.value;
  };

  test('for preferences the nearer layer wins, and the flag over all', () => {
    write('system/config.yaml', 'version: 1\nmodel: openai:a\nblueprint: standard_task\n');
    write('user/config.yaml', 'version: 1\nmodel: openai:b\n');
    write('own/config.yaml', 'version: 1\nmodel: openai:c\ncommands: {test: {argv: [a]}, lint: none}\n');
    expect(loaded()).toMatchObject({ model: 'openai:c', modelFrom: 'project', blueprint: 'standard_task' });
    write('own/config.local.yaml', 'version: 1\nmodel: openai:d\ncommands: {test: {argv: [b, c], timeout: long}}\n');
    expect(loaded()).toMatchObject({
      model: 'openai:d',
      modelFrom: 'local',
      commands: { test: { argv: ['b', 'c'], timeout: 'long' }, lint: 'none' },
    });
    expect(loaded({ model: 'openai:e', blueprint: 'x' })).toMatchObject({ model: 'openai:e', modelFrom: 'flag', blueprint: 'x' });
  });

  test('for safety the narrowest of all layers wins, whoever says it', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            layer: fc.constantFrom('system', 'user', 'own'),
            tokens: fc.integer({ min: 0, max: 1e9 }),
            wall: fc.integer({ min: 1, max: 500 }),
            never: fc.boolean(),
            regulated: fc.boolean(),
          }),
          { minLength: 1, maxLength: 3 },
        ),
        (said) => {
          const last = new Map(said.map((one) => [one.layer, one]));
          for (const layer of ['system', 'user', 'own']) rmSync(join(folder, layer), { recursive: true, force: true });
          for (const [layer, { tokens, wall, never, regulated }] of last)
            write(
              `${layer}/config.yaml`,
              `version: 1\nbudget: {tokens: ${tokens}}\nwall: ${wall}\napprovals: ${never ? 'never' : 'ask'}\npolicy: ${regulated ? 'regulated' : 'solo'}\n`,
            );
          const all = [...last.values()];
          const config = loaded({ approvals: 'ask' });
          expect(config.budget.tokens).toBe(Math.min(...all.map((one) => one.tokens)));
          expect(config.wallMs).toBe(Math.min(...all.map((one) => one.wall)) * 60_000);
          expect(config.approvals).toBe(all.some((one) => one.never) ? 'never' : 'ask');
          expect(config.policy).toBe(all.some((one) => one.regulated) ? 'regulated' : 'solo');
        },
      ),
      { numRuns: 30 },
    );
  });

  test('a flag cannot widen the budget in dollars, prices cannot be talked down, paths and folders are cut to what all allow', () => {
    write(
      'user/config.yaml',
      'version: 1\nbudget: {usd: 0.5}\nmodels: {openai: {pricing: {m: {input: 2, output: 8}}}}\npaths: {write: [src/**, docs/**]}\nsandbox: {provide: [node_modules, vendor], limits: {processes: 64, diskBytes: 1000000}}\n',
    );
    write(
      'own/config.yaml',
      'version: 1\nbudget: {usd: 3}\nmodels: {openai: {pricing: {m: {input: 0.1, output: 9}}}}\npaths: {write: ["**"], read: [src/**]}\nsandbox: {provide: [node_modules], limits: {processes: 128, diskBytes: 4096}}\n',
    );
    const config = loaded({ budgetUsd: 10 });
    expect(config.budget.usdMicros).toBe(500_000);
    expect(loaded({ budgetUsd: 0.25 }).budget.usdMicros).toBe(250_000);
    expect(config.prices.models['openai:m']).toEqual({ inputUsdMicrosPerMillion: 2_000_000, outputUsdMicrosPerMillion: 9_000_000 });
    expect(config.writePaths).toEqual(['src/**', 'docs/**']);
    expect(config.readPaths).toEqual(['src/**']);
    expect(config.provide).toEqual(['node_modules']);
    expect(config.limits).toEqual({ processes: 64, diskBytes: 4096 });
  });

  test('a repository cannot send prompts and keys elsewhere: only the user, the system, the environment, or this very machine', () => {
    write('own/config.yaml', 'version: 1\nmodels: {openai: {baseUrl: "https://elsewhere.example/v1"}}\n');
    const refused = load();
    expect(refused.ok ? [] : refused.error.map(({ code, line, column }) => [code, line, column])).toEqual([['config.untrusted', 2, 28]]);
    expect(loaded({ openaiBaseUrl: 'https://mine.example/v1' }).openaiBaseUrl).toBe('https://mine.example/v1');
    write('user/config.yaml', 'version: 1\nmodels: {openai: {baseUrl: "https://elsewhere.example/v1"}}\n');
    expect(loaded().openaiBaseUrl).toBe('https://elsewhere.example/v1');
    rmSync(join(folder, 'user'), { recursive: true });
    for (const trick of ['https://localhost.evil.example/v1', 'https://127.0.0.1@evil.example/v1', 'http://127.0.0.1.evil.example/']) {
      write('own/config.yaml', `version: 1\nmodels: {openai: {baseUrl: "${trick}"}}\n`);
      expect(load().ok).toBe(false);
    }
    write('own/config.yaml', 'version: 1\nmodels: {openai: {baseUrl: "http://127.0.0.1:11434/v1"}}\n');
    expect(loaded().openaiBaseUrl).toBe('http://127.0.0.1:11434/v1');
  });

  test('faults in several layers are told together; pipes, folders and bytes that are no text are refused', () => {
    write('user/config.yaml', 'version: 1\nx: 1\n');
    write('own/config.yaml', 'version: 1\ny: 1\n');
    const both = load();
    expect(both.ok ? 0 : both.error.length).toBe(2);
    rmSync(join(folder, 'user'), { recursive: true });
    const bad = (make: () => void): string => {
      rmSync(join(folder, 'own/config.yaml'), { recursive: true, force: true });
      make();
      const read = load();
      if (read.ok) return 'ok';
      const [problem] = read.error;
      return problem === undefined ? 'refused without a problem' : told(problem);
    };
    expect(bad(() => mkdirSync(join(folder, 'own/config.yaml')))).toContain('config.unreadable');
    expect(bad(() => execFileSync('mkfifo', [join(folder, 'own/config.yaml')]))).toContain('not an ordinary file');
    expect(bad(() => writeFileSync(join(folder, 'own/config.yaml'), Buffer.from([0xff, 0xfe, 0x41])))).toContain('not UTF-8');
    expect(bad(() => symlinkSync(join(folder, 'nowhere'), join(folder, 'own/config.yaml')))).toBe('ok');
  });

  test('policies and blueprints are placed too; a stray file among them is refused, not left out', () => {
    write(
      'own/policy/a.yaml',
      'version: 1\nname: a\nrules:\n  - id: r\n    when: {field: action.nam, op: eq, value: x}\n    decide: deny\n    because: no\n    examples: {match: [{action: {name: x}}], noMatch: [{action: {name: z}}]}\n',
    );
    const policies = loadProjectPolicies(join(folder, 'own'));
    expect(policies.ok ? [] : policies.error.map(told)).toEqual([expect.stringMatching(/^policy\.unknownField .*a\.yaml:5:\d+: /)]);
    write('own/policy/a.yaml', readFileSync(join(folder, 'own/policy/a.yaml'), 'utf8').replace('action.nam,', 'action.name,'));
    const sound = loadProjectPolicies(join(folder, 'own'));
    expect(sound.ok && sound.value.map(({ bundle }) => bundle.name)).toEqual(['a']);
    expect(loadPolicies([join(folder, 'none.yaml')]).ok).toBe(false);
    write('own/policy/b.yml.bak', 'deny everything');
    expect(loadProjectPolicies(join(folder, 'own')).ok).toBe(false);
    expect(loadData(join(folder, 'own/policy/a.yaml'))).toMatchObject({ ok: true, value: { name: 'a' } });
  });

  test('a shipped blueprint loads where its command is configured, and its grant holds what its stages name and no more', () => {
    const context = { actions: builtinActions, toolsets: builtinToolsets, commands: TEST_COMMAND, argumentProblem };
    const named = (name: string, commands: typeof context.commands | Record<string, never>) =>
      loadBlueprint({ name, folder: join(folder, 'own'), shipped: BLUEPRINTS, context: { ...context, commands } });
    const blueprint = named('quick_fix', TEST_COMMAND);
    if (!blueprint.ok) throw new Error(blueprint.error.map(problemText).join('\n'));
    const grant = grantOf({ blueprint: blueprint.value, toolsets: builtinToolsets, actions: builtinActions });
    expect(grant).toEqual({
      actions: ['apply_patch', 'commit_changes', 'kv_get', 'kv_set', 'list_files', 'model.ask', 'read_file', 'run_tests', 'search'],
      ceiling: ['pure', 'read', 'write', 'external'],
      mode: 'repo_write',
      asksModel: true,
    });
    const without = named('quick_fix', {});
    expect(without.ok ? [] : without.error.map(({ code, line, command }) => [code, line > 0, command])).toEqual([
      ['config.commandMissing', true, 'test'],
    ]);
    const unknown = named('quick_fx', TEST_COMMAND);
    expect(unknown.ok ? '' : unknown.error[0]?.message).toContain('did you mean quick_fix?');
    write(
      'own/blueprints/quick_fix.yaml',
      'version: 1\nname: mine\ndefaults: {sandbox: workspace_write}\nstages: [{id: one, type: deterministic, action: run_tests, outputs: [test_report]}]\n',
    );
    const own = named('quick_fix', TEST_COMMAND);
    expect(own.ok && own.value.name).toBe('mine');
  });
});
