/**
 * One decision: the eleven steps of compile over a writ, a policy of 100 rules and a budget, its signatures already checked; beside the policy
 * alone, one check of an Ed25519 signature, and the same comparisons written by hand, in alternating rounds of one process. Once with rules of
 * which few speak of the action, once with rules that all do. Prints; must never judge. BENCH_ROUNDS makes it larger. GOALS §3 "decision only".
 */
import process from 'node:process';
import { digestJson } from '@openexec/canon';
import { House, ONE_AGENT, PEOPLE, RunDriver } from '@openexec/kernel/fixture';
import { evaluateSet } from '@openexec/policy';
import { publicKeyOf, sign, verifySignature } from '@openexec/proof';
import type { PolicyRule, PolicySet } from '@openexec/protocol';
import { compile, ONE_CALL, policyFields, type Wish } from '../src/compile.ts';

const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 5);
const CALLS = 2000;
const GOAL_US = 50;
const RULES = 100;

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

/** 100 rules in two layers; every `each`-th speaks of the action that is decided. */
function policyOf(each: number): PolicySet {
  const rules = Array.from(
    { length: RULES },
    (_, index): PolicyRule => ({
      id: `rule-${index}`,
      when: {
        all: [
          {
            field: 'action.name',
            op: 'in',
            value: index % each === 0 ? [`action_${index}`, 'apply_patch', 'model.ask'] : [`action_${index}`],
          },
          { not: { field: 'paths.write', op: 'anyUnder', value: ['infra', 'deploy'] } },
          { field: 'world.changedFiles', op: 'lt', value: index + 1 },
        ],
      },
      decide: 'permit',
      because: 'sample',
      examples: { match: [{}], noMatch: [{}] },
    }),
  );
  return {
    layers: [
      { layer: 'operator', bundle: { version: 1, name: 'outer', rules: rules.slice(0, RULES / 2) }, source: 'bench' },
      { layer: 'project', bundle: { version: 1, name: 'inner', rules: rules.slice(RULES / 2) }, source: 'bench' },
    ],
    riskThreshold: 'high',
  };
}

/** What the rules ask, as a person in a hurry would write it. */
function byHand(each: number): number {
  const paths = ['src/b.ts'];
  let matched = 0;
  for (let index = 0; index < RULES; index++) {
    const named = wish.action === `action_${index}` || (index % each === 0 && wish.action === 'apply_patch');
    const clear = !paths.some((path) => path.startsWith('infra/') || path.startsWith('deploy/'));
    if (named && clear && index + 1 > 0) matched++;
  }
  return matched;
}

/** Sorted times of single calls, in microseconds. */
function timesOf(work: () => unknown): readonly number[] {
  const times: number[] = [];
  for (let call = 0; call < CALLS; call++) {
    const start = process.hrtime.bigint();
    work();
    times.push(Number(process.hrtime.bigint() - start) / 1000);
  }
  return times.sort((a, b) => a - b);
}

const median = (list: readonly number[] = []): number => [...list].sort((a, b) => a - b)[list.length >> 1] ?? 0;

async function measure(title: string, each: number): Promise<void> {
  const house = await House.found();
  const policySet = policyOf(each);
  const { state } = await RunDriver.open(house, { blueprint: ONE_AGENT, policySet });
  const at = house.now();
  const decision = compile(state, house.law, at, wish);
  const { contract, trace, verdict, because, subject } = decision;
  const writ = state.law?.opened.writs[0];
  if (verdict !== 'permit' || trace.reached !== 11 || contract === null || writ === undefined)
    throw new Error(`the decision stopped at ${trace.reached}: ${because.message}`);
  const fields = policyFields(state, wish, contract, { read: [], write: ['src/b.ts'], writ: writ.body, at });
  const message = new TextEncoder().encode(JSON.stringify(writ.body));
  const signature = sign(PEOPLE.issuer.seed, message);
  const publicKey = publicKeyOf(PEOPLE.issuer.seed);
  const works = {
    'compile, eleven steps': () => compile(state, house.law, at, wish),
    'policy of 100 rules alone': () => evaluateSet(policySet, fields),
    'one signature checked': () => verifySignature(publicKey, message, signature),
    'comparisons by hand': () => byHand(each),
  };
  const p50s = new Map<string, number[]>();
  const p99s = new Map<string, number[]>();
  for (let round = -1; round < ROUNDS; round++) {
    for (const [name, work] of Object.entries(works)) {
      const times = timesOf(work);
      if (round < 0) continue; // Warms the code up.
      p50s.set(name, [...(p50s.get(name) ?? []), times[CALLS >> 1] ?? 0]);
      p99s.set(name, [...(p99s.get(name) ?? []), times[Math.floor(CALLS * 0.99)] ?? 0]);
    }
  }
  console.log(`${title}; result ${digestJson({ verdict, reached: trace.reached, subject })}`);
  const own = median(p50s.get('compile, eleven steps'));
  for (const name of Object.keys(works)) {
    const p50 = median(p50s.get(name));
    console.log(
      `  ${name.padEnd(27)} p50 ${p50.toFixed(2).padStart(7)} us   p99 ${median(p99s.get(name)).toFixed(2).padStart(8)} us   compile is ${(own / p50).toFixed(2)} of it`,
    );
  }
}

await measure('5 of 100 rules speak of the action', 20);
await measure('all 100 rules speak of the action and match', 1);
console.log(`goal: p50 <= ${GOAL_US} us, signatures already checked`);
