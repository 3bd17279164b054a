/**
 * What a profile masks is not readable by anything that runs in the sandbox: not by its name, not by another, not through git. Each attempt has a control:
 * the same command without the mask sees it. GOALS E01, SECURITY §§3, 9.
 */
import { readdirSync } from 'node:fs';
import { afterAll, describe, expect, test } from '@jest/globals';
import { createSandbox } from '../src/index.ts';
import { cleanUp, FILES, git, NEVER, opened, profile, redactor, repository, run, value } from './harness.ts';

afterAll(cleanUp);

const sandbox = createSandbox({ redactor });
const CANARY = 'canary-e01-51c0';
const WITHIN = 'canary-e01-folder';
const TREE = {
  ...FILES,
  'keep/canary.txt': `${CANARY}\n`,
  'keep/open.txt': 'open\n',
  'vault/deep/a.txt': `${WITHIN} a\n`,
  'vault/b.txt': `${WITHIN} b\n`,
  'twin.txt': 'twin\n',
  'keep/twin.txt': 'twin\n',
};
const MASKED = ['keep/canary.txt', 'keep/twin.txt', 'vault/**'];
/** Every way to the contents that the tree and git's own tools offer. */
const READING: readonly (readonly [string, string])[] = [
  ['by its name', 'cat keep/canary.txt vault/b.txt vault/deep/a.txt'],
  ['over the whole tree', 'grep -r canary-e01 . --exclude-dir=.git'],
  ['through a new link', 'ln -s keep/canary.txt l; ln -s vault v; cat l v/b.txt'],
  ['through a hard link', 'ln keep/canary.txt h && cat h; cp -al vault v2 && cat v2/b.txt'],
  ['under another name of its folder', 'mv keep moved; cat moved/canary.txt; mv vault gone; cat gone/b.txt'],
  ['after it was made readable', 'chmod -R 777 keep vault; cat keep/canary.txt vault/b.txt'],
  [
    'after it was written or removed',
    'echo x >> keep/canary.txt; cat keep/canary.txt; rm -rf keep vault; mkdir vault; cat keep/canary.txt vault/b.txt',
  ],
  ['through the root of another process', 'cat /proc/1/root/workspace/keep/canary.txt /proc/self/cwd/vault/b.txt'],
  ['by copying and packing', 'cp -r keep vault /tmp; cat /tmp/keep/canary.txt /tmp/vault/b.txt; tar cf - . 2>/dev/null | strings'],
  ['through git show', 'git show HEAD:keep/canary.txt HEAD:vault/b.txt HEAD:vault/deep/a.txt'],
  ['through git log', 'git log -p --all'],
  ['through every object of git', 'git cat-file --batch-all-objects --batch'],
  [
    'through git grep, archive, restore and diff',
    'git grep canary-e01 HEAD; git archive HEAD | strings; git restore keep vault; cat keep/canary.txt; git diff 4b825dc642cb6eb9a060e54bf8d69288fbee4904 HEAD',
  ],
  [
    'through packs by hand',
    'for p in .git/objects/pack/*.pack; do git index-pack --stdin -o /tmp/i < "$p"; git unpack-objects < "$p"; done; cp -r .git /tmp/g; git -C /tmp/g unpack-objects < .git/objects/pack/*.pack; git -C /tmp/g cat-file --batch-all-objects --batch',
  ],
];

