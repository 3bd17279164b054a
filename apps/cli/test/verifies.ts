/**
 * A test of an expectation, under its id. Must never take an id that the table does not have, nor one of which the table claims nothing. STYLE §10.20.
 */
import { test } from '@jest/globals';
import { REQUIREMENTS } from './requirements.ts';

/** `test`, with the id of the expectation before its title. */
export function verifies(id: string, title: string, work: () => Promise<void> | void, timeMs?: number): void {
  const known = REQUIREMENTS[id];
  if (known === undefined) throw new Error(`there is no expectation ${id}; requirements.ts has them all`);
  if (known.status === 'later') throw new Error(`${id} is proven by "${title}", and requirements.ts still says later`);
  test(`${id}: ${title}`, work, timeMs);
}
