/**
 * A throw-away place for one test: a real git repository with a real bug, state and configuration folders of its own, and a local server that speaks
 * OpenAI's chat.completions as scripted.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export const API_KEY = 'sk-test-0123456789abcdefghijklmnopqrstuvwxyz';

export interface Place {
  readonly folder: string;
  readonly root: string;
  readonly state: string;
  readonly env: Readonly<Record<string, string>>;
  git(...args: readonly string[]): string;
  write(path: string, text: string): void;
  remove(): void;
}

const FILES: Readonly<Record<string, string>> = {
  'package.json': '{\n  "name": "sample",\n  "version": "1.0.0",\n  "type": "module",\n  "scripts": { "test": "node --test" }\n}\n',
  'sum.js': 'export function sum(a, b) {\n  return a - b;\n}\n',
  'sum.test.js':
    "import assert from 'node:assert';\nimport { test } from 'node:test';\nimport { sum } from './sum.js';\ntest('sum', () => assert.equal(sum(2, 3), 5));\n",
};

/** Makes the repository with one commit; nothing of openexec is in it yet. */
export function makePlace(): Place {
  const folder = mkdtempSync(join(tmpdir(), 'openexec-cli-'));
  // The sandbox runs under an id of its own and has to walk through.
  chmodSync(folder, 0o755);
  const root = join(folder, 'repo');
  const state = join(folder, 'state');
  const git = (...args: readonly string[]): string =>
    execFileSync('git', ['-C', root, ...args], { stdio: ['ignore', 'pipe', 'pipe'] }).toString('utf8');
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  mkdirSync(root);
  git('init', '-q', '-b', 'main');
  for (const [path, text] of Object.entries(FILES)) write(path, text);
  git('add', '-A');
  git('-c', 'user.name=Test', '-c', 'user.email=test@example.org', 'commit', '-q', '-m', 'base');
  const env = { OPENEXEC_STATE_DIR: state, XDG_CONFIG_HOME: join(folder, 'config') };
  return { folder, root, state, env, git, write, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** What the provider says to one request. */
export interface Reply {
  readonly status?: number;
  readonly text?: string;
  /** What the body of a refusal says. */
  readonly error?: string;
  readonly calls?: readonly { readonly name: string; readonly arguments: object }[];
  /** A call whose arguments are this text, broken or not. */
  readonly rawCall?: { readonly name: string; readonly arguments: string };
  /** The provider's own word for why it stopped; left out: what fits the calls. */
  readonly finish?: string;
  readonly refusal?: string;
  /** The whole body, instead of one that follows the protocol. */
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Answer only when this has come about. */
  readonly after?: Promise<unknown>;
}
export interface Provider {
  readonly env: Readonly<Record<string, string>>;
  /** Parsed bodies of the requests so far. */
  readonly requests: readonly {
    readonly model: string;
    readonly messages: readonly { readonly role: string; readonly content: unknown }[];
  }[];
  readonly authorizations: readonly string[];
  /** Replies to come, in order; an unexpected request is answered with 500. */
  say(...replies: readonly Reply[]): void;
  /** Resolves once `count` requests have arrived. */
  arrived(count: number): Promise<void>;
  close(): Promise<void>;
}

/** Starts the server. */
export async function startProvider(): Promise<Provider> {
  const requests: Provider['requests'][number][] = [];
  const authorizations: string[] = [];
  const replies: Reply[] = [];
  const waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    requests.push(JSON.parse(Buffer.concat(chunks).toString('utf8')) as Provider['requests'][number]);
    authorizations.push(request.headers.authorization ?? '');
    for (const each of waiting) if (requests.length >= each.count) each.resolve();
    const reply = replies.shift() ?? { status: 500 };
    await reply.after;
    response.writeHead(reply.status ?? 200, { 'content-type': 'application/json', ...reply.headers });
    response.end(reply.body ?? JSON.stringify(bodyOf(reply, requests.length)));
  };
  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return {
    env: { OPENAI_API_KEY: API_KEY, OPENAI_BASE_URL: `http://127.0.0.1:${address.port}/v1` },
    requests,
    authorizations,
    say: (...more) => void replies.push(...more),
    arrived: async (count) => {
      if (requests.length < count) await new Promise<void>((resolve) => waiting.push({ count, resolve }));
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function bodyOf(reply: Reply, serial: number): object {
  if (reply.status !== undefined && reply.status !== 200)
    return {
      error: { message: reply.error ?? `status ${reply.status} as scripted`, type: 'invalid_request_error', code: null, param: null },
    };
  const raw = reply.rawCall === undefined ? undefined : [reply.rawCall];
  const said = raw ?? reply.calls?.map((call) => ({ name: call.name, arguments: JSON.stringify(call.arguments) }));
  const calls = said?.map((call, index) => ({ id: `call_${serial}_${index}`, type: 'function', function: call }));
  return {
    id: `chatcmpl-${serial}`,
    object: 'chat.completion',
    created: 1_700_000_000,
    model: 'gpt-test',
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: reply.text ?? null,
          ...(reply.refusal === undefined ? {} : { refusal: reply.refusal }),
          ...(calls === undefined ? {} : { tool_calls: calls }),
        },
        finish_reason: reply.finish ?? (calls === undefined ? 'stop' : 'tool_calls'),
      },
    ],
    usage: { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120 },
  };
}

/** A call that replaces the body of `sum`. */
export function patchSum(from: string, to: string): NonNullable<Reply['calls']>[number] {
  const patch = `--- a/sum.js\n+++ b/sum.js\n@@ -1,3 +1,3 @@\n export function sum(a, b) {\n-  return a ${from} b;\n+  return a ${to} b;\n }\n`;
  return { name: 'apply_patch', arguments: { format: 'unified', patch } };
}

/** A call that adds a script to package.json: a file that something runs without being asked. */
export function patchScripts(): NonNullable<Reply['calls']>[number] {
  const patch =
    '--- a/package.json\n+++ b/package.json\n@@ -3,4 +3,4 @@\n   "version": "1.0.0",\n   "type": "module",\n-  "scripts": { "test": "node --test" }\n+  "scripts": { "test": "node --test", "start": "node sum.js" }\n }\n';
  return { name: 'apply_patch', arguments: { format: 'unified', patch } };
}
