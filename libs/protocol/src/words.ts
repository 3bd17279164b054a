/**
 * The smallest words of the protocol: digests, ids, times, references, money and path patterns as zod schemas.
 * Never give a member a default or a transform here: what is parsed is exactly what was written (PROTOCOL §1).
 */
import type { Digest, EventId, Instant, Json, KeyId, TrajectoryId } from '@openexec/canon';
import * as z from 'zod';

/** A schema whose runtime form is a checked string and whose type is the branded one; JSON Schema generation sees the string. */
function branded<T extends string>(schema: z.ZodString): z.ZodType<T, T> {
  // The brand exists only in the type system; the pattern is what makes it true.
  return schema as unknown as z.ZodType<T, T>;
}

/** SHA-256 as `sha256:` and 64 lower-case hex digits (PROTOCOL §1). */
export const digest = branded<Digest>(z.string().regex(/^sha256:[0-9a-f]{64}$/));
/** Key id: first 32 hex digits of SHA-256 of the raw public key (PROTOCOL §5). */
export const keyId = branded<KeyId>(z.string().regex(/^[0-9a-f]{32}$/));
/** RFC 3339 UTC with exactly three digits of milliseconds (PROTOCOL §2 `at`). */
export const instant = branded<Instant>(z.string().regex(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/));
/** Name of one stream of the ledger (PROTOCOL §2 `trajectory`). */
export const trajectory = branded<TrajectoryId>(
  z
    .string()
    .max(128)
    .regex(/^(law|ledger|memory|evolution|governance|(run|writ|selftest|peer)\/[a-z0-9][a-z0-9._-]*)$/),
);
/** Client-chosen id of a fact appended with position `any` (PROTOCOL §2 `id`). */
export const eventId = branded<EventId>(z.string().regex(/^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$/));
/** 16 random bytes as hex: accepted once, for ever (PROTOCOL §5). */
export const nonce = z.string().regex(/^[0-9a-f]{32}$/);
/** 128 random bits naming one driving process (PROTOCOL §3). */
export const driverId = z.string().regex(/^[0-9a-f]{32}$/);
/** Raw Ed25519 public key as 64 hex digits. */
export const publicKey = z.string().regex(/^[0-9a-f]{64}$/);
/** Standard base64 with padding; strict decoding happens where it is used. */
export const base64 = z.string().regex(/^[A-Za-z0-9+/]+={0,2}$/);
/** Non-negative safe integer. */
export const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
/** Position in a trajectory or ordinal in a list. */
export const position = count;
/** A short name: action, stage, rule, artifact, toolset. */
export const name = z.string().regex(/^[a-z][a-z0-9_.-]{0,63}$/);
/** A stable machine-readable reason such as `budget.exhausted`. */
export const code = z
  .string()
  .regex(/^[a-z][A-Za-z0-9]*(\.[a-z][A-Za-z0-9]*)*$/)
  .max(64);
/** One sentence for people; bounded so that an entry's payload stays small. */
export const sentence = z.string().max(2000);
/** Git object id: 40 hex digits (sha1) or 64 (sha256). */
export const oid = z.string().regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/);
/** Repository-relative path, forward slashes, no empty, `.` or `..` segment and no NUL. */
export const path = z
  .string()
  .min(1)
  .max(4096)
  .regex(/^(?!\/)(?!(?:.*\/)?\.{0,2}(?:\/|$))[^\0]+$/s);
/**
 * Any JSON value; its strictness is that of the parser that made it (PROTOCOL §1). Told as canon's own type, whose members are readonly; zod's is
 * the same value with mutable ones.
 */
export const json = z.json() as z.ZodType<Json, Json>;

/** Large or free-form bytes, by content (PROTOCOL §2). */
export const blobRef = z.strictObject({ digest, bytes: count, mediaType: z.string().max(127) });
/** A place in the ledger; judged payloads never hold a leaf hash (PROTOCOL §2). */
export const reference = z.strictObject({ trajectory, seq: position });
/** Tokens, micro-dollars and calls: a grant, a reservation or a settlement. */
export const amount = z.strictObject({ tokens: count, usdMicros: count, calls: count });
/** JSON small enough to stand in the payload, or a blob of its canonical bytes. */
export const inlineOrBlob = z.union([z.strictObject({ inline: json }), z.strictObject({ blob: blobRef })]);
/** One Ed25519 signature over DSSE PAE of a typed body (PROTOCOL §2). */
export const signature = z.strictObject({ key: keyId, value: base64 });
/** A typed body with its signatures; the payload type follows from where it stands. */
export function signed<T extends z.ZodType>(body: T) {
  return z.strictObject({ body, signatures: z.array(signature).min(1).max(16) });
}
/** The five effect classes, weakest first (PROTOCOL §5). */
export const EFFECTS = ['pure', 'read', 'write', 'external', 'irreversible'] as const;
/** One of the five effect classes. */
export const effect = z.enum(EFFECTS);

/** Parsed form of `blobRef`. */
export type BlobRef = z.infer<typeof blobRef>;
/** Parsed form of `reference`. */
export type Reference = z.infer<typeof reference>;
/** Parsed form of `amount`. */
export type Amount = z.infer<typeof amount>;
/** Parsed form of `inlineOrBlob`. */
export type InlineOrBlob = z.infer<typeof inlineOrBlob>;
/** Parsed form of `signature`. */
export type Signature = z.infer<typeof signature>;
/** Parsed form of `effect`. */
export type Effect = z.infer<typeof effect>;
