/**
 * The list of all parts with their digests, as `sha256sum` writes it, held against the parts. Must never pass a part that it does not list.
 * PROTOCOL §11; coreutils "sha256sum invocation".
 */
import { type Bytes, compareBytes, type Digest, fromHex, ok, type Result, sha256Stream, toHex, utf8Encode } from '@openexec/canon';
import { type BundleFault, bundleFault, MANIFEST, STATEMENT } from './format.ts';
import { type BundlePart, type BundleParts, isPartPath, readText, showPath } from './source.ts';

/** About a hundred bytes a part. */
const MAX_MANIFEST_BYTES = 256 * 1024 * 1024;
const LINE = /^([0-9a-f]{64}) {2}(.+)$/;

/** The digest of each part that is listed. */
export type Manifest = ReadonlyMap<string, Digest>;

/** Reads the list: one line a part, in byte order of their paths, none twice. */
export async function readManifest(parts: BundleParts): Promise<Result<Manifest, BundleFault>> {
  const part = parts.get(MANIFEST);
  if (part === undefined) return bundleFault('bundle.missing', MANIFEST, 'this is no bundle: it has no MANIFEST');
  const text = await readText(part, MAX_MANIFEST_BYTES);
  if (!text.ok) return text;
  const lines = text.value.split('\n');
  if (lines.pop() !== '') return bundleFault('bundle.truncated', MANIFEST, 'its last line is not complete');
  const manifest = new Map<string, Digest>();
  let before: Bytes | null = null;
  for (const [at, line] of lines.entries()) {
    const [, hex = '', path = ''] = LINE.exec(line) ?? [];
    if (!fromHex(hex).ok || hex === '' || !isPartPath(path))
      return bundleFault(
        'bundle.malformed',
        MANIFEST,
        `line ${at + 1}: expected 64 hex digits, two spaces and the path of a part: ${showPath(line)}`,
      );
    if (path === MANIFEST || path === STATEMENT) return bundleFault('bundle.malformed', MANIFEST, `line ${at + 1}: ${path} is not listed`);
    const bytes = utf8Encode(path);
    if (before !== null && compareBytes(before, bytes) >= 0)
      return bundleFault(manifest.has(path) ? 'bundle.duplicate' : 'bundle.malformed', MANIFEST, `line ${at + 1}: ${path} is out of order`);
    before = bytes;
    manifest.set(path, `sha256:${hex}` as Digest); // 64 hex digits by the pattern
  }
  return ok(manifest);
}

/** Holds every part against its line. Streams; reports every fault. */
export async function checkManifest(parts: BundleParts, manifest: Manifest, say: (fault: BundleFault) => void): Promise<void> {
  for (const path of manifest.keys())
    if (!parts.has(path)) say({ code: 'bundle.missing', part: path, message: 'the MANIFEST lists it, and it is not there' });
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
