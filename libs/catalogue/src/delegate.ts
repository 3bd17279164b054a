/**
 * `delegate_run`: handing a part of the work to a child run under a narrower writ. A declaration; what the child
 * may do and what it costs is the kernel's (PROTOCOL §§4.3, 5).
 */
import type { ActionContract, ArgumentSchema } from '@openexec/protocol';
import { object } from './shapes.ts';

/** Name of the action. */
export const DELEGATE_ACTION = 'delegate_run';
const patterns = (description: string): ArgumentSchema => ({
  type: 'array',
  description,
  items: { type: 'string', minLength: 1, maxLength: 4096 },
  maxItems: 64,
});
const amountOf = (what: string): ArgumentSchema => ({
  type: 'integer',
  description: `${what} that the child may spend. Left out: half of what this run has left.`,
  minimum: 0,
});

/** `delegate_run`: opens a child run, which works in a tree of its own that starts from what this run has committed. */
export const delegateRun: ActionContract = {
  name: DELEGATE_ACTION,
  title: 'Delegate a part of the work',
  description:
    'Hands a task to a child run of a named blueprint, under a writ that is narrower than yours, in a tree of its own that starts from your committed files. ' +
    'The call is answered once the child has ended: with its outcome, what it spent, and its changes as a unified diff. Nothing of it enters your files by itself: apply the diff with apply_patch.',
  effect: 'write',
  risk: 'medium',
  idempotence: 'workspace',
  compensable: true,
  timeout: 'long',
  arguments: object(
    {
      key: { type: 'string', description: 'Short name of this part: lower case letters, digits, _ . -', minLength: 1, maxLength: 64 },
      blueprint: { type: 'string', description: 'One of the blueprints that this run may delegate to.', minLength: 1, maxLength: 64 },
      task: {
        type: 'string',
        description: 'What the child has to do; it sees nothing else of this conversation.',
        minLength: 1,
        maxLength: 16_384,
      },
      actions: patterns('Actions that the child may use: exact names or prefix*. Left out: all of yours.'),
      readPaths: patterns('What the child may read: exact paths, dir/** or **. Left out: all that you may.'),
      writePaths: patterns('What the child may change: exact paths, dir/** or **. Left out: all that you may.'),
      tokens: amountOf('Tokens'),
      usdMicros: amountOf('Millionths of a dollar'),
      calls: amountOf('Questions to the model and actions'),
      wallMs: { type: 'integer', description: 'Milliseconds of work. Left out: what this run has left.', minimum: 1 },
    },
    ['key', 'blueprint', 'task'],
  ),
  paths: [],
  writes: 'none',
  command: null,
  outputs: [],
  offered: true,
};
