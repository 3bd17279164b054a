/**
 * The SDK through the bundle: programs of their own import it, several runs in one process, and the command line confirms what they were told.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type * as Catalogue from '@openexec/catalogue';
import Database from 'better-sqlite3';
import { EXIT, REFUSALS } from '../src/exit.ts';
import type * as Sdk from '../src/sdk/public.ts';
import { type Bundle, buildBundle, type Ended } from './cli.ts';
import { makePlace, patchScripts, patchSum, type Place } from './place.ts';
import { verifies } from './verifies.ts';

jest.setTimeout(600_000);
let bundle: Bundle;
let place: Place;
let other: Place;

beforeAll(async () => {
  bundle = await buildBundle();
});
afterAll(() => bundle.remove());
beforeEach(async () => {
  place = makePlace();
  other = makePlace();
  for (const one of [place, other]) expect(await openexec(one, 'init')).toMatchObject({ exit: 0 });
});
afterEach(() => {
  for (const one of [place, other]) one.remove();
});

const openexec = (where: Place, ...args: readonly string[]): Promise<Ended> => bundle.run(args, { cwd: where.root, env: where.env });

/** What every program begins with: the SDK, an adapter that says these answers turn by turn, and how to tell the outcome. */
function prelude(): string {
  return `
import { openLedger, startRun, verifyLedger } from ${JSON.stringify(join(dirname(bundle.entry), 'sdk.mjs'))};
const [here, there] = ${JSON.stringify([place, other].map(({ root, env }) => ({ repository: root, env })))};
const patch = ${JSON.stringify(patchSum('-', '+').arguments)};
const scripts = ${JSON.stringify(patchScripts().arguments)};
const say = (text, ...calls) => ({ text, finish: calls.length > 0 ? 'calls' : 'stop', calls: calls.map(([name, args], at) => ({ id: String(at), name, arguments: JSON.stringify(args) })) });
const model = (...answers) => ({ name: 'turns', adapter: { provider: 'rehearsal', ask: async ({ turn }, stop) => {
  const answer = answers[turn - 1];
  if (typeof answer === 'function') return answer(stop);
  return { ok: true, value: { answer, usage: { inputTokens: 3, outputTokens: 4 }, raw: new TextEncoder().encode(JSON.stringify(answer)) } };
} } });
const fixing = () => model(say('So.', ['apply_patch', patch]), say('Done.'));
const tell = (value) => process.send(value);
const task = 'Make sum add';
`;
}

/** Runs a program; answers with what it told, and insists that the SDK said nothing by itself and ended nothing. */
function program<T>(body: string): T {
  const file = join(place.folder, 'program.mjs');
  const told = join(place.folder, 'told.json');
  writeFileSync(
    file,
    `import { writeFileSync } from 'node:fs';\n${prelude().replace('process.send(value)', `writeFileSync(${JSON.stringify(told)}, JSON.stringify(value))`)}\n${body}\nprocess.exitCode = 77;\n`,
  );
  const { PATH = '', HOME = '' } = process.env;
  const child = spawnSync(process.execPath, [file], { cwd: place.folder, env: { PATH, HOME }, encoding: 'utf8' });
  expect([child.stdout, child.stderr, child.status]).toEqual(['', '', 77]);
  return JSON.parse(readFileSync(told, 'utf8')) as T;
}

type Result = { readonly ok: true; readonly value: Sdk.RunResult } | { readonly ok: false; readonly error: Sdk.OpenExecFailure };

