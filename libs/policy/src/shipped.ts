/**
 * The policy that ships for one person on one machine. Must never permit what could run by itself later (hooks, CI, package scripts, editor and
 * agent configuration) without asking. PROTOCOL §7, MECHANICS part 2 "does commit_changes ask".
 */

import type { Json } from '@openexec/canon';
import {
  AGENT_FOLDERS,
  AGENT_INSTRUCTIONS,
  type ApprovalTerms,
  GIT_OBEYS,
  type PolicyBundle,
  type PolicyCondition,
  type PolicyRule,
} from '@openexec/protocol';

/** Files and folders that something runs, or obeys, without being asked. */
const AUTO_RUN = [
  '.git',
  '.github',
  '.gitlab*',
  '.gitea',
  '.forgejo',
  ...GIT_OBEYS,
  '.pre-commit-config.yaml',
  'lefthook*',
  '.circleci',
  '.travis.yml',
  'jenkinsfile',
  'azure-pipelines*',
  'bitbucket-pipelines*',
  'package.json',
  '.npmrc',
  '.yarnrc*',
  '.pnpmfile*',
  '.envrc',
  '.vscode',
  '.idea',
  '.devcontainer',
  ...AGENT_INSTRUCTIONS,
  ...AGENT_FOLDERS,
  '.cursor*',
  '.windsurf*',
  '.mcp.json',
  '.openexec',
];
/** Names under which secrets are usually kept. */
const SECRETS = ['.env*', '*.pem', '*.key', '*.p12', '*.pfx', 'id_rsa*', 'id_ed25519*', 'id_ecdsa*', '.netrc'];
const ONE_APPROVER: ApprovalTerms = { roles: ['approver'], quorum: 1, ttlMs: 86_400_000, minAssurance: 'file', openerMayApprove: true };

/** Sample fields of an action, for the examples. */
function sample(
  action: { name: string; effect: string },
  more: { read?: string[]; write?: string[]; change?: Json; branch?: string } = {},
): Json {
  const args: Json = more.branch === undefined ? {} : { branch: more.branch };
  return {
    action,
    arguments: args,
    paths: { read: more.read ?? [], write: more.write ?? [] },
    change: more.change ?? { paths: [], autoRun: false },
  };
}
const READ = { name: 'read_file', effect: 'read' };
const PATCH = { name: 'apply_patch', effect: 'write' };
const TESTS = { name: 'run_tests', effect: 'write' };
const DELEGATE = { name: 'delegate_run', effect: 'write' };
const FORMAT = { name: 'run_formatter', effect: 'write' };
const NOTE = { name: 'kv_set', effect: 'pure' };
const COMMIT = { name: 'commit_changes', effect: 'external' };
const ASK = { name: 'model.ask', effect: 'external' };
const SHELL = { name: 'shell_exec', effect: 'write' };
const GATE = { name: 'approval.gate', effect: 'pure' };
const CHANGE = { paths: ['src/a.ts'], autoRun: false };

const isCommit: PolicyCondition = { field: 'action.name', op: 'eq', value: 'commit_changes' };

