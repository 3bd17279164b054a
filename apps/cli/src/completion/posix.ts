/**
 * Completion for bash and zsh: one table and one walk that both shells understand, and a thin end for each. Must never run anything of the
 * repository, and quotes every word that comes from a description.
 */
import type { CommandNode, WordKind } from './tree.ts';

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
const lines = (rows: readonly string[]): string => quote(rows.join('\n'));
const flat = (text: string): string => text.replaceAll(/\s+/g, ' ');

function kindText(kind: WordKind): string {
  return typeof kind === 'string' ? kind : `words ${kind.join(' ')}`;
}

function caseOf({ path, subcommands, options, arguments: args }: CommandNode): string {
  const takes = options.flatMap(({ long, takes: kind }) => (kind === null ? [] : [`${long}\t${kindText(kind)}`]));
  return [
    `    ${quote(path.join(' '))})`,
    `      __oe_subs=${lines(subcommands.map(({ name, about }) => `${name}\t${flat(about)}`))}`,
    `      __oe_opts=${lines(options.map(({ long, about }) => `${long}\t${flat(about)}`))}`,
    `      __oe_takes=${lines(takes)}`,
    `      __oe_args=${lines(args.map(kindText))} ;;`,
  ].join('\n');
}

/** Prints `word TAB description` for each candidate, or `:files`. Arguments: every word after the command, the one under the cursor last. */
const WALK = `__openexec_first() {
  # The second column of the row of $2 that begins with $1; fails where there is none.
  local key value
  while IFS=$'\\t' read -r key value; do
    if [ "$key" = "$1" ]; then printf '%s' "$value"; return 0; fi
  done <<<"$2"
  return 1
}

__openexec_words() {
  case "$1" in
    file) printf ':files\\n' ;;
    runs|requests|blueprints) command openexec __complete "$1" 2>/dev/null ;;
    'words '*) printf '%s\\n' "\${1#words }" | tr ' ' '\\n' ;;
  esac
}

__openexec_candidates() {
  local __oe_subs __oe_opts __oe_takes __oe_args __oe_at='' __oe_kind='' __oe_position=1
  __openexec_node ''
  while [ $# -gt 1 ]; do
    if [ -n "$__oe_kind" ]; then
      __oe_kind=''
    else
      case "$1" in
        -*) __oe_kind=$(__openexec_first "$1" "$__oe_takes") || __oe_kind='' ;;
        *)
          if __openexec_first "$1" "$__oe_subs" >/dev/null; then
            __oe_at="\${__oe_at:+$__oe_at }$1"
            __openexec_node "$__oe_at"
          else
            __oe_position=$((__oe_position + 1))
          fi ;;
      esac
    fi
    shift
  done
  if [ -n "$__oe_kind" ]; then
    __openexec_words "$__oe_kind"
    return 0
  fi
  case "$1" in
    -*) printf '%s\\n' "$__oe_opts" ;;
    *)
      if [ -n "$__oe_subs" ]; then
        printf '%s\\n' "$__oe_subs"
      else
        __openexec_words "$(printf '%s\\n' "$__oe_args" | sed -n "\${__oe_position}p")"
      fi ;;
  esac
}`;

const BASH_END = `_openexec() {
  local word rest cur="\${COMP_WORDS[COMP_CWORD]}"
  COMPREPLY=()
  while IFS=$'\\t' read -r word rest; do
    if [ "$word" = ':files' ]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$cur")
    elif [ -n "$word" ]; then
      case "$word" in "$cur"*) COMPREPLY+=("$word") ;; esac
    fi
  done < <(__openexec_candidates "\${COMP_WORDS[@]:1:COMP_CWORD}")
}
complete -F _openexec openexec`;

const ZSH_END = `_openexec() {
  local -a found
  local word rest
  while IFS=$'\\t' read -r word rest; do
    if [[ "$word" == ':files' ]]; then
      _files
      return
    fi
    [[ -n "$word" ]] && found+=("\${word//:/\\\\:}:$rest")
  done < <(__openexec_candidates "\${(@)words[2,CURRENT]}")
  _describe 'openexec' found
}
# As a file of fpath this is the function itself; when sourced it only registers it.
if [ "\${funcstack[1]}" = '_openexec' ]; then _openexec "$@"; elif (( \${+functions[compdef]} )); then compdef _openexec openexec; fi`;

function table(nodes: readonly CommandNode[]): string {
  return [
    '__openexec_node() {',
    '  __oe_subs= __oe_opts= __oe_takes= __oe_args=',
    '  case "$1" in',
    ...nodes.map(caseOf),
    '  esac',
    '}',
  ].join('\n');
}

/** The script for bash. */
export function bashScript(nodes: readonly CommandNode[]): string {
  return ['# bash completion of openexec; written by: openexec completion bash', table(nodes), WALK, BASH_END].join('\n\n');
}

/** The script for zsh. */
export function zshScript(nodes: readonly CommandNode[]): string {
  return ['#compdef openexec\n# zsh completion of openexec; written by: openexec completion zsh', table(nodes), WALK, ZSH_END].join('\n\n');
}
