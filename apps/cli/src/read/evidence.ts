/**
 * The ledger as evidence: opened so that damage is found and placed, not refused. Rows, kept checkpoints and the remembered head go to the
 * verifier; blobs that payloads name are looked at here, because only the store has them. Must never repair, and never stop at the first
 * fault of a file that can still be read (PROTOCOL §§2, 10).
 */
import { existsSync } from 'node:fs';
import { type Digest, err, ok, parseCanonical, type Result, toHex } from '@openexec/canon';
import { readPin } from '@openexec/config';
import { decodeEntry, Holding, type KeptLedger, type LedgerStore, type Row } from '@openexec/ledger';
import { eachBlobRef, type LedgerSource, type VerifyReport, verifyLedger } from '@openexec/verify';
import type { LedgerPlace, Surroundings } from '../context.ts';
import { type Refusal, refuse } from '../exit.ts';
import { headFileOf, stateFolderOf } from '../keyring.ts';
import { checkPlace, findLedgerPlace, openStore, type PlaceContext } from '../ledgerPlace.ts';
import { storeRefusal } from '../openLedger.ts';

/** A file in the place of a ledger that cannot be opened as one fails verification; it is not an error of use. */
const DAMAGED: ReadonlySet<string> = new Set(['store.corrupt', 'store.notALedger', 'store.unreadable']);
/** Faults of blobs and of the file listed one by one; the rest are counted. */
const MAX_FAULTS = 1000;

/** What is wrong beside what the verifier finds: a blob, or the file itself. */
interface StoreFault {
  /** First entry that names the blob, or from which on the file cannot be read; null where it concerns the whole. */
  readonly index: number | null;
  readonly code: string;
  readonly message: string;
}
export interface Integrity {
  readonly report: VerifyReport;
  readonly faults: readonly StoreFault[];
  /** Faults beyond those listed. */
  readonly faultsOmitted: number;
  /** Blobs that payloads name; `erased` are gone lawfully. */
  readonly blobs: { readonly named: number; readonly sound: number; readonly erased: number };
  /** Whether a head kept outside the ledger was there to hold it against. */
  readonly headKept: boolean;
  readonly sound: boolean;
  readonly firstBad: number | null;
}
/** An open ledger as evidence. */
export interface Evidence {
  readonly store: KeptLedger;
  readonly path: string;
  /** The fingerprint that the verification holds it to: the one given, else the pin, else none. */
  readonly trust: Digest | null;
  check(onProgress?: (entries: number) => void): Promise<Integrity>;
  close(): Promise<void>;
}

/** Where evidence is looked for. */
export interface EvidenceContext extends PlaceContext, Pick<Surroundings, 'clock' | 'randomness' | 'assets'> {}

/** Opens a ledger as evidence. `trust` is what the reader pinned elsewhere. */
export async function openEvidence(
  context: EvidenceContext,
  options: { readonly ledger?: string | undefined; readonly trust?: Digest | undefined },
): Promise<Result<Evidence, Refusal>> {
  const found = await findLedgerPlace(context, options.ledger);
  if (!found.ok) return found;
  const place = found.value;
  const pin = readPin(context.places.user, place.name);
  if (!pin.ok) return refuse('config.invalid', pin.error.message);
  const checked = checkPlace(place, pin.value !== null);
  if (!checked.ok) return checked;
  const { clock, randomness } = context;
  // Without the head file: a rolled-back ledger has to be opened in order to say what is wrong with the rest of it.
  const opened = await openStore(place, { clock, randomness, access: 'readOnly' });
  if (!opened.ok) return DAMAGED.has(opened.error.code) ? refuse('ledger.corrupt', opened.error.message) : err(storeRefusal(opened.error));
  const store = opened.value;
  const headFile = pin.value === null ? null : headFileOf(stateFolderOf(context.places, pin.value));
  const headKept = headFile !== null && existsSync(headFile);
  const remembered = headKept ? await rolledBack(context, place, headFile) : ok(null);
  if (!remembered.ok) {
    await store.close();
    return remembered;
  }
  const trust = options.trust ?? pin.value;
  return ok({
    store,
    path: place.name,
    trust,
    check: (onProgress) => check({ store, remembered: remembered.value, headKept, trust, onProgress }),
    close: () => store.close(),
  });
}

/** Whether the ledger continues the head that this user remembers; null when it does. */
async function rolledBack(context: EvidenceContext, place: LedgerPlace, headFile: string): Promise<Result<StoreFault | null, Refusal>> {
  const { clock, randomness } = context;
  const opened = await openStore(place, { clock, randomness, access: 'readOnly', headFile });
  if (opened.ok) {
    await opened.value.close();
    return ok(null);
  }
  const { code, message } = opened.error;
  return code === 'ledger.rolledBack' ? ok({ index: null, code, message }) : err(storeRefusal(opened.error));
}

