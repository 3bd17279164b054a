/**
 * A file as an anchor: the newest checkpoint, on a disk or share that whoever could rewrite the ledger cannot. As strong as that difference, and no
 * stronger. Must never replace what the new checkpoint does not continue.
 */
import { digestOf, err, ok, type Result, utf8Encode } from '@openexec/canon';
import type { Anchor, AnchorError } from '@openexec/proof';
import { faultCode, readText, replaceFile } from './files.ts';
import { continues } from './held.ts';
import { CHECKPOINT_TYPE } from './witness/client.ts';

/** Opens the anchor; `path` is absolute, its folder exists. */
export function fileAnchor(options: { readonly name: string; readonly path: string }): Anchor {
  const { name, path } = options;
  return {
    name,
    type: 'file',
    submit: async (submission) => {
      const held = heldByFile(path);
      if (!held.ok) return held;
      const how = await continues(held.value, submission);
      if (!how.ok) return err({ ...how.error, message: `${name}: ${how.error.message}` });
      try {
        if (how.value !== 'same') replaceFile(path, submission.checkpoint);
      } catch (error) {
        return err({ code: 'anchor.unknown', message: `${path} cannot be written (${faultCode(error)})` });
      }
      const bytes = utf8Encode(submission.checkpoint);
      return ok({ mediaType: CHECKPOINT_TYPE, bytes, digest: digestOf(bytes) });
    },
  };
}

/** The note that the file holds; null where there is none yet. */
export function heldByFile(path: string): Result<string | null, AnchorError> {
  try {
    return ok(readText(path));
  } catch (error) {
    return err({ code: 'anchor.unreachable', message: `${path} cannot be read (${faultCode(error)})` });
  }
}
