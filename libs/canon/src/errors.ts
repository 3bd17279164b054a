/**
 * The closed union of this package's error codes. A code, once published, never changes its meaning. STYLE §11.1.
 */

/** Why strict JSON input was refused (PROTOCOL §1). */
export type ParseErrorCode =
  | 'json.tooLarge'
  | 'json.badUtf8'
  | 'json.byteOrderMark'
  | 'json.syntax'
  | 'json.duplicateKey'
  | 'json.loneSurrogate'
  | 'json.tooDeep'
  | 'json.unsafeInteger'
  | 'json.notInteger'
  | 'json.numberOverflow'
  | 'json.notCanonical';

/** Why a short text (hex, base64, decimal, digest, name, time) was refused. */
export type TextErrorCode =
  | 'text.badUtf8'
  | 'text.badHex'
  | 'text.badBase64'
  | 'text.badDecimal'
  | 'digest.malformed'
  | 'trajectory.malformed'
  | 'instant.malformed'
  | 'keyId.malformed'
  | 'eventId.malformed';

/** Why a value handed to the canonical writer is not JSON; a caller's mistake, so it is thrown. */
export type CanonErrorCode =
  | 'canon.notFinite'
  | 'canon.undefined'
  | 'canon.notJson'
  | 'canon.notPlainObject'
  | 'canon.loneSurrogate'
  | 'canon.tooDeep'
  | 'canon.outOfRange';

/** A refusal of {@link ParseErrorCode}; `offset` counts UTF-16 units of the text, or bytes for `json.badUtf8` and `json.tooLarge`. */
export interface ParseError {
  readonly code: ParseErrorCode;
  readonly message: string;
  readonly offset: number;
}

/** A refusal of {@link TextErrorCode}. */
export interface TextError {
  readonly code: TextErrorCode;
  readonly message: string;
}

/** Thrown when a caller hands over what cannot be written canonically. Recognise it by `code`, never by prototype. */
export class CanonError extends Error {
  readonly code: CanonErrorCode;

  constructor(code: CanonErrorCode, message: string) {
    super(message);
    this.name = 'CanonError';
    this.code = code;
  }
}
