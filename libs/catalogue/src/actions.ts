/**
 * The built-in actions and toolsets: declarations only, what each takes, touches and costs. Must never hold behaviour; the hands are elsewhere
 * (PROTOCOL §9, MECHANICS part 2 "effect classes").
 */
import type { ActionContract, ArgumentSchema, TimeoutClass, Toolsets } from '@openexec/protocol';
import { runBuild, runFormatter, runLinters, runTypecheck } from './checks.ts';
import { delegateRun } from './delegate.ts';
import { kvGet, kvSet } from './kv.ts';
import { generateDiffReport, prepareReviewBundle, summarizeRun } from './reports.ts';
import { object } from './shapes.ts';

/** MECHANICS part 2 "timeout classes". */
export const TIMEOUT_MS: { readonly [K in TimeoutClass]: number } = { fast: 30_000, medium: 300_000, long: 1_800_000 };

/** Bounds that actions and their schemas share. */
export const ACTION_LIMITS = {
  /** Largest patch text or whole file, in bytes of UTF-8; a model has no business writing more at once. */
  patchBytes: 1_048_576,
  /** Replacements of one call; more is not one change that anybody reviews. */
  patchEdits: 500,
  readLines: 5000,
  readLinesDefault: 2000,
  listEntries: 5000,
  listEntriesDefault: 1000,
  searchMatches: 1000,
  searchMatchesDefault: 200,
  searchPatternLength: 1000,
} as const;

const path = (description: string): ArgumentSchema => ({ type: 'string', description, minLength: 1, maxLength: 4096 });
const DIRECTORY = path('Folder relative to the root of the repository; left out, the whole repository.');

const READ = {
  effect: 'read',
  risk: 'low',
  idempotence: 'workspace',
  compensable: true,
  writes: 'none',
  command: null,
  outputs: [],
} as const;

