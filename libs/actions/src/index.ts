/**
 * The hands: what the built-in actions really do, behind the port `ActionHost`. ARCHITECTURE §3 floor 5, PROTOCOL §9.
 */

export type { ActionFailure, ActionFailureCode } from './errors.ts';
export type { Hands } from './execution.ts';
export { createActionHost } from './host.ts';
