/**
 * Snapshots of a ledger as this installation makes and believes them: tagged with a secret of the state folder, so that whoever can write the store
 * cannot make one that is believed here. Must never be needed: without the secret every run is folded from its opening (PROTOCOL §3 "Snapshots").
 */
import { createHmac, randomBytes } from 'node:crypto';
import { linkSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { ok, type Result } from '@openexec/canon';
import type { KeptLedger } from '@openexec/ledger';
import type { Snapshots } from '@openexec/runtime';
import { type Refusal, refuse } from './exit.ts';
import { safeLine } from './output.ts';
import { programDigest } from './program.ts';

const SECRET_BYTES = 32;
const FILE = 'snapshot.key';

/** What opening them takes. */
export interface OpenSnapshotsOptions {
  readonly store: KeptLedger;
  readonly stateFolder: string;
  /** Folder of the shipped files; the program lies beside it. */
  readonly assets: string;
  /** Whether a missing secret is made: where runs are driven. */
  readonly make: boolean;
  /** `OPENEXEC_SNAPSHOT_EVERY`: entries between two. */
  readonly every: string | undefined;
  note(message: string): void;
}

/** The snapshots, or null where this installation has no secret to know its own by. */
export function openSnapshots({ store, stateFolder, assets, make, every, note }: OpenSnapshotsOptions): Result<Snapshots | null, Refusal> {
  const spacing = every === undefined || every === '' ? ok(undefined) : readEvery(every);
  if (!spacing.ok) return spacing;
  const file = join(stateFolder, FILE);
  const secret = readSecret(file) ?? (make ? makeSecret(file) : null);
  if (secret === null) return ok(null);
  return ok({
    ...(spacing.value === undefined ? {} : { every: spacing.value }),
    shelf: store.snapshots,
    get program() {
      return programDigest(assets);
    },
    tag: (bytes) => new Uint8Array(createHmac('sha256', secret).update(bytes).digest()),
    note,
  });
}

function readEvery(text: string): Result<number, Refusal> {
  return /^[1-9][0-9]{0,6}$/.test(text)
    ? ok(Number(text))
    : refuse('config.invalid', `OPENEXEC_SNAPSHOT_EVERY is "${safeLine(text, 40)}"; it is a whole number of entries from 1 to 9999999`);
}

function readSecret(file: string): Buffer | null {
  try {
    const secret = readFileSync(file);
    return secret.length === SECRET_BYTES ? secret : null;
  } catch {
    return null;
  }
}

/** Made whole under another name first: of two processes that make it at once both use the one that was there first. */
function makeSecret(file: string): Buffer | null {
  const fresh = `${file}.${process.pid}`;
  try {
    writeFileSync(fresh, randomBytes(SECRET_BYTES), { mode: 0o600, flag: 'wx' });
    linkSync(fresh, file);
  } catch {
    // Another process was faster, or the folder cannot be written: then there is none.
  }
  try {
    unlinkSync(fresh);
  } catch {
    // It was never there.
  }
  return readSecret(file);
}
