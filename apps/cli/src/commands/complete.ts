/**
 * `openexec __complete KIND`: words for a completion script, one per line with a description after a tab. Hidden, quick, and silent about whatever
 * is wrong: nobody who presses TAB wants to read a refusal. Must never write.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Argument } from 'commander';
import { openApprovals } from '../approval/requests.ts';
import { type Dynamic, DYNAMIC } from '../completion/tree.ts';
import type { CommandContext, Register } from '../context.ts';
import { EXIT } from '../exit.ts';
import { shortRun } from '../findRun.ts';
import { safeLine } from '../output.ts';
import { listRuns } from '../read/runs.ts';
import { shortRequest } from '../run/finish.ts';

const MOST_RUNS = 50;
const ABOUT_MAX = 60;
const YAML = /\.ya?ml$/;

/** Adds the command. */
export const register: Register = (program, context) => {
  program
    .command('__complete', { hidden: true })
    .addArgument(new Argument('<kind>', 'what is wanted').choices([...DYNAMIC]))
    .action(async (kind: Dynamic) => {
      const words = await wordsOf(context, kind).catch(() => []);
      for (const [word, about] of words) context.output.result(`${word}\t${safeLine(about, ABOUT_MAX)}`);
      process.exitCode = EXIT.ok;
    });
};

type Words = readonly (readonly [word: string, about: string])[];

async function wordsOf(context: CommandContext, kind: Dynamic): Promise<Words> {
  if (kind === 'blueprints') return blueprints(context);
  const ledger = await context.openLedger();
  if (!ledger.ok) return [];
  try {
    const { store } = ledger.value;
    if (kind === 'requests') {
      const open = await openApprovals(store);
      return open.ok ? open.value.map(({ request, asked }) => [shortRequest(request.id), asked.action]) : [];
    }
    const runs = (await listRuns(store)).slice(0, MOST_RUNS);
    const named = runs.map(({ run, status, task }) => [shortRun(run), `${status}: ${task ?? ''}`] as const);
    return named.length === 0 ? [] : [['latest', 'the run opened last'], ...named];
  } finally {
    await ledger.value.close();
  }
}

async function blueprints(context: CommandContext): Promise<Words> {
  const project = await context.project();
  const places = [join(context.assets, 'blueprints'), ...(project.ok ? [join(project.value.folder, 'blueprints')] : [])];
  const names = places.flatMap((place) => (existsSync(place) ? readdirSync(place).filter((file) => YAML.test(file)) : []));
  return [...new Set(names.map((file) => file.replace(YAML, '')))].map((name) => [name, 'blueprint']);
}
