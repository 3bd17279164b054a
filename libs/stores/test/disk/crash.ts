/**
 * States in which a power cut may leave a folder: what was synced is there; of what was not, any sectors of any writes may be, torn, lost and in any
 * order; names made, moved or removed since their folder was synced may be lost, the later ones first. After ALICE (Pillai et al., OSDI 2014).
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Effect } from './recording.ts';

/** What a disk writes at once: a torn write ends at such a border. */
const SECTOR = 512;

/** Whole numbers from 0 up to, but not including, the limit. */
export type Draw = (limit: number) => number;

type Change = { readonly at: number; readonly data: Buffer } | { readonly size: number };
interface File {
  readonly durable: Buffer;
  readonly pending: readonly Change[];
}
type Node = 'folder' | File;

/** The names of a folder: each operation since its last sync can be undone. */
interface Names {
  durable: Map<string, Box>;
  now: Map<string, Box>;
  /** `now` after each operation that is not synced. */
  readonly pending: Map<string, Box>[];
}
interface Box {
  node: Node;
}

function changed(content: Buffer, change: Change): Buffer {
  if ('size' in change) return change.size <= content.length ? content.subarray(0, change.size) : extended(content, change.size);
  const result = extended(Buffer.from(content), Math.max(content.length, change.at + change.data.length));
  change.data.copy(result, change.at);
  return result;
}

function extended(content: Buffer, size: number): Buffer {
  return size === content.length ? content : Buffer.concat([content, Buffer.alloc(size - content.length)]);
}

/** What became of what was not synced: all of a file's changes lost or kept, a write torn, sectors out of order, names lost. */
export const LOSSES = ['lost', 'kept', 'torn', 'reordered', 'namesLost'] as const;
export type Loss = (typeof LOSSES)[number];

/** A disk that remembers what is synced and what is not. */
export class Disk {
  readonly #folders = new Map<string, Names>();

  /** `before` is what lay in the folder, all of it synced. */
  constructor(before: ReadonlyMap<string, Buffer>) {
    this.#folders.set('', { durable: new Map(), now: new Map(), pending: [] });
    for (const [path, bytes] of before) this.#name(path, { node: { durable: bytes, pending: [] } });
    for (const names of this.#folders.values()) this.#syncNames(names);
  }

  /** Takes up one effect. */
  take(effect: Effect): void {
    if (effect.op === 'acknowledged') return;
    if (effect.op === 'make') this.#name(effect.path, { node: { durable: Buffer.alloc(0), pending: [] } });
    else if (effect.op === 'folder') {
      this.#name(effect.path, { node: 'folder' });
      this.#folders.set(effect.path, { durable: new Map(), now: new Map(), pending: [] });
    } else if (effect.op === 'move') {
      const box = this.#box(effect.path);
      this.#change(effect.path, (names, name) => names.delete(name));
      this.#change(effect.to, (names, name) => names.set(name, box), dirname(effect.path) === dirname(effect.to));
    } else if (effect.op === 'remove') this.#change(effect.path, (names, name) => names.delete(name));
    else if (effect.op === 'sync') this.#sync(effect.path);
    else if (effect.op === 'write' || effect.op === 'cut') {
      const box = this.#box(effect.path);
      if (box.node === 'folder') throw new Error(`${effect.path} is a folder`);
      box.node = { durable: box.node.durable, pending: [...box.node.pending, effect] };
    }
  }

  /** Writes one possible state into the folder `to`, and says what was lost in it. */
  crash(to: string, draw: Draw): ReadonlySet<Loss> {
    rmSync(to, { recursive: true, force: true });
    mkdirSync(to, { recursive: true });
    const losses = new Set<Loss>();
    this.#write('', to, { draw, losses });
    return losses;
  }

  #write(folder: string, to: string, how: { readonly draw: Draw; readonly losses: Set<Loss> }): void {
    const { draw, losses } = how;
    const names = this.#folders.get(folder);
    if (names === undefined) throw new Error(`no folder ${folder}`);
    // How many of the names' operations reached the disk: often all or none, else some.
    const reached = draw(3) === 0 ? names.pending.length : draw(names.pending.length + 1);
    if (reached < names.pending.length) losses.add('namesLost');
    const there = reached === 0 ? names.durable : (names.pending[reached - 1] ?? names.durable);
    for (const [name, { node }] of there) {
      const path = folder === '' ? name : `${folder}/${name}`;
      if (node === 'folder') {
        mkdirSync(join(to, path), { recursive: true });
        this.#write(path, to, how);
      } else writeFileSync(join(to, path), survived(node, draw, losses));
    }
  }

