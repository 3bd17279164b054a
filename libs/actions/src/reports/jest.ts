/**
 * Jest: the summary and failure blocks of its text reporter, and `--json`, whose shape other runners share.
 */
import { countField, failureOf, fieldOf, framePlace, jsonLine, listField, type Place, textField } from './text.ts';
import { type ReportCounts, type ReportFailure, type ReportReader, UNKNOWN } from './types.ts';

const TITLE = / {2}\u25cf (.*)$/;
const SUITE_BROKEN = 'Test suite failed to run';
/** `Tests:       1 failed, 1 skipped, 1 todo, 2 passed, 5 total` */
const PARTS = /^(\d{1,9}) (failed|passed|skipped|pending|todo|total)$/;

/** The text reporter. Its summary is a line of suites and, right below, a line of tests. */
export const readJest: ReportReader = ({ lines }) => {
  let counts: ReportCounts | null = null;
  let last: string | null = null;
  let contested = false;
  for (const [at, line] of lines.entries()) {
    if (!line.startsWith('Tests: ') || lines[at - 1]?.startsWith('Test Suites: ') !== true) continue;
    const read = testsOf(line.slice('Tests:'.length));
    if (read === null) continue;
    contested ||= last !== null && last !== line;
    [counts, last] = [read, line];
  }
  if (counts === null) return null;
  const { failures, broken } = blocksOf(lines);
  return { format: 'jest', counts: { ...counts, errors: broken }, failures, contested };
};

function testsOf(text: string): ReportCounts | null {
  const seen = new Map<string, number>();
  for (const part of text.split(',')) {
    const match = PARTS.exec(part.trim());
    if (match === null) return null;
    seen.set(match[2] ?? '', Number(match[1]));
  }
  if (!seen.has('total')) return null;
  const of = (...names: readonly string[]): number => names.reduce((sum, name) => sum + (seen.get(name) ?? 0), 0);
  return { ...UNKNOWN, passed: of('passed'), failed: of('failed'), skipped: of('skipped', 'pending', 'todo') };
}

/** Blocks that begin with a dot and a title; long runs print them a second time, and the second is the same. */
function blocksOf(lines: readonly string[]): { readonly failures: readonly ReportFailure[]; readonly broken: number } {
  const failures = new Map<string, ReportFailure>();
  let broken = 0;
  let suite: string | null = null;
  for (const [at, line] of lines.entries()) {
    const head = /^(FAIL|PASS) (\S.*)$/.exec(line);
    if (head !== null) suite = head[1] === 'FAIL' ? (head[2] ?? '').replace(/ \([\d.]{1,12} m?s\)$/, '') : null;
    const title = line.startsWith('  \u25cf ') ? TITLE.exec(line)?.[1] : undefined;
    if (title === undefined || suite === null || title === 'Console') continue;
    const failure = blockOf(lines, at + 1, title, suite);
    const key = `${suite}\n${title}`;
    if (!failures.has(key) && title === SUITE_BROKEN) broken += 1;
    if (!failures.has(key)) failures.set(key, failure);
  }
  return { failures: [...failures.values()], broken };
}

function blockOf(lines: readonly string[], from: number, title: string, suite: string): ReportFailure {
  const message: string[] = [];
  let place: Place | null = null;
  let marked: number | null = null;
  for (let at = from; at < lines.length && place === null; at += 1) {
    const line = lines[at] ?? '';
    if (line !== '' && !line.startsWith('    ')) break;
    place = framePlace(line);
    const frame = /^ {4}(>)? *(\d{1,9}) \|/.exec(line);
    if (frame?.[1] !== undefined) marked = Number(frame[2]);
    if (frame === null && place === null && marked === null) message.push(line);
  }
  return failureOf({ name: title, file: place?.file ?? suite, line: place?.line ?? marked, message: fromError(message, title) });
}

/** A suite that could not be read says at length what may be wrong before it says what is. */
function fromError(message: readonly string[], title: string): readonly string[] {
  const at = title === SUITE_BROKEN ? message.findIndex((line) => /^\s*\w{0,60}Error: /.test(line)) : -1;
  return message.slice(Math.max(0, at));
}

/** One line with the whole result. */
export const readJestJson: ReportReader = ({ text }) => {
  let found: unknown;
  for (const line of text.split('\n')) {
    if (!line.startsWith('{') || !line.includes('"numTotalTests"')) continue;
    const value = jsonLine(line);
    if (countField(value, 'numTotalTests') !== null) found = value;
  }
  if (found === undefined) return null;
  if (countField(found, 'numPassedTests') === null || countField(found, 'numFailedTests') === null) return null;
  const add = (a: number | null, b: number | null): number | null => (a === null || b === null ? null : a + b);
  const counts: ReportCounts = {
    ...UNKNOWN,
    passed: countField(found, 'numPassedTests'),
    failed: countField(found, 'numFailedTests'),
    skipped: add(countField(found, 'numPendingTests'), countField(found, 'numTodoTests')),
    errors: countField(found, 'numRuntimeErrorTestSuites'),
  };
  return { format: 'jest_json', counts, failures: listField(found, 'testResults').flatMap(suiteFailures), contested: false };
};

function suiteFailures(suite: unknown): readonly ReportFailure[] {
  const file = textField(suite, 'name');
  const failed = listField(suite, 'assertionResults').filter((test) => textField(test, 'status') === 'failed');
  if (failed.length === 0 && textField(suite, 'status') === 'failed')
    return [blockOf(textField(suite, 'message').split('\n'), 1, SUITE_BROKEN, file)];
  return failed.map((test) => {
    const message = listField(test, 'failureMessages')
      .filter((part) => typeof part === 'string')
      .join('\n')
      .split('\n');
    const place = message.map(framePlace).find((one) => one !== null);
    const stated = fieldOf(fieldOf(test, 'location'), 'line');
    return failureOf({
      name: textField(test, 'fullName') || textField(test, 'title'),
      file: place?.file ?? file,
      line: place?.line ?? (typeof stated === 'number' ? stated : null),
      message: message.filter((line) => !line.trimStart().startsWith('at ')),
    });
  });
}
