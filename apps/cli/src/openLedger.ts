/**
 * Opens the ledger of a checkout, or one that is named, with the pin and the head file of this user. Must never open for writing what is not
 * pinned, nor go on when the head file says that entries are gone (PROTOCOL §3 "Head elsewhere").
 */
import { type Clock, type Digest, err, ok, type Randomness, type Result } from '@openexec/canon';
import { readPin } from '@openexec/config';
import type { KeptLedger } from '@openexec/ledger';
import type { LedgerChoice, LedgerPlace, OpenLedger } from './context.ts';
import { type Refusal, type RefusalCode, refusalFor, refuse } from './exit.ts';
import { headFileOf, keysFolder, loadSigners, stateFolderOf } from './keyring.ts';
import { checkPlace, findLedgerPlace, openStore, type PlaceContext } from './ledgerPlace.ts';
import { safeLine } from './output.ts';
import { openSnapshots } from './snapshots.ts';

/** What opening needs of the context. */
export interface OpenLedgerOptions extends PlaceContext {
  readonly choice: LedgerChoice;
  readonly clock: Clock;
  readonly randomness: Randomness;
  /** Folder of the shipped files. */
  readonly assets: string;
  /** Told of what was passed over and is no reason to stop. */
  note?(message: string): void;
}
/** See `CommandContext.openLedger`. */
export async function openLedger(options: OpenLedgerOptions): Promise<Result<OpenLedger, Refusal>> {
  const { choice, places } = options;
  const found = await findLedgerPlace(options, choice.ledger);
  if (!found.ok) return found;
  const place = found.value;
  const pin = readPin(places.user, place.name);
  if (!pin.ok) return refuse('config.invalid', pin.error.message);
  const checked = checkPlace(place, pin.value !== null);
  if (!checked.ok) return checked;
  return choice.access === 'write' || choice.access === 'append'
    ? openToWrite(options, place, pin.value)
    : openToRead(options, place, pin.value);
}

async function openToRead(options: OpenLedgerOptions, place: LedgerPlace, pinned: Digest | null): Promise<Result<OpenLedger, Refusal>> {
  const { clock, randomness, places } = options;
  const headFile = pinned === null ? {} : { headFile: headFileOf(stateFolderOf(places, pinned)) };
  const opened = await openStore(place, { clock, randomness, access: 'readOnly', ...headFile });
  if (!opened.ok) return err(storeRefusal(opened.error));
  return described(opened.value, place, pinned, options);
}

async function openToWrite(options: OpenLedgerOptions, place: LedgerPlace, pinned: Digest | null): Promise<Result<OpenLedger, Refusal>> {
  const { clock, randomness, places } = options;
  if (pinned === null) return refuse('ledger.unpinned', `the ledger at "${safeLine(place.name)}" is not one that you pinned`);
  const stateFolder = stateFolderOf(places, pinned);
  const signers = options.choice.access === 'append' ? ok({}) : loadSigners(keysFolder(stateFolder));
  if (!signers.ok) return signers;
  const opened = await openStore(place, { clock, randomness, headFile: headFileOf(stateFolder), ...signers.value });
  if (!opened.ok) return err(storeRefusal(opened.error));
  return described(opened.value, place, pinned, options);
}

async function described(
  store: KeptLedger,
  place: LedgerPlace,
  pinned: Digest | null,
  { places, assets, choice, env, note }: OpenLedgerOptions,
): Promise<Result<OpenLedger, Refusal>> {
  const { fingerprint } = await store.head();
  const wrong =
    fingerprint === null
      ? refuse('ledger.missing', `the ledger at "${safeLine(place.name)}" was never founded`)
      : pinned !== null && pinned !== fingerprint
        ? refuse('ledger.otherFingerprint', `the ledger at "${safeLine(place.name)}" has fingerprint ${fingerprint}, pinned is ${pinned}`)
        : null;
  if (wrong !== null || fingerprint === null) {
    await store.close();
    return wrong ?? refuse('ledger.missing', 'the ledger was never founded');
  }
  const stateFolder = stateFolderOf(places, fingerprint);
  const make = choice.access === 'write';
  const every = env['OPENEXEC_SNAPSHOT_EVERY'];
  const snapshots = openSnapshots({ store, stateFolder, assets, make, every, note: note ?? (() => undefined) });
  if (!snapshots.ok) {
    await store.close();
    return snapshots;
  }
  return ok({
    store,
    path: place.name,
    place,
    fingerprint,
    pinned,
    stateFolder,
    snapshots: snapshots.value,
    close: () => store.close(),
  });
}

/** The row of the table for each code of a store or of the runtime that has another name there. */
const STORE_CODES: { readonly [code: string]: RefusalCode } = {
  'store.missing': 'ledger.missing',
  'store.missingDirectory': 'ledger.missing',
  'store.notALedger': 'ledger.corrupt',
  'store.newerFormat': 'ledger.newer',
  'store.full': 'ledger.full',
  'store.address': 'ledger.url',
  'store.refused': 'ledger.refused',
  'store.notDurable': 'ledger.notDurable',
  'store.unreachable': 'ledger.unreachable',
  'store.readOnly': 'ledger.readOnly',
  'store.denied': 'ledger.denied',
  'store.busy': 'ledger.busy',
  'store.corrupt': 'ledger.corrupt',
  'headFile.malformed': 'ledger.rolledBack',
  'ledger.rolledBack': 'ledger.rolledBack',
  'law.invalid': 'ledger.corrupt',
  'run.unreadable': 'ledger.corrupt',
  'run.erased': 'run.failed',
  'run.exists': 'writ.invalid',
  'writ.notCarved': 'writ.notInForce',
  'writ.overdrawn': 'writ.notInForce',
  'run.stuck': 'internal.fault',
  'model.missing': 'config.modelMissing',
  'copy.notEmpty': 'ledger.notEmpty',
  'copy.newer': 'ledger.newer',
};

/** A store's refusal in the words of the table; a runtime puts `ledger.` before the store's codes. */
export function storeRefusal(error: { readonly code: string; readonly message: string }): Refusal {
  const known = STORE_CODES[error.code] ?? STORE_CODES[error.code.replace(/^ledger\./, '')];
  if (error.code.startsWith('copy.') && known === undefined) return { code: 'import.refused', message: error.message };
  if (error.code.startsWith('forget.')) return { code: 'forget.refused', message: error.message };
  if (known !== undefined) return { code: known, message: error.message };
  return refusalFor(error, error.code.startsWith('workspace.') ? 'workspace.failed' : 'ledger.failed');
}
