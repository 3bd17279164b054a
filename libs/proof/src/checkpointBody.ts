/** What a checkpoint states, apart from who signed it. c2sp.org/tlog-checkpoint. */
import type { Bytes } from '@openexec/canon';

/** This origin's tree of `size` leaves has this root. */
export interface CheckpointBody {
  readonly origin: string;
  readonly size: bigint;
  readonly root: Bytes;
}
