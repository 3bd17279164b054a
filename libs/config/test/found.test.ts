/**
 * What `init` finds: the repository's own words before signs of tools, never a choice between two that fit, and always a file that is read again.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { checkConfig, COMMAND_NAMES, findCommands, parseYaml, starterConfig } from '../src/index.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'openexec-found-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
}
/** The words of each command that was found; the file that init would write has to be sound, and to say the same. */
function found(): Readonly<Record<string, string>> {
  const findings = findCommands(folder);
  const source = parseYaml(starterConfig(findings, { model: 'openai:a', policy: 'solo' }), 'config.yaml');
  if (!source.ok) throw new Error(source.error[0]?.message);
  const config = checkConfig(source.value);
  if (!config.ok) throw new Error(config.error[0]?.message);
  const words = Object.fromEntries(
    COMMAND_NAMES.flatMap((name) => {
      const command = findings.commands[name].found;
      return command === null ? [] : [[name, command.argv.join(' ')]];
    }),
  );
  const written = Object.entries(config.value.commands ?? {}).flatMap(([name, command]) =>
    command === undefined || command === 'none' ? [] : [[name, command.argv.join(' ')]],
  );
  expect(Object.fromEntries(written)).toEqual(words);
  return words;
}
const scripts = (given: object, more: object = {}): string => JSON.stringify({ scripts: given, ...more });

describe('the commands of a repository', () => {
  test('are none where it says nothing, and an unreadable manifest or a placeholder says nothing', () => {
    expect(found()).toEqual({});
    expect(starterConfig(findCommands(folder), { model: null, policy: 'solo' })).toContain('  lint: none');
    write({ 'package.json': 'not json' });
    expect(found()).toEqual({});
    write({ 'package.json': scripts({ test: 'echo "Error: no test specified" && exit 1' }) });
    expect(found()).toEqual({});
  });

  test.each([
    ['npm without a lock file', {}, { test: 'npm test', build: 'npm run build' }],
    ['npm', { 'package-lock.json': '{}' }, { test: 'npm test', build: 'npm run build' }],
    ['pnpm', { 'pnpm-lock.yaml': '' }, { test: 'pnpm test', build: 'pnpm run build' }],
    ['yarn', { 'yarn.lock': '' }, { test: 'yarn test', build: 'yarn run build' }],
  ])('are scripts run by %s', (_, files, expected) => {
    write({ 'package.json': scripts({ test: 'node --test', build: 'tsc' }), ...files });
    expect(found()).toEqual(expected);
  });

  test('are all five kinds of script; a formatter that only checks is none', () => {
    write({
      'package.json': scripts({ test: 'jest', lint: 'eslint .', format: 'prettier --write .', 'type-check': 'tsc', build: 'tsc -b' }),
    });
    expect(found()).toEqual({
      test: 'npm test',
      lint: 'npm run lint',
      format: 'npm run format',
      typecheck: 'npm run type-check',
      build: 'npm run build',
    });
    write({ 'package.json': scripts({ format: 'prettier --check .' }) });
    expect(found()).toEqual({});
  });

  test('are not chosen between two lock files, unless packageManager says which', () => {
    write({ 'package.json': scripts({ test: 'jest' }), 'yarn.lock': '', 'package-lock.json': '{}' });
    expect(found()).toEqual({});
    const { unclear } = findCommands(folder).commands.test;
    expect(unclear).toBe(
      'package.json has a script "test", but the lock files package-lock.json and yarn.lock do not say which program runs it',
    );
    expect(starterConfig(findCommands(folder), { model: null, policy: 'solo' })).toContain(
      `  # Not chosen for you: ${unclear ?? ''}. Put one here:`,
    );
    write({ 'package.json': scripts({ test: 'jest' }, { packageManager: 'yarn@4.1.0' }) });
    expect(found()).toEqual({ test: 'yarn test' });
  });

  test('are the words of the repository before signs of tools, which are named beside them', () => {
    write({ Makefile: 'build := no target\ntest:\n\ttrue\nfmt: all\n\ttrue\n', 'Cargo.toml': '[package]\n' });
    expect(found()).toEqual({ test: 'make test', format: 'make fmt', typecheck: 'cargo check --offline', build: 'cargo build --offline' });
    write({ 'package.json': scripts({ test: 'node --test' }) });
    expect(found()).toMatchObject({ test: 'npm test' });
    const text = starterConfig(findCommands(folder), { model: null, policy: 'solo' });
    expect(text).toContain('  # Also possible (Makefile has a target test): test: {argv: ["make", "test"], timeout: medium}');
    expect(text).toContain('  # Also possible (there is Cargo.toml): test: {argv: ["cargo", "test", "--offline"], timeout: medium}');
  });

  test.each<[string, Readonly<Record<string, string>>, Readonly<Record<string, string>>]>([
    ['go', { 'go.mod': 'module x\n' }, { test: 'go test ./...', lint: 'go vet ./...', format: 'gofmt -w .', build: 'go build ./...' }],
    [
      'python',
      { 'pyproject.toml': '[tool.pytest.ini_options]\n[tool.ruff]\n[tool.ruff.format]\n[tool.mypy]\n' },
      { test: 'python3 -m pytest', lint: 'python3 -m ruff check .', format: 'python3 -m ruff format .', typecheck: 'python3 -m mypy .' },
    ],
    ['python in an environment', { 'pytest.ini': '', '.venv/bin/python': '' }, { test: '.venv/bin/python -m pytest' }],
    ['tox', { 'tox.ini': '[tox]\n' }, { test: 'tox' }],
    [
      'gradle with its wrapper',
      { 'build.gradle.kts': '', gradlew: '' },
      { test: './gradlew --offline test', build: './gradlew --offline assemble' },
    ],
    ['maven', { 'pom.xml': '<project/>' }, { test: 'mvn -o -q test', build: 'mvn -o -q -DskipTests package' }],
    [
      'installed node tools without scripts',
      { 'tsconfig.json': '{}', 'eslint.config.js': '', 'node_modules/.bin/tsc': '', 'node_modules/.bin/eslint': '', '.prettierrc': '' },
      { typecheck: 'node_modules/.bin/tsc --noEmit', lint: 'node_modules/.bin/eslint .' },
    ],
  ])('are those of %s', (_, files, expected) => {
    write(files);
    expect(found()).toEqual(expected);
  });

  test('are not chosen between two tools that fit', () => {
    write({ 'Cargo.toml': '[package]\n', 'go.mod': 'module x\n' });
    expect(found()).toEqual({ lint: 'go vet ./...', format: 'gofmt -w .', typecheck: 'cargo check --offline' });
    expect(findCommands(folder).commands.test).toMatchObject({
      found: null,
      unclear: 'several tools fit (there is Cargo.toml; there is go.mod)',
      others: [{ argv: ['cargo', 'test', '--offline'] }, { argv: ['go', 'test', './...'] }],
    });
  });
});

test('folders are provided where they hold dependencies; one that may be in the commits only where .gitignore names it', () => {
  for (const name of ['node_modules', '.venv', 'vendor', 'venv']) mkdirSync(join(folder, name));
  const paths = (): readonly string[] => findCommands(folder).provide.map(({ path }) => path);
  expect(paths()).toEqual(['node_modules', '.venv']);
  write({ '.gitignore': '/vendor/\n*.log\n' });
  expect(paths()).toEqual(['node_modules', '.venv', 'vendor']);
  expect(starterConfig(findCommands(folder), { model: null, policy: 'solo' })).toContain('  provide: ["node_modules", ".venv", "vendor"]');
});
