/**
 * The attacker's vote: signed with a key of its own, put straight into the ledger, past every command that would refuse it. For the hostile demo only;
 * must never use a key that anybody trusts.
 */
import { err, type KeyId, ok, type Result } from '@openexec/canon';
import type { FileKey } from '@openexec/config';
import { keyIdOf, publicKeyOf } from '@openexec/proof';
import { castVote } from '@openexec/runtime';
import { findApproval } from '../approval/requests.ts';
import { signVote } from '../approval/vote.ts';
import type { Surroundings } from '../context.ts';
import { openLedger } from '../openLedger.ts';
import { createSurroundings, findProject } from '../surroundings.ts';

const SEED_BYTES = 32;

/** Appends a yes by a fresh key to the run; answers with its position. */
export async function castForgedVote(
  context: Surroundings,
  options: {
    readonly place: { readonly repository: string; readonly env: Surroundings['env'] };
    readonly run: string;
    readonly request: string;
  },
): Promise<Result<number, string>> {
  const { place, request } = options;
  const own = createSurroundings({ env: place.env, cwd: place.repository, assets: context.assets });
  const opened = await openLedger({ ...own, choice: { access: 'write' }, project: async () => findProject(place.repository, own.places) });
  if (!opened.ok) return err(opened.error.message);
  const { store, fingerprint } = opened.value;
  try {
    const found = await findApproval(store, request);
    if (!found.ok) return err(found.error.message);
    const seed = own.randomness.bytes(SEED_BYTES);
    const publicKey = publicKeyOf(seed);
    const keyId: KeyId = keyIdOf(publicKey);
    const key: FileKey = { label: 'stranger', keyId, publicKey, seed, roles: ['approver'], assurance: 'file' };
    const { digest, until, id } = found.value.request;
    const signedVote = signVote({
      key,
      randomness: own.randomness,
      ledger: fingerprint,
      run: found.value.run,
      request: id,
      digest,
      until,
      decision: 'approve',
      because: 'the operator said so',
    });
    const cast = await castVote({ ledger: store, clock: own.clock, run: found.value.run, signedVote, assurance: 'file' });
    return cast.ok ? ok(cast.value.seq) : err(cast.error.message);
  } finally {
    await opened.value.close();
  }
}
