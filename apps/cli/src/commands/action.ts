/**
 * `openexec action list|show`: what the runtime can do, read from the catalogue that runs are opened with. Must never say anything of an action that is
 * not in its contract or on its page.
 */
import { canonicalText, type Json, ok } from '@openexec/canon';
import { ACTION_PAGES, builtinActions, builtinToolsets, TIMEOUT_MS } from '@openexec/catalogue';
import { type ActionContract, type ArgumentSchema, nearest } from '@openexec/protocol';
import type { Command } from 'commander';
import type { CommandContext, CommandResult } from '../context.ts';
import { EXIT, refuse } from '../exit.ts';
import { safeLine, type Style } from '../output.ts';

interface Options {
  readonly json?: boolean;
}

/** Adds the command. */
export function register(program: Command, context: CommandContext): void {
  const action = program
    .command('action')
    .description('what the runtime can do: every action with its contract')
    .addHelpText('after', '\nExamples:\n  openexec action list\n  openexec action show apply_patch');
  action
    .command('list')
    .description('every action with effect, risk and the toolsets that offer it to a model')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  openexec action list')
    .action(context.act((options: Options) => list(options, context)));
  action
    .command('show')
    .description('one action: arguments, effect, risk, time, what it writes and gives, its refusals and examples')
    .argument('<name>', 'the action')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  openexec action show kv_set')
    .action(context.act((name: string, options: Options) => show(name, options, context)));
}

/** Names of the toolsets that offer the action. */
function toolsetsOf(action: ActionContract): readonly string[] {
  return Object.entries(builtinToolsets).flatMap(([name, actions]) => (actions.includes(action.name) ? [name] : []));
}

async function list(options: Options, { output }: CommandContext): Promise<CommandResult> {
  if (options.json === true) {
    const actions = builtinActions.map((action) => {
      const { name, title, effect, risk, command, outputs } = action;
      return { name, title, effect, risk, command, outputs, toolsets: toolsetsOf(action) };
    });
    output.json('action-list', { v: 1, actions });
    return ok(EXIT.ok);
  }
  for (const action of builtinActions) {
    const offered = toolsetsOf(action);
    const who = offered.length === 0 ? 'stages only' : `offered by ${offered.join(', ')}`;
    output.result(
      `${output.style.bold(action.name.padEnd(22))}  ${action.effect.padEnd(8)}  ${action.risk.padEnd(6)}  ${action.title}; ${who}`,
    );
  }
  return ok(EXIT.ok);
}

async function show(name: string, options: Options, { output }: CommandContext): Promise<CommandResult> {
  const action = builtinActions.find((each) => each.name === name);
  const page = ACTION_PAGES[name];
  if (action === undefined || page === undefined) {
    const close = nearest(
      name.slice(0, 64),
      builtinActions.map((each) => each.name),
    );
    return refuse('action.unknown', `there is no action "${safeLine(name, 64)}"${close === null ? '' : `; did you mean ${close}?`}`);
  }
  const toolsets = toolsetsOf(action);
  if (options.json === true) {
    const { accepted, refused, errors, outputBytes } = page;
    // A writ grants an action by its name, or by a pattern that it falls under.
    output.json('action-show', {
      v: 1,
      action: {
        ...action,
        capability: name,
        timeoutMs: TIMEOUT_MS[action.timeout],
        toolsets,
        errors,
        outputBytes,
        examples: { accepted, refused },
      },
    });
    return ok(EXIT.ok);
  }
  for (const line of lines(action, output.style)) output.result(line);
  return ok(EXIT.ok);
}

