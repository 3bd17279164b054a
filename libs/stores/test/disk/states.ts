/**
 * One crash state of one seed: which recording, where the power fails, what survives, what is damaged besides, and what the store makes of it. The same
 * seed and recordings give the same state. GOALS §4; ARCHITECTURE §2 "simulation".
 */
import { closeSync, existsSync, fstatSync, ftruncateSync, openSync, readdirSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fixtures } from '@openexec/ledger/contract';
import { type Inspected, inspect } from '../kill/findings.ts';
import { scenarioNamed } from '../kill/script.ts';
import { Disk, type Draw, LOSSES } from './crash.ts';
import type { Recording } from './recording.ts';

/** A recording with what lay in the folder before it. */
export interface Story extends Recording {
  readonly way: string;
  readonly before: ReadonlyMap<string, Buffer>;
}

/** Everything that may go wrong in a state. Reads that break off are points of the kill matrix, since only a system call can be short. */
export const KINDS = [...LOSSES, 'bitFlip', 'cut', 'duplicateRequest', 'clockBack', 'clockAhead', 'twoWriters', 'freshLedger'] as const;
export type Kind = (typeof KINDS)[number];

/** What a state was and what came of it. */
export interface StateReport {
  readonly scenario: string;
  /** Effects that had happened. */
  readonly at: number;
  readonly acknowledged: number;
  readonly damage: string | null;
  /** What went wrong in it. */
  readonly kinds: readonly Kind[];
  /** Whether the damage was named by something, or did no harm. */
  readonly named: boolean;
  /** Whether damage to SQLite's log took whole batches off the end, and the head elsewhere did not reach that far. */
  readonly shortened: boolean;
  readonly inspected: Inspected;
  readonly faults: readonly string[];
}

const DAY_MS = 86_400_000;

/** Numbers of a seed. */
export function drawOf(seed: number): Draw {
  const random = fixtures.seededRandomness(seed);
  return (limit) => random.bytes(4).reduce((sum, byte) => sum * 256 + byte, 0) % limit;
}

/** Builds the state of a seed in `folder` and inspects it. */
export async function playState(stories: readonly Story[], seed: number, folder: string): Promise<StateReport> {
  const draw = drawOf(seed);
  const story = stories[draw(stories.length)];
  if (story === undefined) throw new Error('no recordings');
  const at = draw(story.effects.length + 1);
  const disk = new Disk(story.before);
  let acknowledged = story.way === 'fresh' ? -2 : 0;
  for (const effect of story.effects.slice(0, at)) {
    disk.take(effect);
    if (effect.op === 'acknowledged') acknowledged = effect.seq;
  }
  const kinds = new Set<Kind>(disk.crash(folder, draw));
  if (story.way === 'two') kinds.add('twoWriters');
  if (story.way === 'fresh') kinds.add('freshLedger');
  const damage = draw(8) === 0 ? damaged(folder, draw) : null;
  if (damage !== null) kinds.add(damage.includes(' bit turned ') ? 'bitFlip' : 'cut');
  const clockOffsetMs = (draw(4001) - 2000) * DAY_MS;
  if (clockOffsetMs !== 0) kinds.add(clockOffsetMs < 0 ? 'clockBack' : 'clockAhead');
  const inspected = await inspect(folder, scenarioNamed(story.scenario), acknowledged, { clockOffsetMs });
  const harm = inspected.faults.filter((fault) => !isNamed(fault));
  // Where a bit was turned, being told is what is asked for: not told is a fault only when what is read is not what was written.
  const named = damage !== null && inspected.faults.some(isNamed);
  // SQLite takes a log up to the first frame that does not add up: what a turned bit cuts off there is seen only by a head remembered beyond it.
  const shortened = damage?.startsWith('ledger.db-wal ') === true && harm.length > 0 && harm.every((fault) => fault.startsWith('lost: '));
  const faults = damage === null ? inspected.faults : named || shortened ? [] : harm;
  if (inspected.repeated) kinds.add('duplicateRequest');
  return { scenario: story.scenario, at, acknowledged, damage, kinds: [...kinds], named, shortened, inspected, faults };
}

/** Whether the ledger itself says that it is damaged or went back. */
function isNamed(fault: string): boolean {
  return /^(does not open: |threw: .*(does not verify|store\.corrupt|LedgerFault|SqliteError)|integrity_check|the blob of .*: blob\.corrupt|.*refused: store\.corrupt)/s.test(
    fault,
  );
}

/** Turns one bit, or cuts off the end, of one file. */
function damaged(folder: string, draw: Draw): string | null {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((item) => item.isFile());
  const chosen = files.map((item) => join(item.parentPath, item.name)).toSorted()[draw(Math.max(files.length, 1))];
  if (chosen === undefined || !existsSync(chosen)) return null;
  const file = openSync(chosen, 'r+');
  try {
    const { size } = fstatSync(file);
    if (size === 0) return null;
    const at = draw(size);
    if (draw(4) === 0) {
      ftruncateSync(file, at);
      return `${chosen.slice(folder.length + 1)} cut to ${at} of ${size}`;
    }
    const byte = Buffer.alloc(1);
    readSync(file, byte, 0, 1, at);
    byte[0] = (byte[0] ?? 0) ^ (1 << draw(8));
    writeSync(file, byte, 0, 1, at);
    return `${chosen.slice(folder.length + 1)} bit turned at ${at} of ${size}`;
  } finally {
    closeSync(file);
  }
}
