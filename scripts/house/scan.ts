/**
 * The house's own reading of every code file: which package it belongs to, whether it ships, and what it imports. It is the second opinion
 * against which dependency-cruiser's findings are counted; it must not share a line of code with that tool.
 */
import { builtinModules } from 'node:module';
import path from 'node:path';
import { type Named, parse, type Source, specifiersOf } from '../lib/ast.ts';
import { packageFiles, readText } from '../lib/files.ts';
import type { House, Room } from './model.ts';

/** One code file with its imports. */
export interface Scanned {
  readonly room: Room;
  readonly file: string;
  /** True below `src/`; tests, benches and build scripts do not ship. */
  readonly ships: boolean;
  readonly source: Source;
  readonly imports: readonly Named[];
}

/** Reads every code file of every package named in house.json. */
export function scan(root: string, house: House): Scanned[] {
  return house.rooms.flatMap((room) =>
    packageFiles(root, room.folder).map((file) => {
      const source = parse(file, readText(root, file));
      return { room, file, ships: file.startsWith(`${room.folder}/src/`), source, imports: specifiersOf(source) };
    }),
  );
}

/** What an import names: a file, a `#condition`, a built-in module, a sibling package or an outside package. */
export type Target =
  | { readonly is: 'file'; readonly path: string }
  | { readonly is: 'condition' }
  | { readonly is: 'builtin'; readonly name: string }
  | { readonly is: 'sibling'; readonly room: Room; readonly deep: boolean }
  | { readonly is: 'outside'; readonly name: string };

/** Classifies the specifier of an import found in `file`. */
export function targetOf(house: House, file: string, specifier: string): Target {
  if (specifier.startsWith('.')) return { is: 'file', path: path.posix.normalize(`${path.posix.dirname(file)}/${specifier}`) };
  if (specifier.startsWith('#')) return { is: 'condition' };
  const bare = specifier.replace(/^node:/, '');
  if (specifier.startsWith('node:') || builtinModules.includes(bare)) return { is: 'builtin', name: bare };
  const name = specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
  const room = house.rooms.find((one) => one.name === name);
  return room === undefined
    ? { is: 'outside', name }
    : { is: 'sibling', room, deep: specifier !== name && !(`.${specifier.slice(name.length)}` in room.doors) };
}

/** The source file behind a door of a package, behind its front door, or the path itself when `from` is a path. */
export function fileBehind(house: House, from: string): string {
  const room = house.rooms.find((one) => from === one.name || from.startsWith(`${one.name}/`));
  if (room === undefined) return from;
  return `${room.folder}/${room.doors[`.${from.slice(room.name.length)}`] ?? 'src/index.ts'}`;
}