describe('startRun', () => {
  verifies(
    'E11',
    'two runs at once in one process come to their results; their events are those of the timeline, behind any cursor',
    async () => {
      const told = program<{
        readonly ended: readonly Result[];
        readonly events: readonly Sdk.LedgerEvent[];
        readonly late: readonly Sdk.LedgerEvent[];
        readonly heard: readonly number[];
      }>(`
const heard = [];
const runs = [here, there].map((at) => startRun({ ...at, task, model: fixing(), onEvent: (event) => { if (at === here) heard.push(event.seq); throw new Error('an observer decides nothing'); } }));
const events = [];
for await (const event of runs[0].events) events.push(event);
const late = [];
for await (const event of runs[0].eventsAfter(events[4].cursor)) late.push(event);
tell({ ended: await Promise.all(runs.map((run) => run.result)), events, late, heard });
`);
      const ends = told.ended.map((one) => (one.ok ? one.value : null));
      expect(ends).toEqual(
        [place, other].map(() =>
          expect.objectContaining({
            status: 'done',
            exit: 0,
            meaning: 'ok',
            spend: { tokens: 14, usdMicros: 0, calls: expect.any(Number) },
          }),
        ),
      );
      const [first] = ends;
      expect(place.git('rev-parse', first?.branch ?? '').trim()).toBe(first?.commit);
      expect(place.git('rev-parse', `${first?.branch}^{tree}`).trim()).toBe(first?.tree);
      const timeline = (await openexec(place, 'timeline', 'latest', '--jsonl')).stdout.trimEnd().split('\n');
      expect(told.events).toEqual(timeline.map((line) => JSON.parse(line) as unknown));
      expect(told.late).toEqual(told.events.slice(5));
      expect(told.heard).toEqual(told.events.map(({ seq }) => seq));
      expect(await openexec(other, 'verify', '--deep')).toMatchObject({ exit: 0 });
    },
  );

  test('binds its run to skills, and records why its model was chosen; both are in the ledger that the command reads', async () => {
    other.write(
      '.openexec/skills/docs.yaml',
      'name: docs\nversion: 1\ntitle: Documents only\ninstructions: For {who}.\nwritePaths: [docs/**]\nparams: [{key: who}]\n',
    );
    const told = program<{ readonly ended: Result; readonly unknown: Result }>(`
const own = fixing();
const chosen = own.adapter.provider + ':' + own.name;
const routing = { v: 1, router: 'wise', decision: 'sha256:' + '0'.repeat(64), selected: chosen, candidates: [{ model: chosen, reasons: [], confidenceBps: null, latencyEstimateMs: null, costEstimateUsdMicros: null }], reasons: [], fallback: null };
tell({
  ended: await startRun({ ...there, task, model: own, skills: ['docs'], skillParams: { who: 'experts' }, routing }).result,
  unknown: await startRun({ ...there, task, model: fixing(), skills: ['dosc'] }).result,
});
`);
    expect(told.unknown).toMatchObject({ ok: false, error: { code: 'skill.unknown' } });
    expect(told.ended).toMatchObject({ ok: true, value: { branch: null } });
    expect((await openexec(other, 'show', 'latest')).stdout).toContain('with who=experts: narrows the writ');
    expect((await openexec(other, 'model', 'routes')).stdout).toContain('chosen by wise among 1');
    expect(await openexec(other, 'verify', '--deep')).toMatchObject({ exit: 0 });
  });

  test('refuses as the command does: the same code, exit and remedy, and no run', async () => {
    place.write('sum.js', 'changed\n');
    const told = program<Readonly<Record<string, Result>>>(`
tell({
  dirty: await startRun({ ...here, task, model: fixing() }).result,
  nowhere: await startRun({ ...here, repository: '/nonexistent', task }).result,
  model: await startRun({ ...there, task }).result,
  taken: await startRun({ ...there, task, model: { ...fixing(), adapter: { ...fixing().adapter, provider: 'openai' } } }).result,
  policy: await startRun({ ...there, task, model: fixing(), policy: 'missing.yaml' }).result,
  budget: await startRun({ ...there, task, model: fixing(), budget: { tokens: -1 } }).result,
  empty: await startRun({ ...there, task: ' ', model: fixing() }).result,
  none: { ok: true, value: await startRun({ ...there, task: '', model: fixing() }).run },
});
`);
    const { stdout } = await openexec(place, 'run', 'Make sum add', '--model', 'scripted:x', '--json');
    expect({ error: told['dirty']?.ok === false ? told['dirty'].error : null }).toEqual(JSON.parse(stdout));
    const codes = Object.fromEntries(Object.entries(told).map(([name, result]) => [name, result.ok ? result.value : result.error.code]));
    expect(codes).toEqual({
      dirty: 'workspace.dirty',
      nowhere: 'workspace.notARepository',
      model: 'config.modelMissing',
      taken: 'model.invalid',
      policy: 'config.invalid',
      budget: 'usage.invalid',
      empty: 'usage.invalid',
      none: null,
    });
    expect((await openexec(other, 'runs', '--json')).stdout).toContain('"runs": []');
  });

  verifies('E12', 'an adapter that throws, a budget and a denial end with the exit codes of the command', () => {
    const told = program<Readonly<Record<string, Result>>>(`
tell({
  threw: await startRun({ ...here, task, model: model(() => { throw new Error('no such luck') }) }).result,
  budget: await startRun({ ...here, task, model: fixing(), budget: { calls: 1 } }).result,
  never: await startRun({ ...there, task, model: model(say('', ['apply_patch', scripts]), say('So be it.', ), say('')), approve: 'never' }).result,
});
`);
    const ended = Object.fromEntries(
      Object.entries(told).map(([name, one]) => [name, one.ok ? [one.value.exit, one.value.because?.code] : one.error]),
    );
    expect(ended).toMatchObject({
      threw: [EXIT.provider, 'model.unreachable'],
      budget: [EXIT.exhausted, expect.stringMatching(/^budget\./)],
    });
    expect(told['never']).toMatchObject({ ok: true, value: { exit: expect.any(Number), request: null } });
  });

  verifies(
    'E04',
    'a function decides on the exact content, its yes is a signed vote; without one the run rests for the command',
    async () => {
      const told = program<{
        readonly asked: Sdk.ApprovalRequest;
        readonly approved: Result;
        readonly parked: Result;
        readonly denied: Result;
      }>(`
const asking = () => model(say('', ['apply_patch', patch], ['apply_patch', scripts]), say('Done.'));
let asked = null;
const approved = await startRun({ ...here, task, model: asking(), approve: async (request) => { asked ??= request; return 'approve'; } }).result;
const parked = await startRun({ ...there, task, model: asking() }).result;
const denied = await startRun({ ...here, task, base: 'HEAD', model: asking(), approve: async () => 'deny' }).result;
tell({ asked, approved, parked, denied });
`);
      expect(told.asked).toMatchObject({ action: 'apply_patch', rule: expect.stringContaining('ask-auto-run') });
      expect(told.asked.content).toContain('+  "scripts": { "test": "node --test", "start": "node sum.js" }');
      expect(told.approved).toMatchObject({ ok: true, value: { status: 'done' } });
      expect(told.denied).toMatchObject({ ok: true, value: { status: expect.not.stringMatching(/^parked$/) } });
      expect(told.parked).toMatchObject({
        ok: true,
        value: { status: 'parked', exit: EXIT.waiting, meaning: 'waiting', request: expect.stringMatching(/^sha256:/) },
      });
      expect((await openexec(other, 'approvals')).stdout).toContain('ask-auto-run');
      expect(await openexec(place, 'verify', '--deep')).toMatchObject({ exit: 0 });
    },
  );

  test('cancel closes a run that works, and an aborted signal lets one rest', async () => {
    const told = program<{ readonly cancelled: Result; readonly stopped: Result }>(`
const late = { ok: false, error: { code: 'model.server', message: 'late', retryable: false, retryAfterMs: null, status: 500, raw: null } };
// Answers when the wish has arrived: as an event of the run, or as a stop.
const slow = (until) => model(async (stop) => (await until(stop), late), say(''));
const first = startRun({ ...here, task, model: slow(async () => {
  void first.cancel('changed my mind');
  for await (const { kind } of first.events) if (kind === 'run.cancelRequested') break;
}) });
const abort = new AbortController();
const second = startRun({ ...there, task, model: slow((stop) => new Promise((stopped) => { stop.onStop(stopped); abort.abort(); })), signal: abort.signal });
tell({ cancelled: await first.cancel(), stopped: await second.result });
`);
    expect(told.cancelled).toMatchObject({ ok: true, value: { status: 'cancelled', exit: EXIT.interrupted } });
    expect(told.stopped).toMatchObject({ ok: true, value: { exit: EXIT.interrupted, meaning: 'interrupted' } });
    for (const one of [place, other]) expect(await openexec(one, 'verify', '--deep')).toMatchObject({ exit: 0 });
  });
});

