/**
 * The workspace on real repositories: its contract, hostile repositories (A69–A71), crashes at every step, the edit race (A24), unusual repositories,
 * and bringing a landed branch into a checkout.
 */
import { spawn } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { afterAll, describe, expect, test } from '@jest/globals';
import { applyBranch, createSandbox, inspectRepository, openWorkspace, resolveCommit, sandboxIdentity } from '../src/index.ts';
import { HashCache } from '../src/snapshot.ts';
import { STORE_STEPS } from '../src/store.ts';
import { cleanUp, code, FILES, git, opened, redactor, repository, run, SECRET, temporary, value, write } from './harness.ts';
import { workspaceContract } from './workspace.contract.ts';
import { order } from './workspaceContract/common.ts';

afterAll(cleanUp);

workspaceContract({ open: opened });

describe('hostile repositories', () => {
  /** Every way this repository could make git run its programs; each leaves a marker. */
  function hostile(): { readonly root: string; readonly marker: () => boolean } {
    const root = repository({
      ...FILES,
      '.gitattributes': '* filter=evil diff=evil merge=evil\n',
      '.gitmodules': '[submodule "x"]\n\tpath = sub\n\turl = ext::sh -c "touch MARK"\n',
    });
    const mark = `${root}/.git/MARKER`;
    const touch = `touch '${mark}'`;
    for (const hook of [
      'pre-commit',
      'post-checkout',
      'reference-transaction',
      'post-index-change',
      'post-merge',
      'pre-auto-gc',
      'fsmonitor-watchman',
      'post-rewrite',
      'update',
    ]) {
      writeFileSync(`${root}/.git/hooks/${hook}`, `#!/bin/sh\n${touch}\n`, { mode: 0o755 });
      mkdirSync(`${root}/.git/own`, { recursive: true });
      cpSync(`${root}/.git/hooks/${hook}`, `${root}/.git/own/${hook}`);
    }
    writeFileSync(`${root}/.git/included`, `[core]\n\tfsmonitor = ${touch}\n[diff]\n\texternal = ${touch}\n`);
    writeFileSync(`${root}/.git/config.worktree`, `[core]\n\teditor = ${touch}\n\tpager = ${touch}\n`);
    const settings: readonly (readonly [string, string])[] = [
      ['core.fsmonitor', touch],
      ['core.hooksPath', `${root}/.git/own`],
      ['core.sshCommand', touch],
      ['core.editor', touch],
      ['core.pager', touch],
      ['core.askPass', touch],
      ['gpg.program', touch],
      ['commit.gpgSign', 'true'],
      ['diff.external', touch],
      ['diff.evil.textconv', touch],
      ['diff.evil.command', touch],
      ['filter.evil.clean', touch],
      ['filter.evil.smudge', touch],
      ['filter.evil.process', touch],
      ['filter.evil.required', 'true'],
      ['merge.evil.driver', touch],
      ['uploadpack.packObjectsHook', touch],
      ['include.path', 'included'],
      ['extensions.worktreeConfig', 'true'],
      ['hook.evil.command', touch],
      ['hook.evil.event', 'reference-transaction'],
      ['credential.helper', `!${touch}`],
      ['alias.status', `!${touch}`],
      ['sequence.editor', touch],
      ['protocol.ext.allow', 'always'],
      ['gc.auto', '1'],
    ];
    for (const [key, setting] of settings) git(root, 'config', key, setting);
    return { root, marker: () => existsSync(mark) };
  }
  test('A69–A71: reading, opening, snapshots and landing run nothing of the repository; git as people run it does', async () => {
    const { root, marker } = hostile();
    const run1 = await opened(root);
    write(run1.workspace.root, { 'README.md': 'changed', '.gitattributes': '* filter=evil diff=evil\n' });
    value(await run1.workspace.accept(value(await run1.workspace.changes()).changes));
    value(await run1.workspace.restore());
    value(await run1.workspace.land(order(run1, value(await run1.workspace.tree()))));
    value(await resolveCommit(run1.facts, 'main'));
    expect(marker()).toBe(false);
    try {
      git(root, 'status');
    } catch {
      // With such a configuration git itself stumbles; the marker is what counts.
    }
    expect(marker()).toBe(true);
  });
  test('A21: a .git pointer or folder planted in the tree changes nothing for the runtime', async () => {
    const evil = hostile();
    const { workspace, base } = await opened(repository());
    writeFileSync(`${workspace.root}/.git`, `gitdir: ${evil.root}/.git\n`);
    expect(value(await workspace.changes()).changes).toEqual([]);
    expect(value(await workspace.tree())).toBe(base.tree);
    rmSync(`${workspace.root}/.git`);
    cpSync(`${evil.root}/.git`, `${workspace.root}/.git`, { recursive: true });
    expect(value(await workspace.changes()).changes).toEqual([]);
    value(await workspace.restore());
    expect([existsSync(`${workspace.root}/.git`), evil.marker()]).toEqual([false, false]);
  });
});

