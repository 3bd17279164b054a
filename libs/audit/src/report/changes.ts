/**
 * The two patches of a run, `changes/<run>.patch` and its reverse: made when every file's bytes on both sides are at hand and are the ones that the
 * entries name, else no patch, and every file that lacks is named with the reason (PROTOCOL §11, schemas/bundle.md).
 */
import { type Bytes, digestOf, type TrajectoryId } from '@openexec/canon';
import { gitBlobId } from '@openexec/proof';
import type { ReportedRun } from '@openexec/protocol';
import type { AuditSource } from '../report.ts';
import { MAX_PATCH_BYTES, MAX_PATCH_FILE_BYTES } from './lists.ts';
import { type PatchFile, type PatchSide, patchOf, reversed } from './patch.ts';

type Change = NonNullable<ReportedRun['files']>[number];
/** One part of a bundle. */
export interface ReportPart {
  readonly path: string;
  readonly bytes: Bytes;
}
/** What there is of a run's patches. */
export interface Changes {
  readonly patch: ReportedRun['patch'];
  readonly absent: ReportedRun['absent'];
  readonly parts: readonly ReportPart[];
}
/** Where the bytes come from. */
export interface ChangeSources {
  readonly view: AuditSource;
  /** Bytes of a base file by its git id; null where nobody has them, or where they are withheld. */
  readonly baseFile: (oid: string) => Promise<Bytes | null>;
}

/** The patches of these changes. `files` null: what changed is not known, because of `lost`. */
export async function changesOf(
  run: TrajectoryId,
  { files, lost }: { readonly files: readonly Change[] | null; readonly lost: string | null },
  sources: ChangeSources,
): Promise<Changes> {
  if (files === null) return { patch: null, absent: [{ path: null, because: lost ?? 'what changed is not known' }], parts: [] };
  const whole: PatchFile[] = [];
  const absent: { path: string; because: string }[] = [];
  for (const { path, before, after } of files) {
    const [from, to] = [await beforeSide(before, sources), await afterSide(after, sources)];
    const missing = [from, to].find((side) => typeof side === 'string');
    if (missing !== undefined) absent.push({ path, because: `${missing}` });
    else whole.push({ path, before: from as PatchSide | null, after: to as PatchSide | null }); // Neither is a reason.
  }
  if (absent.length > 0 || whole.length === 0) return { patch: null, absent: absent.slice(0, MAX_ABSENT), parts: [] };
  const [forward, reverse] = [patchOf(whole), patchOf(reversed(whole))];
  if (Math.max(forward.length, reverse.length) > MAX_PATCH_BYTES)
    return { patch: null, absent: [{ path: null, because: `the patch is larger than ${MAX_PATCH_BYTES} bytes` }], parts: [] };
  const name = `changes/${run.slice('run/'.length)}`;
  const patch = { forward: `${name}.patch`, reverse: `${name}.reverse.patch` };
  const parts = [
    { path: patch.forward, bytes: forward },
    { path: patch.reverse, bytes: reverse },
  ];
  return { patch, absent: [], parts };
}

/** Named one by one; a run with more is named by its other files in `report.json`. */
const MAX_ABSENT = 1000;

async function beforeSide(before: Change['before'], { baseFile }: ChangeSources): Promise<PatchSide | null | string> {
  if (before === null) return null;
  const bytes = await baseFile(before.oid);
  if (bytes === null) return 'its content in the base is withheld, or not in a repository at hand; a ledger holds ids of the base alone';
  if (bytes.length > MAX_PATCH_FILE_BYTES) return `its content in the base is larger than ${MAX_PATCH_FILE_BYTES} bytes`;
  const format = before.oid.length === 40 ? 'sha1' : 'sha256';
  if (gitBlobId(bytes, format) !== before.oid) return 'its content in the base is not what its git id says';
  return { oid: before.oid, mode: before.mode, bytes };
}

async function afterSide(after: Change['after'], { view }: ChangeSources): Promise<PatchSide | null | string> {
  if (after === null) return null;
  if (after.bytes > MAX_PATCH_FILE_BYTES) return `its content is larger than ${MAX_PATCH_FILE_BYTES} bytes`;
  const bytes = await view.blob(after.blob);
  if (!bytes.ok) return `its content is not in the bundle: ${bytes.error.code}`;
  const format = after.oid.length === 40 ? 'sha1' : 'sha256';
  if (digestOf(bytes.value) !== after.blob || gitBlobId(bytes.value, format) !== after.oid) return 'its content is not what its ids say';
  return { oid: after.oid, mode: after.mode, bytes: bytes.value };
}
