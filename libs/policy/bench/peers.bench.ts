/**
 * One decision under 1, 100 and 1,000 rules beside Cedar (wasm, its policy set preparsed) and, where it is installed, the policy engine of Microsoft's
 * agent-governance toolkit, in alternating rounds of one process; once with rules that all match, once with one in twenty. The rules ask the same of
 * the same values; Cedar has no path containment over lists (one path, `like`), the toolkit none at all (the folder, as a word). Prints; must never
 * judge. BENCH_ROUNDS makes it larger. GOALS §3 "decision only".
 */
import process from 'node:process';
import { setFlagsFromString } from 'node:v8';
import * as cedar from '@cedar-policy/cedar-wasm/nodejs';
import { compileSet } from '@openexec/policy';
import type { PolicyRule } from '@openexec/protocol';

// V8 of Node 20 dies of an optimised call into wasm that is inlined and then given up.
setFlagsFromString('--no-turbo-inline-js-wasm-calls');

const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 5);
/** Not a dependency: a preview with dependencies of its own. `npm install --no-save` brings it. */
const TOOLKIT = '@microsoft/agent-governance-sdk';
const ACTION = 'apply_patch';

interface Engine {
  readonly name: string;
  /** Whether the action is permitted. */
  readonly decide: () => boolean;
}
interface Toolkit {
  readonly PolicyEngine: new () => {
    loadPolicy(policy: object): void;
    evaluatePolicy(agent: string, context: Readonly<Record<string, unknown>>): { readonly allowed: boolean };
  };
}

/** Names of the rule's actions: every `each`-th speaks of the one that is decided. */
const namesOf = (index: number, each: number): readonly string[] =>
  index % each === 0 ? [`action_${index}`, ACTION, 'model.ask'] : [`action_${index}`];

function ours(rules: number, each: number): Engine {
  const made = Array.from(
    { length: rules },
    (_, index): PolicyRule => ({
      id: `rule-${index}`,
      when: {
        all: [
          { field: 'action.name', op: 'in', value: [...namesOf(index, each)] },
          { not: { field: 'paths.write', op: 'anyUnder', value: ['infra', 'deploy'] } },
          { field: 'world.changedFiles', op: 'lt', value: index + 1 },
        ],
      },
      decide: 'permit',
      because: 'sample',
      examples: { match: [{}], noMatch: [{}] },
    }),
  );
  const layer = { layer: 'operator' as const, bundle: { version: 1 as const, name: 'bench', rules: made }, source: 'bench' };
  const evaluate = compileSet({ layers: [layer], riskThreshold: 'high' });
  const fields = { action: { name: ACTION }, paths: { write: ['src/b.ts'] }, world: { changedFiles: 0 } };
  return { name: 'openexec', decide: () => evaluate(fields).verdict === 'permit' };
}

function cedarEngine(rules: number, each: number): Engine {
  const text = Array.from({ length: rules }, (_, index) => {
    const names = JSON.stringify(namesOf(index, each));
    return `permit(principal, action, resource) when { ${names}.contains(context.name) && !(context.path like "infra/*" || context.path like "deploy/*") && context.changedFiles < ${index + 1} };`;
  }).join('\n');
  const preparsedPolicySetId = `bench-${rules}-${each}`;
  const parsed = cedar.preparsePolicySet(preparsedPolicySetId, { staticPolicies: text });
  if (parsed.type !== 'success') throw new Error('Cedar does not take the rules');
  const call = {
    principal: { type: 'User', id: 'model' },
    action: { type: 'Action', id: ACTION },
    resource: { type: 'Run', id: 'one' },
    context: { name: ACTION, path: 'src/b.ts', changedFiles: 0 },
    preparsedPolicySetId,
    entities: [],
  };
  const decide = () => {
    const answer = cedar.statefulIsAuthorized(call);
    return answer.type === 'success' && answer.response.decision === 'allow';
  };
  return { name: 'Cedar wasm, preparsed', decide };
}

function toolkitEngine({ PolicyEngine }: Toolkit, rules: number, each: number): Engine {
  const engine = new PolicyEngine();
  const made = Array.from({ length: rules }, (_, index) => {
    const names = namesOf(index, each).map((name) => `'${name}'`);
    const condition = `name in [${names.join(', ')}] and folder not in ['infra', 'deploy'] and changedFiles < ${index + 1}`;
    return { name: `rule-${index}`, condition, ruleAction: 'allow' };
  });
  engine.loadPolicy({ name: 'bench', scope: 'global', rules: made, default_action: 'deny' });
  const context = { name: ACTION, folder: 'src', changedFiles: 0 };
  return { name: 'agent-governance toolkit', decide: () => engine.evaluatePolicy('did:mesh:bench', context).allowed };
}

/** Sorted times of single calls, in microseconds. */
function timesOf({ decide }: Engine, calls: number): readonly number[] {
  const times: number[] = [];
  for (let call = 0; call < calls; call++) {
    const start = process.hrtime.bigint();
    decide();
    times.push(Number(process.hrtime.bigint() - start) / 1000);
  }
  return times.sort((a, b) => a - b);
}

const median = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[list.length >> 1] ?? 0;

function measure(title: string, engines: readonly Engine[], calls: number): void {
  for (const engine of engines) if (!engine.decide()) throw new Error(`${engine.name} does not permit what its rules permit`);
  const p50s = engines.map((): number[] => []);
  const p99s = engines.map((): number[] => []);
  for (let round = -1; round < ROUNDS; round++)
    for (const [at, engine] of engines.entries()) {
      const times = timesOf(engine, calls);
      if (round < 0) continue; // Warms the code up.
      p50s[at]?.push(times[calls >> 1] ?? 0);
      p99s[at]?.push(times[Math.floor(calls * 0.99)] ?? 0);
    }
  console.log(title);
  const own = median(p50s[0] ?? []);
  for (const [at, { name }] of engines.entries()) {
    const p50 = median(p50s[at] ?? []);
    const p99 = median(p99s[at] ?? []);
    console.log(
      `  ${name.padEnd(26)} p50 ${p50.toFixed(2).padStart(8)} us   p99 ${p99.toFixed(2).padStart(9)} us   ${(p50 / own).toFixed(1)} times ours`,
    );
  }
}

const toolkit = (await import(TOOLKIT).catch(() => null)) as Toolkit | null;
if (toolkit === null) console.log(`${TOOLKIT} is not installed: measured without it`);
for (const rules of [1, 100, 1000])
  for (const each of rules === 1 ? [1] : [20, 1]) {
    const peers = [ours(rules, each), cedarEngine(rules, each), ...(toolkit === null ? [] : [toolkitEngine(toolkit, rules, each)])];
    const matching = Math.ceil(rules / each);
    measure(`${rules} rules, ${matching} of which match`, peers, rules === 1000 ? 200 : 1000);
  }
