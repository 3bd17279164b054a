/**
 * The list of all parts with their digests, as `sha256sum` writes it, held against the parts. Must never pass a part that it does not list.
 * PROTOCOL §11; coreutils "sha256sum invocation".
 */
import { type Bytes, compareBytes, type Digest, ok, type Result, sha256Stream, toHex, utf8Decode, utf8Encode } from '@openexec/canon';
import { type LineFault, linesOf } from '@openexec/ledger/codec';
import { type BundleFault, type BundleFaultCode, bundleFault, MANIFEST, STATEMENT } from './format.ts';
import { type BundlePart, type BundleParts, isPartPath, LIMITS, showPath } from './source.ts';

/** 64 digits, two spaces, a path. */
const MAX_LINE_BYTES = 64 + 2 + LIMITS.pathBytes;
const LINE = /^([0-9a-f]{64}) {2}(.+)$/;

/** The digest of each part that is listed and there. */
export type Manifest = ReadonlyMap<string, Digest>;

class ManifestFault extends Error {
  readonly code: BundleFaultCode;

  constructor(code: BundleFaultCode, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Reads the list: one line a part, in byte order of their paths, none twice. Streams, and stops at the first line that is none; what is listed and not
 * there is said and not kept, so that memory is bounded by the parts that are there.
 */
export async function readManifest(
  part: BundlePart,
  parts: BundleParts,
  say: (fault: BundleFault) => void,
): Promise<Result<Manifest, BundleFault>> {
  const manifest = new Map<string, Digest>();
  let before: Bytes | null = null;
  let number = 0;
  try {
    const fault = (code: LineFault, message: string): Error => new ManifestFault(`bundle.${code}`, message);
    for await (const bytes of linesOf(part.read(), MAX_LINE_BYTES, fault)) {
      number += 1;
      const { path, digest } = readLine(bytes);
      const own = utf8Encode(path);
      const order = before === null ? -1 : compareBytes(before, own);
      if (order >= 0) throw new ManifestFault(order === 0 ? 'bundle.duplicate' : 'bundle.malformed', `${path} is out of order`);
      before = own;
      if (parts.has(path)) manifest.set(path, digest);
      else say({ code: 'bundle.missing', part: path, message: 'the MANIFEST lists it, and it is not there' });
    }
  } catch (error) {
    if (!(error instanceof ManifestFault)) throw error;
    return bundleFault(error.code, MANIFEST, `line ${number}: ${error.message}`);
  }
  return ok(manifest);
}

function readLine(bytes: Bytes): { readonly path: string; readonly digest: Digest } {
  const text = utf8Decode(bytes);
  const [, hex = '', path = ''] = text.ok ? (LINE.exec(text.value) ?? []) : [];
  if (hex === '' || !isPartPath(path))
    throw new ManifestFault(
      'bundle.malformed',
      `expected 64 hex digits, two spaces and the path of a part: ${text.ok ? showPath(text.value) : text.error.message}`,
    );
  if (path === MANIFEST || path === STATEMENT) throw new ManifestFault('bundle.malformed', `${path} is not listed`);
  return { path, digest: `sha256:${hex}` as Digest }; // 64 hex digits by the pattern
}

/** Holds every part against its line. Streams; reports every fault. */
export async function checkManifest(parts: BundleParts, manifest: Manifest, say: (fault: BundleFault) => void): Promise<void> {
  for (const part of parts.values()) {
    if (part.path === MANIFEST || part.path === STATEMENT) continue;
    const listed = manifest.get(part.path);
    if (listed === undefined) say({ code: 'bundle.extra', part: part.path, message: 'the MANIFEST does not list it' });
    else if ((await digestOfPart(part)) !== listed)
      say({ code: 'bundle.digest', part: part.path, message: 'its bytes are not those that the MANIFEST lists' });
  }
}

/** SHA-256 over a part's bytes. */
export async function digestOfPart(part: BundlePart): Promise<Digest> {
  const hash = sha256Stream();
  for await (const piece of part.read()) hash.update(piece);
  return `sha256:${toHex(hash.digest())}` as Digest; // 32 bytes of SHA-256
}
