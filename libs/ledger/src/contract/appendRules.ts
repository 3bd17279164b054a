/**
 * Contract: founding, positions, kinds, bodies, blobs, time of facts, seals. PROTOCOL §§2-4.
 */
import { equalBytes, type Json, type TrajectoryId } from '@openexec/canon';
import type { Kind } from '@openexec/protocol';
import { decodeEntry } from '../entry.ts';
import type { Draft } from '../types.ts';
import {
  after,
  batchOf,
  batchTo,
  CANCEL,
  fact,
  foundingBatch,
  LAW,
  LEDGER,
  nonceOf,
  openedBody,
  runNamed,
  textBlob,
  trustDraft,
} from './fixture.ts';
import { type ContractSubject, first, onLedger, type TestGlobals } from './harness.ts';

const MEMORY = 'memory' as TrajectoryId;
const cancel = (ms = 0): Draft => fact('run.cancelRequested', CANCEL, { at: after(ms) });

/** Declares what may be appended at all, and where it comes to stand. */
export function appendRules(globals: TestGlobals, subject: ContractSubject): void {
  foundingRules(globals, subject);
  orderRules(globals, subject);
  raceRules(globals, subject);
  kindRules(globals, subject);
  bodyRules(globals, subject);
  draftRules(globals, subject);
  blobRules(globals, subject);
  timeRules(globals, subject);
  sealRules(globals, subject);
}

/** A ledger begins with its founding, once. */
function foundingRules({ describe, test, expect }: TestGlobals, subject: ContractSubject): void {
  describe('founding', () => {
    test(
      'nothing is taken before ledger.founded, whose leaf hash then is the fingerprint',
      onLedger(subject, async (bench) => {
        const early = batchTo(runNamed('a'), 'none', [fact('run.opened', openedBody(`sha256:${'0'.repeat(64)}`, 'a'))]);
        expect((await bench.refused(early)).code).toBe('ledger.unfounded');
        const founded = await bench.took(foundingBatch());
        const head = await bench.store.head();
        expect(head.fingerprint).toBe(first(founded.stored).leaf);
        expect(head.size).toBe(1n);
      }),
    );
    test(
      'a ledger is founded once',
      onLedger(subject, async (bench) => {
        await bench.found();
        const again = foundingBatch({ at: after(5) });
        const other = { ...again, to: again.to.map((part) => ({ ...part, expect: 1 as const })) };
        expect((await bench.refused(other)).code).toBe('ledger.alreadyFounded');
      }),
    );
  });
}

/** Positions are exact, batches are whole. */
function orderRules({ describe, test, expect }: TestGlobals, subject: ContractSubject): void {
  describe('order', () => {
    test(
      'a batch over several trajectories is stored in its order, chained and without gaps',
      onLedger(subject, async (bench) => {
        await bench.found();
        const [a, b] = [runNamed('a'), runNamed('b')];
        const taken = await bench.took(
          batchOf([
            { trajectory: a, expect: 'none', drafts: [fact('run.opened', openedBody(bench.fingerprint, 'a')), cancel()] },
            { trajectory: b, expect: 'none', drafts: [fact('run.opened', openedBody(bench.fingerprint, 'b'))] },
          ]),
        );
        expect(taken.outcome).toBe('appended');
        expect(taken.size).toBe(5n);
        expect(taken.stored.map(({ index, entry }) => [index, entry.trajectory, entry.seq])).toEqual([
          [2n, a, 0],
          [3n, a, 1],
          [4n, b, 0],
        ]);
        const [opened, cancelled, other] = taken.stored;
        expect(opened?.entry.prev).toBe(null);
        expect(cancelled?.entry.prev).toBe(opened?.leaf);
        expect(other?.entry.prev).toBe(null);
        for (const { entry, entryBytes } of taken.stored) expect(decodeEntry(entryBytes)).toEqual({ ok: true, value: entry });
      }),
    );
    test(
      'a refusal in the last part stores nothing of the parts before it',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        const failure = await bench.refused(
          batchOf([
            { trajectory: run, expect: 0, drafts: [cancel()] },
            { trajectory: runNamed('b'), expect: 4, drafts: [cancel()] },
          ]),
        );
        expect(failure).toMatchObject({ code: 'conflict', trajectory: runNamed('b'), actual: null });
      }),
    );
    test(
      'each expected position is taken where it holds and is a conflict where it does not',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        await bench.took(batchTo(run, 0, [cancel()]));
        await bench.took(batchTo(run, 'exists', [cancel()]));
        await bench.took(batchTo(run, 'any', [cancel()]));
        const other = fact('run.pauseRequested', { by: 'person', because: { code: 'pause', message: '' } });
        for (const [expect_, actual] of [
          [0, 3],
          [2, 3],
          [4, 3],
          ['none', 3],
        ] as const) {
          expect(await bench.refused(batchTo(run, expect_, [other]))).toMatchObject({ code: 'conflict', trajectory: run, actual });
        }
        expect(await bench.refused(batchTo(runNamed('b'), 'exists', [other]))).toMatchObject({ code: 'conflict', actual: null });
        expect(await bench.refused(batchTo(runNamed('b'), 0, [other]))).toMatchObject({ code: 'conflict', actual: null });
      }),
    );
  });
}

