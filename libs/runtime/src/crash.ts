/**
 * The crash windows of a driver, numbered. Between any two of them lies exactly one durable append or one effect, so a process that dies anywhere
 * dies in one of these. There is no recovery code beside `run.resumed` and `pending` (ARCHITECTURE §2, PROTOCOL §4.4).
 *
 * | window | what is durable | what the next driver does |
 * | --- | --- | --- |
 * | W1 | `run.opened` | judges it |
 * | W2 | all before; a batch is about to be handed in | nothing of it exists, or all of it: folds what is there |
 * | W3 | the batch | judges what is queued |
 * | W4 | `execution.started` or `model.asked`; nothing was done | retries where idempotent, else `execution.lost` |
 * | W5 | the same; the effect came about, its fact is not recorded | the same: it cannot tell W4 from W5, and need not |
 * | W6 | the fact and its judgements; the tree is not yet accepted or put back | rebuilds the tree from the committed state |
 * | W7 | the same; the tree agrees | goes on |
 * | W8 | `run.closed`; no checkpoint | asks for the checkpoint |
 * | W9 | `run.rewound` and its judgements; the tree is that of before | rebuilds the tree from the committed state |
 * | W10 | `delegation.opened`; no child run | opens the child |
 * | W11 | the child's `run.opened` | drives the child, by a `run.resumed` of its own |
 * | W12 | the child's `run.closed`; nothing of it in the parent | records `delegation.closed` from the child's entries |
 * | W13 | `delegation.closed` and its judgements | goes on |
 * | W14 | the batch, and a snapshot of the fold after it | begins there; in W3 there is an older snapshot or none, and the tail is longer |
 */

/**
 * Names of the windows that every run passes, for tests that kill there; the others of the table are passed by a rewind, by a delegation and where a
 * snapshot is kept.
 */
export const CRASH_POINTS = [
  'W1.opened',
  'W2.appending',
  'W3.appended',
  'W4.started',
  'W5.performed',
  'W6.observed',
  'W7.settled',
  'W8.closed',
] as const;
/** Those that a delegation passes, in the drive of the parent. */
export const DELEGATION_POINTS = ['W10.delegated', 'W11.childOpened', 'W12.childClosed', 'W13.joined'] as const;
/** One window. */
export type CrashPoint = (typeof CRASH_POINTS)[number] | 'W9.rewound' | (typeof DELEGATION_POINTS)[number] | 'W14.kept';
