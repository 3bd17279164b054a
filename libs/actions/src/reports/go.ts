/**
 * `go test` as text and as `-json`. Without `-v` the text names failures only: what passed or was skipped is then not known, and is not said to be 0.
 */
import { failureOf, jsonLine, textField } from './text.ts';
import { type ReportFailure, type ReportReader, UNKNOWN } from './types.ts';

const PACKAGE = /^(?:ok {2}|FAIL|\? {3})\t(\S+)(?:\t| \[|$)/;
const BROKEN = /^FAIL\t(\S+) \[(?:build|setup) failed\]$/;
const RESULT = /^( *)--- (PASS|FAIL|SKIP): (\S+)(?: \(|$)/;
const RUNNING = /^=== (?:RUN|CONT|NAME) +(\S+)$/;
const PLACE = /^\s+([^\s:]{1,300}\.go):(\d{1,9}): ?(.*)$/;
/** The compiler's, at the left margin. */
const COMPILER = /^([^\s:]{1,500}\.go):(\d{1,9})(?::\d{1,9})?: (.*)$/;
const LINES_MAX = 50;
/** Levels of subtests that are looked at; a name can hold any number of slashes. */
const LEVELS_MAX = 16;

/** One test: how it ended, and what it said. */
interface GoTest {
  outcome: 'PASS' | 'FAIL' | 'SKIP' | null;
  readonly group: string;
  readonly name: string;
  readonly said: string[];
}

/** A test with subtests has the outcome of these; only the leaves are counted. */
function leavesOf(tests: readonly GoTest[]): readonly GoTest[] {
  const parents = new Set<string>();
  for (const { group, name } of tests) {
    let slash = name.lastIndexOf('/');
    for (let level = 0; slash > 0 && level < LEVELS_MAX; level += 1, slash = name.lastIndexOf('/', slash - 1)) {
      const key = `${group}\n${name.slice(0, slash)}`;
      if (parents.has(key)) break;
      parents.add(key);
    }
  }
  return tests.filter(({ group, name }) => !parents.has(`${group}\n${name}`));
}

function failureOfTest({ group, name, said }: GoTest): ReportFailure {
  const at = said.findIndex((line) => PLACE.test(line));
  const place = at < 0 ? null : PLACE.exec(said[at] ?? '');
  const message = place === null ? said : [place[3] ?? '', ...said.slice(at + 1).filter((line) => /^\s{8}/.test(line))];
  return failureOf({ name: group === '' ? name : `${group}.${name}`, file: place?.[1] ?? null, line: place?.[2] ?? null, message });
}

function compilerFailures(lines: readonly string[]): readonly ReportFailure[] {
  return lines.flatMap((line) => {
    const match = COMPILER.exec(line);
    return match === null ? [] : [failureOf({ name: null, file: match[1] ?? '', line: match[2] ?? null, message: [match[3] ?? ''] })];
  });
}

/** The text form: recognised by the line that `go test` prints for each package. */
export const readGo: ReportReader = ({ lines }) => {
  if (!lines.some((line) => PACKAGE.test(line) || BROKEN.test(line))) return null;
  const verbose = lines.some((line) => RUNNING.test(line));
  const tests = new Map<string, GoTest>();
  const get = (name: string): GoTest => {
    const test = tests.get(name) ?? { outcome: null, group: '', name, said: [] };
    tests.set(name, test);
    return test;
  };
  let current: GoTest | null = null;
  for (const line of lines) {
    const running = RUNNING.exec(line)?.[1];
    const result = RESULT.exec(line);
    if (running !== undefined) current = get(running);
    else if (result !== null) {
      current = get(result[3] ?? '');
      current.outcome = result[2] as GoTest['outcome'];
    } else if (PACKAGE.test(line) || line === 'FAIL' || line === 'PASS') current = null;
    else if (current !== null && current.said.length < LINES_MAX) current.said.push(line);
  }
  const ended = leavesOf([...tests.values()]).filter(({ outcome }) => outcome !== null);
  const count = (outcome: GoTest['outcome']): number => ended.filter((one) => one.outcome === outcome).length;
  const failures = [...ended.filter(({ outcome }) => outcome === 'FAIL').map(failureOfTest), ...compilerFailures(lines)];
  const counts = {
    ...UNKNOWN,
    passed: verbose ? count('PASS') : null,
    failed: count('FAIL'),
    skipped: verbose ? count('SKIP') : null,
    errors: lines.filter((line) => BROKEN.test(line)).length,
  };
  return { format: 'go', counts, failures, contested: false };
};

const ACTIONS: ReadonlyMap<string, GoTest['outcome']> = new Map([
  ['pass', 'PASS'],
  ['fail', 'FAIL'],
  ['skip', 'SKIP'],
]);

/** `go test -json`: one event a line. */
export const readGoJson: ReportReader = ({ text }) => {
  const tests = new Map<string, GoTest>();
  const failedPackages = new Set<string>();
  const compiler: string[] = [];
  let recognised = false;
  for (const line of text.split('\n')) {
    if (!line.startsWith('{') || !line.includes('"Action"')) continue;
    const event = jsonLine(line);
    const [action, group, name] = [textField(event, 'Action'), textField(event, 'Package'), textField(event, 'Test')];
    if (action === '' || (group === '' && textField(event, 'ImportPath') === '')) continue;
    recognised = true;
    const said = textField(event, 'Output').replace(/\n$/, '');
    if (action === 'build-output' || (action === 'output' && name === '')) compiler.push(said);
    if (action === 'fail' && name === '') failedPackages.add(group);
    if (name === '') continue;
    const test = tests.get(`${group}\n${name}`) ?? { outcome: null, group, name, said: [] };
    tests.set(`${group}\n${name}`, test);
    if (action === 'output' && test.said.length < LINES_MAX && !RUNNING.test(said) && !RESULT.test(said)) test.said.push(said);
    test.outcome = ACTIONS.get(action) ?? test.outcome;
  }
  if (!recognised) return null;
  const leaves = leavesOf([...tests.values()]);
  const count = (outcome: GoTest['outcome']): number => leaves.filter((one) => one.outcome === outcome).length;
  const failed = leaves.filter(({ outcome }) => outcome === 'FAIL');
  // A package that failed without a failed test could not be built, or its process died.
  const errors = [...failedPackages].filter((group) => !failed.some((test) => test.group === group)).length;
  const counts = { ...UNKNOWN, passed: count('PASS'), failed: failed.length, skipped: count('SKIP'), errors };
  return { format: 'go_json', counts, failures: [...failed.map(failureOfTest), ...compilerFailures(compiler)], contested: false };
};
