/**
 * Names that nobody's command may bring into the tree by the way: what git, hooks, editors, shells' environments and coding agents obey by themselves
 * (SECURITY A20). Narrower than `AUTO_RUN_PATTERNS`, which also holds what projects and their tests write all day, such as package.json: that is
 * for a patch to be looked at; this is for a check whose leftovers are put back, where only appearing is the sign.
 */
import { AGENTS_OBEY, EDITORS_OBEY, GIT_OBEYS, HOOK_MANAGERS, SHELLS_OBEY } from '@openexec/protocol';
import { namesMatcher } from './autorun.ts';

/** Exact, `prefix*` or `*suffix`, of any segment of a path; ASCII case ignored. */
export const PROTECTED_NAMES: readonly string[] = ['.git', ...GIT_OBEYS, ...HOOK_MANAGERS, ...SHELLS_OBEY, ...EDITORS_OBEY, ...AGENTS_OBEY];

const matches = namesMatcher(PROTECTED_NAMES);

/** Whether a path is protected: by its names, or because it lies at or under one of the profile's own protected paths. */
export function isProtected(path: string, protectedPaths: readonly string[]): boolean {
  return (
    matches(path) ||
    protectedPaths.some((pattern) => {
      const folder = pattern.replace(/\/\*\*$/, '');
      return path === folder || path.startsWith(`${folder}/`);
    })
  );
}
