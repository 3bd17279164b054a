/**
 * What the judge writes, word for word: scripted runs, each with the kinds that were judged and every reason in them, as literals. PROTOCOL §§4.2–4.4.
 */
import { expect, test } from '@jest/globals';
import { FIX_LOOP, ONE_AGENT, ONE_CHECK, type RunDriver, type RunPlan, writeFile } from '@openexec/kernel/fixture';
import { SOLO } from '@openexec/policy';
import { actionOf, ASKS, oneAction, OPEN, openRun, setOf } from './support.ts';
import { linesOf } from './words.ts';

const OWN_WORK =
  "it stays in the run's own workspace and sandbox, or in those of a child run, each of whose actions is judged like its own";

const PATCH = writeFile('src/a.ts', 'export const a = 2;\n');
const READ = { name: 'read_file', arguments: { path: 'README.md' } };
const LUNCH = { by: 'person', because: { code: 'person.asked', message: 'lunch' } } as const;
const BROKEN = { name: 'apply_patch', arguments: null, text: '{' };

interface Case {
  readonly plan: RunPlan;
  readonly play: (run: RunDriver) => Promise<void>;
  readonly said: readonly string[];
}

const agent = { blueprint: ONE_AGENT };
const CASES: Readonly<Record<string, Case>> = {
  'a loop that fixes and lands': {
    plan: { blueprint: FIX_LOOP },
    play: (run) =>
      run.play({ answers: [[PATCH], 'written', [writeFile('src/a.ts', 'export const a = 3;\n')], 'again'], tests: [false, true] }),
    said: [
      'stage.entered | implement',
      'policy.decided | permit | policy.permitted: the writ names the model host and the budget',
      'model.asked | 1 | implement | 1 | 0 | 300000',
      'intent.declared | implement',
      `policy.decided | permit | policy.permitted: ${OWN_WORK}`,
      'proposal.staged',
      'execution.started | 1',
      'commit.recorded',
      'model.asked | 1 | implement | 2 | 0 | 300000',
      'stage.left | succeeded | implement | answer.final: the model answered without a further call',
      'stage.entered | run_tests',
      'intent.declared | run_tests',
      `policy.decided | permit | policy.permitted: ${OWN_WORK}`,
      'proposal.staged',
      'execution.started | 1',
      'commit.recorded',
      'stage.left | failed | run_tests | check.failed: 1 test fails',
      'stage.entered | fix',
      'policy.decided | permit | policy.permitted: the writ names the model host and the budget',
      'model.asked | 1 | fix | 1 | 0 | 300000',
      'intent.declared | fix',
      `policy.decided | permit | policy.permitted: ${OWN_WORK}`,
      'proposal.staged',
      'execution.started | 1',
      'commit.recorded',
      'model.asked | 1 | fix | 2 | 0 | 300000',
      'stage.left | succeeded | fix | answer.final: the model answered without a further call',
      'stage.entered | run_tests',
      'intent.declared | run_tests',
      `policy.decided | permit | policy.permitted: ${OWN_WORK}`,
      'proposal.staged',
      'execution.started | 1',
      'commit.recorded',
      'stage.left | succeeded | run_tests | action.done: all tests pass',
      'stage.entered | land',
      'intent.declared | land',
      'policy.decided | permit | policy.permitted: a new branch under openexec/ changes nothing that anybody works on',
      'proposal.staged',
      'execution.started | 1',
      'commit.recorded',
      'stage.left | succeeded | land | action.done: done',
      'run.closed | done | run.done: every stage on the way succeeded',
    ],
  },
  'a model that fails three times': {
    plan: agent,
    play: async (run) => {
      for (let i = 0; i < 3; i++) await run.askFails();
    },
    said: [
      'stage.entered | work',
      'policy.decided | permit | policy.permitted: the writ names the model host and the budget',
      'model.asked | 1 | work | 1 | 0 | 300000',
      'model.asked | 2 | work | 1 | 1000 | 300000',
      'model.asked | 3 | work | 1 | 2000 | 300000',
      'stage.left | failed | work | provider.unavailable: the provider answered 503',
      'run.closed | failed | provider.unavailable: the provider answered 503',
    ],
  },
  'a model that uses more than was reserved': {
    plan: agent,
    play: (run) => run.answer([PATCH], { usage: { inputTokens: 900_000, outputTokens: 99 } }),
    said: [
      'stage.entered | work',
      'policy.decided | permit | policy.permitted: the writ names the model host and the budget',
      'model.asked | 1 | work | 1 | 0 | 300000',
      'run.closed | exhausted | budget.exceeded: tokens: the call cost 900099, 3622 were reserved for it; 900099 of 1000000 are spent',
    ],
  },
  'three malformed calls': {
    plan: agent,
    play: async (run) => {
      for (let i = 0; i < 3; i++) await run.answer([BROKEN]);
    },
    said: [
      'stage.entered | work',
      'policy.decided | permit | policy.permitted: the writ names the model host and the budget',
      'model.asked | 1 | work | 1 | 0 | 300000',
      'intent.declared | work | arguments.malformed: the arguments of apply_patch are not strict JSON: expected a quoted key (offset 1)',
      'policy.decided | deny | arguments.malformed: the arguments of apply_patch are not strict JSON: expected a quoted key (offset 1)',
      'proposal.rejected | compile | arguments.malformed: the arguments of apply_patch are not strict JSON: expected a quoted key (offset 1)',
      'model.asked | 1 | work | 2 | 0 | 300000',
      'intent.declared | work | arguments.malformed: the arguments of apply_patch are not strict JSON: expected a quoted key (offset 1)',
      'policy.decided | deny | arguments.malformed: the arguments of apply_patch are not strict JSON: expected a quoted key (offset 1)',
      'proposal.rejected | compile | arguments.malformed: the arguments of apply_patch are not strict JSON: expected a quoted key (offset 1)',
      'model.asked | 1 | work | 3 | 0 | 300000',
      'intent.declared | work | arguments.malformed: the arguments of apply_patch are not strict JSON: expected a quoted key (offset 1)',
      'policy.decided | deny | arguments.malformed: the arguments of apply_patch are not strict JSON: expected a quoted key (offset 1)',
      'proposal.rejected | compile | arguments.malformed: the arguments of apply_patch are not strict JSON: expected a quoted key (offset 1)',
      'stage.left | failed | work | arguments.malformedThrice: three calls in a row had malformed arguments',
      'run.closed | failed | arguments.malformedThrice: three calls in a row had malformed arguments',
    ],
  },
  'calls that are refused and one that fails': {
    plan: agent,
    play: async (run) => {
      await run.answer([{ name: 'run_tests', arguments: {} }, PATCH, READ]);
      await run.fails({ error: { code: 'patch.conflict', message: 'the context does not match' } });
      await run.observe({ status: 'failed', summary: 'no such file', changes: { inline: [] } });
      await run.answer('done');
    },
    said: [
      'stage.entered | work',
      'policy.decided | permit | policy.permitted: the writ names the model host and the budget',
      'model.asked | 1 | work | 1 | 0 | 300000',
      'intent.declared | work',
      'intent.declared | work',
      'intent.declared | work',
      "policy.decided | deny | toolset.missing: the action run_tests is not in this stage's toolset",
      "proposal.rejected | compile | toolset.missing: the action run_tests is not in this stage's toolset",
      `policy.decided | permit | policy.permitted: ${OWN_WORK}`,
      'proposal.staged',
      'execution.started | 1',
      'policy.decided | permit | policy.permitted: it changes no file and nothing outside the run',
      'proposal.staged',
      'execution.started | 1',
      'commit.recorded',
      'model.asked | 1 | work | 2 | 0 | 300000',
      'stage.left | succeeded | work | answer.final: the model answered without a further call',
      'run.closed | done | run.done: every stage on the way succeeded',
    ],
  },
  'no money left': {
    plan: { ...agent, grant: { budget: { tokens: 1_000_000, usdMicros: 10_000_000, calls: 2 } } },
    play: async (run) => {
      await run.answer([READ, READ]);
      await run.perform();
    },
    said: [
      'stage.entered | work',
      'policy.decided | permit | policy.permitted: the writ names the model host and the budget',
      'model.asked | 1 | work | 1 | 0 | 300000',
      'intent.declared | work',
      'intent.declared | work',
      'policy.decided | permit | policy.permitted: it changes no file and nothing outside the run',
      'proposal.staged',
      'execution.started | 1',
      'commit.recorded',
      'policy.decided | deny | budget.exhausted: calls: the writ grants 2, 2 are spent, 0 reserved, 1 would be needed',
      'proposal.rejected | compile | budget.exhausted: calls: the writ grants 2, 2 are spent, 0 reserved, 1 would be needed',
      'policy.decided | deny | budget.exhausted: calls: the writ grants 2, 2 are spent, 0 reserved, 1 would be needed',
      'stage.left | failed | work | budget.exhausted: calls: the writ grants 2, 2 are spent, 0 reserved, 1 would be needed',
      'run.closed | exhausted | budget.exhausted: calls: the writ grants 2, 2 are spent, 0 reserved, 1 would be needed',
    ],
  },
  'an execution that may have happened and may not again': {
    plan: { blueprint: oneAction('once'), actions: [actionOf('once')], policySet: OPEN },
    play: (run) => run.fails({ effectUnknown: true }),
    said: [
      'stage.entered | only',
      'intent.declared | only',
      'policy.decided | permit | policy.permitted: everything is permitted here',
      'proposal.staged',
      'execution.started | 1',
      'execution.lost | execution.lost: once: it failed without saying whether it took effect; it is not repeated',
      'stage.left | failed | only | execution.lost: once: it failed without saying whether it took effect; it is not repeated',
      'run.closed | failed | execution.lost: once: it failed without saying whether it took effect; it is not repeated',
    ],
  },
  'a check that fails twice': {
    plan: { blueprint: ONE_CHECK },
    play: async (run) => {
      await run.fails();
      await run.fails();
    },
    said: [
      'stage.entered | check',
      'intent.declared | check',
      `policy.decided | permit | policy.permitted: ${OWN_WORK}`,
      'proposal.staged',
      'execution.started | 1',
      'execution.started | 2',
      'stage.left | failed | check | sandbox.timeout: it took too long',
      'run.closed | failed | sandbox.timeout: it took too long',
    ],
  },
  'a check that is not configured': {
    plan: { blueprint: ONE_CHECK, commands: {} },
    play: async () => {},
    said: [
      'stage.entered | check',
      'intent.declared | check',
      'policy.decided | deny | command.notConfigured: run_tests needs the command "test", which the configuration does not give; set commands.test in .openexec/config.yaml',
      'proposal.rejected | compile | command.notConfigured: run_tests needs the command "test", which the configuration does not give; set commands.test in .openexec/config.yaml',
      'stage.left | failed | check | command.notConfigured: run_tests needs the command "test", which the configuration does not give; set commands.test in .openexec/config.yaml',
      'run.closed | failed | command.notConfigured: run_tests needs the command "test", which the configuration does not give; set commands.test in .openexec/config.yaml',
    ],
  },
  'no model': {
    plan: { ...agent, model: null },
    play: async () => {},
    said: [
      'stage.entered | work',
      'stage.left | failed | work | model.notConfigured: this blueprint has an agent stage, but the run was opened without a model',
      'run.closed | failed | model.notConfigured: this blueprint has an agent stage, but the run was opened without a model',
    ],
  },
  'a vote that is not enough, one that does not count, and one that is': {
    plan: { ...agent, policySet: ASKS },
    play: async (run) => {
      await run.answer([PATCH]);
      await run.vote('cleo');
      await run.vote('stranger');
      await run.vote('anna');
      await run.vote('cleo');
      await run.vote('ben');
      await run.perform();
      await run.answer('done');
    },
    said: [
      'stage.entered | work',
      'policy.decided | permit | policy.permitted: everything is permitted here',
      'model.asked | 1 | work | 1 | 0 | 300000',
      'intent.declared | work',
      'policy.decided | approve | policy.asks: rule 0 says so',
      'proposal.suspended',
      'approval.requested | work | policy.asks: rule 0 says so',
      'fact.noted | vote.counted: 1 of 2 votes are in',
      'fact.noted | vote.refused: vote.untrusted: key … is not in force at law position 6',
      'fact.noted | vote.refused: vote.opener: key … opened the run; policy wants somebody else to decide',
      'fact.noted | vote.twice: this key has voted on this request already',
      'approval.resolved | approved | approval.granted: 2 of 2 approved',
      'policy.decided | permit | approval.granted: rule 0 says so',
      'proposal.staged',
      'execution.started | 1',
      'commit.recorded',
      'model.asked | 1 | work | 2 | 0 | 300000',
      'stage.left | succeeded | work | answer.final: the model answered without a further call',
      'run.closed | done | run.done: every stage on the way succeeded',
    ],
  },
  'a denial': {
    plan: { ...agent, policySet: ASKS },
    play: async (run) => {
      await run.answer([PATCH]);
      await run.vote('cleo', 'deny');
      await run.answer('done');
    },
    said: [
      'stage.entered | work',
      'policy.decided | permit | policy.permitted: everything is permitted here',
      'model.asked | 1 | work | 1 | 0 | 300000',
      'intent.declared | work',
      'policy.decided | approve | policy.asks: rule 0 says so',
      'proposal.suspended',
      'approval.requested | work | policy.asks: rule 0 says so',
      'approval.resolved | denied | approval.denied: an approver denied it',
      'proposal.rejected | approval | approval.denied: an approver denied it',
      'model.asked | 1 | work | 2 | 0 | 300000',
      'stage.left | succeeded | work | answer.final: the model answered without a further call',
      'run.closed | done | run.done: every stage on the way succeeded',
    ],
  },
  'a request that nobody answers in time': {
    plan: { ...agent, policySet: ASKS },
    play: async (run) => {
      await run.answer([PATCH]);
      const request = run.state.request?.id;
      if (request === undefined) throw new Error('no request is open');
      await run.fact('approval.expired', { ...run.driving, request });
      run.house.pass(600_000);
      await run.fact('approval.expired', { ...run.driving, request });
      await run.answer('done');
    },
    said: [
      'stage.entered | work',
      'policy.decided | permit | policy.permitted: everything is permitted here',
      'model.asked | 1 | work | 1 | 0 | 300000',
      'intent.declared | work',
      'policy.decided | approve | policy.asks: rule 0 says so',
      'proposal.suspended',
      'approval.requested | work | policy.asks: rule 0 says so',
      'fact.noted | approval.notExpired: request … is open until 2026-03-01T09:10:02.000Z',
      'approval.resolved | expired | approval.expired: nobody decided before 2026-03-01T09:10:02.000Z',
      'proposal.rejected | approval | approval.expired: nobody decided before 2026-03-01T09:10:02.000Z',
      'model.asked | 1 | work | 2 | 0 | 300000',
      'stage.left | succeeded | work | answer.final: the model answered without a further call',
      'run.closed | done | run.done: every stage on the way succeeded',
    ],
  },
  'a pause, a resumption and a cancellation': {
    plan: agent,
    play: async (run) => {
      await run.answer([PATCH]);
      await run.fact('run.pauseRequested', LUNCH);
      await run.perform();
      await run.fact('run.pauseRequested', LUNCH);
      await run.resume();
      await run.fact('run.cancelRequested', { because: 'enough' });
      await run.fact('run.pauseRequested', LUNCH);
      await run.answer([PATCH]);
    },
    said: [
      'stage.entered | work',
      'policy.decided | permit | policy.permitted: the writ names the model host and the budget',
      'model.asked | 1 | work | 1 | 0 | 300000',
      'intent.declared | work',
      `policy.decided | permit | policy.permitted: ${OWN_WORK}`,
      'proposal.staged',
      'execution.started | 1',
      'fact.noted | fact.taken: run.pauseRequested was taken; nothing follows from it yet',
      'commit.recorded',
      'run.parked | person.asked: lunch',
      'fact.noted | run.parkedAlready: the run is parked already',
      'model.asked | 1 | work | 2 | 0 | 300000',
      'fact.noted | fact.taken: run.cancelRequested was taken; nothing follows from it yet',
      'fact.noted | fact.taken: run.pauseRequested was taken; nothing follows from it yet',
      'run.closed | cancelled | run.cancelled: enough',
    ],
  },
  'a driver that went away twice': {
    plan: agent,
    play: async (run) => {
      await run.resume();
      await run.answer([PATCH]);
      await run.resume();
      await run.perform();
      await run.rewind('work', 1);
      await run.rewind('work', 7);
      await run.resume();
      await run.answer('done');
    },
    said: [
      'stage.entered | work',
      'policy.decided | permit | policy.permitted: the writ names the model host and the budget',
      'model.asked | 1 | work | 1 | 0 | 300000',
      'model.asked | 2 | work | 1 | 0 | 300000',
      'intent.declared | work',
      `policy.decided | permit | policy.permitted: ${OWN_WORK}`,
      'proposal.staged',
      'execution.started | 1',
      'execution.started | 2',
      'commit.recorded',
      'model.asked | 1 | work | 2 | 0 | 300000',
      'commit.compensated',
      'stage.entered | work',
      'run.parked | run.rewound: the run was rewound to stage work, visit 1',
      'fact.noted | rewind.unknown: the run as it stands has no entry of stage work, visit 7',
      'policy.decided | permit | policy.permitted: the writ names the model host and the budget',
      'model.asked | 1 | work | 1 | 0 | 300000',
      'stage.left | succeeded | work | answer.final: the model answered without a further call',
      'run.closed | done | run.done: every stage on the way succeeded',
    ],
  },
  'hands that did something else than was asked': {
    plan: agent,
    play: async (run) => {
      await run.answer([PATCH]);
      const { change, blob } = run.change('src/b.ts', 'b\n');
      await run.observe({ changes: { inline: [change] } }, { blobs: [blob] });
    },
    said: [
      'stage.entered | work',
      'policy.decided | permit | policy.permitted: the writ names the model host and the budget',
      'model.asked | 1 | work | 1 | 0 | 300000',
      'intent.declared | work',
      `policy.decided | permit | policy.permitted: ${OWN_WORK}`,
      'proposal.staged',
      'execution.started | 1',
      'proposal.rejected | postcondition | effect.undeclared: apply_patch changed what it did not declare: src/b.ts',
      'stage.left | failed | work | effect.undeclared: apply_patch changed what it did not declare: src/b.ts',
      'run.closed | failed | effect.undeclared: apply_patch changed what it did not declare: src/b.ts',
    ],
  },
  'a risky action under a policy that permits it': {
    plan: {
      blueprint: oneAction('deploy'),
      actions: [actionOf('deploy', { effect: 'irreversible', compensable: false, risk: 'critical' })],
      policySet: { ...OPEN, riskThreshold: 'high' },
      grant: { ceiling: ['irreversible'] },
    },
    play: async (run) => {
      await run.vote('anna', 'approve', (vote) => ({ ...vote, expiry: run.house.now() }));
      await run.vote('ben');
      await run.perform();
    },
    said: [
      'stage.entered | only',
      'intent.declared | only',
      'policy.decided | approve | gate.irreversible: deploy needs an approval: gate.irreversible, gate.risk, gate.blueprint',
      'proposal.suspended',
      'approval.requested | only | gate.irreversible: deploy needs an approval: gate.irreversible, gate.risk, gate.blueprint',
      'fact.noted | vote.refused: vote.expired: the vote counted until 2026-03-01T09:00:01.000Z, now is 2026-03-01T09:00:02.000Z',
      'approval.resolved | approved | approval.granted: 1 of 1 approved',
      'policy.decided | permit | approval.granted: everything is permitted here',
      'proposal.staged',
      'execution.started | 1',
      'commit.recorded',
      'stage.left | succeeded | only | action.done: done',
      'run.closed | done | run.done: every stage on the way succeeded',
    ],
  },
  'a policy that permits no question to a model': {
    plan: { ...agent, policySet: setOf({ ...SOLO, rules: SOLO.rules.filter(({ id }) => id !== 'permit-model') }) },
    play: async () => {},
    said: [
      'stage.entered | work',
      'policy.decided | deny | policy.denied: no rule of operator/solo, the outermost layer, permits it; what is not permitted is denied',
      'stage.left | failed | work | policy.denied: no rule of operator/solo, the outermost layer, permits it; what is not permitted is denied',
      'run.closed | denied | policy.denied: no rule of operator/solo, the outermost layer, permits it; what is not permitted is denied',
    ],
  },
  'a kernel that nobody knows': {
    plan: { ...agent, kernel: { version: '2', flags: [] } },
    play: async () => {},
    said: ['run.closed | denied | kernel.unknown: the run was opened for kernel 2 with flags []; this kernel is 1'],
  },
  'a blob that is not there': {
    plan: { ...agent, withhold: ['prices'] },
    play: async () => {},
    said: ['run.closed | denied | law.blobMissing: run.opened names the price table …, which is not there'],
  },
  'a writ that grants no question to a model': {
    plan: { ...agent, grant: { actions: ['read*'] } },
    play: async () => {},
    said: [
      'stage.entered | work',
      'policy.decided | deny | writ.scope: the writ does not grant the action model.ask',
      'stage.left | failed | work | writ.scope: the writ does not grant the action model.ask',
      'run.closed | denied | writ.scope: the writ does not grant the action model.ask',
    ],
  },
  'an answer to nothing, an observation of nothing and an old driver': {
    plan: agent,
    play: async (run) => {
      const { ask } = run.due('ask');
      const before = run.driving;
      await run.answer([PATCH]);
      const { execution } = run.due('execute');
      const error = { code: 'sandbox.timeout', message: 'late' };
      await run.fact('model.failed', {
        ...run.driving,
        ask,
        error,
        retryable: false,
        retryAfterMs: null,
        status: null,
        raw: null,
        durationMs: 1,
      });
      await run.resume();
      await run.fact('execution.failed', { ...before, execution, error, effectUnknown: false, output: null, durationMs: 1 });
      await run.fails();
      await run.fact('run.resumed', { ...before, because: 'again' });
      await run.answer('done');
    },
    said: [
      'stage.entered | work',
      'policy.decided | permit | policy.permitted: the writ names the model host and the budget',
      'model.asked | 1 | work | 1 | 0 | 300000',
      'intent.declared | work',
      `policy.decided | permit | policy.permitted: ${OWN_WORK}`,
      'proposal.staged',
      'execution.started | 1',
      'fact.noted | ask.notOpen: no open model.asked has the id …',
      'execution.started | 2',
      'fact.noted | driver.stale: driver … of epoch 0 wrote while epoch 1 was in force',
      'model.asked | 1 | work | 2 | 0 | 300000',
      'fact.noted | epoch.notHigher: epoch 0 is not higher than 1',
      'stage.left | succeeded | work | answer.final: the model answered without a further call',
      'run.closed | done | run.done: every stage on the way succeeded',
    ],
  },
};

test.each(Object.entries(CASES))('%s', async (_name, { plan, play, said }) => {
  const run = await openRun(plan);
  await play(run);
  expect(linesOf(run)).toEqual(said);
});
