/**
 * The world of a run at one of its entries, folded from what is recorded, and proofs of what it holds. Must never hand out a proof under another root
 * than the one that stands in the ledger (PROTOCOL §8).
 */
import { canonicalText, err, type Json, ok, type Result, type TrajectoryId, toHex, utf8Decode } from '@openexec/canon';
import { evolve, initialState, lookUp, type Resource, type RunState, recordOf, type World, worldRoot } from '@openexec/kernel';
import type { Stored } from '@openexec/ledger';
import { type MapProofJson, mapProofJson, mapProve, type ResourceRecord, resourceKey } from '@openexec/proof';
import { BlobReader, bodyOf, eventOf } from './event.ts';
import type { AuditSource } from './report.ts';

/** Where a run's own entries are read from. */
export interface RunSource extends Pick<AuditSource, 'blob'> {
  read(trajectory: TrajectoryId, from?: number, to?: number): AsyncIterable<Stored>;
}
/** Why there is no world to be shown. */
export interface WorldError {
  readonly code: 'world.noCommit' | 'world.gone' | 'world.differs';
  readonly message: string;
}
/** A world, and the entry that states its root. */
export interface WorldAt {
  readonly world: World;
  readonly stored: Stored;
}

const STATES = new Set(['commit.recorded', 'commit.compensated', 'run.closed']);

/** The world as the last entry at or before `seq` states it; without `seq`, as it stands now. */
export async function worldAt(source: RunSource, run: TrajectoryId, seq?: number): Promise<Result<WorldAt, WorldError>> {
  const reader = new BlobReader(source);
  let state: RunState = initialState(run);
  let found: WorldAt | null = null;
  for await (const stored of source.read(run, 0, seq === undefined ? undefined : seq + 1)) {
    const body = bodyOf(stored);
    const event = body.ok ? await eventOf(stored, body.value, reader) : body;
    if (!event.ok) return err({ code: 'world.gone', message: `${stored.entry.kind} at ${stored.entry.seq}: ${event.error.message}` });
    state = evolve(state, stored.entry.seq, event.value);
    if (!STATES.has(stored.entry.kind) || !body.ok) continue;
    const root = (body.value as { readonly [name: string]: Json })['worldRoot'];
    if (root !== worldRoot(state.world))
      return err({
        code: 'world.differs',
        message: `seq ${stored.entry.seq} states the root ${canonicalText(root ?? null)}; its commits make ${worldRoot(state.world)}`,
      });
    found = { world: state.world, stored };
  }
  return found === null ? err({ code: 'world.noCommit', message: 'nothing was committed there, so no root was stated' }) : ok(found);
}

/** A file that shows what the world holds under one name, but for the proof that its entry stands in the log. */
export interface WorldProof {
  readonly v: 1;
  readonly run: TrajectoryId;
  readonly seq: number;
  readonly kind: string;
  readonly id: string;
  readonly record: ResourceRecord | null;
  readonly value: { readonly inline: Json } | null;
  readonly proof: MapProofJson;
  readonly worldRoot: string;
  readonly entry: string;
  readonly payload: string;
  readonly salt: string;
}

/** Proves a resource, or that there is none, under the root that the entry states. */
export function proveResource({ world, stored }: WorldAt, kind: string, id: string): Result<WorldProof, WorldError> {
  const { entry, entryBytes, payload, salt } = stored;
  const texts = [utf8Decode(entryBytes), payload === null ? null : utf8Decode(payload)];
  const [entryText, payloadText] = texts;
  if (entryText?.ok !== true || payloadText?.ok !== true || salt === null)
    return err({ code: 'world.gone', message: `the payload of seq ${entry.seq} is gone, and with it the root that it stated` });
  const resource: Resource | undefined = lookUp(world, kind, id);
  return ok({
    v: 1,
    run: entry.trajectory,
    seq: entry.seq,
    kind,
    id,
    record: resource === undefined ? null : recordOf(resource),
    value: resource === undefined || resource.retracted ? null : { inline: resource.value },
    proof: mapProofJson(mapProve(world, resourceKey(kind, id))),
    worldRoot: worldRoot(world),
    entry: entryText.value,
    payload: payloadText.value,
    salt: toHex(salt),
  });
}
