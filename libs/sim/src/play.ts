/**
 * One run of the simulation from its founding to its end: drives it, disturbs it, resumes it, votes from outside. Must never touch the run but
 * through the runtime's own calls and the ledger's port.
 */
import { type Bytes, digestOf, type TrajectoryId, utf8Decode, utf8Encode } from '@openexec/canon';
import { writId } from '@openexec/authority';
import type { StopSignal } from '@openexec/catalogue';
import { rewindTargets, type RunState } from '@openexec/kernel';
import type { LedgerStore } from '@openexec/ledger';
import type { SignedWrit } from '@openexec/protocol';
import {
  checkSnapshots,
  driveRun,
  type Hands,
  type Lease,
  loadLaw,
  loadRun,
  NEVER,
  openRun,
  requestCancel,
  requestPause,
  rewindRun,
  stopSwitch,
} from '@openexec/runtime';
import { chanceOf, clockOf, yieldTurns } from './chance.ts';
import { type Checked, checkLedger, checkRun } from './check.ts';
import { count, type FaultKind, MODEL_FAILURES, SANDBOX_FAULTS, STORE_FAULTS, type Tally, type Trouble } from './faults.ts';
import { baseRepository, foundSim, keyOf, openingOf, type OpeningOptions, SEEDS, type SimLedger, standingWrit } from './founding.ts';
import { Crash, simHost } from './host.ts';
import { SECRET, simModel } from './model.ts';
import type { Moment } from './moment.ts';
import { honestVote, type People, voteFromOutside } from './people.ts';
import { type SimSnapshots, simSnapshots } from './snapshots.ts';
import { faultyStore } from './store.ts';
import { type SimRepository, simWorkspace } from './workspace.ts';

/** Drives of one run before the simulation says that it does not come to an end. */
const MOST_DRIVES = 120;
/** After so many, nothing disturbs any more. */
const DISTURBED_DRIVES = 40;
const NONCE_BYTES = 16;
const MARKER = '[redacted:sim]';
const HOUR_MS = 3_600_000;
const CLOCK_SET_MS = 2000;
/** One play in so many is checked from scratch in its midst, and has a judgement changed at its end. */
const FULL_CHECK = 5;
/** How a disturbed drive may end; any other failure is a finding. */
const EXPECTED: readonly string[] = [
  'run.busy',
  'model.missing',
  'ledger.store.unknownOutcome',
  'ledger.store.stopped',
  'ledger.store.full',
  'ledger.store.busy',
  'ledger.store.unreachable',
];

/** What differs between the runs of two seeds besides the model's words. */
export interface PlayOptions extends Pick<OpeningOptions, 'withNotice' | 'quorum' | 'withModel' | 'withTests'> {
  /** A budget that may not suffice. */
  readonly small: boolean;
  /** The run is carved from a standing writ, and others want a part of it. */
  readonly standing: boolean;
  /** Remember every moment. */
  readonly keep?: boolean;
  /** Drives keep snapshots of the run and begin at them. */
  readonly snapshots?: boolean;
}
/** What a play came to. */
export interface Played {
  readonly checked: Checked;
  readonly tally: Tally;
  readonly drives: number;
  readonly steps: number;
  /** Root of the ledger: it stands for every byte of the story. */
  readonly root: Bytes;
  /** With `keep`: every moment, and the ledger as it is at the end. */
  readonly moments: readonly Moment[];
  readonly ledger: LedgerStore;
  readonly run: TrajectoryId;
  /** With `snapshots`: what was done with them. */
  readonly snapshots: SimSnapshots['used'] | null;
}

interface Play extends SimLedger, People {
  readonly repository: SimRepository;
  readonly lease: Lease;
  readonly failedOnce: Set<string>;
  readonly findings: string[];
  readonly opening: OpeningOptions;
  readonly root: SignedWrit | null;
  readonly snapshots: SimSnapshots | null;
  drives: number;
  handles: number;
}

