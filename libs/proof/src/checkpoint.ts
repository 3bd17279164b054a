/**
 * C2SP checkpoints in signed notes, and tlog-proof files around them. Must never carry extension lines, and never counts a checkpoint that
 * its own origin has not signed. c2sp.org/tlog-checkpoint, c2sp.org/tlog-proof; PROTOCOL §3.
 */

import { type Bytes, err, fromBase64, ok, parseDecimal, type Result, toBase64 } from '@openexec/canon';
import type { CheckpointBody } from './checkpointBody.ts';
import { type NoteError, type NoteErrorCode, type ProofError, ProofFault } from './errors.ts';
import { HASH_BYTES } from './merkle.ts';
import { openNote, signNote, type Vkey } from './notes.ts';
import type { Signer } from './ports.ts';
import { verifyInclusion } from './proofs.ts';

const PROOF_HEADER = 'c2sp.org/tlog-proof@v1';
/** A tree of fewer than 2^63 leaves has no longer audit path. */
const MAX_PROOF_HASHES = 63;
const ORIGIN = /^[^\n\s\u0085+\p{Cc}\p{Cs}]+$/u;

/** A checkpoint that its origin signed; `keyName` is the origin's key, `verifiedNames` are all known keys that signed. */
export interface Checkpoint extends CheckpointBody {
  readonly keyName: string;
  readonly keyHash: string;
  readonly verifiedNames: readonly string[];
}

/** A leaf's position, its audit path and the signed checkpoint it leads to; `extra` is opaque. */
export interface TlogProof {
  readonly index: bigint;
  readonly hashes: readonly Bytes[];
  readonly checkpoint: string;
  readonly extra?: Bytes;
}

/** The three lines of a checkpoint. Throws `fault.badArgument` for an origin that is no key name, a negative size, a root of another length. */
export function formatCheckpointBody(body: CheckpointBody): string {
  if (!ORIGIN.test(body.origin) || body.size < 0n || body.root.length !== HASH_BYTES) {
    throw new ProofFault('fault.badArgument', 'a checkpoint has an origin without spaces, a size from 0 on and a root of 32 bytes');
  }
  return `${body.origin}\n${body.size}\n${toBase64(body.root)}\n`;
}

/** Reads the three lines; refuses extension lines. */
export function parseCheckpointBody(text: string): Result<CheckpointBody, NoteError> {
  const lines = text.split('\n');
  const [origin = '', sizeText = '', rootText = '', end] = lines;
  const size = parseDecimal(sizeText);
  const root = fromBase64(rootText);
  if (lines.length !== 4 || end !== '' || !ORIGIN.test(origin) || !size.ok || !root.ok || root.value.length !== HASH_BYTES) {
    return refuse('checkpoint.malformed', 'expected three lines: origin, decimal size, base64 root of 32 bytes');
  }
  return ok({ origin, size: size.value, root: root.value });
}

/** The signed note of a checkpoint; the signer's key name must be the origin. */
export async function signCheckpoint(body: CheckpointBody, signer: Signer): Promise<Result<string, NoteError>> {
  if (signer.keyName !== body.origin) return refuse('checkpoint.notByOrigin', `${signer.keyName} cannot sign for ${body.origin}`);
  return signNote(formatCheckpointBody(body), [signer]);
}

/** Opens a checkpoint that a known key with the origin's name has signed. */
export function openCheckpoint(note: Bytes | string, vkeys: readonly (Vkey | string)[]): Result<Checkpoint, NoteError> {
  const opened = openNote(note, vkeys);
  if (!opened.ok) return opened;
  const body = parseCheckpointBody(opened.value.text);
  if (!body.ok) return body;
  const own = opened.value.verified.find((signature) => signature.keyName === body.value.origin);
  if (own === undefined) return refuse('checkpoint.notByOrigin', `no known key named ${body.value.origin} has signed this checkpoint`);
  const verifiedNames = opened.value.verified.map((signature) => signature.keyName);
  return ok({ ...body.value, keyName: own.keyName, keyHash: own.keyHash, verifiedNames });
}

/** The text of a tlog-proof. Throws `fault.badArgument` for hashes of another length than 32 or a negative index. */
export function formatTlogProof(proof: TlogProof): string {
  if (proof.index < 0n || proof.hashes.length > MAX_PROOF_HASHES || proof.hashes.some((hash) => hash.length !== HASH_BYTES)) {
    throw new ProofFault('fault.badArgument', 'a tlog-proof has an index from 0 on and at most 63 hashes of 32 bytes');
  }
  const extra = proof.extra === undefined ? '' : `extra ${toBase64(proof.extra)}\n`;
  const hashes = proof.hashes.map((hash) => `${toBase64(hash)}\n`).join('');
  return `${PROOF_HEADER}\n${extra}index ${proof.index}\n${hashes}\n${proof.checkpoint}`;
}

/** Reads a tlog-proof; the checkpoint inside is not yet opened. */
export function parseTlogProof(text: string): Result<TlogProof, NoteError> {
  const blank = text.indexOf('\n\n');
  if (blank < 0) return refuse('tlogProof.malformed', 'expected a blank line before the checkpoint');
  const lines = text.slice(0, blank).split('\n');
  if (lines.shift() !== PROOF_HEADER) return refuse('tlogProof.malformed', `expected the header ${PROOF_HEADER}`);
  const extra = lines[0]?.startsWith('extra ') === true ? fromBase64(lines.shift()?.slice(6) ?? '') : undefined;
  if (extra?.ok === false) return refuse('tlogProof.malformed', 'the extra line is not base64');
  const indexLine = lines.shift() ?? '';
  const index = parseDecimal(indexLine.slice(6));
  if (!indexLine.startsWith('index ') || !index.ok) return refuse('tlogProof.malformed', 'expected a line: index <decimal>');
  const hashes = lines.map(readHash).filter((hash) => hash !== undefined);
  if (hashes.length < lines.length || hashes.length > MAX_PROOF_HASHES)
    return refuse('tlogProof.malformed', 'expected at most 63 lines of base64, 32 bytes each');
  const proof = { index: index.value, hashes, checkpoint: text.slice(blank + 2) };
  return ok(extra === undefined ? proof : { ...proof, extra: extra.value });
}

/** Opens the checkpoint of a tlog-proof and checks that `leaf` (a leaf hash) stands in its tree. */
export function verifyTlogProof(claim: {
  readonly proof: TlogProof | string;
  readonly leaf: Bytes;
  readonly vkeys: readonly (Vkey | string)[];
}): Result<Checkpoint, NoteError | ProofError> {
  const proof = typeof claim.proof === 'string' ? parseTlogProof(claim.proof) : ok(claim.proof);
  if (!proof.ok) return proof;
  const checkpoint = openCheckpoint(proof.value.checkpoint, claim.vkeys);
  if (!checkpoint.ok) return checkpoint;
  const { size, root } = checkpoint.value;
  const included = verifyInclusion({ leaf: claim.leaf, index: proof.value.index, size, root, proof: proof.value.hashes });
  return included.ok ? checkpoint : included;
}

function readHash(line: string): Bytes | undefined {
  const bytes = fromBase64(line);
  return bytes.ok && bytes.value.length === HASH_BYTES ? bytes.value : undefined;
}

function refuse(code: NoteErrorCode, message: string): { readonly ok: false; readonly error: NoteError } {
  return err({ code, message });
}
