/**
 * A bundle before its first entry: parts that are missing, strange or broken are said to be so, one by one, and the report always says what it would have
 * checked. PROTOCOL §11.
 */
import { describe, expect, test } from '@jest/globals';
import { digestOf, sha256, utf8Encode } from '@openexec/canon';
import { formatDescription, manifestLine, partsOf, verifyBundle } from '@openexec/verify';

const DESCRIBED = {
  ledger: digestOf('l'),
  origin: 'o',
  size: 0,
  root: digestOf(''),
  scope: { is: 'ledger' as const },
  entries: 0,
  withheldPayloads: [],
  withheldBlobs: [],
  goneBlobs: [],
  coverage: 'full' as const,
};

/** The report on parts that a right MANIFEST lists. */
async function reportOn(files: Readonly<Record<string, string | Uint8Array>>) {
  const held = Object.entries(files).map(([path, text]) => [path, typeof text === 'string' ? utf8Encode(text) : text] as const);
  const sorted = held.filter(([path]) => path !== 'export.sigstore.json').toSorted(([a], [b]) => (a < b ? -1 : 1));
  const manifest = utf8Encode(sorted.map(([path, bytes]) => manifestLine(sha256(bytes), path)).join(''));
  const parts = partsOf(
    [['MANIFEST', manifest] as const, ...held].map(([path, bytes]) => ({
      path,
      bytes: bytes.length,
      async *read() {
        await Promise.resolve();
        yield bytes;
      },
    })),
  );
  if (!parts.ok) throw new Error(parts.error.message);
  return verifyBundle(parts.value, { trust: null, policy: null, since: null });
}
const said = async (files: Parameters<typeof reportOn>[0]) =>
  (await reportOn(files)).findings.map(({ part, index, code, message }) => `${part} ${index} ${code}: ${message}`);
const description = formatDescription(DESCRIBED);

describe('a bundle', () => {
  test('without its description, its checkpoint or its entries is refused there', async () => {
    expect(await said({})).toEqual(['bundle.json null bundle.missing: it is not there', 'checkpoint null bundle.missing: it is not there']);
    expect(await said({ 'bundle.json': description })).toEqual(['checkpoint null bundle.missing: it is not there']);
    expect(await said({ 'bundle.json': description, checkpoint: 'x' })).toEqual(['events.jsonl null bundle.missing: it is not there']);
    expect(await said({ 'bundle.json': '{}', checkpoint: 'x' })).toEqual([
      'bundle.json null bundle.malformed: this is no description of a bundle: type is not openexec.bundle',
    ]);
  });
  test('has only parts that a bundle has, read or not', async () => {
    const known = [
      'log.vkey',
      'report.html',
      'report.json',
      'results.sarif',
      'junit.xml',
      'checkpoint.tsr',
      'policy',
      'receipts/1',
      'changes/a',
      'README.txt',
    ];
    const read = ['tile/0/000', 'proofs/law.tlog-proof', 'consistency/1-2', 'blobs/x'];
    for (const path of [...known, ...read])
      expect([path, await said({ [path]: '' })]).toEqual([path, expect.not.arrayContaining([expect.stringContaining('bundle.extra')])]);
    const strange = [
      'tile',
      'blobs',
      'report.htm',
      'xREADME.txt',
      'README.txt2',
      'xcheckpoint',
      'checkpoint2',
      'log_vkey',
      'receipts',
      'changes',
      'other/x',
      'report_json',
    ];
    for (const path of strange)
      expect([path, (await said({ [path]: '' }))[0]]).toEqual([path, `${path} null bundle.extra: a bundle has no part of this name`]);
  });
  test('says what it checks, counts its parts, and is not sound with a finding', async () => {
    const report = await reportOn({ 'bundle.json': description });
    expect(report).toMatchObject({
      sound: false,
      level: null,
      trust: 'selfAsserted',
      fingerprint: null,
      firstBad: null,
      omitted: 0,
      runs: [],
      cosigners: [],
    });
    expect(report.counts).toEqual({ parts: 2, entries: 0, signatures: 0, proofs: 0, tiles: 0, blobs: 0, erased: 0, withheld: 0 });
    expect(report.checked).toEqual([
      'every part: listed in the MANIFEST with its digest, and nothing else is there',
      'every entry: canonical bytes, leaf hash, place in its trajectory and in the signed tree, previous leaf, kind, time, cause, law position',
      'every payload present: length and salted commitment; every blob by its digest',
      'the checkpoint, and every signature on law bodies, commits and closed runs, by a key that held its role there',
      'every tile, inclusion proof and consistency proof, up to the checkpoint',
      'the statement: signed by a log key, about this MANIFEST, with the results that the runs recorded',
    ]);
  });
  test('whose description promises more than its entries hold is told each promise', async () => {
    const promised = formatDescription({
      ...DESCRIBED,
      scope: { is: 'range', from: 2, to: 4 },
      withheldPayloads: [{ trajectory: 'run/1', seq: 3 }],
      withheldBlobs: [digestOf('b')],
    });
    const report = await reportOn({ 'bundle.json': promised, checkpoint: 'x', 'events.jsonl': '' });
    const told = report.findings.map(({ part, index, code, message }) => `${part} ${index} ${code}: ${message}`);
    expect(told).toContain('events.jsonl 2 event.order: it belongs to the range, and is not there');
    expect(told).toContain('bundle.json null bundle.malformed: it withholds the payload of run/1 3, which is no entry of the bundle');
    expect(report.counts.withheld).toBe(2);
  });
  test('of a part of a ledger holds whole hash tiles and no others', async () => {
    const part = formatDescription({ ...DESCRIBED, scope: { is: 'runs', runs: [] } });
    const extra = 'a bundle of a part of a ledger holds hash tiles of it, and nothing else of that kind';
    const tile = (path: string, text: string) => said({ 'bundle.json': part, checkpoint: 'x', [path]: text });
    expect(await tile('tile/entries/000', '')).toEqual([`tile/entries/000 null bundle.extra: ${extra}`]);
    expect(await tile('tile/x', '')).toEqual([`tile/x null bundle.extra: ${extra}`]);
    expect(await tile('tile/0/000.p/2', 'x'.repeat(63))).toEqual([
      'tile/0/000.p/2 null bundle.malformed: it has 63 bytes; its name says 2 hashes',
    ]);
    expect(await tile('tile/0/000', 'x'.repeat(8193))).toEqual([
      'tile/0/000 null bundle.tooLarge: it has 8193 bytes; a part of its kind has at most 8192',
    ]);
  });
});
