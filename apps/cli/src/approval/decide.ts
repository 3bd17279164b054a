/**
 * The common part of `approve` and `deny`: find, sign, record, and say how to go on.
 */
import { ok, type Result } from '@openexec/canon';
import type { FileKey } from '@openexec/config';
import type { CommandContext, CommandResult, OpenLedger } from '../context.ts';
import { EXIT, type Refusal, refuse } from '../exit.ts';
import { shortRun } from '../findRun.ts';
import { keysFolder } from '../keyring.ts';
import { lawOf } from '../law.ts';
import { safeLine } from '../output.ts';
import { type PassphraseOptions, unlock } from '../passphrase.ts';
import { redactWords } from '../run/redact.ts';
import { findApproval, type OpenApproval } from './requests.ts';
import { vote } from './vote.ts';
import { chooseVoter } from './voter.ts';

/** Options of both commands. */
export interface DecideOptions extends PassphraseOptions {
  readonly because?: string;
  readonly key?: string;
  readonly json?: boolean;
  readonly ledger?: string;
}

/** Records a decision on the request `wanted`. */
export async function decide(
  wanted: string,
  decision: 'approve' | 'deny',
  options: DecideOptions,
  context: CommandContext,
): Promise<CommandResult> {
  // An approver needs neither the runtime's key nor the log's: a vote carries its own signature.
  const ledger = await context.openLedger({ access: 'append', ledger: options.ledger });
  if (!ledger.ok) return ledger;
  const { store, fingerprint } = ledger.value;
  try {
    const approval = await findApproval(store, wanted);
    if (!approval.ok) return approval;
    const key = await voterFor(approval.value, options, context, ledger.value);
    if (!key.ok) return key;
    const because = await redactWords(context, key.value, options.because ?? '');
    if (!because.ok) return because;
    const { clock, randomness, output } = context;
    const cast = await vote({
      store,
      clock,
      randomness,
      fingerprint,
      key: key.value,
      approval: approval.value,
      decision,
      because: because.value,
    });
    if (!cast.ok) return cast;
    const { run, request, asked } = approval.value;
    const resume = `openexec resume ${shortRun(run)}`;
    if (options.json === true) {
      const { keyId, assurance } = key.value;
      output.json('vote', { v: 1, request: request.id, run, decision, key: keyId, assurance, seq: cast.value.seq, resume });
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

/** The approver's key, unlocked last: nobody types a passphrase for a vote that could not count. */
async function voterFor(
  approval: OpenApproval,
  options: DecideOptions,
  context: CommandContext,
  ledger: OpenLedger,
): Promise<Result<FileKey, Refusal>> {
  const law = await lawOf(ledger);
  if (!law.ok) return law;
  const { request, state, run } = approval;
  const at = context.clock.now();
  if (at > request.until) return refuse('approval.refused', `the request expired: votes counted until ${request.until}`);
  const opener = state.law?.opened.opener;
  if (opener === undefined) return refuse('approval.unknown', `${run} does not say who opened it`);
  const file = chooseVoter(keysFolder(ledger.stateFolder), options.key, { request, opener, law: law.value, at });
  return file.ok ? unlock(file.value, options, context) : file;
}