/** Writers at the same time are put into one order. */
function raceRules({ describe, test, expect }: TestGlobals, subject: ContractSubject): void {
  describe('writers at once', () => {
    test(
      'of many writers at one position exactly one wins',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        const racers = Array.from({ length: 16 }, (_, i) => batchTo(run, 0, [fact('run.cancelRequested', { because: `racer ${i}` })]));
        const results = await Promise.all(racers.map((batch) => bench.store.append(batch)));
        expect(results.filter((result) => result.ok).length).toBe(1);
        for (const result of results) if (!result.ok) expect(result.error).toMatchObject({ code: 'conflict', actual: 1 });
      }),
    );
    test(
      'appends made at once all find their place, refused ones among them harm nobody',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        const batches = Array.from({ length: 60 }, (_, i) =>
          i % 3 === 2 ? batchTo(run, 9_999, [cancel()]) : batchTo(run, 'any', [fact('run.cancelRequested', { because: `${i}` })]),
        );
        const results = await Promise.all(batches.map((batch) => bench.store.append(batch)));
        const seqs = results.flatMap((result) => (result.ok ? result.value.stored.map(({ entry }) => entry.seq) : []));
        expect(seqs.sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
        expect(results.filter((result) => !result.ok && result.error.code === 'conflict').length).toBe(20);
        await bench.took(batchTo(run, 40, [cancel()]));
      }),
    );
  });
}

/** Each kind stands in its own trajectory, where its family begins. */
function kindRules({ describe, test, expect }: TestGlobals, subject: ContractSubject): void {
  describe('kinds', () => {
    test(
      'unknown kinds, kinds of another family, unknown and reserved trajectories are refused',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        expect((await bench.refused(batchTo(run, 0, [fact('run.exploded' as Kind, {})]))).code).toBe('kind.unknown');
        expect((await bench.refused(batchTo(run, 0, [fact('toString' as Kind, {})]))).code).toBe('kind.unknown');
        expect((await bench.refused(batchTo(MEMORY, 'any', [cancel()]))).code).toBe('kind.misplaced');
        for (const name of ['evolution', 'peer/a', 'law/a', 'run', 'Run/a', 'run/', 'constructor']) {
          expect((await bench.refused(batchTo(name as TrajectoryId, 'any', [cancel()]))).code).toBe('trajectory.unknown');
        }
      }),
    );
    test(
      'a run begins with run.opened and has it nowhere else',
      onLedger(subject, async (bench) => {
        await bench.found();
        expect((await bench.refused(batchTo(runNamed('a'), 'any', [cancel()]))).code).toBe('kind.misplaced');
        const run = await bench.run('a');
        expect((await bench.refused(batchTo(run, 0, [fact('run.opened', openedBody(bench.fingerprint, 'b'))]))).code).toBe(
          'kind.misplaced',
        );
      }),
    );
  });
}

/** Bodies fit their schema and their size. */
function bodyRules({ describe, test, expect }: TestGlobals, subject: ContractSubject): void {
  describe('bodies', () => {
    test(
      'a body that its schema refuses, or that has no JSON form, is refused',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        const bodies: Json[] = [{}, { because: 1 }, { because: '', more: true }, { because: '\ud800' }, null, []];
        for (const body of bodies)
          expect((await bench.refused(batchTo(run, 0, [fact('run.cancelRequested', body)]))).code).toBe('payload.invalid');
      }),
    );
    test(
      'a payload over 64 KiB is refused, one just below it is taken',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        const body = (units: number): Json => ({
          channel: 'c',
          action: 'a',
          arguments: { inline: 'x'.repeat(units) },
          claims: { rationale: null, claimedRisk: null },
        });
        const around = JSON.stringify(body(0)).length;
        expect((await bench.refused(batchTo(run, 0, [fact('intent.submitted', body(65_537 - around))]))).code).toBe('payload.tooLarge');
        expect((await bench.refused(batchTo(run, 0, [fact('intent.submitted', body(2_000_000))]))).code).toBe('payload.tooLarge');
        const taken = await bench.took(batchTo(run, 0, [fact('intent.submitted', body(65_536 - around))]));
        expect(first(taken.stored).entry.bytes).toBe(65_536);
      }),
    );
  });
}

