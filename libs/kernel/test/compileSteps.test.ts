/**
 * The eleven steps of compile, asked directly: one wish on one state that is lawful throughout, and then with one thing wrong at a time. What it answers
 * is held word for word, with how far it came and what it had worked out by then. PROTOCOL §6.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { approvalDigest, type LawView, writId } from '@openexec/authority';
import { digestJson, type Instant, type Json } from '@openexec/canon';
import { House, ONE_AGENT, RunDriver, type RunPlan } from '@openexec/kernel/fixture';
import type { CheckedStage, PolicySet } from '@openexec/protocol';
import { chainInForce, compile, type Decision, gateTerms, ONE_CALL, policyFields, policyInForce, type Wish } from '../src/compile.ts';
import { initialState } from '../src/fold.ts';
import type { RunState } from '../src/state.ts';
import { actionOf, bundleOf, isAction, OPEN, setOf, TERMS } from './support.ts';

const GRANT = { budget: { tokens: 1_000_000, usdMicros: 2_000_000, calls: 30 } };
const ARGUMENTS: Json = { format: 'whole_file', path: 'src/a.ts', content: 'export const a = 2;\n' };
const WISH: Wish = {
  action: 'apply_patch',
  arguments: ARGUMENTS,
  author: 'model',
  malformed: null,
  claims: { rationale: 'r', claimedRisk: 'low' },
  hosts: [],
  reservation: ONE_CALL,
  granted: null,
};
let house: House;
let at: Instant;
let law: LawView;
/** Opened under a policy that permits everything, in its one agent stage. */
let state: RunState;

async function stateOf(plan: RunPlan): Promise<RunState> {
  const run = await RunDriver.open(house, { blueprint: ONE_AGENT, policySet: OPEN, grant: GRANT, ...plan });
  return run.state;
}
/** The state with members of its law replaced. */
function lawful(members: Partial<NonNullable<RunState['law']>>, of: RunState = state): RunState {
  if (of.law === null) throw new Error('the run was opened');
  return { ...of, law: { ...of.law, ...members } };
}
/** The state with its one stage otherwise. */
function staged(members: Partial<Extract<CheckedStage, { type: 'agent' }>>): RunState {
  const stage = state.law?.stages.get('work');
  if (stage?.type !== 'agent') throw new Error('the stage is an agent');
  return lawful({ stages: new Map([['work', { ...stage, ...members }]]) });
}
function said({ verdict, by, because, rule, terms, trace }: Decision): Json {
  return { verdict, by, because: `${because.code}: ${because.message}`, rule, terms, reached: trace.reached };
}
const ask = (changed: Partial<Wish> = {}, on: RunState = state, under: LawView = law): Decision =>
  compile(on, under, house.now(), { ...WISH, ...changed });
const refusal = (changed: Partial<Wish> = {}, on: RunState = state, under: LawView = law): string => {
  const { verdict, by, because, trace, rule, terms } = ask(changed, on, under);
  expect({ verdict, by, rule, terms }).toEqual({ verdict: 'deny', by: 'compiler', rule: null, terms: null });
  return `${trace.reached} ${because.code}: ${because.message}`;
};

beforeAll(async () => {
  house = await House.found();
  state = await stateOf({});
  at = house.now();
  law = house.law;
});

