/**
 * Which files belong to a task: by their names and by the words in them. Pure and deterministic: integers only, ties by path, no locale.
 */

/** Words that occur in any task and tell nothing. */
const COMMON = new Set(
  'the and for with that this from into should must not are was were have has had but when then than them they there here which what where who why how all any can could would will shall may might its you your our out off use used using make made please add fix change update remove delete create new old file files code test tests failing fails fail error errors bug issue so as at by be do does it is in of on or to an if no src lib libs app apps packages index main function class method module'.split(
    ' ',
  ),
);
const MAX_WORDS = 40;

/** Words of a task, sorted: letters and digits, also the parts of camelCase and snake_case names, three characters at least. */
export function taskWords(task: string): readonly string[] {
  const words = new Set<string>();
  for (const token of task.match(/[\p{L}\p{N}_]+/gu) ?? []) {
    for (const part of [token, ...token.split(/_|(?<=[a-z0-9])(?=[A-Z])/)]) {
      const word = part.toLowerCase();
      if (word.length >= 3 && word.length <= 64 && !COMMON.has(word)) words.add(word);
    }
  }
  return [...words].sort().slice(0, MAX_WORDS);
}

/** How much a path has to do with the task: named outright 100, a name of its own 12, part of a name 4, a folder 3. */
export function pathScore(path: string, task: string, words: readonly string[]): number {
  const name = path.slice(path.lastIndexOf('/') + 1);
  if (task.includes(path) || (name.includes('.') && task.includes(name))) return 100;
  const segments = path.toLowerCase().split('/');
  const stem = (segments.pop() ?? '').replace(/\.[^.]*$/, '');
  let score = 0;
  for (const word of words) {
    if (stem === word || stem.split(/[^\p{L}\p{N}]+/u).includes(word)) score += 12;
    else if (stem.includes(word)) score += 4;
    if (segments.some((segment) => segment === word)) score += 3;
  }
  return score;
}

/** How much the reports of checks have to do with a path: named outright 60, by its file name 30. */
export function reportScore(path: string, reports: string): number {
  if (reports.includes(path)) return 60;
  const name = path.slice(path.lastIndexOf('/') + 1);
  return name.includes('.') && reports.includes(name) ? 30 : 0;
}

/** The words that occur in a text. */
export function wordsIn(text: string, words: readonly string[]): readonly string[] {
  const lower = text.toLowerCase();
  return words.filter((word) => lower.includes(word));
}

/** Weight of a word by how few of the read files hold it: 1 to 8. */
export function wordWeight(files: number, holding: number): number {
  return Math.max(1, Math.min(8, Math.floor(files / Math.max(1, holding))));
}

/** Order by score, highest first, then by path in UTF-16 code units. */
export function byRank(a: { readonly score: number; readonly path: string }, b: { readonly score: number; readonly path: string }): number {
  return b.score - a.score || (a.path < b.path ? -1 : a.path > b.path ? 1 : 0);
}
