/**
 * The signed statement of a bundle: an in-toto Statement v1 in a DSSE envelope in a Sigstore bundle v0.3, signed by the ledger's log key. Its
 * subjects are the git commits and trees that the runs of the bundle produced, and the manifest. Must never verify bytes that it re-encoded.
 * in-toto/attestation spec v1; sigstore protobuf-specs "Sigstore Bundle"; PROTOCOL §11.
 */
import {
  type Bytes,
  canonicalBytes,
  canonicalText,
  type Digest,
  equalBytes,
  fromBase64,
  type Json,
  ok,
  parseCanonical,
  parseJson,
  type Result,
  toBase64,
  utf8Encode,
} from '@openexec/canon';
import { pae, verifySignature } from '@openexec/proof';
import { type BundleFault, bundleFault, STATEMENT, STATEMENT_TYPE } from './format.ts';

const IN_TOTO = 'https://in-toto.io/Statement/v1';
const PREDICATE = 'https://openexec.dev/attestation/audit-bundle/v1';
const SIGSTORE = 'application/vnd.dev.sigstore.bundle.v0.3+json';

/** What one run brought forth, as its ledger records it; null members where it landed nothing. */
export interface StatedRun {
  readonly run: string;
  readonly outcome: string;
  readonly commit: string | null;
  readonly tree: string | null;
  readonly ref: string | null;
  /** Whether it ran under an enforcement self-test and without an undeclared effect. */
  readonly governed: boolean;
}

/** What a bundle states. */
export interface BundleStatement {
  readonly manifest: Digest;
  readonly ledger: Digest;
  readonly origin: string;
  readonly size: number;
  readonly root: Digest;
  readonly coverage: 'full' | 'gatewayOnly';
  readonly runs: readonly StatedRun[];
}

/** The payload of the envelope. The subjects are derived from the rest, so that neither can say what the other does not. */
export function formatStatement(of: BundleStatement): Bytes {
  const subjects = of.runs.flatMap(({ run, commit, tree }) => [
    ...(commit === null ? [] : [{ name: `git commit of ${run}`, digest: { gitCommit: commit } }]),
    ...(tree === null ? [] : [{ name: `git tree of ${run}`, digest: { gitTree: tree } }]),
  ]);
  const manifest = { name: 'MANIFEST', digest: { sha256: of.manifest.slice('sha256:'.length) } };
  return canonicalBytes({
    _type: IN_TOTO,
    subject: [...subjects, manifest],
    predicateType: PREDICATE,
    predicate: { ...of, runs: of.runs.map((run) => ({ ...run })) },
  });
}

/** The part `export.sigstore.json`. `timestamps` are RFC 3161 tokens over the signature, in DER. */
export function formatEnvelope(signed: {
  readonly payload: Bytes;
  readonly key: string;
  readonly signature: Bytes;
  readonly timestamps: readonly Bytes[];
}): Bytes {
  const times = signed.timestamps.map((token) => ({ signedTimestamp: toBase64(token) }));
  const body = {
    mediaType: SIGSTORE,
    verificationMaterial: {
      publicKey: { hint: signed.key },
      ...(times.length === 0 ? {} : { timestampVerificationData: { rfc3161Timestamps: times } }),
    },
    dsseEnvelope: {
      payload: toBase64(signed.payload),
      payloadType: STATEMENT_TYPE,
      signatures: [{ sig: toBase64(signed.signature), keyid: signed.key }],
    },
  };
  return utf8Encode(`${canonicalText(body)}\n`);
}

/** The bytes that are signed. */
export function statementSigningBytes(payload: Bytes): Bytes {
  return pae(STATEMENT_TYPE, payload);
}

type Members = { readonly [name: string]: Json };
const isMembers = (value: Json | undefined): value is Members => typeof value === 'object' && value !== null && !Array.isArray(value);
const refuse = (message: string) => bundleFault('bundle.malformed', STATEMENT, message);

/** A statement that is signed, with the times over its signature, of which nothing was checked. */
export interface OpenedStatement {
  readonly statement: BundleStatement;
  readonly signature: Bytes;
  readonly timestamps: readonly Bytes[];
}

