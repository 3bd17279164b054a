/**
 * The public half of a key as a file that travels: named, for one ledger, signed by the key itself, so that nobody has a key trusted that they do
 * not hold. Must never hold anything secret. docs/reference/keys.md.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { type Bytes, type Digest, err, fromHex, ok, parseJson, type Result, toHex } from '@openexec/canon';
import { keyIdOf, signTyped, verifyTyped } from '@openexec/proof';
import { words } from '@openexec/protocol';
import * as z from 'zod';
import type { FileKey } from './keys.ts';

/** Why a public key is not taken. */
export interface PublicKeyError {
  readonly code: 'key.missing' | 'key.malformed' | 'key.exists' | 'key.io';
  readonly message: string;
}
/** A public key that was read and whose holder has signed for it. */
export interface PublicKey {
  readonly label: string;
  readonly keyId: string;
  /** 32 bytes. */
  readonly publicKey: Bytes;
}

const TYPE = 'application/vnd.openexec.public-key.v1+json';
const MAX_BYTES = 8192;
const publicKeyFile = words.signed(
  z.strictObject({
    v: z.literal(1),
    ledger: words.digest,
    label: z.string().min(1).max(128),
    publicKey: words.publicKey,
    assurance: z.enum(['file', 'passphrase']),
  }),
);

/** Writes the public half of a key for one ledger; a file that is there is not replaced. */
export function writePublicKey(file: string, key: FileKey, ledger: Digest): Result<void, PublicKeyError> {
  const assurance = key.assurance === 'passphrase' ? 'passphrase' : 'file';
  const body = { v: 1 as const, ledger, label: key.label, publicKey: toHex(key.publicKey), assurance };
  const made = { body, signatures: [signTyped({ type: TYPE, body, seed: key.seed })] };
  try {
    writeFileSync(file, `${JSON.stringify(made, null, 2)}\n`, { flag: 'wx', mode: 0o644 });
    return ok(undefined);
  } catch (error) {
    const { code } = error as { readonly code?: string };
    return code === 'EEXIST'
      ? err({ code: 'key.exists', message: `"${file}" is there already; name another file` })
      : err({ code: 'key.io', message: `"${file}" cannot be written (${code ?? 'unknown'})` });
  }
}

/** Reads such a file and checks that its own key signed it, for this ledger. */
export function readPublicKey(file: string, ledger: Digest): Result<PublicKey, PublicKeyError> {
  const malformed = (why: string) => err({ code: 'key.malformed' as const, message: `"${file}" ${why}` });
  const data = readSmall(file);
  if (data === null) return err({ code: 'key.missing', message: `"${file}" is neither the id of a key nor a file that can be read` });
  const json = parseJson(data);
  const checked = json.ok ? publicKeyFile.safeParse(json.value) : null;
  if (checked?.success !== true) return malformed('is not a public key as openexec key new exports it');
  const { body, signatures } = checked.data;
  const [signature, ...others] = signatures;
  const raw = fromHex(body.publicKey);
  if (!raw.ok || signature === undefined || others.length > 0) return malformed('does not carry exactly one signature');
  const publicKey = raw.value;
  const own = signature.key === keyIdOf(publicKey) && verifyTyped({ type: TYPE, body, publicKey, value: signature.value });
  if (!own) return malformed('is not signed by the key that it names');
  if (body.ledger !== ledger) return malformed(`was made for ledger ${body.ledger}; this is ${ledger}`);
  return ok({ label: body.label, keyId: keyIdOf(publicKey), publicKey });
}

function readSmall(file: string): Bytes | null {
  let handle: number | null = null;
  try {
    handle = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = fstatSync(handle);
    return stat.isFile() && stat.size <= MAX_BYTES ? new Uint8Array(readFileSync(handle)) : null;
  } catch {
    return null;
  } finally {
    if (handle !== null) closeSync(handle);
  }
}
