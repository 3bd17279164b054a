/**
 * The first configuration of a repository, with each choice explained in it. Must never choose what was not found (MECHANICS part 2 "no lint
 * command"): what is missing or unclear is written down as that.
 */
import type { Finding, Findings } from './found.ts';
import { COMMAND_NAMES, type CommandName } from './foundTools.ts';
import { DEFAULTS, type ShippedPolicy } from './layers.ts';
import type { LedgerWord } from './ledger.ts';

/** What `.openexec/.gitignore` holds: everything there but what people write is local. */
export const OWN_IGNORE = '/ledger.db*\n/blobs/\n/config.local.yaml\n/*.lock\n';

/** What a command is for, and an example of it. */
const ABOUT: Readonly<Record<CommandName, { readonly missing: string; readonly example: string }>> = {
  test: {
    missing: 'A blueprint with a test stage is refused until one stands here.',
    example: 'test: {argv: ["npm", "test"], timeout: medium}',
  },
  lint: {
    missing: 'That is recorded, so that nothing is skipped silently.',
    example: 'lint: {argv: ["npm", "run", "lint"], timeout: medium}',
  },
  format: { missing: 'A formatter writes files.', example: 'format: {argv: ["npm", "run", "format"], timeout: medium}' },
  typecheck: { missing: 'It only looks.', example: 'typecheck: {argv: ["npx", "tsc", "--noEmit"], timeout: medium}' },
  build: { missing: 'It runs without network.', example: 'build: {argv: ["npm", "run", "build"], timeout: medium}' },
};

const flow = (words: readonly string[]): string => `[${words.map((word) => JSON.stringify(word)).join(', ')}]`;

/** The text of a first `config.yaml`. */
export function starterConfig(
  findings: Findings,
  options: { readonly model: string | null; readonly policy: ShippedPolicy; readonly ledger?: LedgerWord | undefined },
): string {
  const { commands, provide } = findings;
  return [
    '# OpenExec configuration, version 1. A key that is not known is an error; openexec doctor checks this file.',
    'version: 1',
    '',
    '# The model that a run asks: openai:NAME, scripted:FILE, or none. --model says otherwise for one run.',
    `model: ${JSON.stringify(options.model ?? 'none')}`,
    '',
    ...(options.ledger === undefined
      ? []
      : [
          '# Where the ledger is; no password here. --ledger and OPENEXEC_LEDGER say otherwise for one call; your own pin says whether it is trusted.',
          `ledger: ${JSON.stringify(options.ledger)}`,
          '',
        ]),
    '# Exact words, no shell; they run in the sandbox, without network. timeout: fast (30 s), medium (5 min) or long (30 min).',
    ...commandLines(commands),
    '',
    '# Which blueprint a run follows when it names none.',
    `blueprint: ${DEFAULTS.blueprint}`,
    '',
    '# The shipped policy: solo (you may approve yourself), or regulated (two others with keys under a passphrase, no network).',
    `policy: ${options.policy}`,
    '',
    '# Upper bounds of one run; usd needs models.openai.pricing for the model. wall is in minutes.',
    `budget: {tokens: ${DEFAULTS.tokens}, calls: ${DEFAULTS.calls}}`,
    `wall: ${DEFAULTS.wallMinutes}`,
    '',
    'sandbox:',
    '  # Untracked folders of this checkout that commands see, read-only.',
    ...provide.map(({ path, because }) => `  # Found: ${path}, ${because}.`),
    `  provide: ${flow(provide.map(({ path }) => path))}`,
    '',
  ].join('\n');
}

/** `lint` is always there: found, or recorded as none; an empty mapping would be null. */
function commandLines(commands: Findings['commands']): string[] {
  const lines = COMMAND_NAMES.flatMap((name) => linesOf(name, commands[name]));
  return lines.some((line) => !line.startsWith('  #')) ? ['commands:', ...lines] : ['commands: {}', ...lines];
}

function linesOf(name: CommandName, { found, unclear, others }: Finding): string[] {
  const candidate = (argv: readonly string[]): string => `${name}: {argv: ${flow(argv)}, timeout: medium}`;
  const also = others.map(({ argv, because }) => `  # Also possible (${because}): ${candidate(argv)}`);
  if (found !== null) return [`  # Found: ${found.because}.`, `  ${candidate(found.argv)}`, ...also];
  if (unclear !== null)
    return [`  # Not chosen for you: ${unclear}. Put one here:`, ...(also.length > 0 ? also : [`  # ${ABOUT[name].example}`])];
  if (name === 'lint') return [`  # No linter was found. ${ABOUT.lint.missing}`, '  lint: none'];
  return [`  # No ${name} command was found. ${ABOUT[name].missing} For example:`, `  # ${ABOUT[name].example}`];
}
