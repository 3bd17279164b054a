/**
 * What the anchors say about a sound ledger: receipts recorded in it are verified again, places that hold a checkpoint are asked what they hold. What
 * contradicts the ledger is a fault; what cannot be read or believed is a problem and counts for nothing (PROTOCOL §3, GOALS first 10).
 */
import { verifyTimestamp } from '@openexec/anchors';
import { type Bytes, equalBytes, instantToMs, ok, type Result, toHex, type TrajectoryId, utf8Decode, utf8Encode } from '@openexec/canon';
import type { LedgerStore, Stored } from '@openexec/ledger';
import { addSignatureLines, CompactRange, type Cosigner, judgeByPolicy, leafHash, openCheckpoint, openCosignatures } from '@openexec/proof';
import type { Refusal } from '../exit.ts';
import { readEvent } from '../read/events.ts';
import { logKeys } from '../read/proofs.ts';
import type { Attempts } from './attempts.ts';
import type { AnchorPlaces } from './places.ts';

const LEDGER = 'ledger' as TrajectoryId; // The one name of its grammar.
/** Clocks of two hosts may differ by this much; a receipt further ahead of ours shows no age. */
const AHEAD_MS = 300_000;

/** Something that could not be believed. */
interface AnchorProblem {
  readonly anchor: string;
  readonly code: string;
  readonly message: string;
}

/** What holds. */
export interface Anchored {
  readonly level: 'anchored' | 'witnessed' | null;
  readonly flag: 'fresh' | 'stale';
  readonly configured: readonly string[];
  readonly required: boolean;
  readonly maxAgeMs: number;
  /** Facts `anchor.recorded` in the ledger. */
  readonly recorded: number;
  /** Entries below the largest checkpoint that an anchor saw. */
  readonly covered: bigint | null;
  /** Of the youngest receipt: by the older of our clock at recording and the time that it states itself. */
  readonly ageMs: number | null;
  /** Names of the witnesses whose cosignatures hold. */
  readonly cosigners: readonly string[];
  readonly problems: readonly AnchorProblem[];
  /** Contradictions between the ledger and what was shown elsewhere. */
  readonly faults: readonly { readonly index: number | null; readonly code: string; readonly message: string }[];
}

interface Recorded {
  readonly size: bigint;
  readonly root: string;
  readonly type: string;
  readonly atMs: number;
  readonly evidence: Bytes | null;
  readonly index: number;
}

/** Examines the anchors of a ledger whose integrity was found sound. */
export async function examineAnchors(
  store: LedgerStore,
  settings: AnchorPlaces,
  { nowMs, attempts }: { readonly nowMs: number; readonly attempts: Attempts },
): Promise<Result<Anchored | null, Refusal>> {
  if (settings.places.length === 0 && settings.policy === null && !settings.required) return ok(null);
  const vkeys = await logKeys(store);
  if (!vkeys.ok) return vkeys;
  const examination = new Examination(store, settings, vkeys.value);
  for await (const stored of store.read(LEDGER)) await examination.take(stored);
  await examination.places();
  examination.attempts(attempts);
  return ok(examination.finish(nowMs));
}

class Examination {
  readonly #store: LedgerStore;
  readonly #settings: AnchorPlaces;
  readonly #vkeys: readonly string[];
  readonly #cosigners: readonly Cosigner[];
  readonly #problems: AnchorProblem[] = [];
  readonly #faults: Anchored['faults'][number][] = [];
  /** By size, all receipts of witnesses joined into one note. */
  readonly #notes = new Map<bigint, string>();
  readonly #roots = new Map<bigint, Bytes>();
  readonly #latest = new Map<string, Recorded>();
  readonly #names = new Set<string>();
  #kept: Map<bigint, string> | null = null;
  #recorded = 0;
  #good: { readonly size: bigint; readonly timeMs: number }[] = [];

  constructor(store: LedgerStore, settings: AnchorPlaces, vkeys: readonly string[]) {
    this.#store = store;
    this.#settings = settings;
    this.#vkeys = vkeys;
    const listed = settings.policy?.witnesses.map(({ cosigner }) => cosigner) ?? [];
    this.#cosigners = [...settings.places.flatMap(({ cosigners }) => cosigners), ...listed];
  }

