/**
 * Why a bundle is refused, and where. Must never be thrown: a broken policy is a value that stops the work before anything is done (GOALS E02).
 */

/** Why a bundle is refused. */
export type PolicyProblemCode =
  | 'policy.malformed'
  | 'policy.unknownKey'
  | 'policy.unknownOperator'
  | 'policy.unknownField'
  | 'policy.claim'
  | 'policy.value'
  | 'policy.number'
  | 'policy.tooDeep'
  | 'policy.duplicateRule'
  | 'policy.terms'
  | 'policy.example';

/** One problem; `path` leads through the parsed data, so that a shell can name file and line. */
export interface PolicyProblem {
  readonly code: PolicyProblemCode;
  readonly message: string;
  readonly path: readonly (string | number)[];
}
