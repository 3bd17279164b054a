/**
 * An audit bundle out of a ledger: streamed, deterministic, every part readable by somebody else's tool. Two exports of the same range under the same
 * checkpoint are the same bytes. Must never put in what the scope does not name, and never a byte that the ledger does not vouch for. PROTOCOL §11.
 */
import {
  type Bytes,
  compareBytes,
  type Digest,
  digestFromBytes,
  digestOf,
  err,
  type Json,
  ok,
  parseCanonical,
  type Result,
  type TrajectoryId,
  utf8Encode,
} from '@openexec/canon';
import { type LedgerStore, PRUNED_LIST_TYPE, type Stored, type StoredCheckpoint } from '@openexec/ledger';
import {
  type Checkpoint,
  formatAddCheckpoint,
  formatTlogProof,
  openCheckpoint,
  type Signer,
  TileBuilder,
  type TileFile,
  tileLevels,
  tileOfNode,
  tilePath,
} from '@openexec/proof';
import {
  blobPath,
  type BundleDescription,
  type BundleScope,
  type BundleStatement,
  CHECKPOINT,
  CHECKPOINT_TIME,
  DESCRIPTION,
  EVENTS,
  formatDescription,
  formatEnvelope,
  formatEvent,
  formatStatement,
  LOG_VKEY,
  MANIFEST,
  manifestLine,
  mayWithhold,
  proofPath,
  RunEnds,
  STATEMENT,
  statementSigningBytes,
} from '@openexec/verify';
import { makeReports, type ReportOrder } from '../report/make.ts';
import type { AuditSource } from '../report.ts';
import { BlobNames } from './blobs.ts';
import { type Selection, selectionFor } from './select.ts';
import type { BundleSink } from './sink.ts';

/** What of a ledger a bundle is made from. */
export type BundleLedger = Pick<LedgerStore, 'all' | 'rows' | 'blob' | 'checkpoints' | 'inclusion' | 'consistency'>;

/** What is kept back: of a payload nothing but its commitment goes out, of a blob nothing but its digest. */
export interface Withholding {
  readonly payload: (entry: Stored['entry']) => boolean;
  readonly blob: (mediaType: string) => boolean;
}

/** One export. */
export interface BundleOrder {
  readonly scope: BundleScope;
  /** The head under which everything is proved, and its keys. */
  readonly checkpoint: StoredCheckpoint;
  readonly vkeys: readonly string[];
  /** Sizes of kept checkpoints from which consistency is to be shown. */
  readonly since: readonly bigint[];
  readonly withhold: Withholding;
  /** Refuse unless every run is over, and ran under a passed self-test and without an undeclared effect. */
  readonly governed: boolean;
  /** The log key of this ledger. */
  readonly signer: Signer;
  /** Whether reports and patches go in, and where a base file that no entry holds may be read; null: no reports. */
  readonly reports: ReportOrder | null;
  /** Asks an authority for the time, an RFC 3161 TimeStampResp over these bytes; null: the bundle has no time but its own. */
  readonly stamp: ((data: Bytes) => Promise<Result<Bytes, { readonly message: string }>>) | null;
  /** Parts that are made elsewhere, each under a path of its own: receipts, tokens. */
  readonly more: readonly { readonly path: string; readonly bytes: Bytes }[];
  readonly onProgress?: (entries: number) => void;
}

/** Why no bundle was made. */
export interface BuildProblem {
  readonly code: 'bundle.checkpoint' | 'bundle.scope' | 'bundle.proof' | 'bundle.blob' | 'bundle.ungoverned' | 'bundle.timestamp';
  readonly message: string;
}

/** What was made. */
export interface BuiltBundle {
  readonly entries: number;
  readonly size: bigint;
  readonly statement: BundleStatement;
  readonly withheldPayloads: number;
  readonly withheldBlobs: number;
  readonly goneBlobs: number;
  readonly blobs: number;
}

const PROGRESS_ENTRIES = 4096;

/** Writes every part into the sink. Errors of the sink and reading faults of the store are thrown as they throw them. */
export async function buildBundle(ledger: BundleLedger, order: BundleOrder, sink: BundleSink): Promise<Result<BuiltBundle, BuildProblem>> {
  const opened = openCheckpoint(order.checkpoint.note, order.vkeys);
  if (!opened.ok)
    return problem('bundle.checkpoint', `the checkpoint of size ${order.checkpoint.size} does not open: ${opened.error.message}`);
  const { scope } = order;
  if (scope.is === 'range' && (scope.from >= scope.to || BigInt(scope.to) > opened.value.size))
    return problem('bundle.scope', `a range lies within the ${opened.value.size} entries that are signed`);
  const build = new Build(ledger, order, opened.value, sink);
  return build.run();
}

