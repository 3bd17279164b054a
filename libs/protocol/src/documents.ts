/**
 * What the command line prints for programs: one JSON document per `--json`, one line per event with `--jsonl`, version 1 of each. The table names
 * for each the commands that print it, so that no command prints what nobody has published. A later release may add members, never change one
 * (CLI.md, GOALS E11).
 */
import type { Digest, Instant, Json, KeyId, TrajectoryId } from '@openexec/canon';
import type * as z from 'zod';
import * as bundle from './documents/bundle.ts';
import * as gate from './documents/gate.ts';
import * as law from './documents/law.ts';
import * as ledger from './documents/ledger.ts';
import * as replay from './documents/replay.ts';
import * as runs from './documents/runs.ts';
import * as setup from './documents/setup.ts';

/** One published document. */
interface DocumentRow {
  readonly schema: z.ZodType;
  /** Which command prints it, for people. */
  readonly title: string;
  /** The words of every command that prints it, and the option; `*` for every command with `--json`. */
  readonly printedBy: readonly string[];
}

/** Every document and line, by the name of its schema below `schemas/cli/`. */
export const cliDocuments = {
  error: { schema: setup.error, title: 'A refusal: any command with --json, exit not 0', printedBy: ['*'] },
  event: {
    schema: runs.event,
    title: 'One event: a line of run, resume and timeline with --jsonl',
    printedBy: ['run --jsonl', 'resume --jsonl', 'timeline --jsonl'],
  },
  'routing-outcome': { schema: runs.routingOutcome, title: 'openexec model routes --jsonl', printedBy: ['model routes --jsonl'] },
  'self-test': { schema: setup.selfTest, title: 'openexec self-test --json', printedBy: ['self-test --json'] },
  init: { schema: setup.init, title: 'openexec init --json', printedBy: ['init --json'] },
  run: {
    schema: runs.runSummary,
    title: 'openexec run --json, openexec resume --json, openexec rewind --to STAGE --run --json',
    printedBy: ['run --json', 'resume --json', 'rewind --json'],
  },
  cancel: { schema: runs.cancel, title: 'openexec cancel --json', printedBy: ['cancel --json'] },
  'rewind-list': { schema: runs.rewindList, title: 'openexec rewind RUN --json', printedBy: ['rewind --json'] },
  rewind: { schema: runs.rewind, title: 'openexec rewind RUN --to STAGE --json', printedBy: ['rewind --json'] },
  apply: { schema: runs.apply, title: 'openexec apply --json', printedBy: ['apply --json'] },
  runs: { schema: runs.runs, title: 'openexec runs --json', printedBy: ['runs --json'] },
  show: { schema: runs.show, title: 'openexec show --json', printedBy: ['show --json'] },
  'timeline-folder': { schema: runs.timelineFolder, title: 'openexec timeline RUN --out FOLDER --json', printedBy: ['timeline --json'] },
  'diff-run': { schema: runs.diffRun, title: 'openexec diff RUN --json', printedBy: ['diff --json'] },
  'diff-runs': { schema: runs.diffRuns, title: 'openexec diff RUN RUN --json', printedBy: ['diff --json'] },
  approvals: { schema: runs.approvals, title: 'openexec approvals --json', printedBy: ['approvals --json'] },
  vote: { schema: runs.vote, title: 'openexec approve --json, openexec deny --json', printedBy: ['approve --json', 'deny --json'] },
  verify: { schema: ledger.verify, title: 'openexec verify --json', printedBy: ['verify --json'] },
  export: { schema: bundle.exported, title: 'openexec export --json', printedBy: ['export --json'] },
  'verify-bundle': { schema: bundle.verifyBundle, title: 'openexec verify-bundle --json', printedBy: ['verify-bundle --json'] },
  'verify-change': { schema: gate.verifyChange, title: 'openexec verify-change --json', printedBy: ['verify-change --json'] },
  'verify-change-rules': {
    schema: gate.gateRules,
    title: 'openexec verify-change --explain --json',
    printedBy: ['verify-change --json'],
  },
  'world-get': { schema: ledger.worldGet, title: 'openexec world get --json', printedBy: ['world get --json'] },
  'world-proof': { schema: ledger.worldProof, title: 'The file of openexec world prove', printedBy: ['world prove --json'] },
  'world-verify': { schema: ledger.worldVerify, title: 'openexec world verify --json', printedBy: ['world verify --json'] },
  replay: { schema: replay.replay, title: 'openexec replay --json', printedBy: ['replay --json'] },
  'replay-step': { schema: replay.replayStep, title: 'openexec replay --mode step --json', printedBy: ['replay --json'] },
  'replay-effects': { schema: replay.replayEffects, title: 'openexec replay --mode effects --json', printedBy: ['replay --json'] },
  'replay-model': { schema: replay.replayModel, title: 'openexec replay --mode model --json', printedBy: ['replay --json'] },
  'golden-add': { schema: replay.goldenAdd, title: 'openexec golden add --json', printedBy: ['golden add --json'] },
  'golden-list': { schema: replay.goldenList, title: 'openexec golden list --json', printedBy: ['golden list --json'] },
  'golden-run': { schema: replay.goldenReplay, title: 'openexec golden run --json', printedBy: ['golden run --json'] },
  'ledger-anchor': { schema: ledger.ledgerAnchor, title: 'openexec ledger anchor --json', printedBy: ['ledger anchor --json'] },
  'ledger-info': { schema: ledger.ledgerInfo, title: 'openexec ledger info --json', printedBy: ['ledger info --json'] },
  'ledger-entry': {
    schema: ledger.ledgerEntry,
    title: 'One entry: a line of openexec ledger read --jsonl',
    printedBy: ['ledger read --jsonl'],
  },
  key: { schema: law.keyNew, title: 'openexec key new --json', printedBy: ['key new --json'] },
  keys: { schema: law.keyList, title: 'openexec key list --json', printedBy: ['key list --json'] },
  'key-trust': { schema: law.keyTrust, title: 'openexec key trust --json', printedBy: ['key trust --json'] },
  'key-rotate': { schema: law.keyRotate, title: 'openexec key rotate --json', printedBy: ['key rotate --json'] },
  'key-retire': { schema: law.keyRetire, title: 'openexec key retire --json', printedBy: ['key retire --json'] },
  'key-passwd': { schema: law.keyPasswd, title: 'openexec key passwd --json', printedBy: ['key passwd --json'] },
  'writ-show': { schema: law.writShow, title: 'openexec writ show --json', printedBy: ['writ show --json'] },
  'writ-verify': { schema: law.writVerify, title: 'openexec writ verify --json', printedBy: ['writ verify --json'] },
  'writ-list': { schema: law.writList, title: 'openexec writ list --json', printedBy: ['writ list --json'] },
  'writ-change': {
    schema: law.writChange,
    title: 'openexec writ revoke --json, openexec writ restore --json',
    printedBy: ['writ revoke --json', 'writ restore --json'],
  },
  'policy-check': { schema: law.policyCheck, title: 'openexec policy check --json', printedBy: ['policy check --json'] },
  'policy-test': { schema: law.policyTest, title: 'openexec policy test --json', printedBy: ['policy test --json'] },
  'policy-explain': { schema: law.policyExplain, title: 'openexec policy explain RUN --json', printedBy: ['policy explain --json'] },
  'policy-explain-action': {
    schema: law.policyExplainAction,
    title: 'openexec policy explain --action FILE --json',
    printedBy: ['policy explain --json'],
  },
  'policy-list': { schema: law.policyList, title: 'openexec policy list --json', printedBy: ['policy list --json'] },
  'policy-sign': { schema: law.policySign, title: 'openexec policy sign --json', printedBy: ['policy sign --json'] },
  'policy-show': { schema: law.policyShow, title: 'openexec policy show --json', printedBy: ['policy show --json'] },
  'policy-simulate': { schema: law.policySimulate, title: 'openexec policy simulate --json', printedBy: ['policy simulate --json'] },
  'policy-advise': { schema: law.policyAdvise, title: 'openexec policy advise --json', printedBy: ['policy advise --json'] },
  'policy-adopt': { schema: law.policyAdopt, title: 'openexec policy adopt --json', printedBy: ['policy adopt --json'] },
  doctor: { schema: setup.doctor, title: 'openexec doctor --json', printedBy: ['doctor --json'] },
  config: { schema: setup.config, title: 'openexec config show --json', printedBy: ['config show --json'] },
  'model-list': { schema: setup.modelList, title: 'openexec model list --json', printedBy: ['model list --json'] },
  'model-test': { schema: setup.modelTest, title: 'openexec model test --json', printedBy: ['model test --json'] },
  'action-list': { schema: setup.actionList, title: 'openexec action list --json', printedBy: ['action list --json'] },
  'action-show': { schema: setup.actionShow, title: 'openexec action show --json', printedBy: ['action show --json'] },
  'blueprint-list': { schema: setup.blueprintList, title: 'openexec blueprint list --json', printedBy: ['blueprint list --json'] },
  'blueprint-check': { schema: setup.blueprintCheck, title: 'openexec blueprint check --json', printedBy: ['blueprint check --json'] },
  'skill-list': { schema: setup.skillList, title: 'openexec skill list --json', printedBy: ['skill list --json'] },
  'skill-show': { schema: setup.skillShow, title: 'openexec skill show --json', printedBy: ['skill show --json'] },
  'skill-bind': { schema: setup.skillBind, title: 'openexec skill bind --json', printedBy: ['skill bind --json'] },
  'skill-check': { schema: setup.skillCheck, title: 'openexec skill check --json', printedBy: ['skill check --json'] },
  'demo-hostile': { schema: setup.demoHostile, title: 'openexec demo --hostile --json', printedBy: ['demo --json'] },
} as const satisfies { readonly [name: string]: DocumentRow };

/** Name of a document. */
export type DocumentName = keyof typeof cliDocuments;
/** As a command writes it: read only, digests, ids and times as the strings that they are, big numbers as bigint or text. */
export type CliDocument<N extends DocumentName> = Written<z.infer<(typeof cliDocuments)[N]['schema']>>;
type Written<T> = [Json] extends [T] ? T : WrittenPart<T>;
type WrittenPart<T> = T extends Digest | Instant | KeyId | TrajectoryId
  ? string
  : T extends string | number | bigint | boolean | null | undefined
    ? T
    : { readonly [K in keyof T]: Written<T[K]> };
