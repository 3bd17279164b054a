/**
 * Forgers of bundles, for tests: without any key of the ledger, with its log key, and with a whole other history that holds together. What they make
 * has a MANIFEST and a statement of its own, so that nothing is found by a digest alone.
 */
import type { BundleLedger } from '@openexec/audit';
import { bodyType, signBody } from '@openexec/authority';
import {
  type Bytes,
  compareBytes,
  type Digest,
  digestOf,
  type Json,
  ok,
  sha256,
  type TrajectoryId,
  utf8Decode,
  utf8Encode,
} from '@openexec/canon';
import { type House, keyOf, nonceOf, PEOPLE, RunDriver, type RunPlan } from '@openexec/kernel/fixture';
import type { Draft, LedgerStore, Stored, StoredCheckpoint } from '@openexec/ledger';
import { consistencyProof, inclusionProof, keyIdOf, leafHash, nodeHash, publicKeyOf, sign } from '@openexec/proof';
import type { RunOpened } from '@openexec/protocol';
import {
  type BundleDescription,
  type BundleOptions,
  type BundleStatement,
  DESCRIPTION,
  EVENTS,
  formatDescription,
  formatEnvelope,
  formatStatement,
  MANIFEST,
  manifestLine,
  STATEMENT,
  statementSigningBytes,
} from '@openexec/verify';
import { expect } from '@jest/globals';
import { check, type Files, foundIn } from './bundles.ts';

export function textOf(files: Files, path: string): string {
  const read = utf8Decode(files.get(path) ?? new Uint8Array());
  if (!read.ok) throw new Error(path);
  return read.value;
}

/** A copy with some parts replaced; null takes one away. */
export function withParts(files: Files, parts: Readonly<Record<string, Bytes | string | null>>): Files {
  const made: Files = new Map(files);
  for (const [path, bytes] of Object.entries(parts)) {
    if (bytes === null) made.delete(path);
    else made.set(path, typeof bytes === 'string' ? Uint8Array.from(Buffer.from(bytes)) : bytes);
  }
  return made;
}

/** The lines of the events, changed. */
export function withLines(files: Files, change: (lines: string[]) => readonly string[]): Files {
  const lines = change(textOf(files, EVENTS).trimEnd().split('\n'));
  return withParts(files, { [EVENTS]: lines.map((line) => `${line}\n`).join('') });
}

export function statementOf(files: Files): BundleStatement {
  const { dsseEnvelope } = JSON.parse(textOf(files, STATEMENT)) as { dsseEnvelope: { payload: string } };
  return (JSON.parse(Buffer.from(dsseEnvelope.payload, 'base64').toString()) as { predicate: BundleStatement }).predicate;
}

export function descriptionOf(files: Files): BundleDescription {
  const { v: _v, type: _type, ...of } = JSON.parse(textOf(files, DESCRIPTION)) as BundleDescription & { v: number; type: string };
  return of;
}

export function described(files: Files, change: Partial<BundleDescription>): Files {
  return withParts(files, { [DESCRIPTION]: formatDescription({ ...descriptionOf(files), ...change }) });
}

/** The MANIFEST made anew over the parts as they are. */
export function listed(files: Files): Files {
  const paths = [...files.keys()].filter((path) => path !== MANIFEST && path !== STATEMENT);
  paths.sort((a, b) => compareBytes(utf8Encode(a), utf8Encode(b)));
  const lines = paths.map((path) => manifestLine(sha256(files.get(path) ?? new Uint8Array()), path));
  return withParts(files, { [MANIFEST]: lines.join('') });
}

/** MANIFEST and statement made anew, signed with this seed; `as` is the key that the signature is said to be of. */
export function sealed(files: Files, by: { readonly seed: Bytes; readonly as?: string; readonly state?: Partial<BundleStatement> }): Files {
  const made = listed(files);
  const manifest = digestOf(made.get(MANIFEST) ?? new Uint8Array());
  const payload = formatStatement({ ...statementOf(files), manifest, ...by.state });
  const signature = sign(by.seed, statementSigningBytes(payload));
  const key = by.as ?? keyIdOf(publicKeyOf(by.seed));
  return withParts(made, { [STATEMENT]: formatEnvelope({ payload, key, signature, timestamps: [] }) });
}

/** By somebody who holds the log key. */
export function byLog(files: Files, state: Partial<BundleStatement> = {}): Files {
  return sealed(files, { seed: PEOPLE.log.seed, state });
}

