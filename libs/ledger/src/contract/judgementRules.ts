/**
 * Contract: cause, law and time of judgements, closing, the committer's own signatures. PROTOCOL §§2-4.
 */
import { fromBase64 } from '@openexec/canon';
import { publicKeyOf, verifySignature } from '@openexec/proof';
import { entrySigningBytes } from '../entry.ts';
import {
  after,
  batchOf,
  batchTo,
  CANCEL,
  CLOSED,
  fact,
  judgement,
  LAW,
  LEDGER,
  nonceOf,
  NOTED,
  openedBody,
  runNamed,
  SEEDS,
  trustDraft,
} from './fixture.ts';
import { type ContractSubject, first, onLedger, type TestGlobals } from './harness.ts';

const cancel = (ms = 0) => fact('run.cancelRequested', CANCEL, { at: after(ms) });

/** Declares what a judgement must carry, when a run is closed, and what the committer signs. */
export function judgementRules(globals: TestGlobals, subject: ContractSubject): void {
  causeRules(globals, subject);
  lawRules(globals, subject);
  closingRules(globals, subject);
  signingRules(globals, subject);
}

/** A judgement names its fact and repeats its moment. */
function causeRules({ describe, test, expect }: TestGlobals, subject: ContractSubject): void {
  describe('judgements and their cause', () => {
    test(
      'a fact and its judgements share one append',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = runNamed('a');
        const drafts = [fact('run.opened', openedBody(bench.fingerprint, 'a')), judgement('fact.noted', NOTED, { cause: 0, law: 1 })];
        const taken = await bench.took(batchTo(run, 'none', drafts, 1));
        expect(taken.stored.map(({ entry }) => [entry.cause, entry.law])).toEqual([
          [null, null],
          [0, 1],
        ]);
      }),
    );
    test(
      'a judgement repeats the moment of its cause, also after a later fact',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        await bench.took(batchTo(run, 0, [cancel(1_000), cancel(2_000)]));
        const taken = await bench.took(batchTo(run, 2, [judgement('fact.noted', NOTED, { cause: 1, law: 1, at: after(1_000) })], 1));
        expect(first(taken.stored).entry.at).toBe(after(1_000));
        const later = await bench.took(batchTo(run, 3, [cancel(500)]));
        expect(first(later.stored).entry.at).toBe(after(2_000));
      }),
    );
    test(
      'a judgement made for another moment is refused, also when its fact was moved in the same batch',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        await bench.took(batchTo(run, 0, [cancel(2_000)]));
        const wrong = batchTo(run, 1, [judgement('fact.noted', NOTED, { cause: 1, law: 1, at: after(1_999) })], 1);
        expect(await bench.refused(wrong)).toMatchObject({ code: 'cause.otherTime', cause: 1, at: after(2_000) });
        const moved = batchTo(run, 1, [cancel(1_000), judgement('fact.noted', NOTED, { cause: 2, law: 1, at: after(1_000) })], 1);
        expect(await bench.refused(moved)).toMatchObject({ code: 'cause.otherTime', cause: 2, at: after(2_000) });
      }),
    );
    test(
      'a cause must be a fact that stands before it in the same trajectory',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        await bench.took(batchTo(run, 0, [judgement('fact.noted', NOTED, { cause: 0, law: 1 })], 1));
        for (const cause of [1, 2, 3, 99]) {
          expect(await bench.refused(batchTo(run, 1, [judgement('fact.noted', NOTED, { cause, law: 1 })], 1))).toMatchObject({
            code: 'cause.unknown',
            cause,
          });
        }
      }),
    );
  });
}

