/**
 * apply_patch: pre-images from the workspace, one atomic edit, then what really changed. Must never write a secret of the installation, nor leave a
 * half-applied change (PROTOCOL §§2 and 9).
 */
import { type Bytes, ok, type Result, utf8Encode } from '@openexec/canon';
import { applyChange, type Change, type ExecutionOrder, type FileEdit, type PatchTouch, readChange, touchesOf } from '@openexec/catalogue';
import type { TreeEntry } from '@openexec/protocol';
import { type ActionFailure, fail, failWorkspace } from './errors.ts';
import { type Hands, type Outcome, shownPath, textOutcome } from './execution.ts';
import { READ_BYTES } from './read.ts';

/** A file before the patch. */
interface PreImage {
  readonly content: Bytes;
  readonly mode: '100644' | '100755';
}
type PreImages = ReadonlyMap<string, PreImage | null>;
interface Planned {
  readonly edits: readonly FileEdit[];
  readonly notes: readonly string[];
}

/** Applies a patch of any format, all of it or nothing, and answers with the changes as they are in the tree. */
export async function applyPatch(order: ExecutionOrder, hands: Hands): Promise<Result<Outcome, ActionFailure>> {
  const change = readChange(order.arguments);
  if (!change.ok) return fail(change.error.code, change.error.message);
  const before = await preImages(touchesOf(change.value), hands);
  if (!before.ok) return before;
  const planned = plan(change.value, before.value);
  if (!planned.ok) return planned;
  const secret = planned.value.edits.find(
    (edit) => edit.content !== null && hands.redactor.findSecrets(edit.content).some((hit) => hit.known),
  );
  if (secret !== undefined)
    return fail('secret.known', `${shownPath(secret.path)} would hold a secret of this installation; take it out of the patch`);
  const edited = await hands.workspace.edit(planned.value.edits);
  if (!edited.ok) return failWorkspace(edited.error);
  return observe(planned.value, hands);
}

/** Content and mode of every touched path; null where nothing stands there. */
async function preImages(touches: readonly PatchTouch[], hands: Hands): Promise<Result<PreImages, ActionFailure>> {
  const listed = await hands.workspace.list('');
  if (!listed.ok) return failWorkspace(listed.error);
  const entries = new Map<string, TreeEntry>(listed.value.map((entry) => [entry.path, entry]));
  const found = new Map<string, PreImage | null>();
  for (const { path } of touches) {
    const entry = entries.get(path);
    if (entry === undefined) {
      found.set(path, null);
      continue;
    }
    if (entry.mode === '120000' || entry.mode === '160000')
      return fail(
        'patch.mode',
        `${shownPath(path)} is a ${entry.mode === '120000' ? 'link' : 'submodule'}; only regular files can be changed`,
      );
    const content = await hands.workspace.read(path, { maxBytes: READ_BYTES });
    if (!content.ok) return failWorkspace(content.error);
    found.set(path, { content: content.value, mode: entry.mode });
  }
  return ok(found);
}

/** What is to be written; a conflict tells what the patch has and what the file has, so that the patch can be repaired. */
function plan(change: Change, before: PreImages): Result<Planned, ActionFailure> {
  const applied = applyChange(change, (path) => before.get(path)?.content ?? null);
  if (!applied.ok) {
    const { message, expected, found } = applied.error;
    const lines =
      expected === null && found === null ? '' : `\nthe patch has:  ${expected ?? '(no line)'}\nthe file has:   ${found ?? '(no line)'}`;
    // The message alone goes back to the model that has to repair the patch.
    return fail(applied.error.code, `${message}${lines}`, { output: utf8Encode(`${message}${lines}\n`) });
  }
  const edits = applied.value.map(
    (edit): FileEdit => ({
      path: edit.path,
      content: edit.content,
      mode: edit.mode ?? before.get(edit.from ?? edit.path)?.mode ?? '100644',
    }),
  );
  const verbs = { create: 'created', delete: 'deleted', modify: change.format === 'whole_file' ? 'replaced' : 'changed' };
  const notes = applied.value.map((edit) => {
    const shifts = edit.shifted.map((shift) => `hunk ${shift.hunk} found at line ${shift.found + 1} instead of ${shift.stated + 1}`);
    const from = edit.from === null ? [] : [`from ${shownPath(edit.from)}`];
    const more = [...from, ...shifts].join(', ');
    return `${verbs[edit.kind]} ${shownPath(edit.path)}${more === '' ? '' : ` (${more})`}`;
  });
  return ok({ edits, notes });
}

/** What the tree really holds now; anything beyond the patch is taken back with it and reported. */
async function observe(planned: Planned, hands: Hands): Promise<Result<Outcome, ActionFailure>> {
  const changed = await hands.workspace.changes();
  if (!changed.ok) {
    const restored = await hands.workspace.restore();
    return failWorkspace(restored.ok ? changed.error : restored.error);
  }
  const declared = new Set(planned.edits.map((edit) => edit.path));
  const beyond = changed.value.changes.filter((change) => !declared.has(change.path)).map((change) => change.path);
  const undeclared = [...beyond, ...changed.value.gitEntries];
  if (undeclared.length > 0) {
    const restored = await hands.workspace.restore();
    if (!restored.ok) return failWorkspace(restored.error);
    return ok(
      textOutcome(
        `${undeclared.length} files had changed beside the patch; all of it was taken back`,
        utf8Encode(`${undeclared.slice(0, 50).map(shownPath).join('\n')}\n`),
        { status: 'failed', undeclared: undeclared.slice(0, 200) },
      ),
    );
  }
  const summary = changed.value.changes.length === 0 ? 'nothing changed: the files already were so' : planned.notes.join('; ');
  return ok(
    textOutcome(summary, utf8Encode(`${[...planned.notes].join('\n')}\n`), {
      changes: changed.value.changes,
      contents: changed.value.contents,
    }),
  );
}
