/**
 * The common part of `approve` and `deny`: find, sign, record, and say how to go on.
 */
import { ok } from '@openexec/canon';
import type { CommandContext, CommandResult } from '../context.ts';
import { EXIT } from '../exit.ts';
import { shortRun } from '../findRun.ts';
import { KEY_LABELS, keysFolder, loadKey } from '../keyring.ts';
import { safeLine } from '../output.ts';
import { findApproval } from './requests.ts';
import { vote } from './vote.ts';

/** Options of both commands. */
export interface DecideOptions {
  readonly because?: string;
  readonly key?: string;
  readonly json?: boolean;
}

/** Records a decision on the request `wanted`. */
export async function decide(
  wanted: string,
  decision: 'approve' | 'deny',
  options: DecideOptions,
  context: CommandContext,
): Promise<CommandResult> {
  const ledger = await context.openLedger({ access: 'write' });
  if (!ledger.ok) return ledger;
  const { store, fingerprint, stateFolder } = ledger.value;
  try {
    const key = loadKey(keysFolder(stateFolder), options.key ?? KEY_LABELS.operator);
    if (!key.ok) return key;
    const approval = await findApproval(store, wanted);
    if (!approval.ok) return approval;
    const { clock, randomness, output } = context;
    const cast = await vote({
      store,
      clock,
      randomness,
      fingerprint,
      key: key.value,
      approval: approval.value,
      decision,
      because: options.because ?? '',
    });
    if (!cast.ok) return cast;
    const { run, request, asked } = approval.value;
    const resume = `openexec resume ${shortRun(run)}`;
    if (options.json === true) {
      output.json({ v: 1, request: request.id, run, decision, key: key.value.keyId, seq: cast.value.seq, resume });
      return ok(EXIT.ok);
    }
    output.result(
      `${decision === 'approve' ? 'approved' : 'denied'}  ${safeLine(asked.action)} of ${run}, signed by key ${key.value.keyId}`,
    );
    output.result(`resume    ${resume}   (a run that is being driven goes on by itself)`);
    return ok(EXIT.ok);
  } finally {
    await ledger.value.close();
  }
}
