/**
 * Holds a ledger that is copied in against what was said of it, piece by piece: chain, commitments, root, checkpoints, blobs and who names them.
 * Every store runs this one check while it stores. Must never let in a blob that nothing present names. PROTOCOL §3 "Moving".
 */
import { type Bytes, type Digest, digestOf, equalBytes, utf8Encode } from '@openexec/canon';
import { Holding, mentionedIn, reach, runNow } from './holding.ts';
import { CopyFault, type LedgerCopy } from './keeper.ts';
import { MAX_BLOB_BYTES } from './prepare.ts';
import { Retrace, type Retraced } from './retrace.ts';
import type { Row, StoredCheckpoint } from './types.ts';

/** One copy being checked. Throws {@link CopyFault}. */
export class CopyCheck {
  readonly retrace = new Retrace();
  readonly #copy: LedgerCopy;
  readonly #holding = new Holding();
  readonly #inside = new Map<Digest, readonly Digest[]>();
  readonly #blobs = new Set<Digest>();
  readonly #erased = new Set<Digest>();
  #checkpoint = -1n;
  #entriesDone = false;

  constructor(copy: LedgerCopy) {
    this.#copy = copy;
  }

  /** The next row, in its place. */
  row(row: Row): Retraced {
    if (this.#entriesDone) throw new CopyFault('copy.malformed', 'an entry stands behind the checkpoints or blobs');
    if (BigInt(this.retrace.size) >= this.#copy.size)
      throw new CopyFault('copy.incomplete', `there are more entries than the ${this.#copy.size} that were said`);
    const taken = this.retrace.take(row);
    if (!taken.ok) throw new CopyFault(taken.error.code === 'entry.broken' ? 'copy.entry' : 'copy.payload', taken.error.message);
    this.#holding.take(taken.value.entry, row.payload);
    return taken.value;
  }

  /** The end of the rows. */
  #rowsEnd(): void {
    if (this.#entriesDone) return;
    this.#entriesDone = true;
    const { size, root } = this.#copy;
    if (BigInt(this.retrace.size) !== size) throw new CopyFault('copy.incomplete', `${size} entries were said, ${this.retrace.size} came`);
    if (!equalBytes(this.retrace.root(), root))
      throw new CopyFault('copy.incomplete', 'the entries make another root than was said: one was changed, left out or put elsewhere');
  }

  checkpoint({ size }: StoredCheckpoint): void {
    this.#rowsEnd();
    if (this.#blobs.size + this.#erased.size > 0) throw new CopyFault('copy.malformed', 'a checkpoint stands behind the blobs');
    if (size <= this.#checkpoint || size > this.#copy.size)
      throw new CopyFault('copy.incomplete', `a checkpoint of size ${size} has no place here`);
    this.#checkpoint = size;
  }

  blob(digest: Digest, bytes: Bytes | null): void {
    this.#rowsEnd();
    if (this.#blobs.has(digest) || this.#erased.has(digest)) throw new CopyFault('copy.blob', `the blob ${digest} comes twice`);
    if (bytes === null) {
      this.#erased.add(digest);
      return;
    }
    if (bytes.length > MAX_BLOB_BYTES) throw new CopyFault('copy.tooLarge', `the blob ${digest} has ${bytes.length} bytes`);
    if (digestOf(bytes) !== digest) throw new CopyFault('copy.blob', `the bytes of ${digest} have another digest`);
    this.#blobs.add(digest);
    const inside = mentionedIn(bytes);
    if (inside.length > 0) this.#inside.set(digest, inside);
  }

  /** The end of everything: every blob is held by a payload that is there, every erased one is named by an opening that holds nothing. */
  finish(): void {
    this.#rowsEnd();
    const { held, containers, openedOnly } = this.#holding.finish();
    const all = runNow(reach(held, containers), (digest) => utf8Encode((this.#inside.get(digest) ?? []).join(' ')));
    for (const digest of this.#blobs)
      if (!all.has(digest)) throw new CopyFault('copy.blob', `no payload names the blob ${digest}: an erased one is not brought back`);
    for (const digest of this.#erased)
      if (!openedOnly.has(digest) || all.has(digest))
        throw new CopyFault('copy.blob', `the blob ${digest} is said to be erased, and no erased run had it`);
  }

  get blobs(): number {
    return this.#blobs.size;
  }
}
