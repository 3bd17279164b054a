/**
 * What strangers hand in (checkpoints, proofs, requests of the witness protocol, cosignatures, policies, tiles) in 74 000 hostile variations: every one
 * ends in a value with a code of its format, none throws, none makes the reader fetch or allocate without bound, and none proves what is not so.
 */
import { beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type Bytes, concatBytes, equalBytes, ok, utf8Encode } from '@openexec/canon';
import {
  addSignatureLines,
  consistencyFromTiles,
  consistencyProof,
  cosign,
  EMPTY_ROOT,
  entryFromTiles,
  formatAddCheckpoint,
  formatCosignerVkey,
  formatTlogProof,
  formatVkey,
  inclusionFromTiles,
  inclusionProof,
  judgeAddCheckpoint,
  judgeByPolicy,
  leafHash,
  openCheckpoint,
  openCosignatures,
  parseAddCheckpoint,
  parseCosignerVkey,
  parseEntryBundle,
  parseTilePath,
  parseTlogPolicy,
  parseTlogProof,
  parseVkey,
  rootFromTiles,
  seedSigner,
  signCheckpoint,
  TileBuilder,
  type TileReader,
  tilePath,
  treeRoot,
  verifyConsistency,
  verifyTlogProof,
} from '../src/index.ts';
import { allocatedBy, Chance, insist, mutateBytes, mutateText, Outcomes } from '@openexec/proof/hostile';

// Against hanging, not a measure: machines are busy.
jest.setTimeout(600_000);

const ROUNDS = 10_000;
/** One control among so many variations. */
const CONTROL_EVERY = 100;
/** Inputs are below 100 kB; what is asked for in arrays stays within some copies of that. */
const MOST_ALLOCATED = 4_000_000;
const MOST_READS = 64;
const ORIGIN = 'log.example/fuzz';
const log = seedSigner({ keyName: ORIGIN, seed: new Uint8Array(32).fill(1) });
const witness = seedSigner({ keyName: 'witness.example/f', seed: new Uint8Array(32).fill(2) });
const VKEY = formatVkey(log);
const COSIGNER = (() => {
  const parsed = parseCosignerVkey(formatCosignerVkey(witness));
  if (!parsed.ok) throw new Error(parsed.error.message);
  return parsed.value;
})();
const SIZE = 300;
const entries = Array.from({ length: SIZE }, (_, at) => utf8Encode(`entry ${at}`));
const leaves = entries.map(leafHash);
const roots = Array.from({ length: SIZE + 1 }, (_, size) => treeRoot(leaves.slice(0, size)));
const rootAt = (size: number): Bytes => roots[size] ?? EMPTY_ROOT;
const node = (level: number, index: bigint): Bytes => treeRoot(leaves.slice(Number(index) << level, (Number(index) + 1) << level));

const NOTE = ['note.malformed', 'note.tooLarge', 'note.tooManySignatures', 'note.ambiguousKey', 'note.badSignature', 'note.unverified'];
const VKEYS = ['vkey.malformed', 'vkey.unknownAlgorithm', 'vkey.wrongKeyId'];
const CHECKPOINT = [...NOTE, ...VKEYS, 'checkpoint.malformed', 'checkpoint.notByOrigin'];
const PROOF = ['proof.badIndex', 'proof.badSize', 'proof.badHash', 'proof.wrongLength', 'proof.rootMismatch'];
const set = (...codes: readonly string[]): ReadonlySet<string> => new Set(codes);

let notes: readonly string[];
let proofs: readonly string[];
let requests: readonly string[];
let cosigned: readonly string[];