/** A judgement stands under the law in force. */
function lawRules({ describe, test, expect }: TestGlobals, subject: ContractSubject): void {
  describe('judgements and law', () => {
    test(
      'judgements need cause, law and the expected position of law; facts have none of them',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        const good = judgement('fact.noted', NOTED, { cause: 0, law: 1 });
        const bad = [
          batchTo(run, 0, [{ ...good, cause: null }], 1),
          batchTo(run, 0, [{ ...good, law: null }], 1),
          batchTo(run, 0, [good]),
          batchTo(run, 0, [good], 0),
          batchTo(run, 'any', [good], 1),
          batchTo(run, 'exists', [good], 1),
          batchTo(run, 0, [{ ...cancel(), cause: 0 }], 1),
          batchTo(run, 0, [{ ...cancel(), law: 1 }], 1),
          batchTo(run, 0, [fact('run.cancelRequested', CANCEL, { id: nonceOf('id') })]),
        ];
        for (const batch of bad) expect((await bench.refused(batch)).code).toBe('draft.invalid');
        expect((await bench.refused(batchTo(LEDGER, 'none', [good], 1))).code).toBe('kind.misplaced');
      }),
    );
    test(
      'after the law moved, a judgement under the old law is stale and one under the new law is taken',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        await bench.took(batchTo(LAW, 1, [trustDraft(bench.fingerprint, { nonce: 'again' })]));
        expect(await bench.refused(batchTo(run, 0, [judgement('fact.noted', NOTED, { cause: 0, law: 1 })], 1))).toMatchObject({
          code: 'law.stale',
          actual: 2,
        });
        expect(await bench.refused(batchTo(run, 0, [cancel()], 7))).toMatchObject({ code: 'law.stale', actual: 2 });
        await bench.took(batchTo(run, 0, [judgement('fact.noted', NOTED, { cause: 0, law: 2 })], 2));
      }),
    );
    test(
      'one batch cannot both fix the position of law and move it',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        const parts = [
          { trajectory: LAW, expect: 1 as const, drafts: [trustDraft(bench.fingerprint, { nonce: 'again' })] },
          { trajectory: run, expect: 0 as const, drafts: [judgement('fact.noted', NOTED, { cause: 0, law: 1 })] },
        ];
        expect((await bench.refused(batchOf(parts, 1))).code).toBe('batch.invalid');
      }),
    );
  });
}

/** A closed run stays closed. */
function closingRules({ describe, test, expect }: TestGlobals, subject: ContractSubject): void {
  describe('closing', () => {
    test(
      'nothing follows run.closed, neither in its own batch nor later, not even with position any',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        const close = judgement('run.closed', CLOSED, { cause: 0, law: 1 });
        expect((await bench.refused(batchTo(run, 0, [close, judgement('fact.noted', NOTED, { cause: 0, law: 1 })], 1))).code).toBe(
          'trajectory.closed',
        );
        await bench.took(batchTo(run, 0, [close], 1));
        expect((await bench.refused(batchTo(run, 1, [cancel()]))).code).toBe('trajectory.closed');
        expect((await bench.refused(batchTo(run, 'any', [cancel()]))).code).toBe('trajectory.closed');
        expect((await bench.refused(batchTo(run, 'exists', [cancel()]))).code).toBe('trajectory.closed');
        expect((await bench.store.trajectory(run))?.closed).toBe(true);
      }),
    );
  });
}

/** The runtime key signs what closes a run. */
function signingRules({ describe, test, expect }: TestGlobals, subject: ContractSubject): void {
  describe('the runtime key', () => {
    test(
      'signs run.closed over the entry and the fingerprint, and no other entry',
      onLedger(subject, async (bench) => {
        await bench.found();
        const run = await bench.run('a');
        const taken = await bench.took(
          batchTo(run, 0, [judgement('fact.noted', NOTED, { cause: 0, law: 1 }), judgement('run.closed', CLOSED, { cause: 0, law: 1 })], 1),
        );
        const [noted, closed] = taken.stored.map(({ entry }) => entry);
        expect(noted?.sig).toBe(undefined);
        const value = fromBase64(closed?.sig?.value ?? '');
        expect(
          closed !== undefined &&
            value.ok &&
            verifySignature(publicKeyOf(SEEDS.runtime), entrySigningBytes(closed, bench.fingerprint), value.value),
        ).toBe(true);
      }),
    );
    test(
      'a store without it writes the same entries unsigned',
      onLedger(
        subject,
        async (bench) => {
          await bench.found();
          const run = await bench.run('a');
          const taken = await bench.took(batchTo(run, 0, [judgement('run.closed', CLOSED, { cause: 0, law: 1 })], 1));
          expect(first(taken.stored).entry.sig).toBe(undefined);
        },
        'none',
      ),
    );
  });
}
