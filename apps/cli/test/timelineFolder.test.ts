/**
 * One run as a folder, by command, after a real run: deterministic, nothing written over or elsewhere, no secret in it, what was erased not there; and the
 * figures and the safety report of `show`. The production verifier looks after each step.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { runMetrics, runSafety, timelineIndex } from '@openexec/protocol';
import { API_KEY, patchSum } from './place.ts';
import { inOnePlace, openexec, place, provider } from './scene.ts';

const TIME_MS = 240_000;
const CANARY = 'canary-9b2e-of-the-task';
/** Of the form of a key of AWS: its file is kept out of the ledger. */
const PATTERN = `AKIA${'QJ7XK2M4N8PW3RTZ'}`;
const at = (name: string): string => join(place.folder, name);
async function done(...args: readonly string[]): Promise<string> {
  const ended = await openexec(...args);
  if (ended.exit !== 0) throw new Error(`${args.join(' ')}: ${ended.exit}: ${ended.stdout}${ended.stderr}`);
  return ended.stdout;
}
/** Every file below a folder: path to digest. */
function filesIn(folder: string): ReadonlyMap<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
  return new Map(
    files
      .map((file) => join(file.parentPath, file.name))
      .sort()
      .map((path) => [path.slice(folder.length + 1), createHash('sha256').update(readFileSync(path)).digest('hex')]),
  );
}
const everything = (folder: string): string =>
  [...filesIn(folder).keys()].map((path) => readFileSync(join(folder, path), 'latin1')).join('\n');
const json = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));

inOnePlace(async () => {
  await done('init', '--model', 'openai:gpt-test');
  const keyed = { name: 'apply_patch', arguments: { format: 'whole_file', path: 'fixture.txt', content: `id = ${PATTERN}\n` } };
  const outside = { name: 'apply_patch', arguments: { format: 'whole_file', path: '../outside.txt', content: 'x\n' } };
  provider.say({ calls: [outside] }, { calls: [patchSum('-', '+'), keyed] }, { text: 'done' }, { text: 'done' }, { text: 'done' });
  await done('run', `Make sum add ${CANARY}`, '--blueprint', 'standard_task');
});

describe('timeline RUN --out FOLDER', () => {
  test(
    'writes the run as the specification lays it out, the same bytes twice, every file under the digest of its list',
    async () => {
      expect(await done('timeline', 'latest', '--out', at('one'))).toContain('index.json lists each');
      const told = JSON.parse(await done('timeline', 'latest', '--out', at('two'), '--json')) as { path: string; files: number };
      const files = filesIn(at('one'));
      expect(filesIn(at('two'))).toEqual(files);
      expect([told.path, told.files]).toEqual([at('two'), files.size]);
      const index = timelineIndex.parse(json(join(at('one'), 'index.json')));
      expect(new Map(index.files.map(({ path, digest }) => [path, digest.slice(7)]))).toEqual(
        new Map([...files].filter(([path]) => path !== 'index.json')),
      );
      for (const name of ['timeline.jsonl', 'context_pack.json', 'policy_snapshot.json', 'metrics.json', 'safety.json', 'safety.md'])
        expect(files.has(name)).toBe(true);
      expect([...files.keys()].some((path) => path.startsWith('artifacts/patch/'))).toBe(true);
      expect(readFileSync(join(at('one'), 'timeline.jsonl'), 'utf8')).toBe(await done('timeline', 'latest', '--jsonl'));
      const pack = index.files.find(({ path }) => path === 'artifacts/context_pack/1.json');
      expect(files.get('context_pack.json')).toBe(pack?.digest.slice(7));
      expect(await done('verify', '--deep')).toContain('✓ sound');
    },
    TIME_MS,
  );

  test('holds the task, and no secret: neither the key of the provider nor a file that looks like one', () => {
    const all = everything(at('one'));
    expect(all).toContain(CANARY);
    expect(all).not.toContain(API_KEY);
    expect(all).not.toContain(PATTERN);
  });

  test(
    'writes over nothing and nowhere else: what is there, a link, options that do not go with it are refused, and nothing is left behind',
    async () => {
      mkdirSync(at('taken'));
      symlinkSync(at('elsewhere'), at('link'));
      const before = readdirSync(place.folder).sort();
      for (const [args, code] of [
        [['latest', '--out', at('taken')], 'file.exists (exit 2)'],
        [['latest', '--out', at('link')], 'file.exists (exit 2)'],
        [['latest', '--out', at('none/below')], 'file.unwritable (exit 1)'],
        [['abcdef', '--out', at('x')], 'run.unknown (exit 2)'],
        [['latest', '--out', at('x'), '--follow'], 'usage.invalid (exit 2)'],
        [['latest', '--out', at('x'), '--jsonl'], 'usage.invalid (exit 2)'],
        [['latest', '--json'], 'usage.invalid (exit 2)'],
      ] as const) {
        const { exit, stderr } = await openexec('timeline', ...args);
        expect(`${exit} ${stderr}`).toContain(code);
        expect(exit).toBe(code.endsWith('1)') ? 1 : 2);
      }
      expect(readdirSync(place.folder).sort()).toEqual(before);
      expect([readdirSync(at('taken')), existsSync(at('elsewhere'))]).toEqual([[], false]);
    },
    TIME_MS,
  );
});