  async take(stored: Stored): Promise<void> {
    const { event } = readEvent(stored);
    if (event?.kind !== 'anchor.recorded') return;
    this.#recorded += 1;
    const { type, root, evidence } = event.body;
    const size = BigInt(event.body.size);
    const index = Number(stored.index);
    if (size > stored.index || `sha256:${toHex(await this.#rootAt(size))}` !== root)
      return this.#fault(index, `what was recorded of size ${size} is not the tree of this ledger`);
    const blob = await this.#store.blob(evidence.digest);
    const receipt = { size, root, type, index, atMs: instantToMs(stored.entry.at), evidence: blob.ok ? blob.value : null };
    this.#latest.set(`${type} ${size}`, receipt);
    if (receipt.evidence === null) return this.#problem(type, 'anchor.noReceipt', `the receipt for size ${size} is gone`);
    if (type === 'witness') await this.#witness(receipt, receipt.evidence);
    if (type === 'rfc3161') await this.#timestamp(receipt, receipt.evidence);
  }

  /** Places that hold a checkpoint are asked now: what was recorded of them proves nothing any more. */
  async places(): Promise<void> {
    for (const { anchor, held } of this.#settings.places) {
      if (held === null) continue;
      const note = await held();
      if (!note.ok) this.#problem(anchor.name, note.error.code, note.error.message);
      else if (note.value === null) this.#problem(anchor.name, 'anchor.empty', 'it holds no checkpoint');
      else await this.#held(anchor, note.value);
    }
  }

  /** What a place said when it was last asked and did not take the tree head: nothing else remembers a refusal. */
  attempts(attempts: Attempts): void {
    for (const { anchor } of this.#settings.places) {
      const problem = attempts.get(anchor.name)?.problem ?? null;
      if (problem !== null) this.#problem(anchor.name, problem.code, `when it was last asked: ${problem.message}`);
    }
  }

