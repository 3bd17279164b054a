/**
 * Import rules held by the house's own reading of the syntax tree: one front door with explicit names, no way round it by a relative path,
 * outside packages in tests, and, a second time, direction, purity and ownership: dependency-cruiser does not see `export type … from`.
 */
import { nodeAt, type Node } from '../lib/ast.ts';
import { type Finding, type House, mayImport } from './model.ts';
import { type Scanned, type Target, targetOf } from './scan.ts';

/** `export * as name` gives one name and is lawful; swc reads it as a named export. */
const isWildcard = (node: Node): boolean => node.type === 'ExportAllDeclaration';

/** Servers and the like that tests of several packages share; nothing that ships may import them. */
const TEST_DOOR = /\/testServer(\.ts)?$/;

/** Direction, purity and ownership of one import, or null when it is lawful. */
function unlawful(house: House, one: Scanned, target: Target): { rule: string; message: string } | null {
  const { room } = one;
  if (target.is === 'sibling' && target.room.key !== room.key && !mayImport(house, room).includes(target.room)) {
    return { rule: 'floor', message: `${room.key} (floor ${room.floor}) must not import ${target.room.key} (floor ${target.room.floor})` };
  }
  if (target.is === 'builtin' && room.pure && one.ships) {
    const allowed = room.builtins[one.file.slice(room.folder.length + 1)] ?? [];
    if (!allowed.includes(target.name))
      return { rule: 'pure', message: `${room.key} is pure and must not import node:${target.name} here` };
  }
  if (target.is !== 'outside' || (house.outside[target.name]?.includes(room.key) ?? false)) return null;
  if (one.ships) return { rule: 'owner', message: `${target.name} is not owned by ${room.key}` };
  // A test may compare with any package that the house knows; its package.json must name it.
  const known = house.testTools.includes(target.name) || Object.hasOwn(house.outside, target.name);
  return known ? null : { rule: 'owner', message: `${target.name} is neither a test tool nor a package that the house owns` };
}

function checkFile(house: House, one: Scanned): Finding[] {
  const findings: Finding[] = [];
  const add = (rule: string, message: string): void => void findings.push({ rule, where: one.file, message });
  if (one.ships && one.source.body.some(isWildcard)) add('wildcard', 'exports are named one by one, never by *');
  for (const { specifier } of one.imports) {
    const target = targetOf(house, one.file, specifier);
    if (target.is === 'file' && !target.path.startsWith(`${one.room.folder}/`))
      add('relative', `${specifier} leaves the package; import a sibling by its name`);
    if (target.is === 'file' && one.ships && target.path === `${one.room.folder}/src/index.ts`)
      add('own-index', 'inside a package the file is imported, not the front door');
    if (target.is === 'sibling' && target.deep) add('deep-import', `${specifier} goes past the front door of ${target.room.name}`);
    if (target.is === 'sibling' && target.room.key === one.room.key && one.ships) add('own-index', 'a package does not import itself');
    if (one.ships && TEST_DOOR.test(specifier)) add('test-door', `${specifier} is a door for tests only`);
    const verdict = unlawful(house, one, target);
    if (verdict !== null) add(verdict.rule, `${specifier}: ${verdict.message}`);
  }
  return findings;
}

/** Checks the import habits of every file. */
export function checkSources(house: House, files: readonly Scanned[]): Finding[] {
  return files.flatMap((one) => checkFile(house, one));
}

/** Whether a name is exported by this front door, as a value or as a type. */
export function exportsName(index: Scanned | undefined, name: string): boolean {
  return (index?.source.body ?? []).some((node) => {
    if (node.type === 'ExportNamedDeclaration') {
      const list = Array.isArray(node['specifiers']) ? (node['specifiers'] as Node[]) : [];
      return list.some((item) => (nodeAt(item, 'exported') ?? nodeAt(item, 'orig') ?? nodeAt(item, 'name'))?.['value'] === name);
    }
    const declaration = node.type === 'ExportDeclaration' ? nodeAt(node, 'declaration') : undefined;
    const names = [
      nodeAt(declaration, 'id') ?? nodeAt(declaration, 'identifier'),
      ...((declaration?.['declarations'] as Node[] | undefined) ?? []).map((item) => nodeAt(item, 'id')),
    ];
    return names.some((id) => id?.['value'] === name);
  });
}
