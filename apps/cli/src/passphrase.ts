/**
 * Where a passphrase comes from: a prompt without echo, an open descriptor, or a file that only its owner can read. Must never take one from the
 * arguments or the environment, where every process of the machine may see it, nor print one (SECURITY §7).
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import process from 'node:process';
import { StringDecoder } from 'node:string_decoder';
import { err, ok, type Result, utf8Decode } from '@openexec/canon';
import type { FileKey, KeyFile } from '@openexec/config';
import type { Command } from 'commander';
import { type Refusal, refuse } from './exit.ts';
import { keyRefusal } from './keyring.ts';
import { safeLine } from './output.ts';

/** The options of every command that unlocks a key. */
export interface PassphraseOptions {
  readonly passphraseFd?: string;
  readonly passphraseFile?: string;
}
/** What asking for one needs of the context. */
export interface PassphrasePlace {
  readonly interactive: boolean;
}

const MAX_BYTES = 4096;
const OPEN_TO_OTHERS = 0o077;
const TRIES = 3;
const CTRL_C = '\u0003';
const CTRL_D = '\u0004';
const CTRL_U = '\u0015';

/** Adds the options to a command. */
export function withPassphrase(command: Command): Command {
  return command
    .option('--passphrase-fd <n>', 'read the passphrase of the key from this open descriptor')
    .option('--passphrase-file <file>', 'read the passphrase of the key from this file, which only you may read');
}

/** The secret of a key file; asks for the passphrase only where there is one, at a terminal up to three times. */
export async function unlock(file: KeyFile, options: PassphraseOptions, place: PassphrasePlace): Promise<Result<FileKey, Refusal>> {
  if (file.assurance === 'file') return unlocked(file, null);
  const given = givenPassphrase(options);
  if (!given.ok) return given;
  if (given.value !== null) return unlocked(file, given.value);
  if (!place.interactive)
    return refuse('passphrase.missing', `the key "${file.label}" is under a passphrase, and nobody can be asked for it here`);
  for (let tries = 1; ; tries++) {
    const typed = await prompt(`passphrase of key ${file.label}: `);
    if (typed === null) return refuse('passphrase.missing', 'no passphrase was given');
    const key = unlocked(file, typed);
    if (key.ok || tries >= TRIES) return key;
    process.stderr.write('that does not open the key\n');
  }
}

/** A passphrase for a new key; at a terminal it is typed twice. Whether it is long enough is the key file's to say. */
export async function newPassphrase(label: string, options: PassphraseOptions, place: PassphrasePlace): Promise<Result<string, Refusal>> {
  const given = givenPassphrase(options);
  if (!given.ok) return given;
  if (given.value !== null) return ok(given.value);
  if (!place.interactive)
    return refuse('passphrase.missing', `the key "${label}" wants a passphrase, and nobody can be asked for one here`);
  const first = await prompt(`new passphrase for key ${label}: `);
  const second = first === null ? null : await prompt('the same again: ');
  if (first === null || second === null) return refuse('passphrase.missing', 'no passphrase was given');
  return first === second ? ok(first) : refuse('passphrase.missing', 'the two differ');
}

function unlocked(file: KeyFile, passphrase: string | null): Result<FileKey, Refusal> {
  const key = file.unlock(passphrase);
  return key.ok ? key : err(keyRefusal(key.error));
}

/** From a descriptor or a file; null where neither is named. */
function givenPassphrase({ passphraseFd, passphraseFile }: PassphraseOptions): Result<string | null, Refusal> {
  if (passphraseFd !== undefined && passphraseFile !== undefined)
    return refuse('usage.invalid', 'give --passphrase-fd or --passphrase-file, not both');
  if (passphraseFd !== undefined) {
    if (!/^(0|[1-9][0-9]{0,3})$/.test(passphraseFd))
      return refuse('usage.invalid', '--passphrase-fd takes the number of an open descriptor');
    return firstLine(Number(passphraseFd), `descriptor ${passphraseFd}`);
  }
  return passphraseFile === undefined ? ok(null) : fromFile(passphraseFile);
}

function fromFile(file: string): Result<string, Refusal> {
  let handle: number | null = null;
  try {
    handle = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stat = fstatSync(handle);
    if (!stat.isFile() || stat.uid !== process.getuid?.() || (stat.mode & OPEN_TO_OTHERS) !== 0)
      return refuse('passphrase.unsafe', `"${safeLine(file)}" is not a file of yours that nobody else can read`);
    return firstLine(handle, `"${safeLine(file)}"`);
  } catch (error) {
    const { code } = error as { readonly code?: string };
    return code === 'ELOOP'
      ? refuse('passphrase.unsafe', `"${safeLine(file)}" is a link; name the file itself`)
      : refuse('passphrase.missing', `"${safeLine(file)}" cannot be read (${code ?? 'unknown'})`);
  } finally {
    if (handle !== null) closeSync(handle);
  }
}

/** The first line, without its end. What is longer than a passphrase can be is refused, not cut. */
function firstLine(handle: number, what: string): Result<string, Refusal> {
  const bytes = new Uint8Array(MAX_BYTES + 1);
  let size = 0;
  try {
    for (;;) {
      const read = readSync(handle, bytes, size, bytes.length - size, null);
      size += read;
      if (read === 0 || size === bytes.length || bytes.subarray(0, size).includes(0x0a)) break;
    }
  } catch (error) {
    return refuse('passphrase.missing', `${what} cannot be read (${(error as { readonly code?: string }).code ?? 'unknown'})`);
  }
  const end = bytes.subarray(0, size).indexOf(0x0a);
  if (end < 0 && size > MAX_BYTES) return refuse('passphrase.missing', `${what} holds more than ${MAX_BYTES} bytes on its first line`);
  const text = utf8Decode(bytes.subarray(0, end < 0 ? size : end));
  bytes.fill(0);
  if (!text.ok) return refuse('passphrase.missing', `${what} is not UTF-8`);
  const line = text.value.replace(/\r$/, '');
  return line === '' ? refuse('passphrase.missing', `${what} holds no passphrase on its first line`) : ok(line);
}

/** Asks at the terminal without echo; null where the person gives up (Ctrl-C, Ctrl-D) or the terminal goes away. */
function prompt(question: string): Promise<string | null> {
  const { stdin, stderr } = process;
  const decoder = new StringDecoder('utf8');
  return new Promise((resolve) => {
    let typed: string[] = [];
    const done = (answer: string | null): void => {
      stdin.off('data', onData).off('end', onEnd).pause();
      stdin.setRawMode(false);
      stderr.write('\n');
      resolve(answer);
    };
    const onEnd = (): void => done(null);
    const onData = (chunk: Buffer | string): void => {
      for (const character of typeof chunk === 'string' ? chunk : decoder.write(chunk)) {
        if (character === '\r' || character === '\n') return done(typed.join(''));
        if (character === CTRL_C || character === CTRL_D) return done(null);
        if (character === CTRL_U) typed = [];
        else if (character === '\u007f' || character === '\b') typed.pop();
        else if (character >= ' ') typed.push(character);
      }
    };
    stderr.write(question);
    stdin.setRawMode(true);
    stdin.on('data', onData).on('end', onEnd).resume();
  });
}