describe('what looks like a secret', () => {
  const token = `gh${'p_'}q7XkP2mZ9tR4vB8nL3wY6cF1hJ5dS0gAbCdE`;
  const holds = (gitDir: string): boolean => git(gitDir, 'cat-file', '--batch-all-objects', '--batch').includes(token);

  test('left behind by a command, its object goes with the restore; accepted, it stays for the rebuild', async () => {
    const { workspace, directory } = await opened(repository());
    write(workspace.root, { 'left.txt': `token ${token}\n`, 'plain.txt': 'x' });
    const { changes, contents } = value(await workspace.changes());
    expect([changes.length, contents.size, holds(`${directory}/git`)]).toEqual([2, 1, true]);
    value(await workspace.restore());
    expect(holds(`${directory}/git`)).toBe(false);
    write(workspace.root, { 'kept.txt': `token ${token}\n` });
    const kept = value(await workspace.changes()).changes;
    value(await workspace.accept(kept));
    value(await workspace.restore());
    expect([readFileSync(`${workspace.root}/kept.txt`, 'utf8'), holds(`${directory}/git`)]).toEqual([`token ${token}\n`, true]);
  });
  test('in a name it refuses the changes, and so does a known value', async () => {
    const { workspace } = await opened(repository());
    for (const name of [`a-${token}`, `folder/${token}.txt`, `x-${Buffer.from(SECRET).toString('hex')}`]) {
      write(workspace.root, { [name]: 'x' });
      expect([name, code(await workspace.changes())]).toEqual([name, 'workspace.secret']);
      value(await workspace.restore());
      expect([name, code(await workspace.edit([{ path: name, content: Buffer.from('x'), mode: '100644' }]))]).toEqual([
        name,
        'workspace.secret',
      ]);
    }
    write(workspace.root, { 'ordinary-name.txt': 'x' });
    expect(code(await workspace.changes())).toBe('ok');
  });
});

