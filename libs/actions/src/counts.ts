/**
 * Test counts for people, read from TAP or from the summary of node:test's reporters. Must never decide a verdict: the exit code of the command does
 * (SECURITY §6.8 "evidence is produced by the runtime").
 */

export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** Colours that a reporter may put around its lines. */
// The escape character begins every colour.
const COLOUR = /\u001b\[[0-9;]*m/g;
/** `# pass 3` in TAP, `ℹ pass 3` in the spec reporter. */
const SUMMARY = /^(?:#|\u2139) (tests|pass|fail|cancelled|skipped|todo) (\d{1,9})$/;
const RESULT = /^(not )?ok\b(?: \d+)?(?: - )?.*?(# *(?:skip|todo)\b.*)?$/i;
const PLAN = /^1\.\.\d{1,9}\b/;

/** Counts where the output is one of the known forms, else null. The last summary counts: output of inner runs comes before it. */
export function countsOf(output: string): TestCounts | null {
  const lines = output.replace(COLOUR, '').split(/\r?\n/);
  return fromSummary(lines) ?? fromResults(lines);
}

function fromSummary(lines: readonly string[]): TestCounts | null {
  const seen = new Map<string, number>();
  for (const line of lines) {
    const match = SUMMARY.exec(line);
    if (match !== null) seen.set(match[1] ?? '', Number(match[2]));
  }
  const [passed, failed] = [seen.get('pass'), seen.get('fail')];
  if (!seen.has('tests') || passed === undefined || failed === undefined) return null;
  return { passed, failed: failed + (seen.get('cancelled') ?? 0), skipped: (seen.get('skipped') ?? 0) + (seen.get('todo') ?? 0) };
}

/** Plain TAP: results at the left margin, valid only with a plan. */
function fromResults(lines: readonly string[]): TestCounts | null {
  if (!lines.some((line) => PLAN.test(line))) return null;
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const line of lines) {
    const match = RESULT.exec(line);
    if (match === null) continue;
    if (match[2] !== undefined) counts.skipped += 1;
    else if (match[1] === undefined) counts.passed += 1;
    else counts.failed += 1;
  }
  return counts;
}