/** Plays the run of a seed to its end and checks it from the ledger alone. */
export async function play(seed: string, trouble: Trouble, options: PlayOptions): Promise<Played> {
  const chance = chanceOf(`${seed}/play`);
  const { state, driver } = await begin(seed, trouble, options);
  const intervention = 1 + chance.below(3);
  const looked = chance.once(FULL_CHECK) ? 1 + chance.below(4) : -1;
  for (let drive = 0; drive < MOST_DRIVES; drive++) {
    if (drive === intervention) await intervene(state);
    if (drive === intervention && options.standing) await sibling(state);
    if (drive === looked) state.findings.push(...(await checkLedger(state.store)).problems);
    const disturbed = drive > 0 && drive < DISTURBED_DRIVES;
    if (disturbed && trouble.clock > 0 && chance.once(trouble.clock)) setClock(state);
    if (disturbed && trouble.rewind > 0 && chance.once(trouble.rewind)) await rewindOnce(state);
    const rivals = drive < DISTURBED_DRIVES && trouble.rival > 0 && chance.once(trouble.rival) ? 2 : 1;
    if (rivals > 1) count(state.tally, 'driver.rival');
    // The first drive goes on as the driver that opened the run; a rival always takes over.
    const drives = Array.from({ length: rivals }, (_, rival) => driveOnce(state, drive, drive === 0 && rival === 0 ? driver : null));
    const ended = await Promise.all(drives);
    if (ended.includes('closed')) break;
  }
  const { watch, store, run, snapshots } = state;
  if (snapshots !== null) state.findings.push(...(await wrongSnapshots(state.store, snapshots)));
  await watch.reread();
  const checked = await checkRun(store, run, { chance, doctor: looked > 0 });
  return {
    checked: { ...checked, problems: [...new Set([...state.findings, ...watch.problems, ...checked.problems])] },
    tally: state.tally,
    drives: state.drives,
    steps: watch.moments,
    root: (await store.head()).root,
    moments: watch.kept,
    ledger: store,
    run,
    snapshots: snapshots?.used ?? null,
  };
}

async function wrongSnapshots(ledger: LedgerStore, snapshots: SimSnapshots): Promise<readonly string[]> {
  const checked = await checkSnapshots(ledger, snapshots);
  return checked.ok ? checked.value.wrong.map(({ message }) => `snapshot: ${message}`) : [`snapshot: ${checked.error.message}`];
}

async function begin(seed: string, trouble: Trouble, options: PlayOptions): Promise<{ readonly state: Play; readonly driver: string }> {
  const chance = chanceOf(`${seed}/drives`);
  const clock = clockOf(chance.fork('clock'));
  const ledger = await foundSim(chanceOf(`${seed}/ledger`), clock, options.keep === true ? { keep: true } : {});
  const repository = baseRepository();
  const budget = options.small
    ? { tokens: 9000, usdMicros: 100_000, calls: 12 }
    : { tokens: 50_000_000, usdMicros: 500_000_000, calls: 5000 };
  const common = { fingerprint: ledger.fingerprint, clock, chance: chanceOf(`${seed}/opening`), budget };
  const root = options.standing ? standingWrit(common) : null;
  if (root !== null) await ledger.issue(root);
  const opening: OpeningOptions = { ...common, ...options, standing: root };
  const made = openingOf(opening, repository);
  const ports = { ledger: ledger.store, clock, randomness: chance.fork('driver') };
  let opened = await openRun(made, ports);
  // The clock went back behind the founding: refused with nothing written, and a person waits or sets it.
  while (!opened.ok && opened.error.code === 'clock.behind') {
    clock.pass(CLOCK_SET_MS);
    opened = await openRun(made, ports);
  }
  if (!opened.ok) throw new Error(opened.error.message);
  const { run, driver } = opened.value;
  const writ = made.writs.at(-1)?.body;
  if (writ === undefined) throw new Error('sim: a run without a writ');
  const tally: Tally = {};
  if (options.standing) count(tally, 'writ.standing');
  if (!options.withModel) count(tally, 'config.noModel');
  if (!options.withTests) count(tally, 'config.noTests');
  if (options.small) count(tally, 'budget.small');
  const snapshots = options.snapshots === true ? simSnapshots(ledger.shelf) : null;
  const shared = { ...ledger, snapshots, seed, run, clock, chance, trouble, tally, repository, opening, root, lease: leaseOf(tally) };
  return {
    state: {
      ...shared,
      writ: writId(writ),
      failedOnce: new Set(),
      retired: new Set(),
      turns: new Map(),
      findings: [],
      drives: 0,
      handles: 0,
    },
    driver,
  };
}

async function intervene(state: Play): Promise<void> {
  const { store: ledger, clock, chance, run, trouble, tally, root } = state;
  const speaker = { ledger, clock, randomness: chance, run, actor: keyOf(SEEDS.approver) };
  if (trouble.intervene === 'cancel') {
    const done = await requestCancel({ ...speaker, because: 'no longer wanted' });
    if (done.ok) count(tally, 'run.cancelled');
  }
  if (trouble.intervene === 'pause') {
    const done = await requestPause({ ...speaker, because: { code: 'person.asked', message: 'a moment, please' } });
    if (done.ok) count(tally, 'run.paused');
  }
  if (trouble.intervene !== 'revoke') return;
  // Of a carved run either the writ itself, or the standing one that it descends from.
  const writ = root !== null && chance.once(2) ? writId(root.body) : state.writ;
  await state.legislate('writ.revoked', { writ, because: 'no longer trusted' });
  count(tally, 'writ.revoked');
}