beforeAll(async () => {
  const noteOf = async (size: number): Promise<string> => {
    const note = await signCheckpoint({ origin: ORIGIN, size: BigInt(size), root: rootAt(size) }, log);
    if (!note.ok) throw new Error(note.error.message);
    return note.value;
  };
  notes = await Promise.all([1, 7, 256, SIZE].map(noteOf));
  const note = notes[3] ?? '';
  proofs = [0, 1, 255, 256, SIZE - 1].map((at) => {
    const hashes = inclusionProof(node, BigInt(at), BigInt(SIZE));
    return formatTlogProof({ index: BigInt(at), hashes, checkpoint: note, ...(at === 1 ? { extra: utf8Encode('extra') } : {}) });
  });
  requests = [0, 1, 7, 256, SIZE].map((oldSize) =>
    formatAddCheckpoint({ oldSize: BigInt(oldSize), proof: consistencyProof(node, BigInt(oldSize), BigInt(SIZE)), checkpoint: note }),
  );
  cosigned = await Promise.all(
    notes.map(async (each, at) => {
      const line = await cosign(each.slice(0, each.indexOf('\n\n') + 1), witness, BigInt(1_700_000_000 + at));
      const joined = addSignatureLines(each, line);
      if (!joined.ok) throw new Error(joined.error.message);
      return joined.value;
    }),
  );
});

/** Plays `rounds` variations of texts; every hundredth is the example itself, which must be taken. */
function playTexts(
  examples: readonly string[],
  options: { readonly seed: number; readonly codes: ReadonlySet<string>; readonly rounds?: number },
  read: (text: string) => { readonly ok: true } | { readonly ok: false; readonly error: { readonly code: string } },
): Outcomes {
  const outcomes = new Outcomes();
  for (let round = 0; round < (options.rounds ?? ROUNDS); round++) {
    const chance = new Chance(options.seed * 1_000_003 + round);
    const example = chance.pick(examples);
    const control = round % CONTROL_EVERY === 0;
    const text = control ? example : mutateText(example, chance, examples);
    const outcome = read(text);
    if (control && !outcome.ok) throw new Error(`round ${round}: the example itself was refused with ${outcome.error.code}`);
    outcomes.take(outcome, options.codes, `seed ${options.seed}, round ${round}, ${JSON.stringify(text.slice(0, 300))}`);
  }
  return outcomes;
}

