/**
 * The configured anchors of one ledger, opened: keys, certificates and policy read. Must never go on with one that cannot be read; a file that is
 * not there is an error and no anchor less (ARCHITECTURE §7).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  fileAnchor,
  gitAnchor,
  heldByFile,
  heldByGit,
  readTrusted,
  rfc3161Anchor,
  timestampOver,
  witnessAnchor,
  withDeadline,
} from '@openexec/anchors';
import { type Bytes, type Digest, err, instantToMs, ok, type Result, utf8Decode } from '@openexec/canon';
import { type AnchorSetting, type AnchorTime, anchorsOf, loadLayers } from '@openexec/config';
import { type Anchor, type AnchorError, type Cosigner, parseCosignerVkey, parseTlogPolicy, type TlogPolicy } from '@openexec/proof';
import type { Project, Surroundings } from '../context.ts';
import { type Refusal, refuse } from '../exit.ts';
import { safeLine } from '../output.ts';
import { configRefusal } from '../run/problems.ts';

const FOLDER_DIGITS = 32;

/** One anchor and what is needed to read its receipts. */
export interface AnchorPlace {
  readonly anchor: Anchor;
  /** Keys of a witness. */
  readonly cosigners: readonly Cosigner[];
  /** PEM that the receipts of an authority have to lead to. */
  readonly trusted: string | null;
  /** Asks an authority for a time stamp over any bytes; null for a place that gives none. */
  readonly stamp: ((data: Bytes) => Promise<Result<Bytes, AnchorError>>) | null;
  /** The note that it holds now; null for a place that can only be asked to take one. */
  readonly held: (() => Promise<Result<string | null, AnchorError>>) | null;
  /** When it is asked by itself. */
  readonly when: AnchorTime;
}

/** All of them. */
export interface AnchorPlaces {
  readonly places: readonly AnchorPlace[];
  readonly required: boolean;
  readonly maxAgeMs: number;
  readonly policy: TlogPolicy | null;
  /** The folder of this ledger's tiles; null where none are kept. */
  readonly tiles: string | null;
}

/** Opens the anchors of the ledger with this fingerprint. `project` is the checkout it belongs to, null for a ledger that was named. */
export function openPlaces(
  context: Pick<Surroundings, 'clock' | 'randomness' | 'places'>,
  ledger: { readonly fingerprint: Digest; readonly project: Project | null },
): Result<AnchorPlaces, Refusal> {
  const { project, fingerprint } = ledger;
  const root = project?.root ?? context.places.user;
  const layers = loadLayers(project?.folder ?? null, context.places);
  if (!layers.ok) return configRefusal(layers.error, root);
  const settings = anchorsOf(layers.value);
  if (!settings.ok) return configRefusal(settings.error, root);
  const { required, maxAgeMs, policy: policyFile, timeoutMs, tiles, to } = settings.value;
  const policy = policyFile === null ? ok(null) : readPolicy(policyFile);
  if (!policy.ok) return policy;
  const places: AnchorPlace[] = [];
  for (const setting of to) {
    if (setting.ledger !== null && setting.ledger !== fingerprint) continue;
    // A ref lies in the checkout of its ledger; of a ledger without one there is none to look at.
    if (setting.type === 'git' && project === null) continue;
    const place = openPlace(context, setting, { fingerprint, root, timeoutMs });
    if (!place.ok) return place;
    places.push({ ...place.value, anchor: withDeadline(place.value.anchor, timeoutMs) });
  }
  const tileFolder = tiles === null ? null : join(tiles, digitsOf(fingerprint));
  return ok({ places, required, maxAgeMs, policy: policy.value, tiles: tileFolder });
}

function openPlace(
  { clock, randomness }: Pick<Surroundings, 'clock' | 'randomness'>,
  setting: AnchorSetting,
  ledger: { readonly fingerprint: Digest; readonly root: string; readonly timeoutMs: number },
): Result<AnchorPlace, Refusal> {
  const { name, when } = setting;
  const { timeoutMs } = ledger;
  const plain = { cosigners: [], trusted: null, stamp: null, held: null, when };
  if (setting.type === 'witness') {
    const cosigner = parseCosignerVkey(setting.vkey);
    if (!cosigner.ok) return refuse('config.invalid', `anchors: the key of ${name}: ${cosigner.error.message}`);
    const cosigners = [cosigner.value];
    return ok({ ...plain, anchor: witnessAnchor({ name, url: setting.url, cosigners, timeoutMs }), cosigners });
  }
  if (setting.type === 'rfc3161') {
    const trusted = readText(setting.ca);
    const read = trusted.ok ? readTrusted(trusted.value) : trusted;
    if (!trusted.ok || !read.ok) return refuse('config.invalid', `anchors: ${name}: ${read.ok ? '' : read.error.message}`);
    const authority = { name, url: setting.url, trusted: trusted.value, randomness, timeoutMs };
    return ok({
      ...plain,
      anchor: rfc3161Anchor(authority),
      trusted: trusted.value,
      stamp: (data) => timestampOver(data, authority),
    });
  }
  if (setting.type === 'git') {
    const where = { repository: ledger.root, ref: setting.ref, timeoutMs };
    const now = (): number => Math.floor(instantToMs(clock.now()) / 1000);
    return ok({ ...plain, anchor: gitAnchor({ name, ...where, now }), held: () => heldByGit(where) });
  }
  const path = join(setting.folder, `${digitsOf(ledger.fingerprint)}.checkpoint`);
  return ok({ ...plain, anchor: fileAnchor({ name, path }), held: async () => heldByFile(path) });
}

function digitsOf(fingerprint: Digest): string {
  return fingerprint.slice('sha256:'.length, 'sha256:'.length + FOLDER_DIGITS);
}

function readPolicy(path: string): Result<TlogPolicy, Refusal> {
  const text = readText(path);
  if (!text.ok) return text;
  const policy = parseTlogPolicy(text.value);
  return policy.ok ? policy : refuse('config.invalid', `${safeLine(path)}: ${policy.error.message}`);
}

function readText(path: string): Result<string, Refusal> {
  try {
    const text = utf8Decode(readFileSync(path));
    return text.ok ? text : refuse('config.invalid', `${safeLine(path)}: ${text.error.message}`);
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    return err({ code: 'config.invalid', message: `${safeLine(path)} cannot be read (${String(code)})` });
  }
}
