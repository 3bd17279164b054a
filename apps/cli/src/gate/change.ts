/**
 * What a gate looks at: the commits of a change, and the base that they are beyond. The base is what is trusted: from there come the rules. Must never
 * find nothing to look at and call it good.
 */
import { err, ok, type Result } from '@openexec/canon';
import type { GitChange } from '@openexec/audit';
import {
  type CommitFacts,
  commitsBeyond,
  inspectRepository,
  pathsBetween,
  readCommit,
  type RepositoryFacts,
  resolveCommit,
} from '@openexec/workspace';
import { type Refusal, refusalFor, refuse } from '../exit.ts';
import { safeLine } from '../output.ts';

/** A commit under test, with what its message points at. */
export interface TestedCommit extends GitChange {
  readonly message: string;
}
/** A change as it was named. */
export interface Change {
  readonly repository: RepositoryFacts;
  readonly text: string;
  readonly base: string;
  /** Oldest last. */
  readonly commits: readonly TestedCommit[];
}

/** More is no change that anybody reviewed. */
const MAX_COMMITS = 1000;

/** Reads `COMMIT` (what it has and its first parent has not) or `BASE..COMMIT`. */
export async function readChange(cwd: string, text: string): Promise<Result<Change, Refusal>> {
  const repository = await inspectRepository(cwd);
  if (!repository.ok) return err(refusalFor(repository.error, 'workspace.failed'));
  const ends = await endsOf(repository.value, text);
  if (!ends.ok) return ends;
  const beyond = await commitsBeyond(repository.value, { ...ends.value, max: MAX_COMMITS });
  if (!beyond.ok) return err(refusalFor(beyond.error, 'workspace.failed'));
  if (beyond.value.length === 0)
    return refuse('change.empty', `${safeLine(text)} holds no commit: ${ends.value.base} has all that ${ends.value.tip} has`);
  const commits: TestedCommit[] = [];
  for (const facts of beyond.value) {
    const read = await testedCommit(repository.value, facts);
    if (!read.ok) return read;
    commits.push(read.value);
  }
  return ok({ repository: repository.value, text, base: ends.value.base, commits });
}

async function endsOf(
  repository: RepositoryFacts,
  text: string,
): Promise<Result<{ readonly base: string; readonly tip: string }, Refusal>> {
  const [from, to, ...more] = text.split('..');
  if (more.length > 0 || from === '' || to === '' || to?.startsWith('.') === true)
    return refuse('usage.invalid', `"${safeLine(text)}" is neither a commit nor BASE..COMMIT`);
  const tip = await resolveCommit(repository, to ?? from ?? '');
  if (!tip.ok) return err(refusalFor(tip.error, 'workspace.failed'));
  if (to !== undefined) {
    const base = await resolveCommit(repository, from ?? '');
    return base.ok ? ok({ base: base.value, tip: tip.value }) : err(refusalFor(base.error, 'workspace.failed'));
  }
  const facts = await readCommit(repository, tip.value);
  if (!facts.ok) return err(refusalFor(facts.error, 'workspace.failed'));
  const [base] = facts.value.parents;
  return base === undefined
    ? refuse('change.empty', `${tip.value} is a first commit: there is nothing that it changes, and no base that says by which rules`)
    : ok({ base, tip: tip.value });
}

async function testedCommit(repository: RepositoryFacts, facts: CommitFacts): Promise<Result<TestedCommit, Refusal>> {
  const { commit, tree, message } = facts;
  const parents: GitChange['parents'][number][] = [];
  for (const id of facts.parents) {
    const parent = await readCommit(repository, id);
    if (!parent.ok) return err(refusalFor(parent.error, 'workspace.failed'));
    parents.push({ commit: id, tree: parent.value.tree });
  }
  const [first] = parents;
  const files = first === undefined ? ok([]) : await pathsBetween(repository, { from: first.commit, to: commit });
  return files.ok ? ok({ commit, tree, message, parents, files: files.value }) : err(refusalFor(files.error, 'workspace.failed'));
}