/** Somebody else opens a run under the same standing writ: what does not fit is refused, what fits is closed again. */
async function sibling(state: Play): Promise<void> {
  const { store: ledger, clock, chance, opening, repository, tally, root } = state;
  const fits = chance.once(2);
  const part = (amount: number): number => Math.floor(amount * (fits ? 0.4 : 1));
  const { tokens, usdMicros, calls } = opening.budget;
  const budget = { tokens: part(tokens), usdMicros: part(usdMicros), calls: part(calls) };
  const made = openingOf({ ...opening, budget, chance: chance.fork('sibling') }, repository);
  const law = await loadLaw(ledger);
  const isRevoked = root !== null && law.ok && law.value.revoked.has(writId(root.body));
  const opened = await openRun(made, { ledger, clock, randomness: chance });
  if (opened.ok && isRevoked) state.findings.push('sibling: it was opened under a writ that was revoked');
  if (!opened.ok && opened.error.code !== 'clock.behind') {
    // A part fits too, unless the first run spent more than was reserved for it; what was left is what invariant 2 counts.
    const isOver = root !== null && clock.now() > root.body.notAfter;
    if (opened.error.code === 'writ.overdrawn') count(tally, 'writ.overdrawn');
    else if (opened.error.code === 'writ.notCarved' && (isRevoked || isOver)) count(tally, 'writ.sibling');
    else state.findings.push(`sibling: ${opened.error.code}: ${opened.error.message}`);
  }
  if (!opened.ok) return;
  // What was wanted in full fits only once the first run has given back; whether it does is what invariant 2 counts.
  count(tally, 'writ.sibling');
  const { run } = opened.value;
  const asked = await requestCancel({ ledger, clock, randomness: chance, run, actor: keyOf(SEEDS.issuer), because: 'only a look' });
  if (!asked.ok) state.findings.push(`sibling: ${asked.error.code}`);
  const done = await driveRun({
    run,
    hands: { ...handsOf({ ...state, run }, false), model: null },
    stop: NEVER,
    onAwait: 'park',
    resume: true,
  });
  if (!done.ok || done.value.status !== 'closed') state.findings.push(`sibling: ${done.ok ? done.value.status : done.error.message}`);
}

/** Somebody sets the clock of the machine. */
function setClock({ clock, chance, tally }: Play): void {
  const back = chance.once(2);
  const ms = chance.pick([HOUR_MS, 20 * HOUR_MS, 30 * HOUR_MS, 35 * 24 * HOUR_MS]);
  clock.pass(back ? -ms : ms);
  count(tally, back ? 'clock.setBack' : 'clock.jumps');
}

async function driveOnce(state: Play, drive: number, driver: string | null): Promise<'closed' | 'open'> {
  const { trouble, chance, tally } = state;
  const disturbed = drive < DISTURBED_DRIVES;
  state.drives++;
  const stop = stopSwitch();
  const hands = handsOf(state, disturbed, () => {
    if (!disturbed || trouble.stop === 0 || stop.signal.stopped || !chance.once(trouble.stop)) return;
    count(tally, 'driver.stopped');
    stop.stop();
  });
  try {
    const done = await driveRun({
      run: state.run,
      hands,
      stop: stop.signal,
      onAwait: 'park',
      resume: driver === null,
      ...(driver === null ? {} : { driver }),
    });
    if (!done.ok && done.error.code === 'run.busy') count(tally, 'driver.busy');
    if (!done.ok) {
      if (!EXPECTED.includes(done.error.code)) state.findings.push(`drive: ${done.error.code}: ${done.error.message}`);
      return 'open';
    }
    if (done.value.status === 'parked') await vote(state, done.value.state);
    return done.value.status === 'closed' ? 'closed' : 'open';
  } catch (error) {
    crashed(state, error);
    return 'open';
  }
}

function crashed({ tally }: Play, error: unknown): void {
  if ((error as Partial<Crash> | null)?.code !== 'sim.crash') throw error;
  count(tally, 'driver.crash');
}

