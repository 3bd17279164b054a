/**
 * The redactor of this installation: what it knows as secret. Must know every value that could reach a command's output by accident (SECURITY §5,
 * ARCHITECTURE invariant 10).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { concatBytes, type Json, ok, type Result, sha256, toHex, utf8Encode } from '@openexec/canon';
import type { FileKey } from '@openexec/config';
import { createRedactor, inspectRepository, type KnownSecret, loadSecondOpinion, type Redactor } from '@openexec/workspace';
import type { CommandContext } from '../context.ts';
import { type Refusal, refuse } from '../exit.ts';

/** Where this installation's secrets stand. */
export interface SecretPlaces {
  readonly env: { readonly [name: string]: string | undefined };
  /** Keys that are loaded; their seeds are secret. */
  readonly keys: readonly FileKey[];
  /** Its seed keys the tags of markers, so that a tag tells nothing to anybody else. */
  readonly runtime: FileKey;
  /** Top folder of the checkout and the repository's own folder: tokens stand in .npmrc and in the addresses of remotes. */
  readonly root: string | null;
  readonly commonDir: string | null;
}

/** The keys of providers (CLI.md "Environment"): secret whatever they look like. */
const PROVIDER_KEYS: ReadonlySet<string> = new Set(['OPENAI_API_KEY', 'ANTHROPIC_API_KEY', 'GEMINI_API_KEY']);
const SECRET_NAME =
  /(?:^|_)(?:API_?KEY|ACCESS_?KEY|ACCOUNT_?KEY|PRIVATE_?KEY|SIGNING_?KEY|ENCRYPTION_?KEY|TOKEN|PAT|SECRET|PASSWORD|PASSWD|PASSPHRASE|PGPASSWORD|CREDENTIALS?|AUTH)$|_authToken$|__?auth$/i;
