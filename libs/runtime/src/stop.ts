/**
 * Stop signals: a switch that somebody holds, and one that follows another. Must never be restarted once stopped (ports: StopSignal).
 */
import type { StopSignal } from '@openexec/catalogue';

/** A signal with the hand that stops it. */
export interface StopSwitch {
  readonly signal: StopSignal;
  stop(): void;
}

/** A new switch. Given a `parent`, it stops with it; `release` it when the work it was for has ended. */
export function stopSwitch(parent?: StopSignal): StopSwitch & { release(): void } {
  const listeners = new Set<() => void>();
  let stopped = false;
  const stop = (): void => {
    if (stopped) return;
    stopped = true;
    const told = [...listeners];
    listeners.clear();
    for (const listener of told) listener();
  };
  const signal: StopSignal = {
    get stopped() {
      return stopped;
    },
    onStop(listener) {
      if (stopped) {
        listener();
        return () => undefined;
      }
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  if (parent?.stopped === true) stop();
  const release = parent === undefined || stopped ? () => undefined : parent.onStop(stop);
  return { signal, stop, release };
}

/** A signal that never stops. */
export const NEVER: StopSignal = { stopped: false, onStop: () => () => undefined };