describe('a lawful wish', () => {
  test('is permitted at the last step, with all that led to it', () => {
    const decision = ask();
    const writ = state.law?.opened.writs.at(-1)?.body;
    if (writ === undefined) throw new Error('a run has a writ');
    const preImage = digestJson([['src/a.ts', state.law?.base.get('src/a.ts')?.oid ?? '']]);
    const policySet = digestJson({ run: state.law?.opened.policySet.digest ?? '', adopted: [] });
    expect(decision).toMatchObject({
      verdict: 'permit',
      by: 'policy',
      because: { code: 'policy.permitted', message: 'everything is permitted here' },
      rule: { layer: 'operator', rule: 'permit-all' },
      terms: null,
      writePaths: ['src/a.ts'],
      preImage,
      policySet,
      subject: approvalDigest({ action: 'apply_patch', arguments: ARGUMENTS, preImage, policySet, writ: writId(writ) }),
      contract: { name: 'apply_patch', effect: 'write' },
    });
    const layer = { layer: 'operator', verdict: 'permit', bundle: { name: OPEN.layers[0]?.bundle.name } };
    expect(decision.trace).toMatchObject({
      reached: 11,
      effect: 'write',
      risk: decision.contract?.risk,
      readPaths: decision.fields?.['paths'] === undefined ? -1 : (decision.fields['paths'] as { read: string[] }).read.length,
      writePaths: 1,
      layers: [layer],
      rules: [{ layer: 'operator', rule: 'permit-all', truth: 'true', decide: 'permit', unknown: [] }],
      gates: [],
    });
  });

  test('shows policy exactly these fields', () => {
    const { fields } = ask();
    expect(JSON.parse(JSON.stringify(fields))).toEqual({
      intent: { author: 'model', claims: { rationale: 'r', claimedRisk: 'low' } },
      arguments: ARGUMENTS,
      action: { name: 'apply_patch', effect: 'write', risk: 'medium', idempotence: 'workspace' },
      paths: { read: [], write: ['src/a.ts'], autoRun: false },
      change: { paths: [], autoRun: false },
      hosts: [],
      writ: { tenant: 'test', ceiling: ['read', 'write', 'external'], use: 'run' },
      world: { root: expect.stringMatching(/^sha256:/), changedFiles: 0 },
      spend: { settled: { ...state.settled }, reserved: { ...state.reserved }, grant: GRANT.budget },
      run: { id: state.run, blueprint: 'one_agent', base: state.law?.opened.base.commit, opener: state.law?.opened.opener },
      stage: { id: 'work', visit: 1, type: 'agent', sandbox: 'workspace_write' },
      actor: { author: 'model' },
      model: { provider: 'test', model: 'scripted-1', host: 'model.test:443' },
      time: { at: house.now() },
    });
  });

  test('shows as much where there is no stage, no model, no writ, or no law', () => {
    const contract = { name: 'n', effect: 'read', risk: 'low', idempotence: 'none' };
    const scope = { read: ['a'], write: ['src/a.ts', '.github/workflows/x.yml'], writ: null, at };
    const shown = (on: RunState) => JSON.parse(JSON.stringify(policyFields(on, WISH, contract, scope))) as { [key: string]: Json };
    expect(shown({ ...lawful({ model: null }), stage: null })).toMatchObject({
      action: contract,
      paths: { read: ['a'], write: ['src/a.ts', '.github/workflows/x.yml'], autoRun: true },
      writ: null,
      stage: null,
      model: null,
      spend: { grant: { tokens: 0, usdMicros: 0, calls: 0 } },
    });
    expect(shown(initialState(state.run))).toMatchObject({
      run: { id: state.run, blueprint: '', base: '', opener: '' },
      stage: null,
      model: null,
    });
    expect(shown(lawful({ stages: new Map() }))).toMatchObject({ stage: null });
  });
});

