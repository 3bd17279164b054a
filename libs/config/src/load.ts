/**
 * Reads the files of a project: configuration of all layers, project and run policies, blueprints, model scripts. Must never go on with a file
 * that is not sound: one problem anywhere refuses everything (GOALS E02).
 */
import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { checkBlueprint, type BlueprintContext } from '@openexec/blueprint';
import { err, type Json, ok, type Result } from '@openexec/canon';
import { checkBundle, readBundle } from '@openexec/policy';
import { type CheckedBlueprint, nearest, type PolicyBundle } from '@openexec/protocol';
import { checkConfig } from './check.ts';
import { type Config, type Layer, type LayerName, mergeLayers, type Overrides } from './layers.ts';
import type { Places } from './places.ts';
import type { ConfigProblem, ConfigProblemCode } from './problems.ts';
import { parseYaml, type Source } from './source.ts';

type Problems = readonly ConfigProblem[];
const MAX_BYTES = 4 * 1024 * 1024;
const YAML_NAME = /^[^.].*\.ya?ml$/;

/** Reads one file strictly; null where it is not there and `missing` allows that. */
export function readSource(file: string, options: { readonly missing: 'refuse' | 'null' }): Result<Source | null, Problems> {
  const text = readText(file);
  if (!text.ok)
    return text.error === 'missing' && options.missing === 'null'
      ? ok(null)
      : err([problem(text.error === 'EFBIG' ? 'config.tooLarge' : 'config.unreadable', file, unreadable(text.error))]);
  return parseYaml(text.value, file);
}

/** Any YAML or JSON file as data: a model script. */
export function loadData(file: string): Result<Json, Problems> {
  const source = readSource(file, { missing: 'refuse' });
  return source.ok ? ok(source.value?.data ?? null) : source;
}

/** Where the file of each layer is looked for, whether it is there or not. */
export function layerFiles(folder: string | null, places: Places): readonly (readonly [LayerName, string])[] {
  const own: readonly (readonly [LayerName, string])[] = [
    ['system', join(places.system, 'config.yaml')],
    ['user', join(places.user, 'config.yaml')],
  ];
  if (folder === null) return own;
  return [...own, ['project', join(folder, 'config.yaml')], ['local', join(folder, 'config.local.yaml')]];
}

/** Every layer that is there, checked; one problem in any of them refuses all. Without a folder: those outside of every checkout. */
export function loadLayers(folder: string | null, places: Places): Result<readonly Layer[], Problems> {
  const layers: Layer[] = [];
  const problems: ConfigProblem[] = [];
  for (const [name, file] of layerFiles(folder, places)) {
    const source = readSource(file, { missing: 'null' });
    const config = source.ok && source.value !== null ? checkConfig(source.value) : null;
    if (!source.ok) problems.push(...source.error);
    else if (config?.ok === false) problems.push(...config.error);
    else if (source.value !== null && config !== null) layers.push({ name, source: source.value, config: config.value });
  }
  return problems.length > 0 ? err(problems) : ok(layers);
}

/** The configuration in force for a checkout whose own folder is `folder` (`.openexec`). */
export function loadConfig(options: {
  readonly folder: string;
  readonly places: Places;
  readonly overrides: Overrides;
}): Result<Config, Problems> {
  const layers = loadLayers(options.folder, options.places);
  return layers.ok ? mergeLayers(layers.value, options.overrides) : layers;
}

/** A policy bundle with the file it came from. */
export interface LoadedPolicy {
  readonly file: string;
  readonly bundle: PolicyBundle;
}

/** The bundles of `.openexec/policy`, by file name. */
export function loadProjectPolicies(folder: string): Result<readonly LoadedPolicy[], Problems> {
  const files = listYaml(join(folder, 'policy'));
  if (!files.ok) return files;
  return loadPolicies(files.value);
}

/** The named bundles, in that order. */
export function loadPolicies(files: readonly string[]): Result<readonly LoadedPolicy[], Problems> {
  const loaded: LoadedPolicy[] = [];
  const problems: ConfigProblem[] = [];
  for (const file of files) {
    const source = readSource(file, { missing: 'refuse' });
    if (!source.ok) problems.push(...source.error);
    const parsed = source.ok ? source.value : null;
    if (parsed === null) continue;
    const bundle = checkBundle(parsed.data);
    if (bundle.ok) loaded.push({ file, bundle: bundle.value });
    else problems.push(...bundle.error.map((each) => placed(parsed, each.code, each)));
  }
  return problems.length > 0 ? err(problems) : ok(loaded);
}

