/**
 * Where checkpoints are shown, out of several layers. A repository may ask for more (required, a shorter age, a ref of its own) but never say where
 * else something is sent or whose word is taken. Must never read a file. PROTOCOL §3 (anchors), CLI.md "Files".
 */
import { err, ok, type Result } from '@openexec/canon';
import type { ConfigProblem } from './problems.ts';
import type { AnchorPlace, ConfigFile } from './schema.ts';
import type { Source } from './source.ts';

/** A layer, as far as it is read here. */
interface Layer {
  readonly name: string;
  readonly source: Source;
  readonly config: ConfigFile;
}

/** At the close of every run; by time, while a run is driven and at a close that finds it due; or only by `openexec ledger anchor`. */
export type AnchorTime = { readonly at: 'close' | 'demand' } | { readonly at: 'every'; readonly everyMs: number };

/** One place, complete for its type. */
export type AnchorSetting = {
  readonly name: string;
  /** The one ledger that it is for; null: every ledger. */
  readonly ledger: string | null;
  /** When it is asked without being told to. */
  readonly when: AnchorTime;
} & (
  | { readonly type: 'witness'; readonly url: string; readonly vkey: string }
  | { readonly type: 'rfc3161'; readonly url: string; readonly ca: string }
  | { readonly type: 'git'; readonly ref: string }
  | { readonly type: 'file'; readonly folder: string }
);

/** What all layers together say. */
export interface AnchorSettings {
  readonly to: readonly AnchorSetting[];
  /** Without a fresh anchor `verify` ends with 22. */
  readonly required: boolean;
  readonly maxAgeMs: number;
  /** Absolute path of a tlog-policy. */
  readonly policy: string | null;
  /** Most that one place may take to answer. */
  readonly timeoutMs: number;
  /** Absolute path of the folder of tiles. */
  readonly tiles: string | null;
}

/** An anchor of yesterday is fresh enough where nobody says anything. */
const MAX_AGE_MINUTES = 1440;
/** What a run waits for a place at most where nobody says anything. */
const TIMEOUT_SECONDS = 10;
const UNITS_MS: { readonly [unit: string]: number } = { m: 60_000, h: 3_600_000, d: 86_400_000 };
const GUEST = 'a repository may not choose where checkpoints are sent and whose word is taken; put this into your own configuration';
const DEFAULT_REF = 'refs/openexec/checkpoints';

/** Merges the layers (in their order). */
export function anchorsOf(layers: readonly Layer[]): Result<AnchorSettings, readonly ConfigProblem[]> {
  const to: AnchorSetting[] = [];
  const problems: ConfigProblem[] = [];
  for (const layer of layers) {
    const guest = layer.name === 'project' || layer.name === 'local';
    for (const [at, place] of (layer.config.anchors?.to ?? []).entries()) {
      const twice = to.some(({ name }) => name === place.name);
      const setting = guest && place.type !== 'git' ? GUEST : twice ? `the name ${place.name} is taken` : complete(place);
      if (typeof setting === 'string') problems.push(problem(layer, ['anchors', 'to', at], setting));
      else to.push(setting);
    }
    for (const key of ['policy', 'tiles', 'timeoutSeconds'] as const)
      if (guest && layer.config.anchors?.[key] !== undefined) problems.push(problem(layer, ['anchors', key], GUEST));
  }
  if (problems.length > 0) return err(problems);
  const ages = layers.flatMap(({ config }) => config.anchors?.maxAgeMinutes ?? []);
  const waits = layers.flatMap(({ config }) => config.anchors?.timeoutSeconds ?? []);
  return ok({
    to,
    required: layers.some(({ config }) => config.anchors?.required === true),
    maxAgeMs: Math.min(...(ages.length === 0 ? [MAX_AGE_MINUTES] : ages)) * 60_000,
    policy: layers.map(({ config }) => config.anchors?.policy).find((path) => path !== undefined) ?? null,
    timeoutMs: Math.min(...(waits.length === 0 ? [TIMEOUT_SECONDS] : waits)) * 1000,
    tiles: layers.map(({ config }) => config.anchors?.tiles).find((path) => path !== undefined) ?? null,
  });
}

/** The setting, or what is missing or too much for its type. */
function complete(place: AnchorPlace): AnchorSetting | string {
  const { name, type, url, vkey, ca, ref, folder } = place;
  const plain = { name, ledger: place.ledger ?? null, when: timeOf(place.at) };
  const given = Object.entries({ url, vkey, ca, ref, folder }).flatMap(([key, value]) => (value === undefined ? [] : [key]));
  const only = (...allowed: readonly string[]): string | null => {
    const extra = given.find((key) => !allowed.includes(key));
    return extra === undefined ? null : `an anchor of type ${type} has no ${extra}`;
  };
  if (type === 'witness') return only('url', 'vkey') ?? (url && vkey ? { ...plain, type, url, vkey } : 'a witness needs url and vkey');
  if (type === 'rfc3161')
    return only('url', 'ca') ?? (url && ca ? { ...plain, type, url, ca } : 'a time stamping authority needs url and ca');
  if (type === 'git') return only('ref') ?? { ...plain, type, ref: ref ?? DEFAULT_REF };
  return only('folder') ?? (folder ? { ...plain, type, folder } : 'a file needs folder');
}

function timeOf(at: string | undefined): AnchorTime {
  const [, count, unit] = /^every (\d+)([mhd])$/.exec(at ?? '') ?? [];
  if (count !== undefined && unit !== undefined) return { at: 'every', everyMs: Number(count) * (UNITS_MS[unit] ?? 0) };
  return { at: at === 'demand' ? 'demand' : 'close' };
}

function problem(layer: Layer, path: readonly (string | number)[], message: string): ConfigProblem {
  const { line, column } = layer.source.at(path);
  const code = message === GUEST ? 'config.untrusted' : 'config.value';
  return { code, message: `${path.join('.')}: ${message}`, file: layer.source.file, line, column };
}
