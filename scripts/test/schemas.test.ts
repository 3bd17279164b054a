/**
 * The generator says what is stale and repairs it; the worked examples of the format pages hold under the code that signs, hashes and reads.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { checkSignature, runTrajectory, WRIT_TYPE, writId } from '@openexec/authority';
import { toHex, utf8Encode } from '@openexec/canon';
import { commitmentOf, decodeEntry, encodeEntry } from '@openexec/ledger';
import { leafHash, openCheckpoint, parseVkey, treeRoot } from '@openexec/proof';
import { entry, signedWrit, writ } from '@openexec/protocol';
import { block } from '../../libs/protocol/test/page.ts';
import { generateSchemas } from '../schemas/generate.ts';
import { staleFiles, writeFiles } from '../schemas.ts';

describe('the generated schemas', () => {
  test('are what the sources say', () => {
    expect(staleFiles(path.resolve('schemas'), generateSchemas())).toEqual([]);
  });

  test('a changed, a missing and an orphaned file are each named, and writing repairs all three', () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'schemas-'));
    const files = generateSchemas();
    writeFiles(folder, files);
    expect(staleFiles(folder, files)).toEqual([]);
    fs.appendFileSync(path.join(folder, 'events.md'), ' ');
    fs.rmSync(path.join(folder, 'events/run.opened.schema.json'));
    fs.writeFileSync(path.join(folder, 'events/run.gone.schema.json'), '{}');
    expect(staleFiles(folder, files)).toEqual(['events.md', 'events/run.gone.schema.json', 'events/run.opened.schema.json']);
    writeFiles(folder, files);
    expect(staleFiles(folder, files)).toEqual([]);
    fs.rmSync(folder, { recursive: true });
  });

  test('are the same bytes when made again', () => {
    expect([...generateSchemas()]).toEqual([...generateSchemas()]);
  });
});

describe('the worked example', () => {
  test('of the entry is read, and written again to the same bytes', () => {
    const bytes = utf8Encode(block('entry.md', 'entry'));
    const decoded = decodeEntry(bytes);
    if (!decoded.ok) throw new Error(decoded.error.message);
    expect(encodeEntry(decoded.value)).toEqual(bytes);
    expect(entry.safeParse(decoded.value).success).toBe(true);
    const salt = Uint8Array.from({ length: 32 }, (_, index) => index);
    expect(block('entry.md', 'salt')).toBe(toHex(salt));
    expect(decoded.value.commitment).toBe(commitmentOf(salt, utf8Encode(block('entry.md', 'payload'))));
    expect(block('entry.md', 'leaf')).toBe(`sha256:${toHex(leafHash(bytes))}`);
  });

  test('of the checkpoint opens under its key and has the root of the three leaves', () => {
    const opened = openCheckpoint(`${block('checkpoint.md', 'note')}\n`, [block('checkpoint.md', 'vkey')]);
    if (!opened.ok) throw new Error(opened.error.message);
    const root = treeRoot(['a', 'b', 'c'].map((text) => leafHash(utf8Encode(text))));
    expect(opened.value).toMatchObject({ origin: 'example.org/log', size: 3n });
    expect(toHex(opened.value.root)).toBe(toHex(root));
  });

  test('of the writ is signed by the key that it names as issuer', () => {
    const body = writ.parse(JSON.parse(block('writ.md', 'body')));
    const signed = signedWrit.parse({ body, signatures: JSON.parse(block('writ.md', 'signatures')) });
    const key = parseVkey(block('checkpoint.md', 'vkey'));
    const [signature] = signed.signatures;
    if (!key.ok || signature === undefined) throw new Error('no key or no signature');
    const publicKey = toHex(key.value.publicKey);
    expect(checkSignature({ type: WRIT_TYPE, body, publicKey, signature })).toBe(true);
    expect(checkSignature({ type: WRIT_TYPE, body: { ...body, tenant: 'other' }, publicKey, signature })).toBe(false);
    expect(block('writ.md', 'names')).toBe(`${writId(body)}\n${runTrajectory({ issuer: body.issuer, nonce: body.nonce })}`);
  });
});
