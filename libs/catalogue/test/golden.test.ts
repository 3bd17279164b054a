/**
 * Golden examples of every patch format: data files with the arguments, the files before, and what must come of them: files after, a refusal with its
 * line, or a conflict with its excerpts. The kernel's paths are compared with those of the edits on every example that applies.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { type Json, utf8Decode, utf8Encode } from '@openexec/canon';
import { applyChange, builtinActions, checkActionArguments, patchTouches, pathsOf, readChange } from '../src/index.ts';

interface Golden {
  readonly name: string;
  readonly arguments: Json;
  readonly files: Readonly<Record<string, string>>;
  readonly after?: Readonly<Record<string, string | null>>;
  readonly refused?: { readonly code: string; readonly line: number | null };
  readonly conflict?: {
    readonly code: string;
    readonly path: string;
    readonly hunk: number;
    readonly expected: string | null;
    readonly found: string | null;
  };
}

const FOLDER = join(import.meta.dirname, 'golden');
const FORMATS = ['search_replace', 'unified', 'v4a', 'whole_file'];
const read = (format: string): readonly Golden[] => JSON.parse(readFileSync(join(FOLDER, `${format}.json`), 'utf8')) as readonly Golden[];
const applyPatch = builtinActions.find(({ name }) => name === 'apply_patch');

/** What comes of an example, in the words of the data files. */
function outcomeOf(golden: Golden): object {
  const change = readChange(golden.arguments);
  if (!change.ok) return { refused: { code: change.error.code, line: 'line' in change.error ? change.error.line : null } };
  const applied = applyChange(change.value, (path) => {
    const text = Object.hasOwn(golden.files, path) ? golden.files[path] : undefined;
    return text === undefined ? null : utf8Encode(text);
  });
  if (!applied.ok) {
    const { code, path, hunk, expected, found } = applied.error;
    return { conflict: { code, path, hunk, expected, found } };
  }
  const texts = applied.value.map(({ path, content }) => {
    const text = content === null ? null : utf8Decode(content);
    return [path, text === null ? null : text.ok ? text.value : 'not UTF-8'];
  });
  return { after: Object.fromEntries(texts) as object };
}

test('there is a file of examples for every format, and no other', () => {
  expect(readdirSync(FOLDER).sort()).toEqual(FORMATS.map((format) => `${format}.json`));
});

describe.each(FORMATS)('%s', (format) => {
  const examples = read(format);
  test.each(examples.map((golden) => [golden.name, golden] as const))('%s', (_name, golden) => {
    const { after, refused, conflict } = golden;
    const expected = after !== undefined ? { after } : refused !== undefined ? { refused } : { conflict };
    expect(outcomeOf(golden)).toEqual(expected);
    expect([after, refused, conflict].filter((one) => one !== undefined)).toHaveLength(1);
    if (applyPatch === undefined) throw new Error('there is no apply_patch');
    const paths = pathsOf(applyPatch, golden.arguments);
    expect(checkActionArguments(applyPatch, golden.arguments).ok).toBe(true);
    expect(patchTouches(golden.arguments).ok).toBe(refused === undefined);
    // What a conflict would have changed is not in the example.
    const written = paths.ok && conflict === undefined && refused === undefined ? paths.value.write : Object.keys(after ?? {});
    expect(written).toEqual(Object.keys(after ?? {}).sort());
  });
  test('the examples refuse and conflict as well as apply', () => {
    for (const kind of ['after', 'refused', 'conflict'] as const) expect(examples.some((golden) => golden[kind] !== undefined)).toBe(true);
  });
});
