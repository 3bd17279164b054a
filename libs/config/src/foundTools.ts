/**
 * Signs of common tools in a repository's top folder: one row per tool and command. A row needs a file that says the tool is meant, not only that
 * it could be. Must never name a command that needs the network: the sandbox has none.
 */
/** The commands a configuration may name, in the order of the file. */
export const COMMAND_NAMES = ['test', 'lint', 'format', 'typecheck', 'build'] as const;
/** One of {@link COMMAND_NAMES}. */
export type CommandName = (typeof COMMAND_NAMES)[number];
/** A command that a repository seems to have. */
export interface FoundCommand {
  readonly argv: readonly string[];
  /** For people: where it was found. */
  readonly because: string;
}
/** A look at a repository's top folder. */
export interface Look {
  has(name: string): boolean;
  /** Text of a small regular file; empty where there is none. */
  text(name: string): string;
  isFolder(name: string): boolean;
}

interface ToolRow {
  readonly name: CommandName;
  /** Rows of one family do not compete: the first that fits is taken. */
  readonly family: string;
  /** What was seen, in words; null where the tool is not meant. */
  sign(look: Look): string | null;
  argv(look: Look): readonly string[];
}

const file =
  (...names: readonly string[]) =>
  (look: Look): string | null => {
    const seen = names.find((name) => look.has(name));
    return seen === undefined ? null : `there is ${seen}`;
  };
/** A table of a TOML file, or a section of an INI file. */
const section =
  (name: string, head: string) =>
  (look: Look): string | null =>
    look
      .text(name)
      .split(/\r?\n/)
      .some((line) => line.startsWith(`[${head}]`) || line.startsWith(`[${head}.`))
      ? `${name} has [${head}]`
      : null;
const either =
  (...signs: readonly ((look: Look) => string | null)[]) =>
  (look: Look): string | null =>
    signs.map((sign) => sign(look)).find((seen) => seen !== null) ?? null;
/** A configuration file and the program among the installed packages. */
const installed =
  (bin: string, ...names: readonly string[]) =>
  (look: Look): string | null => {
    const seen = file(...names)(look);
    return seen !== null && look.has(`node_modules/.bin/${bin}`) ? `${seen} and ${bin} is installed` : null;
  };
const words =
  (...argv: readonly string[]) =>
  (): readonly string[] =>
    argv;
const python =
  (...argv: readonly string[]) =>
  (look: Look): readonly string[] => [look.has('.venv/bin/python') ? '.venv/bin/python' : 'python3', '-m', ...argv];
const wrapped =
  (wrapper: string, program: string, ...argv: readonly string[]) =>
  (look: Look): readonly string[] => [look.has(wrapper) ? `./${wrapper}` : program, ...argv];

const GRADLE = file('build.gradle', 'build.gradle.kts', 'settings.gradle', 'settings.gradle.kts');
const PYTEST = either(
  file('pytest.ini', 'conftest.py'),
  section('pyproject.toml', 'tool.pytest'),
  section('setup.cfg', 'tool:pytest'),
  section('tox.ini', 'pytest'),
);
const RUFF = either(file('ruff.toml', '.ruff.toml'), section('pyproject.toml', 'tool.ruff'));
const row = (name: CommandName, family: string, sign: ToolRow['sign'], argv: ToolRow['argv']): ToolRow => ({ name, family, sign, argv });

const TOOLS: readonly ToolRow[] = [
  row('test', 'cargo', file('Cargo.toml'), words('cargo', 'test', '--offline')),
  row('test', 'go', file('go.mod'), words('go', 'test', './...')),
  row('test', 'python', PYTEST, python('pytest')),
  row('test', 'python', either(file('tox.ini'), section('pyproject.toml', 'tool.tox')), words('tox')),
  row('test', 'gradle', GRADLE, wrapped('gradlew', 'gradle', '--offline', 'test')),
  row('test', 'maven', file('pom.xml'), wrapped('mvnw', 'mvn', '-o', '-q', 'test')),

  row('lint', 'cargo', file('clippy.toml', '.clippy.toml'), words('cargo', 'clippy', '--offline')),
  row('lint', 'go', file('.golangci.yml', '.golangci.yaml', '.golangci.toml'), words('golangci-lint', 'run')),
  row('lint', 'go', file('go.mod'), words('go', 'vet', './...')),
  row('lint', 'python', RUFF, python('ruff', 'check', '.')),
  row('lint', 'python', either(file('.flake8'), section('setup.cfg', 'flake8'), section('tox.ini', 'flake8')), python('flake8')),
  row('lint', 'node', installed('biome', 'biome.json', 'biome.jsonc'), words('node_modules/.bin/biome', 'lint')),
  row(
    'lint',
    'node',
    installed(
      'eslint',
      'eslint.config.js',
      'eslint.config.mjs',
      'eslint.config.cjs',
      'eslint.config.ts',
      '.eslintrc.json',
      '.eslintrc.cjs',
    ),
    words('node_modules/.bin/eslint', '.'),
  ),

  row('format', 'cargo', file('rustfmt.toml', '.rustfmt.toml'), words('cargo', 'fmt')),
  row('format', 'go', file('go.mod'), words('gofmt', '-w', '.')),
  row('format', 'python', section('pyproject.toml', 'tool.black'), python('black', '.')),
  row(
    'format',
    'python',
    either(section('pyproject.toml', 'tool.ruff.format'), section('ruff.toml', 'format')),
    python('ruff', 'format', '.'),
  ),
  row('format', 'node', installed('biome', 'biome.json', 'biome.jsonc'), words('node_modules/.bin/biome', 'format', '--write')),
  row(
    'format',
    'node',
    installed(
      'prettier',
      '.prettierrc',
      '.prettierrc.json',
      '.prettierrc.yaml',
      '.prettierrc.yml',
      'prettier.config.js',
      'prettier.config.mjs',
    ),
    words('node_modules/.bin/prettier', '--write', '.'),
  ),

  row('typecheck', 'cargo', file('Cargo.toml'), words('cargo', 'check', '--offline')),
  row(
    'typecheck',
    'python',
    either(file('mypy.ini', '.mypy.ini'), section('pyproject.toml', 'tool.mypy'), section('setup.cfg', 'mypy')),
    python('mypy', '.'),
  ),
  row('typecheck', 'python', either(file('pyrightconfig.json'), section('pyproject.toml', 'tool.pyright')), words('pyright')),
  row('typecheck', 'node', installed('tsc', 'tsconfig.json'), words('node_modules/.bin/tsc', '--noEmit')),

  row('build', 'cargo', file('Cargo.toml'), words('cargo', 'build', '--offline')),
  row('build', 'go', file('go.mod'), words('go', 'build', './...')),
  row('build', 'gradle', GRADLE, wrapped('gradlew', 'gradle', '--offline', 'assemble')),
  row('build', 'maven', file('pom.xml'), wrapped('mvnw', 'mvn', '-o', '-q', '-DskipTests', 'package')),
];

/** What tools say about one command: at most one candidate per family. */
export function toolCandidates(look: Look, name: CommandName): readonly FoundCommand[] {
  const families = new Map<string, FoundCommand>();
  for (const { name: of, family, sign, argv } of TOOLS) {
    if (of !== name || families.has(family)) continue;
    const because = sign(look);
    if (because !== null) families.set(family, { argv: argv(look), because });
  }
  return [...families.values()];
}