describe('the user’s repository', () => {
  test('facts: root, head, branch, cleanliness, from a sub-folder and from a linked worktree', async () => {
    const root = repository();
    const clean = value(await inspectRepository(`${root}/src`));
    expect(clean).toMatchObject({
      root,
      gitDir: `${root}/.git`,
      commonDir: `${root}/.git`,
      head: git(root, 'rev-parse', 'HEAD'),
      branch: 'main',
      objectFormat: 'sha1',
      dirty: [],
      untracked: 0,
    });
    write(root, { 'README.md': 'x', u1: '', 'folder/u2': '', 'folder/u3': '', 'ignored/i': '', '.openexec/config.yaml': 'own' });
    git(root, 'rm', '-q', '--cached', 'package.json');
    expect(value(await inspectRepository(root))).toMatchObject({ dirty: ['README.md', 'package.json'], untracked: 3 });
    git(root, 'reset', '-q', '--hard');
    git(root, 'worktree', 'add', '-q', '--detach', `${root}/ignored/tree`);
    expect(value(await inspectRepository(`${root}/ignored/tree`))).toMatchObject({
      root: `${root}/ignored/tree`,
      gitDir: `${root}/.git/worktrees/tree`,
      commonDir: `${root}/.git`,
      branch: null,
      dirty: [],
    });
  });
  test('files whose times moved but whose bytes did not are not dirty; nothing in the repository is written', async () => {
    const root = repository();
    for (const path of ['README.md', 'src/sum.js']) {
      cpSync(`${root}/${path}`, `${root}/${path}.copy`);
      renameSync(`${root}/${path}.copy`, `${root}/${path}`);
    }
    const before = readFileSync(`${root}/.git/index`);
    expect(value(await inspectRepository(root)).dirty).toEqual([]);
    expect(readFileSync(`${root}/.git/index`).equals(before)).toBe(true);
  });
  test('no repository, a bare one, one without a commit, an unknown revision are told apart', async () => {
    const folder = temporary();
    expect(code(await inspectRepository(folder))).toBe('workspace.notARepository');
    expect(code(await inspectRepository(`${folder}/absent`))).toBe('workspace.notARepository');
    git(folder, 'init', '-q', '--bare', 'bare');
    expect(code(await inspectRepository(`${folder}/bare`))).toBe('workspace.notARepository');
    git(folder, 'init', '-q', 'fresh');
    expect(code(await inspectRepository(`${folder}/fresh`))).toBe('workspace.objectMissing');
    const root = repository();
    const facts = value(await inspectRepository(root));
    expect(value(await resolveCommit(facts, 'main'))).toBe(facts.head);
    for (const revision of ['', 'none', '--help', '-x', 'main:README.md', 'a\nb', '0'.repeat(40)])
      expect([revision, code(await resolveCommit(facts, revision))]).toEqual([revision, 'workspace.objectMissing']);
  });
  test('sha256 repositories, submodules, large-file pointers, shallow clones and alternates work; missing objects are typed', async () => {
    const sha256 = await opened(repository(FILES, 'sha256'));
    expect([sha256.base.objectFormat, sha256.base.commit.length]).toEqual(['sha256', 64]);
    value(await sha256.workspace.edit([{ path: 'x', content: Buffer.from('x'), mode: '100644' }]));
    value(await sha256.workspace.accept(value(await sha256.workspace.changes()).changes));
    value(await sha256.workspace.land(order(sha256, value(await sha256.workspace.tree()))));

    const root = repository({
      ...FILES,
      'big.bin': 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n',
      '.gitattributes': '*.bin filter=lfs\n',
    });
    git(root, 'update-index', '--add', '--cacheinfo', `160000,${'1'.repeat(40)},vendor/sub`);
    git(root, 'commit', '-qm', 'with a submodule');
    const withModule = await opened(root);
    expect(withModule.base.listing.find((entry) => entry.path === 'vendor/sub')).toMatchObject({ mode: '160000' });
    expect(readdirSync(`${withModule.workspace.root}/vendor/sub`)).toEqual([]);
    expect(value(await withModule.workspace.changes()).changes).toEqual([]);
    expect(value(await withModule.workspace.tree())).toBe(withModule.base.tree);
    expect(readFileSync(`${withModule.workspace.root}/big.bin`, 'utf8')).toMatch(/^version/);
    expect(code(await withModule.workspace.edit([{ path: 'vendor/sub/x', content: Buffer.from(''), mode: '100644' }]))).toBe(
      'workspace.pathRefused',
    );
    write(withModule.workspace.root, { 'vendor/sub/x': '' });
    expect(code(await withModule.workspace.changes())).toBe('workspace.pathRefused');

    const clone = temporary('clone');
    git(clone, 'clone', '-q', '--depth=1', `file://${root}`, 'c');
    expect((await opened(`${clone}/c`)).base.tree).toBe(withModule.base.tree);
    git(clone, 'clone', '-q', '--shared', root, 's');
    expect((await opened(`${clone}/s`)).base.tree).toBe(withModule.base.tree);

    const broken = repository();
    const blob = git(broken, 'rev-parse', 'HEAD:README.md');
    rmSync(`${broken}/.git/objects/${blob.slice(0, 2)}/${blob.slice(2)}`);
    const facts = value(await inspectRepository(broken));
    expect(
      code(
        await openWorkspace({ repository: facts, base: facts.head, directory: temporary('run'), identity: sandboxIdentity(), redactor }),
      ),
    ).toBe('workspace.objectMissing');
  });
  test('a base with names that cannot be kept apart is refused; odd but harmless links of the base are kept as they are', async () => {
    const root = repository();
    writeFileSync(Buffer.concat([Buffer.from(`${root}/bad-`), Buffer.from([0xff])]), '');
    git(root, 'add', '-A');
    git(root, 'commit', '-qm', 'bytes');
    const facts = value(await inspectRepository(root));
    expect(
      code(
        await openWorkspace({ repository: facts, base: facts.head, directory: temporary('run'), identity: sandboxIdentity(), redactor }),
      ),
    ).toBe('workspace.pathRefused');
    const linked = repository();
    symlinkSync('/etc/hostname', `${linked}/absolute`);
    git(linked, 'add', '-A');
    git(linked, 'commit', '-qm', 'link');
    const { workspace, base } = await opened(linked);
    expect([value(await workspace.changes()).changes, value(await workspace.tree())]).toEqual([[], base.tree]);
  });
});

