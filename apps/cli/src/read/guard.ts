/**
 * What reading a ledger can come to: faults that iterators can only throw become refusals. Must never turn another throw into one; that is
 * a defect and stays one.
 */
import type { LedgerFault } from '@openexec/ledger';
import type { CommandContext, CommandResult, LedgerChoice, OpenLedger } from '../context.ts';
import { refuse, refusalFor } from '../exit.ts';

/** Opens the ledger, lets `work` read it, closes it whatever happens. */
export async function withLedger(
  context: CommandContext,
  choice: LedgerChoice,
  work: (ledger: OpenLedger) => Promise<CommandResult>,
): Promise<CommandResult> {
  const opened = await context.openLedger(choice);
  if (!opened.ok) return opened;
  try {
    return await work(opened.value);
  } catch (error) {
    const fault = error as Partial<LedgerFault>; // Its codes are the ledger's; anything else goes on up.
    if (fault.code === 'store.corrupt') return refuse('ledger.corrupt', fault.message ?? 'stored bytes are no entry');
    if (fault.code === 'store.unreachable') return refuse('ledger.unreachable', fault.message ?? 'the server does not answer');
    if (fault.code === 'store.closed') return refuse('ledger.failed', fault.message ?? 'the ledger was closed');
    throw error;
  } finally {
    await opened.value.close();
  }
}

/** A library's failure as the refusal of a command that only reads. */
export function readRefusal(error: { readonly code: string; readonly message: string }): ReturnType<typeof refuse> {
  const corrupt = /(^|\.)(store\.corrupt|blob\.corrupt)$/.test(error.code);
  return { ok: false, error: corrupt ? { code: 'ledger.corrupt', message: error.message } : refusalFor(error, 'ledger.failed') };
}
