/**
 * The rules of style, each a function from one file to its findings. Pure over text and syntax tree: what a rule may know arrives in `Place`.
 * Every rule has an accepted and a refused sample in scripts/test/tidy.test.ts.
 */
import { hasDocBefore, lineOf, linesOf, type Node, nodeAt, nodesAt, type Source, textAt, visit, visitAll } from '../lib/ast.ts';

/** What a rule may know about a file besides its text. */
export interface Place {
  /** 'source' ships; 'test' and 'tool' do not. */
  readonly kind: 'source' | 'test' | 'tool';
  /** True on floors that must see no ambient time or chance. */
  readonly pure: boolean;
  /** True where each exported declaration needs a doc comment. */
  readonly documented: boolean;
  /** Names of ports; the members of these interfaces need doc comments. */
  readonly ports: readonly string[];
  /** Numbers of the decisions that exist, as in `D-nn`. */
  readonly decisions: ReadonlySet<string>;
}

/** One refusal. */
export interface Untidy {
  readonly rule: string;
  readonly line: number;
  readonly message: string;
}

type Rule = (source: Source, place: Place) => Untidy[];

/** STYLE: files at most 500 lines; tests too, which are split by behaviour. */
const MAX_LINES = 500;
/** STYLE: functions at most 70 lines. */
const MAX_FUNCTION_LINES = 70;

const FUNCTIONS = new Set([
  'FunctionDeclaration',
  'FunctionExpression',
  'ArrowFunctionExpression',
  'ClassMethod',
  'PrivateMethod',
  'Constructor',
  'MethodProperty',
]);

/** Ways out of the rules, and words that mark unfinished work; written so that this file does not hold them itself. */
const BANNED: readonly (readonly [RegExp, string])[] = [
  [/\bTO[D]O\b/, 'unfinished work belongs in an issue'],
  [/\bFIX[M]E\b/, 'unfinished work belongs in an issue'],
  [/\bfor\s+now\b/i, 'say what holds, not until when'],
  [/@ts-(ignore|expect-error|nocheck)/, 'the type checker is not switched off'],
  [/\b(eslint|oxlint|biome|tidy)-(disable|ignore)(?!.* -- \S)/, 'a disabled rule states its reason after --'],
];

