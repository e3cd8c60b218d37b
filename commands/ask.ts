/** What the completion asks of the node and the host: briefly, and without a word when nobody answers. */

import { AdminClient } from "../lib/irm/admin.ts";
import { NOT_ENROLLED } from "../lib/irm/messages.ts";
import { printable } from "../lib/cli/reason.ts";
import type { Ask } from "./complete.ts";

/** A person waits for the proposals. */
const ANSWER_MS = 1000;

export const askNode: Ask = async (kind) => {
  try {
    if (kind === "device") {
      return (await Array.fromAsync(Deno.readDir("/sys/class/net"))).map(({ name }) => name);
    }
    const admin = new AdminClient(undefined, { timeoutMs: ANSWER_MS });
    if (kind === "name") return proposable((await admin.listNames()).map(({ name }) => name));
    const ipcps = await admin.listIpcps();
    return proposable(
      kind === "ipcp"
        ? ipcps.map(({ name }) => name)
        : ipcps.map(({ layer }) => layer).filter((layer) => layer !== NOT_ENROLLED),
    );
  } catch {
    return [];
  }
};

/** Each once, and none that would steer the terminal. */
function proposable(names: readonly string[]): string[] {
  return [...new Set(names)].filter((name) => name !== "" && printable(name) === name).sort();
}
