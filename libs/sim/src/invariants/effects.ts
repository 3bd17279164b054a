/**
 * Invariants 1, 3 and 7: nothing is done that does not stand in the ledger, nothing at all once the ledger cannot be written, and nothing passes that
 * was not really tried. ARCHITECTURE §7.
 */
import type { Digest } from '@openexec/canon';
import { type Checker, placeOf } from '../moment.ts';

/** 1: no effect without a staged or approved proposal that is already durable; and each start is performed at most once. */
export function provenFirst(): Checker {
  const verdicts = new Map<Digest, string>();
  const staged = new Set<Digest>();
  const started = new Map<Digest, Digest>();
  const observed = new Set<Digest>();
  const asked = new Set<Digest>();
  const done = new Set<Digest>();
  return {
    invariant: 1,
    name: 'no effect without a durable, staged proposal',
    see(moment, tell) {
      if (moment.what === 'performs') {
        const { execution, action } = moment.order;
        const proposal = started.get(execution);
        if (proposal === undefined) tell(`${action} ${execution} is performed without a durable execution.started`);
        else if (!staged.has(proposal)) tell(`${action} ${execution} is performed for ${proposal}, which was never staged`);
        if (done.has(execution)) tell(`${action} ${execution} is performed twice`);
        done.add(execution);
      }
      if (moment.what === 'asks') {
        const { ask } = moment.request;
        if (!asked.has(ask)) tell(`a model is asked ${ask} without a durable model.asked`);
        if (done.has(ask)) tell(`a model is asked ${ask} twice`);
        done.add(ask);
      }
      if (moment.what !== 'entry') return;
      const place = placeOf(moment.stored);
      if (moment.kind === 'policy.decided') verdicts.set(moment.body.decision, moment.body.verdict);
      if (moment.kind === 'proposal.staged') {
        if (verdicts.get(moment.body.decision) !== 'permit') tell(`${place} is staged by a decision that permits nothing`);
        staged.add(moment.body.proposal);
      }
      if (moment.kind === 'execution.started') {
        if (!staged.has(moment.body.proposal)) tell(`${place} starts a proposal that was not staged`);
        started.set(moment.body.execution, moment.body.proposal);
      }
      if (moment.kind === 'model.asked') {
        if (verdicts.get(moment.body.decision) !== 'permit') tell(`${place} asks by a decision that permits nothing`);
        asked.add(moment.body.ask);
      }
      if (moment.kind === 'execution.observed') observed.add(moment.body.execution);
      if (moment.kind === 'commit.recorded' && !observed.has(moment.body.execution)) tell(`${place} commits what was never observed`);
    },
  };
}

/** After these a handle on the ledger appends no more. */
const ENDS: readonly (string | null)[] = ['store.full', 'store.unknownOutcome', 'store.stopped'];

/** 3: if the ledger cannot be written, nothing is done; a start that the driver was not told of, or only as a duplicate, licenses nothing. */
export function writtenOrNothing(): Checker {
  const told = new Map<string, Set<string>>();
  const stopped = new Set<string>();
  const effects = new Map<Digest, number>();
  const seqs = new Map<string, string>();
  return {
    invariant: 3,
    name: 'where the ledger cannot be written, nothing is done',
    see(moment, tell) {
      if (moment.what === 'handed') {
        if (ENDS.includes(moment.code)) stopped.add(moment.by);
        if (moment.told && moment.outcome === 'appended') {
          const known = told.get(moment.by) ?? new Set();
          for (const { leaf } of moment.stored) known.add(leaf);
          told.set(moment.by, known);
        }
      }
      if (moment.what === 'entry' && moment.kind === 'execution.started') seqs.set(moment.body.execution, moment.stored.leaf);
      if (moment.what === 'entry' && moment.kind === 'model.asked') seqs.set(moment.body.ask, moment.stored.leaf);
      if (moment.what !== 'performs' && moment.what !== 'asks') return;
      const id = moment.what === 'performs' ? moment.order.execution : moment.request.ask;
      if (stopped.has(moment.by)) tell(`${moment.by} does ${id} although its appends are refused`);
      if (told.get(moment.by)?.has(seqs.get(id) ?? '') !== true) tell(`${moment.by} does ${id}, whose start it was never told is durable`);
      if (moment.what !== 'performs') return;
      const times = (effects.get(moment.order.idempotencyKey) ?? 0) + 1;
      effects.set(moment.order.idempotencyKey, times);
      if (times > 1 && moment.order.action === 'notify') tell(`notify ${moment.order.idempotencyKey} was done ${times} times`);
    },
  };
}

/** 7: "not configured" fails. What was not run has no verdict, and no stage succeeds without a commit of its own. */
export function nothingPassesUnrun(): Checker {
  const truths = new Map<Digest, string>();
  const stages = new Map<string, { type: string; commits: number }>();
  return {
    invariant: 7,
    name: 'what is not configured or not run never passes',
    see(moment, tell) {
      if (moment.what === 'performed') truths.set(moment.execution, moment.truth);
      if (moment.what !== 'entry') return;
      const place = placeOf(moment.stored);
      const run = moment.stored.entry.trajectory;
      if (moment.kind === 'execution.observed') {
        const truth = truths.get(moment.body.execution);
        if (truth === undefined || truth === 'nothing') tell(`${place} observes what never ran`);
        if (truth === 'red' && moment.body.status === 'ok') tell(`${place} calls a red check green`);
        if (truth === 'passed' && moment.body.status !== 'ok') tell(`${place} calls a green check red`);
      }
      if (moment.kind === 'stage.entered') stages.set(run, { type: moment.body.type, commits: 0 });
      const stage = stages.get(run);
      if (moment.kind === 'commit.recorded' && stage !== undefined) stage.commits++;
      if (moment.kind === 'stage.left' && moment.body.outcome === 'succeeded' && stage?.type === 'deterministic' && stage.commits === 0)
        tell(`${place}: ${moment.body.stage} succeeds without a commit`);
      if (moment.kind === 'model.asked' && moment.before?.law?.model === null) tell(`${place} asks although no model is configured`);
      if (moment.kind === 'run.closed' && moment.body.outcome === 'done' && moment.body.result === null)
        tell(`${place}: the run is done without a result`);
    },
  };
}
