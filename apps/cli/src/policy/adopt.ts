/**
 * Adopting a policy in the law: from there on it narrows every run, open ones included, whatever the files of a repository say (PROTOCOL §§5, 7).
 */
import { err, ok, type Result } from '@openexec/canon';
import type { FileKey } from '@openexec/config';
import type { PolicyBundle, SignedPolicy } from '@openexec/protocol';
import type { CommandContext, OpenLedger } from '../context.ts';
import { type Refusal, refuse } from '../exit.ts';
import { KEY_LABELS, keysFolder, loadKey } from '../keyring.ts';
import { type Enacted, enact, lawOf } from '../law.ts';
import { blobOf, bundleRefusal, changeOf, type LawLayer, signPolicy } from './signed.ts';

/** A bundle for a layer of the law. */
export interface Adoption {
  readonly layer: LawLayer;
  readonly bundle: PolicyBundle;
}

/** Signs and records the adoption; the bundle before it in that layer counts no longer. */
export async function adopt(
  context: CommandContext,
  ledger: OpenLedger,
  adoption: Adoption & { readonly key: FileKey },
): Promise<Result<Enacted, Refusal>> {
  return enact(context, ledger, changeOf(signPolicy(context, ledger, adoption)));
}

/** Records an adoption that somebody signed elsewhere: no key of this machine is needed, and the law says whether the word counts. */
export async function adoptSigned(context: CommandContext, ledger: OpenLedger, signed: SignedPolicy): Promise<Result<Enacted, Refusal>> {
  const done = await enact(context, ledger, changeOf(signed));
  return done.ok ? done : err(bundleRefusal(done.error));
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
