/** Contract of the port `Workspace`: land. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { code, git, repository, value } from '../harness.ts';
import { gone, order, text, type WorkspaceContract } from './common.ts';

export function landing(contract: WorkspaceContract): void {
  describe('port Workspace: landing', () => {
    test('a commit and one branch arrive; hooks do not run; a repeat is the same success; another commit is refused', async () => {
      const root = repository();
      for (const hook of [
        'reference-transaction',
        'post-update',
        'update',
        'post-commit',
        'pre-commit',
        'post-checkout',
        'pre-receive',
        'post-receive',
      ]) {
        writeFileSync(`${root}/.git/hooks/${hook}`, `#!/bin/sh\necho ${hook} >> "${root}/.git/MARKER"\n`, { mode: 0o755 });
      }
      const before = git(root, 'status', '--porcelain', '--branch');
      const opened = await contract.open(root);
      value(await opened.workspace.edit([text('README.md', '# landed\n'), text('new.txt', 'n'), gone('src/sum.js')]));
      value(await opened.workspace.accept(value(await opened.workspace.changes()).changes));
      const tree = value(await opened.workspace.tree());
      const landed = value(await opened.workspace.land(order(opened, tree)));
      expect(landed.ref).toBe('refs/heads/openexec/r1');
      expect(git(root, 'rev-parse', 'openexec/r1', 'openexec/r1^{tree}', 'openexec/r1^').split('\n')).toEqual([
        landed.commit,
        tree,
        opened.base.commit,
      ]);
      expect(git(root, 'log', '-1', '--format=%an|%ae|%at|%cn|%ct|%B', 'openexec/r1')).toBe(
        'OpenExec|run@example.org|1700000000|OpenExec|1700000000|Fix it\n\nBody',
      );
      expect(git(root, 'show', 'openexec/r1:README.md')).toBe('# landed');
      expect(git(root, 'fsck', '--strict')).not.toMatch(/error|missing/);
      expect(git(root, 'status', '--porcelain', '--branch')).toBe(before);
      expect(value(await opened.workspace.land(order(opened, tree)))).toEqual(landed);
      expect(code(await opened.workspace.land(order(opened, tree, { message: 'other' })))).toBe('workspace.refExists');
      expect(git(root, 'rev-parse', 'openexec/r1')).toBe(landed.commit);
      expect(existsSync(`${root}/.git/MARKER`)).toBe(false);
      // The control: for git as people run it those hooks are live.
      git(root, 'update-ref', 'refs/heads/control', 'HEAD');
      expect(readFileSync(`${root}/.git/MARKER`, 'utf8')).toMatch(/reference-transaction/);
    });
    test('bad branches, parents, trees and authors are refused and leave no ref', async () => {
      const root = repository();
      const opened = await contract.open(root);
      const tree = value(await opened.workspace.tree());
      const refs = git(root, 'for-each-ref');
      for (const branch of [
        'main',
        'openexec/',
        'openexec/a..b',
        'openexec/-x/../y',
        'openexec/a b',
        'openexec/x.lock',
        'x/openexec/y',
        'openexec/@{1}',
        'openexec/a\nb',
        '--help',
      ]) {
        expect([branch, code(await opened.workspace.land(order(opened, tree, { branch })))]).toEqual([branch, 'workspace.pathRefused']);
      }
      expect(code(await opened.workspace.land(order(opened, tree, { parent: tree })))).toBe('workspace.conflict');
      expect(code(await opened.workspace.land(order(opened, '1'.repeat(40))))).not.toBe('ok');
      expect(
        code(await opened.workspace.land(order(opened, tree, { author: { name: 'A <x>', email: 'e', seconds: 1, offset: '+0000' } }))),
      ).toBe('workspace.git');
      expect(git(root, 'for-each-ref')).toBe(refs);
    });
  });
}
