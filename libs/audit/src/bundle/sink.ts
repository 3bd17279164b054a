/**
 * Where a bundle is written: a folder of new files, and one tar file made of it. Must never write outside of its folder, nor over what is there.
 * PROTOCOL §11.
 */
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Bytes, sha256Stream } from '@openexec/canon';
import { type BundlePart, MANIFEST, TAR_END, tarHeader, tarPadding } from '@openexec/verify';

/** What was written of one part. */
export interface Written {
  readonly sha256: Bytes;
  readonly bytes: number;
}

/** Takes the parts of one bundle, each once. */
export interface BundleSink {
  write(path: string, pieces: AsyncIterable<Bytes> | Iterable<Bytes>): Promise<Written>;
}

/** Parts as files below a folder that exists. Rejects with the file system's error. */
export function folderSink(folder: string): BundleSink {
  return {
    async write(path, pieces) {
      const file = join(folder, path);
      await mkdir(dirname(file), { recursive: true });
      const handle = await createNew(file);
      const hash = sha256Stream();
      let bytes = 0;
      try {
        for await (const piece of pieces) {
          hash.update(piece);
          bytes += piece.length;
          await handle.write(piece);
        }
        await handle.sync();
      } finally {
        await handle.close();
      }
      return { sha256: hash.digest(), bytes };
    },
  };
}

function createNew(file: string): Promise<FileHandle> {
  return open(file, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o644);
}

/** One tar file with these parts, MANIFEST first, the rest by path. Rejects with the file system's error, or `EFBIG` for a part too large for ustar. */
export async function writeTar(file: string, parts: Iterable<BundlePart>): Promise<void> {
  const sorted = [...parts].sort((a, b) => rank(a.path) - rank(b.path) || (a.path < b.path ? -1 : 1));
  const handle = await createNew(file);
  try {
    for (const part of sorted) {
      const header = tarHeader(part.path, part.bytes);
      if (header === null) throw Object.assign(new Error(`${part.path} is too large for one tar file`), { code: 'EFBIG' });
      await handle.write(header);
      for await (const piece of part.read()) await handle.write(piece);
      await handle.write(tarPadding(part.bytes));
    }
    await handle.write(TAR_END);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Whoever reads the file as a stream learns first what is to come. */
function rank(path: string): number {
  return path === MANIFEST ? 0 : 1;
}
