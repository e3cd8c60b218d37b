/** The texts of `ouro help COMMAND`. Texts of one command are loaded only when they are asked for. */

/** The help for a command line of words, e.g. `["irm", "name"]`; undefined if there is none. */
export async function helpText(words: readonly string[]): Promise<string | undefined> {
  const [command, ...rest] = words;
  switch (command) {
    case undefined:
      return undefined;
    case "irm":
      return (await import("./irm.ts")).irmHelp(rest);
    case "oping": {
      const { MORE, USAGE } = await import("../oping/usage.ts");
      return USAGE + MORE;
    }
    case "pki":
      return (await import("../pki/usage.ts")).USAGE;
    case "operf":
    case "oecho":
    case "ocbr":
    case "obc":
    case "ovpn":
      return (await import("./tools.ts")).TOOL_HELP[command];
    default:
      return (await import("./daemons.ts")).daemonHelp(command);
  }
}
