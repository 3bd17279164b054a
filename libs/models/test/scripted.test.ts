/**
 * The scripted model: a pure function of stage, visit and turn.
 */
import { describe, expect, test } from '@jest/globals';
import { type Digest, type Json, parseJson } from '@openexec/canon';
import type { ModelRequest, StopSignal } from '@openexec/catalogue';
import fc from 'fast-check';
import { scriptedModel } from '../src/index.ts';
import { modelAdapterContract, type Situation } from './modelAdapter.contract.ts';

const NEVER: StopSignal = { stopped: false, onStop: () => () => undefined };
const at = (stage: string, visit: number, turn: number): ModelRequest => ({
  ask: `sha256:${'0'.repeat(64)}` as Digest,
  model: 'm',
  messages: [],
  tools: [],
  maxOutputTokens: 1,
  timeoutMs: 1,
  stage,
  visit,
  turn,
});
function open(script: Json) {
  const model = scriptedModel({ script });
  if (!model.ok) throw new Error(model.error.message);
  return model.value;
}
async function said(script: Json, stage: string, visit: number, turn: number): Promise<string> {
  const result = await open(script).ask(at(stage, visit, turn), NEVER);
  return result.ok ? result.value.answer.text : result.error.code;
}

describe('the scripted model', () => {
  test('answers without a turn are the turns of their stage in order', async () => {
    const script = {
      answers: [
        { stage: 'a', text: 'a1' },
        { stage: 'b', text: 'b1' },
        { stage: 'a', text: 'a2' },
        { text: 'any1' },
        { stage: 'a', visit: 2, turn: 1, text: 'again' },
      ],
    };
    expect(await said(script, 'a', 1, 1)).toBe('a1');
    expect(await said(script, 'a', 1, 2)).toBe('a2');
    expect(await said(script, 'b', 3, 1)).toBe('b1');
    expect(await said(script, 'a', 2, 1)).toBe('again');
    expect(await said(script, 'c', 1, 1)).toBe('any1');
    expect(await said(script, 'a', 1, 3)).toBe('model.exhausted');
  });

  test('the order of asks and restarts do not matter', async () => {
    const script = { answers: [{ text: '1' }, { text: '2' }, { text: '3' }, { stage: 's', text: 's1' }] };
    const places = fc.array(fc.tuple(fc.constantFrom('s', 't'), fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 4 })), {
      maxLength: 10,
    });
    await fc.assert(
      fc.asyncProperty(places, async (asks) => {
        const one = open(script);
        for (const [stage, visit, turn] of asks)
          expect(await one.ask(at(stage, visit, turn), NEVER)).toEqual(await open(script).ask(at(stage, visit, turn), NEVER));
      }),
    );
  });

  test('calls get ids of their place, canonical arguments or the raw text; the raw body is the canonical answer', async () => {
    const script = {
      answers: [
        {
          calls: [
            { name: 'x', arguments: { b: 1, a: 2 } },
            { name: 'y', argumentsText: '{"a":' },
          ],
          usage: { inputTokens: 1, outputTokens: 2 },
        },
      ],
    };
    const result = await open(script).ask(at('s', 2, 1), NEVER);
    if (!result.ok) throw new Error(result.error.message);
    expect(result.value.answer).toEqual({
      text: '',
      calls: [
        { id: 's.2.1.0', name: 'x', arguments: '{"a":2,"b":1}' },
        { id: 's.2.1.1', name: 'y', arguments: '{"a":' },
      ],
      finish: 'calls',
    });
    expect(result.value.usage).toEqual({ inputTokens: 1, outputTokens: 2 });
    expect(parseJson(result.value.raw).ok).toBe(true);
  });

  test('a scripted failure is that failure, each time', async () => {
    const script = { answers: [{ fail: { code: 'model.rateLimited', retryable: true, retryAfterMs: 5, status: 429 } }] };
    for (let again = 0; again < 2; again += 1)
      expect(await open(script).ask(at('s', 1, 1), NEVER)).toMatchObject({
        ok: false,
        error: { code: 'model.rateLimited', retryable: true, retryAfterMs: 5, status: 429, raw: null },
      });
  });

  test.each<readonly [string, Json, string]>([
    ['no answers', {}, 'script.malformed'],
    ['an unknown member', { answers: [{ say: 'x' }] }, 'script.malformed'],
    ['turn zero', { answers: [{ turn: 0 }] }, 'script.malformed'],
    ['a call with both forms', { answers: [{ calls: [{ name: 'x', arguments: {}, argumentsText: '' }] }] }, 'script.malformed'],
    ['a call with neither form', { answers: [{ calls: [{ name: 'x' }] }] }, 'script.malformed'],
    ['an unknown failure', { answers: [{ fail: { code: 'model.bored' } }] }, 'script.malformed'],
    [
      'two answers for one place',
      {
        answers: [
          { stage: 'a', turn: 1 },
          { stage: 'a', turn: 1 },
        ],
      },
      'script.duplicate',
    ],
    ['two answers for one place, one by order', { answers: [{ text: 'x' }, { turn: 1, text: 'y' }] }, 'script.duplicate'],
  ])('%s is refused', (_name, script, code) => {
    const model = scriptedModel({ script });
    expect(model.ok ? 'ok' : model.error.code).toBe(code);
  });
});

/** The script of each situation; it has its answers at once, so that silence is a text, and no key that could be quoted. */
function scriptOf(situation: Situation): Json {
  switch (situation) {
    case 'text':
    case 'silent':
    case 'quoting':
      return { text: 'hello', usage: { inputTokens: 12, outputTokens: 3 } };
    case 'calls':
      return { calls: [{ name: 'read_file', arguments: { path: 'a' } }] };
    case 'rateLimited':
    case 'server':
      return { fail: { code: `model.${situation}`, retryable: true, retryAfterMs: 5, status: situation === 'server' ? 500 : 429 } };
    case 'unauthorized':
    case 'malformed':
    case 'refused':
      return { fail: { code: `model.${situation}` } };
  }
}

modelAdapterContract({
  open: (situation) => open({ answers: [scriptOf(situation)] }),
  reached: null,
  waits: false,
  key: null,
});
