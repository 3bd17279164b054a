/**
 * The request of the witness protocol, and what a witness answers to it, as a pure function of the request and of what it remembers. Must never
 * allow a cosignature of a tree that does not continue the last one. c2sp.org/tlog-witness; PROTOCOL §3 (anchors).
 */

import { type Bytes, equalBytes, err, fromBase64, ok, parseDecimal, type Result, toBase64 } from '@openexec/canon';
import { openCheckpoint, parseCheckpointBody } from './checkpoint.ts';
import type { CheckpointBody } from './checkpointBody.ts';
import type { NoteError } from './errors.ts';
import { EMPTY_ROOT, HASH_BYTES } from './merkle.ts';
import { splitNote, type Vkey } from './notes.ts';
import { verifyConsistency } from './proofs.ts';

/** tlog-witness: a client sends no more lines than this. */
const MAX_PROOF_LINES = 63;

/** One request: the size it continues from, the consistency proof, the signed note, and what the note claims (not yet verified). */
export interface AddCheckpoint {
  readonly oldSize: bigint;
  readonly proof: readonly Bytes[];
  readonly checkpoint: string;
  readonly claimed: CheckpointBody;
}

/** What a witness says: `status` is that of HTTP. Only with 200 may it persist `body` and then cosign `text`. */
export type AddCheckpointAnswer =
  | { readonly status: 200; readonly body: CheckpointBody; readonly text: string }
  | { readonly status: 409; readonly size: bigint; readonly message: string }
  | { readonly status: 400 | 403 | 422; readonly message: string };

/** The body of a request. */
export function formatAddCheckpoint(request: {
  readonly oldSize: bigint;
  readonly proof: readonly Bytes[];
  readonly checkpoint: string;
}): string {
  return `old ${request.oldSize}\n${request.proof.map((hash) => `${toBase64(hash)}\n`).join('')}\n${request.checkpoint}`;
}

/** Reads the body of a request; no signature is verified yet. */
export function parseAddCheckpoint(text: string): Result<AddCheckpoint, NoteError> {
  const blank = text.indexOf('\n\n');
  if (blank < 0) return refuse('expected an old size, a proof, an empty line and a checkpoint');
  const [first = '', ...lines] = text.slice(0, blank).split('\n');
  const oldSize = first.startsWith('old ') ? parseDecimal(first.slice(4)) : undefined;
  if (oldSize?.ok !== true) return refuse('expected a first line: old <decimal>');
  const proof: Bytes[] = [];
  for (const line of lines) {
    const hash = fromBase64(line);
    if (!hash.ok || hash.value.length !== HASH_BYTES) return refuse('every line of the proof is base64 of 32 bytes');
    proof.push(hash.value);
  }
  if (proof.length > MAX_PROOF_LINES) return refuse(`a consistency proof has at most ${MAX_PROOF_LINES} lines`);
  const checkpoint = text.slice(blank + 2);
  const note = splitNote(checkpoint);
  if (!note.ok) return note;
  const claimed = parseCheckpointBody(note.value.text);
  return claimed.ok ? ok({ oldSize: oldSize.value, proof, checkpoint, claimed: claimed.value }) : claimed;
}

/** Judges a request for a known origin. `vkeys` are the keys of that log; `last` is what was cosigned last, null when nothing was. */
export function judgeAddCheckpoint(
  request: AddCheckpoint,
  known: { readonly vkeys: readonly (Vkey | string)[]; readonly last: { readonly size: bigint; readonly root: Bytes } | null },
): AddCheckpointAnswer {
  const opened = openCheckpoint(request.checkpoint, known.vkeys);
  if (!opened.ok) return { status: 403, message: `no known key of this log signed it: ${opened.error.message}` };
  const { origin, size, root } = opened.value;
  if (request.oldSize > size) return { status: 400, message: `the old size ${request.oldSize} is more than the size ${size}` };
  const lastSize = known.last?.size ?? 0n;
  if (request.oldSize !== lastSize) return { status: 409, size: lastSize, message: `the last size cosigned is ${lastSize}` };
  if (known.last !== null && size === lastSize && !equalBytes(root, known.last.root))
    return { status: 409, size: lastSize, message: `another root of size ${lastSize} was cosigned` };
  const oldRoot = known.last?.root ?? EMPTY_ROOT;
  const continues = verifyConsistency({ oldSize: lastSize, oldRoot, newSize: size, newRoot: root, proof: request.proof });
  if (!continues.ok) return { status: 422, message: continues.error.message };
  // Everything was parsed from this note and its text is what the log signed.
  const note = splitNote(request.checkpoint);
  return note.ok ? { status: 200, body: { origin, size, root }, text: note.value.text } : { status: 400, message: note.error.message };
}

function refuse(message: string): { readonly ok: false; readonly error: NoteError } {
  return err({ code: 'addCheckpoint.malformed', message });
}
