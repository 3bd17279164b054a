/**
 * The redactor of this installation: what it knows as secret. Must know every value that could reach a command's output by accident (SECURITY §5,
 * ARCHITECTURE invariant 10).
 */
import { concatBytes, sha256, toHex, utf8Encode } from '@openexec/canon';
import type { FileKey } from '@openexec/config';
import { createRedactor, type KnownSecret, type Redactor } from '@openexec/workspace';

const SECRET_NAME = /(^|_)(API_?KEY|TOKEN|SECRET|PASSWORD|PASSWD)$|^DATABASE_URL$/;
/** Shorter values are words, and words occur in files by chance. */
const LEAST_LENGTH = 12;
const TAG_PURPOSE = 'openexec redaction tags v1';

/** Knows the environment's secrets by the names of their variables, and the seeds of the keys that are loaded. */
export function redactorOf(env: { readonly [name: string]: string | undefined }, keys: readonly FileKey[], runtime: FileKey): Redactor {
  const fromEnv = Object.entries(env).flatMap(([name, value]): KnownSecret[] => {
    return value !== undefined && value.length >= LEAST_LENGTH && SECRET_NAME.test(name) ? [{ kind: 'env', value }] : [];
  });
  const fromKeys = keys.map((key): KnownSecret => ({ kind: 'key', value: toHex(key.seed) }));
  return createRedactor({ secrets: [...fromEnv, ...fromKeys], tagKey: sha256(concatBytes(utf8Encode(TAG_PURPOSE), runtime.seed)) });
}
