/**
 * The configuration file, version 1, as a schema: what may stand in `.openexec/config.yaml` and in the files of user and system. Closed: a key
 * that is not here is an error (CLI.md "Files", GOALS E02). Must never give a member a default: who said what is needed for narrowing.
 */
import * as z from 'zod';
import { holdsNoPassword } from './password.ts';

/** The policies that ship, from the laxest to the strictest. */
export const SHIPPED_POLICIES = ['solo', 'regulated'] as const;

/** Dollars as a decimal with at most six places: micro-dollars are the unit of the protocol. */
const usd = z
  .number()
  .min(0)
  .max(1_000_000)
  .refine((value) => Number.isSafeInteger(Math.round(value * 1e6)) && Math.abs(value * 1e6 - Math.round(value * 1e6)) < 1e-6, {
    message: 'dollars have at most six decimal places',
  });
const whole = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const path = z
  .string()
  .min(1)
  .max(4096)
  .regex(/^(?!\/)(?!(?:.*\/)?\.{0,2}(?:\/|$))[^\0]+$/s, {
    message: 'a path inside the repository, without . or .. and without / at its ends',
  });
const absolute = z
  .string()
  .min(1)
  .max(4096)
  .regex(/^\/[^\0]*$/, { message: 'an absolute path' });
const name = z.string().regex(/^[a-z][a-z0-9_.-]{0,63}$/, { message: 'a lower-case name' });

/** A command as exact words; no shell is involved. */
export const commandSetting = z.union([
  z.literal('none'),
  z.strictObject({ argv: z.array(z.string().min(1).max(4096)).min(1).max(64), timeout: z.enum(['fast', 'medium', 'long']).optional() }),
]);
/** US dollars per million tokens. */
const price = z.strictObject({ input: usd, output: usd });
const provider = z.strictObject({
  baseUrl: z.string().min(1).max(500).optional(),
  pricing: z.record(z.string().min(1).max(128), price).optional(),
  maxOutputTokens: whole.min(1).max(1_000_000).optional(),
  /** How long one answer may take. */
  timeoutSeconds: whole.min(1).max(3600).optional(),
});

const POSTGRES = String.raw`postgres(ql)?:(\/\/[^\0\n\s]+|\?schema=[a-z][a-z0-9_]{0,50})?`;
const EVENTSTORE = String.raw`(esdb|kurrentdb)(\+discover)?:\/\/[^\0\n\s]+`;
const noPassword = [
  (value: string) => holdsNoPassword(value),
  {
    message:
      'a password does not belong into a configuration file; put it into PGPASSWORD, ~/.pgpass or DATABASE_URL, for EventStoreDB into OPENEXEC_EVENTSTORE_USER and OPENEXEC_EVENTSTORE_PASSWORD',
  },
] as const;
/** Where a ledger is. A file is read by others: no password stands in it. */
const ledger = z.union([
  z
    .string()
    .max(2000)
    .regex(new RegExp(`^(sqlite:[^\\0\\n]+|${POSTGRES}|${EVENTSTORE})$`), {
      message: 'sqlite:PATH, postgres://HOST/DATABASE, postgres: for what DATABASE_URL says, or esdb://HOST',
    })
    .refine(...noPassword),
  z.strictObject({
    /** The cluster and the stream that holds the entries. */
    eventstore: z
      .string()
      .max(2000)
      .regex(new RegExp(`^${EVENTSTORE}$`), { message: 'esdb://HOST:2113/?stream=NAME' })
      .refine(...noPassword),
    /** What holds payloads and blobs beside it: Postgres, a file, or `sqlite:` alone for a file in the state folder of this host. */
    companion: z
      .string()
      .max(2000)
      .regex(new RegExp(`^(sqlite:[^\\0\\n]*|${POSTGRES})$`), { message: 'postgres://HOST/DATABASE, postgres:, sqlite: or sqlite:PATH' })
      .refine(...noPassword),
  }),
]);
/** A place that is shown checkpoints; which members it has follows from its type (anchors.ts). */
const anchorPlace = z.strictObject({
  name,
  type: z.enum(['witness', 'rfc3161', 'git', 'file']),
  /** Fingerprint of the one ledger that it is for. */
  ledger: z
    .string()
    .regex(/^sha256:[0-9a-f]{64}$/, { message: 'sha256: and 64 lower-case hex digits' })
    .optional(),
  url: z
    .string()
    .max(500)
    .regex(/^https?:\/\/[^\s@]+$/, { message: 'an http or https address without user name' })
    .optional(),
  /** Verifier key of a cosigner (C2SP, algorithm 4). */
  vkey: z.string().min(1).max(1000).optional(),
  /** PEM file of the certificates that a time stamping authority has to lead to. */
  ca: absolute.optional(),
  ref: z
    .string()
    .regex(/^refs\/openexec\/[a-z0-9][a-z0-9-]{0,63}$/, { message: 'a ref below refs/openexec/' })
    .optional(),
  /** Folder on another disk or share; each ledger has a file of its own in it. */
  folder: absolute.optional(),
  /** When it is asked by itself; left out: at the close of a run. */
  at: z
    .string()
    .regex(/^(close|demand|every [1-9][0-9]{0,5}[mhd])$/, {
      message: 'close, demand, or every and a number of m, h or d, such as every 15m',
    })
    .optional(),
});
/** One such place as written. */
export type AnchorPlace = z.infer<typeof anchorPlace>;

