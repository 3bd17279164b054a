/**
 * Words that several documents of the command line share. Big numbers are decimal strings. Must never describe a whole document: those stand in the
 * files beside this one, each under the command that prints it.
 */
import * as z from 'zod';
import { count, oid, trajectory } from '../words.ts';

/** Version of every document. */
export const v = z.literal(1);
/** Any text; what of it came from outside is escaped where it is printed. */
export const text = z.string();
/** The same, or null where there is none. */
export const textOrNull = z.string().nullable();
/** A whole number that may be larger than JSON's numbers are exact: printed as a string of digits, written by a command as bigint or as that string. */
export const decimal = z.string().regex(/^(0|[1-9][0-9]*)$/) as z.ZodType as z.ZodType<string | bigint>;
/** Id of a run as the ledger names it. */
export const run = trajectory;
/** Exit code of the command. */
export const exit = z.number().int().min(0).max(255);
/** What a finished run came to, as git knows it. */
export const result = z.strictObject({ ref: text, commit: oid, tree: oid });
/** How a run was closed. */
export const outcome = z.enum(['done', 'failed', 'cancelled', 'denied', 'exhausted']);
/** A file that differs from the base, by what happened to it. */
export const changedFile = z.strictObject({ path: text, change: z.enum(['added', 'modified', 'deleted']) });
/** What became of one anchor that was asked; `position` is where its fact stands in the ledger. */
export const shown = z.strictObject({
  name: text,
  type: text,
  taken: z.boolean(),
  position: decimal.nullable(),
  code: textOrNull,
  message: textOrNull,
});
/** What policy and compiler say of an intent. */
export const verdict = z.enum(['permit', 'deny', 'approve']);
/** A rule of a policy, with the layer that it stands in. */
export const ruleName = z.strictObject({ layer: text, rule: text });
/** A problem of a file with its place in it; line 0 where it is of the file as a whole. */
export const problem = z.strictObject({ code: text, message: text, line: count, column: count });
