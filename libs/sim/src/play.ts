/**
 * One run of the simulation from its founding to its end: drives it, disturbs it, resumes it, votes from outside. Must never touch the run but
 * through the runtime's own calls and the ledger's port.
 */
import { type Bytes, digestOf, toHex, type TrajectoryId, utf8Decode, utf8Encode } from '@openexec/canon';
import { signBody, VOTE_TYPE, writId } from '@openexec/authority';
import type { ApprovalQuestion, StopSignal } from '@openexec/catalogue';
import { rewindTargets, type RunState } from '@openexec/kernel';
import type { Vote } from '@openexec/protocol';
import {
  castVote,
  driveRun,
  type Hands,
  type Lease,
  loadRun,
  NEVER,
  openRun,
  requestCancel,
  requestPause,
  rewindRun,
} from '@openexec/runtime';
import { type Chance, chanceOf, clockOf, type SimClock, yieldTurns } from './chance.ts';
import { type Checked, checkRun } from './check.ts';
import { baseRepository, foundSim, keyOf, openingOf, SEEDS, type SimLedger } from './founding.ts';
import { Crash, type Outside, simHost } from './host.ts';
import { SECRET, simModel } from './model.ts';
import { faultyStore, STORE_FAULTS } from './store.ts';
import { type SimRepository, simWorkspace } from './workspace.ts';

/** Drives of one run before the simulation says that it does not come to an end. */
const MOST_DRIVES = 120;
/** After so many, nothing disturbs any more. */
const DISTURBED_DRIVES = 40;
const NONCE_BYTES = 16;
const MARKER = '[redacted:sim]';
/** How a disturbed drive may end; any other failure is a finding. */
const EXPECTED: readonly string[] = [
  'run.busy',
  'ledger.store.unknownOutcome',
  'ledger.store.stopped',
  'ledger.store.full',
  'ledger.store.busy',
];

/** How hard a run is treated: one in so many; 0 is never. */
export interface Trouble {
  readonly crash: number;
  readonly store: number;
  readonly modelFails: number;
  /** A second driver takes over while the first works. */
  readonly rival: number;
  /** Whether drivers hold a lease, so that a second one is refused. */
  readonly lease: boolean;
  /** What somebody asks for at a drawn drive. */
  readonly intervene: 'none' | 'pause' | 'cancel' | 'revoke';
  /** Between drives somebody goes back to a drawn stage entry, one time in so many. */
  readonly rewind: number;
}
/** What differs between the runs of two seeds besides the model's words. */
export interface PlayOptions {
  /** A stage whose effect can neither be repeated nor taken back. */
  readonly withNotice: boolean;
  /** A budget that may not suffice. */
  readonly small: boolean;
}
/** What happened to the drivers. */
export interface Counts {
  drives: number;
  crashes: number;
  faults: number;
  busy: number;
  rewinds: number;
}

const CLOCK_SET_MS = 2000;

interface Play extends SimLedger {
  readonly seed: string;
  readonly run: TrajectoryId;
  readonly clock: SimClock;
  readonly chance: Chance;
  readonly trouble: Trouble;
  readonly repository: SimRepository;
  readonly outside: Outside;
  readonly lease: Lease;
  readonly count: Counts;
  readonly failedOnce: Set<string>;
  readonly findings: string[];
}

