/**
 * The page in a real browser, from a file:// address, through the WebDriver protocol: the same verdict as the program, without any network. Run by
 * `npm test -- --heavy`. w3.org/TR/webdriver2; PROTOCOL §11.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Shipped, ship } from './support.ts';

const TIME_MS = 240_000;
const RUNS = 120;
const has = (command: string): boolean => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;
const isThere = has('chromium') && has('chromedriver');
/** WebDriver's name of an element reference. */
const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';

let shipped: Shipped;
let driver: ChildProcess | undefined;
let base = '';
let session = '';
let profile = '';

async function ask(method: 'GET' | 'POST' | 'DELETE', path: string, body?: object): Promise<unknown> {
  const answer = await fetch(`${base}${path}`, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  const { value } = (await answer.json()) as { readonly value: unknown };
  if (!answer.ok) throw new Error(`${path}: ${JSON.stringify(value)}`);
  return value;
}
async function elementOf(css: string): Promise<string> {
  const found = (await ask('POST', `${session}/element`, { using: 'css selector', value: css })) as Record<string, string>;
  return found[ELEMENT] ?? '';
}
async function put(css: string, text: string): Promise<void> {
  await ask('POST', `${session}/element/${await elementOf(css)}/value`, { text });
}
/** Waits until the page has a verdict. */
async function verdict(): Promise<{ state: string; text: string }> {
  for (const since = Date.now(); Date.now() - since < 120_000; await new Promise((resolve) => setTimeout(resolve, 200))) {
    const script = 'const r = document.getElementById("report"); return { state: r.dataset.state, text: r.textContent };';
    const now = (await ask('POST', `${session}/execute/sync`, { script, args: [] })) as { state: string; text: string };
    if (now.state !== 'busy' && now.state !== 'none') return now;
  }
  throw new Error('the page came to no verdict');
}
const open = (): Promise<unknown> => ask('POST', `${session}/url`, { url: pathToFileURL(shipped.page).href });

beforeAll(async () => {
  if (!isThere) return;
  shipped = await ship(RUNS);
  profile = mkdtempSync(join(tmpdir(), 'openexec-browser-'));
  driver = spawn('chromedriver', ['--port=0'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const port = await new Promise<string>((resolve, reject) => {
    let said = '';
    driver?.stdout?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      const found = /successfully on port (\d+)/.exec(said)?.[1];
      if (found !== undefined) resolve(found);
    });
    driver?.on('exit', () => reject(new Error(`chromedriver ended: ${said}`)));
  });
  base = `http://127.0.0.1:${port}`;
  const args = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];
  const options = {
    binary: '/usr/bin/chromium',
    args: [...args, '--disable-component-update', '--disable-sync', `--user-data-dir=${profile}`],
  };
  const made = (await ask('POST', '/session', { capabilities: { alwaysMatch: { 'goog:chromeOptions': options } } })) as {
    sessionId: string;
  };
  session = `/session/${made.sessionId}`;
}, TIME_MS);
afterAll(async () => {
  if (!isThere) return;
  await ask('DELETE', session).catch(() => undefined);
  driver?.kill();
  rmSync(profile, { recursive: true, force: true });
  shipped.remove();
});

const inBrowser = isThere ? test : test.skip;
describe(`the page in a browser${isThere ? '' : ' (not run: chromium and chromium-driver are not on this machine)'}`, () => {
  inBrowser(
    'finds a bundle of some thousand entries sound, from one file, in the words of the program',
    async () => {
      await open();
      await put('#trust', shipped.fingerprint);
      const since = performance.now();
      await put('#archive', shipped.archive);
      const { state, text } = await verdict();
      expect(state).toBe('sound');
      const own = spawnSync(process.execPath, [shipped.program, shipped.archive, '--trust', shipped.fingerprint], { encoding: 'utf8' });
      expect(text).toBe(own.stdout.trimEnd());
      const entries = /(\d+) entries/.exec(text)?.[1] ?? '';
      expect(Number(entries)).toBeGreaterThan(1000);
      process.stderr.write(`the page checked ${entries} entries in ${Math.round(performance.now() - since)} ms\n`);
    },
    TIME_MS,
  );

  inBrowser(
    'finds a changed byte, and names the part',
    async () => {
      const bytes = readFileSync(shipped.archive);
      const at = bytes.indexOf('"dev.openexec.run.closed"');
      bytes[at + 3] = (bytes[at + 3] ?? 0) ^ 1;
      writeFileSync(join(shipped.folder, 'changed.tar'), bytes);
      await open();
      await put('#archive', join(shipped.folder, 'changed.tar'));
      expect(await verdict()).toMatchObject({ state: 'unsound', text: expect.stringContaining('✗ events.jsonl: bundle.digest') });
    },
    TIME_MS,
  );

  inBrowser(
    'may not ask the network, whatever runs in it',
    async () => {
      await open();
      const script =
        'const done = arguments[arguments.length - 1]; fetch(arguments[0]).then(() => done("reached"), () => done("refused"));';
      expect(await ask('POST', `${session}/execute/async`, { script, args: [`${base}/status`] })).toBe('refused');
      // The control: that address answers, to whoever may ask.
      expect((await fetch(`${base}/status`)).ok).toBe(true);
    },
    TIME_MS,
  );
});