/** A bundle whose examples nobody has run yet, and where its parts stand. */
export interface InspectedPolicy extends LoadedPolicy {
  /** Place of a part of the bundle, such as `['rules', 0, 'examples', 'match', 1]`. */
  at(path: readonly (string | number)[]): { readonly line: number; readonly column: number };
}

/** One bundle without running its examples: for whoever runs them one by one. */
export function inspectPolicy(file: string): Result<InspectedPolicy, Problems> {
  const source = readSource(file, { missing: 'refuse' });
  if (!source.ok) return source;
  const { value } = source;
  if (value === null) return err([problem('config.unreadable', file, unreadable('missing'))]);
  const bundle = readBundle(value.data);
  if (!bundle.ok) return err(bundle.error.map((each) => placed(value, each.code, each)));
  return ok({ file, bundle: bundle.value, at: (path) => value.at(path) });
}

/** Finds and checks a blueprint by name: the project's own first, then what ships in `shipped`. */
export function loadBlueprint(options: {
  readonly name: string;
  readonly folder: string;
  readonly shipped: string;
  readonly context: BlueprintContext;
}): Result<CheckedBlueprint, Problems> {
  const all = findBlueprints(options);
  if (!all.ok) return all;
  const found = all.value.find(({ name }) => name === options.name);
  if (found !== undefined) return checkBlueprintFile(found.file, options.context);
  const known = all.value.map(({ name }) => name);
  const close = nearest(options.name.slice(0, 64), known);
  const message = `there is no blueprint "${options.name.slice(0, 64)}"${close === null ? '' : ` (did you mean ${close}?)`}; there are ${known.join(', ')}`;
  return err([problem('config.unknownBlueprint', join(options.folder, 'blueprints'), message)]);
}

/** Blueprints of child runs by name, and how deep they delegate further. */
export interface Delegates {
  readonly blueprints: readonly { readonly name: string; readonly blueprint: CheckedBlueprint }[];
  /** Generations of child runs below the run: none, one, …, at most {@link MAX_DELEGATION_DEPTH}. */
  readonly depth: number;
}
/** A blueprint may delegate to itself; somewhere it has to end. */
const MAX_DELEGATION_DEPTH = 4;
const MAX_DELEGATES = 16;

/**
 * Reads every blueprint that a run of this one, or a child of it, may delegate to. Each is checked as if it were run itself; one that would land a branch is
 * refused: a child's changes reach its parent and nothing else.
 */
export function loadDelegates(
  blueprint: CheckedBlueprint,
  options: { readonly folder: string; readonly shipped: string; readonly context: BlueprintContext },
): Result<Delegates, Problems> {
  const found = new Map<string, CheckedBlueprint>();
  let depth = 0;
  for (let next: readonly string[] = blueprint.delegates ?? []; next.length > 0 && depth < MAX_DELEGATION_DEPTH; depth += 1) {
    const further: string[] = [];
    for (const name of new Set(next)) {
      const loaded = found.has(name) ? ok(found.get(name) as CheckedBlueprint) : loadBlueprint({ ...options, name }); // Just asked for.
      if (!loaded.ok) return loaded;
      const lands = loaded.value.stages.find((stage) => stage.type === 'deterministic' && stage.action === 'commit_changes');
      if (lands !== undefined) return err([problem('config.blueprint', join(options.folder, 'blueprints'), landing(name, lands.id))]);
      found.set(name, loaded.value);
      further.push(...(loaded.value.delegates ?? []));
    }
    next = further;
  }
  if (found.size > MAX_DELEGATES)
    return err([
      problem('config.blueprint', join(options.folder, 'blueprints'), `${found.size} blueprints of child runs, at most ${MAX_DELEGATES}`),
    ]);
  return ok({ blueprints: [...found].map(([name, each]) => ({ name, blueprint: each })), depth });
}

function landing(name: string, stage: string): string {
  return `blueprint "${name}" is delegated to and lands a branch in stage ${stage}; a child run lands nothing, take the stage out`;
}

/** A blueprint file, under the name by which it is asked for. */
export interface FoundBlueprint {
  readonly name: string;
  readonly file: string;
  readonly origin: 'project' | 'shipped';
}

