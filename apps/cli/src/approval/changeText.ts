/**
 * The arguments of an apply_patch as a person reads them before deciding: a patch as it is, replacements and whole files with a sign before each line, so
 * that no text can pass itself off as the frame around it. Must never shorten anything (GOALS E04).
 */
import type { Json } from '@openexec/canon';
import { readChange } from '@openexec/catalogue';

/** The text, or null where the arguments are those of another action. */
export function changeText(args: Json): string | null {
  const change = readChange(args);
  if (!change.ok) return null;
  const { format, patch } = change.value;
  if (format === 'search_replace')
    return patch.files
      .flatMap(({ path, kind, replacements }) =>
        replacements.map(
          ({ number, search, replace }) =>
            `edit ${number}: ${kind === 'create' ? 'creates' : 'changes'} ${path}\n${signed('-', search)}${signed('+', replace)}`,
        ),
      )
      .join('');
  if (format === 'whole_file')
    return `writes ${patch.path}${patch.expected === null ? '' : `, now ${patch.expected}`}\n${signed('+', patch.content)}`;
  return (args as { readonly patch: string }).patch;
}

/** Each line after a sign, and in words where the text does not end with a newline. */
function signed(sign: '-' | '+', text: string): string {
  if (text === '') return '';
  const lines = (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n').map((line) => `${sign}${line}\n`);
  return `${lines.join('')}${text.endsWith('\n') ? '' : '\\ No newline at end of text\n'}`;
}
