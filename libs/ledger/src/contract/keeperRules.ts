/**
 * Contract of {@link LedgerKeeper}: what may be forgotten and what goes with it, copying in byte for byte, sealing, examining. PROTOCOL §3 "Moving",
 * "Erasure"; GOALS E16.
 */
import {
  canonicalText,
  concatBytes,
  type Digest,
  digestOf,
  type Instant,
  type TrajectoryId,
  utf8Decode,
  utf8Encode,
} from '@openexec/canon';
import { type Signer, signTyped } from '@openexec/proof';
import { exportLines, ledgerExport, readExport } from '../exportFile.ts';
import { ERASURE_TYPE, erasureBody } from '../forgetting.ts';
import { CopyFault, type ErasureBody, type Forgetting, type KeptLedger, type Place } from '../keeper.ts';
import { memoryLedger } from '../memory.ts';
import type { EntrySigner } from '../types.ts';
import {
  after,
  batchTo,
  CANCEL,
  CLOSED,
  fact,
  judgement,
  LAW,
  LEDGER,
  ORIGIN,
  openedBody,
  runNamed,
  runtimeSigner,
  SEEDS,
  seededRandomness,
  textBlob,
} from './fixture.ts';
import { Bench, collect, type ContractSubject, onLedger, type TestGlobals } from './harness.ts';

/** A kind of store with a keeper. */
export interface KeeperSubject extends ContractSubject {
  open(keys: { readonly signer?: EntrySigner; readonly logSigner?: Signer }): Promise<KeptLedger>;
}

/** The name of a test run. */
export { runNamed as runOfKeeping };

/** A fact that carries a blob, and the blob. */
export function withBlob(text: string) {
  const blob = textBlob(text);
  const reference = { digest: blob.digest, bytes: blob.bytes.length, mediaType: blob.mediaType };
  return {
    blob,
    draft: fact('intent.submitted', {
      channel: 'c',
      action: 'a',
      arguments: { blob: reference },
      claims: { rationale: null, claimedRisk: null },
    }),
  };
}

/** A closed run: opened (with the blob that its body names), one fact per text with a blob of that text, closed. */
export async function closedRun(bench: Bench, name: string, texts: readonly string[]): Promise<TrajectoryId> {
  const run = runNamed(name);
  const facts = texts.map(withBlob);
  const opening = { digest: digestOf(name), bytes: utf8Encode(name), mediaType: 'application/json' };
  const drafts = [
    fact('run.opened', openedBody(bench.fingerprint, name)),
    ...facts.map(({ draft }) => draft),
    fact('run.cancelRequested', CANCEL, { at: after(1000) }),
  ];
  await bench.took({ ...batchTo(run, 'none', drafts), blobs: [opening, ...facts.map(({ blob }) => blob)] });
  const last = texts.length + 1;
  await bench.took(batchTo(run, last, [judgement('run.closed', CLOSED, { cause: last, law: 1, at: after(1000) })], 1));
  return run;
}

/** A signed erasure of these places. */
export function erasure(fingerprint: Digest, entries: readonly Place[]): Forgetting {
  const unsigned = { ledger: fingerprint, entries, by: runtimeSigner().keyId, because: 'asked', rule: 'request' };
  const signature = signTyped({ type: ERASURE_TYPE, body: erasureBody(unsigned), seed: SEEDS.root });
  const body: ErasureBody = { entries, by: unsigned.by, because: 'asked', rule: 'request', signatures: [signature] };
  return { kind: 'erase', at: after(2000), bodies: [body] };
}

/** A pruning of these places. */
export function pruning(places: readonly Place[], before: Instant = after(3000)): Forgetting {
  return { kind: 'prune', at: after(4000), by: runtimeSigner().keyId, before, rule: 'yearly', because: 'retention', places };
}

/** All places of a run but its opening. */
export function placesIn(run: TrajectoryId, last: number): readonly Place[] {
  return Array.from({ length: last }, (_, at) => ({ trajectory: run, seq: at + 1 }));
}

/** Declares the suite. */
export function ledgerKeeperContract(globals: TestGlobals, subject: KeeperSubject): void {
  globals.describe(`the keeper's contract on ${subject.name}`, () => {
    forgetRules(globals, subject);
    moveRules(globals, subject);
  });
}

/** A bench knows its store as a plain one. */
function keptOf(bench: Bench): KeptLedger {
  return bench.store as KeptLedger;
}

