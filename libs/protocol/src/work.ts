/**
 * The vocabulary of work that `run.opened` fixes: policy bundles and sets, blueprints (as written and as checked), the catalogue of actions,
 * toolsets, prices, the sandbox profile and the base tree. All are data; nothing here evaluates anything (PROTOCOL §§4.2, 7, 9).
 */
import * as z from 'zod';
import { hostPattern, policyAdopted, role } from './law.ts';
import { code, count, digest, effect, json, name, oid, path, sentence } from './words.ts';

// ---- policy (PROTOCOL §7)

/** The closed list of operators of the policy language (PROTOCOL §7). */
export const POLICY_OPERATORS = [
  'eq',
  'ne',
  'in',
  'notIn',
  'lt',
  'le',
  'gt',
  'ge',
  'startsWith',
  'endsWith',
  'contains',
  'exists',
  'under',
  'anyUnder',
  'allUnder',
  'anyNamed',
] as const;
/** A condition as data. */
export type PolicyCondition =
  | { all: PolicyCondition[] }
  | { any: PolicyCondition[] }
  | { not: PolicyCondition }
  | { field: string; op: (typeof POLICY_OPERATORS)[number]; value: z.infer<typeof json> };
/**
 * all / any / not / {field, op, value}. `under` is path containment, segment by segment; `anyUnder` and `allUnder` ask it of a list of paths;
 * `anyNamed` asks whether any segment of any path has one of the names (exact, `prefix*`, `*suffix`; ASCII case ignored).
 */
export const policyCondition: z.ZodType<PolicyCondition> = z.lazy(() =>
  z.union([
    z.strictObject({ all: z.array(policyCondition).min(1).max(64) }),
    z.strictObject({ any: z.array(policyCondition).min(1).max(64) }),
    z.strictObject({ not: policyCondition }),
    z.strictObject({ field: z.string().min(1).max(256), op: z.enum(POLICY_OPERATORS), value: json }),
  ]),
);
/** How an approver’s key is held, weakest first (PROTOCOL §6). */
export const assurance = z.enum(['file', 'passphrase', 'hardware']);
/** Who must say yes before the action goes on. */
export const approvalTerms = z.strictObject({
  roles: z.array(role).min(1),
  quorum: z.number().int().min(1).max(16),
  ttlMs: count,
  minAssurance: assurance,
  openerMayApprove: z.boolean(),
});
/** What a rule decides where it applies. */
export const policyDecide = z.union([z.literal('permit'), z.literal('deny'), z.strictObject({ approve: approvalTerms })]);
/** One rule with the examples that it must and must not match (PROTOCOL §7). */
export const policyRule = z.strictObject({
  id: name,
  when: policyCondition,
  decide: policyDecide,
  because: sentence,
  examples: z.strictObject({ match: z.array(json).min(1), noMatch: z.array(json).min(1) }),
});
/** A named list of rules, adopted or shipped as a whole. */
export const policyBundle = z.strictObject({ version: z.literal(1), name, rules: z.array(policyRule).min(1).max(1000) });
/**
 * A bundle as it travels in a file: the signed word that adopts it, for one ledger and one layer, with the bundle whose digest it names. Made offline by
 * whoever holds a policy or root key; in the law it is `policy.adopted`, as it stands (PROTOCOL §§2, 5, 7).
 */
export const signedPolicy = z.strictObject({ v: z.literal(1), adoption: policyAdopted, bundle: policyBundle });
/** Where a bundle comes from, which says how far it is trusted. */
export const policyLayerName = z.enum(['shipped', 'operator', 'organisation', 'project', 'run']);
/** The layers of one run, outermost first. */
export const policySet = z.strictObject({
  layers: z
    .array(z.strictObject({ layer: policyLayerName, bundle: policyBundle, source: z.string().max(256) }))
    .min(1)
    .max(8),
  riskThreshold: z.enum(['low', 'medium', 'high', 'critical']),
});

// ---- blueprint (specification §1; MECHANICS part 2)

/** How much of the workspace a stage may touch (MECHANICS table of modes). */
export const sandboxMode = z.enum(['read_only', 'workspace_write', 'repo_write']);
/** When a stage runs: an artifact exists, or one of its fields equals a value. */
export const stageCondition = z.union([
  z.strictObject({ artifact: name, exists: z.boolean() }),
  z.strictObject({ artifact: name, field: z.string().min(1).max(256), eq: json }),
]);
/** A name of a file or folder, `prefix*` or `*suffix`: it stands for every path one of whose segments is so called (ASCII case ignored). */
export const namePattern = z
  .string()
  .max(128)
  .regex(/^(?!\.{1,2}$)(\*[^*/\0\n]+|[^*/\0\n]+\*?)$/, { message: 'a name, `prefix*` or `*suffix`, without /' });
