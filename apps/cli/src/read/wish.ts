/**
 * An intent in a few words: the action and what it is about. For people only; decides nothing.
 */
import type { Json } from '@openexec/canon';
import { patchTouches } from '@openexec/catalogue';
import { safeLine } from '../output.ts';

const SUBJECT_MAX = 120;
/** Arguments that say best what a call is about, in this order. */
const SUBJECTS = ['path', 'directory', 'pattern', 'url', 'branch', 'command', 'model'];

/** `read_file src/a.ts`, `apply_patch src/a.ts, src/b.ts`. */
export function wishText(action: string, args: Json | null): string {
  const subject = subjectOf(args);
  return subject === '' ? safeLine(action, SUBJECT_MAX) : `${safeLine(action, SUBJECT_MAX)} ${safeLine(subject, SUBJECT_MAX)}`;
}

function subjectOf(args: Json | null): string {
  if (typeof args !== 'object' || args === null || Array.isArray(args)) return '';
  const members = args as { readonly [name: string]: Json };
  if (typeof members['patch'] === 'string' || Array.isArray(members['edits'])) {
    const touched = patchTouches(args);
    return touched.ok ? touched.value.map(({ path }) => path).join(', ') : '(a patch that cannot be read)';
  }
  for (const name of SUBJECTS) {
    const value = members[name];
    if (typeof value === 'string') return value;
  }
  return '';
}
