/**
 * The policy language, version 1, over parsed data: closed, total, three-valued, no code. PROTOCOL §7.
 */
export { checkBundle, policySetDigest, readBundle } from './bundle.ts';
export { compileSet, evaluateSet, strictest } from './compile.ts';
export type { LayerVerdict, PolicyOutcome } from './compile.ts';
export { type ExampleOutcome, testBundle } from './examples.ts';
export { explain } from './explain.ts';
export { POLICY_FIELDS } from './fields.ts';
export type { PolicyProblem, PolicyProblemCode } from './problem.ts';
export { REGULATED } from './regulated.ts';
export { SOLO } from './shipped.ts';
export { anyNamed } from './operators.ts';
export { joinTerms, type PolicyVerdict } from './strictness.ts';
