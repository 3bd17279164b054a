/**
 * `openexec model` against a real server: what is listed, what one question costs, and each way it can fail by its typed reason and 30.
 */
import { expect, test } from '@jest/globals';
import type { Ended } from './cli.ts';
import { API_KEY } from './place.ts';
import { inEachPlace, initialised, openexecWith, place, provider } from './scene.ts';

const TIME_MS = 240_000;

inEachPlace(async () => {
  await initialised();
  place.write('.openexec/config.local.yaml', 'version: 1\nmodels: {openai: {pricing: {gpt-test: {input: 10, output: 30}}}}\n');
});
const openexec = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> => openexecWith(args, { env });

test(
  'the list shows the address without its path, whether a key is there and never the key, and the price',
  async () => {
    const origin = new URL(provider.env['OPENAI_BASE_URL'] ?? '').origin;
    const listed = await openexec(['model', 'list']);
    expect(listed.stdout).toBe(`* openai:gpt-test  ${origin}  OPENAI_API_KEY is set  10 in, 30 out, USD per million tokens\n`);
    expect((await openexec(['model', 'list'], { OPENAI_API_KEY: '' })).stdout).toContain('OPENAI_API_KEY is not set');
    expect(provider.requests).toHaveLength(0);
  },
  TIME_MS,
);

test(
  'one bounded question is asked with a tool, reported with its cost, and leaves no entry in the ledger',
  async () => {
    const size = (await openexec(['ledger', 'info'])).stdout;
    provider.say({ calls: [{ name: 'echo', arguments: { word: 'openexec' } }] });
    const tried = await openexec(['model', 'test', 'openai:gpt-test']);
    expect(tried.exit).toBe(0);
    expect(tried.stderr).toContain('at most 1024 tokens and 60 s; this is not recorded in the ledger');
    expect(tried.stdout).toMatch(
      /✓ answered {3}in \d+ ms.*\n✓ tool call {2}as declared\n✓ usage {6}100 \+ 20 tokens\n {2}cost {7}0\.001600 USD\n/,
    );
    expect(provider.requests).toHaveLength(1);
    expect(provider.authorizations).toEqual([`Bearer ${API_KEY}`]);
    expect((await openexec(['ledger', 'info'])).stdout).toBe(size);
    provider.say({ text: 'I would rather talk' });
    const talks = await openexec(['model', 'test', 'openai:gpt-test']);
    expect(talks).toMatchObject({ exit: 30, stdout: expect.stringContaining('it called no tool, so it could do nothing in a run') });
  },
  TIME_MS,
);

test(
  'every failure ends with 30 and its typed reason, a mistake of the command line with 2, and no key is printed',
  async () => {
    for (const [status, code] of [
      [401, 'model.unauthorized'],
      [429, 'model.rateLimited'],
      [500, 'model.server'],
    ] as const) {
      provider.say({ status });
      const failed = await openexec(['model', 'test', 'openai:gpt-test']);
      expect({ status, exit: failed.exit, said: failed.stderr.includes(`${code}: `) }).toEqual({ status, exit: 30, said: true });
      expect(`${failed.stdout}${failed.stderr}`).not.toContain(API_KEY);
    }
    expect(await openexec(['model', 'test', 'openai:gpt-test'], { OPENAI_API_KEY: '' })).toMatchObject({
      exit: 30,
      stderr: expect.stringContaining('model.keyMissing'),
    });
    const nobody = await openexec(['model', 'test', 'openai:gpt-test'], { OPENAI_BASE_URL: 'http://127.0.0.1:9/v1' });
    expect(nobody).toMatchObject({ exit: 30, stderr: expect.stringContaining('model.unreachable') });
    expect(await openexec(['model', 'test', 'opnai:x'])).toMatchObject({ exit: 2, stderr: expect.stringContaining('did you mean openai') });
  },
  TIME_MS,
);
