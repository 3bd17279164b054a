/**
 * summarize_run: the account of a run on a page, exactly as the kernel resolved it. Must never add what the account does not say.
 */
import { type Json, ok, type Result, utf8Encode } from '@openexec/canon';
import type { ExecutionOrder } from '@openexec/catalogue';
import { type Amount, type RunAccount, runAccount } from '@openexec/protocol';
import { type ActionFailure, fail } from './errors.ts';
import { argumentsOf, cutText, jsonArtifact, type Outcome, OUTPUT_BYTES, shownPath, textOutcome } from './execution.ts';

/** Lines of one list for people; the JSON holds all that the account has. */
const SHOWN = 100;

/** The account of the order. */
export function accountIn(order: ExecutionOrder): Result<RunAccount, ActionFailure> {
  const parsed = runAccount.safeParse(argumentsOf(order)['account']);
  if (parsed.success) return ok(parsed.data);
  return fail('arguments.invalid', `${order.action}: the account of the run is malformed: ${parsed.error.issues[0]?.message ?? ''}`);
}

/** Text of somebody on one line, which no Markdown starts. */
export function plain(text: string, max = 300): string {
  const line = shownPath(text.replace(/\s+/g, ' ').trim() || '-');
  const short = line.length <= max ? line : `${line.slice(0, max).replace(/[\ud800-\udbff]$/, '')}…`;
  return short.replace(/[\\`*_[\]<>|#]/g, (sign) => `\\${sign}`);
}

/** A list under a heading; what is left out is counted. */
export function section(title: string, lines: readonly string[], omitted = 0): readonly string[] {
  const more = Math.max(0, lines.length - SHOWN) + omitted;
  const shown = lines.slice(-SHOWN).map((line) => `- ${line}`);
  return [
    '',
    `## ${title}`,
    '',
    ...(more === 0 ? [] : [`- … ${more} more are not shown here`]),
    ...(shown.length === 0 ? ['- none'] : shown),
  ];
}

/** Spend on one line. */
export function spent({ settled, grant }: { readonly settled: Amount; readonly grant: Amount }): string {
  return `${settled.calls} of ${grant.calls} calls, ${settled.tokens} of ${grant.tokens} tokens, ${(settled.usdMicros / 1e6).toFixed(6)} US dollars`;
}

/** What people read first: which run, which task, on what. */
export function heading(account: RunAccount, title: string): readonly string[] {
  const { model } = account;
  return [
    `# ${title}`,
    '',
    `- run: \`${account.run}\`, blueprint \`${account.blueprint}\``,
    `- task: ${plain(account.task, 2000)}`,
    `- base: \`${account.base.commit}\`, tree now \`${account.tree}\``,
    model === null
      ? '- model: none'
      : `- model: ${plain(`${model.provider}:${model.model}`)}, asked ${model.asks} times, ${model.answers} answers, ${model.failures} failures`,
    `- spend: ${spent(account.spend)}`,
  ];
}

/** Stages in the order of their visits. */
export function stageLines(account: RunAccount): readonly string[] {
  return account.stages.map(
    ({ stage, visit, type, outcome, because }) =>
      `${stage ?? '-'}, visit ${visit} (${type}): ${outcome ?? 'going on'}${because === null ? '' : `, ${plain(because.message)}`}`,
  );
}

/** Commands that were run for their verdict. */
export function checkLines(account: RunAccount): readonly string[] {
  return account.checks.map(
    ({ action, stage, visit, status, summary }) => `${action} in ${stage ?? '-'}, visit ${visit}: ${status}, ${plain(summary)}`,
  );
}

/** Makes the artifact `summary`: the account as JSON; its Markdown is the output. */
export async function runSummary(order: ExecutionOrder): Promise<Result<Outcome, ActionFailure>> {
  const read = accountIn(order);
  if (!read.ok) return read;
  const account = read.value;
  const actions = account.actions.map(
    ({ action, intents, refused, executed, committed, failed }) =>
      `${plain(action)}: ${intents} wished, ${refused} refused, ${executed} executed, ${committed} committed, ${failed} failed`,
  );
  const files = account.files.map(
    ({ path, status, autoRun }) => `${status} ${plain(path)}${autoRun ? ' (run or obeyed by some tool)' : ''}`,
  );
  const text = [
    ...heading(account, 'Summary of the run'),
    ...section('Stages', stageLines(account), account.omitted.stages),
    ...section('Checks', checkLines(account), account.omitted.checks),
    ...section('Actions', actions),
    ...section('Files', files, account.omitted.files),
    '',
  ].join('\n');
  const visits = account.stages.length + account.omitted.stages;
  const changed = account.files.length + account.omitted.files;
  const summary = `${visits} stage visits, ${account.actions.reduce((sum, { executed }) => sum + executed, 0)} executions, ${changed} files changed`;
  const report: Json = {
    version: 1,
    run: account.run,
    until: account.until,
    task: account.task,
    blueprint: account.blueprint,
    stages: asJson(account.stages),
    checks: asJson(account.checks),
    actions: asJson(account.actions),
    files: asJson(account.files),
    notes: asJson(account.notes),
    model: asJson(account.model),
    spend: asJson(account.spend),
    omitted: asJson(account.omitted),
    text,
  };
  return ok(
    textOutcome(summary, utf8Encode(cutText(text, OUTPUT_BYTES)), {
      outputMediaType: MARKDOWN,
      artifacts: [jsonArtifact('summary', report)],
    }),
  );
}

/** What people read of a report. */
export const MARKDOWN = 'text/markdown; charset=utf-8';

/** Parts of the account are JSON by its schema; only their interfaces lack the index signature. */
export function asJson(value: unknown): Json {
  return value as Json;
}