/** Entries as a ledger that can be exported: what a server would serve that made them up. */
export function ledgerOf(
  entries: readonly Stored[],
  blob: LedgerStore['blob'],
  checkpoints: readonly StoredCheckpoint[] = [],
): BundleLedger {
  const node = (level: number, at: bigint): Bytes => {
    if (level > 0) return nodeHash(node(level - 1, at * 2n), node(level - 1, at * 2n + 1n));
    const stored = entries[Number(at)];
    if (stored === undefined) throw new Error(`there is no entry ${at}`);
    return leafHash(stored.entryBytes);
  };
  const upTo = (from: bigint, to: bigint | undefined): readonly Stored[] =>
    entries.slice(Number(from), to === undefined ? undefined : Number(to));
  return {
    async *all(from = 0n, to?: bigint) {
      yield* upTo(from, to);
    },
    async *rows(from = 0n, to?: bigint) {
      yield upTo(from, to).map(({ entryBytes, payload, salt }) => ({ entryBytes, payload, salt }));
    },
    blob,
    async *checkpoints() {
      yield* checkpoints;
    },
    inclusion: (index, size) => Promise.resolve(ok(inclusionProof(node, index, size))),
    consistency: (old, size) => Promise.resolve(ok(consistencyProof(node, old, size))),
  };
}

/** What a self-test of these tests says of itself. */
export interface Claims {
  readonly passed?: boolean;
  readonly until?: string;
  readonly signer?: Bytes;
  readonly policySet?: Digest;
}

/** A self-test as a runtime records one, of the ground of this run; its canaries are beside the point here. */
export async function selfTest(house: House, ground: RunOpened, claims: Claims = {}): Promise<{ trajectory: TrajectoryId; seq: number }> {
  const trajectory = `selftest/${nonceOf(`self-test ${(await house.store.head()).size}`)}` as TrajectoryId;
  const { catalogue, profile, kernel, policySet } = ground;
  const blob = ground.prices;
  const opened = {
    set: 1,
    runtime: '1',
    kernel,
    policySet: { ...policySet, digest: claims.policySet ?? policySet.digest },
    catalogue,
    profile,
    host: digestOf('here'),
    opener: keyOf('runtime'),
    kit: blob,
    grants: [{ name: 'none', writs: [house.writ()] }],
    canaries: [{ name: 'none', grant: 'none', rules: 'run', hosts: [] }],
  };
  const { passed = true, until = house.later(86_400_000), signer = PEOPLE.runtime.seed } = claims;
  const body = {
    ledger: house.fingerprint,
    nonce: nonceOf(trajectory),
    trajectory,
    key: digestOf('ground'),
    passed,
    canaries: 0,
    until,
    report: blob,
  };
  const recorded = signBody({ type: bodyType('selfTest.recorded'), body, seeds: [signer] });
  const fact = (kind: Draft['kind'], payload: unknown): Draft => ({
    kind,
    at: house.now(),
    actor: 'runtime',
    cause: null,
    law: null,
    payload: payload as Json,
  });
  const drafts = [fact('selfTest.opened', opened), fact('selfTest.recorded', recorded)];
  const appended = await house.store.append({ to: [{ trajectory, expect: 'none', drafts }], blobs: [] });
  if (!appended.ok) throw new Error(appended.error.message);
  return { trajectory, seq: 1 };
}

/** A run to its end that cites this self-test. */
export async function runCiting(house: House, cited: RunOpened['selfTest'], plan: RunPlan = {}): Promise<RunDriver> {
  const run = await RunDriver.open(house, { ...plan, alter: (opened) => ({ ...opened, selfTest: cited }) });
  await run.play({ answers: ['done'], tests: [true] });
  return run;
}

export const entryAt = (lines: readonly string[], at: number) =>
  JSON.parse(lines[at] ?? '') as {
    id: string;
    subject: string;
    type: string;
    data: { entry: string; payload: string | null; salt: string | null };
  };
/** Where in the lines a kind of the run stands. */
export const lineOf = (lines: readonly string[], kind: string): number =>
  lines.findIndex((line) => line.includes(`"type":"dev.openexec.${kind}"`));
export const indexOf = (lines: readonly string[], at: number): number => Number(entryAt(lines, at).id);
export const linesIn = (files: Files): string[] => textOf(files, EVENTS).trimEnd().split('\n');
export async function found(files: Files, options: Partial<BundleOptions> = {}): Promise<readonly string[]> {
  const report = await check(files, options);
  expect({ sound: report.sound, level: report.level }).toEqual({
    sound: report.findings.length === 0,
    level: report.sound ? 'signed' : null,
  });
  return foundIn(report);
}
/** What was found, with its index. */
export async function placed(files: Files): Promise<readonly string[]> {
  return (await check(files)).findings.map(({ code, part, index }) => `${code} ${part} ${index}`);
}
