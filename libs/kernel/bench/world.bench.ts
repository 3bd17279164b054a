/**
 * The world's root after one commit of one change, for worlds of 10, 1,000 and 100,000 resources, beside the same root made from nothing: what a root
 * costs that is not kept up. Prints; must never judge. PROTOCOL §8 "O(changed · log n)".
 */
import process from 'node:process';
import { digestOf } from '@openexec/canon';
import type { DeltaStep } from '@openexec/protocol';
import { applyDelta, emptyWorld, type World, worldRoot } from '../src/world.ts';

const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 5);
const CHANGES = 200;

const valueOf = (text: string) => ({ blob: digestOf(text), bytes: text.length, mode: '100644', oid: '0'.repeat(40) });
const idOf = (at: number): string => `src/part${at % 100}/file${at}.ts`;

function applied(world: World, delta: readonly DeltaStep[], seq: number): World {
  const done = applyDelta(world, delta, seq);
  if (!('world' in done)) throw new Error('the delta does not fit');
  return done.world;
}

/** A world of so many files, each created by a commit of its own. */
function worldOf(size: number): World {
  let world = emptyWorld;
  for (let at = 0; at < size; at++)
    world = applied(world, [{ op: 'create', kind: 'file', id: idOf(at), version: 0, value: valueOf(`${at}`) }], at);
  return world;
}

const microsOf = (work: () => unknown): number => {
  const start = process.hrtime.bigint();
  work();
  return Number(process.hrtime.bigint() - start) / 1000;
};
/** Of the processor, not of the clock: on a shared machine a long piece of work waits more often than a short one. */
const spentMicros = (work: () => unknown): number => {
  const start = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(start);
  return user + system;
};
const median = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[list.length >> 1] ?? 0;

let smallest = 0;
for (const size of [10, 1000, 100_000]) {
  const world = worldOf(size);
  const before = worldRoot(world);
  const changed: number[] = [];
  const rebuilt: number[] = [];
  let last = before;
  for (let round = -1; round < ROUNDS; round++) {
    const times: number[] = [];
    for (let change = 0; change < CHANGES; change++) {
      const id = idOf((change * 7919) % size);
      const step: DeltaStep = { op: 'replace', kind: 'file', id, version: 1, value: valueOf(`${round}/${change}`) };
      times.push(microsOf(() => (last = worldRoot(applied(world, [step], size)))));
    }
    const whole = spentMicros(() => {
      if (worldRoot(worldOf(size)) !== before) throw new Error('another root');
    });
    if (round < 0) continue; // Warms the code up.
    changed.push(median(times));
    rebuilt.push(whole);
  }
  const [one, all] = [median(changed), median(rebuilt)];
  smallest ||= one;
  console.log(
    `${String(size).padStart(7)} resources   root after one change ${one.toFixed(1).padStart(8)} us   rebuilt ${(all / 1000).toFixed(1).padStart(9)} ms   1/${(all / one).toFixed(0)} of it   ${(one / smallest).toFixed(2)} of the smallest; result ${last}`,
  );
}
