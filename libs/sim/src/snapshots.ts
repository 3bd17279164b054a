/** Snapshots of a simulated run, kept often, and counted: every drive after the first begins at one. PROTOCOL §3 "Snapshots". */
import { type Bytes, concatBytes, sha256, utf8Encode } from '@openexec/canon';
import type { SnapshotShelf } from '@openexec/ledger';
import type { Snapshots } from '@openexec/runtime';

const SECRET = utf8Encode('sim');
/** Entries between two: runs of the simulation are short. */
const EVERY = 3;

/** The snapshots, and what was done with them. */
export interface SimSnapshots extends Snapshots {
  readonly used: { kept: number; read: number; readonly notes: string[] };
}

/** Over the shelf of the simulated ledger. */
export function simSnapshots(shelf: SnapshotShelf): SimSnapshots {
  const used = { kept: 0, read: 0, notes: [] as string[] };
  return {
    program: 'sim',
    every: EVERY,
    tag: (bytes: Bytes) => sha256(concatBytes(SECRET, bytes)),
    note: (message) => void used.notes.push(message),
    shelf: {
      places: (run) => shelf.places(run),
      drop: (places) => shelf.drop(places),
      keep: (snapshot) => {
        used.kept++;
        return shelf.keep(snapshot);
      },
      read: (place) => {
        used.read++;
        return shelf.read(place);
      },
    },
    used,
  };
}
