/**
 * Images of folds: from the image of any position the rest of the run folds to the very state that a fold from the start has, and is judged alike.
 * PROTOCOL §3 "Snapshots".
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { type Bytes, canonicalText, type Digest, type Json, parseCanonical, toHex } from '@openexec/canon';
import {
  evolve,
  foldOfImage,
  imageOf,
  initialState,
  judge,
  neededBlobs,
  type RunEvent,
  type RunLaw,
  type RunState,
  readRunLaw,
} from '@openexec/kernel';
import { FIX_LOOP, House, RunDriver, type RunPlan, writeFile } from '@openexec/kernel/fixture';
import { bundleOf, isAction, setOf, TERMS } from './support.ts';

const LOOSE = {
  ...(FIX_LOOP as { readonly [key: string]: Json }),
  defaults: { toolset: 'coding_backend', sandbox: 'workspace_write', max_stage_visits: 20 },
};
const GATED = setOf(bundleOf('gated', [{ when: isAction('commit_changes'), decide: { approve: TERMS } }]));

/** The events of a run as a reader of the ledger has them: parsed from their bytes. */
async function recorded(house: House, run: RunDriver): Promise<readonly RunEvent[]> {
  const events: RunEvent[] = [];
  for await (const { entry, payload } of house.store.read(run.run)) {
    const body = parseCanonical(payload ?? new Uint8Array());
    if (!body.ok) throw new Error(body.error.message);
    const bare = { kind: entry.kind, at: entry.at, cause: entry.cause, law: entry.law, body: body.value };
    const blobs = new Map<Digest, Bytes>();
    for (const { digest } of neededBlobs(bare as unknown as RunEvent)) {
      const read = await house.store.blob(digest);
      if (read.ok) blobs.set(digest, read.value);
    }
    events.push({ ...bare, blobs } as unknown as RunEvent);
  }
  return events;
}

/** The law that the opening alone makes, read once more. */
function baseOf(events: readonly RunEvent[]): RunLaw | null {
  const [opened] = events;
  if (opened?.kind !== 'run.opened') throw new Error('the run does not begin with its opening');
  const law = readRunLaw(opened.body, opened.blobs);
  return law.ok ? law.value : null;
}

function restored(image: Bytes, base: RunLaw | null): RunState {
  const fold = foldOfImage(image, base);
  if (!fold.ok) throw new Error(fold.error.message);
  return fold.value as RunState; // What was imaged.
}

const judged = (state: RunState, law: House['law']): string =>
  canonicalText(judge(state, law).map(({ kind, body }) => [kind, body as unknown as Json]));

describe.each(['a run through its fix loop', 'a run that was rewound and waits for a person'] as const)('%s', (which) => {
  let house: House;
  let events: readonly RunEvent[];
  let run: RunDriver;

  beforeAll(async () => {
    house = await House.found();
    const plan: RunPlan = which === 'a run through its fix loop' ? { blueprint: LOOSE } : { blueprint: LOOSE, policySet: GATED };
    run = await RunDriver.open(house, plan);
    const calls = (text: string) => [writeFile('src/a.ts', `${text}\n`), writeFile('src/new.ts', `${text}${text}\n`)];
    await run.play({ answers: [calls('1'), 'written', calls('2'), 'repaired', calls('3'), 'again'], tests: [false, false, true] });
    if (which !== 'a run through its fix loop') {
      await run.rewind('implement', 1);
      await run.resume();
      await run.play({ answers: [calls('4'), 'written'], tests: [true] });
    }
    events = await recorded(house, run);
  });

  test('goes on from the image of every position as if it had been folded from the start', () => {
    expect(events.length).toBeGreaterThan(40);
    let whole = initialState(run.run);
    const images: Bytes[] = [];
    let base: RunLaw | null = null;
    for (const [seq, event] of events.entries()) {
      whole = evolve(whole, seq, event);
      base ??= whole.law;
      images.push(imageOf(whole, base));
    }
    const last = images.at(-1) ?? new Uint8Array();
    const again = baseOf(events);
    const wrong: string[] = [];
    for (const [seq, image] of images.entries()) {
      let state = restored(image, again);
      // Before the opening is folded the run has no law that could be named.
      let law = state.law === null ? null : again;
      // The same text again.
      if (toHex(imageOf(state, law)) !== toHex(image)) wrong.push(`${seq} is not written again as it was read`);
      for (const [later, event] of events.entries()) {
        if (later <= seq) continue;
        state = evolve(state, later, event);
        law ??= state.law;
      }
      if (toHex(imageOf(state, law)) !== toHex(last)) wrong.push(`from ${seq} on the end is another`);
    }
    expect(wrong).toEqual([]);
  });

  test('is judged from an image as from the fold', () => {
    let whole = initialState(run.run);
    let facts = 0;
    let base: RunLaw | null = null;
    const again = baseOf(events);
    for (const [seq, event] of events.entries()) {
      whole = evolve(whole, seq, event);
      base ??= whole.law;
      if (event.cause !== null || whole.queue.length === 0) continue;
      facts += 1;
      expect(judged(restored(imageOf(whole, base), again), house.law)).toBe(judged(whole, house.law));
    }
    expect(facts).toBeGreaterThan(10);
  });
});

