/**
 * Contract suite of the port `Anchor`: what it takes, what it refuses, what it gives back. An adapter says how one is opened over an empty place; what
 * follows must be the same for a witness, an authority, a ref and a file.
 */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { digestOf } from '@openexec/canon';
import type { Anchor } from '@openexec/proof';
import { TestLog } from './fixture.ts';

/** An anchor over an empty place. */
export interface OpenedAnchor {
  readonly anchor: Anchor;
  /** Another handle on the same place. */
  again(): Anchor;
  /** From now on nothing of the place can be reached. */
  cut(): Promise<void> | void;
  close(): Promise<void> | void;
}

/** Runs the suite over an adapter; `remembers`: whether it can contradict. */
export function anchorContract(name: string, options: { readonly remembers: boolean; open(): Promise<OpenedAnchor> | OpenedAnchor }): void {
  describe(`${name} keeps the contract of Anchor`, () => {
    const log = new TestLog(600);
    let opened: OpenedAnchor;
    beforeEach(async () => {
      opened = await options.open();
    });
    afterEach(async () => opened.close());

    test('takes a first checkpoint, the same again, and every later one that continues it, whatever size was believed', async () => {
      const sizes = [3, 3, 4, 256, 257, 600];
      for (const size of sizes) {
        for (const believed of [0n, BigInt(size)]) {
          const taken = await opened.anchor.submit(await log.submission(size, believed));
          expect(taken).toMatchObject({ ok: true });
          expect(taken.ok && taken.value.digest === digestOf(taken.value.bytes)).toBe(true);
        }
      }
    });

    test('another handle on the same place goes on where the first one stopped', async () => {
      expect(await opened.anchor.submit(await log.submission(5))).toMatchObject({ ok: true });
      expect(await opened.again().submit(await log.submission(9, 5n))).toMatchObject({ ok: true });
    });

    test('says anchor.unreachable or anchor.unknown when the place is gone, and never that it was taken', async () => {
      await opened.cut();
      const taken = await opened.anchor.submit(await log.submission(5));
      expect(taken.ok ? 'taken' : taken.error.code).toMatch(/^anchor\.(unreachable|unknown)$/);
    });

    if (!options.remembers) return;

    test('a smaller tree than the one it holds is a conflict, and the larger one stays', async () => {
      expect(await opened.anchor.submit(await log.submission(300))).toMatchObject({ ok: true });
      expect(await opened.anchor.submit(await log.submission(299, 300n))).toMatchObject({ ok: false, error: { code: 'anchor.conflict' } });
      expect(await opened.anchor.submit(await log.submission(300, 300n))).toMatchObject({ ok: true });
    });

    test('another tree of the same size is a conflict, and so is a larger one that grew again from elsewhere', async () => {
      expect(await opened.anchor.submit(await log.submission(300))).toMatchObject({ ok: true });
      const fork = new TestLog(600, 200);
      for (const size of [300, 301, 600])
        expect(await opened.anchor.submit(await fork.submission(size, 300n))).toMatchObject({
          ok: false,
          error: { code: 'anchor.conflict' },
        });
      expect(await opened.anchor.submit(await log.submission(301, 300n))).toMatchObject({ ok: true });
    });
  });
}