/** Plays the run of a seed to its end and checks it from the ledger alone. */
export async function play(
  seed: string,
  trouble: Trouble,
  options: PlayOptions,
): Promise<{ readonly checked: Checked; readonly count: Counts }> {
  const chance = chanceOf(`${seed}/play`);
  const clock = clockOf(chance.fork('clock'));
  const ledger = await foundSim(chanceOf(`${seed}/ledger`), clock);
  const repository = baseRepository();
  const budget = options.small
    ? { tokens: 9000, usdMicros: 100_000, calls: 12 }
    : { tokens: 50_000_000, usdMicros: 500_000_000, calls: 5000 };
  const opening = openingOf(
    { fingerprint: ledger.fingerprint, clock, chance: chanceOf(`${seed}/opening`), withNotice: options.withNotice, budget },
    repository,
  );
  const ports = { ledger: ledger.store, clock, randomness: chance.fork('driver') };
  let opened = await openRun(opening, ports);
  // The clock went back behind the founding: refused with nothing written, and a person waits or sets it.
  while (!opened.ok && opened.error.code === 'clock.behind') {
    clock.pass(CLOCK_SET_MS);
    opened = await openRun(opening, ports);
  }
  if (!opened.ok) throw new Error(opened.error.message);
  const { run, driver } = opened.value;
  const count = { drives: 0, crashes: 0, faults: 0, busy: 0, rewinds: 0 };
  const outside: Outside = { effects: new Map(), unstarted: [] };
  const state: Play = {
    ...ledger,
    seed,
    run,
    clock,
    chance,
    trouble,
    repository,
    outside,
    lease: leaseOf(),
    count,
    failedOnce: new Set(),
    findings: [],
  };
  const intervention = 1 + chance.below(3);
  const writ = opening.writs.at(-1)?.body;
  for (let drive = 0; drive < MOST_DRIVES; drive++) {
    if (drive === intervention && writ !== undefined) await intervene(state, writId(writ));
    if (drive > 0 && drive < DISTURBED_DRIVES && trouble.rewind > 0 && chance.once(trouble.rewind)) await rewindOnce(state);
    const rivals = drive < DISTURBED_DRIVES && trouble.rival > 0 && chance.once(trouble.rival) ? 2 : 1;
    // The first drive goes on as the driver that opened the run; a rival always takes over.
    const drives = Array.from({ length: rivals }, (_, rival) => driveOnce(state, drive, drive === 0 && rival === 0 ? driver : null));
    const ended = await Promise.all(drives);
    if (ended.includes('closed')) break;
  }
  const checked = await checkRun(ledger.store, run, outside);
  return { checked: { ...checked, problems: [...state.findings, ...checked.problems] }, count };
}

async function intervene(state: Play, writ: string): Promise<void> {
  const { store: ledger, clock, chance, run, trouble } = state;
  const speaker = { ledger, clock, randomness: chance, run, actor: keyOf(SEEDS.approver) };
  if (trouble.intervene === 'cancel') await requestCancel({ ...speaker, because: 'no longer wanted' });
  if (trouble.intervene === 'pause') await requestPause({ ...speaker, because: { code: 'person.asked', message: 'a moment, please' } });
  if (trouble.intervene === 'revoke') await state.legislate('writ.revoked', { writ, because: 'no longer trusted' });
}

async function driveOnce(state: Play, drive: number, driver: string | null): Promise<'closed' | 'open'> {
  const disturbed = drive < DISTURBED_DRIVES;
  state.count.drives++;
  try {
    const done = await driveRun({
      run: state.run,
      hands: handsOf(state, disturbed),
      stop: NEVER,
      onAwait: 'park',
      resume: driver === null,
      ...(driver === null ? {} : { driver }),
    });
    if (!done.ok && done.error.code === 'run.busy') state.count.busy++;
    if (!done.ok) {
      if (!EXPECTED.includes(done.error.code)) state.findings.push(`drive: ${done.error.code}: ${done.error.message}`);
      return 'open';
    }
    if (done.value.status === 'parked') await voteFromOutside(state, done.value.state);
    return done.value.status === 'closed' ? 'closed' : 'open';
  } catch (error) {
    if ((error as Partial<Crash> | null)?.code !== 'sim.crash') throw error;
    state.count.crashes++;
    return 'open';
  }
}

/** Goes back to any entry that the run can go back to, under the same faults as a drive. */
async function rewindOnce(state: Play): Promise<void> {
  const loaded = await loadRun(state.store, state.run);
  const [first, ...more] = loaded.ok ? rewindTargets(loaded.value).filter(({ problem }) => problem === null) : [];
  if (first === undefined) return;
  const { stage, visit } = state.chance.pick([first, ...more]);
  try {
    const done = await rewindRun({ run: state.run, hands: handsOf(state, true), to: { stage, visit } });
    if (done.ok) state.count.rewinds++;
    // What was queued is judged first, and may have changed what is possible.
    else if (!EXPECTED.includes(done.error.code) && !/^(rewind\.|run\.closed$)/.test(done.error.code))
      state.findings.push(`rewind: ${done.error.code}: ${done.error.message}`);
  } catch (error) {
    if ((error as Partial<Crash> | null)?.code !== 'sim.crash') throw error;
    state.count.crashes++;
  }
}

/** At most one holder; a holder that crashed has released by unwinding, as the system would for a dead process. */
function leaseOf(): Lease {
  let held = false;
  return {
    acquire: async () => {
      if (held) return null;
      held = true;
      return {
        held: async () => held,
        release: async () => {
          held = false;
        },
      };
    },
  };
}

