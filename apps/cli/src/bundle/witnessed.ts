/**
 * The tree head that witnesses have seen, for a bundle: a kept checkpoint with the cosignatures that its recorded receipts hold. Must never make a
 * head that the log key did not sign, nor say whose cosignatures count: that is for the reader of the bundle (PROTOCOL §3).
 */
import { ok, type Result, type TrajectoryId, utf8Decode } from '@openexec/canon';
import type { KeptLedger, StoredCheckpoint } from '@openexec/ledger';
import { addSignatureLines } from '@openexec/proof';
import { type Refusal, refuse } from '../exit.ts';
import { safeLine } from '../output.ts';
import { readEvent } from '../read/events.ts';

const LEDGER = 'ledger' as TrajectoryId; // The one name of its grammar.

/** The largest kept checkpoint of which a witness gave a receipt, or the one of this size; with every receipt's signature lines. */
export async function witnessedCheckpoint(store: KeptLedger, wanted: string | undefined): Promise<Result<StoredCheckpoint, Refusal>> {
  const kept = new Map<bigint, string>();
  for await (const { size, note } of store.checkpoints()) kept.set(size, note);
  const seen = new Map<bigint, string>();
  for await (const stored of store.read(LEDGER)) {
    const { event } = readEvent(stored);
    if (event?.kind !== 'anchor.recorded' || event.body.type !== 'witness') continue;
    const size = BigInt(event.body.size);
    const note = seen.get(size) ?? kept.get(size);
    const blob = await store.blob(event.body.evidence.digest);
    const receipt = blob.ok ? utf8Decode(blob.value) : null;
    if (note === undefined || receipt?.ok !== true || bodyOf(receipt.value) !== bodyOf(note)) continue;
    const joined = addSignatureLines(note, receipt.value.slice(bodyOf(receipt.value).length));
    if (joined.ok) seen.set(size, joined.value);
  }
  const sizes = [...seen.keys()].filter((size) => wanted === undefined || `${size}` === wanted);
  const size = sizes.reduce<bigint | null>((most, each) => (most === null || each > most ? each : most), null);
  const note = size === null ? undefined : seen.get(size);
  if (size === null || note === undefined)
    return refuse(
      'anchor.failed',
      `no witness has cosigned ${wanted === undefined ? 'a checkpoint that is kept' : `the checkpoint of size ${safeLine(wanted, 40)}`}; openexec ledger anchor asks the witnesses that are configured`,
    );
  return ok({ size, note });
}

/** The signed text of a note, up to and with the empty line before its signatures. */
function bodyOf(note: string): string {
  return note.slice(0, note.indexOf('\n\n') + 2);
}
