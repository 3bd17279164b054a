/**
 * The members of a writ from flags and a file: every dimension can be said, none is widened by being left out. Must never decide what is granted.
 */
import { resolve } from 'node:path';
import { type Instant, instantFromMs, instantToMs, type Json, ok, parseInstant, type Result } from '@openexec/canon';
import { loadData } from '@openexec/config';
import { EFFECTS, nearest, type Writ, writ as writSchema } from '@openexec/protocol';
import { type Command, InvalidArgumentError } from 'commander';
import type { CommandContext } from '../context.ts';
import { type Refusal, refuse } from '../exit.ts';
import { safeLine } from '../output.ts';
import { configRefusal } from '../run/problems.ts';

/** Flags that say a dimension. */
export interface MemberOptions {
  readonly from?: string;
  readonly action?: readonly string[];
  readonly effect?: readonly string[];
  readonly read?: readonly string[];
  readonly write?: readonly string[];
  readonly host?: readonly string[];
  readonly tokens?: number;
  readonly usd?: number;
  readonly calls?: number;
  readonly wallMinutes?: number;
  readonly notBefore?: string;
  readonly notAfter?: string;
  readonly days?: number;
  readonly depth?: number;
  readonly subdivide?: boolean;
  readonly tenant?: string;
  readonly subject?: string;
}
/** The dimensions that a person may say. */
export type Members = Pick<
  Writ,
  | 'subject'
  | 'tenant'
  | 'actions'
  | 'ceiling'
  | 'readPaths'
  | 'writePaths'
  | 'hosts'
  | 'budget'
  | 'wallMs'
  | 'notBefore'
  | 'notAfter'
  | 'delegation'
>;

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
const NAMES: readonly (keyof Members)[] = [
  'subject',
  'tenant',
  'actions',
  'ceiling',
  'readPaths',
  'writePaths',
  'hosts',
  'budget',
  'wallMs',
  'notBefore',
  'notAfter',
  'delegation',
];

/** Adds the flags. */
export function withMembers(command: Command): Command {
  const several = (text: string, before: readonly string[] | undefined): readonly string[] => [...(before ?? []), text];
  return command
    .option('--from <file>', 'members of the writ as YAML or JSON; flags say otherwise')
    .option('--action <pattern>', 'an action, or prefix*; may be given several times', several)
    .option('--effect <class>', `an effect class of the ceiling: ${EFFECTS.join(', ')}; several times`, several)
    .option('--read <pattern>', 'a path that may be read: exact, dir/** or **; several times', several)
    .option('--write <pattern>', 'a path that may be written; several times', several)
    .option('--host <pattern>', 'a host, NAME:PORT or *.DOMAIN:PORT; several times', several)
    .option('--tokens <n>', 'budget of tokens', whole)
    .option('--usd <n>', 'budget in US dollars', dollars)
    .option('--calls <n>', 'budget of calls', whole)
    .option('--wall-minutes <n>', 'time that a run may be active', whole)
    .option('--not-before <moment>', 'it counts from here, such as 2027-01-31T00:00:00.000Z')
    .option('--not-after <moment>', 'it counts until here')
    .option('--days <n>', 'it counts for so many days', whole)
    .option('--depth <n>', 'how often it may be narrowed further', whole)
    .option('--subdivide', 'it may be narrowed')
    .option('--tenant <name>', 'whose work it is')
    .option('--subject <key>', 'id of the key it binds; default: the runtime key here');
}

/** The members: a base, over it the file, over that the flags. */
export function membersOf(base: Members, options: MemberOptions, context: CommandContext): Result<Members, Refusal> {
  const file: ReturnType<typeof fromFile> = options.from === undefined ? ok({}) : fromFile(options.from, context);
  if (!file.ok) return file;
  const times = windowOf(options, base, context);
  if (!times.ok) return times;
  const merged = { ...base, ...file.value, ...fromFlags(options), ...times.value };
  const budget = {
    ...base.budget,
    ...objectOf(file.value['budget']),
    ...said({
      tokens: options.tokens,
      calls: options.calls,
      usdMicros: options.usd === undefined ? undefined : Math.round(options.usd * 1e6),
    }),
  };
  const delegation = {
    ...base.delegation,
    ...objectOf(file.value['delegation']),
    ...said({ depth: options.depth, maySubdivide: options.subdivide ?? (options.depth === undefined ? undefined : options.depth > 0) }),
  };
  const members = { ...merged, budget, delegation };
  const checked = writSchema.partial().safeParse(members);
  if (checked.success) return ok(members as Members); // Every member is there from the base, and each was just held against its schema.
  const issue = checked.error.issues[0];
  return refuse('usage.invalid', `${issue?.path.join('.') ?? 'the writ'}: ${safeLine(issue?.message ?? 'not of its form')}`);
}

function fromFlags(options: MemberOptions) {
  const { action, effect, read, write, host, wallMinutes, tenant, subject } = options;
  return said({
    actions: action,
    ceiling: effect,
    readPaths: read,
    writePaths: write,
    hosts: host,
    wallMs: wallMinutes === undefined ? undefined : wallMinutes * MINUTE_MS,
    tenant,
    subject,
  });
}

function windowOf(
  options: MemberOptions,
  base: Members,
  context: CommandContext,
): Result<{ readonly notBefore?: Instant; readonly notAfter?: Instant }, Refusal> {
  if (options.days !== undefined && options.notAfter !== undefined) return refuse('usage.invalid', 'give --days or --not-after, not both');
  const moments: { notBefore?: Instant; notAfter?: Instant } = {};
  for (const [name, text] of [['notBefore', options.notBefore] as const, ['notAfter', options.notAfter] as const]) {
    const moment = text === undefined ? null : parseInstant(text);
    if (moment !== null && !moment.ok) return refuse('usage.invalid', `${name} takes a moment such as 2027-01-31T00:00:00.000Z`);
    if (moment !== null) moments[name] = moment.value;
  }
  if (options.days === undefined) return ok(moments);
  const from = moments.notBefore ?? base.notBefore;
  const start = from > context.clock.now() ? from : context.clock.now();
  return ok({ ...moments, notAfter: instantFromMs(instantToMs(start) + options.days * DAY_MS) });
}

function fromFile(file: string, context: CommandContext): Result<{ readonly [name: string]: Json }, Refusal> {
  const data = loadData(resolve(context.cwd, file));
  if (!data.ok) return configRefusal(data.error, context.cwd);
  const members = objectOf(data.value);
  if (members === null) return refuse('usage.invalid', `"${safeLine(file)}" holds no members of a writ`);
  const strange = Object.keys(members).find((name) => !NAMES.some((known) => known === name));
  if (strange === undefined) return ok(members);
  const close = nearest(strange.slice(0, 64), NAMES);
  return refuse(
    'usage.invalid',
    `"${safeLine(file)}": unknown member "${safeLine(strange, 64)}"${close === null ? '' : ` (did you mean ${close}?)`}; a writ takes ${NAMES.join(', ')}`,
  );
}

function objectOf(value: Json | undefined): { readonly [name: string]: Json } | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as { readonly [name: string]: Json }) : null;
}

/** The members that were said. */
function said<T extends object>(members: T): Partial<T> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as Partial<T>;
}

function whole(text: string): number {
  if (!/^(0|[1-9][0-9]{0,12})$/.test(text)) throw new InvalidArgumentError('a whole number');
  return Number(text);
}

function dollars(text: string): number {
  if (!/^\d{1,6}(\.\d{1,6})?$/.test(text)) throw new InvalidArgumentError('an amount such as 0.50');
  return Number(text);
}
