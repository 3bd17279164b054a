/**
 * A model whose every answer is a function of seed, stage, visit and turn, and which now and then fails once before it answers. Must never depend
 * on how often it was asked otherwise: a resumed run gets the same words. Ports: ModelAdapter.
 */
import { canonicalBytes, canonicalText, err, type Json, ok } from '@openexec/canon';
import type { ModelAdapter, ModelRequest, NeutralAnswer } from '@openexec/catalogue';
import { type Chance, chanceOf, yieldTurns } from './chance.ts';
import { FIX } from './host.ts';

/** Known to the redactor of every simulation; must be found nowhere in a ledger. */
export const SECRET = 'tok_51MULATED';
/** Turns with calls, at most; the turn after the last ends the stage. */
const MOST_TURNS = 3;

type Call = NeutralAnswer['calls'][number];
const OLD_FILE_DIFF = '--- a/src/old.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-old\n';

function write(path: string, content: string): Json {
  return { format: 'whole_file', path, content };
}

/** One wish of the model: sensible, foolish or hostile. */
function wish(chance: Chance): { readonly name: string; readonly text: string } {
  const patch = (args: Json): { name: string; text: string } => ({ name: 'apply_patch', text: canonicalText(args) });
  const file = chance.pick(['src/a.txt', 'src/b.txt', 'src/deep/new.txt']);
  switch (chance.below(14)) {
    case 0:
    case 1:
      return { name: 'read_file', text: canonicalText({ path: file }) };
    case 2:
      return patch({ format: 'unified', patch: OLD_FILE_DIFF });
    case 3:
      return { name: 'read_file', text: '{"path":' };
    case 4:
      return { name: 'format_disk', text: '{}' };
    case 5:
      return patch(write(chance.pick(['keys/server.pem', '../outside.txt', '.git/config']), 'x'));
    case 6:
      return patch(write('package.json', `{"n":${chance.below(9)}}`));
    case 7:
      return { name: 'notify', text: canonicalText({ rationale: `because ${SECRET}`, claimedRisk: 'none' }) };
    case 8:
      return patch(write(file, `leaks ${SECRET}`));
    case 9:
      return { name: 'kv_get', text: canonicalText({ key: chance.pick(['a', 'b']) }) };
    case 10: {
      const change: Json = chance.below(3) === 0 ? { retract: true } : { value: chance.below(9) };
      const expected: Json = chance.below(2) === 0 ? { expectedVersion: chance.below(3) } : {};
      return { name: 'kv_set', text: canonicalText({ key: chance.pick(['a', 'b']), ...change, ...expected }) };
    }
    default:
      return patch(write(file, `content ${chance.below(100)}\n`));
  }
}

function answer(seed: string, request: ModelRequest): NeutralAnswer {
  const plan = chanceOf(`${seed}/model/${request.stage}/${request.visit}`);
  const turns = plan.below(MOST_TURNS + 1);
  const chance = plan.fork(`${request.turn}`);
  if (request.turn > turns) return { text: `that is all, and ${SECRET} stays between us`, calls: [], finish: 'stop' };
  const wishes = Array.from({ length: 1 + chance.below(3) }, () => wish(chance));
  if (request.stage === 'fix' && request.turn === 1 && chance.below(3) > 0)
    wishes.push({ name: 'apply_patch', text: canonicalText(write(FIX, 'ok\n')) });
  const calls = wishes.map(({ name, text }, at): Call => ({ id: `${request.turn}.${at}`, name, arguments: text }));
  return { text: '', calls, finish: 'calls' };
}

/** The model of a seed. `fails` is asked before each answer; shared by all drivers, so that a failure comes once. */
export function simModel(options: { readonly seed: string; readonly turns: Chance; fails(place: string): boolean }): ModelAdapter {
  return {
    provider: 'sim',
    ask: async (request) => {
      await yieldTurns(options.turns, 6);
      const place = `${request.stage}/${request.visit}/${request.turn}`;
      if (options.fails(place))
        return err({ code: 'model.server', message: `no luck, ${SECRET}`, retryable: true, retryAfterMs: null, status: 503, raw: null });
      const said = answer(options.seed, request);
      const body = { text: said.text, finish: said.finish, calls: said.calls.map((call): Json => ({ ...call })) };
      return ok({ answer: said, usage: { inputTokens: 40, outputTokens: 20 }, raw: canonicalBytes(body) });
    },
  };
}
