/**
 * What every action shares: its hands, its answer, and text that is bounded. Must never let an unbounded or undecodable text out.
 */
import type { Bytes, Json, Result } from '@openexec/canon';
import { canonicalBytes, utf8Encode } from '@openexec/canon';
import { type Execution, type ExecutionOrder, isMasked, type Sandbox, type StopSignal, type Workspace } from '@openexec/catalogue';
import type { Redactor } from '@openexec/workspace';
import type { ActionFailure } from './errors.ts';

/** The ports an action works through. */
export interface Hands {
  readonly workspace: Workspace;
  readonly sandbox: Sandbox;
  readonly redactor: Pick<Redactor, 'redactBytes' | 'findSecrets'>;
}
/** An outcome before the host adds its duration. */
export type Outcome = Omit<Execution, 'durationMs'>;
/** One action: gets arguments that passed their schema, answers without a duration. Never throws for what a tree or a command holds. */
export type Perform = (order: ExecutionOrder, hands: Hands, stop: StopSignal) => Promise<Result<Outcome, ActionFailure>>;

/** Largest output shown to a model: 256 KiB. */
export const OUTPUT_BYTES = 256 * 1024;
const TEXT = 'text/plain; charset=utf-8';

/** A plain success with text. */
export function textOutcome(summary: string, output: Bytes, more: Partial<Outcome> = {}): Outcome {
  return {
    status: 'ok',
    summary: summary.slice(0, 2000),
    output,
    outputMediaType: TEXT,
    exitCode: null,
    changes: [],
    contents: new Map(),
    scratch: [],
    undeclared: [],
    network: null,
    artifacts: [],
    landed: null,
    ...more,
  };
}

/** An artifact of canonical JSON. */
export function jsonArtifact(name: string, value: Json): Outcome['artifacts'][number] {
  return { name, bytes: canonicalBytes(value), mediaType: 'application/json' };
}

/** The text of bytes that may be cut or wrong anywhere: what is not UTF-8 becomes U+FFFD. */
export function lossyText(bytes: Bytes): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
}

/** The longest prefix of whole characters that fits. */
export function cutText(text: string, maxBytes: number): string {
  const bytes = utf8Encode(text);
  if (bytes.length <= maxBytes) return text;
  let end = maxBytes;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return lossyText(bytes.subarray(0, end));
}

/** A name in a list of names: as it is where that is harmless, else as a JSON string. */
export function shownPath(path: string): string {
  return /^[^\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"]+$/.test(path)
    ? path
    : JSON.stringify(path).replace(
        /[\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]/g,
        (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
      );
}

/** Whether a path is one whose content, and name in a list, this execution may not show. */
export function isHidden(order: ExecutionOrder, path: string): boolean {
  return order.profile.masked !== undefined && isMasked(order.profile.masked, path);
}

/** What was left out, in words, or nothing. */
export function withheldNote(count: number): string {
  return count === 0 ? '' : `, ${count} that may not be read are left out`;
}

/** The JSON object of arguments that already passed their schema. */
export function argumentsOf(order: ExecutionOrder): { readonly [name: string]: Json } {
  const args = order.arguments;
  if (typeof args !== 'object' || args === null || Array.isArray(args)) throw new Error('arguments reached an action unchecked');
  return args as { readonly [name: string]: Json };
}

/** A text argument, or undefined where it was left out. */
export function textArgument(order: ExecutionOrder, name: string): string | undefined {
  const value = argumentsOf(order)[name];
  return typeof value === 'string' ? value : undefined;
}

/** A number argument, or `otherwise` where it was left out. */
export function numberArgument(order: ExecutionOrder, name: string, otherwise: number): number {
  const value = argumentsOf(order)[name];
  return typeof value === 'number' ? value : otherwise;
}
