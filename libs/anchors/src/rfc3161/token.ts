/**
 * Reads the answer of a time stamping authority: a TimeStampResp with its CMS token. Only shapes; nothing is believed yet. RFC 3161 §2.4.2, RFC 5652 §5.
 */
import { type Bytes, err, ok, type Result, utf8Decode } from '@openexec/canon';
import { type Der, integerOf, oidOf, partsOf, readDer, TAG } from './der.ts';

const SIGNED_DATA = '1.2.840.113549.1.7.2';
const TST_INFO = '1.2.840.113549.1.9.16.1.4';
const TIME = /^(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(?:\.(\d{0,2}[1-9]|\d{1,9}))?Z$/;
/** PKIStatus granted and grantedWithMods. */
const GRANTED: ReadonlySet<bigint> = new Set([0n, 1n]);

/** Why an answer is no time stamp, or not one over these bytes by a trusted authority. A code never changes its meaning. */
export interface TimestampError {
  readonly code:
    | 'timestamp.malformed'
    | 'timestamp.refused'
    | 'timestamp.otherData'
    | 'timestamp.otherNonce'
    | 'timestamp.unsupported'
    | 'timestamp.badSignature'
    | 'timestamp.badCertificate'
    | 'timestamp.untrusted';
  readonly message: string;
}

/** One token, taken apart. */
export interface Token {
  /** The signed content: DER of TSTInfo. */
  readonly content: Bytes;
  readonly imprint: { readonly algorithm: string; readonly hash: Bytes };
  /** `genTime`, milliseconds since 1970. */
  readonly timeMs: number;
  readonly nonce: bigint | null;
  readonly certificates: readonly Bytes[];
  readonly digestAlgorithm: string;
  readonly signatureAlgorithm: string;
  readonly signature: Bytes;
  /** The signed attributes as they are signed: DER of a SET. */
  readonly attributes: Bytes;
  readonly attribute: (oid: string) => Der | undefined;
  /** Issuer name and serial number of the signer's certificate, each as DER. */
  readonly signer: { readonly issuer: Bytes; readonly serial: Bytes };
}

/** Takes a TimeStampResp apart. */
export function readToken(response: Bytes): Result<Token, TimestampError> {
  try {
    return ok(takeResponse(response));
  } catch (error) {
    if (error instanceof Shape) return err({ code: error.code, message: error.message });
    throw error;
  }
}

/** Thrown inside this file only: nested shapes would otherwise be checked in forty lines of their own. */
class Shape extends Error {
  readonly code: TimestampError['code'];

  constructor(message: string, code: TimestampError['code'] = 'timestamp.malformed') {
    super(message);
    this.code = code;
  }
}

function takeResponse(bytes: Bytes): Token {
  const root = readDer(bytes);
  if (!root.ok) throw new Shape(root.error.message);
  const [status, token] = parts(root.value, TAG.sequence);
  const [code] = parts(status, TAG.sequence);
  if (!GRANTED.has(integerOf(code) ?? -1n)) throw new Shape(`the authority answered with status ${integerOf(code)}`, 'timestamp.refused');
  const [type, wrapped] = parts(token, TAG.sequence);
  if (oidOf(type) !== SIGNED_DATA) throw new Shape('the token is no CMS signed data');
  return takeSignedData(only(wrapped, TAG.context0));
}

function takeSignedData(signedData: Der): Token {
  const members = [...parts(signedData, TAG.sequence)];
  const [version, , content] = members;
  if (integerOf(version) === undefined) throw new Shape('the signed data has no version');
  const [contentType, explicit] = parts(content, TAG.sequence);
  if (oidOf(contentType) !== TST_INFO) throw new Shape('the token holds no time stamp info');
  const octets = only(explicit, TAG.context0);
  if (octets.tag !== TAG.octets) throw new Shape('the time stamp info is not in an octet string');
  const rest = members.slice(3);
  const certificates = rest[0]?.tag === TAG.context0 ? parts(rest.shift(), TAG.context0).map(({ whole }) => whole) : [];
  if (rest[0]?.tag === TAG.context1) rest.shift();
  const signer = only(rest.shift(), TAG.set);
  if (rest.length > 0) throw new Shape('something stands behind the signers');
  return { ...takeInfo(octets.content), ...takeSigner(signer), content: octets.content, certificates };
}

function takeInfo(bytes: Bytes): Pick<Token, 'imprint' | 'timeMs' | 'nonce'> {
  const info = readDer(bytes);
  if (!info.ok) throw new Shape(info.error.message);
  const [version, policy, imprint, serial, time, ...rest] = parts(info.value, TAG.sequence);
  if (integerOf(version) !== 1n || oidOf(policy) === undefined || serial?.tag !== TAG.integer)
    throw new Shape('the time stamp info is not of version 1');
  const [algorithm, hash] = parts(imprint, TAG.sequence);
  const [oid] = parts(algorithm, TAG.sequence);
  if (hash?.tag !== TAG.octets) throw new Shape('the imprint has no hash');
  const nonce = rest.find(({ tag }) => tag === TAG.integer);
  return {
    imprint: { algorithm: oidOf(oid) ?? '', hash: hash.content },
    timeMs: timeOf(time),
    nonce: nonce === undefined ? null : (integerOf(nonce) ?? -1n),
  };
}

function takeSigner(
  signer: Der,
): Pick<Token, 'digestAlgorithm' | 'signatureAlgorithm' | 'signature' | 'attributes' | 'attribute' | 'signer'> {
  const [version, sid, digest, attributes, algorithm, signature] = parts(signer, TAG.sequence);
  if (integerOf(version) !== 1n) throw new Shape('the signer is not named by issuer and serial number', 'timestamp.unsupported');
  const [issuer, serial] = parts(sid, TAG.sequence);
  if (attributes?.tag !== TAG.context0) throw new Shape('the token has no signed attributes');
  const [digestOid] = parts(digest, TAG.sequence);
  const [signatureOid] = parts(algorithm, TAG.sequence);
  if (signature?.tag !== TAG.octets || issuer === undefined || serial === undefined) throw new Shape('the signer is not complete');
  const named = new Map<string, Der>();
  for (const each of parts(attributes, TAG.context0)) {
    const [oid, values] = parts(each, TAG.sequence);
    const name = oidOf(oid) ?? '';
    if (named.has(name)) throw new Shape('a signed attribute stands there twice');
    named.set(name, only(values, TAG.set));
  }
  // RFC 5652 §5.4: what is signed is the DER of a SET, not of the [0] that stands in the message.
  const signed = Uint8Array.from(attributes.whole);
  signed[0] = TAG.set;
  return {
    digestAlgorithm: oidOf(digestOid) ?? '',
    signatureAlgorithm: oidOf(signatureOid) ?? '',
    signature: signature.content,
    attributes: signed,
    attribute: (oid) => named.get(oid),
    signer: { issuer: issuer.whole, serial: serial.whole },
  };
}

function timeOf(value: Der | undefined): number {
  const text = value?.tag === TAG.generalizedTime ? utf8Decode(value.content) : undefined;
  const match = text?.ok === true ? TIME.exec(text.value) : null;
  if (match === null) throw new Shape('the time is no GeneralizedTime in UTC');
  const [, year, month, day, hour, minute, second, fraction = '0'] = match;
  const date = `${year}-${month}-${day}T${hour}:${minute}:${second}`;
  const whole = Date.parse(`${date}Z`);
  if (Number.isNaN(whole) || !new Date(whole).toISOString().startsWith(date)) throw new Shape('the time is no date');
  return whole + Math.floor(Number(`0.${fraction}`) * 1000);
}

function parts(value: Der | undefined, tag: number): readonly Der[] {
  const found = partsOf(value, tag);
  if (!found.ok) throw new Shape(found.error.message);
  return found.value;
}

function only(value: Der | undefined, tag: number): Der {
  const [first, second] = parts(value, tag);
  if (first === undefined || second !== undefined) throw new Shape('expected exactly one value');
  return first;
}
