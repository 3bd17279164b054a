/**
 * Undeclared effects through the bundle: a test command that reaches for the network or brings an editor task along fails its stage with a typed
 * reason, the model and the reader are told, and the ledger verifies deep. PROTOCOL §9; GOALS E19.
 */
import { describe, expect, test } from '@jest/globals';
import { patchSum } from './place.ts';
import { commitAll, inEachPlace, initialised, openexec, place, provider } from './scene.ts';
import { verifies } from './verifies.ts';

const TIME_MS = 240_000;

inEachPlace(() => undefined);

/** A repository whose tests also do this before anything else. */
async function testsThatAlso(line: string): Promise<void> {
  place.write('also.test.js', `${line}\n`);
  commitAll('also');
  await initialised();
}
async function soundLedger(): Promise<void> {
  const verified = await openexec('verify', '--deep', '--json');
  expect(JSON.parse(verified.stdout)).toMatchObject({ sound: true, deep: { totals: { divergences: 0, violations: 0 } } });
}
const DELETE = (path: string, line: string) => ({
  name: 'apply_patch',
  arguments: { format: 'unified', patch: `--- a/${path}\n+++ /dev/null\n@@ -1 +0,0 @@\n-${line}\n` },
});

describe('a test command', () => {
  verifies(
    'E19',
    'that needs the network gets a typed reason which says what to ask for; the model is told and the run goes on without it',
    async () => {
      const line = "await fetch('http://192.0.2.1/').catch(() => undefined);";
      await testsThatAlso(line);
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' }, { calls: [DELETE('also.test.js', line)] }, { text: 'taken out' });
      const ended = await openexec('run', 'Make sum add', '--json');
      expect({ exit: ended.exit, stderr: ended.exit === 0 ? '' : ended.stderr }).toEqual({ exit: 0, stderr: '' });
      const told = JSON.stringify(provider.requests[2]?.messages);
      expect(told).toContain('effect.network');
      expect(told).toContain('ask for a networked stage');
      const timeline = (await openexec('timeline', 'latest')).stdout;
      expect(timeline).toMatch(
        /an effect outside the declaration: effect\.network: run_tests tried to reach the network \(\d+ packets? refused/,
      );
      const shown = JSON.parse((await openexec('show', 'latest', '--json')).stdout) as {
        intents: { wish: string; end: string; endBecause: object }[];
      };
      expect(shown.intents.filter(({ wish }) => wish.startsWith('run_tests')).map(({ end }) => end)).toEqual(['failed', 'committed']);
      const facts = (await openexec('timeline', 'latest', '--jsonl')).stdout
        .split('\n')
        .filter((text) => text.includes('"effect.undeclared"'));
      expect(facts).toHaveLength(1);
      await soundLedger();
    },
    TIME_MS,
  );

  test(
    'that brings an editor task along fails its stage by name, and nothing of it lands',
    async () => {
      const line = "(await import('node:fs')).cpSync('package.json', '.vscode/tasks.json');";
      await testsThatAlso(line);
      provider.say({ calls: [patchSum('-', '+')] }, { text: 'done' }, { calls: [DELETE('also.test.js', line)] }, { text: 'taken out' });
      const ended = await openexec('run', 'Make sum add', '--json');
      expect(ended.exit).toBe(0);
      expect((await openexec('show', 'latest')).stdout).toContain('run_tests touched what it did not declare: .vscode/tasks.json');
      const { result } = JSON.parse(ended.stdout) as { result: { commit: string } };
      expect(place.git('ls-tree', '-r', '--name-only', result.commit)).not.toContain('.vscode');
      await soundLedger();
    },
    TIME_MS,
  );
});
