/**
 * From stored bytes to events the kernel can read: parsed, held against the schema of their kind, with exactly the blobs that are needed. What is
 * gone or malformed is a value, never a throw (PROTOCOL §10).
 */
import { type Bytes, type Digest, err, type Json, ok, parseCanonical, type Result } from '@openexec/canon';
import { neededBlobs, type RunEvent } from '@openexec/kernel';
import type { Stored } from '@openexec/ledger';
import { type BlobRef, kindRow } from '@openexec/protocol';
import type { AuditSource } from './report.ts';

/** Why an entry cannot be read as an event. `gone` makes its run not derivable, `body` is a divergence. */
export interface EventProblem {
  readonly what: 'gone' | 'body';
  readonly code: string;
  readonly message: string;
}

/** Bytes kept between runs, because runs mostly open with the same law; bounded. */
const KEPT_BYTES = 32 * 1024 * 1024;

/** Reads blobs and keeps those last used. The same digest gives the same object, so that what was parsed from it once is found again. */
export class BlobReader {
  readonly #source: Pick<AuditSource, 'blob'>;
  readonly #kept = new Map<Digest, Bytes>();
  #bytes = 0;

  constructor(source: Pick<AuditSource, 'blob'>) {
    this.#source = source;
  }

  async read(digest: Digest): Promise<Result<Bytes, EventProblem>> {
    const known = this.#kept.get(digest);
    if (known !== undefined) {
      this.#kept.delete(digest);
      this.#kept.set(digest, known);
      return ok(known);
    }
    const read = await this.#source.blob(digest);
    if (!read.ok) return err({ what: 'gone', code: read.error.code, message: `blob ${digest}: ${read.error.message}` });
    this.#keep(digest, read.value);
    return read;
  }

  #keep(digest: Digest, bytes: Bytes): void {
    if (bytes.length > KEPT_BYTES / 4) return;
    this.#kept.set(digest, bytes);
    this.#bytes += bytes.length;
    for (const [oldest, held] of this.#kept) {
      if (this.#bytes <= KEPT_BYTES) return;
      this.#kept.delete(oldest);
      this.#bytes -= held.length;
    }
  }

  /** All of these blobs, or the first that is not there. `given` are at hand already. */
  async readAll(refs: readonly BlobRef[], given: ReadonlyMap<Digest, Bytes>): Promise<Result<ReadonlyMap<Digest, Bytes>, EventProblem>> {
    if (refs.every(({ digest }) => given.has(digest))) return ok(given);
    const blobs = new Map(given);
    for (const { digest } of refs) {
      if (blobs.has(digest)) continue;
      const read = await this.read(digest);
      if (!read.ok) return read;
      blobs.set(digest, read.value);
    }
    return ok(blobs);
  }
}

/** The body of a stored entry, parsed and held against its schema. */
export function bodyOf(stored: Stored): Result<Json, EventProblem> {
  const { entry, payload } = stored;
  if (payload === null) return err({ what: 'gone', code: 'payload.erased', message: `the payload of ${entry.kind} was erased` });
  const json = parseCanonical(payload);
  if (!json.ok) return err({ what: 'body', code: json.error.code, message: json.error.message });
  const checked = kindRow(entry.kind).body.safeParse(json.value);
  if (checked.success) return ok(json.value);
  const issue = checked.error.issues[0];
  return err({
    what: 'body',
    code: 'payload.invalid',
    message: `${issue?.path.map(String).join('.') ?? ''}: ${issue?.message ?? 'not of its schema'}`,
  });
}

/** The event of an entry whose body is known, hydrated. */
export async function eventOf(
  stored: Stored,
  body: Json,
  reader: BlobReader,
  given: ReadonlyMap<Digest, Bytes> = new Map(),
): Promise<Result<RunEvent, EventProblem>> {
  const { kind, at, cause, law } = stored.entry;
  // The body was held against the schema of this kind, or is the kernel's own for it; the mapped union cannot follow that.
  const bare = { kind, body } as unknown as Pick<RunEvent, 'kind' | 'body'>;
  const blobs = await reader.readAll(neededBlobs(bare), given);
  return blobs.ok ? ok({ kind, at, cause, law, body, blobs: blobs.value } as unknown as RunEvent) : blobs;
}