const readFile: ActionContract = {
  ...READ,
  outputs: [],
  name: 'read_file',
  title: 'Read a file',
  description:
    'Reads a text file of the repository by lines. The first line of the answer names the file, the lines shown, how many there are and the sha256 of the whole file; the text follows unchanged.',
  timeout: 'fast',
  arguments: object(
    {
      path: path('File relative to the root of the repository.'),
      offset: { type: 'integer', description: 'First line, counted from 1. Default 1.', minimum: 1, maximum: 100_000_000 },
      limit: {
        type: 'integer',
        description: `Number of lines. Default ${ACTION_LIMITS.readLinesDefault}.`,
        minimum: 1,
        maximum: ACTION_LIMITS.readLines,
      },
    },
    ['path'],
  ),
  paths: [{ argument: 'path', as: 'path', access: 'read' }],
  offered: true,
};
const listFiles: ActionContract = {
  ...READ,
  outputs: [],
  name: 'list_files',
  title: 'List files',
  description: 'Lists the files of the repository below a folder, one path a line, sorted.',
  timeout: 'fast',
  arguments: object(
    {
      directory: DIRECTORY,
      limit: {
        type: 'integer',
        description: `Most paths shown. Default ${ACTION_LIMITS.listEntriesDefault}.`,
        minimum: 1,
        maximum: ACTION_LIMITS.listEntries,
      },
    },
    [],
  ),
  paths: [{ argument: 'directory', as: 'files', access: 'read' }],
  offered: true,
};
const search: ActionContract = {
  ...READ,
  outputs: [],
  name: 'search',
  title: 'Search the files',
  description: 'Searches text files for an extended regular expression (git grep -E). Each match is one line: path:line:text.',
  timeout: 'fast',
  arguments: object(
    {
      pattern: {
        type: 'string',
        description: 'Extended regular expression; it is matched within single lines.',
        minLength: 1,
        maxLength: ACTION_LIMITS.searchPatternLength,
      },
      directory: DIRECTORY,
      limit: {
        type: 'integer',
        description: `Most matches shown. Default ${ACTION_LIMITS.searchMatchesDefault}.`,
        minimum: 1,
        maximum: ACTION_LIMITS.searchMatches,
      },
    },
    ['pattern'],
  ),
  paths: [{ argument: 'directory', as: 'files', access: 'read' }],
  offered: true,
};
const applyPatch: ActionContract = {
  name: 'apply_patch',
  title: 'Change files',
  description:
    'Changes files, all or none; text must match the files exactly. ' +
    'format "unified": `patch` is a unified diff as `git diff` prints it; several files, new and deleted ones (/dev/null) are allowed, renames and binary files are not. ' +
    'format "v4a": `patch` is "*** Begin Patch", sections, "*** End Patch". Sections: "*** Update File: PATH" (optionally "*** Move to: PATH" next) and hunks; "*** Add File: PATH" and lines after "+"; "*** Delete File: PATH". ' +
    'A hunk is "@@" or "@@ " and a whole line that stands above, then lines after " " (context), "-" or "+"; "*** End of File" may follow. Its old lines must stand in exactly one place (with "@@ LINE": of the block of that line). ' +
    'format "search_replace": `edits` lists {path, search, replace}; each search text must stand exactly once in its file as it is before the call; an empty search creates the file. ' +
    'format "whole_file": `path` gets the text `content`; `expected` is the sha256 that read_file showed, or "absent" for a new file. ' +
    'Line ends and the end of the file stay as they are unless the patch says otherwise. A conflict names the file, the hunk or edit, and what stands there.',
  effect: 'write',
  risk: 'medium',
  idempotence: 'workspace',
  compensable: true,
  timeout: 'fast',
  arguments: object(
    {
      format: { type: 'string', enum: ['unified', 'v4a', 'search_replace', 'whole_file'] },
      patch: {
        type: 'string',
        description: 'Only with format unified or v4a: the whole patch.',
        minLength: 1,
        maxLength: ACTION_LIMITS.patchBytes,
      },
      edits: {
        type: 'array',
        description: 'Only with format search_replace: the replacements, none of which may overlap.',
        items: object(
          {
            path: path('File relative to the root of the repository.'),
            search: {
              type: 'string',
              description: 'Text of the file, exactly; empty for a new file.',
              maxLength: ACTION_LIMITS.patchBytes,
            },
            replace: { type: 'string', description: 'Text that takes its place.', maxLength: ACTION_LIMITS.patchBytes },
          },
          ['path', 'search', 'replace'],
        ),
        minItems: 1,
        maxItems: ACTION_LIMITS.patchEdits,
      },
      path: path('Only with format whole_file: file relative to the root of the repository.'),
      content: { type: 'string', description: 'Only with format whole_file: the whole new text.', maxLength: ACTION_LIMITS.patchBytes },
      expected: { type: 'string', description: 'Only with format whole_file: sha256:… of the present text, or absent.', maxLength: 71 },
    },
    ['format'],
  ),
  // A refused hunk tells what stands in the file, so whatever is matched against is also read.
  paths: [
    { argument: 'patch', as: 'patch', access: 'read' },
    { argument: 'patch', as: 'patch', access: 'write' },
    { argument: 'edits', as: 'edits', access: 'read' },
    { argument: 'edits', as: 'edits', access: 'write' },
    { argument: 'path', as: 'path', access: 'write' },
  ],
  writes: 'declared',
  command: null,
  outputs: [],
  offered: true,
};
const runTests: ActionContract = {
  name: 'run_tests',
  title: 'Run the tests',
  description:
    'Runs the configured test command in the sandbox and reports its verdict. Afterwards the files are put back as they were committed.',
  effect: 'write',
  risk: 'medium',
  idempotence: 'workspace',
  compensable: true,
  timeout: 'long',
  arguments: object({}, []),
  paths: [],
  writes: 'scratch',
  command: 'test',
  outputs: ['test_report'],
  offered: false,
};
const buildContextPack: ActionContract = {
  ...READ,
  name: 'build_context_pack',
  title: 'Build the context pack',
  description: 'Chooses the files that belong to the task by their names and contents and packs bounded excerpts of them.',
  timeout: 'medium',
  arguments: object(
    { directory: DIRECTORY, maxBytes: { type: 'integer', description: 'Largest pack.', minimum: 4096, maximum: 262_144 } },
    [],
  ),
  // It looks at everything below the folder to choose.
  paths: [{ argument: 'directory', as: 'files', access: 'read' }],
  outputs: ['context_pack'],
  offered: false,
};
const commitChanges: ActionContract = {
  name: 'commit_changes',
  title: 'Commit the changes to a branch',
  description:
    'Adds one commit with all changes of the run and one new branch that points at it to the repository. Existing branches are never moved.',
  effect: 'external',
  risk: 'medium',
  idempotence: 'provider',
  compensable: false,
  timeout: 'medium',
  arguments: object(
    {
      branch: { type: 'string', description: 'Name of the new branch.', minLength: 1, maxLength: 200 },
      message: { type: 'string', description: 'Commit message.', minLength: 1, maxLength: 10_000 },
    },
    [],
  ),
  paths: [],
  writes: 'none',
  command: null,
  outputs: ['result'],
  offered: false,
};
const modelAsk: ActionContract = {
  name: 'model.ask',
  title: 'Ask the model',
  description: 'Sends the recorded conversation of a stage to the model of the run.',
  effect: 'external',
  risk: 'low',
  idempotence: 'none',
  compensable: false,
  timeout: 'medium',
  arguments: object(
    {
      provider: { type: 'string', minLength: 1, maxLength: 64 },
      model: { type: 'string', minLength: 1, maxLength: 128 },
      maxOutputTokens: { type: 'integer', minimum: 1 },
    },
    ['provider', 'model', 'maxOutputTokens'],
  ),
  paths: [],
  writes: 'none',
  command: null,
  outputs: [],
  offered: false,
};

