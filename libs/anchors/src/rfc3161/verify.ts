/**
 * Whether a time stamp is over these bytes, signed by an authority under a certificate that the reader trusts. Must never accept a signer whose
 * certificate is not for time stamping only, nor a chain that was not valid at the time stated. RFC 3161 §2.3, §2.4.2; RFC 5035; RFC 5652 §5.6.
 */
import { createHash, X509Certificate, verify } from 'node:crypto';
import { type Bytes, equalBytes, err, ok, type Result, sha256 } from '@openexec/canon';
import { type Der, oidOf, partsOf, readDer, TAG } from './der.ts';
import { readToken, type TimestampError, type Token } from './token.ts';

const SHA256 = '2.16.840.1.101.3.4.2.1';
const DIGESTS: Readonly<Record<string, string>> = {
  [SHA256]: 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};
/** The signature algorithms read here, each with the digest that it fixes; null: the one that the signer names. */
const SIGNATURES: Readonly<Record<string, { readonly key: 'rsa' | 'ec'; readonly digest: string | null }>> = {
  '1.2.840.113549.1.1.1': { key: 'rsa', digest: null },
  '1.2.840.113549.1.1.11': { key: 'rsa', digest: 'sha256' },
  '1.2.840.113549.1.1.12': { key: 'rsa', digest: 'sha384' },
  '1.2.840.113549.1.1.13': { key: 'rsa', digest: 'sha512' },
  '1.2.840.10045.4.3.2': { key: 'ec', digest: 'sha256' },
  '1.2.840.10045.4.3.3': { key: 'ec', digest: 'sha384' },
  '1.2.840.10045.4.3.4': { key: 'ec', digest: 'sha512' },
};
const CONTENT_TYPE = '1.2.840.113549.1.9.3';
const MESSAGE_DIGEST = '1.2.840.113549.1.9.4';
const SIGNING_CERTIFICATE = '1.2.840.113549.1.9.16.2.12';
const SIGNING_CERTIFICATE_V2 = '1.2.840.113549.1.9.16.2.47';
const TST_INFO = '1.2.840.113549.1.9.16.1.4';
const EXTENDED_KEY_USAGE = '2.5.29.37';
const TIME_STAMPING = '1.3.6.1.5.5.7.3.8';
const MAX_CHAIN = 8;
const MIN_RSA_BITS = 2048;

/** What a time stamp proves: these bytes existed at this time, says the authority of this name. */
export interface Timestamp {
  /** Milliseconds since 1970, by the authority's clock. */
  readonly timeMs: number;
  readonly authority: string;
}

/** What a time stamp is held against. */
export interface TimestampClaim {
  /** The whole TimeStampResp. */
  readonly response: Bytes;
  readonly data: Bytes;
  /** Left out where nobody asked for it: a receipt that is read again later. */
  readonly nonce?: bigint;
  /** PEM of one or more certificates that the reader trusts. */
  readonly trusted: string;
}

/** Verifies a time stamp. Nothing of it holds unless all of it does. */
export function verifyTimestamp(claim: TimestampClaim): Result<Timestamp, TimestampError> {
  const token = readToken(claim.response);
  if (!token.ok) return token;
  const { value } = token;
  if (value.imprint.algorithm !== SHA256 || !equalBytes(value.imprint.hash, sha256(claim.data)))
    return refuse('timestamp.otherData', 'the time stamp is over other bytes');
  if (claim.nonce !== undefined && value.nonce !== claim.nonce)
    return refuse('timestamp.otherNonce', 'the time stamp answers another request');
  const trusted = readTrusted(claim.trusted);
  if (!trusted.ok) return trusted;
  const certificates = readCertificates(value.certificates);
  if (!certificates.ok) return certificates;
  const signer = signerOf(value, [...certificates.value, ...trusted.value]);
  if (!signer.ok) return signer;
  const signed = verifySigned(value, signer.value);
  if (!signed.ok) return signed;
  const chain = chainTo(signer.value, certificates.value, trusted.value, value.timeMs);
  return chain.ok ? ok({ timeMs: value.timeMs, authority: signer.value.subject.replaceAll('\n', ', ') }) : chain;
}

/** The certificates of a PEM text; refuses one without any. */
export function readTrusted(pem: string): Result<readonly X509Certificate[], TimestampError> {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  const certificates: X509Certificate[] = [];
  for (const block of blocks) {
    try {
      certificates.push(new X509Certificate(block));
    } catch {
      return refuse('timestamp.badCertificate', 'a trusted certificate cannot be read');
    }
  }
  return certificates.length > 0 ? ok(certificates) : refuse('timestamp.badCertificate', 'there is no trusted certificate in PEM');
}

function readCertificates(all: readonly Bytes[]): Result<readonly X509Certificate[], TimestampError> {
  const certificates: X509Certificate[] = [];
  for (const bytes of all) {
    try {
      certificates.push(new X509Certificate(bytes));
    } catch {
      return refuse('timestamp.badCertificate', 'a certificate of the token cannot be read');
    }
  }
  return ok(certificates);
}

/** The certificate that the signed attributes name by its hash; issuer and serial number have to agree. */
function signerOf(token: Token, candidates: readonly X509Certificate[]): Result<X509Certificate, TimestampError> {
  const named = certificateHash(token);
  if (named === undefined) return refuse('timestamp.malformed', 'the signed attributes name no certificate');
  const found = candidates.find(({ raw }) => equalBytes(createHash(named.digest).update(raw).digest(), named.hash));
  if (found === undefined) return refuse('timestamp.badCertificate', 'the certificate of the signer is neither in the token nor trusted');
  const body = bodyOf(found);
  if (body === undefined) return refuse('timestamp.badCertificate', 'the certificate of the signer is not DER');
  const { issuer, serial } = token.signer;
  if (!equalBytes(body.issuer, issuer) || !equalBytes(body.serial, serial))
    return refuse('timestamp.badCertificate', 'the token names two certificates for its signer');
  if (!isForStampingOnly(body.extensions))
    return refuse('timestamp.badCertificate', 'the certificate of the signer is not, critically and only, for time stamping');
  return ok(found);
}

