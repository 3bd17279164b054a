/**
 * The generated reference: every command and its commands below it have a section, every exit code and refusal a row.
 */
import { describe, expect, test } from '@jest/globals';
import { EXIT, REFUSALS } from '../../apps/cli/src/exit.ts';
import { builtinActions } from '../../libs/catalogue/src/index.ts';
import { actionPage, commandPage, exitPage, subcommands } from '../reference.ts';

const TOP = `Usage: tool [options] [command]

what it is

Commands:
  one             does one thing, whose summary is
                  longer than a line
  two [options]   does two
  help [command]  display help for command

Example:
  tool one
`;
const PLAIN = 'Usage: tool one [options]\n\nOptions:\n  -h, --help  display help\n';
const NESTED = 'Usage: tool two [command]\n\nCommands:\n  deep            is below\n';

describe('the reference', () => {
  test('finds the commands of a help text, and none where there are none', () => {
    expect(subcommands(TOP)).toEqual(['one', 'two']);
    expect(subcommands(PLAIN)).toEqual([]);
  });

  test('the page of commands has a section for each, also below another', () => {
    const asked: string[] = [];
    const page = commandPage((words) => {
      asked.push(words.join(' '));
      return words.length === 0 ? TOP : words[0] === 'two' && words.length === 1 ? NESTED : PLAIN;
    });
    expect([...page.matchAll(/^#+ .*$/gm)].map(([line]) => line)).toEqual([
      '# The command line',
      '## openexec one',
      '## openexec two',
      '### openexec two deep',
    ]);
    expect(asked).toContain('two deep');
    expect(page).toContain('longer than a line');
  });

  test('the page of exit codes has a row for every code and every refusal', () => {
    const rows = exitPage().split('\n');
    for (const [name, exit] of Object.entries(EXIT)) expect(rows.filter((row) => row.startsWith(`| ${exit} | ${name} | `))).toHaveLength(1);
    for (const [code, { exit }] of Object.entries(REFUSALS))
      expect(rows.filter((row) => row.startsWith(`| \`${code}\` | ${exit} | `))).toHaveLength(1);
  });

  test('the page of actions has a row and a section for every action, with an example that is taken and one that is refused', () => {
    const page = actionPage();
    const sections = page.split('\n## ').slice(1);
    expect(sections.map((section) => section.split('\n', 1)[0])).toEqual(builtinActions.map(({ name }) => name));
    for (const section of sections) {
      expect(section).toMatch(/^\| `.*` \| taken \| .+ \|$/m);
      expect(section).toMatch(/^\| `.*` \| `[a-zA-Z.]+` \| .+ \|$/m);
    }
    for (const { name } of builtinActions) expect(page.split('\n').filter((row) => row.startsWith(`| \`${name}\` | `))).toHaveLength(1);
  });
});