describe('openLedger and verifyLedger', () => {
  test('read what the commands read; damage is a report, what is no ledger an error, a torn page a typed throw', async () => {
    const copy = join(place.folder, 'copy');
    program(`tell((await startRun({ ...here, task, model: fixing() }).result).ok)`);
    cpSync(join(place.root, '.openexec'), copy, { recursive: true });
    const db = new Database(join(copy, 'ledger.db'));
    db.prepare("UPDATE entries SET payload = x'7b7d' WHERE idx = 9").run();
    db.close();
    writeFileSync(join(place.folder, 'none.db'), 'no ledger at all');
    const told = program<{
      readonly sound: Sdk.VerifyReport;
      readonly forged: Sdk.VerifyReport;
      readonly none: Result;
      readonly missing: Result;
      readonly runs: readonly Sdk.RunListing[];
      readonly found: readonly string[];
      readonly size: string;
      readonly count: number;
      readonly unknown: Sdk.OpenExecFailure;
      readonly wrongTrust: Sdk.VerifyReport;
    }>(`
const opened = (await openLedger(here)).value;
let count = 0;
for await (const event of opened.events()) count += 1;
let unknown = null;
try { for await (const event of opened.events({ run: 'ffff' })) count += 1; } catch (error) { unknown = error.failure; }
const at = (path) => ({ path, env: here.env });
tell({
  sound: (await verifyLedger({ ...here, deep: true, run: 'latest' })).value,
  forged: (await verifyLedger({ ...at(${JSON.stringify(join(copy, 'ledger.db'))}), deep: true })).value,
  none: await verifyLedger(at(${JSON.stringify(join(place.folder, 'none.db'))})),
  missing: await openLedger(at('/nonexistent/ledger.db')),
  wrongTrust: (await verifyLedger({ ...here, trust: 'sha256:${'0'.repeat(64)}' })).value,
  runs: (await opened.runs()).value, found: [(await opened.findRun('latest')).value], size: await opened.size(), count, unknown,
});
await opened.close();
`);
    const printed = JSON.parse((await openexec(place, 'verify', '--deep', 'latest', '--json')).stdout) as Sdk.VerifyReport;
    expect(told.sound).toEqual(printed);
    expect(told.sound).toMatchObject({ exit: 0, trust: 'pinned', deep: { totals: { divergences: 0 } } });
    expect(told.forged).toMatchObject({ exit: EXIT.integrity, sound: false, firstBad: 9, deep: null, trust: 'selfAsserted' });
    expect(told.wrongTrust).toMatchObject({ sound: false });
    expect([told.none, told.missing]).toMatchObject([
      { error: { code: 'ledger.corrupt', exit: 20 } },
      { error: { code: 'ledger.missing', exit: 2 } },
    ]);
    expect(told.runs).toMatchObject([{ run: told.found[0], status: 'done', task: 'Make sum add' }]);
    expect([String(told.count), told.unknown.code]).toEqual([told.size, 'run.unknown']);
    expect(existsSync(join(copy, 'ledger.db'))).toBe(true);
  });
});

