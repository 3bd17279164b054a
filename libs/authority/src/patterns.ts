/**
 * The three pattern grammars of a writ and containment between patterns, defined on these forms only: action exact or `prefix*`; path exact,
 * `dir/**` or `**`; host exact or `*.domain`, always with a port. Must never guess: a text outside the grammar matches nothing. PROTOCOL §5.
 */

const PLAIN_PATH = /^(?!\/)(?!(?:.*\/)?\.{0,2}(?:\/|$))[^\0]+$/s;

/** Whether the text is a repository-relative path without empty, `.` or `..` segments. */
export function isPlainPath(path: string): boolean {
  return PLAIN_PATH.test(path);
}

/** Whether an action of this name falls under the pattern. */
export function matchAction(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}

/** Whether a path falls under the pattern; `dir/**` is `dir` and everything below it. */
export function matchPath(pattern: string, path: string): boolean {
  if (!isPlainPath(path)) return false;
  if (pattern === '**') return true;
  const directory = directoryOf(pattern);
  if (directory === null) return path === pattern;
  return path === directory || path.startsWith(`${directory}/`);
}

/** Whether `host:port` falls under the pattern; `*.domain:port` is every name below the domain, not the domain itself. */
export function matchHost(pattern: string, host: string): boolean {
  if (!pattern.startsWith('*.')) return host === pattern;
  return host.length > pattern.length - 1 && host.endsWith(pattern.slice(1)) && !host.startsWith('.') && !host.startsWith('*');
}

/** Whether every action under `child` falls under some parent pattern. */
export function coversAction(parents: readonly string[], child: string): boolean {
  const widest = child.endsWith('*') ? child.slice(0, -1) : child;
  return parents.some((parent) => parent === child || (parent.endsWith('*') && widest.startsWith(parent.slice(0, -1))));
}

/** Whether every path under `child` falls under some parent pattern. */
export function coversPath(parents: readonly string[], child: string): boolean {
  return parents.some((parent) => parent === '**' || parent === child || coversTree(parent, child));
}

/** Whether every host under `child` falls under some parent pattern. */
export function coversHost(parents: readonly string[], child: string): boolean {
  if (!child.startsWith('*.')) return parents.some((parent) => matchHost(parent, child));
  // `*.b.a:1` lies inside `*.a:1`: what follows its star ends with what follows the parent's.
  return parents.some((parent) => parent.startsWith('*.') && child.slice(1).endsWith(parent.slice(1)));
}

function coversTree(parent: string, child: string): boolean {
  const directory = directoryOf(parent);
  if (directory === null || child === '**') return false;
  const inner = directoryOf(child) ?? child;
  return inner === directory || inner.startsWith(`${directory}/`);
}

/** The `dir` of `dir/**`, or null for every other form. */
function directoryOf(pattern: string): string | null {
  return pattern.endsWith('/**') ? pattern.slice(0, -3) : null;
}