  async #held({ name, type }: { readonly name: string; readonly type: string }, note: string): Promise<void> {
    const opened = openCheckpoint(note, this.#vkeys);
    if (!opened.ok) return this.#problem(name, opened.error.code, `what it holds was not signed by this ledger: ${opened.error.message}`);
    const { size, root } = opened.value;
    const { size: present } = await this.#store.head();
    if (size > present)
      return this.#fault(null, `${name} was shown ${size} entries; there are ${present}: an older copy was put in its place`);
    if (!equalBytes(await this.#rootAt(size), root))
      return this.#fault(null, `${name} was shown another tree of size ${size}: history was rewritten`);
    const fact = this.#latest.get(`${type} ${size}`);
    if (fact === undefined) this.#problem(name, 'anchor.notRecorded', `the checkpoint of size ${size} that it holds was not recorded`);
    else this.#good.push({ size, timeMs: fact.atMs });
  }

  async #witness(receipt: Recorded, evidence: Bytes): Promise<void> {
    const { size, atMs, index } = receipt;
    const text = utf8Decode(evidence);
    const opened = text.ok ? openCheckpoint(text.value, this.#vkeys) : text;
    if (!text.ok || !opened.ok)
      return this.#problem('witness', 'anchor.badReceipt', `the receipt for size ${size} is no checkpoint of this ledger`);
    if (opened.value.size !== size || !equalBytes(opened.value.root, await this.#rootAt(size)))
      return this.#fault(index, `a witness saw another tree than this ledger's, signed by its key`);
    const cosigned = openCosignatures(text.value, this.#cosigners);
    if (!cosigned.ok) return this.#problem('witness', cosigned.error.code, `the receipt for size ${size}: ${cosigned.error.message}`);
    if (cosigned.value.length === 0)
      return this.#problem('witness', 'anchor.unknownWitness', `the receipt for size ${size} is of nobody known here`);
    for (const { keyName, time } of cosigned.value) {
      this.#names.add(keyName);
      this.#good.push({ size, timeMs: Math.min(atMs, Number(time) * 1000) });
    }
    const lines = text.value.slice(text.value.indexOf('\n\n') + 2);
    const joined = addSignatureLines(this.#notes.get(size) ?? text.value, lines);
    if (joined.ok) this.#notes.set(size, joined.value);
  }

  async #timestamp({ size, atMs }: Recorded, response: Bytes): Promise<void> {
    const note = (await this.#keptNotes()).get(size);
    if (note === undefined) return this.#problem('rfc3161', 'anchor.noCheckpoint', `the checkpoint of size ${size} is not kept any more`);
    const trusted = this.#settings.places.flatMap((place) => (place.trusted === null ? [] : [place.trusted]));
    if (trusted.length === 0)
      return this.#problem('rfc3161', 'timestamp.untrusted', `no authority is trusted here; the receipt for size ${size}`);
    const tried = trusted.map((pem) => verifyTimestamp({ response, data: utf8Encode(note), trusted: pem }));
    const good = tried.find((each) => each.ok);
    const bad = tried.find((each) => !each.ok);
    if (good?.ok === true) this.#good.push({ size, timeMs: Math.min(atMs, good.value.timeMs) });
    else if (bad?.ok === false) this.#problem('rfc3161', bad.error.code, `the receipt for size ${size}: ${bad.error.message}`);
  }

  finish(nowMs: number): Anchored {
    const { policy, places, required, maxAgeMs } = this.#settings;
    const believable = this.#good.filter(({ timeMs }) => timeMs <= nowMs + AHEAD_MS);
    if (believable.length < this.#good.length)
      this.#problem('clock', 'anchor.ahead', 'a receipt is of a time that has not come yet by this clock; it shows no age');
    const youngest = believable.length === 0 ? null : Math.max(...believable.map(({ timeMs }) => timeMs));
    const ageMs = youngest === null ? null : Math.max(0, nowMs - youngest);
    const witnessed = policy !== null && policy.quorum !== null && [...this.#notes.values()].some((note) => this.#meets(note));
    const covered = this.#good.reduce<bigint | null>((most, { size }) => (most === null || size > most ? size : most), null);
    return {
      level: this.#faults.length > 0 ? null : witnessed ? 'witnessed' : this.#good.length > 0 ? 'anchored' : null,
      flag: ageMs !== null && ageMs <= maxAgeMs ? 'fresh' : 'stale',
      configured: places.map(({ anchor }) => anchor.name),
      required,
      maxAgeMs,
      recorded: this.#recorded,
      covered,
      ageMs,
      cosigners: [...this.#names].sort(),
      problems: this.#problems,
      faults: this.#faults,
    };
  }

  #meets(note: string): boolean {
    const { policy } = this.#settings;
    const judged = policy === null ? null : judgeByPolicy(note, policy, this.#vkeys);
    return judged?.ok === true && judged.value.met;
  }

  /** Kept checkpoints first: integrity has held each of them against the tree. */
  async #rootAt(size: bigint): Promise<Bytes> {
    const known = this.#roots.get(size);
    if (known !== undefined) return known;
    const note = (await this.#keptNotes()).get(size);
    const opened = note === undefined ? undefined : openCheckpoint(note, this.#vkeys);
    const root = opened?.ok === true ? opened.value.root : await computedRoot(this.#store, size);
    this.#roots.set(size, root);
    return root;
  }

  async #keptNotes(): Promise<Map<bigint, string>> {
    if (this.#kept !== null) return this.#kept;
    const kept = new Map<bigint, string>();
    for await (const { size, note } of this.#store.checkpoints()) kept.set(size, note);
    this.#kept = kept;
    return kept;
  }

  #problem(anchor: string, code: string, message: string): void {
    this.#problems.push({ anchor, code, message });
  }

  #fault(index: number | null, message: string): void {
    this.#faults.push({ index, code: 'anchor.contradicted', message });
  }
}

async function computedRoot(store: LedgerStore, size: bigint): Promise<Bytes> {
  const tree = CompactRange.empty();
  for await (const page of store.rows(0n, size)) for (const row of page) tree.append(leafHash(row.entryBytes));
  return tree.root();
}
