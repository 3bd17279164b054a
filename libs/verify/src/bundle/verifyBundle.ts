/**
 * An audit bundle, checked offline: every part against the manifest, every entry in its place in the signed tree, every proof, blob and statement.
 * Never throws on what a bundle holds, holds no part in memory that may be large, and says what it did not check. PROTOCOL §11.
 */
import { type Bytes, type Digest, digestFromBytes, equalBytes, utf8Encode } from '@openexec/canon';
import { mentionedIn } from '@openexec/ledger/codec';
import {
  type Checkpoint,
  judgeByPolicy,
  openCheckpoint,
  parseAddCheckpoint,
  parseTlogPolicy,
  verifyConsistency,
  verifyTlogProof,
} from '@openexec/proof';
import { LedgerVerification } from '../verify.ts';
import { EventsPass } from './events.ts';
import { Findings } from './findings.ts';
import {
  blobPath,
  type BundleDescription,
  type BundleFault,
  CHECKPOINT,
  CHECKPOINT_TIME,
  DESCRIPTION,
  EVENTS,
  LOG_VKEY,
  MANIFEST,
  parseDescription,
  proofPath,
  STATEMENT,
} from './format.ts';
import { HashTiles } from './hashTiles.ts';
import { checkManifest, digestOfPart, type Manifest, readManifest } from './manifest.ts';
import type { BundleFinding, BundleOptions, BundleReport, BundleTime } from './report.ts';
import { type BundlePart, type BundleParts, readSmall, readText } from './source.ts';
import { type BundleStatement, openStatement, type StatedRun } from './statement.ts';

/** A checkpoint, a proof, a consistency proof: a few lines of base64. */
const MAX_NOTE_BYTES = 1024 * 1024;
/** Parts that are read here. */
const READ =
  /^(?:MANIFEST|bundle\.json|checkpoint|log\.vkey|events\.jsonl|export\.sigstore\.json|tile\/.+|proofs\/.+|consistency\/.+|blobs\/.+)$/;
/** Parts that may be there and that nothing here reads: reports for people, tokens for other tools. */
const UNREAD = /^(?:report\.(?:html|json)|results\.sarif|junit\.xml|checkpoint\.tsr|policy|receipts\/.+|changes\/.+|README\.txt)$/;
/** Written or withheld in parts by runs; entries of other runs are left out of these. */
const SHARED = /^(?:ledger|writ\/.+|memory)$/;

const TIMES = 'every RFC 3161 time: over the checkpoint or the signature of the statement, by an authority that you trust';
const CHECKED = [
  'every part: listed in the MANIFEST with its digest, and nothing else is there',
  'every entry: canonical bytes, leaf hash, place in its trajectory and in the signed tree, previous leaf, kind, time, cause, law position',
  'every payload present: length and salted commitment; every blob by its digest',
  'the checkpoint, and every signature on law bodies, commits and closed runs, by a key that held its role there',
  'every tile, inclusion proof and consistency proof, up to the checkpoint',
  'the statement: signed by a log key, about this MANIFEST, with the results that the runs recorded',
];

/** Checks a bundle. Errors of the source itself (a disk that fails) are thrown as it throws them. */
export async function verifyBundle(parts: BundleParts, options: BundleOptions): Promise<BundleReport> {
  const check = new BundleCheck(parts, options);
  await check.run();
  return check.report();
}

/** Blobs that no entry mentions, nor any blob that is itself mentioned. */
async function unnamed(present: ReadonlyMap<Digest, BundlePart>, mentioned: ReadonlySet<Digest>): Promise<readonly Digest[]> {
  const left = new Map([...present].filter(([digest]) => !mentioned.has(digest)));
  const waiting = [...present].flatMap(([digest, part]) => (mentioned.has(digest) ? [part] : []));
  for (let part = waiting.pop(); part !== undefined && left.size > 0; part = waiting.pop()) {
    // A larger one mentions nothing: values that name others are small.
    const bytes = await readSmall(part);
    for (const inner of bytes.ok ? mentionedIn(bytes.value) : []) {
      const found = left.get(inner);
      if (found === undefined) continue;
      left.delete(inner);
      waiting.push(found);
    }
  }
  return [...left.keys()];
}