function handsOf(state: Play, disturbed: boolean): Hands {
  const { store, clock, chance, trouble, repository, outside, run, failedOnce } = state;
  const turns = chance.fork(`turns/${chance.below(2 ** 30)}`);
  const dies = (): boolean => disturbed && trouble.crash > 0 && chance.once(trouble.crash);
  const ledger = faultyStore({
    inner: store,
    turns,
    next: () => {
      if (!disturbed || trouble.store === 0 || !chance.once(trouble.store)) return null;
      state.count.faults++;
      return chance.pick(STORE_FAULTS);
    },
    interfere: () => interfere(state),
    // A writ of nobody here: a change of law that changes nothing for this run.
    legislate: () => state.legislate('writ.revoked', { writ: digestOf(chance.bytes(NONCE_BYTES)), because: 'another matter' }),
  });
  const workspace = simWorkspace(repository);
  const fails = (place: string): boolean => {
    if (trouble.modelFails === 0 || failedOnce.has(place) || !chance.once(trouble.modelFails)) return false;
    failedOnce.add(place);
    return true;
  };
  return {
    ledger,
    clock,
    randomness: chance,
    model: simModel({ seed: state.seed, turns, fails }),
    workspace,
    host: simHost({ workspace, outside, ledger: store, run, dies }),
    approver: disturbed && trouble.crash > 0 && chance.once(2) ? null : { ask: async (question) => signVote(state, question) },
    redact,
    sleep: (ms, stop) => sleep(state, ms, stop),
    ...(trouble.lease ? { lease: state.lease } : {}),
    crashPoint: (point) => {
      if (dies()) throw new Crash(`died at ${point}`);
    },
  };
}

async function sleep({ clock, chance }: Play, ms: number, stop: StopSignal): Promise<void> {
  await yieldTurns(chance, 40);
  if (!stop.stopped) clock.pass(Math.min(ms, 1000));
}

/** Somebody hands in an intent that the run does not take: an entry between two of the driver's. */
async function interfere({ store, clock, run }: Play): Promise<void> {
  const payload = { channel: 'editor', action: 'read_file', arguments: { inline: {} }, claims: { rationale: null, claimedRisk: null } };
  const draft = {
    kind: 'intent.submitted' as const,
    at: clock.now(),
    actor: `key:${keyOf(SEEDS.approver)}` as const,
    cause: null,
    law: null,
    payload,
  };
  await store.append({ to: [{ trajectory: run, expect: 'any', drafts: [draft] }], blobs: [] });
}

type Asked = Pick<ApprovalQuestion, 'request' | 'digest' | 'until'>;

/** The approver says yes to manifests and, by the seed, yes or no to messages: the same answer to the same question in every play. */
function signVote(state: Play, question: Asked & { readonly action: string }) {
  const denies = question.action === 'notify' && chanceOf(`${state.seed}/votes`).once(2);
  const body: Vote = {
    ledger: state.fingerprint as Vote['ledger'], // The kernel compares it with the law's.
    run: state.run,
    request: question.request,
    decision: denies ? 'deny' : 'approve',
    digest: question.digest,
    expiry: question.until,
    nonce: toHex(state.chance.bytes(NONCE_BYTES)),
    assurance: 'file',
    because: denies ? 'not to people' : '',
  };
  return { ...signBody({ type: VOTE_TYPE, body, seeds: [SEEDS.approver] }), assurance: 'file' as const };
}

async function voteFromOutside(state: Play, parked: RunState): Promise<void> {
  const { request } = parked;
  if (request === null) return;
  const intent = parked.stage?.intents.find((one) => one.request === request.id);
  const { body, signatures } = signVote(state, {
    request: request.id,
    digest: request.digest,
    until: request.until,
    action: intent?.action ?? '',
  });
  const cast = await castVote({
    ledger: state.store,
    clock: state.clock,
    run: state.run,
    signedVote: { body, signatures },
    assurance: 'file',
  });
  if (!cast.ok && cast.error.code !== 'run.closed')
    throw new Error(`sim: the vote was not taken: ${cast.error.code}: ${cast.error.message}`);
}

function redact(bytes: Bytes): Bytes {
  const text = utf8Decode(bytes);
  return text.ok && text.value.includes(SECRET) ? utf8Encode(text.value.replaceAll(SECRET, MARKER)) : bytes;
}