/** The blueprints of a checkout by name: one of the project takes the place of a shipped one of the same name. */
export function findBlueprints(options: {
  readonly folder: string;
  readonly shipped: string;
}): Result<readonly FoundBlueprint[], Problems> {
  const own = listYaml(join(options.folder, 'blueprints'));
  if (!own.ok) return own;
  const shipped = listYaml(options.shipped);
  if (!shipped.ok) return shipped;
  const nameOf = (file: string) => basename(file).replace(/\.ya?ml$/, '');
  const found = new Map<string, FoundBlueprint>();
  for (const [files, origin] of [
    [own.value, 'project'],
    [shipped.value, 'shipped'],
  ] as const)
    for (const file of files) if (!found.has(nameOf(file))) found.set(nameOf(file), { name: nameOf(file), file, origin });
  return ok([...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1)));
}

/** Checks one blueprint file: every problem with its place. */
export function checkBlueprintFile(file: string, context: BlueprintContext): Result<CheckedBlueprint, Problems> {
  const source = readSource(file, { missing: 'refuse' });
  if (!source.ok) return source;
  const { value } = source;
  if (value === null) return err([problem('config.unreadable', file, unreadable('missing'))]);
  const checked = checkBlueprint(value.data, context);
  if (checked.ok) return checked;
  return err(
    checked.error.map((each) => {
      if (each.code !== 'blueprint.commandNotConfigured') return placed(value, 'config.blueprint', each);
      const command = commandAt(value.data, each.path, context);
      return { ...placed(value, 'config.commandMissing', each), ...(command === null ? {} : { command }) };
    }),
  );
}

/** The command that the action at this place of a blueprint runs. */
function commandAt(data: Json, path: readonly (string | number)[], context: BlueprintContext): string | null {
  const action = path.reduce<unknown>((value, step) => (isRecord(value) ? value[String(step)] : null), data);
  return context.actions.find(({ name }) => name === action)?.command ?? null;
}

function isRecord(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === 'object' && value !== null;
}

function placed(
  source: Source,
  code: ConfigProblem['code'],
  found: { readonly code: string; readonly message: string; readonly path: readonly (string | number)[] },
): ConfigProblem {
  const { line, column } = source.at(found.path, found.code.endsWith('.unknownKey') ? 'key' : 'value');
  return { code, message: found.message, file: source.file, line, column };
}

/** YAML files of a folder by name; none where the folder is missing. A file that is no YAML is refused: it would be silently left out. */
export function listYaml(folder: string): Result<readonly string[], Problems> {
  let names: readonly string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    return codeOf(error) === 'ENOENT' ? ok([]) : err([problem('config.unreadable', folder, unreadable(codeOf(error)))]);
  }
  const strange = names.find((name) => !YAML_NAME.test(name) && !name.startsWith('.') && !name.endsWith('.md'));
  if (strange !== undefined)
    return err([problem('config.unreadable', join(folder, strange), 'only .yaml and .yml files are read here; rename it or move it away')]);
  return ok(
    names
      .filter((name) => YAML_NAME.test(name))
      .sort()
      .map((name) => join(folder, name)),
  );
}

function readText(file: string): Result<string, string> {
  let handle: number | null = null;
  try {
    // Without O_NONBLOCK a pipe of that name would hold the command for ever.
    handle = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = fstatSync(handle);
    if (!stat.isFile()) return err('ENOTFILE');
    if (stat.size > MAX_BYTES) return err('EFBIG');
    return ok(new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(handle)));
  } catch (error) {
    const code = codeOf(error);
    return err(code === 'ENOENT' || code === 'ENOTDIR' ? 'missing' : code);
  } finally {
    if (handle !== null) closeSync(handle);
  }
}

function codeOf(error: unknown): string {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : 'unknown';
}

function unreadable(why: string): string {
  if (why === 'missing') return 'there is no such file';
  if (why === 'EFBIG') return `the file is larger than ${MAX_BYTES} bytes`;
  if (why === 'ENOTFILE') return 'this is not an ordinary file';
  return why === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'the file is not UTF-8' : `it cannot be read (${why})`;
}

function problem(code: ConfigProblemCode, file: string, message: string): ConfigProblem {
  return { code, message, file, line: 0, column: 0 };
}
