/**
 * The git tree that the recorded commits of a run make, by their deltas alone: no kernel, no world. Replay holds it against the tree that it comes to
 * itself. Must never judge (PROTOCOL §§8, 10).
 */
import { type Json, parseCanonical } from '@openexec/canon';
import { gitTreeId } from '@openexec/proof';
import { delta, type FileValue, fileValue, type InlineOrBlob, type RunOpened, treeEntry, type TreeEntry } from '@openexec/protocol';
import type { Stored } from '@openexec/ledger';
import type { BlobReader } from './event.ts';

/** Where a file is: mode and git id. */
export type Place = Pick<TreeEntry, 'mode' | 'oid'>;
type Members = { readonly [name: string]: Json };

/** Git tree id of a listing; null where git makes no tree of it. */
export function treeOfListing(files: ReadonlyMap<string, Place>, format: 'sha1' | 'sha256'): string | null {
  try {
    return gitTreeId(
      [...files].map(([path, { mode, oid }]) => ({ path, mode, oid })),
      format,
    );
  } catch {
    return null; // Thrown for paths and ids that git refuses, and for nothing else.
  }
}

/** Follows the entries of one run, in order. */
export class RecordedTree {
  readonly #reader: BlobReader;
  #base: ReadonlyMap<string, Place> | null = null;
  #format: 'sha1' | 'sha256' = 'sha1';
  #files = new Map<string, Place>();

  constructor(reader: BlobReader) {
    this.#reader = reader;
  }

  /** Git tree id of what is committed so far; null before the opening, or once something could not be read. */
  get tree(): string | null {
    return this.#base === null ? null : treeOfListing(this.#files, this.#format);
  }

  /** Takes the next entry with its body. */
  async take({ entry }: Stored, body: Json): Promise<void> {
    if (entry.kind === 'run.opened') return this.#open((body as unknown as RunOpened).base);
    if (entry.kind !== 'commit.recorded' && entry.kind !== 'commit.compensated') return;
    const steps = delta.safeParse(await this.#json((body as unknown as { readonly delta: InlineOrBlob }).delta));
    if (!steps.success) {
      this.#base = null;
      return;
    }
    for (const step of steps.data) if (step.kind === 'file') this.#put(step.id, step.op === 'retract' ? null : step.value);
  }

  async #open({ listing, objectFormat }: RunOpened['base']): Promise<void> {
    const entries = treeEntry.array().safeParse(await this.#json({ blob: listing }));
    if (!entries.success) return;
    this.#format = objectFormat;
    this.#base = new Map(entries.data.map(({ path, mode, oid }) => [path, { mode, oid }]));
    this.#files = new Map(this.#base);
  }

  async #json(value: InlineOrBlob): Promise<Json | undefined> {
    if ('inline' in value) return value.inline;
    const bytes = await this.#reader.read(value.blob.digest);
    const parsed = bytes.ok ? parseCanonical(bytes.value) : bytes;
    return parsed.ok ? parsed.value : undefined;
  }

  /** A file, nothing, or `{base}`: what the base holds under that name (PROTOCOL §4.3 "puts every resource back"). */
  #put(path: string, value: Json): void {
    const file = fileValue.safeParse(value);
    const asInBase = typeof value === 'object' && value !== null && !Array.isArray(value) && 'base' in (value as Members);
    const place: FileValue | Place | undefined = asInBase ? this.#base?.get(path) : file.success ? file.data : undefined;
    if (place === undefined) this.#files.delete(path);
    else this.#files.set(path, { mode: place.mode, oid: place.oid });
  }
}
