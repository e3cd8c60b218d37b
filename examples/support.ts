// deno-lint-ignore-file no-console -- a program, which prints
/**
 * What the examples share: a name for a server, so that they run without a line of `irm` first.
 *
 * Outside of examples names and bindings belong to whoever runs the node:
 * `irm name create NAME` and `irm bind program SERVER name NAME`.
 */
import { Errno, OuroError, OuroProcess } from "../lib/mod.ts";
import { AdminClient } from "../lib/irm/admin.ts";
import { PolLb } from "../lib/irm/messages.ts";

/** Makes `name` when it is not there, binds this process to it and registers it with the layers of the node. */
export async function serveAs(name: string): Promise<OuroProcess> {
  const process = OuroProcess.current();
  const admin = new AdminClient(process.instance);
  const known = (await admin.listNames()).some((n) => n.name === name);
  if (!known) {
    await admin.createName({
      name,
      polLb: PolLb.ROUND_ROBIN,
      skey: "",
      scrt: "",
      ckey: "",
      ccrt: "",
    });
  }
  await admin.bindProcess(process.pid, name);
  for (const ipcp of await admin.listIpcps()) {
    await admin.regName(name, ipcp.pid).catch(() => {}); // an IPCP without a layer takes no names
  }
  return process;
}

/** Runs `main`; a failed operation of the library is one line on stderr and exit code 1. */
export async function run(main: () => Promise<void>): Promise<never> {
  try {
    await main();
    Deno.exit(0);
  } catch (e) {
    if (!(e instanceof OuroError)) throw e;
    console.error(e.message);
    if (e.code === -Errno.EIRMD) console.error("Start a node first: ouro irmd");
    Deno.exit(1);
  }
}

/** Prints how to call the example and ends. */
export function usage(...lines: string[]): never {
  for (const line of lines) console.error(line);
  Deno.exit(2);
}
