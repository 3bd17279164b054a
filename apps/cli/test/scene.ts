/**
 * What most suites of the command line begin with: the bundle, a repository with a bug, a provider that says what it is told, and the command run there.
 * `bundle`, `place` and `provider` are those of the running test; importing files see them change.
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect } from '@jest/globals';
import { type Bundle, buildBundle, type Ended } from './cli.ts';
import { makePlace, type Place, type Provider, startProvider } from './place.ts';

export let bundle: Bundle;
export let place: Place;
export let provider: Provider;
let withProvider = false;

type Env = Readonly<Record<string, string>>;

const environment = (): Env => (withProvider ? { ...place.env, ...provider.env } : place.env);

/** Starts the command in the repository. */
export function start(...args: readonly string[]): ReturnType<Bundle['start']> {
  return bundle.start(args, { cwd: place.root, env: environment() });
}
/** Runs the command in the repository. */
export function openexec(...args: readonly string[]): Promise<Ended> {
  return start(...args).ended;
}
/** Runs the command, which has to succeed; else the words of the failure stand in the test's. */
export async function fine(...args: readonly string[]): Promise<Ended> {
  const ended = await openexec(...args);
  expect({ args, exit: ended.exit, stderr: ended.exit === 0 ? '' : ended.stderr }).toEqual({ args, exit: 0, stderr: '' });
  return ended;
}
/** The same, and what it printed. */
export async function done(...args: readonly string[]): Promise<string> {
  return (await fine(...args)).stdout;
}
/** Runs the command, which is expected to refuse: its exit code, and the code and words of the refusal. */
export async function refused(
  ...args: readonly string[]
): Promise<{ readonly exit: number | null; readonly code: string; readonly message: string }> {
  const ended = await openexec(...args, '--json');
  const { error } = JSON.parse(ended.stdout) as { readonly error?: { readonly code: string; readonly message: string } };
  return { exit: ended.exit, code: error?.code ?? 'none', message: error?.message ?? '' };
}
/** Runs the command elsewhere, or with more in its environment. */
export function openexecWith(args: readonly string[], more: { readonly cwd?: string; readonly env?: Env } = {}): Promise<Ended> {
  return bundle.run(args, { cwd: more.cwd ?? place.root, env: { ...environment(), ...more.env } });
}
/** Sets the repository up for the provider. */
export async function initialised(): Promise<void> {
  expect(await openexec('init', '--model', 'openai:gpt-test')).toMatchObject({ exit: 0 });
}
/** Commits whatever stands in the repository. */
export function commitAll(message = 'more'): void {
  place.git('add', '-A');
  place.git('-c', 'user.name=Test', '-c', 'user.email=test@example.org', 'commit', '-q', '-m', message);
}

async function open(): Promise<void> {
  place = makePlace();
  provider = await startProvider();
  withProvider = true;
}
async function leave(): Promise<void> {
  await provider.close();
  place.remove();
}

/** One bundle for the file; a repository and a provider for each test, prepared before it. */
export function inEachPlace(prepare: () => Promise<void> | void = initialised): void {
  beforeAll(async () => {
    bundle = await buildBundle();
  });
  afterAll(() => bundle.remove());
  beforeEach(async () => {
    await open();
    await prepare();
  });
  afterEach(leave);
}

/** One bundle for the file and a repository for each test; no provider, so `provider` is not to be used. */
export function inEachBarePlace(): void {
  beforeAll(async () => {
    bundle = await buildBundle();
  });
  afterAll(() => bundle.remove());
  beforeEach(() => {
    place = makePlace();
  });
  afterEach(() => place.remove());
}

/** One bundle, one repository and one provider for all tests of the file, prepared before the first. */
export function inOnePlace(prepare: () => Promise<void> | void = initialised): void {
  beforeAll(async () => {
    bundle = await buildBundle();
    await open();
    await prepare();
  });
  afterAll(async () => {
    await leave();
    bundle.remove();
  });
}
