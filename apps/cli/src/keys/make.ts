/**
 * `key new` and `key passwd`: key files of this user for one ledger. Must never print a secret, nor make a key that nobody asked to leave open
 * (SECURITY §7 "Keys").
 */
import { resolve } from 'node:path';
import { err, ok, type Result, toHex } from '@openexec/canon';
import { type FileKey, listKeys, rewriteKey, writeKey, writePublicKey } from '@openexec/config';
import type { Role } from '@openexec/protocol';
import type { CommandContext, CommandResult, OpenLedger } from '../context.ts';
import { EXIT, type Refusal, refuse } from '../exit.ts';
import { findKeyFile, KEY_LABELS, keyRefusal, keysFolder } from '../keyring.ts';
import { enact, signedChange } from '../law.ts';
import { safeLine } from '../output.ts';
import { newPassphrase, type PassphraseOptions, unlock } from '../passphrase.ts';
import { trustedFrom } from './trust.ts';

/** Options of `key new`. */
export interface NewKeyOptions extends PassphraseOptions {
  readonly role: Role;
  readonly label?: string;
  /** False under `--no-passphrase`. */
  readonly passphrase: boolean;
  readonly exportPublic?: string;
  readonly rootPassphraseFile?: string;
  readonly json?: boolean;
}
/** Options of `key passwd`. */
export interface PasswdOptions extends PassphraseOptions {
  /** False under `--no-passphrase`. */
  readonly passphrase: boolean;
  readonly newPassphraseFd?: string;
  readonly newPassphraseFile?: string;
  readonly json?: boolean;
}

const SEED_BYTES = 32;
/** Keys that a command uses with nobody there to ask. */
const UNATTENDED: readonly string[] = [KEY_LABELS.runtime, KEY_LABELS.log, KEY_LABELS.operator];

/** Makes a key, and lets the root key of this machine vouch for it or writes its public half for whoever holds one. */
export async function newKey(options: NewKeyOptions, context: CommandContext, ledger: OpenLedger): Promise<CommandResult> {
  const folder = keysFolder(ledger.stateFolder);
  const label = options.label ?? options.role;
  if (listKeys(folder).includes(label)) return refuse('key.exists', `there is a key "${label}" already; give another --label`);
  const root = options.exportPublic === undefined ? await rootFor(folder, options, context) : ok(null);
  if (!root.ok) return root;
  const passphrase = await passphraseFor(label, options, context);
  if (!passphrase.ok) return passphrase;
  const seed = context.randomness.bytes(SEED_BYTES);
  const made = writeKey(folder, { label, roles: [options.role], seed, passphrase: passphrase.value });
  if (!made.ok) return err(keyRefusal(made.error));
  const key = made.value;
  const file = options.exportPublic === undefined ? null : resolve(context.cwd, options.exportPublic);
  const exported = file === null ? ok(undefined) : writePublicKey(file, key, ledger.fingerprint);
  if (!exported.ok) return err(keyRefusal(exported.error));
  const trusted = root.value === null ? ok(null) : await enact(context, ledger, trustOf(context, ledger, root.value, key));
  if (!trusted.ok) return trusted;
  const { keyId, publicKey, assurance } = key;
  const at = trusted.value?.at ?? null;
  if (options.json === true) {
    const roles = [options.role];
    context.output.json('key', { v: 1, label, keyId, publicKey: toHex(publicKey), roles, assurance, trustedFrom: at, public: file });
    return ok(EXIT.ok);
  }
  const held = assurance === 'passphrase' ? 'under a passphrase' : 'WITHOUT a passphrase: whoever reads the file has the key';
  const next =
    file === null
      ? `trusted from ${at ?? ''}`
      : `not trusted yet: give "${safeLine(file)}" to a holder of a root key, for openexec key trust FILE --role ${options.role}`;
  context.output.result(`${label}  ${keyId}  ${options.role}\n  file ${safeLine(folder)}/${label}.key (mode 0600), ${held}\n  ${next}`);
  return ok(EXIT.ok);
}

function trustOf(context: CommandContext, ledger: OpenLedger, root: FileKey, key: FileKey) {
  const { publicKey, roles, label } = key;
  const window = { notBefore: context.clock.now(), notAfter: null };
  return signedChange(context, ledger, { kind: 'key.trusted', key: root, body: trustedFrom({ publicKey, roles, label, window }) });
}

async function rootFor(folder: string, options: NewKeyOptions, context: CommandContext): Promise<Result<FileKey, Refusal>> {
  const file = findKeyFile(folder, KEY_LABELS.root);
  if (!file.ok)
    return file.error.code === 'key.missing'
      ? refuse('key.missing', 'no root key is on this machine to vouch for a new key; --export-public FILE makes one for others to trust')
      : file;
  const from = options.rootPassphraseFile === undefined ? {} : { passphraseFile: options.rootPassphraseFile };
  return unlock(file.value, from, context);
}

/** A key that approves is under a passphrase unless told otherwise; other keys are where a passphrase is given. */
async function passphraseFor(label: string, options: NewKeyOptions, context: CommandContext): Promise<Result<string | null, Refusal>> {
  const given = options.passphraseFd !== undefined || options.passphraseFile !== undefined;
  if (!options.passphrase) return given ? refuse('usage.invalid', '--no-passphrase and a passphrase exclude each other') : ok(null);
  return given || options.role === 'approver' ? newPassphrase(label, options, context) : ok(null);
}

/** Puts a key under another passphrase, or takes it off. */
export async function changePassphrase(
  label: string,
  options: PasswdOptions,
  context: CommandContext,
  ledger: OpenLedger,
): Promise<CommandResult> {
  const folder = keysFolder(ledger.stateFolder);
  const file = findKeyFile(folder, label);
  if (!file.ok) return file;
  if (options.passphrase && UNATTENDED.includes(file.value.label))
    return refuse('usage.invalid', `the key "${file.value.label}" is used with nobody there to ask; it stays without a passphrase`);
  const key = await unlock(file.value, options, context);
  if (!key.ok) return key;
  const { newPassphraseFd, newPassphraseFile } = options;
  const from = {
    ...(newPassphraseFd === undefined ? {} : { passphraseFd: newPassphraseFd }),
    ...(newPassphraseFile === undefined ? {} : { passphraseFile: newPassphraseFile }),
  };
  const fresh = options.passphrase ? await newPassphrase(key.value.label, from, context) : ok(null);
  if (!fresh.ok) return fresh;
  const { roles, seed } = key.value;
  const written = rewriteKey(folder, { label: key.value.label, roles, seed, passphrase: fresh.value });
  if (!written.ok) return err(keyRefusal(written.error));
  const { label: name, keyId, assurance } = written.value;
  if (options.json === true) context.output.json('key-passwd', { v: 1, label: name, keyId, assurance });
  else context.output.result(`${name}  ${keyId}  is now held by ${assurance}`);
  return ok(EXIT.ok);
}
