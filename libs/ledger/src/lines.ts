/**
 * A stream of bytes cut into lines, with a bound on the length of one. Pure; must never hold more than one line. PROTOCOL §§3, 11.
 */
import { type Bytes, concatBytes } from '@openexec/canon';

const NEWLINE = 0x0a;

/** What makes a stream no list of lines. */
export type LineFault = 'tooLarge' | 'truncated';

/**
 * The lines of a stream without their newline. Throws what `fail` makes: `tooLarge` for a line beyond `maxLineBytes`, `truncated` when the last
 * line has no newline.
 */
export async function* linesOf(
  chunks: AsyncIterable<Bytes>,
  maxLineBytes: number,
  fail: (fault: LineFault, message: string) => Error,
): AsyncGenerator<Bytes> {
  let rest: Bytes[] = [];
  let held = 0;
  for await (const chunk of chunks) {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      const piece = chunk.subarray(from, at);
      if (held + piece.length > maxLineBytes) throw fail('tooLarge', `a line has more than ${maxLineBytes} bytes`);
      yield rest.length === 0 ? piece : concatBytes(...rest, piece);
      rest = [];
      held = 0;
      from = at + 1;
    }
    if (from === chunk.length) continue;
    rest.push(chunk.slice(from));
    held += chunk.length - from;
    if (held > maxLineBytes) throw fail('tooLarge', `a line has more than ${maxLineBytes} bytes`);
  }
  if (held > 0) throw fail('truncated', 'the last line is not complete');
}
