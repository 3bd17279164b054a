/**
 * `key rotate`: a new key in the place of one that is here, with the same roles, vouched for and the old one retired by one change of the law. Must never
 * leave the ledger without a key that counts: the new file is durable before the law names it, and takes its place only afterwards (PROTOCOL §5).
 */
import { isRevoked, keyInForce, type LawView, writId } from '@openexec/authority';
import { err, type Instant, type KeyId, ok, type Result, type TrajectoryId } from '@openexec/canon';
import { type KeyFile, listKeys, swapKey, writeKey } from '@openexec/config';
import type { SignedWrit } from '@openexec/protocol';
import type { CommandContext, CommandResult, OpenLedger } from '../context.ts';
import { EXIT, type Refusal, refuse } from '../exit.ts';
import { findKeyFile, KEY_LABELS, keyRefusal, keysFolder } from '../keyring.ts';
import { enactAll, lawOf, signedChange } from '../law.ts';
import { safeLine } from '../output.ts';
import { newPassphrase, type PassphraseOptions } from '../passphrase.ts';
import { readEvent } from '../read/events.ts';
import { redactWords } from '../run/redact.ts';
import { rootKey, trustedFrom } from './trust.ts';

/** Options of `key rotate`; the passphrase is that of the root key. */
export interface RotateOptions extends PassphraseOptions {
  readonly because: string;
  readonly root: string;
  readonly overlap?: boolean;
  readonly newPassphraseFd?: string;
  readonly newPassphraseFile?: string;
  readonly json?: boolean;
}
interface Names {
  readonly label: string;
  readonly next: string;
  readonly aside: string;
}

const LAW = 'law' as TrajectoryId; // The one name of its grammar.
const SEED_BYTES = 32;
const BECAUSE_MAX = 2000;
const ID_DIGITS = 8;

/** Rotates a key. After a crash the same call goes on where it was. */
export async function rotate(label: string, options: RotateOptions, context: CommandContext, ledger: OpenLedger): Promise<CommandResult> {
  if (label === KEY_LABELS.log)
    return refuse('usage.invalid', 'the log key is the name of this ledger towards witnesses and anchors; it is not rotated');
  const folder = keysFolder(ledger.stateFolder);
  const old = findOld(folder, label);
  if (!old.ok) return old;
  const names: Names = { label, next: `${label}-next`, aside: `${label}-${old.value.keyId.slice(0, ID_DIGITS)}` };
  const law = await lawOf(ledger);
  if (!law.ok) return law;
  const begun = listKeys(folder).includes(names.next) ? findKeyFile(folder, names.next) : ok(null);
  if (!begun.ok) return begun;
  // The law has taken the new key already: only the files were left.
  const taken = begun.value !== null && law.value.keys.has(begun.value.keyId as KeyId);
  const fresh = taken ? ok(law.value.position) : await change(options, context, { ledger, law: law.value, old: old.value, names });
  if (!fresh.ok) return fresh;
  const swapped = swapKey(folder, names);
  if (!swapped.ok) return err(keyRefusal(swapped.error));
  return tell(options, context, { ledger, old: old.value, names, position: fresh.value });
}

/** The key that is to go: under its label, or set aside by a call that was cut short between the two renames. */
function findOld(folder: string, label: string): Result<KeyFile, Refusal> {
  const file = findKeyFile(folder, label);
  if (file.ok || file.error.code !== 'key.missing' || !listKeys(folder).includes(`${label}-next`)) return file;
  const aside = listKeys(folder).find((each) => each.startsWith(`${label}-`) && /^[0-9a-f]{8}$/.test(each.slice(label.length + 1)));
  return aside === undefined ? file : findKeyFile(folder, aside);
}

interface Place {
  readonly ledger: OpenLedger;
  readonly law: LawView;
  readonly old: KeyFile;
  readonly names: Names;
}

