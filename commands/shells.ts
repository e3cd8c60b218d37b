/**
 * The completion scripts: each asks this program what may come next and hands that to its shell. The
 * first line of an answer says who knows the words: `:words` the lines that follow, else the shell.
 */

import { RUN_WORD } from "../lib/self.ts";
import { COMPLETE_WORD } from "./choose.ts";
import type { Proposals } from "./complete.ts";
import { allLinks } from "./table.ts";

const CALL = `${RUN_WORD} ${COMPLETE_WORD}`;

function programs(): string[] {
  return ["ouro", ...allLinks().map(({ name }) => name)];
}

/** The answer to a script. */
export function answer({ kind, words }: Proposals): string {
  return [`:${kind}`, ...words, ""].join("\n");
}

/** The script for a shell; undefined for a shell there is none for. */
export function completionScript(shell: string | undefined): string | undefined {
  switch (shell) {
    case "bash":
      return bash();
    case "zsh":
      return zsh();
    case "fish":
      return fish();
  }
  return undefined;
}

function bash(): string {
  return `# bash completion for ouro and the links to it; made by "ouro completion bash"

_ouro() {
  local program=\${COMP_WORDS[0]/#\\~/$HOME} kind="" line quoted
  COMPREPLY=()
  {
    IFS= read -r kind
    [[ $kind == :* ]] || return 0
    while IFS= read -r line; do
      printf -v quoted '%q' "$line"
      COMPREPLY+=("$quoted")
    done
  } < <("$program" ${CALL} "\${COMP_WORDS[@]:0:COMP_CWORD+1}" 2>/dev/null </dev/null)
  local cur=\${COMP_WORDS[COMP_CWORD]}
  case $kind in
    :file) compopt -o default 2>/dev/null ;;
    :directory) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    :program) compopt -o default 2>/dev/null; mapfile -t COMPREPLY < <(compgen -c -- "$cur") ;;
  esac
  return 0
}

complete -F _ouro ${programs().join(" ")}
`;
}

function zsh(): string {
  return `#compdef ${programs().join(" ")}
# zsh completion for ouro and the links to it; made by "ouro completion zsh"

_ouro() {
  local -a lines typed
  local program=\${(Q)words[1]}
  typed=("\${(@Q)words[1,CURRENT]}")
  lines=("\${(@f)$(\${~program} ${CALL} "\${typed[@]}" 2>/dev/null </dev/null)}")
  case \${lines[1]} in
    :words) compadd -- "\${(@)lines[2,-1]}" ;;
    :file) _files ;;
    :directory) _files -/ ;;
    :program) _command_names -e ;;
    *) return 1 ;;
  esac
}

if [ "\${funcstack[1]}" = _ouro ]; then
  _ouro "$@"
else
  compdef _ouro ${programs().join(" ")}
fi
`;
}

function fish(): string {
  return `# fish completion for ouro and the links to it; made by "ouro completion fish"

function __ouro_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines (command $words[1] ${CALL} $words "$current" 2>/dev/null </dev/null)
    switch "$lines[1]"
        case :words
            printf '%s\\n' $lines[2..]
        case :file
            __fish_complete_path "$current"
        case :directory
            __fish_complete_directories "$current"
        case :program
            complete -C "$current"
    end
end

for program in ${programs().join(" ")}
    complete -c $program -f -a '(__ouro_complete)'
end
`;
}
