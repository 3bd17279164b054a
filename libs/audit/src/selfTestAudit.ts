/**
 * Self-tests judged again: each canary by the kernel, what they came to from the entries alone, who signed it, and whether a run that cites one may.
 * Must never take the recorded verdict for the verdict (PROTOCOL §§4.2, 10).
 */
import { bodyType, checkSignature, keyWithRole, type LawView } from '@openexec/authority';
import { canonicalText, type Instant, instantToMs, parseCanonical, type TrajectoryId } from '@openexec/canon';
import type { Stored } from '@openexec/ledger';
import { type Body, type Reference, type RunOpened, type SelfTestOpened, selfTestReport } from '@openexec/protocol';
import { type BlobReader, bodyOf } from './event.ts';
import { canaryOutcomes, keyOfOpening, openingFault, passedOf, SELF_TEST_VALID_MS, type SelfTestEvent } from './outcome.ts';
import type { DriftKind, SelfTestReportOf } from './report.ts';
import { RunAudit } from './runAudit.ts';

/** A self-test that was judged again, as far as citing it goes. */
export interface JudgedSelfTest {
  readonly seq: number;
  readonly opened: Pick<SelfTestOpened, 'kernel' | 'policySet' | 'catalogue' | 'profile'>;
  readonly at: Instant;
  readonly until: Instant;
  readonly passed: boolean;
  /** Everything about it held when it was judged again. */
  readonly sound: boolean;
}

/** One trajectory of canaries. */
export class SelfTestAudit {
  /** Null once its last entry was judged: nothing more of it is held then. */
  #audit: RunAudit | null;
  #report: SelfTestReportOf | null = null;
  #counts: ReadonlyMap<DriftKind, number> = new Map();
  readonly #trajectory: TrajectoryId;
  readonly #reader: BlobReader;
  readonly #nonces: Set<string>;
  #events: SelfTestEvent[] = [];
  #judged: JudgedSelfTest | null = null;
  /** A payload or blob is gone: what is left proves nothing, and nothing is said against it. */
  #gone = false;

  constructor(trajectory: TrajectoryId, reader: BlobReader, nonces: Set<string>) {
    this.#audit = new RunAudit(trajectory, reader);
    this.#trajectory = trajectory;
    this.#reader = reader;
    this.#nonces = nonces;
  }

