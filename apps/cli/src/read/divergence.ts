/**
 * One divergence in lines: where, what, expected and recorded, and every member that differs. Must never leave one out.
 */
import type { Divergence } from '@openexec/audit';
import { type Style, safeLine } from '../output.ts';

const VALUE_MAX = 300;

/** The lines of one divergence. */
export function divergenceLines(divergence: Divergence, style: Style): string[] {
  const { index, seq, kind, what, about, drift } = divergence;
  const head = `${style.red('✗')} index ${index}, seq ${seq}, ${kind.recorded ?? 'nothing recorded'}: ${what} (${about})`;
  if (drift.length === 0) return [head, ...both(divergence.expected, divergence.recorded)];
  return [
    head,
    ...drift.flatMap((place) => [
      `    ${safeLine(place.path === '' ? '(the whole)' : place.path, VALUE_MAX)}`,
      ...both(place.expected, place.recorded),
    ]),
  ];
}

function both(expected: string | null, recorded: string | null): string[] {
  const text = (value: string | null): string => (value === null ? 'nothing' : safeLine(value, VALUE_MAX));
  return [`      expected ${text(expected)}`, `      recorded ${text(recorded)}`];
}
