/**
 * The parts of a conversation that the kernel writes itself. Their blobs are recorded with the `model.asked` that first names them (PROTOCOL §2).
 */
import { digestOf, utf8Encode } from '@openexec/canon';
import type { PartRef } from '@openexec/protocol';
import type { Part } from './state.ts';

/** A part that the kernel writes itself. */
export function textPart(role: PartRef['role'], call: string | null, text: string): Part {
  return { role, call, body: { digest: digestOf(text), bytes: utf8Encode(text).length, mediaType: 'text/plain; charset=utf-8' }, text };
}

/** What a skill says to the model. */
export function instructionPart(said: string): Part {
  return textPart('user', null, `Instructions that this run is bound to:\n${said}`);
}
