/**
 * Writes docs/reference/cli.md from what the built command says of itself, docs/reference/exit-codes.md from its table of refusals,
 * docs/reference/actions.md from the catalogue and docs/reference/sdk.md from the SDK's types, or with `--check` says which is not what the program
 * says: `npm run reference`, `npm run reference:check`. Must never hold a word of the help itself.
 * CLI.md "Commands", "Exit codes".
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { EXIT, REFUSALS } from '../apps/cli/src/exit.ts';
import { ACTION_PAGES, builtinActions, builtinToolsets, TIMEOUT_MS } from '../libs/catalogue/src/index.ts';

const root = path.dirname(path.dirname(new URL(import.meta.url).pathname));
const NOTE = '<!-- Written by `npm run reference`; do not edit. -->';
const COMMAND_LINE = /^ {2}([a-z][a-z-]*)(?: .*)?$/;

/** What each code says to a script that looks at nothing else. A code without a meaning does not type-check. */
const MEANINGS: { readonly [K in keyof typeof EXIT]: string } = {
  ok: 'done as asked',
  failed: 'the run, or the command, failed',
  usage: 'wrong usage or invalid configuration; nothing was started',
  denied: 'policy or writ denied it, or the release gate: a change is not proved as its base asks',
  waiting: 'the run waits for an approval; its id was printed',
  approvalDenied: 'the approval was denied or expired, or the vote was refused',
  exhausted: 'a budget or a limit of the run is used up',
  sandbox: 'commands cannot be confined on this machine; nothing was started',
  selfTest: 'the enforcement self-test did not pass: something that must be refused was not; nothing was started',
  integrity: 'the ledger is not what was recorded, or not the one that was pinned',
  diverged: 'a judgement derived again differs from the recorded one',
  anchor: 'an anchor is stale or missing',
  provider: 'the model provider, or the key for it',
  timeout: 'the time of the run, or of an action it cannot do without, ran out',
  interrupted: 'interrupted, where openexec resume goes on, or cancelled',
};

/** Says what the command says when asked with these words and `--help`. Throws where it says nothing. */
export type Help = (words: readonly string[]) => string;

/** The names below `Commands:` of a help text. */
export function subcommands(help: string): readonly string[] {
  const lines = help.split('\n');
  const from = lines.findIndex((line) => line === 'Commands:');
  if (from < 0) return [];
  const rest = lines.slice(from + 1);
  const end = rest.findIndex((line) => line === '');
  return rest
    .slice(0, end < 0 ? rest.length : end)
    .flatMap((line) => COMMAND_LINE.exec(line)?.[1] ?? [])
    .filter((name) => name !== 'help');
}

/** The page of every command, in the order of the help. */
export function commandPage(help: Help): string {
  const sections = (words: readonly string[]): string[] => {
    const text = help(words).trimEnd();
    const title = `${'#'.repeat(words.length + 1)} openexec${words.map((word) => ` ${word}`).join('')}`;
    const own = words.length === 0 ? [] : [`${title}\n\n\`\`\`text\n${text}\n\`\`\``];
    return [...own, ...subcommands(text).flatMap((name) => sections([...words, name]))];
  };
  return ['# The command line', NOTE, `\`\`\`text\n${help([]).trimEnd()}\n\`\`\``, ...sections([])].join('\n\n').concat('\n');
}

/** The page of exit codes and refusals. */
export function exitPage(): string {
  const escape = (text: string): string => text.replaceAll('|', '\\|');
  const names = Object.keys(EXIT) as (keyof typeof EXIT)[]; // Its own keys, which Object.keys forgets.
  const codes = names.map((name) => `| ${EXIT[name]} | ${name} | ${escape(MEANINGS[name])} |`);
  const refusals = Object.entries(REFUSALS).map(
    ([code, { exit, where, remedy }]) => `| \`${code}\` | ${exit} | ${where} | ${escape(remedy)} |`,
  );
  return [
    '# Exit codes and refusals',
    NOTE,
    'A script looks at the exit code; a person at the line below the refusal, which names the code of the refusal and what to do. With `--json` both stand in `error: {code, exit, where, message, remedy}`. A code, once published, never changes its meaning.',
    ['| exit | name | meaning |', '| --- | --- | --- |', ...codes].join('\n'),
    '## Refusals',
    ['| code | exit | where | what to do |', '| --- | --- | --- | --- |', ...refusals].join('\n'),
  ]
    .join('\n\n')
    .concat('\n');
}

