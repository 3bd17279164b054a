/**
 * A witness as an anchor: the client's side of the C2SP witness protocol. A cosignature is verified before it is handed out. Must never tell a
 * witness a proof that was not asked for twice: one 409 is answered with the proof from the size it names, a second one is its last word.
 */
import { digestOf, err, ok, parseDecimal, type Result, utf8Decode, utf8Encode } from '@openexec/canon';
import {
  addSignatureLines,
  type Anchor,
  type AnchorError,
  type AnchorReceipt,
  type AnchorSubmission,
  type Cosigner,
  formatAddCheckpoint,
  openCosignatures,
} from '@openexec/proof';
import { type Answer, post } from '../http.ts';

/** Media type of a checkpoint, with or without cosignatures. */
export const CHECKPOINT_TYPE = 'text/x.tlog.checkpoint';
const SIZE_TYPE = 'text/x.tlog.size';

/** Which witness. */
export interface WitnessOptions {
  readonly name: string;
  /** The submission prefix: `add-checkpoint` is put behind it. */
  readonly url: string;
  /** Its keys, as the reader knows them. */
  readonly cosigners: readonly Cosigner[];
  readonly timeoutMs?: number;
}

/** Opens the anchor. */
export function witnessAnchor(options: WitnessOptions): Anchor {
  return { name: options.name, type: 'witness', submit: (submission) => submit(options, submission) };
}

async function submit(options: WitnessOptions, submission: AnchorSubmission): Promise<Result<AnchorReceipt, AnchorError>> {
  const { body, oldSize } = submission;
  const first = await ask(options, submission, oldSize > body.size ? 0n : oldSize);
  if (!first.ok) return first;
  const size = sizeSaid(first.value);
  if (size === null) return read(options, submission, first.value);
  if (size > body.size)
    return conflict(options, `has cosigned a tree of ${size}, more than the ${body.size} of this one: an older copy of the ledger?`);
  const second = await ask(options, submission, size);
  return second.ok ? read(options, submission, second.value) : second;
}

async function ask(
  { url, timeoutMs }: WitnessOptions,
  { checkpoint, prove }: AnchorSubmission,
  oldSize: bigint,
): Promise<Result<Answer, AnchorError>> {
  const proof = await prove(oldSize);
  if (!proof.ok) return err({ code: 'anchor.refused', message: `there is no proof from size ${oldSize}: ${proof.error.message}` });
  const body = utf8Encode(formatAddCheckpoint({ oldSize, proof: proof.value, checkpoint }));
  const bounds = timeoutMs === undefined ? {} : { timeoutMs };
  return post({ url: `${url.replace(/\/$/, '')}/add-checkpoint`, type: 'text/plain; charset=utf-8', body, ...bounds });
}

/** The size that the witness took last, where it says that it was another than we thought; null for every other answer. */
function sizeSaid({ status, type, body }: Answer): bigint | null {
  if (status !== 409 || !type.startsWith(SIZE_TYPE)) return null;
  const text = utf8Decode(body);
  const size = text.ok && text.value.endsWith('\n') ? parseDecimal(text.value.slice(0, -1)) : undefined;
  return size?.ok === true ? size.value : null;
}

function read(options: WitnessOptions, { checkpoint }: AnchorSubmission, answer: Answer): Result<AnchorReceipt, AnchorError> {
  const { status, body } = answer;
  if (status === 409) return conflict(options, 'holds another tree of this size');
  if (status === 422) return conflict(options, 'finds that this tree does not continue the one it cosigned');
  if (status !== 200) {
    const message = `${options.name} answered with status ${status}${status === 404 ? ': it does not know this log' : ''}`;
    return err({ code: status >= 500 || status === 429 ? 'anchor.unreachable' : 'anchor.refused', message });
  }
  const lines = utf8Decode(body);
  const note = lines.ok ? addSignatureLines(checkpoint, lines.value) : lines;
  if (!note.ok) return err({ code: 'anchor.refused', message: `${options.name} answered with no signature lines: ${note.error.message}` });
  const cosigned = openCosignatures(note.value, options.cosigners);
  if (!cosigned.ok) return err({ code: 'anchor.refused', message: `${options.name}: ${cosigned.error.code}: ${cosigned.error.message}` });
  if (cosigned.value.length === 0)
    return err({ code: 'anchor.refused', message: `${options.name} answered without a cosignature by a key that is known here` });
  const bytes = utf8Encode(note.value);
  return ok({ mediaType: CHECKPOINT_TYPE, bytes, digest: digestOf(bytes) });
}

function conflict({ name }: WitnessOptions, message: string): { readonly ok: false; readonly error: AnchorError } {
  return err({ code: 'anchor.conflict', message: `${name} ${message}` });
}