describe('what a profile masks', () => {
  test('A120: what the profile masks is read in no way, and each way works where nothing is masked', async () => {
    const root = repository(TREE);
    const { workspace } = await opened(root);
    const view = value(await workspace.maskedGitView(MASKED));
    expect(view).not.toBe(workspace.gitView);
    for (const [how, command] of READING) {
      value(await workspace.restore());
      const control = await run(sandbox, workspace.root, ['bash', '-c', command], { gitView: workspace.gitView });
      expect([how, `${control.out}${control.errors}`.includes('canary-e01')]).toEqual([how, true]);
      value(await workspace.restore());
      const ran = await run(sandbox, workspace.root, ['bash', '-c', command], { gitView: view, profile: profile({ masked: MASKED }) });
      expect([how, ran.stopped, `${ran.out}${ran.errors}`.match(/canary-e01-\w+/g)]).toEqual([how, 'no', null]);
    }
    // The tree itself was never touched: what is masked stands there as before.
    value(await workspace.restore());
    expect(value(await workspace.changes()).changes).toEqual([]);
    const plain = await run(sandbox, workspace.root, ['cat', 'keep/canary.txt', 'vault/deep/a.txt'], { gitView: null });
    expect(plain.out).toBe(`${CANARY}\n${WITHIN} a\n`);
  });

  test('A120: what stands beside the masked stays as it is: files, tests, git, and content that another name shows', async () => {
    const { workspace } = await opened(repository(TREE));
    const gitView = value(await workspace.maskedGitView(MASKED));
    const go = async (command: string, more = profile({ masked: MASKED })) =>
      run(sandbox, workspace.root, ['bash', '-c', command], { gitView, profile: more });
    expect((await go('cat keep/open.txt twin.txt; git show HEAD:twin.txt; cat keep/twin.txt 2>&1; ls vault; touch vault/x 2>&1')).out).toBe(
      "open\ntwin\ntwin\ncat: keep/twin.txt: Permission denied\ntouch: cannot touch 'vault/x': Read-only file system\n",
    );
    expect((await go('npm test')).out).toMatch(/# pass 1\n/);
    expect(await go('git status --short; git diff --stat; git log --oneline | wc -l')).toMatchObject({ out: '1\n', exitCode: 0 });
    expect((await go('echo new > keep/new.txt; git status --short')).out).toBe('?? keep/new.txt\n');
    value(await workspace.restore());
    const readOnly = await go('cat keep/canary.txt; cat keep/open.txt', profile({ masked: MASKED, mode: 'read_only', workspace: 'ro' }));
    expect([readOnly.out, readOnly.errors]).toEqual(['open\n', 'cat: keep/canary.txt: Permission denied\n']);
  });
});

describe('the git view of a mask', () => {
  test('is made once for one mask, another for another, and is the plain one where nothing of the base is masked', async () => {
    const { workspace, directory } = await opened(repository(TREE));
    const first = value(await workspace.maskedGitView(MASKED));
    expect(value(await workspace.maskedGitView(MASKED))).toBe(first);
    expect(value(await workspace.maskedGitView(['vault/**']))).not.toBe(first);
    expect(value(await workspace.maskedGitView(['new/file.txt']))).toBe(workspace.gitView);
    expect(readdirSync(directory).filter((name) => name.endsWith('.making'))).toEqual([]);
  });
  test.each(['sha1', 'sha256'] as const)('lacks exactly the masked contents of a repository of %s', async (format) => {
    const root = repository(TREE, format);
    const { workspace, base } = await opened(root);
    const view = value(await workspace.maskedGitView(MASKED)) ?? '';
    const held = git(view, '-c', 'safe.directory=*', 'cat-file', '--batch-all-objects', '--batch-check=%(objectname)').split('\n');
    const lacking = base.listing.filter(({ oid }) => !held.includes(oid)).map(({ path }) => path);
    expect(lacking).toEqual(['keep/canary.txt', 'vault/b.txt', 'vault/deep/a.txt']);
  });
});

describe('a mask that cannot be put up', () => {
  test.each([
    ['more places than can be hidden one by one', Array.from({ length: 1001 }, (_, at) => `f${at}`), 'deny whole folders'],
    ['a path that climbs', ['../outside'], 'not a plain path'],
  ])('refuses the command, which is not started: %s', async (_, masked, words) => {
    const { workspace } = await opened(repository());
    const order = {
      profile: profile({ masked }),
      argv: ['touch', 'ran'],
      directory: '',
      workspace: workspace.root,
      gitView: null,
      deadlineMs: 60_000,
      stdin: null,
    };
    expect(await sandbox.run(order, NEVER)).toMatchObject({
      ok: false,
      error: { code: 'sandbox.refused', message: expect.stringContaining(words) },
    });
    expect(readdirSync(workspace.root)).not.toContain('ran');
  });
});
