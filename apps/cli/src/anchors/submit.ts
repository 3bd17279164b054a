/**
 * Shows the present tree head to the configured anchors, one after the other, and records what each gave back as `anchor.recorded` in trajectory
 * `ledger`. Must never record what an anchor did not take (PROTOCOL §§3, 4.2).
 */
import { err, ok, type Result, toHex, type TrajectoryId } from '@openexec/canon';
import type { LedgerStore } from '@openexec/ledger';
import { type AnchorReceipt, type Checkpoint, openCheckpoint } from '@openexec/proof';
import type { CommandContext, OpenLedger } from '../context.ts';
import { type Refusal, refuse } from '../exit.ts';
import { storeRefusal } from '../openLedger.ts';
import { readEvent } from '../read/events.ts';
import { readRefusal } from '../read/guard.ts';
import { logKeys } from '../read/proofs.ts';
import type { AnchorPlace } from './places.ts';

const LEDGER = 'ledger' as TrajectoryId; // The one name of its grammar.

/** What became of one anchor. */
export interface Shown {
  readonly name: string;
  readonly type: string;
  readonly taken: boolean;
  /** Where the fact stands in the ledger. */
  readonly position: bigint | null;
  readonly code: string | null;
  readonly message: string | null;
}

/** What was shown to whom. */
export interface Showing {
  readonly checkpoint: Checkpoint;
  readonly shown: readonly Shown[];
}

/** Makes a checkpoint of the present head and shows it. One anchor that fails does not keep it from the next. */
export async function showTo(
  places: readonly AnchorPlace[],
  context: Pick<CommandContext, 'clock'>,
  ledger: OpenLedger,
): Promise<Result<Showing, Refusal>> {
  const { store } = ledger;
  const kept = await store.checkpoint();
  if (!kept.ok) return readRefusal(kept.error);
  const vkeys = await logKeys(store);
  if (!vkeys.ok) return vkeys;
  const opened = openCheckpoint(kept.value.note, vkeys.value);
  if (!opened.ok) return refuse('verify.failed', `the checkpoint of size ${kept.value.size} does not open: ${opened.error.message}`);
  const checkpoint = opened.value;
  const shown: Shown[] = [];
  for (const { anchor } of places) {
    const { name, type } = anchor;
    const taken = await anchor.submit({
      checkpoint: kept.value.note,
      body: { origin: checkpoint.origin, size: checkpoint.size, root: checkpoint.root },
      oldSize: await believed(store, type),
      prove: (oldSize) => store.consistency(oldSize, checkpoint.size),
    });
    if (!taken.ok) {
      shown.push({ name, type, taken: false, position: null, code: taken.error.code, message: taken.error.message });
      continue;
    }
    const position = await record(context, store, { checkpoint, type, receipt: taken.value });
    if (!position.ok) return position;
    shown.push({ name, type, taken: true, position: position.value, code: null, message: null });
  }
  return ok({ checkpoint, shown });
}

/** The size that an anchor of this type took last, as far as the ledger knows. */
async function believed(store: LedgerStore, type: string): Promise<bigint> {
  let size = 0;
  for await (const stored of store.read(LEDGER)) {
    const { event } = readEvent(stored);
    if (event?.kind === 'anchor.recorded' && event.body.type === type) size = event.body.size;
  }
  return BigInt(size);
}

async function record(
  { clock }: Pick<CommandContext, 'clock'>,
  store: LedgerStore,
  taken: { readonly checkpoint: Checkpoint; readonly type: string; readonly receipt: AnchorReceipt },
): Promise<Result<bigint | null, Refusal>> {
  const { checkpoint, type, receipt } = taken;
  const { bytes, digest, mediaType } = receipt;
  const payload = {
    size: Number(checkpoint.size),
    root: `sha256:${toHex(checkpoint.root)}`,
    type,
    evidence: { digest, bytes: bytes.length, mediaType },
  };
  const draft = { kind: 'anchor.recorded' as const, at: clock.now(), actor: 'runtime' as const, cause: null, law: null, payload };
  const appended = await store.append({
    to: [{ trajectory: LEDGER, expect: 'any', drafts: [draft] }],
    blobs: [{ digest, bytes, mediaType }],
  });
  return appended.ok ? ok(appended.value.stored[0]?.index ?? null) : err(storeRefusal(appended.error));
}
