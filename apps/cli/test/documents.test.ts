/**
 * Every document and line that the command line prints for programs, held against its published schema by a validator that is not ours. The cases
 * are counted against the schemas, so that neither a command nor a schema is forgotten.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import Ajv2020 from 'ajv/dist/2020.js';
import { type Bundle, buildBundle, type Ended } from './cli.ts';
import { makePlace, patchScripts, patchSum, type Place, type Provider, startProvider } from './place.ts';
import { verifies } from './verifies.ts';

const TIME_MS = 180_000;
const FOLDER = resolve('schemas/cli');
const NAMES = readdirSync(FOLDER).map((file) => file.replace('.schema.json', ''));
// The published text says it all: no format, no keyword of ours.
const ajv = new Ajv2020.default({ strict: true, allErrors: true, allowUnionTypes: true });
const validators = new Map(
  NAMES.map((name) => [name, ajv.compile(JSON.parse(readFileSync(join(FOLDER, `${name}.schema.json`), 'utf8')) as object)]),
);
const seen = new Set<string>();

let bundle: Bundle;
let place: Place;
let provider: Provider;

beforeAll(async () => {
  bundle = await buildBundle();
  place = makePlace();
  provider = await startProvider();
  place.git('config', 'user.name', 'A Person');
  place.git('config', 'user.email', 'person@example.org');
}, TIME_MS);
afterAll(async () => {
  await provider.close();
  place.remove();
  bundle.remove();
});

const openexec = (...args: readonly string[]): Promise<Ended> =>
  bundle.run(args, { cwd: place.root, env: { ...place.env, ...provider.env } });
function conforms(name: string, document: unknown): void {
  const validate = validators.get(name);
  if (validate === undefined) throw new Error(`there is no schema ${name}`);
  const valid = validate(document);
  expect({ name, valid, errors: validate.errors ?? [] }).toEqual({ name, valid: true, errors: [] });
  // The schema is no empty one: the same document with one more member does not conform.
  expect(validate({ ...(document as object), surplus: 1 })).toBe(false);
  seen.add(name);
}
/** Runs a command that prints one document; answers with it. Without an exit code any will do. */
async function document(name: string, exit: number | null, ...args: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
  const ended = await openexec(...args, '--json');
  const wanted = exit ?? ended.exit;
  expect({ args, exit: ended.exit, stderr: ended.exit === wanted ? '' : ended.stderr }).toEqual({ args, exit: wanted, stderr: '' });
  const told = JSON.parse(ended.stdout) as Readonly<Record<string, unknown>>;
  conforms(name, told);
  return told;
}
/** Runs a command that prints a line per event; answers with the lines. */
async function lines(name: string, exit: number, ...args: readonly string[]): Promise<readonly string[]> {
  const ended = await openexec(...args, '--jsonl');
  expect({ args, exit: ended.exit, stderr: ended.exit === exit ? '' : ended.stderr }).toEqual({ args, exit, stderr: '' });
  const all = ended.stdout.split('\n').filter((line) => line !== '');
  expect(all.length).toBeGreaterThan(0);
  for (const line of all) conforms(name, JSON.parse(line));
  return all;
}

verifies(
  'E11',
  'every document and every line conforms to its published schema, refusals and damage included',
  async () => {
    await document('error', 2, 'runs');
    await document('init', 0, 'init', '--dry-run');
    await document('init', 0, 'init', '--model', 'openai:gpt-test');
    await document('doctor', 0, 'doctor');
    await document('config', 0, 'config', 'show');
    await document('model-list', 0, 'model', 'list');
    provider.say({ calls: [{ name: 'echo', arguments: { word: 'openexec' } }] });
    await document('model-test', 0, 'model', 'test', 'openai:gpt-test');
    provider.say({ status: 401 });
    expect(await document('error', 30, 'model', 'test', 'openai:gpt-test')).toMatchObject({
      error: { details: { code: 'model.unauthorized', status: 401 } },
    });

    provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
    const streamed = await lines('event', 0, 'run', 'Make sum add');
    expect(await lines('event', 0, 'timeline', 'latest')).toEqual(streamed);
    provider.say({ calls: [patchScripts()] });
    expect(await document('run', 11, 'run', 'Add a script')).toMatchObject({ status: 'parked' });
    const approvals = (await document('approvals', 0, 'approvals')) as {
      readonly approvals?: readonly { readonly id: string; readonly run: string }[];
    };
    const [open] = approvals.approvals ?? [];
    await document('show', 0, 'show', 'latest');
    await document('replay', 0, 'replay', 'latest');
    await document('vote', 0, 'deny', open?.id ?? '', '--because', 'not today');
    // The denial is told to the model, which has nothing more to say here: the run ends without a result.
    expect(await document('run', null, 'resume', 'latest')).toMatchObject({ result: null, prompts: 1, request: null });
    provider.say({ calls: [patchScripts()] });
    await openexec('run', 'Add a script');
    await document('cancel', 0, 'cancel', 'latest');

    const { runs } = (await document('runs', 0, 'runs')) as {
      readonly runs?: readonly { readonly run: string; readonly status: string }[];
    };
    const done = runs?.find(({ status }) => status === 'done')?.run ?? '';
    await document('show', 0, 'show', done);
    await document('replay', 0, 'replay', done);
    await document('diff-run', 0, 'diff', done);
    await document('diff-runs', 0, 'diff', done, done);
    await document('diff-runs', 1, 'diff', done, 'latest');
    await document('apply', 0, 'apply', done, '--dry-run');
    await document('apply', 0, 'apply', done);
    await document('apply', 0, 'apply', done);
    await document('verify', 0, 'verify');
    await document('verify', 0, 'verify', '--deep');
    await document('ledger-info', 0, 'ledger', 'info');
    await lines('ledger-entry', 0, 'ledger', 'read', '--limit', '5');
    await document('key', 0, 'key', 'new', '--role', 'approver', '--label', 'anna');
    await document('keys', 0, 'key', 'list');
  },
  TIME_MS,
);

test('no schema is without a document', () => {
  expect([...seen].sort()).toEqual([...NAMES].sort());
});
