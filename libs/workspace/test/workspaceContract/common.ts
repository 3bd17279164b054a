/** What the parts of the contract suite of the port `Workspace` share: what an adapter brings, edits, the paths that changed, an order to land. */
import type { FileEdit, LandOrder, Workspace } from '@openexec/catalogue';
import { type Opened, value } from '../harness.ts';

/** What an adapter brings to the suite. */
export interface WorkspaceContract {
  readonly open: (root: string, more?: object) => Promise<Opened>;
}
export const text = (path: string, content: string, mode: FileEdit['mode'] = '100644'): FileEdit => ({
  path,
  content: Buffer.from(content),
  mode,
});
export const gone = (path: string): FileEdit => ({ path, content: null, mode: '100644' });
export async function paths(workspace: Workspace): Promise<readonly string[]> {
  return value(await workspace.changes()).changes.map(
    (change) => `${change.before === null ? '+' : change.after === null ? '-' : '~'}${change.path}`,
  );
}
export function order(opened: Opened, tree: string, more: Partial<LandOrder> = {}): LandOrder {
  return {
    branch: 'openexec/r1',
    tree,
    parent: opened.base.commit,
    message: 'Fix it\n\nBody\n',
    author: { name: 'OpenExec', email: 'run@example.org', seconds: 1_700_000_000, offset: '+0000' },
    ...more,
  };
}
