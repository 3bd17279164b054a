/**
 * A line to the parent, written before the next thing is done. A parent that is slow to read fills the pipe: then the child waits, and loses nothing.
 */
import { writeSync } from 'node:fs';

const WAIT_MS = 1;
const nobody = new Int32Array(new SharedArrayBuffer(4));

/** Writes the whole line to standard output, however long that takes. */
export function say(line: string): void {
  let rest = Buffer.from(`${line}\n`);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if ((error as { readonly code?: unknown }).code !== 'EAGAIN') throw error;
      Atomics.wait(nobody, 0, 0, WAIT_MS);
    }
  }
}
