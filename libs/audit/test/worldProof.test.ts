/**
 * The proof of one resource of a world, made from a run and held against the log's key: good as it is, and refused with the link named for every member
 * that says something else. PROTOCOL §8.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { proveResource, worldAt } from '@openexec/audit';
import { digestOf, type Instant, type Json, type TrajectoryId, utf8Encode } from '@openexec/canon';
import { FIX_LOOP, House, RunDriver, writeFile } from '@openexec/kernel/fixture';
import { commitmentOf, encodeEntry } from '@openexec/ledger';
import { formatTlogProof, leafHash, signCheckpoint } from '@openexec/proof';
import { verifyWorldProof } from '@openexec/verify';
import { headOf, LOG, ORIGIN, VKEY } from './bundles.ts';

type Members = { readonly [name: string]: Json };
let good: Members;
let absent: Members;
let otherEntry: Members;

async function documentOf(house: House, of: { readonly id: string; readonly seq?: number }, driver: RunDriver): Promise<Members> {
  const at = await worldAt(house.store, driver.run, of.seq);
  if (!at.ok) throw new Error(at.error.message);
  const proof = proveResource(at.value, 'file', of.id);
  const { size, note } = await headOf(house);
  const hashes = await house.store.inclusion(at.value.stored.index, size);
  if (!proof.ok || !hashes.ok) throw new Error('no proof');
  const tlogProof = formatTlogProof({ index: at.value.stored.index, hashes: hashes.value, checkpoint: note });
  return JSON.parse(JSON.stringify({ ...proof.value, tlogProof })) as Members;
}

beforeAll(async () => {
  const house = await House.found();
  const driver = await RunDriver.open(house, { blueprint: FIX_LOOP });
  await driver.play({ answers: [[writeFile('src/a.ts', 'one\n')], 'written'], tests: [true] });
  good = await documentOf(house, { id: 'src/a.ts' }, driver);
  absent = await documentOf(house, { id: 'src/none.ts' }, driver);
  otherEntry = await entryOf(house, driver);
});

/** An entry of the run that states no world, with its own place in the log. */
async function entryOf(house: House, driver: RunDriver): Promise<Members> {
  for await (const stored of house.store.read(driver.run)) {
    if (stored.entry.kind !== 'stage.entered') continue;
    const { size, note } = await headOf(house);
    const hashes = await house.store.inclusion(stored.index, size);
    if (!hashes.ok) throw new Error(hashes.error.message);
    const tlogProof = formatTlogProof({ index: stored.index, hashes: hashes.value, checkpoint: note });
    return { entry: Buffer.from(stored.entryBytes).toString(), tlogProof };
  }
  throw new Error('no stage');
}
const codeOf = (document: Json): string => {
  const verified = verifyWorldProof(document, [VKEY]);
  return verified.ok ? 'good' : verified.error.code;
};
const withoutMember = (of: Members, name: string): Members => Object.fromEntries(Object.entries(of).filter(([each]) => each !== name));