describe('a wish is refused', () => {
  test('at step 1, in the words of what is malformed', () => {
    expect(refusal({ malformed: { code: 'arguments.malformed', message: 'no JSON' } })).toBe('1 arguments.malformed: no JSON');
    const long = refusal({ malformed: { code: 'x', message: 'm'.repeat(3000) } });
    expect(long).toBe(`1 x: ${'m'.repeat(2000)}`);
  });

  test('at step 2, where the run has no law or its chain does not count', async () => {
    expect(refusal({}, initialState(state.run))).toBe('2 run.notOpened: the run has no law');
    const writ = state.law?.opened.writs[0]?.body;
    if (writ === undefined) throw new Error('a run has a writ');
    const own = chainInForce(state, law, house.now());
    expect(own).toEqual({ ok: true, value: state.law?.writ });
    const other = await House.found();
    expect(refusal({}, state, { ...other.law, ledger: null })).toMatch(
      /^2 writ\.ledger: writ sha256:\S+ \(place 0 of the chain\): it is for ledger/,
    );
  });

  test('at step 3, before anything is looked up', async () => {
    const narrow = await stateOf({ grant: { ...GRANT, actions: ['read*', 'model.ask'] } });
    expect(refusal({}, narrow)).toBe('3 writ.scope: the writ does not grant the action apply_patch');
    expect(refusal({ action: 'no_such' })).toBe("3 toolset.missing: the action no_such is not in this stage's toolset");
    expect(refusal({ action: 'run_tests', arguments: {} })).toBe("3 toolset.missing: the action run_tests is not in this stage's toolset");
    expect(refusal({}, { ...state, stage: null })).toBe("3 toolset.missing: the action apply_patch is not in this stage's toolset");
    expect(refusal({}, lawful({ toolsets: {} }))).toBe("3 toolset.missing: the action apply_patch is not in this stage's toolset");
    // Only what a model asks for needs a toolset.
    expect(ask({ action: 'run_tests', arguments: {}, author: 'blueprint' }).trace.reached).toBe(11);
    expect(ask({ author: 'gateway' }, { ...state, stage: null }).trace.reached).toBe(11);
    expect(refusal({ action: 'model.ask', arguments: {} })).toMatch(/^6 arguments\.invalid: model\.ask: "provider" is missing/);
  });

  test('at step 4, where the catalogue has no such action', () => {
    expect(refusal({ action: 'ghost', author: 'blueprint' })).toBe('4 action.unknown: the catalogue has no action ghost');
    expect(ask({ action: 'ghost', author: 'blueprint' })).toMatchObject({ contract: null, writePaths: [], preImage: null, fields: null });
  });

  test('at step 5, beyond the writ, the sandbox or what the stage protects', async () => {
    const beyond = async (grant: RunPlan['grant'], changed: Partial<Wish> = {}) =>
      refusal(changed, await stateOf({ grant: { ...GRANT, ...grant } }));
    expect(await beyond({ ceiling: ['read', 'external'] })).toBe('5 writ.effect: the writ does not grant effect write to apply_patch');
    expect(await beyond({ writePaths: ['docs/**'] })).toBe('5 writ.writePaths: the writ does not grant writePaths src/a.ts to apply_patch');
    const read: Partial<Wish> = { action: 'read_file', author: 'gateway', arguments: { path: 'src/a.ts' } };
    expect(await beyond({ readPaths: ['docs/**'] }, read)).toBe(
      '5 writ.readPaths: the writ does not grant readPaths src/a.ts to read_file',
    );
    expect(await beyond({}, { hosts: ['evil.test:443'] })).toBe('5 writ.hosts: the writ does not grant hosts evil.test:443 to apply_patch');
    expect(refusal({}, staged({ sandbox: 'read_only' }))).toBe('5 sandbox.mode: stage work runs read_only; apply_patch needs more');
    expect(refusal({}, staged({ protect: ['a.ts'] }))).toBe(
      '5 stage.protected: stage work protects src/a.ts: it may be read, not changed; leave it as it is',
    );
    expect(ask({}, staged({ protect: ['b.ts'] })).verdict).toBe('permit');
    expect(ask(read, staged({ protect: ['a.ts'] })).verdict).toBe('permit');
    const stopped = ask({}, staged({ sandbox: 'read_only' }));
    expect(stopped).toMatchObject({
      writePaths: ['src/a.ts'],
      fields: null,
      trace: { effect: 'write', writePaths: 1, layers: [], rules: [], gates: [] },
    });
  });

  test('at step 6 and 7, where its arguments or the world are otherwise', () => {
    expect(refusal({ action: 'read_file', author: 'gateway', arguments: { path: 'src/a.ts', more: 1 } })).toMatch(
      /^6 arguments\.invalid: \S/,
    );
    const patch = (path: string) => refusal({ arguments: { format: 'search_replace', edits: [{ path, search: 'a', replace: 'b' }] } });
    expect(patch('src/none.ts')).toBe('7 precondition.absent: src/none.ts does not exist; the patch changes it');
    const none = lawful({});
    const commands = { action: 'run_tests', arguments: {}, author: 'blueprint' } as const;
    const catalogue = none.law?.catalogue;
    if (catalogue === undefined) throw new Error('the run was opened');
    const message = 'run_tests needs the command "test", which the configuration does not give; set commands.test in .openexec/config.yaml';
    expect(refusal(commands, lawful({ catalogue: { ...catalogue, commands: {} } }))).toBe(`7 command.notConfigured: ${message}`);
    expect(refusal(commands, lawful({ catalogue: { ...catalogue, commands: { test: 'none' } } }))).toBe(
      `7 command.notConfigured: ${message}`,
    );
    expect(refusal({ action: 'commit_changes', arguments: {}, author: 'blueprint' }, staged({ sandbox: 'repo_write' }))).toMatch(
      /^7 change\.empty: nothing was changed, so there is nothing to commit/,
    );
  });

  test('at step 8, by the first dimension that does not suffice, with what is spent and held', () => {
    const held = { ...state, settled: { tokens: 999_900, usdMicros: 100, calls: 1 }, reserved: { tokens: 50, usdMicros: 0, calls: 2 } };
    expect(refusal({ reservation: { tokens: 51, usdMicros: 0, calls: 1 } }, held)).toBe(
      '8 budget.exhausted: tokens: the writ grants 1000000, 999900 are spent, 50 reserved, 51 would be needed',
    );
    expect(ask({ reservation: { tokens: 50, usdMicros: 1_999_900, calls: 27 } }, held).verdict).toBe('permit');
    expect(refusal({ reservation: { tokens: 50, usdMicros: 1_999_901, calls: 28 } }, held)).toBe(
      '8 budget.exhausted: usdMicros: the writ grants 2000000, 100 are spent, 0 reserved, 1999901 would be needed',
    );
  });
});

