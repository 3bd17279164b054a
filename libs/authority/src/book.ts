/**
 * A persistent map that only grows: extending the newest version costs O(1), every older version keeps reading as it was. Must never let one
 * version see what another added. Serves the fold of `law`, whose nonces are kept for ever (PROTOCOL §5).
 */

interface Slot<V> {
  readonly value: V;
  /** How many slots stood before this one: a version of size n sees the slots below n. */
  readonly order: number;
}

/** An immutable view; versions of one lineage share their storage. */
export class Book<V> {
  readonly #shared: Map<string, Slot<V>>;
  readonly size: number;

  private constructor(shared: Map<string, Slot<V>>, size: number) {
    this.#shared = shared;
    this.size = size;
  }

  /** The book with nothing in it. */
  static empty<V>(): Book<V> {
    return new Book<V>(new Map(), 0);
  }

  /** Whether this version holds the key. */
  has(key: string): boolean {
    return this.#slot(key) !== undefined;
  }

  /** The value under the key in this version. */
  get(key: string): V | undefined {
    return this.#slot(key)?.value;
  }

  /** A version that also holds `key`; throws when it is already there, since nothing in a book is ever replaced. */
  with(key: string, value: V): Book<V> {
    if (this.has(key)) throw new Error(`the book already holds ${key}`);
    const shared = this.#shared.size === this.size ? this.#shared : this.#fork();
    shared.set(key, { value, order: this.size });
    return new Book(shared, this.size + 1);
  }

  #slot(key: string): Slot<V> | undefined {
    const slot = this.#shared.get(key);
    return slot !== undefined && slot.order < this.size ? slot : undefined;
  }

  /** A newer version exists: this one grows in storage of its own. */
  #fork(): Map<string, Slot<V>> {
    const copy = new Map<string, Slot<V>>();
    for (const [key, slot] of this.#shared) if (slot.order < this.size) copy.set(key, slot);
    return copy;
  }
}
