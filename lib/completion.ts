/**
 * Shell completion for bash, zsh and fish: scripts made from one table of words, so the three agree.
 */

import { COMMANDS, OWN_WORDS } from "./commands.ts";

const IRM: Readonly<Record<string, readonly string[]>> = {
  ipcp: ["create", "destroy", "bootstrap", "enroll", "connect", "disconnect", "list", "help"],
  bind: ["program", "process", "ipcp", "help"],
  unbind: ["program", "process", "ipcp", "help"],
  name: ["create", "destroy", "register", "unregister", "list", "help"],
  help: [],
};

const OPTIONS: Readonly<Record<string, readonly string[]>> = {
  oping: [
    "--listen",
    "--poll",
    "--busy",
    "--count",
    "--duration",
    "--flood",
    "--flood-busy",
    "--interval",
    "--server-name",
    "--qos",
    "--size",
    "--quiet",
    "--timeofday",
    "--stats",
    "--json",
    "--help",
  ],
  operf: ["--listen", "--test", "--server-name", "--duration", "--rate", "--size", "--flood"],
  irmd: ["--stdout", "--config", "--prefix", "--help"],
  pki: [
    "init",
    "server",
    "client",
    "kem",
    "show",
    "check",
    "--security",
    "--key",
    "--days",
    "--as",
    "--encrypt",
    "--kex",
    "--cipher",
    "--require-auth",
    "--force",
    "--json",
    "--help",
  ],
};

/** The shells that a script can be made for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

function words(list: readonly string[]): string {
  return list.join(" ");
}

const TOP = [...Object.keys(COMMANDS), ...Object.keys(OWN_WORDS), "--help", "--version"];

/** Commands that users call through links. */
const LINKS = Object.keys(COMMANDS).filter((name) => !/^(ipcpd-|pki$)/.test(name));

function bash(): string {
  const verbs = Object.entries(IRM).map(([object, list]) =>
    `    ${object}) words="${words(list)}" ;;`
  );
  const options = Object.entries(OPTIONS).map(([command, list]) =>
    `    ${command}) words="${words(list)}" ;;`
  );
  return `# bash completion for ouro and the links to it
_ouro() {
  local cur=\${COMP_WORDS[COMP_CWORD]} command=\${COMP_WORDS[0]##*/} at=1 words=""
  if [ "$command" = ouro ]; then
    command=\${COMP_WORDS[1]}
    at=2
    if [ "$COMP_CWORD" -eq 1 ]; then
      COMPREPLY=($(compgen -W "${words(TOP)}" -- "$cur"))
      return
    fi
  fi
  case $command in
    irm)
      case $((COMP_CWORD - at)) in
        0) words="${words(Object.keys(IRM))}" ;;
        1)
          case \${COMP_WORDS[at]} in
${verbs.map((line) => "        " + line).join("\n")}
          esac ;;
      esac ;;
    help) words="${words(Object.keys(COMMANDS))}" ;;
    completion) words="${words(SHELLS)}" ;;
${options.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _ouro ouro ${words(LINKS)}
`;
}

function zsh(): string {
  return `#compdef ouro ${words(LINKS)}
autoload -U +X bashcompinit && bashcompinit
${bash()}`;
}

function fish(): string {
  const lines = ["# fish completion for ouro and the links to it"];
  const quote = (text: string) => `'${text.replaceAll("'", "\\'")}'`;
  for (const [name, text] of [...Object.entries(COMMANDS), ...Object.entries(OWN_WORDS)]) {
    lines.push(
      `complete -c ouro -f -n __fish_use_subcommand -a ${name} -d ${quote(text)}`,
    );
  }
  lines.push("complete -c ouro -f -n __fish_use_subcommand -l help -d 'show the help'");
  lines.push("complete -c ouro -f -n __fish_use_subcommand -l version -d 'show the version'");
  const objects = words(Object.keys(IRM));
  lines.push(`complete -c irm -f -n __fish_use_subcommand -a '${objects}'`);
  lines.push(
    `complete -c ouro -f -n '__fish_seen_subcommand_from irm; and not __fish_seen_subcommand_from ${objects}' -a '${objects}'`,
  );
  for (const [object, verbs] of Object.entries(IRM)) {
    if (verbs.length === 0) continue;
    lines.push(
      `complete -c irm -f -n '__fish_seen_subcommand_from ${object}' -a '${words(verbs)}'`,
      `complete -c ouro -f -n '__fish_seen_subcommand_from ${object}' -a '${words(verbs)}'`,
    );
  }
  for (const [command, options] of Object.entries(OPTIONS)) {
    for (const option of options) {
      const long = option.slice(2);
      lines.push(
        `complete -c ${command} -l ${long}`,
        `complete -c ouro -n '__fish_seen_subcommand_from ${command}' -l ${long}`,
      );
    }
  }
  lines.push(
    `complete -c ouro -f -n '__fish_seen_subcommand_from completion' -a '${words(SHELLS)}'`,
  );
  lines.push(
    `complete -c ouro -f -n '__fish_seen_subcommand_from help' -a '${
      words(Object.keys(COMMANDS))
    }'`,
  );
  return lines.join("\n") + "\n";
}

/** The completion script for a shell; undefined for a shell there is none for. */
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
