/**
 * The folder of one run, written at any time from its entries: timeline, artifacts, context pack, policy snapshot, figures, safety report, and every blob
 * that they rest on. The same entries give the same bytes. Must never write what the ledger does not hold; what is gone is listed (schemas/timeline.md).
 */
import {
  type Bytes,
  canonicalText,
  type Digest,
  digestFromBytes,
  type Json,
  parseCanonical,
  type TrajectoryId,
  utf8Encode,
} from '@openexec/canon';
import { eventLine, type Stored } from '@openexec/ledger';
import { type Body, type Kind, timelineIndex, type TimelineIndex } from '@openexec/protocol';
import { BlobNames } from '../bundle/blobs.ts';
import type { BundleSink } from '../bundle/sink.ts';
import { bodyOf } from '../event.ts';
import { escapedJson } from '../report/escape.ts';
import type { RunReader } from '../report/reader.ts';
import type { RunSource } from '../worldAt.ts';
import { metricsOf, safetyOf, wholeReader } from './documents.ts';
import { safetyPage } from './page.ts';

type AnyBody = { [K in Kind]: { readonly kind: K; readonly body: Body<K> } }[Kind];
type FileIs = TimelineIndex['files'][number]['is'];
/** A named value that a stage or a commit brought forth. */
type Artifact = Body<'commit.recorded'>['artifacts'][number];

/** The artifact of the action `build_context_pack`, by the name that every shipped blueprint gives it (OPENEXEC §1.5). */
const CONTEXT_PACK = 'context_pack';
const JSON_TYPE = 'application/json';

/** Writes the folder; null when the run has no entry. Errors of the sink and reading faults of the store are thrown as they throw them. */
export async function writeTimeline(source: RunSource, run: TrajectoryId, sink: BundleSink): Promise<TimelineIndex | null> {
  return new Folder(source, run, sink).write();
}

class Folder {
  readonly #source: RunSource;
  readonly #run: TrajectoryId;
  readonly #sink: BundleSink;
  readonly #reader: RunReader;
  readonly #blobs: BlobNames;
  readonly #artifacts: Artifact[] = [];
  readonly #files: TimelineIndex['files'][number][] = [];
  readonly #gone: TimelineIndex['blobs'][number][] = [];
  #policySet: Digest | null = null;
  #pack: Digest | null = null;
  #last: Stored | null = null;

  constructor(source: RunSource, run: TrajectoryId, sink: BundleSink) {
    this.#source = source;
    this.#run = run;
    this.#sink = sink;
    this.#reader = wholeReader(run, source);
    this.#blobs = new BlobNames((digest) => source.blob(digest));
  }

