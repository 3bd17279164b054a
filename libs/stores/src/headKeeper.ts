/**
 * Keeps the head file up with the ledger: at most a few times a second while it is busy, at once on a checkpoint and at the end. Lagging is safe,
 * going back is not. PROTOCOL §3 (head elsewhere).
 */
import { equalBytes } from '@openexec/canon';
import type { Head } from '@openexec/ledger';
import { readHeadFile, writeHeadFile } from './headFile.ts';
import { isOutcome } from './errors.ts';

/** One file write costs about as much as one commit, so it is not made for each. */
const INTERVAL_MS = 200;

/** A head as far as it is remembered. */
export type KnownHead = Pick<Head, 'size' | 'root' | 'fingerprint'>;

/** One handle's part in keeping the file. */
export class HeadKeeper {
  readonly #path: string;
  readonly #head: () => KnownHead | null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(path: string, head: () => KnownHead | null) {
    this.#path = path;
    this.#head = head;
  }

  /** After a commit. Window 5: a death before the file is written leaves it behind the ledger, which any later start accepts. */
  committed(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => this.now(), INTERVAL_MS);
    this.#timer.unref();
  }

  /**
   * Remembers the present head, unless the file already knows a later one from another process. A file that cannot be written is no reason to
   * refuse a commit that is durable: the next start says so.
   */
  now(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const head = this.#headOrNull();
    if (head === null || head.fingerprint === null) return;
    const { fingerprint, size, root } = head;
    const known = readHeadFile(this.#path);
    if (!known.ok) return;
    if (known.value !== null && (known.value.fingerprint !== fingerprint || known.value.size > size || equalBytes(known.value.root, root)))
      return;
    try {
      writeHeadFile(this.#path, { fingerprint, size, root });
    } catch (error) {
      if (!isOutcome(error)) throw error;
    }
  }

  /** Null where the stored head is damaged: such a head is not remembered, and whoever reads it is told. */
  #headOrNull(): KnownHead | null {
    try {
      return this.#head();
    } catch (error) {
      if (!isOutcome(error)) throw error;
      return null;
    }
  }
}