describe('crashes', () => {
  test.each([...STORE_STEPS])('openWorkspace interrupted at %s can be repeated and ends the same', async (step) => {
    const root = repository();
    const facts = value(await inspectRepository(root));
    const directory = temporary('run');
    const options = { repository: facts, base: facts.head, directory, identity: sandboxIdentity(), redactor };
    await expect(
      openWorkspace({
        ...options,
        onStep: (at) => {
          if (at === step) throw new Error('crash');
        },
      }),
    ).rejects.toThrow('crash');
    const again = value(await openWorkspace(options));
    value(await again.workspace.rebuild([]));
    expect(value(await again.workspace.tree())).toBe(again.base.tree);
    expect(value(await again.workspace.changes()).changes).toEqual([]);
    expect(readdirSync(directory).sort()).toEqual(['git', 'staging', 'trash', 'tree', 'view']);
    // The git view is whole as well: a command inside sees a clean checkout.
    const inside = await run(createSandbox({ redactor }), again.workspace.root, ['git', 'status', '--porcelain'], {
      gitView: again.workspace.gitView,
    });
    expect([inside.exitCode, inside.out]).toEqual([0, '']);
  });
  test('a torn git folder left under its temporary name is thrown away', async () => {
    const root = repository();
    const directory = temporary('run');
    mkdirSync(`${directory}/git.making/objects`, { recursive: true });
    writeFileSync(`${directory}/git.making/HEAD`, 'garbage');
    mkdirSync(`${directory}/view.making`);
    expect((await opened(root, { directory })).base.commit).toBe(git(root, 'rev-parse', 'HEAD'));
  });
  test('a state folder of another base is refused, one that the sandbox cannot reach too', async () => {
    const root = repository();
    const { directory, facts } = await opened(root);
    const other = repository({ other: 'x' });
    expect(
      code(
        await openWorkspace({
          repository: value(await inspectRepository(other)),
          base: git(other, 'rev-parse', 'HEAD'),
          directory,
          identity: sandboxIdentity(),
          redactor,
        }),
      ),
    ).toBe('workspace.conflict');
    const closed = temporary('closed');
    chmodSync(closed, 0o700);
    const unreachable = openWorkspace({
      repository: facts,
      base: facts.head,
      directory: `${closed}/run`,
      identity: { uid: 64_998, gid: 64_998 },
      redactor,
    });
    expect(code(await unreachable)).toBe('workspace.io');
  });
  test('using a workspace before rebuild is a broken invariant, not an empty answer', async () => {
    const root = repository();
    const facts = value(await inspectRepository(root));
    const { workspace } = value(
      await openWorkspace({ repository: facts, base: facts.head, directory: temporary('run'), identity: sandboxIdentity(), redactor }),
    );
    await expect(workspace.changes()).rejects.toThrow(/before rebuild/);
  });
});

test('the cache of hashes believes only files that settled before the walk, and only while nothing about them differs', () => {
  const folder = temporary();
  writeFileSync(`${folder}/fresh`, 'x');
  const cache = new HashCache();
  cache.begin(`${folder}/probe`);
  const entry = { mode: '100644', oid: '1'.repeat(40), bytes: 1 } as const;
  const fresh = lstatSync(`${folder}/fresh`, { bigint: true });
  cache.keep('fresh', fresh, entry);
  expect(cache.find('fresh', fresh)).toBeNull();
  const settled = Object.assign(lstatSync(`${folder}/fresh`, { bigint: true }), {
    ctimeNs: fresh.ctimeNs - 3_000_000_000n,
    mtimeNs: fresh.mtimeNs - 3_000_000_000n,
  });
  cache.keep('old', settled, entry);
  expect(cache.find('old', settled)).toEqual(entry);
  for (const change of [{ size: 2n }, { ino: 1n }, { mode: 33_261n }, { ctimeNs: 5n }, { mtimeNs: 5n }, { dev: 0n }]) {
    expect(cache.find('old', Object.assign(lstatSync(`${folder}/fresh`, { bigint: true }), settled, change))).toBeNull();
  }
  expect(existsSync(`${folder}/probe`)).toBe(false);
});

