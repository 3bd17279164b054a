/**
 * Median, ninetieth part and greatest of what tidy measures, per package, and the limits that hold for a package as a whole.
 */
import type { Source } from '../lib/ast.ts';
import { exportedDeclarations, functionLengths, isGenerated } from './rules.ts';

/** The measures of one package's sources. */
export interface Measures {
  readonly files: number;
  readonly lines: number;
  readonly fileLines: Spread;
  readonly functionLines: Spread;
  readonly exports: number;
  readonly documented: number;
}

/** Three points of a distribution; zeros when there is nothing. */
export interface Spread {
  readonly median: number;
  readonly p90: number;
  readonly max: number;
}

/** The nearest-rank points of a list of numbers. */
export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
  return { median: at(0.5), p90: at(0.9), max: at(1) };
}

/** Measures the given source files; generated ones are left out. */
export function measure(sources: readonly Source[]): Measures {
  const written = sources.filter((one) => !isGenerated(one));
  const lines = written.map((one) => one.text.split('\n').length - 1);
  const exported = written.flatMap(exportedDeclarations);
  return {
    files: written.length,
    lines: lines.reduce((sum, one) => sum + one, 0),
    fileLines: spread(lines),
    functionLines: spread(written.flatMap((one) => functionLengths(one).map((fn) => fn.lines))),
    exports: exported.length,
    documented: exported.filter((one) => one.documented).length,
  };
}

/** STYLE: below this share of documented exports a package is refused; the pure floors need every one. */
const DOCUMENTED_SHARE = 0.9;

/** The limits of a package as a whole. `large` is the decision that allows more lines, or null. */
export function judgePackage(
  measures: Measures,
  limits: { readonly maxLines: number; readonly large: string | null; readonly decisions: ReadonlySet<string> },
): string[] {
  const found: string[] = [];
  const allowed = limits.large !== null && limits.decisions.has(limits.large);
  if (measures.lines > limits.maxLines && !allowed)
    found.push(`${measures.lines} lines of source, at most ${limits.maxLines} without a decision named in house.json`);
  if (measures.documented < measures.exports * DOCUMENTED_SHARE)
    found.push(`${measures.documented} of ${measures.exports} exports documented, at least ${DOCUMENTED_SHARE * 100} %`);
  return found;
}
