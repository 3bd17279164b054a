/**
 * Adopting a policy in the law: from there on it narrows every run, open ones included, whatever the files of a repository say (PROTOCOL §§5, 7).
 */
import { type Bytes, canonicalBytes, digestOf, ok, type Result } from '@openexec/canon';
import type { FileKey } from '@openexec/config';
import type { PolicyBundle } from '@openexec/protocol';
import type { CommandContext, OpenLedger } from '../context.ts';
import { type Refusal, refuse } from '../exit.ts';
import { KEY_LABELS, keysFolder, loadKey } from '../keyring.ts';
import { type Enacted, enact, lawOf, signedChange } from '../law.ts';

/** A bundle for a layer of the law. */
export interface Adoption {
  readonly layer: 'operator' | 'organisation';
  readonly bundle: PolicyBundle;
}

/** Signs and records the adoption; the bundle before it in that layer counts no longer. */
export async function adopt(
  context: CommandContext,
  ledger: OpenLedger,
  adoption: Adoption & { readonly key: FileKey },
): Promise<Result<Enacted, Refusal>> {
  const { layer, key } = adoption;
  const { bytes, ref } = blobOf(adoption.bundle);
  const change = signedChange(context, ledger, { kind: 'policy.adopted', key, body: { layer, bundle: ref } });
  return enact(context, ledger, { ...change, blobs: [{ digest: ref.digest, bytes, mediaType: ref.mediaType }] });
}

/** The same with the root key of this machine, where that very bundle is not in force already. Answers with the law position. */
export async function adoptOnce(context: CommandContext, ledger: OpenLedger, adoption: Adoption): Promise<Result<number, Refusal>> {
  const law = await lawOf(ledger);
  if (!law.ok) return law;
  const there = law.value.adopted.find(({ layer }) => layer === adoption.layer);
  if (there?.digest === blobOf(adoption.bundle).ref.digest) return ok(there.seq);
  if (there !== undefined)
    return refuse(
      'law.refused',
      `the law has ${there.bundle.name} in force for layer ${there.layer}; openexec policy adopt puts another in its place`,
    );
  const root = loadKey(keysFolder(ledger.stateFolder), KEY_LABELS.root);
  if (!root.ok) return root;
  const done = await adopt(context, ledger, { ...adoption, key: root.value });
  return done.ok ? ok(done.value.position) : done;
}

function blobOf(bundle: PolicyBundle) {
  const bytes: Bytes = canonicalBytes(bundle);
  return { bytes, ref: { digest: digestOf(bytes), bytes: bytes.length, mediaType: 'application/json' } };
}
