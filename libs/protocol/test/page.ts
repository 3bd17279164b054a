/**
 * Reads the worked examples out of the format pages: fenced blocks by the name after their language.
 */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const SCHEMAS = resolve(dirname(fileURLToPath(import.meta.url)), '../../../schemas');

/** A generated schema, or any file below `schemas/`, as text. */
export function schemaFile(name: string): string {
  return readFileSync(resolve(SCHEMAS, name), 'utf8');
}

/** The text of a named block of a page, without its last newline. Throws when the page has no such block. */
export function block(page: string, name: string): string {
  const match = new RegExp(`^\`\`\`[a-z]+ ${name}\\n([\\s\\S]*?)\\n\`\`\`$`, 'm').exec(schemaFile(page));
  if (match?.[1] === undefined) throw new Error(`${page} has no block named ${name}`);
  return match[1];
}
