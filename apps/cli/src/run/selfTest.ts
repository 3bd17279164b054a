/**
 * The enforcement self-test of this machine: a recorded one where one stands, else a new one. Must never let a run open behind a canary that was let
 * through, nor take the file beside the ledger for more than a hint where to look. PROTOCOL §4.2 `selftest/…`; GOALS "first 8".
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { hostname, release } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { failures } from '@openexec/audit';
import { type Digest, digestJson, err, type KeyId, ok, parseTrajectoryId, type Result } from '@openexec/canon';
import { compileProfile, DEFAULT_LIMITS, type SandboxReport } from '@openexec/catalogue';
import type { Config } from '@openexec/config';
import type { SandboxProfile, Writ } from '@openexec/protocol';
import { keyOfGround, type RecordedSelfTest, readSelfTest, recordSelfTest, type SelfTestGround, standsFor } from '@openexec/runtime';
import { describeToolchain, seccompArch, seccompDigest } from '@openexec/workspace';
import type { OpenLedger, Surroundings } from '../context.ts';
import { type Refusal, refuse } from '../exit.ts';
import { storeRefusal } from '../openLedger.ts';
import { runtimeName } from '../program.ts';
import { VERSION } from '../version.ts';
import type { Operating } from './drive.ts';
import { provideOf } from './hands.ts';
import type { RunPlan } from './plan.ts';

/** What was made for how many grounds is remembered. */
const MAX_KNOWN = 64;

/** A self-test that stands for the run to come. */
export interface StandingSelfTest {
  readonly recorded: RecordedSelfTest;
  /** It was made before and still stands. */
  readonly reused: boolean;
}
/** What a self-test is made of, beside the machine. */
export interface Proving {
  readonly context: Pick<Surroundings, 'clock' | 'randomness'>;
  readonly ledger: OpenLedger;
  readonly operating: Operating;
  readonly ground: SelfTestGround;
  readonly sandbox: SandboxReport;
}

/** Configuration may only make a bound smaller than the runtime's own. */
function narrowed(limits: Config['limits']): Partial<typeof DEFAULT_LIMITS> {
  const names = Object.keys(limits) as (keyof Config['limits'])[]; // Its own keys, which Object.keys forgets.
  return Object.fromEntries(names.map((name) => [name, Math.min(limits[name] ?? Number.POSITIVE_INFINITY, DEFAULT_LIMITS[name])]));
}

/** The sandbox profile of a run of this plan under this writ. */
export function profileFor(
  plan: Pick<RunPlan, 'grant' | 'config'>,
  writ: Pick<Writ, 'ceiling' | 'writePaths'>,
): Result<SandboxProfile, Refusal> {
  const arch = seccompArch();
  if (arch === null) return refuse('sandbox.unavailable', 'there is no system-call filter for this CPU');
  return ok(
    compileProfile({
      writ,
      mode: plan.grant.mode,
      provide: plan.config.provide.map(provideOf),
      toolchain: [describeToolchain().symbol],
      seccompDigest: seccompDigest(arch),
      limits: narrowed(plan.config.limits),
    }),
  );
}

/** What a run of this plan would stand on. */
export function groundFor(
  ledger: OpenLedger,
  { policySet, catalogue }: Pick<RunPlan, 'policySet' | 'catalogue'>,
  { profile, sandbox, assets }: { readonly profile: SandboxProfile; readonly sandbox: SandboxReport; readonly assets: string },
): SelfTestGround {
  // The build, not the version alone: a program that was changed since proves itself anew.
  return { ledger: ledger.fingerprint, runtime: runtimeName(VERSION, assets), policySet, catalogue, profile, host: hostDigest(sandbox) };
}

/** What confining depends on, of this machine since it was started: a digest, so that no name of it stands in the ledger. */
function hostDigest({ kind, version, uid, limiter }: SandboxReport): Digest {
  const boot = textOf('/proc/sys/kernel/random/boot_id') ?? '';
  const machine = textOf('/etc/machine-id') ?? hostname();
  return digestJson({ machine, boot, kernel: release(), arch: process.arch, sandbox: { kind, version, uid, limiter } });
}

function textOf(file: string): string | null {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return null;
  }
}

