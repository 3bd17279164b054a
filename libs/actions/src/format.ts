/**
 * run_formatter: the configured command in the sandbox; of what it changed, what lies within the patterns of the order stays and anything else is put
 * back. Must never keep a change of a formatter that failed, nor one outside its patterns (PROTOCOL §9).
 */
import { matchPath } from '@openexec/authority';
import { canonicalText, ok, type Result } from '@openexec/canon';
import { type CommandOutcome, type FileEdit, isProtected, type TreeChanges } from '@openexec/catalogue';
import { type CheckWords, type Job, runConfigured, stopped, tell } from './check.ts';
import { type ActionFailure, fail, failWorkspace } from './errors.ts';
import { argumentsOf, jsonArtifact, type Outcome, type Perform, shownPath, textOutcome } from './execution.ts';

const WORDS: CheckWords = {
  command: 'format',
  subject: 'the formatter',
  passed: 'the formatter is done',
  failed: 'the formatter failed',
  artifact: 'format_report',
};
const LISTED_MAX = 200;
const NOTHING: TreeChanges = { changes: [], contents: new Map(), gitEntries: [] };

/** What stays and what was put back. */
interface Kept {
  readonly kept: TreeChanges;
  readonly putBack: readonly string[];
}

/** Runs the formatter. `failed` is its own verdict and changes nothing; `format.notKept` where its changes cannot be told apart safely. */
export const runFormatter: Perform = async (order, hands, stop) => {
  const job: Job = { order, hands, stop };
  const ran = await runConfigured(WORDS, job);
  if (!ran.ok) return undo(job, ran);
  const outcome = ran.value;
  if (outcome.stopped !== 'no') return undo(job, stopped(outcome, WORDS, job));
  const nothing = report(outcome, { kept: NOTHING, putBack: [] });
  if (outcome.exitCode !== 0) return undo(job, ok(nothing));
  const changed = await hands.workspace.changes();
  if (!changed.ok) return undo(job, failWorkspace(changed.error));
  const { changes, gitEntries } = changed.value;
  const touched = [...changes.map(({ path }) => path), ...gitEntries].filter((path) => isProtected(path, order.profile.protectedPaths));
  if (touched.length > 0) return undo(job, ok({ ...nothing, undeclared: touched.slice(0, LISTED_MAX) }));
  const kept = await keep(changed.value, job);
  return kept.ok ? ok(report(outcome, kept.value)) : kept;
};

/** The tree as it was committed, and then this answer. */
async function undo(job: Job, answer: Result<Outcome, ActionFailure>): Promise<Result<Outcome, ActionFailure>> {
  const restored = await job.hands.workspace.restore();
  return restored.ok ? answer : failWorkspace(restored.error);
}

/** Puts back what lies outside the patterns: all of it first, then what stays is written again. */
async function keep(changed: TreeChanges, { order, hands }: Job): Promise<Result<Kept, ActionFailure>> {
  const patterns = argumentsOf(order)['writePaths'];
  const allowed = Array.isArray(patterns) ? patterns.filter((each) => typeof each === 'string') : [];
  const inside = changed.changes.filter(({ path }) => allowed.some((pattern) => matchPath(pattern, path)));
  const outside = changed.changes.filter((change) => !inside.includes(change)).map(({ path }) => path);
  if (outside.length === 0) return ok({ kept: changed, putBack: [] });
  const { workspace } = hands;
  const restored = await workspace.restore();
  if (!restored.ok) return failWorkspace(restored.error);
  const edits: FileEdit[] = [];
  for (const { path, after } of inside) {
    const content = after === null ? null : changed.contents.get(after.blob);
    if (content === undefined || after?.mode === '120000')
      return fail(
        'format.notKept',
        `${shownPath(path)} cannot be kept apart from what lies outside the write paths (a link, or content that is not recorded); nothing was kept`,
      );
    edits.push({ path, content, mode: after?.mode === '100755' ? '100755' : '100644' });
  }
  const edited = await workspace.edit(edits);
  const now = edited.ok ? await workspace.changes() : edited;
  if (now.ok && canonicalText(now.value.changes) === canonicalText(inside)) return ok({ kept: now.value, putBack: outside });
  const again = await workspace.restore();
  if (!again.ok) return failWorkspace(again.error);
  if (!now.ok) return failWorkspace(now.error);
  return fail('format.notKept', 'what the formatter changed could not be written again as it was; nothing was kept');
}

function report(outcome: CommandOutcome, { kept, putBack }: Kept): Outcome {
  const paths = kept.changes.map(({ path }) => path);
  const beside = putBack.length === 0 ? '' : `; ${putBack.length} outside the write paths were put back`;
  const changed = outcome.exitCode === 0 ? `: ${paths.length === 0 ? 'nothing to change' : `${paths.length} files changed`}${beside}` : '';
  const told = tell(outcome, WORDS, changed);
  const { counts: _counts, ...plain } = told.report;
  return textOutcome(told.summary, told.output, {
    status: told.passed ? 'ok' : 'failed',
    exitCode: outcome.exitCode,
    changes: kept.changes,
    contents: kept.contents,
    scratch: putBack.slice(0, LISTED_MAX),
    artifacts: [
      jsonArtifact(WORDS.artifact, {
        ...plain,
        changed: paths.slice(0, LISTED_MAX),
        changedFiles: paths.length,
        putBack: putBack.slice(0, LISTED_MAX),
      }),
    ],
  });
}
