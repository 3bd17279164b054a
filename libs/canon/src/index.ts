/**
 * The ground floor: canonical bytes, strict parsing, digests, branded names, Result, ports for time and chance. Must never touch a host
 * global outside `#crypto`. ARCHITECTURE §3, PROTOCOL §1.
 */

export {
  compareBytes,
  concatBytes,
  equalBytes,
  fromBase64,
  fromHex,
  parseDecimal,
  toBase64,
  toHex,
  utf8Decode,
  utf8Encode,
} from './bytes.ts';
export {
  type Digest,
  digestBytes,
  digestFromBytes,
  digestJson,
  digestOf,
  isDigest,
  parseDigest,
  sha1Hex,
  sha256,
  sha256Hex,
  sha256Stream,
} from './digest.ts';
export { CanonError, type CanonErrorCode, type ParseError, type ParseErrorCode, type TextError, type TextErrorCode } from './errors.ts';
export { type Instant, instantFromMs, instantToMs, maxInstant, parseInstant } from './instant.ts';
export { canonicalBytes, canonicalText, type Json } from './json.ts';
export { type EventId, type KeyId, type LeafHash, parseEventId, parseKeyId, parseTrajectoryId, type TrajectoryId } from './names.ts';
export { type ParseLimits, parseCanonical, parseJson } from './parse.ts';
export type { Clock, Randomness } from './ports.ts';
export { type Bytes, err, type HashStream, ok, type Result } from './result.ts';