/** Every action that the runtime brings along, in the order in which it is recorded. */
export const builtinActions: readonly ActionContract[] = [
  readFile,
  listFiles,
  search,
  applyPatch,
  runTests,
  runLinters,
  runTypecheck,
  runFormatter,
  runBuild,
  buildContextPack,
  generateDiffReport,
  prepareReviewBundle,
  summarizeRun,
  kvSet,
  kvGet,
  delegateRun,
  commitChanges,
  modelAsk,
];

/** What agent stages may be shown. */
export const builtinToolsets: Toolsets = {
  coding_backend: ['read_file', 'list_files', 'search', 'apply_patch', 'kv_set', 'kv_get'],
  coding_lead: ['read_file', 'list_files', 'search', 'apply_patch', 'kv_set', 'kv_get', 'delegate_run'],
  repo_readonly: ['read_file', 'list_files', 'search'],
};

/** What the host of `commit_changes` gets: the intent's arguments, resolved by the kernel from recorded facts, and the commit id they must give. */
export const RESOLVED_COMMIT: ArgumentSchema = object(
  {
    branch: { type: 'string', minLength: 1, maxLength: 200 },
    tree: { type: 'string', minLength: 40, maxLength: 64 },
    parent: { type: 'string', minLength: 40, maxLength: 64 },
    commit: { type: 'string', minLength: 40, maxLength: 64 },
    message: { type: 'string', minLength: 1, maxLength: 20_000 },
    author: object(
      {
        name: { type: 'string', minLength: 1, maxLength: 200 },
        email: { type: 'string', minLength: 1, maxLength: 200 },
        seconds: { type: 'integer', minimum: 0 },
        offset: { type: 'string', minLength: 5, maxLength: 5 },
      },
      ['name', 'email', 'seconds', 'offset'],
    ),
  },
  ['branch', 'tree', 'parent', 'commit', 'message', 'author'],
);
