/**
 * The release gate: the rules that a change has to meet, and the line in a git note that says where its audit bundle is. Must never be read from the
 * change that is judged by it (PROTOCOL §11, SECURITY §3.4).
 */
import * as z from 'zod';
import { assurance } from './work.ts';
import { count, digest, keyId, name, oid, path, trajectory } from './words.ts';

/** How a commit may hang together with what a run landed, from the narrowest. docs/how-to/gate-a-change.md says what each accepts. */
export const CHANGE_RELATIONS = ['commit', 'tree', 'merge', 'moved', 'cleanMerge'] as const;
const relation = z.enum(CHANGE_RELATIONS);
const least = count.max(64);
/** Provider and model as a run records them; a `*` at the end stands for any rest. */
const modelPattern = z.string().min(1).max(200);

const gateFile = z.strictObject({
  version: z.literal(1),
  /** Fingerprints of the ledgers whose bundles count. */
  trust: z.array(digest).min(1).max(64).optional(),
  accept: z.array(relation).min(1).max(CHANGE_RELATIONS.length).optional(),
  /** The run cites a passed self-test, is over, and had no undeclared effect. */
  governed: z.boolean().optional(),
  /** Every judgement of the run could be derived again; without it, what was lawfully erased or withheld may stop that. */
  judged: z.boolean().optional(),
  coverage: z.enum(['full', 'gatewayOnly']).optional(),
  checks: z.strictObject({ atLeast: least.optional(), lastPassed: z.boolean().optional() }).optional(),
  approvals: z
    .strictObject({
      /** Distinct keys whose approving vote counted. */
      atLeast: least.optional(),
      assurance: assurance.optional(),
      /** The key that opened the run is not among them. */
      notOpener: z.boolean().optional(),
      /** Only these keys. */
      keys: z.array(keyId).min(1).max(256).optional(),
      /** Only votes on these actions; `approval.gate` is a stage of a blueprint that asks. */
      actions: z.array(z.string().min(1).max(128)).min(1).max(64).optional(),
    })
    .optional(),
  /** Digests of the policy sets under which it may have run. */
  policySets: z.array(digest).min(1).max(64).optional(),
  /** Names of bundles that must have been among its layers, each of them. */
  policies: z.array(name).min(1).max(16).optional(),
  blueprints: z.array(name).min(1).max(64).optional(),
  models: z.array(modelPattern).min(1).max(64).optional(),
  level: z.enum(['signed', 'witnessed']).optional(),
  /** A C2SP tlog-policy, as text: which witnesses, and how many of them. */
  witnesses: z.string().min(1).max(65_536).optional(),
  /** The youngest cosignature under the bundle's tree head is no older. */
  maxAgeHours: count.min(1).max(87_600).optional(),
});
/** The file `.openexec/gate.yaml`, version 1. A member that is left out has the default that `openexec verify-change --explain` prints. */
export const gatePolicy = gateFile.superRefine(({ level, witnesses, maxAgeHours }, context) => {
  if (witnesses !== undefined) return;
  const message = 'needs witnesses: a C2SP tlog-policy that says whose cosignatures count';
  if (level === 'witnessed') context.addIssue({ code: 'custom', path: ['level'], message });
  if (maxAgeHours !== undefined) context.addIssue({ code: 'custom', path: ['maxAgeHours'], message });
});
/** The rules in force: a gate policy with every default filled in; null where nothing is asked. */
export const gateRules = z.strictObject({
  accept: z.array(relation),
  governed: z.boolean(),
  judged: z.boolean(),
  coverage: z.enum(['full', 'gatewayOnly']),
  checks: z.strictObject({ atLeast: least, lastPassed: z.boolean() }),
  approvals: z.strictObject({
    atLeast: least,
    assurance,
    notOpener: z.boolean(),
    keys: z.array(keyId).nullable(),
    actions: z.array(z.string()).nullable(),
  }),
  policySets: z.array(digest).nullable(),
  policies: z.array(z.string()).nullable(),
  blueprints: z.array(z.string()).nullable(),
  models: z.array(z.string()).nullable(),
  level: z.enum(['signed', 'witnessed']),
  witnesses: z.string().nullable(),
  maxAgeHours: count.nullable(),
});
/** Parsed form of `gateRules`. */
export type GateRules = z.infer<typeof gateRules>;
/** Parsed form of `gatePolicy`. */
export type GatePolicy = z.infer<typeof gatePolicy>;
/** One of {@link CHANGE_RELATIONS}. */
export type ChangeRelation = z.infer<typeof relation>;

/**
 * One line of a note in `refs/notes/openexec`, canonical JSON: the run whose change the commit is, and its bundle as one tar file. It proves nothing:
 * what it points at is checked by itself.
 */
export const changePointer = z.strictObject({
  v: z.literal(1),
  type: z.literal('openexec.change'),
  ledger: digest,
  run: trajectory,
  commit: oid,
  tree: oid,
  bundle: z.strictObject({
    /** Of the tar file. */
    digest,
    bytes: count,
    at: z.discriminatedUnion('is', [
      /** An object of the repository, kept by `refs/notes/openexec-bundles`. */
      z.strictObject({ is: z.literal('git'), blob: oid }),
      /** A file below the folder in which the gate looks. */
      z.strictObject({ is: z.literal('file'), path }),
    ]),
  }),
});
/** Parsed form of `changePointer`. */
export type ChangePointer = z.infer<typeof changePointer>;

/** What a gate finds of one requirement; a code, once published, never changes its meaning. */
export const GATE_CODES = [
  'bundle.missing',
  'bundle.absent',
  'bundle.refused',
  'bundle.unsound',
  'bundle.untrusted',
  'bundle.diverged',
  'change.relation',
  'run.outcome',
  'run.governed',
  'run.judged',
  'run.coverage',
  'run.checks',
  'run.approvals',
  'run.policySet',
  'run.policies',
  'run.blueprint',
  'run.model',
  'anchor.level',
  'anchor.age',
] as const;
/** One of {@link GATE_CODES}. */
export type GateCode = (typeof GATE_CODES)[number];
