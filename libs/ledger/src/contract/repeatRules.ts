/**
 * Contract: what was appended before is answered with its first result; what differs is a conflict. PROTOCOL §3.
 */
import { after, batchOf, batchTo, CANCEL, CLOSED, fact, judgement, LAW, LEDGER, nonceOf, NOTED, trustDraft } from './fixture.ts';
import { type ContractSubject, onLedger, placesOf, type TestGlobals } from './harness.ts';

const cancel = (because: string, id?: string) => fact('run.cancelRequested', { because }, id === undefined ? {} : { id });

/** Declares how a store answers what it holds already. */
export function repeatRules(globals: TestGlobals, subject: ContractSubject): void {
  positionRules(globals, subject);
  idRules(globals, subject);
  batchRules(globals, subject);
}

/** Repeats told by their numeric position. */
function positionRules({ describe, test, expect }: TestGlobals, subject: ContractSubject): void {
  describe('repeats of a position', () => {
    test(
      'the same numeric position with the same kinds and payloads is a duplicate with the first result',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        const batch = batchTo(run, 0, [cancel('x'), judgement('fact.noted', NOTED, { cause: 1, law: 1 })], 1);
        const taken = await bench.took(batch);
        await bench.took(batchTo(run, 2, [cancel('later')]));
        await bench.took(batchTo(LAW, 1, [trustDraft(bench.fingerprint, { nonce: 'moved law' })]));
        const again = await bench.took(batch);
        expect(again.outcome).toBe('duplicate');
        expect(placesOf(again.stored)).toEqual(placesOf(taken.stored));
        expect(again.stored).toEqual(taken.stored);
        expect((await bench.store.head()).size).toBe(7n);
      }),
    );
    test(
      'equality is kind and payload: another moment is still the same, another payload or kind is a conflict',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        await bench.took(batchTo(run, 0, [cancel('x')]));
        expect((await bench.took(batchTo(run, 0, [{ ...cancel('x'), at: after(99) }]))).outcome).toBe('duplicate');
        expect(await bench.refused(batchTo(run, 0, [cancel('y')]))).toMatchObject({ code: 'conflict', actual: 1 });
        expect(await bench.refused(batchTo(run, 0, [fact('run.resumed', { driver: nonceOf('d'), epoch: 1, because: 'x' })]))).toMatchObject(
          { code: 'conflict' },
        );
        expect(await bench.refused(batchTo(run, 0, [cancel('x'), cancel('x')]))).toMatchObject({ code: 'conflict', actual: 1 });
      }),
    );
    test(
      'opening with position none is repeatable in the same way',
      onLedger(subject, async (bench) => {
        await bench.found();
        await bench.run('a');
        const run = await bench.run('a');
        expect((await bench.store.trajectory(run))?.seq).toBe(0);
      }),
    );
  });
}

/** Repeats told by their id. */
function idRules({ describe, test, expect }: TestGlobals, subject: ContractSubject): void {
  describe('repeats of an id', () => {
    test(
      'an id is taken once per trajectory: the same content is a duplicate, other content a conflict',
      onLedger(subject, async (bench) => {
        await bench.found();
        const [a, b] = [await bench.run('a'), await bench.run('b')];
        const batch = batchTo(a, 'any', [cancel('one', '01-one'), cancel('two', '02-two')]);
        const taken = await bench.took(batch);
        await bench.took(batchTo(a, 'any', [cancel('one')]));
        const again = await bench.took(batch);
        expect(again.outcome).toBe('duplicate');
        expect(again.stored).toEqual(taken.stored);
        expect((await bench.refused(batchTo(a, 'any', [cancel('other', '01-one')]))).code).toBe('conflict');
        expect((await bench.refused(batchTo(a, 'any', [cancel('new', '03-new'), cancel('two', '02-two')]))).code).toBe('conflict');
        expect((await bench.took(batchTo(b, 'any', [cancel('one', '01-one')]))).outcome).toBe('appended');
      }),
    );
    test(
      'the same id twice in one batch is refused',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        expect((await bench.refused(batchTo(run, 'any', [cancel('a', '01'), cancel('a', '01')]))).code).toBe('batch.invalid');
      }),
    );
    test(
      'facts without an id at position any are new every time',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        for (const seq of [1, 2]) {
          const taken = await bench.took(batchTo(run, 'any', [cancel('x')]));
          expect(taken.stored.map(({ entry }) => entry.seq)).toEqual([seq]);
          expect(taken.outcome).toBe('appended');
        }
      }),
    );
  });
}

/** Repeats of whole batches. */
function batchRules({ describe, test, expect }: TestGlobals, subject: ContractSubject): void {
  describe('repeats of a batch', () => {
    test(
      'a batch of which only a part is there already is a conflict',
      onLedger(subject, async (bench) => {
        await bench.found();
        const [a, b] = [await bench.run('a'), await bench.run('b')];
        await bench.took(batchTo(a, 0, [cancel('x')]));
        const mixed = batchOf([
          { trajectory: b, expect: 0, drafts: [cancel('x')] },
          { trajectory: a, expect: 0, drafts: [cancel('x')] },
        ]);
        expect(await bench.refused(mixed)).toMatchObject({ code: 'conflict', trajectory: a });
      }),
    );
    test(
      'a closed run still answers the repeat of its closing',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        const closing = batchTo(run, 0, [fact('run.cancelRequested', CANCEL), judgement('run.closed', CLOSED, { cause: 1, law: 1 })], 1);
        const taken = await bench.took(closing);
        await bench.took(batchTo(LAW, 1, [trustDraft(bench.fingerprint, { nonce: 'moved law' })]));
        const again = await bench.took(closing);
        expect(again.outcome).toBe('duplicate');
        expect(again.stored).toEqual(taken.stored);
      }),
    );
    test(
      'appending the same batch many times at once appends it once',
      onLedger(subject, async (bench) => {
        await bench.found();
        const applied = { run: 'run/x', ref: 'r', commit: '0'.repeat(40), into: 'main', previous: '1'.repeat(40) };
        const batch = batchTo(LEDGER, 'any', [fact('result.applied', applied, { id: '01-applied' })]);
        const results = await Promise.all(Array.from({ length: 12 }, () => bench.store.append(batch)));
        const outcomes = results.map((result) => (result.ok ? result.value.outcome : result.error.code)).sort();
        expect(outcomes).toEqual(['appended', ...Array.from({ length: 11 }, () => 'duplicate')]);
      }),
    );
  });
}
