/**
 * Every document and line that the command line prints for programs, held against its published schema by a validator that is not ours. The commands
 * are read from the very tree that parses the arguments and counted against the published table, and the cases against both, so that neither a
 * command nor a schema is forgotten.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from '@jest/globals';
import { cliDocuments } from '@openexec/protocol';
import Ajv2020 from 'ajv/dist/2020.js';
import { Command } from 'commander';
import { createContext } from '../src/adapters.ts';
import { commandTree } from '../src/completion/tree.ts';
import type { Register } from '../src/context.ts';
import { patchScripts, patchSum } from './place.ts';
import { inOnePlace, openexec, place, provider } from './scene.ts';
import { verifies } from './verifies.ts';

const TIME_MS = 900_000;
/** The attack plays twelve runs. */
const ATTACK_TIME_MS = 900_000;
const FOLDER = resolve('schemas/cli');
const NAMES = readdirSync(FOLDER).map((file) => file.replace('.schema.json', ''));
// The published text says it all: no format, no keyword of ours.
const ajv = new Ajv2020.default({ strict: true, allErrors: true, allowUnionTypes: true });
const validators = new Map(
  NAMES.map((name) => [name, ajv.compile(JSON.parse(readFileSync(join(FOLDER, `${name}.schema.json`), 'utf8')) as object)]),
);
/** The words of a command with its option, and the document that it printed: `runs --json → runs`. */
const seen = new Set<string>();
/** Every command with `--json` or `--jsonl`, as its words and that option. */
const commands = await programCommands();

inOnePlace(() => {
  place.git('config', 'user.name', 'A Person');
  place.git('config', 'user.email', 'person@example.org');
});

function conforms(name: string, document: unknown): void {
  const validate = validators.get(name);
  if (validate === undefined) throw new Error(`there is no schema ${name}`);
  const valid = validate(document);
  expect({ name, valid, errors: validate.errors ?? [] }).toEqual({ name, valid: true, errors: [] });
  // The schema is no empty one: the same document with one more member does not conform.
  expect(validate({ ...(document as object), surplus: 1 })).toBe(false);
}
/** Notes which command printed the document that conforms. */
function note(args: readonly string[], option: string, name: string): void {
  const words = commands.filter((each) => each.endsWith(` ${option}`)).map((each) => each.slice(0, -option.length - 1));
  const longest = words.filter((each) => `${args.join(' ')} `.startsWith(`${each} `)).sort((a, b) => b.length - a.length)[0];
  seen.add(`${longest ?? args.join(' ')} ${option} → ${name}`);
}
/** Every file of a command is loaded and registered as the program does; nothing is run. */
async function programCommands(): Promise<readonly string[]> {
  const program = new Command('openexec');
  const context = createContext({ assets: '', version: '0.0.0' });
  const folder = resolve('apps/cli/src/commands');
  for (const file of readdirSync(folder))
    ((await import(join(folder, file))) as { readonly register: Register }).register(program, context);
  return commandTree(program).flatMap(({ path, options }) =>
    options.filter(({ long }) => long === '--json' || long === '--jsonl').map(({ long }) => [...path, long].join(' ')),
  );
}
/** Runs a command that prints one document; answers with it. Without an exit code any will do. */
async function document(name: string, exit: number | null, ...args: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
  const ended = await openexec(...args, '--json');
  const wanted = exit ?? ended.exit;
  expect({ args, exit: ended.exit, stderr: ended.exit === wanted ? '' : ended.stderr }).toEqual({ args, exit: wanted, stderr: '' });
  const told = JSON.parse(ended.stdout) as Readonly<Record<string, unknown>>;
  conforms(name, told);
  note(args, '--json', name);
  return told;
}
/** Runs a command that prints a line per event; answers with the lines. */
async function lines(name: string, exit: number, ...args: readonly string[]): Promise<readonly string[]> {
  const ended = await openexec(...args, '--jsonl');
  expect({ args, exit: ended.exit, stderr: ended.exit === exit ? '' : ended.stderr }).toEqual({ args, exit, stderr: '' });
  const all = ended.stdout.split('\n').filter((line) => line !== '');
  expect(all.length).toBeGreaterThan(0);
  for (const line of all) conforms(name, JSON.parse(line));
  note(args, '--jsonl', name);
  return all;
}

