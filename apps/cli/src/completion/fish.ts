/**
 * Completion for fish: one `complete` line per word, under the condition that its command is the one being typed.
 */
import type { CommandNode, WordKind } from './tree.ts';

const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

function words(kind: WordKind): string {
  if (kind === 'value') return '-x';
  if (kind === 'file') return '-r -F';
  return typeof kind === 'string'
    ? `-x -a ${quote(`(command openexec __complete ${kind} 2>/dev/null)`)}`
    : `-x -a ${quote(kind.join(' '))}`;
}

function linesOf({ path, subcommands, options, arguments: args }: CommandNode): string[] {
  const here = `complete -c openexec -n ${quote(`__openexec_at ${quote(path.join(' '))}`)}`;
  // fish counts no positions for us: what any position takes is offered.
  const kinds = [...new Map(args.filter((kind) => kind !== 'value').map((kind) => [JSON.stringify(kind), kind])).values()];
  return [
    ...subcommands.map(({ name, about }) => `${here} -a ${quote(name)} -d ${quote(about)}`),
    ...options.map(
      ({ long, about, takes }) => `${here} -l ${long.replace(/^--/, '')} -d ${quote(about)}${takes === null ? '' : ` ${words(takes)}`}`,
    ),
    ...kinds.map((kind) => (kind === 'file' ? `${here} -F` : `${here} ${words(kind).replace('-x ', '')}`)),
  ];
}

/** The script for fish. */
export function fishScript(nodes: readonly CommandNode[]): string {
  const valued = nodes.flatMap(({ path, options }) =>
    options.filter(({ takes }) => takes !== null).map(({ long }) => quote([...path, long].join(' '))),
  );
  const known = nodes.flatMap(({ path, subcommands }) => subcommands.map(({ name }) => quote([...path, name].join(' '))));
  return [
    '# fish completion of openexec; written by: openexec completion fish',
    'function __openexec_path',
    '  set -l at',
    '  set -l skip 0',
    '  for word in (commandline -opc)[2..-1]',
    '    if test $skip = 1',
    '      set skip 0',
    '      continue',
    '    end',
    '    switch (string join -- " " $at $word)',
    `      case ${valued.join(' ')}`,
    '        set skip 1',
    `      case ${known.join(' ')}`,
    '        set -a at $word',
    '    end',
    '  end',
    '  string join -- " " $at',
    'end',
    'function __openexec_at',
    '  set -l at (__openexec_path)',
    '  test "$at" = "$argv[1]"',
    'end',
    'complete -c openexec -f',
    ...nodes.flatMap(linesOf),
  ].join('\n');
}
