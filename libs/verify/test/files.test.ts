/** A bundle on a disk: a folder or one archive, plain files alone; links, pipes and what cannot be read are refused in words. PROTOCOL §11. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Bytes, utf8Encode } from '@openexec/canon';
import { TAR_END, tarHeader, tarPadding } from '@openexec/verify';
import { openBundle } from '../src/files.ts';

let root: string;
const at = (...names: string[]): string => join(root, ...names);
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'openexec-files-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** What stands in it, or why it is refused. */
async function said(path: string): Promise<string> {
  const opened = await openBundle(path);
  if (!opened.ok) return `${opened.error.code} ${opened.error.part}: ${opened.error.message}`;
  const told: string[] = [];
  for (const part of opened.value.parts.values()) {
    const pieces: Bytes[] = [];
    for await (const piece of part.read()) pieces.push(piece);
    const text = Buffer.concat(pieces).toString();
    told.push(`${part.path} ${part.bytes} ${text.length > 20 ? text.length : text}`);
  }
  await opened.value.close();
  return told.toSorted().join(', ');
}
function folder(name: string, files: Readonly<Record<string, string>>): string {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(at(name), path, '..'), { recursive: true });
    writeFileSync(join(at(name), path), text);
  }
  return at(name);
}

test('a folder gives its files, however deep a bundle goes and however long they are', async () => {
  const files = { MANIFEST: 'm', 'a/b/c/d/e/f/g/h/deep': 'x', 'blobs/1': 'y'.repeat(600_000) };
  expect(await said(folder('good', files))).toBe('MANIFEST 1 m, a/b/c/d/e/f/g/h/deep 1 x, blobs/1 600000 600000');
});

test('a folder with more levels, a link, or a name that no part has is refused', async () => {
  expect(await said(folder('deep', { 'a/b/c/d/e/f/g/h/i/x': '' }))).toBe(
    'bundle.path "a/b/c/d/e/f/g/h/i": a bundle has no folders that deep',
  );
  const linked = folder('linked', { a: '' });
  symlinkSync(at('linked', 'a'), at('linked', 'b'));
  expect(await said(linked)).toBe('bundle.path "b": it is no plain file');
  expect(await said(folder('named', { '.hidden': '' }))).toBe('bundle.path ".hidden": no part of a bundle has such a path');
});

test('what is not there, or is a link itself, is refused as what it is', async () => {
  expect(await said(at('none'))).toBe(`bundle.unreadable ${JSON.stringify(at('none'))}: it cannot be read (ENOENT)`);
  symlinkSync(folder('real', { a: '' }), at('link'));
  expect(await said(at('link'))).toBe(
    `bundle.unreadable ${JSON.stringify(at('link'))}: it is neither a folder nor a plain file; a link is not followed`,
  );
});

test('an archive gives its files; one that is cut or none at all is refused', async () => {
  const long = 'z'.repeat(600_000);
  const members = [
    ['a', 'text'],
    ['b/c', long],
  ].flatMap(([path = '', text = '']) => {
    const header = tarHeader(path, text.length);
    if (header === null) throw new Error('it has a header');
    return [header, utf8Encode(text), tarPadding(text.length)];
  });
  writeFileSync(at('good.tar'), Buffer.concat([...members, TAR_END]));
  expect(await said(at('good.tar'))).toBe('a 4 text, b/c 600000 600000');
  writeFileSync(at('cut.tar'), Buffer.concat(members).subarray(0, 5000));
  expect(await said(at('cut.tar'))).toBe('bundle.truncated b/c: it should have 600000 bytes; the archive ends before');
  writeFileSync(at('empty.tar'), '');
  expect(await said(at('empty.tar'))).toBe('bundle.truncated archive: it ends at 0 without its last two blocks');
});