  #name(path: string, box: Box): void {
    const folder = parentOf(path);
    if (!this.#folders.has(folder)) {
      this.#folders.set(folder, { durable: new Map(), now: new Map(), pending: [] });
      this.#name(folder, { node: 'folder' });
    }
    this.#change(path, (names, name) => names.set(name, box));
  }

  /** `joined`: the operation belongs to the one before it and cannot be seen apart. */
  #change(path: string, make: (names: Map<string, Box>, name: string) => void, joined = false): void {
    const names = this.#folders.get(parentOf(path));
    if (names === undefined) throw new Error(`no folder for ${path}`);
    names.now = new Map(names.now);
    make(names.now, path.slice(path.lastIndexOf('/') + 1));
    if (joined) names.pending.pop();
    names.pending.push(names.now);
  }

  #sync(path: string): void {
    const names = this.#folders.get(path);
    if (names !== undefined) return this.#syncNames(names);
    const box = this.#box(path);
    if (box.node === 'folder') throw new Error(`${path} is a folder`);
    // A synced file's name is durable only when its folder is synced, too.
    box.node = { durable: box.node.pending.reduce(changed, box.node.durable), pending: [] };
  }

  #syncNames(names: Names): void {
    names.durable = names.now;
    names.pending.length = 0;
  }

  #box(path: string): Box {
    const box = this.#folders.get(parentOf(path))?.now.get(path.slice(path.lastIndexOf('/') + 1));
    if (box === undefined) throw new Error(`no file ${path}`);
    return box;
  }
}

function parentOf(path: string): string {
  const folder = dirname(path);
  return folder === '.' ? '' : folder;
}

/** What each way of {@link survived} is. */
const WAYS: readonly Loss[] = ['lost', 'kept', 'torn', 'reordered', 'reordered'];

/** What remains of a file: all of its unsynced changes, none, the first of them with a torn end, or any sectors of any of them. */
function survived({ durable, pending }: File, draw: Draw, losses: Set<Loss>): Buffer {
  if (pending.length === 0) return durable;
  const way = draw(5);
  losses.add(WAYS[way] ?? 'reordered');
  if (way === 0) return durable;
  if (way === 1) return pending.reduce(changed, durable);
  if (way === 2) {
    const whole = draw(pending.length);
    const content = pending.slice(0, whole).reduce(changed, durable);
    const last = pending[whole];
    if (last === undefined || 'size' in last) return content;
    const torn = Math.min(last.data.length, draw(Math.ceil(last.data.length / SECTOR) + 1) * SECTOR);
    return torn === 0 ? content : changed(content, { at: last.at, data: last.data.subarray(0, torn) });
  }
  // Each sector by itself; with many lost or with few.
  const kept = way === 3 ? 2 : 8;
  let content = durable;
  for (const change of pending) {
    if ('size' in change) {
      if (draw(kept) > 0) content = changed(content, change);
      continue;
    }
    for (let at = 0; at < change.data.length; ) {
      const end = Math.min(change.data.length, (Math.floor((change.at + at) / SECTOR) + 1) * SECTOR - change.at);
      if (draw(kept) > 0) content = changed(content, { at: change.at + at, data: change.data.subarray(at, end) });
      at = end;
    }
  }
  return content;
}
