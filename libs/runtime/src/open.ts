/**
 * Opening a run: everything that will steer it becomes a blob of `run.opened`. Must never judge: the first driver does (PROTOCOL §4.2).
 */

import { runTrajectory } from '@openexec/authority';
import {
  type Bytes,
  type Clock,
  canonicalBytes,
  type Digest,
  digestOf,
  type Json,
  ok,
  type Randomness,
  type Result,
  type TrajectoryId,
  toHex,
  utf8Encode,
} from '@openexec/canon';
import { KERNEL_FLAGS, KERNEL_VERSION } from '@openexec/kernel';
import type { Blob, LedgerStore } from '@openexec/ledger';
import type { BlobRef } from '@openexec/protocol';
import { carve } from './carve.ts';
import type { CrashPoint } from './crash.ts';
import { ledgerRefusal, type RuntimeFailure, reading, refuse } from './failure.ts';
import type { Opening } from './hands.ts';

const TEXT = 'text/plain; charset=utf-8';
const JSON_TYPE = 'application/json';
const DRIVER_BYTES = 16;
const LAW = 'law' as TrajectoryId; // The one name of its grammar.
/** Other runs may be carved from the same writs meanwhile, and the law may move. */
const MAX_CARVES = 32;

/** What opening needs of the hands. */
export interface OpenPorts {
  readonly ledger: LedgerStore;
  readonly clock: Clock;
  readonly randomness: Randomness;
  /** For tests that end the process here; see crash.ts. */
  crashPoint?(point: CrashPoint): void;
}
/** The opened run and the driver that opened it; handed to `driveRun`, that driver goes on without a `run.resumed`. */
export interface Opened {
  readonly run: TrajectoryId;
  readonly driver: string;
}

/** A name for one driving process: 128 random bits. */
export function newDriver(randomness: Randomness): string {
  return toHex(randomness.bytes(DRIVER_BYTES));
}

/** Bytes with the reference that names them. */
export function blobOf(bytes: Bytes, mediaType: string): { readonly ref: BlobRef; readonly blob: Blob } {
  const digest: Digest = digestOf(bytes);
  return { ref: { digest, bytes: bytes.length, mediaType }, blob: { digest, bytes, mediaType } };
}

/**
 * Appends `run.opened` with position `none`: one run per writ. `run.exists` when the writ opened its run before; `clock.behind` when the clock is
 * before the last change of the law: keys would sign at times at which they did not count yet, and the ledger would never verify again.
 */
export async function openRun(opening: Opening, ports: OpenPorts): Promise<Result<Opened, RuntimeFailure>> {
  const writ = opening.writs.at(-1)?.body;
  if (writ === undefined) return refuse('run.unknown', 'a run is opened by a writ; the chain is empty');
  const blobs: Blob[] = [];
  const keep = (bytes: Bytes, mediaType: string): BlobRef => {
    const { ref, blob } = blobOf(bytes, mediaType);
    blobs.push(blob);
    return ref;
  };
  // Typed data of the protocol is JSON by its schemas; the store checks the shape of what is written here once more.
  const json = (value: unknown): BlobRef => keep(canonicalBytes(value as Json), JSON_TYPE);
  const driver = newDriver(ports.randomness);
  const { listing, ...base } = opening.base;
  const { skills = [], delegates = [], parent } = opening;
  const payload = {
    driver,
    epoch: 1,
    task: keep(utf8Encode(opening.task), TEXT),
    session: opening.session,
    opener: opening.opener,
    writs: opening.writs,
    blueprint: json(opening.blueprint),
    policySet: json(opening.policySet),
    catalogue: json(opening.catalogue),
    toolsets: json(opening.toolsets),
    prices: json(opening.prices),
    profile: json(opening.profile),
    model: opening.model,
    base: { ...base, listing: json(listing) },
    kernel: { version: KERNEL_VERSION, flags: [...KERNEL_FLAGS] },
    selfTest: opening.selfTest,
    approvals: opening.approvals,
    ...(skills.length === 0 ? {} : { skills: skills.map(({ template, params }) => ({ template: json(template), params: { ...params } })) }),
    ...(delegates.length === 0 ? {} : { delegates: delegates.map(({ name, blueprint }) => ({ name, blueprint: json(blueprint) })) }),
    ...(parent === undefined ? {} : { parent }),
  };
  const run = runTrajectory({ issuer: writ.issuer, nonce: writ.nonce });
  const clock = await checkClock(ports);
  if (!clock.ok) return clock;
  const appended = await appendOpening(opening, ports, { run, payload, blobs });
  if (!appended.ok) return appended;
  ports.crashPoint?.('W1.opened');
  return ok({ run, driver });
}

/** Refuses a clock that is before the last change of the law. */
export function checkClock({ ledger, clock }: Pick<OpenPorts, 'ledger' | 'clock'>): Promise<Result<void, RuntimeFailure>> {
  return reading(async () => {
    const head = await ledger.trajectory(LAW);
    if (head === null) return ok(undefined);
    const now = clock.now();
    for await (const { entry } of ledger.read(LAW, head.seq)) {
      if (now < entry.at)
        return refuse('clock.behind', `the clock says ${now}, but the law of this ledger was last changed at ${entry.at}; set the clock`);
    }
    return ok(undefined);
  });
}

/**
 * With the grant carved from every writ above in the same append, under the positions at which what is left was counted and the law under which the
 * chain counted.
 */
async function appendOpening(
  opening: Opening,
  ports: OpenPorts,
  made: { readonly run: TrajectoryId; readonly payload: Json; readonly blobs: readonly Blob[] },
): Promise<Result<void, RuntimeFailure>> {
  const { run, payload, blobs } = made;
  for (let tries = 1; ; tries++) {
    // A writ whose run is there has nothing to carve any more, whatever is left above it.
    const head = await reading(async () => ok(await ports.ledger.trajectory(run)));
    if (!head.ok) return head;
    if (head.value !== null) return exists(run);
    const carved = await carve(ports.ledger, {
      writs: opening.writs,
      run,
      now: ports.clock.now(),
      delegated: opening.parent !== undefined,
    });
    if (!carved.ok) return carved;
    const { parts, law, at } = carved.value;
    const draft = { kind: 'run.opened' as const, at, actor: `key:${opening.opener}` as const, cause: null, law: null, payload };
    const own = { trajectory: run, expect: 'none' as const, drafts: [draft] };
    const appended = await ports.ledger.append({ to: [...parts, own], blobs, ...(law === null ? {} : { law }) });
    if (appended.ok) return ok(undefined);
    const { error } = appended;
    const moved = (error.code === 'conflict' && error.trajectory !== run) || error.code === 'law.stale';
    if (moved && tries < MAX_CARVES) continue;
    if ((error.code === 'conflict' && error.trajectory === run) || error.code === 'trajectory.closed') return exists(run);
    return ledgerRefusal(error);
  }
}

function exists(run: TrajectoryId) {
  return refuse('run.exists', `the writ's nonce opened ${run} before; a writ opens one run, issue another`);
}
