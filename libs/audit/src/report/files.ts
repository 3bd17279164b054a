/**
 * The files of a run against its base, from its commits alone: git ids and modes before, contents by digest after. Null where a commit or the listing
 * of the base cannot be read, for half a list would be a wrong one (PROTOCOL §8).
 */
import type { Json } from '@openexec/canon';
import { type Delta, fileValue, type ReportedRun, treeEntry } from '@openexec/protocol';

type Change = NonNullable<ReportedRun['files']>[number];
type After = NonNullable<Change['after']>;

export class ChangedFiles {
  readonly #before = new Map<string, { readonly oid: string; readonly mode: string }>();
  readonly #after = new Map<string, After | null>();
  #lost: string | null = 'the opening of the run cannot be read';

  /** Why the list is not known, or null. */
  get lost(): string | null {
    return this.#lost;
  }

  /** The listing of the base tree, as the blob of the opening has it; null where it cannot be read. */
  base(listing: Json | null): void {
    if (!Array.isArray(listing)) return this.lose('the listing of the base cannot be read');
    this.#lost = null;
    for (const each of listing as readonly Json[]) {
      const entry = treeEntry.safeParse(each);
      if (entry.success) this.#before.set(entry.data.path, { oid: entry.data.oid, mode: entry.data.mode });
      else this.lose('the listing of the base is none');
    }
  }

  /** From here on nothing can be said. */
  lose(because: string): void {
    this.#lost ??= because;
  }

  /** The steps of one commit, in the order of commits. */
  take(steps: Delta): void {
    for (const step of steps) {
      if (step.kind !== 'file') continue;
      const after = step.op === 'retract' ? null : contentOf(step.value);
      if (after === undefined) this.lose('a commit holds a file that is none');
      else this.#after.set(step.id, after);
    }
  }

  /** What differs from the base, by path; null where that is not known. */
  list(): readonly Change[] | null {
    if (this.#lost !== null) return null;
    const changes: Change[] = [];
    for (const path of [...this.#after.keys()].sort()) {
      const before = this.#before.get(path) ?? null;
      const after = this.#after.get(path) ?? null;
      if (before === null && after === null) continue;
      if (before !== null && after !== null && before.oid === after.oid && before.mode === after.mode) continue;
      changes.push({ path, change: before === null ? 'added' : after === null ? 'deleted' : 'modified', before, after });
    }
    return changes;
  }
}

function contentOf(value: Json): After | undefined {
  const content = fileValue.safeParse(value);
  return content.success ? content.data : undefined;
}