const opening = (source: Source): string => source.text.replace(/^#![^\n]*\n/, '');

/** Whether the opening comment marks the file as written by a generator, which exempts it from the limits on length. */
export const isGenerated = (source: Source): boolean => /^\/\*\*(?:(?!\*\/)[\s\S])*@generated\b/.test(opening(source));

const moduleComment: Rule = (source) => {
  const comment = /^\/\*\*((?:(?!\*\/)[\s\S])*)\*\//.exec(opening(source))?.[1] ?? '';
  const words = comment.split(/[\s*]+/).filter((word) => word !== '');
  return words.length >= 5
    ? []
    : [
        {
          rule: 'module-comment',
          line: 1,
          message: 'the file opens with a comment: purpose, what it must never do, the section it follows',
        },
      ];
};

const fileLength: Rule = (source) => {
  const lines = source.text.split('\n').length - 1;
  return lines <= MAX_LINES || isGenerated(source)
    ? []
    : [{ rule: 'file-length', line: MAX_LINES, message: `${lines} lines, at most ${MAX_LINES}` }];
};

/** The callback of `describe` holds a group of tests and is no function in the sense of the rule. */
const groupsTests = (parents: readonly Node[]): boolean => {
  const callee = nodeAt(parents[0], 'callee');
  const name =
    textAt(callee, 'value') ?? textAt(nodeAt(callee, 'object'), 'value') ?? textAt(nodeAt(nodeAt(callee, 'callee'), 'object'), 'value');
  return parents[0]?.type === 'CallExpression' && name === 'describe';
};

/** Line counts of every function of a file with the line on which each starts. */
export function functionLengths(source: Source): { readonly line: number; readonly lines: number }[] {
  const found: { line: number; lines: number }[] = [];
  visitAll(source, (node, parents) => {
    if (FUNCTIONS.has(node.type) && !groupsTests(parents))
      found.push({ line: lineOf(source, node.span.start), lines: linesOf(source, node) });
  });
  return found;
}

const functionLength: Rule = (source) =>
  isGenerated(source)
    ? []
    : functionLengths(source)
        .filter((one) => one.lines > MAX_FUNCTION_LINES)
        .map((one) => ({
          rule: 'function-length',
          line: one.line,
          message: `a function of ${one.lines} lines, at most ${MAX_FUNCTION_LINES}`,
        }));

const bannedWords: Rule = (source) =>
  source.text.split('\n').flatMap((text, at) =>
    BANNED.filter(([pattern]) => pattern.test(text)).map(([pattern, why]) => ({
      rule: 'banned-word',
      line: at + 1,
      message: `${pattern.exec(text)?.[0]}: ${why}`,
    })),
  );

const looseTypes: Rule = (source) => {
  const found: Untidy[] = [];
  visitAll(source, (node) => {
    if (node.type === 'TsKeywordType' && node['kind'] === 'any')
      found.push({
        rule: 'loose-type',
        line: lineOf(source, node.span.start),
        message: 'any switches the type checker off; unknown does not',
      });
    if (node.type === 'TsNonNullExpression')
      found.push({ rule: 'loose-type', line: lineOf(source, node.span.start), message: 'a non-null ! asserts what a check should show' });
  });
  return found;
};

/** Exported declarations of a file: where each starts, its name, and whether a doc comment stands before it. */
export function exportedDeclarations(source: Source): { readonly line: number; readonly name: string; readonly documented: boolean }[] {
  const declared = new Map<string, Node>();
  const exported: { name: string; at: Node }[] = [];
  const namesOf = (node: Node): string[] => {
    const ids = [nodeAt(node, 'id') ?? nodeAt(node, 'identifier'), ...nodesAt(node, 'declarations').map((one) => nodeAt(one, 'id'))];
    // `declarations` entries carry their own type and span, so nodesAt finds them.
    return ids.flatMap((id) => textAt(id, 'value') ?? []);
  };
  for (const node of source.body) {
    const declaration = node.type === 'ExportDeclaration' ? nodeAt(node, 'declaration') : node;
    if (declaration === undefined) continue;
    for (const name of namesOf(declaration)) {
      if (!declared.has(name) || node.type === 'ExportDeclaration') declared.set(name, node);
      if (node.type === 'ExportDeclaration') exported.push({ name, at: node });
    }
  }
  for (const node of source.body) {
    if (node.type !== 'ExportNamedDeclaration' || nodeAt(node, 'source') !== undefined) continue;
    for (const item of nodesAt(node, 'specifiers')) {
      const name = textAt(nodeAt(item, 'orig'), 'value') ?? '';
      const at = declared.get(name);
      if (at !== undefined) exported.push({ name, at });
    }
  }
  const explained = (name: string, at: Node): boolean => {
    if (hasDocBefore(source, at.span.start)) return true;
    // `type X = z.infer<typeof x>` says no more than x does, whose comment counts for both.
    const origin = inferredFrom(at);
    const declaredAt = origin === undefined || origin === name ? undefined : declared.get(origin);
    return declaredAt !== undefined && hasDocBefore(source, declaredAt.span.start);
  };
  // Of overloads, and of a type beside a constant of the same name, one comment is enough.
  const documentedNames = new Set(exported.filter((one) => explained(one.name, one.at)).map((one) => one.name));
  return [...new Map(exported.map((one) => [one.name, one])).values()].map((one) => ({
    line: lineOf(source, one.at.span.start),
    name: one.name,
    documented: documentedNames.has(one.name),
  }));
}

/** The constant whose type an alias repeats, or undefined. */
function inferredFrom(exported: Node): string | undefined {
  const declaration = nodeAt(exported, 'declaration') ?? exported;
  if (declaration.type !== 'TsTypeAliasDeclaration') return undefined;
  let origin: string | undefined;
  visit(declaration, (node) => {
    if (node.type === 'TsTypeQuery') origin ??= textAt(nodeAt(node, 'exprName'), 'value');
  });
  return origin;
}

const documentedExports: Rule = (source, place) =>
  !place.documented || place.kind !== 'source'
    ? []
    : exportedDeclarations(source)
        .filter((one) => !one.documented)
        .map((one) => ({ rule: 'documented', line: one.line, message: `${one.name} is exported without a doc comment` }));

const documentedPorts: Rule = (source, place) => {
  const found: Untidy[] = [];
  visitAll(source, (node) => {
    const name = textAt(nodeAt(node, 'id'), 'value') ?? '';
    if (place.kind !== 'source' || node.type !== 'TsInterfaceDeclaration' || !place.ports.includes(name)) return;
    for (const member of nodesAt(nodeAt(node, 'body'), 'body')) {
      const line = lineOf(source, member.span.start);
      if (!hasDocBefore(source, member.span.start))
        found.push({ rule: 'documented-port', line, message: `a member of the port ${name} states its contract in a doc comment` });
    }
  });
  return found;
};

const AMBIENT = new Set(['Date', 'Intl', 'globalThis', 'performance', 'eval', 'Temporal']);
const AMBIENT_MEMBERS = /^(localeCompare|toLocale[A-Z]\w*)$/;

/** A name that stands for a value: not a key, not a member after a dot, not a type. */
function isValueUse(node: Node, parents: readonly Node[]): boolean {
  const parent = parents[0];
  if (parent === undefined || parent.type.startsWith('Ts')) return false;
  if (parent.type === 'MemberExpression') return nodeAt(parent, 'object') === node;
  if (/^(KeyValueProperty|MethodProperty|ClassMethod|ClassProperty|GetterProperty)$/.test(parent.type))
    return nodeAt(parent, 'key') !== node;
  return !parent.type.endsWith('Specifier');
}

const ambient: Rule = (source, place) => {
  if (!place.pure || place.kind !== 'source') return [];
  const found: Untidy[] = [];
  const add = (node: Node, what: string): void =>
    void found.push({
      rule: 'ambient',
      line: lineOf(source, node.span.start),
      message: `${what} on a pure floor: time and chance come as facts`,
    });
  visitAll(source, (node, parents) => {
    if (node.type === 'Identifier' && AMBIENT.has(textAt(node, 'value') ?? '') && isValueUse(node, parents))
      add(node, textAt(node, 'value') ?? '');
    if (node.type !== 'MemberExpression') return;
    const object = textAt(nodeAt(node, 'object'), 'value');
    const computed = nodeAt(nodeAt(node, 'property'), 'expression');
    const member = textAt(nodeAt(node, 'property'), 'value') ?? textAt(computed, 'value') ?? '';
    if (object === 'Math' && (member === 'random' || (computed !== undefined && computed.type !== 'StringLiteral')))
      add(node, 'Math.random');
    if (AMBIENT_MEMBERS.test(member)) add(node, member);
  });
  return found;
};

const citations: Rule = (source, place) =>
  source.text
    .split('\n')
    .flatMap((text, at) =>
      [...text.matchAll(/\bD-\d+\b/g)]
        .filter(([cited]) => !place.decisions.has(cited))
        .map(([cited]) => ({ rule: 'citation', line: at + 1, message: `${cited} is not in DECISIONS.md` })),
    );

/** Errors cross realms and process boundaries, so they are told apart by `code`, never by prototype. */
const ownErrors: Rule = (source, place) => {
  const found: Untidy[] = [];
  visitAll(source, (node) => {
    if (place.kind !== 'source' || node.type !== 'BinaryExpression' || node['operator'] !== 'instanceof') return;
    const right = textAt(nodeAt(node, 'right'), 'value') ?? textAt(nodeAt(nodeAt(node, 'right'), 'property'), 'value') ?? '';
    if (/(Error|Failure|Refusal|Exception)$/.test(right))
      found.push({ rule: 'error-identity', line: lineOf(source, node.span.start), message: `instanceof ${right}: test the code field` });
  });
  return found;
};

/** Every rule by name, in the order of the report. */
export const rules: Readonly<Record<string, Rule>> = {
  'module-comment': moduleComment,
  'file-length': fileLength,
  'function-length': functionLength,
  'banned-word': bannedWords,
  'loose-type': looseTypes,
  documented: documentedExports,
  'documented-port': documentedPorts,
  ambient,
  citation: citations,
  'error-identity': ownErrors,
};

/** Applies every rule to one file. */
export function judge(source: Source, place: Place): Untidy[] {
  return Object.values(rules).flatMap((rule) => rule(source, place));
}