/** A statement may claim less than it could, never more. */
function sameRun(stated: StatedRun, found: StatedRun): boolean {
  const same = stated.run === found.run && stated.outcome === found.outcome && stated.commit === found.commit;
  return same && stated.tree === found.tree && stated.ref === found.ref && (found.governed || !stated.governed);
}

class BundleCheck {
  readonly #parts: BundleParts;
  readonly #options: BundleOptions;
  readonly #findings = new Findings();
  readonly #counts = { parts: 0, entries: 0, signatures: 0, proofs: 0, tiles: 0, blobs: 0, erased: 0, withheld: 0 };
  #description: BundleDescription | null = null;
  #checkpoint: Checkpoint | null = null;
  /** The description, once a signed checkpoint is there for it. */
  #under: BundleDescription | null = null;
  #statement: BundleStatement | null = null;
  #fingerprint: Digest | null = null;
  #cosigners: readonly string[] = [];
  #witnessed = false;
  readonly #times: BundleTime[] = [];
  /** The reader's own earlier checkpoint, and whether the bundle shows that it continues it. */
  #held: Checkpoint | null = null;
  #heldProved = false;

  constructor(parts: BundleParts, options: BundleOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  async run(): Promise<void> {
    const parts = this.#parts;
    this.#counts.parts = parts.size;
    const list = parts.get(MANIFEST);
    if (list === undefined)
      return this.#fault({ code: 'bundle.missing', part: MANIFEST, message: 'this is no bundle: it has no MANIFEST' });
    const manifest = await readManifest(list, parts, (fault) => this.#fault(fault));
    if (!manifest.ok) return this.#fault(manifest.error);
    await checkManifest(parts, manifest.value, (fault) => this.#fault(fault));
    for (const path of parts.keys())
      if (!READ.test(path) && !UNREAD.test(path)) this.#wrong(path, 'bundle.extra', 'a bundle has no part of this name');
    const description = await this.#describe();
    const note = await this.#text(CHECKPOINT);
    if (description === null || note === null) return;
    this.#description = description;
    this.#counts.withheld = description.withheldPayloads.length + description.withheldBlobs.length;
    const { size, root } = description;
    const hashes = description.scope.is === 'ledger' ? null : await HashTiles.read(parts, BigInt(size), root);
    if (hashes?.ok === false) return this.#fault(hashes.error);
    const verification = this.#verification(description);
    const pass = new EventsPass({ verification, description, hashes: hashes === null ? null : hashes.value, findings: this.#findings });
    const events = parts.get(EVENTS);
    if (events === undefined) return this.#fault({ code: 'bundle.missing', part: EVENTS, message: 'it is not there' });
    await pass.read(events, this.#options.onProgress);
    await this.#entries(verification, pass, description);
    await this.#head(verification, pass, description, note);
    await this.#proofs(verification, pass);
    await this.#blobs(pass, manifest.value, description);
    await this.#state(verification, pass, description, list);
    await this.#checkpointTime(note);
    this.#tiles(pass, manifest.value, hashes === null ? null : hashes.value);
  }

  #verification(description: BundleDescription): LedgerVerification {
    const { scope } = description;
    const isPartial = (trajectory: string): boolean =>
      scope.is === 'range' ? trajectory !== 'law' : scope.is === 'runs' && SHARED.test(trajectory);
    return new LedgerVerification({ checkpoints: [], head: null }, isPartial);
  }

  async #describe(): Promise<BundleDescription | null> {
    const part = this.#parts.get(DESCRIPTION);
    if (part === undefined) {
      this.#fault({ code: 'bundle.missing', part: DESCRIPTION, message: 'it is not there' });
      return null;
    }
    const bytes = await readSmall(part);
    const read = bytes.ok ? parseDescription(bytes.value) : bytes;
    if (read.ok) return read.value;
    this.#fault(read.error);
    return null;
  }

  /** What the entries themselves say, and whether what should be there is there. */
  async #entries(verification: LedgerVerification, pass: EventsPass, description: BundleDescription): Promise<void> {
    await verification.lists(async (digest) => {
      const part = this.#parts.get(blobPath(digest));
      const bytes = part === undefined ? null : await readSmall(part);
      return bytes?.ok === true ? bytes.value : null;
    });
    const withheld = new Set(description.withheldPayloads.map(({ trajectory, seq }) => `${trajectory} ${seq}`));
    const report = verification.finish({
      trust: this.#options.trust,
      withheld: (trajectory, seq) => withheld.has(`${trajectory} ${seq}`),
    });
    for (const { index, code, message } of report.findings) this.#findings.say({ part: EVENTS, index, code, message });
    this.#findings.omitted += report.omitted;
    this.#fingerprint = report.fingerprint;
    this.#counts.entries = pass.entries;
    this.#counts.signatures += report.signatures;
    this.#counts.erased = report.erased;
    if (pass.entries !== description.entries)
      this.#wrong(DESCRIPTION, 'bundle.malformed', `it says ${description.entries} entries; there are ${pass.entries}`);
    if (report.fingerprint !== description.ledger || report.origin !== description.origin)
      this.#wrong(DESCRIPTION, 'bundle.malformed', `it names another ledger than ${report.origin ?? 'none'} ${report.fingerprint ?? ''}`);
    if (description.coverage === 'full' && pass.runs.coverage() !== 'full')
      this.#wrong(DESCRIPTION, 'bundle.malformed', 'it says that coverage is full; a gateway submitted intents of its runs');
    if (pass.lawIsMissing)
      this.#wrong(EVENTS, 'run.incomplete', `a judgement cites law position ${pass.lawCited}, which is not in the bundle`);
    this.#scope(pass, description);
  }

  /** A bundle holds what it says that it holds, whole, and nothing else. */
  #scope(pass: EventsPass, { scope }: BundleDescription): void {
    if (scope.is !== 'runs') return;
    for (const run of scope.runs)
      if (!pass.runs.has(run)) this.#wrong(EVENTS, 'run.incomplete', `${run} is not in the bundle that is said to hold it`);
    const cited = pass.runs.selfTests();
    for (const [trajectory, { index }] of pass.ends) {
      const known = trajectory === 'law' || SHARED.test(trajectory) || scope.runs.includes(trajectory) || cited.has(trajectory);
      if (!known)
        this.#wrong(EVENTS, 'bundle.extra', `${JSON.stringify(trajectory)} is none of the runs that the bundle is said to hold`, index);
    }
  }

  /** The signed head: by a log key of this ledger, of this size and root, and of the entries where all are there. */
  async #head(verification: LedgerVerification, pass: EventsPass, description: BundleDescription, note: string): Promise<void> {
    const vkeys = verification.logVkeys();
    const opened = openCheckpoint(note, vkeys);
    if (!opened.ok) return this.#wrong(CHECKPOINT, 'checkpoint.signature', opened.error.message);
    const { size, root } = opened.value;
    this.#checkpoint = opened.value;
    this.#under = description;
    this.#counts.signatures += 1;
    if (size !== BigInt(description.size) || digestFromBytes(root) !== description.root)
      this.#wrong(CHECKPOINT, 'checkpoint.root', `${DESCRIPTION} names another size or root than the signed ones`);
    if (pass.root !== null && (size !== BigInt(pass.entries) || !equalBytes(root, pass.root)))
      this.#wrong(CHECKPOINT, 'checkpoint.root', `the entries make another tree than the signed one of ${size} entries`);
    const vkey = await this.#text(LOG_VKEY);
    if (vkey !== null && !vkeys.some((known) => vkey === `${known}\n`))
      this.#wrong(LOG_VKEY, 'checkpoint.signature', 'it is no key that this ledger trusts with its checkpoints');
    this.#policy(note, vkeys);
    this.#since(opened.value, vkeys);
  }

  #policy(note: string, vkeys: readonly string[]): void {
    if (this.#options.policy === null) return;
    const policy = parseTlogPolicy(this.#options.policy);
    if (!policy.ok) return this.#wrong('your policy', 'witness.missing', policy.error.message);
    const verdict = judgeByPolicy(note, policy.value, vkeys);
    if (!verdict.ok) return this.#wrong(CHECKPOINT, 'witness.missing', verdict.error.message);
    this.#cosigners = verdict.value.cosignatures.map(({ keyName }) => keyName);
    this.#witnessed = verdict.value.met && this.#cosigners.length > 0;
    if (!verdict.value.met) this.#wrong(CHECKPOINT, 'witness.missing', 'the cosignatures that your policy asks for are not all there');
  }

  /** The reader's own earlier checkpoint, held against this one by the consistency proof in the bundle. */
  #since(now: Checkpoint, vkeys: readonly string[]): void {
    const { since } = this.#options;
    if (since === null) return;
    const old = openCheckpoint(since, vkeys);
    if (!old.ok) return this.#wrong('your checkpoint', 'checkpoint.signature', old.error.message);
    if (old.value.size > now.size)
      return this.#wrong(CHECKPOINT, 'ledger.rolledBack', `you hold a checkpoint of ${old.value.size} entries; this one has ${now.size}`);
    if (old.value.size === now.size && !equalBytes(old.value.root, now.root))
      return this.#wrong(
        CHECKPOINT,
        'ledger.rolledBack',
        `you hold another root of ${now.size} entries, signed by the same key: two histories were shown`,
      );
    this.#held = old.value;
  }

