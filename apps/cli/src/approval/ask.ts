/**
 * Asking the person at the terminal while a run waits. Must never take anything but a clear yes or no, and shows the exact content first.
 */
import process from 'node:process';
import { createInterface } from 'node:readline/promises';
import type { ApprovalQuestion, Approver, StopSignal } from '@openexec/catalogue';
import type { KeyFile } from '@openexec/config';
import type { CommandContext, OpenLedger } from '../context.ts';
import { keysFolder } from '../keyring.ts';
import { lawOf } from '../law.ts';
import { safe, safeLine } from '../output.ts';
import { unlock } from '../passphrase.ts';
import { shortRequest } from '../run/finish.ts';
import { contentOf, findApproval, termsText } from './requests.ts';
import { signVote } from './vote.ts';
import { chooseVoter } from './voter.ts';

/** An approver at this terminal; answers null where the person gives no decision, or holds no key whose vote could count. */
export function terminalApprover(context: CommandContext, options: { readonly ledger: OpenLedger; readonly root: string }): Approver {
  const { ledger, root } = options;
  return {
    async ask(question, stop) {
      const { output } = context;
      const { bold, yellow } = output.progressStyle;
      const found = await findApproval(ledger.store, question.request);
      const law = await lawOf(ledger);
      const opener = found.ok ? found.value.state.law?.opened.opener : undefined;
      if (!found.ok || !law.ok || opener === undefined) return null;
      const { request } = found.value;
      output.progress(
        `${yellow(bold('approval wanted'))} ${safeLine(question.action)} by rule ${safeLine(question.rule)}: ${safeLine(question.because)}`,
      );
      output.progress(safe(await contentOf(found.value, { store: ledger.store, root })).replace(/^/gm, '    '));
      output.progress(termsText(request));
      const voter = chooseVoter(keysFolder(ledger.stateFolder), undefined, { request, opener, law: law.value, at: context.clock.now() });
      if (!voter.ok) {
        output.progress(safeLine(voter.error.message));
        return null;
      }
      const decision = await answer(question, stop);
      return decision === null ? null : signed(context, options, { question, decision, voter: voter.value });
    },
  };
}

/** Unlocks the key only after the decision; without it nothing was decided. */
async function signed(
  context: CommandContext,
  { ledger }: { readonly ledger: OpenLedger },
  said: { readonly question: ApprovalQuestion; readonly decision: 'approve' | 'deny'; readonly voter: KeyFile },
): ReturnType<Approver['ask']> {
  const key = await unlock(said.voter, {}, context);
  if (!key.ok) {
    context.output.progress(safeLine(key.error.message));
    return null;
  }
  const { request, run, digest, until } = said.question;
  return signVote({
    key: key.value,
    randomness: context.randomness,
    ledger: ledger.fingerprint,
    run,
    request,
    digest,
    until,
    decision: said.decision,
    because: 'decided at the terminal',
  });
}

async function answer(question: ApprovalQuestion, stop: StopSignal): Promise<'approve' | 'deny' | null> {
  const gone = new AbortController();
  const off = stop.onStop(() => gone.abort());
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    for (;;) {
      const said = (await lines.question(`approve ${shortRequest(question.request)}? [yes / no / later] `, { signal: gone.signal }))
        .trim()
        .toLowerCase();
      if (said === 'yes') return 'approve';
      if (said === 'no') return 'deny';
      if (said === 'later') return null;
    }
  } catch (error) {
    if ((error as { name?: string }).name === 'AbortError') return null;
    throw error;
  } finally {
    off();
    lines.close();
  }
}
