/**
 * Integrity of a ledger: every byte re-hashed, chained, sequenced; every commitment, checkpoint and signature; the first bad index named. Streams;
 * memory is one record per trajectory. Needs no validation library and nothing of the host. PROTOCOL §10.
 */
import { type Bytes, type Digest, digestOf, fromBase64, isDigest, type Json, parseCanonical, toHex } from '@openexec/canon';
import { commitmentOf, decodeEntry, type Entry, ERASURE_TYPE, entrySigningBytes, type Row, readPrunedList } from '@openexec/ledger/codec';
import { CompactRange, formatVkey, leafHash, openCheckpoint, verifySignature, verifyTyped } from '@openexec/proof';
import { LawKeys } from './lawKeys.ts';
import type { Finding, FindingCode, LedgerSource, VerifyOptions, VerifyReport } from './report.ts';
import { Trajectories } from './trajectories.ts';

/** Findings listed one by one; the rest are counted. */
const MAX_FINDINGS = 1000;
const CHECKED = [
  'every entry: canonical bytes, leaf hash, place in its trajectory, previous leaf, kind, time, cause, law position',
  'every payload present: length and salted commitment',
  'the tree: root recomputed from the leaves, at every checkpoint and at the head kept elsewhere',
  'every signature on law bodies, commits, closed runs, self-tests and checkpoints, by a key that held its role there',
  'law nonces: each used once',
  'every payload that is gone: named by a signed payload.erased, or by the list of a ledger.pruned and old enough',
];
const NOT_CHECKED = [
  'what signed things mean: containment of writs, budgets, quorum, policy (verify --deep)',
  'whether the kernel would judge the same again (verify --deep)',
  'whether facts are true: an observation is what the runtime saw',
  'anchors and witnesses: none is configured',
  'signatures of votes and the writs of runs (verify --deep)',
];

/** These keep their payloads for ever (PROTOCOL §3, erasure). */
const KEPT = /^(law|ledger|writ\/.*)$/;

interface Missing {
  readonly index: number;
  readonly trajectory: string;
  readonly seq: number;
  readonly at: string;
}
/** A pruning whose list is still to be read. */
interface Pruned {
  readonly index: number;
  readonly digest: Digest;
  readonly before: string;
}

/**
 * One verification of a whole ledger or of a part of it, taken row by row: {@link verifyLedger} is the whole of it, a simulation takes each entry as it
 * becomes durable, a bundle each with its place.
 */
export class LedgerVerification {
  readonly #law = new LawKeys();
  readonly #trajectories: Trajectories;
  readonly #tree = CompactRange.empty();
  readonly #findings: Finding[] = [];
  readonly #missing: Missing[] = [];
  readonly #erased = new Set<string>();
  readonly #prunings: Pruned[] = [];
  #prunedCount = 0;
  readonly #source: Omit<LedgerSource, 'rows'>;
  readonly #waiting: { readonly size: bigint; readonly note: string }[];
  /** The next size at which something is held against the root: compared for every row, hence a plain number. */
  #stopAt = 0;
  /** Size of the largest checkpoint that is signed rightly and has this tree's root. */
  #signedSize = 0;
  #omitted = 0;
  #entries = 0;
  #signatures = 0;
  #checkpoints = 0;
  #firstBad: number | null = null;

  /** `isPartial`: trajectories of which entries may be left out. */
  constructor(source: Omit<LedgerSource, 'rows'>, isPartial?: (trajectory: string) => boolean) {
    this.#source = source;
    this.#trajectories = new Trajectories(isPartial);
    this.#waiting = [...source.checkpoints].sort((a, b) => (a.size < b.size ? -1 : a.size > b.size ? 1 : 0));
    this.#setStop();
  }