  get divergences(): number {
    return this.#audit?.divergences ?? [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  /** How many differences there are of each kind. */
  get counts(): ReadonlyMap<DriftKind, number> {
    return this.#audit?.counts ?? this.#counts;
  }

  /** What was found, for runs that cite it; `gone` where nothing can be found any more. */
  get judged(): JudgedSelfTest | 'gone' | null {
    return this.#gone ? 'gone' : this.#judged;
  }

  async take(stored: Stored, law: LawView): Promise<void> {
    const audit = this.#audit;
    if (audit === null) return; // No store takes an entry after the last one; `verify` names it.
    await audit.take(stored, law);
    const body = bodyOf(stored);
    if (!body.ok) this.#gone ||= body.error.what === 'gone';
    else if (stored.entry.kind !== 'selfTest.recorded') this.#events.push({ kind: stored.entry.kind, body: body.value });
    else await this.#record({ audit, stored, law }, body.value as unknown as Body<'selfTest.recorded'>); // Held against its schema by `bodyOf`.
    if (stored.entry.kind !== 'selfTest.recorded') return;
    this.#report = this.finish();
    this.#counts = audit.counts;
    this.#audit = null;
    this.#events = [];
  }

  /** Holds what was recorded against what the entries say. */
  async #record({ audit, stored, law }: Place, recorded: Body<'selfTest.recorded'>): Promise<void> {
    const first = this.#events[0];
    if (first?.kind !== 'selfTest.opened' || this.#gone) {
      this.#gone = true;
      return;
    }
    const opened = first.body as SelfTestOpened; // Held against its schema by `bodyOf`.
    const { body } = recorded;
    const before = audit.divergences;
    const fault = (expected: string, said: string): void => audit.fault(stored, 'selfTest', { expected, recorded: said });
    const set = openingFault(opened);
    if (set !== null) fault('the canary set', set);
    const signature = signatureFault(recorded, law, stored.entry.at);
    if (signature !== null) fault('the signature of a runtime key in force', signature);
    if (body.ledger !== law.ledger) fault(`${law.ledger}`, body.ledger);
    if (body.trajectory !== this.#trajectory) fault(this.#trajectory, body.trajectory);
    if (this.#nonces.has(body.nonce)) fault('a nonce of its own', `${body.nonce}, used before`);
    this.#nonces.add(body.nonce);
    if (body.key !== keyOfOpening(opened)) fault(keyOfOpening(opened), body.key);
    if (instantToMs(body.until) - instantToMs(stored.entry.at) !== SELF_TEST_VALID_MS) fault('24 hours from its time', body.until);
    await this.#holdReport({ audit, stored, law }, body);
    const { seq, at } = stored.entry;
    const sound = audit.divergences === before && before === 0;
    const { kernel, policySet, catalogue, profile } = opened;
    this.#judged = { seq, opened: { kernel, policySet, catalogue, profile }, at, until: body.until, passed: body.passed, sound };
  }

  async #holdReport({ audit, stored }: Place, said: Body<'selfTest.recorded'>['body']): Promise<void> {
    const fault = (expected: string, recorded: string | null): void => audit.fault(stored, 'selfTest', { expected, recorded });
    const read = await this.#reader.read(said.report.digest);
    if (!read.ok) {
      if (read.error.code === 'blob.erased') this.#gone = true;
      else fault(`the report ${said.report.digest}`, read.error.message);
      return;
    }
    const json = parseCanonical(read.value);
    const report = json.ok ? selfTestReport.safeParse(json.value) : null;
    if (report?.success !== true) return fault('a report of its schema', 'other bytes');
    const outcomes = canaryOutcomes(this.#events);
    for (const [at, outcome] of outcomes.entries()) {
      const other = report.data.canaries[at];
      const [made, told] = [canonicalText({ ...outcome }), other === undefined ? null : canonicalText({ ...other })];
      if (made !== told) fault(made, told);
    }
    const passed = passedOf({ canaries: [...outcomes], sandbox: report.data.sandbox });
    if (said.passed && !passed) fault('passed: false', 'passed: true');
    if (said.canaries !== outcomes.length) fault(`${outcomes.length} canaries`, `${said.canaries} canaries`);
  }

  finish(): SelfTestReportOf {
    if (this.#report !== null) return this.#report;
    if (this.#audit === null) throw new Error(`audit: ${this.#trajectory} was ended without a report`);
    return { ...this.#audit.finish(), passed: this.#judged?.passed ?? null };
  }
}

/** Where something is found. */
interface Place {
  readonly audit: RunAudit;
  readonly stored: Stored;
  readonly law: LawView;
}

function signatureFault({ body, signatures }: Body<'selfTest.recorded'>, law: LawView, at: Instant): string | null {
  const [signature, ...others] = signatures;
  if (signature === undefined || others.length > 0) return `${signatures.length} signatures`;
  const holder = keyWithRole(law, { key: signature.key, roles: ['runtime'], at });
  if (!holder.ok) return holder.error.message;
  const { publicKey } = holder.value;
  const good = checkSignature({ type: bodyType('selfTest.recorded'), body, publicKey, signature });
  return good ? null : `a signature of ${signature.key} that is not over this body`;
}

/** Both values of one thing in which a citation does not hold. */
export interface CitationFault {
  readonly expected: string;
  readonly recorded: string;
}

/** Everything that speaks against a run citing a self-test: where it is, whose it is, what it came to, how old it was. */
export function citationFaults(
  cited: Reference,
  run: { readonly opened: RunOpened; readonly at: Instant },
  known: JudgedSelfTest | 'gone' | null,
): readonly CitationFault[] {
  if (known === 'gone') return [];
  const where = `${cited.trajectory} ${cited.seq}`;
  if (known === null) return [{ expected: 'a recorded self-test before it', recorded: where }];
  const faults: CitationFault[] = [];
  const hold = (holds: boolean, expected: string, recorded: string): void => void (holds || faults.push({ expected, recorded }));
  const { opened, at } = run;
  hold(known.seq === cited.seq, `${cited.trajectory} ${known.seq}, where it was recorded`, where);
  hold(known.passed, 'a self-test that passed', `${where}, which did not`);
  hold(known.sound, 'a self-test that holds when judged again', `${where}, which does not`);
  // It stands before the run in the tree; a clock that was set back between the two makes it no younger and no older.
  hold(at <= known.until, `opened until ${known.until}`, `opened at ${at}`);
  // A child's profile is compiled from a writ within its parent's; a self-test of the wider one stands for it.
  const parts = opened.parent === undefined ? (['policySet', 'catalogue', 'profile'] as const) : (['policySet', 'catalogue'] as const);
  for (const part of parts)
    hold(known.opened[part].digest === opened[part].digest, `${part} ${opened[part].digest}`, `${part} ${known.opened[part].digest}`);
  const kernel = (of: { version: string; flags: number[] }): string => `kernel ${of.version} [${of.flags.join(', ')}]`;
  hold(kernel(known.opened.kernel) === kernel(opened.kernel), kernel(opened.kernel), kernel(known.opened.kernel));
  return faults;
}
