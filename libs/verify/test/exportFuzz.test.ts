/**
 * Exported ledgers as strangers hand them in, in 8 000 hostile variations, half of them with counts and sums put right again: what `ledger import` does
 * with each ends in a code, reads no more than the file twice over, asks for no memory that the file does not fill, and lets in no entry that is not
 * the ledger's own. schemas/export.md, PROTOCOL §3 "Moving".
 */
import { beforeAll, describe, expect, jest, test } from '@jest/globals';
import {
  type Bytes,
  canonicalText,
  concatBytes,
  digestFromBytes,
  equalBytes,
  type Json,
  parseJson,
  sha256,
  utf8Decode,
  utf8Encode,
} from '@openexec/canon';
import { CopyFault, exportLines, memoryLedger, readExport, type Row, type StoredCheckpoint } from '@openexec/ledger';
import { fixtures, keeping } from '@openexec/ledger/contract';
import { allocatedBy, Chance, insist, mutateText, type Outcome, Outcomes } from '@openexec/proof/hostile';
import { verifyLedger } from '../src/index.ts';

// Against hanging, not a measure: machines are busy.
jest.setTimeout(600_000);

const {
  after,
  batchTo,
  CANCEL,
  CLOSED,
  fact,
  foundingBatch,
  judgement,
  LAW,
  logSigner,
  ORIGIN,
  openedBody,
  runNamed,
  runtimeSigner,
  seededRandomness,
  trustDraft,
} = fixtures;
const ROUNDS = 8_000;
const CONTROL_EVERY = 100;
const COPY = ['entry', 'payload', 'incomplete', 'blob', 'malformed', 'newer', 'tooLarge', 'truncated'].map((code) => `copy.${code}`);
const FINDINGS = [
  ...['undecodable', 'position', 'prev', 'kind', 'time', 'cause', 'law', 'afterClose', 'signature'].map((code) => `entry.${code}`),
  'payload.commitment',
  'payload.missing',
  'erasure.signature',
  'law.body',
  'law.nonce',
  'law.ledger',
  'law.signature',
  'law.registry',
  'checkpoint.signature',
  'checkpoint.root',
  'checkpoint.size',
  'ledger.unfounded',
  'ledger.rolledBack',
  'ledger.untrusted',
  'blob.missing',
];
const codes = new Set([...COPY, ...FINDINGS]);
let lines: readonly string[];
let rows: readonly Row[];

beforeAll(async () => {
  const store = memoryLedger({ randomness: seededRandomness(3), signer: runtimeSigner(), logSigner: logSigner() });
  const took = async (batch: Parameters<typeof store.append>[0]): Promise<void> => {
    const appended = await store.append(batch);
    if (!appended.ok) throw new Error(`${appended.error.code}: ${appended.error.message}`);
  };
  await took(foundingBatch());
  const { fingerprint } = await store.head();
  if (fingerprint === null) throw new Error('not founded');
  await took(batchTo(LAW, 0, [trustDraft(fingerprint)]));
  await store.checkpoint();
  const run = runNamed('a');
  await took(batchTo(run, 'none', [fact('run.opened', openedBody(fingerprint, 'a'))]));
  const { blob, draft } = keeping.withBlob('a blob of its own');
  await took({ ...batchTo(run, 0, [draft]), blobs: [blob] });
  await took(batchTo(run, 1, [fact('run.cancelRequested', CANCEL, { at: after(3) })]));
  await took(batchTo(run, 2, [judgement('run.closed', CLOSED, { cause: 2, law: 1, at: after(3) })], 1));
  await store.checkpoint();
  const { size, root } = await store.head();
  const whole: string[] = [];
  for await (const line of exportLines(store, { fingerprint, origin: ORIGIN, size, root })) whole.push(textOf(line));
  lines = whole;
  rows = await rowsOf(store);
});

async function rowsOf(ledger: { rows(): AsyncIterable<readonly Row[]> }): Promise<Row[]> {
  const all: Row[] = [];
  for await (const page of ledger.rows()) all.push(...page);
  return all;
}

function textOf(bytes: Bytes): string {
  const text = utf8Decode(bytes);
  if (!text.ok) throw new Error(text.error.message);
  return text.value;
}

/** The file in chunks of odd lengths, counted. */
function source(file: Bytes): { open(): AsyncIterable<Bytes>; read(): number } {
  let read = 0;
  return {
    async *open() {
      for (let at = 0; at < file.length; at += 777) {
        const chunk = file.subarray(at, at + 777);
        read += chunk.length;
        yield chunk;
      }
    },
    read: () => read,
  };
}

/** What the command does: verify what is in the file, then store it. */
async function imported(file: Bytes): Promise<{ readonly outcome: Outcome; readonly read: number; readonly rows: readonly Row[] }> {
  const from = source(file);
  try {
    const copy = await readExport(from.open);
    const checkpoints: StoredCheckpoint[] = [];
    const found: Row[] = [];
    for await (const part of copy.parts()) {
      if (part.is === 'checkpoint') checkpoints.push(part.checkpoint);
      if (part.is === 'rows') found.push(...part.rows);
    }
    const report = await verifyLedger({ rows: pages(found), checkpoints, head: null, blob: async () => null }, { trust: null });
    const [finding] = report.findings;
    if (finding !== undefined) return { outcome: { ok: false, error: finding }, read: from.read(), rows: [] };
    const into = memoryLedger({ randomness: seededRandomness(4) });
    const taken = await into.keeper.copyIn(copy);
    return { outcome: taken, read: from.read(), rows: taken.ok ? await rowsOf(into) : [] };
  } catch (error) {
    if (error instanceof CopyFault) return { outcome: { ok: false, error }, read: from.read(), rows: [] };
    throw error;
  }
}
async function* pages(found: readonly Row[]): AsyncGenerator<readonly Row[]> {
  yield found;
}

