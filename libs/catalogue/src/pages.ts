/**
 * What stands beside the contract of each built-in action: the codes it can be refused with, the bound of its output, and golden examples. Data only; a
 * test takes every example through the real schema, the real preconditions and the real host. Must never be read to decide anything.
 */
import type { Json } from '@openexec/canon';

/** Arguments that are taken. */
export interface AcceptedExample {
  readonly because: string;
  readonly arguments: Json;
}
/** Arguments that are refused, and with which code. */
export interface RefusedExample extends AcceptedExample {
  readonly code: string;
}
/** The page of one action. */
export interface ActionPage {
  /** Every code its host or its preconditions can answer with; codes of writ, policy and budget are the same for all actions. */
  readonly errors: readonly string[];
  /** Largest output that a model or a person is shown, in bytes. */
  readonly outputBytes: number;
  readonly accepted: readonly AcceptedExample[];
  readonly refused: readonly RefusedExample[];
}

/** The files that the examples speak of. */
export const EXAMPLE_FILES: { readonly [path: string]: string } = {
  'README.md': '# sample\n',
  'src/a.txt': 'one\ntwo\n',
};

const OUTPUT_BYTES = 264 * 1024;
const ALWAYS = ['arguments.invalid', 'run.stopped'];
const PATHS = ['path.empty', 'path.absolute', 'path.segment', 'path.character', 'path.git', 'path.tooLong'];
const TREE = ['workspace.io', 'workspace.git', 'workspace.conflict', 'workspace.quota', 'workspace.pathRefused', 'workspace.objectMissing'];
const SANDBOX = ['sandbox.unavailable', 'sandbox.refused', 'sandbox.broken'];
const COMMAND = [...ALWAYS, 'command.notConfigured', 'command.timeout', 'command.limit', ...SANDBOX, ...TREE];
const PATCH = [
  'patch.empty',
  'patch.tooLarge',
  'patch.malformed',
  'patch.counts',
  'patch.binary',
  'patch.rename',
  'patch.mode',
  'patch.path',
  'patch.duplicate',
  'patch.redactionMarker',
  'patch.absent',
  'patch.exists',
  'patch.context',
  'patch.ambiguous',
  'patch.overlap',
  'patch.remainder',
  'patch.newline',
  'patch.tooCostly',
];
const NO_ARGUMENTS: Pick<ActionPage, 'accepted' | 'refused'> = {
  accepted: [{ because: 'it takes no arguments: what it runs is configured', arguments: {} }],
  refused: [
    { because: 'a command is never an argument', arguments: { argv: ['true'] }, code: 'arguments.invalid' },
    { because: 'the arguments are an object', arguments: [], code: 'arguments.invalid' },
  ],
};
const CHECK: ActionPage = { errors: COMMAND, outputBytes: OUTPUT_BYTES, ...NO_ARGUMENTS };
const REPORT: ActionPage = {
  errors: [...ALWAYS, 'precondition.tree', 'report.otherTree', ...TREE],
  outputBytes: OUTPUT_BYTES,
  accepted: [{ because: 'it takes no arguments: what it tells was recorded', arguments: {} }],
  refused: [{ because: 'nobody brings an account of their own', arguments: { account: {} }, code: 'arguments.invalid' }],
};
const ENVELOPE = '*** Begin Patch\n*** Update File: src/a.txt\n@@ one\n-two\n+three\n*** End Patch\n';
const MOVE = '*** Begin Patch\n*** Update File: src/a.txt\n*** Move to: src/b.txt\n*** End Patch\n';
const EDIT = { path: 'src/a.txt', search: 'two', replace: 'three' };
const DIFF = '--- a/src/a.txt\n+++ b/src/a.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n';