  /** Inclusion proofs of trajectory heads, consistency proofs between checkpoints. */
  async #proofs(verification: LedgerVerification, pass: EventsPass): Promise<void> {
    const vkeys = verification.logVkeys();
    for (const [trajectory, { index, leaf }] of pass.ends) {
      const path = proofPath(trajectory);
      const part = this.#parts.get(path);
      if (part === undefined) {
        this.#wrong(path, 'proof.missing', `the head of ${trajectory} has no proof`, index);
        continue;
      }
      const text = await readText(part, MAX_NOTE_BYTES);
      if (!text.ok) this.#fault(text.error);
      else this.#inclusion(path, text.value, { index, leaf, vkeys });
    }
    const known = new Set([...pass.ends.keys()].map(proofPath));
    for (const part of this.#parts.values()) {
      if (part.path.startsWith('proofs/') && !known.has(part.path))
        this.#wrong(part.path, 'bundle.extra', 'the bundle holds no trajectory that this proof could be of');
      if (part.path.startsWith('consistency/')) await this.#consistency(part.path, vkeys);
    }
    if (
      this.#held !== null &&
      this.#checkpoint !== null &&
      this.#held.size < this.#checkpoint.size &&
      this.#held.size > 0n &&
      !this.#heldProved
    )
      this.#wrong(CHECKPOINT, 'proof.missing', `there is no consistency proof from your checkpoint of ${this.#held.size} entries`);
  }

  #inclusion(path: string, proof: string, of: { readonly index: number; readonly leaf: Bytes; readonly vkeys: readonly string[] }): void {
    const verified = verifyTlogProof({ proof, leaf: of.leaf, vkeys: of.vkeys });
    if (!verified.ok) return this.#wrong(path, 'proof.refused', verified.error.message, of.index);
    if (
      this.#checkpoint !== null &&
      (verified.value.size !== this.#checkpoint.size || !equalBytes(verified.value.root, this.#checkpoint.root))
    )
      return this.#wrong(path, 'proof.refused', 'it leads to another tree than the checkpoint of this bundle', of.index);
    this.#counts.proofs += 1;
  }

  /** `consistency/<old>-<new>`: the body of an add-checkpoint request, beside the older checkpoint it starts from. */
  async #consistency(path: string, vkeys: readonly string[]): Promise<void> {
    if (path.endsWith('.checkpoint')) return;
    const request = await this.#text(path);
    const before = await this.#text(`${path}.checkpoint`);
    if (request === null || before === null || this.#checkpoint === null) return;
    const parsed = parseAddCheckpoint(request);
    if (!parsed.ok) return this.#wrong(path, 'proof.refused', parsed.error.message);
    const [old, now] = [openCheckpoint(before, vkeys), openCheckpoint(parsed.value.checkpoint, vkeys)];
    if (!old.ok) return this.#wrong(`${path}.checkpoint`, 'checkpoint.signature', old.error.message);
    if (!now.ok) return this.#wrong(path, 'checkpoint.signature', now.error.message);
    const named = path === `consistency/${old.value.size}-${now.value.size}` && parsed.value.oldSize === old.value.size;
    if (!named || now.value.size !== this.#checkpoint.size || !equalBytes(now.value.root, this.#checkpoint.root))
      return this.#wrong(
        path,
        'proof.refused',
        'it is not between the sizes that its name says, or does not end at the checkpoint of this bundle',
      );
    const holds = verifyConsistency({
      oldSize: old.value.size,
      oldRoot: old.value.root,
      newSize: now.value.size,
      newRoot: now.value.root,
      proof: parsed.value.proof,
    });
    if (!holds.ok) return this.#wrong(path, 'proof.refused', holds.error.message);
    this.#counts.proofs += 1;
    this.#counts.signatures += 1;
    const held = this.#held;
    if (held === null || held.size !== old.value.size) return;
    this.#heldProved = true;
    if (!equalBytes(held.root, old.value.root))
      this.#wrong(
        path,
        'ledger.rolledBack',
        `you hold another root of ${held.size} entries, signed by the same key: two histories were shown`,
      );
  }

  /** Blobs by their names: each that an entry names is there or said to be missing, and none is there that nothing names. */
  async #blobs(pass: EventsPass, manifest: Manifest, description: BundleDescription): Promise<void> {
    const absent = new Set<Digest>([...description.withheldBlobs, ...description.goneBlobs]);
    const present = new Map<Digest, BundlePart>();
    for (const part of this.#parts.values()) {
      if (!part.path.startsWith('blobs/')) continue;
      const digest = manifest.get(part.path);
      if (digest === undefined) continue; // Not listed: said already.
      if (part.path !== blobPath(digest)) this.#wrong(part.path, 'bundle.digest', 'a blob is named by its digest, and this is another');
      else if (absent.has(digest)) this.#wrong(part.path, 'blob.unnamed', `${DESCRIPTION} says that it is not in the bundle`);
      else present.set(digest, part);
    }
    this.#counts.blobs = present.size;
    for (const [digest, index] of pass.blobs)
      if (!present.has(digest) && !absent.has(digest))
        this.#wrong(blobPath(digest), 'blob.missing', 'an entry names it, and it is neither there nor said to be withheld or gone', index);
    for (const digest of await unnamed(present, pass.mentioned))
      this.#wrong(blobPath(digest), 'blob.unnamed', 'neither an entry nor another blob of the bundle names it');
  }

  /** What the bundle states over its own parts and over what its runs brought forth. */
  async #state(verification: LedgerVerification, pass: EventsPass, description: BundleDescription, list: BundlePart): Promise<void> {
    const part = this.#parts.get(STATEMENT);
    if (part === undefined) return this.#fault({ code: 'bundle.missing', part: STATEMENT, message: 'nothing signs the MANIFEST' });
    const bytes = await readSmall(part);
    const opened = bytes.ok ? openStatement(bytes.value, (key) => verification.logKey(key)) : bytes;
    if (!opened.ok) return this.#fault(opened.error);
    this.#counts.signatures += 1;
    const { statement, signature, timestamps } = opened.value;
    for (const token of timestamps) this.#time(STATEMENT, token, signature);
    this.#statement = statement;
    const own = await digestOfPart(list);
    const wrong = (message: string): void => this.#wrong(STATEMENT, 'statement.wrong', message);
    if (statement.manifest !== own) wrong('it is about another MANIFEST');
    const { ledger, origin, size, root, coverage } = description;
    if (
      statement.ledger !== ledger ||
      statement.origin !== origin ||
      statement.size !== size ||
      statement.root !== root ||
      statement.coverage !== coverage
    )
      wrong(`it says other things of the ledger than ${DESCRIPTION}`);
    const found = pass.runs.stated();
    if (found.length !== statement.runs.length) wrong(`it names ${statement.runs.length} runs; the bundle holds ${found.length}`);
    for (const [at, run] of found.entries()) {
      const stated = statement.runs[at];
      if (stated !== undefined && !sameRun(stated, run)) wrong(`of ${run.run} it says other things than that run's own entries`);
    }
  }

  async #checkpointTime(note: string): Promise<void> {
    const part = this.#parts.get(CHECKPOINT_TIME);
    const token = part === undefined ? null : await readSmall(part, MAX_NOTE_BYTES);
    if (token?.ok === false) return this.#fault(token.error);
    if (token !== null) this.#time(CHECKPOINT_TIME, token.value, utf8Encode(note));
    if (this.#options.time !== undefined && this.#times.length === 0)
      this.#wrong(STATEMENT, 'timestamp.missing', 'you asked for the time of an authority; the bundle has none');
  }

  #time(part: string, response: Bytes, data: Bytes): void {
    const read = this.#options.time?.(response, data);
    if (read?.ok === false) this.#wrong(part, 'timestamp.refused', read.error.message);
    this.#times.push({ part, checked: read?.ok === true ? read.value : null });
  }

  /** A whole ledger has exactly the tiles that its entries make. */
  #tiles(pass: EventsPass, manifest: Manifest, hashes: HashTiles | null): void {
    if (hashes !== null) {
      this.#counts.tiles = hashes.count;
      return;
    }
    for (const [path, digest] of pass.tiles) {
      const listed = manifest.get(path);
      if (listed === undefined) this.#wrong(path, 'bundle.missing', 'a whole ledger has this tile');
      else if (listed !== digest) this.#wrong(path, 'bundle.digest', 'the entries make another tile');
      else this.#counts.tiles += 1;
    }
    for (const path of manifest.keys())
      if (path.startsWith('tile/') && !pass.tiles.has(path)) this.#wrong(path, 'bundle.extra', 'a ledger of this size has no such tile');
  }

  report(): BundleReport {
    const { scope = null, size = null, root = null } = this.#under ?? {};
    const sound = this.#findings.none && this.#checkpoint !== null;
    const { list, omitted, firstBad } = this.#findings;
    return {
      sound,
      level: !sound ? null : this.#witnessed ? 'witnessed' : 'signed',
      trust: this.#options.trust === null ? 'selfAsserted' : 'pinned',
      fingerprint: this.#fingerprint,
      origin: this.#description?.origin ?? null,
      size,
      root,
      scope,
      runs: this.#statement?.runs ?? [],
      cosigners: this.#cosigners,
      times: this.#times,
      counts: this.#counts,
      firstBad,
      findings: list,
      omitted,
      checked: this.#options.time === undefined || this.#times.length === 0 ? CHECKED : [...CHECKED, TIMES],
      notChecked: this.#notChecked(scope),
    };
  }

  #notChecked(scope: BundleDescription['scope'] | null): readonly string[] {
    const open = (this.#statement?.runs ?? []).filter(({ outcome }) => outcome === 'open').length;
    return [
      'what signed things mean, and whether the kernel would judge the same again (openexec verify-bundle --deep)',
      'whether facts are true: an observation is what the runtime saw',
      ...(this.#options.trust === null ? ['whose ledger this is: no fingerprint that you know from elsewhere was given (--trust)'] : []),
      ...(this.#options.since === null && !this.#witnessed
        ? ['whether the log key showed others another history: no checkpoint that you kept was given (--since), and no witness vouches']
        : []),
      ...(scope?.is === 'ledger' ? [] : ['entries of the ledger that are not in the bundle: they are hashes here']),
      ...(open === 0 ? [] : [`whether ${open} open runs have later entries`]),
      ...(this.#counts.withheld === 0 ? [] : [`${this.#counts.withheld} payloads and blobs that are withheld: proved, not shown`]),
      ...(this.#description?.coverage === 'gatewayOnly'
        ? ['what the agent did beside the gateway: only calls that went through it are here']
        : []),
      ...(this.#options.policy === null ? ['cosignatures of witnesses: no policy of yours was given'] : []),
      ...(this.#times.length === 0 || this.#options.time !== undefined
        ? []
        : [
            `${this.#times.length} RFC 3161 times: no authority that you trust was given (openexec verify-bundle --tsa, openssl ts -verify)`,
          ]),
      ...(this.#counts.erased === 0 || scope?.is === 'ledger'
        ? []
        : ['whether runs that are not whole in here were over when payloads of them were erased']),
      'reports: they are made from the entries, and only their bytes are under the manifest',
    ];
  }

  async #text(path: string): Promise<string | null> {
    const part = this.#parts.get(path);
    if (part === undefined) {
      this.#fault({ code: 'bundle.missing', part: path, message: 'it is not there' });
      return null;
    }
    const text = await readText(part, MAX_NOTE_BYTES);
    if (text.ok) return text.value;
    this.#fault(text.error);
    return null;
  }

  #wrong(part: string, code: BundleFinding['code'], message: string, index: number | null = null): void {
    this.#findings.say({ part, index, code, message });
  }

  #fault({ part, code, message }: BundleFault): void {
    this.#findings.say({ part, index: null, code, message });
  }
}
