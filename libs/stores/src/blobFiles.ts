/**
 * Blobs that are too large for a row: files named by digest, durable before any entry that names them. Must never expose a file that is not
 * complete. PROTOCOL §2 (blob).
 */
import { closeSync, existsSync, fstatSync, fsyncSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { open, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Bytes, type Digest, type Randomness, toHex } from '@openexec/canon';
import { codeOf } from './errors.ts';

/** Larger blobs go to files (PROTOCOL §2). */
export const MAX_ROW_BLOB_BYTES = 128 * 1024;
const UNFINISHED = '.unfinished-';
/** An unfinished file older than this has lost its writer. */
const UNFINISHED_AGE_MS = 60 * 60 * 1000;

/** One folder of blobs, two levels deep. */
export class BlobFiles {
  readonly #folder: string;
  readonly #randomness: Randomness;
  /** Folders whose own names this handle knows to be on the medium. */
  readonly #anchored = new Set<string>();

  constructor(folder: string, randomness: Randomness) {
    this.#folder = folder;
    this.#randomness = randomness;
  }

  /** Resolves once the bytes would survive a power cut. Rejects with the system's error. */
  async write(digest: Digest, bytes: Bytes): Promise<void> {
    const folder = this.#folderOf(digest);
    if ((await sizeOf(this.#pathOf(digest))) !== bytes.length) {
      await mkdir(folder, { recursive: true });
      const unfinished = join(folder, `${UNFINISHED}${toHex(this.#randomness.bytes(8))}`);
      try {
        const file = await open(unfinished, 'wx', 0o600);
        try {
          await file.writeFile(bytes);
          await file.sync();
        } finally {
          await file.close();
        }
        // Window 1: a death before this line leaves an unfinished file that nothing reads and `sweep` removes.
        await rename(unfinished, this.#pathOf(digest));
      } catch (error) {
        await rm(unfinished, { force: true });
        throw error;
      }
    }
    // Also for a file that was there: whoever renamed it may have died before the folder was on the medium.
    await syncFolder(folder);
    await this.#anchor(folder);
    // Window 2: a death from here until the commit leaves a file that no entry names; the same bytes find it again.
  }

  /** The names of the folder itself and of the one above it, once a handle: whoever made them may not have synced them, and without them no blob is found. */
  async #anchor(folder: string): Promise<void> {
    if (this.#anchored.has(folder)) return;
    await syncFolder(this.#folder);
    await syncFolder(dirname(this.#folder));
    this.#anchored.add(folder);
  }

  /** The bytes of a file, null when there is none. */
  async read(digest: Digest): Promise<Bytes | null> {
    try {
      const bytes = await readFile(this.#pathOf(digest));
      return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null;
      throw error;
    }
  }

  /** Whether a complete file of that name is there. */
  has(digest: Digest): boolean {
    return existsSync(this.#pathOf(digest));
  }

  /** The bytes of a file at once, null when there is none: under the write lock nothing is waited for. */
  readNow(digest: Digest): Bytes | null {
    return this.has(digest) ? new Uint8Array(readFileSync(this.#pathOf(digest))) : null;
  }

  /** Overwrites and removes a file; one that is gone already is no error. */
  removeNow(digest: Digest): void {
    const path = this.#pathOf(digest);
    if (!existsSync(path)) return;
    const file = openSync(path, 'r+');
    try {
      const { size } = fstatSync(file);
      const zeros = new Uint8Array(MAX_ROW_BLOB_BYTES);
      for (let at = 0; at < size; at += zeros.length) writeSync(file, zeros, 0, Math.min(zeros.length, size - at), at);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    rmSync(path, { force: true });
  }

  /** Digests of all complete files. */
  async names(): Promise<readonly Digest[]> {
    const found: Digest[] = [];
    for (const folder of await foldersIn(this.#folder))
      for (const name of await foldersIn(join(this.#folder, folder)))
        if (/^[0-9a-f]{64}$/.test(name)) found.push(`sha256:${name}` as Digest); // As its grammar says.
    return found;
  }

  /** Removes unfinished files whose writers are gone. */
  async sweep(nowMs: number): Promise<void> {
    for (const folder of await foldersIn(this.#folder)) {
      for (const name of await foldersIn(join(this.#folder, folder))) {
        const path = join(this.#folder, folder, name);
        if (name.startsWith(UNFINISHED) && nowMs - (await stat(path)).mtimeMs > UNFINISHED_AGE_MS) await rm(path, { force: true });
      }
    }
  }

  #folderOf(digest: Digest): string {
    return join(this.#folder, digest.slice(7, 9));
  }

  #pathOf(digest: Digest): string {
    return join(this.#folderOf(digest), digest.slice(7));
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return -1;
    throw error;
  }
}

async function foldersIn(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return [];
    throw error;
  }
}

/** A rename is durable once its folder is. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
