/**
 * A model whose every answer is a function of seed, stage, visit and turn, foolish and hostile ones among them, and which now and then fails once before
 * it answers. Must never depend on how often it was asked otherwise: a resumed run gets the same words. Ports: ModelAdapter.
 */
import { canonicalBytes, canonicalText, err, type Json, ok, type Result, utf8Encode } from '@openexec/canon';
import type { ModelAdapter, ModelAnswer, ModelFailure, ModelRequest, NeutralAnswer } from '@openexec/catalogue';
import { type Chance, chanceOf, yieldTurns } from './chance.ts';
import { type FaultKind, MODEL_FAILURES, MODEL_ODDITIES } from './faults.ts';
import { FIX } from './host.ts';

/** Known to the redactor of every simulation; must be found nowhere in a ledger. */
export const SECRET = 'tok_51MULATED';
/** Turns with calls, at most; the turn after the last ends the stage. */
const MOST_TURNS = 3;
/** One answer in so many is odd. */
const ODD = 12;

type Call = NeutralAnswer['calls'][number];
type Wish = { readonly name: string; readonly text: string };
const OLD_FILE_DIFF = '--- a/src/old.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-old\n';

function write(path: string, content: string): Json {
  return { format: 'whole_file', path, content };
}

/** One wish of the model: sensible, foolish or hostile. */
function wish(chance: Chance): Wish {
  const claims: { [name: string]: Json } = chance.once(3)
    ? { rationale: 'it must be', claimedRisk: chance.pick(['none', 'low', 'irreversible']) }
    : {};
  const patch = (args: Json): Wish => ({ name: 'apply_patch', text: canonicalText({ ...(args as { [name: string]: Json }), ...claims }) });
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

const NONSENSE: readonly [Wish, ...Wish[]] = [
  { name: 'read_file', text: '[]' },
  { name: 'read_file', text: 'null' },
  { name: 'apply_patch', text: '{"format":"whole_file","format":"unified"}' },
  { name: 'read_file', text: `${'{"a":'.repeat(80)}1${'}'.repeat(80)}` },
  { name: '', text: '{}' },
  { name: 'apply_patch\n\u0000', text: '{"path":1e999}' },
  { name: 'run_tests', text: '{"command":"rm -rf /"}' },
  { name: 'commit_changes', text: '{"branch":"main"}' },
  { name: 'model.ask', text: '{"profile":"danger_full_access","next":"land"}' },
];

interface Said {
  readonly answer: NeutralAnswer;
  readonly odd: FaultKind | null;
}

/** Whether a stage's visit never comes to an end of its own. */
function loops(seed: string, { stage, visit }: ModelRequest): boolean {
  return chanceOf(`${seed}/loops/${stage}/${visit}`).once(ODD * 3);
}

function say(seed: string, request: ModelRequest): Said {
  const plan = chanceOf(`${seed}/model/${request.stage}/${request.visit}`);
  const endless = loops(seed, request);
  const turns = plan.below(MOST_TURNS + 1);
  const chance = plan.fork(`${request.turn}`);
  const oddity = chanceOf(`${seed}/odd/${request.stage}/${request.visit}/${request.turn}`);
  const odd = endless ? 'model.loop' : oddity.once(ODD) ? oddity.pick(MODEL_ODDITIES) : null;
  if (odd === 'model.refusal') return { answer: { text: 'I would rather not', calls: [], finish: 'refusal' }, odd };
  if (odd === 'model.truncated') return { answer: { text: 'and then I wan', calls: [], finish: 'length' }, odd };
  if (odd === 'model.surrogate') return { answer: { text: `half a character: \ud800`, calls: [], finish: 'stop' }, odd };
  if (odd === 'model.garbage' || odd === 'model.flood') {
    const nonsense = Array.from({ length: odd === 'model.flood' ? 70 : 1 + oddity.below(4) }, () => oddity.pick(NONSENSE));
    return { answer: { text: '\u0007\u001b[2J', calls: callsOf(request, nonsense), finish: 'calls' }, odd };
  }
  if (request.turn > turns && !endless)
    return { answer: { text: `that is all, and ${SECRET} stays between us`, calls: [], finish: 'stop' }, odd };
  const wishes = Array.from({ length: 1 + chance.below(3) }, () => wish(chance));
  if (request.stage === 'fix' && request.turn === 1 && chance.below(3) > 0)
    wishes.push({ name: 'apply_patch', text: canonicalText(write(FIX, 'ok\n')) });
  return { answer: { text: '', calls: callsOf(request, wishes), finish: 'calls' }, odd };
}

function callsOf(request: ModelRequest, wishes: readonly Wish[]): Call[] {
  return wishes.map(({ name, text }, at): Call => ({ id: `${request.turn}.${at}`, name, arguments: text }));
}

/** How a failure looks to the runtime. */
const FAILURES: Readonly<Record<(typeof MODEL_FAILURES)[number], Pick<ModelFailure, 'code' | 'retryAfterMs' | 'status'>>> = {
  'model.server': { code: 'model.server', retryAfterMs: null, status: 503 },
  'model.timeout': { code: 'model.timeout', retryAfterMs: null, status: null },
  'model.rateLimited': { code: 'model.rateLimited', retryAfterMs: 2000, status: 429 },
  'model.unreachable': { code: 'model.unreachable', retryAfterMs: null, status: null },
};

/** What the model is told of, and what it asks. */
export interface SimModelOptions {
  readonly seed: string;
  readonly turns: Chance;
  /** Asked before each answer; shared by all drivers, so that a failure comes once. */
  fails(place: string): (typeof MODEL_FAILURES)[number] | null;
  /** Told of each question, before it is answered. */
  asks(request: ModelRequest): Promise<void>;
  happened(kind: FaultKind): void;
  pass(ms: number): void;
}

/** The model of a seed. */
export function simModel(options: SimModelOptions): ModelAdapter {
  return {
    provider: 'sim',
    ask: async (request): Promise<Result<ModelAnswer, ModelFailure>> => {
      await options.asks(request);
      await yieldTurns(options.turns, 6);
      const fails = options.fails(`${request.stage}/${request.visit}/${request.turn}`);
      if (fails !== null) {
        options.happened(fails);
        if (fails === 'model.timeout') options.pass(request.timeoutMs);
        return err({ ...FAILURES[fails], message: `no luck, ${SECRET}`, retryable: true, raw: null });
      }
      const { answer, odd } = say(options.seed, request);
      if (odd !== null) options.happened(odd);
      if (odd === 'model.malformed')
        return err({
          code: 'model.malformed',
          message: `<html>${SECRET}`,
          retryable: false,
          retryAfterMs: null,
          status: 200,
          raw: utf8Encode(`<html>${SECRET}`),
        });
      return ok({ answer, usage: usageOf(request, odd), raw: rawOf(answer) });
    },
  };
}

function usageOf({ maxOutputTokens }: ModelRequest, odd: FaultKind | null): ModelAnswer['usage'] {
  if (odd === 'model.noUsage') return null;
  return odd === 'model.overspends' ? { inputTokens: 900_000, outputTokens: maxOutputTokens * 10 } : { inputTokens: 40, outputTokens: 20 };
}

function rawOf(answer: NeutralAnswer): Uint8Array {
  // What came over the wire may hold what JSON of ours never does.
  const text = answer.text.replaceAll(/[\ud800-\udfff]/g, '?');
  return canonicalBytes({ text, finish: answer.finish, calls: answer.calls.map((call): Json => ({ ...call })) });
}
