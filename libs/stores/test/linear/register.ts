/**
 * One trajectory as a register and a log: appends with and without an expected position, repeats, readings. What PROTOCOL §3 says of positions, small enough
 * to search; histories of different trajectories are checked apart, because linearizability composes.
 */
import type { Model, Operation } from './checker.ts';

/** What is asked: an append of a value behind position `expect` (or wherever the end is), or all values. */
export type Asked = { readonly is: 'append'; readonly expect: number | 'any'; readonly value: string } | { readonly is: 'read' };
/** What is answered. */
export type Answered =
  | { readonly is: 'appended' | 'duplicate'; readonly seq: number }
  | { readonly is: 'conflict'; readonly actual: number | null }
  | { readonly is: 'values'; readonly values: readonly string[] };
export type Step = Operation<Asked, Answered>;

/** The model of a trajectory that begins with these values. */
export function trajectoryModel(initial: readonly string[]): Model<readonly string[], Asked, Answered> {
  return {
    initial,
    key: (values) => values.join('\n'),
    step: (values, asked, answered) => {
      if (asked.is === 'read') {
        if (answered === null) return values;
        return answered.is === 'values' && answered.values.join('\n') === values.join('\n') ? values : null;
      }
      const { expect, value } = asked;
      const last = values.length - 1;
      if (expect !== 'any' && values[expect + 1] === value) return fits(answered, { is: 'duplicate', seq: expect + 1 }) ? values : null;
      if (expect === 'any' || expect === last) return fits(answered, { is: 'appended', seq: last + 1 }) ? [...values, value] : null;
      return fits(answered, { is: 'conflict', actual: last }) ? values : null;
    },
  };
}

function fits(answered: Answered | null, should: Answered): boolean {
  return answered === null || JSON.stringify(answered) === JSON.stringify(should);
}
