/**
 * What the command line prints for programs: one JSON document per `--json`, one line per event with `--jsonl`, version 1 of each. Big numbers are
 * decimal strings. Must never describe a member that no command prints; a later release may add members, never change one (CLI.md, GOALS E11).
 */
import * as z from 'zod';
import { approvalTerms, configuredCommand, reason } from './work.ts';
import { amount, count, digest, instant, json, keyId, oid, trajectory } from './words.ts';

const v = z.literal(1);
const text = z.string();
const textOrNull = z.string().nullable();
const decimal = z.string().regex(/^(0|[1-9][0-9]*)$/);
const run = trajectory;
const result = z.strictObject({ ref: text, commit: oid, tree: oid });
const outcome = z.enum(['done', 'failed', 'cancelled', 'denied', 'exhausted']);
const changedFile = z.strictObject({ path: text, change: z.enum(['added', 'modified', 'deleted']) });
const exit = z.number().int().min(0).max(255);

const error = z.strictObject({
  error: z.strictObject({ code: text, exit, where: text, message: text, remedy: text, details: json.optional() }),
});

/** One line of `run --jsonl`, `resume --jsonl` and `timeline --jsonl`; `timeline RUN --after CURSOR` goes on behind it. */
const event = z.strictObject({
  v,
  run: text,
  seq: count,
  at: instant,
  kind: text,
  cursor: decimal,
  class: z.enum(['fact', 'judgement']),
  actor: text,
  cause: count.nullable(),
  law: count.nullable(),
  body: json.nullable(),
});

const foundCommand = z.strictObject({ argv: z.array(text), because: text });
const finding = z.strictObject({ found: foundCommand.nullable(), unclear: textOrNull, others: z.array(foundCommand) });
const findings = z.strictObject({
  commands: z.strictObject({ test: finding, lint: finding, format: finding, typecheck: finding, build: finding }),
  provide: z.array(z.strictObject({ path: text, because: text })),
});
const init = z.discriminatedUnion('dryRun', [
  z.strictObject({
    v,
    dryRun: z.literal(false),
    root: text,
    fingerprint: digest,
    origin: text,
    stateFolder: text,
    keys: z.array(z.strictObject({ label: text, keyId, roles: z.array(text) })),
    founded: z.boolean(),
    written: z.array(text),
    kept: z.array(text),
    commands: z.record(z.string(), configuredCommand),
    findings,
  }),
  z.strictObject({
    v,
    dryRun: z.literal(true),
    root: text,
    founded: z.boolean(),
    files: z.array(z.strictObject({ name: text, text })),
    kept: z.array(text),
    findings,
  }),
]);

const runSummary = z.strictObject({
  v,
  run,
  status: z.enum([...outcome.options, 'parked', 'stopped']),
  exit,
  because: reason.nullable(),
  request: digest.nullable(),
  spend: amount,
  priced: z.boolean(),
  asks: count,
  prompts: count,
  elapsedMs: count,
  files: z.array(changedFile),
  checks: z.array(z.strictObject({ action: text, status: z.enum(['ok', 'failed']), summary: text, times: count })),
  result: result.nullable(),
  checkpoint: decimal.nullable(),
  checkpointProblem: textOrNull,
  commands: z.record(z.string(), text),
});

const apply = z.strictObject({
  v,
  run,
  ref: text,
  into: text,
  dryRun: z.boolean(),
  outcome: z.enum(['forwarded', 'merged', 'already']),
  commit: oid,
  head: oid,
  previous: oid,
  files: z.array(changedFile),
  autoRun: z.array(text),
  undo: textOrNull,
});

const runs = z.strictObject({
  v,
  total: count,
  runs: z.array(
    z.strictObject({
      run,
      openedAt: instant,
      lastAt: instant,
      status: z.enum([...outcome.options, 'parked', 'open']),
      task: textOrNull,
      result: result.nullable(),
      spend: amount.nullable(),
      index: decimal,
    }),
  ),
});

