/**
 * The arguments of apply_patch as one change, whatever their format: read once, by the same code for the kernel, which names the paths, and for the
 * hands, which apply it. Must never have a second reader: two that disagree are a hole (D-1).
 */
import { type Bytes, digestOf, err, type Json, ok, type Result, utf8Encode } from '@openexec/canon';
import { checkPatchArguments, member } from './arguments.ts';
import { conflictAt } from './conflict.ts';
import type { ArgumentError, PatchConflict } from './errors.ts';
import type { Meter } from './find.ts';
import { type ParsedPatch, parsePatch } from './patch.ts';
import { applyPatch, type PatchEdit } from './patchApply.ts';
import { REDACTION_MARKER } from './patchReader.ts';
import { checkPath } from './paths.ts';
import { applyEdits, parseEdits, type SearchReplace } from './searchReplace.ts';
import { parseV4a, type V4aPatch } from './v4a.ts';
import { applyV4a } from './v4aApply.ts';

/** One new text for one file; `expected` is the digest of the present one, `absent`, or null where the arguments do not say. */
export interface WholeFile {
  readonly path: string;
  readonly content: string;
  readonly expected: string | null;
}
/** A change as read from checked arguments. */
export type Change =
  | { readonly format: 'unified'; readonly patch: ParsedPatch }
  | { readonly format: 'v4a'; readonly patch: V4aPatch }
  | { readonly format: 'search_replace'; readonly patch: SearchReplace }
  | { readonly format: 'whole_file'; readonly patch: WholeFile };
/** What must hold of a path before a change: `any` where the arguments do not say. */
export interface PatchTouch {
  readonly path: string;
  readonly needs: 'present' | 'absent' | 'any';
}

/** Comparisons that one change may cost while its places are looked for: about a second; a search costs two for each byte or line it looks at. */
export const SEARCH_BUDGET = 256 * 1024 * 1024;

/** Reads the arguments of an apply_patch; also checks that the members fit the format. */
export function readChange(args: Json): Result<Change, ArgumentError> {
  const shaped = checkPatchArguments(args);
  if (!shaped.ok) return shaped;
  const format = member(args, 'format');
  if (format === 'whole_file') return readWhole(args);
  if (format === 'search_replace') {
    const edits = member(args, 'edits');
    const parsed = parseEdits(Array.isArray(edits) ? (edits as readonly Json[]) : []);
    return parsed.ok ? ok({ format, patch: parsed.value }) : parsed;
  }
  const patch = textMember(args, 'patch');
  if (format === 'v4a') {
    const parsed = parseV4a(patch);
    return parsed.ok ? ok({ format, patch: parsed.value }) : parsed;
  }
  const parsed = parsePatch(patch);
  return parsed.ok ? ok({ format: 'unified', patch: parsed.value }) : parsed;
}

/** A member that the check of the arguments has found to be text. */
function textMember(args: Json, name: string): string {
  const value = member(args, name);
  if (typeof value !== 'string') throw new Error(`the member ${name} of checked arguments is no text`);
  return value;
}

function readWhole(args: Json): Result<Change, ArgumentError> {
  const path = checkPath(textMember(args, 'path'));
  if (!path.ok) return path;
  const content = textMember(args, 'content');
  if (content.includes(REDACTION_MARKER))
    return err({
      code: 'patch.redactionMarker',
      message: 'the new text holds a redaction marker, which would replace what it stands for; leave that part out',
    });
  const expected = member(args, 'expected');
  return ok({ format: 'whole_file', patch: { path: path.value, content, expected: typeof expected === 'string' ? expected : null } });
}

/** The paths of a change and what each needs, in its order, no path twice. */
export function touchesOf(change: Change): readonly PatchTouch[] {
  switch (change.format) {
    case 'whole_file': {
      const { path, expected } = change.patch;
      return [{ path, needs: expected === null ? 'any' : expected === 'absent' ? 'absent' : 'present' }];
    }
    case 'v4a':
      return change.patch.files.flatMap(({ path, kind, moveTo }): PatchTouch[] => [
        { path, needs: kind === 'create' ? 'absent' : 'present' },
        ...(moveTo === null ? [] : [{ path: moveTo, needs: 'absent' } as const]),
      ]);
    case 'unified':
    case 'search_replace':
      return change.patch.files.map(({ path, kind }) => ({ path, needs: kind === 'create' ? 'absent' : 'present' }));
  }
}

/** The edits, in the order of the change, or the first conflict: all files or none. `readPreImage` gives null where there is no such file. */
export function applyChange(
  change: Change,
  readPreImage: (path: string) => Bytes | null,
  meter: Meter = { left: SEARCH_BUDGET },
): Result<readonly PatchEdit[], PatchConflict> {
  switch (change.format) {
    case 'unified':
      return applyPatch(change.patch, readPreImage);
    case 'v4a':
      return applyV4a(change.patch, readPreImage, meter);
    case 'search_replace':
      return applyEdits(change.patch, readPreImage, meter);
    case 'whole_file':
      return applyWhole(change.patch, readPreImage);
  }
}

function applyWhole(whole: WholeFile, readPreImage: (path: string) => Bytes | null): Result<readonly PatchEdit[], PatchConflict> {
  const { path, content, expected } = whole;
  const before = readPreImage(path);
  const actual = before === null ? 'absent' : digestOf(before);
  if (expected !== null && expected !== actual)
    return conflictAt(
      'preImage.changed',
      { path, part: 'hunk', number: 0 },
      `is ${actual}, not ${expected}; read it again before you replace it`,
      { expected, found: actual },
    );
  const kind = before === null ? 'create' : 'modify';
  return ok([{ path, kind, content: utf8Encode(content), from: null, mode: null, shifted: [] }]);
}
