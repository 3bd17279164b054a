/**
 * What the runtime would not take as law, `verify` names, and nothing else: both readers of `law`, the one with schemas and the one written by hand, held
 * against each other over law that is sound, broken in every member, and signed anew by the very keys. PROTOCOL §§5, 10.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { bodyType, emptyLaw, foldLaw, signBody, writId } from '@openexec/authority';
import type { Bytes, Digest, Json, KeyId } from '@openexec/canon';
import { blobOf, entriesOf, House, keyOf, PEOPLE, type Person, rechained } from '@openexec/kernel/fixture';
import type { Stored } from '@openexec/ledger';
import { SOLO } from '@openexec/policy';
import { verifyLedger } from '@openexec/verify';

/** Bodies are JSON by their schemas; only their interfaces lack the index signature. */
const asJson = (value: unknown): Json => value as Json;
type Members = { readonly [name: string]: Json };
const WRIT_TYPE = 'application/vnd.openexec.writ.v1+json';
const membersOf = (json: Json | undefined): Members => {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new Error('no object');
  return json as Members;
};
let house: House;
let honest: readonly Stored[];
const bundle = blobOf(asJson(SOLO));
const blobs = new Map<Digest, Bytes>([[bundle.digest, bundle.bytes]]);

beforeAll(async () => {
  house = await House.found();
  await house.adopt(SOLO);
  const standing = house.writ({ use: 'standing' });
  const other = house.writ({ use: 'standing', tenant: 'other' });
  for (const writ of [standing, other]) await house.appendLaw('writ.issued', asJson({ writ }));
  const id = { writ: writId(standing.body) };
  await house.enact('writ.revoked', { ...id, because: 'stop' }, 'issuer');
  await house.enact('writ.revoked', { ...id, because: 'stop' }, 'root');
  await house.enact('writ.restored', { ...id, because: 'on' }, 'root');
  await house.retire('cleo');
  honest = await entriesOf(house.store);
});

/** Positions that each reader refuses. */
async function refused(source: { readonly entries: readonly Stored[] }): Promise<{ readonly fold: number[]; readonly verify: number[] }> {
  let law = emptyLaw();
  const fold: number[] = [];
  for (const { entry, leaf, payload } of source.entries) {
    const body = JSON.parse(new TextDecoder().decode(payload ?? new Uint8Array())) as Json;
    const next = foldLaw(law, { seq: entry.seq, kind: entry.kind, body, at: entry.at, leaf, blobs });
    if (!next.ok) fold.push(entry.seq);
    law = next.ok ? next.value : { ...law, position: entry.seq };
  }
  async function* rows() {
    yield source.entries.map(({ entryBytes, payload, salt }) => ({ entryBytes, payload, salt }));
  }
  const report = await verifyLedger({ rows: rows(), checkpoints: [], head: null }, { trust: null });
  // Kinds and their places are the trajectory's business, bodies the law's.
  const named = (code: string): boolean => code.startsWith('law.') || code === 'entry.kind';
  const found = report.findings.filter(({ code }) => named(code)).flatMap(({ index }) => (index === null ? [] : [index]));
  expect(report.findings.filter(({ code }) => !named(code))).toEqual([]);
  return { fold, verify: [...new Set(found)] };
}

/** The ledger with the payload of one law entry replaced. */
const withPayload = (at: number, payload: Json) =>
  rechained(honest, house.store, (stored, body) => [{ entry: {}, body: stored.entry.seq === at ? payload : body }]);

/** The payload of an entry with another body, signed by whoever signed it. */
function signedAgain(at: number, body: Json): Json {
  const { kind, payload } = parts(at);
  const outer = kind === 'writ.issued' ? membersOf(payload['writ']) : payload;
  const [signature] = outer['signatures'] as readonly Json[];
  const seed = seedOf(membersOf(signature)['key'] as KeyId);
  const type = kind === 'writ.issued' ? WRIT_TYPE : bodyType(kind);
  const signed = asJson(signBody({ type, body: asJson(body) as Members, seeds: [seed] }));
  return kind === 'writ.issued' ? { writ: signed } : signed;
}
function parts(at: number): { readonly kind: string; readonly payload: Members; readonly body: Members } {
  const stored = honest[at];
  if (stored?.payload === null || stored === undefined) throw new Error('no such entry');
  const payload = membersOf(JSON.parse(new TextDecoder().decode(stored.payload)) as Json);
  const outer = stored.entry.kind === 'writ.issued' ? membersOf(payload['writ']) : payload;
  return { kind: stored.entry.kind, payload, body: membersOf(outer['body']) };
}
function seedOf(key: KeyId): Bytes {
  const person = (Object.keys(PEOPLE) as Person[]).find((each) => keyOf(each) === key);
  if (person === undefined) throw new Error(`nobody has the key ${key}`);
  return PEOPLE[person].seed;
}