const law = z.strictObject({
  blueprint: textOrNull,
  policies: z.array(z.strictObject({ layer: text, name: text, source: text })).nullable(),
  policySet: digest,
  writ: z
    .strictObject({
      issuer: keyId,
      actions: z.array(text),
      ceiling: z.array(text),
      readPaths: z.array(text),
      writePaths: z.array(text),
      hosts: z.array(text),
      budget: amount,
      wallMs: count,
      notAfter: instant,
    })
    .nullable(),
  model: textOrNull,
  base: z.strictObject({ commit: oid, tree: oid }),
  kernel: z.strictObject({ version: text, flags: z.array(count) }),
  approvals: text,
});
const show = z.strictObject({
  v,
  run,
  status: text,
  because: reason.nullable(),
  openedAt: instant.nullable(),
  lastAt: instant.nullable(),
  entries: count,
  cursor: decimal.nullable(),
  task: textOrNull,
  law: law.nullable(),
  stages: z.array(z.strictObject({ stage: text, visit: count, outcome: textOrNull, because: reason.nullable() })),
  intents: z.array(
    z.strictObject({
      seq: count,
      intent: digest,
      stage: textOrNull,
      author: text,
      wish: text,
      claims: z.strictObject({ rationale: textOrNull, claimedRisk: textOrNull }),
      verdict: z.enum(['permit', 'deny', 'approve']).nullable(),
      by: textOrNull,
      because: reason.nullable(),
      end: z.enum(['committed', 'rejected', 'failed', 'lost']).nullable(),
      endBecause: reason.nullable(),
      summary: textOrNull,
    }),
  ),
  commits: count,
  asks: count,
  notes: z.array(z.strictObject({ seq: count, why: text, message: text, violation: z.boolean() })),
  spend: amount.nullable(),
  result: result.nullable(),
  worldRoot: digest.nullable(),
});

const placed = z.strictObject({ seq: count, text }).nullable();
const placedDifference = z.strictObject({ left: placed, right: placed });
const facet = z.strictObject({ what: text, left: textOrNull, right: textOrNull });
const diffRun = z.strictObject({ v, run, base: oid, commit: oid, files: z.array(changedFile), patch: text });
const diffRuns = z.strictObject({
  v,
  left: run,
  right: run,
  same: z.boolean(),
  first: placedDifference.nullable(),
  facets: z.array(facet),
  stages: z.array(placedDifference),
  intents: z.array(placedDifference),
  verdicts: z.array(placedDifference),
  effects: z.array(placedDifference),
  files: z.array(z.strictObject({ path: text, left: textOrNull, right: textOrNull })),
  cost: z.array(facet),
  unreadable: z.strictObject({ left: z.array(count), right: z.array(count) }),
});

const approvals = z.strictObject({
  v,
  approvals: z.array(
    z.strictObject({
      id: digest,
      run,
      subject: z.enum(['action', 'stage']),
      action: text,
      stage: textOrNull,
      because: reason,
      rule: z.strictObject({ layer: text, rule: text }).nullable(),
      digest,
      terms: approvalTerms,
      until: instant,
      votes: z.array(z.strictObject({ key: keyId, seq: count, decision: z.enum(['approve', 'deny']) })),
      content: text,
    }),
  ),
});
const vote = z.strictObject({ v, request: digest, run, decision: z.enum(['approve', 'deny']), key: keyId, seq: count, resume: text });

const divergence = z.strictObject({
  index: decimal,
  seq: count,
  kind: z.strictObject({ expected: textOrNull, recorded: textOrNull }),
  what: text,
  expected: textOrNull,
  recorded: textOrNull,
  drift: z.array(z.strictObject({ path: text, expected: textOrNull, recorded: textOrNull })),
});
const runReport = {
  run,
  verdict: z.enum(['agrees', 'diverges', 'notDerivable']),
  judgements: count,
  facts: count,
  pending: count,
  closed: z.boolean(),
  divergences: z.array(divergence),
  violations: z.array(z.strictObject({ seq: count, why: text, message: text })),
  from: z.strictObject({ seq: count, code: text, message: text }).optional(),
};
const deep = z.strictObject({
  runs: z.array(z.strictObject(runReport)),
  lawProblems: z.array(z.strictObject({ index: decimal, seq: count, kind: text, code: text, message: text })),
  totals: z.strictObject({
    entries: count,
    runs: count,
    facts: count,
    judgements: count,
    pending: count,
    divergences: count,
    violations: count,
    notDerivable: count,
    mostOpen: count,
    selfTestJudgements: count,
  }),
});
const verify = z.strictObject({
  v,
  exit,
  sound: z.boolean(),
  level: z.enum(['chained', 'signed', 'anchored', 'witnessed']).nullable(),
  trust: z.enum(['pinned', 'selfAsserted']),
  anchor: z.enum(['fresh', 'stale', 'notConfigured']),
  entries: count,
  origin: textOrNull,
  fingerprint: digest.nullable(),
  root: digest,
  signatures: count,
  checkpoints: count,
  erased: count,
  blobs: z.strictObject({ named: count, sound: count, erased: count }),
  firstBad: count.nullable(),
  findings: z.array(z.strictObject({ index: count.nullable(), code: text, message: text })),
  omitted: count,
  checked: z.array(text),
  notChecked: z.array(text),
  deep: deep.nullable(),
});
const replay = z.strictObject({
  v,
  mode: text,
  ...runReport,
  outcome: z.enum([...outcome.options, 'open']),
  tree: oid.nullable(),
  commit: oid.nullable(),
  ref: textOrNull,
  worldRoot: digest.nullable(),
  spend: amount,
});

