/**
 * The tamper matrix: every byte of a ledger of 60 events, every class of byte of one of 1,000, and every way to rearrange or rewrite without the keys.
 * All of it is found by the production verifier, and the first bad index is named. The counts are printed. GOALS §4.
 */
import { afterAll, describe, expect, test } from '@jest/globals';
import { type Bytes, digestFromBytes, toBase64 } from '@openexec/canon';
import { commitmentOf, decodeEntry, type Entry, encodeEntry, entrySigningBytes, memoryLedger, type Row } from '@openexec/ledger';
import { fixtures } from '@openexec/ledger/contract';
import { keyIdOf, leafHash, publicKeyOf, sign } from '@openexec/proof';
import { type LedgerSource, type VerifyReport, verifyLedger } from '@openexec/verify';

const { after, batchTo, CLOSED, fact, judgement, LAW, NOTED, runNamed, SEEDS, seededRandomness, trustDraft } = fixtures;
const TIME_MS = 900_000;

interface Ledger {
  readonly rows: readonly Row[];
  readonly checkpoints: readonly { readonly size: bigint; readonly note: string }[];
  readonly fingerprint: Entry['commitment'];
}

/** Law, then runs of eight entries that end with a signed close; a checkpoint after every `every` entries and at the end. */
async function ledgerOf(size: number, every: number): Promise<Ledger> {
  const store = memoryLedger({ randomness: seededRandomness(size), signer: fixtures.runtimeSigner(), logSigner: fixtures.logSigner() });
  let entries = 0;
  const took = async (batch: Parameters<typeof store.append>[0]): Promise<Entry['commitment']> => {
    const result = await store.append(batch);
    const [first] = result.ok ? result.value.stored : [];
    if (first === undefined) throw new Error(result.ok ? 'nothing was stored' : result.error.message);
    entries += 1;
    if (entries % every === 0) await store.checkpoint();
    return first.leaf;
  };
  const fingerprint = await took(fixtures.foundingBatch());
  await took(batchTo(LAW, 0, [trustDraft(fingerprint)]));
  for (let number = 0; entries < size; number++) {
    const run = runNamed(`run ${number}`);
    const at = after(entries);
    await took(batchTo(run, 'none', [fact('run.opened', fixtures.openedBody(fingerprint, `run ${number}`), { at })]));
    await took(batchTo(run, 0, [judgement('fact.noted', NOTED, { cause: 0, law: 1, at })], 1));
    for (let seq = 2; seq < 8 && entries < size; seq++) {
      if (seq % 2 === 0) await took(batchTo(run, seq - 1, [fact('run.cancelRequested', { because: `step ${seq}` }, { at })]));
      else if (seq < 7) await took(batchTo(run, seq - 1, [judgement('fact.noted', NOTED, { cause: seq - 1, law: 1, at })], 1));
      else await took(batchTo(run, seq - 1, [judgement('run.closed', CLOSED, { cause: seq - 1, law: 1, at })], 1));
    }
  }
  await store.checkpoint();
  const [rows, checkpoints]: [Row[], { size: bigint; note: string }[]] = [[], []];
  for await (const page of store.rows()) rows.push(...page);
  for await (const checkpoint of store.checkpoints()) checkpoints.push(checkpoint);
  return { rows, checkpoints, fingerprint };
}

function verify(rows: readonly Row[], checkpoints: Ledger['checkpoints'], head: LedgerSource['head'] = null): Promise<VerifyReport> {
  async function* pages(): AsyncGenerator<readonly Row[]> {
    yield rows;
  }
  return verifyLedger({ rows: pages(), checkpoints, head }, { trust: null });
}

function rowAt(rows: readonly Row[], index: number): Row {
  const row = rows[index];
  if (row === undefined) throw new Error(`no row ${index}`);
  return row;
}

function entryOf(row: Row): Entry {
  const entry = decodeEntry(row.entryBytes);
  if (!entry.ok) throw new Error(entry.error.message);
  return entry.value;
}

type Column = 'entryBytes' | 'payload' | 'salt';
const COLUMNS: readonly Column[] = ['entryBytes', 'payload', 'salt'];

function flipped(rows: readonly Row[], index: number, column: Column, at: number, bit: number): Row[] {
  const bytes = Uint8Array.from(rowAt(rows, index)[column] ?? []);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
  return rows.map((row, place) => (place === index ? { ...row, [column]: bytes } : row));
}

const counts = new Map<string, number>();
const missed: string[] = [];

/** Counts a tampering, and keeps it where it was not found or its index is not `firstBad`. */
async function tampered(
  what: string,
  where: string,
  report: Promise<VerifyReport>,
  firstBad: (index: number | null) => boolean,
): Promise<void> {
  const found = await report;
  counts.set(what, (counts.get(what) ?? 0) + 1);
  if (found.sound || !firstBad(found.firstBad)) missed.push(`${what} ${where}: sound ${found.sound}, first bad ${found.firstBad}`);
}

afterAll(() => {
  const told = [...counts].map(([what, count]) => `${count} ${what}`).join(', ');
  process.stderr.write(`tamper matrix: ${told}; ${missed.length} missed\n`);
});

/** From where on the parts of an entry are told apart: each class of byte is a member's name or value. */
function classesOf(row: Row): readonly { readonly column: Column; readonly at: number }[] {
  const places: { column: Column; at: number }[] = [];
  const text = Buffer.from(row.entryBytes).toString('latin1');
  for (const { index, 0: member } of text.matchAll(/"[a-zA-Z]+":/g))
    places.push({ column: 'entryBytes', at: index + 1 }, { column: 'entryBytes', at: index + member.length + 1 });
  places.push({ column: 'entryBytes', at: 0 }, { column: 'entryBytes', at: row.entryBytes.length - 1 });
  for (const column of ['payload', 'salt'] as const)
    for (const share of [0, 0.5, 1]) places.push({ column, at: Math.round(((row[column]?.length ?? 1) - 1) * share) });
  return places;
}