describe('hostile texts', () => {
  test('checkpoints: 10 000 variations; what opens is what the log signed', () => {
    const outcomes = playTexts(notes, { seed: 1, codes: set(...CHECKPOINT) }, (text) => {
      const opened = openCheckpoint(text, [VKEY]);
      insist(!opened.ok || equalBytes(opened.value.root, rootAt(Number(opened.value.size))), text);
      return opened;
    });
    expect(outcomes.idle(ROUNDS, 3)).toBeNull();
  });

  test('tlog-proofs: 15 000 variations; what verifies proves an entry that is there', () => {
    const outcomes = playTexts(proofs, { seed: 2, codes: set(...CHECKPOINT, ...PROOF, 'tlogProof.malformed'), rounds: 15_000 }, (text) => {
      const parsed = parseTlogProof(text);
      if (!parsed.ok) return parsed;
      const at = Number(parsed.value.index);
      const verified = verifyTlogProof({ proof: text, leaf: leaves[at] ?? leafHash(utf8Encode('no such entry')), vkeys: [VKEY] });
      insist(!verified.ok || at < SIZE, text);
      return verified;
    });
    expect(outcomes.idle(15_000, 5)).toBeNull();
  });

  test('consistency bodies: 15 000 requests to a witness; it goes on only to a tree that continues its own', () => {
    const codes = set(...CHECKPOINT, 'addCheckpoint.malformed', ...['400', '403', '409', '422'].map((status) => `status.${status}`));
    const outcomes = playTexts(requests, { seed: 3, codes, rounds: 15_000 }, (text) => {
      const request = parseAddCheckpoint(text);
      if (!request.ok) return request;
      const { oldSize } = request.value;
      const known = oldSize > 0n && oldSize <= BigInt(SIZE) ? { size: oldSize, root: rootAt(Number(oldSize)) } : null;
      const answer = judgeAddCheckpoint(request.value, { vkeys: [VKEY], last: known });
      if (answer.status !== 200) return { ok: false, error: { code: `status.${answer.status}` } };
      insist(equalBytes(answer.body.root, rootAt(Number(answer.body.size))), text);
      return ok(undefined);
    });
    expect(outcomes.idle(15_000, 5)).toBeNull();
  });

  test('cosignatures and the policy over them: 10 000 variations; only the witness’s own time counts', () => {
    const policy = parseTlogPolicy(`witness w ${formatCosignerVkey(witness)}\nquorum w\n`);
    if (!policy.ok) throw new Error(policy.error.message);
    const outcomes = playTexts(cosigned, { seed: 4, codes: set(...CHECKPOINT, 'cosignature.malformed', 'quorum.missed') }, (text) => {
      const opened = openCosignatures(text, [COSIGNER]);
      if (!opened.ok) return opened;
      const judged = judgeByPolicy(text, policy.value, [VKEY]);
      if (!judged.ok) return judged;
      if (!judged.value.met) return { ok: false, error: { code: 'quorum.missed' } };
      insist(
        judged.value.cosignatures.every(({ time }) => time >= 1_700_000_000n && time < 1_700_000_004n),
        text,
      );
      return ok(undefined);
    });
    expect(outcomes.idle(ROUNDS, 4)).toBeNull();
  });

  test('policies and keys: 6 000 variations', () => {
    const policies = [
      `log ${VKEY}\nwitness w ${formatCosignerVkey(witness)} https://w.example/\ngroup g any w\nquorum g\n`,
      `# nobody\nlog ${VKEY}\nquorum none\n`,
    ];
    expect(playTexts(policies, { seed: 5, codes: set('tlogPolicy.malformed'), rounds: 4000 }, parseTlogPolicy).idle(4000, 1)).toBeNull();
    expect(playTexts([VKEY], { seed: 6, codes: set(...VKEYS), rounds: 1000 }, parseVkey).idle(1000, 2)).toBeNull();
    expect(
      playTexts([formatCosignerVkey(witness)], { seed: 7, codes: set(...VKEYS), rounds: 1000 }, parseCosignerVkey).idle(1000, 2),
    ).toBeNull();
  });

  test('none of them asks for more memory than some copies of itself', async () => {
    const readers: readonly [readonly string[], (text: string) => unknown][] = [
      [notes, (text) => openCheckpoint(text, [VKEY])],
      [proofs, (text) => verifyTlogProof({ proof: text, leaf: leaves[0] ?? new Uint8Array(32), vkeys: [VKEY] })],
      [requests, parseAddCheckpoint],
      [cosigned, (text) => openCosignatures(text, [COSIGNER])],
    ];
    for (const [which, [examples, read]] of readers.entries())
      for (let round = 0; round < 100; round++) {
        const chance = new Chance(900_000 + which * 1000 + round);
        const text = mutateText(chance.pick(examples), chance, examples);
        expect(await allocatedBy(globalThis, () => read(text))).toBeLessThan(MOST_ALLOCATED);
      }
    // The control: an array that a length asks for is seen.
    expect(await allocatedBy(globalThis, () => new Uint8Array(5_000_000))).toBe(5_000_000);
  });
});