/** What the release gate says of a commit that is in the bundle. */
async function gateDocuments(commit: string): Promise<void> {
  const { fingerprint } = JSON.parse((await openexec('ledger', 'info', '--json')).stdout) as { readonly fingerprint: string };
  const gate = ['verify-change', commit, '--bundle', join(place.folder, 'bundle')];
  await document('error', 2, ...gate);
  await document('verify-change', 0, ...gate, '--trust', fingerprint);
  await document('verify-change-rules', 0, ...gate, '--explain');
}

/** Places of a world, proved there and absent; `done` is a run that is done. */
async function worldDocuments(done: string): Promise<void> {
  await document('world-get', 0, 'world', 'get', 'file', 'sum.js', '--run', done);
  writeFileSync(
    join(place.folder, 'sum.json'),
    JSON.stringify(await document('world-proof', 0, 'world', 'prove', 'file', 'sum.js', '--run', done)),
  );
  await document('world-proof', 0, 'world', 'prove', 'file', 'never.js', '--run', done);
  const logKey = /log key\s+(\S+)/.exec((await openexec('ledger', 'info')).stdout)?.[1] ?? '';
  await document('world-verify', 0, 'world', 'verify', join(place.folder, 'sum.json'), '--log-key', logKey);
  await document('error', 20, 'world', 'verify', join(place.folder, 'sum.json'), '--log-key', 'nobody');
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
    await document('timeline-folder', 0, 'timeline', 'latest', '--out', join(place.folder, 'run-folder'));
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
    place.write('.openexec/skills/docs.yaml', 'name: docs\nversion: 1\ntitle: Documents only\nwritePaths: [docs/**]\n');
    await document('skill-bind', 0, 'skill', 'bind', 'latest', 'docs');
    await document('cancel', 0, 'cancel', 'latest');
    await lines('routing-outcome', 0, 'model', 'routes');

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
    await document('export', 0, 'export', done, '--out', join(place.folder, 'bundle'));
    await document('verify-bundle', 0, 'verify-bundle', join(place.folder, 'bundle'), '--deep');
    await gateDocuments(place.git('rev-parse', `openexec/${done.slice(4, 16)}`).trim());
    expect(await document('self-test', 0, 'self-test')).toMatchObject({ passed: true });
    await worldDocuments(done);
    await document('ledger-info', 0, 'ledger', 'info');
    await lines('ledger-entry', 0, 'ledger', 'read', '--limit', '5');
    const { targets } = (await document('rewind-list', 0, 'rewind', done)) as { readonly targets?: readonly object[] };
    expect(targets?.length).toBeGreaterThan(0);
    const share = join(place.folder, 'share');
    mkdirSync(share);
    place.write('../config/openexec/config.yaml', `version: 1\nanchors:\n  to:\n    - {name: share, type: file, folder: ${share}}\n`);
    await document('ledger-anchor', 0, 'ledger', 'anchor');
    await document('verify', 0, 'verify');
  },
  TIME_MS,
);

verifies(
  'E11',
  'every mode of replay and every document about golden runs conforms',
  async () => {
    const { runs } = JSON.parse((await openexec('runs', '--json')).stdout) as {
      readonly runs: readonly { readonly run: string; readonly status: string }[];
    };
    const done = runs.find(({ status }) => status === 'done')?.run ?? '';
    await document('replay-step', 0, 'replay', done, '--mode', 'step', '--stage', 'implement');
    await document('replay-effects', 0, 'replay', done, '--mode', 'effects');
    provider.say({ calls: [patchSum('-', '+')] }, { text: 'finished' });
    await document('replay-model', 0, 'replay', done, '--mode', 'model');
    const golden = ['--dir', join(place.folder, 'golden')];
    await document('golden-add', 0, 'golden', 'add', done, '--name', 'sum', ...golden);
    await document('golden-list', 0, 'golden', 'list', ...golden);
    await document('golden-run', 0, 'golden', 'run', ...golden);
  },
  TIME_MS,
);

