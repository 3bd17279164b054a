/**
 * The scripted model: answers from data, for tests, demos and rehearsals of a blueprint. Must never keep state between asks: the answer is a function
 * of stage, visit and turn alone, so that a restart or a retry gets the very same one (ports: ModelAdapter).
 */
import { canonicalBytes, canonicalText, err, type Json, ok, type Result } from '@openexec/canon';
import type { ModelAdapter, ModelAnswer, ModelFailure, ModelRequest, NeutralAnswer, StopSignal } from '@openexec/catalogue';
import * as z from 'zod';
import { failure, type OpenModelError } from './errors.ts';

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const call = z.strictObject({
  name: z.string().min(1).max(128),
  arguments: z.record(z.string(), z.json()).optional(),
  /** Raw text instead of an object: what a model that breaks its JSON would send. */
  argumentsText: z.string().optional(),
});
const CODES = [
  'model.unauthorized',
  'model.rateLimited',
  'model.timeout',
  'model.unreachable',
  'model.malformed',
  'model.refused',
  'model.server',
  'model.stopped',
  'model.exhausted',
] as const;
const answer = z.strictObject({
  stage: z.string().min(1).optional(),
  visit: z.number().int().min(1).optional(),
  turn: z.number().int().min(1).optional(),
  text: z.string().optional(),
  calls: z.array(call).max(64).optional(),
  finish: z.enum(['stop', 'calls', 'length', 'refusal', 'other']).optional(),
  usage: z.strictObject({ inputTokens: count, outputTokens: count }).optional(),
  fail: z
    .strictObject({
      code: z.enum(CODES),
      message: z.string().max(2000).optional(),
      retryable: z.boolean().optional(),
      retryAfterMs: count.optional(),
      status: count.optional(),
    })
    .optional(),
});
/** The data form of a script. */
const script = z.strictObject({ answers: z.array(answer).max(10_000) });
type ScriptedAnswer = z.infer<typeof answer>;
/** An answer with its turn: the stated one, else its place among the answers of the same stage and visit that state none. */
interface Placed {
  readonly stage: string | null;
  readonly visit: number | null;
  readonly turn: number;
  readonly answer: ScriptedAnswer;
}

/** Opens a script. Two answers for the same place, or a form that is not a script's, are refused. */
export function scriptedModel(options: { readonly script: Json }): Result<ModelAdapter, OpenModelError> {
  const parsed = script.safeParse(options.script);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return err({
      code: 'script.malformed',
      message: `the script of the model is malformed at ${issue?.path.join('.') || 'its root'}: ${issue?.message ?? 'unknown'}; its form is {answers: [{stage?, visit?, turn?, text?, calls?, usage?, fail?}]}`,
      exit: 2,
    });
  }
  const wrong = parsed.data.answers.findIndex((each) =>
    (each.calls ?? []).some((one) => (one.arguments === undefined) === (one.argumentsText === undefined)),
  );
  if (wrong >= 0)
    return err({
      code: 'script.malformed',
      message: `answer ${wrong} of the script: each call has either "arguments" or "argumentsText"`,
      exit: 2,
    });
  const placed = place(parsed.data.answers);
  const keys = new Set<string>();
  for (const each of placed) {
    const key = placeKey(each);
    if (keys.has(key))
      return err({ code: 'script.duplicate', message: `the script answers twice at stage, visit, turn ${key}; keep one`, exit: 2 });
    keys.add(key);
  }
  return ok({ provider: 'scripted', ask: async (request, stop) => askScript(placed, request, stop) });
}

const placeKey = (each: Placed): string => canonicalText([each.stage, each.visit, each.turn]);

function place(answers: readonly ScriptedAnswer[]): readonly Placed[] {
  const used = new Map<string, number>();
  return answers.map((each) => {
    const stage = each.stage ?? null;
    const visit = each.visit ?? null;
    const group = canonicalText([stage, visit]);
    const next = (used.get(group) ?? 0) + 1;
    if (each.turn === undefined) used.set(group, next);
    return { stage, visit, turn: each.turn ?? next, answer: each };
  });
}

/** The most specific answer for the place of the request: one that names stage and visit before one that names neither. */
function find(placed: readonly Placed[], request: ModelRequest): Placed | undefined {
  const fits = placed.filter(
    (each) =>
      each.turn === request.turn && (each.stage ?? request.stage) === request.stage && (each.visit ?? request.visit) === request.visit,
  );
  const rank = (each: Placed): number => (each.stage === null ? 0 : 2) + (each.visit === null ? 0 : 1);
  return fits.reduce<Placed | undefined>((best, each) => (best === undefined || rank(each) > rank(best) ? each : best), undefined);
}

function askScript(placed: readonly Placed[], request: ModelRequest, stop: StopSignal): Result<ModelAnswer, ModelFailure> {
  if (stop.stopped) return err(failure('model.stopped', 'the run was stopped before the model was asked'));
  const where = `stage ${request.stage}, visit ${request.visit}, turn ${request.turn}`;
  const found = find(placed, request);
  if (found === undefined) return err(failure('model.exhausted', `the script has no answer for ${where}; add one`));
  const { fail } = found.answer;
  if (fail !== undefined) {
    const more = { retryable: fail.retryable ?? false, retryAfterMs: fail.retryAfterMs ?? null, status: fail.status ?? null };
    return err(failure(fail.code, fail.message ?? `the script fails at ${where}`, more));
  }
  return ok(answerOf(found.answer, request));
}

function answerOf(scripted: ScriptedAnswer, request: ModelRequest): ModelAnswer {
  const calls = (scripted.calls ?? []).map((each, index) => ({
    id: `${request.stage}.${request.visit}.${request.turn}.${index}`,
    name: each.name,
    arguments: each.argumentsText ?? canonicalText(each.arguments ?? {}),
  }));
  const neutral: NeutralAnswer = { text: scripted.text ?? '', calls, finish: scripted.finish ?? (calls.length > 0 ? 'calls' : 'stop') };
  const usage = scripted.usage ?? null;
  return { answer: neutral, usage, raw: canonicalBytes({ text: neutral.text, calls, finish: neutral.finish, usage }) };
}
