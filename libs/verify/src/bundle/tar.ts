/**
 * A bundle as one file: POSIX ustar, plain files only, in one spelling. Must never follow a link, accept a name that the format does not write, or
 * hold more than one header. POSIX.1-2017 pax, "ustar Interchange Format"; PROTOCOL §11.
 */
import { type Bytes, equalBytes, ok, type Result, utf8Decode, utf8Encode } from '@openexec/canon';
import { type BundleFault, bundleFault } from './format.ts';
import { type BundlePart, type BundleParts, isPartPath, LIMITS, partsOf, type RandomAccess, showPath } from './source.ts';

const BLOCK = 512;
const MAX_NAME = 100;
const MAX_PREFIX = 155;
/** Eleven octal digits. */
const MAX_FILE_BYTES = 8 ** 11 - 1;
const NAME = { at: 0, length: MAX_NAME };
const SIZE = { at: 124, length: 12 };
const CHECKSUM = { at: 148, length: 8 };
const PREFIX = { at: 345, length: MAX_PREFIX };

/** The header of a part; the same part has the same header for ever. Null for a path or length that ustar cannot hold. */
export function tarHeader(path: string, bytes: number): Bytes | null {
  const split = splitName(path);
  if (split === null || bytes > MAX_FILE_BYTES) return null;
  const header = new Uint8Array(BLOCK);
  const put = (at: number, text: string): void => header.set(utf8Encode(text), at);
  put(NAME.at, split.name);
  put(100, '0000644\0'); // mode
  put(108, '0000000\0'); // uid
  put(116, '0000000\0'); // gid
  put(SIZE.at, `${bytes.toString(8).padStart(11, '0')}\0`);
  put(136, '00000000000\0'); // mtime: none, so that the same parts are the same bytes
  put(CHECKSUM.at, ' '.repeat(CHECKSUM.length));
  put(156, '0'); // a plain file
  put(257, 'ustar\x0000');
  put(PREFIX.at, split.prefix);
  const sum = header.reduce((total, byte) => total + byte, 0);
  put(CHECKSUM.at, `${sum.toString(8).padStart(6, '0')}\0 `);
  return header;
}

/** Zeros up to the next block. */
export function tarPadding(bytes: number): Bytes {
  return new Uint8Array((BLOCK - (bytes % BLOCK)) % BLOCK);
}

/** What stands at the end: two empty blocks. */
export const TAR_END: Bytes = new Uint8Array(2 * BLOCK);

function splitName(path: string): { readonly prefix: string; readonly name: string } | null {
  if (path.length <= MAX_NAME) return { prefix: '', name: path };
  const at = path.indexOf('/', path.length - MAX_NAME - 1);
  if (at < 1 || at > MAX_PREFIX || path.length - at - 1 > MAX_NAME) return null;
  return { prefix: path.slice(0, at), name: path.slice(at + 1) };
}

/** The parts of an archive. Reads its headers only; each must be exactly the one that {@link tarHeader} writes, and nothing may follow the end. */
export async function readTar(file: RandomAccess, maxParts: number = LIMITS.parts): Promise<Result<BundleParts, BundleFault>> {
  const parts: BundlePart[] = [];
  for (let at = 0; ; ) {
    if (at + BLOCK > file.bytes) return bundleFault('bundle.truncated', 'archive', `it ends at ${file.bytes} without its last two blocks`);
    const header = await file.read(at, BLOCK);
    if (header.every((byte) => byte === 0)) {
      const end = await endOf(file, at);
      return end === null ? partsOf(parts, maxParts) : end;
    }
    const read = readHeader(header, at);
    if (!read.ok) return read;
    const { path, bytes } = read.value;
    const from = at + BLOCK;
    const next = from + bytes + tarPadding(bytes).length;
    if (next > file.bytes) return bundleFault('bundle.truncated', path, `it should have ${bytes} bytes; the archive ends before`);
    const padding = await file.read(from + bytes, next - from - bytes);
    if (padding.some((byte) => byte !== 0))
      return bundleFault('bundle.malformed', path, 'something stands behind the part, where nothing may');
    if (parts.length >= maxParts) return bundleFault('bundle.tooLarge', path, `a bundle has at most ${maxParts} parts`);
    parts.push({ path, bytes, read: () => pieces(file, from, bytes) });
    at = next;
  }
}

async function endOf(file: RandomAccess, at: number): Promise<{ readonly ok: false; readonly error: BundleFault } | null> {
  const rest = file.bytes - at;
  if (rest < TAR_END.length) return bundleFault('bundle.truncated', 'archive', 'one of its last two blocks is missing');
  if (rest > TAR_END.length) return bundleFault('bundle.malformed', 'archive', `${rest - TAR_END.length} bytes stand behind its end`);
  const end = await file.read(at, TAR_END.length);
  return equalBytes(end, TAR_END) ? null : bundleFault('bundle.malformed', 'archive', 'a part stands behind an empty block');
}

function readHeader(header: Bytes, at: number): Result<{ readonly path: string; readonly bytes: number }, BundleFault> {
  const where = `archive at ${at}`;
  const [name, prefix, size] = [textAt(header, NAME), textAt(header, PREFIX), textAt(header, SIZE)];
  if (name === null || prefix === null || size === null || !/^[0-7]{11}$/.test(size))
    return bundleFault('bundle.malformed', where, 'this is no header of a plain file');
  const path = prefix === '' ? name : `${prefix}/${name}`;
  if (!isPartPath(path)) return bundleFault('bundle.path', showPath(path), 'no part of a bundle has such a path');
  const bytes = Number.parseInt(size, 8);
  const own = tarHeader(path, bytes);
  // Whatever else it says (a link, a folder, an owner, a time) is not what a bundle is made of.
  return own !== null && equalBytes(own, header)
    ? ok({ path, bytes })
    : bundleFault('bundle.malformed', path, 'its header is not that of a plain file in a bundle');
}

/** Text up to the first zero; null where something stands behind it, or it is no text. */
function textAt(header: Bytes, field: { readonly at: number; readonly length: number }): string | null {
  const bytes = header.subarray(field.at, field.at + field.length);
  const end = bytes.indexOf(0);
  const used = end < 0 ? bytes : bytes.subarray(0, end);
  if (end >= 0 && bytes.subarray(end).some((byte) => byte !== 0)) return null;
  const text = utf8Decode(used);
  return text.ok ? text.value : null;
}

async function* pieces(file: RandomAccess, from: number, bytes: number): AsyncGenerator<Bytes> {
  for (let at = 0; at < bytes; at += LIMITS.pieceBytes) yield file.read(from + at, Math.min(LIMITS.pieceBytes, bytes - at));
}
