/** What `npm run nightly` plays and in which order, that it goes on where it ended, and that a failure stays one with the line that runs it again. */
import { describe, expect, test } from '@jest/globals';
import { againIn, playOn, portionsOf, stateFrom } from '../nightly.mjs';

interface Portion {
  readonly name: string;
  readonly weight: number;
  readonly args: readonly string[];
}
const all = (): readonly Portion[] => portionsOf({ seeds: 100_000, points: 20_000, firstSeed: 1 });

describe('the nightly row', () => {
  test('has every seed and every point once, the two kinds by turns', () => {
    const portions = all();
    const of = (kind: string): readonly Portion[] => portions.filter(({ name }) => name.startsWith(kind));
    const weigh = (list: readonly Portion[]): number => list.reduce((sum, { weight }) => sum + weight, 0);
    expect([weigh(of('sim')), weigh(of('kill'))]).toEqual([100_000, 20_000]);
    expect(new Set(portions.map(({ args }) => args.join(' '))).size).toBe(portions.length);
    expect(portions.slice(0, 4).map(({ name }) => name)).toEqual(['sim 1', 'kill 0', 'sim 101', 'kill 100']);
    expect(of('kill').at(30)?.args).toEqual(['kill:store', '--', '--variant', '1', '--from', '0', '--points', '100']);
    expect(of('kill').at(-1)?.args).toEqual(['kill:store', '--', '--variant', '6', '--from', '1900', '--points', '100']);
    expect(of('sim').at(-1)?.args).toEqual(['sim', '--', '--seed', '99901', '--count', '100']);
  });

  test('goes on where it ended, plays nothing after its time, and keeps a failure with its line', async () => {
    const portions = portionsOf({ seeds: 300, points: 0, firstSeed: 1 });
    const kept: string[] = [];
    const played: string[] = [];
    const once = async (text: string, most: number): Promise<string> => {
      const begun = played.length;
      await playOn({
        portions,
        state: stateFrom(text, 'row'),
        play: async (portion: Portion) => {
          played.push(portion.name);
          const bad = portion.name === 'sim 101';
          return {
            code: bad ? 1 : 0,
            output: bad ? 'seed 150 failed (9 steps):\n  why\n  again: npm run sim -- --seed 150 --count 1\n' : 'fine\n',
          };
        },
        keep: (state: unknown) => kept.push(JSON.stringify(state)),
        isOver: () => played.length - begun >= most,
      });
      return kept.at(-1) ?? '';
    };
    const first = await once('', 2);
    const second = await once(first, 10);
    expect(played).toEqual(['sim 1', 'sim 101', 'sim 201']);
    expect(JSON.parse(second)).toEqual({
      row: 'row',
      done: {
        'sim 1': { passed: true, again: [] },
        'sim 101': { passed: false, again: ['npm run sim -- --seed 150 --count 1'] },
        'sim 201': { passed: true, again: [] },
      },
    });
    expect(await once(second, 10)).toBe(second);
    // Of another commit, and half a file: begun anew.
    expect([stateFrom(second, 'other'), stateFrom(second.slice(0, 40), 'row')]).toEqual([
      { row: 'other', done: {} },
      { row: 'row', done: {} },
    ]);
  });

  test('a portion that failed without a word is run again whole', () => {
    const [portion] = all();
    expect(againIn('', portion)).toEqual(['npm run sim -- --seed 1 --count 100']);
  });
});
