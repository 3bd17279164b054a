/**
 * Drift by kind: one honest ledger, forged in one thing at a time and re-chained; each forgery is listed whole, at its index, under what it is about,
 * with both values. PROTOCOL §10 "drift is a list".
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { type AuditSource, DRIFT_KINDS, type DriftKind, deepVerify } from '@openexec/audit';
import { issueWrit, signBody, VOTE_TYPE } from '@openexec/authority';
import { type Bytes, canonicalBytes, type Digest, digestOf, type Json, ok } from '@openexec/canon';
import { blobOf, type Change, entriesOf, House, PEOPLE, RunDriver, rechained, SHIPPED, writeFile } from '@openexec/kernel/fixture';
import type { Stored } from '@openexec/ledger';
import type { Catalogue, SignedWrit, Vote } from '@openexec/protocol';

type Members = { readonly [name: string]: Json };
const members = (body: Json | null | undefined): Members => body as Members;

let house: House;
let run: RunDriver;
let honest: readonly Stored[];

beforeAll(async () => {
  house = await House.found();
  run = await RunDriver.open(house, { policySet: SHIPPED });
  // package.json is asked about, and one approver says yes.
  await run.answer([writeFile('package.json', '{}\n'), { name: 'read_file', arguments: { path: '.env' } }]);
  await run.vote('anna');
  await run.play({ answers: ['written'], tests: [true] });
  // The landing holds package.json, and is asked about as well.
  await run.vote('anna');
  await run.play();
  expect(run.state.closed?.outcome).toBe('done');
  honest = await entriesOf(house.store);
});

/** Blobs that a forger brings along, before those of the ledger. */
function withBlobs(source: AuditSource, more: ReadonlyMap<Digest, Bytes>): AuditSource {
  return {
    all: (from) => source.all(from),
    blob: async (digest) => {
      const own = more.get(digest);
      return own === undefined ? source.blob(digest) : ok(own);
    },
  };
}
async function judged(change: Change, blobs: ReadonlyMap<Digest, Bytes> = new Map()) {
  const report = await deepVerify(withBlobs(rechained(honest, house.store, change), blobs));
  const found = report.runs.find((each) => each.run === run.run);
  if (found === undefined) throw new Error('the run is not there');
  return { report, found };
}
/** Changes the body of the n-th entry of a kind in the run. */
function inBody(kind: string, alter: (body: Members) => Json, nth = 0): { readonly change: Change; readonly index: bigint } {
  const found = honest.filter(({ entry }) => entry.kind === kind && entry.trajectory === run.run)[nth];
  if (found === undefined) throw new Error(`no ${kind}`);
  const change: Change = (stored, body) => [{ entry: {}, body: stored.index === found.index ? alter(members(body)) : body }];
  return { change, index: found.index };
}
/** `run.opened` naming other law than it was judged under. */
function openedWith(name: 'policySet' | 'catalogue', value: Json): { readonly change: Change; readonly blobs: ReadonlyMap<Digest, Bytes> } {
  const { ref, digest, bytes } = blobOf(value);
  return { change: inBody('run.opened', (body) => ({ ...body, [name]: ref })).change, blobs: new Map([[digest, bytes]]) };
}

test('an honest ledger has no drift of any kind', async () => {
  const { report, found } = await judged((_, body) => [{ entry: {}, body }]);
  expect(found).toMatchObject({ verdict: 'agrees', divergences: [], omitted: 0 });
  expect(report.totals.drift).toEqual(Object.fromEntries(DRIFT_KINDS.map((kind) => [kind, 0])));
});

