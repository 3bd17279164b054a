/**
 * Waiting for people: ask the one at hand once, else park the run or follow the ledger for votes until the request ends. Must never decide, nor
 * sign (PROTOCOL §6).
 */
import { canonicalText, ok, type Result } from '@openexec/canon';
import type { ApprovalQuestion, Approver, StopSignal } from '@openexec/catalogue';
import type { PendingEffect, RunState } from '@openexec/kernel';
import { reading, type RuntimeFailure } from './failure.ts';
import type { Session } from './session.ts';
import { stopSwitch } from './stop.ts';

/** The order that the kernel gives. */
export type ApprovalEffect = Extract<PendingEffect, { do: 'awaitApproval' }>;
/** Longest single sleep: the clock of a machine may be set meanwhile. */
const MAX_SLEEP_MS = 60_000;

/** One step towards the end of an open request. The caller looks at the state again afterwards. */
export async function awaitApproval(
  session: Session,
  effect: ApprovalEffect,
  options: { readonly onAwait: 'wait' | 'park'; readonly asked: Set<string>; readonly stop: StopSignal },
): Promise<Result<void, RuntimeFailure>> {
  const { onAwait, asked, stop } = options;
  const open = stillOpen(effect);
  if (session.until(effect.until) === 0) {
    const expired = await session.add(
      { kind: 'approval.expired', actor: 'runtime', body: { ...session.driven, request: effect.request }, blobs: [] },
      open,
    );
    return expired.ok ? ok(undefined) : expired;
  }
  if (session.hands.approver !== null && !asked.has(effect.request))
    return askPerson(session, effect, session.hands.approver, { asked, stop });
  if (onAwait === 'wait') return waitForNews(session, effect, stop);
  const because = {
    code: 'approval.pending',
    message: `an approval of ${session.folded.requested?.action ?? 'an action'} is open until ${effect.until}`,
  };
  const parked = await session.add({ kind: 'run.pauseRequested', actor: 'runtime', body: { by: 'driver', because }, blobs: [] }, open);
  return parked.ok ? ok(undefined) : parked;
}

const stillOpen =
  (effect: ApprovalEffect) =>
  (state: RunState): boolean =>
    state.request?.id === effect.request;

/** Asks the person at hand, once for each request; gives up asking when the run moves on meanwhile. */
async function askPerson(
  session: Session,
  effect: ApprovalEffect,
  approver: Approver,
  options: { readonly asked: Set<string>; readonly stop: StopSignal },
): Promise<Result<void, RuntimeFailure>> {
  const { asked } = options;
  asked.add(effect.request);
  const prompt = stopSwitch(options.stop);
  const question = questionOf(session, effect);
  const news = waitForNews(session, effect, prompt.signal).finally(() => prompt.stop());
  const vote = await approver.ask(question, prompt.signal);
  // Disturbed, not declined: asked again when the request is still open.
  if (vote === null && prompt.signal.stopped) asked.delete(effect.request);
  prompt.stop();
  prompt.release();
  const read = await news;
  if (!read.ok || vote === null) return read;
  const body = { vote: { body: vote.body, signatures: vote.signatures } }; // The store checks the shape.
  const added = await session.add(
    { kind: 'approval.voted', actor: `key:${vote.signatures[0]?.key ?? ''}`, body, blobs: [] },
    stillOpen(effect),
  );
  return added.ok ? ok(undefined) : added;
}

function questionOf(session: Session, effect: ApprovalEffect): ApprovalQuestion {
  const { state, folded } = session;
  const intent = state.stage?.intents.find((one) => one.request === effect.request);
  const requested = folded.requested;
  if (requested === null || requested.request !== effect.request) throw new Error('runtime: a request is open that was never read');
  return {
    request: effect.request,
    run: state.run,
    digest: requested.digest,
    action: requested.action,
    because: requested.because.message,
    rule: requested.rule === null ? '' : `${requested.rule.layer}/${requested.rule.rule}`,
    detail: intent === undefined ? '' : canonicalText(intent.arguments),
    until: effect.until,
  };
}

/** Returns once the run has a new entry, which it has read then, the request's time is over, or the driver is stopped. */
async function waitForNews(session: Session, effect: ApprovalEffect, stop: StopSignal): Promise<Result<void, RuntimeFailure>> {
  const { ledger } = session.hands;
  const { run, nextSeq } = session.state;
  // From the head as it is now, and only then a look at the run: nothing can fall between.
  const follow = ledger.follow((await ledger.head()).size);
  const woken = stopSwitch(stop);
  const off = woken.signal.onStop(() => void follow.return());
  try {
    const read = await session.refresh();
    if (!read.ok || session.state.nextSeq > nextSeq) return read;
    const news = reading(async () => {
      for await (const stored of follow) if (stored.entry.trajectory === run) break;
      return ok(undefined);
    });
    await Promise.race([news, sleepUntil(session, effect, woken.signal)]);
    woken.stop();
    const heard = await news;
    return heard.ok ? await session.refresh() : heard;
  } finally {
    off();
    woken.stop();
    woken.release();
    await follow.return();
  }
}

async function sleepUntil(session: Session, effect: ApprovalEffect, stop: StopSignal): Promise<void> {
  for (let left = session.until(effect.until); left > 0 && !stop.stopped; left = session.until(effect.until)) {
    await session.hands.sleep(Math.min(MAX_SLEEP_MS, left), stop);
  }
}