/** What stands in the place of a member: other types, other values, nothing. */
const OTHERS: readonly (Json | undefined)[] = [undefined, null, '', 'x', 'a'.repeat(3000), -1, 1.5, 7, true, [], ['x'], {}, { a: 1 }];

describe('law that is no law', () => {
  test('sound law is refused by neither reader', async () => {
    const source = rechained(honest, house.store, (_, body) => [{ entry: {}, body }]);
    expect(honest.length).toBeGreaterThan(12);
    expect(await refused(source)).toEqual({ fold: [], verify: [] });
  });

  test('a body with any member missing, changed or too much, signed anew, is refused by both or by none', async () => {
    let broken = 0;
    const kinds = new Set<string>();
    for (const at of honest.keys()) {
      const { kind, body } = parts(at);
      if (kinds.has(kind)) continue;
      kinds.add(kind);
      for (const name of [...Object.keys(body), 'extra'])
        for (const value of OTHERS) {
          // What a bundle says is the deep verifier's to look at: this reader has no blobs.
          if (name === 'bundle') continue;
          const { [name]: _, ...rest } = body;
          const source = withPayload(at, signedAgain(at, value === undefined ? rest : { ...rest, [name]: value }));
          const told = await refused(source);
          expect([kind, name, value, told.verify]).toEqual([kind, name, value, told.fold]);
          if (told.fold.includes(at)) broken += 1;
        }
    }
    expect([...kinds].sort()).toEqual([
      'key.retired',
      'key.trusted',
      'ledger.founded',
      'policy.adopted',
      'writ.issued',
      'writ.restored',
      'writ.revoked',
    ]);
    expect(broken).toBeGreaterThan(300);
  }, 120_000);

  test('a payload that is no signed body, or signed by nobody, is named', async () => {
    for (const at of [0, 3, 7, 9]) {
      const { payload } = parts(at);
      const bare: readonly Json[] = [
        'text',
        [],
        {},
        { body: {} },
        { ...payload, extra: 1 },
        { ...payload, signatures: [] },
        { ...payload, signatures: 'x' },
      ];
      for (const other of bare) {
        const told = await refused(withPayload(at, other));
        expect([at, other, told.verify.includes(at)]).toEqual([at, other, true]);
        expect([at, other, told.verify]).toEqual([at, other, told.fold]);
      }
    }
  });

  test('what is signed well and makes no sense is named: founded twice, retired twice, without a root, restored without cause, revoked by a stranger', async () => {
    const ledger = house.fingerprint;
    let nonce = 0;
    const more = (kind: string, body: Members, by: Person): Stored[] => {
      nonce += 1;
      const full = kind === 'ledger.founded' ? body : { ledger, nonce: nonce.toString(16).padStart(32, 'f'), ...body };
      const type = bodyType(kind);
      const payload = asJson(signBody({ type, body: full, seeds: [PEOPLE[by].seed] }));
      const last = honest.at(-1);
      if (last === undefined) throw new Error('empty');
      // The last entry once more, as another kind with another body.
      let seen = 0;
      const { entries } = rechained([...honest, last], house.store, (stored, own) => {
        seen += stored === last ? 1 : 0;
        return seen === 2 ? [{ entry: { kind: kind as 'key.retired' }, body: payload }] : [{ entry: {}, body: own }];
      });
      return [...entries];
    };
    const restored = parts(honest.findIndex(({ entry }) => entry.kind === 'writ.restored')).body['writ'] ?? null;
    const rows: readonly (readonly [string, Stored[]])[] = [
      ['founded twice', more('ledger.founded', parts(0).body, 'root')],
      ['retired twice', more('key.retired', { key: keyOf('cleo'), because: '' }, 'root')],
      ['the last root', more('key.retired', { key: keyOf('root'), because: '' }, 'root')],
      ['unknown key', more('key.retired', { key: keyOf('stranger'), because: '' }, 'root')],
      ['restored without cause', more('writ.restored', { writ: restored, because: '' }, 'issuer')],
      ['no kind of law', more('run.opened', { writ: restored }, 'root')],
      ['a lower registry', more('ledger.upgraded', { registry: 1 }, 'root')],
    ];
    for (const [what, entries] of rows) {
      const told = await refused({ entries });
      expect([what, told]).toEqual([what, { fold: [entries.length - 1], verify: [entries.length - 1] }]);
    }
  });
});
