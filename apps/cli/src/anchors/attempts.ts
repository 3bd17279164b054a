/**
 * When each configured anchor was last asked and what became of it, beside the keys of the ledger. Decides only when to ask again and what is said of
 * a place that did not answer; the ledger's own facts are the evidence. A lost file means that everything is asked again. Must never be believed.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseDecimal } from '@openexec/canon';

const NAME = 'anchors.json';
const MAX_MESSAGE = 300;

/** The last time that one anchor was asked. */
export interface Attempt {
  /** Milliseconds since 1970. */
  readonly askedMs: number;
  /** The largest tree that it took, as far as this machine knows; null: none yet. */
  readonly taken: bigint | null;
  /** Why it did not take the last one; null: it did. */
  readonly problem: { readonly code: string; readonly message: string } | null;
}
/** By the anchor's name. */
export type Attempts = ReadonlyMap<string, Attempt>;

/** What is known; nothing where the file is missing or damaged. */
export function readAttempts(stateFolder: string): Attempts {
  try {
    const data = JSON.parse(readFileSync(join(stateFolder, NAME), 'utf8')) as { readonly v?: unknown; readonly anchors?: object };
    if (data.v !== 1) return new Map();
    return new Map(Object.entries(data.anchors ?? {}).flatMap(([name, value]) => attemptOf(name, value as object)));
  } catch {
    // A cache of what the ledger and the places know better.
    return new Map();
  }
}

function attemptOf(name: string, value: object): [string, Attempt][] {
  const { askedMs, taken, problem } = value as { readonly askedMs?: unknown; readonly taken?: unknown; readonly problem?: object | null };
  const size = typeof taken === 'string' ? parseDecimal(taken) : undefined;
  if (typeof askedMs !== 'number') return [];
  const { code, message } = (problem ?? {}) as { readonly code?: unknown; readonly message?: unknown };
  const known = typeof code === 'string' && typeof message === 'string' ? { code, message } : null;
  return [[name, { askedMs, taken: size?.ok === true ? size.value : null, problem: known }]];
}

/** Keeps what was learnt; false where it cannot be written. Of two processes the later one's word stays. */
export function noteAttempts(stateFolder: string, learnt: Attempts): boolean {
  const all = new Map([...readAttempts(stateFolder), ...learnt]);
  const anchors = Object.fromEntries(
    [...all].map(([name, { askedMs, taken, problem }]) => [
      name,
      {
        askedMs,
        taken: taken === null ? null : taken.toString(),
        problem: problem === null ? null : { code: problem.code, message: problem.message.slice(0, MAX_MESSAGE) },
      },
    ]),
  );
  const fresh = join(stateFolder, `${NAME}.${randomUUID()}`);
  try {
    writeFileSync(fresh, `${JSON.stringify({ v: 1, anchors })}\n`, { mode: 0o600, flag: 'wx' });
    renameSync(fresh, join(stateFolder, NAME));
    return true;
  } catch {
    rmSync(fresh, { force: true });
    return false;
  }
}
