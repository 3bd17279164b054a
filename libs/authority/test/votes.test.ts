/** Votes on a request for approval: for which content they count, from whom, until when, and how they add up. */
import { describe, expect, test } from '@jest/globals';
import { digestOf } from '@openexec/canon';
import type { ApprovalTerms } from '@openexec/protocol';
import { approvalDigest, checkVote, countVotes, signBody, VOTE_TYPE } from '../src/index.ts';
import { AFTER, at, BEFORE, entry, folded, freshNonce, idOf, lawBody, LEAF, NOON, type Person, seedOf, smallLaw } from './support.ts';

describe('votes', () => {
  const law = smallLaw();
  const TERMS: ApprovalTerms = { roles: ['approver'], quorum: 2, ttlMs: 1000, minAssurance: 'passphrase', openerMayApprove: false };
  const content = { action: 'apply_patch', arguments: { patch: 'x' }, preImage: null, policySet: digestOf('p'), writ: digestOf('w') };
  const request = { request: digestOf('request'), digest: approvalDigest(content), terms: TERMS, until: AFTER };
  const run = 'run/0123';
  const body = {
    ledger: LEAF,
    run,
    request: request.request,
    decision: 'approve' as const,
    digest: request.digest,
    expiry: AFTER,
    nonce: freshNonce(),
    assurance: 'passphrase' as const,
    because: '',
  };
  const ballot = (by: Person, changed: Partial<Parameters<typeof checkVote>[0]['vote']['body']> = {}) =>
    signBody({ type: VOTE_TYPE, body: { ...body, ...changed }, seeds: [seedOf(by)] });
  const cast = (vote: ReturnType<typeof ballot>, more: Partial<Parameters<typeof checkVote>[0]> = {}) => {
    const checked = checkVote({ vote, request, run, law, at: NOON, opener: idOf('issuer'), ...more });
    return checked.ok ? checked.value.decision : checked.error.code;
  };

  test('count for exactly this content, request, run and ledger', () => {
    expect(cast(ballot('approver'))).toBe('approve');
    expect(cast(ballot('other', { decision: 'deny' }))).toBe('deny');
    expect(cast(ballot('approver', { digest: approvalDigest({ ...content, arguments: { patch: 'y' } }) }))).toBe('vote.digest');
    expect(cast(ballot('approver', { request: digestOf('another') }))).toBe('vote.request');
    expect(cast(ballot('approver', { run: 'run/4567' }))).toBe('vote.run');
    expect(cast(ballot('approver', { ledger: digestOf('another') }))).toBe('vote.ledger');
  });
  test('every member of what is approved changes its digest', () => {
    const changes = [
      { action: 'b' },
      { arguments: {} },
      { preImage: digestOf('i') },
      { policySet: digestOf('q') },
      { writ: digestOf('v') },
    ];
    const digests = changes.map((changed) => approvalDigest({ ...content, ...changed }));
    expect(new Set([request.digest, ...digests]).size).toBe(6);
  });
  test('count until the request and the vote end, both moments included', () => {
    const late = at('2026-06-01T00:00:00.001Z');
    expect([cast(ballot('approver'), { at: AFTER }), cast(ballot('approver'), { at: late })]).toEqual(['approve', 'vote.late']);
    expect(cast(ballot('approver', { expiry: BEFORE }))).toBe('vote.expired');
  });
  test('never come from a stranger, a runtime, a role not asked for, a retired key, or the opener', () => {
    expect(cast(ballot('stranger'))).toBe('vote.untrusted');
    expect(cast(ballot('runtime'))).toBe('vote.runtimeKey');
    expect(cast(ballot('runtime'), { request: { ...request, terms: { ...TERMS, roles: ['runtime'] } } })).toBe('vote.runtimeKey');
    expect(cast(ballot('policy'))).toBe('vote.role');
    expect(cast(ballot('root'), { request: { ...request, terms: { ...TERMS, roles: ['approver', 'root'] } } })).toBe('approve');
    const retired = folded(law, entry(law, 'key.retired', lawBody('key.retired', { key: idOf('approver'), because: '' }, 'root')));
    expect(cast(ballot('approver'), { law: retired })).toBe('vote.untrusted');
    expect(cast(ballot('approver'), { opener: idOf('approver') })).toBe('vote.opener');
    expect(
      cast(ballot('approver'), { opener: idOf('approver'), request: { ...request, terms: { ...TERMS, openerMayApprove: true } } }),
    ).toBe('approve');
  });
  test('want the assurance asked for, and one true signature over a vote', () => {
    expect((['file', 'passphrase', 'hardware'] as const).map((assurance) => cast(ballot('approver', { assurance })))).toEqual([
      'vote.assurance',
      'approve',
      'approve',
    ]);
    const good = ballot('approver');
    expect(cast({ body: { ...good.body, because: 'changed' }, signatures: good.signatures })).toBe('vote.signature');
    expect(cast({ body: good.body, signatures: [...good.signatures, ...ballot('other').signatures] })).toBe('vote.signature');
    expect(cast({ body: good.body, signatures: [] })).toBe('vote.signature');
    expect(cast(signBody({ type: 'application/vnd.openexec.writ.v1+json', body: good.body, seeds: [seedOf('approver')] }))).toBe(
      'vote.signature',
    );
  });
  test('add up by distinct keys; the first denial ends it; what comes after the end changes nothing', () => {
    const yes = (person: Person) => ({ key: idOf(person), decision: 'approve' as const });
    const no = (person: Person) => ({ key: idOf(person), decision: 'deny' as const });
    const count = (...votes: Parameters<typeof countVotes>[0]['votes']) => countVotes({ votes, terms: TERMS });
    expect([count(), count(yes('approver')), count(yes('approver'), yes('approver'))]).toEqual(['open', 'open', 'open']);
    expect(count(yes('approver'), yes('other'))).toBe('approved');
    expect(count(yes('approver'), no('other'))).toBe('denied');
    expect(count(yes('approver'), no('approver'), yes('other'))).toBe('denied');
    expect(count(yes('approver'), yes('other'), no('root'))).toBe('approved');
  });
});
