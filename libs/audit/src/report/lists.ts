/** Bounds of a report, so that a run of a million events makes a page that opens. Each list says how much it leaves out. */

/** Lines of one list of one run. */
export const MAX_LINES = 1000;
/** Runs that are told of one by one. */
export const MAX_RUNS = 256;
/** Characters of one quoted text; the digest of the whole stands beside it. */
export const MAX_TEXT_CHARACTERS = 4000;
/** Characters of one change on the page; the patch beside it is whole. */
export const MAX_CHANGE_CHARACTERS = 64 * 1024;
/** Bytes of one file in a patch; a larger one is named as absent. */
export const MAX_PATCH_FILE_BYTES = 4 * 1024 * 1024;
/** Bytes of one patch. */
export const MAX_PATCH_BYTES = 32 * 1024 * 1024;
/** Entries up to which a bundle is judged again for its report; a larger one is judged by `verify-bundle --deep`. */
export const MAX_JUDGED_ENTRIES = 50_000;

/** A list with a bound: what comes after it is counted. */
export class Bounded<T> {
  readonly lines: T[] = [];
  omitted = 0;

  add(line: T): void {
    if (this.lines.length < MAX_LINES) this.lines.push(line);
    else this.omitted += 1;
  }
}
