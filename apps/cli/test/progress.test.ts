/**
 * What a person sees of a run while it goes on and when it has ended: through the bundle, and the line in place on a pretended terminal.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createOutput } from '../src/output.ts';
import { type Bundle, buildBundle, type Ended } from './cli.ts';
import { makePlace, patchScripts, patchSum, type Place, type Provider, startProvider } from './place.ts';
import { verifies } from './verifies.ts';

let bundle: Bundle;
let place: Place;
let provider: Provider;
const TIME_MS = 240_000;

beforeAll(async () => {
  bundle = await buildBundle();
}, TIME_MS);
afterAll(() => bundle.remove());

function openexec(...args: readonly string[]): Promise<Ended> {
  return bundle.run(args, { cwd: place.root, env: { ...place.env, ...provider.env } });
}

describe('a run of which a person sees the progress', () => {
  beforeEach(async () => {
    place = makePlace();
    provider = await startProvider();
    expect(await openexec('init', '--model', 'openai:gpt-test')).toMatchObject({ exit: 0 });
  }, TIME_MS);
  afterEach(async () => {
    await provider.close();
    place.remove();
  });

  test(
    'says time, stage, turn, action, verdict and cost in plain lines, and ends with files, checks, cost, prompts and commands that work',
    async () => {
      place.write('.openexec/config.local.yaml', 'version: 1\nmodels: {openai: {pricing: {gpt-test: {input: 10, output: 30}}}}\n');
      provider.say({ calls: [patchSum('-', '*')] }, { text: 'done' }, { calls: [patchSum('*', '+')] }, { text: 'repaired' });
      const ended = await openexec('run', 'Make sum add');
      expect(ended.exit).toBe(0);
      // Plain lines: nothing is written over in place where there is no terminal.
      expect(ended.stderr).not.toMatch(/[\r\u001b]/);
      expect(ended.stderr).toMatch(/^ +0:\d\d\.\d implement turn 1 +✓ permitted by .*apply_patch sum\.js$/m);
      expect(ended.stderr).toMatch(/answered in \d+ ms, 100 \+ 20 tokens {2}\(so far 1 model calls, 120 tokens, 0\.0016 USD\)$/m);
      expect(ended.stderr).toMatch(/so far 4 model calls, 480 tokens, 0\.0064 USD/);
      expect(ended.stdout).toMatch(/^done {2}run\//);
      expect(ended.stdout).toContain('files     1 changed\n          ~ sum.js\n');
      expect(ended.stdout).toMatch(/^check ✓ {3}run_tests \(last of 2\): the tests passed/m);
      expect(ended.stdout).toMatch(/^cost {6}480 tokens in 4 model calls, 0\.0064 USD; \d+ calls of the budget$/m);
      expect(ended.stdout).toMatch(/^prompts {3}0 to a person; 0:\d\d\.\d from the first event to the last$/m);
      const commands = new Map([...ended.stdout.matchAll(/^(\w+) +((?:openexec|git) .*)$/gm)].map(([, what, command]) => [what, command]));
      expect([...commands.keys()]).toEqual(['apply', 'diff', 'undo', 'inspect', 'timeline', 'verify']);
      for (const what of ['inspect', 'timeline', 'verify', 'diff'])
        expect(await openexec(...(commands.get(what) ?? '').split(' ').slice(1))).toMatchObject({ exit: 0 });
      const [git, ...undo] = (commands.get('undo') ?? '').split(' ');
      expect(git).toBe('git');
      place.git(...undo);
      expect(place.git('branch', '--list', 'openexec/*')).toBe('');
      expect(place.git('status', '--porcelain', '--untracked-files=no')).toBe('');
    },
    TIME_MS,
  );

  test(
    'that waits prints the commands to decide, resume and stop; the prompt is counted after the approval too',
    async () => {
      provider.say({ calls: [patchScripts()] }, { calls: [patchSum('-', '+')] }, { text: 'done' });
      const parked = await openexec('run', 'Add a script');
      expect(parked.exit).toBe(11);
      const commands = new Map([...parked.stdout.matchAll(/^(\w+) +(openexec .*)$/gm)].map(([, what, command]) => [what, command]));
      expect([...commands.keys()].filter((what) => what !== 'undo')).toEqual([
        'approve',
        'deny',
        'resume',
        'cancel',
        'inspect',
        'timeline',
        'verify',
      ]);
      expect(parked.stdout).toContain('prompts   1 to a person');
      expect(parked.stdout).toContain('files     0 changed');
      expect(parked.stdout).toContain('no price configured');
      expect(await openexec(...(commands.get('approve') ?? '').split(' ').slice(1))).toMatchObject({ exit: 0 });
      // The landing touches a file that tools run by themselves, so it is asked about again.
      const again = await openexec(...(commands.get('resume') ?? '').split(' ').slice(1), '--json');
      const { request } = JSON.parse(again.stdout) as { readonly request: string };
      expect(await openexec('approve', request)).toMatchObject({ exit: 0 });
      const resumed = await openexec('resume', 'latest', '--json');
      expect(JSON.parse(resumed.stdout)).toMatchObject({
        status: 'done',
        prompts: 2,
        asks: 3,
        priced: false,
        files: [
          { path: 'package.json', change: 'modified' },
          { path: 'sum.js', change: 'modified' },
        ],
        checks: [{ action: 'run_tests', status: 'ok' }],
      });
      expect(await openexec('verify', '--deep')).toMatchObject({ exit: 0 });
    },
    TIME_MS,
  );

  verifies(
    'E11',
    'a stream of a run that was cut off goes on with timeline --after its last cursor, without a gap and without a repeat',
    async () => {
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' });
      const streamed = (await openexec('run', 'Make sum add', '--jsonl')).stdout.trim().split('\n');
      const kept = streamed.slice(0, 7);
      const { run, cursor } = JSON.parse(kept.at(-1) ?? '{}') as { readonly run: string; readonly cursor: string };
      const rest = await openexec('timeline', run, '--jsonl', '--after', cursor);
      expect([...kept, ...rest.stdout.trim().split('\n')]).toEqual(streamed);
    },
    TIME_MS,
  );
});

describe('the line in place', () => {
  function terminal(env: Readonly<Record<string, string>>) {
    const written: string[] = [];
    const sink = { write: (text: string) => void written.push(text), isTTY: true, columns: 30 };
    return { written, output: createOutput({ stdout: sink, stderr: sink, env: { NO_COLOR: '1', ...env } }) };
  }

  test('is taken away before every other line and put back after it, cut to the width, and gone at the end', () => {
    const { written, output } = terminal({});
    output.status('a line that is wider than the terminal');
    output.progress('an event');
    output.result('a result');
    output.status(null);
    const line = 'a line that is wider than the';
    const erase = '\r\u001b[K';
    expect(written).toEqual([`${erase}${line}`, erase, 'an event\n', line, erase, 'a result\n', line, erase]);
  });

  test('is never written under CI nor on a terminal that is dumb', () => {
    for (const env of [{ CI: 'true' }, { TERM: 'dumb' }]) {
      const { written, output } = terminal(env);
      output.status('turning');
      output.progress('an event');
      expect(written).toEqual(['an event\n']);
    }
  });
});