function lines(action: ActionContract, style: Style): readonly string[] {
  const page = ACTION_PAGES[action.name];
  const toolsets = toolsetsOf(action);
  const fact = (name: string, value: string) => `  ${name.padEnd(12)} ${value}`;
  const heading = (text: string) => ['', style.bold(text)];
  const examples = (given: readonly { readonly arguments: Json; readonly because: string; readonly code?: string }[]) =>
    given.map(
      ({ arguments: args, because, code }) =>
        `  ${code === undefined ? style.green('taken') : style.red(code)}  ${safeLine(canonicalText(args), 160)}\n      ${because}`,
    );
  return [
    `${style.bold(action.name)}  ${action.title}`,
    `  ${action.description}`,
    '',
    fact('capability', `"${action.name}" among the actions of a writ`),
    fact('effect', `${action.effect}, risk ${action.risk}`),
    fact(
      'time',
      `${action.timeout}, ${TIMEOUT_MS[action.timeout] / 1000} s${action.command === null ? '' : ', or what the command is configured with'}`,
    ),
    fact('again', AGAIN[action.idempotence]),
    fact('undone', action.compensable ? 'yes, by putting back what it changed' : 'no'),
    fact('writes', writesOf(action)),
    fact('reads', readsOf(action)),
    fact('runs', action.command === null ? 'no configured command' : `commands.${action.command} of the configuration, in the sandbox`),
    fact('gives', action.outputs.length === 0 ? 'no artifact' : action.outputs.join(', ')),
    fact('output', `at most ${(page?.outputBytes ?? 0) / 1024} KiB`),
    fact('offered', toolsets.length === 0 ? 'to no model; a stage of a blueprint names it' : `to a model by ${toolsets.join(', ')}`),
    ...heading('Arguments'),
    ...argumentLines(action.arguments),
    ...heading('Refusals of its own'),
    `  ${(page?.errors ?? []).join(', ')}`,
    ...heading('Examples'),
    ...examples(page?.accepted ?? []),
    ...examples(page?.refused ?? []),
  ];
}

const AGAIN: { readonly [K in ActionContract['idempotence']]: string } = {
  workspace: 'may be repeated: confined to the workspace, from the committed files',
  provider: 'may be repeated: the same under its key or the old value',
  none: 'at most once',
};

function writesOf(action: ActionContract): string {
  if (action.writes === 'none') return 'nothing';
  if (action.writes === 'scratch') return 'nothing that stays: what it leaves is listed and put back';
  const paths = action.paths.filter(({ access }) => access === 'write').map(({ argument }) => argument);
  return `the paths of ${[...new Set(paths)].join(', ')}, within the write paths of the writ`;
}

function readsOf(action: ActionContract): string {
  if (action.name === 'generate_diff_report') return 'every file that the run changed';
  const paths = [...new Set(action.paths.filter(({ access }) => access === 'read').map(({ argument }) => argument))];
  return paths.length === 0 ? 'no path of its arguments' : `the paths of ${paths.join(', ')}`;
}

function argumentLines(schema: ArgumentSchema): readonly string[] {
  if (schema.type !== 'object' || Object.keys(schema.properties).length === 0) return ['  none'];
  return Object.entries(schema.properties).map(([name, inner]) => {
    const needed = schema.required.includes(name) ? '' : ', optional';
    return `  ${name}  ${shapeOf(inner)}${needed}${inner.description === undefined ? '' : `\n      ${inner.description}`}`;
  });
}

function shapeOf(schema: ArgumentSchema): string {
  const between = (low: number | undefined, high: number | undefined, unit: string) =>
    low === undefined && high === undefined ? '' : `, ${low ?? 'any'} to ${high ?? 'any'}${unit}`;
  switch (schema.type) {
    case 'string':
      return schema.enum === undefined
        ? `text${between(schema.minLength, schema.maxLength, ' characters')}`
        : `one of ${schema.enum.join(', ')}`;
    case 'integer':
    case 'number':
      return `${schema.type === 'integer' ? 'whole number' : 'number'}${between(schema.minimum, schema.maximum, '')}`;
    case 'boolean':
      return 'true or false';
    case 'json':
      return `any JSON, at most ${schema.maxBytes} bytes`;
    case 'array':
      return `list of ${shapeOf(schema.items)}${between(schema.minItems, schema.maxItems, ' items')}`;
    case 'object':
      return `object of ${Object.keys(schema.properties).join(', ')}`;
  }
}