verifies(
  'E11',
  'a run that is rewound and gone on with, by document and by line, conforms too',
  async () => {
    provider.say({ calls: [patchScripts()] });
    await openexec('run', 'Add a script');
    await document('rewind', 0, 'rewind', 'latest', '--to', 'implement');
    provider.say({ calls: [patchScripts()] });
    const parked = await document('run', 11, 'rewind', 'latest', '--to', 'implement', '--run');
    await document('vote', 0, 'approve', String(parked['request']));
    provider.say({ text: 'done' });
    // What it changes is run without being asked, so its commit asks once more.
    await lines('event', 11, 'resume', 'latest');
  },
  TIME_MS,
);

verifies(
  'E11',
  'documents about keys, writs and policies conform, sound and broken ones, by every command that prints them',
  async () => {
    const out = (name: string): string => join(place.folder, name);
    writeFileSync(out('old'), 'an old passphrase\n', { mode: 0o600 });
    writeFileSync(out('new'), 'a new passphrase\n', { mode: 0o600 });
    await document('key', 0, 'key', 'new', '--role', 'approver', '--label', 'anna', '--passphrase-file', out('old'));
    const passwd = ['key', 'passwd', 'anna', '--passphrase-file', out('old'), '--new-passphrase-file', out('new')];
    expect(await document('key-passwd', 0, ...passwd)).toMatchObject({ label: 'anna', assurance: 'passphrase' });
    const bob = ['--role', 'policy', '--label', 'bob', '--export-public', out('bob.pub')];
    expect(await document('key', 0, 'key', 'new', ...bob)).toMatchObject({ trustedFrom: null, public: out('bob.pub') });
    await document('keys', 0, 'key', 'list');
    const until = ['--name', 'Bob, security', '--until', '2999-01-31T00:00:00.000Z'];
    await document('key-trust', 0, 'key', 'trust', out('bob.pub'), '--role', 'policy', '--role', 'approver', ...until);
    expect(await document('key-rotate', 0, 'key', 'rotate', 'operator', '--overlap', '--because', 'once a year')).toMatchObject({
      retired: null,
    });
    await document('key-retire', 0, 'key', 'retire', 'bob', '--because', 'he has left');
    await document('keys', 0, 'key', 'list');

    await openexec('writ', 'issue', '--out', out('run.writ'));
    await openexec('writ', 'issue', '--standing', '--out', out('team.writ'));
    await document('writ-show', 0, 'writ', 'show', out('run.writ'));
    expect(await document('writ-verify', 0, 'writ', 'verify', out('run.writ'))).toMatchObject({ use: 'run', writs: 1 });
    await document('writ-change', 0, 'writ', 'revoke', out('run.writ'), '--because', 'the laptop is lost');
    expect(await document('error', 10, 'writ', 'verify', out('run.writ'))).toMatchObject({ error: { code: 'writ.notInForce' } });
    const listed = (await document('writ-list', 0, 'writ', 'list')) as {
      readonly writs?: readonly { readonly use: string }[];
      readonly revokedUnseen?: readonly string[];
    };
    expect([new Set(listed.writs?.map(({ use }) => use)), listed.revokedUnseen?.length]).toEqual([new Set(['standing', 'run']), 1]);
    await document('writ-change', 0, 'writ', 'restore', out('run.writ'), '--because', 'it is found');

    const when = { field: 'action.name', op: 'eq', value: 'apply_patch' };
    const examples = { match: [{ action: { name: 'apply_patch' } }], noMatch: [{ action: { name: 'read_file' } }] };
    const terms = { roles: ['approver'], quorum: 1, ttlMs: 60_000, minAssurance: 'file', openerMayApprove: true };
    const rule = { id: 'ask_for_patches', when, decide: { approve: terms }, because: 'somebody looks', examples };
    writeFileSync(out('good.json'), JSON.stringify({ version: 1, name: 'ours', rules: [rule] }));
    const wrong = { ...rule, examples: { ...examples, match: examples.noMatch } };
    writeFileSync(out('failing.json'), JSON.stringify({ version: 1, name: 'ours', rules: [wrong] }));
    await document('policy-check', 0, 'policy', 'check', out('good.json'));
    const checked = await document('policy-check', 2, 'policy', 'check', out('good.json'), out('failing.json'), out('none.json'));
    expect(checked).toMatchObject({ sound: false, files: [{ problems: [] }, { problems: [{}] }, { problems: [{}] }] });
    await document('policy-test', 0, 'policy', 'test', out('good.json'));
    expect(await document('policy-test', 1, 'policy', 'test', out('failing.json'))).toMatchObject({ failed: 1 });
    const explained = (await document('policy-explain', 0, 'policy', 'explain', 'latest')) as { readonly decisions?: readonly object[] };
    expect(explained.decisions?.length).toBeGreaterThan(0);
    writeFileSync(out('wish.json'), JSON.stringify({ action: 'apply_patch', arguments: patchSum('-', '+').arguments }));
    await document('policy-explain-action', 0, 'policy', 'explain', '--action', out('wish.json'));
    await document('policy-sign', 0, 'policy', 'sign', out('good.json'), '--out', out('good.signed.json'));
    await document('policy-show', 0, 'policy', 'show', out('good.signed.json'));
    await document('policy-simulate', 0, 'policy', 'simulate', out('good.json'));
    await document('policy-advise', 0, 'policy', 'advise', '--least', '1');
    await document('policy-adopt', 0, 'policy', 'adopt', out('good.json'));
    expect(await document('policy-explain-action', 0, 'policy', 'explain', '--action', out('wish.json'))).toMatchObject({
      verdict: 'approve',
      terms: { quorum: 1 },
    });
    await document('policy-list', 0, 'policy', 'list');
    await document('verify', 0, 'verify', '--deep');
  },
  TIME_MS,
);

