/**
 * prepare_review_bundle: everything that a reviewer needs in one document, from the account that the kernel resolved and the counts of the committed
 * difference. Must never hold a word of the model about its own work: claims stay where they were recorded (ARCHITECTURE invariant 8).
 */
import { type Json, ok, utf8Encode } from '@openexec/canon';
import { type FileDiff, isAutoRun } from '@openexec/catalogue';
import type { RunAccount } from '@openexec/protocol';
import { differences, statLine, totalLine, totals } from './diffReport.ts';
import { cutText, jsonArtifact, OUTPUT_BYTES, type Perform, textOutcome } from './execution.ts';
import { accountIn, asJson, checkLines, heading, MARKDOWN, plain, section, stageLines } from './summary.ts';

/** Files with counts; the account lists the others by name. */
const LISTED_MAX = 5000;

/** Makes the artifact `review_bundle`: JSON, with its Markdown in `text`, which is the output too. */
export const reviewBundle: Perform = async (order, hands) => {
  const read = accountIn(order);
  if (!read.ok) return read;
  const account = read.value;
  const found = await differences(order, hands, account.tree, 0);
  if (!found.ok) return found;
  const files = found.value;
  const text = pageOf(account, files);
  const sum = totals(files);
  const bundle: Json = {
    version: 1,
    run: account.run,
    until: account.until,
    task: account.task,
    blueprint: account.blueprint,
    opener: account.opener,
    base: asJson(account.base),
    tree: account.tree,
    diffStat: {
      ...sum,
      list: files
        .slice(0, LISTED_MAX)
        .map(({ path, status, added, removed }) => ({ path, status, added, removed, binary: added === null })),
      omitted: Math.max(0, files.length - LISTED_MAX),
    },
    autoRunFiles: files
      .filter(({ path }) => isAutoRun(path))
      .map(({ path }) => path)
      .slice(0, LISTED_MAX),
    stages: asJson(account.stages),
    checks: asJson(account.checks),
    refusals: asJson(account.refusals),
    approvals: asJson(account.approvals),
    undeclaredEffects: asJson(account.undeclared),
    model: asJson(account.model),
    spend: asJson(account.spend),
    omitted: asJson(account.omitted),
    text,
  };
  const red = lastVerdicts(account).filter(({ status }) => status !== 'ok').length;
  const summary = `${totalLine(sum)}; ${account.checks.length} checks${red === 0 ? '' : `, ${red} not passed at last`}; ${account.refusals.length} refusals; ${account.approvals.length} approvals; ${account.undeclared.length} undeclared effects`;
  return ok(
    textOutcome(summary, utf8Encode(cutText(text, OUTPUT_BYTES)), {
      outputMediaType: MARKDOWN,
      artifacts: [jsonArtifact('review_bundle', bundle)],
    }),
  );
};

/** The last word of each check. */
function lastVerdicts(account: RunAccount): RunAccount['checks'] {
  return [...new Map(account.checks.map((check) => [check.action, check])).values()];
}

function pageOf(account: RunAccount, files: readonly FileDiff[]): string {
  const { omitted } = account;
  const autoRun = files.filter(({ path }) => isAutoRun(path));
  const rule = (named: { readonly layer: string; readonly rule: string } | null) =>
    named === null ? '' : ` (rule ${named.layer}/${named.rule})`;
  const refusals = account.refusals.map(
    ({ action, author, stage, because, rule: by }) =>
      `${plain(action)} by ${author} in ${stage ?? '-'}: ${because.code}, ${plain(because.message)}${rule(by)}`,
  );
  const approvals = account.approvals.map(({ action, because, outcome, votes, rule: by }) => {
    const said = votes.map(({ key, decision, assurance }) => `${decision} by ${key} (${assurance})`).join(', ');
    return `${plain(action)}: ${outcome ?? 'open'}${said === '' ? '' : `, ${said}`}; asked because ${plain(because.message)}${rule(by)}`;
  });
  const undeclared = account.undeclared.map(
    ({ action, paths, because }) =>
      `${plain(action)}: ${plain(because.message)}, ${paths
        .slice(0, 10)
        .map((path) => plain(path))
        .join(', ')}`,
  );
  return [
    ...heading(account, 'Review of the run'),
    `- change: ${totalLine(totals(files))}`,
    ...section(
      'Files that some tool runs or obeys by itself',
      autoRun.map((file) => plain(statLine(file))),
    ),
    ...section(
      'Files',
      files.map((file) => plain(statLine(file))),
    ),
    ...section('Checks, last verdict', checkLines({ ...account, checks: lastVerdicts(account) })),
    ...section('Checks, all', checkLines(account), omitted.checks),
    ...section('Undeclared effects', undeclared, omitted.undeclared),
    ...section('Refusals', refusals, omitted.refusals),
    ...section('Approvals', approvals, omitted.approvals),
    ...section('Stages', stageLines(account), omitted.stages),
    '',
  ].join('\n');
}
