/**
 * The OpenAI adapter against a real local server: exact bytes out, every kind of answer and fault back.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type Digest, digestOf, utf8Encode } from '@openexec/canon';
import type { ModelRequest, StopSignal } from '@openexec/catalogue';
import { type Exchange, hostOf, openaiModel, openModel } from '../src/index.ts';
import { modelAdapterContract, type Situation } from './modelAdapter.contract.ts';

const KEY = 'sk-test-0123456789abcdefghijklmnop';
type Handler = (request: IncomingMessage, response: ServerResponse, body: Buffer) => void;
let server: Server;
let port = 0;
let handler: Handler = (_request, response) => response.end();
let hits = 0;
const sockets = new Set<import('node:net').Socket>();

beforeAll(async () => {
  server = createServer((request, response) => {
    hits += 1;
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => handler(request, response, Buffer.concat(chunks)));
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});
afterEach(() => {
  hits = 0;
});

const NEVER: StopSignal = { stopped: false, onStop: () => () => undefined };
const REQUEST: ModelRequest = {
  ask: `sha256:${'0'.repeat(64)}` as Digest,
  model: 'm-1',
  messages: [
    { role: 'system', text: 'rules' },
    { role: 'user', text: 'fix it — déjà vu 😀' },
    { role: 'assistant', answer: { text: '', calls: [{ id: 'c1', name: 'read_file', arguments: '{"path":"a"}' }], finish: 'calls' } },
    { role: 'tool', call: 'c1', text: 'content' },
    { role: 'assistant', answer: { text: 'done', calls: [], finish: 'stop' } },
  ],
  tools: [
    {
      name: 'read_file',
      description: 'Reads.',
      parameters: { type: 'object', properties: { path: { type: 'string' } }, required: ['path'], additionalProperties: false },
    },
  ],
  maxOutputTokens: 100,
  timeoutMs: 120_000,
  stage: 'fix',
  visit: 1,
  turn: 3,
};
const COMPLETION = {
  id: 'x',
  object: 'chat.completion',
  created: 1_700_000_000,
  model: 'm-1',
  choices: [{ index: 0, message: { role: 'assistant', content: 'hello' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 12, completion_tokens: 3, total_tokens: 15 },
  system_fingerprint: null,
};
const exchanges: Exchange[] = [];
async function ask(
  request: Partial<ModelRequest> = {},
  options: { readonly stop?: StopSignal; readonly maxResponseBytes?: number; readonly url?: string } = {},
) {
  const model = openaiModel({
    apiKey: KEY,
    baseUrl: options.url ?? `http://127.0.0.1:${port}/v1`,
    onExchange: (exchange) => exchanges.push(exchange),
    ...(options.maxResponseBytes === undefined ? {} : { maxResponseBytes: options.maxResponseBytes }),
  });
  if (!model.ok) throw new Error(model.error.message);
  const result = await model.value.ask({ ...REQUEST, ...request }, options.stop ?? NEVER);
  expect(JSON.stringify(result)).not.toContain(KEY);
  return result;
}
function answers(status: number, body: string | object, headers: Record<string, string> = {}): void {
  handler = (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
}
async function failed(request: Partial<ModelRequest> = {}, options: Parameters<typeof ask>[1] = {}) {
  const result = await ask(request, options);
  if (result.ok) throw new Error('the ask succeeded');
  return result.error;
}
const message = (extra: object, finish = 'stop') => ({
  ...COMPLETION,
  choices: [{ index: 0, message: { role: 'assistant', content: null, ...extra }, finish_reason: finish }],
});

describe('the request', () => {
  test('has exactly the bytes that are reported, the mapped messages, and only our headers', async () => {
    let seen: { body: Buffer; headers: IncomingMessage['headers']; url: string } | null = null;
    process.env['OPENAI_CUSTOM_HEADERS'] = 'X-Injected: yes';
    process.env['OPENAI_ORG_ID'] = 'org-from-environment';
    handler = (request, response, body) => {
      seen = { body, headers: request.headers, url: request.url ?? '' };
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(COMPLETION));
    };
    await ask();
    delete process.env['OPENAI_CUSTOM_HEADERS'];
    delete process.env['OPENAI_ORG_ID'];
    if (seen === null) throw new Error('no request came');
    const { body, headers, url } = seen as { body: Buffer; headers: IncomingMessage['headers']; url: string };
    expect(url).toBe('/v1/chat/completions');
    expect(digestOf(new Uint8Array(body))).toBe(digestOf(exchanges.at(-1)?.request ?? new Uint8Array()));
    expect(headers.authorization).toBe(`Bearer ${KEY}`);
    expect(headers['user-agent']).toBe('openexec');
    expect(Object.keys(headers).filter((name) => name.startsWith('x-') || name.startsWith('openai'))).toEqual([]);
    expect(JSON.parse(body.toString('utf8'))).toEqual({
      model: 'm-1',
      messages: [
        { role: 'system', content: 'rules' },
        { role: 'user', content: 'fix it — déjà vu 😀' },
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: 'c1', type: 'function', function: { name: 'read_file', arguments: '{"path":"a"}' } }],
        },
        { role: 'tool', tool_call_id: 'c1', content: 'content' },
        { role: 'assistant', content: 'done' },
      ],
      tools: [{ type: 'function', function: { name: 'read_file', description: 'Reads.', parameters: REQUEST.tools[0]?.parameters } }],
      max_tokens: 100,
      stream: false,
    });
  });

  test('is the same bytes for the same ask', async () => {
    answers(200, COMPLETION);
    await ask();
    await ask();
    expect(digestOf(exchanges.at(-1)?.request ?? '')).toBe(digestOf(exchanges.at(-2)?.request ?? ''));
  });
});

describe('answers', () => {
  test('text, usage and the exact body', async () => {
    const body = `{ "x-extra":1.5,${JSON.stringify(COMPLETION).slice(1)}\n`;
    answers(200, body);
    expect(await ask()).toEqual({
      ok: true,
      value: { answer: { text: 'hello', calls: [], finish: 'stop' }, usage: { inputTokens: 12, outputTokens: 3 }, raw: utf8Encode(body) },
    });
  });
  test('broken JSON in the arguments of a call is passed on as it is', async () => {
    answers(
      200,
      message(
        {
          tool_calls: [
            { id: 'a', type: 'function', function: { name: 'read_file', arguments: '{"path":' } },
            { id: 'b', type: 'function', function: { name: 'search', arguments: '' } },
          ],
        },
        'tool_calls',
      ),
    );
    const result = await ask();
    expect(result.ok && result.value.answer).toEqual({
      text: '',
      calls: [
        { id: 'a', name: 'read_file', arguments: '{"path":' },
        { id: 'b', name: 'search', arguments: '' },
      ],
      finish: 'calls',
    });
  });
  test.each([
    ['cut off by length', message({ content: 'hal' }, 'length'), 'length'],
    [
      'length with a cut call',
      message({ tool_calls: [{ id: 'a', type: 'function', function: { name: 'x', arguments: '{"pa' } }] }, 'length'),
      'length',
    ],
    [
      'calls under finish stop',
      message({ tool_calls: [{ id: 'a', type: 'function', function: { name: 'x', arguments: '{}' } }] }, 'stop'),
      'calls',
    ],
    ['a refusal', message({ refusal: 'I will not' }), 'refusal'],
    ['a content filter', message({ content: '' }, 'content_filter'), 'refusal'],
    ['an unknown reason', message({ content: 'x' }, 'novel'), 'other'],
  ])('%s', async (_name, body, finish) => {
    answers(200, body);
    const result = await ask();
    expect(result.ok && result.value.answer.finish).toBe(finish);
  });
  test('no usage is null, not zero', async () => {
    answers(200, { ...COMPLETION, usage: undefined });
    const result = await ask();
    expect(result.ok && result.value.usage).toBeNull();
  });
});

describe('bodies that are not the protocol', () => {
  test.each<readonly [string, string | object, Record<string, string>]>([
    ['a page with status 200', '<html>login</html>', { 'content-type': 'text/html' }],
    ['a page that claims to be JSON', '<html>login</html>', {}],
    ['nothing', '', {}],
    ['cut JSON', '{"choices":[{"message":', {}],
    ['duplicate members', `{"choices":[],${JSON.stringify(COMPLETION).slice(1)}`, {}],
    ['no choice', { ...COMPLETION, choices: [] }, {}],
    ['arguments as an object', message({ tool_calls: [{ id: 'a', type: 'function', function: { name: 'x', arguments: {} } }] }), {}],
    ['a call without id', message({ tool_calls: [{ type: 'function', function: { name: 'x', arguments: '' } }] }), {}],
    ['negative usage', { ...COMPLETION, usage: { prompt_tokens: -1, completion_tokens: 0 } }, {}],
    ['an event stream', 'data: {"choices":[]}\n\ndata: [DONE]\n', { 'content-type': 'text/event-stream' }],
    ['an error under status 200', { error: { message: 'no' } }, {}],
  ])('%s is model.malformed, with its bytes', async (_name, body, headers) => {
    answers(200, body, headers);
    const error = await failed();
    expect(error).toMatchObject({ code: 'model.malformed', retryable: false, status: 200 });
    expect(Buffer.from(error.raw ?? []).toString()).toBe(typeof body === 'string' ? body : JSON.stringify(body));
  });
  test('bytes that are not UTF-8', async () => {
    handler = (_request, response) => response.writeHead(200, { 'content-type': 'application/json' }).end(Buffer.from([0x7b, 0xff, 0x7d]));
    expect((await failed()).code).toBe('model.malformed');
  });
  test('a body over the bound is cut off', async () => {
    handler = (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(Buffer.alloc(200_000, 0x20));
    };
    expect(await failed({}, { maxResponseBytes: 100_000 })).toMatchObject({ code: 'model.malformed', raw: null });
  });
});

describe('statuses', () => {
  const error = (code: string, text = 'why') => ({ error: { message: text, type: 't', param: null, code } });
  test.each<readonly [number, object | string, Record<string, string>, object]>([
    [401, error('invalid_api_key', `Incorrect API key provided: ${KEY}`), {}, { code: 'model.unauthorized', retryable: false }],
    [403, '<html>', { 'content-type': 'text/html' }, { code: 'model.unauthorized', retryable: false }],
    [402, error('x'), {}, { code: 'model.exhausted', retryable: false }],
    [429, error('rate_limit_exceeded'), { 'retry-after': '7' }, { code: 'model.rateLimited', retryable: true, retryAfterMs: 7000 }],
    [
      429,
      error('rate_limit_exceeded'),
      { 'retry-after-ms': '1500', 'retry-after': '9' },
      { code: 'model.rateLimited', retryAfterMs: 1500 },
    ],
    [429, error('rate_limit_exceeded'), { 'retry-after': 'soon' }, { code: 'model.rateLimited', retryAfterMs: null }],
    [429, error('rate_limit_exceeded'), { 'retry-after': '99999999' }, { code: 'model.rateLimited', retryAfterMs: 3_600_000 }],
    [429, error('insufficient_quota'), {}, { code: 'model.exhausted', retryable: false }],
    [500, 'oops', {}, { code: 'model.server', retryable: true }],
    [503, error('overloaded'), { 'x-should-retry': 'true' }, { code: 'model.server', retryable: true }],
    [408, '', {}, { code: 'model.timeout', retryable: true }],
    [404, error('model_not_found', 'The model m-1 does not exist'), {}, { code: 'model.refused', retryable: false }],
    [400, error('content_policy_violation'), {}, { code: 'model.refused' }],
    [302, '', { location: 'http://127.0.0.1:1/elsewhere' }, { code: 'model.malformed' }],
    [304, '', {}, { code: 'model.malformed' }],
  ])('%i %j', async (status, body, headers, expected) => {
    answers(status, status === 304 ? '' : body, headers);
    const refused = await failed();
    expect(refused).toMatchObject({ status, ...expected });
    expect(refused.message).not.toContain(KEY);
    expect(hits).toBe(1);
  });
  test("a provider's own words are repeated for people, bounded and without control characters", async () => {
    answers(404, error('x', `a\u001b[31m${'y'.repeat(9000)} ${KEY}`));
    const refused = await failed();
    expect(refused.message.length).toBeLessThan(800);
    expect(refused.message).not.toContain('\u001b');
  });
  test('a retry-after date is the wait from now', async () => {
    answers(429, error('x'), { 'retry-after': new Date(Date.now() + 1_800_000).toUTCString() });
    const wait = (await failed()).retryAfterMs ?? 0;
    expect(wait).toBeGreaterThan(1_500_000);
    expect(wait).toBeLessThanOrEqual(1_800_000);
  });
});

describe('the network', () => {
  test('a reset before an answer is model.unreachable, and is not asked again', async () => {
    handler = (request) => request.socket.destroy();
    expect(await failed()).toMatchObject({ code: 'model.unreachable', retryable: true, status: null });
    expect(hits).toBe(1);
  });
  test('a reset in the middle of the body is model.unreachable', async () => {
    handler = (request, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
      response.write('{"choices"');
      setTimeout(() => request.socket.destroy(), 20);
    };
    expect((await failed()).code).toBe('model.unreachable');
  });
  test('a refused connection is model.unreachable', async () => {
    // Nobody listens there: a port below 1024 is given to no other test.
    expect(await failed({}, { url: 'http://127.0.0.1:2/v1' })).toMatchObject({
      code: 'model.unreachable',
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });
  test('silence in the middle of the body ends at the deadline', async () => {
    handler = (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write('{');
    };
    expect(await failed({ timeoutMs: 150 })).toMatchObject({ code: 'model.timeout', retryable: true });
  });
});

describe('opening', () => {
  test.each([
    ['https://api.openai.com/v1', 'api.openai.com:443'],
    ['https://Models.Example.org:8443/v1/', 'models.example.org:8443'],
    ['http://localhost:11434/v1', 'localhost:11434'],
    ['http://127.0.0.1/v1', '127.0.0.1:80'],
  ])('%s is host %s', (url, host) => {
    expect(hostOf(url)).toEqual({ ok: true, value: host });
  });
  test.each([
    'http://api.openai.com/v1',
    'ftp://x/',
    'nonsense',
    'https://user:pass@x.org/v1',
    'https://x.org/v1?a=1',
    'https://[::1]/v1',
    'http://127.0.0.1.evil.org/v1',
    'https://a_b.org/',
  ])('%s is refused', (url) => {
    const refused = hostOf(url);
    expect(refused.ok ? '' : refused.error.code).toBe('model.badBaseUrl');
    expect(JSON.stringify(refused)).not.toContain('pass@');
  });
  test('unknown providers, missing keys and scripts are typed, with the exit code', () => {
    const code = (choice: Parameters<typeof openModel>[0]) => {
      const opened = openModel(choice);
      return opened.ok ? opened.value.provider : [opened.error.code, opened.error.exit];
    };
    expect(code({ provider: 'opena' })).toEqual(['model.unknownProvider', 2]);
    expect(code({ provider: 'openai' })).toEqual(['model.keyMissing', 30]);
    expect(code({ provider: 'openai', apiKey: 'bad key\n' })).toEqual(['model.keyMissing', 30]);
    expect(code({ provider: 'openai', apiKey: KEY, baseUrl: 'x' })).toEqual(['model.badBaseUrl', 2]);
    expect(code({ provider: 'scripted' })).toEqual(['model.scriptMissing', 2]);
    expect(code({ provider: 'scripted', script: { answers: [{ tex: 'x' }] } })).toEqual(['script.malformed', 2]);
    expect(code({ provider: 'openai', apiKey: KEY })).toBe('openai');
    expect(code({ provider: 'scripted', script: { answers: [] } })).toBe('scripted');
  });
});

/** What the local server does in each situation. */
function behave(situation: Situation): void {
  const quoted = (code: string): object => ({ error: { message: `no: ${KEY}`, type: 't', param: null, code } });
  const call = { id: 'c1', type: 'function', function: { name: 'read_file', arguments: '{"path":"a"}' } };
  const behaviours: Readonly<Record<Situation, () => void>> = {
    text: () => answers(200, COMPLETION),
    calls: () => answers(200, message({ tool_calls: [call] }, 'tool_calls')),
    unauthorized: () => answers(401, quoted('invalid_api_key')),
    rateLimited: () => answers(429, quoted('rate_limit_exceeded'), { 'retry-after': '1', 'x-should-retry': 'true' }),
    server: () => answers(503, quoted('overloaded'), { 'x-should-retry': 'true' }),
    malformed: () => answers(200, `<html>${KEY}</html>`, { 'content-type': 'text/html' }),
    refused: () => answers(404, quoted('model_not_found')),
    quoting: () => answers(400, quoted('bad_request')),
    silent: () => {
      handler = () => undefined;
    },
  };
  behaviours[situation]();
}

modelAdapterContract({
  open: (situation) => {
    behave(situation);
    hits = 0;
    const model = openaiModel({ apiKey: KEY, baseUrl: `http://127.0.0.1:${port}/v1` });
    if (!model.ok) throw new Error(model.error.message);
    return model.value;
  },
  reached: () => hits,
  waits: true,
  key: KEY,
});
