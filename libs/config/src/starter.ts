/**
 * The first configuration of a repository, with each choice explained in it. Must never choose what was not found (MECHANICS part 2 "no lint
 * command"): what is missing is written down as missing.
 */
import type { Findings } from './found.ts';
import { DEFAULTS, type ShippedPolicy } from './layers.ts';

/** What `.openexec/.gitignore` holds: everything there but what people write is local. */
export const OWN_IGNORE = '/ledger.db*\n/blobs/\n/config.local.yaml\n/*.lock\n';

/** The text of a first `config.yaml`. */
export function starterConfig(findings: Findings, options: { readonly model: string | null; readonly policy: ShippedPolicy }): string {
  const { test, lint, provide } = findings;
  const flow = (words: readonly string[]) => `[${words.map((word) => JSON.stringify(word)).join(', ')}]`;
  return [
    '# OpenExec configuration, version 1. A key that is not known is an error; openexec doctor checks this file.',
    'version: 1',
    '',
    '# The model that a run asks: openai:NAME, scripted:FILE, or none. --model says otherwise for one run.',
    `model: ${JSON.stringify(options.model ?? 'none')}`,
    '',
    'commands:',
    ...(test === null
      ? [
          '  # No test command was found. A blueprint with a test stage is refused until one stands here, for example:',
          '  # test: {argv: ["npm", "test"], timeout: medium}',
        ]
      : [`  # Found: ${test.because}.`, `  test: {argv: ${flow(test.argv)}, timeout: medium}`]),
    ...(lint === null
      ? ['  # No linter was found; that is recorded, so that nothing is skipped silently.', '  lint: none']
      : [`  # Found: ${lint.because}.`, `  lint: {argv: ${flow(lint.argv)}, timeout: medium}`]),
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
    `  provide: ${flow(provide)}`,
    '',
  ].join('\n');
}
