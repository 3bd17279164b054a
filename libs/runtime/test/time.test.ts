/**
 * Time within a trajectory never decreases among facts, whoever writes and whatever their clocks say; judgements repeat the time of their cause. Attacked
 * by clocks that jump, by speakers from the past and by a forger. PROTOCOL §2 `at`.
 */
import { describe, expect, test } from '@jest/globals';
import { type Clock, instantFromMs, type TrajectoryId } from '@openexec/canon';
import { entriesOf, rechained } from '@openexec/kernel/fixture';
import type { Stored } from '@openexec/ledger';
import { verifyLedger } from '@openexec/verify';
import { openRun, requestPause } from '../src/index.ts';
import { DAY, drive, handsOf, keyOf, newWorld, openingOf, place, randomness, SEEDS, START, WHOLE } from './support.ts';

/** Reads as if somebody turned the clock of the machine at every reading: forward, then back to where it began; never before the law. */
function wildClock(): Clock {
  let reading = 0;
  return {
    now: () => {
      reading += 1;
      return instantFromMs(reading % 5 === 0 ? START : START + reading * 1000);
    },
  };
}
/** Everything that is wrong with the times of a ledger. */
function disorder(entries: readonly Stored[]): readonly string[] {
  const last = new Map<string, string>();
  const facts = new Map<string, string>();
  const wrong: string[] = [];
  for (const { entry } of entries) {
    const { trajectory, seq, at, cause } = entry;
    if (cause === null) {
      if (at < (last.get(trajectory) ?? '')) wrong.push(`${trajectory} ${seq} is before the fact before it`);
      last.set(trajectory, at);
      facts.set(`${trajectory} ${seq}`, at);
    } else if (facts.get(`${trajectory} ${cause}`) !== at) wrong.push(`${trajectory} ${seq} is not of the time of its cause`);
  }
  return wrong;
}

describe('time in a run', () => {
  test('never decreases, though the clock of its driver jumps at every reading and somebody speaks from the past', async () => {
    const at = await place();
    const clock = wildClock();
    const opened = await openRun(openingOf(at, { stages: WHOLE }), { ledger: at.ledger, clock, randomness: randomness('wild') });
    if (!opened.ok) throw new Error(opened.error.message);
    const { run, driver } = opened.value;
    const past: Clock = { now: () => instantFromMs(START) };
    const speaker = { ledger: at.ledger, clock: past, randomness: randomness('past'), run, actor: keyOf(SEEDS.approver) };
    expect(await requestPause({ ...speaker, because: { code: 'person.asked', message: 'a word from the past' } })).toMatchObject({
      ok: true,
    });
    await drive(run, { ...handsOf(at, newWorld()), clock }, { resume: false, driver });
    await drive(run, { ...handsOf(at, newWorld()), clock }, { resume: true });
    const entries = await entriesOf(at.ledger);
    const own = entries.filter(({ entry }) => entry.trajectory === run);
    expect(own.length).toBeGreaterThan(10);
    expect(new Set(own.map(({ entry }) => entry.at)).size).toBeGreaterThan(1);
    expect(disorder(entries)).toEqual([]);
  });

  test('is held by the store: a fact from the past takes the time of the one before it', async () => {
    const at = await place();
    const opened = await openRun(openingOf(at, { stages: WHOLE }), {
      ledger: at.ledger,
      clock: { now: () => instantFromMs(START + 1000) },
      randomness: randomness('held'),
    });
    if (!opened.ok) throw new Error(opened.error.message);
    const draft = {
      kind: 'run.cancelRequested' as const,
      at: instantFromMs(START),
      actor: `key:${keyOf(SEEDS.approver)}` as const,
      cause: null,
      law: null,
      payload: { because: 'earlier' },
    };
    const appended = await at.ledger.append({ to: [{ trajectory: opened.value.run, expect: 'any', drafts: [draft] }], blobs: [] });
    // Moved to the time of the opening, never stored as it was said.
    expect(appended).toMatchObject({ ok: true, value: { stored: [{ entry: { at: instantFromMs(START + 1000) } }] } });
    expect(disorder(await entriesOf(at.ledger))).toEqual([]);
  });

  test('set back by a forger who keeps the chain whole is named at its entry', async () => {
    const at = await place();
    const opened = await openRun(openingOf(at, { stages: WHOLE }), {
      ledger: at.ledger,
      clock: at.clock,
      randomness: randomness('forged'),
    });
    if (!opened.ok) throw new Error(opened.error.message);
    at.clock.ms += 5000;
    await drive(opened.value.run, handsOf(at, newWorld()), { resume: false, driver: opened.value.driver });
    const honest = await entriesOf(at.ledger);
    const run: TrajectoryId = opened.value.run;
    const victim = honest.find(({ entry }) => entry.trajectory === run && entry.kind === 'model.answered');
    if (victim === undefined) throw new Error('no fact to set back');
    const forged = rechained(honest, at.ledger, (stored, body) => [
      { entry: stored.index === victim.index ? { at: instantFromMs(START - DAY) } : {}, body },
    ]);
    expect(disorder(forged.entries).length).toBeGreaterThan(0);
    async function* pages() {
      yield forged.entries.map(({ entryBytes, payload, salt }) => ({ entryBytes, payload, salt }));
    }
    const report = await verifyLedger({ rows: pages(), checkpoints: [], head: null }, { trust: at.fingerprint });
    expect(report.sound).toBe(false);
    expect(report.findings).toContainEqual(expect.objectContaining({ index: Number(victim.index), code: 'entry.time' }));
  });
});
