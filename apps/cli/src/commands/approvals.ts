/**
 * `openexec approvals`: what waits for a decision, with the exact content and the rule that asked. CLI.md.
 */
import { ok } from '@openexec/canon';
import type { Command } from 'commander';
import { contentOf, type OpenApproval, openApprovals, termsText } from '../approval/requests.ts';
import type { CommandContext, CommandResult, OpenLedger } from '../context.ts';
import { EXIT } from '../exit.ts';
import { shortRun } from '../findRun.ts';
import { safe, safeLine } from '../output.ts';
import { withLedger } from '../read/guard.ts';
import { shortRequest } from '../run/finish.ts';

interface ApprovalsOptions {
  readonly json?: boolean;
  readonly ledger?: string;
}

/** Adds the command. */
export function register(program: Command, context: CommandContext): void {
  program
    .command('approvals')
    .description('what waits for an approval, with its exact content and the rule that asked')
    .option('--json', 'print one JSON document')
    .option('--ledger <url>', 'another ledger: sqlite:PATH or postgres://HOST/DATABASE')
    .addHelpText('after', '\nExample:\n  openexec approvals')
    .action(
      context.act((options: ApprovalsOptions) =>
        withLedger(context, { ledger: options.ledger }, (ledger) => approvals(options, context, ledger)),
      ),
    );
}

async function approvals(options: ApprovalsOptions, context: CommandContext, ledger: OpenLedger): Promise<CommandResult> {
  const open = await openApprovals(ledger.store, ledger.snapshots);
  if (!open.ok) return open;
  const project = await context.project();
  const root = project.ok ? project.value.root : null;
  const shown = await Promise.all(
    open.value.map(async (approval) => ({ approval, content: await contentOf(approval, { store: ledger.store, root }) })),
  );
  if (options.json === true)
    context.output.json('approvals', {
      v: 1,
      approvals: shown.map(({ approval, content }) => ({ ...described(approval, context), content })),
    });
  else for (const { approval, content } of shown) print(context, approval, content);
  if (options.json !== true && shown.length === 0) context.output.progress('nothing waits for an approval');
  return ok(EXIT.ok);
}

/** A request as a program reads it. */
function described({ run, request, asked, state }: OpenApproval, { clock }: CommandContext) {
  const { terms, votes, until, digest } = request;
  return {
    id: request.id,
    run,
    subject: request.subject,
    action: asked.action,
    stage: asked.stage,
    because: asked.because,
    rule: asked.rule,
    digest,
    terms,
    until,
    expired: clock.now() > until,
    opener: state.law?.opened.opener ?? null,
    votes,
  };
}

function print({ output, clock }: CommandContext, approval: OpenApproval, content: string): void {
  const { bold, yellow, dim } = output.style;
  const { request, asked, run } = approval;
  const id = shortRequest(request.id);
  output.result(
    `${yellow(bold(id))}  ${safeLine(asked.action)}${asked.stage === null ? '' : ` in stage ${safeLine(asked.stage)}`}  ${dim(run)}`,
  );
  output.result(
    `rule      ${asked.rule === null ? 'a gate of the runtime' : safeLine(`${asked.rule.layer}/${asked.rule.rule}`)}: ${safeLine(asked.because.message)}`,
  );
  output.result(termsText(request));
  for (const { key, decision } of request.votes) output.result(`vote      ${decision} by ${key}`);
  output.result(`content   ${request.digest}`);
  output.result(safe(content.endsWith('\n') ? content.slice(0, -1) : content).replace(/^/gm, '    '));
  if (clock.now() > request.until)
    return output.result(`expired   votes counted until ${request.until}; openexec resume ${shortRun(run)} goes on\n`);
  output.result(`approve   openexec approve ${id}`);
  output.result(`deny      openexec deny ${id} --because "…"\n`);
}