verifies(
  'E11',
  'documents about actions, blueprints and the attack conform',
  async () => {
    await document('action-list', 0, 'action', 'list');
    const { actions } = JSON.parse((await openexec('action', 'list', '--json')).stdout) as {
      readonly actions: readonly { readonly name: string }[];
    };
    for (const { name } of actions) await document('action-show', 0, 'action', 'show', name);
    await document('blueprint-list', 0, 'blueprint', 'list');
    place.write('.openexec/blueprints/mine.yaml', 'version: 1\nname: mine\nstages: []\n');
    expect(await document('blueprint-check', 2, 'blueprint', 'check', '.openexec/blueprints/mine.yaml')).toMatchObject({ sound: false });
    await document('blueprint-list', 0, 'blueprint', 'list');
    place.write('.openexec/skills/docs.yaml', 'name: docs\nversion: 1\ntitle: Documents only\nwritePaths: [docs/**]\n');
    place.write('.openexec/skills/broken.yaml', 'name: broken\n');
    await document('skill-list', 0, 'skill', 'list');
    await document('skill-show', 0, 'skill', 'show', 'docs');
    expect(await document('skill-check', 0, 'skill', 'check', 'docs')).toMatchObject({ heldBack: [] });
    await document('error', 2, 'skill', 'check', 'broken');
    await document('demo-hostile', 0, 'demo', '--hostile');
  },
  ATTACK_TIME_MS,
);

test('every command with --json or --jsonl has a published document, and no document is of a command that there is not', () => {
  expect(commands.length).toBeGreaterThan(40);
  const published = Object.values(cliDocuments).flatMap(({ printedBy }) => [...printedBy] as string[]);
  expect([...new Set(published)].filter((each) => each !== '*').sort()).toEqual([...commands].sort());
  expect(Object.keys(cliDocuments).sort()).toEqual([...NAMES].sort());
});

test('every command was seen to print every document that the table says it prints, and no other', () => {
  const table = Object.entries(cliDocuments).flatMap(([name, { printedBy }]) => printedBy.map((by) => `${by} → ${name}`));
  const printed = [...seen].filter((each) => !each.endsWith(' → error'));
  expect(printed.sort()).toEqual(table.filter((each) => !each.startsWith('*')).sort());
  expect([...seen].some((each) => each.endsWith(' → error'))).toBe(true);
});
