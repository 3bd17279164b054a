/**
 * Reads `run.opened`: every blob that steers the run is parsed once, strictly, by the schemas of the protocol. Total: a bad blob is a reason,
 * never a throw, because recorded input may be anything (PROTOCOL §4.2).
 */
import { type Bytes, type Digest, err, type Json, ok, parseJson, type Result, utf8Decode } from '@openexec/canon';
import {
  type BlobRef,
  type Body,
  type BoundSkill,
  type CheckedBlueprint,
  catalogue as catalogueSchema,
  checkedBlueprint,
  policySet as policySetSchema,
  prices as pricesSchema,
  type Reason,
  sandboxProfile,
  skill as skillSchema,
  toolsets as toolsetsSchema,
  treeListing,
} from '@openexec/protocol';
import { narrowWrit, renderSkill } from '@openexec/authority';
import type { RunLaw } from './state.ts';
import { cut } from './text.ts';

/** A base listing may be large; every other part of the law is small. */
const MAX_BLOB_BYTES = 64 * 1024 * 1024;
/** Of one run, those of its opening and those bound later. */
const MAX_SKILLS = 16;

/** What was read of a blob before, by the very bytes: runs mostly open with the same law, and what is parsed once is never changed. */
const known = new WeakMap<Bytes, Map<object, Result<unknown, Reason>>>();

interface Parser<T> {
  safeParse(value: unknown): { success: true; data: T } | { success: false; error: { message: string } };
}

function text(blobs: ReadonlyMap<Digest, Bytes>, ref: BlobRef, what: string): Result<string, Reason> {
  const bytes = blobs.get(ref.digest);
  if (bytes === undefined) return err({ code: 'law.blobMissing', message: `run.opened names ${what} ${ref.digest}, which is not there` });
  const decoded = utf8Decode(bytes);
  return decoded.ok ? decoded : err({ code: 'law.blobInvalid', message: `${what} is not UTF-8` });
}

/** A blob of `run.opened` or `selfTest.opened`, parsed once by its schema, or why it cannot be. */
export function parsed<T>(blobs: ReadonlyMap<Digest, Bytes>, ref: BlobRef, what: string, schema: Parser<T>): Result<T, Reason> {
  const bytes = blobs.get(ref.digest);
  if (bytes === undefined) return parseOnce(blobs, ref, what, schema);
  const read = known.get(bytes) ?? new Map<object, Result<unknown, Reason>>();
  known.set(bytes, read);
  const before = read.get(schema);
  // Kept under the schema that made it, hence of its type.
  if (before !== undefined) return before as Result<T, Reason>;
  const fresh = parseOnce(blobs, ref, what, schema);
  read.set(schema, fresh);
  return fresh;
}

function parseOnce<T>(blobs: ReadonlyMap<Digest, Bytes>, ref: BlobRef, what: string, schema: Parser<T>): Result<T, Reason> {
  const source = text(blobs, ref, what);
  if (!source.ok) return source;
  const json: Result<Json, { message: string }> = parseJson(source.value, { maxBytes: MAX_BLOB_BYTES, numbers: 'doubles' });
  if (!json.ok) return err({ code: 'law.blobInvalid', message: `${what} is not strict JSON: ${json.error.message}` });
  const checked = schema.safeParse(json.value);
  return checked.success
    ? ok(checked.data)
    : err({ code: 'law.blobInvalid', message: `${what} does not have its shape: ${cut(checked.error.message, 500)}` });
}

type Bindings = Pick<RunLaw, 'writ' | 'instructions' | 'skills'>;

/** A skill laid over what those before it left: it only narrows, and says what it says after them. */
export function bindSkill(before: Bindings, bound: BoundSkill, blobs: ReadonlyMap<Digest, Bytes>): Result<Bindings, Reason> {
  const { template, params } = bound;
  if (before.skills.length >= MAX_SKILLS) return err({ code: 'skill.tooMany', message: `a run is bound to at most ${MAX_SKILLS} skills` });
  const read = parsed(blobs, template, 'a skill', skillSchema);
  if (!read.ok) return read;
  const said = renderSkill(read.value, params);
  if (!said.ok) return err({ code: 'skill.params', message: cut(`skill ${read.value.name}: ${said.error.message}`, 500) });
  return ok({
    writ: narrowWrit(before.writ, read.value),
    instructions: said.value === '' ? before.instructions : [...before.instructions, `${read.value.title}\n${said.value}`],
    skills: [...before.skills, { template, params }],
  });
}

/** The run's writ with every skill laid over it that it was opened with, and what they say. */
function bindSkills(opened: Body<'run.opened'>, blobs: ReadonlyMap<Digest, Bytes>): Result<Bindings, Reason> {
  const writ = opened.writs.at(-1)?.body;
  if (writ === undefined) return err({ code: 'run.notOpened', message: 'the run carries no writ' });
  let bindings: Bindings = { writ, instructions: [], skills: [] };
  for (const each of opened.skills ?? []) {
    const bound = bindSkill(bindings, each, blobs);
    if (!bound.ok) return bound;
    bindings = bound.value;
  }
  return ok(bindings);
}

/** Everything that `run.opened` fixes, parsed, or the first reason why it cannot be. */
export function readRunLaw(opened: Body<'run.opened'>, blobs: ReadonlyMap<Digest, Bytes>): Result<RunLaw, Reason> {
  const task = text(blobs, opened.task, 'the task');
  if (!task.ok) return task;
  const blueprint = parsed(blobs, opened.blueprint, 'the blueprint', checkedBlueprint);
  if (!blueprint.ok) return blueprint;
  const policySet = parsed(blobs, opened.policySet, 'the policy set', policySetSchema);
  if (!policySet.ok) return policySet;
  const catalogue = parsed(blobs, opened.catalogue, 'the catalogue', catalogueSchema);
  if (!catalogue.ok) return catalogue;
  const toolsets = parsed(blobs, opened.toolsets, 'the toolsets', toolsetsSchema);
  if (!toolsets.ok) return toolsets;
  const prices = parsed(blobs, opened.prices, 'the price table', pricesSchema);
  if (!prices.ok) return prices;
  const profile = parsed(blobs, opened.profile, 'the sandbox profile', sandboxProfile);
  if (!profile.ok) return profile;
  const listing = parsed(blobs, opened.base.listing, 'the base listing', treeListing);
  if (!listing.ok) return listing;
  const delegates = new Map<string, CheckedBlueprint>();
  for (const each of opened.delegates ?? []) {
    const child = parsed(blobs, each.blueprint, 'a blueprint of child runs', checkedBlueprint);
    if (!child.ok) return child;
    delegates.set(each.name, child.value);
  }
  const bound = bindSkills(opened, blobs);
  if (!bound.ok) return bound;
  return ok({
    opened,
    task: task.value,
    ...bound.value,
    blueprint: blueprint.value,
    stages: new Map(blueprint.value.stages.map((stage) => [stage.id, stage])),
    policySet: policySet.value,
    catalogue: catalogue.value,
    actions: new Map(catalogue.value.actions.map((action) => [action.name, action])),
    toolsets: toolsets.value,
    prices: prices.value,
    profile: profile.value,
    model: opened.model,
    base: new Map(listing.value.map((entry) => [entry.path, entry])),
    baseTree: opened.base.tree,
    delegates,
  });
}
