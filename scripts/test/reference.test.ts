/**
 * The generated reference: every command and its commands below it have a section, every exit code and refusal a row.
 */
import { describe, expect, test } from '@jest/globals';
import { EXIT, REFUSALS } from '../../apps/cli/src/exit.ts';
import { commandPage, exitPage, subcommands } from '../reference.ts';

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
});
