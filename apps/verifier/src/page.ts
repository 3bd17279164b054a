/**
 * The page `verify.html`: the same check in a browser, from a file:// address, without any network. A bundle is chosen as one tar file or as a folder;
 * what it says is shown as text only. PROTOCOL §11.
 */
import { type Bytes, type Digest, parseDigest, type Result } from '@openexec/canon';
import {
  bundleLines,
  type BundleFault,
  type BundlePart,
  type BundleParts,
  type BundleReport,
  coverageLines,
  partsOf,
  type RandomAccess,
  readTar,
  safeText,
  verifyBundle,
} from '@openexec/verify';

const PIECE_BYTES = 256 * 1024;
const PLAIN = { safe: safeText, good: (text: string) => text, bad: (text: string) => text };

function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no ${id}`);
  return found as T; // The page and this program are one file.
}

/** A chosen file as bytes at any place. */
function accessTo(file: Blob): RandomAccess {
  return {
    bytes: file.size,
    read: async (at, length) => new Uint8Array(await file.slice(at, at + length).arrayBuffer()),
  };
}

/** The files of a chosen folder: their paths below it. */
function partsOfFolder(files: readonly File[]): Result<BundleParts, BundleFault> {
  return partsOf(
    files.map((file): BundlePart => {
      const path = file.webkitRelativePath.slice(file.webkitRelativePath.indexOf('/') + 1);
      return { path, bytes: file.size, read: () => piecesOf(file) };
    }),
  );
}

async function* piecesOf(file: Blob): AsyncGenerator<Bytes> {
  for (let at = 0; at < file.size; at += PIECE_BYTES) yield new Uint8Array(await file.slice(at, at + PIECE_BYTES).arrayBuffer());
}

function trusted(): Digest | null | undefined {
  const text = element<HTMLInputElement>('trust').value.trim();
  if (text === '') return null;
  const digest = parseDigest(text);
  return digest.ok ? digest.value : undefined;
}

function show(state: 'sound' | 'unsound' | 'busy' | 'refused', lines: readonly string[]): void {
  const out = element('report');
  out.dataset['state'] = state;
  out.textContent = lines.join('\n');
}

async function check(open: () => Promise<Result<BundleParts, BundleFault>> | Result<BundleParts, BundleFault>): Promise<void> {
  const trust = trusted();
  if (trust === undefined) return show('refused', ['The fingerprint is not of the form sha256: and 64 lower-case hex digits.']);
  show('busy', ['checking …']);
  const parts = await open();
  if (!parts.ok) return show('unsound', [`✗ ${safeText(parts.error.part)}: ${parts.error.code}: ${safeText(parts.error.message)}`]);
  const policy = await noteOf('policy');
  const since = await noteOf('since');
  const onProgress = (entries: number): void => show('busy', [`checking … ${entries} entries`]);
  const report: BundleReport = await verifyBundle(parts.value, { trust, policy, since, onProgress });
  show(report.sound ? 'sound' : 'unsound', [...bundleLines(report, PLAIN), ...coverageLines(report)]);
}

async function noteOf(id: string): Promise<string | null> {
  const file = element<HTMLInputElement>(id).files?.[0];
  return file === undefined ? null : file.text();
}

function start(work: Promise<void>): void {
  work.catch((error: unknown) =>
    show('refused', [`The bundle cannot be read: ${safeText(String((error as { readonly message?: unknown }).message))}`]),
  );
}

element('archive').addEventListener('change', () => {
  const file = element<HTMLInputElement>('archive').files?.[0];
  if (file !== undefined) start(check(() => readTar(accessTo(file))));
});
element('folder').addEventListener('change', () => {
  const files = [...(element<HTMLInputElement>('folder').files ?? [])];
  if (files.length > 0) start(check(() => partsOfFolder(files)));
});
document.addEventListener('dragover', (event) => event.preventDefault());
document.addEventListener('drop', (event) => {
  event.preventDefault();
  const file = event.dataTransfer?.files[0];
  if (file !== undefined) start(check(() => readTar(accessTo(file))));
});
