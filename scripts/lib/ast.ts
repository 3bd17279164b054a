/**
 * A small reading of TypeScript through swc: parse, walk, and positions. The tree is handled as plain records because swc's published node
 * types trail its output; every reader below names the few fields it needs. Must never guess: a file that does not parse is an error.
 */
import { parseSync } from '@swc/core';

/** A node of swc's tree: a `type`, byte offsets counted from 1, and fields that depend on the type. */
export interface Node {
  readonly type: string;
  readonly span: { readonly start: number; readonly end: number };
  readonly [field: string]: unknown;
}

/** A parsed file with what is needed to turn byte offsets into lines and text. */
export interface Source {
  readonly file: string;
  readonly text: string;
  readonly bytes: Buffer;
  readonly body: readonly Node[];
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string' && 'span' in value;

/** Parses TypeScript or modern JavaScript. Throws with the file's name when the text is not valid. */
export function parse(file: string, text: string): Source {
  // A hashbang is not part of the module's grammar for swc's span arithmetic; blanks keep every offset in place.
  const plain = text.startsWith('#!') ? text.replace(/^#![^\n]*/, (line) => '/'.repeat(2) + ' '.repeat(line.length - 2)) : text;
  try {
    const module = parseSync(plain, { syntax: 'typescript', tsx: file.endsWith('x'), target: 'es2022', decorators: false });
    // swc's own types describe an older tree; isNode checks the shape that is relied on.
    const body = (module.body as unknown[]).filter(isNode);
    return { file, text, bytes: Buffer.from(text), body };
  } catch (error) {
    throw new Error(`${file} does not parse: ${String(error)}`);
  }
}

/** Direct children of a node, in source order of the fields. */
function children(node: Node): Node[] {
  const found: Node[] = [];
  const take = (value: unknown): void => {
    if (isNode(value)) found.push(value);
    else if (Array.isArray(value)) value.forEach(take);
    // Wrappers without a span: call arguments ({ spread, expression }), and `key: value`, whose plain key is no use of a name.
    else if (typeof value === 'object' && value !== null && !('start' in value)) {
      for (const [field, inner] of Object.entries(value)) if (field !== 'key' || !isNode(inner) || inner.type !== 'Identifier') take(inner);
    }
  };
  for (const [field, value] of Object.entries(node)) if (field !== 'span' && field !== 'type') take(value);
  return found;
}

/** Visits a node and everything below it; `visit` gets the chain of parents, nearest first. */
export function visit(node: Node, look: (node: Node, parents: readonly Node[]) => void, parents: readonly Node[] = []): void {
  look(node, parents);
  const chain = [node, ...parents];
  for (const child of children(node)) visit(child, look, chain);
}

/** Visits a whole file. */
export function visitAll(source: Source, look: (node: Node, parents: readonly Node[]) => void): void {
  for (const node of source.body) visit(node, look);
}

/** A field that holds a node, or undefined. */
export function nodeAt(node: Node | undefined, field: string): Node | undefined {
  const value = node?.[field];
  return isNode(value) ? value : undefined;
}

/** A field that holds a list of nodes; other members of the list are left out. */
export function nodesAt(node: Node | undefined, field: string): Node[] {
  const value = node?.[field];
  return Array.isArray(value) ? value.filter(isNode) : [];
}

/** A field that holds text, or undefined. */
export function textAt(node: Node | undefined, field: string): string | undefined {
  const value = node?.[field];
  return typeof value === 'string' ? value : undefined;
}

/** The line, counted from 1, on which a byte offset of swc lies. */
export function lineOf(source: Source, offset: number): number {
  let line = 1;
  for (let at = 0; at < offset - 1 && at < source.bytes.length; at += 1) if (source.bytes[at] === 10) line += 1;
  return line;
}

/** Lines that a node covers, both ends included. */
export function linesOf(source: Source, node: Node): number {
  return lineOf(source, node.span.end) - lineOf(source, node.span.start) + 1;
}

/** Whether a documentation comment ends directly before the offset. */
export function hasDocBefore(source: Source, offset: number): boolean {
  const before = source.bytes
    .subarray(0, offset - 1)
    .toString()
    .trimEnd();
  if (!before.endsWith('*/')) return false;
  const open = before.lastIndexOf('/*');
  return before.startsWith('/**', open) && before.length - open > '/** */'.length;
}

/** A module that a file names, and whether it does so only by `export type … from` or `import('…').T`. */
export interface Named {
  readonly specifier: string;
  readonly onlyTypeReexport: boolean;
}

/** Every module that the file names, whichever way: import, export from, `import()`, and import types. */
export function specifiersOf(source: Source): Named[] {
  const found = new Map<string, boolean>();
  const take = (specifier: string | undefined, onlyType: boolean): void => {
    if (specifier !== undefined) found.set(specifier, onlyType && (found.get(specifier) ?? true));
  };
  visitAll(source, (node) => {
    const from = textAt(nodeAt(node, 'source'), 'value');
    if (node.type === 'ImportDeclaration') take(from, false);
    if (node.type === 'ExportNamedDeclaration' || node.type === 'ExportAllDeclaration') take(from, node['typeOnly'] === true);
    if (node.type === 'TsImportType') take(textAt(nodeAt(node, 'argument'), 'value'), true);
    if (node.type === 'CallExpression' && nodeAt(node, 'callee')?.type === 'Import') {
      const [first] = argumentsOf(node);
      if (first?.type === 'StringLiteral') take(textAt(first, 'value'), false);
    }
  });
  return [...found]
    .map(([specifier, onlyTypeReexport]) => ({ specifier, onlyTypeReexport }))
    .sort((a, b) => (a.specifier < b.specifier ? -1 : 1));
}

/** The argument expressions of a call. */
function argumentsOf(call: Node): Node[] {
  const list = call['arguments'];
  if (!Array.isArray(list)) return [];
  return list.flatMap((item: unknown) =>
    typeof item === 'object' && item !== null && 'expression' in item && isNode(item.expression) ? [item.expression] : [],
  );
}