test(
  'figures and safety of a run are told by show, are those of its folder, and say what it cost and what was refused',
  async () => {
    const shown = JSON.parse(await done('show', 'latest', '--json')) as { metrics: unknown; safety: unknown; spend: unknown; asks: number };
    const [metrics, safety] = [runMetrics.parse(shown.metrics), runSafety.parse(shown.safety)];
    expect([metrics, safety]).toEqual([json(join(at('one'), 'metrics.json')), json(join(at('one'), 'safety.json'))]);
    expect(metrics.total.spent).toEqual(shown.spend);
    expect(metrics.total.model.asked).toBe(shown.asks);
    expect(metrics.total.actions.latency.totalMs).toBeGreaterThan(0);
    expect(safety.refusals).toEqual(expect.arrayContaining([expect.objectContaining({ author: 'model', action: 'apply_patch' })]));
    expect(safety.writes.files).toEqual(expect.arrayContaining([expect.objectContaining({ path: 'sum.js', change: 'modified' })]));
    expect(safety.providers).toEqual([{ provider: 'openai', asked: shown.asks }]);
    expect(safety.network.commands).toBeGreaterThan(0);
    const page = await done('show', 'latest');
    expect(page).toContain('Figures');
    expect(page).toMatch(/implement {2}\d+ of \d+ visits succeeded, \d+ ms, \d+ asks/);
  },
  TIME_MS,
);

test(
  'after a lawful erasure the folder is written without what was erased, lists it, and so is its bundle: sound, not derivable, exit 0',
  async () => {
    await done('ledger', 'erase', 'latest', '--because', 'asked by the customer');
    await done('timeline', 'latest', '--out', at('after'));
    expect(everything(at('after'))).not.toContain(CANARY);
    const { unreadable, entries } = timelineIndex.parse(json(join(at('after'), 'index.json')));
    expect(unreadable.length).toBe(entries - 1);
    expect(readFileSync(join(at('after'), 'safety.md'), 'utf8')).toContain('erased');
    for (const [name, args] of [
      ['run', ['latest']],
      ['whole', []],
    ] as const) {
      await done('export', ...args, '--out', at(`${name}.tar`));
      await done('export', ...args, '--out', at(`${name}-again.tar`));
      expect(readFileSync(at(`${name}.tar`)).equals(readFileSync(at(`${name}-again.tar`)))).toBe(true);
      expect(readFileSync(at(`${name}.tar`)).includes(CANARY)).toBe(false);
      const said = await done('verify-bundle', at(`${name}.tar`), '--deep');
      expect(said).toMatch(/not derivable from seq/);
      expect(said).toMatch(/gone +\d+ payloads erased lawfully/);
    }
    expect(await done('verify')).toContain('✓ sound');
  },
  TIME_MS,
);
