/**
 * Which blobs the entries of a bundle rest on: those that bodies name, and the contents of files inside deltas and lists of changes. What a model
 * or an action returned names nothing, whatever it looks like: a digest that it wrote must not bring another run's bytes into a bundle. PROTOCOL §11.
 */
import { type Bytes, type Digest, type Json, ok, parseJson, type Result } from '@openexec/canon';
import { delta, fileChange } from '@openexec/protocol';
import { eachBlobRef } from '@openexec/verify';

type Members = { readonly [name: string]: Json };
/** Hands out a blob, or says that it is not there. */
export type ReadBlob = (digest: Digest) => Promise<Result<Bytes, { readonly code: string; readonly message: string }>>;

/** Gathers the blobs of the entries that it is given. */
export class BlobNames {
  /** Each blob with its media type; of a file's content nothing is known but its bytes. */
  readonly named = new Map<Digest, string>();
  readonly #read: ReadBlob;

  constructor(read: ReadBlob) {
    this.#read = read;
  }

  async take(kind: string, body: Json): Promise<void> {
    eachBlobRef(body, (digest, mediaType) => void this.named.set(digest, mediaType));
    const members = body as Members;
    if (kind === 'execution.observed') this.#files((await this.#held(members['changes'])) ?? [], changedFile);
    if (kind === 'commit.recorded' || kind === 'commit.compensated') this.#files((await this.#held(members['delta'])) ?? [], deltaFile);
  }

  /** A value in the payload, or the one in the blob that it names; null where that is gone. */
  async #held(value: Json | undefined): Promise<readonly Json[] | null> {
    const members = typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Members) : {};
    const digest = (members['blob'] as Members | undefined)?.['digest'];
    const found = typeof digest === 'string' ? await this.#json(digest as Digest) : ok(members['inline'] ?? null); // Read with its schema below.
    return found.ok && Array.isArray(found.value) ? (found.value as readonly Json[]) : null;
  }

  async #json(digest: Digest): Promise<Result<Json, unknown>> {
    const bytes = await this.#read(digest);
    return bytes.ok ? parseJson(bytes.value, { maxBytes: bytes.value.length, numbers: 'doubles' }) : bytes;
  }

  #files(list: readonly Json[], fileOf: (each: Json) => Digest | null): void {
    for (const each of list) {
      const digest = fileOf(each);
      if (digest !== null && !this.named.has(digest)) this.named.set(digest, 'application/octet-stream');
    }
  }
}

function changedFile(each: Json): Digest | null {
  const change = fileChange.safeParse(each);
  return change.success ? (change.data.after?.blob ?? null) : null;
}

function deltaFile(each: Json): Digest | null {
  const step = delta.element.safeParse(each);
  if (!step.success || step.data.kind !== 'file' || step.data.op === 'retract') return null;
  const value = step.data.value as Members;
  return typeof value['blob'] === 'string' ? (value['blob'] as Digest) : null; // A file's value is the runtime's own (PROTOCOL §8).
}
