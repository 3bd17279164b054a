/**
 * The part of the ledger that a verifier needs: entry bytes, commitments, what each kind may do. Must never reach a validation library, at
 * run time or otherwise, so that checking a ledger stays small (PROTOCOL §10).
 */
export {
  commitmentOf,
  decodeEntry,
  encodeEntry,
  ENTRY_TYPE,
  entrySigningBytes,
  entryText,
  isActor,
  MAX_ENTRY_BYTES,
  MAX_PAYLOAD_BYTES,
  SALT_BYTES,
} from './entry.ts';
export type { EntryError } from './errors.ts';
export { ERASURE_TYPE, erasureBody, readPrunedList } from './forgetting.ts';
export { factsOf, familyOfTrajectory, hasOpening, isKnownKind, type KindFacts, KNOWN_REGISTRY } from './kinds.ts';
export { mentionedIn } from './holding.ts';
export { type LineFault, linesOf } from './lines.ts';
export type { Actor, Entry, Row } from './types.ts';
