/**
 * What an action did beyond its declaration, in words: paths that it touched, and attempts on the network that nobody had granted. Observed from
 * outside, never told by the command (PROTOCOL §9, GOALS E19).
 */
import type { Execution } from '@openexec/catalogue';
import type { Body, Reason } from '@openexec/protocol';

const SHOWN_PATHS = 5;

function attemptsOf({ network }: Execution): number {
  return network === null ? 0 : network.ipv4 + network.ipv6;
}

/** Whether this is an undeclared effect. What could not be counted is none: nothing can have left a sandbox without a route. */
export function isUndeclared(done: Execution): boolean {
  return done.undeclared.length > 0 || attemptsOf(done) > 0;
}

/** The observation for a body, left out where no command ran. */
export function networkOf({ network }: Execution): Pick<Body<'execution.observed'>, 'network'> {
  return network === null ? {} : { network: { ...network } };
}

/** Why the stage fails: `effect.undeclared` names the paths; `effect.network`, where nothing else was touched, says what to ask for. */
export function undeclaredReason(action: string, done: Execution): Reason {
  const attempts = attemptsOf(done);
  const tried =
    attempts === 0
      ? ''
      : `tried to reach the network (${attempts} ${attempts === 1 ? 'packet' : 'packets'} refused: ${done.network?.ipv4 ?? 0} IPv4, ${done.network?.ipv6 ?? 0} IPv6; which host and port cannot be observed)`;
  if (done.undeclared.length === 0)
    return {
      code: 'effect.network',
      message: `${action} ${tried}; network is not granted to this stage: ask for a networked stage, or take the access out`,
    };
  const paths = done.undeclared.slice(0, SHOWN_PATHS).join(', ');
  const more = done.undeclared.length > SHOWN_PATHS ? ` and ${done.undeclared.length - SHOWN_PATHS} more` : '';
  return {
    code: 'effect.undeclared',
    message: `${action} touched what it did not declare: ${paths}${more}${tried === '' ? '' : `; it also ${tried}, which is not granted`}`,
  };
}
