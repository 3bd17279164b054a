/**
 * Each checker of an invariant against a history that breaks it: it must find that, and nothing in the history as it was. What is doctored is what a
 * broken build would have written or done. ARCHITECTURE §7.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { type Digest, type Json, type KeyId, type TrajectoryId, utf8Encode } from '@openexec/canon';
import { signBody, VOTE_TYPE } from '@openexec/authority';
import { CALM } from '../src/faults.ts';
import { SEEDS } from '../src/founding.ts';
import { SECRET } from '../src/model.ts';
import type { EntryMoment, Moment } from '../src/moment.ts';
import { play, type Played } from '../src/play.ts';
import { bodyOf, findingsOf, type Members, replaced, rewritten, without } from './history.ts';

/** An undisturbed run with a message that two people approved, tests that were red and then green, claims, and a writ carved from a standing one. */
const SEED = '43';
const OPTIONS = { withNotice: true, small: false, standing: true, quorum: 2, withModel: true, withTests: true, keep: true };

let played: Played;
let moments: readonly Moment[] = [];
beforeAll(async () => {
  played = await play(SEED, CALM, OPTIONS);
  moments = played.moments;
}, 300_000);

const is =
  (kind: string, more: (body: Members) => boolean = () => true) =>
  (moment: Moment): boolean =>
    moment.what === 'entry' && moment.kind === kind && more(bodyOf(moment));
const told = (what: Moment['what']) => (moment: Moment) => moment.what === what;
const notify = (moment: Moment): boolean => moment.what === 'performs' && moment.order.action === 'notify';
/** Only the first, or only the last, of what a predicate names. */
function only(which: (moment: Moment) => boolean, place: 'first' | 'last' = 'first'): (moment: Moment) => boolean {
  const chosen = place === 'first' ? moments.find(which) : moments.findLast(which);
  if (chosen === undefined) throw new Error('the history has nothing of the kind');
  return (moment) => moment === chosen;
}
const members = (json: Json | undefined): Members => json as Members;

type Doctored = readonly [string, () => readonly Moment[], ((moment: EntryMoment) => EntryMoment)?];

async function finds(invariant: number, [, doctor, see]: Doctored): Promise<void> {
  const found = await findingsOf(doctor(), played.ledger, see);
  expect([...found.keys()]).toContain(invariant);
}

/** The writ of the run, or the standing one above it, with another content in `run.opened`. */
function writ(at: 0 | 1, change: (body: Members) => Members): readonly Moment[] {
  return rewritten(moments, is('run.opened'), (body) => {
    const writs = (body['writs'] as Json[]).map((signed, place) =>
      place === at ? { ...members(signed), body: change(members(members(signed)['body'])) } : signed,
    );
    return { ...body, writs };
  });
}

/** The votes on the message to people, signed anew by `key` over `change`. */
function votes(change: Members, key: Uint8Array): readonly Moment[] {
  return rewritten(moments, is('approval.voted'), (body) => {
    const vote = members(members(body['vote'])['body']);
    return { vote: { ...signBody({ type: VOTE_TYPE, body: { ...vote, ...change }, seeds: [key] }) } as unknown as Json };
  });
}