/** Assignable both ways, so that a member that is added, dropped or changed on one side does not compile. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;

describe('the types of the SDK', () => {
  test('are those of the runtime where they name the same thing', () => {
    const failure: Same<Sdk.ModelFailure, Catalogue.ModelFailure> = true;
    const answer: Same<Sdk.ModelAnswer, Catalogue.ModelAnswer> = true;
    const neutral: Same<Sdk.NeutralAnswer, Catalogue.NeutralAnswer> = true;
    const message: Same<Sdk.ModelMessage, Catalogue.ModelMessage> = true;
    const stop: Same<Sdk.StopSignal, Catalogue.StopSignal> = true;
    const tool: Same<Sdk.ToolDeclaration, Catalogue.ToolDeclaration> = true;
    // A digest is a string with a brand: what the runtime hands over fits, and that is the way it goes.
    const request: [Catalogue.ModelRequest] extends [Sdk.ModelRequest] ? true : never = true;
    const members: Same<keyof Catalogue.ModelRequest, keyof Sdk.ModelRequest> = true;
    const adapter: [Sdk.ModelAdapter] extends [Catalogue.ModelAdapter] ? true : never = true;
    expect([failure, answer, neutral, message, stop, tool, request, members, adapter]).toEqual(Array(9).fill(true));
    expect(Object.keys(REFUSALS).length).toBeGreaterThan(40);
  });
});