class Build {
  readonly #ledger: BundleLedger;
  readonly #order: BundleOrder;
  readonly #checkpoint: Checkpoint;
  readonly #sink: BundleSink;
  readonly #manifest = new Map<string, Bytes>();
  readonly #ends = new Map<string, bigint>();
  readonly #runs = new RunEnds();
  readonly #blobs: BlobNames;
  readonly #withheldPayloads: { trajectory: string; seq: number }[] = [];
  readonly #gonePayloads: { trajectory: TrajectoryId; seq: number }[] = [];
  readonly #included: bigint[] = [];
  #fingerprint: Digest | null = null;
  #entries = 0;

  constructor(ledger: BundleLedger, order: BundleOrder, checkpoint: Checkpoint, sink: BundleSink) {
    this.#ledger = ledger;
    this.#order = order;
    this.#checkpoint = checkpoint;
    this.#sink = sink;
    this.#blobs = new BlobNames((digest) => ledger.blob(digest));
  }

  async run(): Promise<Result<BuiltBundle, BuildProblem>> {
    const { scope } = this.#order;
    const { size } = this.#checkpoint;
    const selection = await selectionFor(scope, () => this.#ledger.all(0n, size));
    await this.#write(EVENTS, this.#lines(selection));
    for (const run of scope.is === 'runs' ? scope.runs : [])
      if (!this.#runs.has(run)) return problem('bundle.scope', `${run} has no entry below the checkpoint of size ${size}`);
    const late = await this.#forgottenLater();
    if (!late.ok) return late;
    const ungoverned = this.#stated().filter(({ governed }) => !governed);
    if (this.#order.governed && ungoverned.length > 0)
      return problem(
        'bundle.ungoverned',
        `${ungoverned.map(({ run }) => run).join(', ')}: no passed self-test is cited, an effect was not declared, or the run is open`,
      );
    await this.#tiles();
    const proved = await this.#proofs();
    if (!proved.ok) return proved;
    const consistent = await this.#consistency();
    if (!consistent.ok) return consistent;
    const blobs = await this.#writeBlobs();
    if (!blobs.ok) return blobs;
    const { withheld, gone, count } = blobs.value;
    const description = this.#description(withheld, gone);
    if (this.#order.reports !== null) await this.#writeReports(this.#order.reports, description, selection);
    for (const { path, bytes } of this.#order.more) await this.#write(path, [bytes]);
    const note = utf8Encode(this.#order.checkpoint.note);
    const stamped = await this.#stamp(note);
    if (!stamped.ok) return stamped;
    if (stamped.value !== null) await this.#write(CHECKPOINT_TIME, [stamped.value]);
    await this.#write(CHECKPOINT, [note]);
    await this.#write(LOG_VKEY, [utf8Encode(`${this.#vkey()}\n`)]);
    await this.#write(DESCRIPTION, [formatDescription(description)]);
    const statement = await this.#sign();
    if (!statement.ok) return statement;
    return ok({
      entries: this.#entries,
      size,
      statement: statement.value,
      withheldPayloads: this.#withheldPayloads.length,
      withheldBlobs: withheld.length,
      goneBlobs: gone.length,
      blobs: count,
    });
  }

  async #write(path: string, pieces: AsyncIterable<Bytes> | Iterable<Bytes>): Promise<void> {
    const { sha256 } = await this.#sink.write(path, pieces);
    this.#manifest.set(path, sha256);
  }

  async *#lines(selection: Selection): AsyncGenerator<Bytes> {
    let seen = 0;
    for await (const stored of this.#ledger.all(0n, this.#checkpoint.size)) {
      this.#fingerprint ??= stored.leaf; // The fingerprint is the leaf hash of the founding (PROTOCOL §5).
      seen += 1;
      if (seen % PROGRESS_ENTRIES === 0) this.#order.onProgress?.(seen);
      if (selection(stored)) yield await this.#line(stored, this.#fingerprint);
    }
    this.#order.onProgress?.(seen);
  }

  async #line(stored: Stored, ledger: Digest): Promise<Bytes> {
    const { entry, index, entryBytes } = stored;
    const { trajectory, kind, seq } = entry;
    const withheld = stored.payload !== null && mayWithhold(trajectory, kind) && this.#order.withhold.payload(entry);
    if (withheld) this.#withheldPayloads.push({ trajectory, seq });
    if (stored.payload === null) this.#gonePayloads.push({ trajectory, seq });
    const row = withheld ? { entryBytes, payload: null, salt: null } : { entryBytes, payload: stored.payload, salt: stored.salt };
    this.#entries += 1;
    this.#ends.set(trajectory, index);
    if (this.#order.scope.is !== 'ledger') this.#included.push(index);
    const body = row.payload === null ? null : parseCanonical(row.payload);
    const json: Json | null = body?.ok === true ? body.value : null;
    this.#runs.take(entry, json);
    if (json !== null) await this.#blobs.take(kind, json);
    return utf8Encode(`${formatEvent({ ledger, index: Number(index), entry, row })}\n`);
  }

  /** What took payloads away behind the checkpoint cannot be in the bundle, and without it they would count as lost. */
  async #forgottenLater(): Promise<Result<void, BuildProblem>> {
    if (this.#gonePayloads.length === 0) return ok(undefined);
    const { size } = this.#checkpoint;
    for await (const stored of this.#ledger.all(size)) {
      const { entry, index } = stored;
      if (entry.kind !== 'payload.erased' && entry.kind !== 'ledger.pruned') continue;
      const message = `${entry.kind} at index ${index} may have taken payloads from below the checkpoint of size ${size}: export under a later one`;
      return problem('bundle.scope', message);
    }
    return ok(undefined);
  }

  /** A whole ledger: every tile and entry bundle. A part of one: the hash tiles on the way from its entries to the root, and the right edge. */
  async #tiles(): Promise<void> {
    const { size } = this.#checkpoint;
    const wanted = this.#order.scope.is === 'ledger' ? null : tilesFor(this.#included, size);
    const builder = new TileBuilder();
    const keep = async (files: readonly TileFile[]): Promise<void> => {
      for (const { path, bytes } of files) if (wanted === null || wanted.has(path)) await this.#write(path, [bytes]);
    };
    for await (const page of this.#ledger.rows(0n, size)) for (const row of page) await keep(builder.append(row.entryBytes));
    await keep(builder.finish());
  }

  async #proofs(): Promise<Result<void, BuildProblem>> {
    const { size } = this.#checkpoint;
    for (const [trajectory, index] of this.#ends) {
      const hashes = await this.#ledger.inclusion(index, size);
      if (!hashes.ok) return problem('bundle.proof', `${trajectory}: ${hashes.error.message}`);
      const proof = formatTlogProof({ index, hashes: hashes.value, checkpoint: this.#order.checkpoint.note });
      await this.#write(proofPath(trajectory), [utf8Encode(proof)]);
    }
    return ok(undefined);
  }

  async #consistency(): Promise<Result<void, BuildProblem>> {
    const { size } = this.#checkpoint;
    const wanted = new Set(this.#order.since);
    for await (const { size: oldSize, note } of this.#ledger.checkpoints()) {
      if (!wanted.delete(oldSize) || oldSize >= size) continue;
      const proof = await this.#ledger.consistency(oldSize, size);
      if (!proof.ok) return problem('bundle.proof', proof.error.message);
      const path = `consistency/${oldSize}-${size}`;
      const body = formatAddCheckpoint({ oldSize, proof: proof.value, checkpoint: this.#order.checkpoint.note });
      await this.#write(path, [utf8Encode(body)]);
      await this.#write(`${path}.checkpoint`, [utf8Encode(note)]);
    }
    const [missing] = wanted;
    return missing === undefined || missing === size ? ok(undefined) : problem('bundle.scope', `no checkpoint of size ${missing} is kept`);
  }

  async #writeBlobs(): Promise<Result<{ withheld: readonly Digest[]; gone: readonly Digest[]; count: number }, BuildProblem>> {
    const withheld: Digest[] = [];
    const gone: Digest[] = [];
    let count = 0;
    for (const [digest, mediaType] of [...this.#blobs.named].sort(([a], [b]) => (a < b ? -1 : 1))) {
      // Without the list of a pruning nobody could tell what went by it from what was lost.
      if (mediaType !== PRUNED_LIST_TYPE && this.#order.withhold.blob(mediaType)) {
        withheld.push(digest);
        continue;
      }
      const bytes = await this.#ledger.blob(digest);
      if (bytes.ok) {
        await this.#write(blobPath(digest), [bytes.value]);
        count += 1;
      } else if (bytes.error.code === 'blob.erased' || bytes.error.code === 'blob.unknown') gone.push(digest);
      else return problem('bundle.blob', bytes.error.message);
    }
    return ok({ withheld, gone, count });
  }

  /** Made from what the bundle shows, so that nothing is in them that is withheld. */
  async #writeReports(order: ReportOrder, description: BundleDescription, selection: Selection): Promise<void> {
    const view = this.#view(description, selection);
    const withheld = new Set(description.withheldBlobs);
    const baseFile: ReportOrder['baseFile'] = async (oid) => {
      // The same bytes may be withheld as something else; and whoever keeps files back keeps those of the base back too.
      const bytes = this.#order.withhold.blob('application/octet-stream') ? null : await order.baseFile(oid);
      return bytes === null || withheld.has(digestOf(bytes)) ? null : bytes;
    };
    const [stated, gonePayloads] = [this.#stated(), this.#gonePayloads];
    const parts = makeReports({ view, description, stated, gonePayloads, order: { baseFile } });
    for await (const { path, bytes } of parts) await this.#write(path, [bytes]);
  }

  #view({ withheldPayloads, withheldBlobs }: BundleDescription, selection: Selection): AuditSource {
    const [ledger, { size }, blobs] = [this.#ledger, this.#checkpoint, this.#blobs];
    const payloads = new Set(withheldPayloads.map(({ trajectory, seq }) => `${trajectory} ${seq}`));
    const withheld = new Set(withheldBlobs);
    return {
      async *all(from = 0n) {
        for await (const stored of ledger.all(from, size)) {
          const { trajectory, seq } = stored.entry;
          if (selection(stored)) yield payloads.has(`${trajectory} ${seq}`) ? { ...stored, payload: null, salt: null } : stored;
        }
      },
      async blob(digest) {
        if (!blobs.named.has(digest) || withheld.has(digest)) return err({ code: 'blob.withheld', message: 'the bundle does not hold it' });
        return ledger.blob(digest);
      },
    };
  }

  #stated(): BundleStatement['runs'] {
    return this.#runs.stated();
  }

  #vkey(): string {
    const { keyName, keyHash } = this.#checkpoint;
    return this.#order.vkeys.find((vkey) => vkey.startsWith(`${keyName}+${keyHash}+`)) ?? '';
  }

  #description(withheldBlobs: readonly Digest[], goneBlobs: readonly Digest[]): BundleDescription {
    const { origin, size, root } = this.#checkpoint;
    return {
      ledger: this.#ledgerDigest(),
      origin,
      size: Number(size),
      root: digestFromBytes(root),
      scope: this.#order.scope,
      entries: this.#entries,
      withheldPayloads: this.#withheldPayloads,
      withheldBlobs,
      goneBlobs,
      coverage: this.#runs.coverage(),
    };
  }

  #ledgerDigest(): Digest {
    if (this.#fingerprint === null) throw new Error('a signed tree of no entries has no ledger'); // A checkpoint is of a founded ledger.
    return this.#fingerprint;
  }

  async #stamp(data: Bytes): Promise<Result<Bytes | null, BuildProblem>> {
    const { stamp } = this.#order;
    const token = stamp === null ? ok(null) : await stamp(data);
    return token.ok ? token : problem('bundle.timestamp', token.error.message);
  }

  async #sign(): Promise<Result<BundleStatement, BuildProblem>> {
    const paths = [...this.#manifest].sort(([a], [b]) => compareBytes(utf8Encode(a), utf8Encode(b)));
    const written = await this.#sink.write(
      MANIFEST,
      paths.map(([path, sha256]) => utf8Encode(manifestLine(sha256, path))),
    );
    const { origin, size, root } = this.#checkpoint;
    const statement: BundleStatement = {
      manifest: digestFromBytes(written.sha256),
      ledger: this.#ledgerDigest(),
      origin,
      size: Number(size),
      root: digestFromBytes(root),
      coverage: this.#runs.coverage(),
      runs: this.#stated(),
    };
    const payload = formatStatement(statement);
    const { signer } = this.#order;
    const signature = await signer.sign(statementSigningBytes(payload));
    // Sigstore's bundle takes times over the signature, not over what is signed.
    const token = await this.#stamp(signature);
    if (!token.ok) return token;
    const timestamps = token.value === null ? [] : [token.value];
    await this.#sink.write(STATEMENT, [formatEnvelope({ payload, key: signer.keyId, signature, timestamps })]);
    return ok(statement);
  }
}

/** Paths of the tiles that lead from these leaves to the root of a tree of this size, and of its right edge. */
function tilesFor(indexes: readonly bigint[], size: bigint): ReadonlySet<string> {
  const paths = new Set<string>();
  for (const { level, full, partialWidth } of tileLevels(size))
    if (partialWidth > 0) paths.add(tilePath({ level, index: full, width: partialWidth }));
  for (const index of indexes) {
    for (let level = 0; ; level += 1) {
      const node = { level: level * 8, index: index >> BigInt(level * 8) };
      if ((node.index + 1n) << BigInt(node.level) > size) break; // Not complete: its hashes are those of the right edge.
      const path = tilePath(tileOfNode(node, size).tile);
      if (paths.has(path)) break;
      paths.add(path);
    }
  }
  return paths;
}

function problem(code: BuildProblem['code'], message: string): { readonly ok: false; readonly error: BuildProblem } {
  return err({ code, message });
}
