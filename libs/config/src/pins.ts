/**
 * The ledgers this user trusts: fingerprint by place, in the user's own configuration folder. A repository cannot change it. Must never be
 * written but by an explicit act of the user (PROTOCOL §5 "fingerprint").
 */
import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Digest, err, ok, parseDigest, parseJson, type Result } from '@openexec/canon';

/** Why the pins cannot be used. */
export interface PinError {
  readonly code: 'pins.malformed' | 'pins.io';
  readonly message: string;
}
const NAME = 'trusted-ledgers.json';

/** Path of the file, for messages. */
export function pinsFile(userFolder: string): string {
  return join(userFolder, NAME);
}

/** The pinned fingerprint of the ledger at `place` (absolute path), or null. A file that cannot be understood is an error, never "no pin". */
export function readPin(userFolder: string, place: string): Result<Digest | null, PinError> {
  const pins = readPins(userFolder);
  return pins.ok ? ok(pins.value.get(place) ?? null) : pins;
}

/** Pins a fingerprint; replaces the pin of that place. Durable when it returns. */
export function writePin(userFolder: string, place: string, fingerprint: Digest): Result<void, PinError> {
  const pins = readPins(userFolder);
  if (!pins.ok) return pins;
  const file = pinsFile(userFolder);
  const ledgers = Object.fromEntries([...pins.value, [place, fingerprint]]);
  const fresh = `${file}.${randomUUID()}`;
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const handle = openSync(fresh, 'wx', 0o600);
    try {
      writeSync(handle, `${JSON.stringify({ v: 1, ledgers }, null, 2)}\n`);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    renameSync(fresh, file);
    return ok(undefined);
  } catch (error) {
    return err({ code: 'pins.io', message: `${file} cannot be written (${(error as { code?: string }).code ?? 'unknown'})` });
  }
}

function readPins(userFolder: string): Result<ReadonlyMap<string, Digest>, PinError> {
  const file = pinsFile(userFolder);
  const malformed = err({
    code: 'pins.malformed',
    message: `${file} is not a list of trusted ledgers; correct it or move it away`,
  } as const);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return ok(new Map());
    return err({ code: 'pins.io', message: `${file} cannot be read (${(error as { code?: string }).code ?? 'unknown'})` });
  }
  const parsed = parseJson(text);
  const data = parsed.ok ? (parsed.value as { readonly v?: unknown; readonly ledgers?: unknown } | null) : null;
  if (data?.v !== 1 || typeof data.ledgers !== 'object' || data.ledgers === null) return malformed;
  const pins = new Map<string, Digest>();
  for (const [place, text] of Object.entries(data.ledgers)) {
    const digest = typeof text === 'string' ? parseDigest(text) : null;
    if (digest?.ok !== true) return malformed;
    pins.set(place, digest.value);
  }
  return ok(pins);
}