describe('a proof of a resource', () => {
  test('shows what a run committed, and that it committed nothing under another name', () => {
    expect(verifyWorldProof(good, [VKEY])).toMatchObject({
      ok: true,
      value: { kind: 'file', id: 'src/a.ts', record: { retracted: false } },
    });
    expect(verifyWorldProof(absent, [VKEY])).toMatchObject({ ok: true, value: { record: null } });
    // The value may be left out: the record binds it.
    expect(codeOf({ ...good, value: null })).toBe('good');
    expect(verifyWorldProof(good, [])).toMatchObject({ ok: false, error: { code: 'worldProof.log' } });
  });

  test.each<readonly [string, (of: Members) => Json, string]>([
    ['a list', () => [], 'worldProof.malformed'],
    ['of another version', (of) => ({ ...of, v: 2 }), 'worldProof.malformed'],
    ['with one more member', (of) => ({ ...of, more: 1 }), 'worldProof.malformed'],
    ['without its salt', (of) => withoutMember(of, 'salt'), 'worldProof.malformed'],
    ['with an entry that is no text', (of) => ({ ...of, entry: 1 }), 'worldProof.malformed'],
    ['with a log proof that is no text', (of) => ({ ...of, tlogProof: 1 }), 'worldProof.malformed'],
    ['with an entry that is none', (of) => ({ ...of, entry: '{}' }), 'worldProof.entry'],
    ['with a log proof that is none', (of) => ({ ...of, tlogProof: 'x' }), 'worldProof.log'],
    ['of an entry that states no world', (of) => ({ ...of, ...otherEntry }), 'worldProof.entry'],
    ['of another run', (of) => ({ ...of, run: 'run/other' }), 'worldProof.entry'],
    ['of another place', (of) => ({ ...of, seq: 1 }), 'worldProof.entry'],
    ['with a payload that is no text', (of) => ({ ...of, payload: 1 }), 'worldProof.malformed'],
    ['with a salt that is no text', (of) => ({ ...of, salt: 1 }), 'worldProof.malformed'],
    ['with a salt that is no hex', (of) => ({ ...of, salt: 'x' }), 'worldProof.malformed'],
    ['with another salt', (of) => ({ ...of, salt: '00'.repeat(32) }), 'worldProof.payload'],
    ['with a longer payload', (of) => ({ ...of, payload: `${JSON.stringify(of['payload'])} ` }), 'worldProof.payload'],
    ['under another root than the payload states', (of) => ({ ...of, worldRoot: digestOf('x') }), 'worldProof.payload'],
    ['with a kind that is no text', (of) => ({ ...of, kind: 1 }), 'worldProof.malformed'],
    ['with an id that is no text', (of) => ({ ...of, id: 1 }), 'worldProof.malformed'],
    ['of another name', (of) => ({ ...of, id: 'src/b.ts' }), 'worldProof.map'],
    ['with a path that is none', (of) => ({ ...of, proof: 1 }), 'worldProof.malformed'],
    ['with a record that is a list', (of) => ({ ...of, record: [] }), 'worldProof.malformed'],
    [
      'with a record that has one more member',
      (of) => ({ ...of, record: { ...(of['record'] as Members), more: 1 } }),
      'worldProof.malformed',
    ],
    [
      'with a version that is no number',
      (of) => ({ ...of, record: { ...(of['record'] as Members), version: 'x' } }),
      'worldProof.malformed',
    ],
    [
      'with a last commit below nothing',
      (of) => ({ ...of, record: { ...(of['record'] as Members), lastCommit: -1 } }),
      'worldProof.malformed',
    ],
    [
      'with retracted that is no truth',
      (of) => ({ ...of, record: { ...(of['record'] as Members), retracted: 1 } }),
      'worldProof.malformed',
    ],
    ['with a value digest that is none', (of) => ({ ...of, record: { ...(of['record'] as Members), value: 'x' } }), 'worldProof.malformed'],
    ['of another version of it', (of) => ({ ...of, record: { ...(of['record'] as Members), version: 9 } }), 'worldProof.map'],
    [
      'with a record of no value beside one',
      (of) => ({ ...of, record: { ...(of['record'] as Members), value: null } }),
      'worldProof.value',
    ],
    ['of nothing beside a value', (of) => ({ ...of, record: null }), 'worldProof.value'],
    ['with a value that is no object', (of) => ({ ...of, value: 1 }), 'worldProof.value'],
    ['with a value that is not inline', (of) => ({ ...of, value: { other: 1 } }), 'worldProof.value'],
    ['with a value and more', (of) => ({ ...of, value: { inline: 1, more: 1 } }), 'worldProof.value'],
    ['with another value', (of) => ({ ...of, value: { inline: 'two' } }), 'worldProof.value'],
  ])('%s is refused', (_, change, code) => {
    expect(codeOf(change(good))).toBe(code);
  });
});

test('an entry that commits to a payload without a root proves nothing, whoever signed the log', async () => {
  for (const text of ['1', '{}', '{"worldRoot":1}', '{ }']) {
    const [payload, salt] = [utf8Encode(text), new Uint8Array(32)];
    const entryBytes = encodeEntry({
      v: 1,
      trajectory: 'run/a' as TrajectoryId,
      seq: 0,
      prev: null,
      kind: 'run.closed',
      at: '2026-03-01T09:00:00.000Z' as Instant,
      actor: 'runtime',
      cause: null,
      law: null,
      commitment: commitmentOf(salt, payload),
      bytes: payload.length,
    });
    const note = await signCheckpoint({ origin: ORIGIN, size: 1n, root: leafHash(entryBytes) }, LOG);
    if (!note.ok) throw new Error(note.error.message);
    const tlogProof = formatTlogProof({ index: 0n, hashes: [], checkpoint: note.value });
    const entry = Buffer.from(entryBytes).toString();
    expect(codeOf({ ...good, entry, tlogProof, run: 'run/a', seq: 0, payload: text, salt: '00'.repeat(32) })).toBe('worldProof.payload');
  }
});
