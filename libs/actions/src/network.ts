/**
 * Everything that the commands of one execution tried on the network, added up on the way through the sandbox, so that no action has to think of it.
 * An attempt is never lost: an action that failed beside it is still told as an undeclared effect (PROTOCOL §9).
 */
import { ok, type Result, utf8Encode } from '@openexec/canon';
import type { CommandOutcome, NetworkObservation, Sandbox } from '@openexec/catalogue';
import type { ActionFailure } from './errors.ts';
import { type Outcome, textOutcome } from './execution.ts';

/** A sandbox that remembers what was tried. `seen` is null until a command has ended. */
export interface WatchedSandbox {
  readonly sandbox: Sandbox;
  seen(): NetworkObservation | null;
}

/** Wraps a sandbox for one execution. */
export function watchNetwork(inner: Sandbox): WatchedSandbox {
  let seen: NetworkObservation | null = null;
  return {
    sandbox: {
      check: () => inner.check(),
      run: async (order, stop) => {
        const ran = await inner.run(order, stop);
        if (ran.ok) seen = added(seen, ran.value);
        return ran;
      },
    },
    seen: () => seen,
  };
}

/** What could not be counted in one command cannot be in the sum. */
function added(sum: NetworkObservation | null, { network }: CommandOutcome): NetworkObservation {
  if (sum === null) return network;
  const attempts = sum.attempts === null || network.attempts === null ? null : sum.attempts + network.attempts;
  return { attempts, ipv4: sum.ipv4 + network.ipv4, ipv6: sum.ipv6 + network.ipv6 };
}

/** The outcome with what was seen. A failure beside an attempt becomes an outcome, unless the run was stopped: then nothing is known to have ended. */
export function withNetwork(outcome: Result<Outcome, ActionFailure>, network: NetworkObservation | null): Result<Outcome, ActionFailure> {
  if (outcome.ok) return ok({ ...outcome.value, network });
  const tried = network !== null && network.ipv4 + network.ipv6 > 0;
  if (!tried || outcome.error.code === 'run.stopped' || outcome.error.effectUnknown) return outcome;
  const { message, output } = outcome.error;
  return ok({ ...textOutcome(message, output ?? utf8Encode(`${message}\n`), { status: 'failed' }), network });
}
