/**
 * A git view without the content of files that may not be read: what a command cannot see in the tree, it must not find in the history either. Must never
 * take an object over whose every name is masked (GOALS E01, SECURITY §3).
 */
import { existsSync } from 'node:fs';
import { digestJson, ok, type Result } from '@openexec/canon';
import { type BaseTree, isMasked, type WorkspaceFailure } from '@openexec/catalogue';
import { type GitPlace, git, gitPipe } from './git.ts';
import type { Identity } from './identity.ts';
import { makeView, type StepListener, type StorePlaces } from './store.ts';

/** The run's own git directory and what its view is of. */
export interface MaskedViewOptions {
  readonly places: StorePlaces;
  readonly store: GitPlace;
  readonly base: BaseTree;
  readonly owner: Identity;
  readonly onStep: StepListener;
}

/** Makes the view, or finds the one made for the same objects. Null where nothing of the base is masked: the plain view shows no more. */
export async function maskedView(options: MaskedViewOptions, masked: readonly string[]): Promise<Result<string | null, WorkspaceFailure>> {
  const { base, places, store, owner, onStep } = options;
  const files = base.listing.filter(({ mode }) => mode !== '160000');
  const paths = files.filter(({ path }) => isMasked(masked, path));
  const shown = new Set(files.filter(({ path }) => !isMasked(masked, path)).map(({ oid }) => oid));
  const hidden = new Set(paths.map(({ oid }) => oid).filter((oid) => !shown.has(oid)));
  if (paths.length === 0) return ok(null);
  const place = `${places.view}-${digestJson([[...hidden].sort(), paths.map(({ path }) => path)]).slice(-32)}`;
  if (existsSync(place)) return ok(place);
  const listed = await git({ at: store, args: ['rev-list', '--objects', '--no-object-names', base.commit] });
  if (!listed.ok) return listed;
  const kept = listed.value
    .toString('ascii')
    .split('\n')
    .filter((oid) => oid !== '' && !hidden.has(oid));
  const made = await makeView(
    { places, commit: base.commit, format: base.objectFormat, owner, onStep },
    place,
    async (making) => {
      const packed = await gitPipe(
        { at: store, args: ['pack-objects', '-q', '--stdout', '--delta-base-offset'], stdin: Buffer.from(`${kept.join('\n')}\n`) },
        { at: { gitDir: making }, args: ['index-pack', '--stdin'] },
      );
      return packed.ok ? ok(undefined) : packed;
    },
    paths.map(({ path }) => path),
  );
  return made.ok ? ok(place) : made;
}