async function refusal(bench: Bench, wish: Forgetting): Promise<string> {
  const before = (await bench.store.head()).size;
  const result = await keptOf(bench).keeper.forget(wish);
  if ((await bench.store.head()).size !== before && !result.ok) throw new Error('a refusal grew the ledger');
  return result.ok ? 'forgotten' : result.error.code;
}

function forgetRules(globals: TestGlobals, subject: KeeperSubject): void {
  globals.describe('forgetting', () => {
    erasesWithBlobs(globals, subject);
    prunesByList(globals, subject);
    refusesWhatIsKept(globals, subject);
  });
}

function erasesWithBlobs({ test, expect }: TestGlobals, subject: KeeperSubject): void {
  test(
    'takes payload, salt and the blobs that nothing else names, keeps every entry and the root of before, and verifies',
    onLedger(subject, async (bench) => {
      await bench.found();
      const run = await closedRun(bench, 'a', ['only here', 'shared']);
      await closedRun(bench, 'b', ['shared']);
      const before = await bench.store.head();
      const proof = await bench.store.inclusion(3n, before.size);
      const { keeper } = keptOf(bench);
      const first = await keeper.forget(
        erasure(bench.fingerprint, [
          { trajectory: run, seq: 1 },
          { trajectory: run, seq: 2 },
        ]),
      );
      expect(first).toMatchObject({ ok: true, value: { payloads: 2, blobs: 1 } });
      await bench.took(batchTo(runNamed('c'), 'none', [fact('run.opened', openedBody(bench.fingerprint, 'c'))]));
      expect((await bench.store.blob(textBlob('only here').digest)).ok).toBe(false);
      expect((await bench.store.blob(textBlob('shared').digest)).ok).toBe(true);
      expect((await bench.store.blob(digestOf('a'))).ok).toBe(true);
      const rows = (await collect(bench.store.read(run))).map(({ payload, salt }) => [payload === null, salt === null]);
      expect(rows).toEqual([
        [false, false],
        [true, true],
        [true, true],
        [false, false],
        [false, false],
      ]);
      expect(await bench.store.inclusion(3n, before.size)).toEqual(proof);
      // The last other payload of the run takes the blobs of its opening along; that they were erased is remembered.
      expect(await keeper.forget(erasure(bench.fingerprint, placesIn(run, 4)))).toMatchObject({
        ok: true,
        value: { payloads: 2, blobs: 1 },
      });
      expect(await bench.store.blob(digestOf('a'))).toMatchObject({ ok: false, error: { code: 'blob.erased' } });
      expect(await keeper.examine({ repair: false })).toMatchObject({ ok: true, value: { findings: [] } });
      // The same bytes in a later payload are new data.
      const again = withBlob('only here');
      await bench.took({ ...batchTo(runNamed('c'), 0, [again.draft]), blobs: [again.blob] });
      expect((await bench.store.blob(again.blob.digest)).ok).toBe(true);
    }),
  );
}

function prunesByList({ test, expect }: TestGlobals, subject: KeeperSubject): void {
  test(
    'a pruning names its payloads in a list, and one of a thousand ranges verifies like one of one',
    onLedger(subject, async (bench) => {
      await bench.found();
      const run = await closedRun(bench, 'a', ['x', 'y', 'z']);
      expect(await refusal(bench, pruning(placesIn(run, 5), after(500)))).toBe('forget.tooYoung');
      expect(
        await keptOf(bench).keeper.forget(
          pruning([
            { trajectory: run, seq: 1 },
            { trajectory: run, seq: 3 },
          ]),
        ),
      ).toMatchObject({ ok: true, value: { payloads: 2, blobs: 2 } });
      await bench.run('b');
    }),
  );
}

function refusesWhatIsKept({ test, expect }: TestGlobals, subject: KeeperSubject): void {
  test(
    'law, ledger, run.opened, open runs and what is not there are refused, and nothing of the wish happens',
    onLedger(subject, async (bench) => {
      await bench.found();
      const run = await closedRun(bench, 'a', ['x']);
      const open = await bench.run('open');
      await bench.took(batchTo(open, 0, [fact('run.cancelRequested', CANCEL)]));
      const good = { trajectory: run, seq: 1 };
      const wish = (...entries: Place[]) => erasure(bench.fingerprint, [good, ...entries]);
      expect(await refusal(bench, wish({ trajectory: LAW, seq: 1 }))).toBe('forget.kept');
      expect(await refusal(bench, wish({ trajectory: run, seq: 0 }))).toBe('forget.kept');
      expect(await refusal(bench, wish({ trajectory: open, seq: 1 }))).toBe('forget.openRun');
      expect(await refusal(bench, wish({ trajectory: run, seq: 99 }))).toBe('forget.unknown');
      expect(await refusal(bench, wish({ trajectory: runNamed('none'), seq: 0 }))).toBe('forget.unknown');
      expect(await refusal(bench, { kind: 'erase', at: after(1), bodies: [] })).toBe('forget.nothing');
      expect((await collect(bench.store.read(run))).every(({ payload }) => payload !== null)).toBe(true);
      expect(await refusal(bench, wish())).toBe('forgotten');
      expect(await refusal(bench, wish({ trajectory: LEDGER, seq: 0 }))).toBe('forget.kept');
      expect(await refusal(bench, wish())).toBe('forget.nothing');
    }),
  );
}

