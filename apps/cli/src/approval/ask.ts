/**
 * Asking the person at the terminal while a run waits. Must never take anything but a clear yes or no, and shows the exact content first.
 */
import process from 'node:process';
import { createInterface } from 'node:readline/promises';
import type { Digest } from '@openexec/canon';
import type { ApprovalQuestion, Approver, StopSignal } from '@openexec/catalogue';
import type { FileKey } from '@openexec/config';
import type { LedgerStore } from '@openexec/ledger';
import type { CommandContext } from '../context.ts';
import { safe, safeLine } from '../output.ts';
import { shortRequest } from '../run/finish.ts';
import { contentOf, findApproval } from './requests.ts';
import { signVote } from './vote.ts';

/** An approver at this terminal; answers null where the person gives no decision. */
export function terminalApprover(
  context: CommandContext,
  options: { readonly key: FileKey; readonly ledger: Digest; readonly store: LedgerStore; readonly root: string },
): Approver {
  return {
    async ask(question, stop) {
      const { output } = context;
      const { bold, yellow } = output.progressStyle;
      const found = await findApproval(options.store, question.request);
      const content = found.ok ? await contentOf(found.value, options) : question.detail;
      output.progress(
        `${yellow(bold('approval wanted'))} ${safeLine(question.action)} by rule ${safeLine(question.rule)}: ${safeLine(question.because)}`,
      );
      output.progress(safe(content).replace(/^/gm, '    '));
      const decision = await answer(question, stop);
      if (decision === null) return null;
      const { key, ledger } = options;
      const { request, run, digest, until } = question;
      return signVote({
        key,
        randomness: context.randomness,
        ledger,
        run,
        request,
        digest,
        until,
        decision,
        because: 'decided at the terminal',
      });
    },
  };
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
