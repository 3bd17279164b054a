/**
 * `cargo test` and the compiler's messages of `cargo build`: one summary for each test binary, added up.
 */
import { failureOf } from './text.ts';
import { type ReportFailure, type ReportReader, UNKNOWN } from './types.ts';

const SUMMARY = /^test result: (?:ok|FAILED)\. (\d{1,9}) passed; (\d{1,9}) failed; (\d{1,9}) ignored;/;
const FAILED = /^test (\S.*) \.\.\. FAILED$/;
const PANIC = /^thread '([^']{1,500})' (?:\(\d{1,20}\) )?panicked at (.+):(\d{1,9}):\d{1,9}:$/;
/** Before Rust 1.73 the message stood first. */
const OLD_PANIC = /^thread '([^']{1,500})' panicked at '(.*)', ([^:']{1,500}):(\d{1,9}):\d{1,9}$/;
const PANIC_LINES = 10;
const DIAGNOSTIC = /^(error|warning)(?:\[(\w{1,20})\])?: (.*)$/;
const ARROW = /^ *--> (.+):(\d{1,9}):\d{1,9}$/;

/** Tests, compiler errors, or both. */
export const readCargo: ReportReader = ({ lines }) => {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  let summaries = 0;
  for (const line of lines) {
    const match = SUMMARY.exec(line);
    if (match === null) continue;
    summaries += 1;
    sum.passed += Number(match[1]);
    sum.failed += Number(match[2]);
    sum.skipped += Number(match[3]);
  }
  const { errors, warnings } = diagnosticsOf(lines);
  if (summaries === 0 && errors.length === 0) return null;
  const tests = summaries === 0 ? {} : sum;
  return {
    format: 'cargo',
    counts: { ...UNKNOWN, ...tests, errors: errors.length, warnings },
    failures: [...testFailures(lines), ...errors],
    contested: false,
  };
};

function testFailures(lines: readonly string[]): readonly ReportFailure[] {
  const panics = new Map<string, ReportFailure>();
  for (const [at, line] of lines.entries()) {
    const old = OLD_PANIC.exec(line);
    if (old !== null)
      panics.set(old[1] ?? '', failureOf({ name: old[1] ?? '', file: old[3] ?? '', line: old[4] ?? null, message: [old[2] ?? ''] }));
    const match = PANIC.exec(line);
    if (match === null || panics.has(match[1] ?? '')) continue;
    const after = lines.slice(at + 1, at + 1 + PANIC_LINES);
    const end = after.findIndex((one) => /^(?:stack backtrace:|note: |$)/.test(one));
    const message = end < 0 ? after : after.slice(0, end);
    panics.set(match[1] ?? '', failureOf({ name: match[1] ?? '', file: match[2] ?? '', line: match[3] ?? null, message }));
  }
  return lines.flatMap((line) => {
    const name = FAILED.exec(line)?.[1];
    if (name === undefined) return [];
    return [panics.get(name) ?? failureOf({ name, message: [] })];
  });
}

/** Errors and warnings that point into a file; the closing lines of cargo do not. */
function diagnosticsOf(lines: readonly string[]): { readonly errors: readonly ReportFailure[]; readonly warnings: number } {
  const errors: ReportFailure[] = [];
  let warnings = 0;
  for (const [at, line] of lines.entries()) {
    const match = DIAGNOSTIC.exec(line);
    const arrow = match === null ? null : ARROW.exec(lines[at + 1] ?? '');
    if (match === null || arrow === null) continue;
    if (match[1] === 'warning') warnings += 1;
    else errors.push(failureOf({ name: match[2] ?? null, file: arrow[1] ?? '', line: arrow[2] ?? null, message: [match[3] ?? ''] }));
  }
  return { errors, warnings };
}
