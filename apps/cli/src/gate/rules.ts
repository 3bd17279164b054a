/**
 * The rules of a gate and the ledgers that count: out of the base, or out of a file outside of the checkout. Must never read them from what is under
 * test: a change would loosen its own gate. No pin is no pass (ARCHITECTURE §7 "not configured is an error").
 */
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { isAbsolute, relative, resolve } from 'node:path';
import { gateRules } from '@openexec/audit';
import { type Digest, err, ok, parseDigest, type Result } from '@openexec/canon';
import { parseGate } from '@openexec/config';
import type { GatePolicy, GateRules } from '@openexec/protocol';
import { fileAt, type RepositoryFacts } from '@openexec/workspace';
import { type Refusal, refusalFor, refuse } from '../exit.ts';
import { safeLine } from '../output.ts';
import { configRefusal } from '../run/problems.ts';

/** Where the rules were read. */
export type GateSource =
  | { readonly is: 'commit'; readonly commit: string; readonly path: string; readonly found: boolean }
  | { readonly is: 'file'; readonly path: string };
/** The gate in force. */
export interface Gate {
  readonly source: GateSource;
  readonly trust: readonly Digest[];
  readonly rules: GateRules;
}
/** What the command line says of it. */
export interface GateWords {
  readonly cwd: string;
  readonly policy: string | undefined;
  readonly trust: string | undefined;
}

const GATE_FILE = '.openexec/gate.yaml';
const MAX_BYTES = 1024 * 1024;

/** Reads the gate. Without any pin `trust` is empty, which only an explanation may go on with. */
export async function readGate(
  words: GateWords,
  { repository, base }: { readonly repository: RepositoryFacts; readonly base: string },
): Promise<Result<Gate, Refusal>> {
  const read = words.policy === undefined ? await fromBase(repository, base) : fromFile(words.cwd, words.policy, repository.root);
  if (!read.ok) return read;
  const { source, text } = read.value;
  const file = source.is === 'file' ? source.path : `${base.slice(0, 12)}:${GATE_FILE}`;
  const policy = text === null ? ok(null) : parseGate(text, file);
  if (!policy.ok) return configRefusal(policy.error, repository.root);
  const trust = trustOf(policy.value, words.trust);
  return trust.ok ? ok({ source, trust: trust.value, rules: gateRules(policy.value) }) : trust;
}

/** The refusal where nobody has said which ledger counts. */
export function unpinned({ source }: Gate): { readonly ok: false; readonly error: Refusal } {
  const where = source.is === 'file' ? safeLine(source.path) : `${GATE_FILE} at ${source.commit.slice(0, 12)}`;
  const why = source.is === 'commit' && !source.found ? 'is not there' : 'names no ledger under trust';
  return refuse('gate.notConfigured', `${where} ${why}, and --trust was not given: nobody has said whose bundles count`);
}

interface ReadText {
  readonly source: GateSource;
  readonly text: string | null;
}

async function fromBase(repository: RepositoryFacts, base: string): Promise<Result<ReadText, Refusal>> {
  const text = await fileAt(repository, { commit: base, path: GATE_FILE, maxBytes: MAX_BYTES });
  if (!text.ok) return err(refusalFor(text.error, 'workspace.failed'));
  return ok({ source: { is: 'commit', commit: base, path: GATE_FILE, found: text.value !== null }, text: text.value });
}

/** A file in the checkout may be the very change: its name, and what its name leads to, have to lie outside. */
function fromFile(cwd: string, file: string, root: string): Result<ReadText, Refusal> {
  const path = isAbsolute(file) ? file : resolve(cwd, file);
  try {
    const real = realpathSync(path);
    const checkout = realpathSync(root);
    if (isWithin(checkout, real) || isWithin(root, path) || isWithin(checkout, path))
      return refuse(
        'gate.notConfigured',
        `"${safeLine(path)}" lies in the checkout, which the change under test has written; the rules are read from the base, or from a file outside`,
      );
    if (!statSync(real).isFile() || statSync(real).size > MAX_BYTES)
      return refuse('config.invalid', `"${safeLine(path)}" is no file of at most ${MAX_BYTES} bytes`);
    return ok({ source: { is: 'file', path }, text: readFileSync(real, 'utf8') });
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    return refuse('gate.notConfigured', `"${safeLine(path)}" cannot be read (${String(code)})`);
  }
}

function isWithin(folder: string, path: string): boolean {
  const inside = relative(folder, path);
  return inside === '' || (!inside.startsWith('..') && !isAbsolute(inside));
}

/** The flag narrows what the file says; it adds nothing to it. */
function trustOf(policy: GatePolicy | null, flag: string | undefined): Result<readonly Digest[], Refusal> {
  const listed = policy?.trust ?? null;
  if (flag === undefined) return ok(listed ?? []);
  const digest = parseDigest(flag);
  if (!digest.ok) return refuse('usage.invalid', '--trust takes a fingerprint: sha256: and 64 lower-case hex digits');
  return listed === null || listed.includes(digest.value)
    ? ok([digest.value])
    : refuse('gate.notConfigured', `the gate policy does not trust ${digest.value}, which --trust names; --trust only narrows`);
}
