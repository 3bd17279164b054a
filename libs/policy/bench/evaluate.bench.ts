/**
 * Time of one decision under 100 rules in two layers, beside the bare baseline of the same comparisons written by hand. Prints p50, p99 and the
 * ratio. Run: node scripts/run-ts.mjs libs/policy/bench/evaluate.bench.ts
 */
import { compileSet } from '@openexec/policy';
import type { PolicyRule, PolicySet } from '@openexec/protocol';

const ROUNDS = 20_000;
const names = Array.from({ length: 100 }, (_, index) => `action_${index}`);
const rules = names.map((name, index): PolicyRule => {
  return {
    id: `rule-${index}`,
    when: {
      all: [
        { field: 'action.name', op: 'in', value: [name, 'apply_patch'] },
        { field: 'arguments.options.depth', op: 'lt', value: index },
        { not: { field: 'paths.write', op: 'anyUnder', value: ['infra', 'deploy'] } },
      ],
    },
    decide: index % 10 === 9 ? 'deny' : 'permit',
    because: 'sample',
    examples: { match: [{}], noMatch: [{}] },
  };
});
const set: PolicySet = {
  layers: [
    { layer: 'operator', bundle: { version: 1, name: 'outer', rules: rules.slice(0, 50) }, source: 'bench' },
    { layer: 'project', bundle: { version: 1, name: 'inner', rules: rules.slice(50) }, source: 'bench' },
  ],
  riskThreshold: 'high',
};
const fields = {
  action: { name: 'apply_patch', effect: 'write' },
  arguments: { options: { depth: 40 } },
  paths: { read: [], write: ['src/a.ts', 'src/b/c.ts'] },
};

function byHand(): number {
  let matched = 0;
  for (let index = 0; index < names.length; index++) {
    const named = names[index] === fields.action.name || fields.action.name === 'apply_patch';
    const clear = !fields.paths.write.some((path) => path.startsWith('infra/') || path.startsWith('deploy/'));
    if (named && fields.arguments.options.depth < index && clear) matched++;
  }
  return matched;
}

/** Sorted times of each call in microseconds. */
function timesOf(work: () => unknown): readonly number[] {
  for (let warm = 0; warm < 2000; warm++) work();
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    work();
    times.push(Number(process.hrtime.bigint() - start) / 1000);
  }
  return times.sort((a, b) => a - b);
}

const evaluate = compileSet(set);
const bare = timesOf(byHand);
const policy = timesOf(() => evaluate(fields));
const at = (times: readonly number[], part: number) => times[Math.floor(times.length * part)] ?? 0;
const microseconds = (times: readonly number[]) => `p50 ${at(times, 0.5).toFixed(2)} us, p99 ${at(times, 0.99).toFixed(2)} us`;
console.log(`policy, 100 rules: ${microseconds(policy)} (goal: p50 <= 50 us)`);
console.log(`by hand:           ${microseconds(bare)}`);
console.log(`ratio:             ${(at(policy, 0.5) / at(bare, 0.5)).toFixed(1)}`);
