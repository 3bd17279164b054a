/**
 * `key trust` and `key retire`: a root key in force says in the ledger which keys count, for what, and until when (PROTOCOL §5).
 */
import { resolve } from 'node:path';
import { type Bytes, err, fromHex, type Instant, type Json, ok, parseInstant, type Result, toHex } from '@openexec/canon';
import { readPublicKey } from '@openexec/config';
import type { Role } from '@openexec/protocol';
import type { CommandContext, CommandResult, OpenLedger } from '../context.ts';
import { EXIT, type Refusal, refuse } from '../exit.ts';
import { findKeyFile, KEY_LABELS, keyRefusal, keysFolder } from '../keyring.ts';
import { enact, lawOf, signedChange } from '../law.ts';
import { safeLine } from '../output.ts';
import { type PassphraseOptions, unlock } from '../passphrase.ts';
import { redactWords } from '../run/redact.ts';

/** Options of `key trust`; the passphrase is that of the root key. */
export interface TrustOptions extends PassphraseOptions {
  readonly role: readonly Role[];
  readonly name?: string;
  readonly until?: string;
  readonly root: string;
  readonly json?: boolean;
}
/** Options of `key retire`. */
export interface RetireOptions extends PassphraseOptions {
  readonly because: string;
  readonly root: string;
  readonly json?: boolean;
}
interface Found {
  readonly label: string;
  readonly keyId: string;
  readonly publicKey: Bytes;
}

const LABEL_MAX = 128;
const BECAUSE_MAX = 2000;
const KEY_ID = /^[0-9a-f]{32}$/;

/** The body of a `key.trusted`, without ledger and nonce. */
export function trustedFrom(key: {
  readonly publicKey: Bytes;
  readonly roles: readonly Role[];
  readonly label: string;
  readonly window: { readonly notBefore: Instant; readonly notAfter: Instant | null };
}): { readonly [name: string]: Json } {
  const { publicKey, roles, label, window } = key;
  return { publicKey: toHex(publicKey), roles: [...roles], window: { ...window }, label: label.slice(0, LABEL_MAX) };
}

/** Trusts a key by its public file, or one that the law or this machine knows by its id. */
export async function trust(wanted: string, options: TrustOptions, context: CommandContext, ledger: OpenLedger): Promise<CommandResult> {
  const notAfter = options.until === undefined ? ok(null) : parseInstant(options.until);
  if (!notAfter.ok) return refuse('usage.invalid', '--until takes a moment such as 2027-01-31T00:00:00.000Z');
  const found = await findPublic(wanted, context, ledger);
  if (!found.ok) return found;
  const root = await rootKey(options, context, ledger);
  if (!root.ok) return root;
  const { publicKey, keyId } = found.value;
  const label = options.name ?? found.value.label;
  const window = { notBefore: context.clock.now(), notAfter: notAfter.value };
  const body = trustedFrom({ publicKey, roles: options.role, label, window });
  const enacted = await enact(context, ledger, signedChange(context, ledger, { kind: 'key.trusted', key: root.value, body }));
  if (!enacted.ok) return enacted;
  const { position, at } = enacted.value;
  if (options.json === true)
    context.output.json('key-trust', { v: 1, keyId, label, roles: options.role, law: position, window: { ...window, notBefore: at } });
  else
    context.output.result(
      `trusted  ${keyId}  ${safeLine(label)} as ${options.role.join(', ')}, ${window.notAfter === null ? 'until retired' : `until ${window.notAfter}`} (law ${position})`,
    );
  return ok(EXIT.ok);
}

/** Retires a key for good: nothing that it signs from here on counts, nothing before changes. */
export async function retire(wanted: string, options: RetireOptions, context: CommandContext, ledger: OpenLedger): Promise<CommandResult> {
  const file = KEY_ID.test(wanted) ? null : findKeyFile(keysFolder(ledger.stateFolder), wanted);
  if (file !== null && !file.ok) return file;
  const keyId = file === null ? wanted : file.value.keyId;
  const root = await rootKey(options, context, ledger);
  if (!root.ok) return root;
  const because = await redactWords(context, root.value, options.because);
  if (!because.ok) return because;
  const body = { key: keyId, because: because.value.slice(0, BECAUSE_MAX) };
  const enacted = await enact(context, ledger, signedChange(context, ledger, { kind: 'key.retired', key: root.value, body }));
  if (!enacted.ok) return enacted;
  if (options.json === true) context.output.json('key-retire', { v: 1, keyId, law: enacted.value.position });
  else context.output.result(`retired  ${keyId}  counts for nothing after law ${enacted.value.position}; what it signed before stands`);
  return ok(EXIT.ok);
}

/** The key that makes law, unlocked; by default the one of `init`. */
export async function rootKey(options: PassphraseOptions & { readonly root: string }, context: CommandContext, ledger: OpenLedger) {
  const file = findKeyFile(keysFolder(ledger.stateFolder), options.root);
  return file.ok ? unlock(file.value, options, context) : file;
}

/** Label of the root key that `init` makes. */
export const ROOT_LABEL: string = KEY_LABELS.root;

async function findPublic(wanted: string, context: CommandContext, ledger: OpenLedger): Promise<Result<Found, Refusal>> {
  if (!KEY_ID.test(wanted)) {
    const read = readPublicKey(resolve(context.cwd, wanted), ledger.fingerprint);
    return read.ok ? read : err(keyRefusal(read.error));
  }
  const here = findKeyFile(keysFolder(ledger.stateFolder), wanted);
  if (here.ok) return here;
  const law = await lawOf(ledger);
  if (!law.ok) return law;
  for (const [keyId, record] of law.value.keys) {
    const publicKey = keyId === wanted ? fromHex(record.publicKey) : null;
    if (publicKey?.ok === true) return ok({ label: wanted, keyId, publicKey: publicKey.value });
  }
  return refuse('key.missing', `neither the law nor this machine knows a key ${wanted}; give the file that openexec key new exported`);
}
