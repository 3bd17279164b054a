/**
 * Rows of the tables of acceptance groups and weaknesses: each names the tests that prove it, or says plainly why there is none.
 */

/** A test: its file from the repository's root, and its title as it stands there. */
export interface ProvenBy {
  readonly file: string;
  readonly title: string;
}
/** One group or weakness. `missing` is null where nothing of it is; without tests it says why. */
export interface GroupRow {
  readonly id: string;
  readonly what: string;
  readonly tests: readonly ProvenBy[];
  readonly missing: string | null;
}

export const cli = (file: string, ...titles: readonly string[]): readonly ProvenBy[] =>
  titles.map((title) => ({ file: `apps/cli/test/${file}.test.ts`, title }));
export const lib = (name: string, file: string, ...titles: readonly string[]): readonly ProvenBy[] =>
  titles.map((title) => ({ file: `libs/${name}/test/${file}`, title }));
export const contract = (file: string, ...titles: readonly string[]): readonly ProvenBy[] =>
  titles.map((title) => ({ file: `libs/ledger/src/contract/${file}.ts`, title }));
export const row = (id: string, what: string, missing: string | null, ...tests: readonly (readonly ProvenBy[])[]): GroupRow => ({
  id,
  what,
  tests: tests.flat(),
  missing,
});