/** Batches and the drafts in them are well formed. */
function draftRules({ describe, test, expect }: TestGlobals, subject: ContractSubject): void {
  describe('batches and drafts', () => {
    test(
      'empty and oversized batches, and a trajectory named twice, are refused',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        const part = { trajectory: run, expect: 'any' as const, drafts: [cancel()] };
        expect((await bench.refused(batchOf([]))).code).toBe('batch.empty');
        expect((await bench.refused(batchOf([part, { ...part, trajectory: LAW, drafts: [] }]))).code).toBe('batch.empty');
        expect((await bench.refused(batchOf([part, part]))).code).toBe('batch.invalid');
        expect((await bench.refused(batchTo(run, -1, [cancel()]))).code).toBe('batch.invalid');
        expect((await bench.refused(batchTo(run, 0.5, [cancel()]))).code).toBe('batch.invalid');
        expect(
          (
            await bench.refused(
              batchTo(
                run,
                0,
                Array.from({ length: 4097 }, () => cancel()),
              ),
            )
          ).code,
        ).toBe('batch.tooLarge');
      }),
    );
    test(
      'malformed actors, times and ids are refused',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        const bad: Draft[] = [
          { ...cancel(), actor: 'key:alice' },
          { ...cancel(), actor: 'root' as Draft['actor'] },
          { ...cancel(), at: '2026-02-30T00:00:00.000Z' as Draft['at'] },
          { ...cancel(), at: '2026-11-20T09:00:00Z' as Draft['at'] },
          fact('run.cancelRequested', CANCEL, { id: 'with space' }),
        ];
        for (const draft of bad) expect((await bench.refused(batchTo(run, 'any', [draft]))).code).toBe('draft.invalid');
      }),
    );
  });
}

/** Blobs are held under their digest. */
function blobRules({ describe, test, expect }: TestGlobals, subject: ContractSubject): void {
  describe('blobs', () => {
    test(
      'small and large blobs come back byte for byte; an unknown one is said to be unknown',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        const blobs = [
          textBlob(''),
          textBlob('small'),
          textBlob('x'.repeat(128 * 1024)),
          textBlob('y'.repeat(128 * 1024 + 1)),
          textBlob('z'.repeat(1_000_000)),
        ];
        await bench.took({ ...batchTo(run, 0, [cancel()]), blobs });
        await bench.took({ ...batchTo(run, 1, [cancel()]), blobs });
        for (const { digest, bytes } of blobs) {
          const back = await bench.store.blob(digest);
          expect(back.ok && equalBytes(back.value, bytes)).toBe(true);
        }
        expect(await bench.store.blob(textBlob('never stored').digest)).toMatchObject({ ok: false, error: { code: 'blob.unknown' } });
      }),
    );
    test(
      'bytes under another digest are refused',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        const wrong = { ...textBlob('a'), bytes: textBlob('b').bytes };
        expect((await bench.refused({ ...batchTo(run, 0, [cancel()]), blobs: [wrong] })).code).toBe('blob.mismatch');
      }),
    );
  });
}

/** Time never runs backwards within a trajectory. */
function timeRules({ describe, test, expect }: TestGlobals, subject: ContractSubject): void {
  describe('time of facts', () => {
    test(
      'a fact earlier than the last one is moved to it; other trajectories are not held back',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        await bench.took(batchTo(run, 0, [cancel(5_000)]));
        const taken = await bench.took(batchTo(run, 1, [cancel(4_000), cancel(6_000), cancel(5_500)]));
        expect(taken.stored.map(({ entry }) => entry.at)).toEqual([after(5_000), after(6_000), after(6_000)]);
        const other = await bench.took(
          batchTo(LEDGER, 'any', [
            fact(
              'result.applied',
              { run, ref: 'r', commit: nonceOf('c') + '00000000', into: 'main', previous: nonceOf('p') + '00000000' },
              { at: after(1) },
            ),
          ]),
        );
        expect(first(other.stored).entry.at).toBe(after(1));
      }),
    );
  });
}

/** A seal is the last entry. */
function sealRules({ describe, test, expect }: TestGlobals, subject: ContractSubject): void {
  describe('a sealed ledger', () => {
    test(
      'takes nothing after the seal, neither in the same batch nor later',
      onLedger(subject, async (bench) => {
        await bench.found();
        const seal = fact('ledger.sealed', { successor: nonceOf('elsewhere'), size: 2, root: bench.fingerprint });
        expect((await bench.refused(batchTo(LEDGER, 'none', [seal, seal]))).code).toBe('ledger.sealed');
        await bench.took(batchTo(LEDGER, 'none', [seal]));
        const refused = await bench.refused(batchTo(LAW, 1, [trustDraft(bench.fingerprint, { nonce: 'later' })]));
        expect(refused).toMatchObject({ code: 'ledger.sealed', successor: nonceOf('elsewhere') });
        expect((await bench.took(batchTo(LEDGER, 'none', [seal]))).outcome).toBe('duplicate');
      }),
    );
  });
}