/** The self-test that stands for this ground, made now where none does; `selfTest.failed` names every canary that did not hold. */
export async function standingSelfTest(proving: Proving): Promise<Result<StandingSelfTest, Refusal>> {
  const known = await knownSelfTest(proving);
  if (!known.ok) return known;
  if (known.value !== null) return ok({ recorded: known.value, reused: true });
  const made = await makeSelfTest(proving);
  if (!made.ok) return made;
  if (made.value.passed) return ok({ recorded: made.value, reused: false });
  return failedSelfTest(made.value);
}

/** Why a failed self-test stops what was asked. */
export function failedSelfTest(recorded: RecordedSelfTest): { readonly ok: false; readonly error: Refusal } {
  const said = failures(recorded.report);
  const { trajectory } = recorded.reference;
  return refuse('selfTest.failed', `${said.length} of its checks did not hold: ${said.join('; ')}`, { trajectory, failures: [...said] });
}

/** Makes one, whatever stands already. */
export async function makeSelfTest({ context, ledger, operating, ground, sandbox }: Proving): Promise<Result<RecordedSelfTest, Refusal>> {
  const { operator, runtime } = operating;
  // Key files hold checked ids.
  const made = await recordSelfTest(
    {
      ground,
      issuer: { keyId: operator.keyId as KeyId, seed: operator.seed },
      runtime: { keyId: runtime.keyId as KeyId, seed: runtime.seed },
      sandbox,
    },
    { ledger: ledger.store, clock: context.clock, randomness: context.randomness },
  );
  if (!made.ok) return err(storeRefusal(made.error));
  if (made.value.passed) remember(ledger, keyOfGround(ground), made.value.reference.trajectory);
  return made;
}

/** The one that was made for this ground last, if it stands: its signature, what it came to and its time are read from the ledger. */
export async function knownSelfTest({
  context,
  ledger,
  ground,
}: Pick<Proving, 'context' | 'ledger' | 'ground'>): Promise<Result<RecordedSelfTest | null, Refusal>> {
  const hint = parseTrajectoryId(hints(ledger)[keyOfGround(ground)] ?? '');
  if (!hint.ok) return ok(null);
  const read = await readSelfTest({ ledger: ledger.store }, hint.value);
  if (!read.ok) return err(storeRefusal(read.error));
  return ok(read.value !== null && standsFor(read.value, ground, context.clock.now()).ok ? read.value : null);
}

/** The one that this machine recorded last in the ledger, whatever it was made for; null where none can be read. */
export async function lastSelfTest(ledger: OpenLedger): Promise<RecordedSelfTest | null> {
  const hint = parseTrajectoryId(Object.values(hints(ledger)).at(-1) ?? '');
  const read = hint.ok ? await readSelfTest({ ledger: ledger.store }, hint.value) : null;
  return read?.ok === true ? read.value : null;
}

const hintFile = (ledger: OpenLedger): string => join(ledger.stateFolder, 'self-tests.json');

/** Where to look, by key; anything else in the file is nothing. */
function hints(ledger: OpenLedger): { readonly [key: string]: string } {
  try {
    const parsed: unknown = JSON.parse(readFileSync(hintFile(ledger), 'utf8'));
    if (typeof parsed !== 'object' || parsed === null) return {};
    return Object.fromEntries(Object.entries(parsed).filter((pair): pair is [string, string] => typeof pair[1] === 'string'));
  } catch {
    return {};
  }
}

/** A file that cannot be written costs the next run a new self-test, and nothing else. */
function remember(ledger: OpenLedger, key: Digest, trajectory: string): void {
  const others = Object.entries(hints(ledger)).filter(([known]) => known !== key);
  const all = Object.fromEntries([...others.slice(1 - MAX_KNOWN), [key, trajectory]]);
  const file = hintFile(ledger);
  try {
    writeFileSync(`${file}.${process.pid}`, JSON.stringify(all), { mode: 0o600 });
    renameSync(`${file}.${process.pid}`, file);
  } catch {
    // Said above.
  }
}

/** `22 canaries and 10 probes of the sandbox held`. */
export function selfTestText({ report }: RecordedSelfTest): string {
  return `${report.canaries.length} canaries and ${report.sandbox.probes.length} probes of the sandbox held`;
}