const APPLIED = {
  run: runNamed('a'),
  ref: 'refs/heads/openexec/a',
  commit: '0'.repeat(40),
  into: 'refs/heads/main',
  previous: '1'.repeat(40),
};

/** Any chunks of a file, cut where no line ends. */
async function* chunksOf(bytes: Uint8Array, size = 1000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function fileOf(ledger: KeptLedger): Promise<Uint8Array> {
  const { fingerprint, origin, size, root } = await ledger.head();
  if (fingerprint === null || origin === null) throw new Error('not founded');
  const lines = await collect(exportLines(ledger, { fingerprint, origin, size, root }));
  return concatBytes(...lines);
}

async function copied(bytes: Uint8Array, into: KeptLedger): Promise<string> {
  try {
    const taken = await into.keeper.copyIn(await readExport(() => chunksOf(bytes)));
    return taken.ok ? 'copied' : taken.error.code;
  } catch (error) {
    if (error instanceof CopyFault) return error.code;
    throw error;
  }
}

/** A ledger with everything that a copy has to carry. */
async function varied(bench: Bench): Promise<void> {
  await bench.found();
  const run = await closedRun(bench, 'a', ['x', 'y'.repeat(300_000)]);
  await closedRun(bench, 'b', ['z']);
  const gone = await keptOf(bench).keeper.forget(erasure(bench.fingerprint, placesIn(run, 1)));
  if (!gone.ok) throw new Error(gone.error.code);
  const all = await keptOf(bench).keeper.forget(pruning(placesIn(runNamed('b'), 3)));
  if (!all.ok) throw new Error(all.error.code);
  await bench.store.checkpoint();
  await bench.took(batchTo(LEDGER, 'any', [fact('result.applied', APPLIED, { id: '01-applied', at: after(5000) })]));
}

function moveRules(globals: TestGlobals, subject: KeeperSubject): void {
  globals.describe('moving', () => {
    copiesAllBytes(globals, subject);
    sealsAllButOne(globals, subject);
    refusesBadFiles(globals, subject);
  });
}

function copiesAllBytes({ test, expect }: TestGlobals, subject: KeeperSubject): void {
  test(
    'through a file and through no file, from here to memory and back, bytes, checkpoints, ids and erasures are the same, and the file too',
    onLedger(subject, async (bench) => {
      await varied(bench);
      const here = keptOf(bench);
      const bytes = await fileOf(here);
      const memory = memoryLedger({ randomness: seededRandomness(5), signer: runtimeSigner() });
      expect(await copied(bytes, memory)).toBe('copied');
      const back = await subject.open({ signer: runtimeSigner() });
      const { fingerprint, size, root } = await memory.head();
      if (fingerprint === null) throw new Error('not founded');
      expect(await back.keeper.copyIn(ledgerExport(memory, { fingerprint, origin: ORIGIN, size, root }))).toMatchObject({ ok: true });
      for (const copy of [memory, back]) {
        await subject.check(copy);
        expect(await copy.head()).toEqual(await here.head());
        expect((await collect(copy.rows())).flat()).toEqual((await collect(here.rows())).flat());
        expect(await collect(copy.checkpoints())).toEqual(await collect(here.checkpoints()));
        expect(await collect(copy.trajectories())).toEqual(await collect(here.trajectories()));
        expect(await collect(copy.keeper.blobs())).toEqual(await collect(here.keeper.blobs()));
        expect(await fileOf(copy)).toEqual(bytes);
        expect(await copy.keeper.examine({ repair: false })).toMatchObject({ ok: true, value: { findings: [] } });
        // An id is known again, and the trajectory goes on.
        const again = fact('result.applied', APPLIED, { id: '01-applied', at: after(5000) });
        expect(await copy.append(batchTo(LEDGER, 'any', [again]))).toMatchObject({ ok: true, value: { outcome: 'duplicate' } });
        expect(await copy.append(batchTo(runNamed('n'), 'none', [fact('run.opened', openedBody(fingerprint, 'n'))]))).toMatchObject({
          ok: true,
        });
        await subject.check(copy);
        expect(await copied(bytes, copy)).toBe('copy.notEmpty');
      }
      await back.close();
    }),
  );
}

function sealsAllButOne({ test, expect }: TestGlobals, subject: KeeperSubject): void {
  test(
    'a sealed ledger and every copy of it refuse appends but the one whose instance the seal names',
    onLedger(subject, async (bench) => {
      await bench.found();
      const here = keptOf(bench);
      const [chosen, other] = [await subject.open({}), await subject.open({})];
      const { size, root } = await here.head();
      const seal = { successor: await chosen.keeper.instance(), size: Number(size), root: digestOf(root) };
      await bench.took(batchTo(LEDGER, 'none', [fact('ledger.sealed', seal)]));
      const note = await here.checkpoint();
      const bytes = await fileOf(here);
      for (const copy of [chosen, other]) expect(await copied(bytes, copy)).toBe('copied');
      const next = batchTo(runNamed('n'), 'none', [fact('run.opened', openedBody(bench.fingerprint, 'n'))]);
      for (const store of [here, other]) expect(await store.append(next)).toMatchObject({ ok: false, error: { code: 'ledger.sealed' } });
      for (const store of [here, other, chosen]) {
        await subject.check(store);
        expect(await collect(store.checkpoints())).toEqual(note.ok ? [note.value] : []);
      }
      expect(await chosen.append(next)).toMatchObject({ ok: true });
      expect(await here.keeper.forget(erasure(bench.fingerprint, [{ trajectory: runNamed('n'), seq: 0 }]))).toMatchObject({ ok: false });
      await chosen.close();
      await other.close();
    }),
  );
}

function refusesBadFiles({ test, expect }: TestGlobals, subject: KeeperSubject): void {
  test(
    'a file that was cut, changed, put in another order, or is of a later release or too large is refused, and the store stays empty',
    onLedger(subject, async (bench) => {
      await varied(bench);
      const bytes = await fileOf(keptOf(bench));
      const text = utf8Decode(bytes);
      const lines = text.ok ? text.value.split(/(?<=\n)/) : [];
      const into = await subject.open({});
      const tried = async (changed: readonly string[]): Promise<string> => {
        const code = await copied(utf8Encode(changed.join('')), into);
        expect((await into.head()).size).toBe(0n);
        expect(await collect(into.keeper.blobs())).toEqual([]);
        return code;
      };
      const at = (index: number, change: (line: string) => string): string[] =>
        lines.map((line, place) => (place === index ? change(line) : line));
      expect(await tried([])).toBe('copy.truncated');
      for (const count of [1, 4, lines.length - 1]) expect(await tried(lines.slice(0, count))).toBe('copy.truncated');
      expect(await copied(bytes.subarray(0, bytes.length - 5), into)).toBe('copy.truncated');
      expect(await tried([...lines, lines[1] ?? ''])).toBe('copy.malformed');
      expect(await tried(at(0, (line) => line.replace('"v":1', '"v":2')))).toBe('copy.newer');
      expect(await tried(at(0, (line) => line.replace(/"size":"\d+"/, '"size":"3"')))).toBe('copy.incomplete');
      expect(await tried(at(3, (line) => line.replace('at\\":\\"2026', 'at\\":\\"2027')))).toBe('copy.entry');
      expect(await tried(at(1, (line) => line.replace('registry\\":1', 'registry\\":2')))).toBe('copy.payload');
      expect(await tried(at(1, (line) => line.replace(/"salt":"../, '"salt":"ff')))).toBe('copy.payload');
      const swapped = [...lines];
      [swapped[2], swapped[3]] = [swapped[3] ?? '', swapped[2] ?? ''];
      expect(['copy.entry', 'copy.incomplete'].includes(await tried(swapped))).toBe(true);
      expect(await tried([...lines.slice(0, 1), canonicalText({ entry: 'x'.repeat(1_100_000), payload: null, salt: null }), '\n'])).toBe(
        'copy.tooLarge',
      );
      const blob = textBlob('brought back');
      const extra = `${canonicalText({ blob: blob.digest, bytes: 1e12 })}\n`;
      expect(await tried([...lines.slice(0, -1).filter((line) => !/^\{"(blob|part|bytes)/.test(line)), extra])).toBe('copy.tooLarge');
      expect(await tried(lines.map((line) => line.replace(/"sum":"sha256:./, '"sum":"sha256:x')))).toBe('copy.incomplete');
      await into.close();
    }),
  );
}
