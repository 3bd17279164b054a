/**
 * Any graph that the check lets through comes to an end in the kernel, whatever its checks and its model answer, within the visits that its stages have.
 * OPENEXEC §1.12 "a finite cap on every cycle", MECHANICS part 2 "visit cap".
 */
import { expect, test } from '@jest/globals';
import { checkBlueprint } from '@openexec/blueprint';
import type { Json } from '@openexec/canon';
import { argumentProblem, builtinActions, builtinToolsets } from '@openexec/catalogue';
import fc from 'fast-check';
import { bodiesOf, openRun } from './support.ts';

const ENDS = ['done', 'fail', 'paused'];
const graph = fc
  .array(
    fc.record({
      agent: fc.boolean(),
      success: fc.nat(7),
      failure: fc.nat(7),
      visits: fc.integer({ min: 1, max: 3 }),
      skipping: fc.boolean(),
    }),
    { minLength: 1, maxLength: 5 },
  )
  .map((drawn): { [key: string]: Json } => {
    const target = (at: number): string => (at < drawn.length ? `s${at}` : (ENDS[at % 3] ?? 'done'));
    const stages = drawn.map((each, at): Json => {
      const routes = { id: `s${at}`, on_success: target(each.success), on_failure: target(each.failure), visit_limit: each.visits };
      const when = each.skipping ? { when: { artifact: 'test_report', exists: false } } : {};
      return each.agent
        ? { ...routes, ...when, type: 'agent', goal: 'x', toolset: 'repo_readonly', turn_limit: 1 }
        : { ...routes, ...when, type: 'deterministic', action: 'run_tests', outputs: ['test_report'], retry_limit: 1 };
    });
    return { version: 1, name: 'random', defaults: { sandbox: 'workspace_write' }, stages };
  });

/** A check that leads back to the agent before it, as often as its visits allow. */
const LOOP: { [key: string]: Json } = {
  version: 1,
  name: 'loop',
  defaults: { sandbox: 'workspace_write' },
  stages: [
    { id: 's0', type: 'agent', goal: 'x', toolset: 'repo_readonly', turn_limit: 1, on_success: 's1', on_failure: 's1', visit_limit: 3 },
    { id: 's1', type: 'deterministic', action: 'run_tests', on_success: 'done', on_failure: 's0', visit_limit: 3, retry_limit: 1 },
  ],
};

test('property: a checked graph always comes to rest, within its visits, parked at most once for each of them', async () => {
  let closed = 0;
  let looped = 0;
  const commands = { test: { argv: ['x'], timeout: 'fast' as const } };
  await fc.assert(
    fc.asyncProperty(graph, fc.array(fc.boolean(), { minLength: 60, maxLength: 60 }), async (blueprint, answers) => {
      const context = { actions: builtinActions, toolsets: builtinToolsets, commands, argumentProblem };
      const checked = checkBlueprint(blueprint, context);
      if (!checked.ok) return;
      const most = checked.value.stages.reduce((sum, { visitLimit }) => sum + visitLimit, 0);
      const run = await openRun({ blueprint, commands });
      let step = 0;
      while (run.state.status !== 'closed' && step <= 2 * most + 2) {
        const good = answers[step++ % answers.length] === true;
        if (run.state.status === 'parked') {
          const because = run.state.parked?.because.code;
          if (because === 'visits.exhausted') break;
          await run.resume();
        } else if (run.state.stage?.asked.length !== 0 && run.state.stage?.ask !== null) {
          // The only turn: a call leaves the stage without an answer, which is its failure.
          if (good) await run.answer('done');
          else await run.askFails({ retryable: false });
        } else await run.test(good);
      }
      const entered = bodiesOf(run, 'stage.entered');
      expect(entered.length).toBeLessThanOrEqual(most);
      expect(['closed', 'parked']).toContain(run.state.status);
      for (const { id, visitLimit } of checked.value.stages)
        expect(entered.filter(({ stage }) => stage === id).length).toBeLessThanOrEqual(visitLimit);
      if (run.state.status === 'closed') closed += 1;
      if (entered.some(({ visit }) => visit > 1)) looped += 1;
    }),
    { numRuns: 600, examples: [[LOOP, Array.from({ length: 60 }, () => false)]] },
  );
  // The graphs are drawn anew each time: only that such runs occurred at all is sure, and a loop by the example.
  expect(closed).toBeGreaterThan(10);
  expect(looped).toBeGreaterThan(0);
});
