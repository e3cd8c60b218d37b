/** The completion script for bash; zsh runs it through its bashcompinit. */

import { COMMANDS, OWN_WORDS } from "../lib/commands.ts";
import { COMMON_FLAG, IRM_KEYS, IRM_VALUES, IRM_VERBS, OPTIONS, SHELLS } from "./words.ts";

/** Commands that links are made for. */
const LINKS = Object.keys(COMMANDS).filter((name) => !name.startsWith("ipcpd-") && name !== "pki");

function cases(table: Readonly<Record<string, readonly string[]>>, indent: string): string {
  return Object.entries(table)
    .map(([key, words]) => `${indent}'${key}') words="${words.join(" ")}" ;;`).join("\n");
}

/** The script. */
export function bashScript(): string {
  const top = [...Object.keys(COMMANDS), ...Object.keys(OWN_WORDS), "--help", "--version"];
  return `# bash completion for ouro and the links to it; made by "ouro completion bash"

# The first of the words $2... that begins with $1, as irm matches abbreviations.
_ouro_match() {
  local typed=$1 word
  shift
  for word in "$@"; do
    if [[ $word == "$typed"* ]]; then printf '%s' "$word"; return; fi
  done
}

# Names of IPCPs ("ipcp") or names ("name") that the IRMd knows now.
_ouro_names() {
  local irm=(irm)
  case \${COMP_WORDS[0]##*/} in
    irm) irm=("\${COMP_WORDS[0]}") ;;
    ouro) irm=("\${COMP_WORDS[0]}" irm) ;;
  esac
  "\${irm[@]}" "$1" list --json 2>/dev/null | sed -n 's/^ *"name": "\\([^"\\\\]*\\)",*$/\\1/p'
}

_ouro_irm() {
  local at=$1 cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} object verb words=""
  if [ "$COMP_CWORD" -eq "$at" ]; then
    words="${[...Object.keys(IRM_VERBS), COMMON_FLAG].join(" ")}"
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
    return
  fi
  object=$(_ouro_match "\${COMP_WORDS[at]}" ${Object.keys(IRM_VERBS).join(" ")})
  case $object in
${cases(IRM_VERBS, "    ")}
  esac
  if [ "$COMP_CWORD" -eq $((at + 1)) ]; then
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
    return
  fi
  verb=$(_ouro_match "\${COMP_WORDS[at+1]}" $words)
  words=""
  if [ "$COMP_CWORD" -eq $((at + 2)) ]; then
    case "$object $verb" in
      'bind program') COMPREPLY=($(compgen -c -- "$cur")); return ;;
      'bind process'|'unbind process') return ;;
      'bind ipcp'|'unbind ipcp') words=$(_ouro_names ipcp) ;;
      'name destroy'|'name register'|'name unregister') words=$(_ouro_names name) ;;
      'name create') return ;;
    esac
    if [ -n "$words" ]; then
      COMPREPLY=($(compgen -W "$words" -- "$cur"))
      return
    fi
  fi
  case $prev in
${cases(IRM_VALUES, "    ")}
    ipcp) words=$(_ouro_names ipcp) ;;
    name) if [ "$object" = ipcp ]; then words=$(_ouro_names ipcp); else words=$(_ouro_names name); fi ;;
    dst|list) words=$(_ouro_names name) ;;
    dev|device) words=$(ls /sys/class/net 2>/dev/null) ;;
    *path) COMPREPLY=($(compgen -f -- "$cur")); return ;;
  esac
  if [ -z "$words" ]; then
    case "$object $verb" in
${cases(IRM_KEYS, "      ")}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}

_ouro() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]}
  local command=\${COMP_WORDS[0]##*/} at=1 words=""
  COMPREPLY=()
  if [ "$command" = ouro ]; then
    if [ "$COMP_CWORD" -eq 1 ]; then
      COMPREPLY=($(compgen -W "${top.join(" ")}" -- "$cur"))
      return
    fi
    command=\${COMP_WORDS[1]}
    at=2
  fi
  case $prev in
    --prefix|--ipcp-dir) COMPREPLY=($(compgen -d -- "$cur")); return ;;
    --config) COMPREPLY=($(compgen -f -- "$cur")); return ;;
  esac
  case "$command $prev" in
    'oping -q'|'oping --qos'|'operf --qos'|'ocbr --qos'|'oecho --qos'|'obc --qos'|'ovpn --qos')
      COMPREPLY=($(compgen -W "${IRM_VALUES.qos!.join(" ")}" -- "$cur")); return ;;
    'oping -n'|'oping --server-name'|'operf -n'|'operf --server-name'|'ocbr -n'|'ovpn -n')
      COMPREPLY=($(compgen -W "$(_ouro_names name)" -- "$cur")); return ;;
    'operf -t'|'operf --test')
      COMPREPLY=($(compgen -W "uni bi report reverse" -- "$cur")); return ;;
  esac
  case $command in
    irm) _ouro_irm "$at"; return ;;
    help) words="${Object.keys(COMMANDS).join(" ")}" ;;
    completion) words="${SHELLS.join(" ")}" ;;
${cases(withPrefix(), "    ")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}

complete -o default -F _ouro ouro ${LINKS.join(" ")}
`;
}

function withPrefix(): Record<string, readonly string[]> {
  return Object.fromEntries(
    Object.entries(OPTIONS).map(([command, words]) => [command, [...words, COMMON_FLAG]]),
  );
}

/** The script for zsh: the same through bashcompinit. */
export function zshScript(): string {
  return `#compdef ouro ${
    LINKS.join(" ")
  }\nautoload -U +X bashcompinit && bashcompinit\n${bashScript()}`;
}