/** Ordinary words are shorter, and words occur in files by chance. Passwords that stand in an address are taken at any length that can be told. */
const LEAST_LENGTH = 12;
/** The matcher's own bound (libs/workspace known.ts). */
const LEAST_BYTES = 8;
const PIECE_BYTES = 1024;
const MOST_BYTES = 4096;
/** A line of a key or certificate is secret by itself. */
const LINE_LENGTH = 24;
const ADDRESS = /[a-z][a-z0-9+.-]*:\/\/([^\s/?#@"']+)@/gi;
const TAG_PURPOSE = 'openexec redaction tags v1';

/** Knows the environment, the addresses and tokens beside the checkout, and the seeds of the keys that are loaded; asks secretlint second. */
export async function redactorOf(places: SecretPlaces): Promise<Result<Redactor, Refusal>> {
  const found = [...fromEnvironment(places.env), ...fromCheckout(places), ...fromKeys(places.keys)];
  const secrets: KnownSecret[] = [];
  for (const { kind, value, where } of found) {
    const bytes = Buffer.byteLength(value);
    if (bytes < LEAST_BYTES) continue;
    if (bytes > MOST_BYTES)
      return refuse(
        'config.invalid',
        `${where} holds a secret of ${bytes} bytes; at most ${MOST_BYTES} can be kept out of a run: unset it`,
      );
    for (const piece of piecesOf(value)) secrets.push({ kind, value: piece });
  }
  const unique = [...new Map(secrets.map((secret) => [secret.value, secret])).values()];
  const tagKey = sha256(concatBytes(utf8Encode(TAG_PURPOSE), places.runtime.seed));
  return ok(createRedactor({ secrets: unique, tagKey, second: await loadSecondOpinion() }));
}

interface Found extends KnownSecret {
  /** Said when it cannot be taken. */
  readonly where: string;
}

function fromEnvironment(env: SecretPlaces['env']): readonly Found[] {
  return Object.entries(env).flatMap(([name, value]): Found[] => {
    if (value === undefined || value === '') return [];
    const where = `environment variable ${name}`;
    // An address may stand percent-encoded in another: the companion store in that of a cluster.
    const inAddresses = [...new Set([value, decoded(value)])]
      .flatMap(passwordsIn)
      .map((password) => ({ kind: 'address', value: password, where }));
    if (PROVIDER_KEYS.has(name)) return [{ kind: 'provider', value, where }];
    if (name === 'DATABASE_URL') return [{ kind: 'env', value, where }, ...inAddresses];
    return value.length >= LEAST_LENGTH && SECRET_NAME.test(name) ? [{ kind: 'env', value, where }, ...inAddresses] : inAddresses;
  });
}

/** What the repository's configuration and the checkout's .npmrc hold: addresses with a password or token, and headers that carry one. */
function fromCheckout({ root, commonDir }: SecretPlaces): readonly Found[] {
  if (root === null || commonDir === null) return [];
  const config = join(commonDir, 'config');
  const npmrc = join(root, '.npmrc');
  const settings = readIfThere(config);
  const headers = [...settings.matchAll(/extraheader\s*=\s*"?[^:\n]+:\s*(?:basic|bearer|token)\s+([^\s"]+)/gi)].map(
    ([, value = '']) => value,
  );
  const tokens = [...readIfThere(npmrc).matchAll(/^[^#;\n]*(?:_authToken|_password|_auth)\s*=\s*"?([^\s"$]+)"?\s*$/gim)].map(
    ([, value = '']) => value,
  );
  return [
    ...passwordsIn(settings).map((value) => ({ kind: 'git', value, where: config })),
    ...headers.map((value) => ({ kind: 'git', value, where: config })),
    ...[...tokens, ...passwordsIn(readIfThere(npmrc))].map((value) => ({ kind: 'npm', value, where: npmrc })),
  ];
}

function fromKeys(keys: readonly FileKey[]): readonly Found[] {
  return keys.flatMap((key) => [
    { kind: 'key', value: toHex(key.seed), where: key.label },
    { kind: 'key', value: Buffer.from(key.seed).toString('base64').replace(/=+$/, ''), where: key.label },
  ]);
}

/** `user:password@` and `token@` of addresses, as written and decoded. A lone user name like git@ is too short to be taken. */
function passwordsIn(text: string): readonly string[] {
  return [...text.matchAll(ADDRESS)].flatMap(([, userinfo = '']) => {
    const colon = userinfo.indexOf(':');
    const password = colon < 0 ? userinfo : userinfo.slice(colon + 1);
    // `user:@` and `token:x-oauth-basic@`: the token is the user name.
    const both = password === '' || password === 'x-oauth-basic' ? [userinfo.slice(0, colon)] : [password];
    return both
      .filter((value) => Buffer.byteLength(value) >= (colon < 0 ? LEAST_LENGTH : LEAST_BYTES))
      .flatMap((value) => [value, decoded(value)]);
  });
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR') return '';
    throw error;
  }
}

/** A long value in pieces that can each be recognised, and each line of a value of several lines. */
function piecesOf(value: string): readonly string[] {
  const characters = [...value];
  // By characters, of at most four bytes each, so that no piece ends inside one.
  const most = Buffer.byteLength(value) === value.length ? PIECE_BYTES : PIECE_BYTES / 4;
  const size = Math.ceil(characters.length / Math.ceil(characters.length / most));
  const pieces: string[] = [];
  for (let from = 0; from < characters.length; from += size) pieces.push(characters.slice(from, from + size).join(''));
  const lines = value.split(/\r?\n|\\n/);
  if (lines.length > 1)
    pieces.push(...lines.filter((line) => line.length >= LINE_LENGTH && line.length <= PIECE_BYTES && !line.startsWith('-----')));
  return pieces;
}

/** What a person says for the record (`--because`), without secrets. `key` is the one that signs it; the runtime's need not be on this machine. */
export async function redactWords(context: CommandContext, key: FileKey, text: string): Promise<Result<string, Refusal>> {
  const project = await context.project();
  const root = project.ok ? project.value.root : null;
  const repository = root === null ? null : await inspectRepository(root);
  const commonDir = repository?.ok === true ? repository.value.commonDir : null;
  const redactor = await redactorOf({ env: context.env, keys: [key], runtime: key, root, commonDir });
  return redactor.ok ? ok(redactor.value.redactText(text)) : redactor;
}

/** The same JSON with every text in it redacted, names included. */
export function redactJson(value: Json, redactor: Redactor): Json {
  if (typeof value === 'string') return redactor.redactText(value);
  if (Array.isArray(value)) return (value as readonly Json[]).map((item) => redactJson(item, redactor));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [redactor.redactText(name), redactJson(member, redactor)]));
}

/** The first of these that holds a known secret: what opens a run is recorded as it is, so it may hold none. */
export function refuseSecrets(parts: { readonly [what: string]: unknown }, redactor: Redactor): Result<void, Refusal> {
  for (const [what, part] of Object.entries(parts)) {
    const hit = redactor.findSecrets(utf8Encode(JSON.stringify(part) ?? '')).find((found) => found.known);
    if (hit !== undefined)
      return refuse(
        'secret.recorded',
        `${what} holds a secret of this installation (${hit.kind}, ${hit.tag}), and what opens a run is recorded as it is`,
      );
  }
  return ok(undefined);
}
