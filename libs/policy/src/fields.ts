/**
 * The fields a policy may ask about, and how a dotted path is looked up. Must never reach past own members of plain data, and never offers
 * what a model claims about itself. PROTOCOL §7.
 */

import type { Json } from '@openexec/canon';

/** Every root and its members; null where the members are the caller's data and may nest at any depth. */
export const POLICY_FIELDS: Readonly<Record<string, readonly string[] | null>> = {
  intent: ['author'],
  arguments: null,
  action: ['name', 'effect', 'risk', 'idempotence', 'compensable'],
  paths: ['read', 'write', 'autoRun'],
  change: ['paths', 'autoRun'],
  hosts: null,
  writ: null,
  world: null,
  spend: ['settled', 'reserved', 'grant'],
  run: ['id', 'blueprint', 'base', 'opener'],
  stage: ['id', 'visit', 'type', 'sandbox'],
  actor: ['author'],
  time: ['at'],
  model: ['provider', 'model', 'host'],
};

/** A dotted path, split once. */
export function splitField(field: string): readonly string[] {
  return field.split('.');
}

/** The value at the path, or undefined when a step of it is missing. Arrays are stepped into by decimal index; nothing is inherited. */
export function lookup(fields: Json, path: readonly string[]): Json | undefined {
  let value: Json | undefined = fields;
  for (const step of path) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, step)) return undefined;
    // An array has own members besides its elements: only canonical indexes count.
    if (Array.isArray(value) && !/^(0|[1-9][0-9]*)$/.test(step)) return undefined;
    // Own, enumerable JSON members only, as was just asked.
    value = (value as Readonly<Record<string, Json>>)[step];
  }
  return value;
}
