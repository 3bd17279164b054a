/**
 * The world: a pure fold of commits. (kind, id) → {version, value digest, retracted, lastCommit}, authenticated by a compact sparse Merkle map
 * (PROTOCOL §8). O(changed · log n) per commit.
 */
import { type Digest, digestJson, type Json, toHex } from '@openexec/canon';
import {
  emptyMap,
  mapEntries,
  mapGet,
  mapRoot,
  mapSet,
  type ResourceRecord,
  recordHash,
  resourceKey,
  type SparseMap,
} from '@openexec/proof';
import type { DeltaStep, FileValue } from '@openexec/protocol';

/** One resource. `value` is kept beside the record so that the fold answers questions; only the record is under the root. */
export interface Resource {
  readonly kind: string;
  readonly id: string;
  readonly version: number;
  readonly retracted: boolean;
  readonly lastCommit: number;
  readonly value: Json;
}
/** All resources that a run has committed, by kind and id, under one root (PROTOCOL §8). */
export type World = SparseMap<Resource>;

/** The world before the first commit. */
export const emptyWorld: World = emptyMap<Resource>();

/** The record under the root (PROTOCOL §8). */
export function recordOf(resource: Resource): ResourceRecord {
  return {
    version: resource.version,
    value: resource.retracted ? null : digestJson(resource.value),
    retracted: resource.retracted,
    lastCommit: resource.lastCommit,
  };
}

/** The resource, retracted ones included, or undefined. */
export function lookUp(world: World, kind: string, id: string): Resource | undefined {
  return mapGet(world, resourceKey(kind, id))?.value;
}

/** World root as a digest. */
export function worldRoot(world: World): Digest {
  return `sha256:${toHex(mapRoot(world))}` as Digest; // 32 bytes of SHA-256 by construction
}

/** Applies one commit's delta atomically; a step whose expected version does not hold leaves the world as it was. */
export function applyDelta(
  world: World,
  delta: readonly DeltaStep[],
  lastCommit: number,
): { readonly world: World } | { readonly conflict: DeltaStep } {
  let next = world;
  for (const step of delta) {
    const key = resourceKey(step.kind, step.id);
    const old = mapGet(next, key)?.value;
    const live = old !== undefined && !old.retracted;
    const version = old?.version ?? 0;
    const fits = step.op === 'create' ? !live && step.version === version : live && step.version === version;
    if (!fits) return { conflict: step };
    const resource: Resource = {
      kind: step.kind,
      id: step.id,
      version: version + 1,
      retracted: step.op === 'retract',
      lastCommit,
      value: step.op === 'retract' ? null : step.value,
    };
    next = mapSet(next, key, recordHash(recordOf(resource)), resource);
  }
  return { world: next };
}

/** Paths by the world they were asked of: many decisions are made between two commits. */
const paths = new WeakMap<World, readonly string[]>();

/** Sorted paths of the files that differ from the base tree. */
export function changedPaths(world: World): readonly string[] {
  const known = paths.get(world) ?? [...changedFiles(world).keys()].sort();
  paths.set(world, known);
  return known;
}

/** A rewind put the file back to what the base holds: `{base}` instead of a content of the run's own. */
export function isAsInBase(resource: Resource): boolean {
  const { value } = resource;
  return typeof value === 'object' && value !== null && !Array.isArray(value) && 'base' in value;
}

/** The files that differ from the base tree: path to content, or null when removed. */
export function changedFiles(world: World): Map<string, FileValue | null> {
  const files = new Map<string, FileValue | null>();
  for (const { value: resource } of mapEntries(world)) {
    if (resource.kind !== 'file' || isAsInBase(resource)) continue;
    // Values of kind `file` were checked against the FileValue schema when the observation was read.
    files.set(resource.id, resource.retracted ? null : (resource.value as unknown as FileValue));
  }
  return files;
}