const doctor = z.strictObject({
  v,
  sound: z.boolean(),
  exit,
  findings: z.array(
    z.strictObject({ name: text, state: z.enum(['good', 'note', 'bad']), said: text, why: text, remedy: textOrNull, command: textOrNull }),
  ),
});

const ledgerInfo = z.strictObject({
  v,
  path: text,
  origin: textOrNull,
  fingerprint: digest.nullable(),
  pinned: digest.nullable(),
  size: decimal,
  root: digest,
  logKeys: z.array(text),
  trajectories: z.record(z.string(), count),
  checkpoints: z.strictObject({ kept: count, newest: decimal.nullable() }),
});
const ledgerEntry = z.strictObject({ v, index: decimal, leaf: digest, entry: textOrNull, payload: textOrNull, salt: textOrNull });

const model = z.strictObject({
  provider: text,
  model: textOrNull,
  origin: textOrNull,
  keyVariable: textOrNull,
  keyPresent: z.boolean(),
  configured: z.boolean(),
  price: z.strictObject({ inputUsdMicrosPerMillion: count, outputUsdMicrosPerMillion: count }).nullable(),
});
const modelList = z.strictObject({ v, models: z.array(model) });
const modelTest = z.strictObject({
  v,
  provider: text,
  model: text,
  origin: textOrNull,
  answered: z.boolean(),
  toolCall: z.boolean(),
  usage: z.strictObject({ inputTokens: count, outputTokens: count }).nullable(),
  costUsdMicros: count.nullable(),
  latencyMs: count,
  bounds: z.strictObject({ maxOutputTokens: count, timeoutMs: count }),
  recorded: z.literal(false),
  sound: z.boolean(),
  problems: z.array(text),
});
const config = z.strictObject({
  v,
  values: z.array(z.strictObject({ key: text, value: json, origin: z.array(text), narrows: z.boolean() })),
  files: z.array(z.strictObject({ layer: text, file: text, present: z.boolean() })),
});
const cancel = z.strictObject({ v, run, closed: outcome.nullable(), asked: count });
const keyMade = z.strictObject({ v, label: text, keyId, publicKey: text, roles: z.array(text) });
const keys = z.strictObject({ v, keys: z.array(z.strictObject({ keyId, roles: z.array(text), label: textOrNull })) });

/** Every document and line, by the name of its schema below `schemas/cli/`; the title says which command prints it. */
export const cliDocuments = {
  error: { schema: error, title: 'A refusal: any command with --json, exit not 0' },
  event: { schema: event, title: 'One event: a line of run, resume and timeline with --jsonl' },
  init: { schema: init, title: 'openexec init --json' },
  run: { schema: runSummary, title: 'openexec run --json, openexec resume --json' },
  cancel: { schema: cancel, title: 'openexec cancel --json' },
  apply: { schema: apply, title: 'openexec apply --json' },
  runs: { schema: runs, title: 'openexec runs --json' },
  show: { schema: show, title: 'openexec show --json' },
  'diff-run': { schema: diffRun, title: 'openexec diff RUN --json' },
  'diff-runs': { schema: diffRuns, title: 'openexec diff RUN RUN --json' },
  approvals: { schema: approvals, title: 'openexec approvals --json' },
  vote: { schema: vote, title: 'openexec approve --json, openexec deny --json' },
  verify: { schema: verify, title: 'openexec verify --json' },
  replay: { schema: replay, title: 'openexec replay --json' },
  doctor: { schema: doctor, title: 'openexec doctor --json' },
  'ledger-info': { schema: ledgerInfo, title: 'openexec ledger info --json' },
  'ledger-entry': { schema: ledgerEntry, title: 'One entry: a line of openexec ledger read --jsonl' },
  'model-list': { schema: modelList, title: 'openexec model list --json' },
  'model-test': { schema: modelTest, title: 'openexec model test --json' },
  config: { schema: config, title: 'openexec config show --json' },
  key: { schema: keyMade, title: 'openexec key new --json' },
  keys: { schema: keys, title: 'openexec key list --json' },
} as const satisfies { readonly [name: string]: { readonly schema: z.ZodType; readonly title: string } };
