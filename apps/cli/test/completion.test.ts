/**
 * Shell completion in real shells: the scripts are made from the command tree, complete commands, options, values, runs and requests, and say nothing
 * where nothing is known. A shell that is not on this machine is named as not run.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { describe, expect, test } from '@jest/globals';
import { makePlace, patchScripts, patchSum } from './place.ts';
import { bundle, initialised, inOnePlace, openexec, place, provider } from './scene.ts';

const TIME_MS = 240_000;
let runs: readonly string[];
let request: string;
/** Folder with the command `openexec` as a shell finds it. */
let bin: string;

const isThere = (shell: string): boolean => spawnSync(shell, ['-c', 'exit 0']).status === 0;

inOnePlace(async () => {
  await initialised();
  provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' }, { calls: [patchScripts()] });
  expect(await openexec('run', 'Make sum add')).toMatchObject({ exit: 0 });
  expect(await openexec('run', 'Add\ta "script"; $(touch MARK)')).toMatchObject({ exit: 11 });
  const listed = JSON.parse((await openexec('runs', '--json')).stdout) as { readonly runs: readonly { readonly run: string }[] };
  runs = listed.runs.map(({ run }) => run.slice('run/'.length, 'run/'.length + 12));
  const open = JSON.parse((await openexec('approvals', '--json')).stdout) as { readonly approvals: readonly { readonly id: string }[] };
  request = open.approvals[0]?.id.slice('sha256:'.length, 'sha256:'.length + 12) ?? '';
  bin = join(place.folder, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'openexec'), `#!/bin/sh\nexec '${process.execPath}' '${bundle.entry}' "$@"\n`);
  chmodSync(join(bin, 'openexec'), 0o755);
  for (const shell of ['bash', 'zsh', 'fish']) {
    const script = await openexec('completion', shell);
    expect(script).toMatchObject({ exit: 0, stderr: '' });
    writeFileSync(join(place.folder, `openexec.${shell}`), script.stdout);
  }
});

/** What a shell offers for a line of words, the last of which is being typed. */
type Offer = (...words: readonly string[]) => readonly string[];
function inShell(shell: string, args: readonly string[], cwd: string): readonly string[] {
  const env = { ...process.env, ...place.env, PATH: `${bin}:${process.env['PATH'] ?? ''}`, HOME: place.folder, LC_ALL: 'C.UTF-8' };
  const said = spawnSync(shell, args, { cwd, env, encoding: 'utf8' });
  expect({ shell, status: said.status, stderr: said.stderr }).toEqual({ shell, status: 0, stderr: '' });
  return said.stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split('\t')[0] ?? '');
}
/** bash's own way: the words in COMP_WORDS, the answer in COMPREPLY. */
const bash: Offer = (...words) =>
  inShell(
    'bash',
    [
      '--norc',
      '-c',
      'source "$1"; shift; COMP_WORDS=(openexec "$@"); COMP_CWORD=$#; _openexec; [ ${#COMPREPLY[@]} -eq 0 ] || printf "%s\\n" "${COMPREPLY[@]}"',
      'bash',
      join(place.folder, 'openexec.bash'),
      ...words,
    ],
    place.root,
  );
/** zsh without its line editor: what the script hands to _describe, cut to what was typed as zsh does. */
const zsh: Offer = (...words) =>
  inShell(
    'zsh',
    ['-f', '-c', 'source "$1"; shift; __openexec_candidates "$@"', 'zsh', join(place.folder, 'openexec.zsh'), ...words],
    place.root,
  ).filter((word) => word.startsWith(words.at(-1) ?? ''));
const fish: Offer = (...words) =>
  inShell(
    'fish',
    [
      '--no-config',
      '-c',
      `source "$argv[1]"; complete -C "$argv[2]"`,
      join(place.folder, 'openexec.fish'),
      ['openexec', ...words].join(' '),
    ],
    place.root,
  );

describe.each<[string, Offer]>([
  ['bash', bash],
  ['zsh', zsh],
  ['fish', fish],
])('%s', (shell, offer) => {
  const there = isThere(shell);
  const title = there
    ? 'completes commands, subcommands, options, values, runs, requests and blueprints'
    : `not run: ${shell} is not on this machine`;
  (there ? test : test.skip)(
    title,
    async () => {
      const help = (await openexec('--help')).stdout;
      const commands = [...help.matchAll(/^ {2}([a-z][a-z-]*) {2,}\S/gm)].map(([, name]) => name ?? '').filter((name) => name !== 'help');
      expect(commands.length).toBeGreaterThan(15);
      expect([...offer('')].sort()).toEqual([...commands].sort());
      expect(offer('app')).toEqual(['apply', 'approvals', 'approve'].filter((name) => commands.includes(name)));
      expect(offer('ledger', 'co')).toEqual(['consistency']);
      expect(offer('run', '--b').toSorted()).toEqual(['--base', '--blueprint', '--budget-usd']);
      expect(offer('run', '--approve', '').toSorted()).toEqual(['ask', 'never']);
      expect(offer('run', '--approve', 'n')).toEqual(['never']);
      expect([...offer('run', '--blueprint', '')]).toEqual(expect.arrayContaining(['quick_fix', 'standard_task']));
      expect(offer('show', '').toSorted()).toEqual([...runs, 'latest'].toSorted());
      expect(offer('show', runs[0]?.slice(0, 6) ?? '')).toEqual([runs[0]]);
      expect(offer('approve', '')).toEqual([request]);
      expect(offer('run', '--policy', 'sum.j')).toEqual(shell === 'zsh' ? [] : ['sum.js']);
      expect(offer('completion', 'f')).toEqual(['fish']);
      // Of a task nothing is known, and what a person wrote as a task is never run.
      expect(offer('run', 'x')).toEqual([]);
      expect(place.git('status', '--porcelain', '--', 'MARK')).toBe('');
    },
    TIME_MS,
  );
});

test(
  'the dynamic words are one line each with a safe description, and silence with exit 0 where nothing is set up',
  async () => {
    const { stdout } = await openexec('__complete', 'runs');
    expect(stdout.split('\n').filter((line) => line !== '')).toHaveLength(runs.length + 1);
    expect(stdout).toContain(`${runs[0]}\tparked: Add\\ta "script"; $(touch MARK)`);
    const elsewhere = makePlace();
    const env = { ...elsewhere.env };
    for (const kind of ['runs', 'requests'])
      expect(await bundle.run(['__complete', kind], { cwd: elsewhere.root, env })).toEqual({ exit: 0, stdout: '', stderr: '' });
    elsewhere.remove();
    expect((await openexec('--help')).stdout).not.toContain('__complete');
    expect(await openexec('completion', 'tcsh')).toMatchObject({ exit: 2 });
  },
  TIME_MS,
);
