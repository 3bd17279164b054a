/**
 * The TypeScript compiler, pretty or plain. Errors are counted by their lines, since the plain form has no summary; it prints nothing where it finds none.
 */
import { failureOf } from './text.ts';
import { type ReportFailure, type ReportReader, UNKNOWN } from './types.ts';

const PLAIN = /^(.+)\((\d{1,9}),\d{1,9}\): (error|warning) (TS\d{1,6}): (.*)$/;
const PRETTY = /^(.+):(\d{1,9}):\d{1,9} - (error|warning) (TS\d{1,6}): (.*)$/;
const GLOBAL = /^error (TS\d{1,6}): (.*)$/;
const TOTAL = /^Found (\d{1,9}) errors?(?: in .*|\..*|)$/;

/** The whole output. */
export const readTsc: ReportReader = ({ lines }) => {
  const failures: ReportFailure[] = [];
  let warnings = 0;
  for (const line of lines) {
    const match = PLAIN.exec(line) ?? PRETTY.exec(line);
    const global = GLOBAL.exec(line);
    if (match?.[3] === 'warning') warnings += 1;
    else if (match !== null)
      failures.push(failureOf({ name: match[4] ?? null, file: match[1] ?? '', line: match[2] ?? null, message: [match[5] ?? ''] }));
    else if (global !== null) failures.push(failureOf({ name: global[1] ?? null, message: [global[2] ?? ''] }));
  }
  const totals = lines.flatMap((line) => TOTAL.exec(line)?.[1] ?? []);
  if (failures.length === 0 && warnings === 0 && totals.length === 0) return null;
  const total = totals.at(-1);
  const contested = total !== undefined && Number(total) !== failures.length;
  return { format: 'tsc', counts: { ...UNKNOWN, errors: failures.length, warnings }, failures, contested };
};