/** Whether a run may open under a writ that lets it write everywhere. */
export const blueprintScope = z.enum(['repository', 'declared']);
/** When the blueprint itself wants an action approved; policy may always want more. */
export const approvalMode = z.enum(['never', 'on_risky_actions', 'on_critical_actions', 'always']);
const protect = z.array(namePattern).max(64);
const stageCommon = {
  id: name,
  inputs: z.array(name).max(32).optional(),
  outputs: z.array(name).max(32).optional(),
  on_success: name.optional(),
  on_failure: name.optional(),
  retry_limit: z.number().int().min(1).max(10).optional(),
  visit_limit: z.number().int().min(1).max(20).optional(),
  approval_required: z.boolean().optional(),
  sandbox: sandboxMode.optional(),
  when: stageCondition.optional(),
};
/** A blueprint as written, version 1. */
export const blueprint = z.strictObject({
  version: z.literal(1),
  name,
  description: z.string().max(2000).optional(),
  scope: blueprintScope.optional(),
  delegates: z.array(name).min(1).max(16).optional(),
  defaults: z
    .strictObject({
      toolset: name.optional(),
      sandbox: sandboxMode.optional(),
      max_step_retries: z.number().int().min(1).max(10).optional(),
      max_stage_visits: z.number().int().min(1).max(20).optional(),
      approval_mode: approvalMode.optional(),
      protect: protect.optional(),
    })
    .optional(),
  stages: z
    .array(
      z.discriminatedUnion('type', [
        z.strictObject({
          ...stageCommon,
          type: z.literal('deterministic'),
          action: name,
          arguments: z.record(z.string(), json).optional(),
        }),
        z.strictObject({
          ...stageCommon,
          type: z.literal('agent'),
          goal: z.string().min(1).max(8000),
          toolset: name.optional(),
          turn_limit: z.number().int().min(1).max(100).optional(),
          protect: protect.optional(),
        }),
      ]),
    )
    .min(1)
    .max(100),
});
const checkedCommon = {
  id: name,
  inputs: z.array(name),
  outputs: z.array(name),
  onSuccess: name,
  onFailure: name,
  retryLimit: count,
  visitLimit: count,
  approvalRequired: z.boolean(),
  sandbox: sandboxMode,
  when: stageCondition.nullable(),
};
/** A blueprint with every default filled in and every route resolved; terminals are `done`, `fail` and `paused`. */
export const checkedBlueprint = z.strictObject({
  version: z.literal(1),
  name,
  description: z.string(),
  approvalMode,
  /** Left out where the blueprint asks for no declared scope. */
  scope: blueprintScope.optional(),
  /** Blueprints that a run of this one may delegate to; left out where there are none. */
  delegates: z.array(name).min(1).max(16).optional(),
  stages: z
    .array(
      z.discriminatedUnion('type', [
        z.strictObject({ ...checkedCommon, type: z.literal('deterministic'), action: name, arguments: z.record(z.string(), json) }),
        z.strictObject({
          ...checkedCommon,
          type: z.literal('agent'),
          goal: z.string(),
          toolset: name,
          turnLimit: count,
          /** Names whose paths no action of the stage may write; left out where there are none. */
          protect: protect.optional(),
        }),
      ]),
    )
    .min(1),
});

// ---- catalogue (PROTOCOL §§6, 9)

/** Risk classes of actions, weakest first. */
export const RISKS = ['low', 'medium', 'high', 'critical'] as const;
/** Risk class of an action, declared by the catalogue, never by a model. */
export const risk = z.enum(RISKS);
/** fast 30 s, medium 5 min, long 30 min. */
export const timeoutClass = z.enum(['fast', 'medium', 'long']);
/** The closed subset of JSON Schema that pure code interprets for arguments. */
export type ArgumentSchema =
  | { type: 'string'; description?: string; minLength?: number; maxLength?: number; enum?: string[] }
  | { type: 'integer'; description?: string; minimum?: number; maximum?: number }
  | { type: 'number'; description?: string; minimum?: number; maximum?: number }
  | { type: 'boolean'; description?: string }
  | { type: 'json'; description?: string; maxBytes: number }
  | { type: 'array'; description?: string; items: ArgumentSchema; minItems?: number; maxItems?: number }
  | { type: 'object'; description?: string; properties: Record<string, ArgumentSchema>; required: string[]; additionalProperties: false };