async function vote(state: Play, parked: RunState): Promise<void> {
  const { request } = parked;
  if (request === null) return;
  const intent = parked.stage?.intents.find((one) => one.request === request.id);
  await voteFromOutside(state, { request: request.id, digest: request.digest, until: request.until, action: intent?.action ?? '' });
}

/** Goes back to any entry that the run can go back to, under the same faults as a drive. */
async function rewindOnce(state: Play): Promise<void> {
  const loaded = await loadRun(state.store, state.run);
  const [first, ...more] = loaded.ok ? rewindTargets(loaded.value).filter(({ problem }) => problem === null) : [];
  if (first === undefined) return;
  const { stage, visit } = state.chance.pick([first, ...more]);
  try {
    const done = await rewindRun({ run: state.run, hands: handsOf(state, true), to: { stage, visit } });
    if (done.ok) count(state.tally, 'run.rewound');
    // What was queued is judged first, and may have changed what is possible.
    else if (!EXPECTED.includes(done.error.code) && !/^(rewind\.|run\.closed$)/.test(done.error.code))
      state.findings.push(`rewind: ${done.error.code}: ${done.error.message}`);
  } catch (error) {
    crashed(state, error);
  }
}

/** At most one holder; a holder that crashed has released by unwinding, as the system would for a dead process. */
function leaseOf(tally: Tally): Lease {
  let held = false;
  return {
    acquire: async () => {
      if (held) count(tally, 'driver.busy');
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

function handsOf(state: Play, disturbed: boolean, passes: () => void = () => undefined): Hands {
  const { store, watch, clock, chance, trouble, repository, run, failedOnce, tally, snapshots } = state;
  const turns = chance.fork(`turns/${chance.below(2 ** 30)}`);
  const by = `driver ${++state.handles}`;
  const happens = (one: number): boolean => disturbed && one > 0 && chance.once(one);
  const happened = (kind: FaultKind): void => count(tally, kind);
  const drawn = <K extends FaultKind>(one: number, kinds: readonly [K, ...K[]]): K | null => {
    if (!happens(one)) return null;
    const kind = chance.pick(kinds);
    happened(kind);
    return kind;
  };
  const ledger = faultyStore({
    inner: store,
    watch,
    by,
    turns,
    next: (of) => (of === 'append' ? drawn(trouble.store, APPEND_FAULTS) : drawn(trouble.store * 2, ['store.unreadable'])),
    interfere: () => interfere(state),
    // A writ of nobody here: a change of law that changes nothing for this run.
    legislate: () => state.legislate('writ.revoked', { writ: digestOf(chance.bytes(NONCE_BYTES)), because: 'another matter' }),
  });
  const workspace = simWorkspace(repository);
  const fails = (place: string): (typeof MODEL_FAILURES)[number] | null => {
    if (trouble.modelFails === 0 || failedOnce.has(place) || !chance.once(trouble.modelFails)) return null;
    failedOnce.add(place);
    return chance.pick(MODEL_FAILURES);
  };
  const dies = (): boolean => happens(trouble.crash);
  const tell = (moment: Moment): Promise<void> => watch.tell(moment);
  const pass = (ms: number): void => clock.pass(ms);
  const asks = (request: Parameters<Parameters<typeof simModel>[0]['asks']>[0]): Promise<void> => tell({ what: 'asks', by, run, request });
  const noModel = happens(trouble.noModel);
  if (noModel) happened('driver.noModel');
  return {
    ledger,
    clock,
    randomness: chance,
    model: noModel ? null : simModel({ seed: state.seed, turns, fails, asks, happened, pass }),
    workspace,
    host: simHost({ workspace, run, by, tell, dies, fault: () => drawn(trouble.sandbox, SANDBOX_FAULTS), pass }),
    approver: disturbed && chance.once(2) ? null : { ask: async (question) => honestVote(state, question) },
    redact,
    sleep: (ms, stop) => sleep(state, ms, stop),
    ...(trouble.lease ? { lease: state.lease } : {}),
    ...(snapshots === null ? {} : { snapshots }),
    crashPoint: (point) => {
      passes();
      if (dies()) throw new Crash(`died at ${point}`);
    },
  };
}

const [FIRST_FAULT, ...MORE_FAULTS] = STORE_FAULTS;
const APPEND_FAULTS = [FIRST_FAULT, ...MORE_FAULTS.filter((kind) => kind !== 'store.unreadable')] as const;

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

function redact(bytes: Bytes): Bytes {
  const text = utf8Decode(bytes);
  return text.ok && text.value.includes(SECRET) ? utf8Encode(text.value.replaceAll(SECRET, MARKER)) : bytes;
}
