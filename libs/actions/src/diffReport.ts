/**
 * generate_diff_report: every file that differs from the base, with counts, and a unified diff within a bound. Must never leave a file out of the list,
 * whatever the repository says about it; what is too long to show is named with its counts (SECURITY §6.6, A20).
 */
import { type Json, ok, type Result, utf8Encode } from '@openexec/canon';
import { type ExecutionOrder, type FileDiff, isAutoRun } from '@openexec/catalogue';
import { type ActionFailure, fail, failWorkspace } from './errors.ts';
import {
  cutText,
  type Hands,
  isHidden,
  jsonArtifact,
  lossyText,
  type Outcome,
  OUTPUT_BYTES,
  type Perform,
  shownPath,
  textArgument,
  textOutcome,
} from './execution.ts';

/** What of all texts goes into the report. */
const DIFF_BYTES = 192 * 1024;
/** Files listed one by one; more are counted. A report is read by a model too. */
const LISTED_MAX = 1000;

/** The files that differ, with texts up to `maxBytes` of those that may be read; the tree must be the one that the ledger computed. */
export async function differences(
  order: ExecutionOrder,
  hands: Hands,
  tree: string,
  maxBytes: number,
): Promise<Result<readonly FileDiff[], ActionFailure>> {
  const present = await hands.workspace.tree();
  if (!present.ok) return failWorkspace(present.error);
  if (present.value !== tree)
    return fail('report.otherTree', `the workspace holds tree ${present.value}, the ledger computed ${tree}: run openexec verify`);
  const found = await hands.workspace.diff({ maxBytes });
  if (!found.ok) return failWorkspace(found.error);
  return ok(found.value.map((file) => (isHidden(order, file.path) ? { ...file, text: null } : file)));
}

/** One file as a line of JSON. */
function listed({ path, status, added, removed, text }: FileDiff): { readonly [name: string]: Json } {
  return { path, status, added, removed, binary: added === null, autoRun: isAutoRun(path), shown: text !== null };
}

/** One file as a line for people. */
export function statLine({ path, status, added, removed }: Pick<FileDiff, 'path' | 'status' | 'added' | 'removed'>): string {
  const counts = added === null ? 'binary' : `+${added} -${removed ?? 0}`;
  return `${status.padEnd(7)} ${counts.padEnd(12)} ${shownPath(path)}`;
}

/** Lines added and removed in all, binary files not counted. */
export function totals(files: readonly Pick<FileDiff, 'added' | 'removed'>[]): {
  readonly files: number;
  readonly added: number;
  readonly removed: number;
} {
  return {
    files: files.length,
    added: files.reduce((sum, { added }) => sum + (added ?? 0), 0),
    removed: files.reduce((sum, { removed }) => sum + (removed ?? 0), 0),
  };
}

/** `3 files, +10 -2`. */
export function totalLine(sum: ReturnType<typeof totals>): string {
  return `${sum.files} ${sum.files === 1 ? 'file' : 'files'}, +${sum.added} -${sum.removed}`;
}

/** Reports the difference of base and committed state as `diff_report`: JSON with the text in it, and the text as output. */
export const diffReport: Perform = async (order, hands) => {
  const tree = textArgument(order, 'tree') ?? '';
  const found = await differences(order, hands, tree, DIFF_BYTES);
  if (!found.ok) return found;
  const files = found.value;
  const sum = totals(files);
  const autoRun = files.filter(({ path }) => isAutoRun(path));
  const hidden = files.filter(({ text, added }) => text === null && added !== null).length;
  const diff = files.map(({ text }) => (text === null ? '' : lossyText(text))).join('');
  const report: Json = {
    version: 1,
    base: { commit: textArgument(order, 'base') ?? '', tree: textArgument(order, 'baseTree') ?? '' },
    tree,
    totals: { ...sum, binary: files.filter(({ added }) => added === null).length, notShown: hidden },
    files: files.slice(0, LISTED_MAX).map(listed),
    autoRun: autoRun.slice(0, LISTED_MAX).map(({ path }) => path),
    filesOmitted: Math.max(0, files.length - LISTED_MAX),
    diff,
  };
  return ok(outcomeOf({ files, autoRun, hidden, diff, report }));
};

function outcomeOf(made: {
  readonly files: readonly FileDiff[];
  readonly autoRun: readonly FileDiff[];
  readonly hidden: number;
  readonly diff: string;
  readonly report: Json;
}): Outcome {
  const { files, autoRun, hidden, diff, report } = made;
  const binary = files.filter(({ added }) => added === null);
  const summary = [
    totalLine(totals(files)),
    ...(binary.length === 0 ? [] : [`${binary.length} binary`]),
    ...(autoRun.length === 0 ? [] : [`${autoRun.length} run or obeyed by some tool`]),
    ...(hidden === 0 ? [] : [`the text of ${hidden} is too long to show, or may not be read`]),
  ].join('; ');
  const beyond = files.length > LISTED_MAX ? [`… and ${files.length - LISTED_MAX} more files`] : [];
  const apart =
    autoRun.length === 0 ? [] : ['', 'run or obeyed by some tool without being asked:', ...autoRun.slice(0, LISTED_MAX).map(statLine)];
  const text = [summary, ...files.slice(0, LISTED_MAX).map(statLine), ...beyond, ...apart, '', diff].join('\n');
  return textOutcome(summary, utf8Encode(cutText(text, OUTPUT_BYTES)), { artifacts: [jsonArtifact('diff_report', report)] });
}
