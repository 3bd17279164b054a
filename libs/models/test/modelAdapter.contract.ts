/**
 * Contract suite of the port `ModelAdapter`: one ask, one settled value, told without the adapter's innards. An adapter says how its provider is
 * brought into each situation; what follows must be the same for all of them.
 */
import { describe, expect, test } from '@jest/globals';
import { digestOf } from '@openexec/canon';
import type { ModelAdapter, ModelFailure, ModelRequest, StopSignal } from '@openexec/catalogue';

/** What the provider does with every ask. `silent` never answers; `quoting` refuses and repeats the key that it was given. */
export type Situation = 'text' | 'calls' | 'unauthorized' | 'rateLimited' | 'server' | 'malformed' | 'refused' | 'quoting' | 'silent';

/** What an adapter brings to the suite. */
export interface ModelAdapterContract {
  /** Opens an adapter whose provider is in this situation: text `hello`, or the call `read_file` with the argument text `{"path":"a"}`. */
  readonly open: (situation: Situation) => ModelAdapter;
  /** How many asks have reached the provider since the last `open`; null where there is no provider apart from the adapter. */
  readonly reached: (() => number) | null;
  /** False for an adapter that has its answer at once; `silent` is then `text`. */
  readonly waits: boolean;
  /** The key the adapter was opened with, if any. */
  readonly key: string | null;
}

const FAILURES = ['unauthorized', 'rateLimited', 'server', 'malformed', 'refused'] as const;
/** The closed union, spelled out: a code that is added there does not compile here. */
const CODES: Readonly<Record<ModelFailure['code'], true>> = {
  'model.unauthorized': true,
  'model.rateLimited': true,
  'model.timeout': true,
  'model.unreachable': true,
  'model.malformed': true,
  'model.refused': true,
  'model.server': true,
  'model.stopped': true,
  'model.exhausted': true,
};

function request(more: Partial<ModelRequest> = {}): ModelRequest {
  return {
    ask: digestOf('ask'),
    model: 'm-1',
    messages: [
      { role: 'system', text: 'rules' },
      { role: 'user', text: 'fix it' },
    ],
    tools: [{ name: 'read_file', description: 'Reads.', parameters: { type: 'object', properties: {}, required: [] } }],
    maxOutputTokens: 100,
    // An ask that must be answered is, on the busiest machine, before that.
    timeoutMs: 120_000,
    stage: 'fix',
    visit: 1,
    turn: 1,
    ...more,
  };
}

/** A signal that a test raises, and that knows how many listeners are still on it. */
function stopper(): { readonly signal: StopSignal; raise(): void; listening(): number } {
  const listeners = new Set<() => void>();
  let stopped = false;
  const signal: StopSignal = {
    get stopped() {
      return stopped;
    },
    onStop(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
  const raise = (): void => {
    stopped = true;
    for (const listener of listeners) listener();
  };
  return { signal, raise, listening: () => listeners.size };
}

function answers(contract: ModelAdapterContract): void {
  test('a text is an answer without calls, a call an answer with its raw argument text', async () => {
    const said = await contract.open('text').ask(request(), stopper().signal);
    expect(said.ok && said.value.answer).toEqual({ text: 'hello', calls: [], finish: 'stop' });
    const called = await contract.open('calls').ask(request(), stopper().signal);
    expect(called.ok && called.value.answer).toEqual({
      text: '',
      calls: [{ id: expect.stringMatching(/./), name: 'read_file', arguments: '{"path":"a"}' }],
      finish: 'calls',
    });
  });

  test('usage is null or whole numbers, the raw body is bytes', async () => {
    const said = await contract.open('text').ask(request(), stopper().signal);
    if (!said.ok) throw new Error(said.error.message);
    const { usage, raw } = said.value;
    for (const tokens of Object.values(usage ?? { none: 0 })) expect(Number.isSafeInteger(tokens) && tokens >= 0).toBe(true);
    expect(Object.prototype.toString.call(raw)).toBe('[object Uint8Array]');
    expect(raw.length).toBeGreaterThan(0);
  });

  test('asks at the same time do not disturb each other', async () => {
    const model = contract.open('text');
    const all = await Promise.all(Array.from({ length: 5 }, async () => model.ask(request(), stopper().signal)));
    expect(all.map((one) => one.ok && one.value.answer.text)).toEqual(Array.from({ length: 5 }, () => 'hello'));
    expect(contract.reached?.() ?? 5).toBe(5);
  });
}

function failures(contract: ModelAdapterContract): void {
  test.each(FAILURES)('%s is a value with its code, asked once and never again', async (situation) => {
    const result = await contract.open(situation).ask(request(), stopper().signal);
    if (result.ok) throw new Error('the ask succeeded');
    const { code, message, retryable, retryAfterMs, status, raw } = result.error;
    expect(code).toBe(`model.${situation}`);
    expect(Object.keys(CODES)).toContain(code);
    expect(message).toMatch(/^.{10,2000}$/s);
    expect(retryable).toBe(situation === 'rateLimited' || situation === 'server');
    expect(retryAfterMs === null || (Number.isSafeInteger(retryAfterMs) && retryAfterMs >= 0)).toBe(true);
    expect(status === null || Number.isSafeInteger(status)).toBe(true);
    expect(raw === null || Object.prototype.toString.call(raw) === '[object Uint8Array]').toBe(true);
    expect(contract.reached?.() ?? 1).toBe(1);
  });

  const { key } = contract;
  // An adapter without a key has none to lose.
  if (key === null) return;
  test.each([...FAILURES, 'quoting', 'text'] as const)('the key stands in nothing that %s gives back', async (situation) => {
    const result = await contract.open(situation).ask(request(), stopper().signal);
    expect(JSON.stringify(result)).not.toContain(key);
    expect(contract.reached?.()).toBe(1);
  });
}

function stopping(contract: ModelAdapterContract): void {
  const outcome = async (asking: ReturnType<ModelAdapter['ask']>): Promise<string> => {
    const result = await asking;
    return result.ok ? 'answered' : result.error.code;
  };

  test('a run that was stopped before asks nothing', async () => {
    const stop = stopper();
    stop.raise();
    expect(await outcome(contract.open('text').ask(request(), stop.signal))).toBe('model.stopped');
    expect(contract.reached?.() ?? 0).toBe(0);
  });

  test('a stop ends an ask that waits', async () => {
    const stop = stopper();
    const asking = outcome(contract.open('silent').ask(request(), stop.signal));
    setTimeout(stop.raise, 50);
    // The deadline, which would end it otherwise, says another word.
    expect(await asking).toBe(contract.waits ? 'model.stopped' : 'answered');
  });

  test('the deadline ends an ask that waits', async () => {
    const asking = outcome(contract.open('silent').ask(request({ timeoutMs: 150 }), stopper().signal));
    expect(await asking).toBe(contract.waits ? 'model.timeout' : 'answered');
  });

  test('no listener is left on the signal, however the ask ended', async () => {
    for (const situation of ['text', 'server', 'silent'] as const) {
      const stop = stopper();
      await contract.open(situation).ask(request({ timeoutMs: 150 }), stop.signal);
      expect([situation, stop.listening()]).toEqual([situation, 0]);
    }
  });
}

/** Registers the suite for one adapter. */
export function modelAdapterContract(contract: ModelAdapterContract): void {
  describe('port ModelAdapter: answers', () => {
    answers(contract);
  });
  describe('port ModelAdapter: failures', () => {
    failures(contract);
  });
  describe('port ModelAdapter: stop and deadline', () => {
    stopping(contract);
  });
}