interface Checked {
  readonly store: LedgerStore;
  readonly remembered: StoreFault | null;
  readonly headKept: boolean;
  readonly trust: Digest | null;
  readonly onProgress: ((entries: number) => void) | undefined;
}

async function check({ store, remembered, headKept, trust, onProgress }: Checked): Promise<Integrity> {
  const pass = new EvidencePass(store, remembered);
  const source = {
    rows: pass.rows(),
    checkpoints: await pass.checkpoints(),
    head: null,
    blob: async (digest: Digest) => {
      const read = await store.blob(digest);
      return read.ok ? read.value : null;
    },
  };
  const report = await verifyLedger(source, { trust, ...(onProgress === undefined ? {} : { onProgress }) });
  await pass.head(report);
  const blobs = await pass.blobs();
  const { faults, faultsOmitted } = pass;
  const firstBad = [report.firstBad, ...faults.map(({ index }) => index)].reduce(
    (first, index) => (first === null || (index !== null && index < first) ? index : first),
    null,
  );
  return { report, faults, faultsOmitted, blobs, headKept, sound: report.sound && faults.length === 0, firstBad };
}

class EvidencePass {
  readonly faults: StoreFault[] = [];
  faultsOmitted = 0;
  readonly #store: LedgerStore;
  /** Each blob with the first entry that names it. */
  readonly #named = new Map<Digest, number>();
  readonly #holding = new Holding();
  #entries = 0;

  constructor(store: LedgerStore, remembered: StoreFault | null) {
    this.#store = store;
    if (remembered !== null) this.faults.push(remembered);
  }

  /** The rows, as far as the file can be read; where it ends in damage is a fault, not an error. */
  async *rows(): AsyncGenerator<readonly Row[]> {
    try {
      for await (const page of this.#store.rows()) {
        for (const row of page) this.#take(row);
        yield page;
      }
    } catch (error) {
      this.#fault(this.#entries, 'store.corrupt', damageOf(error));
    }
  }

  async checkpoints(): Promise<LedgerSource['checkpoints']> {
    const kept: { readonly size: bigint; readonly note: string }[] = [];
    try {
      for await (const checkpoint of this.#store.checkpoints()) kept.push(checkpoint);
    } catch (error) {
      this.#fault(null, 'store.corrupt', `the kept checkpoints: ${damageOf(error)}`);
    }
    return kept;
  }

  /** What the store believes of its own head is held against what the entries make. */
  async head(report: VerifyReport): Promise<void> {
    try {
      const { size, root, fingerprint } = await this.#store.head();
      const agrees = size === BigInt(report.entries) && `sha256:${toHex(root)}` === report.root && fingerprint === report.fingerprint;
      if (!agrees)
        this.#fault(
          null,
          'store.head',
          `the store says ${size} entries, root sha256:${toHex(root)}; the entries make ${report.entries}, ${report.root}`,
        );
    } catch (error) {
      // Whatever it stumbles over, it read nothing but what the file says of its own head.
      const { message } = error as { readonly message?: unknown };
      this.#fault(null, 'store.head', `what the store keeps of its own head cannot be read: ${String(message)}`);
    }
  }

  async blobs(): Promise<Integrity['blobs']> {
    let sound = 0;
    let erased = 0;
    // What a payload still holds is erased by nobody lawfully.
    const { held } = this.#holding.finish();
    for (const [digest, index] of this.#named) {
      const read = await this.#store.blob(digest);
      if (read.ok) sound += 1;
      else if (read.error.code === 'blob.erased' && !held.has(digest)) erased += 1;
      else this.#fault(index, read.error.code === 'blob.unknown' ? 'blob.missing' : read.error.code, read.error.message);
    }
    return { named: this.#named.size, sound, erased };
  }

  #take(row: Row): void {
    const index = this.#entries;
    this.#entries += 1;
    const entry = decodeEntry(row.entryBytes);
    if (entry.ok) this.#holding.take(entry.value, row.payload);
    const body = row.payload === null ? null : parseCanonical(row.payload);
    if (body?.ok !== true) return;
    eachBlobRef(body.value, (digest) => void (this.#named.has(digest) || this.#named.set(digest, index)));
  }

  #fault(index: number | null, code: string, message: string): void {
    if (this.faults.length < MAX_FAULTS) this.faults.push({ index, code, message });
    else this.faultsOmitted += 1;
  }
}

/** The message of damage that a store could only throw; any other throw is a defect and goes on up. */
function damageOf(error: unknown): string {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  if (typeof code !== 'string' || !/^(store\.|SQLITE_)/.test(code)) throw error;
  return `the file cannot be read further: ${String(message)}`;
}
