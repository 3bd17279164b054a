/**
 * The fold of trajectory `law` as a verifier needs it: an entry that is no law is named and passed over, so that every later position still means
 * what the judgements that cite it meant (PROTOCOL §5).
 */
import type { Bytes, Digest, Json } from '@openexec/canon';
import { foldLaw, type LawView } from '@openexec/authority';
import type { Stored } from '@openexec/ledger';
import type { Body } from '@openexec/protocol';
import { type BlobReader, bodyOf, type EventProblem } from './event.ts';
import type { LawFault } from './report.ts';

/** The law after an entry, and why the entry changed nothing, if so. */
export interface LawStep {
  readonly law: LawView;
  readonly problem: LawFault | null;
}

function passedOver(law: LawView, stored: Stored, problem: { readonly code: string; readonly message: string }): LawStep {
  const { seq, kind } = stored.entry;
  return { law: { ...law, position: seq }, problem: { index: stored.index, seq, kind, code: problem.code, message: problem.message } };
}

/** Folds one stored entry of `law`. */
export async function nextLaw(law: LawView, stored: Stored, reader: BlobReader): Promise<LawStep> {
  const { seq, kind, at } = stored.entry;
  const body = bodyOf(stored);
  if (!body.ok) return passedOver(law, stored, body.error);
  const blobs = await bundleOf(kind, body.value, reader);
  if ('what' in blobs) return passedOver(law, stored, blobs);
  const folded = foldLaw(law, { seq, kind, body: body.value, at, leaf: stored.leaf, blobs });
  return folded.ok ? { law: folded.value, problem: null } : passedOver(law, stored, folded.error);
}

async function bundleOf(kind: string, body: Json, reader: BlobReader): Promise<ReadonlyMap<Digest, Bytes> | EventProblem> {
  if (kind !== 'policy.adopted') return new Map();
  // `bodyOf` has just held it against the schema of this kind.
  const { digest } = (body as unknown as Body<'policy.adopted'>).body.bundle;
  const read = await reader.read(digest);
  return read.ok ? new Map([[digest, read.value]]) : read.error;
}