test('A24: edits beside a swapper of folder and link never land outside; a naive write does', async () => {
  const { workspace } = await opened(repository());
  const outside = temporary('outside');
  chmodSync(outside, 0o777);
  mkdirSync(`${workspace.root}/dir`);
  symlinkSync(outside, `${workspace.root}/link`);
  // Folder and link exchanged in one step (renameat2 with RENAME_EXCHANGE) as fast as the kernel allows, by another process.
  const exchange = `$| = 1; print "up\\n"; my ($a, $b) = @ARGV; syscall(${process.arch === 'x64' ? 316 : 276}, -100, $a, -100, $b, 2) while 1`;
  const swapper = spawn('/usr/bin/perl', ['-e', exchange, `${workspace.root}/dir`, `${workspace.root}/link`], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await new Promise((resolve) => swapper.stdout.once('data', resolve));
  try {
    let landed = 0;
    for (let at = 0; at < 3_000; at += 1)
      if ((await workspace.edit([{ path: `dir/f${at % 7}`, content: Buffer.from(String(at)), mode: '100644' }])).ok) landed += 1;
    expect(landed).toBeGreaterThan(100);
    expect(readdirSync(outside)).toEqual([]);
    // The control: looking first and then writing by name escapes under the same swapper.
    for (const until = performance.now() + 100_000; performance.now() < until && readdirSync(outside).length === 0; ) {
      try {
        if (lstatSync(`${workspace.root}/dir`).isDirectory()) writeFileSync(`${workspace.root}/dir/naive`, 'x');
      } catch {
        // The swapper was in between; the next try may hit.
      }
    }
    expect(readdirSync(outside)).toEqual(['naive']);
  } finally {
    swapper.kill('SIGKILL');
  }
});

describe('applying a landed branch', () => {
  async function landed(root: string): Promise<string> {
    const run1 = await opened(root);
    value(
      await run1.workspace.edit([
        { path: 'README.md', content: Buffer.from('# applied\n'), mode: '100644' },
        { path: 'added/x', content: Buffer.from('x'), mode: '100755' },
        { path: 'src/sum.js', content: null, mode: '100644' },
      ]),
    );
    value(await run1.workspace.accept(value(await run1.workspace.changes()).changes));
    return value(await run1.workspace.land(order(run1, value(await run1.workspace.tree())))).commit;
  }
  const apply = async (root: string) => applyBranch({ repository: value(await inspectRepository(root)), branch: 'openexec/r1' });

  test('a clean checkout at the base is forwarded with no hook run; again, nothing is to be done', async () => {
    const root = repository();
    const commit = await landed(root);
    for (const hook of ['post-merge', 'post-checkout', 'reference-transaction', 'post-index-change'])
      writeFileSync(`${root}/.git/hooks/${hook}`, `#!/bin/sh\ntouch '${root}/.git/MARKER'\n`, { mode: 0o755 });
    const previous = git(root, 'rev-parse', 'HEAD');
    expect(value(await apply(root))).toEqual({
      outcome: 'forwarded',
      commit,
      previous,
      head: commit,
      files: [
        { path: 'README.md', change: 'modified' },
        { path: 'added/x', change: 'added' },
        { path: 'src/sum.js', change: 'deleted' },
      ],
      conflicts: [],
    });
    rmSync(`${root}/.git/hooks`, { recursive: true });
    expect(git(root, 'status', '--porcelain', '--branch')).toBe('## main');
    expect([
      git(root, 'rev-parse', 'HEAD'),
      readFileSync(`${root}/README.md`, 'utf8'),
      existsSync(`${root}/src`),
      existsSync(`${root}/.git/MARKER`),
    ]).toEqual([commit, '# applied\n', false, false]);
    expect(git(root, 'reflog', '-1', '--format=%gs')).toBe('openexec apply openexec/r1');
    expect(value(await apply(root))).toEqual({ outcome: 'already', commit, previous, head: commit, files: [], conflicts: [] });
  });
  test('a dirty checkout, an untracked file in the way and a missing branch are refused with what to do, and nothing is touched', async () => {
    const root = repository();
    expect(code(await apply(root))).toBe('workspace.objectMissing');
    await landed(root);
    write(root, { 'package.json': '{}' });
    const head = git(root, 'rev-parse', 'HEAD');
    expect(code(await apply(root))).toBe('workspace.dirty');
    git(root, 'checkout', '-q', '--', '.');
    write(root, { 'added/x': 'mine' });
    expect(value(await apply(root))).toMatchObject({ outcome: 'conflicted', conflicts: [{ kind: 'untracked file', paths: ['added/x'] }] });
    expect([git(root, 'rev-parse', 'HEAD'), readFileSync(`${root}/README.md`, 'utf8'), readFileSync(`${root}/added/x`, 'utf8')]).toEqual([
      head,
      FILES['README.md'],
      'mine',
    ]);
  });
});
