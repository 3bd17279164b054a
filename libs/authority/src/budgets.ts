/**
 * Arithmetic of budgets {tokens, usdMicros, calls}. Must never wrap, round or go below zero: a sum that would leave the safe integers stays at
 * their end, which no grant exceeds. PROTOCOL §5 "Budgets are conserved".
 */

import { err, ok, type Result } from '@openexec/canon';
import type { Amount } from '@openexec/protocol';

/** The dimensions of a budget, in the order in which a shortage is reported. */
export const BUDGET_DIMENSIONS = ['tokens', 'usdMicros', 'calls'] as const;
export type BudgetDimension = (typeof BUDGET_DIMENSIONS)[number];

/** Nothing of anything. */
export const NO_AMOUNT: Amount = Object.freeze({ tokens: 0, usdMicros: 0, calls: 0 });

/** A budget that does not suffice, and where. */
export interface BudgetProblem {
  readonly code: 'budget.exhausted';
  readonly message: string;
  readonly dimension: BudgetDimension;
}

/** The sum; saturates at the largest safe integer. */
export function addAmount(a: Amount, b: Amount): Amount {
  return combine((dimension) => Math.min(a[dimension] + b[dimension], Number.MAX_SAFE_INTEGER));
}

/** `a` without `b`. Throws when a dimension would go below zero: whoever releases more than was held has lost count. */
export function subtractAmount(a: Amount, b: Amount): Amount {
  return combine((dimension) => {
    if (b[dimension] > a[dimension]) throw new Error(`cannot take ${b[dimension]} from ${a[dimension]} ${dimension}`);
    return a[dimension] - b[dimension];
  });
}

/** Whether `a` exceeds `b` in no dimension. */
export function withinAmount(a: Amount, b: Amount): boolean {
  return BUDGET_DIMENSIONS.every((dimension) => a[dimension] <= b[dimension]);
}

/** Whether settled spend, live reservations and this request together stay within the grant; names the first dimension that does not. */
export function fitsBudget(options: { grant: Amount; settled: Amount; reserved: Amount; ask: Amount }): Result<void, BudgetProblem> {
  for (const dimension of BUDGET_DIMENSIONS) {
    // Taken away one by one, so that no sum can leave the safe integers.
    const left = options.grant[dimension] - options.settled[dimension] - options.reserved[dimension];
    if (options.ask[dimension] > left) {
      const message = `${dimension}: ${options.ask[dimension]} asked, ${Math.max(left, 0)} left of ${options.grant[dimension]}; open a run under a writ with a larger budget`;
      return err({ code: 'budget.exhausted', message, dimension });
    }
  }
  return ok(undefined);
}

function combine(of: (dimension: BudgetDimension) => number): Amount {
  return { tokens: of('tokens'), usdMicros: of('usdMicros'), calls: of('calls') };
}
