/**
 * What a change-management review asks of one run (SOC 2 CC8.1): who authorised it, by which plan, who made it, what was tested, who approved, how it is
 * backed out; and what of it is missing, said as a gap. Derived from the reported run alone.
 */
import type { KeyId } from '@openexec/canon';
import type { ReportedRun } from '@openexec/protocol';

type Facts = Omit<ReportedRun, 'change'>;

/** The record of one change. */
export function changeOf(run: Facts): ReportedRun['change'] {
  const tests = testsOf(run);
  const approved = run.approvals.filter(({ outcome }) => outcome === 'approved');
  const keys = new Set<KeyId>(
    approved.flatMap(({ votes }) => votes.flatMap(({ counted, decision, key }) => (counted && decision === 'approve' ? [key] : []))),
  );
  const record = {
    authorisedBy: { opener: run.opener, issuers: [...new Set(run.writs.map(({ issuer }) => issuer))] },
    plan: {
      blueprint: run.blueprint?.name ?? null,
      digest: run.blueprint?.digest ?? null,
      policySet: run.policySet?.digest ?? null,
    },
    implementer: run.model ?? 'no model',
    tests,
    approvals: { asked: run.approvals.length + run.omitted.approvals, approved: approved.length, keys: [...keys].sort() },
    backOut: run.patch?.reverse ?? null,
  };
  return { ...record, gaps: gapsOf(run, record) };
}

/** The commands that were run for their verdict, and those whose last attempt did not pass. */
export function testsOf({ checks, counts }: Pick<Facts, 'checks' | 'counts'>): ReportedRun['change']['tests'] {
  const last = new Map(checks.map((check) => [check.action, check.status]));
  const lastNotPassed = [...last].filter(([, status]) => status !== 'ok').map(([action]) => action);
  return { run: counts.checks, passed: counts.checksPassed, lastNotPassed };
}

function gapsOf(run: Facts, record: Omit<ReportedRun['change'], 'gaps'>): string[] {
  const gaps: string[] = [];
  if (run.result === null) gaps.push('nothing was landed, so there is no change to manage');
  if (run.opener === null) gaps.push('the opening of the run cannot be read, so neither authority nor plan is shown');
  if (record.tests.run === 0) gaps.push('no command was run for its verdict');
  if (record.tests.lastNotPassed.length > 0) gaps.push(`the last attempt of ${record.tests.lastNotPassed.join(', ')} did not pass`);
  if (record.approvals.approved === 0) gaps.push('nobody approved anything: no rule asked for it, or nobody answered');
  const openers = record.approvals.keys.filter((key) => key === run.opener);
  if (openers.length > 0) gaps.push('the opener of the run is among those who approved: duties were not separated');
  if (record.backOut === null) gaps.push('the reverse patch is not in the bundle');
  if (!run.governed) gaps.push('the run is not governed: no finished self-test is cited, or an effect was not declared');
  if (run.unreadable.length > 0) gaps.push(`${run.unreadable.length + run.omitted.other} entries cannot be read here`);
  return gaps;
}
