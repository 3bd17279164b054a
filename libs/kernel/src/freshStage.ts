/** The state of a stage at the moment of its entry: what it was given, and nothing done yet. */
import type { StageState } from './state.ts';

/** A stage that has just been entered. */
export function freshStage(entered: Pick<StageState, 'id' | 'visit' | 'enteredSeq' | 'worldAtEntry' | 'inputs'>): StageState {
  return {
    ...entered,
    failures: 0,
    turn: 0,
    malformedInRow: 0,
    permission: null,
    asked: [],
    unasked: [],
    lastAsk: null,
    ask: null,
    calls: [],
    intents: [],
    declared: false,
    finalText: null,
    result: null,
    resultApproved: false,
  };
}
