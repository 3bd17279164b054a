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

/** One place, complete for its type. */
export type AnchorSetting = {
  readonly name: string;
  /** The one ledger that it is for; null: every ledger. */
  readonly ledger: string | null;
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
}

/** An anchor of yesterday is fresh enough where nobody says anything. */
const MAX_AGE_MINUTES = 1440;
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
    if (guest && layer.config.anchors?.policy !== undefined) problems.push(problem(layer, ['anchors', 'policy'], GUEST));
  }
  if (problems.length > 0) return err(problems);
  const ages = layers.flatMap(({ config }) => config.anchors?.maxAgeMinutes ?? []);
  return ok({
    to,
    required: layers.some(({ config }) => config.anchors?.required === true),
    maxAgeMs: Math.min(...(ages.length === 0 ? [MAX_AGE_MINUTES] : ages)) * 60_000,
    policy: layers.map(({ config }) => config.anchors?.policy).find((path) => path !== undefined) ?? null,
  });
}

/** The setting, or what is missing or too much for its type. */
function complete(place: AnchorPlace): AnchorSetting | string {
  const { name, type, url, vkey, ca, ref, folder } = place;
  const ledger = place.ledger ?? null;
  const given = Object.entries({ url, vkey, ca, ref, folder }).flatMap(([key, value]) => (value === undefined ? [] : [key]));
  const only = (...allowed: readonly string[]): string | null => {
    const extra = given.find((key) => !allowed.includes(key));
    return extra === undefined ? null : `an anchor of type ${type} has no ${extra}`;
  };
  if (type === 'witness') return only('url', 'vkey') ?? (url && vkey ? { name, ledger, type, url, vkey } : 'a witness needs url and vkey');
  if (type === 'rfc3161')
    return only('url', 'ca') ?? (url && ca ? { name, ledger, type, url, ca } : 'a time stamping authority needs url and ca');
  if (type === 'git') return only('ref') ?? { name, ledger, type, ref: ref ?? DEFAULT_REF };
  return only('folder') ?? (folder ? { name, ledger, type, folder } : 'a file needs folder');
}

function problem(layer: Layer, path: readonly (string | number)[], message: string): ConfigProblem {
  const { line, column } = layer.source.at(path);
  const code = message === GUEST ? 'config.untrusted' : 'config.value';
  return { code, message: `${path.join('.')}: ${message}`, file: layer.source.file, line, column };
}
