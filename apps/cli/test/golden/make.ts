/**
 * Makes the golden runs of `test-fixtures/golden` anew, by the command itself: `node scripts/run-ts.mjs apps/cli/test/golden/make.ts FOLDER`. Each is a
 * whole run of this very build in a throw-away repository: repaired in two tries, denied by policy, rewound and then approved by a person, hostile. Only for a
 * format that has no golden run yet: those that are there are never written over.
 */
import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import process from 'node:process';
import { buildBundle, type Bundle, type Ended } from '../cli.ts';
import { makePlace, patchScripts, patchSum, type Place, type Provider, startProvider } from '../place.ts';

const NO_PATCHES = `version: 1
name: no_patches
rules:
  - id: nobody_changes_files
    when: { field: action.name, op: eq, value: apply_patch }
    decide: deny
    because: this repository is read only
    examples:
      match: [{ action: { name: apply_patch } }]
      noMatch: [{ action: { name: read_file } }]
`;

interface Scene {
  readonly place: Place;
  readonly provider: Provider;
  /** Runs the command; throws where it does not end as it should. */
  openexec(exit: number, ...args: readonly string[]): Promise<Ended>;
}
/** A golden run to be: its name, and what is played; the newest run is taken. */
interface Play {
  readonly name: string;
  play(scene: Scene): Promise<void>;
}

const hostile = (name: string, args: object) => ({ name, arguments: args });
const newFile = (path: string, content: string) => hostile('apply_patch', { format: 'whole_file', path, content, expected: 'absent' });

const PLAYS: readonly Play[] = [
  {
    name: 'bugfix-in-two-tries',
    play: async ({ provider, openexec }) => {
      provider.say({ calls: [hostile('read_file', { path: 'sum.js' }), patchSum('-', '*')] }, { text: 'done' });
      provider.say({ calls: [patchSum('*', '+')] }, { text: 'done' });
      await openexec(0, 'run', 'Make sum add');
    },
  },
  {
    name: 'denied-by-policy',
    play: async ({ place, provider, openexec }) => {
      place.write('no-patches.yaml', NO_PATCHES);
      provider.say({ calls: [patchSum('-', '+')] }, { calls: [patchSum('-', '+')] }, { text: 'I cannot.' });
      provider.say({ text: 'I cannot.' }, { text: 'I cannot.' }, { text: 'I cannot.' });
      await openexec(1, 'run', 'Make sum add', '--policy', 'no-patches.yaml');
    },
  },
  {
    name: 'rewound-then-approved',
    play: async ({ provider, openexec }) => {
      provider.say({ calls: [patchSum('-', '+'), patchScripts()] });
      await openexec(11, 'run', 'Make sum add, and give the package a start script');
      await openexec(0, 'rewind', 'latest', '--to', 'implement');
      provider.say({ calls: [patchScripts(), patchSum('-', '+')] }, { text: 'done' });
      await openexec(11, 'resume', 'latest');
      for (const exit of [11, 0]) {
        const { stdout } = await openexec(0, 'approvals', '--json');
        const [request] = (JSON.parse(stdout) as { readonly approvals: readonly { readonly id: string }[] }).approvals;
        await openexec(0, 'approve', request?.id ?? '');
        await openexec(exit, 'resume', 'latest');
      }
    },
  },
  {
    name: 'hostile-model',
    play: async ({ provider, openexec }) => {
      provider.say({
        calls: [
          hostile('read_file', { path: '/etc/shadow' }),
          newFile('../escaped.txt', 'out\n'),
          newFile('.git/hooks/pre-commit', '#!/bin/sh\n'),
          hostile('git_push', { remote: 'origin', branch: 'main' }),
          hostile('approve', { request: 'latest', decision: 'approve' }),
          patchSum('-', '+'),
        ],
      });
      provider.say({ rawCall: { name: 'apply_patch', arguments: '{"format": "unified", "patch": ' } }, { text: 'done' });
      await openexec(0, 'run', 'Make sum add');
    },
  },
];

/** One repository and one ledger for each, so that its law is short. */
async function make(bundle: Bundle, { name, play }: Play, folder: string): Promise<void> {
  const place = makePlace();
  const provider = await startProvider();
  const openexec = async (exit: number, ...args: readonly string[]): Promise<Ended> => {
    const ended = await bundle.run(args, { cwd: place.root, env: { ...place.env, ...provider.env } });
    if (ended.exit !== exit)
      throw new Error(`${name}: ${args.join(' ')} ended with ${ended.exit}, not ${exit}\n${ended.stdout}${ended.stderr}`);
    return ended;
  };
  try {
    await openexec(0, 'init', '--model', 'openai:gpt-test');
    await play({ place, provider, openexec });
    process.stdout.write((await openexec(0, 'golden', 'add', 'latest', '--name', name, '--dir', folder)).stdout);
  } finally {
    await provider.close();
    place.remove();
  }
}

const [given] = process.argv.slice(2);
if (given === undefined) throw new Error('give the folder that the golden runs are written into');
const folder = resolve(given);
mkdirSync(folder, { recursive: true });
const bundle = await buildBundle();
for (const play of PLAYS) await make(bundle, play, folder);
