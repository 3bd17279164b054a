/**
 * One decision: the eleven steps of compile over a writ, a policy of 100 rules and a budget, its signatures already checked; beside the policy
 * alone, one check of an Ed25519 signature, and the same comparisons written by hand, in alternating rounds of one process. Prints; must never
 * judge. BENCH_ROUNDS makes it larger. GOALS §3 "decision only".
 */
import process from 'node:process';
import { digestJson } from '@openexec/canon';
import { House, ONE_AGENT, PEOPLE, RunDriver } from '@openexec/kernel/fixture';
import { evaluateSet } from '@openexec/policy';
import { publicKeyOf, sign, verifySignature } from '@openexec/proof';
import type { PolicyRule, PolicySet } from '@openexec/protocol';
import { compile, ONE_CALL, policyFields, type Wish } from '../src/compile.ts';

const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 5);
const CALLS = 4000;
const GOAL_US = 50;
const RULES = 100;

const names = Array.from({ length: RULES }, (_, index) => `action_${index}`);
const rules = names.map(
  (name, index): PolicyRule => ({
    id: `rule-${index}`,
    when: {
      all: [
        { field: 'action.name', op: 'in', value: [name, 'apply_patch', 'model.ask'] },
        { not: { field: 'paths.write', op: 'anyUnder', value: ['infra', 'deploy'] } },
        { field: 'world.changedFiles', op: 'lt', value: index },
      ],
    },
    decide: 'permit',
    because: 'sample',
    examples: { match: [{}], noMatch: [{}] },
  }),
);
const policySet: PolicySet = {
  layers: [
    { layer: 'operator', bundle: { version: 1, name: 'outer', rules: rules.slice(0, RULES / 2) }, source: 'bench' },
    { layer: 'project', bundle: { version: 1, name: 'inner', rules: rules.slice(RULES / 2) }, source: 'bench' },
  ],
  riskThreshold: 'high',
};

const house = await House.found();
const { state } = await RunDriver.open(house, { blueprint: ONE_AGENT, policySet });
const at = house.now();
const wish: Wish = {
  action: 'apply_patch',
  arguments: { format: 'whole_file', path: 'src/b.ts', content: 'export const b = 2;\n' },
  author: 'model',
  malformed: null,
  claims: { rationale: null, claimedRisk: null },
  hosts: [],
  reservation: ONE_CALL,
  granted: null,
};
const decision = compile(state, house.law, at, wish);
if (decision.verdict !== 'permit' || decision.trace.reached !== 11)
  throw new Error(`the decision stopped at ${decision.trace.reached}: ${decision.because.message}`);
const contract = decision.contract;
const writ = state.law?.opened.writs[0];
if (contract === null || writ === undefined) throw new Error('the run has no law');
const fields = policyFields(state, wish, contract, { read: [], write: ['src/b.ts'], writ: writ.body, at });
const message = new TextEncoder().encode(JSON.stringify(writ.body));
const signature = sign(PEOPLE.issuer.seed, message);
const publicKey = publicKeyOf(PEOPLE.issuer.seed);

function byHand(): number {
  const paths = ['src/b.ts'];
  let matched = 0;
  for (let index = 0; index < names.length; index++) {
    const clear = !paths.some((path) => path.startsWith('infra/') || path.startsWith('deploy/'));
    if ((names[index] === wish.action || wish.action === 'apply_patch') && clear && index > 0) matched++;
  }
  return matched;
}

/** Sorted times of single calls, in microseconds. */
function timesOf(work: () => unknown, calls: number): readonly number[] {
  const times: number[] = [];
  for (let call = 0; call < calls; call++) {
    const start = process.hrtime.bigint();
    work();
    times.push(Number(process.hrtime.bigint() - start) / 1000);
  }
  return times.sort((a, b) => a - b);
}

const works = {
  'compile, eleven steps': () => compile(state, house.law, at, wish),
  'policy of 100 rules alone': () => evaluateSet(policySet, fields),
  'one signature checked': () => verifySignature(publicKey, message, signature),
  'comparisons by hand': byHand,
};
const p50s = new Map<string, number[]>();
const p99s = new Map<string, number[]>();
for (let round = -1; round < ROUNDS; round++) {
  for (const [name, work] of Object.entries(works)) {
    const times = timesOf(work, CALLS);
    if (round < 0) continue; // Warms the code up.
    p50s.set(name, [...(p50s.get(name) ?? []), times[CALLS >> 1] ?? 0]);
    p99s.set(name, [...(p99s.get(name) ?? []), times[Math.floor(CALLS * 0.99)] ?? 0]);
  }
}
const median = (list: readonly number[] = []): number => [...list].sort((a, b) => a - b)[list.length >> 1] ?? 0;
const own = median(p50s.get('compile, eleven steps'));
console.log(
  `the decision has the digest ${digestJson({ verdict: decision.verdict, reached: decision.trace.reached, subject: decision.subject })}`,
);
for (const name of Object.keys(works)) {
  const p50 = median(p50s.get(name));
  console.log(
    `${name.padEnd(27)} p50 ${p50.toFixed(2).padStart(8)} us   p99 ${median(p99s.get(name)).toFixed(2).padStart(8)} us   compile is ${(own / p50).toFixed(2)} of it`,
  );
}
console.log(`goal: p50 <= ${GOAL_US} us`);
