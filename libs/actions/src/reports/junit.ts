/**
 * JUnit XML as Node, pytest, Jest's and Go's converters write it. Counts are of the test cases themselves, not of the attributes of their suites, which
 * tools fill in differently.
 */
import { failureOf, fileOf, framePlace, type Place } from './text.ts';
import { type ReportFailure, type ReportReader, UNKNOWN } from './types.ts';
import { scanXml, type XmlPart } from './xml.ts';

/** A test case while it is read. */
interface Case {
  readonly attributes: ReadonlyMap<string, string>;
  outcome: 'passed' | 'failed' | 'skipped' | 'error';
  readonly message: string[];
}

const OUTCOMES: ReadonlyMap<string, Case['outcome']> = new Map([
  ['failure', 'failed'],
  ['error', 'error'],
  ['skipped', 'skipped'],
]);

/** The first report in the output. */
export const readJunit: ReportReader = ({ text }) => {
  const from = text.search(/^[^\S\n]*(?:<\?xml [^<>\n]{0,200}\?>\s*)?<testsuites?[\s>]/m);
  if (from < 0) return null;
  const root = text.indexOf('<testsuite', from);
  const parts = scanXml(text, root);
  if (parts === null) return null;
  const cases = casesOf(parts);
  const count = (outcome: Case['outcome']): number => cases.filter((one) => one.outcome === outcome).length;
  const counts = { ...UNKNOWN, passed: count('passed'), failed: count('failed'), skipped: count('skipped'), errors: count('error') };
  const failures = cases.filter((one) => one.outcome === 'failed' || one.outcome === 'error').map(caseFailure);
  return { format: 'junit', counts, failures, contested: false };
};

function casesOf(parts: readonly XmlPart[]): readonly Case[] {
  const cases: Case[] = [];
  let current: Case | null = null;
  let inside: Case['outcome'] | null = null;
  for (const part of parts) {
    if (part.kind === 'text') {
      if (current !== null && (inside === 'failed' || inside === 'error')) current.message.push(part.text);
    } else if (part.kind === 'open') {
      if (part.name === 'testcase') current = { attributes: part.attributes, outcome: 'passed', message: [] };
      const outcome = OUTCOMES.get(part.name);
      if (current === null || outcome === undefined) continue;
      // A failure and an error in one case: it did not pass, and the first says why.
      if (current.outcome === 'passed' || current.outcome === 'skipped') current.outcome = outcome;
      current.message.push(part.attributes.get('message') ?? '');
      inside = outcome;
    } else {
      if (OUTCOMES.has(part.name)) inside = null;
      if (part.name !== 'testcase' || current === null) continue;
      cases.push(current);
      current = null;
    }
  }
  return cases;
}

function caseFailure({ attributes, message }: Case): ReportFailure {
  const lines = message.flatMap((text) => text.split('\n'));
  const place = lines.map(placeIn).find((one) => one !== null);
  const [group, name] = [attributes.get('classname') ?? '', attributes.get('name') ?? ''];
  return failureOf({
    name: group === '' || group === name || group === 'test' ? name : `${group} › ${name}`,
    file: attributes.get('file') ?? place?.file ?? null,
    line: attributes.get('line') ?? place?.line ?? null,
    message: [lines.find((line) => line.trim() !== '') ?? ''],
  });
}

/** A frame of JavaScript, or `FILE:LINE: ` as pytest ends its traces. */
function placeIn(line: string): Place | null {
  const frame = framePlace(line);
  if (frame !== null) return frame;
  const match = /^([^\s:][^:]{0,500}):(\d{1,9}): /.exec(line);
  const file = match === null ? null : fileOf(match[1] ?? '');
  return match === null || file === null ? null : { file, line: Number(match[2]) };
}
