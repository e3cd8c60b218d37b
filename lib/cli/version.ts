/** What `--version` says in each tool. Pure. */

import config from "../../deno.json" with { type: "json" };

/** The line for a tool. */
export function versionText(tool: string): string {
  return `${tool} (ouro) ${config.version}\n`;
}
