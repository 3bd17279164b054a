/**
 * The recordings that crash states are drawn from, and how they are handed from one process to another.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deserialize, serialize } from 'node:v8';
import { run, scratch } from '../children.ts';
import { type Effect, recordEffects } from './recording.ts';
import type { Story } from './states.ts';

/** Scenario and way of each recording. */
export const STORIES = [
  ['1', 'honest'],
  ['16', 'honest'],
  ['256', 'honest'],
  ['1-row', 'honest'],
  ['1-file', 'honest'],
  ['16-file', 'honest'],
  ['file-later', 'honest'],
  ['group', 'honest'],
  ['16', 'two'],
  ['1-file', 'fresh'],
  ['group', 'fresh'],
] as const;

/** Records the stories. */
export async function recordStories(child: string, which: readonly (readonly [string, string])[] = STORIES): Promise<readonly Story[]> {
  const folder = scratch('openexec-disk-');
  try {
    const template = join(folder, 'template');
    mkdirSync(template);
    const begun = await run(process.execPath, [child, template, 'begin']);
    if (begun.lines.at(-1) !== 'closed') throw new Error(`the template was not made: ${begun.errors}`);
    const stories: Story[] = [];
    for (const [scenario, way] of which) {
      const at = join(folder, `${scenario}-${way}`);
      mkdirSync(at);
      if (way !== 'fresh') cpSync(template, at, { recursive: true });
      const before = new Map(readdirSync(at).map((name) => [name, readFileSync(join(at, name))]));
      stories.push({ ...(await recordEffects(child, at, scenario, way)), way, before });
    }
    return stories;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Writes stories to a file. */
export function saveStories(path: string, stories: readonly Story[]): void {
  writeFileSync(path, serialize(stories));
}

/** Reads what {@link saveStories} wrote. */
export function loadStories(path: string): readonly Story[] {
  const stories = deserialize(readFileSync(path)) as readonly Story[]; // Written by this program only.
  return stories.map((story) => ({
    ...story,
    before: new Map([...story.before].map(([name, bytes]) => [name, Buffer.from(bytes)])),
    effects: story.effects.map(withBuffer),
  }));
}

function withBuffer(effect: Effect): Effect {
  return effect.op === 'write' ? { ...effect, data: Buffer.from(effect.data) } : effect;
}

/** The stories of a disk that does not do what it is told: without the syncs that `drops` names. */
export function withoutSyncs(stories: readonly Story[], drops: (path: string) => boolean): readonly Story[] {
  return stories.map((story) => ({ ...story, effects: story.effects.filter((effect) => effect.op !== 'sync' || !drops(effect.path)) }));
}