  #say(index: number | null, code: FindingCode, message: string): void {
    if (index !== null && (this.#firstBad === null || index < this.#firstBad)) this.#firstBad = index;
    if (this.#findings.length < MAX_FINDINGS) this.#findings.push({ index, code, message });
    else this.#omitted += 1;
  }

  /** Takes the next row, in tree order. */
  take(row: Row): void {
    const index = this.#entries;
    const hash = leafHash(row.entryBytes);
    this.#tree.append(hash);
    this.#entries += 1;
    this.#row(row, hash, index);
    if (this.#entries >= this.#stopAt) this.#heads(index);
  }

  /** The same for an entry of a part of a ledger, wherever it stands there: its place in the tree is for the caller to check. */
  takeAt(row: Row, index: number): void {
    this.#entries += 1;
    this.#row(row, leafHash(row.entryBytes), index);
  }

  #row(row: Row, hash: Bytes, index: number): void {
    const decoded = decodeEntry(row.entryBytes);
    if (decoded.ok) this.#entry(decoded.value, row, hash, index);
    else this.#say(index, 'entry.undecodable', decoded.error.message);
  }

  /** The keys that may sign checkpoints, as of the last law entry seen. */
  logVkeys(): readonly string[] {
    const { origin, lastAt } = this.#law;
    if (origin === null || lastAt === null) return [];
    return this.#law.holders('log', lastAt).map((publicKey) => formatVkey({ keyName: origin, publicKey }));
  }

  /** Of those the one with this id, or null. */
  logKey(key: string): Bytes | null {
    return this.#law.lastAt === null ? null : this.#law.holder(key, 'log', this.#law.lastAt);
  }

  #entry(entry: Entry, row: Row, hash: Bytes, index: number): void {
    const leaf = `sha256:${toHex(hash)}` as Digest; // 32 bytes of SHA-256 by construction
    if (index === 0 && (entry.kind !== 'ledger.founded' || entry.seq !== 0))
      this.#say(0, 'ledger.unfounded', 'the first entry is not ledger.founded');
    for (const fault of this.#trajectories.take(entry, leaf, index, this.#law.position))
      this.#say(fault.index ?? index, fault.code, fault.message);
    this.#payload(entry, row, index);
    if (entry.trajectory === 'law') this.#lawBody(entry, leaf, row.payload, index);
    if (entry.kind === 'payload.erased' && row.payload !== null) this.#erasure(row.payload, entry, index);
    if (entry.kind === 'selfTest.recorded' && row.payload !== null) this.#selfTest(row.payload, entry, index);
    if (entry.kind === 'ledger.pruned' && row.payload !== null) this.#pruning(row.payload, entry, index);
    if (entry.sig !== undefined) this.#entrySignature(entry, entry.sig, index);
  }

  #payload(entry: Entry, row: Row, index: number): void {
    if (row.payload === null || row.salt === null) {
      if (row.payload !== null || row.salt !== null)
        this.#say(index, 'payload.commitment', 'payload and salt must be there together or not at all');
      if (KEPT.test(entry.trajectory) || entry.kind === 'run.opened')
        this.#say(index, 'payload.missing', `the payload of ${entry.kind} in ${entry.trajectory} can never be erased, and is gone`);
      else this.#missing.push({ index, trajectory: entry.trajectory, seq: entry.seq, at: entry.at });
      return;
    }
    if (row.payload.length !== entry.bytes)
      return this.#say(index, 'payload.commitment', `the payload has ${row.payload.length} bytes; the entry says ${entry.bytes}`);
    if (commitmentOf(row.salt, row.payload) !== entry.commitment)
      this.#say(index, 'payload.commitment', 'the payload is not the one that was committed to');
  }

  #lawBody(entry: Entry, leaf: Digest, payload: Bytes | null, index: number): void {
    const body = payload === null ? null : parseCanonical(payload);
    if (body === null || !body.ok) {
      this.#law.position = entry.seq;
      return this.#say(
        index,
        'law.body',
        body === null ? 'a law payload is gone' : `a law payload is not canonical: ${body.error.message}`,
      );
    }
    const fault = this.#law.take({ kind: entry.kind, seq: entry.seq, at: entry.at, leaf, body: body.value });
    if (fault !== null) this.#say(index, fault.code, fault.message);
  }

  #erasure(payload: Bytes, entry: Entry, index: number): void {
    const body = parseCanonical(payload);
    const list = body.ok ? member(body.value, 'entries') : undefined;
    if (!body.ok || !Array.isArray(list)) return this.#say(index, 'law.body', 'payload.erased names no entries');
    this.#erasureSignatures(body.value, entry, index);
    for (const each of list as readonly Json[]) {
      const [trajectory, seq] = [member(each, 'trajectory'), member(each, 'seq')];
      if (typeof trajectory !== 'string' || typeof seq !== 'number') {
        this.#say(index, 'law.body', 'payload.erased names something that is no place');
        continue;
      }
      if (trajectory.startsWith('run/') && this.#trajectories.isOpenAt(trajectory, index))
        this.#say(index, 'payload.missing', `a payload of ${trajectory} was erased while that run was open`);
      this.#erased.add(`${trajectory} ${seq}`);
    }
  }

  /** An erasure is signed by whoever lets runs open: a root or an issuer key (PROTOCOL §3: a signed erase). */
  #erasureSignatures(body: Json, entry: Entry, index: number): void {
    const signatures = member(body, 'signatures');
    const signed: { [name: string]: Json } = { ...(body as { readonly [name: string]: Json }), ledger: this.#law.ledger };
    delete signed['signatures'];
    if (!Array.isArray(signatures) || signatures.length === 0) return this.#say(index, 'erasure.signature', 'payload.erased is not signed');
    for (const each of signatures as readonly Json[]) {
      const [key, value] = [member(each, 'key'), member(each, 'value')];
      const known = typeof key === 'string' ? (this.#law.holder(key, 'root', entry.at) ?? this.#law.holder(key, 'issuer', entry.at)) : null;
      this.#signatures += 1;
      if (known === null || typeof value !== 'string' || !verifyTyped({ type: ERASURE_TYPE, body: signed, publicKey: known, value }))
        this.#say(index, 'erasure.signature', `payload.erased is not signed by a root or issuer key of this ledger`);
    }
  }

  /** What canaries came to is the word of a runtime key (PROTOCOL §4.2). */
  #selfTest(payload: Bytes, entry: Entry, index: number): void {
    const recorded = parseCanonical(payload);
    const body = recorded.ok ? member(recorded.value, 'body') : undefined;
    const signatures = recorded.ok ? member(recorded.value, 'signatures') : undefined;
    const only = Array.isArray(signatures) && signatures.length === 1 ? (signatures[0] as Json) : undefined;
    const [key, value] = [member(only, 'key'), member(only, 'value')];
    const publicKey = typeof key === 'string' ? this.#law.holder(key, 'runtime', entry.at) : null;
    this.#signatures += 1;
    const type = 'application/vnd.openexec.selfTest.recorded.v1+json';
    const good = body !== undefined && publicKey !== null && typeof value === 'string' && verifyTyped({ type, body, publicKey, value });
    if (!good) this.#say(index, 'selfTest.signature', 'selfTest.recorded is not signed by a runtime key of this ledger');
    else if (member(body, 'ledger') !== this.#law.ledger || member(body, 'trajectory') !== entry.trajectory)
      this.#say(index, 'selfTest.signature', 'selfTest.recorded is of another ledger or trajectory');
  }

  #pruning(payload: Bytes, entry: Entry, index: number): void {
    const body = parseCanonical(payload);
    const before = body.ok ? member(body.value, 'before') : undefined;
    const digest = body.ok ? member(member(body.value, 'list'), 'digest') : undefined;
    if (typeof before !== 'string' || !isDigest(digest)) return this.#say(index, 'law.body', 'ledger.pruned names no list');
    if (before > entry.at) this.#say(index, 'law.body', 'ledger.pruned reaches into its own future');
    this.#prunings.push({ index, digest, before });
  }

  /** What is gone by the list of a pruning, once its bytes were read. */
  async lists(read: LedgerSource['blob']): Promise<void> {
    if (this.#prunings.length === 0 || this.#missing.length === 0) return;
    const missing = new Map<string, Map<number, Missing>>();
    for (const each of this.#missing) {
      const run = missing.get(each.trajectory);
      if (run === undefined) missing.set(each.trajectory, new Map([[each.seq, each]]));
      else run.set(each.seq, each);
    }
    for (const { index, digest, before } of this.#prunings) {
      const bytes = (await read?.(digest)) ?? null;
      const list = bytes === null || digestOf(bytes) !== digest ? null : readPrunedList(bytes);
      if (list === null) {
        this.#say(index, 'payload.missing', `the list ${digest} of a ledger.pruned cannot be read: what it names counts as missing`);
        continue;
      }
      for (const { trajectory, first, last } of list) {
        const run = missing.get(trajectory);
        if (run === undefined) continue;
        if (trajectory.startsWith('run/') && this.#trajectories.isOpenAt(trajectory, index))
          this.#say(index, 'payload.missing', `payloads of ${trajectory} were pruned while that run was open`);
        for (const each of run.values()) {
          const key = `${each.trajectory} ${each.seq}`;
          if (each.seq < first || each.seq > last || each.at >= before || this.#erased.has(key)) continue;
          this.#erased.add(key);
          this.#prunedCount += 1;
        }
      }
    }
  }

  #entrySignature(entry: Entry, sig: NonNullable<Entry['sig']>, index: number): void {
    const publicKey = this.#law.holder(sig.key, 'runtime', entry.at);
    if (publicKey === null || this.#law.ledger === null)
      return this.#say(index, 'entry.signature', `key ${sig.key} held no runtime role here`);
    const value = fromBase64(sig.value);
    this.#signatures += 1;
    const good = value.ok && verifySignature(publicKey, entrySigningBytes(entry, this.#law.ledger), value.value);
    if (!good) this.#say(index, 'entry.signature', `the signature of ${sig.key} is not over this entry`);
  }

  /** Checkpoints and the head kept elsewhere whose size has just been reached. */
  #heads(index: number): void {
    const head = this.#source.head;
    if (head !== null && head.size === BigInt(this.#entries) && toHex(head.root) !== toHex(this.#tree.root()))
      this.#say(index, 'ledger.rolledBack', `the first ${this.#entries} entries are not those that were seen before`);
    while (this.#waiting[0] !== undefined && this.#waiting[0].size <= BigInt(this.#entries)) {
      const checkpoint = this.#waiting.shift();
      if (checkpoint !== undefined) this.#checkpoint(checkpoint, index);
    }
    this.#setStop();
  }

  #setStop(): void {
    const { head } = this.#source;
    const headAt = head === null || head.size <= BigInt(this.#entries) ? Number.POSITIVE_INFINITY : Number(head.size);
    this.#stopAt = Math.min(this.#waiting[0] === undefined ? Number.POSITIVE_INFINITY : Number(this.#waiting[0].size), headAt);
  }

  #checkpoint(checkpoint: { readonly size: bigint; readonly note: string }, index: number): void {
    const vkeys = this.logVkeys();
    if (vkeys.length === 0) return this.#say(index, 'checkpoint.signature', 'a checkpoint stands before the founding');
    const opened = openCheckpoint(checkpoint.note, vkeys);
    if (!opened.ok) return this.#say(index, 'checkpoint.signature', `checkpoint of size ${checkpoint.size}: ${opened.error.message}`);
    if (opened.value.size !== checkpoint.size || opened.value.size !== BigInt(this.#entries))
      return this.#say(index, 'checkpoint.size', `a checkpoint kept under size ${checkpoint.size} says ${opened.value.size}`);
    this.#checkpoints += 1;
    this.#signatures += 1;
    if (toHex(opened.value.root) === toHex(this.#tree.root())) this.#signedSize = this.#entries;
    else
      this.#say(
        index,
        'checkpoint.root',
        `the checkpoint of size ${checkpoint.size} signs another root: one of the entries from ${this.#signedSize} to ${index} was changed`,
      );
  }

  /** The report on what was taken. To be called once. */
  finish(options: VerifyOptions): VerifyReport {
    const head = this.#source.head;
    const ledger = this.#law.ledger;
    if (this.#entries === 0) this.#say(null, 'ledger.unfounded', 'the ledger is empty');
    for (const left of this.#waiting)
      this.#say(this.#entries, 'checkpoint.size', `a checkpoint of size ${left.size} was signed, but there are ${this.#entries} entries`);
    if (head !== null && head.size > BigInt(this.#entries))
      this.#say(this.#entries, 'ledger.rolledBack', `${head.size} entries were seen before; there are ${this.#entries}`);
    if (head !== null && ledger !== null && head.fingerprint !== ledger)
      this.#say(null, 'ledger.rolledBack', `the head kept elsewhere is of ledger ${head.fingerprint}`);
    if (options.trust !== null && options.trust !== ledger)
      this.#say(0, 'ledger.untrusted', `the fingerprint is ${ledger ?? 'none'}; you trust ${options.trust}`);
    for (const fault of this.#trajectories.unsettled()) this.#say(fault.index, fault.code, fault.message);
    const gone = this.#missing.filter(({ trajectory, seq }) => options.withheld?.(trajectory, seq) !== true);
    const unlawful = gone.filter((each) => !this.#erased.has(`${each.trajectory} ${each.seq}`));
    for (const each of unlawful)
      this.#say(
        each.index,
        'payload.missing',
        `${each.trajectory} seq ${each.seq}: the payload is gone and neither payload.erased nor ledger.pruned names it`,
      );
    const sound = this.#findings.length === 0;
    return {
      sound,
      level: !sound ? null : this.#checkpoints > 0 ? 'signed' : 'chained',
      trust: options.trust === null ? 'selfAsserted' : 'pinned',
      anchor: 'notConfigured',
      entries: this.#entries,
      fingerprint: ledger,
      origin: this.#law.origin,
      root: `sha256:${toHex(this.#tree.root())}` as Digest, // 32 bytes of SHA-256 by construction
      erased: gone.length - unlawful.length,
      pruned: this.#prunedCount,
      signatures: this.#signatures + this.#law.signatures,
      checkpoints: this.#checkpoints,
      firstBad: this.#firstBad,
      findings: this.#findings,
      omitted: this.#omitted,
      checked: CHECKED,
      signedSize: this.#signedSize,
      notChecked:
        this.#signedSize === 0 || this.#signedSize === this.#entries
          ? NOT_CHECKED
          : [`entries from ${this.#signedSize} on: chained, but under no checkpoint yet`, ...NOT_CHECKED],
    };
  }

  get entries(): number {
    return this.#entries;
  }
  /** What is wrong so far. What shows only at the end (gone payloads, checkpoints beyond it) is said by {@link finish}. */
  get findings(): readonly Finding[] {
    return this.#findings;
  }
  /** Root of the tree of the rows taken so far. */
  get root(): Bytes {
    return this.#tree.root();
  }
}

function member(value: Json | undefined, name: string): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as { readonly [key: string]: Json })[name]
    : undefined;
}

/** Verifies a ledger from its bytes. Never throws on what it reads; an error of the source itself is the caller's. */
export async function verifyLedger(source: LedgerSource, options: VerifyOptions): Promise<VerifyReport> {
  const verification = new LedgerVerification(source);
  for await (const page of source.rows) {
    for (const row of page) verification.take(row);
    options.onProgress?.(verification.entries);
  }
  await verification.lists(source.blob);
  return verification.finish(options);
}
