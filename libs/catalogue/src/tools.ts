/**
 * How an action is shown to a model, and how a model's claims about itself are taken off again. Must never let a claim reach an argument: claims
 * are recorded and read by nothing (MECHANICS part 2 "claims about risk", PROTOCOL §4.2).
 */
import type { Json } from '@openexec/canon';
import type { ActionContract, ArgumentSchema, Claims } from '@openexec/protocol';
import { isObject } from './arguments.ts';
import type { ToolDeclaration } from './ports.ts';

const RATIONALE_MAX = 2000;
const CLAIMED_RISK_MAX = 200;
const CLAIM_PROPERTIES: { readonly [name: string]: Json } = {
  rationale: {
    type: 'string',
    maxLength: RATIONALE_MAX,
    description: 'Optional: why this call is needed, in one sentence. Recorded; it does not influence the decision.',
  },
  claimedRisk: {
    type: 'string',
    maxLength: CLAIMED_RISK_MAX,
    description: 'Optional: how risky you think this call is. Recorded; it does not influence the decision.',
  },
};

/** The JSON Schema of a schema of the closed subset; member order is fixed so that the same action gives the same bytes. */
function schemaJson(schema: ArgumentSchema): Json {
  const described = schema.description === undefined ? {} : { description: schema.description };
  if (schema.type === 'array') {
    const bounds = {
      ...(schema.minItems === undefined ? {} : { minItems: schema.minItems }),
      ...(schema.maxItems === undefined ? {} : { maxItems: schema.maxItems }),
    };
    return { type: 'array', ...described, items: schemaJson(schema.items), ...bounds };
  }
  if (schema.type === 'object') {
    const properties = Object.fromEntries(Object.entries(schema.properties).map(([name, inner]) => [name, schemaJson(inner)]));
    return { type: 'object', ...described, properties, required: [...schema.required], additionalProperties: false };
  }
  // A schema without a type admits every value; its bound is ours, not a keyword of JSON Schema.
  if (schema.type === 'json') return described;
  // Scalars hold nothing but JSON; a copy keeps the contract's own object out of foreign hands.
  return { ...schema };
}

/** What a model is told about an action. Throws when the action has no object of arguments or uses the name of a claim: a broken contract. */
export function toolDeclaration(action: ActionContract): ToolDeclaration {
  if (action.arguments.type !== 'object') throw new Error(`the arguments of ${action.name} are not an object`);
  const taken = Object.keys(CLAIM_PROPERTIES).find((name) =>
    Object.hasOwn(action.arguments.type === 'object' ? action.arguments.properties : {}, name),
  );
  if (taken !== undefined) throw new Error(`${action.name} has an argument named ${taken}, which is the name of a claim`);
  const parameters = schemaJson(action.arguments);
  if (!isObject(parameters) || !isObject(parameters['properties'])) throw new Error(`the schema of ${action.name} is not an object`);
  return {
    name: action.name,
    description: action.description,
    parameters: { ...parameters, properties: { ...parameters['properties'], ...CLAIM_PROPERTIES } },
  };
}

/** Cuts without leaving half of a surrogate pair. */
export function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  const last = text.charCodeAt(max - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? max - 1 : max);
}

/**
 * Moves `rationale` and `claimedRisk` off the arguments. A claim that is not a string stays where it is, so that the schema refuses it; a null is
 * taken as not given, since some providers fill every optional member.
 */
export function splitClaims(args: Json): { readonly claims: Claims; readonly arguments: Json } {
  if (!isObject(args)) return { claims: { rationale: null, claimedRisk: null }, arguments: args };
  const rest: { [name: string]: Json } = {};
  const claims: { rationale: string | null; claimedRisk: string | null } = { rationale: null, claimedRisk: null };
  for (const [name, value] of Object.entries(args)) {
    if ((name === 'rationale' || name === 'claimedRisk') && (typeof value === 'string' || value === null)) {
      claims[name] = value === null ? null : cut(value, name === 'rationale' ? RATIONALE_MAX : CLAIMED_RISK_MAX);
      // defineProperty, because plain assignment to `__proto__` would lose the member.
    } else Object.defineProperty(rest, name, { value, enumerable: true, configurable: true, writable: true });
  }
  return { claims, arguments: rest };
}
