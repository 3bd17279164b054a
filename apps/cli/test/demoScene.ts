/**
 * What the suites of the demo share: one demo run through the bundle and kept, and its ledger read, copied and damaged by commands. Each suite that calls
 * `demoScene` has a demo of its own.
 */
import { chmodSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from '@jest/globals';
import Database from 'better-sqlite3';
import { type Bundle, buildBundle, type Ended } from './cli.ts';

export interface Line {
  readonly v: number;
  readonly run: string;
  readonly seq: number;
  readonly at: string;
  readonly kind: string;
  readonly cursor: string;
  readonly class: string;
  readonly body: Readonly<Record<string, unknown>>;
}
interface VerifyDocument {
  readonly exit: number;
  readonly sound: boolean;
  readonly level: string | null;
  readonly trust: string;
  readonly entries: number;
  readonly fingerprint: string;
  readonly firstBad: number | null;
  readonly findings: readonly { readonly index: number | null; readonly code: string }[];
  readonly checked: readonly string[];
  readonly notChecked: readonly string[];
  readonly deep: { readonly totals: { readonly judgements: number; readonly divergences: number } } | null;
}
export interface Verified {
  readonly exit: number | null;
  readonly document: VerifyDocument;
}
/** The demo as it ended, and commands in its repository. What is a property stands only once the suite runs. */
export interface DemoScene {
  readonly bundle: Bundle;
  readonly folder: string;
  readonly demo: Ended;
  readonly env: Readonly<Record<string, string>>;
  repository(): string;
  ledgerFile(): string;
  openexec(...args: readonly string[]): Promise<Ended>;
  verified(...args: readonly string[]): Promise<Verified>;
  /** A copy of the ledger; what the callback does to it is done through SQLite. */
  copied(name: string, change: (db: Database.Database) => void): string;
}

/** The lines of a timeline. */
export const linesOf = (text: string): Line[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);

/** Runs the demo before the tests of the calling file, and removes it after them. */
export function demoScene(): DemoScene {
  const undo: (() => void)[] = [];
  let made: Pick<DemoScene, 'bundle' | 'folder' | 'demo' | 'env'> | undefined;
  const now = () => {
    if (made === undefined) throw new Error('the demo has not run yet');
    return made;
  };
  const repository = () => join(now().folder, 'demo/duration');
  const openexec = (...args: readonly string[]) => now().bundle.run(args, { cwd: repository(), env: now().env });
  beforeAll(async () => {
    const bundle = await buildBundle();
    undo.push(bundle.remove);
    const folder = mkdtempSync(join(tmpdir(), 'openexec-demo-test-'));
    undo.push(() => rmSync(folder, { recursive: true, force: true }));
    // As the demo does for its own folder: the sandbox's id has to walk through.
    chmodSync(folder, 0o755);
    const demo = await bundle.run(['demo', '--keep', join(folder, 'demo')], { cwd: folder });
    made = { bundle, folder, demo, env: { XDG_CONFIG_HOME: join(folder, 'demo/config'), OPENEXEC_STATE_DIR: join(folder, 'demo/state') } };
  });
  afterAll(() => {
    for (const each of undo) each();
  });
  return {
    get bundle() {
      return now().bundle;
    },
    get folder() {
      return now().folder;
    },
    get demo() {
      return now().demo;
    },
    get env() {
      return now().env;
    },
    repository,
    ledgerFile: () => join(repository(), '.openexec/ledger.db'),
    openexec,
    verified: async (...args) => {
      const { exit, stdout, stderr } = await openexec('verify', '--json', ...args);
      if (stdout === '') throw new Error(`verify said nothing on stdout, but: ${stderr}`);
      return { exit, document: JSON.parse(stdout) as VerifyDocument };
    },
    copied: (name, change) => {
      const copy = join(now().folder, name);
      cpSync(join(repository(), '.openexec'), copy, { recursive: true });
      const path = join(copy, 'ledger.db');
      const db = new Database(path);
      try {
        change(db);
        // In one file, so that reading it back needs nothing beside it.
        db.pragma('wal_checkpoint(TRUNCATE)');
      } finally {
        db.close();
      }
      return path;
    },
  };
}
