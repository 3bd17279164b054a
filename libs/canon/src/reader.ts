/**
 * The recursive-descent reader behind parseJson: RFC 8259 grammar plus the refusals of PROTOCOL §1. Must never hand out a value after a
 * refusal, and must never recurse deeper than its limit.
 */

import type { ParseError, ParseErrorCode } from './errors.ts';
import type { Json } from './json.ts';
import { err, ok, type Result } from './result.ts';

/** RFC 8259 §6, anchored where the reader stands. */
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
/** A run of string content without quote, backslash or control character, which RFC 8259 §7 refuses. */
const PLAIN_RUN = /[^"\\\u0000-\u001f]*/y;
const HEX4 = /^[0-9a-fA-F]{4}$/;
const SIMPLE_ESCAPES = new Map([
  ['"', '"'],
  ['\\', '\\'],
  ['/', '/'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
]);
const LITERALS: ReadonlyMap<string, { readonly word: string; readonly value: Json }> = new Map([
  ['t', { word: 'true', value: true }],
  ['f', { word: 'false', value: false }],
  ['n', { word: 'null', value: null }],
]);

/** From here on ECMAScript writes an exponent, so that the canonical token is a double by its spelling. */
const EXPONENT_FROM = 1e21;

/** True for a value whose canonical token is an integer beyond 2^53 - 1: readers with other number types would take it for another. */
export function isUnsafeInteger(value: number): boolean {
  return Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) < EXPONENT_FROM;
}

/** Reads one text once. */
export class JsonReader {
  readonly #text: string;
  readonly #maxDepth: number;
  readonly #doubles: boolean;
  #at = 0;
  /** Set just before the recursion is left by a throw, so that a refusal is told from a broken invariant without looking at what was thrown. */
  #refusal: ParseError | undefined;

  constructor(text: string, maxDepth: number, doubles: boolean) {
    this.#text = text;
    this.#maxDepth = maxDepth;
    this.#doubles = doubles;
  }

  /** The one value of the text, or why it was refused. */
  read(): Result<Json, ParseError> {
    try {
      if (this.#text.charCodeAt(0) === 0xfeff) throw this.#refuse('json.byteOrderMark', 'the text starts with a byte order mark', 0);
      const value = this.#value(0);
      this.#skipSpace();
      if (this.#at < this.#text.length) throw this.#syntax('expected the end of the text');
      return ok(value);
    } catch (thrown) {
      if (this.#refusal !== undefined) return err(this.#refusal);
      throw thrown;
    }
  }

  #value(depth: number): Json {
    this.#skipSpace();
    const first = this.#text.charAt(this.#at);
    if (first === '"') return this.#string();
    if (first === '{' || first === '[') {
      if (depth >= this.#maxDepth) throw this.#refuse('json.tooDeep', `containers nest deeper than ${this.#maxDepth}`, this.#at);
      this.#at++;
      return first === '{' ? this.#object(depth + 1) : this.#array(depth + 1);
    }
    const literal = LITERALS.get(first);
    if (literal === undefined) return this.#number();
    if (!this.#text.startsWith(literal.word, this.#at)) throw this.#syntax(`expected ${literal.word}`);
    this.#at += literal.word.length;
    return literal.value;
  }

  #array(depth: number): Json[] {
    const values: Json[] = [];
    if (this.#take(']')) return values;
    do values.push(this.#value(depth));
    while (this.#take(','));
    if (!this.#take(']')) throw this.#syntax('expected , or ] in an array');
    return values;
  }

  #object(depth: number): { [key: string]: Json } {
    const members: { [key: string]: Json } = {};
    if (this.#take('}')) return members;
    do {
      this.#skipSpace();
      const keyAt = this.#at;
      if (this.#text.charAt(keyAt) !== '"') throw this.#syntax('expected a quoted key');
      const key = this.#string();
      if (Object.hasOwn(members, key)) throw this.#refuse('json.duplicateKey', `the key ${JSON.stringify(key)} appears twice`, keyAt);
      if (!this.#take(':')) throw this.#syntax('expected : after a key');
      setMember(members, key, this.#value(depth));
    } while (this.#take(','));
    if (!this.#take('}')) throw this.#syntax('expected , or } in an object');
    return members;
  }

  #string(): string {
    const start = this.#at++;
    let text = '';
    for (;;) {
      PLAIN_RUN.lastIndex = this.#at;
      PLAIN_RUN.test(this.#text);
      text += this.#text.slice(this.#at, PLAIN_RUN.lastIndex);
      this.#at = PLAIN_RUN.lastIndex;
      const next = this.#text.charAt(this.#at);
      if (next === '"') break;
      if (next !== '\\') throw this.#syntax(next === '' ? 'a string does not end' : 'a control character in a string must be escaped');
      text += this.#escape(start);
    }
    this.#at++;
    return text;
  }

  /** Reads one escape; a `\u` of a surrogate must be followed at once by its partner. */
  #escape(start: number): string {
    const letter = this.#text.charAt(this.#at + 1);
    const simple = SIMPLE_ESCAPES.get(letter);
    if (simple !== undefined) {
      this.#at += 2;
      return simple;
    }
    if (letter !== 'u') throw this.#syntax('unknown escape in a string');
    const unit = this.#unit();
    if (unit < 0xd800 || unit > 0xdfff) return String.fromCharCode(unit);
    const low = unit < 0xdc00 && this.#text.startsWith('\\u', this.#at) ? this.#unit() : 0;
    if (low < 0xdc00 || low > 0xdfff) throw this.#refuse('json.loneSurrogate', 'a string escapes a lone surrogate', start);
    return String.fromCharCode(unit, low);
  }

  /** The UTF-16 unit of a `\uXXXX` escape. */
  #unit(): number {
    const digits = this.#text.slice(this.#at + 2, this.#at + 6);
    if (!HEX4.test(digits)) throw this.#syntax('expected four hex digits after \\u');
    this.#at += 6;
    return Number.parseInt(digits, 16);
  }

  /**
   * Judged by token: without fraction and exponent an integer, else a double (MECHANICS part 2). A double such as 1e20 is refused too,
   * because its canonical token, 100000000000000000000, could not be read back. Zero loses its sign, as in the canonical form.
   */
  #number(): number {
    const start = this.#at;
    NUMBER.lastIndex = start;
    const match = NUMBER.exec(this.#text);
    if (match === null) throw this.#syntax('expected a JSON value');
    this.#at = NUMBER.lastIndex;
    const [token, fraction, exponent] = match;
    const value = Number(token);
    const isDouble = fraction !== undefined || exponent !== undefined;
    if (isDouble && !this.#doubles)
      throw this.#refuse('json.notInteger', `${shown(token)} has a fraction or an exponent; here only integers are allowed`, start);
    if (isDouble ? isUnsafeInteger(value) : !Number.isSafeInteger(value)) {
      throw this.#refuse('json.unsafeInteger', `${shown(token)} is an integer beyond 2^53 - 1`, start);
    }
    if (!Number.isFinite(value)) throw this.#refuse('json.numberOverflow', `${shown(token)} is larger than any double`, start);
    return value === 0 ? 0 : value;
  }

  #take(character: string): boolean {
    this.#skipSpace();
    if (this.#text.charAt(this.#at) !== character) return false;
    this.#at++;
    return true;
  }

  #skipSpace(): void {
    for (;;) {
      const unit = this.#text.charCodeAt(this.#at);
      if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return;
      this.#at++;
    }
  }

  #syntax(message: string): Error {
    return this.#refuse('json.syntax', message, this.#at);
  }

  /** Notes the refusal and makes what is thrown to leave the recursion; it never leaves this class. */
  #refuse(code: ParseErrorCode, message: string, offset: number): Error {
    this.#refusal = { code, message: `${message} (offset ${offset})`, offset };
    return new Error(message);
  }
}

/** Assignment would run the `__proto__` setter instead of making a member. */
function setMember(members: { [key: string]: Json }, key: string, value: Json): void {
  if (key === '__proto__') Object.defineProperty(members, key, { value, enumerable: true, writable: true, configurable: true });
  else members[key] = value;
}

/** A token short enough for a message. */
function shown(token: string): string {
  return token.length > 40 ? `${token.slice(0, 40)}…` : token;
}