  async write(): Promise<TimelineIndex | null> {
    await this.#file('timeline.jsonl', { is: 'timeline', mediaType: 'application/jsonl' }, this.#lines());
    const last = this.#last;
    if (last === null) return null;
    const metrics = metricsOf(this.#reader);
    const safety = safetyOf(this.#reader);
    await this.#text('metrics.json', { is: 'metrics', mediaType: JSON_TYPE }, `${canonicalText(metrics)}\n`);
    await this.#text('safety.json', { is: 'safety', mediaType: JSON_TYPE }, `${canonicalText(safety)}\n`);
    await this.#text('safety.md', { is: 'safety', mediaType: 'text/markdown' }, safetyPage(safety, metrics));
    const placed = await this.#named();
    for (const [digest, mediaType] of [...this.#blobs.named].sort(([a], [b]) => (a < b ? -1 : 1)))
      if (!placed.has(digest)) await this.#blob(digest, `blobs/${digest.slice('sha256:'.length)}`, { is: 'blob', mediaType });
    const index = timelineIndex.parse({
      v: 1,
      type: 'openexec.timeline',
      run: this.#run,
      entries: last.entry.seq + 1,
      head: { seq: last.entry.seq, leaf: last.leaf },
      files: this.#files,
      unreadable: safety.unreadable,
      blobs: this.#gone,
    });
    await this.#sink.write('index.json', [utf8Encode(`${canonicalText(index)}\n`)]);
    return index;
  }

  /** The one pass over the entries: what stands in the timeline is what the rest of the folder is made from. */
  async *#lines(): AsyncGenerator<Bytes> {
    for await (const stored of this.#source.read(this.#run)) {
      this.#last = stored;
      await this.#reader.take(stored);
      const body = bodyOf(stored);
      if (body.ok) await this.#take(stored.entry.kind, body.value);
      // A payload that is not of its kind is shown as it stands.
      const json = stored.payload === null ? null : parseCanonical(stored.payload);
      const line = eventLine(stored, json?.ok === true ? json.value : null);
      // Members in the order in which `--jsonl` prints them; each body is canonical in itself.
      yield utf8Encode(`${escapedJson(JSON.stringify(line))}\n`);
    }
  }

  async #take(kind: string, json: Json): Promise<void> {
    await this.#blobs.take(kind, json);
    // The body was just held against the schema of this kind.
    const { kind: own, body } = { kind, body: json } as unknown as AnyBody;
    if (own === 'run.opened') this.#policySet = body.policySet.digest;
    if (own === 'context.packed') this.#pack = body.pack.digest;
    if (own === 'commit.recorded') this.#artifacts.push(...body.artifacts);
    if (own === 'stage.left') this.#artifacts.push(...body.outputs);
  }

  /** Artifacts by name and version, then the context pack that was made last, and the policy as it was fixed when the run was opened. */
  async #named(): Promise<ReadonlySet<Digest>> {
    const placed = new Map<string, Digest>();
    for (const { name, version, blob } of this.#artifacts) {
      if (name === CONTEXT_PACK) this.#pack = blob.digest;
      const path = `artifacts/${name}/${version}${blob.mediaType.startsWith(JSON_TYPE) ? '.json' : ''}`;
      // Versions go on through a rewind; a past that no kernel made may hold one twice, and then the first one has the name.
      if (placed.has(path)) continue;
      placed.set(path, blob.digest);
      await this.#blob(blob.digest, path, { is: 'artifact', mediaType: blob.mediaType });
    }
    if (this.#pack !== null) await this.#blob(this.#pack, 'context_pack.json', { is: 'contextPack', mediaType: JSON_TYPE });
    if (this.#policySet !== null) await this.#blob(this.#policySet, 'policy_snapshot.json', { is: 'policySnapshot', mediaType: JSON_TYPE });
    return new Set([...placed.values(), ...[this.#pack, this.#policySet].flatMap((digest) => digest ?? [])]);
  }

  async #blob(digest: Digest, path: string, of: { readonly is: FileIs; readonly mediaType: string }): Promise<void> {
    const bytes = await this.#source.blob(digest);
    if (bytes.ok) return this.#file(path, of, [bytes.value]);
    if (bytes.error.code !== 'blob.erased' && bytes.error.code !== 'blob.unknown')
      throw Object.assign(new Error(bytes.error.message), { code: 'store.corrupt' });
    const because = bytes.error.code === 'blob.erased' ? 'erased' : 'withheld';
    if (!this.#gone.some((gone) => gone.digest === digest)) this.#gone.push({ digest, because });
  }

  #text(path: string, of: { readonly is: FileIs; readonly mediaType: string }, text: string): Promise<void> {
    return this.#file(path, of, [utf8Encode(text)]);
  }

  async #file(
    path: string,
    { is, mediaType }: { readonly is: FileIs; readonly mediaType: string },
    pieces: AsyncIterable<Bytes> | Iterable<Bytes>,
  ): Promise<void> {
    const { sha256, bytes } = await this.#sink.write(path, pieces);
    this.#files.push({ path, is, bytes, digest: digestFromBytes(sha256), mediaType });
  }
}