const first: readonly Doctored[] = [
  ['the proposal was never staged', () => without(moments, is('proposal.staged'))],
  ['the start never became durable', () => without(moments, is('execution.started'))],
  ['the question never became durable', () => without(moments, is('model.asked'))],
  ['the decision did not permit', () => rewritten(moments, is('policy.decided'), (body) => ({ ...body, verdict: 'deny' }))],
  ['one start is performed twice', () => replaced(moments, only(told('performs')), (moment) => [moment, moment])],
  ['one question is asked twice', () => replaced(moments, only(told('asks')), (moment) => [moment, moment])],
  ['what is committed was never observed', () => without(moments, is('execution.observed'))],
];
const second: readonly Doctored[] = [
  ['the budget is passed', () => writ(1, (body) => ({ ...body, budget: { tokens: 100, usdMicros: 100, calls: 1 } }))],
  ['a path is not covered', () => writ(1, (body) => ({ ...body, writePaths: ['docs/**'] }))],
  ['an effect is above the ceiling', () => writ(1, (body) => ({ ...body, ceiling: ['pure', 'read'] }))],
  ['an action is not named', () => writ(1, (body) => ({ ...body, actions: ['read_file'] }))],
  ['the window is over', () => writ(1, (body) => ({ ...body, notAfter: '2026-05-05T12:00:00.000Z' }))],
  ['a child is wider than its parent', () => writ(0, (body) => ({ ...body, writePaths: ['src/**'] }))],
  [
    'more is carved than there is',
    () => rewritten(moments, is('writ.carved'), (body) => ({ ...body, grant: { tokens: 90_000_000, usdMicros: 1, calls: 1 } })),
  ],
  [
    'the writ was revoked',
    () => moments,
    (moment) => {
      const revoked = new Map<Digest, ReadonlySet<KeyId | 'root'>>([[rootId(), new Set<KeyId | 'root'>(['root'])]]);
      return { ...moment, law: { ...moment.law, revoked } };
    },
  ],
];
/** Id of the standing writ: the name of the trajectory in which it is spent. */
function rootId(): Digest {
  const carved = moments.find(is('writ.carved'));
  if (carved?.what !== 'entry') throw new Error('nothing was carved');
  const name: TrajectoryId = carved.stored.entry.trajectory;
  return `sha256:${name.slice('writ/'.length)}` as Digest;
}
const refusal: Moment = {
  what: 'handed',
  by: 'driver 1',
  drafts: 1,
  blobs: [],
  outcome: 'refused',
  code: 'store.full',
  told: true,
  stored: [],
};
const third: readonly Doctored[] = [
  [
    'the ledger refuses, and it is done all the same',
    () => replaced(moments, only(told('performs')), (moment) => [{ ...refusal, by: byOf(moment) }, moment]),
  ],
  [
    'the ledger refuses, and the model is asked all the same',
    () => replaced(moments, only(told('asks')), (moment) => [{ ...refusal, by: byOf(moment) }, moment]),
  ],
  ['the driver was never told', () => replaced(moments, told('handed'), (moment) => [{ ...moment, told: false } as Moment])],
  [
    'the driver was told of a duplicate',
    () => replaced(moments, told('handed'), (moment) => [{ ...moment, outcome: 'duplicate' } as Moment]),
  ],
  ['a message is sent once more by another start', () => replaced(moments, only(notify), (moment) => [moment, moment])],
];
function byOf(moment: Moment): string {
  return 'by' in moment ? moment.by : '';
}
const fourth: readonly Doctored[] = [
  [
    'a payload is another',
    () => rewritten(moments, is('stage.left'), (body) => ({ ...body, because: { code: 'a.b', message: 'another' } })),
  ],
  ['an entry is gone', () => without(moments, only(is('fact.noted')))],
  [
    'the store names another root',
    () => replaced(moments, only(told('head'), 'last'), (moment) => [{ ...moment, root: new Uint8Array(32) } as Moment]),
  ],
  ['the store names another size', () => replaced(moments, only(told('head'), 'last'), (moment) => [{ ...moment, size: 3n } as Moment])],
];
const fifth: readonly Doctored[] = [
  ['a verdict is another', () => rewritten(moments, is('policy.decided'), (body) => ({ ...body, by: 'gate' }))],
  ['a judgement is missing', () => without(moments, only(is('policy.decided')))],
  ['the end of the run is another', () => rewritten(moments, is('run.closed'), (body) => ({ ...body, outcome: 'failed' }))],
  [
    'a law body has another signer',
    () => rewritten(moments, is('writ.issued'), (body) => ({ writ: { ...members(body['writ']), signatures: [] } })),
  ],
];
const sixth: readonly Doctored[] = [
  ['an acknowledged entry is not there', () => without(moments, only(is('model.answered')))],
  ['half a batch is stored', () => replaced(moments, only(told('handed'), 'last'), (moment) => [{ ...moment, drafts: 99 } as Moment])],
  ['an entry came from no batch', () => without(moments, only(told('handed'), 'last'))],
  [
    'the last entry is gone when it is read again',
    () =>
      replaced(moments, told('reread'), (moment) =>
        moment.what === 'reread' ? [{ ...moment, entries: moment.entries.slice(0, -1) }] : [],
      ),
  ],
  [
    'an entry is another when it is read again',
    () =>
      replaced(moments, told('reread'), (moment) =>
        moment.what === 'reread'
          ? [
              {
                ...moment,
                entries: moment.entries.map((stored, at) => (at === 9 ? { ...stored, leaf: rootId() } : stored) as never),
              },
            ]
          : [],
      ),
  ],
];
const seventh: readonly Doctored[] = [
  ['what never ran is observed', () => without(moments, told('performed'))],
  [
    'the sandbox did not start, and it is observed',
    () => replaced(moments, told('performed'), (moment) => [{ ...moment, truth: 'nothing' } as Moment]),
  ],
  [
    'red tests are called green',
    () =>
      rewritten(
        moments,
        is('execution.observed', (body) => body['status'] === 'failed'),
        (body) => ({ ...body, status: 'ok' }),
      ),
  ],
  [
    'green tests are called red',
    () =>
      rewritten(
        moments,
        is('execution.observed', (body) => body['exitCode'] === 0),
        (body) => ({ ...body, status: 'failed' }),
      ),
  ],
  ['a stage succeeds without a commit', () => without(moments, is('commit.recorded'))],
  ['a run is done without a result', () => rewritten(moments, is('run.closed'), (body) => ({ ...body, result: null }))],
  [
    'a model is asked although there is none',
    () => moments,
    (moment) => {
      const law = moment.before?.law ?? null;
      return law === null || moment.before === null ? moment : { ...moment, before: { ...moment.before, law: { ...law, model: null } } };
    },
  ],
];
const eighth: readonly Doctored[] = [
  [
    'a stage leads elsewhere',
    () =>
      rewritten(
        moments,
        is('stage.left', (body) => body['stage'] === 'test'),
        (body) => ({ ...body, next: 'done' }),
      ),
  ],
  [
    'another stage is entered',
    () =>
      rewritten(
        moments,
        is('stage.entered', (body) => body['stage'] === 'test'),
        (body) => ({ ...body, stage: 'land' }),
      ),
  ],
  [
    'another profile is performed',
    () =>
      replaced(moments, told('performs'), (moment) =>
        moment.what === 'performs'
          ? [{ ...moment, order: { ...moment.order, profile: { ...moment.order.profile, mode: 'danger' as never } } }]
          : [],
      ),
  ],
  [
    'another profile is started',
    () =>
      rewritten(moments, is('execution.started'), (body) => ({
        ...body,
        sandbox: { mode: 'workspace_write', profile: `sha256:${'0'.repeat(64)}` },
      })),
  ],
  ['another command is started', () => rewritten(moments, is('execution.started'), (body) => ({ ...body, command: ['rm', '-rf', '/'] }))],
  [
    'a decision listens to what the model claims',
    () =>
      rewritten(
        moments,
        is('policy.decided', (body) => body['intent'] !== null),
        (body) => ({ ...body, because: { code: 'model.said', message: 'it is harmless' } }),
      ),
  ],
];
const sound = (kind: string) => only(is(kind), 'last');
const ninth: readonly Doctored[] = [
  ['a vote was never cast', () => without(moments, is('approval.voted'))],
  ['a stranger voted', () => votes({}, SEEDS.stranger)],
  ['the runtime voted', () => votes({}, SEEDS.runtime)],
  ['the vote is on another digest', () => votes({ digest: `sha256:${'1'.repeat(64)}` }, SEEDS.approver)],
  ['the vote is for another run', () => votes({ run: 'run/another' }, SEEDS.approver)],
  ['the vote had expired', () => votes({ expiry: '2026-05-05T11:00:00.000Z' }, SEEDS.approver)],
  [
    'the vote was signed by somebody else',
    () =>
      rewritten(moments, is('approval.voted'), (body) => ({
        vote: { ...members(body['vote']), signatures: [{ key: '0'.repeat(32), value: 'A'.repeat(86) + '==' }] },
      })),
  ],
  [
    'one key is counted twice',
    () =>
      rewritten(
        moments,
        is('approval.resolved', (body) => (body['votes'] as Json[]).length === 2),
        (body) => ({ ...body, votes: [(body['votes'] as Json[])[0] ?? null, (body['votes'] as Json[])[0] ?? null] }),
      ),
  ],
  [
    'fewer keys than the quorum',
    () =>
      rewritten(
        moments,
        is('approval.resolved', (body) => (body['votes'] as Json[]).length === 2),
        (body) => ({ ...body, votes: (body['votes'] as Json[]).slice(0, 1) }),
      ),
  ],
  ['a denial is passed over', () => votes({ decision: 'deny' }, SEEDS.approver)],
  ['the time was over', () => rewritten(moments, is('approval.requested'), (body) => ({ ...body, until: '2026-05-05T11:00:00.000Z' }))],
  ['nobody approved', () => rewritten(moments, is('approval.resolved'), (body) => ({ ...body, outcome: 'withdrawn' }))],
  [
    'an approval is used twice',
    () =>
      replaced(moments, sound('proposal.staged'), (moment) => [moment]).flatMap((moment) =>
        is('proposal.staged', (body) => body['approval'] !== null)(moment) ? [moment, moment] : [moment],
      ),
  ],
  ['the approval is not waited for', () => rewritten(moments, is('proposal.staged'), (body) => ({ ...body, approval: null }))],
  [
    'another action is staged than was approved',
    () => rewritten(moments, is('intent.declared'), (body) => ({ ...body, action: 'notify', arguments: { inline: { to: 'everybody' } } })),
  ],
  ['the policy is another', () => rewritten(moments, is('policy.decided'), (body) => ({ ...body, policySet: `sha256:${'2'.repeat(64)}` }))],
  ['a request expires early', () => rewritten(moments, is('approval.resolved'), (body) => ({ ...body, outcome: 'expired' }))],
  [
    'the voting key was retired',
    () => moments,
    (moment) => {
      const keys = new Map([...moment.law.keys].map(([key, record]) => [key, { ...record, retiredAt: 0 }] as const));
      return { ...moment, law: { ...moment.law, keys } };
    },
  ],
];
const tenth: readonly Doctored[] = [
  ['it stands in a payload', () => rewritten(moments, is('intent.declared'), (body) => ({ ...body, action: SECRET }))],
  [
    'it stands in a blob',
    () =>
      replaced(moments, only(told('handed')), (moment) =>
        moment.what === 'handed' ? [{ ...moment, blobs: [{ digest: rootId(), bytes: utf8Encode(`\u00ff${SECRET}`) }] }] : [],
      ),
  ],
  [
    'the model is shown it',
    () =>
      replaced(moments, only(told('asks')), (moment) =>
        moment.what === 'asks' ? [{ ...moment, request: { ...moment.request, messages: [{ role: 'user', text: SECRET }] } }] : [],
      ),
  ],
  [
    'a command is told it',
    () =>
      replaced(moments, only(told('performs')), (moment) =>
        moment.what === 'performs' ? [{ ...moment, order: { ...moment.order, arguments: { password: SECRET } } }] : [],
      ),
  ],
  [
    'an artifact holds it',
    () =>
      replaced(moments, only(told('performs')), (moment) =>
        moment.what === 'performs' ? [{ ...moment, order: { ...moment.order, artifacts: new Map([['a', utf8Encode(SECRET)]]) } }] : [],
      ),
  ],
];

test('a sound history gives no finding, told again as it was', async () => {
  expect(played.checked.problems).toEqual([]);
  expect([...(await findingsOf(moments, played.ledger))]).toEqual([]);
  expect(new Set(moments.map(({ what }) => what))).toEqual(new Set(['handed', 'entry', 'head', 'performs', 'performed', 'asks', 'reread']));
});

describe.each([
  [1, 'no effect without a durable, staged proposal', first],
  [2, 'nothing beyond the writ', second],
  [3, 'where the ledger cannot be written, nothing is done', third],
  [4, 'every byte under the hash', fourth],
  [5, 'every judgement the kernel’s', fifth],
  [6, 'nothing acknowledged lost, nothing half', sixth],
  [7, 'what was not run never passes', seventh],
  [8, 'the model rates no risk', eighth],
  [9, 'an approval is for this exact action', ninth],
  [10, 'a secret stands nowhere', tenth],
] as const)('the checker of invariant %i (%s)', (invariant, _name, doctored) => {
  test.each(doctored.map((each) => [each[0], each] as const))('finds that %s', async (_title, each) => finds(invariant, each));
});
