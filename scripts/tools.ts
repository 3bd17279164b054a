/**
 * Runs one outside tool of the house and checks that it looked at what there is: `npm run lint`, `format:check`, `types`, `types:pure`.
 * The tools' own exit codes say nothing about how much they saw, so each is held against the listing of scripts/lib/files.ts.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { type House, loadHouse } from './house/model.ts';
import { packageFiles, walk } from './lib/files.ts';

interface Outcome {
  readonly passed: boolean;
  readonly text: string;
}

const root = path.dirname(path.dirname(new URL(import.meta.url).pathname));

/** Every code file of packages and scripts. */
function everything(house: House): string[] {
  return [...house.rooms.flatMap((room) => packageFiles(root, room.folder)), ...walk(root, 'scripts')];
}

function run(bin: string, args: readonly string[]): Outcome {
  const child = spawnSync(process.execPath, [path.join(root, 'node_modules', bin), ...args], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
  });
  return { passed: child.status === 0, text: `${child.stdout}${child.stderr}` };
}

/** A tool that reports only how many files it read must have read at least the listed ones. */
function counted(outcome: Outcome, pattern: RegExp, atLeast: number): Outcome {
  if (!outcome.passed) return outcome;
  const seen = Number(pattern.exec(outcome.text)?.[1] ?? 0);
  if (seen > 0 && seen >= atLeast) return outcome;
  return { passed: false, text: `${outcome.text}\nlooked at ${seen} files, but there are ${atLeast}\n` };
}

/** tsc with `--listFiles` must have read every one of the expected files; the listing itself is not printed. */
function typed(args: readonly string[], expected: readonly string[]): Outcome {
  const outcome = run('typescript/bin/tsc', [...args, '--listFiles', '--pretty', 'false']);
  const lines = outcome.text.split('\n');
  const seen = new Set(lines);
  const missed = expected.filter((file) => !seen.has(path.join(root, file)));
  const messages = lines.filter((line) => line !== '' && !path.isAbsolute(line));
  if (expected.length === 0) messages.push('there is nothing to look at');
  messages.push(
    ...missed.map((file) => `${file} was not looked at`),
    `tsc ${args.join(' ')}: ${expected.length - missed.length} files of ours`,
  );
  return { passed: outcome.passed && missed.length === 0 && expected.length > 0, text: `${messages.join('\n')}\n` };
}

/** What runs in a browser is checked with its globals, by the project of its package; everything else must do without them. */
const BROWSER = ['apps/verifier/src/page.ts'];
const isTypeScript = (file: string): boolean => /\.m?ts$/.test(file);

const tools: Readonly<Record<string, (house: House) => Outcome[]>> = {
  lint: (house) => [
    // Tests belong to no project of their own: without the built types beside the sources their imports are unknown to the type-aware rules.
    run('typescript/bin/tsc', ['-b', '--pretty', 'false']),
    counted(
      run('oxlint/bin/oxlint', ['--type-aware', '--report-unused-disable-directives-severity=error']),
      /Finished in .* on (\d+) files?/,
      everything(house).length,
    ),
  ],
  format: (house) => [
    counted(run('@biomejs/biome/bin/biome', ['format', '--colors=off']), /Checked (\d+) files?/, everything(house).length),
  ],
  types: (house) => [
    run('typescript/bin/tsc', ['-b', '--pretty', 'false']),
    typed(
      ['-p', 'tsconfig.test.json'],
      everything(house).filter((file) => isTypeScript(file) && !BROWSER.includes(file)),
    ),
    typed(['-p', 'apps/verifier'], BROWSER),
  ],
  pure: (house) => [
    typed(
      ['-p', 'scripts/tsconfig.pure.json'],
      house.rooms
        .filter((room) => room.pure)
        .flatMap((room) => walk(root, `${room.folder}/src`).filter((file) => !(file.slice(room.folder.length + 1) in room.builtins))),
    ),
  ],
};

function main(): void {
  const [name = ''] = process.argv.slice(2);
  const tool = Object.hasOwn(tools, name) ? tools[name] : undefined;
  if (tool === undefined) {
    process.stderr.write(`usage: tools.ts ${Object.keys(tools).join('|')}\n`);
    process.exitCode = 2;
    return;
  }
  const outcomes = tool(loadHouse(root));
  for (const outcome of outcomes) process.stdout.write(outcome.text);
  process.exitCode = outcomes.every((outcome) => outcome.passed) ? 0 : 1;
}

main();
