/**
 * Small shapes that the declarations of actions are put together from. Must never hold a bound of a single action.
 */
import type { ArgumentSchema } from '@openexec/protocol';

/** An object with exactly these members. */
export function object(properties: { [name: string]: ArgumentSchema }, required: string[]): ArgumentSchema {
  return { type: 'object', properties, required, additionalProperties: false };
}
/** A digest or git id, whose exact form its reader checks. */
export const HEX_ID: ArgumentSchema = { type: 'string', minLength: 40, maxLength: 71 };
