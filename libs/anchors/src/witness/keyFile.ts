/**
 * The key of a witness: one line in a file that its owner alone can read, in the form of signed-note's private keys with a cosigner's algorithm.
 * Must never print or replace a key.
 */
import { closeSync, constants, fstatSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { type Bytes, concatBytes, err, fromBase64, ok, type Result, toBase64 } from '@openexec/canon';
import { formatCosignerVkey, publicKeyOf, seedSigner, type Signer } from '@openexec/proof';
import { faultCode } from '../files.ts';

const LINE = /^PRIVATE\+KEY\+([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})\n$/u;
const COSIGNATURE = 0x04;
const OPEN_TO_OTHERS = 0o077;
const MAX_BYTES = 4096;

/** Why there is no key. A code never changes its meaning. */
export interface WitnessKeyError {
  readonly code: 'witnessKey.missing' | 'witnessKey.unsafe' | 'witnessKey.malformed' | 'witnessKey.exists';
  readonly message: string;
}

/** Writes a new key under this name; refuses where a file is already. Gives its verifier key. */
export function writeWitnessKey(path: string, keyName: string, seed: Bytes): Result<string, WitnessKeyError> {
  const vkey = formatCosignerVkey({ keyName, publicKey: publicKeyOf(seed) });
  const hash = vkey.slice(keyName.length + 1, keyName.length + 9);
  try {
    const file = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
    try {
      writeSync(file, `PRIVATE+KEY+${keyName}+${hash}+${toBase64(concatBytes(Uint8Array.of(COSIGNATURE), seed))}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    return ok(vkey);
  } catch (error) {
    const code = faultCode(error);
    return code === 'EEXIST'
      ? refuse('witnessKey.exists', `there is a file at ${path} already`)
      : refuse('witnessKey.unsafe', `${path} cannot be written (${code})`);
  }
}

/** Reads a key. */
export function readWitnessKey(path: string): Result<{ readonly signer: Signer; readonly vkey: string }, WitnessKeyError> {
  let text: string;
  try {
    const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const { mode, size } = fstatSync(file);
      if ((mode & OPEN_TO_OTHERS) !== 0) return refuse('witnessKey.unsafe', `${path} can be read by others`);
      if (size > MAX_BYTES) return refuse('witnessKey.malformed', `${path} is no key of a witness`);
      text = readFileSync(file, 'utf8');
    } finally {
      closeSync(file);
    }
  } catch (error) {
    const code = faultCode(error);
    return refuse(code === 'ENOENT' ? 'witnessKey.missing' : 'witnessKey.unsafe', `${path} cannot be read (${code})`);
  }
  const [, keyName = '', hash = '', encoded = ''] = LINE.exec(text) ?? [];
  const bytes = fromBase64(encoded);
  if (!bytes.ok || bytes.value.length !== 33 || bytes.value[0] !== COSIGNATURE)
    return refuse('witnessKey.malformed', `${path} is no key of a witness`);
  const seed = bytes.value.slice(1);
  const vkey = formatCosignerVkey({ keyName, publicKey: publicKeyOf(seed) });
  if (!vkey.startsWith(`${keyName}+${hash}+`)) return refuse('witnessKey.malformed', `${path}: the key does not belong to its name`);
  return ok({ signer: seedSigner({ keyName, seed }), vkey });
}

function refuse(code: WitnessKeyError['code'], message: string): { readonly ok: false; readonly error: WitnessKeyError } {
  return err({ code, message });
}
