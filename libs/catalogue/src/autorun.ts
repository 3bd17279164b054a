/**
 * Files that some tool executes or obeys by itself: a change to one is shown apart and may need an approval (SECURITY §6.6, A20). Must never be
 * read as complete: a list of names cannot be; it is the part that can be decided without reading content.
 */
import { AGENTS_OBEY, EDITORS_OBEY, GIT_OBEYS, HOOK_MANAGERS, SHELLS_OBEY } from '@openexec/protocol';
import { asciiLower } from './paths.ts';

/**
 * Names of files and folders anywhere in a path: exact, `prefix*` or `*suffix`, ASCII case ignored. The same forms as the policy operator
 * `anyNamed`, so that a policy can say the same thing.
 */
export const AUTO_RUN_PATTERNS: readonly string[] = [
  // git itself and hook managers
  ...GIT_OBEYS,
  ...HOOK_MANAGERS,
  '.lintstagedrc*',
  'lint-staged.config.*',
  // continuous integration and delivery
  '.github',
  '.gitlab',
  '.gitlab-ci*',
  '.circleci',
  '.buildkite',
  '.drone*',
  '.travis.yml',
  '.appveyor.yml',
  'appveyor.yml',
  '.woodpecker*',
  '.semaphore',
  '.teamcity',
  '.tekton',
  'jenkinsfile*',
  'azure-pipelines*',
  '.azure-pipelines*',
  'bitbucket-pipelines.yml',
  'cloudbuild.*',
  'buildspec.*',
  // package managers: scripts that run on install, registries, plugins
  'package.json',
  '.npmrc',
  '.yarnrc*',
  '.yarn',
  '.pnpmfile.*',
  'pnpm-workspace.yaml',
  'bunfig.toml',
  '.bunfig.toml',
  'binding.gyp',
  'setup.py',
  '.pypirc',
  'pip.conf',
  '*.pth',
  'sitecustomize.py',
  'usercustomize.py',
  'build.rs',
  '.cargo',
  '.bundle',
  '.gemrc',
  'extconf.rb',
  '.mvn',
  'gradlew*',
  'mvnw*',
  'init.gradle*',
  'nuget.config',
  // shells and environments
  ...SHELLS_OBEY,
  '.env',
  '.tool-versions',
  '.mise*',
  'mise.toml',
  '.asdfrc',
  '.bashrc',
  '.bash_*',
  '.profile',
  '.zshrc',
  '.zshenv',
  '.zprofile',
  '.inputrc',
  // editors
  ...EDITORS_OBEY,
  // coding agents
  ...AGENTS_OBEY,
  '.cursorignore',
];

interface Matcher {
  readonly exact: ReadonlySet<string>;
  readonly prefixes: readonly string[];
  readonly suffixes: readonly string[];
}

function compileNames(names: readonly string[]): Matcher {
  const exact = new Set<string>();
  const prefixes: string[] = [];
  const suffixes: string[] = [];
  for (const name of names) {
    const star = name.indexOf('*');
    if (star < 0) exact.add(name);
    else if (star === name.length - 1) prefixes.push(name.slice(0, -1));
    else suffixes.push(name.slice(1));
  }
  return { exact, prefixes, suffixes };
}

/** Whether any segment of a path has one of these names. */
export function namesMatcher(names: readonly string[]): (path: string) => boolean {
  const { exact, prefixes, suffixes } = compileNames(names);
  return (path) =>
    asciiLower(path)
      .split('/')
      .some(
        (name) => exact.has(name) || prefixes.some((prefix) => name.startsWith(prefix)) || suffixes.some((suffix) => name.endsWith(suffix)),
      );
}

/** Whether any segment of the path has a name that some tool runs or obeys by itself. */
export const isAutoRun: (path: string) => boolean = namesMatcher(AUTO_RUN_PATTERNS);