const RULES: PolicyRule[] = [
  {
    id: 'deny-secret-reads',
    when: { field: 'paths.read', op: 'anyNamed', value: SECRETS },
    decide: 'deny',
    because: 'the path looks like a place for secrets; what is read is sent to a model and recorded',
    examples: {
      match: [
        sample(READ, { read: ['.env'] }),
        sample(READ, { read: ['src/a.ts', 'deploy/server.PEM'] }),
        sample(READ, { read: ['.ssh/id_rsa.bak'] }),
      ],
      noMatch: [sample(READ, { read: ['src/environment.ts', 'docs/pem.md'] }), sample(ASK)],
    },
  },
  {
    id: 'ask-secret-writes',
    when: { field: 'paths.write', op: 'anyNamed', value: SECRETS },
    decide: { approve: ONE_APPROVER },
    because: 'the path looks like a place for secrets',
    examples: { match: [sample(PATCH, { write: ['config/.env.local'] })], noMatch: [sample(PATCH, { write: ['src/env.ts'] })] },
  },
  {
    id: 'ask-auto-run',
    when: { field: 'paths.write', op: 'anyNamed', value: AUTO_RUN },
    decide: { approve: ONE_APPROVER },
    because: 'the path is run or obeyed without being asked: hooks, CI, package scripts, editor or agent configuration',
    examples: {
      match: [
        sample(PATCH, { write: ['.github/workflows/ci.yml'] }),
        sample(PATCH, { write: ['src/a.ts', 'packages/web/package.json'] }),
        sample(PATCH, { write: ['AGENTS.md'] }),
        sample(PATCH, { write: ['.openexec/policy.yaml'] }),
      ],
      noMatch: [sample(PATCH, { write: ['src/package.ts', '.gitignore', 'docs/agents.txt'] }), sample(READ, { read: ['package.json'] })],
    },
  },
  {
    id: 'ask-commit',
    when: {
      all: [
        isCommit,
        {
          any: [
            { field: 'change.autoRun', op: 'eq', value: true },
            { field: 'change.paths', op: 'anyNamed', value: AUTO_RUN },
            // Without a branch of its own the result lands under openexec/.
            {
              all: [
                { field: 'arguments.branch', op: 'exists', value: true },
                { not: { field: 'arguments.branch', op: 'startsWith', value: 'openexec/' } },
              ],
            },
          ],
        },
      ],
    },
    decide: { approve: ONE_APPROVER },
    because: 'the result goes to a branch outside openexec/, or holds files that are run or obeyed without being asked',
    examples: {
      match: [
        sample(COMMIT, { change: { ...CHANGE, autoRun: true } }),
        sample(COMMIT, { change: { ...CHANGE, paths: ['.husky/pre-commit'] } }),
        sample(COMMIT, { change: CHANGE, branch: 'main' }),
      ],
      noMatch: [
        sample(COMMIT, { change: CHANGE }),
        sample(COMMIT, { change: CHANGE, branch: 'openexec/1a2b' }),
        sample(PATCH, { write: ['src/a.ts'] }),
      ],
    },
  },
  {
    id: 'ask-gate',
    when: { field: 'action.name', op: 'eq', value: 'approval.gate' },
    decide: { approve: ONE_APPROVER },
    because: 'a gate of the runtime or of the blueprint asks; on a machine of one person that person answers',
    examples: { match: [sample(GATE)], noMatch: [sample(READ, { read: ['src/a.ts'] })] },
  },
  {
    id: 'permit-reading',
    when: { field: 'action.effect', op: 'in', value: ['pure', 'read'] },
    decide: 'permit',
    because: 'it changes no file and nothing outside the run',
    examples: {
      match: [sample(READ, { read: ['src/a.ts'] }), sample(NOTE)],
      noMatch: [sample(PATCH, { write: ['src/a.ts'] }), sample(ASK)],
    },
  },
  {
    id: 'permit-workspace-work',
    when: {
      all: [
        { field: 'action.effect', op: 'eq', value: 'write' },
        {
          field: 'action.name',
          op: 'in',
          value: ['apply_patch', 'run_tests', 'run_linters', 'run_typecheck', 'run_formatter', 'run_build', 'delegate_run'],
        },
      ],
    },
    decide: 'permit',
    because: "it stays in the run's own workspace and sandbox, or in those of a child run, each of whose actions is judged like its own",
    examples: {
      match: [sample(PATCH, { write: ['src/a.ts'] }), sample(TESTS), sample(DELEGATE), sample(FORMAT, { write: ['**'] })],
      noMatch: [sample(COMMIT), sample(SHELL), sample({ ...FORMAT, effect: 'external' })],
    },
  },
  {
    id: 'permit-model',
    when: { field: 'action.name', op: 'eq', value: 'model.ask' },
    decide: 'permit',
    because: 'the writ names the model host and the budget',
    examples: { match: [sample(ASK)], noMatch: [sample(COMMIT), sample(SHELL)] },
  },
  {
    id: 'permit-commit',
    when: isCommit,
    decide: 'permit',
    because: 'a new branch under openexec/ changes nothing that anybody works on',
    examples: { match: [sample(COMMIT, { change: CHANGE })], noMatch: [sample(PATCH), sample(SHELL)] },
  },
];

/** `solo`: work in the workspace goes on by itself, what could run later asks, everything else is denied. */
export const SOLO: PolicyBundle = { version: 1, name: 'solo', rules: RULES };
