/**
 * What an opening finds half done and finishes: a copy on its way into the stream, payloads that the ledger says were forgotten, an index that is
 * behind. Must never finish anything for a handle that only reads, except bring the index up to the stream, which changes no truth. PROTOCOL §3.
 */
import { err, ok, type Result } from '@openexec/canon';
import { codeOf, type OpenFailure } from '../errors.ts';
import { type CompanionOptions, type OpenedCompanion, openCompanion, TO_POUR } from './companion.ts';
import { type Copying, pour } from './copyIn.ts';
import { CopyUnderWay, isOutcome } from './failures.ts';
import { indexHead } from './indexHead.ts';
import { settle } from './settle.ts';
import type { EntryStream } from './stream.ts';
import { TrajectoryIndex } from './trajectories.ts';

/** Before a handle for writing is given out: pours a copy that was cut off, then takes away what was forgotten. */
export async function finish(copying: Copying): Promise<void> {
  await pour(copying);
  await new TrajectoryIndex(copying.companion.db, copying.stream, false).catchUp();
  try {
    await settle(copying);
  } catch (error) {
    // Nobody is shown what is forgotten; what cannot be taken away now is left to the next opening.
    if (!isOutcome(error)) throw error;
  }
}

/** Before a handle for reading is given out: refuses half a copy, and sees that everything in the stream is in the index where this user may write it. */
export async function readable(
  stream: EntryStream,
  companion: OpenedCompanion,
  options: CompanionOptions,
): Promise<Result<void, OpenFailure>> {
  const { size, unfinished } = await indexHead(companion.db);
  if (unfinished === TO_POUR) return err({ code: 'store.busy', message: new CopyUnderWay().message });
  if ((await stream.page(BigInt(size), 1)).length === 0) return ok(undefined);
  try {
    const writable = await openCompanion({ ...options, readOnly: false, create: false });
    if (!writable.ok) return ok(undefined);
    try {
      await new TrajectoryIndex(writable.value.db, stream, false).catchUp();
    } finally {
      await writable.value.db.destroy();
    }
  } catch (error) {
    // A reader without the right to write answers from the moment up to which others have read the stream.
    if (!isOutcome(error) || codeOf(error) === 'store.corrupt') throw error;
  }
  return ok(undefined);
}