describe('a forged ledger', () => {
  function expectAbout(result: Awaited<ReturnType<typeof judged>>, about: DriftKind): void {
    const { report, found } = result;
    expect(found.verdict).toBe('diverges');
    expect(found.divergences.map((each) => each.about)).toContain(about);
    // Complete: every difference is listed with its place, and the counts by kind are those of the list.
    expect(found.omitted).toBe(0);
    const counted = Object.values(report.totals.drift).reduce((sum, count) => sum + count, 0);
    expect(counted).toBe(report.totals.divergences);
    expect(report.totals.drift[about]).toBe(found.divergences.filter((each) => each.about === about).length);
    for (const each of found.divergences) {
      expect(honest.length).toBeGreaterThan(Number(each.index));
      expect([each.expected, each.recorded].some((value) => value !== null)).toBe(true);
    }
  }

  test('in what the compiler said is drift of the compiler', async () => {
    const { change, index } = inBody(
      'policy.decided',
      (body) => ({ ...body, trace: { inline: { ...members(members(body['trace'])['inline']), reached: 3 } } }),
      0,
    );
    const result = await judged(change);
    expectAbout(result, 'compiler');
    expect(result.found.divergences).toMatchObject([{ index, what: 'payload', drift: [{ path: '/trace/inline/reached', recorded: '3' }] }]);
  });

  test('in the content of its policy is drift of policy, at every decision that it touches', async () => {
    const [layer] = SHIPPED.layers;
    if (layer === undefined) throw new Error('no layer');
    const rules = layer.bundle.rules.map((rule) => (rule.id === 'deny-secret-reads' ? { ...rule, because: 'another reason' } : rule));
    const forged = { ...SHIPPED, layers: [{ ...layer, bundle: { ...layer.bundle, rules } }] } as unknown as Json;
    const { change, blobs } = openedWith('policySet', forged);
    const result = await judged(change, blobs);
    expectAbout(result, 'policy');
    const decisions = honest.filter(({ entry }) => entry.kind === 'policy.decided' && entry.trajectory === run.run).length;
    // The digest of the set stands in each decision, and in what approvers signed.
    expect(result.found.divergences.filter(({ kind }) => kind.recorded === 'policy.decided').length).toBeGreaterThanOrEqual(decisions - 1);
  });

  test('in its catalogue is drift of the catalogue', async () => {
    const catalogue = JSON.parse(new TextDecoder().decode(await blobNamed('catalogue'))) as Catalogue;
    const actions = catalogue.actions.filter(({ name }) => name !== 'read_file');
    const { change, blobs } = openedWith('catalogue', { ...catalogue, actions });
    const result = await judged(change, blobs);
    expectAbout(result, 'catalogue');
    expect(result.found.divergences.find(({ about }) => about === 'catalogue')).toMatchObject({
      expected: expect.stringContaining('action.unknown'),
    });
  });

  test('in its writ, signed again by the issuer, is drift of the writ', async () => {
    const { change } = inBody('run.opened', (body) => {
      const [writ] = body['writs'] as unknown as readonly SignedWrit[];
      if (writ === undefined) throw new Error('no writ');
      const narrower = issueWrit({ writ: { ...writ.body, actions: ['model.ask', 'apply_patch', 'run_tests'] }, seed: PEOPLE.issuer.seed });
      return { ...body, writs: [narrower] as unknown as Json };
    });
    const result = await judged(change);
    expectAbout(result, 'writ');
    expect(result.found.divergences.find(({ about }) => about === 'writ')).toMatchObject({
      expected: expect.stringContaining('writ.scope'),
    });
  });

  test('in a vote, signed again by the voter, is drift of the vote', async () => {
    const { change } = inBody('approval.voted', (body) => {
      const vote = members(body['vote'])['body'] as unknown as Vote;
      const turned = signBody({ type: VOTE_TYPE, body: { ...vote, decision: 'deny' as const }, seeds: [PEOPLE.anna.seed] });
      return { vote: turned as unknown as Json };
    });
    const result = await judged(change);
    expectAbout(result, 'vote');
    expect(result.found.divergences[0]).toMatchObject({
      kind: { expected: 'approval.resolved', recorded: 'approval.resolved' },
      drift: expect.arrayContaining([expect.objectContaining({ path: '/outcome', expected: '"denied"', recorded: '"approved"' })]),
    });
  });

  test('in a signature of a vote, and in that of the writ, is drift of the signature', async () => {
    const [other] = signBody({ type: VOTE_TYPE, body: { other: true }, seeds: [PEOPLE.anna.seed] }).signatures;
    if (other === undefined) throw new Error('no signature');
    const vote = await judged(
      inBody('approval.voted', (body) => ({ vote: { ...members(body['vote']), signatures: [{ ...other }] } })).change,
    );
    expectAbout(vote, 'signature');
    expect(vote.found.divergences[0]?.expected).toBe('fact.noted');
    const writ = await judged(
      inBody('run.opened', (body) => {
        const [first] = body['writs'] as unknown as readonly SignedWrit[];
        return {
          ...body,
          writs: [{ ...first, signatures: [{ key: first?.signatures[0]?.key ?? '', value: other.value }] }] as unknown as Json,
        };
      }).change,
    );
    expectAbout(writ, 'signature');
  });

  test('in what was committed is drift of the world, with the root that the commits make', async () => {
    const forged = digestOf('another world');
    const { change, index } = inBody('commit.recorded', (body) => ({ ...body, worldRoot: forged }));
    const result = await judged(change);
    expectAbout(result, 'world');
    expect(result.found.divergences[0]).toMatchObject({
      index,
      drift: [{ path: '/worldRoot', expected: expect.stringMatching(/^"sha256:/), recorded: `"${forged}"` }],
    });
  });

  test('in the law position that it cites is drift of the order', async () => {
    const place = honest.find(({ entry }) => entry.kind === 'stage.entered');
    const result = await judged((stored, body) => [{ entry: stored.index === place?.index ? { law: 1 } : {}, body }]);
    expectAbout(result, 'order');
  });

  test('in several things lists each of them, never only the first', async () => {
    const world = inBody('commit.recorded', (body) => ({ ...body, worldRoot: digestOf('another world') }));
    const spend = inBody('run.closed', (body) => ({ ...body, spend: { tokens: 1, usdMicros: 1, calls: 1 } }));
    const verdict = inBody('policy.decided', (body) => ({ ...body, verdict: 'permit' }), 3);
    const all = [world, spend, verdict];
    const { found } = await judged((stored, body) => {
      const hit = all.find(({ index }) => index === stored.index);
      return hit === undefined ? [{ entry: {}, body }] : hit.change(stored, body ?? {});
    });
    expect(found.divergences.map(({ index }) => index)).toEqual(all.map(({ index }) => index).sort((a, b) => Number(a - b)));
  });

  test('in more places than a list is long is counted whole and listed in part', async () => {
    const closing = honest.find(({ entry }) => entry.kind === 'run.closed');
    const noise = canonicalBytes({}).length; // Entries that no kernel makes, more than are listed.
    const { report, found } = await judged((stored, body) =>
      stored.index !== closing?.index
        ? [{ entry: {}, body }]
        : [
            ...Array.from({ length: 1500 }, (_, at) => ({
              entry: { kind: 'fact.noted' as const },
              body: { why: 'forged.note', message: `${at} ${noise}`, violation: false },
            })),
            { entry: {}, body },
          ],
    );
    expect(found.divergences).toHaveLength(1000);
    expect(found.omitted).toBeGreaterThanOrEqual(500);
    expect(report.totals.divergences).toBe(1000 + found.omitted);
  });
});

async function blobNamed(name: 'catalogue'): Promise<Bytes> {
  const read = await house.store.blob(run.opened.body[name].digest);
  if (!read.ok) throw new Error(read.error.message);
  return read.value;
}
