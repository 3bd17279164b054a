/**
 * `openexec init` through the bundle: a rehearsal writes nothing, every choice is explained, a second call says what is there and what was found since.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { inEachBarePlace, openexec, place } from './scene.ts';

const TIME_MS = 240_000;

inEachBarePlace();

test(
  'a rehearsal shows the file with its reasons and writes nothing; init writes exactly that; again it keeps all and says so',
  async () => {
    const rehearsed = await openexec('init', '--dry-run');
    expect(rehearsed.exit).toBe(0);
    expect(rehearsed.stdout).toContain('would write     .openexec/config.yaml');
    expect(rehearsed.stdout).toContain('      # Found: package.json has a script "test".');
    expect(existsSync(join(place.root, '.openexec'))).toBe(false);
    expect(existsSync(place.state)).toBe(false);
    const { files } = JSON.parse((await openexec('init', '--dry-run', '--json')).stdout) as {
      readonly files: readonly { readonly name: string; readonly text: string }[];
    };
    const made = await openexec('init');
    expect(made).toMatchObject({ exit: 0, stdout: expect.stringContaining('ledger founded') });
    expect(made.stdout).toContain('test command      npm test  (package.json has a script "test")');
    for (const { name, text } of files) expect(readFileSync(join(place.root, name), 'utf8')).toBe(text);
    const again = await openexec('init');
    expect(again.stdout).toContain('ledger found ');
    expect(again.stdout).toContain('there already   .openexec/config.yaml (kept as it is)');
    expect(again.stdout).not.toContain('wrote');
    for (const { name, text } of files) expect(readFileSync(join(place.root, name), 'utf8')).toBe(text);
    expect(await openexec('verify', '--deep')).toMatchObject({ exit: 0 });
  },
  TIME_MS,
);

test(
  'what was found after the configuration was written is pointed out and not written; what is unclear is not chosen',
  async () => {
    expect(await openexec('init')).toMatchObject({ exit: 0 });
    const before = readFileSync(join(place.root, '.openexec/config.yaml'), 'utf8');
    place.write('package.json', '{"type": "module", "scripts": {"test": "node --test", "lint": "eslint .", "build": "tsc"}}');
    const again = await openexec('init');
    expect(again.stdout).toContain('lint command      none, as recorded in .openexec/config.yaml; found since: npm run lint');
    expect(again.stdout).toContain('build command     not configured; found: npm run build  (package.json has a script "build")');
    place.write('yarn.lock', '');
    place.write('pnpm-lock.yaml', '');
    expect((await openexec('init')).stdout).toContain(
      'build command     not chosen for you: package.json has a script "build", but the lock files pnpm-lock.yaml and yarn.lock do not say',
    );
    expect(readFileSync(join(place.root, '.openexec/config.yaml'), 'utf8')).toBe(before);
  },
  TIME_MS,
);
