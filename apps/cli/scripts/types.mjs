/**
 * The types of the SDK as a declaration file: the text of src/sdk/public.ts as it is. Must never hand out a text that needs another file.
 */
import fs from 'node:fs';

/** Statements that mean the same in a declaration file. */
const ALLOWED = /^(export (interface|type|declare function) |[ }|&\]);*/]|\/\/|$)/;

/** The text; throws where a line at the margin is anything but a declaration, or one names another module. */
export function publicTypes(file) {
  const text = fs.readFileSync(file, 'utf8');
  const strange = text.split('\n').findIndex((line) => !ALLOWED.test(line) || /\bimport\b\s*[({*'"]|\bfrom '/.test(line));
  if (strange >= 0) throw new Error(`${file}:${strange + 1} is not a declaration that stands by itself`);
  return text;
}
