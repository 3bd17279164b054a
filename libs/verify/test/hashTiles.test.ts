/** Hash tiles of a part of a large ledger: they lead to the root, and do not without the full tile between. c2sp.org/tlog-tiles; PROTOCOL §11. */
import { describe, expect, test } from '@jest/globals';
import { type Bytes, type Digest, digestFromBytes, utf8Encode } from '@openexec/canon';
import { leafHash, TileBuilder } from '@openexec/proof';
import type { BundlePart } from '@openexec/verify';
import { HashTiles } from '../src/bundle/hashTiles.ts';

async function* once(bytes: Bytes): AsyncGenerator<Bytes> {
  yield await Promise.resolve(bytes);
}

describe('tiles of a part of a ledger', () => {
  test('do not lead to the root without the full tile between', async () => {
    const size = 65_537;
    const builder = new TileBuilder();
    const parts: BundlePart[] = [];
    const keep = (files: readonly { readonly path: string; readonly bytes: Bytes }[]): void => {
      for (const { path, bytes } of files)
        if (!path.startsWith('tile/entries/') && (!path.startsWith('tile/0/') || path === 'tile/0/000' || path.includes('.p/')))
          parts.push({ path, bytes: bytes.length, read: () => once(bytes) });
    };
    for (let at = 0; at < size; at++) keep(builder.append(utf8Encode(`${at}`)));
    keep(builder.finish());
    const root: Digest = digestFromBytes(builder.root());
    const of = (left: readonly BundlePart[]) => new Map(left.map((part) => [part.path, part]));
    const read = await HashTiles.read(of(parts), BigInt(size), root);
    if (!read.ok) throw new Error(read.error.message);
    expect(read.value.leaf(7n)).toEqual(leafHash(utf8Encode('7')));
    const without = await HashTiles.read(of(parts.filter(({ path }) => path !== 'tile/1/000')), BigInt(size), root);
    expect(without).toMatchObject({ ok: false, error: { code: 'bundle.missing', part: 'tile/1/000' } });
  });
});