describe('hostile tiles', () => {
  const files = new Map<string, Bytes>();
  const TILES = 12_000;

  beforeAll(() => {
    const builder = new TileBuilder();
    for (const entry of entries) for (const { path, bytes } of builder.append(entry)) files.set(path, bytes);
    for (const { path, bytes } of builder.finish()) files.set(path, bytes);
  });

  test('12 000 readings of a tree of which one tile was changed: at most 64 reads, and no root, proof or entry but the true ones passes', async () => {
    const outcomes = new Outcomes();
    const codes = set('tile.missing', 'tile.wrongLength', 'tile.otherEntries', ...PROOF, 'other');
    const size = BigInt(SIZE);
    for (let round = 0; round < TILES; round++) {
      const chance = new Chance(80_000_000 + round);
      const control = round % CONTROL_EVERY === 0;
      const victim = chance.pick([...files.keys()]);
      const changed = control ? files.get(victim) : mutateBytes(files.get(victim) ?? new Uint8Array(0), chance, [...files.values()]);
      let reads = 0;
      const read: TileReader = async (tile) => {
        reads += 1;
        const path = tilePath(tile);
        const bytes = path === victim ? changed : files.get(path);
        return bytes === undefined ? { ok: false, error: { code: 'tile.missing', message: path } } : ok(bytes);
      };
      const index = BigInt(chance.below(SIZE));
      const oldSize = BigInt(1 + chance.below(SIZE));
      const which = chance.below(4);
      let outcome: Parameters<Outcomes['take']>[0];
      if (which === 0) {
        const entry = await entryFromTiles(read, index, size);
        outcome = !entry.ok ? entry : equalBytes(leafHash(entry.value), leaves[Number(index)] ?? entry.value) ? ok(undefined) : other();
      } else if (which === 1) {
        const proof = await inclusionFromTiles(read, { index, size, treeSize: size });
        const text = proof.ok ? formatTlogProof({ index, hashes: proof.value, checkpoint: notes[3] ?? '' }) : '';
        outcome = proof.ok ? verifyTlogProof({ proof: text, leaf: leaves[Number(index)] ?? new Uint8Array(32), vkeys: [VKEY] }) : proof;
      } else if (which === 2) {
        const proof = await consistencyFromTiles(read, { oldSize, newSize: size, treeSize: size });
        const claim = { oldSize, oldRoot: rootAt(Number(oldSize)), newSize: size, newRoot: rootAt(SIZE) };
        outcome = proof.ok ? verifyConsistency({ ...claim, proof: proof.value }) : proof;
      } else {
        const builder = await TileBuilder.from(read, size);
        const root = await rootFromTiles(read, size, size);
        outcome = !builder.ok ? builder : !root.ok ? root : equalBytes(builder.value.root(), rootAt(SIZE)) ? ok(undefined) : other();
      }
      expect(reads).toBeLessThanOrEqual(MOST_READS);
      insist(!control || outcome.ok, `control of round ${round}`);
      outcomes.take(outcome, codes, `round ${round}`);
    }
    const total = [...outcomes.counts.values()].reduce((sum, count) => sum + count, 0);
    expect(total).toBe(TILES);
    for (const code of ['ok', 'tile.wrongLength', 'tile.otherEntries', 'proof.rootMismatch'])
      expect([...outcomes.counts.keys()]).toContain(code);
  });

  test('6 000 bundles and paths', () => {
    const bundles = [...files].filter(([path]) => path.startsWith('tile/entries')).map(([, bytes]) => bytes);
    const outcomes = new Outcomes();
    for (let round = 0; round < 3000; round++) {
      const chance = new Chance(90_000_000 + round);
      const bytes = mutateBytes(chance.pick(bundles), chance, bundles);
      const parsed = parseEntryBundle(bytes);
      // Nothing is dropped and nothing is made up.
      insist(!parsed.ok || parsed.value.reduce((sum, entry) => sum + entry.length + 2, 0) === bytes.length, `round ${round}`);
      outcomes.take(parsed, set('tile.wrongLength'), `round ${round}`);
    }
    expect(outcomes.counts.get('tile.wrongLength')).toBeGreaterThan(300);
    const paths = playTexts(
      [...files.keys(), 'tile/2/x001/x234/067'],
      { seed: 9, codes: set('tile.malformed', 'tile.outOfRange'), rounds: 3000 },
      parseTilePath,
    );
    expect(paths.idle(3000, 2)).toBeNull();
  });

  test('a length that an entry does not have asks for no memory', async () => {
    const lying = concatBytes(Uint8Array.of(0xff, 0xff), new Uint8Array(3));
    expect(await allocatedBy(globalThis, () => parseEntryBundle(lying))).toBeLessThan(1000);
  });
});

function other(): { readonly ok: false; readonly error: { readonly code: string } } {
  return { ok: false, error: { code: 'other' } };
}
