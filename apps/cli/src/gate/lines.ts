/**
 * What a gate says to people. Must never leave out a requirement that is not met, nor what was not looked at.
 */
import { EXIT } from '../exit.ts';
import { safeLine, type Style } from '../output.ts';
import type { Gate } from './rules.ts';
import { exitOf, type GateVerdict } from './verdict.ts';

const NOT_CHECKED = [
  'whether facts are true: an observation is what the runtime saw',
  'whether the log key showed others another history, unless witnesses are asked for',
  'what the change means: tests beside the gate are yours to run',
] as const;

/** The verdict, commit by commit. */
export function verdictLines(verdict: GateVerdict, style: Style): string[] {
  const { change, gate, commits, bundles } = verdict;
  const satisfied = exitOf(verdict) === EXIT.ok;
  const met = commits.filter((each) => each.satisfied).length;
  const head = `${met} of ${commits.length} ${commits.length === 1 ? 'commit' : 'commits'} of ${safeLine(change.text)} beyond ${change.base.slice(0, 12)}`;
  return [
    satisfied ? `${style.green('✓ gate satisfied')}: ${head}` : `${style.red('✗ gate not satisfied')}: ${head}`,
    ...commits.flatMap(({ commit, relation, run, bundle, requirements, satisfied: good }) => [
      `${good ? style.green('✓') : style.red('✗')} ${commit}`,
      ...(run === null ? [] : [`    ${relation === null ? 'nearest' : 'by'} ${safeLine(run)}${relation === null ? '' : `, ${relation}`}`]),
      ...(bundle === null ? [] : [`    bundle ${safeLine(bundle)}`]),
      ...requirements.map(({ code, satisfied: is, wanted, found }) =>
        is
          ? `    ${style.green('✓')} ${code}: ${safeLine(found)}`
          : `    ${style.red('✗')} ${code}: asked is ${safeLine(wanted)}; found: ${safeLine(found)}`,
      ),
    ]),
    ...bundles
      .filter(({ state }) => state !== 'sound')
      .flatMap(({ name, state, wrong }) => [
        `${style.red('✗')} bundle ${safeLine(name)}: ${state}`,
        ...wrong.slice(0, 20).map(({ part, code, message }) => `    ${safeLine(part)}: ${code}: ${safeLine(message)}`),
      ]),
    `rules     ${sourceText(gate)}`,
    `trust     ${gate.trust.join(', ')}`,
    ...NOT_CHECKED.map((line) => style.dim(`not checked: ${line}`)),
  ];
}

/** The rules in force, as the file that would say the same. */
export function ruleLines(gate: Gate): string[] {
  const { rules, trust } = gate;
  const list = (values: readonly string[] | null): string => (values === null ? 'any' : values.map((each) => safeLine(each)).join(', '));
  const { approvals, checks } = rules;
  return [
    `rules     ${sourceText(gate)}`,
    `trust     ${trust.length === 0 ? 'nobody: verify-change refuses until trust or --trust names a ledger' : trust.join(', ')}`,
    `accept    ${rules.accept.join(', ')}`,
    `governed  ${rules.governed ? 'yes' : 'not asked'}`,
    `judged    ${rules.judged ? 'every judgement is derived again and agrees' : 'agrees, or is not derivable where that is lawful'}`,
    `coverage  ${rules.coverage}`,
    `checks    at least ${checks.atLeast} passed${checks.lastPassed ? '; the last attempt of each passed' : ''}`,
    approvals.atLeast === 0
      ? 'approvals none asked'
      : `approvals ${approvals.atLeast} distinct keys, at least ${approvals.assurance}${approvals.notOpener ? ', not the opener' : ''}; keys: ${list(approvals.keys)}; actions: ${list(approvals.actions)}`,
    `policies  ${list(rules.policies)}; policy sets: ${list(rules.policySets)}`,
    `blueprint ${list(rules.blueprints)}`,
    `model     ${list(rules.models)}`,
    `level     ${rules.level}${rules.maxAgeHours === null ? '' : `, cosigned within ${rules.maxAgeHours} hours`}`,
    ...(rules.witnesses === null
      ? []
      : rules.witnesses
          .trimEnd()
          .split('\n')
          .map((line) => `          ${safeLine(line)}`)),
  ];
}

function sourceText({ source }: Gate): string {
  if (source.is === 'file') return safeLine(source.path);
  return source.found ? `${source.path} at ${source.commit}` : `the defaults; ${source.path} is not there at ${source.commit}`;
}
