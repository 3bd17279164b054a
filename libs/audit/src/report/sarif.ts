/**
 * `results.sarif`: what a reviewer has to look at, in SARIF 2.1.0: intents that were denied, effects that nobody had declared, commands that did not pass,
 * and differences between what is recorded and what follows from it (OASIS sarif-v2.1.0-os).
 */
import { digestOf, type Json, utf8Encode } from '@openexec/canon';
import type { AuditReport, ReportedRun } from '@openexec/protocol';
import { visible } from './escape.ts';

const RULES = [
  { id: 'OX001', name: 'IntentDenied', level: 'note', text: 'An intent was denied before anything happened.' },
  { id: 'OX002', name: 'EffectUndeclared', level: 'error', text: 'An effect was observed that nobody had declared.' },
  { id: 'OX003', name: 'CheckNotPassed', level: 'warning', text: 'A command that was run for its verdict did not pass.' },
  {
    id: 'OX004',
    name: 'JudgementDiverges',
    level: 'error',
    text: 'A recorded judgement is not the one that follows from the recorded facts.',
  },
] as const;

interface Found {
  readonly rule: 0 | 1 | 2 | 3;
  readonly run: string;
  readonly seq: number;
  readonly message: string;
  readonly paths?: readonly string[];
}

/** The log as JSON. */
export function sarifOf(report: AuditReport): Json {
  const found = report.runs.flatMap((run) => [...denied(run), ...undeclared(run), ...notPassed(run), ...diverging(run)]);
  return {
    $schema: 'https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name: 'openexec',
            rules: RULES.map(({ id, name, level, text }) => ({
              id,
              name,
              shortDescription: { text },
              defaultConfiguration: { level },
            })),
          },
        },
        automationDetails: { id: `openexec/${report.ledger}/` },
        columnKind: 'utf16CodeUnits',
        originalUriBaseIds: { SRCROOT: { description: { text: 'The root of the repository that the runs worked on.' } } },
        results: found.map(resultOf),
      },
    ],
  };
}

function resultOf({ rule, run, seq, message, paths = [] }: Found): Json {
  const { id, level } = RULES[rule];
  const logicalLocations = [{ fullyQualifiedName: `${run}#${seq}`, kind: 'entry' }];
  const physical = paths.map((path) => ({
    physicalLocation: { artifactLocation: { uri: uriOf(path), uriBaseId: 'SRCROOT' } },
    logicalLocations,
  }));
  return {
    ruleId: id,
    ruleIndex: rule,
    level,
    message: { text: visible(message) },
    locations: physical.length === 0 ? [{ logicalLocations }] : physical,
    partialFingerprints: { 'openexecEntry/v1': digestOf(utf8Encode(`${id} ${run} ${seq}`)) },
  };
}

/** A path of the repository as a relative URI. */
function uriOf(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

function denied({ run, intents }: ReportedRun): readonly Found[] {
  return intents
    .filter(({ verdict, end }) => verdict === 'deny' || end === 'rejected')
    .map(({ seq, author, action, verdict, by, rule, because, endBecause }) => {
      const who = rule === null ? (by ?? 'the runtime') : `${rule.layer}/${rule.rule}`;
      const why = verdict === 'deny' ? because : endBecause;
      return { rule: 0, run, seq, message: `${author} wanted ${action}; refused by ${who}: ${why?.code ?? ''}: ${why?.message ?? ''}` };
    });
}

function undeclared({ run, undeclared: all }: ReportedRun): readonly Found[] {
  return all.map(({ seq, action, paths, networkAttempts, because }) => {
    const network = networkAttempts === null || networkAttempts === 0 ? '' : `; ${networkAttempts} attempts at the network`;
    return { rule: 1, run, seq, message: `${action}: ${because.code}: ${because.message}${network}`, paths };
  });
}

function notPassed({ run, checks }: ReportedRun): readonly Found[] {
  return checks
    .filter(({ status }) => status !== 'ok')
    .map(({ seq, action, status, exitCode, summary }) => ({
      rule: 2,
      run,
      seq,
      message: `${action}: ${status ?? 'nothing came back'}${exitCode === null ? '' : ` with exit code ${exitCode}`}: ${summary}`,
    }));
}

function diverging({ run, judgedAgain }: ReportedRun): readonly Found[] {
  return (judgedAgain?.divergences ?? []).map(({ seq, what, expected, recorded }) => ({
    rule: 3,
    run,
    seq,
    message: `${what}: expected ${expected ?? 'nothing'}, recorded ${recorded ?? 'nothing'}`,
  }));
}
