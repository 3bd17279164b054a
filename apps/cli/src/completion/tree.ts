/**
 * The command tree as completion scripts need it, read from the very commands that parse the arguments: a command that is added is completed
 * without another word. Must never know a command by name.
 */
import type { Argument, Command, Option } from 'commander';

/** What may stand somewhere: nothing that can be offered, a file, one of these words, or what `__complete KIND` prints. */
export type WordKind = 'value' | 'file' | Dynamic | readonly string[];
/** Kinds that are asked of the program while a person types. */
export type Dynamic = 'runs' | 'requests' | 'blueprints';
/** All of {@link Dynamic}. */
export const DYNAMIC: readonly Dynamic[] = ['runs', 'requests', 'blueprints'];

/** An option of one command. */
export interface OptionNode {
  readonly long: string;
  readonly about: string;
  /** Null for a flag without a value. */
  readonly takes: WordKind | null;
}
/** One command with what may follow it. */
export interface CommandNode {
  /** The words that name it, from the first after the program; empty for the program itself. */
  readonly path: readonly string[];
  readonly about: string;
  readonly subcommands: readonly { readonly name: string; readonly about: string }[];
  readonly options: readonly OptionNode[];
  /** One per position; the last may repeat. */
  readonly arguments: readonly WordKind[];
}

/** By the name in the usage line. */
const ARGUMENTS: { readonly [name: string]: Dynamic } = { run: 'runs', other: 'runs', id: 'requests' };
const VALUES: { readonly [placeholder: string]: 'file' } = { file: 'file', path: 'file', dir: 'file' };
const HELP: OptionNode = { long: '--help', about: 'display help for command', takes: null };

/** Every command of the program, itself first; hidden ones are left out. */
export function commandTree(program: Command): readonly CommandNode[] {
  return nodesOf(program, []);
}

function nodesOf(command: Command, path: readonly string[]): CommandNode[] {
  // Public in the help of commander, and nowhere else: a hidden command is not for people.
  const visible = command
    .createHelp()
    .visibleCommands(command)
    .filter((each) => each.name() !== 'help');
  const own: CommandNode = {
    path,
    about: command.description(),
    subcommands: visible.map((each) => ({ name: each.name(), about: each.description() })),
    options: [...command.options.filter((option) => !option.hidden).map(optionOf), HELP],
    arguments: command.registeredArguments.map(argumentOf),
  };
  return [own, ...visible.flatMap((each) => nodesOf(each, [...path, each.name()]))];
}

function optionOf(option: Option): OptionNode {
  const takesOne = option.required || option.optional;
  return { long: option.long ?? option.flags, about: option.description, takes: takesOne ? valueOf(option) : null };
}

function valueOf(option: Option): WordKind {
  if (option.argChoices !== undefined) return option.argChoices;
  if (option.long === '--blueprint') return 'blueprints';
  const placeholder = /[<[]([a-z]+)/.exec(option.flags)?.[1] ?? '';
  return VALUES[placeholder] ?? 'value';
}

function argumentOf(argument: Argument): WordKind {
  return argument.argChoices ?? ARGUMENTS[argument.name()] ?? VALUES[argument.name()] ?? 'value';
}
