/**
 * Documents about this checkout and this machine: what init did, what is configured, what can be done here, what is missing; and refusals.
 * Must never hold a member that no command prints.
 */
import * as z from 'zod';
import { skill } from '../skill.ts';
import { count, digest, effect, json, keyId, name } from '../words.ts';
import { actionContract, configuredCommand, risk } from '../work.ts';
import { exit, problem, run, text, textOrNull, v } from './shared.ts';

/** A refusal from the closed table of codes; `remedy` says what to do. */
export const error = z.strictObject({
  error: z.strictObject({ code: text, exit, where: text, message: text, remedy: text, details: json.optional() }),
});

const foundCommand = z.strictObject({ argv: z.array(text), because: text });
const finding = z.strictObject({ found: foundCommand.nullable(), unclear: textOrNull, others: z.array(foundCommand) });
const findings = z.strictObject({
  commands: z.strictObject({ test: finding, lint: finding, format: finding, typecheck: finding, build: finding }),
  provide: z.array(z.strictObject({ path: text, because: text })),
});
/** What was set up, or would be; `adopted` is the law position of a policy that was adopted. */
export const init = z.discriminatedUnion('dryRun', [
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
    policy: z.enum(['solo', 'regulated']),
    adopted: count.nullable(),
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

/** What is there and what is missing, each with what to do. */
export const doctor = z.strictObject({
  v,
  sound: z.boolean(),
  exit,
  findings: z.array(
    z.strictObject({ name: text, state: z.enum(['good', 'note', 'bad']), said: text, why: text, remedy: textOrNull, command: textOrNull }),
  ),
});

/** What canaries and probes came to, and where it is recorded; `shows` says what each one is for. */
export const selfTest = z.strictObject({
  v,
  exit,
  trajectory: run,
  seq: count,
  passed: z.boolean(),
  at: text,
  until: text,
  set: count,
  canaries: z.array(z.strictObject({ name, verdict: text, code: text, held: z.boolean(), shows: text })),
  sandbox: z.strictObject({
    kind: text,
    version: text,
    limiter: text,
    probes: z.array(z.strictObject({ name: text, blocked: z.boolean(), control: z.boolean() })),
  }),
});

const model = z.strictObject({
  provider: text,
  model: textOrNull,
  origin: textOrNull,
  keyVariable: textOrNull,
  keyPresent: z.boolean(),
  configured: z.boolean(),
  price: z.strictObject({ inputUsdMicrosPerMillion: count, outputUsdMicrosPerMillion: count }).nullable(),
});
/** Models that a run could ask; `price` is null where none is known. */
export const modelList = z.strictObject({ v, models: z.array(model) });
/** One small question, asked of the provider and recorded nowhere. */
export const modelTest = z.strictObject({
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
/** Every setting with the files that said so, the last wins; `narrows` ones can only be made stricter. */
export const config = z.strictObject({
  v,
  values: z.array(z.strictObject({ key: text, value: json, origin: z.array(text), narrows: z.boolean() })),
  files: z.array(z.strictObject({ layer: text, file: text, present: z.boolean() })),
});

const actionOffered = z.strictObject({
  name,
  title: text,
  effect,
  risk,
  command: name.nullable(),
  outputs: z.array(name),
  toolsets: z.array(name),
});
/** Every action, and the toolsets that offer it to a model. */
export const actionList = z.strictObject({ v, actions: z.array(actionOffered) });
const example = { because: text, arguments: json };
/** The contract as the catalogue has it; `capability` is the name that a writ grants it by. */
export const actionShow = z.strictObject({
  v,
  action: actionContract.extend({
    capability: name,
    timeoutMs: count,
    toolsets: z.array(name),
    errors: z.array(text),
    outputBytes: count,
    examples: z.strictObject({
      accepted: z.array(z.strictObject(example)),
      refused: z.array(z.strictObject({ ...example, code: text })),
    }),
  }),
});

/** `file` is null for a blueprint that was shipped; what does not check has its problems instead of a description. */
export const blueprintList = z.strictObject({
  v,
  blueprints: z.array(
    z.strictObject({
      name: text,
      origin: z.enum(['project', 'shipped']),
      file: textOrNull,
      description: textOrNull,
      stages: count.nullable(),
      problems: z.array(problem),
    }),
  ),
});
/** One file; `name` is null where it does not check. */
export const blueprintCheck = z.strictObject({ v, file: text, sound: z.boolean(), name: textOrNull, problems: z.array(problem) });

/** The skills of a checkout; what is not sound has its problems instead of a title. */
export const skillList = z.strictObject({
  v,
  skills: z.array(
    z.strictObject({
      name: text,
      file: text,
      title: textOrNull,
      version: count.nullable(),
      id: digest.nullable(),
      problems: z.array(problem),
    }),
  ),
});
/** One skill; `id` is the digest of all that it says. */
export const skillShow = z.strictObject({ v, id: digest, file: text, skill });
/** Where an open run was bound to a skill; `seq` is the position of the fact in the run. */
export const skillBind = z.strictObject({ v, run: text, seq: count, skill: z.strictObject({ name: text, version: count, id: digest }) });
/** A sound skill; `heldBack` lists the actions that the configured blueprint needs and the skill does not let through, null without a configuration. */
export const skillCheck = z.strictObject({ v, file: text, sound: z.literal(true), id: digest, heldBack: z.array(text).nullable() });

/** One row per attempt; `verified` is what the ledger of the attack came to. */
export const demoHostile = z.strictObject({
  v,
  exit,
  rows: z.array(
    z.strictObject({
      attempt: text,
      verdict: z.enum(['stopped', 'got through', 'not attempted', 'unexplained', 'control dead']),
      by: text,
      evidence: text,
    }),
  ),
  verified: z.strictObject({ sound: z.boolean(), divergences: count, judgements: count, replayed: count, replayable: count }),
});