describe('an image', () => {
  const hostile = { ['__proto__']: 1, $: ['law', ''], before: 1, event: [undefined], list: { earlier: null, n: 1 } };

  test('keeps members of any name, and what JSON has no word for', () => {
    const value = {
      plain: JSON.parse('{"__proto__": {"$": ["node", 7]}, "$": ["bytes", "!"]}') as unknown,
      map: new Map([
        ['b', Uint8Array.of(1)],
        ['a', undefined],
      ]),
      hostile,
    };
    const image = imageOf(value, null);
    const back = foldOfImage(image, null);
    expect(back).toMatchObject({ ok: true });
    expect(back.ok && back.value).toEqual(value);
    expect(back.ok && Object.keys((back.value as typeof value).plain as object).sort()).toEqual(['$', '__proto__']);
    expect(back.ok && [...(back.value as typeof value).map.keys()]).toEqual(['b', 'a']);
  });

  test.each([
    ['no JSON', '{\n'],
    ['cut', '{"format":1,"nodes":[],"segments":[9],"tail":[],"root":1}\n[]'],
    ['another format', '{"format":0,"nodes":[],"segments":[],"tail":[],"root":1}\n'],
    ['a node that is not there', '{"format":1,"nodes":[],"segments":[],"tail":[],"root":{"$":["node",0]}}\n'],
    ['a law that is not there', '{"format":1,"nodes":[],"segments":[],"tail":[],"root":{"$":["law",""]}}\n'],
    ['a mark of nothing', '{"format":1,"nodes":[],"segments":[],"tail":[],"root":{"$":["what",1]}}\n'],
  ])('that is %s is refused', (_, text) => {
    expect(foldOfImage(new TextEncoder().encode(text), null)).toMatchObject({ ok: false, error: { code: 'image.unreadable' } });
  });

  test('of a long history is the same however it came about, and its events are read when they are asked for', () => {
    const event = (seq: number) => ({
      kind: 'model.failed',
      seq,
      at: '2026-01-01T00:00:00.000Z',
      body: { n: seq, $: 'x', ['__proto__']: 1 },
    });
    type Node = { readonly event: ReturnType<typeof event>; readonly before: Node | null };
    const grown = (from: Node | null, first: number, count: number): Node | null => {
      let node = from;
      for (let seq = first; seq < first + count; seq++) node = { event: event(seq), before: node };
      return node;
    };
    const whole = imageOf({ history: grown(null, 0, 1000) }, null);
    // In pieces, with images made and read on the way.
    let history: Node | null = null;
    for (const [first, count] of [
      [0, 1],
      [1, 255],
      [256, 1],
      [257, 300],
      [557, 443],
    ] as const) {
      history = grown(history, first, count);
      const back = foldOfImage(imageOf({ history }, null), null);
      if (!back.ok) throw new Error(back.error.message);
      history = (back.value as { readonly history: Node }).history;
    }
    expect(toHex(imageOf({ history }, null))).toBe(toHex(whole));
    const seqs: number[] = [];
    for (let node = history; node !== null; node = node.before) seqs.push(node.event.seq);
    expect(seqs).toEqual(Array.from({ length: 1000 }, (_, at) => 999 - at));
    expect(history?.event.body).toEqual(event(999).body);
  });

  test('of a list of 20,000 is made and read without recursion', () => {
    let list: { readonly n: number; readonly earlier: unknown } | null = null;
    for (let n = 0; n < 20_000; n++) list = { n, earlier: list };
    const back = foldOfImage(imageOf({ list }, null), null);
    expect(back).toMatchObject({ ok: true, value: { list: { n: 19_999, earlier: { n: 19_998 } } } });
  });
});