/** Makes the key and changes the law. */
async function change(options: RotateOptions, context: CommandContext, place: Place): Promise<Result<number, Refusal>> {
  const { ledger, law, old, names } = place;
  const now = context.clock.now();
  const record = keyInForce(law, old.keyId as KeyId, now); // Key files hold checked ids.
  if (record === null) return refuse('law.refused', `key ${old.keyId} is not in force; only a key that counts is rotated`);
  const bound = options.overlap === true ? null : await boundBy(ledger, law, { keyId: old.keyId, now });
  if (bound !== null) return refuse('key.inUse', `${bound} would stop counting with key ${old.keyId}`);
  const root = await rootKey(options, context, ledger);
  if (!root.ok) return root;
  const because = await redactWords(context, root.value, options.because);
  if (!because.ok) return because;
  const next = await nextKey(options, context, place);
  if (!next.ok) return next;
  const { publicKey } = next.value;
  const window = { notBefore: now, notAfter: record.window.notAfter };
  const trusted = trustedFrom({ publicKey, roles: record.roles, label: names.label, window });
  const retired = { key: old.keyId, because: because.value.slice(0, BECAUSE_MAX) };
  const enacted = await enactAll(context, ledger, [
    signedChange(context, ledger, { kind: 'key.trusted', key: root.value, body: trusted }),
    ...(options.overlap === true ? [] : [signedChange(context, ledger, { kind: 'key.retired', key: root.value, body: retired })]),
  ]);
  return enacted.ok ? ok(enacted.value.position) : enacted;
}

/** The new key's file: one that an earlier call made and the law does not know, or a fresh one, held as the old one was. */
async function nextKey(options: RotateOptions, context: CommandContext, { ledger, old, names }: Place): Promise<Result<KeyFile, Refusal>> {
  const folder = keysFolder(ledger.stateFolder);
  if (!listKeys(folder).includes(names.next)) {
    const { newPassphraseFd, newPassphraseFile } = options;
    const from = {
      ...(newPassphraseFd === undefined ? {} : { passphraseFd: newPassphraseFd }),
      ...(newPassphraseFile === undefined ? {} : { passphraseFile: newPassphraseFile }),
    };
    const passphrase = old.assurance === 'passphrase' ? await newPassphrase(names.label, from, context) : ok(null);
    if (!passphrase.ok) return passphrase;
    const seed = context.randomness.bytes(SEED_BYTES);
    const made = writeKey(folder, { label: names.next, roles: old.roles, seed, passphrase: passphrase.value });
    if (!made.ok) return err(keyRefusal(made.error));
  }
  return findKeyFile(folder, names.next);
}

/** What counts only while this key does: an open run or a standing writ in force that names it in its chain; null for nothing. */
async function boundBy(ledger: OpenLedger, law: LawView, of: { readonly keyId: string; readonly now: Instant }): Promise<string | null> {
  const { keyId, now } = of;
  const names = ({ body }: SignedWrit): boolean => body.issuer === keyId || body.subject === keyId;
  for await (const { trajectory, closed } of ledger.store.trajectories('run/'))
    if (!closed && (await chainOf(ledger, trajectory)).some(names)) return `the open run ${trajectory}`;
  for await (const stored of ledger.store.read(LAW)) {
    const { event } = readEvent(stored);
    if (event?.kind !== 'writ.issued' || !names(event.body.writ)) continue;
    const { body } = event.body.writ;
    const id = writId(body);
    if (body.notAfter >= now && !isRevoked(law, id, body)) return `the standing writ ${id}`;
  }
  return null;
}

async function chainOf(ledger: OpenLedger, run: TrajectoryId): Promise<readonly SignedWrit[]> {
  for await (const stored of ledger.store.read(run, 0, 1)) {
    const { event } = readEvent(stored);
    if (event?.kind === 'run.opened') return event.body.writs;
  }
  return [];
}

async function tell(
  options: RotateOptions,
  context: CommandContext,
  of: { readonly ledger: OpenLedger; readonly old: KeyFile; readonly names: Names; readonly position: number },
): Promise<CommandResult> {
  const { ledger, old, names, position } = of;
  const file = findKeyFile(keysFolder(ledger.stateFolder), names.label);
  if (!file.ok) return file;
  const { keyId, assurance } = file.value;
  const law = await lawOf(ledger);
  if (!law.ok) return law;
  const retired = law.value.keys.get(old.keyId as KeyId)?.retiredAt ?? null; // As above.
  const { label, aside } = names;
  if (options.json === true)
    context.output.json('key-rotate', { v: 1, label, keyId, assurance, replaces: old.keyId, retired, law: position, aside });
  else
    context.output.result(
      `rotated  ${safeLine(label)}: ${keyId} in the place of ${old.keyId}, which ${retired === null ? 'counts until openexec key retire' : 'counts for nothing from here on'} (law ${position}); its file is ${aside}.key`,
    );
  return ok(EXIT.ok);
}
