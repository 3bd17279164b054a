/**
 * Founds the ledger of a checkout: keys outside the repository, `ledger.founded`, trust for the operator and the runtime, the pin. May be broken
 * off anywhere and called again: each step looks at what is there. PROTOCOL §5 "Trust root".
 */
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, realpathSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { bodyType, foundLedger, type LawView, signBody } from '@openexec/authority';
import {
  type Clock,
  type Digest,
  err,
  type Instant,
  type Json,
  ok,
  type Randomness,
  type Result,
  toHex,
  type TrajectoryId,
} from '@openexec/canon';
import { type FileKey, type Places, readKey, secureFolder, writeKey, writePin } from '@openexec/config';
import type { LedgerStore } from '@openexec/ledger';
import type { Role } from '@openexec/protocol';
import { loadLaw } from '@openexec/runtime';
import type { LedgerPlace } from '../context.ts';
import { type Refusal, refuse } from '../exit.ts';
import { headFileOf, KEY_LABELS, keyFiles, keyRefusal, keysFolder, loadSigners, originOf, stateFolderOf } from '../keyring.ts';
import { openStore } from '../ledgerPlace.ts';
import { storeRefusal } from '../openLedger.ts';
import { safeLine } from '../output.ts';

/** Where and with what a ledger is founded. */
export interface FoundOptions {
  readonly place: LedgerPlace;
  readonly places: Places;
  readonly clock: Clock;
  readonly randomness: Randomness;
}
/** A founded and pinned ledger. */
export interface Founded {
  readonly fingerprint: Digest;
  readonly origin: string;
  readonly stateFolder: string;
  /** False where the ledger was there before. */
  readonly fresh: boolean;
  readonly keys: readonly { readonly label: string; readonly keyId: string; readonly roles: readonly Role[] }[];
}

const LAW = 'law' as TrajectoryId; // The one name of its grammar.
const SEED_BYTES = 32;
const NONCE_BYTES = 16;
const ROLES_OF: { readonly [label: string]: readonly Role[] } = {
  root: ['root'],
  log: ['log'],
  operator: ['issuer', 'approver'],
  runtime: ['runtime'],
};
/** Keys that a root key has to vouch for; root and log stand in the founding itself. */
const TRUSTED = [KEY_LABELS.operator, KEY_LABELS.runtime] as const;

/** Founds the ledger at `place`, or completes and pins one whose keys are on this machine. */
export async function found(options: FoundOptions): Promise<Result<Founded, Refusal>> {
  const { place, places } = options;
  // For root the way to run workspaces must be open to the sandbox's id; keys lie behind a folder of their own.
  mkdirSync(places.state, { recursive: true, mode: 0o711 });
  const pending = join(
    places.state,
    `pending-${createHash('sha256')
      .update(place.kind === 'sqlite' ? place.path : place.name)
      .digest('hex')
      .slice(0, NONCE_BYTES)}`,
  );
  const before = await fingerprintOf(options);
  if (!before.ok) return before;
  const home = before.value === null || existsSync(pending) ? pending : stateFolderOf(places, before.value);
  if (before.value !== null && !existsSync(keysFolder(home))) {
    return refuse('ledger.unpinned', `"${safeLine(place.name)}" is the ledger ${before.value}, whose keys are not on this machine`);
  }
  mkdirSync(home, { recursive: true, mode: 0o711 });
  if (process.getuid?.() === 0) for (const folder of [places.state, home]) chmodSync(folder, 0o711);
  const keys = makeKeys(keysFolder(home), options.randomness);
  if (!keys.ok) return keys;
  const founded = await writeLaw(options, home, keys.value);
  if (!founded.ok) return founded;
  const stateFolder = stateFolderOf(places, founded.value.fingerprint);
  if (home === pending) renameSync(pending, stateFolder);
  const pinned = writePin(places.user, place.kind === 'sqlite' ? realpathSync(place.path) : place.name, founded.value.fingerprint);
  if (!pinned.ok) return refuse('config.invalid', pinned.error.message);
  const shown = keyFiles(keysFolder(stateFolder)).map(({ label, keyId, roles }) => ({ label, keyId, roles }));
  return ok({ ...founded.value, stateFolder, fresh: before.value === null, keys: shown });
}

async function fingerprintOf(options: FoundOptions): Promise<Result<Digest | null, Refusal>> {
  const { place, clock, randomness } = options;
  if (place.kind === 'sqlite' && !existsSync(place.path)) return ok(null);
  const opened = await openStore(place, { clock, randomness, access: 'readOnly' });
  // A database that is missing is refused again where the schema is to be made.
  if (!opened.ok && place.kind !== 'sqlite' && opened.error.code === 'store.missing') return ok(null);
  if (!opened.ok) return err(storeRefusal(opened.error));
  const { fingerprint } = await opened.value.head();
  await opened.value.close();
  return ok(fingerprint);
}