/** One configuration file of any layer. */
export const configFile = z.strictObject({
  version: z.literal(1),
  /** `PROVIDER:NAME`, `scripted:FILE`, or `none`. */
  model: z
    .string()
    .max(300)
    .regex(/^(none|[a-z][a-z0-9_.-]{0,63}:[^\0\n]+)$/, { message: 'PROVIDER:NAME, scripted:FILE or none' })
    .optional(),
  models: z.strictObject({ openai: provider.optional() }).optional(),
  commands: z
    .strictObject({
      test: commandSetting.optional(),
      lint: commandSetting.optional(),
      format: commandSetting.optional(),
      typecheck: commandSetting.optional(),
      build: commandSetting.optional(),
    })
    .optional(),
  blueprint: name.optional(),
  /** Where the ledger is, when it is not `.openexec/ledger.db`. The nearest layer says so; whether it is trusted, the user's pin. */
  ledger: ledger.optional(),
  /** Upper bounds of one run. */
  budget: z.strictObject({ tokens: whole.optional(), usd: usd.optional(), calls: whole.optional() }).optional(),
  /** Minutes that one run may take, waiting for people not counted. */
  wall: z.number().int().min(1).max(10_080).optional(),
  approvals: z.enum(['ask', 'never']).optional(),
  /** The shipped policy that decides; of several layers the strictest word counts. */
  policy: z.enum(SHIPPED_POLICIES).optional(),
  /** Where the ledger's checkpoints are shown. */
  anchors: z
    .strictObject({
      required: z.boolean().optional(),
      maxAgeMinutes: whole.min(1).max(5_256_000).optional(),
      /** A tlog-policy: which witnesses, and how many of them. */
      policy: absolute.optional(),
      to: z.array(anchorPlace).max(16).optional(),
      /** How long a place may take to answer. */
      timeoutSeconds: whole.min(1).max(300).optional(),
      /** Folder where the tree is kept as tiles (C2SP tlog-tiles); each ledger has a folder of its own in it. */
      tiles: absolute.optional(),
    })
    .optional(),
  sandbox: z
    .strictObject({
      provide: z.array(path).max(32).optional(),
      /** Bounds of one command, each below what the runtime allows anyway; a larger one changes nothing. */
      limits: z
        .strictObject({
          memoryBytes: whole.min(67_108_864).optional(),
          processes: whole.min(8).optional(),
          cpuMs: whole.min(1000).optional(),
          fileBytes: whole.min(4096).optional(),
          diskBytes: whole.min(4096).optional(),
          inodes: whole.min(16).optional(),
        })
        .optional(),
    })
    .optional(),
  /** Paths of the repository that a run may read and write, as writ patterns (`**`, `dir/**`, exact). */
  paths: z
    .strictObject({
      read: z.array(z.string().min(1).max(4096)).max(256).optional(),
      write: z.array(z.string().min(1).max(4096)).max(256).optional(),
    })
    .optional(),
});
/** One file, checked. */
export type ConfigFile = z.infer<typeof configFile>;
/** A command as written, or the recorded choice that there is none. */
export type CommandSetting = z.infer<typeof commandSetting>;

/** The JSON Schema of the file, for editors. */
export function configJsonSchema(): unknown {
  return z.toJSONSchema(configFile);
}

/** The keys that may stand at a place of a file of this schema, for suggestions; empty where anything may. */
export function keysAt(whole: z.ZodType, path: readonly (string | number)[]): readonly string[] {
  let schema: z.ZodType | undefined = whole;
  for (const step of path) {
    schema = inner(schema);
    if (schema instanceof z.ZodObject) schema = schema.shape[String(step)];
    else if (schema instanceof z.ZodRecord) schema = schema.valueType as z.ZodType;
    else if (schema instanceof z.ZodArray) schema = schema.element as z.ZodType;
    else return [];
  }
  const found = inner(schema);
  return found instanceof z.ZodObject ? Object.keys(found.shape) : [];
}

/** Takes optional off, and of a union the object in it. */
function inner(schema: z.ZodType | undefined): z.ZodType | undefined {
  if (schema instanceof z.ZodOptional) return inner(schema.unwrap() as z.ZodType);
  if (schema instanceof z.ZodUnion) return (schema.options as readonly z.ZodType[]).find((option) => option instanceof z.ZodObject);
  return schema;
}
