/**
 * A seed under a passphrase: scrypt makes the key, AES-256-GCM seals, and the whole header is authenticated with it. Must never spend more memory
 * than its bounds on a file that somebody else wrote, nor say which part of a wrong guess was wrong. SECURITY §7 "Keys".
 */
import { createCipheriv, createDecipheriv, randomFillSync, scryptSync } from 'node:crypto';
import { type Bytes, canonicalBytes, concatBytes, err, fromHex, type Json, ok, type Result, toHex, utf8Encode } from '@openexec/canon';
import * as z from 'zod';

/** Cost of a new file: 128 MiB and about half a second. Memory is 128 · n · r bytes. */
const COST = { n: 2 ** 17, r: 8, p: 1 } as const;
/** A file asking for more than this is refused before a byte is reserved: 256 MiB. */
const MAX_N = 2 ** 18;
const MIN_N = 2 ** 15;
const MEMORY_BYTES = 128 * MAX_N * COST.r + 1024 * 1024;
const SALT_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;
const SEED_BYTES = 32;
/** Shorter ones are guessed at leisure by whoever copies the file. */
export const LEAST_PASSPHRASE = 12;
const MOST_PASSPHRASE = 1024;

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`));
/** The members that hold a seed under a passphrase; all but `sealed` are authenticated, with the rest of the file. */
export const sealedPart = z.strictObject({
  kdf: z.strictObject({
    name: z.literal('scrypt'),
    n: z
      .number()
      .int()
      .min(MIN_N)
      .max(MAX_N)
      .refine((n) => Number.isInteger(Math.log2(n))),
    r: z.literal(COST.r),
    p: z.literal(COST.p),
    salt: hex(SALT_BYTES),
  }),
  cipher: z.strictObject({ name: z.literal('aes-256-gcm'), nonce: hex(NONCE_BYTES) }),
  sealed: hex(SEED_BYTES + TAG_BYTES),
});
/** See {@link sealedPart}. */
export type SealedPart = z.infer<typeof sealedPart>;

/** Why a passphrase is not taken for a new key, or null. Counted in characters after NFKC, so that one word is one word on every keyboard. */
export function passphraseProblem(passphrase: string): string | null {
  const length = [...passphrase.normalize('NFKC')].length;
  if (length < LEAST_PASSPHRASE)
    return `the passphrase has ${length} characters; take at least ${LEAST_PASSPHRASE}, such as four random words`;
  return length > MOST_PASSPHRASE ? `the passphrase has ${length} characters; at most ${MOST_PASSPHRASE} are taken` : null;
}

/** Seals a seed of 32 bytes. `header` is the rest of the file, authenticated with it. */
export function sealSeed(options: { readonly seed: Bytes; readonly passphrase: string; readonly header: Json }): SealedPart {
  const kdf = { name: 'scrypt' as const, ...COST, salt: toHex(randomFillSync(new Uint8Array(SALT_BYTES))) };
  const nonce = randomFillSync(new Uint8Array(NONCE_BYTES));
  const cipher = { name: 'aes-256-gcm' as const, nonce: toHex(nonce) };
  const sealing = createCipheriv('aes-256-gcm', deriveKey(options.passphrase, kdf), nonce, { authTagLength: TAG_BYTES });
  sealing.setAAD(canonicalBytes({ header: options.header, kdf, cipher }));
  const sealed = concatBytes(sealing.update(options.seed), sealing.final(), sealing.getAuthTag());
  return { kdf, cipher, sealed: toHex(sealed) };
}

/** The seed, or `wrong` where passphrase or file is not the one it was sealed with: the two cannot be told apart. */
export function openSeed(options: {
  readonly part: SealedPart;
  readonly passphrase: string;
  readonly header: Json;
}): Result<Bytes, 'wrong'> {
  const { kdf, cipher, sealed } = options.part;
  const bytes = bytesOf(sealed);
  const opening = createDecipheriv('aes-256-gcm', deriveKey(options.passphrase, kdf), bytesOf(cipher.nonce), { authTagLength: TAG_BYTES });
  opening.setAAD(canonicalBytes({ header: options.header, kdf, cipher }));
  opening.setAuthTag(bytes.subarray(SEED_BYTES));
  try {
    return ok(concatBytes(opening.update(bytes.subarray(0, SEED_BYTES)), opening.final()));
  } catch {
    return err('wrong');
  }
}

function deriveKey(passphrase: string, kdf: SealedPart['kdf']): Bytes {
  const { n, r, p } = kdf;
  return scryptSync(utf8Encode(passphrase.normalize('NFKC')), bytesOf(kdf.salt), KEY_BYTES, { N: n, r, p, maxmem: MEMORY_BYTES });
}

function bytesOf(text: string): Bytes {
  const bytes = fromHex(text);
  if (!bytes.ok) throw new Error('hex was checked by the schema');
  return bytes.value;
}