const described = { description: z.string().max(1000).optional() };
/** The closed subset of JSON Schema as data. */
export const argumentSchema: z.ZodType<ArgumentSchema> = z.lazy(() =>
  z.discriminatedUnion('type', [
    z.strictObject({
      type: z.literal('string'),
      ...described,
      minLength: count.optional(),
      maxLength: count.optional(),
      enum: z.array(z.string()).min(1).optional(),
    }),
    z.strictObject({
      type: z.literal('integer'),
      ...described,
      minimum: z.number().int().optional(),
      maximum: z.number().int().optional(),
    }),
    z.strictObject({ type: z.literal('number'), ...described, minimum: z.number().optional(), maximum: z.number().optional() }),
    z.strictObject({ type: z.literal('boolean'), ...described }),
    // Any value, bounded by its canonical bytes; shown to a model as a schema without a type.
    z.strictObject({ type: z.literal('json'), ...described, maxBytes: count }),
    z.strictObject({
      type: z.literal('array'),
      ...described,
      items: argumentSchema,
      minItems: count.optional(),
      maxItems: count.optional(),
    }),
    z.strictObject({
      type: z.literal('object'),
      ...described,
      properties: z.record(z.string(), argumentSchema),
      required: z.array(z.string()),
      additionalProperties: z.literal(false),
    }),
  ]),
) as z.ZodType<ArgumentSchema>;
/** How the paths an action touches are found in its arguments: a path, the headers of a patch, the paths of a list of edits, a folder or list of files. */
export const pathSource = z.strictObject({
  argument: z.string().min(1).max(64),
  as: z.enum(['path', 'patch', 'edits', 'files']),
  access: z.enum(['read', 'write']),
});
/** One typed capability of the runtime (declaration only). */
export const actionContract = z.strictObject({
  name,
  title: z.string().max(200),
  description: z.string().max(2000),
  effect,
  risk,
  /** `workspace`: confined and re-doable from the committed tree; `provider`: idempotent under key or old value; `none`: at most once. */
  idempotence: z.enum(['workspace', 'provider', 'none']),
  compensable: z.boolean(),
  timeout: timeoutClass,
  arguments: argumentSchema,
  paths: z.array(pathSource),
  /** Paths the action may change; anything else that survives is an undeclared effect. */
  writes: z.enum(['declared', 'none', 'scratch']),
  /** Which configured command it runs in the sandbox, if any. */
  command: name.nullable(),
  outputs: z.array(name),
  offered: z.boolean(),
});
/** A configured command: exact argv, or the recorded choice that there is none. */
export const configuredCommand = z.union([
  z.strictObject({ argv: z.array(z.string().min(1)).min(1).max(64), timeout: timeoutClass }),
  z.literal('none'),
]);
/** Every action a run may name, and the commands that were configured. */
export const catalogue = z.strictObject({
  version: z.literal(1),
  actions: z.array(actionContract).min(1).max(256),
  commands: z.record(z.string(), configuredCommand),
});
/** Which actions each toolset offers to a model. */
export const toolsets = z.record(z.string(), z.array(name).max(64));
/** Micro-dollars per million tokens. */
export const prices = z.strictObject({
  version: z.string().max(64),
  models: z.record(z.string(), z.strictObject({ inputUsdMicrosPerMillion: count, outputUsdMicrosPerMillion: count })),
});
/** Which model a run asks, fixed when it opens. */
export const modelChoice = z.strictObject({
  provider: name,
  model: z.string().min(1).max(128),
  host: hostPattern.nullable(),
  maxOutputTokens: count,
});
/** The sandbox profile compiled from the writ; host paths appear only as symbols (MECHANICS part 2). */
export const sandboxProfile = z.strictObject({
  version: z.literal(1),
  mode: sandboxMode,
  network: z.literal('none'),
  workspace: z.enum(['ro', 'rw']),
  protectedPaths: z.array(z.string()),
  /** Paths and `folder/**` of the workspace whose contents nothing inside can read. Only in the profile of one execution; left out where there are none. */
  masked: z.array(z.string()).exactOptional(),
  provide: z.array(z.strictObject({ path, source: z.string() })),
  toolchain: z.array(z.string()),
  environment: z.array(z.string()),
  limits: z.strictObject({
    memoryBytes: count,
    processes: count,
    cpuMs: count,
    fileBytes: count,
    tmpBytes: count,
    homeBytes: count,
    outputBytes: count,
    openFiles: count,
    diskBytes: count,
    inodes: count,
  }),
  seccomp: digest,
});
/** One file of a tree listing; `mode` is git's. */
export const treeEntry = z.strictObject({ path: z.string().min(1), mode: z.enum(['100644', '100755', '120000', '160000']), oid });
/** All files of a tree. */
export const treeListing = z.array(treeEntry);
/** A file's content as a world resource. */
export const fileValue = z.strictObject({ blob: digest, bytes: count, mode: z.enum(['100644', '100755', '120000']), oid });
/** One file before and after: git id before, content after; null where there is none. */
export const fileChange = z.strictObject({ path: z.string().min(1), before: oid.nullable(), after: fileValue.nullable() });
/** World delta (PROTOCOL §8): compare-and-swap on version. */
export const deltaStep = z.discriminatedUnion('op', [
  z.strictObject({ op: z.literal('create'), kind: name, id: z.string().min(1), version: count, value: json }),
  z.strictObject({ op: z.literal('replace'), kind: name, id: z.string().min(1), version: count, value: json }),
  z.strictObject({ op: z.literal('retract'), kind: name, id: z.string().min(1), version: count }),
]);
/** The steps of one commit, applied all or none. */
export const delta = z.array(deltaStep);
/** A typed reason with the place and the remedy in its message. */
export const reason = z.strictObject({ code, message: sentence });
/** Parsed form of `policyBundle`. */
export type PolicyBundle = z.infer<typeof policyBundle>;
/** Parsed form of `signedPolicy`. */
export type SignedPolicy = z.infer<typeof signedPolicy>;
/** Parsed form of `policyRule`. */
export type PolicyRule = z.infer<typeof policyRule>;
/** Parsed form of `policySet`. */
export type PolicySet = z.infer<typeof policySet>;
/** Parsed form of `policyLayerName`. */
export type PolicyLayerName = z.infer<typeof policyLayerName>;
/** Parsed form of `approvalTerms`. */
export type ApprovalTerms = z.infer<typeof approvalTerms>;
/** Parsed form of `assurance`. */
export type Assurance = z.infer<typeof assurance>;
/** Parsed form of `blueprint`. */
export type Blueprint = z.infer<typeof blueprint>;
/** Parsed form of `checkedBlueprint`. */
export type CheckedBlueprint = z.infer<typeof checkedBlueprint>;
/** One stage of a checked blueprint. */
export type CheckedStage = CheckedBlueprint['stages'][number];
/** Parsed form of `stageCondition`. */
export type StageCondition = z.infer<typeof stageCondition>;
/** Parsed form of `sandboxMode`. */
export type SandboxMode = z.infer<typeof sandboxMode>;
/** Parsed form of `actionContract`. */
export type ActionContract = z.infer<typeof actionContract>;
/** Parsed form of `catalogue`. */
export type Catalogue = z.infer<typeof catalogue>;
/** Parsed form of `configuredCommand`. */
export type ConfiguredCommand = z.infer<typeof configuredCommand>;
/** Parsed form of `toolsets`. */
export type Toolsets = z.infer<typeof toolsets>;
/** Parsed form of `prices`. */
export type Prices = z.infer<typeof prices>;
/** Parsed form of `modelChoice`. */
export type ModelChoice = z.infer<typeof modelChoice>;
/** Parsed form of `sandboxProfile`. */
export type SandboxProfile = z.infer<typeof sandboxProfile>;
/** Parsed form of `treeEntry`. */
export type TreeEntry = z.infer<typeof treeEntry>;
/** Parsed form of `fileValue`. */
export type FileValue = z.infer<typeof fileValue>;
/** Parsed form of `fileChange`. */
export type FileChange = z.infer<typeof fileChange>;
/** Parsed form of `deltaStep`. */
export type DeltaStep = z.infer<typeof deltaStep>;
/** Parsed form of `delta`. */
export type Delta = z.infer<typeof delta>;
/** Parsed form of `reason`. */
export type Reason = z.infer<typeof reason>;
/** Parsed form of `risk`. */
export type Risk = z.infer<typeof risk>;
/** Parsed form of `timeoutClass`. */
export type TimeoutClass = z.infer<typeof timeoutClass>;