/** Somebody with the whole file and no key: changes a payload and makes everything fit again that needs no signature; `key` signs what was signed. */
function rechained(ledger: Ledger, index: number, key: Bytes | null): Row[] {
  const heads = new Map<string, Entry['prev']>();
  return ledger.rows.map((row, at) => {
    const { sig, ...entry } = entryOf(row);
    if (row.payload === null || row.salt === null) throw new Error('nothing is erased here');
    const payload =
      at === index
        ? Uint8Array.from(
            Buffer.from(
              Buffer.from(row.payload)
                .toString()
                .replace(/[a-z](?="\}?)/, 'z~'),
            ),
          )
        : row.payload;
    const unsigned: Entry = {
      ...entry,
      prev: heads.get(entry.trajectory) ?? null,
      commitment: commitmentOf(row.salt, payload),
      bytes: payload.length,
    };
    const resigned =
      sig === undefined
        ? unsigned
        : key === null
          ? { ...unsigned, sig }
          : {
              ...unsigned,
              sig: { key: keyIdOf(publicKeyOf(key)), value: toBase64(sign(key, entrySigningBytes(unsigned, ledger.fingerprint))) },
            };
    const entryBytes = encodeEntry(resigned);
    heads.set(entry.trajectory, digestFromBytes(leafHash(entryBytes)));
    return { entryBytes, payload, salt: row.salt };
  });
}

describe('the tamper matrix', () => {
  test(
    'every byte of every entry, payload and salt of 60 events: all found, at their index',
    async () => {
      const { rows, checkpoints } = await ledgerOf(60, 1);
      expect((await verify(rows, checkpoints)).sound).toBe(true);
      for (const [index, row] of rows.entries())
        for (const column of COLUMNS) {
          // A checkpoint right behind the entry lets the tree name it, whatever its trajectory.
          const behind = column === 'entryBytes' ? checkpoints.filter(({ size }) => size === BigInt(index + 1)) : [];
          for (let at = 0; at < (row[column]?.length ?? 0); at++)
            await tampered(
              `bytes of ${column}`,
              `${index}.${at}`,
              verify(flipped(rows, index, column, at, at % 8), behind),
              (bad) => bad === index,
            );
        }
      expect(missed).toEqual([]);
      expect(counts.get('bytes of salt')).toBe(60 * 32);
    },
    TIME_MS,
  );

  test(
    'a byte of each class of 1,000 events: all found, at their index or behind it where only a later checkpoint tells',
    async () => {
      const { rows, checkpoints } = await ledgerOf(1000, 100);
      expect((await verify(rows, checkpoints)).sound).toBe(true);
      const last = checkpoints.slice(-1);
      // Every entry is touched; its classes by turns, so that each class meets every kind and place.
      for (const [index, row] of rows.entries()) {
        const classes = classesOf(row);
        for (let turn = 0; turn < 3; turn++) {
          const { column, at } = classes[(index * 3 + turn) % classes.length] ?? { column: 'salt', at: 0 };
          const exact =
            column === 'entryBytes' ? (bad: number | null) => bad !== null && bad >= index : (bad: number | null) => bad === index;
          await tampered(`classes of ${column}`, `${index}.${at}`, verify(flipped(rows, index, column, at, turn), last), exact);
        }
      }
      expect(missed).toEqual([]);
    },
    TIME_MS,
  );

  test(
    'deleting, swapping, repeating, cutting off, chaining anew without the key, signing by another: all found in 1,000 events',
    async () => {
      const ledger = await ledgerOf(1000, 1000);
      const { rows, checkpoints } = ledger;
      const root = (await verify(rows, checkpoints)).root;
      const head = { size: 1000n, root: Uint8Array.from(Buffer.from(root.slice(7), 'hex')), fingerprint: ledger.fingerprint };
      const near = (index: number) => (bad: number | null) => bad !== null && bad >= index;
      for (let index = 0; index < rows.length; index += 7) {
        const without = rows.filter((_, at) => at !== index);
        await tampered('deleted', `${index}`, verify(without, checkpoints), near(index));
        const repeated = [...rows.slice(0, index + 1), ...rows.slice(index)];
        await tampered('repeated', `${index}`, verify(repeated, checkpoints), (bad) => bad === index + 1);
        await tampered('cut off', `${index}`, verify(rows.slice(0, index), checkpoints), () => true);
        await tampered('cut off, head elsewhere', `${index}`, verify(rows.slice(0, index), [], head), () => true);
        if (index + 1 < rows.length) {
          const swapped = [...rows.slice(0, index), rowAt(rows, index + 1), rowAt(rows, index), ...rows.slice(index + 2)];
          await tampered('swapped', `${index}`, verify(swapped, checkpoints), near(index));
        }
        await tampered('chained anew', `${index}`, verify(rechained(ledger, index, null), checkpoints), (bad) => bad !== null);
        await tampered(
          'signed by another',
          `${index}`,
          verify(rechained(ledger, index, SEEDS.stranger), checkpoints),
          (bad) => bad !== null,
        );
        await tampered('chained anew, head elsewhere', `${index}`, verify(rechained(ledger, index, null), [], head), (bad) => bad !== null);
      }
      expect(missed).toEqual([]);
      expect(counts.get('deleted')).toBe(143);
    },
    TIME_MS,
  );
});
