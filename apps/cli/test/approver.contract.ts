/**
 * Contract suite of the port `Approver`: it brings the decision of a person, signed, for exactly the question that was asked, or nothing; it never
 * decides. An adapter says how the person answers.
 */
import { describe, expect, test } from '@jest/globals';
import { checkSignature, VOTE_TYPE } from '@openexec/authority';
import { type Digest, digestOf, type Instant } from '@openexec/canon';
import type { ApprovalQuestion, Approver, StopSignal } from '@openexec/catalogue';

/** What a person says, or null where none can be asked now. */
export type Said = 'approve' | 'deny' | null;
/** An approver whose person answers as told. */
export interface OpenedApprover {
  readonly approver: Approver;
  readonly ledger: Digest;
  /** Of the key that signs, as hex. */
  readonly publicKey: string;
}

const NEVER: StopSignal = { stopped: false, onStop: () => () => undefined };
const QUESTION: ApprovalQuestion = {
  request: digestOf('request'),
  run: `run/${'ab'.repeat(16)}`,
  digest: digestOf('what is to be approved'),
  action: 'apply_patch',
  because: 'the path is run or obeyed without being asked',
  rule: 'shipped/ask-auto-run',
  detail: 'package.json',
  until: '2999-01-01T00:00:00.000Z' as Instant, // Of its form.
};

/** Runs the suite over an adapter. */
export function approverContract(name: string, open: (said: Said) => Promise<OpenedApprover>): void {
  describe(`${name} keeps the contract of Approver`, () => {
    test.each(['approve', 'deny'] as const)(
      'brings "%s" as a vote for exactly what was asked, signed by the key that it names',
      async (said) => {
        const { approver, ledger, publicKey } = await open(said);
        const vote = await approver.ask(QUESTION, NEVER);
        const { request, run, digest, until } = QUESTION;
        expect(vote?.body).toMatchObject({ ledger, run, request, digest, decision: said });
        expect((vote?.body.expiry ?? '') <= until).toBe(true);
        const [signature, ...others] = vote?.signatures ?? [];
        if (vote === null || signature === undefined) throw new Error('there is no vote');
        expect(others).toEqual([]);
        expect(checkSignature({ type: VOTE_TYPE, body: vote.body, publicKey, signature })).toBe(true);
        // Nothing of it is for anything else.
        expect(checkSignature({ type: VOTE_TYPE, body: { ...vote.body, digest: digestOf('other') }, publicKey, signature })).toBe(false);
      },
    );

    test('brings nothing where nobody decides', async () => {
      const { approver } = await open(null);
      expect(await approver.ask(QUESTION, NEVER)).toBeNull();
    });

    test('votes anew each time: two votes are never the same', async () => {
      const { approver } = await open('approve');
      const [first, second] = [await approver.ask(QUESTION, NEVER), await approver.ask(QUESTION, NEVER)];
      expect(first?.body.nonce).toMatch(/^[0-9a-f]{32}$/);
      expect(first?.body.nonce).not.toBe(second?.body.nonce);
    });

    test('leaves the question as it is', async () => {
      const { approver } = await open('approve');
      const before = JSON.stringify(QUESTION);
      await approver.ask(QUESTION, NEVER);
      expect(JSON.stringify(QUESTION)).toBe(before);
    });
  });
}
