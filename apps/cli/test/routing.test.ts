/**
 * Routing evidence: recorded redacted beside the run, read by nothing that decides, and exported by pull with what was measured. Through the bundle.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { digestOf, type Json } from '@openexec/canon';
import { type Bundle, buildBundle, type Ended } from './cli.ts';
import { rewrite } from './forger.ts';
import { API_KEY, makePlace, patchSum, type Place, type Provider, startProvider } from './place.ts';

const TIME_MS = 180_000;
const candidate = (model: string) => ({
  model,
  reasons: ['price.low'],
  confidenceBps: 8000,
  latencyEstimateMs: 900,
  costEstimateUsdMicros: 120,
});
const EVIDENCE = {
  v: 1,
  router: 'wise',
  decision: digestOf('decision 1'),
  selected: 'openai:gpt-test',
  candidates: [candidate('openai:gpt-test'), candidate('openai:gpt-large')],
  reasons: ['task.small'],
  fallback: { model: 'openai:gpt-large', reason: 'quality' },
};
let bundle: Bundle;
let place: Place;
let provider: Provider;

beforeAll(async () => {
  bundle = await buildBundle();
  place = makePlace();
  provider = await startProvider();
  await fine('init', '--model', 'openai:gpt-test');
}, TIME_MS);
afterAll(async () => {
  await provider.close();
  place.remove();
  bundle.remove();
});

function openexec(...args: readonly string[]): Promise<Ended> {
  return bundle.run(args, { cwd: place.root, env: { ...place.env, ...provider.env } });
}
async function fine(...args: readonly string[]): Promise<Ended> {
  const ended = await openexec(...args);
  expect({ args, exit: ended.exit, stderr: ended.exit === 0 ? '' : ended.stderr }).toEqual({ args, exit: 0, stderr: '' });
  return ended;
}
const json = <T>(ended: Ended): T => JSON.parse(ended.stdout) as T;
const lines = (ended: Ended) =>
  ended.stdout
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { [name: string]: Json } & { cursor: string; run: string });
function evidenceFile(evidence: object): string {
  const file = join(place.folder, 'evidence.json');
  writeFileSync(file, JSON.stringify(evidence));
  return file;
}

test(
  'A24: evidence is recorded with its run, told with what was measured, from a cursor on; nothing of the work is in it',
  async () => {
    provider.say({ calls: [patchSum('-', '+')] }, { status: 400, error: 'no' });
    const first = json<{ run: string }>(await openexec('run', 'A secret task', '--routing', evidenceFile(EVIDENCE), '--json'));
    const events = lines(await fine('timeline', first.run, '--jsonl'));
    const planned = events.find(({ kind }) => kind === 'router.planned');
    expect(events.find(({ cause }) => cause === planned?.['seq'])).toMatchObject({ kind: 'fact.noted', body: { violation: false } });
    const told = lines(await fine('model', 'routes', '--jsonl'));
    const { candidates, ...named } = {
      router: 'wise',
      decision: EVIDENCE.decision,
      selected: 'openai:gpt-test',
      candidates: ['openai:gpt-test', 'openai:gpt-large'],
    };
    expect(told.slice(0, 2)).toMatchObject([
      {
        v: 1,
        run: first.run,
        model: 'openai:gpt-test',
        status: 'answered',
        failure: null,
        tokens: { input: 100, output: 20 },
        turn: 1,
        attempt: 1,
      },
      { v: 1, run: first.run, model: 'openai:gpt-test', status: 'failed', tokens: null, turn: 2, attempt: 1 },
    ]);
    for (const line of told) expect([line['evidence'], typeof line['latencyMs']]).toMatchObject([{ ...named, candidates }, 'number']);
    expect(JSON.stringify(told)).not.toMatch(/secret task|sum\.js|return a/);
    // A second run without evidence stands behind the cursor, and says that it has none.
    provider.say({ text: 'done' });
    const second = json<{ run: string }>(await openexec('run', 'Another', '--json'));
    const later = lines(await fine('model', 'routes', '--jsonl', '--after', told.at(-1)?.cursor ?? ''));
    expect(later[0]).toMatchObject({ run: second.run, status: 'answered' });
    // What follows the answer is its fix stage, to which this provider says nothing.
    for (const { run, evidence } of later) expect([run, evidence]).toEqual([second.run, null]);
    expect((await fine('model', 'routes')).stdout).toContain('chosen by wise among 2');
    await fine('verify', '--deep');
    await fine('replay', first.run);
  },
  TIME_MS,
);

test(
  'A24: whatever the evidence says, every judgement is the same: doctored in the ledger it changes no verdict',
  async () => {
    const target = join(place.folder, 'doctored/ledger.db');
    const { fingerprint } = json<{ fingerprint: string }>(await fine('ledger', 'info', '--json'));
    const stateFolder = join(place.state, fingerprint.slice('sha256:'.length, 'sha256:'.length + 32));
    let doctored = 0;
    let other: Json = null;
    await rewrite({
      source: join(place.root, '.openexec/ledger.db'),
      target,
      stateFolder,
      change: ({ entry }, payload) => {
        const members = payload as { readonly [name: string]: Json };
        // Bytes that are no evidence at all: the task of the run.
        if (entry.kind === 'run.opened') other = members['task'] ?? null;
        if (entry.kind !== 'router.planned') return payload;
        doctored += 1;
        return { ...members, plan: other };
      },
    });
    expect(doctored).toBe(1);
    const found = await openexec('verify', '--deep', '--ledger', `sqlite:${target}`, '--json');
    expect(json<{ deep: { totals: { divergences: number } } }>(found).deep.totals.divergences).toBe(0);
  },
  TIME_MS,
);

test(
  'evidence for another model, of another shape, or with a secret in it is refused or recorded without it, and opens nothing else',
  async () => {
    const rows: readonly (readonly [string, object])[] = [
      ['routing.mismatch', { ...EVIDENCE, selected: 'openai:gpt-large' }],
      ['routing.invalid', { ...EVIDENCE, selected: 'openai:gpt-other' }],
      ['routing.invalid', { ...EVIDENCE, candidates: [{ ...candidate('openai:gpt-test'), confidenceBps: 10_001 }] }],
      ['routing.invalid', { ...EVIDENCE, decision: 'abc' }],
      ['routing.invalid', { ...EVIDENCE, note: API_KEY }],
    ];
    const before = provider.requests.length;
    for (const [code, evidence] of rows) {
      const ended = await openexec('run', 'x', '--routing', evidenceFile(evidence), '--json');
      expect([code, ended.exit, json<{ error?: { code: string } }>(ended).error?.code]).toEqual([code, 2, code]);
      expect(ended.stdout).not.toContain(API_KEY);
    }
    expect(provider.requests).toHaveLength(before);
    expect((await openexec('model', 'routes', '--after', 'x')).exit).toBe(2);
  },
  TIME_MS,
);
