/**
 * A bundle as parts: a folder, or one tar file, whoever holds the bytes. Paths are checked before anything is read; must never trust a length that a
 * hostile archive names. PROTOCOL §11.
 */
import { type Bytes, concatBytes, ok, type Result, utf8Decode } from '@openexec/canon';
import { type BundleFault, bundleFault } from './format.ts';

/** One part: its path, its length in bytes, its content in pieces. `read` may be called more than once. */
export interface BundlePart {
  readonly path: string;
  readonly bytes: number;
  read(): AsyncIterable<Bytes>;
}

/** All parts by path. */
export type BundleParts = ReadonlyMap<string, BundlePart>;

/** Bytes that can be read at any place: an open file, or a file that a browser was given. */
export interface RandomAccess {
  readonly bytes: number;
  /** Exactly `length` bytes from `at` on; rejects when they cannot be read. */
  read(at: number, length: number): Promise<Bytes>;
}

/** What a reader allows. */
export const LIMITS = { parts: 2_000_000, pathBytes: 240, pieceBytes: 256 * 1024, smallBytes: 16 * 1024 * 1024 } as const;

const PART_PATH = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/;

/** Whether a part may have this path: relative, plain, no dots that lead elsewhere, one spelling. */
export function isPartPath(path: string): boolean {
  return path.length <= LIMITS.pathBytes && PART_PATH.test(path);
}

/** A path fit for a message, whatever it holds. */
export function showPath(path: string): string {
  return JSON.stringify(path.slice(0, LIMITS.pathBytes));
}

/** The parts of a list of files, each path checked. */
export function partsOf(files: Iterable<BundlePart>, maxParts: number = LIMITS.parts): Result<BundleParts, BundleFault> {
  const parts = new Map<string, BundlePart>();
  for (const file of files) {
    if (!isPartPath(file.path)) return bundleFault('bundle.path', showPath(file.path), 'no part of a bundle has such a path');
    if (parts.has(file.path)) return bundleFault('bundle.duplicate', file.path, 'the part stands in the bundle twice');
    if (parts.size >= maxParts) return bundleFault('bundle.tooLarge', file.path, `a bundle has at most ${maxParts} parts`);
    parts.set(file.path, file);
  }
  return ok(parts);
}

/** All bytes of a part that has to be small. */
export async function readSmall(part: BundlePart, maxBytes: number = LIMITS.smallBytes): Promise<Result<Bytes, BundleFault>> {
  if (part.bytes > maxBytes)
    return bundleFault('bundle.tooLarge', part.path, `it has ${part.bytes} bytes; a part of its kind has at most ${maxBytes}`);
  const pieces: Bytes[] = [];
  let held = 0;
  for await (const piece of part.read()) {
    held += piece.length;
    if (held > part.bytes) return bundleFault('bundle.unreadable', part.path, 'it grew while it was read');
    pieces.push(piece);
  }
  if (held < part.bytes) return bundleFault('bundle.truncated', part.path, `it ends after ${held} of ${part.bytes} bytes`);
  return ok(concatBytes(...pieces));
}

/** The same as text. */
export async function readText(part: BundlePart, maxBytes?: number): Promise<Result<string, BundleFault>> {
  const bytes = await readSmall(part, maxBytes);
  if (!bytes.ok) return bytes;
  const text = utf8Decode(bytes.value);
  return text.ok ? text : bundleFault('bundle.malformed', part.path, text.error.message);
}
