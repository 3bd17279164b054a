/** Writers that race for positions of one trajectory and record when they asked and were answered. */
import process from 'node:process';
import { parseCanonical, type TrajectoryId } from '@openexec/canon';
import type { LedgerStore } from '@openexec/ledger';
import { fixtures } from '@openexec/ledger/contract';
import type { Answered, Asked, Step } from './register.ts';

const { batchTo, fact } = fixtures;

/** What writers race on: a trajectory of a ledger, or a broken stand-in for one. Answers null where the outcome is unknown, undefined where nothing was stored. */
export interface Raced {
  ask(asked: Asked): Promise<Answered | null | undefined>;
}

/** The trajectory of a ledger. */
export function racedOn(store: LedgerStore, run: TrajectoryId): Raced {
  return {
    ask: async (asked) => {
      if (asked.is === 'read') {
        const values: string[] = [];
        for await (const { payload } of store.read(run)) values.push(valueIn(payload));
        return { is: 'values', values };
      }
      const result = await store.append(batchTo(run, asked.expect, [fact('run.cancelRequested', { because: asked.value })]));
      if (result.ok) return { is: result.value.outcome, seq: result.value.stored[0]?.entry.seq ?? -1 };
      if (result.error.code === 'conflict') return { is: 'conflict', actual: result.error.actual };
      if (result.error.code === 'store.unknownOutcome') return null;
      if (result.error.code === 'store.busy') return undefined;
      throw new Error(`${result.error.code}: ${result.error.message}`);
    },
  };
}

function valueIn(payload: Uint8Array | null): string {
  const body = payload === null ? undefined : parseCanonical(payload);
  const { because } = (body?.ok === true ? body.value : {}) as { readonly because?: string };
  return because ?? 'opened';
}

/** One writer: `count` operations, chosen by its seed; reads, appends where it believes the end to be, repeats itself, appends anywhere. */
export async function race(raced: Raced, writer: number, count: number): Promise<readonly Step[]> {
  const steps: Step[] = [];
  const random = fixtures.seededRandomness(writer + 1);
  let end = 0;
  let said: Asked = { is: 'read' };
  for (let at = 0; at < count; at++) {
    const [dice = 0] = random.bytes(1);
    const value = `${writer}.${at}`;
    if (dice < 60) said = { is: 'read' };
    else if (dice < 90) said = { is: 'append', expect: 'any', value };
    else if (dice >= 120 || said.is === 'read') said = { is: 'append', expect: end, value };
    const called = process.hrtime.bigint();
    const answered = await raced.ask(said);
    const returned = process.hrtime.bigint();
    // Nothing was stored: as if it had not been asked.
    if (answered === undefined) continue;
    steps.push({ asked: said, answered, called, returned: answered === null ? null : returned });
    if (answered?.is === 'values') end = answered.values.length - 1;
    else if (answered?.is === 'conflict') end = answered.actual ?? 0;
    else if (answered !== null) end = answered.seq;
  }
  return steps;
}
