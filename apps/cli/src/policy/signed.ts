/**
 * Signed bundles in files: the word that adopts a bundle, signed offline for one ledger and one layer, beside the bundle itself. Must never take a file
 * whose word the law would not take: which key, which ledger, which nonce is the law's to say (PROTOCOL §§2, 5, 7).
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { canonicalBytes, digestOf, type Json, ok, parseJson, type Result } from '@openexec/canon';
import { signBody, bodyType } from '@openexec/authority';
import type { FileKey } from '@openexec/config';
import { checkBundle } from '@openexec/policy';
import { type PolicyBundle, type SignedPolicy, signedPolicy } from '@openexec/protocol';
import type { CommandContext, OpenLedger } from '../context.ts';
import { type Refusal, type RefusalCode, refuse } from '../exit.ts';
import type { LawChange } from '../law.ts';
import { safeLine } from '../output.ts';
import { nonceOf } from '../setup/found.ts';

/** Layers that the law holds. */
export type LawLayer = 'operator' | 'organisation';

const MAX_BYTES = 4 * 1024 * 1024;
/** What the law's own word means for a bundle from a file. */
const MEANINGS: Readonly<Record<string, RefusalCode>> = {
  'law.ledger': 'policy.otherLedger',
  'law.nonce': 'policy.replayed',
  'law.untrusted': 'policy.untrusted',
  'law.signature': 'policy.tampered',
  'law.blob': 'policy.tampered',
};

/** The bundle as a blob of the ledger. */
export function blobOf(bundle: PolicyBundle) {
  const bytes = canonicalBytes(bundle);
  return { bytes, ref: { digest: digestOf(bytes), bytes: bytes.length, mediaType: 'application/json' } };
}

/** Signs the adoption of a bundle; nothing is written to the ledger. */
export function signPolicy(
  context: CommandContext,
  ledger: OpenLedger,
  of: { readonly layer: LawLayer; readonly bundle: PolicyBundle; readonly key: FileKey },
): SignedPolicy {
  const { layer, bundle, key } = of;
  const body = { ledger: ledger.fingerprint, nonce: nonceOf(context.randomness), layer, bundle: blobOf(bundle).ref };
  return { v: 1, adoption: signBody({ type: bodyType('policy.adopted'), body, seeds: [key.seed] }), bundle };
}

/** The law change that a signed bundle is. */
export function changeOf({ adoption, bundle }: SignedPolicy): LawChange {
  const { bytes, ref } = blobOf(bundle);
  const by = adoption.signatures[0]?.key ?? '';
  // Bodies out of schemas are JSON.
  const payload = adoption as unknown as Json;
  return { kind: 'policy.adopted', by, payload, blobs: [{ digest: ref.digest, bytes, mediaType: ref.mediaType }] };
}

/** Whether a file holds a signed bundle rather than a bare one: a JSON object with an adoption. Null where it cannot be read as that at all. */
export function readSignedPolicy(file: string): Result<SignedPolicy | null, Refusal> {
  const text = readText(file);
  const json = text === null || !text.trimStart().startsWith('{') ? null : parseJson(text, { maxBytes: MAX_BYTES, numbers: 'doubles' });
  if (json === null || !json.ok) return ok(null);
  const { value } = json;
  if (typeof value !== 'object' || value === null || !('adoption' in value)) return ok(null);
  const parsed = signedPolicy.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return refuse(
      'policy.invalid',
      `"${safeLine(file)}" is no signed bundle, at ${safeLine(issue?.path.join('.') ?? '', 120)}: ${safeLine(issue?.message ?? '', 200)}`,
    );
  }
  const { adoption, bundle } = parsed.data;
  const { digest, bytes } = adoption.body.bundle;
  const held = blobOf(bundle).ref;
  if (held.digest !== digest || held.bytes !== bytes)
    return refuse('policy.tampered', `"${safeLine(file)}": the signed word is for bundle ${digest}, the file holds ${held.digest}`);
  const checked = checkBundle(bundle);
  if (checked.ok) return ok(parsed.data);
  return refuse('policy.invalid', checked.error.map(({ message }) => `${safeLine(file)}: ${safeLine(message)}`).join('\n'));
}

/** A refusal of the law about a bundle from a file, in the words of policies. */
export function bundleRefusal(refusal: Refusal): Refusal {
  const { details } = refusal;
  const said = typeof details === 'object' && details !== null && !Array.isArray(details) && 'code' in details ? details['code'] : null;
  const code = typeof said === 'string' ? MEANINGS[said] : undefined;
  return refusal.code === 'law.refused' && code !== undefined ? { ...refusal, code } : refusal;
}

/** Writes it; a file that is there is not replaced. */
export function writeSignedPolicy(file: string, signed: SignedPolicy): Result<void, Refusal> {
  try {
    writeFileSync(file, `${JSON.stringify(signed, null, 2)}\n`, { flag: 'wx' });
    return ok(undefined);
  } catch (error) {
    const { code } = error as { readonly code?: string };
    if (code === 'EEXIST') return refuse('file.exists', `"${safeLine(file)}" is there already`);
    return refuse('file.unwritable', `"${safeLine(file)}" cannot be written (${code ?? ''})`);
  }
}

function readText(file: string): string | null {
  try {
    const stat = statSync(file);
    return !stat.isFile() || stat.size > MAX_BYTES ? null : readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}
