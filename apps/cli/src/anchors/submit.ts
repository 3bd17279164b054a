/**
 * Shows the present tree head to the configured anchors, and records what each gave back as `anchor.recorded` in trajectory
 * `ledger`. Must never record what an anchor did not take (PROTOCOL §§3, 4.2).
 */
import { err, instantToMs, ok, type Result, toHex, type TrajectoryId } from '@openexec/canon';
import type { LedgerStore } from '@openexec/ledger';
import { type AnchorReceipt, type Checkpoint, openCheckpoint } from '@openexec/proof';
import type { OpenLedger, Surroundings } from '../context.ts';
import { type Refusal, refuse } from '../exit.ts';
import { storeRefusal } from '../openLedger.ts';
import { readEvent } from '../read/events.ts';
import { readRefusal } from '../read/guard.ts';
import { logKeys } from '../read/proofs.ts';
import { type Attempt, noteAttempts, readAttempts } from './attempts.ts';
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
  /** Its note. */
  readonly note: string;
  readonly shown: readonly Shown[];
}

/**
 * Makes a checkpoint of the present head and shows it to all of them at once: each answers within its deadline, so that all of them together do. One
 * that fails does not keep the others from it.
 */
export async function showTo(
  places: readonly AnchorPlace[],
  context: Pick<Surroundings, 'clock'>,
  ledger: OpenLedger,
): Promise<Result<Showing, Refusal>> {
  const { store, stateFolder } = ledger;
  const kept = await store.checkpoint();
  if (!kept.ok) return readRefusal(kept.error);
  const vkeys = await logKeys(store);
  if (!vkeys.ok) return vkeys;
  const opened = openCheckpoint(kept.value.note, vkeys.value);
  if (!opened.ok) return refuse('verify.failed', `the checkpoint of size ${kept.value.size} does not open: ${opened.error.message}`);
  const checkpoint = opened.value;
  const before = readAttempts(stateFolder);
  const learnt = new Map<string, Attempt>();
  const shown: Shown[] = [];
  const asked = await Promise.all(
    places.map(async ({ anchor }) => ({
      anchor,
      answer: await anchor.submit({
        checkpoint: kept.value.note,
        body: { origin: checkpoint.origin, size: checkpoint.size, root: checkpoint.root },
        oldSize: before.get(anchor.name)?.taken ?? (await believed(store, anchor.type)),
        prove: (oldSize) => store.consistency(oldSize, checkpoint.size),
      }),
    })),
  );
  for (const { anchor, answer } of asked) {
    const { name, type } = anchor;
    const askedMs = instantToMs(context.clock.now());
    if (!answer.ok) {
      const { code, message } = answer.error;
      shown.push({ name, type, taken: false, position: null, code, message });
      learnt.set(name, { askedMs, taken: before.get(name)?.taken ?? null, problem: { code, message } });
      continue;
    }
    const position = await record(context, store, { checkpoint, type, receipt: answer.value });
    if (!position.ok) return position;
    shown.push({ name, type, taken: true, position: position.value, code: null, message: null });
    learnt.set(name, { askedMs, taken: checkpoint.size, problem: null });
  }
  noteAttempts(stateFolder, learnt);
  return ok({ checkpoint, note: kept.value.note, shown });
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
  { clock }: Pick<Surroundings, 'clock'>,
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
