/**
 * `writ revoke` and `writ restore`: signed law, by a root key or by the issuer of that writ. What descends from a revoked writ falls with it; what has
 * started is observed and committed, nothing else starts (PROTOCOL §5).
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { writId } from '@openexec/authority';
import { type Digest, ok, parseDigest, type Result } from '@openexec/canon';
import type { Writ } from '@openexec/protocol';
import type { CommandContext, CommandResult, OpenLedger } from '../context.ts';
import { EXIT, type Refusal, refuse } from '../exit.ts';
import { findKeyFile, KEY_LABELS, keyFiles, keysFolder } from '../keyring.ts';
import { enact, signedChange } from '../law.ts';
import { safeLine } from '../output.ts';
import { type PassphraseOptions, unlock } from '../passphrase.ts';
import { readChain } from './file.ts';
import { knownWrits } from './look.ts';
import { redactWords } from '../run/redact.ts';

/** Options of both commands. */
export interface RevokeOptions extends PassphraseOptions {
  readonly because: string;
  readonly key?: string;
  readonly json?: boolean;
}
interface Wanted {
  readonly id: Digest;
  /** Null for an id that the ledger has not seen: it may be revoked before it is used. */
  readonly writ: Writ | null;
}

const BECAUSE_MAX = 2000;

/** Revokes or restores the writ that `wanted` names: an id, a prefix of one the ledger knows, a run, or a file. */
export async function changeStanding(
  kind: 'writ.revoked' | 'writ.restored',
  wanted: string,
  options: RevokeOptions,
  context: CommandContext,
  ledger: OpenLedger,
): Promise<CommandResult> {
  const found = await findWrit(wanted, context, ledger);
  if (!found.ok) return found;
  const { id, writ } = found.value;
  const folder = keysFolder(ledger.stateFolder);
  // Anybody else's word about a run's writ would stand in the law and count for nothing.
  const own = keyFiles(folder).find(({ keyId }) => keyId === writ?.issuer);
  const file = options.key === undefined && own !== undefined ? ok(own) : findKeyFile(folder, options.key ?? KEY_LABELS.root);
  if (!file.ok) return file;
  const mine = file.value.roles.includes('root') || writ === null || file.value.keyId === writ.issuer;
  if (!mine) return refuse('law.refused', `key ${file.value.keyId} neither issued this writ (${writ.issuer} did) nor is a root key`);
  const key = await unlock(file.value, options, context);
  if (!key.ok) return key;
  const because = await redactWords(context, key.value, options.because);
  if (!because.ok) return because;
  const body = { writ: id, because: because.value.slice(0, BECAUSE_MAX) };
  const enacted = await enact(context, ledger, signedChange(context, ledger, { kind, key: key.value, body }));
  if (!enacted.ok) return enacted;
  const { position } = enacted.value;
  if (options.json === true) context.output.json('writ-change', { v: 1, writ: id, kind, by: key.value.keyId, law: position });
  else
    context.output.result(
      kind === 'writ.revoked'
        ? `revoked   ${id} (law ${position}): it and all that descends from it start nothing more`
        : `restored  ${id} (law ${position}): it counts again within its window`,
    );
  return ok(EXIT.ok);
}

async function findWrit(wanted: string, context: CommandContext, ledger: OpenLedger): Promise<Result<Wanted, Refusal>> {
  const known = await knownWrits(ledger);
  const digest = parseDigest(wanted);
  if (digest.ok) return ok({ id: digest.value, writ: known.find(({ id }) => id === digest.value)?.writ ?? null });
  const file = resolve(context.cwd, wanted);
  if (existsSync(file)) {
    const chain = readChain(file);
    if (!chain.ok) return chain;
    const leaf = chain.value.at(-1)?.body;
    return leaf === undefined ? refuse('writ.invalid', 'the chain is empty') : ok({ id: writId(leaf), writ: leaf });
  }
  const prefix = wanted.replace(/^(sha256:|run\/)/, '');
  if (!/^[0-9a-f]{4,64}$/.test(prefix))
    return refuse('usage.invalid', `"${safeLine(wanted, 80)}" is no id of a writ (at least 4 hex digits), no run and no file`);
  const matches = known.filter(({ id, run }) => id.startsWith(`sha256:${prefix}`) || run?.startsWith(`run/${prefix}`) === true);
  const [first, second] = matches;
  if (first === undefined)
    return refuse('usage.invalid', `no writ and no run of this ledger begins with ${prefix}; openexec writ list shows them`);
  return second === undefined ? ok(first) : refuse('usage.invalid', `several writs or runs begin with ${prefix}; give more of the id`);
}