function makeKeys(folder: string, randomness: Randomness): Result<Readonly<Record<keyof typeof KEY_LABELS, FileKey>>, Refusal> {
  const secured = secureFolder(folder);
  if (!secured.ok) return err(keyRefusal(secured.error));
  const keyFor = (label: string): Result<FileKey, Refusal> => {
    const there = readKey(folder, label);
    if (there.ok) return there;
    if (there.error.code !== 'key.missing') return err(keyRefusal(there.error));
    const made = writeKey(folder, { label, roles: ROLES_OF[label] ?? [], seed: randomness.bytes(SEED_BYTES) });
    return made.ok ? made : err(keyRefusal(made.error));
  };
  const root = keyFor(KEY_LABELS.root);
  if (!root.ok) return root;
  const log = keyFor(KEY_LABELS.log);
  if (!log.ok) return log;
  const operator = keyFor(KEY_LABELS.operator);
  if (!operator.ok) return operator;
  const runtime = keyFor(KEY_LABELS.runtime);
  return runtime.ok ? ok({ root: root.value, log: log.value, operator: operator.value, runtime: runtime.value }) : runtime;
}

type Keys = Readonly<Record<keyof typeof KEY_LABELS, FileKey>>;

async function writeLaw(
  options: FoundOptions,
  home: string,
  keys: Keys,
): Promise<Result<{ readonly fingerprint: Digest; readonly origin: string }, Refusal>> {
  const { place, clock, randomness } = options;
  const signers = loadSigners(keysFolder(home));
  if (!signers.ok) return signers;
  if (place.kind === 'sqlite') mkdirSync(join(place.path, '..'), { recursive: true });
  const opened = await openStore(place, { clock, randomness, headFile: headFileOf(home), ...signers.value, missing: 'create' });
  if (!opened.ok) return err(storeRefusal(opened.error));
  const store = opened.value;
  try {
    const origin = originOf(keys.log);
    if ((await store.head()).fingerprint === null) {
      const body = foundLedger({ origin, rootSeeds: [keys.root.seed], logKey: keys.log.publicKey, nonce: nonceOf(randomness) });
      const written = await appendLaw(store, clock.now(), 'ledger.founded', keys.root, body);
      if (!written.ok) return written;
    }
    const { fingerprint } = await store.head();
    const law = await loadLaw(store);
    if (!law.ok) return err(storeRefusal(law.error));
    if (fingerprint === null) return refuse('ledger.failed', 'the ledger was founded but has no fingerprint');
    const trusted = await trustKeys({ store, clock, randomness, keys, fingerprint, law: law.value });
    return trusted.ok ? ok({ fingerprint, origin }) : trusted;
  } finally {
    await store.close();
  }
}

interface Trusting {
  readonly store: LedgerStore;
  readonly clock: Clock;
  readonly randomness: Randomness;
  readonly keys: Keys;
  readonly fingerprint: Digest;
  readonly law: LawView;
}

async function trustKeys(trusting: Trusting): Promise<Result<void, Refusal>> {
  const { store, clock, keys, law } = trusting;
  for (const label of TRUSTED) {
    const key = keys[label];
    if ([...law.keys.values()].some((known) => known.publicKey === toHex(key.publicKey))) continue;
    const at = clock.now();
    const body = trustBody({ fingerprint: trusting.fingerprint, nonce: nonceOf(trusting.randomness), key, at });
    const signed = signBody({ type: bodyType('key.trusted'), body, seeds: [keys.root.seed] });
    const written = await appendLaw(store, at, 'key.trusted', keys.root, signed);
    if (!written.ok) return written;
  }
  return ok(undefined);
}

/** The body of a `key.trusted` for a key from a file, in force from now on. */
export function trustBody(options: { readonly fingerprint: Digest; readonly nonce: string; readonly key: FileKey; readonly at: Instant }): {
  readonly [name: string]: Json;
} {
  const { fingerprint, nonce, key, at } = options;
  return {
    ledger: fingerprint,
    nonce,
    publicKey: toHex(key.publicKey),
    roles: [...key.roles],
    window: { notBefore: at, notAfter: null },
    label: key.label,
  };
}

/** Appends one fact to `law`. */
export async function appendLaw(
  store: LedgerStore,
  at: Instant,
  kind: 'ledger.founded' | 'key.trusted',
  by: FileKey,
  payload: Json,
): Promise<Result<void, Refusal>> {
  const expect = kind === 'ledger.founded' ? ('none' as const) : ('exists' as const);
  const appended = await store.append({
    to: [{ trajectory: LAW, expect, drafts: [{ kind, at, actor: `key:${by.keyId}`, cause: null, law: null, payload }] }],
    blobs: [],
  });
  return appended.ok ? ok(undefined) : err(storeRefusal(appended.error));
}

/** 16 fresh random bytes as hex. */
export function nonceOf(randomness: Randomness): string {
  return toHex(randomness.bytes(NONCE_BYTES));
}