/** The page of every built-in action, by name. */
export const ACTION_PAGES: { readonly [action: string]: ActionPage } = {
  read_file: {
    errors: [...ALWAYS, ...PATHS, ...TREE, 'file.notFound', 'file.tooLarge', 'file.binary', 'file.range'],
    outputBytes: OUTPUT_BYTES,
    accepted: [
      { because: 'a whole file', arguments: { path: 'README.md' } },
      { because: 'one line of it', arguments: { path: 'src/a.txt', offset: 2, limit: 1 } },
    ],
    refused: [
      { because: 'the path is missing', arguments: {}, code: 'arguments.invalid' },
      { because: 'it leads out of the repository', arguments: { path: '../secret' }, code: 'path.segment' },
      { because: 'it is not relative', arguments: { path: '/etc/passwd' }, code: 'path.absolute' },
      { because: "it is git's own", arguments: { path: '.git/config' }, code: 'path.git' },
      { because: 'there is no such file', arguments: { path: 'no/such' }, code: 'file.notFound' },
      { because: 'the file has two lines', arguments: { path: 'src/a.txt', offset: 9 }, code: 'file.range' },
    ],
  },
  list_files: {
    errors: [...ALWAYS, ...PATHS, ...TREE, 'file.notFound'],
    outputBytes: OUTPUT_BYTES,
    accepted: [
      { because: 'the whole repository', arguments: {} },
      { because: 'one folder, the first path', arguments: { directory: 'src', limit: 1 } },
    ],
    refused: [
      { because: 'a limit is at least 1', arguments: { limit: 0 }, code: 'arguments.invalid' },
      { because: 'there is no such folder', arguments: { directory: 'nowhere' }, code: 'file.notFound' },
    ],
  },
  search: {
    errors: [...ALWAYS, ...PATHS, ...TREE, ...SANDBOX, 'search.badPattern', 'command.timeout', 'command.limit'],
    outputBytes: OUTPUT_BYTES,
    accepted: [{ because: 'an extended regular expression', arguments: { pattern: 't(wo|hree)', directory: 'src' } }],
    refused: [
      { because: 'a pattern says something', arguments: { pattern: '' }, code: 'arguments.invalid' },
      { because: 'the bracket is open', arguments: { pattern: '(' }, code: 'search.badPattern' },
    ],
  },
  apply_patch: {
    errors: [
      ...ALWAYS,
      ...PATHS,
      ...PATCH,
      ...TREE,
      'file.notFound',
      'file.tooLarge',
      'preImage.changed',
      'secret.known',
      'precondition.absent',
      'precondition.present',
      'precondition.submodule',
    ],
    outputBytes: OUTPUT_BYTES,
    accepted: [
      { because: 'a unified diff', arguments: { format: 'unified', patch: DIFF } },
      { because: 'a V4A envelope', arguments: { format: 'v4a', patch: ENVELOPE } },
      { because: 'a move, which is the removal of one file and the creation of another', arguments: { format: 'v4a', patch: MOVE } },
      {
        because: 'search and replace, also of a new file',
        arguments: { format: 'search_replace', edits: [EDIT, { path: 'src/b.txt', search: '', replace: 'new\n' }] },
      },
      { because: 'a new file as a whole', arguments: { format: 'whole_file', path: 'src/b.txt', content: 'new\n', expected: 'absent' } },
    ],
    refused: [
      { because: 'there is no such format', arguments: { format: 'ed' }, code: 'arguments.invalid' },
      { because: 'the text of the diff is missing', arguments: { format: 'unified' }, code: 'arguments.invalid' },
      {
        because: 'it leads out of the repository',
        arguments: { format: 'whole_file', path: '../b.txt', content: '' },
        code: 'path.segment',
      },
      {
        because: 'the file has other lines',
        arguments: { format: 'unified', patch: DIFF.replace('-two', '-second') },
        code: 'patch.context',
      },
      {
        because: 'the text to replace stands twice',
        arguments: { format: 'search_replace', edits: [{ ...EDIT, search: 'o' }] },
        code: 'patch.ambiguous',
      },
      { because: 'the envelope stands in a fence', arguments: { format: 'v4a', patch: `\`\`\`\n${ENVELOPE}` }, code: 'patch.malformed' },
    ],
  },
  run_tests: CHECK,
  run_linters: CHECK,
  run_typecheck: CHECK,
  run_build: CHECK,
  run_formatter: {
    errors: [...COMMAND, ...PATHS, 'secret.known', 'file.notFound', 'file.tooLarge', 'format.notKept', 'postcondition.preImage'],
    outputBytes: OUTPUT_BYTES,
    accepted: [
      { because: 'changes may stay wherever the writ lets the run write', arguments: {} },
      { because: 'changes may stay below one folder', arguments: { directory: 'src' } },
    ],
    refused: [
      { because: 'a command is never an argument', arguments: { argv: ['true'] }, code: 'arguments.invalid' },
      { because: 'it leads out of the repository', arguments: { directory: '..' }, code: 'path.segment' },
    ],
  },
  build_context_pack: {
    errors: [...ALWAYS, ...PATHS, ...TREE],
    outputBytes: OUTPUT_BYTES,
    accepted: [
      { because: 'from the whole repository', arguments: {} },
      { because: 'from one folder, small', arguments: { directory: 'src', maxBytes: 4096 } },
    ],
    refused: [{ because: 'a pack has at least 4096 bytes', arguments: { maxBytes: 10 }, code: 'arguments.invalid' }],
  },
  generate_diff_report: REPORT,
  prepare_review_bundle: REPORT,
  summarize_run: { ...REPORT, errors: [...ALWAYS, 'precondition.tree'] },
  kv_set: {
    errors: [...ALWAYS, 'precondition.version', 'precondition.absent', 'postcondition.version'],
    outputBytes: 4096,
    accepted: [
      { because: 'text under a key', arguments: { key: 'plan', value: 'rename sum' } },
      {
        because: 'any JSON, if nobody has set the key yet',
        arguments: { key: 'seen', value: { files: ['a'], ratio: 0.5 }, expectedVersion: 0 },
      },
    ],
    refused: [
      { because: 'there is neither a value nor a wish to take it away', arguments: { key: 'plan' }, code: 'arguments.invalid' },
      { because: 'both at once', arguments: { key: 'plan', value: 1, retract: true }, code: 'arguments.invalid' },
      { because: 'a key says something', arguments: { key: '', value: 1 }, code: 'arguments.invalid' },
      { because: 'the value is too long', arguments: { key: 'plan', value: 'x'.repeat(16 * 1024) }, code: 'arguments.invalid' },
      { because: 'the key is not at that version', arguments: { key: 'plan', value: 1, expectedVersion: 7 }, code: 'precondition.version' },
      { because: 'there is nothing to take away', arguments: { key: 'plan', retract: true }, code: 'precondition.absent' },
    ],
  },
  kv_get: {
    errors: ALWAYS,
    outputBytes: 32 * 1024,
    accepted: [{ because: 'a key that nobody set is found: false, not an error', arguments: { key: 'plan' } }],
    refused: [
      { because: 'the key is missing', arguments: {}, code: 'arguments.invalid' },
      { because: 'there is no second member', arguments: { key: 'plan', default: 1 }, code: 'arguments.invalid' },
    ],
  },
  commit_changes: {
    errors: [...ALWAYS, 'change.empty', 'precondition.tree', 'landing.mismatch', 'postcondition.commit', 'workspace.refExists', ...TREE],
    outputBytes: 4096,
    accepted: [
      { because: 'a branch named after the run, a message from the task', arguments: {} },
      { because: 'a message of its own', arguments: { message: 'Make sum add' } },
    ],
    refused: [
      { because: 'a message says something', arguments: { message: '' }, code: 'arguments.invalid' },
      { because: 'existing branches are never moved, by whatever wish', arguments: { force: true }, code: 'arguments.invalid' },
    ],
  },
  delegate_run: {
    errors: [...ALWAYS, 'delegation.key', 'delegation.blueprint', 'delegation.writ', 'delegation.failed', 'precondition.tree'],
    outputBytes: OUTPUT_BYTES,
    accepted: [
      {
        because: 'a part of the work, for a narrower child',
        arguments: { key: 'docs', blueprint: 'docs', task: 'Say it in the readme.', writePaths: ['README.md'] },
      },
    ],
    refused: [
      { because: 'nobody could tell the child what to do', arguments: { key: 'docs', blueprint: 'docs' }, code: 'arguments.invalid' },
    ],
  },
  'model.ask': {
    errors: [
      ...ALWAYS,
      'model.unauthorized',
      'model.rateLimited',
      'model.timeout',
      'model.unreachable',
      'model.malformed',
      'model.refused',
      'model.server',
      'model.stopped',
      'model.exhausted',
      'model.truncated',
      'model.interrupted',
    ],
    outputBytes: 16 * 1024 * 1024,
    accepted: [
      { because: 'the runtime itself asks, never a model', arguments: { provider: 'openai', model: 'some-model', maxOutputTokens: 1000 } },
    ],
    refused: [
      { because: 'the bound of the answer is missing', arguments: { provider: 'openai', model: 'some-model' }, code: 'arguments.invalid' },
    ],
  },
};