const VALUES: readonly Json[] = [null, 0, 1, -1, 9_007_199_254_740_991, '', 'x', 'sha256:', [], {}, [[[[[]]]]], true];

/** One line with one member changed, somewhere in it. */
function mutateLine(line: string, chance: Chance): string {
  const json = parseJson(line.trim());
  if (!json.ok || typeof json.value !== 'object' || json.value === null || Array.isArray(json.value)) return line;
  const members: { [name: string]: Json } = { ...(json.value as { [name: string]: Json }) };
  const name = chance.pick(Object.keys(members));
  const value = members[name] ?? null;
  const inner = typeof value === 'string' && value.startsWith('{') ? parseJson(value) : undefined;
  if (inner?.ok === true && typeof inner.value === 'object' && inner.value !== null && chance.below(3) > 0) {
    const own: { [name: string]: Json } = { ...(inner.value as { [name: string]: Json }) };
    own[chance.pick(Object.keys(own))] = chance.pick(VALUES);
    members[name] = canonicalText(own);
  } else if (chance.below(4) === 0) delete members[name];
  else if (chance.below(3) === 0) members[chance.pick(['v', 'entry', 'part', 'blob', 'end', 'size'])] = chance.pick(VALUES);
  else members[name] = typeof value === 'string' && chance.below(2) === 0 ? mutateText(value, chance) : chance.pick(VALUES);
  try {
    return `${canonicalText(members)}\n`;
  } catch {
    // A mutated text may hold half a character, which no line can.
    return line;
  }
}

/** The last line as the lines before it are: a forger can count. */
function summed(changed: readonly string[]): string {
  const counts = { entries: 0, checkpoints: 0, blobs: 0 };
  let sum: Bytes = new Uint8Array(32);
  for (const line of changed) {
    sum = sha256(concatBytes(sum, utf8Encode(line)));
    if (line.includes('"entry":')) counts.entries += 1;
    else if (line.startsWith('{"checkpoint":')) counts.checkpoints += 1;
    else if (line.startsWith('{"blob":')) counts.blobs += 1;
  }
  return [...changed, `${canonicalText({ end: counts, sum: digestFromBytes(sum) })}\n`].join('');
}

function variation(chance: Chance): string {
  if (chance.below(3) === 0) return mutateText(lines.join(''), chance);
  const body = lines.slice(0, -1);
  const at = chance.below(body.length);
  const changed = [...body];
  const what = chance.below(6);
  if (what === 0) changed.splice(at, 1);
  else if (what === 1) changed.splice(at, 0, body[chance.below(body.length)] ?? '');
  else changed[at] = mutateLine(body[at] ?? '', chance);
  return summed(changed);
}

describe('a hostile export', () => {
  test('8 000 variations: a code each, every byte read at most twice and a little, and no entry or payload but the ledger’s own', async () => {
    const outcomes = new Outcomes();
    for (let round = 0; round < ROUNDS; round++) {
      const chance = new Chance(30_000_000 + round);
      const control = round % CONTROL_EVERY === 0;
      let file: Bytes;
      try {
        file = utf8Encode(control ? lines.join('') : variation(chance));
      } catch {
        // Half a character has no bytes: another variation in its place.
        file = utf8Encode('\n');
      }
      const { outcome, read, rows: stored } = await imported(file);
      insist(!control || outcome.ok, `control of round ${round}`);
      // The head, the parts for the verifier, the parts for the store.
      expect(read).toBeLessThanOrEqual(3 * file.length + 777);
      for (const [at, row] of stored.entries()) {
        const own = rows[at];
        const isOwn =
          own !== undefined &&
          equalBytes(row.entryBytes, own.entryBytes) &&
          (row.payload === null || equalBytes(row.payload, own.payload ?? row.payload));
        expect([round, at, isOwn]).toEqual([round, at, true]);
      }
      outcomes.take(outcome, codes, `round ${round}`);
    }
    expect(outcomes.idle(ROUNDS, 10)).toBeNull();
    for (const code of ['copy.incomplete', 'copy.malformed', 'copy.truncated', 'copy.blob', 'payload.commitment', 'checkpoint.signature'])
      expect([code, outcomes.counts.has(code)]).toEqual([code, true]);
  });

  test('a blob that is said to have 64 MiB and a line without end ask for no memory that they do not fill', async () => {
    const blob = `${canonicalText({ blob: `sha256:${'0'.repeat(64)}`, bytes: 64 * 1024 * 1024 })}\n`;
    const lying = utf8Encode(summed([...lines.filter((line) => !line.startsWith('{"end"') && !/^\{"(blob|part)/.test(line)), blob]));
    expect(await allocatedBy(globalThis, () => imported(lying))).toBeLessThan(2_000_000);
    const endless = utf8Encode(`${lines[0]}${'x'.repeat(1_500_000)}`);
    const { outcome } = await imported(endless);
    expect(outcome).toMatchObject({ ok: false, error: { code: 'copy.tooLarge' } });
  });
});
