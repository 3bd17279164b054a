/**
 * From YAML text to plain data with positions: YAML 1.2 core, one document, no tags, no anchors, no duplicate keys, no number that JSON cannot
 * hold exactly. Must never evaluate, expand or guess anything. PROTOCOL §1 (strict parsing), GOALS E02.
 */
import { err, type Json, ok, type Result } from '@openexec/canon';
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLError } from 'yaml';
import type { ConfigProblem, ConfigProblemCode } from './problems.ts';

/** A way through parsed data: member names and list indexes. */
export type DataPath = readonly (string | number)[];
/** A place in a file. */
export interface Position {
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
}
/** A parsed file. */
export interface Source {
  readonly file: string;
  readonly data: Json;
  /** Where the value at `path` stands (`of: 'key'`: its key); where there is none, the nearest one around it. */
  at(path: DataPath, of?: 'key' | 'value'): Position;
}

/** Configuration is written by hand; more than this is a mistake or an attack. */
const MAX_CHARACTERS = 1024 * 1024;
const MAX_DEPTH = 64;
const MAX_PROBLEMS = 20;

/** Parses one file. `file` is only for messages. */
export function parseYaml(text: string, file: string): Result<Source, readonly ConfigProblem[]> {
  if (text.length > MAX_CHARACTERS) {
    return err([
      { code: 'config.tooLarge', message: `the file has more than ${MAX_CHARACTERS} characters; split it`, file, line: 0, column: 0 },
    ]);
  }
  const lines = new LineCounter();
  const document = parseDocument(text, {
    version: '1.2',
    schema: 'core',
    strict: true,
    uniqueKeys: true,
    stringKeys: true,
    merge: false,
    prettyErrors: false,
    lineCounter: lines,
  });
  const problems: ConfigProblem[] = document.errors.slice(0, MAX_PROBLEMS).map((error) => syntaxProblem(error, lines, file));
  const reader = new Reader(lines, file, problems);
  const data = problems.length === 0 ? reader.value(document.contents, 0) : null;
  if (problems.length > 0) return err(problems.slice(0, MAX_PROBLEMS));
  return ok({ file, data, at: (path, of = 'value') => positionAt(document, lines, path, of) });
}

function syntaxProblem(error: YAMLError, lines: LineCounter, file: string): ConfigProblem {
  const { line, col } = lines.linePos(error.pos[0]);
  const code: ConfigProblemCode = error.code === 'DUPLICATE_KEY' ? 'config.duplicateKey' : 'config.syntax';
  const message = error.code === 'DUPLICATE_KEY' ? 'this key stands here twice; keep one' : `this is not YAML: ${error.message}`;
  return { code, message, file, line, column: col };
}

/** Turns nodes into data; what the subset does not have becomes a problem and null. */
class Reader {
  readonly #lines: LineCounter;
  readonly #file: string;
  readonly #problems: ConfigProblem[];

  constructor(lines: LineCounter, file: string, problems: ConfigProblem[]) {
    this.#lines = lines;
    this.#file = file;
    this.#problems = problems;
  }

  value(node: Node | null, depth: number): Json {
    if (node === null) return null;
    if (isAlias(node)) return this.#no(node, 'config.alias', 'aliases are not read here; write the value out');
    const { anchor } = node as { anchor?: string };
    if (anchor !== undefined) return this.#no(node, 'config.alias', `anchors are not read here (&${anchor}); write the value out`);
    if (node.tag !== undefined) return this.#no(node, 'config.tag', 'tags are not read here; write the plain value');
    if (depth > MAX_DEPTH) return this.#no(node, 'config.syntax', `values are nested more than ${MAX_DEPTH} deep`);
    if (isScalar(node)) return this.#scalar(node, node.value);
    if (isSeq(node)) return node.items.map((item) => this.value(item as Node | null, depth + 1));
    if (!isMap(node)) return this.#no(node, 'config.syntax', 'this kind of value is not read here');
    const object: { [name: string]: Json } = {};
    for (const pair of node.items) {
      const key = pair.key as Node;
      if (!isScalar(key) || isTagged(key)) {
        this.#no(key, 'config.syntax', 'a key is a plain word');
        continue;
      }
      // defineProperty, because plain assignment to `__proto__` would lose the member.
      const value = this.value(pair.value as Node | null, depth + 1);
      Object.defineProperty(object, String(key.value), { value, enumerable: true, configurable: true, writable: true });
    }
    return object;
  }

  #scalar(node: Node, value: unknown): Json {
    if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
    if (typeof value === 'number') {
      const whole = Number.isInteger(value);
      if (Number.isFinite(value) && (!whole || Number.isSafeInteger(value))) return value;
    }
    return this.#no(node, 'config.number', 'this number cannot be kept exactly; quote it when it is text');
  }

  #no(node: Node, code: ConfigProblemCode, message: string): null {
    const { line, col } = this.#lines.linePos(node.range?.[0] ?? 0);
    if (this.#problems.length < MAX_PROBLEMS) this.#problems.push({ code, message, file: this.#file, line, column: col });
    return null;
  }
}

function isTagged(node: Node): boolean {
  return node.tag !== undefined || (node as { anchor?: string }).anchor !== undefined;
}

function positionAt(document: Document, lines: LineCounter, path: DataPath, of: 'key' | 'value'): Position {
  let node: Node | null = document.contents;
  let offset = node?.range?.[0] ?? 0;
  for (const [index, step] of path.entries()) {
    let next: Node | null = null;
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
      if (pair === undefined) break;
      next = pair.value as Node | null;
      const keyed = (pair.key as Node).range?.[0];
      offset = of === 'key' && index === path.length - 1 ? (keyed ?? offset) : (next?.range?.[0] ?? keyed ?? offset);
    } else if (isSeq(node)) {
      next = (node.items[Number(step)] as Node | undefined) ?? null;
      if (next === null) break;
      offset = next.range?.[0] ?? offset;
    } else break;
    node = next;
  }
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}
