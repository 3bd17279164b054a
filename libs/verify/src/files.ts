/**
 * A bundle on disk, under Node: a folder, or one tar file. The one file of this package that touches a host, behind a door of its own, so that a
 * browser never meets it. Must never follow a link, nor read what is no plain file. PROTOCOL §11.
 */
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Bytes, ok, type Result } from '@openexec/canon';
import { type BundleFault, bundleFault } from './bundle/format.ts';
import { type BundlePart, type BundleParts, LIMITS, partsOf, showPath } from './bundle/source.ts';
import { readTar } from './bundle/tar.ts';

/** An open bundle; `close` gives up what it holds. */
export interface OpenBundle {
  readonly parts: BundleParts;
  close(): Promise<void>;
}

/** Folders below folders: deeper than any bundle has. */
const MAX_DEPTH = 8;

/** Opens the folder or file at `path`. What it holds is checked by path only; errors of the file system are refusals too. */
export async function openBundle(path: string, maxParts: number = LIMITS.parts): Promise<Result<OpenBundle, BundleFault>> {
  try {
    const stat = await lstat(path);
    if (stat.isDirectory()) return await openFolder(path, maxParts);
    if (stat.isFile()) return await openArchive(path, stat.size, maxParts);
    return bundleFault('bundle.unreadable', showPath(path), 'it is neither a folder nor a plain file; a link is not followed');
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    if (typeof code !== 'string') throw error;
    return bundleFault('bundle.unreadable', showPath(path), `it cannot be read (${code})`);
  }
}

async function openFolder(root: string, maxParts: number): Promise<Result<OpenBundle, BundleFault>> {
  const found: BundlePart[] = [];
  const fault = await walk({ root, found, maxParts }, '', 0);
  if (fault !== null) return fault;
  const parts = partsOf(found);
  return parts.ok ? ok({ parts: parts.value, close: () => Promise.resolve() }) : parts;
}

type Refused = { readonly ok: false; readonly error: BundleFault };

interface Walk {
  readonly root: string;
  readonly found: BundlePart[];
  readonly maxParts: number;
}

async function walk(into: Walk, below: string, depth: number): Promise<Refused | null> {
  const { root, found, maxParts } = into;
  if (depth > MAX_DEPTH) return bundleFault('bundle.path', showPath(below), 'a bundle has no folders that deep');
  for (const entry of await readdir(join(root, below), { withFileTypes: true })) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) {
      const fault = await walk(into, path, depth + 1);
      if (fault !== null) return fault;
      continue;
    }
    if (!entry.isFile()) return bundleFault('bundle.path', showPath(path), 'it is no plain file');
    if (found.length >= maxParts) return bundleFault('bundle.tooLarge', showPath(path), `a bundle has at most ${maxParts} parts`);
    const file = join(root, path);
    found.push({ path, bytes: (await lstat(file)).size, read: () => pieces(file) });
  }
  return null;
}

async function* pieces(file: string): AsyncGenerator<Bytes> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    for (;;) {
      const piece = new Uint8Array(LIMITS.pieceBytes);
      const { bytesRead } = await handle.read(piece, 0, piece.length, null);
      if (bytesRead === 0) return;
      yield piece.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

async function openArchive(path: string, bytes: number, maxParts: number): Promise<Result<OpenBundle, BundleFault>> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  const parts = await readTar({ bytes, read: (at, length) => exactly(handle, at, length) }, maxParts);
  if (parts.ok) return ok({ parts: parts.value, close: () => handle.close() });
  await handle.close();
  return parts;
}

async function exactly(handle: FileHandle, at: number, length: number): Promise<Bytes> {
  const bytes = new Uint8Array(length);
  let held = 0;
  while (held < length) {
    const { bytesRead } = await handle.read(bytes, held, length - held, at + held);
    if (bytesRead === 0) throw Object.assign(new Error('the file became shorter while it was read'), { code: 'EIO' });
    held += bytesRead;
  }
  return bytes;
}
