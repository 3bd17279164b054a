/**
 * One written denial against every way in which this build's actions reach a file: reading it, each patch format, deleting it, moving it, landing it.
 * Through the bundle. GOALS E01, E20.
 */
import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import { makePlace, patchSum, type Place, type Reply } from './place.ts';
import { bundle, inOnePlace, openexec, place, provider } from './scene.ts';
import { verifies } from './verifies.ts';

const TIME_MS = 180_000;
const LONG_MS = 600_000;

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

/** Prints whatever a command can find of the canary; the check passes once the sum is a product. */
const SNOOP = [
  "import { execSync } from 'node:child_process';",
  "import { readFileSync } from 'node:fs';",
  "const say = (command) => { try { console.log(execSync(command, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })); } catch { console.log('nothing'); } };",
  "for (const command of ['cat keep/canary.txt', 'grep -r still.alive keep', 'git show HEAD:keep/canary.txt', 'git log -p', 'git cat-file --batch-all-objects --batch', 'cp -r keep /tmp/k; cat /tmp/k/canary.txt']) say(command);",
  "console.log('snooped');",
  "process.exit(readFileSync('sum.js', 'utf8').includes('a * b') ? 0 : 1);",
].join('\n');
const LOOKS: NonNullable<Reply['calls']> = [
  { name: 'search', arguments: { pattern: 'still-[a]live' } },
  { name: 'list_files', arguments: {} },
];

describe('a denial to read one folder', () => {
  let ground: Place;
  beforeAll(async () => {
    ground = makePlace();
    ground.write(CANARY, 'still-alive\n');
    ground.write('snoop.mjs', SNOOP);
    ground.write('package.json', '{"name":"s","version":"1.0.0","type":"module","scripts":{"test":"node snoop.mjs"}}\n');
    ground.git('add', '-A');
    ground.git('-c', 'user.name=Test', '-c', 'user.email=test@example.org', 'commit', '-q', '-m', 'canary');
    expect((await inGround('init', '--model', 'openai:gpt-test')).exit).toBe(0);
  }, LONG_MS);
  afterAll(() => ground.remove());
  const inGround = (...args: readonly string[]) => bundle.run(args, { cwd: ground.root, env: { ...ground.env, ...provider.env } });

  /** A run whose model looks around and whose first check fails: what models were shown, and what the check could not see. */
  async function snooped(): Promise<{ readonly shown: string; readonly masked: unknown; readonly told: string }> {
    const before = provider.requests.length;
    provider.say({ calls: [...LOOKS, patchSum('-', '+')] }, { text: 'done' }, { calls: [patchSum('+', '*')] }, { text: 'done' });
    const ended = await inGround('run', 'Make sum add, see keep/canary.txt', '--json');
    expect({ exit: ended.exit, stderr: ended.exit === 0 ? '' : ended.stderr }).toEqual({ exit: 0, stderr: '' });
    const lines = (await inGround('timeline', 'latest', '--jsonl')).stdout.trim().split('\n');
    const events = lines.map((line) => JSON.parse(line) as { kind: string; body: { action: string; sandbox: { masked?: unknown } } });
    const check = events.find(({ kind, body }) => kind === 'execution.started' && body.action === 'run_tests');
    const told = (await inGround('timeline', 'latest')).stdout;
    return { shown: JSON.stringify(provider.requests.slice(before)), masked: check?.body.sandbox.masked ?? null, told };
  }

  verifies(
    'E01',
    'reaches searches, lists, context packs, commands and their git, and with nobody denying it each of them sees the file',
    async () => {
      const open = await snooped();
      expect(open.masked).toBeNull();
      expect(open.shown).toContain('snooped');
      expect(open.shown).toContain('keep/canary.txt:1:still-alive');
      expect(open.shown.split('still-alive').length).toBeGreaterThan(6);
      expect(open.told).not.toContain('may not be read there');
      ground.write('.openexec/policy/keep.yaml', DENY);
      const closed = await snooped();
      expect(closed.masked).toEqual({ inline: ['keep/**'] });
      expect(closed.shown).toContain('snooped');
      expect(closed.shown).not.toContain('still-alive');
      expect(closed.shown).toContain('1 that may not be read are left out');
      expect(closed.told).toContain('1 place may not be read there');
      expect((await inGround('verify', '--deep')).exit).toBe(0);
      expect((await inGround('replay', 'latest')).exit).toBe(0);
    },
    LONG_MS,
  );
});
