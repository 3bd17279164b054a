/** A node of EventStoreDB beside the command under test: the in-process one of the stores' tests, as a process of its own. */
import { spawn } from 'node:child_process';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const HOUSE = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');

/** See `libs/stores/test/nodeChild.ts`. */
export interface EventStoreNode {
  readonly port: number;
  /** Sends one order and answers what the node says; one at a time. */
  obey(order: { readonly order: string; readonly [name: string]: unknown }): Promise<unknown>;
  stop(): Promise<void>;
}

/** Starts a node with nothing in it; `tls` asks for a login. */
export async function startNode(tls: readonly string[] = []): Promise<EventStoreNode> {
  const args = [
    join(HOUSE, 'scripts/run-ts.mjs'),
    join(HOUSE, 'libs/stores/test/nodeChild.ts'),
    ...(tls.length === 0 ? [] : ['--tls', ...tls]),
  ];
  const child = spawn(process.execPath, args, { cwd: HOUSE, stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise<void>((settle) => child.on('close', () => settle()));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async (): Promise<unknown> => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error('the node ended');
    return JSON.parse(String(value));
  };
  const { port } = (await answer()) as { readonly port: number };
  return {
    port,
    async obey(order) {
      child.stdin.write(`${JSON.stringify(order)}\n`);
      return answer();
    },
    async stop() {
      // Its input ends, and with it the node; answers that are under way are not waited for.
      child.stdin.end();
      await ended;
    },
  };
}
