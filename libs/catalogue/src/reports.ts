/**
 * The actions that tell about a run: its diff, the bundle for a reviewer, its summary. Declarations, and what their hosts are given: the kernel
 * resolves it from recorded facts, so that no host looks anything up (OPENEXEC "built-in actions"; MECHANICS part 2 "reports = pure").
 */
import type { ActionContract, ArgumentSchema } from '@openexec/protocol';
import { HEX_ID, object } from './shapes.ts';

const REPORT = {
  risk: 'low',
  idempotence: 'workspace',
  compensable: true,
  timeout: 'medium',
  arguments: object({}, []),
  paths: [],
  writes: 'none',
  command: null,
  offered: false,
} as const;

/** `generate_diff_report`: what changed since the base, with counts. It shows content, hence reads every file that changed. */
export const generateDiffReport: ActionContract = {
  ...REPORT,
  paths: [],
  name: 'generate_diff_report',
  title: 'Report the changes',
  description:
    'Reports every change of the run against its base as a unified diff with counts by file. Binary files are named, files that some tool runs or obeys by itself are listed apart; attributes of the repository hide nothing.',
  effect: 'read',
  outputs: ['diff_report'],
};
/** `prepare_review_bundle`: what a reviewer needs, from recorded facts. */
export const prepareReviewBundle: ActionContract = {
  ...REPORT,
  paths: [],
  name: 'prepare_review_bundle',
  title: 'Prepare the review',
  description:
    'Puts together what a reviewer needs: task, changed files, checks and their verdicts, refusals, approvals, undeclared effects and spend, all from recorded facts.',
  effect: 'pure',
  outputs: ['review_bundle'],
};
/** `summarize_run`: the run in a page. */
export const summarizeRun: ActionContract = {
  ...REPORT,
  paths: [],
  name: 'summarize_run',
  title: 'Summarize the run',
  description:
    'Summarizes the run so far: stages, visits and verdicts, actions by count, changed files and spend, all from recorded facts.',
  effect: 'pure',
  outputs: ['summary'],
};

/** What the host of `generate_diff_report` gets: the base and the committed tree that the ledger computed. */
export const RESOLVED_DIFF: ArgumentSchema = object({ base: HEX_ID, baseTree: HEX_ID, tree: HEX_ID }, ['base', 'baseTree', 'tree']);
/** What the hosts of `prepare_review_bundle` and `summarize_run` get: the account of the run ({@link RunAccount}), made by the kernel. */
export const RESOLVED_ACCOUNT: ArgumentSchema = object({ account: { type: 'json', maxBytes: 8 * 1024 * 1024 } }, ['account']);