/** The page of every built-in action. */
export function actionPage(): string {
  const code = (text: string): string => `\`${text.replaceAll('|', '\\|')}\``;
  const list = (names: readonly string[]): string => (names.length === 0 ? '–' : names.map(code).join(', '));
  const offeredBy = (name: string) =>
    Object.entries(builtinToolsets).flatMap(([toolset, names]) => (names.includes(name) ? [toolset] : []));
  const rows = builtinActions.map(
    ({ name, effect, risk, timeout, command, outputs }) =>
      `| ${code(name)} | ${effect} | ${risk} | ${TIMEOUT_MS[timeout] / 1000} s | ${command === null ? '–' : code(`commands.${command}`)} | ${list(outputs)} | ${list(offeredBy(name))} |`,
  );
  const shown = (value: unknown): string => {
    const text = JSON.stringify(value);
    return code(text.length <= 160 ? text : `${text.slice(0, 160)}…`);
  };
  const sections = builtinActions.map((action) => {
    const page = ACTION_PAGES[action.name];
    if (page === undefined) throw new Error(`${action.name} has no page in the catalogue`);
    const taken = page.accepted.map(({ because, arguments: args }) => `| ${shown(args)} | taken | ${because} |`);
    const refused = page.refused.map(({ because, arguments: args, code: refusal }) => `| ${shown(args)} | ${code(refusal)} | ${because} |`);
    return [
      `## ${action.name}`,
      action.description,
      `Writes: ${action.writes}. Idempotence: ${action.idempotence}. Compensable: ${action.compensable ? 'yes' : 'no'}. Output: at most ${page.outputBytes / 1024} KiB.`,
      `Refusals of its own: ${list(page.errors)}.`,
      ['| arguments | answer | because |', '| --- | --- | --- |', ...taken, ...refused].join('\n'),
    ].join('\n\n');
  });
  return [
    '# Actions',
    NOTE,
    'What the runtime can do. A writ grants an action by its name, a stage of a blueprint names it, a toolset offers it to a model. `openexec action show NAME` prints the same with the arguments.',
    ['| action | effect | risk | time | runs | gives | offered by |', '| --- | --- | --- | --- | --- | --- | --- |', ...rows].join('\n'),
    ...sections,
  ]
    .join('\n\n')
    .concat('\n');
}

/** Builds the command into a folder of its own, and asks it there. */
function withBuilt<T>(work: (help: Help) => T): T {
  fs.mkdirSync(path.join(root, '.cache'), { recursive: true });
  const folder = fs.mkdtempSync(path.join(root, '.cache/reference-'));
  try {
    const built = spawnSync(process.execPath, [path.join(root, 'apps/cli/scripts/build.mjs'), folder], { encoding: 'utf8' });
    if (built.status !== 0) throw new Error(`the command was not built: ${built.stderr}`);
    return work((words) => {
      const env = { PATH: process.env['PATH'], HOME: folder, NO_COLOR: '1', CI: 'true' };
      const asked = spawnSync(process.execPath, [path.join(folder, 'openexec.mjs'), ...words, '--help'], {
        encoding: 'utf8',
        cwd: folder,
        env,
      });
      if (asked.status !== 0 || asked.stdout === '')
        throw new Error(`openexec ${words.join(' ')} --help ended with ${asked.status}: ${asked.stderr}`);
      return asked.stdout;
    });
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** The page of the SDK: the very text of its types. */
export function sdkPage(types: string): string {
  const [, head = '', rest = ''] = /^\/\*\*\n(.*?)\*\/\n\n(.*)$/s.exec(types) ?? [];
  if (head === '' || rest === '') throw new Error('the types of the SDK have no comment at their head');
  const intro =
    "`import { startRun, openLedger, verifyLedger } from 'openexec'`, in JavaScript or TypeScript; [how to use it](../how-to/use-the-sdk.md).";
  return ['# The SDK', NOTE, `${intro} This is the whole of its types.`, `\`\`\`ts\n${rest.trimEnd()}\n\`\`\``].join('\n\n').concat('\n');
}

function main(args: readonly string[]): number {
  const unknown = args.find((arg) => arg !== '--check');
  if (unknown !== undefined) {
    process.stderr.write(`usage: reference [--check]; ${unknown} is not known\n`);
    return 2;
  }
  const pages = new Map([
    ['docs/reference/cli.md', withBuilt(commandPage)],
    ['docs/reference/exit-codes.md', exitPage()],
    ['docs/reference/actions.md', actionPage()],
    ['docs/reference/sdk.md', sdkPage(fs.readFileSync(path.join(root, 'apps/cli/src/sdk/public.ts'), 'utf8'))],
  ]);
  const stale = [...pages].filter(
    ([file, text]) => !fs.existsSync(path.join(root, file)) || fs.readFileSync(path.join(root, file), 'utf8') !== text,
  );
  if (args.includes('--check')) {
    for (const [file] of stale) process.stdout.write(`${file} is stale\n`);
    process.stdout.write(
      stale.length > 0 ? 'run `npm run reference` and commit the result\n' : `${pages.size} pages are what the program says\n`,
    );
    return stale.length === 0 ? 0 : 1;
  }
  for (const [file, text] of stale) {
    fs.mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    fs.writeFileSync(path.join(root, file), text);
  }
  process.stdout.write(`${pages.size} pages, ${stale.length} written\n`);
  return 0;
}

if (process.env['JEST_WORKER_ID'] === undefined) process.exitCode = main(process.argv.slice(2));
