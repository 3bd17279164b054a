/**
 * read_file and list_files: bounded looks at the run's tree. Must never follow a link, show half a character, or pass off a part as the whole.
 */
import { digestOf, ok, type Result, utf8Decode, utf8Encode } from '@openexec/canon';
import { ACTION_LIMITS, type ExecutionOrder } from '@openexec/catalogue';
import type { TreeEntry } from '@openexec/protocol';
import { type ActionFailure, fail, failWorkspace } from './errors.ts';
import {
  cutText,
  type Hands,
  isHidden,
  numberArgument,
  type Outcome,
  OUTPUT_BYTES,
  shownPath,
  textArgument,
  textOutcome,
  withheldNote,
} from './execution.ts';

/** Largest file that is read by lines; larger ones are searched. */
export const READ_BYTES = 4 * 1024 * 1024;

/** Shows lines of one text file, with its range and digest in the first line. */
export async function readFile(order: ExecutionOrder, hands: Hands): Promise<Result<Outcome, ActionFailure>> {
  const path = textArgument(order, 'path') ?? '';
  const bytes = await hands.workspace.read(path, { maxBytes: READ_BYTES });
  if (!bytes.ok) return failWorkspace(bytes.error);
  const text = utf8Decode(bytes.value);
  if (!text.ok || bytes.value.includes(0))
    return fail('file.binary', `${shownPath(path)} is not a text file (${bytes.value.length} bytes); only text can be read`);
  const lines = text.value.split('\n');
  if (lines.at(-1) === '') lines.pop();
  const offset = numberArgument(order, 'offset', 1);
  if (offset > Math.max(1, lines.length))
    return fail('file.range', `${shownPath(path)} has ${lines.length} lines, so there is no line ${offset}`);
  const chosen = lines.slice(offset - 1, offset - 1 + numberArgument(order, 'limit', ACTION_LIMITS.readLinesDefault));
  const body = fitLines(chosen);
  const last = offset - 1 + body.count;
  const ending = last === lines.length && !text.value.endsWith('\n') && text.value !== '' && !body.cut ? '' : '\n';
  const range = lines.length === 0 ? 'empty' : `lines ${offset}-${last} of ${lines.length}${body.cut ? ', the last one cut' : ''}`;
  const noNewline = text.value !== '' && !text.value.endsWith('\n') ? ', no newline at the end' : '';
  const header = `${shownPath(path)}: ${range}${noNewline}, ${digestOf(bytes.value)}`;
  return ok(textOutcome(`read ${shownPath(path)}, ${range}`, utf8Encode(`${header}\n${body.count === 0 ? '' : body.text + ending}`)));
}

/** As many whole lines as fit; a first line that is too long alone is cut and said to be. */
function fitLines(lines: readonly string[]): { readonly text: string; readonly count: number; readonly cut: boolean } {
  let bytes = 0;
  const kept: string[] = [];
  for (const line of lines) {
    bytes += utf8Encode(line).length + 1;
    if (bytes > OUTPUT_BYTES) break;
    kept.push(line);
  }
  const first = lines[0];
  if (kept.length === 0 && first !== undefined) return { text: cutText(first, OUTPUT_BYTES), count: 1, cut: true };
  return { text: kept.join('\n'), count: kept.length, cut: false };
}

const KIND: { readonly [K in TreeEntry['mode']]: string } = {
  '100644': '',
  '100755': ' (executable)',
  '120000': ' (link)',
  '160000': ' (submodule)',
};

/** Shows the paths of the committed state below a folder, at most `limit`. */
export async function listFiles(order: ExecutionOrder, hands: Hands): Promise<Result<Outcome, ActionFailure>> {
  const directory = textArgument(order, 'directory') ?? '';
  const listed = await hands.workspace.list(directory);
  if (!listed.ok) return failWorkspace(listed.error);
  const where = directory === '' ? 'the repository' : shownPath(directory);
  const seen = listed.value.filter(({ path }) => !isHidden(order, path));
  if (listed.value.length === 0 && directory !== '')
    return fail('file.notFound', `there is no folder ${where} with files in it; list the folder above it`);
  const limit = numberArgument(order, 'limit', ACTION_LIMITS.listEntriesDefault);
  const body = fitLines(seen.slice(0, limit).map((entry) => `${shownPath(entry.path)}${KIND[entry.mode]}`));
  const rest = body.count < seen.length ? `, the first ${body.count} are shown: name a folder to see the others` : '';
  const header = `${seen.length} files in ${where}${rest}${withheldNote(listed.value.length - seen.length)}`;
  return ok(textOutcome(header, utf8Encode(`${header}\n${body.count === 0 ? '' : `${body.text}\n`}`)));
}