/** Opens the statement: signed by a key that `keyOf` knows as a log key of this ledger, in the one spelling that {@link formatStatement} writes. */
export function openStatement(bytes: Bytes, keyOf: (key: string) => Bytes | null): Result<OpenedStatement, BundleFault> {
  const json = parseJson(bytes, { maxBytes: bytes.length });
  if (!json.ok) return refuse(json.error.message);
  const outer = isMembers(json.value) ? json.value : {};
  const envelope = isMembers(outer['dsseEnvelope']) ? outer['dsseEnvelope'] : {};
  const material = isMembers(outer['verificationMaterial']) ? outer['verificationMaterial'] : {};
  const signatures = Array.isArray(envelope['signatures']) ? (envelope['signatures'] as readonly Json[]) : [];
  const [only] = signatures;
  if (outer['mediaType'] !== SIGSTORE || envelope['payloadType'] !== STATEMENT_TYPE || signatures.length !== 1 || !isMembers(only))
    return refuse('expected a Sigstore bundle v0.3 with one signature over an in-toto statement');
  const { sig, keyid } = only;
  const payload = typeof envelope['payload'] === 'string' ? fromBase64(envelope['payload']) : null;
  const signature = typeof sig === 'string' ? fromBase64(sig) : null;
  if (payload?.ok !== true || signature?.ok !== true || typeof keyid !== 'string') return refuse('its payload or signature is not base64');
  const key = keyOf(keyid);
  if (key === null) return refuse(`the key ${JSON.stringify(keyid.slice(0, 80))} is no log key of this ledger`);
  if (!verifySignature(key, statementSigningBytes(payload.value), signature.value))
    return refuse('its signature is not over this statement');
  const statement = readStatement(payload.value);
  if (statement === null) return refuse('it is signed, but is no statement about a bundle');
  const timestamps = timestampsOf(material);
  const own = formatEnvelope({ payload: payload.value, key: keyid, signature: signature.value, timestamps });
  if (!equalBytes(own, bytes))
    return refuse('it is not in the one spelling that a bundle has: something beside what is signed was changed');
  return ok({ statement, signature: signature.value, timestamps });
}

/** Tokens that are not of their form are left out: the spelling shows it. */
function timestampsOf(material: Members): readonly Bytes[] {
  const data = material['timestampVerificationData'];
  const list = isMembers(data) ? data['rfc3161Timestamps'] : undefined;
  return (Array.isArray(list) ? (list as readonly Json[]) : []).flatMap((each) => {
    const token = isMembers(each) && typeof each['signedTimestamp'] === 'string' ? fromBase64(each['signedTimestamp']) : null;
    return token?.ok === true ? [token.value] : [];
  });
}

function readStatement(payload: Bytes): BundleStatement | null {
  const json = parseCanonical(payload);
  const predicate = json.ok && isMembers(json.value) ? json.value['predicate'] : undefined;
  if (!isMembers(predicate) || !Array.isArray(predicate['runs'])) return null;
  const text = (of: Members, name: string): string => (typeof of[name] === 'string' ? of[name] : '');
  const orNull = (of: Members, name: string): string | null => (typeof of[name] === 'string' ? of[name] : null);
  const runs = (predicate['runs'] as readonly Json[]).map((each) => {
    const run = isMembers(each) ? each : {};
    const [commit, tree, ref] = [orNull(run, 'commit'), orNull(run, 'tree'), orNull(run, 'ref')];
    return { run: text(run, 'run'), outcome: text(run, 'outcome'), commit, tree, ref, governed: run['governed'] === true };
  });
  const statement: BundleStatement = {
    manifest: text(predicate, 'manifest') as Digest, // Compared by whoever asked; a wrong one matches nothing.
    ledger: text(predicate, 'ledger') as Digest,
    origin: text(predicate, 'origin'),
    size: typeof predicate['size'] === 'number' ? predicate['size'] : -1,
    root: text(predicate, 'root') as Digest,
    coverage: predicate['coverage'] === 'full' ? 'full' : 'gatewayOnly',
    runs,
  };
  const again = formatStatement(statement);
  return equalBytes(again, payload) ? statement : null;
}