/** RFC 5035 and RFC 2634: the first ESSCertID of either version. */
function certificateHash(token: Token): { readonly digest: string; readonly hash: Bytes } | undefined {
  const second = token.attribute(SIGNING_CERTIFICATE_V2);
  const list = sequence(second ?? token.attribute(SIGNING_CERTIFICATE))?.[0];
  const id = sequence(sequence(list)?.[0]);
  const [first, next] = id ?? [];
  if (first?.tag === TAG.octets) return { digest: second === undefined ? 'sha1' : 'sha256', hash: first.content };
  const digest = DIGESTS[oidOf(sequence(first)?.[0]) ?? ''];
  return second !== undefined && digest !== undefined && next?.tag === TAG.octets ? { digest, hash: next.content } : undefined;
}

function verifySigned(token: Token, signer: X509Certificate): Result<void, TimestampError> {
  const digest = DIGESTS[token.digestAlgorithm];
  const algorithm = SIGNATURES[token.signatureAlgorithm];
  if (digest === undefined) return refuse('timestamp.unsupported', `digest algorithm ${token.digestAlgorithm}`);
  if (algorithm === undefined) return refuse('timestamp.unsupported', `signature algorithm ${token.signatureAlgorithm}`);
  if (algorithm.digest !== null && algorithm.digest !== digest) return refuse('timestamp.badSignature', 'the token names two digests');
  if (oidOf(token.attribute(CONTENT_TYPE)) !== TST_INFO)
    return refuse('timestamp.badSignature', 'the signed attributes are for another content');
  const said = token.attribute(MESSAGE_DIGEST);
  if (said?.tag !== TAG.octets || !equalBytes(said.content, createHash(digest).update(token.content).digest()))
    return refuse('timestamp.badSignature', 'the signed attributes are not over this time stamp');
  const { publicKey } = signer;
  if (publicKey.asymmetricKeyType !== algorithm.key) return refuse('timestamp.badSignature', 'the key of the signer is of another kind');
  if (algorithm.key === 'rsa' && (publicKey.asymmetricKeyDetails?.modulusLength ?? 0) < MIN_RSA_BITS)
    return refuse('timestamp.unsupported', `an RSA key has at least ${MIN_RSA_BITS} bits`);
  return verify(digest, token.attributes, publicKey, token.signature)
    ? ok(undefined)
    : refuse('timestamp.badSignature', 'the signature of the authority is wrong');
}

/** From the signer up to a certificate that is trusted as it is; every link was valid at the time stated. */
function chainTo(
  signer: X509Certificate,
  given: readonly X509Certificate[],
  trusted: readonly X509Certificate[],
  timeMs: number,
): Result<void, TimestampError> {
  let current = signer;
  for (let links = 0; links < MAX_CHAIN; links++) {
    if (timeMs < Date.parse(current.validFrom) || timeMs > Date.parse(current.validTo))
      return refuse('timestamp.badCertificate', 'a certificate was not valid at the time stated');
    if (trusted.some(({ raw }) => equalBytes(raw, current.raw))) return ok(undefined);
    const issuer = [...trusted, ...given].find((each) => each.ca && current.checkIssued(each) && current.verify(each.publicKey));
    if (issuer === undefined || equalBytes(issuer.raw, current.raw)) break;
    current = issuer;
  }
  return refuse('timestamp.untrusted', 'the authority leads to no certificate that is trusted here');
}

/** Issuer, serial number and extensions of a certificate, as DER. RFC 5280 §4.1. */
function bodyOf(
  certificate: X509Certificate,
): { readonly issuer: Bytes; readonly serial: Bytes; readonly extensions: readonly Der[] } | undefined {
  const whole = readDer(certificate.raw);
  const body = [...(sequence(sequence(whole.ok ? whole.value : undefined)?.[0]) ?? [])];
  if (body[0]?.tag === TAG.context0) body.shift();
  const [serial, , issuer] = body;
  if (serial === undefined || issuer === undefined) return undefined;
  const wrapped = partsOf(
    body.find(({ tag }) => tag === TAG.context3),
    TAG.context3,
  );
  return { issuer: issuer.whole, serial: serial.whole, extensions: sequence(wrapped.ok ? wrapped.value[0] : undefined) ?? [] };
}

/** RFC 3161 §2.3: one extended key usage, time stamping, and the extension critical. */
function isForStampingOnly(extensions: readonly Der[]): boolean {
  const found = extensions.map((each) => sequence(each) ?? []).find(([oid]) => oidOf(oid) === EXTENDED_KEY_USAGE);
  const [, critical, value] = found ?? [];
  if (critical?.tag !== TAG.boolean || critical.content[0] !== 0xff || value?.tag !== TAG.octets) return false;
  const inner = readDer(value.content);
  const usages = inner.ok ? (sequence(inner.value) ?? []) : [];
  return usages.length === 1 && oidOf(usages[0]) === TIME_STAMPING;
}

function sequence(value: Der | undefined): readonly Der[] | undefined {
  const parts = partsOf(value, TAG.sequence);
  return parts.ok ? parts.value : undefined;
}

function refuse(code: TimestampError['code'], message: string): { readonly ok: false; readonly error: TimestampError } {
  return err({ code, message });
}
