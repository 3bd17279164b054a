/**
 * The policy language, version 1, over parsed data: closed, total, three-valued, no code. PROTOCOL §7.
 */
export { checkBundle, policySetDigest, readBundle } from './bundle.ts';
export { compileSet, evaluateSet, inOrder, strictest } from './compile.ts';
export type { LayeredPolicy, LayerVerdict, PolicyOutcome } from './compile.ts';
export { draftBundle, type FieldValues, type Wanted } from './draft.ts';
export { type ExampleOutcome, testBundle } from './examples.ts';
export { explain } from './explain.ts';
export { POLICY_FIELDS } from './fields.ts';
export type { PolicyProblem, PolicyProblemCode } from './problem.ts';
export { REGULATED } from './regulated.ts';
export { SOLO } from './shipped.ts';
export { anyNamed } from './operators.ts';
export { askedValues, readingDenied, type ReadingProbe } from './reading.ts';
export { type FieldChange, type RuleChange, type RuleWhy, type Why, why, whyLines } from './why.ts';
export { joinTerms, type PolicyVerdict } from './strictness.ts';
