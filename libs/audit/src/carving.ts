/**
 * The spending of writs, folded again from `writ/…`, `run.opened` and `run.closed` in tree order: each grant fits into what was left, under a chain that
 * counted, in one piece with the opening; each settlement is what the run recorded, in one piece with its close. Holds no more than the grants that are
 * open. PROTOCOL §5 "Budgets are conserved".
 */
import {
  addAmount,
  BUDGET_DIMENSIONS,
  carveTrajectory,
  checkChain,
  fitsBudget,
  isCarved,
  type LawView,
  NO_AMOUNT,
  subtractAmount,
  writId,
} from '@openexec/authority';
import { digestJson, type Instant, instantToMs, type TrajectoryId } from '@openexec/canon';
import type { Stored } from '@openexec/ledger';
import type { Amount, Body, SignedWrit, Writ } from '@openexec/protocol';
import { bodyOf } from './event.ts';
import type { CarvingCode, CarvingFault } from './report.ts';

/** What was spent and is held under one writ. */
interface Account {
  spent: Amount;
  readonly held: Map<string, Amount>;
}
/** A grant whose `run.opened` has to come next. */
interface Due {
  readonly stored: Stored;
  readonly body: Body<'writ.carved'>;
}
/** A close whose settlements have to come next. */
interface Closing {
  readonly stored: Stored;
  readonly run: string;
  /** Null where its payload was erased. */
  readonly spend: Amount | null;
  readonly grant: Amount;
  readonly owed: Set<TrajectoryId>;
}

interface Held {
  readonly grant: Amount;
  readonly from: readonly TrajectoryId[];
}

export class CarvingAudit {
  readonly #accounts = new Map<TrajectoryId, Account>();
  /** Open runs that were carved. */
  readonly #runs = new Map<string, Held>();
  readonly #faults: CarvingFault[] = [];
  #due: Due[] = [];
  #closing: Closing | null = null;
  #carved = 0;
  #unchecked = 0;

  /** Takes the next entry of the ledger, whatever it is. `law` is the law before it. */
  take(stored: Stored, law: LawView): void {
    const { kind, trajectory } = stored.entry;
    if (kind !== 'writ.settled') this.#endClosing();
    if (kind === 'writ.carved') return this.#takeCarved(stored);
    const due = this.#due;
    this.#due = [];
    if (kind === 'run.opened') return this.#takeOpened(stored, law, due);
    for (const each of due) this.#apart(each);
    if (kind === 'writ.settled') this.#takeSettled(stored);
    else if (kind === 'run.closed') this.#takeClosed(stored, trajectory);
  }

  /** What is still open at the end is open, not wrong; a list that was cut short is. */
  finish(): { readonly faults: readonly CarvingFault[]; readonly carved: number; readonly unchecked: number } {
    this.#endClosing();
    for (const each of this.#due) this.#apart(each);
    this.#due = [];
    return { faults: this.#faults, carved: this.#carved, unchecked: this.#unchecked };
  }

  #takeCarved(stored: Stored): void {
    const read = bodyOf(stored);
    if (!read.ok) return this.#note(stored, 'carving.body', read.error.message, 'a body of writ.carved', null);
    // `bodyOf` has just held it against the schema of this kind.
    this.#due.push({ stored, body: read.value as unknown as Body<'writ.carved'> });
    this.#carved += 1;
  }

  #takeOpened(stored: Stored, law: LawView, due: readonly Due[]): void {
    const run = stored.entry.trajectory;
    const mine = due.filter(({ body }) => body.run === run);
    for (const each of due) if (each.body.run !== run) this.#apart(each);
    const read = bodyOf(stored);
    // A body that cannot be read is the run's own finding; `run.opened` keeps its payload.
    if (!read.ok) return;
    const { writs, parent } = read.value as unknown as Body<'run.opened'>; // As above.
    const leaf = writs.at(-1);
    if (leaf === undefined) return;
    // A child's grant is held in its parent's run, which took its own from the writs above; a parent that hands none out is found beside it.
    const own = parent === undefined ? writs : writs.slice(-1);
    const above = new Map(own.filter(({ body }) => isCarved(body)).map(({ body }) => [carveTrajectory(writId(body)), body]));
    const from: TrajectoryId[] = [];
    for (const each of mine) {
      const { trajectory } = each.stored.entry;
      const writ = above.get(trajectory);
      above.delete(trajectory);
      if (from.includes(trajectory)) this.#again(each);
      else if (writ === undefined) this.#stray(each);
      else {
        this.#hold(each, writ, leaf);
        from.push(trajectory);
      }
    }
    for (const trajectory of above.keys())
      this.#note(stored, 'carving.missing', `the run was opened without its grant from ${trajectory}`, amountText(leaf.body.budget), null);
    this.#checkChain(mine, { writs, law, at: stored.entry.at });
    if (from.length > 0) this.#runs.set(run, { grant: leaf.body.budget, from });
  }

