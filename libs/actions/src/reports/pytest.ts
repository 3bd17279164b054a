/**
 * pytest's terminal report, with or without `-q`: the closing line for counts, the short summary for names, the traces for places.
 */
import { failureOf, fileOf, ITEMS_MAX, type Place } from './text.ts';
import { type ReportCounts, type ReportFailure, type ReportReader, UNKNOWN } from './types.ts';

const CLOSING = /^(?:=+ )?(\d.*|no tests ran) in [\d.]{1,20}s(?: \([\d:, a-z]{1,40}\))?(?: =+)?$/;
const PART = /^(\d{1,9}) (passed|failed|skipped|errors?|xfailed|xpassed|deselected|warnings?|rerun|subtests passed|subtests failed)$/;
const HEADING = /^_{3,} (?:ERROR (?:at setup of|at teardown of|collecting) )?(.+?) _{3,}$/;
const SUMMARY = /^(FAILED|ERROR) (\S.*)$/;

/** The whole report. */
export const readPytest: ReportReader = ({ lines }) => {
  let counts: ReportCounts | null = null;
  let last: string | null = null;
  let contested = false;
  for (const line of lines) {
    const inner = CLOSING.exec(line)?.[1];
    const read = inner === undefined ? null : countsOf(inner);
    if (read === null) continue;
    contested ||= counts !== null && JSON.stringify(read) !== last;
    [counts, last] = [read, JSON.stringify(read)];
  }
  return counts === null ? null : { format: 'pytest', counts, failures: failuresOf(lines), contested };
};

function countsOf(inner: string): ReportCounts | null {
  const seen = new Map<string, number>();
  if (inner !== 'no tests ran') {
    for (const part of inner.split(', ')) {
      const match = PART.exec(part);
      if (match === null) return null;
      seen.set((match[2] ?? '').replace(/^(error|warning)s$/, '$1'), Number(match[1]));
    }
  }
  const of = (...names: readonly string[]): number => names.reduce((sum, name) => sum + (seen.get(name) ?? 0), 0);
  return {
    ...UNKNOWN,
    passed: of('passed', 'xpassed'),
    failed: of('failed'),
    skipped: of('skipped', 'xfailed'),
    errors: of('error'),
    warnings: of('warning'),
  };
}

/** A section of the report: heading and the last place that its trace names in each file. */
interface Section {
  readonly heading: string;
  readonly places: Map<string, Place>;
  readonly message: string[];
}

function failuresOf(lines: readonly string[]): readonly ReportFailure[] {
  const sections = sectionsOf(lines);
  const from = lines.findLastIndex((line) => /^=+ short test summary info =+$/.test(line));
  const listed =
    from < 0
      ? []
      : lines
          .slice(from + 1)
          .flatMap((line) => SUMMARY.exec(line)?.[2] ?? [])
          .slice(0, ITEMS_MAX);
  if (from < 0)
    return sections.map(({ heading, places, message }) => failureOf({ name: heading, ...[...places.values()].at(-1), message }));
  return listed.map((entry) => {
    // A parameter may hold " - " too; the names of files do not begin a message.
    const dash = entry.indexOf(' - ');
    const id = dash < 0 ? entry : entry.slice(0, dash);
    const [file = '', ...names] = id.split('::');
    const heading = names.length === 0 ? file : names.join('.');
    const section = sections.find((one) => one.heading === heading && (one.places.size === 0 || one.places.has(file))) ?? null;
    const message = dash < 0 ? (section?.message ?? []) : [entry.slice(dash + 3)];
    return failureOf({ name: id, file, line: section?.places.get(file)?.line ?? null, message });
  });
}

function sectionsOf(lines: readonly string[]): readonly Section[] {
  const sections: Section[] = [];
  for (const line of lines) {
    const heading = line.startsWith('___') ? HEADING.exec(line)?.[1] : undefined;
    if (heading !== undefined && sections.length >= ITEMS_MAX) return sections;
    if (heading !== undefined) sections.push({ heading, places: new Map(), message: [] });
    const section = sections.at(-1);
    if (section === undefined) continue;
    if (line.startsWith('E  ')) section.message.push(line.slice(1));
    const match = /^([^\s:][^:]{0,500}\.py):(\d{1,9}): /.exec(line) ?? /^E +File "([^"]{1,500})", line (\d{1,9})$/.exec(line);
    const file = match === null ? null : fileOf(match[1] ?? '');
    if (match !== null && file !== null) section.places.set(file, { file, line: Number(match[2]) });
  }
  return sections;
}
