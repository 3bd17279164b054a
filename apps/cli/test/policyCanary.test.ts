/**
 * One written denial against every way in which this build's actions reach a file: reading it, each patch format, deleting it, moving it, landing it.
 * Through the bundle. GOALS E01, E20.
 */
import { describe, expect } from '@jest/globals';
import { patchSum, type Reply } from './place.ts';
import { inOnePlace, openexec, place, provider } from './scene.ts';
import { verifies } from './verifies.ts';

const TIME_MS = 180_000;

inOnePlace(() => undefined);

const CANARY = 'keep/canary.txt';
const DENY = `version: 1
name: keep
rules:
  - id: read-nothing
    when: {field: paths.read, op: anyUnder, value: keep}
    decide: deny
    because: nobody reads the canary
    examples: {match: [{paths: {read: [keep/canary.txt]}}], noMatch: [{paths: {read: [src/a.ts]}}]}
  - id: write-nothing
    when: {field: paths.write, op: anyUnder, value: keep}
    decide: deny
    because: nobody writes the canary
    examples: {match: [{paths: {write: [keep/canary.txt]}}], noMatch: [{paths: {write: [src/a.ts]}}]}
  - id: permit-all
    when: {field: action.name, op: exists, value: true}
    decide: permit
    because: a permit here grants nothing
    examples: {match: [{action: {name: read_file}}], noMatch: [{}]}
`;
const patch = (args: object): NonNullable<Reply['calls']>[number] => ({ name: 'apply_patch', arguments: args });
const ATTEMPTS: readonly NonNullable<Reply['calls']>[number][] = [
  { name: 'read_file', arguments: { path: CANARY } },
  patch({ format: 'unified', patch: `--- a/${CANARY}\n+++ b/${CANARY}\n@@ -1 +1 @@\n-alive\n+dead\n` }),
  patch({ format: 'unified', patch: `--- a/${CANARY}\n+++ /dev/null\n@@ -1 +0,0 @@\n-alive\n` }),
  patch({ format: 'unified', patch: '--- /dev/null\n+++ b/keep/other.txt\n@@ -0,0 +1 @@\n+new\n' }),
  patch({ format: 'whole_file', path: CANARY, content: 'dead\n' }),
  patch({ format: 'search_replace', edits: [{ path: CANARY, search: 'alive', replace: 'dead' }] }),
  patch({ format: 'v4a', patch: `*** Begin Patch\n*** Update File: ${CANARY}\n@@\n-alive\n+dead\n*** End Patch\n` }),
  patch({
    format: 'v4a',
    patch: `*** Begin Patch\n*** Update File: ${CANARY}\n*** Move to: moved.txt\n@@\n-alive\n+dead\n*** End Patch\n`,
  }),
  patch({ format: 'v4a', patch: `*** Begin Patch\n*** Delete File: ${CANARY}\n*** End Patch\n` }),
  // Among changes that are allowed.
  patch({
    format: 'search_replace',
    edits: [
      { path: 'sum.js', search: 'a - b', replace: 'a + b' },
      { path: CANARY, search: 'alive', replace: 'dead' },
    ],
  }),
];

describe('a denial that is written once', () => {
  verifies(
    'E01',
    'holds through reading, through every format of a patch, through deleting, moving and mixing, and the run goes on without it',
    async () => {
      place.write(CANARY, 'alive\n');
      place.git('add', '-A');
      place.git('-c', 'user.name=Test', '-c', 'user.email=test@example.org', 'commit', '-q', '-m', 'canary');
      expect((await openexec('init', '--model', 'openai:gpt-test')).exit).toBe(0);
      place.write('.openexec/policy/keep.yaml', DENY);
      provider.say(
        { calls: [...ATTEMPTS, { name: 'shell_exec', arguments: { command: `cat ${CANARY}` } }, patchSum('-', '+')] },
        { text: 'done' },
      );
      const ended = await openexec('run', 'Make sum add', '--json');
      expect({ exit: ended.exit, stderr: ended.exit === 0 ? '' : ended.stderr }).toEqual({ exit: 0, stderr: '' });
      const { decisions } = JSON.parse((await openexec('policy', 'explain', 'latest', '--json')).stdout) as {
        decisions: readonly { intentSeq: number | null; subject: string; verdict: string; by: string; rule: { layer: string } | null }[];
      };
      const wished = decisions.filter(({ intentSeq }) => intentSeq !== null).slice(0, ATTEMPTS.length + 2);
      expect(wished.slice(0, ATTEMPTS.length).map(({ verdict, by, rule }) => [verdict, by, rule?.layer])).toEqual(
        ATTEMPTS.map(() => ['deny', 'policy', 'project']),
      );
      // What no writ names is no action at all, whatever the permit of the project says; the last patch is an ordinary one.
      expect(wished.slice(ATTEMPTS.length).map(({ subject, verdict, by }) => [subject, verdict, by])).toEqual([
        ['shell_exec', 'deny', 'compiler'],
        ['apply_patch', 'permit', 'policy'],
      ]);
      const { result } = JSON.parse(ended.stdout) as { result: { commit: string } };
      expect(place.git('show', `${result.commit}:${CANARY}`)).toBe('alive\n');
      expect(place.git('diff', '--name-only', 'HEAD', result.commit).trim()).toBe('sum.js');
      // Nothing of the file reached the model.
      expect(JSON.stringify(provider.requests)).not.toContain('alive\\n');
      expect((await openexec('verify', '--deep')).exit).toBe(0);
    },
    TIME_MS,
  );
});