  /** One grant, held against the writ it comes from and the run it goes to. */
  #hold({ stored, body }: Due, writ: Writ, leaf: SignedWrit): void {
    const { run, grant } = body;
    const own = leaf.body.budget;
    if (digestJson(body.writ) !== digestJson(leaf))
      this.#note(
        stored,
        'carving.writ',
        `the writ recorded is not the one that ${run} was opened with`,
        writId(leaf.body),
        writId(body.writ.body),
      );
    if (!equal(grant, own))
      this.#note(stored, 'carving.grant', 'the grant is not the whole budget of the run', amountText(own), amountText(grant));
    const { trajectory } = stored.entry;
    const account = this.#accounts.get(trajectory) ?? { spent: NO_AMOUNT, held: new Map<string, Amount>() };
    this.#accounts.set(trajectory, account);
    const reserved = [...account.held.values()].reduce(addAmount, NO_AMOUNT);
    const fits = fitsBudget({ grant: writ.budget, settled: account.spent, reserved, ask: grant });
    if (!fits.ok)
      this.#note(
        stored,
        'carving.overdrawn',
        fits.error.message,
        amountText(leftOf(writ.budget, addAmount(account.spent, reserved))),
        amountText(grant),
      );
    account.held.set(run, grant);
  }

  #checkChain(mine: readonly Due[], of: { readonly writs: readonly SignedWrit[]; readonly law: LawView; readonly at: Instant }): void {
    const [first] = mine;
    if (first === undefined) return;
    // The moment of the grant is the moment of the opening: one batch, one clock.
    const { at } = first.stored.entry;
    if (at !== of.at)
      this.#note(first.stored, 'carving.apart', `granted ${instantToMs(of.at) - instantToMs(at)} ms before the run was opened`, of.at, at);
    const chain = checkChain({ writs: of.writs, law: of.law, at: of.at, ledger: of.law.ledger });
    if (!chain.ok) this.#note(first.stored, 'carving.chain', chain.error.message, 'a chain that counts', chain.error.code);
  }

  #takeClosed(stored: Stored, run: string): void {
    const held = this.#runs.get(run);
    if (held === undefined) return;
    this.#runs.delete(run);
    const read = bodyOf(stored);
    const spend = read.ok ? (read.value as unknown as Body<'run.closed'>).spend : null; // As above.
    this.#closing = { stored, run, spend, grant: held.grant, owed: new Set(held.from) };
  }

  #takeSettled(stored: Stored): void {
    const read = bodyOf(stored);
    if (!read.ok) return this.#note(stored, 'settlement.body', read.error.message, 'a body of writ.settled', null);
    const { run, spend, returned } = read.value as unknown as Body<'writ.settled'>; // As above.
    const { trajectory } = stored.entry;
    const account = this.#accounts.get(trajectory);
    const grant = account?.held.get(run);
    if (account === undefined || grant === undefined)
      return this.#note(
        stored,
        'settlement.unknown',
        `${run} holds no grant of this writ: it never did, or was settled before`,
        null,
        amountText(spend),
      );
    const closing = this.#closing;
    account.held.delete(run);
    if (closing === null || closing.run !== run || !closing.owed.delete(trajectory)) {
      account.spent = addAmount(account.spent, spend);
      return this.#note(stored, 'settlement.apart', `${run} was settled elsewhere than at its close`, 'run.closed just before', null);
    }
    const truth = closing.spend ?? spend;
    if (closing.spend === null) this.#unchecked += 1;
    else if (!equal(truth, spend)) this.#note(stored, 'settlement.spend', `not what ${run} recorded`, amountText(truth), amountText(spend));
    const back = leftOf(grant, truth);
    if (!equal(back, returned))
      this.#note(stored, 'settlement.returned', 'not the grant without what was spent', amountText(back), amountText(returned));
    // What follows is held against the truth, so that one false settlement does not make the next look false.
    account.spent = addAmount(account.spent, truth);
  }

  /** A close without its settlement keeps the whole grant taken: nothing is found twice. */
  #endClosing(): void {
    const closing = this.#closing;
    this.#closing = null;
    for (const trajectory of closing?.owed ?? []) {
      if (closing === null) return;
      this.#note(
        closing.stored,
        'settlement.missing',
        `the close of ${closing.run} settled nothing in ${trajectory}`,
        amountText(closing.spend ?? closing.grant),
        null,
      );
    }
  }

  #again({ stored, body }: Due): void {
    this.#note(stored, 'carving.again', `${body.run} holds a grant of this writ already`, null, amountText(body.grant));
  }

  #apart(due: Due): void {
    const { stored, body } = due;
    if (this.#accounts.get(stored.entry.trajectory)?.held.has(body.run) === true) return this.#again(due);
    this.#note(stored, 'carving.apart', `the grant is not followed by the opening of ${body.run}`, 'run.opened next', null);
  }

  #stray({ stored, body }: Due): void {
    this.#note(stored, 'carving.writ', `no writ of the chain of ${body.run} is spent here`, null, writId(body.writ.body));
  }

  #note(stored: Stored, code: CarvingCode, message: string, expected: string | null, recorded: string | null): void {
    const { trajectory, seq, kind } = stored.entry;
    this.#faults.push({ index: stored.index, trajectory, seq, kind, code, message, expected, recorded });
  }
}

function equal(a: Amount, b: Amount): boolean {
  return BUDGET_DIMENSIONS.every((dimension) => a[dimension] === b[dimension]);
}

/** What is left, never below nothing: more than reserved is settled at the truth. */
function leftOf(grant: Amount, taken: Amount): Amount {
  const most = (dimension: (typeof BUDGET_DIMENSIONS)[number]) => Math.min(taken[dimension], grant[dimension]);
  return subtractAmount(grant, { tokens: most('tokens'), usdMicros: most('usdMicros'), calls: most('calls') });
}

function amountText(amount: Amount): string {
  return BUDGET_DIMENSIONS.map((dimension) => `${amount[dimension]} ${dimension}`).join(', ');
}