describe('policy and gates', () => {
  const under = (set: PolicySet) => lawful({ policySet: set });
  const denied = (message: string): PolicySet => {
    const bundle = bundleOf('b', [{ when: isAction('apply_patch'), decide: 'deny' }]);
    return setOf({ ...bundle, rules: bundle.rules.map((rule) => (rule.decide === 'deny' ? { ...rule, because: message } : rule)) });
  };
  const asking = setOf(bundleOf('b', [{ when: isAction('apply_patch'), decide: { approve: TERMS } }]));

  test('a rule that denies ends it at step 9, in its own words, cut where they are long', () => {
    expect(said(ask({}, under(denied('no'))))).toEqual({
      verdict: 'deny',
      by: 'policy',
      because: 'policy.denied: no',
      rule: { layer: 'operator', rule: 'rule-0' },
      terms: null,
      reached: 9,
    });
    expect(ask({}, under(denied('m'.repeat(1950)))).because.message).toBe('m'.repeat(1900));
  });

  test('a rule that asks ends it at step 10 with its terms, and where approvals are off with a refusal', () => {
    expect(said(ask({}, under(asking)))).toEqual({
      verdict: 'approve',
      by: 'policy',
      because: 'policy.asks: rule 0 says so',
      rule: { layer: 'operator', rule: 'rule-0' },
      terms: TERMS,
      reached: 10,
    });
    const opened = state.law?.opened;
    if (opened === undefined) throw new Error('the run was opened');
    const off = lawful({ policySet: asking, opened: { ...opened, approvals: 'never' } });
    expect(refusal({}, off)).toBe('10 approval.notAsked: rule 0 says so; the run was opened with approvals switched off');
  });

  test('a granted vote lets through exactly what was voted for', () => {
    const on = under(asking);
    const { subject } = ask({}, on);
    const granted = { request: subject, digest: subject };
    expect(said(ask({ granted }, on))).toEqual({
      verdict: 'permit',
      by: 'policy',
      because: 'approval.granted: rule 0 says so',
      rule: { layer: 'operator', rule: 'rule-0' },
      terms: null,
      reached: 11,
    });
    const other = { request: subject, digest: digestJson('another') };
    expect(ask({ granted: other }, on)).toMatchObject({ verdict: 'approve', trace: { reached: 10 } });
    expect(ask({ granted, arguments: { ...(ARGUMENTS as object), content: 'else\n' } as Json }, on).verdict).toBe('approve');
    expect(ask({ granted }, { ...on, world: on.world }, { ...law, adopted: [] }).verdict).toBe('permit');
  });

  test('a gate asks by its own name where no rule does: risk, the blueprint, what cannot be undone', async () => {
    const risky = async (threshold: PolicySet['riskThreshold'], changed: Parameters<typeof actionOf>[1] = {}) => {
      const on = await stateOf({
        actions: [actionOf('deploy', changed)],
        policySet: { ...OPEN, riskThreshold: threshold },
        grant: { ...GRANT, ceiling: ['read', 'write', 'external', 'irreversible'] },
      });
      const blueprint = on.law?.blueprint;
      if (blueprint === undefined) throw new Error('the run was opened');
      const quiet = lawful({ blueprint: { ...blueprint, approvalMode: 'never' } }, on);
      const { verdict, by, because, trace, rule, terms } = ask(
        { action: 'deploy', arguments: {}, author: 'gateway' },
        { ...quiet, stage: null },
      );
      return { verdict, by, because: `${because.code}: ${because.message}`, gates: trace.gates, rule, terms };
    };
    const alone = { roles: ['approver'], quorum: 1, ttlMs: 86_400_000, minAssurance: 'file', openerMayApprove: false };
    const permitted = {
      verdict: 'permit',
      by: 'policy',
      because: 'policy.permitted: everything is permitted here',
      gates: [],
      terms: null,
    };
    expect(await risky('critical', { risk: 'high' })).toMatchObject(permitted);
    expect(await risky('high', { risk: 'high' })).toEqual({
      verdict: 'approve',
      by: 'gate',
      because: 'gate.risk: deploy needs an approval: gate.risk',
      gates: ['gate.risk'],
      rule: null,
      terms: alone,
    });
    expect(await risky('medium', { risk: 'low' })).toMatchObject(permitted);
    expect(await risky('critical', { risk: 'low', effect: 'irreversible', compensable: true })).toMatchObject(permitted);
    expect(await risky('low', { risk: 'low', effect: 'irreversible', compensable: false })).toMatchObject({
      because: 'gate.irreversible: deploy needs an approval: gate.irreversible, gate.risk',
      gates: ['gate.irreversible', 'gate.risk'],
    });
  });

  test('the blueprint asks for what changes something, for what is risky, for what is critical, or for nothing', () => {
    const blueprint = state.law?.blueprint;
    const actions = state.law?.actions;
    if (blueprint === undefined || actions === undefined) throw new Error('the run was opened');
    const modes = ['never', 'always', 'on_risky_actions', 'on_critical_actions'] as const;
    const gates = (approvalMode: string, risk: 'low' | 'medium' | 'high' | 'critical', action = 'apply_patch', args: Json = ARGUMENTS) => {
      const contract = actions.get(action);
      if (contract === undefined) throw new Error(`no action ${action}`);
      const on = lawful({
        blueprint: { ...blueprint, approvalMode } as typeof blueprint,
        policySet: { ...OPEN, riskThreshold: 'critical' },
        actions: new Map(actions).set(action, { ...contract, risk }),
      });
      return ask({ action, arguments: args }, on).trace.gates.filter((gate) => gate === 'gate.blueprint').length;
    };
    const table = modes.map((mode) => (['low', 'medium', 'high', 'critical'] as const).map((risk) => gates(mode, risk)));
    expect(table).toEqual([
      [0, 0, 0, 0],
      [1, 1, 1, 1],
      [0, 0, 1, 1],
      [0, 0, 0, 1],
    ]);
    expect(gates('always', 'low', 'read_file', { path: 'src/a.ts' })).toBe(0);
  });

  test('a gate is opened by whom the rules name for it, kept shut by one that denies it, and joined with what a rule asks', () => {
    const gateRule = (decide: Parameters<typeof bundleOf>[1][number]['decide']) => ({ when: isAction('approval.gate'), decide });
    const fields = policyFields(
      state,
      WISH,
      { name: 'x', effect: 'write', risk: 'low', idempotence: 'none' },
      { read: [], write: [], writ: null, at },
    );
    const terms = (set: PolicySet) => gateTerms(under(set), law, fields);
    const alone = { roles: ['approver'], quorum: 1, ttlMs: 86_400_000, minAssurance: 'file', openerMayApprove: false };
    expect(terms(OPEN)).toEqual({ ok: true, value: alone });
    expect(gateTerms(initialState(state.run), law, fields)).toEqual({ ok: true, value: alone });
    expect(terms(setOf(bundleOf('b', [gateRule({ approve: TERMS })])))).toEqual({ ok: true, value: TERMS });
    expect(terms(setOf(bundleOf('b', [gateRule('deny')])))).toEqual({
      ok: false,
      error: { code: 'policy.denied', message: 'policy opens no gate: rule 0 says so' },
    });
    // No rule that permits a gate says nothing: it only asks.
    expect(
      terms({ layers: [{ layer: 'operator', bundle: { version: 1, name: 'b', rules: [] }, source: 's' }], riskThreshold: 'high' }),
    ).toEqual({
      ok: true,
      value: alone,
    });
    const two = {
      ...setOf(bundleOf('b', [gateRule({ approve: TERMS })])),
      layers: [
        ...setOf(bundleOf('b', [gateRule({ approve: TERMS })])).layers,
        { layer: 'project' as const, bundle: bundleOf('c', [gateRule({ approve: { ...TERMS, roles: ['root'] } })]), source: 's' },
      ],
    };
    expect(terms(two)).toMatchObject({ ok: false });
    const low = (set: PolicySet) => ({ ...set, riskThreshold: 'low' as const });
    expect(said(ask({}, under(low(setOf(bundleOf('b', [gateRule('deny')]))))))).toEqual({
      verdict: 'deny',
      by: 'gate',
      because: 'policy.denied: policy opens no gate: rule 0 says so',
      rule: null,
      terms: null,
      reached: 10,
    });
    const both = setOf(
      bundleOf('b', [gateRule({ approve: { ...TERMS, quorum: 3 } }), { when: isAction('apply_patch'), decide: { approve: TERMS } }]),
    );
    expect(ask({}, under(low(both)))).toMatchObject({
      verdict: 'approve',
      by: 'policy',
      because: { code: 'policy.asks' },
      terms: { ...TERMS, quorum: 3 },
    });
    const apart = setOf(
      bundleOf('b', [gateRule({ approve: { ...TERMS, roles: ['root'] } }), { when: isAction('apply_patch'), decide: { approve: TERMS } }]),
    );
    expect(refusal({}, under(low(apart)))).toBe(
      '10 approval.impossible: rule 1 says so; but rule and gate (gate.risk) have no approver role in common',
    );
    // A vote for what only a gate asks is the gate's.
    const gated = under(low(OPEN));
    const { subject } = ask({}, gated);
    expect(ask({ granted: { request: subject, digest: subject } }, gated)).toMatchObject({
      verdict: 'permit',
      by: 'gate',
      because: { code: 'approval.granted', message: 'everything is permitted here' },
      trace: { reached: 11, gates: ['gate.risk'] },
    });
  });

  test('what the law adopted since is asked beside what the run carries, and its position is part of what is approved', async () => {
    const before = policyInForce(state, law);
    const strict = bundleOf('strict', [{ when: isAction('apply_patch'), decide: 'deny' }]);
    const apart = await House.found();
    const run = await RunDriver.open(apart, { blueprint: ONE_AGENT, policySet: OPEN, grant: GRANT });
    await apart.adopt(strict, 'organisation');
    const decision = compile(run.state, apart.law, apart.now(), WISH);
    expect(decision).toMatchObject({
      verdict: 'deny',
      by: 'policy',
      rule: { layer: 'organisation', rule: 'rule-0' },
      trace: { reached: 9 },
    });
    expect(decision.trace.layers.map(({ layer, verdict }) => [layer, verdict])).toEqual([
      ['operator', 'permit'],
      ['organisation', 'deny'],
    ]);
    expect(policyInForce(run.state, apart.law)).toBe(
      digestJson({ run: run.state.law?.opened.policySet.digest ?? '', adopted: [{ layer: 'organisation', seq: apart.law.position }] }),
    );
    expect(policyInForce(run.state, apart.law)).not.toBe(before);
    expect(policyInForce(initialState(run.state.run), law)).toBe(digestJson({ run: null, adopted: [] }));
  });
});
